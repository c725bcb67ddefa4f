package smtp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/mail"
)

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{"MAIL FROM:<a@b.example>", "quit", "NOOP  x ", "RSET\r\nQUIT", "\x00", "MAIL\tFROM:<>", "é"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := ParseCommand(line)
		if err != nil {
			var s *SyntaxError
			if !errors.As(err, &s) || s.Code != 500 {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		if c.Verb == "" || strings.Trim(c.Verb, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || hasControl(c.Arg) {
			t.Fatalf("%q: %+v", line, c)
		}
		again, err := ParseCommand([]byte(strings.TrimRight(c.Verb+" "+c.Arg, " ")))
		if err != nil || again != c {
			t.Fatalf("%q: %+v, then %+v, %v", line, c, again, err)
		}
	})
}

// checkWritten holds that what was read can be written, as one line, and reads the same again.
func checkWritten[C comparable](t *testing.T, arg string, c C, write func([]byte) ([]byte, error), read func(string, bool) (C, error)) {
	line, err := write(nil)
	if err != nil {
		if !strings.Contains(err.Error(), "octets") { // the written form of an ORCPT may be longer
			t.Fatalf("%q: %+v is not written: %v", arg, c, err)
		}
		return
	}
	if hasControl(string(line)) || bytes.ContainsRune(line, '\t') {
		t.Fatalf("%q: written with a control character: %q", arg, line)
	}
	command, err := ParseCommand(line)
	if err != nil {
		t.Fatal(err)
	}
	again, err := read(command.Arg, false)
	if err != nil || again != c {
		t.Fatalf("%q: %+v, written %q, read %+v, %v", arg, c, line, again, err)
	}
}

func FuzzParseMail(f *testing.F) {
	for _, s := range []string{
		"FROM:<a@b.example>", "from:<> SIZE=1 BODY=8BITMIME", `FROM:<"a \" b"@[IPv6:2001:db8::1]> SMTPUTF8`,
		"FROM:<@x.example,@y.example:a@b.example> RET=HDRS ENVID=a+2Bb AUTH=<>", "FROM: <jörg@b.example> SMTPUTF8 REQUIRETLS",
		"FROM:<a@b.example> AUTH=a+40b.example SIZE=99999999999999999999", "FROM:<a@b.example>\r\nRCPT TO:<x>",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, arg string, strict bool) {
		c, err := ParseMail(arg, strict)
		if err != nil {
			var s *SyntaxError
			if !errors.As(err, &s) || s.Code < 500 || c != (MailCommand{}) {
				t.Fatalf("%q: %+v, %v", arg, c, err)
			}
			return
		}
		if !strings.Contains(arg, c.From.Local) || !strings.Contains(arg, c.From.Domain) {
			t.Fatalf("%q: the address was changed: %q", arg, c.From)
		}
		if loose, err := ParseMail(arg, false); strict && (err != nil || strings.TrimSuffix(loose.From.Domain, ".") != c.From.Domain) {
			t.Fatalf("%q: strict takes what is refused else: %v", arg, err)
		}
		checkWritten(t, arg, c, c.Append, ParseMail)
	})
}

func FuzzParseRcpt(f *testing.F) {
	for _, s := range []string{
		"TO:<Postmaster>", "to:<a@b.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a+2Bb@c.example",
		`TO:<"a@b"@c.example> ORCPT=utf-8;\x{1F4E7}+2B@x`, "TO:<用户@例子.example> NOTIFY=NEVER", "TO:<a@[192.0.2.1]>",
		"TO:<a@b.example\x00>", "TO:<postmaster@>", "TO:<a@[x-tag:content]>",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, arg string, strict bool) {
		c, err := ParseRcpt(arg, strict)
		if err != nil {
			var s *SyntaxError
			if !errors.As(err, &s) || s.Code < 500 || c != (RcptCommand{}) {
				t.Fatalf("%q: %+v, %v", arg, c, err)
			}
			return
		}
		if c.To.IsNull() || c.To.Domain == "" && !strings.EqualFold(c.To.Local, "postmaster") ||
			!strings.Contains(arg, c.To.Local) || !strings.Contains(arg, c.To.Domain) {
			t.Fatalf("%q: %q", arg, c.To)
		}
		checkWritten(t, arg, c, c.Append, ParseRcpt)
	})
}

// FuzzData reads content against the model, in pieces that the fuzzer chooses.
func FuzzData(f *testing.F) {
	for _, s := range []string{"x\r\n.\r\n", ".\r\n", "\r.\r\n\r\n.\r\n", "a\n.\nb\r\n.\r\n", "..\r\n...\r\n.\rx\r\n.\r\nQUIT\r\n", "\r\n.\r"} {
		f.Add(s, []byte{1, 2, 1})
		f.Add(s, []byte{})
	}
	f.Fuzz(func(t *testing.T, in string, steps []byte) {
		if len(steps) > 200 || len(in) > 1<<14 {
			return
		}
		var cuts []int
		at := 0
		for _, s := range steps {
			at += int(s)
			cuts = append(cuts, at)
		}
		checkData(t, in, cuts, 3+len(steps)%64)
	})
}

// FuzzChunks divides content as the fuzzer chooses.
func FuzzChunks(f *testing.F) {
	f.Add("a\r\nb\r\n", []byte{2, 0, 1})
	f.Add("a\nb\r", []byte{1, 1, 1})
	f.Fuzz(func(t *testing.T, s string, steps []byte) {
		if len(steps) > 50 || len(s) > 1<<12 {
			return
		}
		var chunks []string
		rest := s
		for _, n := range steps {
			n := min(int(n), len(rest))
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		checkChunks(t, s, append(chunks, rest), len(steps)%2 == 1)
	})
}

// FuzzReadProxy: a header is taken whole or the connection is refused, and never
// more than the header.
func FuzzReadProxy(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\nx", "PROXY UNKNOWN ffff::1\r\n", "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x00\x19tail",
		"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "\r\n\r\n\x00\r\nQUIT\n\x21\x21\xff\xff", "EHLO x\r\n", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<13 {
			return
		}
		for _, cuts := range [][]int{nil, everywhere(len(in))} {
			w := NewWire(&tape{in: in, cuts: cuts}, FromServer, nil)
			p, err := readProxy(w)
			if err != nil {
				if p != (Proxied{}) {
					t.Fatalf("%q: %+v with %v", in, p, err)
				}
				continue
			}
			if p.Own == p.Source.IsValid() || p.Own == p.Destination.IsValid() {
				t.Fatalf("%q: %+v", in, p)
			}
			rest, _ := io.ReadAll(w)
			head := in[:len(in)-len(rest)]
			if !bytes.Equal(in[len(head):], rest) || len(head) > proxyHeader {
				t.Fatalf("%q: rest %q", in, rest)
			}
			if head[0] == 'P' && (bytes.Count(head, crlf) != 1 || !bytes.HasSuffix(head, crlf) || len(head) > proxyLine) {
				t.Fatalf("%q: taken %q", in, head)
			}
		}
	})
}

// watcher checks what comes out of a session against what went in.
type watcher struct {
	t   *testing.T
	in  string
	log struct{ messages, tries int }
}

func (k *watcher) Connect(context.Context, *Session) mail.Reply             { return mail.Reply{} }
func (k *watcher) Hello(context.Context, *Session, string, bool) mail.Reply { return mail.Reply{} }
func (k *watcher) StartTLS(context.Context, *Session) mail.Reply            { return mail.Reply{} }
func (k *watcher) Data(context.Context, *Session) mail.Reply                { return mail.Reply{} }
func (k *watcher) Close(*Session, error)                                    {}

func (k *watcher) Auth(_ context.Context, _ *Session, c Credentials) mail.Reply {
	if c.Password == "secret" {
		return mail.Reply{Code: 235}
	}
	return mail.Reply{}
}

func (k *watcher) Mail(_ context.Context, s *Session, c MailCommand) mail.Reply {
	if s.HelloName == "" || !strings.Contains(k.in, c.From.String()) {
		k.t.Fatalf("sender %q was not said", c.From)
	}
	return mail.Reply{}
}

func (k *watcher) Rcpt(_ context.Context, s *Session, c RcptCommand) mail.Reply {
	if s.Sender == nil || !strings.Contains(k.in, c.To.Local) {
		k.t.Fatalf("recipient %q was not said", c.To)
	}
	return mail.Reply{}
}

func (k *watcher) Message(_ context.Context, s *Session, content io.Reader) []mail.Reply {
	k.log.tries++
	if s.Sender == nil || len(s.Recipients) == 0 {
		k.t.Fatal("a message without envelope")
	}
	b, err := io.ReadAll(content)
	if err != nil {
		return nil
	}
	k.log.messages++
	m := string(b)
	stuffed := strings.ReplaceAll("\r\n"+m, "\r\n.", "\r\n..") + ".\r\n"
	if !strings.Contains(k.in, stuffed) && !subsequence(m, k.in) {
		k.t.Fatalf("message %q was not sent", m)
	}
	if s.Sender.Body != BodyBinary && modelFault(m+"x") != nil {
		k.t.Fatalf("message %q with a bare CR or LF", m)
	}
	return nil
}

func subsequence(m, in string) bool {
	for _, c := range []byte(m) {
		i := strings.IndexByte(in, c)
		if i < 0 {
			return false
		}
		in = in[i+1:]
	}
	return true
}

// FuzzServe leads a session on any octets: it ends, in bounds, whatever comes; every
// reply belongs to something that was said; the transcript shows no password; and it goes the same
// way in whatever pieces the octets come.
func FuzzServe(f *testing.F) {
	f.Add([]byte(envelope+"DATA\r\nx\r\n.\r\nQUIT\r\n"), byte(0))
	f.Add([]byte(envelope+"DATA\r\nx\n.\nMAIL FROM:<e@x.example>\r\n.\r\nQUIT\r\n"), byte(1))
	f.Add([]byte(envelope+"BDAT 5\r\nabc\r\nNOOP\r\nBDAT 0 LAST\r\nRSET\r\n"), byte(2))
	f.Add([]byte("LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n..\r\n.\r\n"), byte(4))
	f.Add([]byte("EHLO x\r\nAUTH PLAIN AHUAc2VjcmV0\r\nAUTH LOGIN\r\n"+base64.StdEncoding.EncodeToString([]byte("u"))+"\r\nc2VjcmV0\r\n"), byte(8))
	f.Add([]byte("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\nEHLO x\r\nXCLIENT ADDR=192.0.2.9 LOGIN=secret\r\n"), byte(16))
	f.Fuzz(func(t *testing.T, in []byte, mode byte) {
		if len(in) > 1<<14 {
			return
		}
		o := &ServerOptions{
			LMTP: mode&4 != 0, Auth: []string{"PLAIN", "LOGIN"}, AuthClear: true, Strict: mode&2 != 0,
			MaxSize: 1000, MaxErrors: 50, Transcript: 1 << 16, XClient: everyone,
		}
		if mode&16 != 0 {
			o.Proxy = everyone
		}
		first := ""
		for i, cuts := range [][]int{nil, everywhere(len(in))} {
			k := &watcher{t: t, in: string(in)}
			keep := &holding{Handler: k, got: func(*Session) {}}
			var session *Session
			keep.got = func(s *Session) { session = s }
			c := &tape{in: in, cuts: cuts}
			err := Serve(context.Background(), c, o, keep)
			if err == nil && !bytes.Contains(bytes.ToUpper(in), []byte("QUIT")) {
				t.Fatal("ended without QUIT")
			}
			out := c.out.String()
			finals := 0
			for line := range strings.SplitAfterSeq(out, "\r\n") {
				if line == "" {
					continue
				}
				if len(line) < 6 || line[0] < '2' || line[0] > '5' || line[3] != ' ' && line[3] != '-' || modelFault(line) != nil {
					t.Fatalf("%q is no reply", line)
				}
				if line[3] == ' ' {
					finals++
				}
			}
			if session != nil {
				recipients := 1 + strings.Count(strings.ToUpper(string(in)), "RCPT")
				rounds := 3 * strings.Count(strings.ToUpper(string(in)), "AUTH")
				if limit := 2 + session.Commands + k.log.tries*recipients + rounds; finals > limit {
					t.Fatalf("%d replies to %d commands and %d messages\n%s", finals, session.Commands, k.log.tries, out)
				}
				if text := session.Transcript.String(); strings.Contains(text, "c2VjcmV0") && !saidElsewhere(string(in), "c2VjcmV0") {
					t.Fatalf("the transcript shows the password:\n%s", text)
				}
			}
			// CRAM-like challenges apart, a session depends on its octets alone. Where it is
			// ended for what stands in the buffer, pieces matter.
			if i == 0 {
				first = out
			} else if out != first && !strings.Contains(first, " 5.5.1 no valid") && !errors.Is(err, ErrEarlyContent) &&
				!strings.Contains(first, "503 5.5.1") && !strings.Contains(first, "501 5.5.4 DATA") {
				t.Fatalf("in pieces:\n%s\nat once:\n%s", out, first)
			}
		}
	})
}

// saidElsewhere tells a password that stands where no exchange was under way.
func saidElsewhere(in, secret string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(in, func(c rune) bool { return c == '\r' || c == '\n' }), func(line string) bool {
		i := strings.Index(line, secret)
		return i >= 0 && !strings.HasPrefix(strings.ToUpper(strings.TrimLeft(line, " \t")), "AUTH") && i > 0
	})
}

// FuzzTranscript plants a secret wherever a client may say one: it is never shown, what is
// shown is printable and bounded.
func FuzzTranscript(f *testing.F) {
	f.Add("AUTH", "PLAIN", "Username:", uint8(1))
	f.Add("auth", "LOGIN", "", uint8(2))
	f.Add("AUTH\t", "\tXOAUTH2\t", "x\x1b[2J", uint8(0))
	f.Add(" Auth", "plain\n", "\u202e", uint8(3))
	f.Fuzz(func(t *testing.T, verb, mechanism, noise string, rounds uint8) {
		const secret = "c2VjcmV0LW9mLXRoZS11c2Vy"
		if !strings.EqualFold(strings.Trim(verb, " \t"), "AUTH") || strings.Contains(verb+mechanism+noise, secret[:8]) {
			return
		}
		tr := NewTranscript(4096)
		tr.Line(FromServer, []byte("220 x"))
		tr.Line(FromClient, []byte("NOOP "+noise))
		tr.Line(FromClient, []byte(verb+" "+mechanism+" "+secret))
		tr.Line(FromServer, []byte("250 to the NOOP"))
		for range rounds % 8 {
			tr.Line(FromServer, []byte("334 "+noise))
			tr.Line(FromClient, []byte(secret))
		}
		tr.Line(FromServer, []byte("535 no"))
		tr.Line(FromClient, []byte(secret)) // a client that did not look
		tr.Line(FromClient, []byte("XCLIENT ADDR=192.0.2.1 Login="+secret))
		tr.Content(FromClient, 5)
		tr.Note(noise)
		text := tr.String()
		if strings.Contains(text, secret[:8]) {
			t.Fatalf("shown:\n%s", text)
		}
		for _, c := range []byte(text) {
			if c < ' ' && c != '\n' || c == 0x7f {
				t.Fatalf("not printable: %q", text)
			}
		}
		if len(text) > 8192 || strings.Count(text, "\n") != len(tr.Entries()) {
			t.Fatalf("%d octets", len(text))
		}
	})
}
