package provider

import (
	"testing"
	"time"
)

func TestHeadline(t *testing.T) {
	c, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Identify("mx-eu.mail.yahoo.com", "yahoo.com", time.Time{}); got.ID != "yahoo" || got.By != ByHost {
		t.Fatalf("got %+v", got)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(shippedData); err != nil {
			b.Fatal(err)
		}
	}
}
