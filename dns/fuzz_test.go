package dns_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/postroad/postroad/dns"
)

// answered checks what must hold of any answer to a question for name that a
// server gave with these bytes.
func answered[T any](t *testing.T, name string, replies int, a dns.Answer[T]) {
	t.Helper()
	if (len(a.Records) > 0) != (a.Status == dns.Found) {
		t.Errorf("%v with %d records", a.Status, len(a.Records))
	}
	if (a.Err != nil) != (a.Status == dns.Failed || a.Status == dns.Bogus) {
		t.Errorf("%v with error %v", a.Status, a.Err)
	}
	if a.Err != nil && (kind(a.Err) == "" || len(a.Err.Error()) > 4000 || kind(a.Err) == dns.KindCanceled) {
		t.Errorf("error %q of kind %q", a.Err, kind(a.Err))
	}
	if a.Status == 0 || a.Name != name || a.TTL < 0 || a.TTL > 24*time.Hour || a.Security != dns.Unavailable {
		t.Errorf("got %+v", a)
	}
	// At least eleven bytes a record.
	if len(a.Records) > replies*65535/11 {
		t.Errorf("%d records", len(a.Records))
	}
	names := []string{a.Canonical}
	for _, record := range a.Records {
		switch v := any(record).(type) {
		case dns.MX:
			if v.Host != "" {
				names = append(names, v.Host)
			}
		case dns.SOA:
			names = append(names, v.Primary, v.Mailbox)
		case netip.Addr:
			if !v.IsValid() {
				t.Error("an invalid address")
			}
		}
	}
	if !slices.IsSortedFunc(a.Records, func(x, y T) int {
		p, ok := any(x).(dns.MX)
		q, _ := any(y).(dns.MX)
		if !ok {
			return 0
		}
		return int(p.Preference) - int(q.Preference)
	}) {
		t.Error("mail exchangers in the wrong order")
	}
	canonical(t, names...)
}

// canonical checks that names that an answer holds can be asked again, and mean
// the same then.
func canonical(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if again, err := dns.ParseName(name); err != nil || again != name {
			t.Errorf("the name %q is read as %q, %v", name, again, err)
		}
		if _, err := wire(name); err != nil {
			t.Errorf("the name %q cannot be packed: %v", name, err)
		}
	}
}

// wire packs a name with the wire library.
func wire(name string) ([]byte, error) {
	buf := make([]byte, 300)
	n, err := mdns.PackDomainName(mdns.Fqdn(name), buf, 0, nil, false)
	return buf[:n], err
}

// FuzzReply gives a resolver a reply of any bytes: as they are behind the header
// of the query and its question, so that the fuzzer need not guess them.
func FuzzReply(f *testing.F) {
	question := "\x01a\x07example\x00\x00\x01\x00\x01"
	a := "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"
	soa := "\x07example\x00\x00\x06\x00\x01\x00\x00\x00\x3c\x00\x1a\x01n\xc0\x0e\x01h\xc0\x0e" +
		strings.Repeat("\x00\x00\x00\x01", 5)
	for _, seed := range []struct {
		flags  uint16
		counts string
		rest   string
	}{
		{0x8180, "\x00\x01\x00\x01\x00\x00\x00\x00", a},
		{0x8183, "\x00\x01\x00\x00\x00\x01\x00\x00", soa},
		{0x8180, "\x00\x01\x00\x00\x00\x01\x00\x00", soa},
		{0x8180, "\x00\x01\x00\x00\x00\x00\x00\x00", ""},
		{0x8182, "\x00\x01\x00\x00\x00\x00\x00\x00", ""},
		{0x8380, "\x00\x01\x00\x00\x00\x00\x00\x00", ""},
		{0x8180, "\x00\x01\x27\x10\x00\x00\x00\x00", a},
		{0x8180, "\x00\x01\x00\x01\x00\x00\x00\x00", "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x02\xc0\x0c"},
		{0x8180, "\x00\x01\x00\x01\x00\x00\x00\x00", "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01b\xc0\x0e"},
		{0x8180, "\x00\x01\x00\x01\x00\x00\x00\x00", "\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x05\x00\x0a\x01.\x00"},
		{0x8180, "\x00\x01\x00\x01\x00\x00\x00\x00", "\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x04\x02\\\"\x00"},
		{0x8180, "\x00\x01\x00\x01\x00\x00\x00\x00", "\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x3c\x00\x16\x00\x00" +
			strings.Repeat("\xff\xff\xff\xff", 5)},
		{0x8180, "\x00\x01\x00\x01\x00\x00\x00\x00", "\xc0\x0c\x00\x34\x00\x01\x00\x00\x00\x3c\x00\x04\x03\x01\x01\xff"},
		{0x8182, "\x00\x01\x00\x00\x00\x00\x00\x01", "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x06\x00\x0f\x00\x02\x00\x06"},
	} {
		for kind := range byte(9) {
			f.Add(kind, seed.flags, []byte(seed.counts+seed.rest))
		}
		f.Add(byte(135), seed.flags, []byte(seed.counts+question+seed.rest))
	}
	f.Fuzz(func(t *testing.T, what byte, flags uint16, rest []byte) {
		replies := 0
		r, err := dns.New(dns.Options{
			Servers: []dns.Server{first},
			Exchange: dns.ExchangeFunc(func(_ context.Context, _ dns.Server, _ string, q []byte) ([]byte, error) {
				replies++
				end := 12 // of the question
				for q[end] != 0 {
					end += 1 + int(q[end])
				}
				end += 5
				reply := append([]byte{q[0], q[1], byte(flags >> 8), byte(flags)}, rest[:min(8, len(rest))]...)
				if what < 128 { // else the fuzzer makes the question, too
					reply = append(reply, q[12:end]...)
				}
				reply = append(reply, rest[min(8, len(rest)):]...)
				return reply, nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		const name = "a.example"
		switch what % 9 {
		case 0:
			answered(t, name, replies, r.A(ctx, name))
		case 1:
			answered(t, name, replies, r.AAAA(ctx, name))
		case 2:
			a := r.NS(ctx, name)
			answered(t, name, replies, a)
			canonical(t, a.Records...)
		case 3:
			a := r.CNAME(ctx, name)
			answered(t, name, replies, a)
			canonical(t, a.Records...)
			if a.Canonical != name {
				t.Errorf("a CNAME was followed: %+v", a)
			}
		case 4:
			answered(t, name, replies, r.SOA(ctx, name))
		case 5:
			answered(t, name, replies, r.MX(ctx, name))
		case 6:
			answered(t, name, replies, r.TXT(ctx, name))
		case 7:
			answered(t, name, replies, r.TLSA(ctx, name))
		case 8:
			a := r.PTR(ctx, netip.MustParseAddr("192.0.2.1"))
			answered(t, "1.2.0.192.in-addr.arpa", replies, a)
		}
		// A try at one server over UDP and TCP, with EDNS and without, for each
		// CNAME; SERVFAIL and the like are not asked for twice.
		if replies > 3*4*13 {
			t.Errorf("%d queries for one question", replies)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, name := range []string{
		"example.com", "Example.COM.", "", ".", "..", "a..b", ".a", `a\.b.c`, `a\\.b`, `a\032b`, `a\999b`, `a\`, `\`,
		"münchen.example", "xn--mnchen-3ya.example", "_dmarc.example", "a。b", "\x00.\xff", "١.example",
		"ab\u200dc.example", "K.example", strings.Repeat(`\255`, 63),
		strings.Repeat("a", 63) + ".b", strings.Repeat("a", 64) + ".b", strings.Repeat("a.", 127) + "b",
		strings.Repeat("abcdefg.", 31) + "abcde", strings.Repeat("abcdefg.", 31) + "abcdef",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := dns.ParseName(name)
		if err != nil {
			if kind(err) != dns.KindName || got != "" {
				t.Fatalf("ParseName(%q) = %q, %v", name, got, err)
			}
			return
		}
		if again, err := dns.ParseName(got); err != nil || again != got {
			t.Fatalf("ParseName(%q) = %q, and of that %q, %v", name, got, again, err)
		}
		final := got != "." && strings.HasSuffix(got, ".") && !strings.HasSuffix(got, `\.`)
		if got != strings.ToLower(got) || len(got) > 4*255 || final {
			t.Fatalf("ParseName(%q) = %q", name, got)
		}
		packed, err := wire(got)
		if err != nil || len(packed) > 255 {
			t.Fatalf("ParseName(%q) = %q, which packs to %d bytes, %v", name, got, len(packed), err)
		}
		// What is ASCII and has no escapes goes onto the wire as it is.
		if strings.IndexFunc(name, func(c rune) bool { return c >= 0x80 || c == '\\' }) < 0 && name != "." {
			var want []byte
			for label := range strings.SplitSeq(strings.TrimSuffix(strings.ToLower(name), "."), ".") {
				want = append(append(want, byte(len(label))), label...)
			}
			if !bytes.Equal(packed, append(want, 0)) {
				t.Fatalf("ParseName(%q) = %q, which packs to %q, want %q", name, got, packed, want)
			}
		}
	})
}

func FuzzReadResolvConf(f *testing.F) {
	for _, text := range []string{
		"", "nameserver 192.0.2.53\n", "nameserver 192.0.2.53", "nameserver\t2001:db8::53 # ours\r\nsearch example\n",
		"nameserver fe80::1%eth0\nnameserver nonsense\nnameserver 192.0.2.1.5\n; nameserver 192.0.2.1\n",
		"options timeout:2 attempts:9 rotate trust-ad\noptions timeout:-1\noptions timeout:99999999999999999999\n",
		strings.Repeat("nameserver 192.0.2.53\n", 20), strings.Repeat("x", 70_000), "\x00\xff",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		conf, err := dns.ReadResolvConf(iotest.HalfReader(bytes.NewReader(text)))
		if (err != nil) != (len(text) > 64<<10) {
			t.Fatalf("%d bytes: %v", len(text), err)
		}
		if err != nil {
			if len(conf.Servers) > 0 {
				t.Fatalf("an error and %+v", conf)
			}
			return
		}
		if n := len(conf.Servers); n < 1 || n > 8 {
			t.Fatalf("%d servers", n)
		}
		for _, s := range conf.Servers {
			if !s.Address.IsValid() || s.Address.Port() != 53 || s.Trusted || s.TLSName != "" {
				t.Fatalf("got %+v", s)
			}
			if s.Address.Addr().Zone() == "" && s.Address.Addr().String() != "127.0.0.1" &&
				!bytes.Contains(bytes.ToLower(text), []byte("nameserver")) {
				t.Fatalf("%v comes from nowhere", s)
			}
		}
		if conf.Timeout < time.Second || conf.Timeout > 30*time.Second || conf.Attempts < 1 || conf.Attempts > 5 {
			t.Fatalf("got %+v", conf)
		}
		if _, err := dns.New(dns.Options{Servers: conf.Servers, Timeout: conf.Timeout}); err != nil {
			t.Fatalf("not usable: %v", err)
		}
	})
}

func TestReadResolvConf(t *testing.T) {
	conf, err := dns.ReadResolvConf(strings.NewReader(
		"# made by hand\nsearch example.com\nnameserver 192.0.2.53\nnameserver 2001:db8::53 # the other\n" +
			"nameserver nonsense\noptions ndots:1 timeout:3 attempts:7\n"))
	want := []dns.Server{first, {Address: netip.MustParseAddrPort("[2001:db8::53]:53")}}
	if err != nil || !slices.Equal(conf.Servers, want) || conf.Timeout != 3*time.Second || conf.Attempts != 5 {
		t.Errorf("got %+v, %v", conf, err)
	}
	conf, err = dns.ReadResolvConf(strings.NewReader("search example.com\n"))
	if err != nil || !slices.Equal(conf.Servers, []dns.Server{{Address: local.Address}}) ||
		conf.Timeout != 5*time.Second || conf.Attempts != 2 {
		t.Errorf("without servers: %+v, %v", conf, err)
	}
	if _, err := dns.ReadResolvConf(iotest.ErrReader(io.ErrNoProgress)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
	if _, err := dns.ReadResolvConf(io.LimitReader(endless{}, 1<<30)); err == nil {
		t.Error("a file without end: no error")
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}
