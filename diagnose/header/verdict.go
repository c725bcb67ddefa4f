package header

import (
	"strings"

	"github.com/postroad/postroad/mail"
)

// weight is how much a sign says about where the message went.
type weight int

const (
	// marked: a filter tagged the message; what was done with the tag is
	// another program's business.
	marked weight = iota + 1
	// judged: the receiving service's own verdict, which it acts on by default;
	// an administrator may have set another action.
	judged
	// placed: the mailbox says where it put the message.
	placed
)

// sign is one meaning of the table.
type sign struct {
	weight  weight
	verdict Verdict
}

// signs is the table of the verdict: what each finding says about the place.
// Findings that are not in it say nothing about it. A finding that is a claim
// (of another side than the receiving one) is never asked.
//
// The default actions are those of Microsoft's pages on the spam confidence
// level and on the policies (read 2026-11): spam and bulk go to Junk, malware,
// dangerous attachments and high-confidence phishing to quarantine.
var signs = map[string]sign{
	// X-Microsoft-Antispam-Mailbox-Delivery: written when the message was filed.
	"header.dest.inbox": {placed, Inbox},
	"header.dest.junk":  {placed, Junk},
	// Labels and folders.
	"header.gmail.inbox": {placed, Inbox},
	"header.gmail.spam":  {placed, Junk},
	"header.apple.inbox": {placed, Inbox},
	"header.apple.junk":  {placed, Junk},
	"header.yahoo.bulk":  {placed, Junk},

	"header.cat.malw":  {judged, Quarantine},
	"header.cat.amp":   {judged, Quarantine},
	"header.cat.ftbp":  {judged, Quarantine},
	"header.cat.sap":   {judged, Quarantine},
	"header.cat.hphsh": {judged, Quarantine},
	"header.cat.phsh":  {judged, Junk},
	"header.cat.spm":   {judged, Junk},
	"header.cat.hspm":  {judged, Junk},
	"header.cat.bulk":  {judged, Junk},
	"header.cat.spoof": {judged, Junk},

	"header.sfv.spm":  {judged, Junk},
	"header.sfv.sks":  {judged, Junk},
	"header.sfv.skb":  {judged, Junk},
	"header.sfv.blk":  {judged, Junk},
	"header.sfv.nspm": {judged, Inbox},
	"header.sfv.sfe":  {judged, Inbox},
	"header.sfv.ska":  {judged, Inbox},
	"header.sfv.skn":  {judged, Inbox},
	"header.sfv.ski":  {judged, Inbox},
	// Released from quarantine: what the other fields say was before that.
	"header.sfv.skq": {placed, Inbox},

	"header.scl.skipped": {judged, Inbox},
	"header.scl.clean":   {judged, Inbox},
	"header.scl.spam":    {judged, Junk},
	"header.scl.high":    {judged, Junk},

	"header.action.quarantine": {judged, Quarantine},
	"header.gmail.dis":         {judged, Junk},
	"header.gmx.yes":           {judged, Junk},
	"header.gmx.no":            {judged, Inbox},

	"header.spamassassin.yes":         {marked, Junk},
	"header.spamflag.yes":             {marked, Junk},
	"header.rspamd.yes":               {marked, Junk},
	"header.rspamd.action.mark":       {marked, Junk},
	"header.rspamd.action.quarantine": {marked, Quarantine},
	"header.rspamd.action.reject":     {marked, Rejected},
	"header.barracuda.yes":            {marked, Junk},
	"header.vade.yes":                 {marked, Junk},
	"header.purgate.yes":              {marked, Junk},
	"header.proofpoint.yes":           {marked, Junk},
	"header.yandex.yes":               {marked, Junk},
	"header.gm.yes":                   {marked, Junk},
}

// rank orders the verdicts of equal weight: the worse one counts, because a
// message that one check let pass is still put aside by another.
func rank(v Verdict) int {
	switch v {
	case Inbox:
		return 1
	case Junk:
		return 2
	case Quarantine:
		return 3
	case Rejected:
		return 4
	}
	return 0
}

// decide gives the verdict and its grounds: the heaviest signs count, among
// equals the worst. Every finding that speaks for the verdict is a reason; a
// verdict that rests on tags alone, or on default actions, says so.
func decide(findings []Finding) (Verdict, []mail.Reason) {
	var best sign
	for _, f := range findings {
		s, ok := signs[f.Key]
		if !ok || f.Claim {
			continue
		}
		if s.weight > best.weight || s.weight == best.weight && rank(s.verdict) > rank(best.verdict) {
			best = s
		}
	}
	if best.weight == 0 {
		return Unknown, nil
	}
	var why []mail.Reason
	for _, f := range findings {
		s, ok := signs[f.Key]
		// What decided the folder is a ground of where it is.
		folder := best.weight == placed && strings.HasPrefix(f.Key, "header.ofr.")
		if !f.Claim && (ok && s.verdict == best.verdict || folder) {
			why = append(why, f.Reason())
		}
	}
	switch best.weight {
	case marked:
		why = append(why, mail.Reason{Key: "header.verdict.marked"})
	case judged:
		why = append(why, mail.Reason{Key: "header.verdict.judged"})
	}
	return best.verdict, why
}
