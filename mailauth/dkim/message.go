package dkim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Bounds of a header. Real ones have a few dozen fields and some 10 kB.
const (
	MaxHeader = 1 << 20 // bytes
	maxFields = 1000
)

// ErrHeader is wrapped by the errors about a header that cannot be signed or
// verified at all: too long, too many fields, no field where one must be.
var ErrHeader = errors.New("not a header of a mail")

// Message is one mail, its header in memory and its body as a reader. Signing and verifying
// read the body to its end, so a Message serves once.
type Message struct {
	Header []byte    // every byte up to the empty line; that line may be there too
	Body   io.Reader // every byte behind the empty line; nil is an empty body
}

// NewMessage divides a mail that is in memory.
func NewMessage(raw []byte) Message {
	end, body := headerEnd(raw)
	return Message{Header: raw[:end], Body: bytes.NewReader(raw[body:])}
}

// ReadMessage reads the header of a mail, at most MaxHeader bytes, and leaves the
// body in the reader. Errors are those of the reader, and ErrHeader.
func ReadMessage(r io.Reader) (Message, error) {
	br := bufio.NewReaderSize(r, 32<<10)
	var header []byte
	for {
		line, err := br.ReadSlice('\n')
		if bol := len(header) == 0 || header[len(header)-1] == '\n'; bol && err == nil && len(trimEnd(line)) == 0 {
			return Message{Header: header, Body: br}, nil
		}
		if header = append(header, line...); len(header) > MaxHeader {
			return Message{}, tooLong()
		}
		switch {
		case errors.Is(err, io.EOF):
			return Message{Header: header, Body: br}, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return Message{}, fmt.Errorf("read the header: %w", err)
		}
	}
}

func tooLong() error {
	return fmt.Errorf("%w: longer than %d bytes; is it a mail?", ErrHeader, MaxHeader)
}

// headerEnd gives the end of the last field and the begin of the body: the empty
// line stands between them, or both are the end.
func headerEnd(raw []byte) (end, body int) {
	for i := 0; i < len(raw); {
		lf := bytes.IndexByte(raw[i:], '\n')
		if lf < 0 {
			break
		}
		if lf == 0 || lf == 1 && raw[i] == '\r' {
			return i, i + lf + 1
		}
		i += lf + 1
	}
	return len(raw), len(raw)
}

// trimEnd takes the line end off a line.
func trimEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'})
}

// field is one header field where it stands.
type field struct {
	raw  []byte // with its line end, if it has one
	name []byte // as written, without white space around it; empty if the first line has no colon
	hash uint32 // nameHash of the name
}

// value gives what is behind the colon.
func (f *field) value() []byte {
	_, v, _ := bytes.Cut(f.raw, []byte{':'})
	return v
}

// is reports whether the field has this name; hash is nameHash(name).
func (f *field) is(name string, hash uint32) bool {
	return f.hash == hash && len(f.name) > 0 && equalFold(f.name, name)
}

// fields divides a header, into the room of list. bareLF says that a line ends without CR.
func fields(list []field, header []byte) (_ []field, bareLF bool, err error) {
	if len(header) > MaxHeader {
		return nil, false, tooLong()
	}
	for i := 0; i < len(header); {
		next := len(header)
		if lf := bytes.IndexByte(header[i:], '\n'); lf >= 0 {
			next = i + lf + 1
			short := lf == 0 || header[i+lf-1] != '\r'
			bareLF = bareLF || short
			if lf == 0 || lf == 1 && !short { // the empty line
				break
			}
		}
		if isWSP(header[i]) {
			if len(list) == 0 {
				return nil, bareLF, fmt.Errorf("%w: the first line continues a line before it", ErrHeader)
			}
			f := &list[len(list)-1]
			f.raw = header[i-len(f.raw) : next]
		} else {
			if len(list) == maxFields {
				return nil, bareLF, fmt.Errorf("%w: more than %d fields", ErrHeader, maxFields)
			}
			list = append(list, field{raw: header[i:next]})
		}
		i = next
	}
	for i := range list {
		f := &list[i]
		colon := bytes.IndexByte(f.raw, ':')
		if colon < 0 || bytes.IndexByte(f.raw[:colon], '\n') >= 0 {
			continue // what is not a field has no name and is never signed
		}
		f.name = trimSpace(f.raw[:colon])
		f.hash = nameHash(f.name)
	}
	return list, bareLF, nil
}

// nameHash is the length of a name and three of its letters in lower case: different in
// nearly all names that meet in a header, and the same at once.
func nameHash[T []byte | string](name T) uint32 {
	n := len(name)
	if n == 0 {
		return 0
	}
	return uint32(n&0xff)<<24 | uint32(lower(name[0]))<<16 | uint32(lower(name[n/2]))<<8 | uint32(lower(name[n-1]))
}

func equalFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(b) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// picker takes fields in the order that a signature needs: of several with one
// name the last one first (RFC 6376 section 5.4.2).
type picker struct {
	fields []field
	taken  []bool
}

// newPicker begins with no field taken.
func newPicker(d *desk) picker {
	d.taken = slices.Grow(d.taken[:0], len(d.fields))[:len(d.fields)]
	clear(d.taken)
	return picker{fields: d.fields, taken: d.taken}
}

// take gives the last field of that name that has not been taken, or nil. hash is
// nameHash(name).
func (p *picker) take(name string, hash uint32) *field {
	for i := len(p.fields) - 1; i >= 0; i-- {
		if f := &p.fields[i]; f.hash == hash && !p.taken[i] && f.is(name, hash) {
			p.taken[i] = true
			return f
		}
	}
	return nil
}
