package dns

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

func TestMatches(t *testing.T) {
	q := query{name: "a.example", kind: typeMX, edns: 1232}
	packed, err := q.pack(0x1234)
	if err != nil {
		t.Fatal(err)
	}
	good := append([]byte{0x12, 0x34, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, "\x01a\x07example\x00\x00\x0f\x00\x01"...)
	if !matches(packed, good) {
		t.Fatal("the right reply does not match")
	}
	change := func(at int, to byte) []byte {
		other := append([]byte{}, good...)
		other[at] = to
		return other
	}
	for what, reply := range map[string][]byte{
		"id":                 change(1, 0x35),
		"first byte of id":   change(0, 0x13),
		"a query":            change(2, 0x01),
		"a notification":     change(2, 0x81|4<<3),
		"two questions":      change(5, 2),
		"256 questions":      change(4, 1),
		"another name":       change(13, 'b'),
		"another label":      change(12, 2),
		"another type":       change(len(good)-3, 0x10),
		"another class":      change(len(good)-1, 3),
		"cut in the class":   good[:len(good)-1],
		"cut in the header":  good[:11],
		"nothing":            nil,
		"NOERROR, no name":   {0x12, 0x34, 0x81, 0x80, 0, 0, 0, 0, 0, 0, 0, 0},
		"NXDOMAIN, no name":  {0x12, 0x34, 0x81, 0x83, 0, 0, 0, 0, 0, 0, 0, 0},
		"another id, FORMER": {0x12, 0x35, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		if matches(packed, reply) {
			t.Errorf("%s: matches", what)
		}
	}
	for what, reply := range map[string][]byte{
		"upper case":        change(13, 'A'),
		"records behind it": append(change(7, 1), "anything"...),
		"FORMERR, no name":  {0x12, 0x34, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0},
		"REFUSED, no name":  {0x12, 0x34, 0x81, 0x85, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		if !matches(packed, reply) {
			t.Errorf("%s: does not match", what)
		}
	}
}

// The cache keeps within its bounds, and what was used last.
func TestCache(t *testing.T) {
	now := time.Now()
	c := newCache(100, 10_000)
	put := func(i, size int) {
		c.put(&entry{key: key{fmt.Sprint(i), typeA}, size: size, expires: now.Add(time.Minute)})
	}
	has := func(i int) bool { return c.get(key{fmt.Sprint(i), typeA}, now) != nil }
	for i := range 1000 {
		put(i, 10)
		has(0) // is used again and again
	}
	if len(c.entries) != 100 || c.bytes != 1000 || !has(0) || has(1) || has(900) || !has(901) || !has(999) {
		t.Errorf("%d entries of %d bytes", len(c.entries), c.bytes)
	}
	if c.get(key{"0", typeMX}, now) != nil {
		t.Error("an answer for another type")
	}
	for i := range 1000 {
		put(i, 1000)
		if c.bytes > 10_000 {
			t.Fatalf("%d bytes", c.bytes)
		}
	}
	if len(c.entries) != 10 || !has(999) || has(989) {
		t.Errorf("%d entries of %d bytes", len(c.entries), c.bytes)
	}
	put(999, 2000) // larger than an eighth: is not kept, and the old one is gone
	if has(999) || c.bytes != 9000 {
		t.Errorf("%d bytes", c.bytes)
	}
	put(998, 500)
	if !has(998) || c.bytes != 8500 {
		t.Errorf("%d bytes", c.bytes)
	}
	now = now.Add(time.Minute)
	for i := range 1000 {
		if has(i) {
			t.Fatal("an answer that has expired")
		}
	}
	if len(c.entries) != 0 || c.bytes != 0 || c.first != nil || c.last != nil {
		t.Errorf("%d entries of %d bytes are left", len(c.entries), c.bytes)
	}
}

func TestBelow(t *testing.T) {
	for _, c := range []struct {
		name, parent string
		want         bool
	}{
		{"a.example", "example", true},
		{"example", "example", true},
		{"a.example", ".", true},
		{"aexample", "example", false},
		{`a\.example`, "example", false},
		{`a\\.example`, "example", true},
		{`a\\\.example`, "example", false},
		{"example", "a.example", false},
	} {
		if got := below(c.name, c.parent); got != c.want {
			t.Errorf("below(%q, %q) = %v", c.name, c.parent, got)
		}
	}
}

// Names off the wire are written our way: the library escapes more.
func TestReceived(t *testing.T) {
	for in, want := range map[string]string{
		".": ".", "Example.COM.": "example.com", `a\.b.c.`: `a\.b.c`, `a\(b\"\;\@.c.`: `a(b";@.c`, `\\.c.`: `\\.c`,
		`\032\200.c.`: `\032\200.c`, `\ .c.`: `\032.c`, `a\..`: `a\.`, `X\089.c.`: "xy.c",
	} {
		if got := received(in); got != want {
			t.Errorf("received(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTake(t *testing.T) {
	text, err := os.ReadFile("testdata/replies.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for i, block := range strings.Split(string(text), "\n\n") {
		var lines []string
		for line := range strings.Lines(block) {
			if line[0] != '#' {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		if len(lines) == 0 {
			continue
		}
		count++
		t.Run(fmt.Sprint(i), func(t *testing.T) { take(t, lines) })
	}
	if count < 25 {
		t.Errorf("%d cases: the file was cut", count)
	}
}

// take does what a case of testdata/replies.txt says.
func take(t *testing.T, lines []string) {
	question, head, want := strings.Fields(lines[0]), strings.Fields(lines[1]), lines[len(lines)-1]
	m := &message{code: mdns.StringToRcode[head[0]], aa: slices.Contains(head, "aa"), ra: slices.Contains(head, "ra")}
	section := &m.answer
	for _, line := range lines[2 : len(lines)-1] {
		if line == "authority" {
			section = &m.authority
			continue
		}
		rr, err := mdns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		*section = append(*section, rr)
	}
	f := finding{chain: []string{question[1]}, ttl: -1}
	f.take(kind(mdns.StringToType[question[0]]), m)
	got := ""
	if f.fault == "" {
		word, ttl := f.status.String(), "-"
		if f.status == 0 {
			word = "next"
		}
		if f.ttl >= 0 {
			ttl = f.ttl.String()
		}
		got = fmt.Sprintf("> %s %s %s", word, f.chain[len(f.chain)-1], ttl)
		if len(f.records) > 0 {
			got += " @"
		}
		for _, rr := range f.records {
			got += fmt.Sprintf(" %d", 1+slices.Index(m.answer, rr))
		}
	} else {
		got = "> !" + string(f.fault)
		if strings.Contains(f.why, "circle") {
			got += " circle"
		}
	}
	if got != want {
		t.Errorf("%s\ngot  %s (%s)", strings.Join(lines, "\n"), got, f.why)
	}
}

// Names behind a chain are counted over all replies.
func TestTakeOnAndOn(t *testing.T) {
	f := finding{chain: []string{"0.example"}, ttl: -1}
	for i := range 13 {
		if f.fault != "" {
			t.Fatalf("%s after %d", f.why, i)
		}
		rr, err := mdns.NewRR(fmt.Sprintf("%d.example. %d IN CNAME %d.example.", i, 100-i, i+1))
		if err != nil {
			t.Fatal(err)
		}
		f.take(typeA, &message{ra: true, answer: []record{rr}})
		if i < 12 && f.ttl != time.Duration(100-i)*time.Second {
			t.Errorf("TTL %v after %d", f.ttl, i)
		}
	}
	if f.fault != KindChain || len(f.chain) != 13 {
		t.Errorf("%q after %d names", f.fault, len(f.chain))
	}
}

// A message that ends between two records is not a whole one.
func TestReadMessageCounts(t *testing.T) {
	head := "\x12\x34\x81\x80\x00\x01\x00\x03\x00\x00\x00\x00\x01a\x07example\x00\x00\x01\x00\x01"
	a := "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"
	if m, err := readMessage([]byte(head + a + a + a)); err != nil || len(m.answer) != 3 {
		t.Errorf("got %+v, %v", m, err)
	}
	for _, reply := range []string{head, head + a, head + a + a, head + a + a + a[:15]} {
		if m, err := readMessage([]byte(reply)); !errors.Is(err, errMalformed) {
			t.Errorf("%d bytes: %+v, %v", len(reply), m, err)
		}
	}
}

// A record without data is not the empty name: an MX without data is not the
// null MX.
func TestDecodeWithoutData(t *testing.T) {
	head := "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x07example\x00\x00\x0f\x00\x01"
	for rest, ok := range map[string]bool{
		"\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x03\x00\x00\x00": true,
		"\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x00":             false,
	} {
		m, err := readMessage([]byte(head + rest))
		if err != nil {
			t.Fatal(err)
		}
		if values, _, got := decodeMXs(m.answer); got != ok || ok && (len(values) != 1 || values[0] != MX{}) {
			t.Errorf("%q: %+v, %v", rest, values, got)
		}
	}
}

// Exchangers of equal preference stay in the order of the answer.
func TestOrderOfMX(t *testing.T) {
	var all []record
	for i := range 40 {
		rr, err := mdns.NewRR(fmt.Sprintf("example. 60 IN MX %d h%d.example.", 10*(i%2), i))
		if err != nil {
			t.Fatal(err)
		}
		rr.Header().Rdlength = 5
		all = append(all, rr)
	}
	values, _, ok := decodeMXs(all)
	if !ok || len(values) != 40 {
		t.Fatalf("got %+v", values)
	}
	for i, v := range values {
		if want := fmt.Sprintf("h%d.example", 2*(i%20)+i/20); v.Host != want || int(v.Preference) != 10*(i/20) {
			t.Errorf("%d: %+v, want %s", i, v, want)
		}
	}
}

// Which extended errors mean that validation refused (RFC 8914).
func TestRefusedByValidation(t *testing.T) {
	for code := range uint16(40) {
		m := &message{code: mdns.RcodeServerFailure, extended: []uint16{99, code}}
		want := code >= 6 && code <= 12 || code == 25 || code == 27
		if m.refusedByValidation() != want {
			t.Errorf("%d: %v, want %v", code, !want, want)
		}
		if m.code = mdns.RcodeRefused; m.refusedByValidation() {
			t.Errorf("%d: REFUSED is no SERVFAIL", code)
		}
	}
}

// A reason names what is known by name, and no more than three.
func TestReason(t *testing.T) {
	m := &message{code: mdns.RcodeServerFailure, extended: []uint16{22, 999, 7, 8, 9}}
	want := "SERVFAIL, extended error 22 (No Reachable Authority), extended error 999 (?), " +
		"extended error 7 (Signature Expired)"
	if got := m.reason(); got != want {
		t.Errorf("got %q", got)
	}
	if got := (&message{code: 3841}).reason(); got != "response code 3841" {
		t.Errorf("got %q", got)
	}
}
