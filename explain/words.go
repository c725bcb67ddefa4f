package explain

import (
	"slices"
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
		args["Provider"] = r.Provider.Name
	}
	first, narrow := x.first(r, named, args)
	if r.Outcome == mail.Delivered {
		return first
	}
	unsure := r.verdict.Confidence < sureEnough && r.verdict.Class != mail.Unknown
	if unsure {
		first = x.Texts.Text("answer.probably", lang.Args{"Text": first, "Confidence": x.Texts.Confidence(r.verdict.Confidence)})
	}
	out := first
	if fate := x.fate(r); fate != "" {
		out += " " + fate
	}
	if key := "clear." + string(r.verdict.Class); !narrow && !unsure && !whileSending(r) && x.Texts.Has(key) {
		out += " " + x.Texts.Text(key, nil)
	}
	if r.Ours == mail.OursNo {
		out = x.Texts.Text("ours.no", nil) + " " + out
	}
	return out
}

// sureEnough is the confidence from which on the answer is said without
// "probably"; below it, mostly only a code is known.
const sureEnough = 0.7

// whileSending reports whether the connection broke in the middle of the
// message: then its size, or a filter that reads it, may be the reason after all.
func whileSending(r *Result) bool {
	return r.verdict.Class == mail.Transport && r.Stage != nil &&
		(*r.Stage == mail.StageData || *r.Stage == mail.StageFinal)
}

// first picks the sentence that says what happened; narrow where the rule's
// advice has one of its own, which the rest of the class's texts need not fit.
func (x *Explainer) first(r *Result, named bool, args lang.Args) (text string, narrow bool) {
	key := "answer." + string(r.verdict.Class)
	own := "answer.advice." + r.verdict.Advice
	local := key + ".local"
	switch {
	case r.Action == mail.ActionRelayed || r.Action == mail.ActionExpanded:
		return x.Texts.Text("answer."+string(r.Action), nil), false
	case r.Outcome == mail.Delivered:
		key = "answer.delivered"
	case r.verdict.Advice != "" && x.Texts.Has(own):
		return x.Texts.Text(own, nil), true
	case noRemote(r.verdict) && x.Texts.Has(local):
		// The receiver must not be named for what it never said.
		return x.Texts.Text(local, nil), false
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
	return x.Texts.Text(key, args), false
}

// noRemote reports whether the words are the sending side's own.
func noRemote(d mail.Diagnosis) bool {
	return slices.ContainsFunc(d.Why, func(w mail.Reason) bool { return w.Key == "why.no-remote" })
}

// fate says what becomes of the message, "" where the first sentence has said it.
func (x *Explainer) fate(r *Result) string {
	key := "fate.temporary"
	switch {
	case r.Action == mail.ActionDelayed:
		key = "fate.delayed"
	case (r.Action == mail.ActionFailed || r.Outcome == mail.Permanent) && gaveUp(r.verdict),
		r.Action == mail.ActionFailed && r.Outcome == mail.Temporary:
		if r.verdict.Class == mail.Expired {
			return ""
		}
		return x.Texts.Text("fate.gave-up", nil)
	case r.Action == mail.ActionFailed && whileSending(r):
		// Whether it was delivered is just what is not known.
		return x.Texts.Text("fate.permanent", nil)
	case r.Action == mail.ActionFailed:
		return x.Texts.Text("fate.failed", nil)
	case r.Outcome == mail.Permanent:
		return x.Texts.Text("fate.permanent", nil)
	}
	if retry := r.verdict.Retry; retry == mail.RetryAfterFix || retry == mail.RetryNever {
		return x.Texts.Text(key+".cause", nil) // trying alone does not help
	}
	if r.Action == mail.ActionDelayed && !r.until.IsZero() {
		return x.Texts.Text(key+".until", lang.Args{"Until": Stamp(r.until)})
	}
	return x.Texts.Text(key, nil)
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
