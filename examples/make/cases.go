package main

import "github.com/postroad/postroad/examples/mta"

// round is one server with one configuration, and its cases.
type round struct {
	name  string
	exim  bool // else Postfix
	from  person
	setup mta.Setup
	keep  string // the log is kept under this name
	cases []example
}

// example is one message and what becomes of it.
type example struct {
	name    string   // for people, and in its Message-ID
	to      string   // its domain says which receiver of hosts.toml
	file    string   // the report that comes back is kept under this name
	subject string   // of that report, where an earlier one must be passed over
	ends    string   // without a report: words of the log line that ends the case, besides the recipient
	args    []string // of sendmail
	long    bool     // a longer message
	forged  string   // sent by a spammer in the name of from, with this Message-ID
}

// rounds are all of them. Settings of seconds stand for hours and days: nobody
// can wait five days for an example.
func rounds() []round {
	return []round{
		{
			name: "Postfix", from: bakery, keep: "postfix.log",
			setup: mta.Setup{Host: bakery.host, Domain: bakery.domain, Main: map[string]string{
				"smtp_connect_timeout":   "2s",
				"smtp_data_done_timeout": "2s",
				"smtp_tls_loglevel":      "1",
				"smtp_tls_policy_maps": "inline:{{oldschool.example = encrypt}, {bank.example = none}, " +
					"{sky.com = encrypt}, {rocketmail.com = encrypt}}",
			}},
			cases: postfixCases,
		},
		{
			name: "Postfix, expired", from: bakery, keep: "postfix-expired.log",
			setup: mta.Setup{Host: bakery.host, Domain: bakery.domain, Main: map[string]string{
				"maximal_queue_lifetime": "3s",
				"bounce_queue_lifetime":  "3s",
				"queue_run_delay":        "2s",
				"minimal_backoff_time":   "2s",
				"maximal_backoff_time":   "2s",
				"smtp_connect_timeout":   "2s",
				"smtp_tls_policy_maps":   "inline:{{sky.com = encrypt}}",
				"enable_long_queue_ids":  "yes",
			}},
			cases: []example{
				{name: "tss04", to: "usuario.ejemplo@yahoo.com", file: "postfix-yahoo-tss04.eml"},
				{name: "starttls-cut", to: "tom.example@sky.com", file: "postfix-starttls-cut.eml"},
				{name: "timeout", to: "info@faraway.example", file: "postfix-connect-timeout.eml"},
			},
		},
		{
			name: "Postfix, delayed", from: bakery,
			setup: mta.Setup{Host: bakery.host, Domain: bakery.domain, Main: map[string]string{"delay_warning_time": "1s"}},
			cases: []example{
				{name: "s775", to: "anna.example@msn.com", file: "postfix-delayed-outlook-s775.eml"},
			},
		},
		{
			// Somebody else's server: it takes a spammer's word for who wrote, and its
			// bounce goes to the one who did not.
			name: "Postfix, backscatter", from: bakery,
			setup: mta.Setup{Host: "mail.forwarder.example", Domain: bakery.domain, Main: map[string]string{
				"mydomain":      "forwarder.example",
				"relay_domains": "example.com",
			}},
			cases: []example{
				{name: "spoofed", to: "unknown@example.com", forged: "8f14e45f@adsl-66.dialup.example", file: "backscatter.eml"},
			},
		},
		{
			name: "Exim", exim: true, from: hosting, keep: "exim-main.log",
			setup: mta.Setup{Host: hosting.host, Domain: hosting.domain,
				SMTP: map[string]string{"hosts_require_tls": "mx.oldschool.example : mta7.am0.yahoodns.net : mx-apac.mail.gm0.yahoodns.net"}},
			cases: eximCases,
		},
		{
			name: "Exim, expired", exim: true, from: hosting, keep: "exim-expired.log",
			setup: mta.Setup{Host: hosting.host, Domain: hosting.domain, Retry: "2s", Main: map[string]string{"delay_warning": ""}},
			cases: []example{
				{name: "socketerror", to: "john.example@aol.com", file: "exim-yahoo-expired.eml"},
				{name: "refused", to: "info@closed.example", file: "exim-connection-refused.eml"},
			},
		},
		{
			name: "Exim, delayed", exim: true, from: hosting,
			setup: mta.Setup{Host: hosting.host, Domain: hosting.domain, Main: map[string]string{"delay_warning": "1s"}},
			cases: []example{
				{name: "greylisted", to: "grey@example.net", file: "exim-delayed-greylisting.eml"},
			},
		},
	}
}

// postfixCases and eximCases happen with ordinary settings: what is refused
// comes back at once, what is deferred stays in the queue.
var postfixCases = []example{
	{name: "delivered", to: "anna@example.com", args: []string{"-N", "success,delay,failure"}, subject: "Subject: Successful Mail", file: "postfix-delivered.eml"},
	{name: "user-unknown", to: "unknown@example.com", file: "postfix-user-unknown.eml"},
	{name: "mailbox-full", to: "full.example@gmail.com", file: "postfix-gmail-mailbox-full.eml"},
	{name: "unauthenticated", to: "anna.example@gmail.com", file: "postfix-gmail-unauthenticated.eml"},
	{name: "tss04", to: "usuario.ejemplo@yahoo.com"},
	{name: "socketerror", to: "john.example@aol.com"},
	{name: "expired-elsewhere", to: "jane.example@yahoo.co.uk"},
	{name: "starttls-cut", to: "tom.example@sky.com"},
	{name: "handshake-cut", to: "tina.example@rocketmail.com"},
	{name: "sc-001", to: "anna.example@hotmail.com", file: "postfix-hotmail-sc-001.eml"},
	{name: "rp-001", to: "anna.example@live.com"},
	{name: "s3150", to: "anna.example@outlook.com", file: "postfix-outlook-s3150.eml"},
	{name: "s775", to: "anna.example@msn.com"},
	{name: "5.7.515", to: "anna.exemple@hotmail.fr"},
	{name: "5.7.509", to: "info@fabrikam.example", file: "postfix-exchange-online-dmarc.eml"},
	{name: "5.4.1", to: "nobody@fabrikam.example"},
	{name: "gmx-blocked", to: "max.beispiel@gmx.de"},
	{name: "t-online-reputation", to: "erika.beispiel@t-online.de"},
	{name: "orange-connections", to: "jean.exemple@orange.fr"},
	{name: "greylisted", to: "grey@example.net"},
	{name: "blocklist", to: "blocked@example.net"},
	{name: "spam", to: "spam@example.com"},
	{name: "size", to: "info@tiny.example", long: true, file: "postfix-size-limit.eml"},
	{name: "tls-wanted-by-us", to: "info@oldschool.example"},
	{name: "tls-wanted-by-them", to: "info@bank.example"},
	{name: "refused", to: "info@closed.example"},
	{name: "timeout", to: "info@faraway.example"},
	{name: "cut-after-dot", to: "info@slow.example"},
	{name: "no-such-domain", to: "info@no-such-domain.example"},
	{name: "servfail", to: "info@broken.example"},
	{name: "null-mx", to: "info@nomail.example"},
}

var eximCases = []example{
	{name: "delivered", to: "anna@example.com"},
	{name: "user-unknown", to: "unknown@example.com", file: "exim-user-unknown.eml"},
	{name: "mailbox-full", to: "full@example.com"},
	{name: "unauthenticated", to: "anna.example@gmail.com", file: "exim-gmail-unauthenticated.eml"},
	{name: "tss04", to: "usuario.ejemplo@yahoo.com"},
	{name: "socketerror", to: "john.example@aol.com"},
	{name: "expired-elsewhere", to: "jane.example@yahoo.co.uk"},
	{name: "starttls-cut", to: "tom.example@sky.com"},
	{name: "handshake-cut", to: "tina.example@rocketmail.com"},
	{name: "sc-001", to: "anna.example@hotmail.com"},
	{name: "rp-001", to: "anna.example@live.com"},
	{name: "s3150", to: "anna.example@outlook.com"},
	{name: "s775", to: "anna.example@msn.com"},
	{name: "5.7.515", to: "anna.exemple@hotmail.fr", file: "exim-hotmail-5.7.515.eml"},
	{name: "5.7.509", to: "info@fabrikam.example"},
	{name: "gmx-blocked", to: "max.beispiel@gmx.de"},
	{name: "greylisted", to: "grey@example.net"},
	{name: "tls-wanted-by-us", to: "info@oldschool.example"},
	{name: "refused", to: "info@closed.example"},
	{name: "timeout", to: "info@faraway.example"},
	{name: "no-such-domain", to: "info@no-such-domain.example"},
}
