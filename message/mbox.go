package message

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MboxReader reads the mails of an mbox (RFC 4155 and its kin mboxo, mboxrd)
// one by one. Memory is bounded by Limits.Size, whatever the file holds.
type MboxReader struct {
	r    *bufio.Reader
	size int
	pos  int64  // of the next byte in r
	tail []byte // the last bytes of the mail in hand
	err  error
}

// window is what is looked at together; a separator line and the line after it
// must fit in.
const (
	window      = 64 << 10
	maxFromLine = 1000
	lookAhead   = 2 * maxFromLine
)

// OpenMbox reads the mbox r. Of lim only Size counts.
func OpenMbox(r io.Reader, lim Limits) *MboxReader {
	return &MboxReader{r: bufio.NewReaderSize(r, window), size: lim.orDefault().Size}
}

// Next gives the next mail and where it starts in the file. raw begins with the
// "From " line, which [Read] passes over; lines that the mbox quoted (">From ")
// stay quoted. It belongs to the caller. Of a mail longer than Limits.Size the
// rest is passed over and cut is true. After the last mail err is io.EOF; any
// other error comes with what was read until then, once.
//
// A mail starts at the start of the file, or behind a blank line, with a "From "
// line that carries a date, or an address alone before a header: prose that
// starts with "From" starts no mail.
func (m *MboxReader) Next() (raw []byte, offset int64, cut bool, err error) {
	if err := m.skipBlank(); err != nil {
		return nil, m.pos, false, err
	}
	offset = m.pos
	var buf []byte
	keep := func(b []byte) {
		room := m.size - len(buf)
		if len(b) > room {
			b, cut = b[:room], true
		}
		if len(buf)+len(b) > cap(buf) {
			buf = slices.Grow(buf, len(b))
		}
		buf = append(buf, b...)
	}
	m.tail = m.tail[:0]
	for {
		// What is in the buffer is looked at first: filling it moves its content.
		want := m.r.Buffered()
		if want <= 2*lookAhead {
			want = window
		}
		w, peekErr := m.r.Peek(want)
		last := peekErr != nil
		if len(w) == 0 {
			m.note(peekErr)
			break
		}
		n, found := m.cutAt(w, last, m.pos == offset)
		keep(w[:n])
		m.consume(w[:n])
		if found {
			break
		}
		if last && n == len(w) {
			m.note(peekErr)
			break
		}
	}
	if m.err != nil && !errors.Is(m.err, io.EOF) {
		err = fmt.Errorf("read mbox at byte %d: %w", m.pos, m.err)
		m.err = io.EOF
	}
	return buf, offset, cut, err
}

func (m *MboxReader) note(err error) {
	if err == nil || errors.Is(err, bufio.ErrBufferFull) {
		return
	}
	if m.err == nil {
		m.err = err
	}
}

// skipBlank passes the line ends between mails.
func (m *MboxReader) skipBlank() error {
	if m.err != nil {
		return m.err
	}
	for {
		w, err := m.r.Peek(1)
		if len(w) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				err = fmt.Errorf("read mbox at byte %d: %w", m.pos, err)
			}
			m.err = io.EOF
			return err
		}
		if !isBreak(w[0]) {
			return nil
		}
		m.discard(1)
	}
}

func (m *MboxReader) discard(n int) {
	n, _ = m.r.Discard(n)
	m.pos += int64(n)
}

// consume steps over b and keeps its last bytes, to know whether the line
// before the next one was blank.
func (m *MboxReader) consume(b []byte) {
	const most = 8
	m.tail = append(m.tail, b[max(0, len(b)-most):]...)
	if n := len(m.tail); n > most {
		m.tail = append(m.tail[:0], m.tail[n-most:]...)
	}
	m.discard(len(b))
}

// cutAt tells how much of w belongs to the mail in hand; found if the next mail
// starts there. first: w is at the mail's own start, whose From line is passed.
func (m *MboxReader) cutAt(w []byte, last, first bool) (n int, found bool) {
	from := []byte("From ")
	pos := 0
	if first {
		pos = 1
	}
	for {
		i := bytes.Index(w[pos:], from)
		if i < 0 {
			break
		}
		i += pos
		pos = i + 1
		if !m.afterBlank(w, i) {
			continue
		}
		if !last && len(w)-i < lookAhead {
			return i, false // look again with more behind it; i > 0, for w is longer
		}
		if isSeparator(w[i:]) {
			return i, true
		}
	}
	if last {
		return len(w), false
	}
	return len(w) - len(from), false
}

// afterBlank tells whether a blank line stands in front of w[i].
func (m *MboxReader) afterBlank(w []byte, i int) bool {
	var buf [8]byte
	b := buf[:0]
	if i < 4 {
		b = append(b, m.tail[max(0, len(m.tail)-4):]...)
	}
	b = append(b, w[max(0, i-4):i]...)
	at := beforeBreak(b, 0, len(b))
	return at < len(b) && at > 0 && isBreak(b[at-1])
}

// isSeparator tells whether b starts with a line that starts a mail in an mbox.
func isSeparator(b []byte) bool {
	if !bytes.HasPrefix(b, []byte("From ")) {
		return false
	}
	end := 0
	for end < len(b) && end <= maxFromLine && !isBreak(b[end]) {
		end++
	}
	if end > maxFromLine {
		return false
	}
	line := strings.TrimSpace(string(b[5:end]))
	addr, rest := line, ""
	if i := strings.IndexAny(line, " \t"); i > 0 {
		addr, rest = line[:i], line[i:]
	}
	if strings.TrimSpace(rest) != "" {
		return hasDate(rest) || hasDate(line)
	}
	if !strings.Contains(addr, "@") {
		return false
	}
	next := afterBreak(b, end)
	line2 := b[next:min(len(b), next+maxFromLine)]
	return colonAt(line2) > 0
}

// hasDate tells whether s holds a date with a time, and hardly more.
func hasDate(s string) bool {
	if strings.IndexByte(s, ':') < 0 {
		return false
	}
	if i := strings.Index(s, " remote from "); i > 0 { // UUCP
		s = s[:i]
	}
	_, ok := ParseDate(s)
	return ok
}

// IsMbox tells by its first bytes (some kB) whether a file is an mbox.
func IsMbox(head []byte) bool {
	head = bytes.TrimPrefix(head, []byte(byteOrderMark))
	for len(head) > 0 && isBreak(head[0]) {
		head = head[1:]
	}
	return isSeparator(head)
}

// ReadFrom reads one mail of at most Limits.Size bytes. What is longer is read
// to its end and dropped; cut tells. With an error comes what was read.
func ReadFrom(r io.Reader, lim Limits) (raw []byte, cut bool, err error) {
	size := lim.orDefault().Size
	hint := 16 << 10
	switch v := r.(type) {
	case interface{ Len() int }:
		hint = v.Len()
	case *os.File:
		if fi, err := v.Stat(); err == nil && fi.Mode().IsRegular() {
			hint = int(min(fi.Size(), int64(size)))
		}
	}
	buf := make([]byte, 0, min(hint, size)+1)
	idle := 0
	for len(buf) < size {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(max(len(buf), 4096), size-len(buf)))
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), size)])
		buf = buf[:len(buf)+n]
		if idle++; n > 0 {
			idle = 0
		} else if err == nil && idle > 100 {
			err = io.ErrNoProgress
		}
		if err == io.EOF {
			return buf, false, nil
		}
		if err != nil {
			return buf, false, fmt.Errorf("read mail: %w", err)
		}
	}
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		err = fmt.Errorf("read mail: %w", err)
	}
	return buf, n > 0, err
}

// Maildir walks the mails of a Maildir: the paths of the files in cur and new,
// each sorted. Files whose name starts with a dot, tmp, and folders are left
// out. A folder that cannot be read is an error; one that is not there is not,
// unless both are missing.
func Maildir(dir string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		missing := 0
		for _, sub := range [...]string{"cur", "new"} {
			entries, err := os.ReadDir(filepath.Join(dir, sub))
			if errors.Is(err, os.ErrNotExist) {
				if missing++; missing == 2 {
					yield("", fmt.Errorf("read Maildir %s: neither cur nor new in it: %w", dir, err))
				}
				continue
			}
			if err != nil {
				if !yield("", fmt.Errorf("read Maildir: %w", err)) {
					return
				}
				continue
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), ".") || e.IsDir() {
					continue
				}
				if !yield(filepath.Join(dir, sub, e.Name()), nil) {
					return
				}
			}
		}
	}
}
