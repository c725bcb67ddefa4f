package source

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postroad/postroad/event"
)

// told is what a walk gave: "name: content" and "name: reason".
func told(t *testing.T, o Options, stdin io.Reader, args ...string) (streams, skips []string) {
	t.Helper()
	o.Skip = func(name string, why event.Skip, err error) { skips = append(skips, name+": "+string(why)) }
	err := Walk(t.Context(), args, stdin, o, func(s *Stream) error {
		b, err := io.ReadAll(s)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		streams = append(streams, fmt.Sprintf("%s: %.60s", s.Name, b))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return streams, skips
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func TestFirst(t *testing.T) {
	dir := t.TempDir()
	for name, b := range map[string][]byte{"mail.log": []byte("new"), "mail.log.1": []byte("old"), "mail.log.2.gz": gz([]byte("older")),
		"mail.log.10.gz": gz(append(gz([]byte("oldest")), gz([]byte(" of all"))...)), ".hidden": []byte("x"), "empty": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	streams, skips := told(t, Options{}, strings.NewReader("in"), dir, "-")
	t.Log(strings.Join(streams, "\n"))
	t.Log(strings.Join(skips, "\n"))
}
