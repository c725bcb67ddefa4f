package world

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestLastWord: a client that says everything at once still hears the 421 that ends its session, and
// an end as TLS has it: Exim logs it if there is none.
func TestLastWord(t *testing.T) {
	w := begin(t, with(t, "", `do = "reject"; preset = "yahoo-tss04"`), Options{})
	for range 10 {
		conn, err := w.Dial(t.Context(), "tcp", "mx.post.example:25")
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if heard := converse(t, conn); !strings.Contains(heard, "421 4.7.0 [TSS04]") {
			t.Errorf("heard %q", heard)
		}
		_ = conn.Close()
	}
}

// converse says all that a pipelining client may, and gives what it heard.
func converse(t *testing.T, conn net.Conn) string {
	t.Helper()
	heard := make([]byte, 4096)
	for _, say := range []string{"", "EHLO mail.bakery.example\r\n", "STARTTLS\r\n"} {
		_, _ = io.WriteString(conn, say)
		n, err := conn.Read(heard)
		if err != nil || heard[0] != '2' {
			t.Fatalf("%q: %q, %v", say, heard[:n], err)
		}
	}
	raw := &tape{Conn: conn}
	secure := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}) // 1.3 hides what is an alert
	_, _ = io.WriteString(secure, "EHLO mail.bakery.example\r\nMAIL FROM:<a@bakery.example>\r\nRCPT TO:<b@post.example>\r\nDATA\r\n")
	rest, err := io.ReadAll(secure)
	if err != nil || raw.last() != alert {
		t.Errorf("the connection ends with %v and a record of type %d after %q", err, raw.last(), rest)
	}
	return string(rest)
}

// alert is the type of the record that says close_notify (RFC 5246 section 7.2.1).
const alert = 21

// tape keeps what was read.
type tape struct {
	net.Conn
	heard []byte
}

func (c *tape) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.heard = append(c.heard, b[:n]...)
	return n, err
}

// last gives the type of the last record.
func (c *tape) last() (kind byte) {
	for rest := c.heard; len(rest) > 5; {
		kind = rest[0]
		rest = rest[min(len(rest), 5+int(rest[3])<<8+int(rest[4])):]
	}
	return kind
}
