package explain

import (
	"strconv"

	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// explanation is the answer: what happened, what becomes of the message, and,
// where it spares a search in the wrong place, what it is not.
func (x *Explainer) explanation(r *Result) string {
	args := lang.Args{}
	named := r.Provider != nil && r.Provider.known
	if named {
		args["Provider"] = displayName(r.Provider)
	}
	first := x.first(r, named, args)
	if r.Outcome == mail.Delivered {
		return first
	}
	out := first + " " + x.fate(r)
	if key := "clear." + string(r.verdict.Class); x.Texts.Has(key) {
		out += " " + x.Texts.Text(key, nil)
	}
	if r.Ours == mail.OursNo {
		out = x.Texts.Text("ours.no", nil) + " " + out
	}
	return out
}

// displayName is the brand where it is another name than the operator's: the
// reader knows the name on the mailbox.
func displayName(p *Provider) string {
	return p.Name
}

// first picks the sentence that says what happened.
func (x *Explainer) first(r *Result, named bool, args lang.Args) string {
	key := "answer." + string(r.verdict.Class)
	switch {
	case r.Action == mail.ActionRelayed || r.Action == mail.ActionExpanded:
		return x.Texts.Text("answer."+string(r.Action), nil)
	case r.Outcome == mail.Delivered:
		key = "answer.delivered"
	case r.verdict.Class == mail.Transport && r.Stage != nil:
		switch *r.Stage {
		case mail.StageConnect, mail.StageResolve:
			key += ".connect"
		case mail.StageSTARTTLS, mail.StageTLS:
			key += ".tls"
		case mail.StageFinal:
			key += ".final"
		}
	}
	if !named {
		key += ".anon"
	}
	return x.Texts.Text(key, args)
}

// fate says what becomes of the message.
func (x *Explainer) fate(r *Result) string {
	switch r.Action {
	case mail.ActionDelayed:
		return x.Texts.Text("fate.delayed", nil)
	case mail.ActionFailed:
		if r.Outcome == mail.Temporary || gaveUp(r.verdict) {
			return x.Texts.Text("fate.gave-up", nil)
		}
		return x.Texts.Text("fate.failed", nil)
	}
	if r.Outcome == mail.Permanent {
		if gaveUp(r.verdict) {
			return x.Texts.Text("fate.gave-up", nil)
		}
		return x.Texts.Text("fate.permanent", nil)
	}
	return x.Texts.Text("fate.temporary", nil)
}

// gaveUp reports whether the deciding reply was temporary although the message
// has failed, or an outer layer says that its time was up.
func gaveUp(d mail.Diagnosis) bool {
	if len(d.Chain) == 0 {
		return d.Class == mail.Expired
	}
	for _, l := range d.Chain[:len(d.Chain)-1] {
		if l.Class == mail.Expired {
			return true
		}
	}
	last := d.Chain[len(d.Chain)-1]
	return d.Class == mail.Expired || mail.OutcomeOf(last.Code, last.Enhanced) == mail.Temporary
}

// maxSteps bounds the numbered steps of one piece of advice.
const maxSteps = 9

// next gives the steps: the rule's own advice, else the class's.
func (x *Explainer) next(r *Result) []string {
	out := []string{}
	if r.Ours == mail.OursNo {
		return x.steps(out, "next.backscatter", nil)
	}
	if r.Outcome == mail.Delivered {
		return out
	}
	args := lang.Args{"Provider": x.Texts.Text("advice.provider.anon", nil)}
	if r.Provider != nil {
		args["Provider"] = r.Provider.Name
		args["Link"] = r.Provider.link
	}
	if r.verdict.Advice != "" {
		out = x.steps(out, "advice."+r.verdict.Advice, args)
	}
	if len(out) == 0 {
		out = x.steps(out, "advice.class."+string(r.verdict.Class), args)
	}
	return out
}

// steps appends the texts key.1, key.2, ... as far as there are any.
func (x *Explainer) steps(out []string, key string, args lang.Args) []string {
	for i := 1; i <= maxSteps; i++ {
		k := key + "." + strconv.Itoa(i)
		if !x.Texts.Has(k) {
			break
		}
		if args["Link"] == "" && x.Texts.Needs(k, "Link") {
			continue // we know of no page to send the reader to
		}
		out = append(out, x.Texts.Text(k, args))
	}
	return out
}
