package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// seed makes the week's letters the same whenever they are made. What becomes of
// them also depends on which of a provider's addresses Postfix picks.
const seed = 1109

// letter is one message that somebody at the bakery sends.
type letter struct {
	at      time.Time
	from    string
	name    string
	client  client
	to      string
	subject string
	id      string
	burst   bool // of the newsletter
}

// client is the machine that hands letters to the mail server.
type client struct{ name, ip string }

var (
	shop = client{"shop.bakery.example", "198.51.100.30"}
	news = client{"news.bakery.example", "198.51.100.31"}
)

// users of the bakery, each with a machine.
var users = strings.Fields("a.huber b.lang c.meier d.roth e.vogel f.kern g.winter h.braun i.koch j.weiss k.stein l.frank " +
	"m.sommer n.berg o.haas p.busch q.arnold r.lorenz s.ott t.pohl u.voigt v.sauer w.ernst x.brandt office")

func clients() []client {
	out := []client{shop, news}
	for i := range users {
		out = append(out, client{fmt.Sprintf("pc%02d.bakery.example", i+1), fmt.Sprintf("198.51.100.%d", 101+i)})
	}
	return out
}

// first names of customers; a letter is added where they do not suffice.
var first = strings.Fields("anna ben clara david emma felix greta hugo ida jan kim lena max nora otto paula quentin rosa samuel " +
	"tina ulla viktor wanda xaver yara zoe alice bruno carla dario elisa fabio gina henri irene jean karin louis maria nina " +
	"oscar petra raul sonja theo ursula vera willi yves zita")

// customers of a domain, the most frequent first.
func (d domain) people() []string {
	var out []string
	for i := range d.customers {
		name := first[(i*7+len(d.name))%len(first)]
		if round := i / len(first); round > 0 {
			name += "." + string(rune('a'+round-1))
		}
		if d.surname != "" {
			name += "." + d.surname
		}
		out = append(out, name+"@"+d.name)
	}
	return out
}

// rhythm is how a day's letters are spread over its hours.
var rhythm = [24]int{2, 1, 1, 1, 2, 8, 22, 40, 62, 70, 66, 58, 40, 46, 58, 60, 52, 40, 30, 26, 22, 16, 9, 4}

// volume is the letters of each day from Monday, without the newsletter.
var volume = [7]int{300, 290, 315, 300, 310, 95, 60}

// letters are those of the week, in their order.
func letters() []letter {
	dice := rand.New(rand.NewPCG(seed, seed))
	pool := newPool(dice)
	var all []letter
	for day, n := range volume {
		for range n {
			l := letter{at: weekBegin.AddDate(0, 0, day).Add(moment(dice)), to: pool.pick()}
			weekend, h := day > 4, l.at.Hour()
			if u := dice.IntN(len(users)); !weekend && h >= 7 && h < 19 && dice.IntN(100) < 45 {
				l.from, l.client = users[u]+"@"+bakery.domain, clients()[2+u]
				l.name = strings.ToUpper(users[u][:1]) + users[u][1:]
				l.subject = []string{"Re: your question", "Offer", "Invoice", "Delivery on Friday", "Wedding cake"}[dice.IntN(5)]
			} else {
				l.from, l.name, l.client = bakery.address, bakery.name, shop
				l.subject = []string{"Your order", "Your order is ready", "Your receipt"}[dice.IntN(3)]
			}
			all = append(all, l)
		}
	}
	all = append(all, runs(dice, pool)...)
	all = append(all, newsletter(dice)...)
	all = append(all, singular()...)
	slices.SortStableFunc(all, func(a, b letter) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	for i := range all {
		all[i].id = fmt.Sprintf("%s.%d@%s", all[i].at.Format("20060102150405"), 4001+i, bakery.domain)
	}
	return all
}

// moment is a time of day by the rhythm.
func moment(dice *rand.Rand) time.Duration {
	sum := 0
	for _, w := range rhythm {
		sum += w
	}
	n := dice.IntN(sum)
	for h, w := range rhythm {
		if n -= w; n < 0 {
			return time.Duration(h)*time.Hour + time.Duration(dice.Int64N(int64(time.Hour)))
		}
	}
	return 0
}

// pool picks customers: each domain by its number of customers, and in it the
// first ones more often, as some people order every day.
type pool struct {
	dice   *rand.Rand
	people [][]string
	total  int
}

func newPool(dice *rand.Rand) *pool {
	p := &pool{dice: dice}
	for _, d := range domains {
		p.people = append(p.people, d.people())
		p.total += d.customers
	}
	return p
}

func (p *pool) pick() string {
	n := p.dice.IntN(p.total)
	for _, people := range p.people {
		if n -= len(people); n < 0 {
			x := p.dice.Float64()
			return people[int(x*x*float64(len(people)))]
		}
	}
	return p.people[0][0]
}

// runs are what the shop sends in one go: on weekdays at nine what the subscribers
// get that day, and on Thursday, shortly before the queue is looked at, invoices.
func runs(dice *rand.Rand, pool *pool) []letter {
	var out []letter
	run := func(n int, at time.Time, within time.Duration, subject string) {
		for range n {
			out = append(out, letter{at: at.Add(time.Duration(dice.Int64N(int64(within)))), from: bakery.address, name: bakery.name,
				client: shop, to: pool.pick(), subject: subject})
		}
	}
	for day := 9; day < 14; day++ {
		run(24, local(day, 9, 8), 15*time.Minute, "Your bread today")
	}
	run(50, local(12, 10, 54), 5*time.Minute, "Invoice")
	return out
}

// newsletter goes to every second customer on Tuesday evening.
func newsletter(dice *rand.Rand) []letter {
	var out []letter
	at := local(10, 17, 30)
	for _, d := range domains {
		for i, to := range d.people() {
			if i%2 == 0 && d.surname != "" {
				out = append(out, letter{from: "news@" + bakery.domain, name: bakery.name, client: news, to: to,
					subject: "Stollen time", burst: true})
			}
		}
	}
	dice.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i := range out {
		if i%5 == 0 {
			at = at.Add(time.Duration(3+dice.IntN(6)) * time.Second)
		}
		out[i].at = at
	}
	return out
}

// singular are the letters that something ordinary happens to.
func singular() []letter {
	order := func(to string, day, hour, minute int) letter {
		return letter{at: local(day, hour, minute).Add(17 * time.Second), from: bakery.address, name: bakery.name, client: shop, to: to, subject: "Your order"}
	}
	return []letter{
		order("gone.example@gmail.com", 9, 8, 41),
		order("accounts@mill.example", 9, 11, 20), // five days in the queue, then it comes back
		order("gone.example@yahoo.com", 9, 14, 3),
		order("gone.example@outlook.com", 10, 9, 12),
		order("kunde@gmial.example", 10, 9, 48),
		order("full.example@gmail.com", 10, 10, 2),
		order("anna@cafe.example", 10, 10, 21),
		order("unknown@example.com", 10, 13, 37),
		order("weg.beispiel@web.de", 11, 10, 26),
		order("gone.example@hotmail.com", 11, 15, 9),
		order("moved.example@gmail.com", 12, 7, 58),
		order("nobody@fabrikam.example", 12, 9, 31),
		order("gone.example@aol.com", 12, 16, 44),
		order("partie.exemple@orange.fr", 13, 8, 15),
		order("full.example@gmail.com", 13, 12, 30),
		order("info@no-such-domain.example", 13, 14, 22),
		order("gone.example@gmail.com", 14, 10, 11),
	}
}
