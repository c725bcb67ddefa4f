package main

import (
	"fmt"
	"hash/fnv"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/examples/mta"
)

// berlin is where the bakery is. A fixed offset: no change of the clocks is in
// the week.
var berlin = time.FixedZone("CET", 3600)

func local(day, hour, minute int) time.Time {
	return time.Date(2026, 11, day, hour, minute, 0, 0, berlin)
}

// What is planted. All else is ordinary life.
var (
	weekBegin = local(9, 0, 0) // a Monday
	weekEnd   = local(16, 0, 0)
	cutBegin  = local(11, 9, 10)
	cutEnd    = local(13, 15, 40)
	cutAt     = []string{"192.0.2.74", "192.0.2.75"} // of Yahoo's six
	look      = local(12, 11, 0)                     // when the queue is looked at
)

// exchanger is a receiving host of the week.
type exchanger struct {
	name  string
	ips   []string
	slow  time.Duration // what it takes to answer after the final dot
	taken string        // its answer there; @id@ stands for an id
	plain bool
	rules []rule
}

// rule is one answer of an exchanger that is not the ordinary one.
type rule struct {
	stage    string
	address  string // "" for every address
	from, to time.Time
	chance   float64 // 0 for always
	answer   mta.Answer
}

// domain is where a share of the customers has mail.
type domain struct {
	name      string
	mx        []string // with preferences
	customers int
	surname   string
}

const (
	gmailUnknown = "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the recipient's email address for typos or\n" +
		"550-5.1.1 unnecessary spaces. For more information, go to\n550 5.1.1  https://support.google.com/mail/?p=NoSuchUser @id@ - gsmtp"
	gmailFull = "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\n452-4.2.2 recipient to\n" +
		"452 4.2.2  https://support.google.com/mail/?p=OverQuotaTemp @id@ - gsmtp"
	outlookUnknown = "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)." + eop
	outlookSlow    = "451 4.7.650 The mail server [" + us + "] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)" + eop
	outlookTaken   = "250 2.6.0 <@id@@bakery.example> [InternalId=@id@] Queued mail for delivery -> 250 2.1.5"
	yahooUnknown   = "552 1 Requested mail action aborted, mailbox not found"
)

// exchangers are the receiving hosts. The names are genuine or examples, the
// addresses are for documentation. The six of Yahoo's family share one set of
// addresses, as its hosts in life share a set of machines.
var exchangers = []exchanger{
	{name: "gmail-smtp-in.l.google.com", ips: []string{"192.0.2.26", "192.0.2.27"}, slow: 700 * time.Millisecond,
		taken: "250 2.0.0 OK  @id@ - gsmtp", rules: []rule{
			{stage: "rcpt", address: "gone.example@gmail.com", answer: mta.Answer{Reply: gmailUnknown}},
			{stage: "rcpt", address: "moved.example@gmail.com", answer: mta.Answer{Reply: gmailUnknown}},
			{stage: "rcpt", address: "full.example@gmail.com", from: local(10, 0, 0), to: local(12, 8, 30), answer: mta.Answer{Reply: gmailFull}},
		}},
	yahoo("mta5.am0.yahoodns.net", "192.0.2.71", "192.0.2.72"),
	yahoo("mta6.am0.yahoodns.net", "192.0.2.73", "192.0.2.74"),
	yahoo("mta7.am0.yahoodns.net", "192.0.2.75", "192.0.2.76"),
	yahoo("mx-aol.mail.gm0.yahoodns.net", "192.0.2.72", "192.0.2.73", "192.0.2.74", "192.0.2.75"),
	yahoo("mx-eu.mail.am0.yahoodns.net", "192.0.2.74", "192.0.2.75", "192.0.2.76"),
	{name: "outlook-com.olc.protection.outlook.com", ips: []string{"192.0.2.33", "192.0.2.34"}, slow: 1900 * time.Millisecond,
		taken: outlookTaken, rules: outlookRules},
	{name: "hotmail-com.olc.protection.outlook.com", ips: []string{"192.0.2.35", "192.0.2.36"}, slow: 1900 * time.Millisecond,
		taken: outlookTaken, rules: outlookRules},
	{name: "fabrikam-example.mail.protection.outlook.com", ips: []string{"192.0.2.38", "192.0.2.39"}, slow: 2400 * time.Millisecond,
		taken: outlookTaken, rules: []rule{
			{stage: "rcpt", address: "nobody@fabrikam.example", answer: mta.Answer{Reply: "550 5.4.1 Recipient address rejected: Access denied. For more information see https://aka.ms/EXOSmtpErrors" + eop}},
		}},
	{name: "smtp-in.orange.fr", ips: []string{"192.0.2.17", "192.0.2.18"}, slow: 500 * time.Millisecond,
		taken: "250 2.0.0 mail accepted @id@", rules: []rule{
			{stage: "rcpt", address: "partie.exemple@orange.fr", answer: mta.Answer{Reply: "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]"}},
			{stage: "banner", from: local(10, 17, 30), to: local(10, 18, 30), chance: 0.1, answer: mta.Answer{Cut: true,
				Reply: "421 mwinf5c63 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR005_104 [104]"}},
		}},
	{name: "mx00.emig.gmx.net", ips: []string{"192.0.2.14"}, slow: 900 * time.Millisecond, taken: "250 Requested mail action okay, completed: id=@id@"},
	{name: "mx01.emig.gmx.net", ips: []string{"192.0.2.15"}, slow: 900 * time.Millisecond, taken: "250 Requested mail action okay, completed: id=@id@"},
	{name: "mx-ha02.web.de", ips: []string{"192.0.2.20"}, slow: 900 * time.Millisecond, taken: "250 Requested mail action okay, completed: id=@id@", rules: []rule{
		{stage: "rcpt", address: "weg.beispiel@web.de", answer: mta.Answer{Reply: "550 Requested action not taken: mailbox unavailable\n550 For explanation visit https://postmaster.web.de/en/error-messages"}},
	}},
	{name: "mx00.t-online.de", ips: []string{"192.0.2.21"}, slow: 400 * time.Millisecond, taken: "250 2.0.0 Message accepted."},
	{name: "mx01.t-online.de", ips: []string{"192.0.2.22"}, slow: 400 * time.Millisecond, taken: "250 2.0.0 Message accepted."},
	{name: "mx.example.com", ips: []string{"203.0.113.10"}, slow: 200 * time.Millisecond, rules: []rule{
		{stage: "rcpt", address: "unknown@example.com", answer: mta.Answer{Reply: "550 5.1.1 <unknown@example.com>: Recipient address rejected: User unknown in virtual mailbox table"}},
	}},
	// Both put unknown senders off at first, see world.grey.
	{name: "mail.example.net", ips: []string{"203.0.113.20"}, slow: 200 * time.Millisecond},
	{name: "mx.hotel.example", ips: []string{"203.0.113.25"}, slow: 300 * time.Millisecond},
	{name: "mx.flour.example", ips: []string{"203.0.113.30"}, slow: 100 * time.Millisecond},
	{name: "mx.school.example", ips: []string{"203.0.113.35"}, plain: true},
	{name: "mx.cafe.example", ips: []string{"203.0.113.40"}, rules: []rule{
		{stage: "banner", from: local(10, 10, 0), to: local(10, 11, 30), answer: mta.Answer{Cut: true, Reply: "421 4.3.2 mx.cafe.example System not accepting network messages"}},
	}},
	// It takes the rest of its mail.
	{name: "mx.mill.example", ips: []string{"203.0.113.45"}, rules: []rule{
		{stage: "rcpt", address: "accounts@mill.example", answer: mta.Answer{Reply: "451 4.3.0 <accounts@mill.example>: Temporary lookup failure"}},
	}},
}

func yahoo(name string, ips ...string) exchanger {
	return exchanger{name: name, ips: ips, slow: 1100 * time.Millisecond, taken: "250 ok dirdel", rules: []rule{
		{stage: "rcpt", address: "gone.example@yahoo.com", answer: mta.Answer{Reply: yahooUnknown}},
		{stage: "rcpt", address: "gone.example@aol.com", answer: mta.Answer{Reply: yahooUnknown}},
	}}
}

var outlookRules = []rule{
	{stage: "rcpt", address: "gone.example@outlook.com", answer: mta.Answer{Reply: outlookUnknown}},
	{stage: "rcpt", address: "gone.example@hotmail.com", answer: mta.Answer{Reply: outlookUnknown}},
	{stage: "mail", from: local(10, 17, 30), to: local(10, 18, 30), chance: 0.08, answer: mta.Answer{Reply: outlookSlow}},
	{stage: "mail", chance: 0.006, answer: mta.Answer{Reply: outlookSlow}},
}

// domains are where the customers are.
var domains = []domain{
	{"gmail.com", []string{"5 gmail-smtp-in.l.google.com"}, 210, "example"},
	{"googlemail.com", []string{"5 gmail-smtp-in.l.google.com"}, 14, "beispiel"},
	{"yahoo.com", []string{"1 mta5.am0.yahoodns.net", "1 mta6.am0.yahoodns.net", "1 mta7.am0.yahoodns.net"}, 64, "example"},
	{"ymail.com", []string{"1 mta5.am0.yahoodns.net", "1 mta6.am0.yahoodns.net", "1 mta7.am0.yahoodns.net"}, 16, "example"},
	{"aol.com", []string{"1 mx-aol.mail.gm0.yahoodns.net"}, 34, "example"},
	{"sky.com", []string{"1 mx-eu.mail.am0.yahoodns.net"}, 26, "example"},
	{"outlook.com", []string{"5 outlook-com.olc.protection.outlook.com"}, 64, "example"},
	{"hotmail.com", []string{"2 hotmail-com.olc.protection.outlook.com"}, 50, "example"},
	{"fabrikam.example", []string{"0 fabrikam-example.mail.protection.outlook.com"}, 24, ""},
	{"orange.fr", []string{"10 smtp-in.orange.fr"}, 34, "exemple"}, //nolint:misspell // as the French would
	{"gmx.de", []string{"10 mx00.emig.gmx.net", "10 mx01.emig.gmx.net"}, 46, "beispiel"},
	{"web.de", []string{"100 mx-ha02.web.de"}, 44, "beispiel"},
	{"t-online.de", []string{"10 mx00.t-online.de", "10 mx01.t-online.de"}, 40, "beispiel"},
	{"example.com", []string{"10 mx.example.com"}, 8, ""},
	{"example.net", []string{"10 mail.example.net"}, 6, ""},
	{"hotel.example", []string{"10 mx.hotel.example"}, 6, ""},
	{"flour.example", []string{"10 mx.flour.example"}, 5, ""},
	{"school.example", []string{"10 mx.school.example"}, 6, ""},
	{"cafe.example", []string{"10 mx.cafe.example"}, 6, ""},
	{"mill.example", []string{"10 mx.mill.example"}, 4, ""},
}

// world is what the receivers know and count.
type world struct {
	clock *mta.Clock
	mu    sync.Mutex
	seen  map[string]int       // how often a question was answered, for dice
	grey  map[string]time.Time // recipients that were put off
	cut   map[string]int       // sessions cut at STARTTLS, by address
	taken map[string]int       // messages taken, by address
	first time.Time            // the first and the last session that was cut
	last  time.Time
}

// dice gives a number below 1 that depends on the question alone, and the time it is asked.
func (w *world) dice(words ...string) float64 {
	key := strings.Join(words, " ")
	w.seen[key]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", key, w.seen[key])
	return float64(h.Sum64()%100_000) / 100_000
}

// greylisting receivers put a recipient's first mail off for five minutes.
var greylisting = []string{"mail.example.net", "mx.hotel.example"}

// decide answers for one address of an exchanger.
func (w *world) decide(x *exchanger, ip string) func(stage, address string) (mta.Answer, bool) {
	return func(stage, address string) (mta.Answer, bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		now := w.clock.Now()
		if stage == "starttls" && slices.Contains(cutAt, ip) && !now.Before(cutBegin) && now.Before(cutEnd) {
			w.cut[ip]++
			if w.first.IsZero() {
				w.first = now
			}
			w.last = now
			return mta.Answer{Cut: true}, true
		}
		if stage == "rcpt" && slices.Contains(greylisting, x.name) {
			if since, ok := w.grey[address]; !ok || now.Sub(since) < 5*time.Minute {
				if !ok {
					w.grey[address] = now
				}
				return mta.Answer{Reply: "450 4.2.0 <" + address + ">: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/" + address[strings.IndexByte(address, '@')+1:] + ".html"}, true
			}
		}
		for i := range x.rules {
			r := &x.rules[i]
			if r.stage != stage || r.address != "" && r.address != address || now.Before(r.from) ||
				!r.to.IsZero() && !now.Before(r.to) || r.chance > 0 && w.dice(x.name, stage, address, r.from.String()) >= r.chance {
				continue
			}
			a := r.answer
			a.Reply = strings.ReplaceAll(a.Reply, "@id@", w.id(x.name, address))
			return a, true
		}
		if stage != "final" {
			return mta.Answer{}, false
		}
		w.taken[ip]++
		// From the usual to half as much again, and seldom much more.
		d := x.slow + time.Duration(float64(x.slow)*w.dice(ip, address)/2)
		if w.dice(address, ip) > 0.98 {
			d *= 6
		}
		_ = w.clock.Pass(d) // its error comes again at the next jump
		reply := x.taken
		if reply == "" {
			reply = "250 2.0.0 Ok: queued as @id@"
		}
		return mta.Answer{Reply: strings.ReplaceAll(reply, "@id@", w.id(x.name, address))}, true
	}
}

// id looks like one that a receiver gives to a message.
func (w *world) id(words ...string) string {
	return fmt.Sprintf("%010X", uint64(w.dice(words...)*(1<<40)))
}

// open starts every receiver. Yahoo's hosts share addresses: the first name that has
// an address greets there.
func (w *world) open(cell *mta.Cell) error {
	started := make(map[string]bool)
	for i := range exchangers {
		x := &exchangers[i]
		for _, ip := range x.ips {
			if started[ip] {
				continue
			}
			started[ip] = true
			l, err := cell.Listen(net.JoinHostPort(ip, "25"))
			if err != nil {
				return err
			}
			r := &mta.Receiver{Host: x.name, TLS: !x.plain, Decide: w.decide(x, ip),
				Extensions: []string{"SIZE 52428800", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"}}
			go func() { _ = r.Serve(l) }()
		}
	}
	return nil
}

// weekZone is the week's DNS.
func weekZone() map[string][]string {
	z := map[string][]string{
		bakery.domain:   {"MX 10 " + bakery.host},
		bakery.host:     {"A " + us},
		mta.Reverse(us): {"PTR " + bakery.host},
	}
	for _, c := range clients() {
		z[c.name] = []string{"A " + c.ip}
		z[mta.Reverse(c.ip)] = []string{"PTR " + c.name}
	}
	for _, d := range domains {
		for _, mx := range d.mx {
			z[d.name] = append(z[d.name], "MX "+mx)
		}
	}
	for _, x := range exchangers {
		for _, ip := range x.ips {
			z[x.name] = append(z[x.name], "A "+ip)
			if z[mta.Reverse(ip)] == nil {
				z[mta.Reverse(ip)] = []string{"PTR " + x.name}
			}
		}
	}
	return z
}
