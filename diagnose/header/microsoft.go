package header

import (
	"strconv"
	"strings"
)

// pairs reads "CIP:192.0.2.1;CTRY:US;SCL:5;..." with keys in upper case. The
// first of equal keys stands.
func pairs(v string) map[string]string {
	m := make(map[string]string)
	for part := range strings.SplitSeq(v, ";") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), ":")
		key = strings.ToUpper(strings.TrimSpace(key))
		if !ok || key == "" || len(key) > 32 || len(m) >= 64 {
			continue
		}
		if _, there := m[key]; !there {
			m[key] = clip(strings.TrimSpace(value), maxValue)
		}
	}
	return m
}

// forefront reads X-Forefront-Antispam-Report: what Exchange Online's filter
// did with the message.
func (r *Report) forefront(f filterField, claim bool) {
	m := pairs(f.value)
	if m["DIR"] == "OUT" {
		claim = true // the sending tenant's own filter, on the way out
	}
	r.Antispam = append(r.Antispam, Verdicts{"microsoft", f.field, m, claim})
	add := func(key, name string) {
		r.find(Finding{Key: key, Field: f.field, Value: m[name], Fragment: name + ":" + m[name], Claim: claim})
	}
	if key := sclKey(m["SCL"]); key != "" {
		add(key, "SCL")
	}
	switch v := m["SFV"]; v {
	case "":
	case "BLK", "NSPM", "SFE", "SKA", "SKB", "SKI", "SKN", "SKQ", "SKS", "SPM":
		add("header.sfv."+strings.ToLower(v), "SFV")
	default:
		add("header.sfv.unknown", "SFV")
	}
	switch v := m["CAT"]; v {
	case "", "NONE":
	case "AMP", "BIMP", "BULK", "DIMP", "FTBP", "GIMP", "HPHSH", "HSPM", "INTOS", "MALW", "OSPM",
		"PHSH", "SAP", "SPM", "SPOOF", "UIMP":
		add("header.cat."+strings.ToLower(v), "CAT")
	case "HPHISH":
		add("header.cat.hphsh", "CAT")
	default:
		add("header.cat.unknown", "CAT")
	}
	if m["SRV"] == "BULK" {
		add("header.srv.bulk", "SRV")
	}
	switch m["IPV"] {
	case "CAL":
		add("header.ipv.cal", "IPV")
	case "NLI":
		add("header.ipv.nli", "IPV")
	}
	switch m["DIR"] {
	case "INB":
		add("header.dir.inb", "DIR")
	case "OUT":
		add("header.dir.out", "DIR")
	case "INT":
		add("header.dir.int", "DIR")
	}
	switch m["SFTY"] {
	case "9.19":
		add("header.sfty.domain", "SFTY")
	case "9.20":
		add("header.sfty.user", "SFTY")
	case "9.25":
		add("header.sfty.first", "SFTY")
	case "":
	default:
		add("header.sfty.unknown", "SFTY")
	}
	if m["PTR"] == "InfoDomainNonexistent" {
		add("header.ptr.missing", "PTR")
	}
}

// sclKey gives the meaning of a spam confidence level, "" if it is none.
func sclKey(v string) string {
	n, err := strconv.Atoi(v)
	switch {
	case err != nil:
		return ""
	case n == -1:
		return "header.scl.skipped"
	case n == 0 || n == 1:
		return "header.scl.clean"
	case n >= 2 && n <= 4:
		return "header.scl.low"
	case n == 5 || n == 6:
		return "header.scl.spam"
	case n >= 7 && n <= 9:
		return "header.scl.high"
	}
	return ""
}

// antispam reads X-Microsoft-Antispam: the bulk complaint level.
func (r *Report) antispam(f filterField, claim bool) {
	m := pairs(f.value)
	r.Antispam = append(r.Antispam, Verdicts{"microsoft", f.field, m, claim})
	n, err := strconv.Atoi(m["BCL"])
	key := ""
	switch {
	case err != nil || n < 0 || n > 9:
		return
	case n == 0:
		key = "header.bcl.none"
	case n <= 3:
		key = "header.bcl.low"
	case n <= 7:
		key = "header.bcl.mixed"
	default:
		key = "header.bcl.high"
	}
	r.find(Finding{Key: key, Field: f.field, Value: m["BCL"], Fragment: "BCL:" + m["BCL"], Claim: claim})
}

// mailboxDelivery reads X-Microsoft-Antispam-Mailbox-Delivery, which the
// mailbox server writes when it files the message: "ucf:0;jmr:1;auth:0;dest:J;
// OFR:SpamFilterAuthJ;ENG:(...)". Microsoft does not document it; dest and OFR
// are known by what happens.
func (r *Report) mailboxDelivery(f filterField, claim bool) {
	m := pairs(f.value)
	r.Antispam = append(r.Antispam, Verdicts{"microsoft", f.field, m, claim})
	add := func(key, name string) {
		r.find(Finding{Key: key, Field: f.field, Value: m[name],
			Fragment: strings.ToLower(name) + ":" + m[name], Claim: claim})
	}
	switch m["DEST"] {
	case "I":
		add("header.dest.inbox", "DEST")
	case "J":
		add("header.dest.junk", "DEST")
	case "C":
		add("header.dest.folder", "DEST")
	case "":
	default:
		add("header.dest.unknown", "DEST")
	}
	switch m["OFR"] {
	case "CustomRules":
		add("header.ofr.rules", "OFR")
	case "SpamFilterAuthJ", "SpamFilterPass":
		add("header.ofr.filter", "OFR")
	case "ExclusiveSettings":
		add("header.ofr.exclusive", "OFR")
	case "":
	default:
		add("header.ofr.unknown", "OFR")
	}
}

// organizationSCL reads X-MS-Exchange-Organization-SCL. Exchange takes fields of
// this name off mail from outside, so there it is of the receiving side.
func (r *Report) organizationSCL(f filterField, claim bool) {
	v := strings.TrimSpace(f.value)
	r.Antispam = append(r.Antispam, Verdicts{"exchange", f.field, map[string]string{"SCL": clip(v, maxValue)}, claim})
	if key := sclKey(v); key != "" {
		r.find(Finding{Key: key, Field: f.field, Value: v, Fragment: f.field + ": " + v, Claim: claim})
	}
}

// compauth reads Microsoft's composite authentication and its reason code.
func (r *Report) compauth(field string, res Result) {
	code := res.Reason
	f := Finding{Field: field, Value: code, Fragment: "compauth=" + res.Result + " reason=" + code}
	if code == "" {
		f.Fragment = "compauth=" + res.Result
	}
	switch {
	case code == "000" || code == "001" || code == "002" || code == "010" || code == "130":
		f.Key = "header.compauth." + code
	case len(code) != 3:
		f.Key = "header.compauth.unknown"
	default:
		switch code[0] {
		case '1', '7':
			f.Key = "header.compauth.pass"
		case '2':
			f.Key = "header.compauth.softpass"
		case '3':
			f.Key = "header.compauth.unchecked"
		case '4', '9':
			f.Key = "header.compauth.bypassed"
		case '6':
			f.Key = "header.compauth.internal"
		default:
			f.Key = "header.compauth.unknown"
		}
	}
	r.find(f)
}

// dmarcAction reads action= beside a DMARC result, and Gmail's "dis=" in the
// comment: the disposition, which for quarantine is the Spam folder.
func (r *Report) dmarcAction(field string, res Result) {
	if strings.Contains(res.Comment, "dis=QUARANTINE") {
		r.find(Finding{Key: "header.gmail.dis", Field: field,
			Value: res.prop("header", "from"), Fragment: "dis=QUARANTINE"})
	}
	action := strings.ToLower(res.Props["action"])
	switch action {
	case "oreject", "quarantine", "reject", "pct.quarantine", "pct.reject", "permerror", "temperror":
		r.find(Finding{Key: "header.action." + action, Field: field,
			Value: res.prop("header", "from"), Fragment: "action=" + action})
	}
}
