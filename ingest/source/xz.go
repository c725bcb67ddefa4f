package source

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzReader reads the container of https://tukaani.org/xz/xz-file-format.txt (1.2.1)
// and leaves LZMA2 to the library. The library's own reader of the container takes
// as much memory as a block asks for, up to 4 GiB, block after block.
type xzReader struct {
	buf    *bufio.Reader
	crc64  *crc64.Table
	window int64

	state   xzState
	flags   [2]byte   // of the stream
	check   hash.Hash // of the block; nil where the kind is not known
	checked int       // length of the check field
	blocks  int64     // of the stream
	data    *lzma.Reader2
	size    int64 // of the block unpacked, -1 where it does not say
	got     int64
	packed  *counter
	claimed int64 // memory that dictionaries took
	total   int64 // bytes unpacked
	err     error
}

type xzState int

const (
	xzStream xzState = iota // a stream header comes
	xzBlock                 // a block header or the index comes
	xzData                  // in a block
)

var (
	errXZ       = errors.New("read xz: what stands there is not what the format asks for")
	errXZFilter = errors.New("read xz: a filter other than LZMA2")
	errXZCheck  = errors.New("read xz: the checksum is wrong")
)

func newXZ(buf *bufio.Reader, window int64) *xzReader {
	return &xzReader{buf: buf, window: window, crc64: crc64.MakeTable(crc64.ECMA)}
}

// Read unpacks. The end is io.EOF only where a stream ends.
func (x *xzReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for x.err == nil {
		switch x.state {
		case xzStream:
			x.err = x.stream()
		case xzBlock:
			x.err = x.block()
		case xzData:
			n, err := x.data.Read(p)
			x.got += int64(n)
			x.total += int64(n)
			if x.check != nil {
				x.check.Write(p[:n])
			}
			switch {
			case errors.Is(err, io.EOF):
				x.err = x.endBlock()
			case err != nil:
				x.err = err
			case x.size >= 0 && x.got > x.size:
				x.err = errXZ
			}
			if n > 0 {
				return n, nil
			}
		}
	}
	return 0, x.err
}

// stream reads a stream header (2.1.1) after padding (2.2).
func (x *xzReader) stream() error {
	for {
		head, err := x.buf.Peek(4)
		switch {
		case len(head) == 0:
			return err
		case len(head) == 4 && string(head) == "\x00\x00\x00\x00":
			_, _ = x.buf.Discard(4)
			continue
		case len(head) < 4:
			return eofIsCut(err)
		}
		break
	}
	var head [12]byte
	if err := x.full(head[:]); err != nil {
		return err
	}
	if string(head[:6]) != "\xfd7zXZ\x00" || head[6] != 0 || head[7] > 15 ||
		crc32.ChecksumIEEE(head[6:8]) != binary.LittleEndian.Uint32(head[8:]) {
		return errXZ
	}
	x.flags, x.blocks, x.state = [2]byte(head[6:8]), 0, xzBlock
	return nil
}

// block reads a block header (3.1), or the index that stands in its place.
func (x *xzReader) block() error {
	length, err := x.buf.ReadByte()
	if err != nil {
		return eofIsCut(err)
	}
	if length == 0 {
		x.state = xzStream
		return x.index()
	}
	head := make([]byte, (int(length)+1)*4)
	head[0] = length
	if err := x.full(head[1:]); err != nil {
		return err
	}
	body, sum := head[:len(head)-4], head[len(head)-4:]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(sum) {
		return errXZ
	}
	dict, size, err := blockHeader(body[1:])
	if err != nil {
		return err
	}
	if size >= 0 {
		dict = min(dict, max(size, lzma.MinDictCap))
	}
	// Memory is cleared before it is used, so a thousand blocks of a few bytes that each ask for much are a bomb.
	if x.claimed += dict; dict > x.window || x.claimed > 16*x.window+8*x.total {
		return errWindow
	}
	switch x.flags[1] {
	case 1:
		x.check = crc32.NewIEEE()
	case 4:
		x.check = crc64.New(x.crc64)
	case 10:
		x.check = sha256.New()
	default:
		x.check = nil
	}
	x.checked = 0
	if f := x.flags[1]; f > 0 {
		x.checked = 4 << ((f - 1) / 3)
	}
	x.size, x.got, x.packed = size, 0, &counter{r: x.buf}
	x.blocks++
	x.data, err = lzma.Reader2Config{DictCap: int(dict)}.NewReader2(x.packed)
	x.state = xzData
	return err
}

// blockHeader reads what stands between the length and the checksum of a block
// header: the size of the dictionary and, -1 where it is not said, of the content.
func blockHeader(b []byte) (dict, size int64, err error) {
	r := bytes.NewReader(b[1:])
	number := func() int64 {
		n, e := readVLI(r)
		if e != nil && err == nil {
			err = errXZ
		}
		return n
	}
	flags := b[0]
	if size = -1; flags&0x40 != 0 {
		number()
	}
	if flags&0x80 != 0 {
		size = number()
	}
	filter, properties := number(), number()
	bits, _ := r.ReadByte()
	switch {
	case err != nil:
		return 0, 0, err
	case flags&3 != 0 || filter != 0x21:
		return 0, 0, errXZFilter
	case properties != 1 || bits > 40:
		return 0, 0, errXZ
	case bits == 40:
		return 1<<32 - 1, size, nil
	}
	return (2 | int64(bits&1)) << (bits/2 + 11), size, nil
}

// endBlock checks the end of a block (3.3, 3.4).
func (x *xzReader) endBlock() error {
	x.state = xzBlock
	tail := make([]byte, int(-x.packed.n&3)+x.checked)
	if err := x.full(tail); err != nil {
		return err
	}
	sum := tail[len(tail)-x.checked:]
	if x.check == nil {
		return nil
	}
	want := x.check.Sum(nil)
	if len(want) < 32 { // the CRCs are little-endian, Go's are not
		for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
			want[i], want[j] = want[j], want[i]
		}
	}
	if !bytes.Equal(sum, want) || x.size >= 0 && x.got != x.size {
		return errXZCheck
	}
	return nil
}

// index reads the index (4) and the footer of the stream (2.1.2).
func (x *xzReader) index() error {
	c := &counter{r: x.buf, n: 1, sum: crc32.Update(0, crc32.IEEETable, []byte{0})}
	n, err := readVLI(c)
	if err != nil {
		return eofIsCut(err)
	}
	if n != x.blocks {
		return errXZ
	}
	for range 2 * n {
		if _, err := readVLI(c); err != nil {
			return eofIsCut(err)
		}
	}
	for c.n&3 != 0 {
		if _, err := c.ReadByte(); err != nil {
			return eofIsCut(err)
		}
	}
	var tail [16]byte
	if err := x.full(tail[:]); err != nil {
		return err
	}
	footer := tail[4:]
	if binary.LittleEndian.Uint32(tail[:]) != c.sum || string(footer[10:]) != "YZ" ||
		[2]byte(footer[8:10]) != x.flags || crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer) {
		return errXZ
	}
	return nil
}

// full reads all of p.
func (x *xzReader) full(p []byte) error {
	_, err := io.ReadFull(x.buf, p)
	return eofIsCut(err)
}

// readVLI reads a number of variable length (1.2).
func readVLI(r io.ByteReader) (int64, error) {
	var n int64
	for i := range 9 {
		c, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		n |= int64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				break
			}
			return n, nil
		}
	}
	return 0, errXZ
}

// counter counts the bytes that pass, and sums up those read one by one.
type counter struct {
	r   *bufio.Reader
	n   int64
	sum uint32
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// ReadByte implements io.ByteReader.
func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
		c.sum = crc32.Update(c.sum, crc32.IEEETable, []byte{b})
	}
	return b, err
}
