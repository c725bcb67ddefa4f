package smtp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	gotextproto "net/textproto"
)

// modelContent is what a ContentWriter must write, octet by octet.
func modelContent(in string, form ContentForm) (out string, fault error) {
	if form&Normalised != 0 {
		in = strings.ReplaceAll(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(in), "\n", "\r\n")
	} else if fault := modelFault(strings.TrimSuffix(in, "\r\n") + "\r\n"); fault != nil {
		return "", fault
	}
	if in != "" && !strings.HasSuffix(in, "\r\n") {
		in += "\r\n"
	}
	if form&Stuffed == 0 {
		return in, nil
	}
	var b strings.Builder
	for line := range strings.SplitAfterSeq(in, "\r\n") {
		if strings.HasPrefix(line, ".") {
			b.WriteByte('.')
		}
		b.WriteString(line)
	}
	return b.String() + ".\r\n", nil
}

// writeContent writes in, cut at the places given.
func writeContent(in string, cuts []int, form ContentForm) (string, error) {
	var out bytes.Buffer
	w := NewContentWriter(&out, form)
	from := 0
	for _, cut := range append(cuts, len(in)) {
		if _, err := w.Write([]byte(in[from:cut])); err != nil {
			return out.String(), err
		}
		from = cut
	}
	err := w.Close()
	if int64(out.Len()) != w.Written() {
		return out.String(), errors.New("Written is wrong")
	}
	return out.String(), err
}

// TestContentSmuggling tries every sequence of CR, LF, dot, NUL and a letter up to six octets,
// written whole, octet by octet and in two pieces: what comes out is what the model
// says, and of content with a fault nothing is completed.
func TestContentSmuggling(t *testing.T) {
	forms := []ContentForm{0, Stuffed, Normalised, Stuffed | Normalised}
	length := 6
	if testing.Short() {
		length = 5
	}
	sequences("\r\n.a\x00", length, func(s string) {
		for _, form := range forms {
			want, fault := modelContent(s, form)
			for cut := -1; cut <= len(s); cut++ {
				var cuts []int
				if cut == len(s) {
					cuts = everywhere(len(s))
				} else if cut >= 0 {
					cuts = []int{cut}
				}
				got, err := writeContent(s, cuts, form)
				var where *ContentError
				switch {
				case fault == nil && (err != nil || got != want):
					t.Fatalf("%q form %d cut %v: %q, %v, want %q", s, form, cuts, got, err, want)
				case fault != nil && (!errors.As(err, &where) || where.Offset < 0 || where.Offset >= int64(len(s))):
					t.Fatalf("%q form %d cut %v: %v, want %v", s, form, cuts, err, fault)
				case fault != nil && form&Stuffed != 0 && (got == ".\r\n" || strings.HasSuffix(got, "\r\n.\r\n")):
					t.Fatalf("%q form %d cut %v: completed all the same: %q", s, form, cuts, got)
				case form&Normalised == 0 && modelFault(got) != nil:
					t.Fatalf("%q form %d cut %v: %q has a bare CR or LF", s, form, cuts, got)
				}
			}
		}
		x, err := ExamineContent(strings.NewReader(s))
		want, fault := modelContent(s, 0)
		if (err != nil) != (fault != nil) || err == nil && x.Octets != int64(len(want)) {
			t.Fatalf("%q: %+v, %v, want %q", s, x, err, want)
		}
	})
}

func TestExamineContent(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		in   string
		want Examined
		err  error
	}{
		{"", Examined{}, nil},
		{"a", Examined{Octets: 3, Longest: 3}, nil},
		{"ab\r\nc\r\n", Examined{Octets: 7, Longest: 4}, nil},
		{"a\r\n\xc3\xa4\r\n", Examined{Octets: 7, Longest: 4, EightBit: true}, nil},
		{long + "\r\n" + long, Examined{Octets: 200_004, Longest: 100_002}, nil},
		{strings.Repeat("a", 64<<10-1) + "\r\n.\r\n", Examined{Octets: 64<<10 + 4, Longest: 64<<10 + 1}, nil},
		{strings.Repeat("a", 64<<10-1) + "\r", Examined{}, ErrBareCR},
		{strings.Repeat("a", 64<<10-1) + "\ra", Examined{}, ErrBareCR},
		{strings.Repeat("a", 64<<10) + "\n", Examined{}, ErrBareLF},
		{long + "\x00", Examined{Octets: 100_003, Longest: 100_003}, nil},
	} {
		got, err := ExamineContent(strings.NewReader(c.in))
		if !errors.Is(err, c.err) || err != nil && c.err == nil || err == nil && got != c.want {
			t.Errorf("%.20q: %+v, %v, want %+v, %v", c.in, got, err, c.want, c.err)
		}
	}
	if _, err := ExamineContent(shrunk{strings.NewReader("abc\r\n")}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that became shorter: %v", err)
	}
}

// shrunk is a file that is shorter than it says.
type shrunk struct{ *strings.Reader }

func (s shrunk) Size() int64 { return s.Reader.Size() + 10 }

// FuzzContentWriter: what the writer writes our reader of DATA reads as what was written.
func FuzzContentWriter(f *testing.F) {
	for _, seed := range []string{"", "a\r\n", ".\r\n", "..\r\n.\r\n", "a", "a\n.\r\n", "\r\n.\r\n", "a\rb", "\x00", ".\r", "\r\n.\r\nMAIL FROM:<>\r\n"} {
		f.Add([]byte(seed), uint16(3), true)
		f.Add([]byte(seed), uint16(1), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint16, normalise bool) {
		form := Stuffed
		if normalise {
			form |= Normalised
		}
		var cuts []int
		for at := int(size%31) + 1; at < len(in); at += int(size%31) + 1 {
			cuts = append(cuts, at)
		}
		out, err := writeContent(string(in), cuts, form)
		want, fault := modelContent(string(in), form&^Stuffed)
		if (err != nil) != (fault != nil) {
			t.Fatalf("%q: %v, want %v", in, err, fault)
		}
		if err != nil {
			return
		}
		const next = "RSET\r\n"
		got, rest, err, _ := readData(out+next, nil, 7)
		if err != nil || got != want || rest != next {
			t.Fatalf("%q written as %q reads as %q, %v, rest %q", in, out, got, err, rest)
		}
	})
}

// mailContent is mail of lines of 76 octets.
func mailContent() []byte {
	return bytes.Repeat([]byte("VGhpcyBpcyBhIGxpbmUgb2YgYmFzZTY0LCBhcyBtb3N0IG9mIHRoZSBvY3RldHMgaW4gbWFpbCBh\r\n"), 1<<20/78)
}

// BenchmarkContentWriter writes a megabyte in the form of DATA. The peer is the writer of
// net/textproto, which go-smtp's client and net/smtp use, and which does not look for bare CRs.
func BenchmarkContentWriter(b *testing.B) {
	in := mailContent()
	b.Run("postroad", func(b *testing.B) {
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			w := NewContentWriter(io.Discard, Stuffed)
			for at := 0; at < len(in); at += contentBlock {
				_, _ = w.Write(in[at:min(at+contentBlock, len(in))])
			}
			_ = w.Close()
		}
	})
	b.Run("examine", func(b *testing.B) {
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			_, _ = ExamineContent(bytes.NewReader(in))
		}
	})
	b.Run("textproto", func(b *testing.B) {
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			w := gotextproto.NewConn(discard{}).DotWriter()
			_, _ = w.Write(in)
			_ = w.Close()
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Read([]byte) (int, error)    { return 0, io.EOF }
func (discard) Close() error                { return nil }
