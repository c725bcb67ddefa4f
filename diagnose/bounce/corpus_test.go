package bounce

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/message"
)

// corpusDir finds the public test corpus, which lies beside the repository, or
// skips the test.
func corpusDir(t testing.TB, sub string) string {
	t.Helper()
	dir := filepath.Join("../../../shared", "corpus", filepath.FromSlash(sub))
	if _, err := os.Stat(dir); err != nil {
		t.Skip("corpus not here: " + dir)
	}
	return dir
}

// readFile reads every mail of a file: one, or those of an mbox.
func readFile(t testing.TB, name string) []Report {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var reports []Report
	if message.IsMbox(raw[:min(len(raw), 512)]) {
		box := message.OpenMbox(bytes.NewReader(raw), message.Limits{})
		for {
			one, _, _, err := box.Next()
			if errors.Is(err, io.EOF) {
				return reports
			}
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, Read(message.Read(bytes.Clone(one), message.Limits{}), Options{}))
		}
	}
	return append(reports, Read(message.Read(raw, message.Limits{}), Options{}))
}

func resultsOf(reports []Report) (results []event.Bounce) {
	for i := range reports {
		results = append(results, reports[i].Results...)
	}
	return results
}

func digest(results []event.Bounce) string {
	if len(results) == 0 {
		return "-"
	}
	var list []string
	for i := range results {
		list = append(list, strings.ToLower(results[i].Recipient))
	}
	slices.Sort(list)
	sum := sha256.Sum256([]byte(strings.Join(list, "\n")))
	return hex.EncodeToString(sum[:])[:12]
}

// key is what a person read in a mail of the corpus.
type key struct {
	count  int
	digest string
	says   string // failed, delayed, delivered, none
}

func readKeys(t testing.TB) map[string]key {
	t.Helper()
	f, err := os.Open("testdata/corpus-recipients.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	keys := map[string]key{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if w := strings.Fields(s.Text()); len(w) == 4 && w[0] != "#" {
			n, err := strconv.Atoi(w[1])
			if err != nil {
				t.Fatal(err)
			}
			keys[w[0]] = key{n, w[2], w[3]}
		}
	}
	return keys
}

type expectedRecord struct {
	Status    string `json:"status"`
	ReplyCode string `json:"replycode"`
	Reason    string `json:"reason"`
	Hard      bool   `json:"hardbounce"`
}

func TestCorpusRecipients(t *testing.T) {
	dir := corpusDir(t, "bounces")
	var right, all, status, statusRight, code, codeRight, tabled, counts int
	var expected map[string][]expectedRecord
	raw, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &expected); err != nil {
		t.Fatal(err)
	}
	for name, want := range readKeys(t) {
		reports := readFile(t, filepath.Join(dir, "sisimai-set-of-emails", "bsd", name))
		results := resultsOf(reports)
		all++
		if got := digest(results); got == want.digest && len(results) == want.count && says(reports) == want.says {
			right++
		} else {
			t.Logf("%s: %s %d results, want %s %d: %s", name, says(reports), len(results), want.says, want.count, recipients(results))
		}
		records, known := expected[name]
		if want.says != "none" && known {
			tabled++
			if len(records) == len(results) {
				counts++
			} else {
				t.Logf("%s: %d results, the table has %d", name, len(results), len(records))
			}
		}
		if len(records) != len(results) {
			continue
		}
		for i, r := range records {
			if r.Status != "" && !strings.HasPrefix(r.Status[1:], ".0.9") {
				status++
				if classOf(&results[i]) == r.Status[0] {
					statusRight++
				} else {
					t.Logf("%s: class %c of %q/%d %s, want %s", name, classOf(&results[i]), results[i].Status, results[i].Reply.Code, results[i].Reply.Enhanced, r.Status)
				}
			}
			if r.ReplyCode != "" {
				code++
				if strconv.Itoa(results[i].Reply.Code) == r.ReplyCode || strings.Contains(results[i].Diagnostic, r.ReplyCode) {
					codeRight++
				} else {
					t.Logf("%s: code %d, want %s: %.200q", name, results[i].Reply.Code, r.ReplyCode, results[i].Diagnostic)
				}
			}
		}
	}
	t.Logf("recipient sets and kind right: %d of %d", right, all)
	t.Logf("severity by reply or status as in the table: %d of %d; reply codes: %d of %d", statusRight, status, codeRight, code)
	t.Logf("number of recipients as in the table: %d of %d", counts, tabled)
	for what, x := range map[string][2]int{
		"recipient sets": {right, all}, "numbers": {counts, tabled}, "severities": {statusRight, status}, "codes": {codeRight, code},
	} {
		if float64(x[0]) < 0.985*float64(x[1]) {
			t.Errorf("%s right: %d of %d, want 98.5 %%", what, x[0], x[1])
		}
	}
}

// classOf is the severity that the reply or status states: '2', '4' or '5'.
func classOf(b *event.Bounce) byte {
	if b.Status != "" {
		return b.Status[0]
	}
	if b.Reply.Enhanced != "" {
		return b.Reply.Enhanced[0]
	}
	if b.Reply.Code != 0 {
		return byte('0' + b.Reply.Code/100)
	}
	return '0'
}

func says(reports []Report) string {
	for i := range reports {
		switch reports[i].Kind {
		case KindBounce:
			return "failed"
		case KindDelayed, KindDelivered:
			return string(reports[i].Kind)
		}
	}
	return "none"
}

func recipients(results []event.Bounce) string {
	var list []string
	for i := range results {
		list = append(list, results[i].Recipient)
	}
	return strings.Join(list, " ")
}

func TestCorpusLineEnds(t *testing.T) {
	dir := corpusDir(t, "bounces/sisimai-set-of-emails")
	for _, copies := range []string{"dos", "mac"} {
		names, err := filepath.Glob(filepath.Join(dir, copies, "*.eml"))
		if err != nil || len(names) == 0 {
			t.Fatal("no mails", err)
		}
		for _, name := range names {
			bsd := filepath.Join(dir, "bsd", filepath.Base(name))
			if _, err := os.Stat(bsd); err != nil {
				continue
			}
			got, want := readFile(t, name), readFile(t, bsd)
			if len(got) != len(want) {
				t.Errorf("%s: %d mails, in bsd %d", name, len(got), len(want))
				continue
			}
			for i := range got {
				g, w := got[i], want[i]
				g.Original.Header, w.Original.Header = message.Header{}, message.Header{}
				if !reflect.DeepEqual(g, w) {
					t.Errorf("%s:\n got %+v\nwant %+v", name, g, w)
				}
			}
		}
	}
}

func TestCorpusNotBounces(t *testing.T) {
	dir := corpusDir(t, "bounces/sisimai-set-of-emails")
	for _, folder := range []string{"not", "err", "tmp"} {
		names, err := filepath.Glob(filepath.Join(dir, folder, "*"))
		if err != nil || len(names) == 0 {
			t.Fatal("no mails", err)
		}
		for _, name := range names {
			for _, r := range readFile(t, name) {
				if folder == "not" && (len(r.Results) > 0 || r.Kind == KindBounce) {
					t.Errorf("%s: %s %v", name, r.Kind, recipients(r.Results))
				}
				if folder == "err" && len(r.Results) == 0 {
					t.Errorf("%s: %s without a result", name, r.Kind)
				}
			}
		}
	}
}

// What other projects mail in their tests is no bounce either.
func TestCorpusOrdinaryMail(t *testing.T) {
	for _, sub := range []string{"auth-mail", "dkim", "dmarc-rua", "tlsrpt"} {
		t.Run(sub, func(t *testing.T) {
			dir := corpusDir(t, sub)
			err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				switch filepath.Ext(name) {
				case ".eml", ".msg", ".mbox", ".txt", "":
				default:
					return nil
				}
				for _, r := range readFile(t, name) {
					if r.Kind != KindMessage && r.Kind != KindAutoReply || len(r.Results) > 0 {
						t.Errorf("%s: %s %s %v", name, r.Kind, recipients(r.Results), r.Why)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCorpusFeedback(t *testing.T) {
	dir := corpusDir(t, "bounces/sisimai-set-of-emails/bsd")
	types := map[string]string{
		"arf-02": "abuse", "arf-11": "abuse", "arf-12": "opt-out", "arf-14": "abuse", "arf-15": "abuse",
		"arf-16": "abuse", "arf-20": "auth-failure", "arf-22": "abuse", "arf-26": "opt-out",
	}
	for name, want := range types {
		for _, r := range readFile(t, filepath.Join(dir, name+".eml")) {
			if r.Kind != KindFeedback || r.Feedback == nil || r.Feedback.Type != want {
				t.Errorf("%s: %s %+v, want %s", name, r.Kind, r.Feedback, want)
			}
			if name == "arf-16" && len(r.Feedback.Recipients) != 7 {
				t.Errorf("%s: %d recipients, want 7", name, len(r.Feedback.Recipients))
			}
		}
	}
	for _, name := range []string{"rfc3834-02", "rfc3834-04", "rfc3834-06"} {
		for _, r := range readFile(t, filepath.Join(dir, name+".eml")) {
			if r.Kind != KindAutoReply {
				t.Errorf("%s: %s, want %s", name, r.Kind, KindAutoReply)
			}
		}
	}
}

func BenchmarkCorpus(b *testing.B) {
	dir := corpusDir(b, "bounces/sisimai-set-of-emails/bsd")
	names, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(names) == 0 {
		b.Fatal("no mails", err)
	}
	var mails [][]byte
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		mails = append(mails, raw)
	}
	parsed := make([]*message.Message, len(mails))
	for i, raw := range mails {
		parsed[i] = message.Read(raw, message.Limits{})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		Read(parsed[i%len(parsed)], Options{})
	}
}
