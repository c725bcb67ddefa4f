package trace

import (
	_ "embed" // the words
	"strings"
	"sync"
)

//go:embed words.txt
var wordsText string

// col is a column that is known, whatever a file calls it.
type col uint8

const (
	noCol col = iota
	colDate
	colSender
	colReturn
	colRecipient
	colRecipientStatus
	colStatus
	colEvent
	colDetail
	colData
	colAction
	colMessageID
	colNetworkID
	colInternalID
	colClientIP
	colClientHost
	colServerIP
	colServerHost
	colOriginalClientIP
	colOriginalServerIP
	colContext
	colSource
	colConnector
	colDirection
	colSubject
	colSize
	colToIP
	colFromIP
	colTLS
	colCipher
	colIdentity
	colIgnored // known and not wanted
	cols
)

// colNames are the columns' names in words.txt, by number; those not here are
// read over.
var colNames = [...]string{
	colDate: "date", colSender: "sender", colReturn: "return", colRecipient: "recipient",
	colRecipientStatus: "recipientstatus", colStatus: "status", colEvent: "event", colDetail: "detail",
	colData: "data", colAction: "action", colMessageID: "messageid", colNetworkID: "networkid",
	colInternalID: "internalid", colClientIP: "clientip", colClientHost: "clienthost", colServerIP: "serverip",
	colServerHost: "serverhost", colOriginalClientIP: "originalclientip", colOriginalServerIP: "originalserverip",
	colContext: "context", colSource: "source", colConnector: "connector", colDirection: "direction",
	colSubject: "subject", colSize: "size", colToIP: "toip", colFromIP: "fromip", colTLS: "tls", colCipher: "cipher",
	colIdentity: "identity",
}

// words is words.txt, by canonical form.
type words struct {
	columns map[string]columnName
	status  map[string]string
	events  map[string]string
}

type columnName struct {
	col  col
	lang string
}

var vocabulary = sync.OnceValue(func() *words {
	w := &words{columns: map[string]columnName{}, status: map[string]string{}, events: map[string]string{}}
	byName := map[string]col{}
	for c, name := range colNames {
		if name != "" {
			byName[name] = col(c)
		}
	}
	for _, english := range [...]bool{true, false} {
		section := ""
		for line := range strings.SplitSeq(wordsText, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if line[0] == '[' {
				section = line
				continue
			}
			meaning, rest, _ := strings.Cut(line, " ")
			lang, forms, _ := strings.Cut(rest, " ")
			for form := range strings.SplitSeq(forms, "|") {
				if english == (lang == "en") {
					w.add(section, meaning, lang, canonical(form), byName)
				}
			}
		}
	}
	return w
})

// add notes one form. The first meaning of a form stays: English comes first.
func (w *words) add(section, meaning, lang, form string, byName map[string]col) {
	switch section {
	case "[columns]":
		c, ok := byName[meaning]
		if !ok {
			c = colIgnored
		}
		if _, have := w.columns[form]; !have {
			w.columns[form] = columnName{c, lang}
		}
	case "[status]":
		if _, have := w.status[form]; !have {
			w.status[form] = meaning
		}
	case "[events]":
		if _, have := w.events[form]; !have {
			w.events[form] = meaning
		}
	}
}

// canonical gives the letters and digits of a name, in lower case and without
// accents: "Adresse de l'expéditeur", "sender_address" and "SenderAddress" are
// what they say, not how they are written.
func canonical(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b = append(b, byte(r))
		case r >= 'A' && r <= 'Z':
			b = append(b, byte(r)+'a'-'A')
		case r >= 0x80:
			b = append(b, unaccented(r)...)
		}
	}
	return string(b)
}

// unaccented gives the plain letters of those of the six languages.
func unaccented(r rune) string {
	const from = "àáâãäåçèéêëìíîïñòóôõöùúûüýÀÁÂÃÄÅÇÈÉÊËÌÍÎÏÑÒÓÔÕÖÙÚÛÜÝ"
	const to = "aaaaaaceeeeiiiinooooouuuuyaaaaaaceeeeiiiinooooouuuuy"
	switch r {
	case 'ß', 'ẞ':
		return "ss"
	case 'œ', 'Œ':
		return "oe"
	}
	i := 0
	for _, f := range from {
		if f == r {
			return to[i : i+1]
		}
		i++
	}
	return ""
}

// columnOf says which column a name means; utc that the name says UTC.
func columnOf(name string) (c columnName, utc, ok bool) {
	form := canonical(name)
	if c, ok = vocabulary().columns[form]; ok {
		return c, strings.HasSuffix(form, "utc"), true
	}
	// "Date (UTC+01:00)", "Received (UTC)": what is in brackets does not name it
	if i := strings.IndexByte(name, '('); i > 0 {
		if c, ok = vocabulary().columns[canonical(name[:i])]; ok {
			return c, strings.Contains(strings.ToLower(name[i:]), "utc"), true
		}
	}
	if short, cut := strings.CutSuffix(form, "utc"); cut {
		c, ok = vocabulary().columns[short]
		return c, true, ok
	}
	return columnName{}, false, false
}

// statusOf gives the meaning of a status, "" if it is not known. Reports of
// the portal list the steps, "Receive, Deliver": the last one counts.
func statusOf(s string) string {
	switch s { // what nearly every row has
	case "Delivered", "Receive, Send", "Receive, Deliver":
		return "delivered"
	case "Failed", "Receive, Fail":
		return "failed"
	}
	v := vocabulary().status
	if m := v[canonical(s)]; m != "" {
		return m
	}
	for {
		i := strings.LastIndexAny(s, ",/")
		if m := v[canonical(s[i+1:])]; m != "" {
			return m
		}
		if i < 0 {
			return ""
		}
		s = s[:i]
	}
}

// eventOf gives the meaning of an event, "" if it is not known.
func eventOf(s string) string {
	switch s { // what nearly every row has
	case "RECEIVE", "Receive":
		return "receive"
	case "SEND", "Send":
		return "send"
	case "DELIVER", "Deliver":
		return "deliver"
	case "DEFER", "Defer":
		return "defer"
	case "FAIL", "Fail":
		return "fail"
	}
	return vocabulary().events[canonical(s)]
}
