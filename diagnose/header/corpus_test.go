package header

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postroad/postroad/message"
)

// corpus gives the public test data, which lies beside the repository on the
// machines of its authors and nowhere else.
func corpus(t *testing.T) string {
	dir := filepath.Join("../../../shared", "corpus")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("corpus not here: ", err)
	}
	return dir
}

// TestCorpus reads the header of every real mail, and of the mails in them, and
// wants nearly all Received fields to be understood.
func TestCorpus(t *testing.T) {
	hops, raw, files := 0, 0, 0
	err := filepath.WalkDir(corpus(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".eml") || strings.Contains(path, "/dos/") || strings.Contains(path, "/mac/") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		m := message.Read(b, message.Limits{})
		for i := range m.Parts {
			r := Read(m.Parts[i].Header, now)
			check(t, r)
			for _, h := range r.Hops {
				hops++
				if h.Raw != "" {
					raw++
					if testing.Verbose() {
						t.Logf("%s: %s", filepath.Base(path), clip(h.Raw, 300))
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %d Received fields, %d not read whole", files, hops, raw)
	if hops < 500 || raw*20 > hops {
		t.Errorf("%d of %d Received fields were not read whole", raw, hops)
	}
}
