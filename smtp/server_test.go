package smtp

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/mail"
)

var update = flag.Bool("update", false, "write testdata/server anew; read the difference before you keep it")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keeper is a handler that keeps what it is given and decides by the words in the
// addresses: "refuse" 550, "later" 451, "bye" 421.
type keeper struct {
	Ordinary
	sync.Mutex
	log     []string
	message []byte
	auth    func(Credentials) mail.Reply
	replies []mail.Reply
	data    mail.Reply
	early   bool // answer without reading
	connect mail.Reply
	hello   mail.Reply
	onRcpt  func(ctx context.Context, s *Session)
	onEnd   func(ctx context.Context, s *Session)
	closed  error
	phases  map[mail.Stage]time.Duration
}

func (k *keeper) say(format string, args ...any) {
	k.Lock()
	defer k.Unlock()
	k.log = append(k.log, fmt.Sprintf(format, args...))
}

func byWord(s string) mail.Reply {
	switch {
	case strings.Contains(s, "refuse"):
		return mail.Reply{Code: 550, Enhanced: mail.Enhanced{Class: 5, Subject: 1, Detail: 1}, Lines: []string{"no such user"}}
	case strings.Contains(s, "later"):
		return mail.Reply{Code: 451, Lines: []string{"greylisted", "come again"}}
	case strings.Contains(s, "bye"):
		return mail.Reply{Code: 421, Lines: []string{"go away"}}
	}
	return mail.Reply{}
}

func (k *keeper) Connect(_ context.Context, s *Session) mail.Reply {
	if s.Remote != s.Peer {
		k.say("for %s at %s", s.Remote, s.Local)
	}
	if s.Pregreet {
		k.say("pregreet")
	}
	return k.connect
}

func (k *keeper) Hello(_ context.Context, _ *Session, name string, _ bool) mail.Reply {
	if r := byWord(name); r.Code != 0 {
		return r
	}
	return k.hello
}

func (k *keeper) Auth(_ context.Context, _ *Session, c Credentials) mail.Reply {
	if k.auth != nil {
		return k.auth(c)
	}
	if c.Verify != nil && c.Verify("secret") || c.Password == "secret" {
		k.say("user %s by %s", c.User, c.Mechanism)
		return mail.Reply{Code: 235}
	}
	return mail.Reply{}
}

func (k *keeper) Mail(_ context.Context, _ *Session, c MailCommand) mail.Reply {
	line, err := c.Append(nil)
	if err != nil {
		k.say("cannot write %+v: %v", c, err)
	}
	k.say("%s", line)
	return byWord(c.From.String())
}

func (k *keeper) Rcpt(ctx context.Context, s *Session, c RcptCommand) mail.Reply {
	line, err := c.Append(nil)
	if err != nil {
		k.say("cannot write %+v: %v", c, err)
	}
	k.say("%s", line)
	if k.onRcpt != nil {
		k.onRcpt(ctx, s)
	}
	return byWord(c.To.String())
}

func (k *keeper) Data(context.Context, *Session) mail.Reply { return k.data }

func (k *keeper) Message(ctx context.Context, s *Session, content io.Reader) []mail.Reply {
	if k.early {
		k.say("not read")
		return k.replies
	}
	b, err := io.ReadAll(content)
	if err != nil {
		k.say("content refused: %v", err)
	} else {
		k.Lock()
		k.message = b
		k.Unlock()
		k.say("content %q", b)
	}
	if k.onEnd != nil {
		k.onEnd(ctx, s)
	}
	return k.replies
}

func (k *keeper) Close(s *Session, err error) {
	k.closed = err
	k.phases = s.Phases()
}

// partner is the client's end of a session under test, in a synctest bubble: all that the
// server says is read at once.
type partner struct {
	t    testing.TB
	conn net.Conn
	mu   sync.Mutex
	got  bytes.Buffer
	eof  bool
	done chan error
}

// begin starts Serve on a pipe.
func begin(ctx context.Context, t testing.TB, o *ServerOptions, h Handler) *partner {
	here, there := net.Pipe()
	p := &partner{t: t, conn: here, done: make(chan error, 1)}
	go func() { p.done <- Serve(ctx, there, o, h) }()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := here.Read(buf)
			p.mu.Lock()
			p.got.Write(buf[:n])
			p.eof = err != nil
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

// send writes octets; the server may have closed.
func (p *partner) send(s string) {
	_, err := io.WriteString(p.conn, s)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		p.t.Helper()
		p.t.Fatal(err)
	}
	synctest.Wait()
}

// take gives what the server said since the last time.
func (p *partner) take() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.got.String()
	p.got.Reset()
	return s
}

func (p *partner) closed() bool {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.eof
}

// end closes the client's end and gives what Serve gave.
func (p *partner) end() error {
	p.conn.Close()
	return <-p.done
}

// talk sends lines and gives all that came back.
func (p *partner) talk(lines ...string) string {
	for _, l := range lines {
		p.send(l + "\r\n")
	}
	return p.take()
}

// part gives a part of a case file.
func part(text, name string) string {
	_, s, ok := strings.Cut(text, "-- "+name+" --\n")
	if !ok {
		return ""
	}
	if i := strings.Index(s, "\n-- "); i >= 0 {
		s = s[:i+1]
	}
	return s
}

func caseOptions(t *testing.T, text string) (*ServerOptions, *keeper) {
	o, k := &ServerOptions{Host: "mx.example"}, &keeper{}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	for line := range strings.Lines(text) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "":
		case "lmtp":
			o.LMTP = true
		case "binary":
			o.Binary = true
		case "strict":
			o.Strict = true
		case "size":
			o.MaxSize = int64(number(value))
		case "line":
			o.MaxLine = number(value)
		case "recipients":
			o.MaxRecipients = number(value)
		case "commands":
			o.MaxCommands = number(value)
		case "errors":
			o.MaxErrors = number(value)
		case "without":
			o.Without = strings.Fields(value)
		case "extra":
			o.Extra = append(o.Extra, value)
		case "auth":
			o.Auth, o.AuthClear = strings.Fields(value), true
		case "auth-tls":
			o.Auth = strings.Fields(value)
		case "require-auth":
			o.RequireAuth = true
		case "require-tls":
			o.RequireTLS = true
		case "tls":
			o.TLS = serverTLS(t)
		case "xclient":
			o.XClient = everyone
		case "proxy":
			o.Proxy = everyone
		case "early":
			k.early = true
		case "reply":
			k.replies = append(k.replies, mail.ParseReply(value))
		case "data":
			k.data = mail.ParseReply(value)
		case "connect":
			k.connect = mail.ParseReply(value)
		case "hello":
			k.hello = mail.Reply{Lines: strings.Split(value, " | ")}
		default:
			t.Fatalf("option %q", word)
		}
	}
	return o, k
}

// The files of testdata/server: options, a session, and what the handler was told. In a session "C: " is a
// line that the client sends with CRLF, "C+ " octets as a Go string without it; "S: " a line of the
// server with all of it, "S~ " with its beginning. All lines of one side in a row are one
// write. "closed" says that the server has closed.
func TestServerCases(t *testing.T) {
	files, _ := filepath.Glob("testdata/server/*.txt")
	if len(files) < 20 {
		t.Errorf("only %d cases", len(files))
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				var anew string
				synctest.Test(t, func(t *testing.T) { anew = rewriteCase(t, string(text)) })
				if err := os.WriteFile(name, []byte(anew), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			synctest.Test(t, func(t *testing.T) { playCase(t, string(text)) })
		})
	}
}

// rewriteCase gives the case as the server has it now.
func rewriteCase(t *testing.T, text string) string {
	o, k := caseOptions(t, part(text, "options"))
	p := begin(t.Context(), t, o, k)
	head, _, _ := strings.Cut(text, "-- session --\n")
	var b, out strings.Builder
	b.WriteString(head + "-- session --\n")
	flush := func() {
		p.send(out.String())
		out.Reset()
		for line := range strings.SplitSeq(strings.TrimSuffix(p.take(), "\r\n"), "\r\n") {
			if line != "" {
				fmt.Fprintf(&b, "S: %s\n", line)
			}
		}
	}
	flush()
	var before string
	for line := range strings.Lines(part(text, "session")) {
		line = strings.TrimSuffix(line, "\n")
		mark, rest, _ := strings.Cut(line, " ")
		if mark != "C:" && mark != "C+" {
			before = mark
			continue
		}
		if strings.HasPrefix(before, "S") {
			flush()
		}
		before = mark
		b.WriteString(line + "\n")
		if mark == "C:" {
			out.WriteString(rest + "\r\n")
		} else {
			s, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			out.WriteString(s)
		}
	}
	flush()
	if p.closed() {
		b.WriteString("closed\n")
	}
	err := p.end()
	fmt.Fprintf(&b, "-- handler --\n%s\n", strings.Join(append(k.log, fmt.Sprintf("end: %v", err)), "\n"))
	return b.String()
}

func playCase(t *testing.T, text string) {
	o, k := caseOptions(t, part(text, "options"))
	p := begin(t.Context(), t, o, k)
	var out, got strings.Builder
	said := ""
	flush := func() {
		if out.Len() > 0 {
			said += p.take()
			if said != "" {
				t.Errorf("the server said too much: %q", said)
			}
			p.send(out.String())
			out.Reset()
			said = ""
		}
	}
	next := func() string {
		if said == "" {
			said = p.take()
		}
		line, rest, ok := strings.Cut(said, "\r\n")
		if !ok {
			t.Fatalf("after\n%s the server says %q", got.String(), said)
		}
		said = rest
		return line
	}
	for line := range strings.Lines(part(text, "session")) {
		line = strings.TrimSuffix(line, "\n")
		fmt.Fprintln(&got, line)
		switch mark, rest, _ := strings.Cut(line, " "); mark {
		case "C:":
			out.WriteString(rest + "\r\n")
		case "C+":
			s, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			out.WriteString(s)
		case "S:", "S~":
			flush()
			if l := next(); l != rest && (mark == "S:" || !strings.HasPrefix(l, rest)) {
				t.Errorf("got  %s\nwant %s", l, rest)
			}
		case "closed":
			flush()
			if !p.closed() {
				t.Error("the server has not closed")
			}
		default:
			t.Fatalf("line %q", line)
		}
	}
	flush()
	said += p.take()
	if said != "" {
		t.Errorf("the server said too much: %q", said)
	}
	err := p.end()
	want := part(text, "handler")
	told := strings.Join(append(k.log, fmt.Sprintf("end: %v", err)), "\n") + "\n"
	if want != told {
		t.Errorf("the handler was told\n%swant\n%s", told, want)
	}
}

func everyone(netip.Addr) bool { return true }
