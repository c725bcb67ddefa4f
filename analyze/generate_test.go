package analyze

import (
	"bufio"
	"bytes"
	"container/heap"
	"io"
	"strconv"
	"strings"
	"time"
)

// sender is a submission server of Postfix that writes its log: for a message
// that is delivered at once seven lines (connect, client, Message-ID, sender,
// disconnect, the delivery, removed), and three more for each attempt that is
// not the last. The same values give the same bytes.
type sender struct {
	seed        uint64
	messages    int
	over        time.Duration // all messages come within
	traditional bool          // stamps without year and zone
	domains     int           // small recipient domains, each with a host of its own
	hosts       int           // of ours, which write into one log
	failing     int           // of a thousand messages fail at first
	lost        int           // of a thousand messages are deferred and never delivered
	outage      bool          // yahoo drops connections through the third quarter
}

// A line of the log that is due.
type dueLine struct {
	at   int64 // microseconds
	n    uint32
	step uint8
	try  uint8
}

type dueLines []dueLine

func (d dueLines) Len() int           { return len(d) }
func (d dueLines) Less(i, j int) bool { return d[i].at < d[j].at }
func (d dueLines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *dueLines) Push(x any)        { *d = append(*d, x.(dueLine)) }
func (d *dueLines) Pop() any {
	old := *d
	x := old[len(old)-1]
	*d = old[:len(old)-1]
	return x
}

// The lines of a message.
const (
	lineConnect = iota
	lineClient
	lineID
	lineSender
	lineDisconnect
	lineAttempt
	lineRemoved
	lineAgain // the queue manager takes it up again
)

var bigProviders = []struct{ domain, host, ip, busy, gone string }{
	{"gmail.com", "gmail-smtp-in.l.google.com", "142.250.27.", "421-4.7.28 Gmail has detected an unusual rate of mail originating from your IP address. 421 4.7.28 To protect our users, mail has been temporarily rate limited. @ - gsmtp", "550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address @ - gsmtp"},
	{"hotmail.com", "hotmail-com.olc.protection.outlook.com", "52.101.8.", "451 4.7.650 The mail server [192.0.2.25] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775) [@.eop-EUR01.prod.protection.outlook.com]", "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [@]"},
	{"yahoo.com", "mta5.am0.yahoodns.net", "67.195.204.", "421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", "554 delivery error: dd This user doesn't have a yahoo.com account"},
	{"gmx.de", "mx00.emig.gmx.net", "212.227.15.", "450 4.2.0 Requested mail action not taken: mailbox unavailable, try again later @", "550 Requested action not taken: mailbox unavailable"},
	{"orange.fr", "smtp-in.orange.fr", "80.12.26.", "421 4.3.2 Service refused, please try later. OFR_101 [101]", "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416"},
}

const dropping = 2 // of bigProviders

// scribe writes the log of one sender.
type scribe struct {
	*sender
	w      *bufio.Writer
	due    dueLines
	b      []byte
	second int64
	stamp  []byte
	begin  int64
	lines  int64
}

// write gives out the log and says how many lines it has.
func (s sender) write(w io.Writer) (lines int64, err error) {
	if s.domains == 0 {
		s.domains = 2000
	}
	if s.hosts == 0 {
		s.hosts = 1
	}
	if s.over == 0 {
		s.over = time.Duration(s.messages) * 50 * time.Millisecond
	}
	c := &scribe{sender: &s, w: bufio.NewWriterSize(w, 1<<18), second: -1,
		begin: time.Date(2024, 1, 8, 6, 0, 0, 0, time.UTC).UnixMicro()}
	step := s.over.Microseconds() / int64(max(s.messages, 1))
	for n := range s.messages {
		at := c.begin + int64(n)*step + int64(draw(s.seed, n, 1)%uint64(max(step, 1)))
		if err := c.until(at); err != nil {
			return c.lines, err
		}
		heap.Push(&c.due, dueLine{at: at, n: uint32(n)})
	}
	if err := c.until(1<<63 - 1); err != nil {
		return c.lines, err
	}
	return c.lines, c.w.Flush()
}

// log gives the log as bytes.
func (s sender) log() (log []byte, lines int64) {
	var b bytes.Buffer
	lines, _ = s.write(&b)
	return b.Bytes(), lines
}

// draw is the random number of one use for one message.
func draw(seed uint64, n, use int) uint64 { return mix(mix(seed+1, uint64(n)+3), uint64(use)+7) }

func (c *scribe) until(at int64) error {
	for len(c.due) > 0 && c.due[0].at < at {
		d := &c.due[0]
		again := c.line(d)
		if _, err := c.w.Write(c.b); err != nil {
			return err
		}
		c.lines++
		if again {
			heap.Fix(&c.due, 0)
		} else {
			heap.Pop(&c.due)
		}
	}
	return nil
}

// head begins a line: stamp, host, daemon.
func (c *scribe) head(d *dueLine, daemon string, pid uint64) {
	if s := d.at / 1e6; s != c.second {
		form := "2006-01-02T15:04:05."
		if c.traditional {
			form = time.Stamp
		}
		c.second, c.stamp = s, time.Unix(s, 0).UTC().AppendFormat(c.stamp[:0], form)
	}
	c.b = append(c.b[:0], c.stamp...)
	if !c.traditional {
		us := d.at % 1e6
		for div := int64(100000); div > 0; div /= 10 {
			c.b = append(c.b, byte('0'+us/div%10))
		}
		c.b = append(c.b, "+00:00"...)
	}
	c.text(" out")
	c.number(draw(c.seed, int(d.n), 2) % uint64(c.hosts))
	c.text(" postfix/", daemon, "[")
	c.number(pid)
	c.text("]: ")
}

func (c *scribe) text(all ...string) {
	for _, s := range all {
		c.b = append(c.b, s...)
	}
}

func (c *scribe) number(n uint64) { c.b = strconv.AppendUint(c.b, n, 10) }

// id writes the queue id.
func (c *scribe) id(n uint32) {
	const alphabet = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
	c.text("4T6X")
	for r, i := draw(c.seed, int(n), 3), 0; i < 10; i++ {
		c.b = append(c.b, alphabet[r%52])
		r /= 52
	}
}

func (c *scribe) client(n int) {
	r := draw(c.seed, n, 4) % 40
	c.text("app")
	c.number(r)
	c.text(".example.com[192.0.2.")
	c.number(r)
	c.text("]")
}

// line writes what is due into c.b and makes d the line that follows; false if
// none does.
func (c *scribe) line(d *dueLine) bool {
	n := int(d.n)
	pid := 2000 + draw(c.seed, n, 5)%400
	wait := int64(0)
	switch d.step {
	case lineConnect:
		c.head(d, "submission/smtpd", pid)
		c.text("connect from ")
		c.client(n)
		wait = 40_000
	case lineClient:
		c.head(d, "submission/smtpd", pid)
		c.id(d.n)
		c.text(": client=")
		c.client(n)
		c.text(", sasl_method=PLAIN, sasl_username=app")
		c.number(draw(c.seed, n, 4) % 40)
		wait = 20_000
	case lineID:
		c.head(d, "cleanup", pid+1)
		c.id(d.n)
		c.text(": message-id=<")
		c.number(draw(c.seed, n, 6))
		c.text(".", strconv.Itoa(n), "@app.example.com>")
		wait = 6_000
	case lineSender, lineAgain:
		c.head(d, "qmgr", 901)
		c.id(d.n)
		c.text(": from=<bounce+", strconv.Itoa(n%9000), "@news.example.com>, size=")
		c.number(1800 + draw(c.seed, n, 7)%90000)
		c.text(", nrcpt=1 (queue active)")
		wait = 3_000
		if d.step == lineAgain {
			d.step = lineDisconnect // the delivery is next
		}
	case lineDisconnect:
		c.head(d, "submission/smtpd", pid)
		c.text("disconnect from ")
		c.client(n)
		c.text(" ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8")
		wait = 100_000 + int64(draw(c.seed, n, 8)%1_500_000)
	case lineAttempt:
		c.head(d, "smtp", 4000+draw(c.seed, n, 9)%90)
		c.id(d.n)
		if !c.attempt(d) {
			c.text("\n")
			if d.try == 4 {
				return false // it lies there when the log ends
			}
			d.try++
			d.step = lineAgain
			d.at += int64(300+draw(c.seed, n, 10)%100) * 1e6 << (2 * d.try) / 4
			return true
		}
		wait = 900
	case lineRemoved:
		c.head(d, "qmgr", 901)
		c.id(d.n)
		c.text(": removed\n")
		return false
	}
	c.text("\n")
	d.step++
	d.at += wait
	return true
}

// attempt writes a delivery, or a failure of it; false if it will be tried again.
func (c *scribe) attempt(d *dueLine) (done bool) {
	n := int(d.n)
	fate := int(draw(c.seed, n, 11) % 1000)
	to := int(draw(c.seed, n, 12) % 10)
	c.text(": to=<user")
	c.number(draw(c.seed, n, 13) % 500_000)
	busy, gone := "450 4.2.0 Recipient address rejected: Greylisted, see http://postgrey.example/help", "550 5.1.1 User unknown in virtual mailbox table"
	var host, ip string
	if to < 7 && to/2 < len(bigProviders) {
		to /= 2 // yahoo has a fifth, small domains three tenths
		p := &bigProviders[to]
		busy, gone = p.busy, p.gone
		host, ip = p.host, p.ip+strconv.Itoa(26+n%4)
		c.text("@", p.domain)
	} else {
		to = -1
		k := int(draw(c.seed, n, 14) % uint64(c.domains))
		name := "firm" + strconv.Itoa(k) + ".example"
		host, ip = "mx."+name, "203."+strconv.Itoa(k>>16)+"."+strconv.Itoa(k>>8&255)+"."+strconv.Itoa(k&255)
		c.text("@", name)
	}
	took := 0.2 + float64(draw(c.seed, n, 15)%100)/50
	c.text(">, relay=")
	dropped := c.outage && to == dropping && c.quarter(d.at) == 2
	silent := fate < c.failing && fate%3 == 2 && d.try < 2
	if silent && !dropped {
		c.text("none")
	} else {
		c.text(host, "[", ip, "]:25")
	}
	c.text(", delay=")
	c.b = strconv.AppendFloat(c.b, float64(d.try)*300+took, 'f', 1, 64)
	c.text(", delays=0.07/0.01/0.12/", strconv.FormatFloat(took, 'f', 2, 64), ", dsn=")
	token := strconv.FormatUint(draw(c.seed, n, 17), 36)
	busy, gone = strings.Replace(busy, "@", token, 1), strings.Replace(gone, "@", token, 1)
	said := "host " + host + "[" + ip + "] said: "
	switch {
	case dropped:
		c.text("4.4.2, status=deferred (lost connection with ", host, "[", ip, "] while performing the EHLO handshake)")
	case silent:
		c.text("4.4.1, status=deferred (connect to ", host, "[", ip, "]:25: Connection timed out)")
	case fate < c.failing && fate%3 == 1 && d.try < 1, fate >= 1000-c.lost:
		c.text(dsn(busy), ", status=deferred (", said, busy, " (in reply to RCPT TO command))")
	case fate < c.failing && fate%3 == 0:
		c.text(dsn(gone), ", status=bounced (", said, gone, " (in reply to RCPT TO command))")
		return true
	default:
		c.text("2.0.0, status=sent (250 2.0.0 OK ")
		c.number(draw(c.seed, n, 16))
		c.text(" - gsmtp)")
		return true
	}
	return false
}

// dsn gives the enhanced code that Postfix logs beside a reply.
func dsn(reply string) string {
	if reply[3] == ' ' || reply[3] == '-' {
		if s := reply[4:9]; s[1] == '.' && s[3] == '.' {
			return s
		}
	}
	return reply[:1] + ".0.0"
}

// quarter says in which quarter of the log a time lies.
func (c *scribe) quarter(at int64) int64 {
	return (at - c.begin) * 4 / max(c.over.Microseconds(), 1)
}
