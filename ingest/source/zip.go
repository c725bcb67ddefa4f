package source

import (
	"archive/zip"
	"bufio"
	"errors"
	"strings"

	"github.com/postroad/postroad/event"
)

// zip reads the files of a zip archive.
func (w *walk) zip(in *input, s Stream, _ *bufio.Reader, level int) error {
	if s.at == nil {
		w.skip(s.Name, event.SkipNested, errors.New("not yet"))
		return nil
	}
	z, err := zip.NewReader(s.at, s.Size)
	if err != nil {
		return w.tell(s.Name, err)
	}
	for _, f := range z.File {
		name := inside(s.Name, f.Name)
		if strings.HasSuffix(f.Name, "/") || ignored(base(f.Name)) {
			continue
		}
		r, err := f.Open()
		if err != nil {
			if err := w.tell(name, err); err != nil {
				return err
			}
			continue
		}
		e := Stream{Name: name, Modified: modified(f.Modified), Size: int64(f.UncompressedSize64), nested: s.nested}
		l := &layer{in: in, r: r, name: name, from: in.read}
		if err := w.unpack(in, e, l, level+1, false); err != nil {
			return err
		}
		_ = r.Close()
	}
	return nil
}
