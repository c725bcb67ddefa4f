package explain

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// Width is the widest line of the text form, in columns.
const Width = 100

// Printer writes answers as text for a person.
type Printer struct {
	W     io.Writer
	Texts *lang.Catalogue
	Width int  // columns, 0 = Width
	Color bool // as a second channel only: nothing is said by colour alone

	wrote bool
	b     strings.Builder
}

// Print writes one answer. title is what it is called when there are several,
// "" for none.
func (p *Printer) Print(a *Answer, title string) error {
	p.b.Reset()
	if p.wrote {
		p.b.WriteString("\n\n")
	}
	p.wrote = true
	if title != "" {
		p.b.WriteString(p.bold(Clean(title)) + "\n\n")
	}
	switch a.Kind {
	case KindUnknown:
		p.para(a.Reason)
		p.steps("next.unknown")
	case KindFeedback:
		p.feedback(a)
	case KindAutoReply:
		p.autoReply(a)
	case KindLog:
		p.log(a)
	case KindHeaders, KindMessage:
		p.headers(a)
	default:
		p.results(a)
	}
	for _, n := range a.Notes {
		p.b.WriteString("\n")
		p.para(n)
	}
	_, err := io.WriteString(p.W, strings.TrimRight(p.b.String(), "\n")+"\n")
	return err
}

// maxUnknown is how many unknown texts are listed.
const maxUnknown = 10

// PrintUnknown lists the texts that no rule knew, most frequent first.
func (p *Printer) PrintUnknown(u *diagnose.Unknown) error {
	list, _ := u.List()
	if len(list) == 0 {
		return nil
	}
	p.b.Reset()
	p.b.WriteString("\n\n" + p.bold(p.text("unknown.title", nil)) + "\n")
	for _, t := range list[:min(len(list), maxUnknown)] {
		p.hang("  "+p.Texts.Number(int(t.Count))+"  ", Shorten(t.Template, maxQuote))
	}
	if n := len(list) - maxUnknown; n > 0 {
		p.hang("  ", p.Texts.Count("more", n, nil))
	}
	_, err := io.WriteString(p.W, p.b.String())
	return err
}

func (p *Printer) text(key string, args lang.Args) string { return p.Texts.Text(key, args) }

func (p *Printer) bold(s string) string {
	if !p.Color {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

func (p *Printer) width() int {
	if p.Width > 0 {
		return min(p.Width, Width)
	}
	return Width
}

// results prints every distinct answer of a report once, with its recipients.
func (p *Printer) results(a *Answer) {
	groups := group(a.Results)
	if len(groups) == 0 {
		p.para(a.Reason)
	}
	for i, g := range groups {
		if i > 0 {
			p.b.WriteString("\n")
		}
		p.result(a, g)
	}
}

// group puts results with the same answer together, in order of appearance.
func group(results []Result) [][]*Result {
	type key struct {
		provider, rule string
		class          mail.Class
		outcome        mail.Outcome
		action         mail.Action
		chain          string
	}
	seen := map[key]int{}
	var out [][]*Result
	for i := range results {
		r := &results[i]
		k := key{rule: r.verdict.Rule, class: r.verdict.Class, outcome: r.Outcome, action: r.Action}
		if r.Provider != nil {
			k.provider = r.Provider.ID
		}
		if k.rule == "" {
			k.chain = r.Text
		}
		n, ok := seen[k]
		if !ok {
			n = len(out)
			seen[k] = n
			out = append(out, nil)
		}
		out[n] = append(out[n], r)
	}
	return out
}

func (p *Printer) result(a *Answer, g []*Result) {
	r := g[0]
	p.para(r.Explanation)
	if a.inbound {
		p.para(p.text("log.inbound", nil))
	}
	p.b.WriteString("\n")
	rows := [][2]string{{"who", p.who(g)}, {"where", p.where(r)}}
	rows = append(rows, p.chain(r)...)
	if r.Diagnosis != nil {
		rows = append(rows, [2]string{"verdict", p.verdict(r)}, [2]string{"whose", p.whose(r)},
			[2]string{"retry", p.text("retry."+string(r.Diagnosis.Retry), nil)})
	}
	if !r.at.IsZero() && a.Kind != KindReply {
		rows = append(rows, [2]string{"when", Stamp(r.at)})
	}
	rows = append(rows, [2]string{"about", p.about(a)}, [2]string{"known", a.ground})
	p.rows(rows)
	p.numbered(r.Next)
}

// rows prints labels and values in two columns.
func (p *Printer) rows(rows [][2]string) {
	wide := 0
	for i := range rows {
		rows[i][0] = p.text("label."+rows[i][0], nil)
		wide = max(wide, utf8.RuneCountInString(rows[i][0]))
	}
	for _, row := range rows {
		if row[1] == "" {
			continue
		}
		label := row[0] + strings.Repeat(" ", wide-utf8.RuneCountInString(row[0])+2)
		p.hang("  "+label, row[1])
	}
}

func (p *Printer) numbered(steps []string) {
	if len(steps) == 0 {
		return
	}
	p.b.WriteString("\n" + p.bold(p.text("label.now", nil)) + "\n")
	for i, s := range steps {
		p.hang("  "+strconv.Itoa(i+1)+". ", s)
	}
}

// steps prints the numbered texts key.1, key.2, ...
func (p *Printer) steps(key string) {
	var list []string
	for i := 1; i <= maxSteps && p.Texts.Has(key+"."+strconv.Itoa(i)); i++ {
		list = append(list, p.text(key+"."+strconv.Itoa(i), nil))
	}
	p.numbered(list)
}

// maxNamed is how many recipients are named before the rest is counted.
const maxNamed = 10

func (p *Printer) who(g []*Result) string {
	r := g[0]
	names := []string{}
	for _, r := range g {
		if r.Recipient != "" && !slices.Contains(names, r.Recipient) {
			names = append(names, r.Recipient)
		}
	}
	if n := len(names); n > 1 {
		if n > maxNamed {
			names = append(names[:maxNamed:maxNamed], p.Texts.Count("more", n-maxNamed, nil))
		}
		who := p.Texts.Count("several", n, lang.Args{"List": strings.Join(names, ", ")})
		if r.Provider != nil {
			who += " (" + r.Provider.Name + ")"
		}
		return who
	}
	who := p.whoOne(r)
	if len(g) > 1 && who != "" {
		who = p.Texts.Count("attempts", len(g), lang.Args{"Who": who})
	}
	return who
}

func (p *Printer) whoOne(r *Result) string {
	name := r.Recipient
	if r.OriginalRecipient != "" {
		name = p.text("who.aka", lang.Args{"Recipient": name, "Original": r.OriginalRecipient})
	}
	if r.Provider == nil {
		return name
	}
	args := lang.Args{"Recipient": name, "Provider": r.Provider.Name, "Brand": r.Provider.Brand}
	switch {
	case name == "":
		return p.text("who.provider", args)
	case !r.Provider.known:
		return p.text("who.unknown", args)
	case r.Provider.Brand != "" && r.Provider.Brand != r.Provider.Name:
		return p.text("who.at.brand", args)
	case len(r.Provider.domains) > 1:
		args["Domains"] = p.Texts.List(r.Provider.domains)
		return p.text("who.at.same", args)
	}
	return p.text("who.at", args)
}

func (p *Printer) where(r *Result) string {
	var where string
	switch {
	case r.RemoteHost != "" && r.RemoteIP != "":
		where = p.text("where.host.ip", lang.Args{"Host": r.RemoteHost, "IP": r.RemoteIP})
	case r.RemoteHost != "" || r.RemoteIP != "":
		where = p.text("where.host", lang.Args{"Host": r.RemoteHost + r.RemoteIP})
	default:
		where = p.text("where.none", nil)
	}
	if r.Outcome == mail.Delivered {
		if r.RemoteHost+r.RemoteIP == "" {
			return ""
		}
		return where
	}
	key := "stage.unknown"
	switch {
	case r.Stage != nil:
		key = "stage." + string(*r.Stage)
	case r.verdict.Class == mail.Transport:
		key = "stage.unknown.transport"
	}
	return p.text("where.stage", lang.Args{"Where": where, "Stage": p.text(key, nil)})
}

// maxQuote bounds a reply in the text form; the JSON form has all of it.
const maxQuote = 600

func (p *Printer) chain(r *Result) [][2]string {
	if r.Diagnosis == nil || len(r.Diagnosis.Chain) == 0 {
		if r.Text == "" {
			return nil
		}
		return [][2]string{{"reply", quote(r.Text)}}
	}
	chain := r.Diagnosis.Chain
	last := len(chain) - 1
	if last == 0 {
		return [][2]string{{"reply", quote(replyText(chain[0]))}}
	}
	var rows [][2]string
	for _, l := range chain[:last] {
		key := "link.outer"
		if l.Class == mail.Expired {
			key = "link.outer.gave-up"
		}
		rows = append(rows, [2]string{"outer", p.text(key, lang.Args{"Reply": quote(replyText(l))})})
	}
	key := "link.inner"
	switch severity(chain[last]) {
	case 4:
		key = "link.inner.temporary"
	case 5:
		key = "link.inner.permanent"
	}
	return append(rows, [2]string{"inner", p.text(key, lang.Args{"Reply": quote(replyText(chain[last]))})})
}

func severity(l Link) int {
	if l.Code != nil {
		return *l.Code / 100
	}
	if l.Enhanced != "" {
		return int(l.Enhanced[0] - '0')
	}
	return 0
}

// replyText gives a layer as one line: code, enhanced code, words.
func replyText(l Link) string {
	var parts []string
	if l.Code != nil && !strings.HasPrefix(l.Text, strconv.Itoa(*l.Code)) {
		parts = append(parts, strconv.Itoa(*l.Code))
		if l.Enhanced != "" && !strings.HasPrefix(l.Text, l.Enhanced) {
			parts = append(parts, l.Enhanced)
		}
	}
	return strings.Join(append(parts, l.Text), " ")
}

func quote(s string) string { return Shorten(s, maxQuote) }

// Shorten puts a text on one line and cuts it after n bytes, at a rune.
func Shorten(s string, n int) string {
	s = oneLine(s)
	if len(s) <= n {
		return s
	}
	cut := n
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + " ..."
}

// Clean takes control characters out of what is quoted from evidence: it must
// not be able to write to the reader's terminal as we do.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || 0x80 <= r && r < 0xa0 ||
			0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, s)
}

func (p *Printer) verdict(r *Result) string {
	d := r.Diagnosis
	args := lang.Args{
		"Class":      p.text("class."+string(d.Class), nil),
		"Confidence": p.Texts.Confidence(d.Confidence),
		"Why":        p.Texts.Reasons(d.Why),
	}
	switch {
	case len(d.Why) == 0:
		return p.text("verdict.plain", args)
	case len(d.Contributing) > 0:
		names := make([]string, len(d.Contributing))
		for i, c := range d.Contributing {
			names[i] = p.text("class."+string(c), nil)
		}
		args["Others"] = p.Texts.List(names)
		return p.text("verdict.with", args)
	}
	return p.text("verdict", args)
}

func (p *Printer) whose(r *Result) string {
	key := "actor." + string(r.Diagnosis.Actor)
	if r.Provider != nil && r.Provider.known {
		return p.text(key, lang.Args{"Provider": r.Provider.Name})
	}
	if p.Texts.Has(key + ".anon") {
		key += ".anon"
	}
	return p.text(key, nil)
}

func (p *Printer) feedback(a *Answer) {
	f := a.Feedback
	key := "kind.feedback"
	switch {
	case f.Type == "not-spam":
		key = "kind.feedback.not-spam"
	case strings.HasPrefix(f.Type, "auth-failure"):
		key = "kind.feedback.auth"
	}
	args := lang.Args{"Reporter": f.reporter, "Type": f.Type}
	if k := "feedback." + f.Type; p.Texts.Has(k) {
		args["Type"] = p.text(k, nil)
	}
	if f.reporter == "" {
		key += ".anon"
	}
	p.para(p.text(key, args))
	p.b.WriteString("\n")
	p.rows([][2]string{{"who", f.Recipient}, {"from", f.SourceIP}, {"about", p.about(a)}})
	if f.Type != "not-spam" && !strings.HasPrefix(f.Type, "auth-failure") {
		p.steps("next.feedback")
	}
}

func (p *Printer) about(a *Answer) string {
	if a.About == "" {
		return ""
	}
	return p.text("about.message", lang.Args{"ID": a.About})
}

func (p *Printer) autoReply(a *Answer) {
	if a.challenge {
		p.para(p.text("kind.challenge", nil))
		p.steps("next.challenge")
		return
	}
	p.para(p.text("kind.auto-reply", nil))
}

// fewLines is how many attempts of a log are told in full; more are counted by
// provider and class.
const fewLines = 5

func (p *Printer) log(a *Answer) {
	if len(group(a.Results)) <= fewLines {
		p.results(a)
	} else {
		p.tally(a)
	}
	if a.More > 0 {
		p.b.WriteString("\n")
		p.para(p.Texts.Count("input.more-lines", a.More, nil))
	}
}

// tally prints one line for each provider and class, most frequent first.
func (p *Printer) tally(a *Answer) {
	groups, delivered := [][]*Result{}, 0
	for _, g := range group(a.Results) {
		if g[0].Outcome == mail.Delivered {
			delivered += len(g)
			continue
		}
		// Here it does not matter which of them are still waiting.
		same := func(o []*Result) bool { return sameRefusal(o[0], g[0]) }
		if i := slices.IndexFunc(groups, same); i >= 0 {
			groups[i] = append(groups[i], g...)
			continue
		}
		groups = append(groups, g)
	}
	p.para(p.Texts.Count("log.summary", len(a.Results), nil) + " " + p.Texts.Count("log.delivered", delivered, nil))
	p.b.WriteString("\n")
	slices.SortStableFunc(groups, func(x, y []*Result) int { return len(y) - len(x) })
	wide := 0
	for _, g := range groups {
		wide = max(wide, len(p.Texts.Number(len(g))))
	}
	for _, g := range groups {
		r := g[0]
		args := lang.Args{"Class": p.text("class."+string(r.verdict.Class), nil), "Reply": innermost(r)}
		key := "log.group.anon"
		if r.Provider != nil {
			key, args["Provider"] = "log.group", r.Provider.Name
		}
		n := p.Texts.Number(len(g))
		p.hang("  "+strings.Repeat(" ", wide-len(n))+n+"  ", p.text(key, args))
	}
}

// sameRefusal reports whether one line of a tally can stand for both.
func sameRefusal(x, y *Result) bool {
	id := func(r *Result) string {
		if r.Provider == nil {
			return ""
		}
		return r.Provider.ID
	}
	return x.verdict.Rule == y.verdict.Rule && x.verdict.Class == y.verdict.Class && id(x) == id(y) &&
		(x.verdict.Rule != "" || x.Text == y.Text)
}

// innermost is the reply that decided, in a few words.
func innermost(r *Result) string {
	if r.Diagnosis == nil || len(r.Diagnosis.Chain) == 0 {
		return Shorten(r.Text, maxTallyQuote)
	}
	return Shorten(replyText(r.Diagnosis.Chain[len(r.Diagnosis.Chain)-1]), maxTallyQuote)
}

// maxTallyQuote bounds a reply in a table.
const maxTallyQuote = 120

// Stamp writes a time so that it cannot be misread: date, time, zone.
func Stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05 -07:00") }

// para prints a paragraph.
func (p *Printer) para(s string) { p.hang("", s) }

// breaks reports where a line may be broken: not at a no-break space, which
// French puts before its colons.
func breaks(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }

// hang prints a text behind a prefix, wrapped with a hanging indent. Everything
// from evidence passes here, so that here it is cleaned.
func (p *Printer) hang(prefix, s string) {
	p.b.WriteString(Wrap(prefix, Clean(s), p.width()) + "\n")
}

// Wrap breaks a paragraph behind a prefix into lines of width columns, with a
// hanging indent. A word that is wider than the line, such as a reply's URL, is
// left whole.
func Wrap(prefix, s string, width int) string {
	indent := utf8.RuneCountInString(prefix)
	col := indent
	var b strings.Builder
	b.WriteString(prefix)
	for i, word := range strings.FieldsFunc(s, breaks) {
		w := utf8.RuneCountInString(word)
		if i > 0 {
			if col+1+w > width {
				b.WriteString("\n" + strings.Repeat(" ", indent))
				col = indent
			} else {
				b.WriteString(" ")
				col++
			}
		}
		b.WriteString(word)
		col += w
	}
	return b.String()
}
