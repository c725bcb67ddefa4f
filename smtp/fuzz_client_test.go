package smtp

import (
	"bufio"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/mail"
)

// recite says the lines of a script and reads one line of the client wherever a line is "C",
// whatever it says; after the script it reads on. "X" closes, "W" waits two minutes, "B" says a line
// without its end.
func recite(conn net.Conn, script string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for line := range strings.SplitSeq(script, "\n") {
		var err error
		switch {
		case line == "C":
			_, err = in.ReadString('\n')
		case line == "X":
			return
		case line == "W":
			pause(2 * time.Minute)
		case strings.HasPrefix(line, "B"):
			_, err = io.WriteString(conn, line[1:])
		default:
			_, err = io.WriteString(conn, line+"\r\n")
		}
		if err != nil {
			return
		}
	}
	_, _ = io.Copy(io.Discard, in)
}

// FuzzClient leads the client against any server: it comes to an end, each recipient has a result,
// and nothing counts as delivered without a 2yz after its content.
func FuzzClient(f *testing.F) {
	for _, c := range readClientCases(f) {
		var script []string
		for _, step := range c.steps {
			verb, rest, _ := strings.Cut(step, " ")
			switch {
			case verb == "S":
				script = append(script, strings.Split(rest, "|")...)
			case verb == "C" && rest == "content":
				script = append(script, "C", "C", "C", "C")
			case verb == "C":
				script = append(script, "C")
			case rest == "cut":
				script = append(script, "X")
			}
		}
		f.Add(strings.Join(script, "\n"), false, false)
		f.Add(strings.Join(script, "\n"), true, true)
	}
	f.Fuzz(func(t *testing.T, script string, lmtp, clear bool) {
		if len(script) > 4096 {
			return
		}
		synctest.Test(t, func(t *testing.T) { fuzzClient(t, script, lmtp, clear) })
	})
}

func fuzzClient(t *testing.T, script string, lmtp, auth bool) {
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); recite(far, script) }()
	c := NewClient(near, ClientOptions{LMTP: lmtp, Transcript: 1 << 20, AuthClear: true})
	_, err := c.Greet(t.Context())
	if err == nil {
		_, err = c.Hello(t.Context(), "mail.example.org")
	}
	if m := c.Mechanism(Credentials{User: "u", Password: "p"}); err == nil && auth && m != nil {
		err = c.Auth(t.Context(), m)
	}
	messages := []*Message{readMessage(t, "a b", "one\r\n"), readMessage(t, "c", ".two\r\n")}
	_ = c.Send(t.Context(), messages...)
	if err != nil && c.Broken() != nil && !errors.Is(err, c.Broken()) {
		t.Errorf("%v, and the session is over because of %v", err, c.Broken())
	}
	_ = c.Quit(t.Context())
	<-done

	entries := c.Transcript().Entries()
	for i, m := range messages {
		for _, r := range m.To {
			if r.Delivered == (r.Err != nil) || r.Stage == "" {
				t.Fatalf("message %d, %s: delivered %t, stage %q, %v", i, r.To, r.Delivered, r.Stage, r.Err)
			}
			sent, said := contentSaid(entries, i)
			if r.Delivered && (!said || r.Reply.Code/100 != 2 || r.Stage != mail.StageFinal) {
				t.Fatalf("message %d, %s: delivered by %v at %s:\n%s", i, r.To, r.Reply, r.Stage, c.Transcript())
			}
			if r.Uncertain() && !sent {
				t.Fatalf("message %d, %s: uncertain, and its content was never sent:\n%s", i, r.To, c.Transcript())
			}
		}
	}
}

// contentSaid says whether a content as long as that of message i was sent, and whether a 2yz came
// after it.
func contentSaid(entries []Entry, i int) (sent, said bool) {
	want := [...]string{"[5 octets of content]", "[6 octets of content]"}[i]
	for _, e := range entries {
		sent = sent || e.From == FromClient && e.Text == want
		said = said || sent && e.From == FromServer && strings.HasPrefix(e.Text, "2")
	}
	return sent, said
}

// FuzzParseExtensions: keywords are in upper case, values clean, and what was read is read as the same
// when it is said again.
func FuzzParseExtensions(f *testing.F) {
	for _, seed := range []string{"mx\nSIZE 100\nAUTH=LOGIN PLAIN\nauth LOGIN CRAM-MD5\nstarttls", "mx\n\n8BITMIME\nXCLIENT NAME ADDR\n250-x",
		"SIZE 1", "mx\nSIZE 99999999999999999999\nSIZE\nAUTH= x\nAUTH="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		x := ParseExtensions(mail.Reply{Code: 250, Lines: strings.Split(in, "\n")})
		if len(x) > maxExtensions || x.Size() < 0 {
			t.Fatalf("%q", x)
		}
		lines := []string{"mx"}
		for k, v := range x {
			if k != strings.ToUpper(k) || !isKeyword(k) || !x.Has(strings.ToLower(k)) || strings.HasPrefix(k, "AUTH=") {
				t.Fatalf("keyword %q", k)
			}
			if v != strings.Join(strings.Fields(v), " ") {
				t.Fatalf("value %q", v)
			}
			if len(k)+len(v) < maxExtensionValue {
				lines = append(lines, strings.TrimSpace(k+" "+v))
			} else {
				delete(x, k)
			}
		}
		if again := ParseExtensions(mail.Reply{Code: 250, Lines: lines}); !reflect.DeepEqual(again, x) {
			t.Fatalf("%q reads as %q, and that as %q", in, x, again)
		}
		for i, name := range x.Auth() {
			for _, other := range x.Auth()[:i] {
				if name == other {
					t.Fatalf("%q twice in %q", name, x["AUTH"])
				}
			}
		}
	})
}

func TestExtensions(t *testing.T) {
	x := ParseExtensions(mail.Reply{Code: 250, Lines: []string{"STARTTLS", "starttls", "Size 1000", "AUTH=login plain", "AUTH LOGIN XOAUTH2",
		"XCLIENT name Addr", "size 5", "8BITMIME", "!x", ""}})
	if !x.Has("StartTLS") || x.Size() != 1000 || !x.Has("8bitmime") || x.Has("!X") || x.Has("AUTH=LOGIN") || len(x) != 5 {
		t.Errorf("%q", x)
	}
	if got := strings.Join(x.Auth(), " "); got != "LOGIN PLAIN XOAUTH2" {
		t.Errorf("AUTH %q", got)
	}
	if got := strings.Join(x.XClient(), " "); got != "NAME ADDR" {
		t.Errorf("XCLIENT %q", got)
	}
	if x := ParseExtensions(mail.Reply{Code: 250, Lines: []string{"STARTTLS"}}); len(x) != 0 {
		t.Errorf("the greeting is taken for a keyword: %q", x)
	}
}
