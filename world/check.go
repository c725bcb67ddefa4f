package world

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/dns/zone"
	"github.com/postroad/postroad/mail"
)

// check completes a scenario and finds what is wrong with it. The lines are for
// the errors; nil where the scenario was not read from text.
func (s *Scenario) check(l lines) error {
	if s.checked {
		return nil
	}
	if s.Name == "" {
		return errors.New("name is missing: name = \"what happens here\"")
	}
	if s.Clock.Start.set && s.Clock.Start.at.IsZero() {
		return errors.New("clock: start is a time: start = \"2026-01-22T09:00:00Z\"")
	}
	if v := s.speed(); v < 0 || v > 1e6 || v != v {
		return fmt.Errorf("clock: speed = %v is not between 0 and a million", v)
	}
	if len(s.Providers) > maxProviders {
		return fmt.Errorf("%d providers; at most %d", len(s.Providers), maxProviders)
	}
	if _, err := zone.Parse(s.DNS); err != nil {
		return fmt.Errorf("dns: %w", err)
	}
	for i, c := range s.Changes {
		if _, err := zone.Parse(c.DNS); err != nil {
			return l.fault("change", i, "%w", err)
		}
	}
	if err := s.mapSources(); err != nil {
		return err
	}
	presets, err := Presets()
	if err != nil {
		return err
	}
	if err := s.checkProviders(l, presets); err != nil {
		return err
	}
	s.checked = true
	return nil
}

func (s *Scenario) checkProviders(l lines, presets []Preset) error {
	known := make(map[string]Preset)
	for _, p := range presets {
		known[p.ID] = p
	}
	ids, domains, addresses, names := make(map[string]bool), make(map[string]string), make(map[netip.Addr]int), make(map[string]int)
	tempers, hosts, boxes := 0, 0, 0
	for i := range s.Providers {
		p := &s.Providers[i]
		if err := p.check(domains); err != nil {
			return l.fault("provider", i, "%s: %w", p.ID, err)
		}
		if ids[p.ID] {
			return l.fault("provider", i, "id = %q stands twice", p.ID)
		}
		ids[p.ID] = true
		for j := range p.Hosts {
			name := mail.NormalDomain(p.Hosts[j].Name)
			if other, known := names[name]; known && other != i {
				return l.fault("host", hosts+j, "name = %q is that of a host of another provider; give it another", p.Hosts[j].Name)
			}
			names[name] = i
		}
		for j := range p.Hosts {
			if err := p.Hosts[j].check(i, j, addresses); err != nil {
				return l.fault("host", hosts, "%w", err)
			}
			hosts++
		}
		for j := range p.Mailbox {
			if err := p.Mailbox[j].check(); err != nil {
				return l.fault("mailbox", boxes, "%w", err)
			}
			boxes++
		}
		for j := range p.Tempers {
			if err := p.Tempers[j].prepare(p, j+1, known); err != nil {
				return l.fault("temper", tempers, "%w", err)
			}
			tempers++
		}
	}
	return nil
}

func (p *Provider) check(domains map[string]string) error {
	if p.ID == "" || strings.ContainsAny(p.ID, " /\t") {
		return fmt.Errorf("id = %q is not one word", p.ID)
	}
	if len(p.Hosts) == 0 {
		return errors.New("has no [[provider.host]]")
	}
	if len(p.Hosts) > maxHosts || len(p.Tempers) > maxTempers {
		return fmt.Errorf("at most %d hosts and %d tempers", maxHosts, maxTempers)
	}
	for i, d := range p.Domains {
		if !validName(d) {
			return fmt.Errorf("domains: %q is no domain", d)
		}
		p.Domains[i] = mail.NormalDomain(d)
		if other := domains[p.Domains[i]]; other != "" {
			return fmt.Errorf("domains: %q belongs to %s", d, other)
		}
		domains[p.Domains[i]] = p.ID
	}
	for i := range p.Without {
		p.Without[i] = strings.ToUpper(p.Without[i])
	}
	switch {
	case p.Mailboxes != "" && p.Mailboxes != "exist" && p.Mailboxes != "unknown":
		return fmt.Errorf("mailboxes = %q is neither exist nor unknown", p.Mailboxes)
	case p.Capacity < 0 || p.Capacity > 10_000:
		return fmt.Errorf("capacity = %d is not between 1 and 10000", p.Capacity)
	case p.MaxSize < 0 || p.MaxRecipients < 0:
		return errors.New("max_size and max_recipients cannot be below 0")
	case !slices.Contains(daneKinds, p.DANE):
		return fmt.Errorf("dane = %q is none of%s", p.DANE, strings.Join(daneKinds, " "))
	}
	if p.Capacity == 0 {
		p.Capacity = 200
	}
	if p.MaxSize == 0 {
		p.MaxSize = 25 << 20
	}
	if p.Queued != "" {
		if r, err := parseReply(p.Queued); err != nil || r.Code != 250 {
			return fmt.Errorf("queued = %q is no reply that takes a message: begin it with 250", p.Queued)
		}
	}
	if p.STS != nil {
		return p.STS.check()
	}
	return nil
}

func (s *STS) check() error {
	if s.Mode == "" {
		s.Mode = "enforce"
	}
	if s.MaxAge == 0 {
		s.MaxAge = Duration(24 * time.Hour)
	}
	if !slices.Contains([]string{"enforce", "testing", "none"}, s.Mode) {
		return fmt.Errorf("sts: mode = %q is none of enforce, testing, none", s.Mode)
	}
	if !slices.Contains(stsTroubles, s.Trouble) {
		return fmt.Errorf("sts: trouble = %q is none of%s", s.Trouble, strings.Join(stsTroubles, " "))
	}
	for _, mx := range s.MX {
		if !validName(strings.TrimPrefix(mx, "*.")) {
			return fmt.Errorf("sts: mx: %q is no host and no *.domain", mx)
		}
	}
	return nil
}

// check of a host: addresses may be shared by hosts of one provider, as at
// Yahoo; the first that has one answers there.
func (h *Host) check(provider, number int, taken map[netip.Addr]int) error {
	if !validName(h.Name) {
		return fmt.Errorf("name = %q is no host name", h.Name)
	}
	h.Name = mail.NormalDomain(h.Name)
	if h.Preference == 0 {
		h.Preference = 10
	}
	if h.Banner == "" {
		h.Banner = h.Name
	}
	if strings.ContainsFunc(h.Banner, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("banner = %q is not one word", h.Banner)
	}
	if len(h.Addresses) == 0 {
		h.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{127, 77, byte(provider + 1), byte(number + 1)})}
	}
	if len(h.Addresses) > maxHosts {
		return fmt.Errorf("at most %d addresses", maxHosts)
	}
	for i, a := range h.Addresses {
		a = a.Unmap().WithZone("")
		h.Addresses[i] = a
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
			return fmt.Errorf("addresses: %s is no address of a host", a)
		}
		if b := a.AsSlice(); a.Is4() && b[0] == 127 && (b[1] == 76 || b[1] == 78) {
			return fmt.Errorf("addresses: 127.%d.0.0/16 stands in for others; take one in 127.77.0.0/16", b[1])
		}
		if other, known := taken[a]; known && other != provider {
			return fmt.Errorf("addresses: %s is that of another provider", a)
		}
		taken[a] = provider
	}
	return nil
}

func (m *Mailbox) check() error {
	a, err := mail.ParseAddress(m.Address)
	if err != nil {
		return fmt.Errorf("address = %q: %w", m.Address, err)
	}
	m.Address = a.Key()
	if !slices.Contains(mailboxKinds, m.State) {
		return fmt.Errorf("state = %q is none of %s", m.State, strings.Join(mailboxKinds, ", "))
	}
	if m.Reply == "" {
		return nil
	}
	r, err := parseReply(m.Reply)
	if err == nil && r.Code < 400 && m.State != "exists" {
		err = fmt.Errorf("reply = %q refuses nothing", m.Reply)
	}
	return err
}

// validName takes host and domain names as zones have them: letters, digits,
// hyphens and underscores, of two labels at least or one.
func validName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 240 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return false
		}
	}
	return true
}

// parseReply reads a reply as it stands on the wire, lines with their codes;
// lines after the first may go without. What follows the code is kept to the
// letter.
func parseReply(text string) (mail.Reply, error) {
	var r mail.Reply
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		line = strings.TrimRight(line, "\r")
		if strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return r, fmt.Errorf("reply = %q has control characters", text)
		}
		code, err := strconv.Atoi(line[:min(3, len(line))])
		if err == nil && len(line) >= 3 && (len(line) == 3 || line[3] == ' ' || line[3] == '-') {
			if r.Code == 0 {
				r.Code = code
			}
			if code == r.Code {
				line = line[min(4, len(line)):]
			}
		}
		if r.Code < 200 || r.Code > 599 {
			return r, fmt.Errorf("reply = %q does not begin with a code of 200 to 599", text)
		}
		r.Lines = append(r.Lines, line)
	}
	if len(r.Lines) > 100 {
		return r, fmt.Errorf("reply has %d lines; at most 100", len(r.Lines))
	}
	return r, nil
}
