package smtp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/mail"
)

// clientCase is a case of testdata/client.txt, see there.
type clientCase struct {
	name     string
	o        ClientOptions
	messages []*Message
	steps    []string          // of the server
	want     map[string]string // by who: greet, hello, send, or a recipient
	odd      string
	took     time.Duration
}

func readClientCases(t testing.TB) []*clientCase {
	t.Helper()
	raw, err := os.ReadFile("testdata/client.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []*clientCase
	content := ""
	for n, line := range strings.Split(string(raw), "\n") {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		if verb == "==" {
			all = append(all, &clientCase{name: rest, want: map[string]string{}})
			content = "Subject: x\r\n\r\n.dot\r\n"
			continue
		}
		c := all[len(all)-1]
		switch verb {
		case "option":
			setOption(t, &c.o, rest)
		case "content":
			if content, err = strconv.Unquote(rest); err != nil {
				t.Fatalf("line %d: %v", n+1, err)
			}
		case "big":
			count, err := strconv.Atoi(rest)
			if err != nil {
				t.Fatalf("line %d: %v", n+1, err)
			}
			content = strings.Repeat("0123456789012345678901234567890123456789012345678901234567890\r\n", count/63+1)
		case "message":
			c.messages = append(c.messages, readMessage(t, rest, content))
		case "want":
			who, what, _ := strings.Cut(rest, ": ")
			c.want[who] = what
		case "odd":
			c.odd = rest
		case "took":
			if c.took, err = time.ParseDuration(rest); err != nil {
				t.Fatalf("line %d: %v", n+1, err)
			}
		case "S", "C", "R", "X":
			c.steps = append(c.steps, line)
		default:
			t.Fatalf("testdata/client.txt:%d: %q", n+1, line)
		}
	}
	return all
}

func setOption(t testing.TB, o *ClientOptions, s string) {
	key, value, _ := strings.Cut(s, " ")
	switch key {
	case "lmtp":
		o.LMTP = true
	case "without":
		o.Without = strings.Fields(value)
	case "ahead":
		o.Ahead, _ = strconv.ParseInt(value, 10, 64)
	case "inflight":
		o.InFlight, _ = strconv.Atoi(value)
	default:
		t.Fatalf("option %q", s)
	}
}

// readMessage reads "r1 r2" and parameters: "utf8", "body=8BITMIME", "from=local",
// "envid=x", "notify=success,failure" and "orcpt=x" for all.
func readMessage(t testing.TB, s, content string) *Message {
	m := &Message{Mail: MailCommand{From: mail.Address{Local: "s", Domain: "example.org"}}, Content: strings.NewReader(content)}
	var to RcptCommand
	for word := range strings.FieldsSeq(s) {
		key, value, isKey := strings.Cut(word, "=")
		if unquoted, err := strconv.Unquote(word); err == nil {
			key, isKey = unquoted, false
		}
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		switch {
		case !isKey && key == "Postmaster":
			m.To = append(m.To, &Recipient{RcptCommand: RcptCommand{To: mail.Address{Local: key}}})
		case !isKey:
			m.To = append(m.To, &Recipient{RcptCommand: RcptCommand{To: mail.Address{Local: key, Domain: "example.com"}}})
		case key == "utf8":
			m.Mail.UTF8 = true
		case key == "body":
			m.Mail.Body = Body(value)
		case key == "from":
			m.Mail.From.Local = value
		case key == "null":
			m.Mail.From = mail.Address{}
		case key == "envid":
			m.Mail.EnvelopeID = value
		case key == "ret":
			m.Mail.Return = Return(value)
		case key == "requiretls":
			m.Mail.RequireTLS = true
		case key == "never":
			to.Notify = NotifyNever
		case key == "orcpt":
			to.Original = value
		default:
			t.Fatalf("message %q", s)
		}
	}
	for _, r := range m.To {
		r.Notify, r.Original, r.OriginalType = to.Notify, to.Original, to.OriginalType
	}
	return m
}

// play is a server that follows a script. What it finds wrong it gives back; it ends when the
// client has closed.
func play(conn net.Conn, steps []string) error {
	in := bufio.NewReader(conn)
	line := func() (string, error) {
		s, err := in.ReadString('\n')
		return strings.TrimSuffix(s, "\r\n"), err
	}
	for _, step := range steps {
		verb, rest, _ := strings.Cut(step, " ")
		switch verb {
		case "S":
			if _, err := io.WriteString(conn, strings.ReplaceAll(rest, "|", "\r\n")+"\r\n"); err != nil {
				return fmt.Errorf("at %q: %w", step, err)
			}
		case "R":
			raw, err := strconv.Unquote(rest)
			if err != nil {
				return fmt.Errorf("at %q: %w", step, err)
			}
			if _, err := io.WriteString(conn, raw); err != nil {
				return fmt.Errorf("at %q: %w", step, err)
			}
		case "C":
			if err := expect(in, rest, line); err != nil {
				return err
			}
		case "X":
			what, more, _ := strings.Cut(rest, " ")
			n, _ := strconv.Atoi(more)
			switch what {
			case "cut":
				return conn.Close()
			case "read": // so many octets, whatever they are
				if _, err := io.CopyN(io.Discard, in, int64(n)); err != nil {
					return fmt.Errorf("at %q: %w", step, err)
				}
			case "repeat": // an octet a minute
				untilClosed(func() error { pause(time.Minute); _, err := io.WriteString(conn, more); return err })
			case "sip": // take an octet a minute
				untilClosed(func() error { pause(time.Minute); _, err := in.ReadByte(); return err })
			case "flood": // lines without end
				untilClosed(func() error { _, err := io.WriteString(conn, more+"\r\n"); return err })
			case "endless": // a line without end
				untilClosed(func() error { _, err := io.WriteString(conn, strings.Repeat("x", 4096)); return err })
			case "wait":
				d, err := time.ParseDuration(more)
				if err != nil {
					return err
				}
				pause(d)
			}
		}
	}
	for {
		s, err := line()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe):
			return nil
		case err != nil:
			return fmt.Errorf("after the script: %w", err)
		case s == "QUIT":
			_, _ = io.WriteString(conn, "221 bye\r\n")
		default:
			return fmt.Errorf("after the script the client says %q", s)
		}
	}
}

// untilClosed does it until the client has closed.
func untilClosed(do func() error) {
	for do() == nil {
	}
}

// expect reads a command and the octets that BDAT announces, or with a quoted text octets as they
// are.
func expect(in *bufio.Reader, want string, line func() (string, error)) error {
	if strings.HasPrefix(want, `"`) {
		text, err := strconv.Unquote(want)
		if err != nil {
			return err
		}
		got := make([]byte, len(text))
		n, err := io.ReadFull(in, got)
		if err != nil || string(got) != text {
			return fmt.Errorf("the client says %q (%w), want %q", got[:n], err, text)
		}
		return nil
	}
	if want == "content" {
		for {
			if s, err := line(); err != nil || s == "." {
				return err
			}
		}
	}
	got, err := line()
	if err != nil || got != want {
		return fmt.Errorf("the client says %q (%w), want %q", got, err, want)
	}
	if n, ok := strings.CutPrefix(want, "BDAT "); ok {
		octets, _, _ := strings.Cut(n, " ")
		size, _ := strconv.ParseInt(octets, 10, 64)
		_, err = io.CopyN(io.Discard, in, size)
	}
	return err
}

func TestClient(t *testing.T) {
	for _, c := range readClientCases(t) {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runClientCase(t, c) })
		})
	}
}

const maybe = " (may be delivered)"

func runClientCase(t *testing.T, c *clientCase) {
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- play(far, c.steps) }()
	c.o.Transcript = 64 << 10
	client := NewClient(near, c.o)
	began := time.Now()
	told := map[string]string{}
	tell := func(who string, err error) bool {
		if err != nil {
			told[who] = err.Error()
		}
		return err == nil
	}
	_, err := client.Greet(t.Context())
	if tell("greet", err) {
		_, err = client.Hello(t.Context(), "mail.example.org")
	}
	if told["greet"] == "" && tell("hello", err) {
		err = client.Send(t.Context(), c.messages...)
		tell("send", err)
		for i, m := range c.messages {
			for _, r := range m.To {
				who := strings.ReplaceAll(strconv.Quote(r.To.Local), " ", `\s`)
				who = who[1 : len(who)-1]
				if len(c.messages) > 1 {
					who = strconv.Itoa(i+1) + " " + who
				}
				if r.Delivered != (r.Err == nil) {
					t.Errorf("%s: delivered %t with error %v", who, r.Delivered, r.Err)
				}
				told[who] = "delivered " + r.Reply.String()
				if r.Err != nil {
					told[who] = r.Err.Error()
				}
			}
		}
	}
	took := time.Since(began)
	if err != nil && client.Broken() != nil && !errors.Is(client.Send(t.Context()), client.Broken()) {
		t.Error("a session that is over goes on")
	}
	_ = client.Quit(context.Background())
	if err := <-served; err != nil {
		t.Errorf("server: %v", err)
	}
	for who, want := range c.want {
		got := told[who]
		bare, uncertain := strings.CutSuffix(got, maybe)
		text, mayBe := strings.CutSuffix(want, maybe)
		if !strings.Contains(bare, text) || uncertain != mayBe {
			t.Errorf("%s: %q, want %q", who, got, want)
		}
		delete(told, who)
	}

	for who, got := range told {
		t.Errorf("%s: %q, and nothing is said of it", who, got)
	}
	if got := client.Odd().String(); got != c.odd {
		t.Errorf("odd: %q, want %q", got, c.odd)
	}
	if c.took != 0 && took != c.took {
		t.Errorf("took %s, want %s", took, c.took)
	}
	if t.Failed() {
		all := client.Transcript().String()
		t.Logf("\n%s", all[max(0, len(all)-3000):])
	}
}
