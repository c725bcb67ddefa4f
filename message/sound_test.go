package message

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// shape writes down what a mail consists of, without offsets.
func shape(m *Message) string {
	var b strings.Builder
	for i := range m.Parts {
		p := &m.Parts[i]
		fmt.Fprintf(&b, "%d in %d depth %d %s %q children %v opaque %v\n", p.Index, p.Parent, p.Depth, p.MediaType, p.Encoding, p.Children, p.Opaque)
		for _, f := range p.Header.Fields() {
			fmt.Fprintf(&b, "  %s: %s\n", f.Name, DecodeWords(p.Header.Value(f)))
		}
		fmt.Fprintf(&b, "  preamble %q epilogue %q\n", normalLines(string(p.Source()[p.Preamble.From:p.Preamble.To])), normalLines(string(p.Source()[p.Epilogue.From:p.Epilogue.To])))
		if m.Inner(p) == nil && (strings.HasPrefix(p.MediaType, "text/") || strings.HasPrefix(p.MediaType, "message/")) {
			fmt.Fprintf(&b, "  %q\n", m.Text(p))
		}
	}
	for _, n := range m.Notes {
		fmt.Fprintf(&b, "note %s of %d\n", n.Key, n.Part)
	}
	return b.String()
}

// sound holds what must be true of any mail that was read.
func sound(t testing.TB, m *Message, lim Limits, size int) {
	t.Helper()
	if len(m.Parts) == 0 || m.Parts[0].Parent != -1 || m.Parts[0].Depth != 0 {
		t.Fatal("no root")
	}
	if len(m.Parts) > lim.Parts {
		t.Fatalf("%d parts, limit %d", len(m.Parts), lim.Parts)
	}
	children, decoded := 0, 0
	for i := range m.Parts {
		p := &m.Parts[i]
		src := p.Source()
		if p.Index != i || i > 0 && (p.Parent < 0 || p.Parent >= i || p.Depth != m.Parts[p.Parent].Depth+1) {
			t.Fatalf("part %d: index %d parent %d depth %d", i, p.Index, p.Parent, p.Depth)
		}
		if p.Depth > lim.Depth {
			t.Fatalf("part %d: depth %d", i, p.Depth)
		}
		if len(src) > lim.Size || len(src) > 3*size {
			t.Fatalf("part %d: source of %d bytes from a mail of %d", i, len(src), size)
		}
		for _, r := range []Range{p.Body, p.Preamble, p.Epilogue, p.Header.Range()} {
			if r.From < 0 || r.To < r.From || r.To > len(src) {
				t.Fatalf("part %d: range %v of %d", i, r, len(src))
			}
		}
		if p.Header.Range().To > p.Body.From && p.Body != (Range{}) {
			t.Fatalf("part %d: header %v goes into body %v", i, p.Header.Range(), p.Body)
		}
		last := p.Header.Range().From
		for _, f := range p.Header.Fields() {
			if f.Line.From < last || f.Line.To > p.Header.Range().To || f.Value.From < f.Line.From || f.Value.To > f.Line.To || f.Value.To < f.Value.From || f.Name == "" {
				t.Fatalf("part %d: field %+v in %v", i, f, p.Header.Range())
			}
			last = f.Line.To
			if !p.Header.Has(f.Name) {
				t.Fatalf("part %d: field %q is not found", i, f.Name)
			}
		}
		for n, c := range p.Children {
			if c <= i || c >= len(m.Parts) || m.Parts[c].Parent != i || n > 0 && c <= p.Children[n-1] {
				t.Fatalf("part %d: children %v", i, p.Children)
			}
			children++
			in := &m.Parts[c]
			if len(in.src) > 0 && len(src) > 0 && &in.src[0] == &src[0] && !p.IsMultipart() && (in.Body.From < p.Body.From || in.Body.To > p.Body.To) {
				t.Fatalf("part %d %v lies outside of its parent %v", c, in.Body, p.Body)
			}
		}
		if p.MediaType == "" || p.MediaType != strings.ToLower(p.MediaType) || !strings.Contains(p.MediaType, "/") {
			t.Fatalf("part %d: media type %q", i, p.MediaType)
		}
		if p.IsMultipart() != strings.HasPrefix(p.MediaType, "multipart/") {
			t.Fatal("multipart")
		}
		b := m.Bytes(p)
		text := m.Text(p)
		if len(b) > p.Body.Len() || len(text) > lim.Size || len(text) > 4*p.Body.Len() {
			t.Fatalf("part %d: %d bytes and %d of text from %d", i, len(b), len(text), p.Body.Len())
		}
		decoded += len(text)
		if !utf8.ValidString(text) || strings.Contains(text, "\r") {
			t.Fatalf("part %d: text is no UTF-8, or has CR", i)
		}
		if in := m.Inner(p); in != nil && in.Parent != i {
			t.Fatalf("part %d: inner %d", i, in.Index)
		}
		if !utf8.ValidString(p.Filename()) || !utf8.ValidString(p.Header.Text("subject")) {
			t.Fatalf("part %d: not UTF-8", i)
		}
	}
	if children != len(m.Parts)-1 {
		t.Fatalf("%d children of %d parts", children, len(m.Parts))
	}
	for _, n := range m.Notes {
		if n.Part < 0 || n.Part >= len(m.Parts) || n.Range.From < 0 || n.Range.To < n.Range.From {
			t.Fatalf("note %+v", n)
		}
	}
	if decoded > (lim.Depth+2)*4*(3*size+64) {
		t.Fatalf("%d bytes of text from a mail of %d", decoded, size)
	}
}

// b64 codes b in base64 with lines of 76 characters.
func b64(b []byte) string {
	s := base64.StdEncoding.EncodeToString(b)
	var out strings.Builder
	for len(s) > 76 {
		out.WriteString(s[:76] + "\n")
		s = s[76:]
	}
	out.WriteString(s)
	return out.String()
}
