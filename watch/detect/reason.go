package detect

import "github.com/postroad/postroad/mail"

// Reason is one ground for a verdict or against it: a key of the catalogue
// (topic detect) and what its placeholders stand for. A placeholder has the
// name of the field that fills it; TestReasonsHaveWords holds both in step.
//
//	{{.Count}} {{.Of}}     Count, Of        numbers; Count decides the plural form
//	{{.Share}} {{.Before}} Share, Before    shares from 0 to 1, to be written as per cent
//	{{.Factor}}            Factor           a multiple
//	{{.Address}}           Addresses        names from the caller's table, as a list
//	{{.Source}}            Sources          the same
//	{{.Provider}}          Providers        the same
//	{{.Domain}}            Domains          the same
//	{{.Time}}              Time             nanoseconds since 1970
//	{{.Duration}}          Duration         nanoseconds
//	{{.Class}}             Class            a class, by its name in the catalogue
//	{{.Stage}}             Stage            a stage, likewise
type Reason struct {
	Key string

	Count, Of     int64
	Share, Before float64
	Factor        float64

	Addresses []ID
	Sources   []ID
	Providers []ID
	Domains   []ID

	Time     int64
	Duration int64
	Class    mail.Class
	Stage    mail.Stage
}

// Attribution is whose trouble an incident is, how sure that is, and why.
type Attribution struct {
	Actor        mail.Actor
	Confidence   float64 // 0 to 1
	Why, Against []Reason
	Contributing []mail.Class // the bigger first
}
