package trace

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// wanted is one of the ten messages that every file of testdata/ten tells of.
type wanted struct {
	sender, recipient, messageID string
	outcome                      mail.Outcome
	host, ip, reply              string
}

func readWanted(t testing.TB) (all []wanted) {
	t.Helper()
	raw, err := os.ReadFile("testdata/ten/want.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(raw)), "\n") {
		f := strings.Split(strings.TrimSpace(line), " | ")
		if line[0] != '#' {
			all = append(all, wanted{f[0], f[1], f[2], mail.Outcome(f[3]), f[4], f[5], f[6]})
		}
	}
	if len(all) != 10 {
		t.Fatalf("%d messages in want.txt", len(all))
	}
	return all
}

func tenFiles(t testing.TB) map[string]string {
	t.Helper()
	names, _ := filepath.Glob("testdata/ten/*")
	files := make(map[string]string)
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if base := filepath.Base(name); base != "want.txt" {
			files[base] = string(raw)
		}
	}
	if len(files) < 25 {
		t.Fatalf("only %d forms", len(files))
	}
	return files
}

var encodings = map[string]func(string) []byte{
	"utf-8":     func(s string) []byte { return []byte(s) },
	"utf-8-bom": func(s string) []byte { return append([]byte("\xef\xbb\xbf"), s...) },
	"utf-16le":  func(s string) []byte { return wide(s, false) },
	"utf-16le-bom": func(s string) []byte {
		return append([]byte{0xff, 0xfe}, wide(s, false)...)
	},
	"utf-16be":     func(s string) []byte { return wide(s, true) },
	"utf-16be-bom": func(s string) []byte { return append([]byte{0xfe, 0xff}, wide(s, true)...) },
	"windows-1252": func(s string) []byte {
		var b []byte
		for _, r := range s {
			b = append(b, byte(r)) // the files hold nothing beyond Latin-1
		}
		return b
	},
	"lf": func(s string) []byte { return []byte(strings.ReplaceAll(s, "\r\n", "\n")) },
}

func wide(s string, big bool) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return b
}

// lasts gives the last attempt of each message-recipient.
func lasts(events []*event.Event) map[string]*event.Event {
	out := make(map[string]*event.Event)
	for _, e := range events {
		a := attempt(e)
		key := a.Recipient
		if old := out[key]; old == nil || !e.Time.Before(old.Time) {
			out[key] = e
		}
	}
	return out
}

// The same ten messages in every form and encoding are the same ten.
func TestTenMessagesInEveryForm(t *testing.T) {
	want := readWanted(t)
	for name, text := range tenFiles(t) {
		for enc, encode := range encodings {
			t.Run(name+"/"+enc, func(t *testing.T) {
				events, skipped := readAll(t, string(encode(text)), Options{})
				if len(skipped) > 0 {
					t.Errorf("skipped %q", skipped)
				}
				last := lasts(events)
				if len(last) != len(want) {
					t.Errorf("%d messages, want %d", len(last), len(want))
				}
				for _, w := range want {
					if e := last[w.recipient]; e != nil {
						checkTen(t, w, e)
					} else {
						t.Errorf("nothing of %s", w.recipient)
					}
				}
			})
		}
	}
}

func checkTen(t *testing.T, w wanted, e *event.Event) {
	t.Helper()
	checkEvent(t, e)
	a := attempt(e)
	if a.Sender != w.sender || a.MessageID != w.messageID || a.Outcome != w.outcome || a.Route == RouteInbound {
		t.Errorf("%s: from %s, id %s, %s, route %q", w.recipient, a.Sender, a.MessageID, a.Outcome, a.Route)
	}
	if a.Final != (w.outcome != mail.Temporary) || a.SenderDomain != "sender.example" {
		t.Errorf("%s: final %v, sender domain %s", w.recipient, a.Final, a.SenderDomain)
	}
	if y, m, d := e.Time.Date(); y != 2026 || m != time.September || d < 11 || d > 14 || e.Time.Hour() != 8 {
		t.Errorf("%s: time %v", w.recipient, e.Time)
	}
	if e.Origin.Grade == event.GradeSummary {
		if len(a.Reply.Lines) > 0 {
			t.Errorf("%s: a summary with the reply %q", w.recipient, a.Reply.Lines)
		}
		return
	}
	if a.RemoteHost != w.host || a.RemoteIP != w.ip {
		t.Errorf("%s: remote %s %s, want %s %s", w.recipient, a.RemoteHost, a.RemoteIP, w.host, w.ip)
	}
	layers := diagnose.Peel(strings.Join(a.Reply.Lines, "\n"))
	if len(layers) == 0 {
		t.Errorf("%s: no reply", w.recipient)
		return
	}
	inner := layers[len(layers)-1].Text
	if strings.Join(strings.Fields(inner), " ") != strings.Join(strings.Fields(w.reply), " ") {
		t.Errorf("%s: reply\n got  %q\n want %q", w.recipient, inner, w.reply)
	}
	if spoke := w.reply[0] >= '0' && w.reply[0] <= '9'; spoke && w.outcome != mail.Permanent && !a.Spoke {
		t.Errorf("%s: the remote host did not speak", w.recipient)
	}
}

// The formats that Sniff names, by the beginning of a file's name.
func TestSniff(t *testing.T) {
	for name, text := range tenFiles(t) {
		want := FormatSummary
		switch {
		case strings.Contains(name, "tracking"), strings.HasPrefix(name, "MSGTRK"):
			want = FormatTracking
		case strings.Contains(name, "detail"):
			want = FormatDetail
		}
		for enc, encode := range encodings {
			b := encode(text)
			for _, n := range []int{2048, 8192, len(b)} {
				if f, ok := Sniff(b[:min(n, len(b))]); !ok || f != want {
					t.Errorf("%s %s %d: %q %v, want %s", name, enc, n, f, ok, want)
				}
			}
		}
	}
}

// What others write is not taken for a trace.
func TestSniffOthers(t *testing.T) {
	files, _ := filepath.Glob("testdata/others/*")
	if len(files) < 8 {
		t.Fatalf("only %d files", len(files))
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := Sniff(raw); ok {
			t.Errorf("%s is taken for %s", name, f)
		}
		events, _ := readAll(t, string(raw), Options{})
		if len(events) > 0 {
			t.Errorf("%s gives %d events", name, len(events))
		}
	}
}
