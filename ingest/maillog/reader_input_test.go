package maillog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"

	"github.com/postroad/postroad/event"
)

var november = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// everything reads a log and keeps what a reader says.
func everything(t testing.TB, r io.Reader, o ReaderOptions) (lines []string, skips map[event.Skip]int, err error) {
	t.Helper()
	skips = make(map[event.Skip]int)
	if o.Now.IsZero() {
		o.Now = november
	}
	o.Skip = func(_ int64, why event.Skip) { skips[why]++ }
	err = NewReader(r, o).Each(func(l *Line, _ []byte) error {
		lines = append(lines, brief(l))
		return nil
	})
	return lines, skips, err
}

const small = `Jan 22 09:10:11 mx1 postfix/smtpd[10]: 4T6X0z3kWqz9vB: client=laptop.example.net[192.0.2.8]
Jan 22 09:10:11 mx1 postfix/cleanup[11]: 4T6X0z3kWqz9vB: message-id=<m1@example.org>
Jan 22 09:10:11 mx1 postfix/qmgr[9]: 4T6X0z3kWqz9vB: from=<søren😀@example.org>, size=1234, nrcpt=2 (queue active)
Jan 22 09:10:12 mx1 postfix/smtp[12]: 4T6X0z3kWqz9vB: to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=0.7, delays=0.1/0/0.4/0.2, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4T6X103kWqz9vC)
Jan 22 09:10:12 mx1 postfix/qmgr[9]: 4T6X0z3kWqz9vB: removed
`

func utf16Log(s string, order binary.ByteOrder, mark bool) []byte {
	var b []byte
	units := utf16.Encode([]rune(s))
	if mark {
		units = append([]uint16{0xfeff}, units...)
	}
	for _, u := range units {
		var two [2]byte
		order.PutUint16(two[:], u)
		b = append(b, two[:]...)
	}
	return b
}

// The same log in every dress says the same.
func TestEncodings(t *testing.T) {
	want, _, _ := everything(t, strings.NewReader(small), ReaderOptions{})
	if len(want) != 1 || !strings.Contains(want[0], "from=søren😀@example.org id=m1@example.org client=laptop.example.net") {
		t.Fatalf("got %q", want)
	}
	for name, log := range map[string][]byte{
		"UTF-16LE":           utf16Log(small, binary.LittleEndian, true),
		"UTF-16BE":           utf16Log(small, binary.BigEndian, true),
		"UTF-16LE, no mark":  utf16Log(small, binary.LittleEndian, false),
		"UTF-16BE, no mark":  utf16Log(small, binary.BigEndian, false),
		"UTF-16, cut":        append(utf16Log(small, binary.LittleEndian, true), 'x'),
		"UTF-8 with a mark":  []byte("\ufeff" + small),
		"CRLF":               []byte(strings.ReplaceAll(small, "\n", "\r\n")),
		"UTF-16, CRLF":       utf16Log(strings.ReplaceAll(small, "\n", "\r\n"), binary.LittleEndian, true),
		"no last line end":   []byte(strings.TrimSuffix(small, "\n")),
		"NULs in front":      append(make([]byte, 300<<10), small...),
		"NULs behind":        append([]byte(small), make([]byte, 300<<10)...),
		"NULs in the middle": []byte(strings.Replace(small, "\n", "\n"+strings.Repeat("\x00", 5000), 2)),
		"empty lines":        []byte(strings.ReplaceAll(small, "\n", "\n\n \n")),
	} {
		for dress, r := range map[string]io.Reader{
			"whole": bytes.NewReader(log), "by bytes": iotest.OneByteReader(bytes.NewReader(log)),
			"halves": iotest.HalfReader(bytes.NewReader(log)), "end with data": iotest.DataErrReader(bytes.NewReader(log)),
		} {
			got, skips, err := everything(t, r, ReaderOptions{})
			if err != nil || !reflect.DeepEqual(got, want) || len(skips) > 0 && name != "UTF-16, cut" {
				t.Errorf("%s, %s: %q, skipped %v, error %v", name, dress, got, skips, err)
			}
			if !Sniff(log[:min(len(log), 400<<10)]) {
				t.Errorf("%s: not recognised", name)
			}
		}
	}
	ascii := strings.NewReplacer("ø", "o", "😀", "").Replace(small)
	mixed := append([]byte(ascii), utf16Log(strings.ReplaceAll(ascii, "4T6X", "4T7X"), binary.LittleEndian, false)...)
	got, skips, err := everything(t, bytes.NewReader(mixed), ReaderOptions{})
	if err != nil || len(got) != 2 || len(skips) > 0 || !strings.Contains(got[1], "4T7X0z3kWqz9vB to=a@example.com #1 delivered,final stage=final from=soren@example.org id=m1@example.org client=laptop") {
		t.Errorf("UTF-16 added to a file: %q, skipped %v, %v", got, skips, err)
	}
}

// zeros is an endless supply of one byte.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestBadInput(t *testing.T) {
	garbage := make([]byte, 1<<20)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range garbage {
		garbage[i] = byte(rnd.Uint32())
	}
	for name, test := range map[string]struct {
		in    io.Reader
		lines int
		want  event.Skip
	}{
		"nothing":        {strings.NewReader(""), 0, event.SkipEmpty},
		"one long line":  {io.LimitReader(endless('x'), 200<<20), 0, event.SkipLong},
		"long, then log": {io.MultiReader(io.LimitReader(endless('x'), 1<<20), strings.NewReader("\n"+small)), 1, event.SkipLong},
		"log, then long": {io.MultiReader(strings.NewReader(small), io.LimitReader(endless('x'), 1<<20)), 1, event.SkipLong},
		"zeros":          {io.LimitReader(endless(0), 10<<20), 0, event.SkipEmpty},
		"garbage":        {bytes.NewReader(garbage), 0, event.SkipUnknown},
		"bare CR":        {strings.NewReader(strings.ReplaceAll(small, "\n", "\r")), 1, ""},
		"30 February":    {strings.NewReader(small + strings.ReplaceAll(small, "Jan 22", "Feb 30")), 1, event.SkipStamp},
		"2024-02-30":     {strings.NewReader(small + strings.Replace(small, "Jan 22 09:10:12", "2024-02-30T09:10:12Z", 1)), 1, event.SkipStamp},
		"words":          {strings.NewReader("these are\nonly some words\n"), 0, event.SkipUnknown},
		"cut": {strings.NewReader(small + "Jan 22 09:10:13 mx1 postfix/smtp[12]: 4T6X0z3kWqz9vD: to=<a@example.com>, relay=mx.exam"), 1,
			event.SkipCut},
		"cut NULs": {strings.NewReader(small + "Jan 22 09:10:13 mx1 post\x00\x01\x00\x00\x00\x01\x00\x00"), 1, ""},
		"binary":   {strings.NewReader(small + "x\x00\x01yz some garbage of many bytes\n"), 1, event.SkipBinary},
	} {
		got, skips, err := everything(t, test.in, ReaderOptions{})
		if err != nil || len(got) != test.lines || skips[test.want] == 0 && test.want != "" {
			t.Errorf("%s: %d lines, skipped %v, error %v", name, len(got), skips, err)
		}
	}
	broken := errors.New("the disk is gone")
	got, _, err := everything(t, io.MultiReader(strings.NewReader(small), iotest.ErrReader(broken)), ReaderOptions{})
	if !errors.Is(err, broken) || len(got) != 1 {
		t.Errorf("%d lines, error %v", len(got), err)
	}
	stop := errors.New("stop")
	if err := NewReader(strings.NewReader(small), ReaderOptions{}).Each(func(*Line, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the visitor's error came out as %v", err)
	}
	if err := NewReader(stuck{}, ReaderOptions{}).Each(nil); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a stream that gives nothing: %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// years writes a log with lines every step from one day to another, without
// years, and says what year each is of.
func years(from, to time.Time, step time.Duration) string {
	var b strings.Builder
	for at := from; at.Before(to); at = at.Add(step) {
		if at.Month() == 2 && at.Day() == 29 && at.Hour() > 0 && step < time.Hour {
			continue // a day that is not easy to find
		}
		fmt.Fprintf(&b, "%s mx1 postfix/qmgr[1]: warning: nothing of %d\n", at.Format(time.Stamp), at.Year())
		fmt.Fprintf(&b, "%s mx1 postfix/smtp[1]: 4T6X0z3kWqz9vB: to=<u%d@example.com>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, status=deferred (connect to mx.example.com[192.0.2.1]:25: Connection refused)\n",
			at.Format(time.Stamp), at.Unix())
	}
	return b.String()
}

// TestYears gives every line the year that it is of, in files of all sizes.
func TestYears(t *testing.T) {
	zone := rome(t)
	day := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 1, 0, zone) }
	for name, test := range map[string]struct {
		from, to, modified time.Time
		step               time.Duration
		seek               bool
		year               int
	}{
		"a week over New Year":        {day(2024, 12, 28), day(2025, 1, 4), day(2025, 1, 4), 10 * time.Minute, false, 0},
		"a calendar year":             {day(2025, 1, 1), day(2026, 1, 1), day(2026, 1, 1), 3 * time.Hour, false, 0},
		"three years, small":          {day(2022, 3, 1), day(2025, 3, 5), day(2025, 3, 5), 41 * time.Hour, false, 0},
		"three years, read whole":     {day(2022, 3, 1), day(2025, 3, 5), day(2025, 3, 5), 6 * time.Hour, true, 0},
		"four years, probed":          {day(2021, 6, 1), day(2025, 3, 5), day(2025, 3, 6), 2 * time.Hour, true, 0},
		"a leap day, probed":          {day(2024, 1, 10), day(2024, 5, 5), time.Time{}, 4 * time.Minute, true, 0},
		"the file is of today":        {day(2026, 11, 1), day(2026, 11, 21), time.Time{}, time.Hour, false, 0},
		"a time that is not known":    {day(2025, 12, 1), day(2026, 2, 1), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), time.Hour, false, 0},
		"the year is given":           {day(2019, 12, 1), day(2020, 2, 1), day(2026, 11, 1), time.Hour, false, 2019},
		"the year is given, and long": {day(2018, 12, 1), day(2021, 3, 1), day(2026, 11, 1), 4 * time.Hour, false, 2018},
	} {
		log := years(test.from, test.to, test.step)
		o := ReaderOptions{Modified: test.modified, Now: november, Year: test.year, Zone: zone}
		if test.seek {
			o.At, o.Size = strings.NewReader(log), int64(len(log))
		}
		n, wrong := 0, 0
		o.Skip = func(line int64, why event.Skip) { t.Errorf("%s: line %d: %s", name, line, why) }
		err := NewReader(strings.NewReader(log), o).Each(func(l *Line, _ []byte) error {
			if want := fmt.Sprintf("u%d@example.com", l.Time.Unix()); l.Attempt.Recipient != want {
				if wrong++; wrong == 1 {
					t.Errorf("%s: %s is of %v", name, want, l.Time)
				}
			}
			n++
			return nil
		})
		if err != nil || n != strings.Count(log, "status=") {
			t.Errorf("%s: %d lines, error %v", name, n, err)
		}
		if wrong > 1 {
			t.Errorf("%s: %d of %d lines wrong (%d bytes)", name, wrong, n, len(log))
		}
	}
}

// A stream of several years cannot be looked at from its end: the first year may
// come out too late. That is said, and the lines after it are right.
func TestYearsOfStream(t *testing.T) {
	log := years(time.Date(2023, 6, 1, 0, 0, 1, 0, time.UTC), time.Date(2025, 3, 5, 0, 0, 0, 0, time.UTC), time.Hour)
	told, last := 0, time.Time{}
	o := ReaderOptions{Modified: time.Date(2025, 3, 5, 0, 0, 0, 0, time.UTC), Now: november, Skip: func(_ int64, why event.Skip) {
		if why == event.SkipStamp {
			told++
		}
	}}
	if err := NewReader(strings.NewReader(log), o).Each(func(l *Line, _ []byte) error {
		last = l.Time
		if want := fmt.Sprintf("u%d@example.com", l.Time.Unix()); told > 0 && l.Attempt.Recipient != want {
			t.Fatalf("%s is of %v", l.Attempt.Recipient, l.Time)
		}
		if l.Time.After(november) {
			t.Fatalf("a line in the future: %v", l.Time)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if told != 1 || last.Format(time.DateOnly) != "2025-03-04" {
		t.Errorf("told %d times, the last line is of %v", told, last)
	}
}

// TestSameAsParseLine holds the fast way against the slow one: the reader says of
// each line what ParseLine says, and more.
func TestSameAsParseLine(t *testing.T) {
	logs := map[string]string{
		"generated":         string(generate(7, 500, time.Stamp)),
		"generated Exim":    string(generateExim(9, 300)),
		"generated RFC3339": string(generate(8, 500, "2006-01-02T15:04:05.000000-07:00")),
	}
	examples, _ := filepath.Glob("../../examples/*.log")
	cases, _ := filepath.Glob("testdata/reader/*.txt")
	for _, file := range append(examples, cases...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		logs[filepath.Base(file)] = string(raw)
	}
	raw, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	var single []string
	for line := range strings.SplitSeq(string(raw), "\n") {
		if s, ok := strings.CutPrefix(line, "> "); ok {
			single = append(single, s)
		}
	}
	logs["lines.txt"] = strings.Join(single, "\n")
	if dir := "../../../shared/corpus/postfix-log"; len(logs) > 0 {
		files, _ := filepath.Glob(filepath.Join(dir, "*", "test", "*.yaml"))
		var lines []string
		for _, file := range files {
			_, data, _ := readCase(t, file)
			lines = append(lines, data)
		}
		logs["corpus"] = strings.Join(lines, "\n")
	}
	for name, log := range logs {
		compare(t, name, log)
	}
}

// bare is what ParseLine says, without what a reader adds or leaves out.
func bare(l Line) string {
	a := *l.Attempt
	a.Sender, a.MessageID, a.Client, a.ClientIP, a.User, a.Number, a.Durations = "", "", "", "", "", 0, nil
	if l.Origin.Format != FormatPostfix || l.Kind == KindSession {
		a.SenderDomain = ""
	}
	if l.Direction == Outbound {
		a.SenderDomain = ""
	}
	l.Attempt = &a
	l.Time = l.Time.UTC()
	return strings.ReplaceAll(dump(l), "-0001-11-30", "") // a time of its own
}

func compare(t *testing.T, name, log string) {
	t.Helper()
	want := map[string][]string{}
	for line := range strings.SplitSeq(log, "\n") {
		line = strings.TrimRight(line, "\r")
		if l, ok := ParseLine(line, 2024, time.UTC); ok {
			l.Attempt = clone(l)
			if l.Origin.Format == FormatQmail {
				l.Attempt.Recipient, l.Attempt.QueueID = "", ""
			}
			want[line] = append(want[line], bare(l))
		}
	}
	o := ReaderOptions{Year: 2024, Now: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)}
	_ = NewReader(strings.NewReader(log), o).Each(func(l *Line, raw []byte) error {
		line := string(raw)
		list, ok := want[line]
		if l.Kind == KindExpired && l.Attempt.Recipient != "" {
			delete(want, line)
			return nil // of another line
		}
		if !ok {
			t.Errorf("%s: the reader alone understands %s", name, line)
			return nil
		}
		c := *l
		c.room = nil
		c.Attempt = clone(*l)
		if c.Origin.Format == FormatQmail {
			c.Attempt.Recipient, c.Attempt.QueueID = "", ""
		}
		got := bare(c)
		if len(list) == 0 || got != list[0] && sameButTime(got, list[0]) != "" {
			t.Errorf("%s: %s\ngot\n%s\nwant\n%s", name, line, got, list)
			return nil
		}
		if want[line] = list[1:]; len(list) == 1 {
			delete(want, line)
		}
		return nil
	})
	for line, list := range want {
		if len(list) > 0 && !impossible(line) {
			t.Errorf("%s: the reader leaves out %s", name, line)
		}
	}
}

func clone(l Line) *event.Attempt {
	a := *l.Attempt
	return &a
}

// impossible lines have a time that the reader leaves out.
func impossible(line string) bool {
	l, _ := ParseLine(line, 2024, time.UTC)
	return !l.Time.IsZero() && l.Time.Year() < firstYear
}

// sameButTime compares two dumps without the year, which follows from the lines
// before: lines that were thrown together have no order.
func sameButTime(a, b string) string {
	cut := func(s string) string {
		i := strings.Index(s, "time: ")
		if i < 0 {
			return s
		}
		return s[:i+6] + s[i+10:]
	}
	if cut(a) == cut(b) {
		return ""
	}
	return cut(a) + "\n" + cut(b)
}

// A log that is ten times as long takes no more memory, and nothing is allocated
// for its lines.
func TestNothingIsAllocatedForALine(t *testing.T) {
	log := generate(3, 1000, time.Stamp)
	allocs := func(times int) float64 {
		text := bytes.Repeat(log, times)
		return testing.AllocsPerRun(2, func() {
			if err := NewReader(bytes.NewReader(text), ReaderOptions{Year: 2024, Now: november}).Each(func(*Line, []byte) error { return nil }); err != nil {
				t.Fatal(err)
			}
		})
	}
	if one, ten := allocs(1), allocs(10); ten > one+10 {
		t.Errorf("%.0f allocations for %d lines, %.0f for ten times as many", one, bytes.Count(log, []byte{'\n'}), ten)
	}
}

// TestJoinIsBounded has more to remember than there is room for.
func TestJoinIsBounded(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	j := NewJoin()
	j.limit = 60_000
	const n = 150_000
	read := 0
	r := NewReader(&supply{n: n}, ReaderOptions{Join: j, Now: november})
	if err := r.Each(func(l *Line, _ []byte) error {
		read++
		if !strings.HasSuffix(l.Attempt.MessageID, "@example.org") || l.Attempt.Number != 1 {
			t.Fatalf("the newest message is not known: %s", brief(l))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if grown > 45<<20 || read != n {
		t.Errorf("%d lines, the join takes %d MB", read, grown>>20)
	}
	if len(j.index) != j.live || j.live > j.limit || j.live < j.limit/2 || len(j.rcpts) != j.wlive || len(j.texts.chunks) > maxTexts {
		t.Errorf("%d messages, %d in the index; %d recipients, %d in the index; %d chunks", j.live, len(j.index), j.wlive, len(j.rcpts), len(j.texts.chunks))
	}
	ring := 0
	for i := j.at(0).newer; i != 0 && ring <= j.live; i = j.at(i).newer {
		ring++
	}
	if ring != j.live {
		t.Errorf("%d of %d messages in the ring", ring, j.live)
	}
	for i := j.at(0).newer; i != 0; i = j.at(0).newer {
		j.evict()
	}
	free := 0
	for size, id := range j.texts.free {
		for ; id != 0; id = binary.LittleEndian.Uint32(j.texts.slot(id)) {
			free += slotUnit << size
		}
	}
	if j.live != 0 || j.wlive != 0 || free != len(j.texts.chunks)*chunkSize {
		t.Errorf("all forgotten: %d messages, %d recipients, %d of %d bytes free", j.live, j.wlive, free, len(j.texts.chunks)*chunkSize)
	}
}

// supply is a log of n messages that never leave the queue.
type supply struct {
	n, at int
	left  []byte
}

func (s *supply) Read(p []byte) (int, error) {
	for len(s.left) == 0 {
		if s.at == s.n {
			return 0, io.EOF
		}
		s.left = fmt.Appendf(s.left[:0], "2024-01-22T09:10:11Z mx1 postfix/cleanup[1]: %010XF: message-id=<a-rather-long-message-id-as-programs-make.%d@example.org>\n"+
			"2024-01-22T09:10:11Z mx1 postfix/smtp[1]: %010XF: to=<u@example.com>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, status=deferred (connect to mx.example.com[192.0.2.1]:25: Connection refused)\n",
			s.at, s.at, s.at)
		s.at++
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

func TestSniff(t *testing.T) {
	exim := "2024-01-22 09:10:11 Start queue run: pid=14\n2024-01-22 09:10:11 1rRabc-0001Ab-2C <= a@example.org H=h [192.0.2.1] P=smtp S=1\n"
	for name, test := range map[string]struct {
		head string
		want bool
	}{
		"postfix":        {small, true},
		"exim":           {exim, true},
		"other programs": {"Jan 22 09:10:11 mx1 dovecot: imap-login: Login: user=<a>\nJan 22 09:10:11 mx1 opendkim[12]: ready\nJan 22 09:10:12 mx1 systemd[1]: Started x\n", true},
		"no stamps":      {"4T6X0z3kWqz9vB: to=<a@example.com>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, status=deferred (x)\n", true},
		"kumo":           {`{"type":"Delivery","id":"x","sender":"a@b","recipient":"c@d","response":{"code":250,"content":"ok"},"timestamp":1705914611}` + "\n", true},
		"qmail": {"@4000000065ae2f3d0c1d2e3c new msg 123\n@4000000065ae2f3d0c1d2e3c info msg 123: bytes 4 from <a@b> qp 7 uid 6\n" +
			"@4000000065ae2f3d0c1d2e3c starting delivery 3: msg 123 to remote b@example.com\n@4000000065ae2f3d0c1d2e3c status: local 0/10 remote 1/20\n", true},
		"nothing":          {"", false},
		"words":            {"Dear all,\nthe mail did not arrive\n", false},
		"a message":        {"Received: from a (b [192.0.2.1]) by c; Mon, 22 Jan 2024 09:10:11 +0100\nSubject: x\nFrom: a@b\n\nlook at this:\n" + small[:200] + "\nwhat is it?\n", false},
		"mbox":             {"From a@b Mon Jan 22 09:10:11 2024\nSubject: x\n\nx\n", false},
		"trace":            {"date_time_utc,sender_address,recipient_address\n2024-01-22T09:10:11.123,a@b,c@d\n2024-01-22T09:10:12.123,a@b,c@d\n", false},
		"tracking log":     {"#Software: Microsoft Exchange Server\n#Fields: date-time,client-ip\n2024-01-22T09:10:11.123Z,192.0.2.1,x,192.0.2.2\n2024-01-22T09:10:11.123Z,192.0.2.1,x,192.0.2.2\n2024-01-22T09:10:11.123Z,192.0.2.1,x,192.0.2.2\n", false},
		"JSON of another":  {`{"event":"delivered","timestamp":1705914611,"recipient":"a@b"}` + "\n", false},
		"a queue":          {"-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n4T6X0z3kWqz9vB     1234 Mon Jan 22 09:10:11  a@example.org\n(connect to mx.example.com[192.0.2.1]:25: Connection refused)\n                                         b@example.com\n", false},
		"an exim queue":    {"25m  2.9K 1rRabc-0001Ab-2C <a@example.org>\n          b@example.com\n", false},
		"zeros":            {string(make([]byte, 1000)), false},
		"half a line only": {small[:60], true},
	} {
		if got := Sniff([]byte(test.head)); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// FuzzReader holds for any input: no panic, no more events of a line than it
// names or is waited for, every line counted once, the join in order.
func FuzzReader(f *testing.F) {
	f.Add([]byte(small), uint8(0))
	f.Add(utf16Log(small, binary.LittleEndian, true), uint8(1))
	files, _ := filepath.Glob("testdata/reader/*.txt")
	for i, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, uint8(i))
	}
	f.Fuzz(func(t *testing.T, log []byte, how uint8) {
		Sniff(log)
		j := NewJoin()
		j.limit, j.texts.limit = 3+int(how%5), slotSizes
		o := ReaderOptions{Join: j, Now: november, Modified: november}
		if how&16 != 0 {
			o.At, o.Size = bytes.NewReader(log), int64(len(log))
		}
		if how&32 != 0 {
			o.Year = 2024
		}
		if how&64 != 0 {
			o.Zone = rome(t)
		}
		lines, skipped := int64(bytes.Count(log, []byte{'\n'})+1), int64(0)
		o.Skip = func(line int64, _ event.Skip) {
			if skipped++; line < 0 || line > lines {
				t.Fatalf("line %d of %d left out", line, lines)
			}
		}
		events := int64(0)
		if err := NewReader(bytes.NewReader(log), o).Each(func(l *Line, raw []byte) error {
			if events++; l.Part == 0 && l.Kind == KindExpired {
				events-- // counted by its recipients, which were lines of their own
			}
			if len(raw) > MaxLine || !l.Time.IsZero() && l.Time.After(november.Add(49*time.Hour)) {
				t.Fatalf("%d bytes of %v", len(raw), l.Time)
			}
			if l.Attempt == nil || l.Kind == "" || l.Origin.Format == "" || l.Origin.Grade != event.GradeLog {
				t.Fatalf("not filled: %+v", l)
			}
			_ = brief(l)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if events > 2*lines || skipped > lines+2 {
			t.Fatalf("%d events and %d left out of %d lines", events, skipped, lines)
		}
		if len(j.index) != j.live || j.live > j.limit || len(j.rcpts) != j.wlive {
			t.Fatalf("%d messages, %d in the index, %d recipients, %d in the index", j.live, len(j.index), j.wlive, len(j.rcpts))
		}
	})
}
