package explain_test

import (
	"testing"
	"time"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/provider"
)

// now is the day on which the tests take place.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func explainer(t testing.TB, change func(*explain.Options)) *explain.Explainer {
	t.Helper()
	engine, err := diagnose.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	providers, err := provider.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	o := explain.Options{Engine: engine, Providers: providers, Texts: lang.Open("en"), Now: now, Zone: time.UTC}
	if change != nil {
		change(&o)
	}
	x, err := explain.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func answer(t testing.TB, text string) *explain.Answer {
	t.Helper()
	return explainer(t, nil).Answer("test", []byte(text), false)
}
