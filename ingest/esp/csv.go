package esp

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/event"
)

// errSniff ends a head: more is to come, but not here.
var errSniff = errors.New("end of the head")

// maxLines is how many line ends the quoted fields of one row may hold. Beyond
// that a quote was lost, and the row is given up so that the next ones are read.
const maxLines = 200

// column is what a column of an export says.
type column uint8

const (
	colNone column = iota
	colEvent
	colSeverity
	colTime
	colRecipient
	colSender
	colMessageID // the header's
	colNetworkID // the vendor's
	colAnyID     // the header's if it has an @
	colCode
	colEnhanced
	colText
	colMoreText
	colRemoteHost
	colRemoteIP
	colSourceIP
	colNumber
	colHost
	colStream
	colTLS
	colReason
	columns
)

// columnNames gives the names of the columns, in small letters without spaces and
// marks. Of several columns for the same thing that are not empty in a row the
// one that stands first here counts, wherever it stands in the file.
func columnNames() [columns]string {
	return [columns]string{
		colEvent: "event eventtype eventname lastdeliveryevent deliveryevent notificationtype recordtype messageevent bouncetype " +
			"deliverystatus activity lastevent state type status",
		colSeverity: "severity",
		colTime: "eventtimestamp eventtime timestamp time processed bouncedat deliveredat lastdeliveryeventtimestamp " +
			"deliveryeventtimestamp tsevent ts occurredat datetime dateutc timestamputc datetimeutc eventdate date " +
			"lasteventtime receivedat createdat created",
		colRecipient: "recipient rawrcptto rcptto recipientemail recipientaddress rcpt toemail toaddress destination " +
			"emailaddress email to address recipients",
		colSender:    "envelopesender mailfrom msgfrom fromemailaddress fromemail fromaddress senderaddress sender friendlyfrom from source",
		colMessageID: "messageheadersmessageid smtpid internetmessageid headermessageid messageidheader",
		colNetworkID: "sgmessageid msgid messageuuid recvmessageid transmissionid id",
		colAnyID:     "messageid",
		colCode:      "deliverystatuscode smtpcode smtpstatuscode responsecode statuscode errorcode code",
		colEnhanced:  "deliverystatusenhancedcode enhancedcode enhancedstatuscode enhancedstatus",
		colText: "deliverystatusmessage diagnosticcode smtpresponse rawreason smtpreply response diagnostic diag " +
			"serverresponse mtaresponse bouncereason bouncedetails details errormessage error comment message",
		colReason:     "reason",
		colMoreText:   "deliverystatusdescription description rejectreason rejectdescription",
		colRemoteHost: "deliverystatusmxhost mxhost mxserver destinationserver receivingmx remotemta mx",
		colRemoteIP:   "remotemtaip destinationip remoteip mxip",
		colSourceIP:   "envelopesendingip sendingip outboundip",
		colNumber:     "deliverystatusattemptno attemptno attemptnum attempt attempts",
		colHost:       "domainname domain serverid sendingaccountid accountid",
		colStream:     "messagestream sendingstream stream",
		colTLS:        "deliverystatustls outboundtls tls",
	}
}

// plainName gives a column's name as columnOf wants it.
func plainName(s string) string {
	var b []byte
	for i := 0; i < len(s) && len(b) < 64; i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			b = append(b, c)
		}
	}
	return string(b)
}

// sheet is what the header line of an export says.
type sheet struct {
	format    string
	separator byte
	fields    int
	what      []column
	rank      []int // among the columns for the same thing, the lowest first
	has       [columns]bool
	isJSON    bool // one column holds whole records
	list      bool // no column names an event: every row is a final failure
	spam      bool // ... or a complaint
}

// sheetOf reads a header line. ok is false if it is no vendor's.
func sheetOf(line []byte) (h sheet, ok bool) {
	h.separator = separatorOf(line)
	var names []string
	for _, f := range cells(nil, line, h.separator) {
		names = append(names, plainName(string(f)))
	}
	h.fields = len(names)
	if len(names) < 2 || len(names) > 1000 {
		return h, false
	}
	seen := make(map[string]bool, len(names))
	h.what, h.rank = make([]column, len(names)), make([]int, len(names))
	known := columnNames()
	for i, name := range names {
		seen[name] = true
		for c := range known {
			for rank, other := range strings.Fields(known[c]) {
				if name == other {
					h.what[i], h.rank[i], h.has[c] = column(c), rank, true
				}
			}
		}
	}
	h.format = formatOf(&h, seen)
	return h, h.format != ""
}

// formatOf tells the vendor by columns that no other has.
func formatOf(h *sheet, seen map[string]bool) string {
	all := func(names ...string) bool {
		for _, n := range names {
			if !seen[n] {
				return false
			}
		}
		return true
	}
	switch {
	case seen["message"] && len(seen) <= 6 && (seen["timestamp"] || seen["ingestiontime"] || seen["logstreamname"]) && !h.has[colRecipient]:
		h.isJSON = true // CloudWatch Logs: @timestamp, @message
		return FormatSES
	case !h.has[colRecipient]:
		return ""
	case all("event", "recvmessageid"), all("event", "sgmessageid"), all("processed", "messageid", "event"), all("event", "sgeventid"):
		return FormatSendGrid
	case seen["deliverystatuscode"], seen["deliverystatusmessage"], seen["messageheadersmessageid"], all("event", "recipient", "severity"),
		all("event", "recipient", "loglevel"), all("event", "recipientdomain"):
		return FormatMailgun
	case all("address", "code", "error", "createdat"):
		h.list = true
		return FormatMailgun
	case all("status", "reason", "email", "created"), all("reason", "email", "created"):
		h.list = true
		return FormatSendGrid
	case all("ip", "email", "created"):
		h.list, h.spam = true, true
		return FormatSendGrid
	case all("messageid", "fromemailaddress", "destination"), all("messageid", "destination", "isp"), all("isp", "lastdeliveryevent"),
		all("messageid", "toaddress", "lastdeliveryevent"), all("diagnosticcode", "bouncesubtype"):
		return FormatSES
	case seen["messagestream"], all("recordtype", "messageid"), all("bouncetype", "bouncedat"), all("type", "bouncedat"), all("bouncedat", "inactive"), all("serverid", "messageid"):
		return FormatPostmark
	case all("rcptto", "transmissionid"), all("rawrcptto", "rawreason"), all("rcptto", "bounceclass"):
		return FormatSparkPost
	case all("type", "queue", "numattempts"):
		return FormatKumoMTA
	}
	return ""
}

// separatorOf takes the separator that the header has most of.
func separatorOf(line []byte) byte {
	best, most := byte(','), 0
	for _, c := range []byte(",;\t|") {
		if n := bytes.Count(line, []byte{c}); n > most {
			best, most = c, n
		}
	}
	return best
}

// cells cuts a row. Quotes inside quoted fields are doubled (RFC 4180), or
// escaped with a backslash, as some exporters do.
func cells(out [][]byte, row []byte, separator byte) [][]byte {
	row = bytes.TrimRight(row, "\r\n")
	for {
		i := 0
		for i < len(row) && row[i] == ' ' {
			i++
		}
		if i == len(row) || row[i] != '"' {
			end := bytes.IndexByte(row, separator)
			if end < 0 {
				return append(out, bytes.TrimSpace(row))
			}
			out, row = append(out, bytes.TrimSpace(row[:end])), row[end+1:]
			continue
		}
		row = row[i+1:]
		var field []byte
		for {
			end := bytes.IndexByte(row, '"')
			if end < 0 {
				return append(out, append(field, row...))
			}
			if end+1 < len(row) && row[end+1] == '"' {
				field, row = append(field, row[:end+1]...), row[end+2:]
				continue
			}
			if field == nil {
				field = row[:end:end]
			} else {
				field = append(field, row[:end]...)
			}
			row = row[end+1:]
			break
		}
		out = append(out, field)
		end := bytes.IndexByte(row, separator)
		if end < 0 {
			return out
		}
		row = row[end+1:]
	}
}

// row gives the next row with its line; it is valid until the next call. cut
// says that the stream ends in it.
func (d *reading) row(w *window, h *sheet) (row []byte, cut, ok bool) {
	for w.more() {
		d.line = w.line
		end, open, lines := 0, false, 0
		for {
			b := w.b()
			nl := bytes.IndexByte(b[end:], '\n')
			if nl < 0 && len(b) <= maxRecord && w.fill() {
				continue
			}
			last := nl < 0
			if last {
				nl = len(b) - end - 1
			}
			open = open != (bytes.Count(b[end:end+nl+1], []byte{'"'})%2 == 1)
			end += nl + 1
			lines++
			if end > maxRecord {
				d.skip(event.SkipLong)
				w.nextLine()
				break
			}
			if !open || last && !h.lostQuote(b) {
				w.advance(end)
				return b[:end], last, true
			}
			if last || lines >= maxLines {
				d.skip(event.SkipBroken)
				w.nextLine()
				break
			}
		}
	}
	return nil, false, false
}

// lostQuote tells a row whose closing quote was lost from one in whose quoted
// field the stream was cut: behind the first, whole rows follow.
func (h *sheet) lostQuote(b []byte) bool {
	_, next, ok := bytes.Cut(b, []byte{'\n'})
	if !ok || h.fields == 0 {
		return false
	}
	line, _, _ := bytes.Cut(next, []byte{'\n'})
	return len(cells(nil, line, h.separator)) == h.fields
}

// csv reads a stream of rows.
func (d *reading) csv(w *window) {
	header, cut, ok := d.row(w, new(sheet))
	if ok && isSeparatorLine(header) {
		header, cut, ok = d.row(w, new(sheet))
	}
	if !ok {
		return
	}
	h, ok := sheetOf(header)
	if !ok {
		d.skip(event.SkipUnknown)
		return
	}
	if cut {
		d.skip(event.SkipCut)
	}
	all := vendors()
	var space [][]byte
	usual := 0 // the length of the last field of the row before
	for d.err == nil {
		row, cut, ok := d.row(w, &h)
		if !ok {
			return
		}
		d.raw, d.n = bytes.TrimRight(row, "\r\n"), 0
		space = cells(space[:0], row, h.separator)
		switch {
		case isEmpty(space):
			continue // an empty line, or one of separators only
		case cut && (h.cutRow(space, usual) || bytes.Count(row, []byte{'"'})%2 == 1):
			d.skip(event.SkipCut)
		case len(space) > h.fields+1 || len(space) < 2:
			d.skip(event.SkipBroken)
		case h.isJSON:
			d.jsonCell(all, space)
		default:
			d.sheetRow(&h, space)
			usual = len(space[len(space)-1])
		}
	}
}

// cutRow reports whether a row without a line end lacks fields, or a part of its
// last one: half a number is another time, and nothing shows it.
func (h *sheet) cutRow(row [][]byte, usual int) bool {
	n := len(row)
	if n < h.fields {
		return true
	}
	last := len(row[n-1])
	return last == 0 && usual > 0 || h.what[h.fields-1] == colTime && last < usual
}

func isEmpty(row [][]byte) bool {
	for _, f := range row {
		if len(f) > 0 {
			return false
		}
	}
	return true
}

// jsonCell reads the record that stands in one field of a row.
func (d *reading) jsonCell(all []vendor, row [][]byte) {
	for _, f := range row {
		if len(f) == 0 || f[0] != '{' {
			continue
		}
		v, ok := d.doc.parse(f)
		if !ok {
			d.skip(event.SkipBroken)
			return
		}
		d.raw = f
		d.record(all, v)
		return
	}
	d.skip(event.SkipUnknown)
}

// sheetRow turns a row into an event.
func (d *reading) sheetRow(h *sheet, row [][]byte) {
	var is [columns]string
	var rank [columns]int
	for i, f := range row {
		if i >= len(h.what) || h.what[i] == colNone || len(f) == 0 {
			continue
		}
		c := h.what[i]
		if is[c] != "" && rank[c] <= h.rank[i] {
			continue
		}
		rank[c] = h.rank[i]
		if is[c] = string(f); !utf8.Valid(f) {
			is[c] = strings.ToValidUTF8(is[c], "\ufffd")
		}
	}
	s := sight{
		format: h.format, grade: event.GradeDetail, host: is[colHost], when: is[colTime],
		recipient: is[colRecipient], sender: is[colSender], messageID: is[colMessageID], networkID: is[colNetworkID],
		remoteHost: is[colRemoteHost], remoteIP: is[colRemoteIP], sourceIP: is[colSourceIP],
		enhanced: is[colEnhanced], text: mailgunText(is[colText], is[colMoreText]), stream: is[colStream],
	}
	if id := is[colAnyID]; strings.Contains(id, "@") {
		s.messageID = id
	} else if id != "" {
		s.networkID = id
	}
	s.code, _ = strconv.Atoi(is[colCode])
	s.number, _ = strconv.Atoi(is[colNumber])
	if s.number < 0 || s.number > 1e6 {
		s.number = 0
	}
	if is[colTLS] == "true" || is[colTLS] == "1" {
		s.tls = &event.TLS{}
	}
	if h.format != FormatMailgun && s.text == "" {
		s.text = is[colReason]
	}
	d.rowEvent(h, &s, &is)
	d.emit(&s)
}

// rowEvent fills in what happened.
func (d *reading) rowEvent(h *sheet, s *sight, is *[columns]string) {
	switch {
	case h.spam:
		s.what, s.grade = complained, event.GradeSummary
		return
	case h.list:
		s.what, s.grade = failed, event.GradeSummary
		if e := is[colEvent]; strings.Contains(e, ".") {
			s.enhanced = e // SendGrid's lists call it status
		}
		if h.format == FormatMailgun {
			mailgunOwn(s, "")
		}
		return
	}
	s.what = heard(is[colEvent])
	switch h.format {
	case FormatMailgun:
		if s.what == failed && strings.EqualFold(is[colSeverity], "temporary") {
			s.what = deferred
		}
		mailgunOwn(s, is[colReason])
	case FormatPostmark:
		if t := postmarkType(strings.ReplaceAll(is[colEvent], " ", "")); t != nothing {
			s.what = t
		}
	case FormatSES:
		s.what, s.grade = sesInsight(strings.ToUpper(is[colEvent])), event.GradeSummary
	case FormatKumoMTA:
		s.grade = event.GradeLog
	}
}

// isSeparatorLine knows the line "sep=;" that is for Excel.
func isSeparatorLine(line []byte) bool {
	return len(line) < 16 && bytes.HasPrefix(bytes.ToLower(bytes.Trim(line, "\"")), []byte("sep="))
}

// sniffCSV recognises a header line; where whole records stand in cells, the
// first of them.
func sniffCSV(head []byte) (string, bool) {
	line, rest, _ := bytes.Cut(head, []byte{'\n'})
	if isSeparatorLine(line) {
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
	}
	if len(line) > 16<<10 {
		return "", false
	}
	h, ok := sheetOf(line)
	if !ok || !h.isJSON {
		return h.format, ok
	}
	for range 20 {
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
		for _, f := range cells(nil, line, h.separator) {
			if len(f) > 0 && f[0] == '{' {
				if format, ok := sniffJSON(f); ok {
					return format, true
				}
			}
		}
	}
	return "", false
}
