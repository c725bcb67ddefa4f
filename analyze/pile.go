package analyze

import (
	"errors"
	"strings"
	"time"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/diagnose/bounce"
	"github.com/postroad/postroad/dossier"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/ingest/esp"
	"github.com/postroad/postroad/ingest/maillog"
	"github.com/postroad/postroad/ingest/trace"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/provider"
)

// Options say with what a pile is analysed. Engine, Providers and Texts are
// needed.
type Options struct {
	Engine    *diagnose.Engine
	Providers *provider.Catalogue
	Texts     *lang.Catalogue
	Ours      []string       // our domains, hosts and addresses
	Year      int            // of stamps without one; 0 = told from the file's time
	Zone      *time.Location // of stamps without one, and of the text; nil = local
	Now       time.Time      // zero = the time of New
	Full      bool           // samples with whole addresses
	TempDir   string         // for facts beyond those held in memory; "" = the system's
	Held      int            // facts held in memory; 0 = 200,000

	// Progress, if set, is told now and then how much of an input was read; total
	// is -1 where that is not known.
	Progress func(name string, read, total int64)
}

// Pile is evidence as it comes in. It is not safe for concurrent use.
type Pile struct {
	Options
	codes
	providers *register                    // by provider id
	home      uint32                       // the provider of what is delivered on our own side
	named     map[uint32]provider.Identity // providers that a catalogue knows, and our own side
	known     map[uint64]uint32            // host, domain, month -> provider
	routes    []uint32                     // by recipient domain: the provider whose host it was last seen at, 0 = none
	loose     []bool                       // by provider: named by the recipient's domain alone
	hostNames *register
	addresses *hosts
	sources   *hosts
	domains   *register
	formats   *register
	memo      *memo
	samples   *samples
	store     *store
	late      []fact // of a grade below detail: they may tell of what a log tells too
	lateIDs   map[int]string
	join      *maillog.Join
	queue     listings
	spans     []span // of the streams that were read, to see whether any two overlap
	skips     *skips
	bounces   bounce.Options
	ours      ourHosts

	said    evidence             // by the line that is being read
	covered span                 // by the stream that is being read
	dated   time.Time            // its file's time
	failed  error                // the temporary file
	heads   map[uint64]time.Time // the file's time by the text that it begins with

	events      int64
	facts       int64
	inputs      int
	backscatter int64
	complaints  int64
	deliveries  int64 // facts that tell of one
	primaries   int64
	unlinked    bool // some facts do not say of which message they tell
	from, to    int64
	attached    []dossier.Attachment
	closed      map[uint64]bool // messages that a bounce or a summary says are over
}

// span is the time that one stream covers.
type span struct{ from, to int64 }

// New makes an empty pile.
func New(o Options) (*Pile, error) {
	if o.Engine == nil || o.Providers == nil || o.Texts == nil {
		return nil, errors.New("analyze: engine, providers and texts are needed")
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	names := newRegister()
	p := &Pile{
		Options:   o,
		codes:     newCodes(),
		providers: newRegister(),
		named:     make(map[uint32]provider.Identity),
		known:     make(map[uint64]uint32),
		loose:     make([]bool, 2),
		hostNames: names,
		addresses: newHosts(names),
		sources:   newHosts(names),
		domains:   newRegister(),
		formats:   newRegister(),
		memo:      newMemo(o.Engine),
		samples:   newSamples(),
		store:     newStore(o.Held, o.TempDir),
		lateIDs:   make(map[int]string),
		join:      maillog.NewJoin(),
		skips:     newSkips(),
		bounces:   bounce.Options{Ours: o.Ours},
		ours:      readOurs(o.Ours),
		closed:    make(map[uint64]bool),
		queue:     listings{classes: make(map[uint64]int64), domains: make(map[uint64]int64)},
	}
	p.home = p.providerID(provider.Identity{ID: local, Name: o.Texts.Text("provider.local", nil)})
	return p, nil
}

// Close gives back what the pile holds outside of memory.
func (p *Pile) Close() { p.store.close() }

// local is the provider of what is delivered on our own side: into mailboxes of
// this host, to a content filter.
const local = "local"

// evidence is one event on its way to become a fact.
type evidence struct {
	at      time.Time
	origin  event.Origin
	attempt *event.Attempt
	text    string        // of the failure, wrappers and all
	status  mail.Enhanced // the evidence's own code, outside the text
	name    string        // the evidence's id where the reader gave one
	line    *maillog.Line // ... and where it is a line, the line and its bytes
	raw     []byte
	mark    uint64 // a hash of host and raw text
	flags   uint8
	advice  string
	ours    bool // on our own side: no provider outside has a part in it
}

// Add takes one event.
func (p *Pile) Add(e *event.Event) error {
	switch b := e.Body.(type) {
	case *event.Attempt:
		p.events++
		if b.Route == trace.RouteInbound {
			return nil
		}
		return p.attempt(&evidence{at: e.Time, origin: e.Origin, attempt: b, ours: b.Route == esp.RouteWithheld || p.ours.have(b),
			text: strings.Join(b.Reply.Lines, "\n"), status: b.Reply.Mail().Enhanced,
			name: e.ID, mark: hash(0, e.ID), flags: weakIf(e.Origin.Grade == event.GradeSummary)})
	case *event.Bounce:
		p.events++
		return p.bounce(e, b)
	case *event.Complaint:
		p.events++
		p.complaints++
	}
	return nil
}

// id gives the evidence's id, for the few that are shown.
func (v *evidence) id() string {
	if v.line != nil {
		return event.ID(v.line.Host, v.raw, v.line.Part)
	}
	return v.name
}

func weakIf(b bool) uint8 {
	if b {
		return weak
	}
	return 0
}

// line takes one line of a log; l and all its strings are good during the call
// only.
func (p *Pile) line(l *maillog.Line, raw []byte) error {
	p.events++
	if l.Direction == maillog.Inbound || l.Attempt == nil {
		return nil
	}
	a := l.Attempt
	v := &p.said // one for all lines: it would be an object a line
	*v = evidence{at: l.Time, origin: l.Origin, attempt: a, text: l.Diagnostic, status: l.Enhanced,
		mark: hash(hash(uint64(l.Part), l.Host), raw), line: l, raw: raw, ours: homely(l) || p.ours.have(a)}
	switch l.Kind {
	case maillog.KindProbe, maillog.KindRefusal:
		return nil
	case maillog.KindSession:
		v.flags |= session
	case maillog.KindSuspended:
		v.flags |= suspended
	case maillog.KindExpired:
		if a.Recipient == "" {
			return nil // its recipients come one by one, or are not known
		}
	}
	if a.Final && a.Outcome == mail.Temporary || strings.HasSuffix(l.Status, "expired") {
		v.flags |= expired
	}
	return p.attempt(v)
}

// homely reports whether a log line tells of a delivery on our own side: into a
// mailbox of this host, to a program, or to a filter that gives the message
// back to the queue.
func homely(l *maillog.Line) bool {
	a := l.Attempt
	if a.RemoteIP != "" && a.Route != "lmtp" {
		return strings.HasPrefix(a.RemoteIP, "127.") || a.RemoteIP == "::1"
	}
	if l.Kind == maillog.KindSession || l.Kind == maillog.KindSuspended {
		return false
	}
	switch a.Route {
	case "local", "virtual", "lmtp", "pipe", "discard", "maildrop", "dovecot", "local_delivery", "address_file", "address_pipe":
		return true
	}
	return a.RemoteHost == "" && a.Outcome == mail.Delivered
}

// attempt makes a fact of an attempt.
func (p *Pile) attempt(v *evidence) error {
	a := v.attempt
	at := v.at.UnixNano()
	if v.at.IsZero() || v.at.Year() < 1990 {
		at = 0
	}
	f := fact{
		at:        at,
		recipient: fold(0, a.Recipient),
		evidence:  v.mark,
		delay:     millis(a.Delay),
		outcome:   outcomeCode(a.Outcome),
		stage:     p.stages[a.Stage],
		grade:     gradeOf(v.origin),
		format:    uint8(min(p.formats.id(v.origin.Format), 255)),
		flags:     v.flags,
		domain:    p.domains.id(lower(domainOf(a.Recipient))),
		sender:    p.domains.id(lower(a.SenderDomain)),
	}
	f.message, f.queue = messageOf(a, v.origin.Host)
	f.marks = marksOf(a, f.grade)
	if a.Final {
		f.flags |= final
	}
	if !a.Spoke {
		f.flags |= silent
	}
	p.whose(&f, v)
	if a.Outcome != mail.Delivered {
		p.judge(&f, v)
	}
	if a.Outcome == "" && f.class == 0 {
		return nil // an event of no outcome: the message is on its way
	}
	return p.keep(&f, v)
}

func millis(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), 1<<32-1))
}

// messageOf gives the identity of a message and of its queue id.
func messageOf(a *event.Attempt, host string) (message, queue uint64) {
	if a.QueueID != "" {
		queue = hash(1, a.QueueID)
	}
	switch id := strings.Trim(a.MessageID, "<> \t"); {
	case id != "":
		message = fold(2, id)
	case a.NetworkID != "":
		message = fold(3, a.NetworkID)
	case queue != 0:
		message = mix(queue, hash(4, host))
	}
	return message, queue
}

// whose finds provider, address and source.
func (p *Pile) whose(f *fact, v *evidence) {
	a := v.attempt
	if a.RemoteHost != "" || a.RemoteIP != "" {
		f.flags |= hosted
		f.address = p.addresses.at(a.RemoteHost, a.RemoteIP)
	}
	host := a.SourceHost
	if host == "" && f.grade == uint8(event.GradeLog) {
		host = v.origin.Host
	}
	if host != "" || a.SourceIP != "" {
		f.source = p.sources.at(host, a.SourceIP)
	}
	if v.ours {
		f.provider = p.home
		return
	}
	if v.line != nil {
		if host := relay(a, v.origin.Format); host != "" {
			f.provider = p.relayID(host)
			return
		}
	}
	// The month is in the key because brands move between operators.
	day := v.at
	if f.at == 0 {
		day = p.Now
	}
	month := uint64(day.Year()*12+int(day.Month())) & 0xffff
	key := uint64(p.hostNames.id(a.RemoteHost))<<40 | uint64(f.domain)<<16 | month
	id, ok := p.known[key]
	if !ok {
		id = p.providerID(p.Providers.Identify(a.RemoteHost, domainOf(a.Recipient), day))
		if len(p.known) > 4*tableSize {
			clear(p.known)
		}
		p.known[key] = id
	}
	f.provider = id
	if f.is(hosted) && f.domain > others && !p.loose[id] {
		for int(f.domain) >= len(p.routes) {
			p.routes = append(p.routes, 0)
		}
		p.routes[f.domain] = id
	}
}

// settled gives a fact the provider that other evidence shows behind its
// recipient's domain, where it names no host itself: a failed look-up, mail
// that was held back without an attempt, a row of a summary.
func (p *Pile) settled(f *fact) {
	if p.loose[f.provider] && int(f.domain) < len(p.routes) {
		if id := p.routes[f.domain]; id != 0 {
			f.provider = id
		}
	}
}

// providerID gives the table's id of a provider.
func (p *Pile) providerID(i provider.Identity) uint32 {
	id := p.providers.id(i.ID)
	if int(id) == len(p.loose) {
		p.loose = append(p.loose, strings.HasPrefix(i.ID, byDomain))
		if !strings.HasPrefix(i.ID, byDomain) && !strings.HasPrefix(i.ID, byHost) {
			p.named[id] = i
		}
	}
	return id
}

// What the ids of providers begin with that no catalogue knows.
const (
	byDomain = "domain:"
	byHost   = "mx:"
)

// ownSide reports whether a fact tells of a delivery on our own side.
func (p *Pile) ownSide(f *fact) bool { return f.provider == p.home }

// judge diagnoses a failure.
func (p *Pile) judge(f *fact, v *evidence) {
	ev := diagnose.Evidence{Text: v.text, Status: v.status, Stage: v.attempt.Stage, Spoke: diagnose.Local}
	if v.attempt.Spoke {
		ev.Spoke = diagnose.Remote
	}
	id := f.provider
	if who, ok := p.named[id]; ok {
		ev.Provider = who.ID
	} else {
		id = 0 // of those that no catalogue knows, one is as the other
	}
	verdict := p.memo.diagnose(&ev, id)
	v.advice = verdict.advice
	f.class, f.actor = p.classes[verdict.class], p.actors[verdict.actor]
	if f.stage == 0 {
		f.stage = p.stages[verdict.stage]
	}
	if verdict.expired && f.is(final) {
		f.flags |= expired
	}
	if verdict.provider != "" && (f.provider <= others || p.loose[f.provider] && !f.is(hosted)) {
		// No host is named and the domain is nobody's that is known, but only one
		// provider writes this text.
		if k, ok := p.Providers.ByID(verdict.provider); ok {
			f.provider = p.providerID(provider.Identity{ID: k.ID, Name: k.Name})
		}
	}
	if v.attempt.Outcome == "" {
		f.outcome = temporary
		if verdict.permanent {
			f.outcome = permanent
		}
	}
}

// keep puts a fact where it belongs and its sample, if it is a failure, into
// the pool.
func (p *Pile) keep(f *fact, v *evidence) error {
	if f.class != 0 && !f.is(session) {
		p.samples.offer(f, v.advice, func() kept { return keptOf(v) })
	}
	if f.at == 0 {
		// No time of its own: that of the file is the best there is.
		f.flags |= weak
		f.at = p.Now.UnixNano()
		if !p.dated.IsZero() {
			f.at = p.dated.UnixNano()
		}
	}
	if f.grade <= uint8(event.GradeSummary) && len(p.late) < maxLate {
		if f.grade == uint8(event.GradeReport) && len(p.lateIDs) < maxLateIDs {
			p.lateIDs[len(p.late)] = v.id()
		}
		if n := len(p.late); n == cap(p.late) { // of half a million no more room than for these
			p.late = append(make([]fact, 0, min(max(n+n/2, 1024), maxLate)), p.late...)
		}
		p.late = append(p.late, *f)
		return nil
	}
	p.primaries++
	p.unlinked = p.unlinked || f.has(unlinked)
	p.covered.from, p.covered.to = min(p.covered.from, f.at), max(p.covered.to, f.at)
	return p.store.add(*f)
}

// bounce makes facts of what a report says of one recipient. A report about
// mail that was never ours tells nothing of our deliveries.
func (p *Pile) bounce(e *event.Event, b *event.Bounce) error {
	if b.Ours == mail.OursNo {
		p.backscatter++
		return nil
	}
	a := &event.Attempt{
		MessageID: b.MessageID, Recipient: b.Recipient, OrigRcpt: b.OrigRcpt,
		RemoteHost: b.RemoteHost, RemoteIP: b.RemoteIP, Stage: b.Stage, Spoke: b.Spoke, Outcome: b.Outcome,
		SourceHost: b.ReportingHost,
		Final:      b.Action == mail.ActionFailed || b.Action == mail.ActionDelivered || b.Action == mail.ActionRelayed,
	}
	v := evidence{at: b.LastAttempt, origin: e.Origin, attempt: a, text: b.Diagnostic,
		name: e.ID, mark: hash(0, e.ID)}
	v.origin.Grade = event.GradeReport
	v.origin.Format = writer(b, v.origin.Format)
	v.status, _, _ = mail.ParseEnhanced(b.Status)
	if v.at.IsZero() {
		v.at, v.flags = e.Time, weak
	}
	if a.Final && b.Outcome == mail.Temporary {
		v.flags |= expired
	}
	return p.attempt(&v)
}

// domainOf gives the domain of an address as written, "" for a local name.
func domainOf(address string) string {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return ""
	}
	return strings.TrimSuffix(address[i+1:], ".")
}
