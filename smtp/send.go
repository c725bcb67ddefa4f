package smtp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postroad/postroad/mail"
)

// A Message is what Send sends, and what became of it.
type Message struct {
	// Mail is the sender and what the transaction is asked for. Send leaves out what the
	// server does not offer and what can be left out: SIZE, which it works out
	// itself, the DSN parameters, AUTH, BODY of content that is 7-bit.
	Mail    MailCommand
	To      []*Recipient
	Content Content
	// Known is what ExamineContent said of Content, where that was kept; nil: Content is read
	// for it. What is wrong with the content then shows on the way only, and ends the session.
	Known *Examined

	// Phases is how long each stage took for this message. Of commands that went out together
	// the first one's stage has the wait.
	Phases map[mail.Stage]time.Duration
}

// A Recipient is one forward-path, and what became of it.
type Recipient struct {
	RcptCommand

	// Delivered: the server has taken the message for this recipient. Else Err says why not,
	// an *Error with the same Stage and Reply.
	Delivered bool
	Stage     mail.Stage // that decided
	Reply     mail.Reply // that decided: the server's, zero if it said nothing
	Err       error
}

// Uncertain says that the message may be delivered, see Error.
func (r *Recipient) Uncertain() bool {
	var e *Error
	return errors.As(r.Err, &e) && e.Uncertain
}

func (r *Recipient) refuse(e *Error) {
	r.Delivered, r.Stage, r.Reply, r.Err = false, e.Stage, e.Reply, e
}

func (r *Recipient) accept(reply mail.Reply) {
	r.Delivered, r.Stage, r.Reply, r.Err = true, mail.StageFinal, reply, nil
}

// settled says whether it is known what became of it.
func (r *Recipient) settled() bool { return r.Delivered || r.Err != nil }

// transit is one message on its way.
type transit struct {
	m     *Message
	x     Examined
	mail  []byte
	rcpts []rcpt // that can be named to this server

	begun    bool
	mailed   bool // MAIL was accepted
	refused  bool // MAIL was refused
	named    int  // RCPTs submitted
	answered int  // of them
	accepted []*Recipient
	data     dataState
	content  int // number of the write that ends the content, -1 before
}

type rcpt struct {
	line []byte
	to   *Recipient
}

// dataState is how far DATA has come.
type dataState uint8

const (
	dataNotSaid dataState = iota
	dataSaid
	dataGo   // 354
	dataDone // refused, or the content is on its way
)

// nobody says that it is known that no recipient is accepted.
func (t *transit) nobody() bool {
	return t.refused || t.mailed && t.answered == len(t.rcpts) && len(t.accepted) == 0
}

// known says whether MAIL and all RCPTs were answered.
func (t *transit) known() bool { return (t.refused || t.mailed) && t.answered == t.named }

// refuse sets the result of all recipients that have none.
func (t *transit) refuse(e *Error) {
	for _, r := range t.m.To {
		if !r.settled() {
			r.refuse(e)
		}
	}
}

// due is a reply that must come.
type due struct {
	what   dueFor
	number int // of the write
	t      *transit
	to     *Recipient
}

type dueFor uint8

const (
	dueReset dueFor = iota
	dueMail
	dueRcpt
	dueData
	dueContent // as many as there are accepted recipients, for LMTP
)

func (d due) stage() mail.Stage {
	switch d.what {
	case dueRcpt:
		return mail.StageRcpt
	case dueData:
		return mail.StageData
	case dueContent:
		return mail.StageFinal
	}
	return mail.StageMail
}

// sending is one call of Send: it decides what is submitted when, and what the replies
// mean. It runs in one goroutine.
type sending struct {
	c          *Client
	v          *volley
	all        []*transit
	next       int // the transit that is being submitted
	due        []due
	writes     []write    // decided, not yet submitted
	waiting    int        // contents without a reply
	closing    mail.Reply // 421, and which reply it was
	closedBy   due
	pipelining bool
	chunking   bool
	rested     bool // nothing was heard for so long that the server may have gone
}

// restedAfter is how long a connection may have been silent before a server is asked for a
// reply ahead of content. One that closed meanwhile would make "may be delivered" of all that
// went out at once; a round trip is cheaper.
const restedAfter = 2 * time.Second

// Send sends messages, all in one go where the server offers PIPELINING: with CHUNKING
// small messages one after the other without waiting; with DATA a group each (RFC 2920), the
// next one behind the content of the last; else step by step.
//
// What became of each recipient stands in it afterwards, always: a refusal is no error of
// Send. The error says that the session has ended; messages not yet begun then have
// ErrNotTried.
func (c *Client) Send(ctx context.Context, messages ...*Message) error {
	s := &sending{c: c, pipelining: c.extensions.Has("PIPELINING"), chunking: c.extensions.Has("CHUNKING")}
	s.rested = time.Since(c.heard) > restedAfter
	for _, m := range messages {
		m.Phases = make(map[mail.Stage]time.Duration, 4)
		for _, r := range m.To {
			*r = Recipient{RcptCommand: r.RcptCommand}
		}
	}
	var err error
	switch {
	case c.broken != nil:
		err = c.lost(mail.StageMail)
	case !c.hello:
		err = &Error{Stage: mail.StageMail, Err: fmt.Errorf("%w: Hello comes first, again after TLS", ErrArgument)}
	}
	for _, m := range messages {
		t := &transit{m: m, content: -1}
		if err != nil {
			t.refuse(&Error{Stage: mail.StageMail, Err: fmt.Errorf("%w: %w", ErrNotTried, err)})
		} else if e := c.prepare(t); e != nil {
			t.refuse(e)
		} else if len(t.rcpts) > 0 {
			s.all = append(s.all, t)
		}
	}
	if err != nil || len(s.all) == 0 {
		return err
	}
	return s.run(ctx)
}

// prepare decides what is said for a message, and whether it can be sent to this server
// at all.
func (c *Client) prepare(t *transit) *Error {
	m, x := t.m.Mail, c.extensions
	refuse := func(stage mail.Stage, err error) *Error { return &Error{Stage: stage, Err: err} }
	if t.m.Content == nil {
		return refuse(mail.StageData, fmt.Errorf("%w: a message without content", ErrArgument))
	}
	var err error
	if t.m.Known != nil {
		t.x = *t.m.Known
	} else if t.x, err = ExamineContent(t.m.Content); err != nil {
		return refuse(mail.StageData, err)
	}
	m.Size = 0
	if x.Has("SIZE") {
		if limit := x.Size(); limit > 0 && t.x.Octets > limit {
			return refuse(mail.StageMail, fmt.Errorf("%w: %d octets, and its limit is %d", ErrTooBigForPeer, t.x.Octets, limit))
		}
		m.Size = t.x.Octets
	}
	switch {
	case m.Body == BodyBinary:
		return refuse(mail.StageMail, ErrBinary)
	case t.x.EightBit && !x.Has("8BITMIME"):
		return refuse(mail.StageMail, ErrEightBit)
	case t.x.EightBit:
		m.Body = BodyEight
	case !x.Has("8BITMIME"):
		m.Body = ""
	}
	m.UTF8 = m.UTF8 || !isASCII(m.From.String())
	if m.UTF8 && !x.Has("SMTPUTF8") {
		return refuse(mail.StageMail, ErrUTF8)
	}
	if m.RequireTLS && (c.tls == nil || !x.Has("REQUIRETLS")) {
		return refuse(mail.StageMail, ErrRequireTLS)
	}
	if !x.Has("DSN") {
		m.Return, m.EnvelopeID = "", ""
	}
	if !x.Has("AUTH") {
		m.Auth = ""
	}
	c.prepareRcpts(t, &m)
	if t.mail, err = m.Append(nil); err != nil {
		return refuse(mail.StageMail, fmt.Errorf("%w: %w", ErrArgument, err))
	}
	return nil
}

// prepareRcpts decides what is said for each recipient, and refuses those that cannot be
// named to this server.
func (c *Client) prepareRcpts(t *transit, m *MailCommand) {
	for _, r := range t.m.To {
		command := r.RcptCommand
		if !c.extensions.Has("DSN") {
			command = RcptCommand{To: r.To}
		} else if command.Original != "" && command.OriginalType == "" {
			command.OriginalType = "rfc822"
		}
		wide := !isASCII(r.To.String())
		line, err := command.Append(nil)
		switch {
		case err != nil:
			r.refuse(&Error{Stage: mail.StageRcpt, Err: fmt.Errorf("%w: %w", ErrArgument, err)})
			continue
		case wide && !c.extensions.Has("SMTPUTF8"):
			r.refuse(&Error{Stage: mail.StageRcpt, Err: ErrUTF8})
			continue
		}
		m.UTF8 = m.UTF8 || wide
		t.rcpts = append(t.rcpts, rcpt{line, r})
	}
}

// run submits and takes replies until nothing is left or the session ends.
func (s *sending) run(ctx context.Context) error {
	s.v = s.c.begin(ctx)
	for {
		if r, err := s.stray(); err != nil {
			return s.fail(s.after(), r, err)
		}
		s.advance()
		if len(s.due) == 0 {
			break
		}
		d := s.due[0]
		s.due = s.due[1:]
		if r, err := s.take(d); err != nil {
			return s.fail(d, r, err)
		}
	}
	if s.closing.Code != 0 {
		return s.fail(due{}, s.closing, nil)
	}
	s.v.end()
	return nil
}

// stray looks for a reply where none is due. It must not be taken for the answer to
// what is said next, least of all to content.
func (s *sending) stray() (mail.Reply, error) {
	if len(s.due) > 0 {
		return mail.Reply{}, nil
	}
	return s.v.stray()
}

// after is what would have been due next.
func (s *sending) after() due {
	if s.next == len(s.all) {
		return due{what: dueReset}
	}
	if t := s.all[s.next]; t.begun {
		return due{what: dueData, t: t}
	}
	return due{what: dueMail}
}

// advance submits all that may go out now.
func (s *sending) advance() {
	for s.next < len(s.all) && s.closing.Code == 0 && (s.pipelining || len(s.due)+len(s.writes) == 0) && s.step() {
	}
	s.v.submit(s.writes...)
	s.writes = s.writes[:0]
}

// say decides that something goes out, and that its reply is due.
func (s *sending) say(w write, d due) {
	d.number = s.v.submitted + len(s.writes)
	s.writes = append(s.writes, w)
	s.due = append(s.due, d)
}

// step goes one step on in the transit under way; false: it has to wait for a reply.
func (s *sending) step() bool {
	t := s.all[s.next]
	switch {
	case !t.begun && s.waiting >= s.c.o.InFlight:
		return false
	case !t.begun && s.c.dirty:
		// What became of the last transaction is not known yet, or it was refused half-way.
		s.c.dirty = false
		s.say(write{line: []byte("RSET")}, due{what: dueReset, t: t})
	case !t.begun:
		t.begun, s.c.dirty = true, true
		s.say(write{line: t.mail}, due{what: dueMail, t: t})
	case t.data == dataNotSaid && t.nobody():
		s.c.dirty = !t.refused
		s.next++
	case t.named < len(t.rcpts):
		r := t.rcpts[t.named]
		t.named++
		s.say(write{line: r.line}, due{what: dueRcpt, t: t, to: r.to})
	case s.chunking:
		if (t.x.Octets > s.c.o.Ahead || s.rested) && !t.known() {
			return false
		}
		s.sayContent(t, write{line: fmt.Appendf(nil, "BDAT %d LAST", t.x.Octets), content: t.m.Content, octets: t.x.Octets})
	case t.data == dataNotSaid:
		t.data = dataSaid
		s.say(write{line: []byte("DATA")}, due{what: dueData, t: t})
	case t.data == dataSaid:
		return false
	case t.data == dataGo:
		w := write{content: t.m.Content, octets: t.x.Octets, form: Stuffed}
		if len(t.accepted) == 0 {
			// The server asks for content that nobody gets: RFC 2920 section 3.1.
			w = write{empty: true}
		}
		s.sayContent(t, w)
		s.c.dirty = false // its end is the transaction's, whatever the reply
	default:
		s.next++
	}
	return true
}

func (s *sending) sayContent(t *transit, w write) {
	t.data = dataDone
	t.content = s.v.submitted + len(s.writes)
	s.waiting++
	s.next++
	s.say(w, due{what: dueContent, t: t})
}

// take waits for a reply and acts on it. The error ends the session.
func (s *sending) take(d due) (mail.Reply, error) {
	s.v.phases = d.t.m.Phases
	if d.what == dueContent {
		return s.takeContent(d)
	}
	r, err := s.v.await(d.number, d.stage())
	if err != nil {
		return r, err
	}
	s.heed(r, d)
	s.rested = false
	t, good := d.t, r.Code/100 == 2
	if d.what != dueReset && (r.Code/100 == 3) != (d.what == dueData && r.Code == 354) || d.what == dueData && good {
		return r, ErrUnexpected
	}
	e := &Error{Stage: d.stage(), Reply: r}
	switch d.what {
	case dueMail:
		t.mailed, t.refused = good, !good
		if !good {
			t.refuse(e)
		}
	case dueRcpt:
		t.answered++
		if t.refused {
			break
		}
		if good {
			t.accepted = append(t.accepted, d.to)
		} else {
			d.to.refuse(e)
		}
	case dueData:
		t.data = dataGo
		if r.Code != 354 {
			t.data = dataDone
			t.refuse(e)
		}
	}
	return r, nil
}

// takeContent waits for what the server says of the content: one reply, or for LMTP one for each
// accepted recipient (RFC 2033 section 4.2).
func (s *sending) takeContent(d due) (mail.Reply, error) {
	t, count := d.t, 1
	if s.c.o.LMTP {
		count = max(1, len(t.accepted))
	}
	s.waiting--
	for i := range count {
		r, err := s.v.await(d.number, mail.StageFinal)
		if err != nil {
			return r, err
		}
		s.heed(r, d)
		if r.Code/100 == 3 && len(t.accepted) > 0 {
			return r, ErrUnexpected
		}
		if s.chunking && r.Code/100 == 2 && (s.next == len(s.all) || !s.all[s.next].begun) {
			s.c.dirty = false // it was the last transaction so far, and it is complete
		}
		to := t.accepted
		if s.c.o.LMTP && len(to) > 0 {
			to = to[i : i+1]
		}
		for _, rcpt := range to {
			if r.Code/100 == 2 {
				rcpt.accept(r)
			} else {
				rcpt.refuse(&Error{Stage: mail.StageFinal, Reply: r})
			}
		}
	}
	return mail.Reply{}, nil
}

// heed notes that the server closes the connection. Replies to what was already said may
// still come.
func (s *sending) heed(r mail.Reply, d due) {
	if r.Code == 421 && s.closing.Code == 0 {
		s.closing, s.closedBy = r, d
		s.v.hurry()
	}
}

// fail ends the session and says so of every recipient that has no result. d is the reply
// that failed.
func (s *sending) fail(d due, r mail.Reply, err error) error {
	cause := &Error{Stage: d.stage(), Reply: r, Err: err}
	if s.closing.Code != 0 {
		cause = &Error{Stage: s.closedBy.stage(), Reply: s.closing}
	}
	s.v.abort(cause)
	if d.what == dueContent && !s.v.reached(d.number) && s.closing.Code == 0 {
		cause.Stage = mail.StageData
	}
	_ = s.c.over(cause)
	for _, t := range s.all {
		t.refuse(s.ending(t, d, cause))
	}
	return cause
}

// errNoReply is a recipient of LMTP of whom the server said nothing before it closed.
var errNoReply = errors.New("the server closed before it said anything of this recipient")

// ending says how the end of the session was the end of a message.
func (s *sending) ending(t *transit, d due, cause *Error) *Error {
	if !t.begun {
		return &Error{Stage: cause.Stage, Err: fmt.Errorf("%w: %w", ErrNotTried, cause)}
	}
	e := &Error{Stage: cause.Stage, Reply: cause.Reply, Err: cause.Err}
	if t != d.t {
		if s.closing.Code == 0 {
			e.Reply = mail.Reply{} // it speaks of another message
		}
		for _, other := range s.due {
			if other.t == t {
				e.Stage = other.stage()
				break
			}
		}
	}
	if t.content < 0 {
		return e
	}
	// Replies come in order: after 421 the content was not looked at, and a refusal of the
	// content that came too early is still one. But 421 to one recipient's content (LMTP) says
	// nothing of the next one's.
	refused := s.closing.Code != 0 && (t != s.closedBy.t || s.closedBy.what != dueContent) ||
		t == d.t && errors.Is(cause.Err, errEarly)
	switch {
	case refused && e.Stage == mail.StageFinal:
		e.Stage = mail.StageData
	case refused:
	case s.v.reached(t.content):
		e.Stage, e.Uncertain = mail.StageFinal, true
		if s.closing.Code != 0 {
			e.Reply, e.Err = mail.Reply{}, errNoReply
		}
	case e.Stage == mail.StageFinal:
		e.Stage = mail.StageData
	}
	return e
}
