package smtp

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postroad/postroad/mail"
)

// readFrom reads one reply from octets.
func readFrom(in string) (mail.Reply, Odd, string, error) {
	w := NewWire(&tape{in: []byte(in)}, FromClient, nil)
	r, odd, err := ReadReply(w)
	rest := w.in[w.from:w.to]
	return r, odd, string(rest), err
}

func TestReadReply(t *testing.T) {
	enhanced := func(c, s, d uint16) mail.Enhanced { return mail.Enhanced{Class: c, Subject: s, Detail: d} }
	for _, c := range []struct {
		in   string
		want mail.Reply
		odd  Odd
		err  error
		rest string
	}{
		{"250 ok\r\n250 next\r\n", mail.Reply{Code: 250, Lines: []string{"ok"}}, 0, nil, "250 next\r\n"},
		{"250\r\n", mail.Reply{Code: 250}, 0, nil, ""},
		{"250 \r\n", mail.Reply{Code: 250}, 0, nil, ""},
		{"250-\r\n250-PIPELINING\r\n250 \r\n", mail.Reply{Code: 250, Lines: []string{"", "PIPELINING"}}, 0, nil, ""},
		{"550-5.7.1 no\r\n550-5.7.1 never\r\n550 5.7.1 see https://example.com/\r\n",
			mail.Reply{Code: 550, Enhanced: enhanced(5, 7, 1), Lines: []string{"no", "never", "see https://example.com/"}}, 0, nil, ""},
		{"550-no\r\n550 5.1.1 never\r\n", mail.Reply{Code: 550, Enhanced: enhanced(5, 1, 1), Lines: []string{"no", "never"}}, 0, nil, ""},
		{"550-5.1.1 no\r\n550 5.2.1 never\r\n",
			mail.Reply{Code: 550, Enhanced: enhanced(5, 1, 1), Lines: []string{"no", "5.2.1 never"}}, 0, nil, ""},
		{"421 421 RP-001 (x)\r\n", mail.Reply{Code: 421, Lines: []string{"RP-001 (x)"}}, 0, nil, ""},
		{"250-a\r\n550 b\r\n", mail.Reply{Code: 550, Lines: []string{"a", "b"}}, OddCodes, nil, ""},
		{"250ok\r\n", mail.Reply{Code: 250, Lines: []string{"ok"}}, OddNoSpace, nil, ""},
		{"250\tok\r\n", mail.Reply{Code: 250, Lines: []string{"ok"}}, 0, nil, ""},
		{"220-a\nb\n220 c\n", mail.Reply{Code: 220, Lines: []string{"a", "b", "c"}}, OddBareLF | OddNoCode, nil, ""},
		{"250 a\rb\x00c\x1b[1m\r\n", mail.Reply{Code: 250, Lines: []string{"a b c [1m"}}, OddControls, nil, ""},
		{"250 \xff\xe4h\r\n", mail.Reply{Code: 250, Lines: []string{"\ufffd\ufffdh"}}, OddEightBit, nil, ""},
		{"250 höh\r\n", mail.Reply{Code: 250, Lines: []string{"höh"}}, OddEightBit, nil, ""},
		{"250 " + strings.Repeat("x", 600) + "\r\n", mail.Reply{Code: 250, Lines: []string{strings.Repeat("x", 600)}}, OddLong, nil, ""},
		{"", mail.Reply{}, 0, io.EOF, ""},
		{"2", mail.Reply{}, 0, io.ErrUnexpectedEOF, ""},
		{"250-a\r\n", mail.Reply{Code: 250, Lines: []string{"a"}}, 0, io.ErrUnexpectedEOF, ""},
		{"250-a\r\n250 b", mail.Reply{Code: 250, Lines: []string{"a"}}, 0, io.ErrUnexpectedEOF, ""},
		{"\r\n", mail.Reply{}, 0, ErrReply, ""},
		{"HELLO\r\n", mail.Reply{}, 0, ErrReply, ""},
		{"150 a\r\n", mail.Reply{}, 0, ErrReply, ""},
		{"2500 a\r\n", mail.Reply{}, 0, ErrReply, ""},
		{"650 a\r\n", mail.Reply{}, 0, ErrReply, ""},
	} {
		got, odd, rest, err := readFrom(c.in)
		if !reflect.DeepEqual(got, c.want) || odd != c.odd || !errors.Is(err, c.err) || err != nil && c.err == nil || rest != c.rest {
			t.Errorf("%.80q: %+v, %q, %v, rest %q; want %+v, %q, %v, %q", c.in, got, odd, err, rest, c.want, c.odd, c.err, c.rest)
		}
	}
}

// TestReadReplyBounds: what is kept stays small, the last line is always kept, and what does not end
// is an error.
func TestReadReplyBounds(t *testing.T) {
	long := strings.Repeat("x", 70)
	lines := func(n int) string { return strings.Repeat("550-"+long+"\r\n", n-1) + "550 the last one\r\n" }
	for _, c := range []struct {
		name, in string
		lines    int
		last     string
		err      error
	}{
		{"100 lines", lines(100), 100, "the last one", nil},
		{"999 lines", lines(999), 100, "the last one", nil},
		{"10,000 lines", lines(10_000), 100, long, ErrReplyTooLong},
		{"long lines", strings.Repeat("550-"+strings.Repeat("y", 8000)+"\r\n", 5) + "550 end\r\n", 2, "end", nil},
		{"many long lines", strings.Repeat("550-"+strings.Repeat("y", 8000)+"\r\n", 50), 2, strings.Repeat("y", 8000), ErrReplyTooLong},
		{"an overlong line", "550-" + strings.Repeat("z", 100_000) + "\r\n550 end\r\n", 2, "end", nil},
		{"an endless line", "550 " + strings.Repeat("z", 2<<20), 0, "", ErrFlood},
	} {
		r, odd, _, err := readFrom(c.in)
		last, size := "", 0
		for _, line := range r.Lines {
			last, size = line, size+len(line)
		}
		if !errors.Is(err, c.err) || err != nil && c.err == nil || len(r.Lines) != c.lines || last != c.last || size > mail.MaxReply {
			t.Errorf("%s: %d lines of %d octets, last %.80q, odd %q, %v", c.name, len(r.Lines), size, last, odd, err)
		}
	}
}

func TestReplyLines(t *testing.T) {
	for _, c := range []struct {
		r    mail.Reply
		want []string
	}{
		{mail.Reply{Code: 250}, []string{"250 "}},
		{mail.Reply{Code: 250, Lines: []string{"ok"}}, []string{"250 ok"}},
		{mail.Reply{Code: 550, Enhanced: mail.Enhanced{Class: 5, Subject: 7, Detail: 1}, Lines: []string{"no", "never"}},
			[]string{"550-5.7.1 no", "550 5.7.1 never"}},
		{mail.Reply{Code: 450, Enhanced: mail.Enhanced{Class: 5, Subject: 7, Detail: 1}, Lines: []string{"no"}}, []string{"450 no"}},
		{mail.Reply{Code: 550, Lines: []string{"a\r\n250 b\nc\rd\x00e"}}, []string{"550-a", "550-250 b", "550-c", "550 d e"}},
		{mail.Reply{Code: 550, Lines: []string{"\r\n\r\n"}}, []string{"550 "}},
		{mail.Reply{Code: 550, Lines: []string{strings.Repeat("w ", 300)}},
			[]string{"550-" + strings.TrimSpace(strings.Repeat("w ", 253)), "550 " + strings.Repeat("w ", 47)}},
		{mail.Reply{Code: 550, Lines: []string{strings.Repeat("ä", 300)}}, []string{"550-" + strings.Repeat("ä", 253), "550 " + strings.Repeat("ä", 47)}},
	} {
		if got, err := ReplyLines(c.r); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %q, %v, want %q", c.r, got, err, c.want)
		}
	}
	for _, code := range []int{0, 99, 100, 199, 600, 2500, -250} {
		if got, err := ReplyLines(mail.Reply{Code: code}); err == nil {
			t.Errorf("%d: %q", code, got)
		}
	}
}

// FuzzReadReply: what was read is bounded and clean, and what is written of it reads back as the
// same.
func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{"250 ok\r\n", "550-5.7.1 no\r\n550 5.7.1 never\r\n", "250-a\n550 b\n", "421 421 x\r\n", "220-\r\n\r\n220 x\r\n",
		"250 \x00\r\r\n", "250", "250-5.1.1\r\n250 4.2.2 \xff\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, odd, rest, err := readFrom(string(in))
		if !strings.HasSuffix(string(in), rest) {
			t.Fatalf("rest %q is no rest of %q", rest, in)
		}
		size := 0
		for i, line := range r.Lines {
			size += len(line)
			if strings.ContainsAny(line, "\r\n\x00\x1b") || !utf8.ValidString(line) || line == "" && (i > 0 || len(r.Lines) == 1) {
				t.Fatalf("line %d of %q: %q", i, in, line)
			}
		}
		if len(r.Lines) > replyKept || size > mail.MaxReply || odd.String() == "" && odd != 0 {
			t.Fatalf("%d lines, %d octets, odd %q", len(r.Lines), size, odd)
		}
		if err != nil {
			return
		}
		if r.Code < 200 || r.Code > 599 || in[0] < '2' || in[0] > '5' {
			t.Fatalf("code %d of %q", r.Code, in)
		}
		lines, err := ReplyLines(r)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range lines {
			if len(line) > 510 || strings.ContainsAny(line, "\r\n\x00") || line[3] != ' ' && i == len(lines)-1 {
				t.Fatalf("written: %q", line)
			}
		}
		again, _, rest, err := readFrom(strings.Join(lines, "\r\n") + "\r\n")
		if err != nil || rest != "" || again.Code != r.Code {
			t.Fatalf("%q reads back as %+v, %v, rest %q", lines, again, err, rest)
		}
		if int(r.Enhanced.Class) == r.Code/100 && again.Enhanced != r.Enhanced {
			t.Fatalf("%v reads back as %v", r.Enhanced, again.Enhanced)
		}
	})
}
