package dns

import (
	"fmt"
	"testing"
	"time"
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
