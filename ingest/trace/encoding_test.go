package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postroad/postroad/event"
)

const head = "Received,SenderAddress,RecipientAddress,Subject,Status,MessageTraceId,MessageId\r\n"

func line(i int, subject string) string {
	return fmt.Sprintf("2026-09-14 08:%02d:%02d,a@sender.example,r%d@recipient.example,%s,Failed,%d,<m%d@sender.example>\r\n", i/60%60, i%60, i, subject, i, i)
}

func rows(from, to int, subject string) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		b.WriteString(line(i, subject))
	}
	return b.String()
}

// Files in several encodings, as they come from >> and Add-Content in turn: every
// row is read and the change is said.
func TestMixedEncodings(t *testing.T) {
	cases := map[string]struct {
		parts []string // "encoding:subject"
		want  int      // times that the change is said
	}{
		"8-bit then wide":           {[]string{"utf-8:x", "utf-16le:é"}, 1},
		"8-bit then wide with mark": {[]string{"utf-8:x", "utf-16le-bom:é"}, 1},
		"wide then 8-bit":           {[]string{"utf-16le-bom:é", "utf-8:é"}, 1},
		"in turn":                   {[]string{"utf-16le:é", "utf-8:x", "utf-16le:ü", "utf-8:x"}, 3},
		"big then 8-bit":            {[]string{"utf-16be-bom:é", "utf-8:x"}, 1},
		"8-bit then big":            {[]string{"utf-8:x", "utf-16be:é"}, 1},
		"two 8-bit":                 {[]string{"utf-8:é", "windows-1252:é", "utf-8:é"}, 1},
		"windows first":             {[]string{"windows-1252:é", "utf-8:é"}, 1},
		"marks in the middle":       {[]string{"utf-16le-bom:é", "utf-16le-bom:é"}, 0},
		"one":                       {[]string{"windows-1252:é", "windows-1252:ß"}, 0},
	}
	for name, c := range cases {
		for _, n := range []int{3, 400} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				var b []byte
				for i, part := range c.parts {
					enc, subject, _ := strings.Cut(part, ":")
					text := rows(i*n, (i+1)*n, subject)
					if i == 0 {
						text = head + text
					}
					b = append(b, encodings[enc](text)...)
				}
				events, skipped := readAll(t, string(b), Options{})
				if len(events) != n*len(c.parts) {
					t.Errorf("%d events, want %d", len(events), n*len(c.parts))
				}
				if len(skipped) != c.want {
					t.Errorf("skipped %q", skipped)
				}
				for _, s := range skipped {
					if !strings.HasSuffix(s, string(event.SkipEncoding)) {
						t.Errorf("skipped %q", s)
					}
				}
			})
		}
	}
}

// Chinese subjects are no pairs of ASCII letters, and a lost byte costs its row.
func TestWideText(t *testing.T) {
	text := head + rows(0, 50, "發票已經寄出請確認收到謝謝您的合作與支持慡慢扡扢摡摢") + rows(50, 100, "😀")
	b := encodings["utf-16le"](text)
	events, skipped := readAll(t, string(b), Options{})
	if len(events) != 100 || len(skipped) != 0 {
		t.Errorf("%d events, skipped %q", len(events), skipped)
	}
	b = slices.Delete(b, len(b)/2, len(b)/2+1)
	events, skipped = readAll(t, string(b), Options{})
	if len(events) < 97 || len(events) > 100 || len(skipped) == 0 {
		t.Errorf("without a byte %d events, skipped %q", len(events), skipped)
	}
}

// In pieces of any size a file says the same.
func TestInPieces(t *testing.T) {
	for name, text := range tenFiles(t) {
		for _, enc := range []string{"utf-8", "utf-16le", "utf-16be-bom"} {
			b := encodings[enc](text)
			whole, _ := readAll(t, string(b), Options{})
			var some []*event.Event
			if err := Read(iotest.OneByteReader(bytes.NewReader(b)), Options{}, func(e *event.Event) error { some = append(some, e); return nil }); err != nil {
				t.Fatal(err)
			}
			if len(some) != len(whole) {
				t.Fatalf("%s %s: %d events, in pieces %d", name, enc, len(whole), len(some))
			}
			for i := range some {
				if some[i].ID != whole[i].ID || told(some[i]) != told(whole[i]) {
					t.Errorf("%s %s: %s, in pieces %s", name, enc, told(whole[i]), told(some[i]))
				}
			}
		}
	}
}

// The id of an event does not depend on the encoding of its file.
func TestIDs(t *testing.T) {
	for name, text := range tenFiles(t) {
		want := map[string]bool{}
		events, _ := readAll(t, text, Options{})
		for _, e := range events {
			if want[e.ID] {
				t.Errorf("%s: two events with one id: %s", name, told(e))
			}
			want[e.ID] = true
		}
		for _, enc := range []string{"utf-16le", "utf-16be-bom", "utf-8-bom"} {
			events, _ := readAll(t, string(encodings[enc](text)), Options{})
			for _, e := range events {
				if !want[e.ID] {
					t.Errorf("%s in %s: another id of %s", name, enc, told(e))
				}
			}
		}
	}
}

func TestReaderFails(t *testing.T) {
	bad := errors.New("the disk is gone")
	in := head + rows(0, 20, "x")
	n := 0
	err := Read(io.MultiReader(strings.NewReader(in), iotest.ErrReader(bad)), Options{}, func(*event.Event) error { n++; return nil })
	if !errors.Is(err, bad) || n != 20 {
		t.Errorf("%d events, error %v", n, err)
	}
	stop := errors.New("enough")
	for _, in := range tenFiles(t) {
		if err := Read(strings.NewReader(in), Options{}, func(*event.Event) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("the visitor's error came back as %v", err)
		}
	}
}

// endless gives a text, then a piece again and again, up to a size.
type endless struct {
	head, piece string
	left        int
	rest        string
}

func (e *endless) Read(p []byte) (int, error) {
	if e.head != "" {
		n := copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && e.left > 0 {
		if e.rest == "" {
			e.rest = e.piece
		}
		k := copy(p[n:], e.rest)
		e.rest, e.left, n = e.rest[k:], e.left-k, n+k
	}
	return n, nil
}

// Whatever comes, memory is bounded and the time is that of reading.
func TestHostile(t *testing.T) {
	const size = 3 << 20
	cases := map[string]*endless{
		"a line without end":         {head: head, piece: "x"},
		"a quote without end":        {head: head + `"`, piece: "x"},
		"a quote a line":             {head: head, piece: ",\"abc\n"},
		"quotes only":                {head: head, piece: `"`},
		"commas only":                {head: head, piece: ","},
		"lines only":                 {head: head, piece: "\n"},
		"no header":                  {piece: "a,b,c\n"},
		"headers only":               {piece: head},
		"zero bytes":                 {head: head, piece: "\x00"},
		"odd bytes":                  {head: head, piece: "\x00\x01\xff"},
		"objects in objects":         {head: `{"value":`, piece: `{"a":`},
		"arrays in arrays":           {head: `{"value":`, piece: `[`},
		"objects in arrays":          {head: `[`, piece: `{"value":[`},
		"a text without end":         {head: `{"value":[{"status":"`, piece: "x"},
		"keys without end":           {head: `{`, piece: `"status":"x",`},
		"a property without end":     {head: "Received : x\nSenderAddress : a\nRecipientAddress : b\n", piece: "x : y\n"},
		"a folded value":             {head: "Received : x\nSenderAddress : a\nRecipientAddress : b\n", piece: "    y\n"},
		"a recipient list":           {head: head + "2026-09-14 08:00:00,a@sender.example,", piece: "b@recipient.example;"},
		"a status list":              {head: "origin_timestamp_utc,sender_address,recipient_status,message_id\n2026-09-14T08:00:00Z,a@sender.example,\"", piece: "b@recipient.example##Failed;"},
		"braces":                     {head: "date-time,source,event-id,source-context,message-id,recipient-address,recipient-status\n2026-09-14T08:00:00Z,SMTP,FAIL,,<m@sender.example>,b@recipient.example,\"", piece: "[{LED=[Message="},
		"a table of dashes":          {head: "Received SenderAddress RecipientAddress Subject Status\n-------- ------------- ---------------- ------- ------\n", piece: "- "},
		"a million failures":         {head: head, piece: line(1, "x")},
		"many messages, many quotes": {head: head, piece: "2026-09-14 08:00:00,\"a@sender.example\",\"b@recipient.example\",\"x \"\"y\"\" z\",Failed,7,<m7@sender.example>\n"},
	}
	for name, in := range cases {
		t.Run(name, func(t *testing.T) {
			in.left = size
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			most := uint64(0)
			n := 0
			visit := func(*event.Event) error {
				if n++; n%50_000 == 0 {
					runtime.ReadMemStats(&after)
					most = max(most, after.HeapAlloc)
				}
				return nil
			}
			skips := 0
			err := Read(in, Options{Skip: func(int64, event.Skip) { skips++ }}, visit)
			runtime.ReadMemStats(&after)
			if most = max(most, after.HeapAlloc); most > before.HeapAlloc+100<<20 {
				t.Errorf("%d MB", (most-before.HeapAlloc)>>20)
			}
			if n == 0 && skips == 0 && err == nil && name != "lines only" && name != "headers only" {
				t.Error("nothing was read and nothing was said")
			}
		})
	}
}

// Random damage never makes an event out of nothing, never a panic.
func TestDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, text := range tenFiles(t) {
		for range 20 {
			b := encodings[[]string{"utf-8", "utf-16le"}[r.IntN(2)]](text)
			for range 1 + r.IntN(20) {
				switch i := r.IntN(len(b)); r.IntN(3) {
				case 0:
					b[i] = byte(r.IntN(256))
				case 1:
					b = slices.Delete(b, i, min(len(b), i+1+r.IntN(50)))
				default:
					b = slices.Insert(b, i, []byte("\",\r\n{}[]:;\x00")[r.IntN(11)])
				}
			}
			events, _ := readAll(t, string(b), Options{})
			for _, e := range events {
				checkEvent(t, e)
			}
			if len(events) > 40 {
				t.Errorf("%s: %d events of damaged ten messages", name, len(events))
			}
		}
	}
}
