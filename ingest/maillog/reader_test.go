package maillog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
)

// brief is what a reader adds to a line, on one line.
func brief(l *Line) string {
	a := l.Attempt
	var out []string
	add := func(key, value string) {
		if value != "" && value != "0" {
			out = append(out, key+value)
		}
	}
	when := "(no time)"
	if !l.Time.IsZero() {
		when = l.Time.Format(time.RFC3339Nano)
	}
	out = append(out, when)
	add("", l.Host)
	add("", string(l.Kind))
	add("", strings.ReplaceAll(l.Status, " ", "-"))
	add("", a.QueueID)
	add("to=", a.Recipient)
	add("#", strconv.Itoa(a.Number))
	outcome := string(a.Outcome)
	if a.Final {
		outcome += ",final"
	}
	add("", outcome)
	add("stage=", string(a.Stage))
	add("from=", a.Sender)
	add("id=", a.MessageID)
	add("client=", a.Client)
	add("ip=", a.ClientIP)
	add("user=", a.User)
	add("next=", l.QueuedAs)
	add("part=", strconv.Itoa(l.Part))
	text := l.Diagnostic
	if len(text) > 70 {
		text = text[:70]
	}
	add("| ", strings.ReplaceAll(text, "\n", "⏎"))
	return strings.Join(out, " ")
}

// told gives everything that a reader says of a log, one event a line.
func told(t testing.TB, log string, o ReaderOptions) string {
	t.Helper()
	var out strings.Builder
	o.Skip = func(line int64, why event.Skip) { fmt.Fprintf(&out, "skip %d %s\n", line, why) }
	err := NewReader(strings.NewReader(log), o).Each(func(l *Line, raw []byte) error {
		out.WriteString(brief(l) + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// section is a piece of a case file: "-- log --" and its text, "-- want --".
type section struct{ name, text string }

func sections(s string) (head string, list []section) {
	head, rest, _ := strings.Cut(s, "\n-- ")
	for piece := range strings.SplitSeq(rest, "\n-- ") {
		name, text, _ := strings.Cut(piece, " --\n")
		if text != "" && text[len(text)-1] != '\n' {
			text += "\n"
		}
		list = append(list, section{name, text})
	}
	return head, list
}

// options reads "zone: Europe/Rome" and its kin at the top of a case file.
func options(t *testing.T, head string) (o ReaderOptions, seek bool) {
	o.Join = NewJoin()
	o.Now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for line := range strings.SplitSeq(head, "\n") {
		key, value, ok := strings.Cut(line, ": ")
		if !ok || line[0] == '#' {
			continue
		}
		var err error
		switch key {
		case "zone":
			if o.Zone, err = time.LoadLocation(value); err != nil {
				t.Skip("no zone data here: ", err)
			}
		case "year":
			o.Year, err = strconv.Atoi(value)
		case "modified":
			o.Modified, err = time.Parse(time.RFC3339, value)
		case "now":
			o.Now, err = time.Parse(time.RFC3339, value)
		case "seek":
			seek = value == "yes"
		default:
			t.Fatalf("unknown option %q", line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return o, seek
}

// TestReader reads the case files. Several logs in a case are a pile, read in
// the order given. A line "(300 lines until Jan 22 10:00:00)" is not there: see
// TestYears for logs of any length.
func TestReader(t *testing.T) {
	files, _ := filepath.Glob("testdata/reader/*.txt")
	if len(files) < 10 {
		t.Fatalf("only %d cases", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, list := sections(string(raw))
			o, seek := options(t, head)
			var got, want strings.Builder
			for _, s := range list {
				if s.name == "want" {
					want.WriteString(s.text)
					continue
				}
				if seek {
					o.At, o.Size = strings.NewReader(s.text), int64(len(s.text))
				}
				got.WriteString(told(t, s.text, o))
			}
			if got.String() == want.String() {
				return
			}
			if *update {
				list = slices.DeleteFunc(list, func(s section) bool { return s.name == "want" })
				list = append(list, section{"want", got.String()})
				var out strings.Builder
				out.WriteString(head)
				for _, s := range list {
					out.WriteString("\n-- " + s.name + " --\n" + strings.TrimSuffix(s.text, "\n"))
				}
				if err := os.WriteFile(file, []byte(out.String()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("got\n%s\nwant\n%s", got.String(), want.String())
		})
	}
}
