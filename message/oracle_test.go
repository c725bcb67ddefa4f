package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	oracle "github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/mail"
)

// wellFormed writes mails that every reader of mail must agree on: parts in
// parts, messages in messages, all transfer encodings, some charsets.
func wellFormed(r *rand.Rand) []byte {
	var b bytes.Buffer
	n := 0
	var entity func(depth int)
	entity = func(depth int) {
		n++
		if depth < 5 && r.IntN(3) == 0 {
			boundary := fmt.Sprintf("=_b%d", n)
			kind := []string{"mixed", "alternative", "related", "report"}[r.IntN(4)]
			fmt.Fprintf(&b, "Content-Type: multipart/%s;\r\n boundary=\"%s\"\r\n\r\nThis is a preamble.\r\n", kind, boundary)
			for range 1 + r.IntN(3) {
				fmt.Fprintf(&b, "\r\n--%s\r\n", boundary)
				entity(depth + 1)
			}
			fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
			return
		}
		if depth < 5 && depth > 0 && r.IntN(4) == 0 {
			b.WriteString("Content-Type: message/rfc822\r\n\r\n")
			topHeader(&b, r, n)
			entity(depth + 1)
			return
		}
		leaf(&b, r, n)
	}
	topHeader(&b, r, n)
	entity(0)
	return b.Bytes()
}

func topHeader(b *bytes.Buffer, r *rand.Rand, n int) {
	fmt.Fprintf(b, "From: =?utf-8?q?N=C3=A4chste?= Nummer <from%d@example.com>\r\n", n)
	fmt.Fprintf(b, "To: \"Last, First\" <to%d@example.com>, group: a@example.net, <b@example.net>;\r\n", n)
	fmt.Fprintf(b, "Date: %s\r\n", time.Unix(r.Int64N(2_000_000_000), 0).In(time.FixedZone("", (r.IntN(27)-13)*3600)).Format(time.RFC1123Z))
	fmt.Fprintf(b, "Subject: =?iso-8859-1?q?n=E4he_%d?=\r\n =?utf-8?b?5pel5pys?= and\r\n\tmore\r\nMIME-Version: 1.0\r\n", n)
}

func leaf(b *bytes.Buffer, r *rand.Rand, n int) {
	text := strings.Repeat(fmt.Sprintf("Text number %d, nähe = 1 -- \n--=_no\n", n), 1+r.IntN(4))
	charset := []string{"utf-8", "iso-8859-1", "windows-1252"}[r.IntN(3)]
	raw := []byte(text)
	if charset != "utf-8" {
		raw = bytes.ReplaceAll(raw, []byte("ä"), []byte{0xe4})
	}
	raw = bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
	fmt.Fprintf(b, "Content-Type: text/plain; charset=%s\r\n", charset)
	switch r.IntN(3) {
	case 0:
		b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n" + strings.ReplaceAll(b64(raw), "\n", "\r\n"))
	case 1:
		b.WriteString("Content-Transfer-Encoding: quoted-printable\r\n\r\n")
		for i, c := range raw {
			switch {
			case c == '=' || c > 0x7e || isBlank(c) && raw[i+1] == '\r':
				fmt.Fprintf(b, "=%02X", c)
			default:
				b.WriteByte(c)
			}
		}
	default:
		b.WriteString("Content-Transfer-Encoding: 8bit\r\n\r\n")
		b.Write(raw)
	}
}

// oracleOutline writes down what go-message makes of a mail.
func oracleOutline(t *testing.T, out *strings.Builder, e *oracle.Entity, depth int) {
	kind, _, err := e.Header.ContentType()
	if err != nil {
		t.Fatal(err)
	}
	if kind == "" {
		kind = "text/plain"
	}
	subject, _ := e.Header.Text("Subject")
	fmt.Fprintf(out, "%d %s %q\n", depth, kind, strings.Join(strings.Fields(subject), " "))
	if e.Header.Get("From") != "" {
		h := mail.Header{Header: e.Header}
		from, err1 := h.AddressList("From")
		to, err2 := h.AddressList("To")
		date, err3 := h.Date()
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		for _, a := range append(from, to...) {
			fmt.Fprintf(out, "  %s\n", a.Address)
		}
		fmt.Fprintf(out, "  %s\n", date.Format(time.RFC3339))
	}
	if mr := e.MultipartReader(); mr != nil {
		for {
			p, err := mr.NextPart()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			oracleOutline(t, out, p, depth+1)
		}
	}
	if kind == "message/rfc822" {
		in, err := oracle.Read(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		oracleOutline(t, out, in, depth+1)
		return
	}
	body, err := io.ReadAll(e.Body)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(out, "  %q\n", normalLines(string(body)))
}

// TestOracle compares with go-message on mails that are well-formed.
func TestOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	parts := 0
	for range 400 {
		raw := wellFormed(r)
		e, err := oracle.Read(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		var want, got strings.Builder
		oracleOutline(t, &want, e, 0)
		m := Read(raw, Limits{})
		for i := range m.Parts {
			p := &m.Parts[i]
			fmt.Fprintf(&got, "%d %s %q\n", p.Depth, p.MediaType, p.Header.Text("Subject"))
			if p.Header.Has("From") {
				for _, a := range append(p.Header.Addresses("From"), p.Header.Addresses("To")...) {
					fmt.Fprintf(&got, "  %s\n", a)
				}
				d, _ := ParseDate(p.Header.Get("Date"))
				fmt.Fprintf(&got, "  %s\n", d.Format(time.RFC3339))
			}
			if len(p.Children) == 0 {
				fmt.Fprintf(&got, "  %q\n", m.Text(p))
			}
		}
		parts += len(m.Parts)
		if got.String() != want.String() {
			t.Fatalf("got\n%s\nwant\n%s\nof\n%s", got.String(), want.String(), raw)
		}
		if len(m.Notes) > 0 {
			t.Errorf("notes %v", m.Notes)
		}
	}
	if parts < 1000 {
		t.Errorf("only %d parts compared", parts)
	}
	t.Logf("%d parts compared", parts)
}
