package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keep writes what is left of the week: the log by days, as logrotate leaves
// it on a Monday morning, reports about Yahoo, and the truth.
func (t *teller) keep() error {
	raw, err := os.ReadFile(t.cell.Path("log/mail.log"))
	if err != nil {
		return err
	}
	days := make(map[int][]byte)
	for line := range bytes.Lines(raw) {
		at, err := time.Parse(time.RFC3339Nano, string(line[:bytes.IndexByte(line, ' ')]))
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		day := max(0, int(at.Sub(weekBegin)/(24*time.Hour)))
		days[day] = append(days[day], line...)
	}
	for day, text := range days {
		// The last day is still written to; the one before waits for the next turn.
		name := "mail.log"
		if age := 6 - day; age == 1 {
			name = "mail.log.1"
		} else if age > 1 {
			name = fmt.Sprintf("mail.log.%d.gz", age)
			var b bytes.Buffer
			z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
			z.Name, z.ModTime = "mail.log", weekBegin.AddDate(0, 0, day+1)
			if _, err := z.Write(text); err != nil {
				return err
			}
			if err := z.Close(); err != nil {
				return err
			}
			text = b.Bytes()
		}
		if err := os.WriteFile(filepath.Join(t.out, name), text, 0o644); err != nil {
			return err
		}
	}
	reports, err := t.reports()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.out, "truth.toml"), []byte(t.truth(reports)), 0o644)
}

// reports keeps the first two warnings that came of the trouble, the report on an
// address at Yahoo that does not exist, and the one on the message that was
// tried for five days.
func (t *teller) reports() (delayed int, err error) {
	files, err := filepath.Glob(t.cell.Path("mail/inbox/new/*"))
	if err != nil {
		return 0, err
	}
	var warnings []string
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		text := string(raw)
		plain := strings.Join(strings.Fields(text), " ") // the words are wrapped
		switch {
		case strings.Contains(plain, "while receiving the STARTTLS response") && strings.Contains(text, "Action: delayed"):
			warnings = append(warnings, text)
		case strings.Contains(text, "Final-Recipient: rfc822; gone.example@yahoo.com"):
			err = os.WriteFile(filepath.Join(t.out, "yahoo-unknown.eml"), raw, 0o644)
		case strings.Contains(text, "Final-Recipient: rfc822; accounts@mill.example") && strings.Contains(text, "Action: failed"):
			err = os.WriteFile(filepath.Join(t.out, "mill-expired.eml"), raw, 0o644)
		}
		if err != nil {
			return 0, err
		}
	}
	slices.SortFunc(warnings, func(a, b string) int { return sent(a).Compare(sent(b)) })
	for i, text := range warnings {
		if i > 1 {
			break
		}
		if err := os.WriteFile(filepath.Join(t.out, fmt.Sprintf("yahoo-delayed-%d.eml", i+1)), []byte(text), 0o644); err != nil {
			return 0, err
		}
	}
	return len(warnings), nil
}

// sent is the date of a mail.
func sent(text string) time.Time {
	_, date, _ := strings.Cut(text, "\nDate: ")
	date, _, _ = strings.Cut(date, "\n")
	at, _ := time.Parse("Mon, _2 Jan 2006 15:04:05 -0700 (MST)", date)
	return at
}

// truth is what was planted and what the receivers counted; the test holds the
// analysis against it.
func (t *teller) truth(delayed int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	stamp := func(at time.Time) string { return at.In(berlin).Format("2006-01-02T15:04:05-07:00") }
	fmt.Fprintf(&b, "# What was planted in this week, and what the receivers counted. Written by examples/make.\n\n"+
		"[week]\nbegin = %s\nend = %s\nletters = %d\n\n", stamp(weekBegin), stamp(weekEnd), t.sent)
	p := t.planted
	fmt.Fprintf(&b, "[planted]\nprovider = %q\nclass = \"transport\"\nstage = %q\nbegin = %s\nend = %s\naddresses = [%s]\n"+
		"first_cut = %s\nlast_cut = %s\ndelay_warnings = %d\n\n",
		p.provider, p.at, stamp(p.begin), stamp(p.end), quoted(p.addresses), stamp(t.first), stamp(t.last), delayed)
	fmt.Fprintf(&b, "[queue]\nat = %s\nmessages = %d\n", stamp(look), t.waiting)
	section := func(name string, m map[netip.Addr]int) {
		fmt.Fprintf(&b, "\n[%s]\n", name)
		for _, ip := range slices.SortedFunc(maps.Keys(m), netip.Addr.Compare) {
			fmt.Fprintf(&b, "%q = %d\n", ip, m[ip])
		}
	}
	section("cut", t.cut)
	section("taken", t.taken)
	return b.String()
}

func quoted(all []netip.Addr) string {
	texts := make([]string, len(all))
	for i, a := range all {
		texts[i] = fmt.Sprintf("%q", a)
	}
	return strings.Join(texts, ", ")
}
