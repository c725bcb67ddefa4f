package dmarc

import (
	"context"
	"fmt"

	"github.com/postroad/postroad/dns"
)

// The findings about where reports go.
const (
	FindReportDenied    = "dmarc.report.denied"    // the receiver of the reports has no record that allows them
	FindReportOverride  = "dmarc.report.override"  // it wants them at another address of its own
	FindReportElsewhere = "dmarc.report.elsewhere" // it wants them at somebody else's: nobody gets any
	FindReportHost      = "dmarc.report.host"      // the address has no host to ask
	FindReportName      = "dmarc.report.name"      // the name to ask for would be too long
)

// Destination is whether reports about a domain may go to an address.
type Destination struct {
	URI        URI       `json:"uri"`
	Authorised bool      `json:"authorised"`
	Inside     bool      `json:"inside,omitempty"`    // of the same organisation: nobody was asked
	Temporary  bool      `json:"temporary,omitempty"` // DNS did not say: to be asked again
	Name       string    `json:"name,omitempty"`      // that was asked for
	Instead    []URI     `json:"instead,omitempty"`   // where its owner wants them
	Findings   []Finding `json:"findings,omitempty"`
}

// ReportAuthorised says whether reports about a domain may be sent to an address of
// its record: within the organisation always, elsewhere where the host of the
// address says so in DNS (RFC 9990 section 4 for rua, RFC 9991 section 5 for ruf;
// RFC 7489 section 7.1 before). at is the domain that has the record, tag "rua" or
// "ruf".
func ReportAuthorised(ctx context.Context, r Resolver, at string, uri URI, tag string) Destination {
	d := Destination{URI: uri}
	domain := normal(at)
	if domain == "" || uri.Host == "" {
		d.find(FindReportHost, uri.Text)
		return d
	}
	inside, known := sameOrganization(ctx, r, domain, uri.Host)
	if inside {
		d.Inside, d.Authorised = true, true
		return d
	}
	d.Name = domain + "._report._dmarc." + uri.Host
	if len(d.Name) > maxDomain {
		d.find(FindReportName, d.Name)
		return d
	}
	answer := some(r).TXT(ctx, d.Name)
	if d.Temporary = !answer.Status.Known(); d.Temporary {
		d.find(FindDNS, answer.Status.String()+" "+errText(answer.Err))
		return d
	}
	d.judge(answer, tag)
	if !d.Authorised && !known {
		d.Temporary = true // it may be inside
	}
	return d
}

// sameOrganization compares the organisational domains of two names; known is
// false where DNS did not say.
func sameOrganization(ctx context.Context, r Resolver, a, b string) (same, known bool) {
	if a == b {
		return true, true
	}
	w := walker{r: some(r), steps: make(map[string]Step)}
	own := w.walk(ctx, a)
	switch {
	case own.Failed:
		return false, last(a, 1) != last(b, 1)
	case !under(b, own.Organization): // its organisational domain is above it or itself
		return false, true
	}
	theirs := w.walk(ctx, b)
	return !theirs.Failed && own.Organization == theirs.Organization, !theirs.Failed
}

func (d *Destination) find(key, value string) {
	d.Findings = append(d.Findings, Finding{key, d.Name, clip(value, maxShown)})
}

// judge reads the records of the report receiver.
func (d *Destination) judge(answer dns.Answer[string], tag string) {
	for _, text := range answer.Records {
		record, err := ParseRecord(text)
		if err != nil {
			continue
		}
		d.Authorised = true
		uris := record.Aggregate
		if tag == "ruf" {
			uris = record.Failure
		}
		for _, u := range uris {
			if u.Host != d.URI.Host {
				d.find(FindReportElsewhere, u.Text)
				d.Authorised, d.Instead = false, nil
				return
			}
			if len(d.Instead) < maxURIs {
				d.Instead = append(d.Instead, u)
			}
		}
	}
	if !d.Authorised {
		d.find(FindReportDenied, fmt.Sprintf("%s, %d records", answer.Status, len(answer.Records)))
	} else if len(d.Instead) > 0 {
		d.find(FindReportOverride, d.Instead[0].Text)
	}
}
