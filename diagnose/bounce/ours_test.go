package bounce

import (
	"testing"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

func TestOurs(t *testing.T) {
	for _, c := range []struct {
		name, ours, header, reporter string
		want                         mail.Ours
		why                          string
	}{
		{"nothing given", "", "From: a@example.com\nMessage-ID: <1@example.com>\n", "", mail.OursUnknown, ""},
		{"no header came back", "example.com", "", "mx.example.net", mail.OursUnknown, ""},
		{"only a subject", "example.com", "Subject: x\nFrom: a@example.com\n", "", mail.OursUnknown, ""},
		{"our host wrote a Received", "example.com", "Received: from pc by mx1.example.com with ESMTP\nFrom: x@example.org\n", "", mail.OursYes, whyOursHost},
		{"our host was looked up", "example.com", "Received: from helo (out.example.com [192.0.2.1]) by mx.example.net\nFrom: a@example.com\n", "", mail.OursYes, whyOursHost},
		{"our address connected", "192.0.2.1", "Received: from helo (unknown [192.0.2.1]) by mx.example.net\n", "", mail.OursYes, whyOursHost},
		{"a forged name in HELO", "example.com", "Received: from mx1.example.com (unknown [203.0.113.9]) by mx.example.net\nFrom: a@example.com\nMessage-ID: <1@spam.example>\n", "", mail.OursNo, whyForeign},
		{"a host with our name inside of its own", "example.com", "Received: from x by mx.notexample.com\nMessage-ID: <1@a.example.com.evil.example>\n", "", mail.OursNo, whyForeign},
		{"our signature", "example.com", "DKIM-Signature: v=1; a=rsa-sha256; d=Example.COM; s=k\nMessage-ID: <1@esp.example>\n", "", mail.OursYes, whyOursDKIM},
		{"signed below our domain", "example.com", "DKIM-Signature: v=1;\n d=mail.example.com\nMessage-ID: <1@esp.example>\n", "", mail.OursYes, whyOursDKIM},
		{"Google's signature for us", "example.com", "DKIM-Signature: v=1; d=example-com.20230601.gappssmtp.com; s=1\nMessage-ID: <1@mail.gmail.example>\n", "", mail.OursYes, whyOursDKIM},
		{"a foreign signature", "example.com", "DKIM-Signature: v=1; d=spam.example; s=1\nFrom: a@example.com\nMessage-ID: <1@spam.example>\n", "", mail.OursNo, whyForeign},
		{"our Message-ID", "example.com", "From: a@example.com\nMessage-ID: <1@mail.example.com>\n", "", mail.OursYes, whyOursID},
		{"a forged From, all else foreign", "example.com", "From: a@example.com\nReceived: from x by y.example\nMessage-ID: <1@spam.example>\n", "mx.example.net", mail.OursNo, whyForeign},
		{"a forged From of our one address", "a@example.com", "From: a@example.com\nReceived: from x by y.example\nMessage-ID: <1@spam.example>\n", "", mail.OursNo, whyForeign},
		{"our one address, sent by the servers of its domain", "a@example.com", "From: a@example.com\nReceived: by mail.example.com (Postfix, from userid 0)\nMessage-ID: <1@example.com>\n", "", mail.OursYes, whyOursHost},
		{"another address of the domain of ours", "b@example.com", "From: a@example.com\nReceived: by mail.example.com (Postfix, from userid 0)\nMessage-ID: <1@example.com>\n", "", mail.OursNo, whyForeign},
		{"an IP address of ours, and none in the header", "192.0.2.1", "From: a@example.com\nReceived: by mail.example.com (Postfix, from userid 0)\nMessage-ID: <1@example.com>\n", "", mail.OursUnknown, ""},
		{"an IP address of ours, and a foreign one in the header", "192.0.2.1", "From: a@example.com\nReceived: from x (x [198.51.100.7]) by mail.example.com\n", "", mail.OursNo, whyForeign},
		{"a domain with a dot in front", ".example.com", "From: a@example.com\nMessage-ID: <1@example.com>\n", "", mail.OursYes, whyOursID},
		{"our own server reports our mail", "example.com", "From: a@example.com\nReceived: from x by y.example\nMessage-ID: <1@esp.example>\n", "mx.example.com", mail.OursYes, whyOursReporter},
		{"our own server reports foreign mail", "example.com", "From: a@example.org\nReceived: from x by y.example\nMessage-ID: <1@esp.example>\n", "mx.example.com", mail.OursNo, whyForeign},
		{"a mailbox of our tenant", "contoso.example", "From: a@contoso.example\nReceived: from AM0PR01.eurprd01.prod.outlook.com by AM0PR02.eurprd01.prod.outlook.com with mapi id 15.20\nMessage-ID: <1@AM0PR01.eurprd01.prod.outlook.com>\n", "", mail.OursYes, whyOursMailbox},
		{"a mailbox of another tenant", "contoso.example", "From: a@fabrikam.example\nReceived: from AM0PR01.eurprd01.prod.outlook.com by AM0PR02.eurprd01.prod.outlook.com with mapi id 15.20\nMessage-ID: <1@AM0PR01.eurprd01.prod.outlook.com>\n", "", mail.OursNo, whyForeign},
		{"made and reported by a platform of many", "contoso.example", "From: a@contoso.example\nReceived: from AM0PR01.eurprd01.prod.outlook.com by AM0PR02.eurprd01.prod.outlook.com with Microsoft SMTP Server\nMessage-ID: <1@AM0PR01.eurprd01.prod.outlook.com>\n", "AM0PR02.eurprd01.prod.outlook.com", mail.OursUnknown, whyShared},
		{"made by a platform of many, reported by a stranger", "contoso.example", "From: a@contoso.example\nReceived: from AM0PR01.eurprd01.prod.outlook.com by mx.example.net\nMessage-ID: <1@AM0PR01.eurprd01.prod.outlook.com>\n", "mx.example.net", mail.OursNo, whyForeign},
		{"written in Gmail, reported by Google", "example.com", "From: a@example.com\nMessage-ID: <1@mail.gmail.com>\n", "mailer-daemon@googlemail.com", mail.OursUnknown, whyShared},
		{"marked as internal", "contoso.example", "From: a@contoso.example\nX-MS-Exchange-CrossTenant-AuthAs: Internal\nMessage-ID: <1@AM0PR01.eurprd01.prod.outlook.com>\n", "", mail.OursYes, whyOursMailbox},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := message.ParseHeader([]byte(c.header + "\n"))
			o := readOriginal(h)
			var given []string
			if c.ours != "" {
				given = []string{c.ours}
			}
			got, why := newOwn(given).judge(&o, []string{c.reporter})
			if got != c.want || why.Key != c.why {
				t.Errorf("%s by %q, want %s by %q", got, why.Key, c.want, c.why)
			}
		})
	}
}

func TestValidOurs(t *testing.T) {
	for _, v := range []string{"example.com", ".example.com", "*.example.com", "@example.com", "mail01", "a@example.com", "<a@example.com>", "192.0.2.1", "2001:db8::1", "m\u00fcnchen.example"} {
		if !ValidOurs(v) {
			t.Errorf("%q is refused", v)
		}
	}
	for _, v := range []string{"", " ", "two words", "a@b@", "192.0.2.0/24", "https://example.com", "a..b", "@"} {
		if ValidOurs(v) {
			t.Errorf("%q is taken", v)
		}
	}
}
