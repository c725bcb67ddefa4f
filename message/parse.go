package message

import "bytes"

// parser builds the parts of one mail. It goes over each source once, with the
// boundaries of the open multiparts on a stack; only a multipart whose boundary
// proved wrong is gone over again, and all of those together for a few times
// the input at most.
type parser struct {
	m           *Message
	idx         []fieldAt // all fields of the mail
	headerLeft  int
	decodedLeft int
	retryLeft   int // bytes that may still be gone over again for a boundary
	recoded     bool
	work        int // bytes that were looked at, see lines
}

// walk is the way of the parser through one source.
type walk struct {
	*parser
	head  headScan
	src   []byte // ends where the walk ends
	base  int    // where the walk started: counts as the start of a line
	stack []frame
	leaf  int // the part whose body is being passed, -1 if none is
	done  bool
}

// frame is an open multipart or message part.
type frame struct {
	part     int
	boundary []byte // nil: a message, or a multipart that has ended
	multi    bool
	seen     bool // a boundary line was met
	ended    bool // the end line was met
	retry    bool // the boundary is a guess already
}

func (p *parser) note(key string, part int, r Range) {
	p.m.Notes = append(p.m.Notes, Note{key, part, r})
}

// mail reads src as a whole mail, or as the header of one.
func (p *parser) mail(src []byte, parent, depth int, as nest) {
	w := p.walk(src, 0)
	start := 0
	if bytes.HasPrefix(src, []byte(byteOrderMark)) {
		start = 3
		w.base = 3
	}
	w.begin(start, parent, depth, as, "")
	w.run(w.resume())
}

func (p *parser) walk(src []byte, base int) *walk {
	w := &walk{parser: p, src: src, base: base, leaf: -1, stack: make([]frame, 0, 6)}
	w.head = headScan{lines: lines{b: src}, stop: w.isDelimiter}
	return w
}

// resume is where the search for boundary lines goes on after begin.
func (w *walk) resume() int {
	if n := len(w.m.Parts); n > 0 {
		return w.m.Parts[n-1].Body.From
	}
	return w.base
}

// run passes the bodies from pos on, opening and closing parts at the boundary
// lines that it meets.
func (w *walk) run(pos int) {
	for !w.done && w.listening() {
		start, next, k, end, ok := w.nextDelimiter(pos)
		if !ok {
			break
		}
		stop := beforeBreak(w.src, w.base, start)
		w.closeAbove(k, stop)
		f := &w.stack[k]
		part := &w.m.Parts[f.part]
		if !f.seen {
			f.seen = true
			part.Preamble = Range{part.Body.From, max(stop, part.Body.From)}
		}
		pos = next
		if end {
			f.boundary, f.ended = nil, true
			part.Epilogue = Range{next, next}
			continue
		}
		def := ""
		if part.MediaType == "multipart/digest" {
			def = "message/rfc822" // RFC 2046 section 5.1.5
		}
		w.begin(next, f.part, part.Depth+1, nestNone, def)
		if !w.done {
			pos = w.resume()
		}
	}
	w.closeAbove(-1, len(w.src))
	w.work += w.head.work
	w.head.work = 0
}

// listening tells whether any boundary is open.
func (w *walk) listening() bool {
	for i := range w.stack {
		if w.stack[i].boundary != nil {
			return true
		}
	}
	return false
}

// begin opens the part whose header starts at from, and, where that part is a
// message, the message inside of it.
func (w *walk) begin(from, parent, depth int, as nest, def string) {
	for {
		i := len(w.m.Parts)
		if i >= w.m.lim.Parts-1 && parent >= 0 {
			w.capParts(from, parent, depth)
			return
		}
		w.m.Parts = append(w.m.Parts, Part{
			Index: i, Parent: parent, Depth: depth, src: w.src[:len(w.src):len(w.src)], utf8: w.recoded,
		})
		w.header(i, from, as)
		boundary := w.mediaType(i, as, def)
		part := &w.m.Parts[i]
		multi := part.IsMultipart()
		if !multi {
			part.nested = nestOf(part.MediaType, part.Header)
		}
		if as == nestHeader || !multi && part.nested == nestNone {
			part.nested = nestNone
			w.leaf = i
			return
		}
		if depth >= w.m.lim.Depth || i+1 >= w.m.lim.Parts {
			key := NoteDepth
			if depth < w.m.lim.Depth {
				key = NoteParts
			}
			part.Opaque = true
			w.note(key, i, Range{part.Body.From, part.Body.From})
			w.leaf = i
			return
		}
		if multi {
			w.stack = append(w.stack, frame{part: i, boundary: boundary, multi: true})
			return
		}
		if isCoded(part.Encoding) && looksCoded(w.src[part.Body.From:], part.Encoding) {
			w.leaf = i // decoded when its end is known
			return
		}
		w.stack = append(w.stack, frame{part: i})
		from, parent, depth, as, def = part.Body.From, i, depth+1, part.nested, ""
	}
}

// capParts leaves all from here on as one part.
func (w *walk) capParts(from, parent, depth int) {
	w.done = true
	i := len(w.m.Parts)
	rest := Range{from, len(w.src)}
	if i >= w.m.lim.Parts { // used up inside of a coded message
		w.note(NoteParts, parent, rest)
		return
	}
	w.m.Parts = append(w.m.Parts, Part{
		Index: i, Parent: parent, Depth: depth, src: w.src, utf8: w.recoded,
		Body: rest, MediaType: "application/octet-stream", Opaque: true,
		Header: Header{src: w.src, block: Range{from, from}},
	})
	w.note(NoteParts, i, rest)
}

// header reads the header of part i.
func (w *walk) header(i, from int, as nest) {
	s := &w.head
	s.idx, s.budget = w.idx, w.headerLeft
	n := len(s.idx)
	if as == nestNone {
		s.block(from)
	} else {
		s.message(from)
	}
	w.idx, w.headerLeft = s.idx, s.budget
	part := &w.m.Parts[i]
	part.Header = Header{src: part.src, block: Range{s.begin, s.end}, idx: s.idx[n:len(s.idx):len(s.idx)]}
	part.Body = Range{s.body, len(w.src)}
	if s.cut {
		w.note(NoteHeader, i, Range{s.begin, s.end})
	}
	if s.junk {
		w.note(NoteJunk, i, Range{s.begin, s.end})
	}
	if s.noBlank {
		key := NoteNoBlankLine
		if i == 0 && len(part.Header.idx) == 0 {
			key = NoteNoHeader
		}
		w.note(key, i, Range{s.body, s.body})
	}
}

// mediaType fills in what the header says about the body and returns the
// boundary of a multipart, nil if none is declared.
func (w *walk) mediaType(i int, as nest, def string) []byte {
	part := &w.m.Parts[i]
	part.Encoding = transferEncoding(part.Header)
	at := part.Header.find("Content-Type", 0)
	if at < 0 {
		part.MediaType = "text/plain"
		if def != "" {
			part.MediaType = def
		}
		if as == nestMessage {
			if b := w.undeclared(part.Body.From); b != nil {
				part.MediaType = "multipart/mixed"
				w.note(NoteBoundary, i, Range{part.Body.From, part.Body.From})
				return b
			}
		}
		return nil
	}
	ct := part.Header.rawValue(at)
	part.MediaType = mediaTypeOf(ct)
	if !part.IsMultipart() {
		return nil
	}
	return boundaryOf(ct)
}

// undeclared finds the boundary of a mail that lost its Content-Type but is a
// multipart all the same. The body must start with the boundary line: further
// down it could belong to a mail that is quoted.
func (w *walk) undeclared(body int) []byte {
	i := body
	for i < len(w.src) && isSpace(w.src[i]) {
		i++
	}
	if i > body && !isBreak(w.src[i-1]) || !bytes.HasPrefix(w.src[i:], []byte("--")) || w.isDelimiter(i) {
		return nil
	}
	b, _ := boundaryAt(w.src, i)
	return b
}

// closeAbove ends at stop the part that is being passed and all frames above k.
func (w *walk) closeAbove(k, stop int) {
	if i := w.leaf; i >= 0 {
		w.leaf = -1
		stop = w.endBody(i, stop)
		if part := &w.m.Parts[i]; part.nested != nestNone && !part.Opaque {
			w.coded(i)
		}
	}
	for len(w.stack) > k+1 {
		f := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		stop = w.endBody(f.part, stop)
		part := &w.m.Parts[f.part]
		switch {
		case !f.multi:
		case f.ended:
			part.Epilogue.To = max(part.Body.To, part.Epilogue.From)
		case w.done: // the end was not looked for
		case f.seen:
			w.note(NoteUnclosed, f.part, Range{part.Body.To, part.Body.To})
		case !f.retry:
			w.recover(f)
		}
	}
}

// endBody sets where the body of part i ends: at stop, or, where the line end in
// front of the boundary line is the blank line behind its header, there. What
// holds the part ends no earlier.
func (w *walk) endBody(i, stop int) int {
	part := &w.m.Parts[i]
	part.Body.To = max(stop, part.Body.From)
	if part.Opaque {
		for j := range w.m.Notes {
			if n := &w.m.Notes[j]; n.Part == i && (n.Key == NoteDepth || n.Key == NoteParts) {
				n.Range = part.Body
			}
		}
	}
	return part.Body.To
}

// recover makes the best of a multipart in which no boundary line was met: it
// may have another boundary than declared, it may be coded as a whole, else it
// is text.
func (w *walk) recover(f frame) {
	part := &w.m.Parts[f.part]
	body := w.src[:part.Body.To]
	if w.retryLeft -= part.Body.Len(); w.retryLeft < 0 {
		part.Opaque = true
		w.note(NoteNoBoundary, f.part, part.Body)
		return
	}
	w.work += part.Body.Len()
	if b := sniffBoundary(body, part.Body.From); b != nil {
		w.note(NoteBoundary, f.part, part.Body)
		sub := w.parser.walk(body, part.Body.From)
		sub.stack = append(sub.stack, frame{part: f.part, boundary: b, multi: true, retry: true})
		sub.run(part.Body.From)
		return
	}
	if isCoded(part.Encoding) && f.boundary != nil {
		if dec := w.decode(f.part); bytes.Contains(dec, append([]byte("--"), f.boundary...)) {
			w.note(NoteCoded, f.part, part.Body)
			sub := w.parser.walk(dec, 0)
			body := part.Body
			sub.stack = append(sub.stack, frame{part: f.part, boundary: f.boundary, multi: true, retry: true})
			w.m.Parts[f.part].Body = Range{0, len(dec)}
			sub.run(0)
			part = &w.m.Parts[f.part]
			part.Body, part.Preamble, part.Epilogue = body, Range{}, Range{} // those were in the decoded form
			return
		}
	}
	w.note(NoteNoBoundary, f.part, part.Body)
	part.MediaType = "text/plain"
}

// coded reads the message inside of a part that has a transfer encoding: it is
// decoded into a source of its own.
func (w *walk) coded(i int) {
	dec := w.decode(i)
	if dec == nil {
		return
	}
	w.note(NoteCoded, i, w.m.Parts[i].Body)
	part := &w.m.Parts[i]
	if len(w.m.Parts) >= w.m.lim.Parts {
		part.Opaque = true
		w.note(NoteParts, i, part.Body)
		return
	}
	recoded := w.recoded
	w.recoded = false // what was coded was not recoded with the rest
	w.parser.mail(dec, i, part.Depth+1, part.nested)
	w.recoded = recoded
}

// decode undoes the transfer encoding of a part that holds other parts, within
// what one mail may decode to; nil if that is used up.
func (w *walk) decode(i int) []byte {
	part := &w.m.Parts[i]
	body := w.src[part.Body.From:part.Body.To]
	if w.decodedLeft <= 0 {
		part.Opaque = true
		w.note(NoteDecoded, i, part.Body)
		return nil
	}
	w.work += len(body)
	dec := undo(body, part.Encoding, w.decodedLeft)
	if w.decodedLeft -= len(dec); w.decodedLeft <= 0 {
		w.note(NoteDecoded, i, part.Body)
	}
	return dec
}

// link fills in the children of all parts, out of one allocation.
func (p *parser) link() {
	parts := p.m.Parts
	if len(parts) < 2 {
		return
	}
	count := make([]int, len(parts)+len(parts)-1)
	all := count[len(parts):]
	for i := 1; i < len(parts); i++ {
		count[parts[i].Parent]++
	}
	at := 0
	for i := range parts {
		if n := count[i]; n > 0 {
			parts[i].Children = all[at : at : at+n]
			at += n
		}
	}
	for i := 1; i < len(parts); i++ {
		c := &parts[parts[i].Parent].Children
		*c = append(*c, i)
	}
}
