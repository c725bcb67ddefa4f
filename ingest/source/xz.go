package source

import (
	"io"

	"github.com/ulikunitz/xz"
)

type xzReader struct {
	r      io.Reader
	z      *xz.Reader
	window int64
}

func newXZ(r io.Reader, window int64) io.Reader { return &xzReader{r: r, window: window} }

func (x *xzReader) Read(p []byte) (n int, err error) {
	if x.z == nil {
		if x.z, err = xz.NewReader(x.r); err != nil {
			return 0, err
		}
	}
	return x.z.Read(p)
}
