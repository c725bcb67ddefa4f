package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/postroad/postroad/mail"
)

// contentBlock is how much content is read and handed to the network at once.
const contentBlock = 32 << 10

// write is one thing to be written that the peer answers: a command, content, or a BDAT
// command with its content.
type write struct {
	line    []byte // without CRLF; nil for the content of DATA
	content Content
	octets  int64 // of content, with the CRLF of its last line
	form    ContentForm
	empty   bool // the content of DATA when it turned out that nobody gets it: a dot only
}

// A volley is what goes on between the beginning and the end of one call of a client.
// One goroutine writes what was submitted, and only writes; the caller decides, and reads
// the replies meanwhile. RFC 2920 section 3.1 asks for that: a peer may stop reading
// until its replies are taken, and with both at work neither waits for the other for ever.
//
// Everything written is numbered from 0 in the order of submission, which is the order
// of the replies.
type volley struct {
	c       *Client
	release func()
	done    chan struct{} // the writer has ended
	wake    chan struct{}
	last    time.Time                    // of the last reply, or the beginning
	phases  map[mail.Stage]time.Duration // of the message whose reply is waited for; nil: of none

	mu        sync.Mutex
	queue     []write
	closed    bool // nothing will be submitted any more
	submitted int
	begun     int   // writes whose end is being written or was; a reply to a later one is none
	flushed   int   // writes that the network has taken
	err       error // of writing: there will be no more of it

	ends []int64     // of each write: how many octets had been written with it
	sent []time.Time // when the network had taken it

	awaited  int           // the write whose reply is waited for
	patience time.Duration // from the moment when it was sent
	waiting  bool
	armed    bool // that moment has come
	hurried  bool // the peer has said that it closes
}

// begin starts a volley; end must be called.
func (c *Client) begin(ctx context.Context) *volley {
	v := &volley{c: c, release: c.wire.Bind(ctx), done: make(chan struct{}), wake: make(chan struct{}, 1), last: time.Now()}
	go v.write()
	return v
}

// end waits for the writer, which has nothing left to do or is interrupted.
func (v *volley) end() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.poke()
	<-v.done
	v.release()
}

// abort makes the writer stop wherever it is. The session is over.
func (v *volley) abort(why error) {
	v.c.wire.end(why)
	v.end()
}

func (v *volley) poke() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// submit queues a write and gives its number.
func (v *volley) submit(w ...write) (last int) {
	v.mu.Lock()
	v.queue = append(v.queue, w...)
	v.submitted += len(w)
	last = v.submitted - 1
	v.mu.Unlock()
	v.poke()
	return last
}

// stray looks for a reply that came before anything was asked: a server that gives up waiting
// says 421. It costs no time: only what was already read counts.
func (v *volley) stray() (mail.Reply, error) {
	if v.c.wire.Buffered() == 0 {
		return mail.Reply{}, nil
	}
	v.c.wire.SetReadTimeout(v.c.o.Timeouts.Linger)
	r, odd, err := ReadReply(v.c.wire)
	v.c.odd |= odd
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrUnexpected, err)
	}
	if r.Code == 421 {
		return r, errEarly
	}
	return r, ErrUnexpected
}

// errEarly is a refusal before everything was said that it could be the answer to.
var errEarly = errors.New("refused before the end")

// errContentChanged is content that is not what it was when it was examined.
var errContentChanged = errors.New("the content changed while it was sent")

// write is the goroutine that writes. It ends with the first error, or when the volley
// is closed and nothing is left.
func (v *volley) write() {
	defer close(v.done)
	for {
		v.mu.Lock()
		if len(v.queue) == 0 {
			pending := v.flushed < v.begun
			closed := v.closed
			v.mu.Unlock()
			switch {
			case pending:
				if !v.flush() {
					return
				}
			case closed:
				return
			default:
				<-v.wake
			}
			continue
		}
		w := v.queue[0]
		v.queue = v.queue[1:]
		v.mu.Unlock()
		if err := v.put(w); err != nil {
			v.fail(err)
			return
		}
	}
}

// flush hands what is buffered to the network.
func (v *volley) flush() bool {
	wire := v.c.wire
	wire.SetWriteTimeout(v.c.o.Timeouts.Block)
	if err := wire.Flush(); err != nil {
		v.fail(err)
		return false
	}
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.flushed = v.begun; len(v.sent) < v.flushed; {
		v.sent = append(v.sent, now)
	}
	v.arm()
	return true
}

// fail notes that writing is over. Replies may still come and say why.
func (v *volley) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err, v.armed = err, false
	v.arm()
}

// arm lets the time for the reply begin that is waited for: when its command was taken by the
// network, or when nothing is written any more. The caller holds the lock.
func (v *volley) arm() {
	switch {
	case v.armed || !v.waiting:
	case v.err != nil:
		v.armed = true
		v.c.wire.SetReadTimeout(min(v.patience, v.c.o.Timeouts.Linger))
	case v.flushed > v.awaited:
		v.armed = true
		v.c.wire.SetReadTimeout(v.patience)
	}
}

// put writes one thing into the buffer, and what does not fit there to the network.
func (v *volley) put(w write) error {
	wire := v.c.wire
	wire.SetWriteTimeout(v.c.o.Timeouts.Block)
	if w.content == nil {
		v.ending()
	}
	var err error
	if w.line != nil {
		err = wire.WriteLine(w.line)
	}
	switch {
	case err != nil:
	case w.empty:
		_, err = wire.Write([]byte(".\r\n"))
	case w.content != nil:
		if err = v.putContent(w); err == nil {
			wire.Transcript().Content(FromClient, w.octets)
		}
	}
	if err == nil {
		v.ends = append(v.ends, wire.position())
	}
	return err
}

// position is how many octets were written, those in the buffer included.
func (w *Wire) position() int64 {
	w.outMu.Lock()
	defer w.outMu.Unlock()
	return w.wroteBytes + int64(len(w.out))
}

// ending notes that from now on the peer may answer the write under way.
func (v *volley) ending() {
	v.mu.Lock()
	v.begun++
	v.mu.Unlock()
}

// putContent writes the content, a block at a time and each in its time: a peer that takes
// an octet a minute is not waited for.
func (v *volley) putContent(w write) error {
	t := &v.c.o.Timeouts
	if v.c.block == nil {
		v.c.block = make([]byte, contentBlock)
	}
	const century = 100 * 365 * 24 * 3600 // seconds; more of them would not fit into a Duration
	until := time.Now().Add(t.Content + time.Duration(min(w.octets/int64(t.Rate), century))*time.Second)
	to := NewContentWriter(v.c.wire, w.form)
	size := w.content.Size()
	if w.form&Stuffed == 0 && size > w.octets { // what is beyond the chunk would be commands
		return errContentChanged
	}
	for at := int64(0); at < size; {
		block := v.c.block[:min(contentBlock, size-at)]
		if n, err := w.content.ReadAt(block, at); n < len(block) {
			if err == nil || errors.Is(err, io.EOF) {
				err = errContentChanged
			}
			return fmt.Errorf("read content: %w", err)
		}
		left := time.Until(until)
		if left <= 0 {
			return fmt.Errorf("content was taken at less than %d octets a second: %w", t.Rate, ErrTimeout)
		}
		v.c.wire.SetWriteTimeout(min(left, t.Block))
		if at += int64(len(block)); at == size {
			if w.form&Stuffed == 0 && !endsAt(to, block, w.octets) {
				return errContentChanged
			}
			v.ending()
		}
		if _, err := to.Write(block); err != nil {
			return err
		}
	}
	if size == 0 {
		v.ending()
	}
	return to.Close()
}

// endsAt says whether the content, with its last block, has as many octets as BDAT
// announced. One too few and the next command would be content.
func endsAt(to *ContentWriter, block []byte, octets int64) bool {
	n := to.Written() + int64(len(block))
	if to.cr { // held back
		n++
	}
	if block[len(block)-1] != '\n' {
		n += 2
	}
	return n == octets
}

// hurry gives the replies that are still due only the time for last words.
func (v *volley) hurry() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hurried = true
}

// await reads the reply to the write of this number, -1 for what comes unasked (the
// banner). The error ends the session; there may be a reply with it.
func (v *volley) await(number int, stage mail.Stage) (mail.Reply, error) {
	wire := v.c.wire
	v.mu.Lock()
	v.awaited, v.patience, v.waiting, v.armed = number, v.c.o.Timeouts.of(stage), true, false
	if v.hurried {
		v.patience = min(v.patience, v.c.o.Timeouts.Linger)
	}
	if v.err == nil && v.flushed <= number {
		wire.SetReadTimeout(0) // as long as the writer is at work, its limits are what counts
	}
	v.arm()
	v.mu.Unlock()

	r, odd, err := ReadReply(wire)

	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting = false
	v.c.odd |= odd
	v.spend(number, stage, now)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("the connection was closed: %w", io.ErrUnexpectedEOF)
		fallthrough
	case err != nil:
		if v.err != nil {
			err = fmt.Errorf("%w; and %w", err, v.err)
		}
		return r, err
	case number >= v.begun && r.Code >= 400:
		return r, errEarly
	case number >= v.begun:
		return r, ErrUnexpected
	}
	return r, nil
}

// spend books the time since the last reply. Until the content was sent it is of the
// stage before. The caller holds the lock.
func (v *volley) spend(number int, stage mail.Stage, now time.Time) {
	v.c.heard = now
	book := func(stage mail.Stage, d time.Duration) {
		v.c.phases[stage] += d
		if v.phases != nil {
			v.phases[stage] += d
		}
	}
	if stage == mail.StageFinal {
		sent := now
		if number < len(v.sent) {
			sent = v.sent[number]
		}
		if sent.After(v.last) {
			book(mail.StageData, sent.Sub(v.last))
			v.last = sent
		}
	}
	if stage != mail.StageUnknown {
		book(stage, now.Sub(v.last))
	}
	v.last = now
}

// reached says, after the end, whether all of a write was handed to the network.
func (v *volley) reached(number int) bool {
	return 0 <= number && number < len(v.ends) && v.ends[number] <= v.c.wire.BytesWritten()
}
