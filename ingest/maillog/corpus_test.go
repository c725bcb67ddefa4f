package maillog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// corpus gives a folder of the public test data, which lies beside the
// repository on the machines of its authors and nowhere else.
func corpus(t testing.TB, sub string) string {
	dir := filepath.Join("../../../shared", "corpus", sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("corpus not here: ", err)
	}
	return dir
}

// readCase reads the few YAML forms that the corpus has: "data: text" and
// "  key: value", plain or in quotes.
func readCase(t *testing.T, file string) (pattern, data string, want map[string]string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want = make(map[string]string)
	for line := range strings.SplitSeq(string(raw), "\n") {
		key, value, ok := strings.Cut(line, ": ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(value[1 : n-1])
		}
		switch {
		case key == "pattern":
			pattern = value
		case key == "data":
			data = value
		case strings.HasPrefix(key, "  "):
			want[strings.TrimSpace(key)] = value
		}
	}
	if data == "" {
		t.Fatalf("%s: no data", file)
	}
	return pattern, data, want
}

// TestCorpus checks every expected field of delivery lines that the event has a
// place for, and that no other line is taken for a delivery.
func TestCorpus(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(corpus(t, "postfix-log"), "*", "test", "*.yaml"))
	if len(files) < 50 {
		t.Fatalf("only %d files in the corpus", len(files))
	}
	read := 0
	for _, file := range files {
		name := filepath.Base(file)
		_, data, want := readCase(t, file)
		l, ok := ParseLine(data, 2024, time.UTC)
		if expect := isResult(name, want); ok != expect {
			t.Errorf("%s: understood %v, want %v: %s", name, ok, expect, data)
			continue
		}
		if !ok {
			continue
		}
		read++
		checkLine(t, data, l)
		for key, value := range want {
			if key == "postfix_keyvalue_data" {
				checkPairs(t, name, l, value)
				continue
			}
			got, placed := field(l, key)
			if placed && got != value {
				t.Errorf("%s: %s is %q, want %q", name, key, got, value)
			}
		}
	}
	t.Logf("%d of %d lines tell of a delivery or a refusal", read, len(files))
	if read < 25 {
		t.Errorf("only %d lines read", read)
	}
}

// checkPairs compares the key=value pairs, which hold no spaces in the corpus.
func checkPairs(t *testing.T, name string, l Line, pairs string) {
	for pair := range strings.FieldsSeq(pairs) {
		key, want, _ := strings.Cut(strings.TrimSuffix(pair, ","), "=")
		want = strings.TrimSuffix(strings.TrimPrefix(want, "<"), ">")
		a, got := l.Attempt, want
		switch key {
		case "to":
			got = a.Recipient
		case "orig_to":
			got = a.OrigRcpt
		case "from":
			got = a.Sender
			if a.SenderDomain != domainOf(want) {
				t.Errorf("%s: the sender's domain is %q", name, a.SenderDomain)
			}
		case "helo":
			got = a.HELO
		case "delay":
			got, want = a.Delay.String(), seconds(want).String()
		case "dsn":
			got = l.Enhanced.String()
		case "tls":
			got = a.TLS.Policy
		case "delays":
			f := strings.Split(want, "/")
			got = (l.BeforeQ + l.InQ + l.Took).String()
			want = (seconds(f[0]) + seconds(f[1]) + seconds(f[2]) + seconds(f[3])).String()
		case "relay":
			if !strings.Contains(want, "[") {
				got = a.Route
				if want == "none" {
					got, want = a.RemoteHost, ""
				}
				break
			}
			host, ip, port, _, _ := hostIP(want)
			if host == ip {
				host = "" // 127.0.0.1[127.0.0.1]
			}
			got = a.RemoteHost + " " + a.RemoteIP + " " + itoa(a.RemotePort)
			want = host + " " + ip + " " + itoa(port)
		}
		if got != want {
			t.Errorf("%s: %s is %q, want %q", name, key, got, want)
		}
	}
}

// isResult tells the lines that ParseLine has to understand: those with a
// status, those of a failed session, our own refusals.
func isResult(name string, want map[string]string) bool {
	service, _, _ := strings.Cut(name, "_")
	_, status := want["postfix_status"]
	_, pairs := want["postfix_keyvalue_data"]
	_, reply := want["postfix_smtp_response"]
	_, tls := want["postfix_tls_error"]
	switch service {
	case "smtp", "lmtp", "tls":
		_, trust := want["postfix_tls_trustlevel"]
		_, host := want["postfix_relay_hostname"]
		return status || pairs || reply || tls || host && !trust
	case "smtpd", "postscreen":
		_, action := want["postfix_action"]
		_, busy := want["postfix_postscreen_toobusy_data"]
		return action || busy
	}
	return status
}

// field gives what the Line has of an expected field; placed is false where the
// event has no place for it.
func field(l Line, key string) (value string, placed bool) {
	a := l.Attempt
	switch key {
	case "postfix_queueid":
		if a.QueueID == "" {
			return "NOQUEUE", true
		}
		return a.QueueID, true
	case "postfix_status", "postfix_action":
		return l.Status, true
	case "postfix_from":
		return a.Sender, true
	case "postfix_relay_hostname", "postfix_client_hostname":
		if a.RemoteHost == "" {
			return "unknown", true
		}
		return a.RemoteHost, true
	case "postfix_relay_ip", "postfix_client_ip":
		return a.RemoteIP, true
	case "postfix_relay_port", "postfix_client_port":
		return itoa(a.RemotePort), true
	case "postfix_smtp_response":
		text := l.Diagnostic
		if i := strings.Index(text, " said: "); i >= 0 {
			text = text[i+7:]
		}
		if i := strings.Index(text, " refused to talk to me: "); i >= 0 {
			text = text[i+24:]
		}
		if i := strings.LastIndex(text, " (in reply to "); i >= 0 {
			text = text[:i]
		}
		return text, true
	case "postfix_local_response", "postfix_pipe_response", "postfix_postscreen_toobusy_data":
		return l.Diagnostic, true
	case "postfix_status_code":
		return itoa(a.Reply.Code), true
	case "postfix_status_code_enhanced":
		return a.Reply.Enhanced, true
	case "postfix_status_message":
		text := l.Diagnostic
		if i := strings.Index(text, ">: "); i >= 0 {
			text = text[i+3:]
		} else if _, rest, ok := strings.Cut(text, a.Reply.Enhanced+" "); ok {
			text = rest
		}
		return text, true
	case "postfix_smtp_stage":
		stage := map[string]string{"rcpt": "RCPT", "final": "end of DATA", "mail": "MAIL"}[string(a.Stage)]
		if stage == "RCPT" && l.Direction == Outbound {
			stage = "RCPT TO"
		}
		return stage, stage != "" // VRFY is no stage of a delivery
	}
	return "", false
}

func itoa(n int) string {
	var b [8]byte
	i := len(b)
	for i--; ; i-- {
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}
