package message

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// split reads a whole mbox: "offset:first line" a mail.
func split(t testing.TB, r io.Reader, lim Limits) (mails []string) {
	t.Helper()
	m := OpenMbox(r, lim)
	for {
		raw, offset, cut, err := m.Next()
		if err == io.EOF {
			return mails
		}
		if err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprintf("%d:%s", offset, normalLines(raw))
		if cut {
			s += " cut"
		}
		mails = append(mails, s)
	}
}

const sep = "From a@example.com Mon Nov  2 10:11:12 2026\n"

func TestMbox(t *testing.T) {
	for _, c := range []struct {
		name, mbox string
		want       []string
	}{
		{"empty", "", nil},
		{"blank", "\n\n", nil},
		{"one", sep + "S: 1\n\nx\n", []string{"0:" + sep + "S: 1\n\nx\n"}},
		{"two", sep + "S: 1\n\nx\n\n" + sep + "S: 2\n\ny\n", []string{"0:" + sep + "S: 1\n\nx\n\n", "53:" + sep + "S: 2\n\ny\n"}},
		{"no separator at all", "S: 1\n\nx\n", []string{"0:S: 1\n\nx\n"}},
		{"none at the start", "S: 1\n\n" + sep + "S: 2\n", []string{"0:S: 1\n\n", "6:" + sep + "S: 2\n"}},
		{"blank lines at the start", "\n\n" + sep + "S: 1\n", []string{"2:" + sep + "S: 1\n"}},
		{"prose", sep + "S: 1\n\nx\n\nFrom here on it went wrong\n\nFrom 10:11 on, 2 of us\n", []string{"0:" + sep + "S: 1\n\nx\n\nFrom here on it went wrong\n\nFrom 10:11 on, 2 of us\n"}},
		{"not after a blank line", sep + "S: 1\n\nx\n" + sep + "S: 2\n", []string{"0:" + sep + "S: 1\n\nx\n" + sep + "S: 2\n"}},
		{"quoted", sep + "S: 1\n\n>From x\n\n>" + sep + "\n>>" + sep, []string{"0:" + sep + "S: 1\n\n>From x\n\n>" + sep + "\n>>" + sep}},
		{"address alone", "From a@example.com\nS: 1\n\nx\n\nFrom b@example.com\nS: 2\n\nFrom c@example.com\nis what I say\n",
			[]string{"0:From a@example.com\nS: 1\n\nx\n\n", "28:From b@example.com\nS: 2\n\nFrom c@example.com\nis what I say\n"}},
		{"senders of all kinds", "From - Mon Nov  2 10:11:12 2026\n\n\nFrom MAILER-DAEMON Mon Nov  2 10:11:12 2026 +0100\n\n\nFrom \"a b\"@example.com  Mon Nov  2 10:11 2026\n\n\nFrom x Mon Nov  2 10:11:12 2026 remote from y\n",
			[]string{"0:From - Mon Nov  2 10:11:12 2026\n\n\n", "34:From MAILER-DAEMON Mon Nov  2 10:11:12 2026 +0100\n\n\n", "86:From \"a b\"@example.com  Mon Nov  2 10:11 2026\n\n\n", "134:From x Mon Nov  2 10:11:12 2026 remote from y\n"}},
	} {
		for _, end := range []string{"\n", "\r\n", "\r"} {
			raw := strings.ReplaceAll(c.mbox, "\n", end)
			got := split(t, strings.NewReader(raw), Limits{})
			var want []string
			for _, w := range c.want {
				var at int
				var text string
				if i := strings.IndexByte(w, ':'); i > 0 {
					fmt.Sscan(w[:i], &at)
					text = w[i+1:]
				}
				want = append(want, fmt.Sprintf("%d:%s", at+(len(end)-1)*strings.Count(c.mbox[:at], "\n"), text))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s %q: got %q, want %q", c.name, end, got, want)
			}
		}
	}
}

// TestMboxAnyRead holds that it does not matter how the bytes come, nor where
// mails lie against the reader's window.
func TestMboxAnyRead(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "%sSubject: %d\n\n%s\n\n", sep, i, strings.Repeat("From some\n\n", i*97))
	}
	want := split(t, strings.NewReader(b.String()), Limits{})
	if len(want) != 60 {
		t.Fatalf("%d mails", len(want))
	}
	var all strings.Builder
	for _, m := range want {
		_, text, _ := strings.Cut(m, ":")
		all.WriteString(text)
	}
	if all.String() != b.String() {
		t.Error("the mails are not the file")
	}
	for name, r := range map[string]io.Reader{
		"one byte": iotest.OneByteReader(strings.NewReader(b.String())), "half": iotest.HalfReader(strings.NewReader(b.String())), "error with data": iotest.DataErrReader(strings.NewReader(b.String())),
	} {
		if got := split(t, r, Limits{}); !slices.Equal(got, want) {
			t.Errorf("%s: other mails", name)
		}
	}
}

// TestMboxWindow holds that a separator is seen wherever the reader's window
// ends in it.
func TestMboxWindow(t *testing.T) {
	for k := range len(sep) + 8 {
		first := sep + "S: 1\n\n"
		first += strings.Repeat("x", window-k-2-len(first)) + "\n\n"
		if got := split(t, strings.NewReader(first+sep+"S: 2\n"), Limits{}); len(got) != 2 {
			t.Errorf("%d bytes before the end of the window: %d mails", k, len(got))
		}
	}
}

func TestMboxCut(t *testing.T) {
	mbox := sep + "Subject: 1\n\n" + strings.Repeat("x", 300_000) + "\n\n" + sep + "Subject: 2\n\nx\n"
	m := OpenMbox(strings.NewReader(mbox), Limits{Size: 1000})
	raw, _, cut, err := m.Next()
	if len(raw) != 1000 || !cut || err != nil || string(raw) != mbox[:1000] {
		t.Errorf("%d bytes, cut %v, %v", len(raw), cut, err)
	}
	raw, offset, cut, err := m.Next()
	if cut || err != nil || !strings.HasSuffix(mbox, string(raw)) || int(offset) != len(mbox)-len(raw) {
		t.Errorf("%q at %d, cut %v, %v", raw, offset, cut, err)
	}
	if _, _, _, err = m.Next(); err != io.EOF {
		t.Error(err)
	}
}

// TestMboxMemory holds that a file of 100 MB costs no more than its largest mail
// may.
func TestMboxMemory(t *testing.T) {
	r := io.MultiReader(strings.NewReader(sep+"S: 1\n\n"), &endless{line: "text\n", n: 100_000_000}, strings.NewReader("\n\n"+sep+"S: 2\n\n"))
	n := 0
	used := allocated(func() {
		m := OpenMbox(r, Limits{Size: 1 << 20})
		for {
			if _, _, _, err := m.Next(); err != nil {
				break
			}
			n++
		}
	})
	if n != 2 || used > 6<<20 {
		t.Errorf("%d mails, %d bytes allocated", n, used)
	}
}

func TestMboxError(t *testing.T) {
	broken := errors.New("disk gone")
	m := OpenMbox(io.MultiReader(strings.NewReader(sep+"S: 1\n\nx\n"), iotest.ErrReader(broken)), Limits{})
	raw, _, _, err := m.Next()
	if !errors.Is(err, broken) || len(raw) == 0 {
		t.Errorf("%q, %v", raw, err)
	}
	if _, _, _, err := m.Next(); err != io.EOF {
		t.Error(err)
	}
	if _, _, _, err := OpenMbox(iotest.ErrReader(broken), Limits{}).Next(); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestIsMbox(t *testing.T) {
	for head, want := range map[string]bool{
		sep: true, "\n\n" + sep: true, "\ufeff" + sep: true, "From a@example.com\nTo: b\n": true, "": false,
		"From: a@example.com\n": false, "From here on\n": false, ">" + sep: false, "Subject: x\n\n" + sep: false,
	} {
		if IsMbox([]byte(head)) != want {
			t.Errorf("%q: not %v", head, want)
		}
	}
}

func TestReadFrom(t *testing.T) {
	text := strings.Repeat("0123456789", 5000)
	for _, size := range []int{1, 4096, len(text) - 1, len(text), len(text) + 1} {
		for name, r := range map[string]io.Reader{
			"len": strings.NewReader(text), "plain": iotest.HalfReader(strings.NewReader(text)), "bytes": iotest.DataErrReader(strings.NewReader(text)),
		} {
			raw, cut, err := ReadFrom(r, Limits{Size: size})
			if err != nil || cut != (size < len(text)) || string(raw) != text[:min(size, len(text))] {
				t.Errorf("%s, size %d: %d bytes, cut %v, %v", name, size, len(raw), cut, err)
			}
		}
	}
	broken := errors.New("disk gone")
	raw, _, err := ReadFrom(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), Limits{})
	if string(raw) != "abc" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", raw, err)
	}
	if _, cut, err := ReadFrom(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), Limits{Size: 3}); cut || !errors.Is(err, broken) {
		t.Errorf("cut %v, %v", cut, err)
	}
	if _, _, err := ReadFrom(stuck{}, Limits{}); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestMaildir(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"cur/b:2,S", "cur/a:2,", "cur/.hidden", "new/c", "tmp/d", "cur/sub/e", ".Sent/cur/f", "dovecot.index"} {
		path := filepath.Join(dir, filepath.FromSlash(f))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list := func(dir string) (names []string, failed bool) {
		for path, err := range Maildir(dir) {
			if err != nil {
				failed = true
				continue
			}
			rel, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return names, failed
	}
	if got, failed := list(dir); failed || !slices.Equal(got, []string{"cur/a:2,", "cur/b:2,S", "new/c"}) {
		t.Errorf("%q, failed %v", got, failed)
	}
	if got, failed := list(filepath.Join(dir, "cur")); !failed || len(got) > 0 {
		t.Errorf("no Maildir: %q, failed %v", got, failed)
	}
	if got, failed := list(filepath.Join(dir, ".Sent")); failed || len(got) != 1 {
		t.Errorf("cur alone: %q, failed %v", got, failed)
	}
	for range Maildir(dir) { // a caller that stops
		break
	}
}
