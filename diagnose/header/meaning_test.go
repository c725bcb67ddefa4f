package header

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// keyOf reads a header of one field and gives the keys that it raises.
func keysOf(raw string) map[string]bool {
	keys := map[string]bool{}
	r := read(raw+"\n", time.Time{})
	for _, f := range r.Findings {
		keys[f.Key] = true
	}
	for _, w := range r.Why {
		keys[w.Key] = true
	}
	keys["header.verdict."+string(r.Verdict)] = true
	return keys
}

// meanings are single fields and the key and verdict that each must raise.
var meanings = []struct {
	raw, key string
	verdict  Verdict
}{
	{"X-Forefront-Antispam-Report: SCL:-1;", "header.scl.skipped", Inbox},
	{"X-Forefront-Antispam-Report: SCL:0;", "header.scl.clean", Inbox},
	{"X-Forefront-Antispam-Report: SCL:1;", "header.scl.clean", Inbox},
	{"X-Forefront-Antispam-Report: SCL:4;", "header.scl.low", Unknown},
	{"X-Forefront-Antispam-Report: SCL:5;", "header.scl.spam", Junk},
	{"X-Forefront-Antispam-Report: SCL:6;", "header.scl.spam", Junk},
	{"X-Forefront-Antispam-Report: SCL:7;", "header.scl.high", Junk},
	{"X-Forefront-Antispam-Report: SCL:9;", "header.scl.high", Junk},
	{"X-Forefront-Antispam-Report: SCL:10;", "", Unknown},
	{"X-Forefront-Antispam-Report: SCL:;", "", Unknown},
	{"X-MS-Exchange-Organization-SCL: 9", "header.scl.high", Junk},
	{"X-MS-Exchange-Organization-SCL: 1", "header.scl.clean", Inbox},
	{"X-Forefront-Antispam-Report-Untrusted: SCL:9;", "header.scl.high", Unknown},
	{"X-Forefront-Antispam-Report: SCL:9;DIR:OUT;", "header.dir.out", Unknown},
	{"X-Forefront-Antispam-Report: DIR:INB;", "header.dir.inb", Unknown},
	{"X-Forefront-Antispam-Report: DIR:INT;", "header.dir.int", Unknown},

	{"X-Forefront-Antispam-Report: SFV:BLK;", "header.sfv.blk", Junk},
	{"X-Forefront-Antispam-Report: SFV:NSPM;", "header.sfv.nspm", Inbox},
	{"X-Forefront-Antispam-Report: SFV:SFE;", "header.sfv.sfe", Inbox},
	{"X-Forefront-Antispam-Report: SFV:SKA;", "header.sfv.ska", Inbox},
	{"X-Forefront-Antispam-Report: SFV:SKB;", "header.sfv.skb", Junk},
	{"X-Forefront-Antispam-Report: SFV:SKI;", "header.sfv.ski", Inbox},
	{"X-Forefront-Antispam-Report: SFV:SKN;", "header.sfv.skn", Inbox},
	{"X-Forefront-Antispam-Report: SFV:SKQ;", "header.sfv.skq", Inbox},
	{"X-Forefront-Antispam-Report: SFV:SKS;", "header.sfv.sks", Junk},
	{"X-Forefront-Antispam-Report: SFV:SPM;", "header.sfv.spm", Junk},
	{"X-Forefront-Antispam-Report: SFV:XYZ;", "header.sfv.unknown", Unknown},
	// A later step raised the level of a message that the filter let pass.
	{"X-Forefront-Antispam-Report: SFV:NSPM;SCL:1\nX-MS-Exchange-Organization-SCL: 9", "header.scl.high", Junk},

	{"X-Forefront-Antispam-Report: CAT:AMP;", "header.cat.amp", Quarantine},
	{"X-Forefront-Antispam-Report: CAT:BIMP;", "header.cat.bimp", Unknown},
	{"X-Forefront-Antispam-Report: CAT:BULK;", "header.cat.bulk", Junk},
	{"X-Forefront-Antispam-Report: CAT:DIMP;", "header.cat.dimp", Unknown},
	{"X-Forefront-Antispam-Report: CAT:FTBP;", "header.cat.ftbp", Quarantine},
	{"X-Forefront-Antispam-Report: CAT:GIMP;", "header.cat.gimp", Unknown},
	{"X-Forefront-Antispam-Report: CAT:HPHSH;", "header.cat.hphsh", Quarantine},
	{"X-Forefront-Antispam-Report: CAT:HPHISH;", "header.cat.hphsh", Quarantine},
	{"X-Forefront-Antispam-Report: CAT:HSPM;", "header.cat.hspm", Junk},
	{"X-Forefront-Antispam-Report: CAT:INTOS;", "header.cat.intos", Unknown},
	{"X-Forefront-Antispam-Report: CAT:MALW;", "header.cat.malw", Quarantine},
	{"X-Forefront-Antispam-Report: CAT:OSPM;", "header.cat.ospm", Unknown},
	{"X-Forefront-Antispam-Report: CAT:PHSH;", "header.cat.phsh", Junk},
	{"X-Forefront-Antispam-Report: CAT:SAP;", "header.cat.sap", Quarantine},
	{"X-Forefront-Antispam-Report: CAT:SPM;", "header.cat.spm", Junk},
	{"X-Forefront-Antispam-Report: CAT:SPOOF;", "header.cat.spoof", Junk},
	{"X-Forefront-Antispam-Report: CAT:UIMP;", "header.cat.uimp", Unknown},
	{"X-Forefront-Antispam-Report: CAT:NEW;", "header.cat.unknown", Unknown},
	{"X-Forefront-Antispam-Report: CAT:NONE;", "", Unknown},
	{"X-Forefront-Antispam-Report: SRV:BULK;", "header.srv.bulk", Unknown},
	{"X-Forefront-Antispam-Report: IPV:CAL;", "header.ipv.cal", Unknown},
	{"X-Forefront-Antispam-Report: IPV:NLI;", "header.ipv.nli", Unknown},
	{"X-Forefront-Antispam-Report: SFTY:9.19;", "header.sfty.domain", Unknown},
	{"X-Forefront-Antispam-Report: SFTY:9.20;", "header.sfty.user", Unknown},
	{"X-Forefront-Antispam-Report: SFTY:9.25;", "header.sfty.first", Unknown},
	{"X-Forefront-Antispam-Report: SFTY:9.99;", "header.sfty.unknown", Unknown},
	{"X-Forefront-Antispam-Report: PTR:InfoDomainNonexistent;", "header.ptr.missing", Unknown},

	{"X-Microsoft-Antispam: BCL:0;", "header.bcl.none", Unknown},
	{"X-Microsoft-Antispam: BCL:3;", "header.bcl.low", Unknown},
	{"X-Microsoft-Antispam: BCL:4;", "header.bcl.mixed", Unknown},
	{"X-Microsoft-Antispam: BCL:7;", "header.bcl.mixed", Unknown},
	{"X-Microsoft-Antispam: BCL:8;", "header.bcl.high", Unknown},

	{"X-Microsoft-Antispam-Mailbox-Delivery: dest:I;", "header.dest.inbox", Inbox},
	{"X-Microsoft-Antispam-Mailbox-Delivery: dest:J;", "header.dest.junk", Junk},
	{"X-Microsoft-Antispam-Mailbox-Delivery: dest:C;OFR:CustomRules;", "header.dest.folder", Unknown},
	{"X-Microsoft-Antispam-Mailbox-Delivery: dest:X;", "header.dest.unknown", Unknown},
	{"X-Microsoft-Antispam-Mailbox-Delivery: dest:J;OFR:CustomRules;", "header.ofr.rules", Junk},
	{"X-Microsoft-Antispam-Mailbox-Delivery: dest:J;OFR:SpamFilterAuthJ;", "header.ofr.filter", Junk},
	{"X-Microsoft-Antispam-Mailbox-Delivery: dest:J;OFR:ExclusiveSettings;", "header.ofr.exclusive", Junk},
	{"X-Microsoft-Antispam-Mailbox-Delivery: dest:I;OFR:New;", "header.ofr.unknown", Inbox},
	// The mailbox has the last word.
	{"X-Forefront-Antispam-Report: SCL:9;SFV:SPM;\nX-Microsoft-Antispam-Mailbox-Delivery: dest:I;", "header.dest.inbox", Inbox},
	{"X-Forefront-Antispam-Report: SCL:1;SFV:NSPM;\nX-Microsoft-Antispam-Mailbox-Delivery: dest:J;", "header.dest.junk", Junk},

	{"X-MS-Exchange-Organization-AuthAs: Internal", "header.authas.internal", Unknown},
	{"X-MS-Exchange-Organization-AuthAs: Anonymous", "header.authas.anonymous", Unknown},
	{"X-MS-Exchange-Organization-AuthSource: x", "header.authsource", Unknown},
	{"X-MS-Exchange-AtpMessageProperties: SA|SL", "header.atp", Unknown},
	{"X-CustomSpam: Empty message", "header.asf", Unknown},

	{"X-Gmail-Labels: Spam", "header.gmail.spam", Junk},
	{"X-Gmail-Labels: Important,Inbox,Opened", "header.gmail.inbox", Inbox},
	{"X-Gm-Spam: 1", "header.gm.yes", Junk},
	{"X-Gm-Spam: 0", "header.gm.no", Unknown},
	{"X-Gm-Message-State: AOJu", "header.google.sent", Unknown},
	{"X-YahooFilteredBulk: 192.0.2.1", "header.yahoo.bulk", Junk},
	{"X-GMX-Antispam: 0 (Mail was not recognized as spam); Detail=V3;", "header.gmx.no", Inbox},
	{"X-GMX-Antispam: 5 (nemesis); Detail=V3;", "header.gmx.yes", Junk},
	{"UI-InboundReport: notjunk:1;M01:P0:x", "header.gmx.no", Inbox},
	{"UI-OutboundReport: junk:1;M01:P0:x", "", Unknown},
	{"X-Apple-MoveToFolder: INBOX", "header.apple.inbox", Inbox},
	{"X-Apple-Action: MOVE_TO_FOLDER/Junk", "header.apple.junk", Junk},
	{"X-Suspected-Spam: true", "header.apple.junk", Junk},
	{"X-Suspected-Spam: false", "", Unknown},

	{"X-Spam-Status: Yes, score=7.3 required=5.0 tests=A", "header.spamassassin.yes", Junk},
	{"X-Spam-Status: No, hits=1.0 required=5.0", "header.spamassassin.no", Unknown},
	{"X-Spam-Flag: YES", "header.spamflag.yes", Junk},
	{"X-Spam-Flag: NO", "header.spamflag.no", Unknown},
	{"X-Spamd-Result: default: True [16.00 / 15.00]; A(1.00)[]", "header.rspamd.yes", Junk},
	{"X-Spamd-Result: default: False [1.00 / 15.00]; A(1.00)[]", "header.rspamd.no", Unknown},
	{"X-Rspamd-Action: no action", "header.rspamd.action.none", Unknown},
	{"X-Rspamd-Action: add header", "header.rspamd.action.mark", Junk},
	{"X-Rspamd-Action: greylist", "header.rspamd.action.defer", Unknown},
	{"X-Rspamd-Action: quarantine", "header.rspamd.action.quarantine", Quarantine},
	{"X-Rspamd-Action: reject", "header.rspamd.action.reject", Rejected},
	{"X-Rspamd-Action: other", "header.rspamd.action.unknown", Unknown},
	{"X-Barracuda-Spam-Status: Yes, SCORE=4.50 using per-user scores", "header.barracuda.yes", Junk},
	{"X-Barracuda-Spam-Status: No, SCORE=0.50 using per-user scores", "header.barracuda.no", Unknown},
	{"X-Barracuda-Spam-Score: 0.50", "header.barracuda.score", Unknown},
	{"X-Proofpoint-Spam-Details: rule=spam policy=default score=99", "header.proofpoint.yes", Junk},
	{"X-Proofpoint-Spam-Details: rule=notspam policy=default score=0", "header.proofpoint.no", Unknown},
	{"X-Mimecast-Spam-Score: 3", "header.mimecast.score", Unknown},
	{"X-Mimecast-Bulk-Signature: yes", "header.mimecast.yes", Unknown},
	{"X-Mimecast-Spam-Signature: no", "header.mimecast.no", Unknown},
	{"X-IronPort-Anti-Spam-Filtered: true", "header.ironport.filtered", Unknown},
	{"X-Ovh-Spam-Status: SPAM", "header.vade.yes", Junk},
	{"X-VR-SPAMSTATE: OK", "header.vade.no", Unknown},
	{"X-me-spamlevel: not-spam", "header.vade.no", Unknown},
	{"X-purgate-type: spam", "header.purgate.yes", Junk},
	{"X-purgate-type: clean", "header.purgate.no", Unknown},
	{"X-Yandex-Spam: 4", "header.yandex.yes", Junk},
	{"X-Yandex-Spam: 1", "header.yandex.no", Unknown},
	{"X-PHP-Originating-Script: 33:a.php", "header.php", Unknown},

	{"Authentication-Results: compauth=fail reason=000", "header.compauth.000", Unknown},
	{"Authentication-Results: compauth=fail reason=001", "header.compauth.001", Unknown},
	{"Authentication-Results: compauth=fail reason=002", "header.compauth.002", Unknown},
	{"Authentication-Results: compauth=fail reason=010", "header.compauth.010", Unknown},
	{"Authentication-Results: compauth=pass reason=130", "header.compauth.130", Unknown},
	{"Authentication-Results: compauth=pass reason=100", "header.compauth.pass", Unknown},
	{"Authentication-Results: compauth=pass reason=703", "header.compauth.pass", Unknown},
	{"Authentication-Results: compauth=softpass reason=202", "header.compauth.softpass", Unknown},
	{"Authentication-Results: compauth=none reason=300", "header.compauth.unchecked", Unknown},
	{"Authentication-Results: compauth=none reason=451", "header.compauth.bypassed", Unknown},
	{"Authentication-Results: compauth=none reason=905", "header.compauth.bypassed", Unknown},
	{"Authentication-Results: compauth=fail reason=601", "header.compauth.internal", Unknown},
	{"Authentication-Results: compauth=fail reason=555", "header.compauth.unknown", Unknown},
	{"Authentication-Results: compauth=fail", "header.compauth.unknown", Unknown},
	{"Authentication-Results: dmarc=fail action=oreject header.from=a.example", "header.action.oreject", Unknown},
	{"Authentication-Results: dmarc=fail action=quarantine header.from=a.example", "header.action.quarantine", Quarantine},
	{"Authentication-Results: dmarc=fail action=reject header.from=a.example", "header.action.reject", Unknown},
	{"Authentication-Results: dmarc=fail action=pct.quarantine header.from=a.example", "header.action.pct.quarantine", Unknown},
	{"Authentication-Results: dmarc=fail action=pct.reject header.from=a.example", "header.action.pct.reject", Unknown},
	{"Authentication-Results: dmarc=permerror action=permerror", "header.action.permerror", Unknown},
	{"Authentication-Results: dmarc=temperror action=temperror", "header.action.temperror", Unknown},
	{"Authentication-Results: mx.google.com; dmarc=fail (p=QUARANTINE dis=QUARANTINE) header.from=a.example", "header.gmail.dis", Junk},
	{"From: a@b.example\nAuthentication-Results: x; spf=pass smtp.mailfrom=c.example", "header.spf.unaligned", Unknown},
	{"From: a@b.example\nAuthentication-Results: x; dkim=pass header.d=c.example", "header.dkim.unaligned", Unknown},
	{"DKIM-Signature: d=a.example; l=10", "header.dkim.length", Unknown},
	{"ARC-Seal: i=1; cv=none; d=a.example", "header.arc.none", Unknown},
	{"ARC-Seal: i=2; cv=pass; d=a.example", "header.arc.pass", Unknown},
	{"ARC-Seal: i=2; cv=fail; d=a.example", "header.arc.fail", Unknown},
}

// TestMeanings holds every meaning to its key and its verdict, and every text of
// the catalogue to a meaning: a text that nothing can raise is dead.
func TestMeanings(t *testing.T) {
	raised := map[string]bool{}
	for _, m := range meanings {
		keys := keysOf(m.raw)
		if m.key != "" && !keys[m.key] {
			t.Errorf("%s: %s is not raised, but %v", m.raw, m.key, keys)
		}
		if m.key == "" && len(keys) != 1 {
			t.Errorf("%s: raised %v", m.raw, keys)
		}
		if !keys["header.verdict."+string(m.verdict)] {
			t.Errorf("%s: the verdict is not %s, but %v", m.raw, m.verdict, keys)
		}
		for k := range keys {
			raised[k] = true
		}
	}
	for _, method := range []string{"spf", "dkim", "dmarc"} {
		for _, result := range []string{"pass", "fail", "softfail", "neutral", "none", "temperror", "permerror", "policy", "bestguesspass"} {
			for k := range keysOf(fmt.Sprintf("Authentication-Results: x; %s=%s", method, result)) {
				raised[k] = true
			}
		}
	}
	for _, file := range []string{"clock-skew", "sent-by-m365"} {
		raw, err := os.ReadFile("testdata/" + file + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for k := range keysOf(strings.TrimSpace(string(raw))) {
			raised[k] = true
		}
	}
	catalogue, err := os.ReadFile("../../lang/catalogue/header.en.toml")
	if err != nil {
		t.Fatal(err)
	}
	texts := regexp.MustCompile(`(?m)^"(header\.[^"]+)"`).FindAllStringSubmatch(string(catalogue), -1)
	known := map[string]bool{}
	for _, m := range texts {
		known[m[1]] = true
		if !raised[m[1]] {
			t.Errorf("nothing raises %s", m[1])
		}
	}
	for k := range raised {
		if !known[k] {
			t.Errorf("no text for %s", k)
		}
	}
	for k := range signs {
		if !known[k] {
			t.Errorf("the table of the verdict has %s, which has no text", k)
		}
	}
}
