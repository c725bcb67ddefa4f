package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/mail"
)

// tape is a connection whose input is known: it comes in pieces that end at cuts. Output
// is kept. Serve leads a whole session on it without another goroutine.
type tape struct {
	in   []byte
	at   int
	cuts []int // positions where a read ends, in order
	out  bytes.Buffer
}

func (c *tape) Read(p []byte) (int, error) {
	if c.at == len(c.in) {
		return 0, io.EOF
	}
	end := len(c.in)
	if i, _ := slices.BinarySearch(c.cuts, c.at+1); i < len(c.cuts) {
		end = min(end, c.cuts[i])
	}
	n := copy(p, c.in[c.at:end])
	c.at += n
	return n, nil
}

func (c *tape) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *tape) Close() error                     { return nil }
func (c *tape) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (c *tape) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

// everywhere cuts between all octets.
func everywhere(n int) []int {
	cuts := make([]int, n)
	for i := range cuts {
		cuts[i] = i + 1
	}
	return cuts
}

// sequences calls visit with every sequence over alphabet of up to n octets.
func sequences(alphabet string, n int, visit func(s string)) {
	visit("")
	if n == 0 {
		return
	}
	for _, c := range []byte(alphabet) {
		sequences(alphabet, n-1, func(s string) { visit(string(c) + s) })
	}
}

// modelData says what RFC 5321 section 4.5.2 makes of octets behind DATA, in another way
// than the reader: with the whole of it at hand, by searching. end is where the next
// command begins, -1 if the content has no end.
func modelData(in string) (content string, end int, fault error) {
	i := strings.Index("\r\n"+in, "\r\n.\r\n")
	if i < 0 {
		return "", -1, modelFault(in)
	}
	raw := in[:i]
	var b strings.Builder
	for line := range strings.SplitAfterSeq(raw, "\r\n") {
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	return b.String(), i + 3, modelFault(raw)
}

// modelFault finds the first CR or LF by itself. A CR at the very end is not one yet.
func modelFault(s string) error {
	s = strings.ReplaceAll(s, "\r\n", "  ")
	switch i := strings.IndexAny(s, "\r\n"); {
	case i < 0, s[i] == '\r' && i == len(s)-1:
		return nil
	case s[i] == '\r':
		return ErrBareCR
	}
	return ErrBareLF
}

// readData runs the reader over in, cut as asked, with a buffer of size octets.
func readData(in string, cuts []int, size int) (content, rest string, err, drained error) {
	c := &tape{in: []byte(in), cuts: cuts}
	w := &Wire{conn: c, us: FromServer, in: make([]byte, size)}
	source := newDataReader(w, contentLimits{drain: 1 << 20, times: ServerTimeouts{}.orDefault()})
	r := &contentReader{source: source}
	b, err := io.ReadAll(r)
	drained = r.drain(false)
	return string(b), string(w.in[w.from:w.to]) + string(c.in[c.at:]), err, drained
}

func checkData(t *testing.T, in string, cuts []int, size int) {
	t.Helper()
	content, rest, err, drained := readData(in, cuts, size)
	want, end, fault := modelData(in)
	bad := func(what string) {
		t.Fatalf("%q cut at %v, buffer %d: %s\ngot  %q, %v, %v, then %q\nwant %q, %v, end %d",
			in, cuts, size, what, content, err, drained, rest, want, fault, end)
	}
	switch {
	case end < 0 && !errors.Is(drained, io.ErrUnexpectedEOF):
		bad("an end that is none")
	case end < 0 && err == nil:
		bad("taken as whole")
	case end < 0:
	case drained != nil:
		bad("the end was missed")
	case rest != in[end:]:
		bad("the next command begins elsewhere")
	case fault != nil && !errors.Is(err, fault):
		bad("the fault was missed")
	case fault == nil && (err != nil || content != want):
		bad("other content")
	}
}

// Every combination of CR, LF, dot and a letter around the end of the content, in all
// the pieces in which the network can bring it.
func TestDataSmuggling(t *testing.T) {
	t.Parallel()
	longest := 6
	if testing.Short() {
		longest = 5
	}
	n := 0
	each := func(s string) {
		for _, in := range []string{s + "\r\n.\r\nQUIT\r\n", "b" + s + "\r\n.\r\nQUIT\r\n", s} {
			for _, size := range []int{3, 64} {
				checkData(t, in, nil, size)
				checkData(t, in, everywhere(len(in)), size)
			}
			for cut := 1; cut <= min(len(in)-1, len(s)+5); cut++ {
				checkData(t, in, []int{cut}, 64)
				n++
			}
		}
	}
	sequences("\r\n.a", longest, each)
	sequences("\r\n.", longest+1, func(s string) {
		if len(s) > longest {
			each(s)
		}
	})
	t.Logf("%d divided inputs", n)
}

// recorder keeps senders and whole messages.
type recorder struct {
	Ordinary
	senders  []string
	messages []string
	failed   []error
}

func (k *recorder) Mail(_ context.Context, _ *Session, c MailCommand) mail.Reply {
	k.senders = append(k.senders, c.From.String())
	return mail.Reply{}
}

func (k *recorder) Message(_ context.Context, _ *Session, content io.Reader) []mail.Reply {
	b, err := io.ReadAll(content)
	if err != nil {
		k.failed = append(k.failed, err)
	} else {
		k.messages = append(k.messages, string(b))
	}
	return nil
}

func runTape(in string, cuts []int, o *ServerOptions) (*recorder, string, error) {
	k, c := &recorder{}, &tape{in: []byte(in), cuts: cuts}
	err := Serve(context.Background(), c, o, k)
	return k, c.out.String(), err
}

const envelope = "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\n"

// A second message behind whatever might be taken for the end of the first: the
// set of SMTP smuggling (SEC Consult, 2023) and all like it.
func TestSessionSmuggling(t *testing.T) {
	const hidden = "MAIL FROM:<evil@c.example>\r\nRCPT TO:<v@mx.example>\r\nDATA\r\nhidden\r\n.\r\n"
	longest := 6
	if testing.Short() {
		longest = 4
	}
	sequences("\r\n.", longest, func(s string) {
		body := "text" + s + hidden + "\r\n.\r\n"
		in := envelope + "DATA\r\n" + body + "QUIT\r\n"
		_, end, _ := modelData(body)
		told := slices.Contains(strings.Split(body[end:], "\r\n"), "MAIL FROM:<evil@c.example>")
		for _, cuts := range [][]int{nil, everywhere(len(in)), {len(envelope) + 6 + 4 + len(s)}} {
			k, out, _ := runTape(in, cuts, &ServerOptions{})
			if got := slices.Contains(k.senders, "evil@c.example"); got != told {
				t.Fatalf("%q: hidden message seen: %t, want %t\n%s", s, got, told, out)
			}
			if len(k.messages) > 0 && strings.Contains(strings.ReplaceAll(k.messages[0], "\r\n", ""), "\r") {
				t.Fatalf("%q: a bare CR was handed on", s)
			}
		}
	})
}

// chunked calls visit with every division of s into chunks.
func chunked(s string, visit func(chunks []string)) {
	for mask := range 1 << max(len(s)-1, 0) {
		var chunks []string
		from := 0
		for i := 1; i < len(s); i++ {
			if mask&(1<<(i-1)) != 0 {
				chunks = append(chunks, s[from:i])
				from = i
			}
		}
		visit(append(chunks, s[from:]))
	}
}

// Every combination with BDAT, at all borders of chunks. A dot means nothing here, and
// a CRLF may be divided.
func TestChunkSmuggling(t *testing.T) {
	t.Parallel()
	longest := 4
	if testing.Short() {
		longest = 3
	}
	all := func(s string) {
		chunked(s, func(chunks []string) {
			for _, empty := range []bool{false, true} {
				checkChunks(t, s, chunks, empty)
			}
		})
	}
	sequences("\r\n.a", longest-1, all)
	// The reader of chunks knows no dot: it is one more letter, and the longer ones go without.
	sequences("\r\na", longest+1, func(s string) {
		if len(s) >= longest {
			all(s)
		}
	})
}

// checkChunks sends chunks, with an empty one as the last if so asked.
func checkChunks(t *testing.T, s string, chunks []string, empty bool) {
	t.Helper()
	var b strings.Builder
	for i, c := range chunks {
		last := ""
		if i == len(chunks)-1 && !empty {
			last = " LAST"
		}
		fmt.Fprintf(&b, "BDAT %d%s\r\n%s", len(c), last, c)
	}
	if empty {
		b.WriteString("bdat 0 last\r\n")
	}
	for _, binary := range []bool{false, true} {
		head := envelope
		if binary {
			head = strings.Replace(head, "c.example>", "c.example> BODY=BINARYMIME", 1)
		}
		in := head + b.String() + "MAIL FROM:<next@c.example>\r\nQUIT\r\n"
		for _, cuts := range [][]int{nil, everywhere(len(in))[len(head)-1:]} {
			k, out, err := runTape(in, cuts, &ServerOptions{MaxErrors: 100, Binary: true})
			fault := modelFault(s + "x")
			if binary {
				fault = nil
			}
			ok := fault == nil && len(k.messages) == 1 && k.messages[0] == s ||
				fault != nil && len(k.messages) == 0 && len(k.failed) == 1 && errors.Is(k.failed[0], fault)
			if !ok || err != nil || len(k.senders) != 2 {
				t.Fatalf("%q as %q, binary %t: got %q, %v, %v; want fault %v\n%s",
					s, chunks, binary, k.messages, k.failed, err, fault, out)
			}
			// One reply to each chunk, whatever became of the first.
			if n := strings.Count(out, "\r\n"); n != strings.Count(in, "BDAT")+strings.Count(in, "bdat")+5+9 {
				t.Fatalf("%q as %q: %d lines of reply\n%s", s, chunks, n, out)
			}
		}
	}
}
