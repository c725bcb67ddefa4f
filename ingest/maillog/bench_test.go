package maillog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"
)

// generate writes a log of n messages as a busy relay has it: six lines for a
// delivered message, of several at a time.
func generate(seed uint64, n int, form string) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	at := time.Date(2024, 1, 22, 9, 0, 0, 0, time.UTC)
	type timed struct {
		at   time.Time
		line string
	}
	var out bytes.Buffer
	var later []timed
	const alphabet = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
	put := func(after time.Duration, format string, args ...any) {
		later = append(later, timed{at.Add(after), fmt.Sprintf(format, args...)})
	}
	flush := func(until time.Time) {
		for {
			first := -1
			for i := range later {
				if first < 0 || later[i].at.Before(later[first].at) {
					first = i
				}
			}
			if first < 0 || !later[first].at.Before(until) {
				return
			}
			fmt.Fprintf(&out, "%s mx1 %s\n", later[first].at.Format(form), later[first].line)
			later = append(later[:first], later[first+1:]...)
		}
	}
	for i := range n {
		at = at.Add(time.Duration(rnd.IntN(60)) * time.Millisecond)
		flush(at)
		id := []byte("4T6X0z3k")
		for range 6 {
			id = append(id, alphabet[rnd.IntN(len(alphabet))])
		}
		client := fmt.Sprintf("app%d.example.com[192.0.2.%d]", rnd.IntN(9), rnd.IntN(250))
		to := fmt.Sprintf("user%d@d%d.example", rnd.IntN(1e6), rnd.IntN(5000))
		host := fmt.Sprintf("mx%d.d%d.example[198.51.100.%d]", rnd.IntN(4), rnd.IntN(100), rnd.IntN(250))
		pid := 1000 + rnd.IntN(50)
		put(0, "postfix/smtpd[%d]: connect from %s", pid, client)
		put(2*time.Millisecond, "postfix/smtpd[%d]: %s: client=%s, sasl_method=PLAIN, sasl_username=app%d", pid, id, client, rnd.IntN(9))
		put(5*time.Millisecond, "postfix/cleanup[%d]: %s: message-id=<%d.%d@app.example.com>", pid, id, rnd.IntN(1e9), i)
		put(9*time.Millisecond, "postfix/qmgr[900]: %s: from=<bounce+%d@news.example.com>, size=%d, nrcpt=1 (queue active)", id, i, 2000+rnd.IntN(90000))
		put(12*time.Millisecond, "postfix/smtpd[%d]: disconnect from %s ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8", pid, client)
		if rnd.IntN(50) == 0 {
			put(900*time.Millisecond, "postfix/smtp[%d]: %s: to=<%s>, relay=%s:25, delay=0.9, delays=0.01/0.01/0.5/0.38, dsn=4.2.0, status=deferred (host %s said: 450 4.2.0 <%s>: Recipient address rejected: Greylisted, see http://postgrey.example/help/d.html (in reply to RCPT TO command))", pid, id, to, host, host, to)
			put(300*time.Second, "postfix/qmgr[900]: %s: from=<bounce+%d@news.example.com>, size=2000, nrcpt=1 (queue active)", id, i)
			put(301*time.Second, "postfix/smtp[%d]: %s: to=<%s>, relay=%s:25, delay=301, delays=300/0.01/0.5/0.38, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as %s)", pid, id, to, host, id)
			put(301*time.Second+time.Millisecond, "postfix/qmgr[900]: %s: removed", id)
			continue
		}
		put(700*time.Millisecond, "postfix/smtp[%d]: %s: to=<%s>, relay=%s:25, delay=0.7, delays=0.01/0.01/0.4/0.28, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as %s)", pid, id, to, host, id)
		put(701*time.Millisecond, "postfix/qmgr[900]: %s: removed", id)
	}
	flush(at.Add(time.Hour))
	return out.Bytes()
}

// bareScan is the least that any reader does: it cuts lines and looks for one
// field in each.
func bareScan(log []byte) (n int) {
	for len(log) > 0 {
		i := bytes.IndexByte(log, '\n')
		if i < 0 {
			break
		}
		if bytes.Contains(log[:i], []byte(" status=")) {
			n++
		}
		log = log[i+1:]
	}
	return n
}

// regexpScan reads as pflogsumm does: an expression for the prefix, one for the
// queue id, one for each kind of line.
func regexpScan(log []byte) (n int) {
	prefix := regexp.MustCompile(`^(...) {1,2}(\d{1,2}) (\d{2}):(\d{2}):(\d{2}) (?:<[^>]+> )?(\S+) (.+)$`)
	command := regexp.MustCompile(`^(?:postfix|postfix/smtp\S*?)/([^\[:]*).*?: ([^:\s]+): (.*)$|^postfix/([^\[:]*)\[\d+\]: ([^:\s]+): (.*)$`)
	result := regexp.MustCompile(`^to=<([^>]*)>, (?:orig_to=<[^>]*>, )?relay=([^,]+), (?:conn_use=[^,]+, )?delay=([^,]+), (?:delays=[^,]+, )?(?:dsn=[^,]+, )?status=(\S+)(.*)$`)
	from := regexp.MustCompile(`^from=<([^>]*)>, size=(\d+)`)
	senders := map[string]string{}
	for len(log) > 0 {
		i := bytes.IndexByte(log, '\n')
		if i < 0 {
			break
		}
		line := string(log[:i])
		log = log[i+1:]
		p := prefix.FindStringSubmatch(line)
		if p == nil {
			continue
		}
		c := command.FindStringSubmatch(p[7])
		if c == nil {
			continue
		}
		id, text := c[5], c[6]
		if c[1] != "" {
			id, text = c[2], c[3]
		}
		if text == "removed" {
			delete(senders, id)
		} else if m := from.FindStringSubmatch(text); m != nil {
			senders[id] = m[1]
		} else if m := result.FindStringSubmatch(text); m != nil && senders[id] != "" {
			n++
		}
	}
	return n
}

func BenchmarkReader(b *testing.B) {
	for name, form := range map[string]string{"traditional": time.Stamp, "rfc3339": "2006-01-02T15:04:05.000000-07:00"} {
		log := generate(1, 20000, form)
		run := func(who string, log []byte, f func() int) {
			lines := bytes.Count(log, []byte{'\n'})
			b.Run(name+"/"+who, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(log)))
				n := 0
				for b.Loop() {
					n = f()
				}
				b.ReportMetric(float64(lines*b.N)/b.Elapsed().Seconds(), "lines/s")
				b.ReportMetric(float64(n), "results")
			})
		}
		run("postroad", log, func() (n int) {
			r := NewReader(bytes.NewReader(log), ReaderOptions{Year: 2024, Now: time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC)})
			if err := r.Each(func(l *Line, raw []byte) error {
				if l.Kind == KindDelivery && l.Attempt.Sender != "" && l.Attempt.MessageID != "" {
					n++
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
			return n
		})
		run("bare-scan", log, func() int { return bareScan(log) })
		if form == time.Stamp {
			run("regexp", log[:len(log)/20], func() int { return regexpScan(log[:len(log)/20]) })
		}
	}
}

// generateExim writes what Exim logs of n messages.
func generateExim(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 2))
	at := time.Date(2024, 1, 22, 9, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	for i := range n {
		at = at.Add(time.Duration(rnd.IntN(400)) * time.Millisecond)
		stamp := at.Format("2006-01-02 15:04:05")
		id := fmt.Sprintf("1rR%03d-000%03d-%02d", i/100000%1000, i/100%1000, i%100)
		fmt.Fprintf(&out, "%s %s <= bounce+%d@news.example.com H=app%d.example.com [192.0.2.%d] P=esmtpsa X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no A=plain:app%d S=%d id=%d.%d@app.example.com\n",
			stamp, id, i, rnd.IntN(9), rnd.IntN(250), rnd.IntN(9), rnd.IntN(90000), rnd.IntN(1e9), i)
		fmt.Fprintf(&out, "%s %s => user%d@d%d.example R=dnslookup T=remote_smtp H=mx%d.d%d.example [198.51.100.%d] X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes C=\"250 2.0.0 Ok: queued as 4T6X0z3kWqz9vB\"\n",
			stamp, id, rnd.IntN(1e6), rnd.IntN(5000), rnd.IntN(4), rnd.IntN(100), rnd.IntN(250))
		fmt.Fprintf(&out, "%s %s Completed\n", stamp, id)
	}
	return out.Bytes()
}

func BenchmarkReaderExim(b *testing.B) {
	log := generateExim(1, 20000)
	b.ReportAllocs()
	b.SetBytes(int64(len(log)))
	n := 0
	for b.Loop() {
		n = 0
		r := NewReader(bytes.NewReader(log), ReaderOptions{Now: time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC)})
		if err := r.Each(func(l *Line, raw []byte) error {
			if l.Attempt.Sender != "" && l.Attempt.MessageID != "" && l.Attempt.User != "" {
				n++
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(bytes.Count(log, []byte{'\n'})*b.N)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(n), "results")
}
