package smtp

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A transcript as a postmaster reads it.
func TestTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var session *Session
		k := &keeper{}
		o := &ServerOptions{Host: "mx.example", Auth: []string{"PLAIN", "LOGIN"}, AuthClear: true, Transcript: 8192, Without: []string{
			"DSN", "8BITMIME", "SMTPUTF8", "CHUNKING", "SIZE", "PIPELINING",
		}}
		p := begin(t.Context(), t, o, &holding{Handler: k, got: func(s *Session) { session = s }})
		p.talk("EHLO c.example", "AUTH PLAIN AHUAd3Jvbmc=", "AUTH LOGIN", "dQ==", "c2VjcmV0", "MAIL FROM:<a@c.example>")
		<-time.After(1500 * time.Millisecond)
		p.talk("RCPT TO:<b@mx.example>", "DATA", "Subject: x", "", "text", ".", "passw0rd", "NOOP \x1b[2J", "QUIT")
		p.end()
		want := `   0.000 S: 220 mx.example ESMTP
   0.000 C: EHLO c.example
   0.000 S: 250-mx.example
   0.000 S: 250-AUTH PLAIN LOGIN
   0.000 S: 250 ENHANCEDSTATUSCODES
   0.000 C: AUTH PLAIN [masked]
   0.000 S: 535 5.7.8 credentials invalid
   0.000 C: AUTH LOGIN
   0.000 S: 334 [masked]
   0.000 C: [masked]
   0.000 S: 334 [masked]
   0.000 C: [masked]
   0.000 S: 235 2.7.0 authenticated
   0.000 C: MAIL FROM:<a@c.example>
   0.000 S: 250 2.1.0 OK
   1.500 C: RCPT TO:<b@mx.example>
   1.500 S: 250 2.1.5 OK
   1.500 C: DATA
   1.500 S: 354 end with <CRLF>.<CRLF>
   1.500 C: [23 octets of content]
   1.500 S: 250 2.0.0 OK
   1.500 C: [8 octets, no command]
   1.500 S: 500 5.5.2 not a command
   1.500 C: NOOP \x1b[2J
   1.500 S: 500 5.5.2 control character in a command
   1.500 C: QUIT
   1.500 S: 221 2.0.0 mx.example closing
`
		if got := session.Transcript.String(); got != want {
			t.Errorf("got\n%s", got)
		}
	})
}

// The first lines and the last are kept, within the bound.
func TestTranscriptBound(t *testing.T) {
	tr := NewTranscript(2000)
	for i := range 1000 {
		tr.Line(FromClient, []byte(strings.Repeat("NOOP ", 20)+string(rune('a'+i%26))))
	}
	tr.Line(FromClient, []byte("QUIT "+strings.Repeat("x", 10_000)))
	all := tr.Entries()
	text := tr.String()
	if len(text) > 4000 || all[0].Text[:4] != "NOOP" || !strings.HasPrefix(all[len(all)-1].Text, "QUIT xxx") ||
		!strings.Contains(text, "lines left out") || !strings.HasSuffix(text, "[and 9493 octets]\n") {
		t.Errorf("%d octets:\n%s", len(text), text)
	}
	kept := 0
	for _, e := range all {
		if e.From != 0 {
			kept++
		}
	}
	if kept < 10 {
		t.Errorf("only %d lines kept", kept)
	}
	if left := 1001 - kept; !strings.Contains(text, " "+strings.TrimSpace(strings.Join([]string{strconv.Itoa(left), "lines left out"}, " "))) {
		t.Errorf("%d kept:\n%s", kept, text)
	}
}

func TestNoTranscript(t *testing.T) {
	var tr *Transcript
	tr.Line(FromClient, []byte("x"))
	tr.Content(FromServer, 1)
	tr.Note("x")
	if tr.String() != "" || tr.Entries() != nil {
		t.Error("a nil transcript keeps something")
	}
	var session *Session
	h := &holding{Handler: Ordinary{}, got: func(s *Session) { session = s }}
	if err := Serve(context.Background(), &tape{in: []byte("QUIT\r\n")}, &ServerOptions{}, h); err != nil || session.Transcript != nil {
		t.Error(err)
	}
}

// What was mistyped is not shown.
func TestMaskMistyped(t *testing.T) {
	for line, want := range map[string]string{
		"AUHT PLAIN c2VjcmV0":               "AUHT [and 15 octets]",
		"AUTHPLAIN c2VjcmV0":                "AUTH [masked]",
		"AUTH PLAIN\tc2VjcmV0":              "AUTH PLAIN [masked]",
		"AUTH c2VjcmV0":                     "AUTH [masked]",
		"auth  plain  c2VjcmV0":             "AUTH PLAIN [masked]",
		" AUTH PLAIN c2VjcmV0":              "AUTH PLAIN [masked]",
		"NOOP\nAUTH PLAIN c2VjcmV0":         "NOOP [and 20 octets]",
		"XCLIENT\tLOGIN=c2VjcmV0 NAME=c":    "XCLIENT LOGIN=[masked] NAME=c",
		"xclient addr=192.0.2.1 login=c2Vj": "xclient addr=192.0.2.1 login=[masked]",
		"MAIL FROM:<a@b> AUTH=<>":           "MAIL FROM:<a@b> AUTH=<>",
		"":                                  "",
	} {
		tr := NewTranscript(0)
		tr.Line(FromClient, []byte(line))
		if got := tr.Entries()[0].Text; got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// A reply to an earlier command, or a response that looks like a command, does not end the
// masking.
func TestMaskPipelined(t *testing.T) {
	tr := NewTranscript(0)
	for _, line := range []string{"C NOOP", "C AUTH LOGIN", "S 250 to the NOOP", "S 334 x", "C HELP", "S 334 y", "C QUIT", "S 235 in", "C QUIT"} {
		side := FromClient
		if line[0] == 'S' {
			side = FromServer
		}
		tr.Line(side, []byte(line[2:]))
	}
	var got []string
	for _, e := range tr.Entries() {
		got = append(got, e.Text)
	}
	want := "NOOP|AUTH LOGIN|250 to the NOOP|334 [masked]|[masked]|334 [masked]|[masked]|235 in|QUIT"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got %s", s)
	}
}
