package diagnose

import "testing"

// BenchmarkStart is what a command waits for before its first diagnosis.
func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		sum, err := shippedSum()
		if err != nil {
			b.Fatal(err)
		}
		if _, of, err := readTable(compiledText); err != nil || of != sum {
			b.Skip("compiled.txt is not of these rules: run go generate ./diagnose: ", err)
		}
	}
}

// BenchmarkStartFromFiles is the same where the compiled table is not up to date.
func BenchmarkStartFromFiles(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		tableOfFiles(b)
	}
}

var benchTexts = []string{
	"550 5.4.300 Message expired -> 421 4.4.2 Connection dropped due to SocketError",
	"host mx.example.com[192.0.2.1] said: 550 5.1.1 <a@example.com>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command)",
	"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
	"550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the recipient's email address for typos or\n550-5.1.1 unnecessary spaces. Learn more at\n550 5.1.1  https://support.google.com/mail/?p=NoSuchUser y3si675602plr.1 - gsmtp",
	"lost connection with mx.example.com[192.0.2.1] while receiving the initial server greeting",
}

func BenchmarkDiagnose(b *testing.B) {
	e, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range benchTexts {
		b.Run(s[:20], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Diagnose(Evidence{Text: s})
			}
		})
	}
}

func BenchmarkPeel(b *testing.B) {
	for _, s := range benchTexts {
		b.Run(s[:20], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Peel(s)
			}
		})
	}
}
