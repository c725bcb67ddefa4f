package queue

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"

	"github.com/postroad/postroad/event"
)

var update = flag.Bool("update", false, "write the answers into testdata instead of comparing them")

var written = time.Date(2024, 2, 1, 12, 0, 0, 0, time.UTC)

// shown writes an item with what it has.
func shown(m Item) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: %s <%s> -> <%s>", m.Line, m.QueueID, m.Sender, m.Recipient)
	for _, v := range []struct{ name, value string }{{"hop", m.NextHop}, {"host", m.RemoteHost}, {"ip", m.RemoteIP}} {
		if v.value != "" {
			fmt.Fprintf(&b, " %s=%s", v.name, v.value)
		}
	}
	for _, v := range []struct {
		name  string
		value time.Time
	}{{"arrived", m.Arrived}, {"tried", m.LastRetry}, {"next", m.NextRetry}} {
		if !v.value.IsZero() {
			fmt.Fprintf(&b, " %s=%s", v.name, v.value.Format(time.RFC3339))
		}
	}
	if m.Size != 0 {
		fmt.Fprintf(&b, " size=%d", m.Size)
	}
	if m.Held {
		b.WriteString(" held")
	}
	if m.Active {
		b.WriteString(" active")
	}
	if m.Retrying {
		b.WriteString(" retrying")
	}
	if m.Count != 1 {
		fmt.Fprintf(&b, " count=%d", m.Count)
	}
	if m.Reason != "" {
		fmt.Fprintf(&b, " reason=%q", m.Reason)
	}
	return b.String()
}

// answer reads a listing and gives what came of it, a line for each item and skip.
func answer(t *testing.T, r io.Reader) (items, skips []string) {
	t.Helper()
	o := Options{Modified: written, Skip: func(line int64, why event.Skip) { skips = append(skips, fmt.Sprintf("%d: left out: %s", line, why)) }}
	if err := Read(r, o, func(m Item) error {
		items = append(items, shown(m))
		return nil
	}); err != nil {
		t.Error(err)
	}
	return items, skips
}

// inputs are the listings of testdata by name.
func inputs(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.in")
	if err != nil || len(files) < 10 {
		t.Fatal(err, files)
	}
	all := map[string][]byte{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".in")] = b
	}
	return all
}

func TestListings(t *testing.T) {
	for name, b := range inputs(t) {
		t.Run(name, func(t *testing.T) {
			format, ok := Sniff(b)
			items, skips := answer(t, bytes.NewReader(b))
			got := fmt.Sprintf("%s %v\n%s\n", format, ok, strings.Join(append(items, skips...), "\n"))
			file := "testdata/" + name + ".want"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for how, other := range map[string]io.Reader{
				"with CR":       bytes.NewReader(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))),
				"with BOM":      bytes.NewReader(append([]byte("\xef\xbb\xbf"), b...)),
				"UTF-16":        bytes.NewReader(utf16Of("\ufeff"+string(b), 0)),
				"UTF-16BE":      bytes.NewReader(utf16Of("\ufeff"+string(b), 1)),
				"UTF-16 bare":   bytes.NewReader(utf16Of(string(b), 0)),
				"UTF-16BE bare": bytes.NewReader(utf16Of(string(b), 1)),
				"byte by byte":  iotest.OneByteReader(bytes.NewReader(b)),
			} {
				again, left := answer(t, other)
				if strings.Join(again, "\n") != strings.Join(items, "\n") || strings.Join(left, "\n") != strings.Join(skips, "\n") {
					t.Errorf("%s it reads\n%s\n%s", how, strings.Join(again, "\n"), strings.Join(left, "\n"))
				}
			}
		})
	}
}

func utf16Of(s string, big int) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		two := []byte{byte(u), byte(u >> 8)}
		b = append(b, two[big], two[1-big])
	}
	return b
}

// What is cut gives what stood before the cut, and nothing that did not stand there.
func TestCut(t *testing.T) {
	for name, b := range inputs(t) {
		switch name {
		case "postfix", "postfix-json", "postfix-json-jq", "exchange-csv", "exchange-json":
		default: // their last line may be any part of what it was
			continue
		}
		whole, _ := answer(t, bytes.NewReader(b))
		for n := range b {
			items, skips := answer(t, bytes.NewReader(b[:n]))
			if len(items) > len(whole) {
				t.Fatalf("%s: %d items of the first %d bytes", name, len(items), n)
			}
			for i, item := range items {
				if item != whole[i] {
					t.Fatalf("%s, first %d bytes:\n%s\nof\n%s\n%v", name, n, item, whole[i], skips)
				}
			}
			if _, ok := Sniff(b[:n]); ok && name == "postfix" && n < bytes.Index(b, []byte("\n-- ")) && len(skips) == 0 {
				t.Fatalf("%s: nothing says that the first %d bytes are cut", name, n)
			}
		}
	}
}

func TestNoListings(t *testing.T) {
	for name, text := range map[string]string{
		"a log":            "Jan 22 09:10:00 mx postfix/smtp[1]: 3A2F1C0A7E: to=<a@example.com>, status=sent (250 ok)\n",
		"an Exim log":      "2024-01-22 09:10:00 1rRn2Q-0001Ab-2C <= a@example.com H=x [192.0.2.1] P=esmtp S=834\n",
		"a mail":           "Received: from x\nSubject: queue\n\n-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n",
		"a trace":          "\"message_trace_id\",\"sender_address\",\"Status\",\"Size\"\n",
		"a tracking log":   "#Fields: date-time,client-ip,server-ip,source,event-id,recipient-status,message-id\n",
		"JSON":             "{\"event\":\"delivered\",\"recipient\":\"a@example.com\"}\n",
		"nothing":          "",
		"binary":           "\x00\x01\x02\x03\xff\xfe",
		"a KumoMTA log":    `{"type":"Delivery","id":"x","sender":"a","recipient":"b","queue":"example.com"}`,
		"Get-MessageTrace": "Received            SenderAddress    RecipientAddress  Subject  Status\n--------  -------------\n",
	} {
		if format, ok := Sniff([]byte(text)); ok {
			t.Errorf("%s is taken for %s", name, format)
		}
		items, skips := answer(t, strings.NewReader(text))
		if len(items) != 0 || text != "" && (len(skips) != 1 || skips[0] != "0: left out: not-recognised") {
			t.Errorf("%s: %v %v", name, items, skips)
		}
	}
}

func TestEmptyQueues(t *testing.T) {
	for _, text := range []string{
		"Mail queue is empty\n", "$ mailq\nMail queue is empty\n", "/var/spool/mqueue is empty\n\t\tTotal requests: 0\n",
		"Identity DeliveryType Status MessageCount NextHopDomain\n-------- ------------ ------ ------------ -------------\nEX01\\Submission Undefined Ready 0 Submission\n",
	} {
		if _, ok := Sniff([]byte(text)); !ok {
			t.Errorf("%q is no listing", text)
		}
		if items, skips := answer(t, strings.NewReader(text)); len(items)+len(skips) != 0 {
			t.Errorf("%q: %v %v", text, items, skips)
		}
	}
}

func TestYears(t *testing.T) {
	for _, c := range []struct{ written, stamp, want string }{
		{"2024-02-01T00:00:00Z", "Mon Jan 22 09:10:00", "2024-01-22T09:10:00Z"},
		{"2024-01-01T00:05:00Z", "Sun Dec 31 23:59:59", "2023-12-31T23:59:59Z"},
		{"2023-12-31T23:00:00Z", "Mon Jan  1 00:30:00", "2024-01-01T00:30:00Z"}, // the clock is in another zone
		{"2026-01-01T00:00:00Z", "Mon Jan 22 09:10:00", "2024-01-22T09:10:00Z"}, // the file was copied later
		{"2024-03-05T00:00:00Z", "Thu Feb 29 09:10:00", "2024-02-29T09:10:00Z"},
		{"2024-02-01T00:00:00Z", "Wed Jan 31 09:10", "2024-01-31T09:10:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, c.written)
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Now: at, Zone: time.UTC}
		if got, ok := o.ctime(c.stamp); !ok || got.Format(time.RFC3339) != c.want {
			t.Errorf("%s in a listing of %s is %s", c.stamp, c.written, got)
		}
	}
}

func TestLocalTimes(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no zone data here: ", err)
	}
	o := Options{Zone: berlin}
	for in, want := range map[string]string{
		"1/22/2024 9:10:00 AM":              "2024-01-22T08:10:00Z",
		"1/2/2024 12:10:00 AM":              "2024-01-01T23:10:00Z",
		"1/2/2024 1:10:00\u202fPM":          "2024-01-02T12:10:00Z",
		"02/01/2024 13:10:00":               "2024-01-02T12:10:00Z",
		"22.01.2024 09:10:00":               "2024-01-22T08:10:00Z",
		"22.07.2024 09:10":                  "2024-07-22T07:10:00Z",
		"2024-01-22 09:10:00":               "2024-01-22T08:10:00Z",
		"2024-01-22T09:10:00Z":              "2024-01-22T09:10:00Z",
		"2024-01-22T09:10:00.1234567+01:00": "2024-01-22T08:10:00Z",
		"/Date(1705914600000)/":             "2024-01-22T09:10:00Z",
		"/Date(1705914600000+0100)/":        "2024-01-22T09:10:00Z",
		"22/01/2024 9:10:00 p. m.":          "2024-01-22T20:10:00Z",
		"":                                  "", "never": "", "1.2.3": "", "40.13.2024 10:00:00": "", "/Date(x)/": "", "1/1/0001 12:00:00 AM": "",
	} {
		got := o.local(in)
		if s := got.Truncate(time.Second).Format(time.RFC3339); got.IsZero() && want != "" || !got.IsZero() && s != want {
			t.Errorf("%q is %s, want %s", in, s, want)
		}
	}
}

func TestBounds(t *testing.T) {
	head := "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n3A2F1C0A7E     2345 Mon Jan 22 09:10:00  a@bakery.example\n"
	_, skips := answer(t, strings.NewReader(head+strings.Repeat("x", 3<<20)+"\n          a@example.com\n-- 1 Kbytes in 1 Request.\n"))
	if fmt.Sprint(skips) != "[3: left out: long-line]" {
		t.Error(skips)
	}
	object := `{"queue_name": "active", "queue_id": "C2C4D6E8F0", "sender": "a", "recipients": []}` + "\n"
	big := `{"queue_name": "active", "queue_id": "C2C4D6E8F0", "sender": "` + strings.Repeat("x", 17<<20) + `"}` + "\n"
	items, skips := answer(t, strings.NewReader(object+big+object))
	if len(items) != 2 || fmt.Sprint(skips) != "[2: left out: long-line]" {
		t.Error(len(items), skips)
	}
	// A bracket that nobody closes ends.
	items, _ = answer(t, strings.NewReader(head+strings.Repeat("(open\n", 100)+"      a@example.com\n-- 1 Kbytes in 1 Request.\n"))
	if len(items) != 1 {
		t.Errorf("%d items", len(items))
	}
	fault := errors.New("input/output error")
	for _, b := range inputs(t) {
		if err := Read(io.MultiReader(bytes.NewReader(b), iotest.ErrReader(fault)), Options{}, func(Item) error { return nil }); !errors.Is(err, fault) {
			t.Errorf("the reader's error came as %v", err)
		}
		stop := errors.New("stop")
		n := 0
		err := Read(bytes.NewReader(b), Options{Now: written}, func(Item) error { n++; return stop })
		if n > 1 || n == 1 && !errors.Is(err, stop) {
			t.Errorf("%d visits, then %v", n, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, b := range inputs(f) {
		f.Add(b)
		f.Add(utf16Of(string(b), 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		lines := int64(bytes.Count(b, []byte("\n"))) + int64(bytes.Count(b, []byte("\n\x00"))) + int64(bytes.Count(b, []byte("\x00\n"))) + 2
		n, skips := 0, 0
		o := Options{Now: written, Skip: func(line int64, why event.Skip) {
			if skips++; line < 0 || line > lines || why == "" {
				t.Errorf("left out %q in line %d of %d", why, line, lines)
			}
		}}
		err := Read(bytes.NewReader(b), o, func(m Item) error {
			if n++; m.Line < 1 || m.Line > lines || m.Count < 1 || m.Size < 0 {
				t.Errorf("item %+v of %d lines", m, lines)
			}
			if m.QueueID == "" && m.Recipient == "" && m.NextHop == "" && m.Count == 1 && m.Reason == "" && m.Sender == "" && m.Size == 0 && n < 0 {
				t.Errorf("an empty item in line %d", m.Line)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if _, ok := Sniff(b); !ok && len(b) > 0 && n > 0 {
			t.Errorf("%d items of what is no listing", n)
		}
		if n+skips > len(b)+1 {
			t.Errorf("%d items and %d skips of %d bytes", n, skips, len(b))
		}
	})
}
