package analyze

import (
	"testing"

	"github.com/postroad/postroad/diagnose"
)

// TestShape holds the memo to its promise: what differs from message to message
// makes no difference, and everything that a rule looks at does.
func TestShape(t *testing.T) {
	same := [][2]string{
		{"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", "421 4.7.0 [TSS04] Messages from 198.51.100.77 temporarily deferred"},
		{"550 5.1.1 <anna@example.com>: user unknown", "550 5.1.1 <bob.b-99@example.com>: user unknown"},
		{"452 4.2.2 over quota. a640c23a62f3a-b9d8f5si1234567890.78 - gsmtp", "452 4.2.2 over quota. d9443c01a7336-2345ffsi9876543210.11 - gsmtp"},
		{"451 4.7.650 [DB5EUR01FT051.eop-EUR01.prod.protection.outlook.com 2024-01-22T09:10:11.123Z 08DC1A]", "451 4.7.650 [AM6EUR05FT066.eop-EUR01.prod.protection.outlook.com 2024-01-22T09:11:12.999Z 08DC1A]"},
		{"host mx.firm1.example[192.0.2.1] said: 450 4.2.0 try later", "host in-7.other.example[198.51.100.9] said: 450 4.2.0 try later"},
	}
	for _, c := range same {
		if shape(c[0]) != shape(c[1]) {
			t.Errorf("differ:\n%s\n%s", c[0], c[1])
		}
	}
	differ := [][2]string{
		{"550 5.7.1 block list (S3150)", "550 5.7.1 block list (S3140)"},
		{"421 4.7.0 [TSS04] x", "421 4.7.0 [TSS05] x"},
		{"550 5.7.26 unauthenticated", "550 5.7.25 unauthenticated"},
		{"451 4.7.650 limited", "451 4.7.651 limited"},
		{"550 IB607", "550 IB116"},
		{"554 LPN007_405", "554 LPN007_510"},
		{"421 a", "521 a"},
		{"450 see one.example [a]", "450 see two.example [a]"},
	}
	for _, c := range differ {
		if shape(c[0]) == shape(c[1]) {
			t.Errorf("are one:\n%s\n%s", c[0], c[1])
		}
	}
}

// TestShapeAgainstRules looks for two examples of the rules that have one shape
// and two verdicts: there the memo would answer wrongly.
func TestShapeAgainstRules(t *testing.T) {
	engine, err := diagnose.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	files, err := diagnose.ShippedRules()
	if err != nil {
		t.Fatal(err)
	}
	type seen struct {
		text string
		d    string
	}
	shapes := map[uint64]seen{}
	n := 0
	for _, file := range files {
		for _, r := range file.Rules {
			for _, text := range r.Examples {
				n++
				v := engine.Diagnose(diagnose.Evidence{Text: text, Provider: r.Provider})
				key := mix(shape(text), hash(9, r.Provider))
				if old, ok := shapes[key]; ok && old.d != string(v.Class) {
					t.Errorf("%s (%s) and %s (%s) have one shape", text, v.Class, old.text, old.d)
				}
				shapes[key] = seen{text, string(v.Class)}
			}
		}
	}
	if n < 900 {
		t.Errorf("only %d examples", n)
	}
}
