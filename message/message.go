package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Limits caps what is read of one mail. A field that is zero or below takes
// its default.
type Limits struct {
	Depth       int // deepest part, the mail itself being 0; default 20, at most 100
	Parts       int // parts of one mail; default 500
	Size        int // bytes of one mail, and of what is decoded from it; default 24 MiB, at most 1 GiB
	HeaderBytes int // bytes of all header fields of one mail together; default 1 MiB
}

func (l Limits) orDefault() Limits {
	or := func(v *int, def, most int) {
		if *v <= 0 {
			*v = def
		}
		*v = min(*v, most)
	}
	or(&l.Depth, 20, 100) // each delimiter line is compared with every open boundary
	or(&l.Parts, 500, 1<<20)
	or(&l.Size, 24<<20, 1<<30)
	or(&l.HeaderBytes, 1<<20, 1<<28)
	return l
}

// Range is a half-open range of bytes.
type Range struct{ From, To int }

// Len is the number of bytes in r.
func (r Range) Len() int { return r.To - r.From }

// Note is something about a mail that a reader should know: what was cut, what
// was mended. Key is one of the Note constants.
type Note struct {
	Key   string
	Part  int   // index of the part that it is about
	Range Range // in that part's source: what was left unread or was mended; may be empty
}

// The keys of notes. The first five are caps: what lies in the note's range was
// not looked into.
const (
	NoteSize    = "size"    // the mail is longer than Limits.Size
	NoteDepth   = "depth"   // a part deeper than Limits.Depth was left as one
	NoteParts   = "parts"   // more than Limits.Parts; the rest was left as one
	NoteHeader  = "header"  // header fields beyond Limits.HeaderBytes
	NoteDecoded = "decoded" // a coded message that decodes to more than Limits.Size

	NoteEmpty       = "empty"         // nothing but white space
	NoteUTF16       = "utf-16"        // the mail was in UTF-16; Raw is its UTF-8 form
	NoteNoHeader    = "no-header"     // text without any header field
	NoteJunk        = "header-junk"   // lines in a header that are no fields: read as folds, or passed over
	NoteNoBlankLine = "no-blank-line" // a body that starts without a blank line
	NoteNoBoundary  = "no-boundary"   // a multipart whose boundary is nowhere: read as text
	NoteBoundary    = "boundary"      // a multipart with another boundary than declared, or none declared
	NoteUnclosed    = "unclosed"      // a multipart without its end line: cut, probably
	NoteCoded       = "coded"         // a message or multipart in base64 or the like, RFC 2045 section 6.4 forbids it
)

// Part is one entity of a mail (RFC 2045 section 2.4): the mail itself, a body
// part, or a message inside of a message part.
type Part struct {
	Index    int   // in Message.Parts
	Parent   int   // index of the part that holds it; -1 for the mail itself
	Depth    int   // 0 for the mail itself
	Children []int // indices, in order

	Header    Header
	Body      Range  // in Source, transfer encoding and all
	MediaType string // lower case; "text/plain" by default, "message/rfc822" in a digest
	Encoding  string // transfer encoding, lower case, "x-" taken off; "" if none is named

	Preamble Range // of a multipart: in front of the first boundary line
	Epilogue Range // of a multipart: behind its end line
	Opaque   bool  // a cap was hit: Body was not looked into

	src    []byte
	utf8   bool // the source was recoded from UTF-16
	nested nest // what Body holds, for the parser
}

// nest says what the body of a part consists of.
type nest uint8

const (
	nestNone    nest = iota
	nestMessage      // a mail
	nestHeader       // the header of a mail
)

// Source is what the part's ranges count from. It is Message.Raw, but for parts
// inside of a message that came in base64 or quoted-printable: those stand in a
// buffer of their own, with what was decoded.
func (p *Part) Source() []byte { return p.src }

// Param is a parameter of the part's Content-Type, RFC 2231 decoded; "" if there
// is none.
func (p *Part) Param(name string) string { return p.Header.Param("Content-Type", name) }

// Filename is the name under which the part is attached, "" if it has none.
func (p *Part) Filename() string {
	name := p.Header.Param("Content-Disposition", "filename")
	if name == "" {
		name = p.Param("name")
	}
	return DecodeWords(name)
}

// IsMultipart reports whether the part consists of body parts.
func (p *Part) IsMultipart() bool { return strings.HasPrefix(p.MediaType, "multipart/") }

// Message is a mail that was read.
type Message struct {
	Raw   []byte // what was given to Read; for a mail in UTF-16 its UTF-8 form
	Parts []Part // Parts[0] is the mail itself; document order, parents before children
	Notes []Note

	lim  Limits
	work int // bytes that Read looked at, for the tests of linear time
}

// Read takes a mail apart. It never fails: whatever raw holds, Parts[0] is
// there. raw is not copied and must not change while the Message is in use.
// Beyond Limits.Size raw is not looked into; see also [ReadFrom].
func Read(raw []byte, lim Limits) *Message {
	lim = lim.orDefault()
	m := &Message{Raw: raw, lim: lim, Parts: make([]Part, 0, 6)}
	p := parser{m: m, headerLeft: lim.HeaderBytes, decodedLeft: lim.Size, idx: make([]fieldAt, 0, 60)}
	src := raw[:min(len(raw), lim.Size)]
	if order := utf16Order(src); order != 0 {
		src = utf16ToUTF8(src, order)
		m.Raw = src
		if len(raw) > lim.Size {
			p.note(NoteSize, 0, Range{len(src), len(src)})
		}
		src = src[:min(len(src), lim.Size)]
		p.note(NoteUTF16, 0, Range{0, len(src)})
		p.recoded = true
	} else if len(raw) > lim.Size {
		p.note(NoteSize, 0, Range{lim.Size, len(raw)})
	}
	p.retryLeft = 4*len(src) + 1<<12
	p.mail(src, -1, 0, nestMessage)
	p.link()
	m.work = p.work
	if blankOnly(src) {
		p.note(NoteEmpty, 0, Range{0, len(src)})
	}
	return m
}

func blankOnly(b []byte) bool {
	for _, c := range b {
		if !isSpace(c) {
			return false
		}
	}
	return true
}

// Has reports whether a note of this key was made.
func (m *Message) Has(key string) bool {
	for _, n := range m.Notes {
		if n.Key == key {
			return true
		}
	}
	return false
}

// Body is the part's body as it stands, transfer encoding and all.
func (m *Message) Body(p *Part) []byte {
	return p.src[p.Body.From:p.Body.To:p.Body.To]
}

// Bytes is the part's body with its transfer encoding undone: what decodes of
// it, at most Limits.Size. The charset is as sent. It may be a piece of Raw and
// must not be changed.
func (m *Message) Bytes(p *Part) []byte {
	return undo(m.Body(p), p.Encoding, m.lim.orDefault().Size)
}

// Text is the part's body as text: valid UTF-8 with LF line ends, at most
// Limits.Size bytes long. The charset is the one declared, where it can be
// true, then UTF-8, then windows-1252.
func (m *Message) Text(p *Part) string {
	b := m.Bytes(p)
	limit := m.lim.orDefault().Size
	charset := p.Param("charset")
	if charset == "" && p.MediaType == "text/html" {
		charset = metaCharset(b)
	}
	if p.utf8 && !isCoded(p.Encoding) {
		charset = "utf-8"
	}
	return textOf(b, charset, limit)
}

// Inner is the message inside of p, where p is a message part (RFC 2046 section
// 5.2, RFC 6532) or a part with the header of a message (RFC 6522); nil if p is
// none or was left opaque. Of a header part it has a Header and no Body.
func (m *Message) Inner(p *Part) *Part {
	if p.nested == nestNone || len(p.Children) == 0 {
		return nil
	}
	return &m.Parts[p.Children[0]]
}

// metaCharset finds the charset that an HTML text names for itself.
func metaCharset(b []byte) string {
	head := bytes.ToLower(b[:min(len(b), 1024)])
	i := bytes.Index(head, []byte("charset="))
	if i < 0 {
		return ""
	}
	v := bytes.TrimLeft(head[i+len("charset="):], `"' `)
	n := 0
	for n < len(v) && v[n] < utf8.RuneSelf && (isAlnum(v[n]) || strings.IndexByte("-_.:", v[n]) >= 0) {
		n++
	}
	return string(v[:n])
}
