package message

import (
	"strings"
	"testing"
)

// ordinary is a bounce of about 4 kB, as Postfix writes them.
var ordinary = func() []byte {
	var b strings.Builder
	b.WriteString("Return-Path: <>\r\nDelivered-To: news@example.com\r\n")
	for range 3 {
		b.WriteString("Received: from mx1.example.net (mx1.example.net [192.0.2.7])\r\n\tby in.example.com (Postfix) with ESMTPS id 4XyZ12abcd\r\n\tfor <news@example.com>; Mon,  2 Nov 2026 10:11:12 +0100 (CET)\r\n")
	}
	b.WriteString("Date: Mon,  2 Nov 2026 10:11:12 +0100 (CET)\r\nFrom: MAILER-DAEMON@mx1.example.net (Mail Delivery System)\r\n" +
		"Subject: Undelivered Mail Returned to Sender\r\nTo: news@example.com\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"4XyZ12abcd.1793610672/mx1.example.net\"\r\nMessage-Id: <20261102091112.0A1B2C@mx1.example.net>\r\n\r\n" +
		"This is a MIME-encapsulated message.\r\n\r\n--4XyZ12abcd.1793610672/mx1.example.net\r\nContent-Description: Notification\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
		"This is the mail system at host mx1.example.net.\r\n\r\nI'm sorry to have to inform you that your message could not\r\nbe delivered to one or more recipients. It's attached below.\r\n\r\n" +
		"For further assistance, please send mail to postmaster.\r\n\r\nIf you do so, please include this problem report. You can\r\ndelete your own text from the attached returned message.\r\n\r\n                   The mail system\r\n\r\n" +
		"<user@example.org>: host mx.example.org[192.0.2.25] said: 550 5.1.1\r\n    <user@example.org>: Recipient address rejected: User unknown (in reply to\r\n    RCPT TO command)\r\n" +
		"\r\n--4XyZ12abcd.1793610672/mx1.example.net\r\nContent-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\n" +
		"Reporting-MTA: dns; mx1.example.net\r\nX-Postfix-Queue-ID: 4XyZ12abcd\r\nX-Postfix-Sender: rfc822; news@example.com\r\nArrival-Date: Mon,  2 Nov 2026 10:11:10 +0100 (CET)\r\n\r\n" +
		"Final-Recipient: rfc822; user@example.org\r\nOriginal-Recipient: rfc822;user@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.org\r\n" +
		"Diagnostic-Code: smtp; 550 5.1.1 <user@example.org>: Recipient address rejected:\r\n    User unknown\r\n" +
		"\r\n--4XyZ12abcd.1793610672/mx1.example.net\r\nContent-Description: Undelivered Message\r\nContent-Type: message/rfc822\r\n\r\n" +
		"Return-Path: <news@example.com>\r\nReceived: from app.example.com (app.example.com [192.0.2.3])\r\n\tby mx1.example.net (Postfix) with ESMTPSA id 4XyZ12abcd\r\n\tfor <user@example.org>; Mon,  2 Nov 2026 10:11:10 +0100 (CET)\r\n" +
		"From: =?utf-8?Q?N=C3=A4chste_Ausgabe?= <news@example.com>\r\nTo: user@example.org\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\nDate: Mon, 2 Nov 2026 10:11:09 +0100\r\nMessage-ID: <abc.123@app.example.com>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/alternative; boundary=alt\r\n\r\n--alt\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		strings.Repeat("Guten Tag, hier kommt die n=C3=A4chste Ausgabe unserer Nachrichten.\r\n", 8) +
		"\r\n--alt\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>Guten Tag</p></body></html>\r\n--alt--\r\n" +
		"\r\n--4XyZ12abcd.1793610672/mx1.example.net--\r\n")
	return []byte(b.String())
}()

func BenchmarkRead(b *testing.B) {
	b.SetBytes(int64(len(ordinary)))
	b.ReportAllocs()
	for b.Loop() {
		Read(ordinary, Limits{})
	}
}

// BenchmarkUse is Read with what a bounce reader asks of the parts.
func BenchmarkUse(b *testing.B) {
	b.SetBytes(int64(len(ordinary)))
	b.ReportAllocs()
	for b.Loop() {
		m := Read(ordinary, Limits{})
		h := m.Parts[0].Header
		for _, name := range [...]string{"From", "Subject", "Auto-Submitted", "X-Failed-Recipients", "X-MS-Exchange-Message-Is-Ndr", "Return-Path"} {
			_ = h.Get(name)
		}
		for i := range m.Parts {
			p := &m.Parts[i]
			switch p.MediaType {
			case "text/plain":
				_ = m.Text(p)
			case "message/delivery-status":
				for _, h := range ParseBlocks(m.Bytes(p)) {
					_ = h.Get("Diagnostic-Code")
				}
			}
		}
	}
}

var report = strings.Repeat("<html><body><table><tr><td>Error:</td><td>550 5.1.1 User &lt;user@example.org&gt; unknown</td></tr></table><p>Text of a paragraph that goes on for a while.<br>Next line</p></body></html>\n", 40)

func BenchmarkPlainText(b *testing.B) {
	b.SetBytes(int64(len(report)))
	b.ReportAllocs()
	for b.Loop() {
		PlainText(report)
	}
}

func BenchmarkParseDate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ParseDate("Mon,  2 Nov 2026 10:11:12 +0100 (CET)")
	}
}

func BenchmarkDecodeWords(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		DecodeWords("=?utf-8?Q?N=C3=A4chste_Ausgabe?= <news@example.com>")
	}
}
