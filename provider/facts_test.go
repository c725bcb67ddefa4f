package provider

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// facts reads a table that stands beside the project, and skips the test where
// it does not.
func facts(t *testing.T, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join("../../shared", "data", name))
	if err != nil {
		t.Skipf("facts not here: %v", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, cell := range row {
			m[rows[0][i]] = cell
		}
		out = append(out, m)
	}
	return out
}

// Every row of the facts is an operator, or a brand of its operator; each of its
// patterns and domains is recognised as that operator.
func TestFactsProviders(t *testing.T) {
	rows := facts(t, "providers.csv")
	if len(rows) < 150 {
		t.Fatalf("%d rows", len(rows))
	}
	c := mustShipped(t)
	owner := map[string]string{}
	for _, row := range rows {
		id, operator := row["id"], row["operator"]
		p, ok := c.ByID(operator)
		if !ok {
			t.Errorf("%s: no operator %s", id, operator)
			continue
		}
		if id != operator {
			if _, ok := p.Brand(id); !ok {
				t.Errorf("%s is no brand of %s", id, operator)
			}
			if _, ok := c.ByID(id); ok {
				t.Errorf("%s is a brand and an operator", id)
			}
		}
		for _, pattern := range strings.Fields(row["mx_patterns"]) {
			if other := owner[pattern]; other != "" && other != operator {
				t.Errorf("%s belongs to %s and %s", pattern, other, operator)
			}
			owner[pattern] = operator
			for _, host := range []string{strings.TrimPrefix(pattern, "."), strings.ToUpper("mx1.x" + pattern)} {
				if host[0] == 'M' && pattern[0] != '.' {
					continue
				}
				for _, at := range []time.Time{today, {}, time.Date(2024, 1, 22, 0, 0, 0, 0, time.UTC)} {
					if got := c.Identify(host, "", at); got.ID != operator || got.By != ByHost {
						t.Errorf("%s of %s at %s: got %+v, want %s", host, id, at, got, operator)
					}
				}
			}
		}
		for _, domain := range strings.Fields(row["domains"]) {
			if domain == "..." {
				continue
			}
			if got := c.Identify("", domain, today); got.ID != operator || got.By != ByDomain {
				t.Errorf("%s of %s: got %+v, want %s", domain, id, got, operator)
			}
		}
	}
}

func TestFactsDomains(t *testing.T) {
	operators := map[string]string{}
	for _, row := range facts(t, "providers.csv") {
		operators[row["id"]] = row["operator"]
	}
	c := mustShipped(t)
	rows := facts(t, "provider-domains.csv")
	if len(rows) < 700 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		operator := operators[row["provider"]]
		got := c.Identify("", row["domain"], today)
		if got.ID != operator || got.Brand == "" {
			t.Errorf("%s: got %+v, want %s", row["domain"], got, operator)
			continue
		}
		p, _ := c.ByID(operator)
		if b, ok := p.Brand(row["provider"]); !ok || b.Name != got.Brand {
			t.Errorf("%s: brand %q, want that of %s", row["domain"], got.Brand, row["provider"])
		}
		if sub := c.Identify("mx.example.com", row["domain"], today); sub.ID != "mx:example.com" {
			t.Errorf("%s behind mx.example.com: got %+v", row["domain"], sub)
		}
	}
}
