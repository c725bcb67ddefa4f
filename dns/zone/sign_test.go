package zone

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func signed(t testing.TB) (d *Data, ds string) {
	t.Helper()
	d = parse(t, load(t, "plain.zone"))
	for _, apex := range []string{"sub.example", "example"} {
		var err error
		if ds, err = d.Sign(apex, SignOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return d, ds
}

func askDO(t testing.TB, d *Data, name, kind string) *dns.Msg {
	t.Helper()
	q := question(name, kind)
	q.SetEdns0(4096, true)
	return ask(t, d, "tcp", q)
}

// verify checks every signature of the answer and that no set lacks one, and
// gives the NSECs.
func verify(t *testing.T, d *Data, m *dns.Msg, at time.Time) (nsecs []*dns.NSEC) {
	t.Helper()
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		sets, sigs := make(map[string][]dns.RR), make(map[string]*dns.RRSIG)
		for _, rr := range section {
			h := rr.Header()
			if sig, ok := rr.(*dns.RRSIG); ok {
				sigs[h.Name+dns.TypeToString[sig.TypeCovered]] = sig
				continue
			}
			if n, ok := rr.(*dns.NSEC); ok {
				nsecs = append(nsecs, n)
			}
			sets[h.Name+dns.TypeToString[h.Rrtype]] = append(sets[h.Name+dns.TypeToString[h.Rrtype]], rr)
		}
		for name, set := range sets {
			sig := sigs[name]
			if sig == nil {
				if set[0].Header().Rrtype == dns.TypeNS && !m.Authoritative || set[0].Header().Rrtype == dns.TypeCNAME && hasDNAME(section) {
					continue // RFC 4035 section 2.2; RFC 6672 section 5.3.1
				}
				t.Errorf("%s: %s has no signature", m.Question[0].Name, name)
				continue
			}
			key, ok := askDO(t, d, sig.SignerName, "DNSKEY").Answer[0].(*dns.DNSKEY)
			if !ok {
				t.Fatal("no DNSKEY")
			}
			if err := sig.Verify(key, set); err != nil || !sig.ValidityPeriod(at) {
				t.Errorf("%s: %s: %v, valid %v", m.Question[0].Name, name, err, sig.ValidityPeriod(at))
			}
		}
	}
	return nsecs
}

func hasDNAME(section []dns.RR) bool {
	return slices.ContainsFunc(section, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeDNAME })
}

// covers is RFC 4035 section 5.4: the name lies between owner and next.
func covers(n *dns.NSEC, name string) bool {
	owner, next := strings.ToLower(n.Hdr.Name), strings.ToLower(n.NextDomain)
	if canonical(owner, next) >= 0 { // the last of the zone
		return canonical(owner, name) < 0
	}
	return canonical(owner, name) < 0 && canonical(name, next) < 0
}

func TestSigned(t *testing.T) {
	d, ds := signed(t)
	if !strings.Contains(ds, "\tDS\t") || !strings.HasPrefix(ds, "example.") {
		t.Errorf("trust anchor %q", ds)
	}
	for line := range strings.Lines(load(t, "plain.txt")) {
		asked, want, ok := strings.Cut(strings.TrimSpace(line), " => ")
		name, kind, _ := strings.Cut(asked, " ")
		if !ok || asked[0] == '#' || strings.HasPrefix(want, "REFUSED") {
			continue
		}
		m := askDO(t, d, name, kind)
		nsecs := verify(t, d, m, time.Now())
		last := dns.Fqdn(name)
		for _, rr := range m.Answer {
			if c, ok := rr.(*dns.CNAME); ok {
				last = c.Target
			}
		}
		switch any := func(f func(*dns.NSEC) bool) bool { return slices.ContainsFunc(nsecs, f) }; {
		case strings.HasPrefix(want, "NXDOMAIN"):
			if !any(func(n *dns.NSEC) bool { return covers(n, strings.ToLower(last)) }) {
				t.Errorf("%s: no proof that %s is not there: %v", asked, last, nsecs)
			}
		case len(m.Answer) == 0 && m.Authoritative && kind != "DS":
			if !any(func(n *dns.NSEC) bool {
				return covers(n, last) || strings.EqualFold(n.Hdr.Name, last) && !slices.Contains(n.TypeBitMap, dns.StringToType[kind])
			}) {
				t.Errorf("%s: no proof that there is none: %v", asked, nsecs)
			}
		case strings.Contains(want, "wildcard"), strings.HasPrefix(asked, "foo.waliased"):
			if name[0] != '*' && !any(func(n *dns.NSEC) bool { return covers(n, dns.Fqdn(name)) }) {
				t.Errorf("%s: no proof that the wildcard was needed: %v", asked, nsecs)
			}
		}
	}
	if m := ask(t, d, "udp", question("mx.example", "A")); len(m.Answer) != 1 {
		t.Error("signatures without DO")
	}
}

func TestDelegationSigned(t *testing.T) {
	d, _ := signed(t)
	m := askDO(t, d, "sub.example", "DS")
	verify(t, d, m, time.Now())
	if len(m.Answer) != 2 || m.Answer[0].Header().Rrtype != dns.TypeDS {
		t.Errorf("DS of the signed zone below: %v", m.Answer)
	}
	key, ok := askDO(t, d, "sub.example", "DNSKEY").Answer[0].(*dns.DNSKEY)
	if !ok || key.ToDS(dns.SHA256).Digest != m.Answer[0].(*dns.DS).Digest {
		t.Error("DS and DNSKEY do not fit")
	}
	m = askDO(t, d, "host.child.example", "A")
	nsecs := verify(t, d, m, time.Now())
	if len(nsecs) != 1 || nsecs[0].Hdr.Name != "child.example." || slices.Contains(nsecs[0].TypeBitMap, dns.TypeDS) {
		t.Errorf("referral to an unsigned zone: %v", nsecs)
	}
}

func TestSignaturesFollowChanges(t *testing.T) {
	d, _ := signed(t)
	if err := d.Set("mx.example. 600 A 192.0.2.99\nadded.example. 600 A 192.0.2.98"); err != nil {
		t.Fatal(err)
	}
	if err := d.Set("mixed.example. 600 A 192.0.2.1\nmixed.example. 60 A 192.0.2.2"); err != nil { // against RFC 2181 section 5.2
		t.Fatal(err)
	}
	for _, name := range []string{"mx.example", "added.example", "addee.example", "mixed.example"} {
		verify(t, d, askDO(t, d, name, "A"), time.Now())
	}
}

func TestBadSignatures(t *testing.T) {
	d := parse(t, load(t, "plain.zone")+"\n$ANSWER mx.example. badsig\n$ANSWER ns.example. unsigned")
	if _, err := d.Sign("example", SignOptions{Expiration: time.Now().Add(-time.Minute)}); err != nil {
		t.Fatal(err)
	}
	key := askDO(t, d, "example", "DNSKEY").Answer[0].(*dns.DNSKEY)
	m := askDO(t, d, "mx.example", "A")
	sig, ok := m.Answer[1].(*dns.RRSIG)
	if !ok || sig.Verify(key, m.Answer[:1]) == nil {
		t.Error("badsig: fits")
	}
	if sig.ValidityPeriod(time.Now()) {
		t.Error("expired signatures are valid")
	}
	if m = askDO(t, d, "ns.example", "A"); len(m.Answer) != 1 {
		t.Error("unsigned: has signatures")
	}
	if _, err := d.Sign("nowhere.example", SignOptions{}); err == nil {
		t.Error("a zone that is not there was signed")
	}
}
