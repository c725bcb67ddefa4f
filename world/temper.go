package world

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/mail"
)

// What a temper does.
const (
	doAccept      = "accept"      // nothing; ends the search, for exceptions from what follows
	doReject      = "reject"      // a reply of its own
	doCut         = "cut"         // the connection, without a word
	doHang        = "hang"        // no word and no end
	doGreylist    = "greylist"    // 4xx until the same three come again later
	doThrottle    = "throttle"    // 4xx beyond a rate, a number or a volume
	doSlow        = "slow"        // late replies, few bytes a second
	doRefuse      = "refuse"      // the TCP connection
	doDrop        = "drop"        // the packets: no connection is made and none refused
	doCertificate = "certificate" // another one than the right one
	doNoStartTLS  = "no-starttls" // not offered
	doSTS         = "sts"         // another MTA-STS policy
	doDANE        = "dane"        // other TLSA records
)

// The stages that a temper knows besides those of [mail.Stages].
const (
	stageHello   mail.Stage = "clienthello" // in the handshake, when the ClientHello was read
	stageContent mail.Stage = "content"     // in the middle of the message
)

var stages = []mail.Stage{mail.StageConnect, mail.StageBanner, mail.StageEHLO, mail.StageSTARTTLS, mail.StageTLS,
	stageHello, mail.StageAuth, mail.StageMail, mail.StageRcpt, mail.StageData, stageContent, mail.StageFinal}

// Temper is one way of a provider to be, for a time, for some. A condition that
// is not given holds for all. Of the tempers that fit, the first in the file
// that decides at a stage counts; slow ones add up.
type Temper struct {
	Name string     `toml:"name"` // in the truth and the events; made up without one
	Do   string     `toml:"do"`
	At   mail.Stage `toml:"at"`

	// When and for whom.
	From       Moment         `toml:"from"`
	Until      Moment         `toml:"until"`
	Daily      Daily          `toml:"daily"`
	Hosts      []string       `toml:"hosts"`
	Addresses  []netip.Addr   `toml:"addresses"`
	Sources    []netip.Prefix `toml:"sources"`
	Senders    []string       `toml:"senders"`    // domains, "" the null sender; from MAIL on
	Recipients []string       `toml:"recipients"` // mailboxes or domains; from RCPT on
	Share      *float64       `toml:"share"`      // of the sessions, drawn by seed and session number
	Clear      bool           `toml:"clear"`      // only sessions without TLS
	Times      int            `toml:"times"`      // only so often

	// What is said and done.
	Reply  string   `toml:"reply"`
	Preset string   `toml:"preset"` // a provider's own reply and its stage: see Presets
	Close  bool     `toml:"close"`  // reject: the connection after the reply
	After  bool     `toml:"after"`  // cut, hang: after the reply of the stage, not instead of it
	Kept   bool     `toml:"kept"`   // cut, hang at final: the message is kept although no reply says so
	Bytes  int64    `toml:"bytes"`  // cut, hang at content: after so many
	For    Duration `toml:"for"`    // hang: and then go on

	Delay   Duration `toml:"delay"`   // greylist: 5m; slow: before each reply
	Rate    int      `toml:"rate"`    // slow: bytes a second, both ways
	Keep    Duration `toml:"keep"`    // greylist: forgotten after; 36h
	Network int      `toml:"network"` // greylist, throttle by network: bits of the source that count; 24, 64 of IPv6

	Per         Duration `toml:"per"` // throttle
	By          string   `toml:"by"`  // "source" (the default), "network", "sender" (its domain), "all"
	Connections int      `toml:"connections"`
	Messages    int      `toml:"messages"`
	Accepted    int      `toml:"accepted"` // recipients
	Volume      int64    `toml:"volume"`   // bytes

	Certificate string `toml:"certificate"`
	STS         *STS   `toml:"sts"`
	DANE        string `toml:"dane"`

	id    string // unique in the world
	share uint64 // of 2^64; only if Share
	reply mail.Reply
}

// needs says which keys a temper may have besides its conditions.
var needs = map[string][]string{
	doAccept:      {"at"},
	doReject:      {"at", "reply", "preset", "close"},
	doCut:         {"at", "after", "kept", "bytes"},
	doHang:        {"at", "after", "kept", "bytes", "for"},
	doGreylist:    {"reply", "preset", "delay", "keep", "network"},
	doThrottle:    {"at", "reply", "preset", "close", "per", "by", "network", "connections", "messages", "accepted", "volume"},
	doSlow:        {"at", "delay", "rate"},
	doRefuse:      {},
	doDrop:        {},
	doCertificate: {"certificate"},
	doNoStartTLS:  {},
	doSTS:         {"sts"},
	doDANE:        {"dane"},
}

// given names the keys of the second kind that are set.
func (t *Temper) given() (keys []string) {
	for _, k := range []struct {
		key string
		set bool
	}{
		{"at", t.At != ""}, {"reply", t.Reply != ""}, {"preset", t.Preset != ""}, {"close", t.Close}, {"after", t.After},
		{"kept", t.Kept}, {"bytes", t.Bytes != 0}, {"for", t.For != 0}, {"delay", t.Delay != 0}, {"rate", t.Rate != 0},
		{"keep", t.Keep != 0}, {"network", t.Network != 0}, {"per", t.Per != 0}, {"by", t.By != ""},
		{"connections", t.Connections != 0}, {"messages", t.Messages != 0}, {"accepted", t.Accepted != 0},
		{"volume", t.Volume != 0}, {"certificate", t.Certificate != ""}, {"sts", t.STS != nil}, {"dane", t.DANE != ""},
	} {
		if k.set {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// prepare checks a temper and fills in what it leaves out.
func (t *Temper) prepare(p *Provider, number int, presets map[string]Preset) error {
	allowed, ok := needs[t.Do]
	if !ok {
		return fmt.Errorf("do = %q is none of accept, reject, cut, hang, greylist, throttle, slow, refuse, drop, certificate, "+
			"no-starttls, sts, dane", t.Do)
	}
	for _, key := range t.given() {
		if !slices.Contains(allowed, key) {
			return fmt.Errorf("%s is not for do = %q; remove it", key, t.Do)
		}
	}
	if err := t.say(presets); err != nil {
		return err
	}
	if err := errors.Join(t.checkStage(), t.checkConditions(p), t.checkNumbers()); err != nil {
		return err
	}
	t.id = fmt.Sprintf("%s/%d", p.ID, number)
	if t.Name == "" {
		t.Name = strings.Join(strings.Fields(t.Do+" "+string(t.At)+" "+t.Preset+" "+t.Certificate), " ")
	}
	return nil
}

// say makes the reply out of the preset, the text or the ordinary words.
func (t *Temper) say(presets map[string]Preset) error {
	text := t.Reply
	if t.Preset != "" {
		p, ok := presets[t.Preset]
		if !ok {
			return fmt.Errorf("preset = %q is none of %s", t.Preset, strings.Join(presetNames(presets), ", "))
		}
		if text != "" {
			return errors.New("reply and preset cannot both be given; remove one")
		}
		text = p.Reply
		if t.At == "" && t.Do != doGreylist {
			t.At = p.Stage
		}
		t.Close = t.Close || p.Close
	}
	switch {
	case text != "":
	case t.Do == doGreylist:
		text = "451 4.7.1 Greylisted, please try again in {seconds} seconds"
	case t.Do == doThrottle:
		text = "421 4.7.0 Too much mail from {source}, try again later"
	case t.Do == doReject:
		return errors.New(`reject needs a reply or a preset: reply = "450 4.7.1 Not now"`)
	default:
		return nil
	}
	var err error
	t.reply, err = parseReply(text)
	if err != nil {
		return err
	}
	if t.reply.Code < 400 {
		return fmt.Errorf("reply = %q refuses nothing; begin it with 4xx or 5xx", text)
	}
	return nil
}

func (t *Temper) checkStage() error {
	switch {
	case t.Do == doThrottle && t.At == "":
		t.At = mail.StageMail
		if t.Messages+t.Accepted == 0 && t.Volume == 0 {
			t.At = mail.StageBanner
		}
	case t.Do == doGreylist:
		t.At = mail.StageRcpt
	case t.Do == doRefuse, t.Do == doDrop:
		t.At = mail.StageConnect
	}
	if t.At != "" && !slices.Contains(stages, t.At) {
		return fmt.Errorf("at = %q is none of %s", t.At, join(stages))
	}
	silent := t.Do == doCut || t.Do == doHang
	switch {
	case t.At == "" && (silent || t.Do == doReject):
		return fmt.Errorf("%s needs a stage: at = %q", t.Do, mail.StageMail)
	case (t.Do == doReject || t.Do == doThrottle || t.Do == doSlow) && (t.At == mail.StageConnect || t.At == mail.StageTLS ||
		t.At == stageHello || t.At == stageContent):
		return fmt.Errorf("at %s there is no reply; use cut or hang there", t.At)
	case t.Kept && t.At != mail.StageFinal:
		return errors.New("kept is for at = \"final\"; before it there is no message")
	case t.Bytes != 0 && t.At != stageContent:
		return errors.New("bytes is for at = \"content\"")
	case t.After && (t.At == mail.StageConnect || t.At == stageHello || t.At == stageContent):
		return fmt.Errorf("after is not for at = %q; take the next stage", t.At)
	}
	return nil
}

func (t *Temper) checkConditions(p *Provider) error {
	for i, h := range t.Hosts {
		t.Hosts[i] = mail.NormalDomain(h)
		if !slices.ContainsFunc(p.Hosts, func(host Host) bool { return host.Name == t.Hosts[i] }) {
			return fmt.Errorf("hosts: %q is no host of %s", h, p.ID)
		}
	}
	for i := range t.Addresses {
		t.Addresses[i] = t.Addresses[i].Unmap()
		if !slices.ContainsFunc(p.Hosts, func(h Host) bool { return slices.Contains(h.Addresses, t.Addresses[i]) }) {
			return fmt.Errorf("addresses: %s is that of no host of %s; clients are told apart by sources", t.Addresses[i], p.ID)
		}
	}
	for i, s := range t.Sources {
		t.Sources[i] = s.Masked()
	}
	for i, s := range t.Senders {
		t.Senders[i] = mail.NormalDomain(strings.TrimPrefix(s, "@"))
	}
	if t.From.set && t.Until.set && t.From.at.IsZero() == t.Until.at.IsZero() && !t.From.in(time.Time{}).Before(t.Until.in(time.Time{})) {
		return errors.New("until is not after from, so it never happens; both count from the clock's start")
	}
	public := t.Do == doSTS || t.Do == doDANE
	if public && (len(t.Sources)+len(t.Addresses) > 0 || t.Share != nil || t.Clear || t.Do == doSTS && len(t.Hosts) > 0) {
		return fmt.Errorf("what %s publishes is the same for all; only from, until, daily and hosts (of dane) are for it", t.Do)
	}
	if t.Do == doDrop && (len(t.Sources) > 0 || t.Share != nil || t.Times > 0 || t.Clear) {
		return errors.New("what drop does is the same for all; only from, until, daily, hosts and addresses are for it")
	}
	if t.Times > 0 && (public || slices.Contains([]string{doAccept, doSlow, doCertificate, doNoStartTLS}, t.Do)) {
		return fmt.Errorf("times is not for do = %q; use from and until", t.Do)
	}
	early := t.At == "" || slices.Index(stages, t.At) < slices.Index(stages, mail.StageMail)
	if len(t.Senders) > 0 && early {
		return errors.New("senders are known from at = \"mail\" on")
	}
	if len(t.Recipients) > 0 && (early || t.At == mail.StageMail) {
		return errors.New("recipients are known from at = \"rcpt\" on")
	}
	for i, r := range t.Recipients {
		t.Recipients[i] = strings.ToLower(strings.TrimPrefix(r, "@"))
	}
	if t.Share != nil {
		if *t.Share <= 0 || *t.Share > 1 {
			return fmt.Errorf("share = %v is not above 0 and at most 1; write 0.2 for 20 %%", *t.Share)
		}
		t.share = ^uint64(0)
		if *t.Share < 1 {
			t.share = uint64(*t.Share * (1 << 63) * 2)
		}
	}
	return nil
}

// refusesAll reports whether the port is closed for everybody; others are let in
// and reset.
func (t *Temper) refusesAll() bool {
	return t.Do == doRefuse && len(t.Sources) == 0 && t.Share == nil && t.Times == 0
}

func (t *Temper) checkNumbers() error {
	switch {
	case t.Times < 0, t.Bytes < 0, t.Rate < 0, t.Connections < 0, t.Messages < 0, t.Accepted < 0, t.Volume < 0:
		return errors.New("numbers cannot be below 0")
	case t.Network < 0 || t.Network > 128:
		return fmt.Errorf("network = %d is no number of bits", t.Network)
	case t.Do == doSlow && t.Delay == 0 && t.Rate == 0:
		return errors.New("slow needs a delay or a rate")
	case t.Do == doThrottle && t.Connections+t.Messages+t.Accepted == 0 && t.Volume == 0:
		return errors.New("throttle needs connections, messages, accepted or volume")
	case t.Do == doThrottle && t.Per == 0 && (t.Messages+t.Accepted > 0 || t.Volume > 0):
		return errors.New("throttle needs a span for its numbers: per = \"1h\"")
	case t.Do == doThrottle && !slices.Contains([]string{"", "source", "network", "sender", "all"}, t.By):
		return fmt.Errorf("by = %q is none of source, network, sender, all", t.By)
	case t.Do == doThrottle && t.By == "sender" && (t.Connections > 0 || slices.Index(stages, t.At) < slices.Index(stages, mail.StageMail)):
		return errors.New("by = \"sender\" is known from at = \"mail\" on, and not for connections")
	case t.Do == doCertificate && !slices.Contains(certificates, t.Certificate):
		return fmt.Errorf("certificate = %q is none of %s", t.Certificate, strings.Join(certificates, ", "))
	case t.Do == doSTS && t.STS == nil:
		return errors.New("sts needs a policy: sts = { mode = \"enforce\" }")
	case t.Do == doSTS:
		return t.STS.check()
	case t.Do == doDANE && (t.DANE == "" || !slices.Contains(daneKinds, t.DANE)):
		return fmt.Errorf("dane = %q is none of%s", t.DANE, strings.Join(daneKinds, " "))
	}
	if t.Do == doGreylist {
		if t.Delay == 0 {
			t.Delay = Duration(5 * time.Minute)
		}
		if t.Keep == 0 {
			t.Keep = Duration(36 * time.Hour)
		}
	}
	return nil
}

func join[T ~string](all []T) string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}
