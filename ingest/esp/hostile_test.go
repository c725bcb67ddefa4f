package esp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"

	"github.com/postroad/postroad/event"
)

// one is a record of one line; two is another.
const (
	one = `{"email":"ann@x.example","timestamp":1763629200,"event":"delivered","sg_event_id":"1","sg_message_id":"a"}`
	two = `{"email":"bob@x.example","timestamp":1763629260,"event":"bounce","reason":"550 5.1.1 no","sg_event_id":"2","sg_message_id":"b"}`
)

// names gives the recipients.
func names(events []*event.Event) string {
	var b []string
	for _, e := range events {
		switch x := e.Body.(type) {
		case *event.Attempt:
			b = append(b, x.Recipient[:1])
		case *event.Complaint:
			b = append(b, strings.ToUpper(x.Recipients[0][:1]))
		}
	}
	return strings.Join(b, "")
}

func TestBroken(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	many := `{"a":[` + strings.Repeat("1,", maxNodes) + `1]}`
	for _, c := range []struct{ name, in, want, left string }{
		{"lines", one + "\n" + two, "ab", ""},
		{"concatenated", one + two + one, "aba", ""},
		{"a bad line", one + "\nnot json\n" + two, "ab", "2 broken"},
		{"a line cut in a string", one + "\n" + one[:30] + "\n" + two, "ab", "2 broken"},
		{"a line cut between members", one + "\n" + one[:25] + "\n" + two + "\n" + one, "aba", "2 broken"},
		{"a line cut behind a colon", `{"email":` + "\n" + one + "\n" + two, "ab", "1 broken"},
		{"a line cut in an array", `{"a":[1,` + "\n" + one + "\n" + two, "ab", "1 broken"},
		{"a line cut at the end", one + "\n" + two[:60], "a", "2 cut"},
		{"a quote too many", one + "\n" + `{"a":"b"c"}` + "\n" + two, "ab", "2 broken"},
		{"array", "[" + one + ",\n" + two + "]", "ab", ""},
		{"array cut behind a comma", "[" + one + ",\n" + two + ",\n", "ab", "3 cut"},
		{"array cut in a record", "[" + one + ",\n" + two[:50], "a", "2 cut"},
		{"array with a syntax error", "[" + one + ",\n{\"a\":\"\n" + two + "]", "ab", "2 cut|3 broken"},
		{"array with other values", `[1,"x\"]",null,[],{},` + one + `,true,-1e999999]`, "a", "1 broken|1 broken|1 broken|1 broken|1 broken"},
		{"arrays by line", "[" + one + "]\n[" + two + "]\n[]\n", "ab", ""},
		{"wrapper", `{"events":[` + one + "," + two + `]}` + "\n" + one, "aba", ""},
		{"wrapper cut", `{"events":[` + one + "," + two + `]`, "ab", "1 cut"},
		{"wrapper of other things", `{"events":[1,2]}`, "", "1 broken|1 broken"},
		{"wrapper with a tail", `{"total_count":2,"results":[` + one + `],"x":{"y":["}"]}}` + two, "ab", ""},
		{"a list that is the record's own", `{"email":"c@x.example","event":"delivered","items":[{}],"sg_event_id":"1"}`, "c", ""},
		{"a record of nobody", one + "\n" + `{"hello":"world"}` + "\n" + two, "ab", "2 not-recognised"},
		{"too deep", one + "\n" + deep + "\n" + two, "ab", "2 broken"},
		{"far too deep", one + "\n" + strings.Repeat(`{"a":[`, 500) + strings.Repeat("]}", 500) + "\n" + two, "ab", "2 broken"},
		{"too many values", one + "\n" + many + "\n" + two, "ab", "2 long-line"},
		{"scalars", "1\n\"x\"\n" + one, "a", "1 broken"},
		{"closing brackets", "]}\n" + one, "a", "1 broken"},
		{"bad json in good brackets", one + "\n" + `{"a" 1}` + "\n" + `{a:1}` + "\n" + `{"a":tru}` + "\n" + two, "ab", "2 broken|3 broken|4 broken"},
		{"doubled members", `{"event":"open","email":"x@x.example","sg_event_id":"1","event":"delivered","email":"d@x.example"}`, "d", ""},
		{"wrong types", `{"event":"delivered","email":{"a":1},"sg_event_id":"1"}`, "", "1 broken"},
		{"more wrong types", `{"event":"delivered","email":"e@x.example","sg_event_id":[],"attempt":{},"ip":7,"tls":"maybe","timestamp":[1],"reason":true}`, "e", ""},
		{"huge number", `{"event":"delivered","email":"e@x.example","sg_event_id":1,"attempt":1e400,"timestamp":1` + strings.Repeat("0", 300) + `}`, "", "1 time-stamp"},
		{"no time", `{"event":"delivered","email":"e@x.example","sg_event_id":1}`, "e", ""},
		{"the future", strings.ReplaceAll(one, "1763629200", "1863629200") + "\n" + two, "b", "1 time-stamp"},
		{"before there was mail", strings.ReplaceAll(one, "1763629200", `"1970-01-02 00:00:00"`), "", "1 time-stamp"},
		{"no such day", strings.ReplaceAll(one, "1763629200", `"2026-02-31 00:00:00"`), "", "1 time-stamp"},
		{"an event that is not known", strings.ReplaceAll(one, "delivered", "teleported") + two, "b", "1 not-recognised"},
		{"nothing", "", "", "0 empty"},
		{"blank", " \n \n", "", ""},
		{"text", "Hello, dear postmaster;\nhow are you\n", "", "1 not-recognised"},
		{"a mark of UTF-8", "\xef\xbb\xbf" + one, "a", ""},
		{"bytes that are no text", strings.ReplaceAll(two, "no", "\xff\xfe\x80"), "b", ""},
		{"half a surrogate", strings.ReplaceAll(two, "no", `\ud800 \u12 \q \ude00`), "b", ""},
		{"windows line ends", one + "\r\n" + two + "\r\n", "ab", ""},
		{"subscription", `{"Type":"SubscriptionConfirmation","MessageId":"1","TopicArn":"a","Message":"You have chosen","SubscribeURL":"https://x.example/"}` + one, "a", ""},
		{"an envelope of rubbish", `{"Type":"Notification","MessageId":"1","TopicArn":"a","Message":"{\"a\":"}` + "\n" + one, "a", "1 broken"},
		{"an envelope of something else", `{"Type":"Notification","MessageId":"1","TopicArn":"a","Message":"{\"a\":1}"}` + "\n" + one, "a", "1 not-recognised"},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, left := readAll(t, []byte(c.in))
			if got := names(events); got != c.want {
				t.Errorf("recipients %q, want %q", got, c.want)
			}
			if got := leftText(left); got != c.left {
				t.Errorf("left out %q, want %q", got, c.left)
			}
		})
	}
}

func leftText(left []skipped) string {
	var b []string
	for _, s := range left {
		b = append(b, fmt.Sprintf("%d %s", s.line, s.why))
	}
	return strings.Join(b, "|")
}

func TestBrokenRows(t *testing.T) {
	const header = "status,reason,email,created\n"
	for _, c := range []struct{ name, in, want, left string }{
		{"rows", header + "5.1.1,550 no,a@x.example,1763629200\n5.1.1,550 no,b@x.example,1763629200", "ab", ""},
		{"columns in another order", "EMAIL;Created;Reason;Status\na@x.example;1763629200;550 no;5.1.1\n", "a", ""},
		{"tabs and quotes", "\"email\"\t\"created\"\t\"reason\"\n\"a@x.example\"\t\"1763629200\"\t\"550 \"\"no\"\"\tand\nmore\"\n", "a", ""},
		{"the last row is cut", header + "5.1.1,550 no,a@x.example,1763629200\n5.1.1,550 no,b@x.exa", "a", "3 cut"},
		{"the last row is cut in a quote", header + "5.1.1,550 no,a@x.example,1763629200\n5.1.1,\"550 no", "a", "3 cut"},
		{"too many fields", header + "5.1.1,550 no, you, are, not,a@x.example,1763629200\n5.1.1,550 no,b@x.example,1763629200\n", "b", "2 broken"},
		{"a short row", header + "5.1.1,550 no,a@x.example\n5.1.1\n5.1.1,550 no,b@x.example,1763629200\n", "ab", "3 broken"},
		{"empty rows", header + "\n\r\n5.1.1,550 no,b@x.example,1763629200\n\n", "b", ""},
		{"a quote that is lost", header + "5.1.1,\"550 no,a@x.example,1763629200\n" + strings.Repeat("5.1.1,550 no,b@x.example,1763629200\n", maxLines+1), strings.Repeat("b", maxLines+1), "2 broken"},
		{"a row without an address", header + "5.1.1,550 no,,1763629200\n", "", "2 broken"},
		{"a row with a wrong time", header + "5.1.1,550 no,a@x.example,yesterday\n", "", "2 time-stamp"},
		{"a line for Excel", "sep=;\r\nstatus;reason;email;created\r\n5.1.1;550 no;a@x.example;1763629200\r\n", "a", ""},
		{"spam reports", "ip,email,created\n192.0.2.1,a@x.example,1763629200\n", "A", ""},
		{"another bank's sheet", "name,email,phone\nAnn,a@x.example,1\n", "", "1 not-recognised"},
		{"a mark of UTF-8", "\xef\xbb\xbf" + header + "5.1.1,550 no,a@x.example,1763629200\n", "a", ""},
		{"records in cells", "timestamp,message\n1," + `"{""hello"":1}"` + "\n2,{\"eventType\":\n3,START\n", "", "2 not-recognised|3 broken|4 not-recognised"},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, left := readAll(t, []byte(c.in))
			if got := names(events); got != c.want {
				t.Errorf("recipients %q, want %q", got, c.want)
			}
			if got := leftText(left); got != c.left {
				t.Errorf("left out %q, want %q", got, c.left)
			}
		})
	}
}

// TestLong bounds what a record may take, and what is lost by one that is longer.
func TestLong(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", maxRecord+1<<20) + `"}`
	open := `{"a":"` + strings.Repeat("x", maxRecord+1<<20)
	for _, c := range []struct{ name, in, want, left string }{
		{"line", one + "\n" + long + "\n" + two, "ab", "2 long-line"},
		{"in an array", "[" + one + "," + long + "," + two + "]", "ab", "1 long-line"},
		{"without an end", one + "\n" + open + "\n" + two, "ab", "2 long-line"},
		{"to the end", one + "\n" + open, "a", "2 long-line"},
		{"row", "status,reason,email,created\n1," + long + ",\n,550 no,a@x.example,1763629200\n", "a", "2 long-line"},
	} {
		events, left := readAll(t, []byte(c.in))
		if got := names(events) + " " + leftText(left); got != c.want+" "+c.left {
			t.Errorf("%s: %s, want %s %s", c.name, got, c.want, c.left)
		}
	}
}

// TestMemory reads an array far longer than what may be kept of it.
func TestMemory(t *testing.T) {
	const n = 40000
	var in io.Reader = strings.NewReader("{\"items\":[")
	for range n / 1000 {
		in = io.MultiReader(in, strings.NewReader(strings.Repeat(one+",", 1000)))
	}
	count := 0
	w := newWindow(toUTF8(in))
	f := frames{w: w, skip: func(int64, event.Skip) {}}
	for _, _, ok := f.next(); ok; _, _, ok = f.next() {
		count++
	}
	if count != n || len(w.buf) > 1<<20 {
		t.Errorf("%d records with %d bytes kept", count, len(w.buf))
	}
}

// TestCutEverywhere cuts every form at every 50th byte: what stands before the
// cut is read, and that something is missing is said.
func TestCutEverywhere(t *testing.T) {
	for _, file := range forms(t) {
		text, _ := write(t, file, ten())
		text = bytes.TrimRight(text, "\n")
		whole, _ := readAll(t, text)
		for n := 50; n < len(text); n += 50 {
			events, left := readAll(t, text[:n])
			if len(events) > len(whole) {
				t.Fatalf("%s at %d: %d events of %d", file, n, len(events), len(whole))
			}
			for i, e := range events {
				if i < len(events)-1 && !reflect.DeepEqual(e, whole[i]) {
					t.Fatalf("%s at %d: event %d is %+v, want %+v", file, n, i, e.Body, whole[i].Body)
				}
			}
			if len(left) == 0 && len(events) < len(whole) && !atBreak(text, n) {
				t.Errorf("%s at %d: %d of %d events, and nothing is said", file, n, len(events), len(whole))
			}
			if len(left) > 1 {
				t.Errorf("%s at %d: left out %v", file, n, left)
			}
		}
	}
}

// atBreak reports whether the text may as well end at n.
func atBreak(text []byte, n int) bool {
	return text[n] == '\n' || text[n-1] == '\n' || text[n-1] == '}' && text[n] == '{'
}

// TestWide reads every form in UTF-16, with and without a mark.
func TestWide(t *testing.T) {
	for _, file := range forms(t) {
		text, told := write(t, file, ten())
		text = append(text, "\n\n{\"x\":\"\U0001F4E7\"}"...)
		format, _ := Sniff(text)
		for _, c := range []struct {
			name, mark string
			little     bool
		}{{"LE", "", true}, {"LE with a mark", "\xff\xfe", true}, {"BE", "", false}, {"BE with a mark", "\xfe\xff", false}} {
			b := []byte(c.mark)
			for _, u := range utf16.Encode([]rune(string(text))) {
				if c.little {
					b = append(b, byte(u), byte(u>>8))
				} else {
					b = append(b, byte(u>>8), byte(u))
				}
			}
			if back, err := io.ReadAll(toUTF8(bytes.NewReader(b))); err != nil || !bytes.Equal(back, text) {
				t.Errorf("%s, %s: %d bytes became %d, %v", file, c.name, len(text), len(back), err)
			}
			if f, ok := Sniff(b); !ok || f != format {
				t.Errorf("%s, %s: taken for %q", file, c.name, f)
			}
			if events, _ := readAll(t, b); len(events) != len(told) {
				t.Errorf("%s, %s: %d events of %d", file, c.name, len(events), len(told))
			}
		}
	}
}

// TestColumns turns the columns of every table round and writes their names in
// another way: the same is read.
func TestColumns(t *testing.T) {
	for _, file := range forms(t) {
		if !strings.Contains(file, "csv") {
			continue
		}
		text, _ := write(t, file, ten())
		h, ok := sheetOf(bytes.SplitAfterN(text, []byte("\n"), 2)[0])
		if !ok {
			t.Fatalf("%s: no header", file)
		}
		var turned bytes.Buffer
		d := &reading{o: Options{Skip: func(int64, event.Skip) { t.Fatal("left out") }}}
		w := newWindow(bytes.NewReader(text))
		for row, _, ok := d.row(w, &h); ok; row, _, ok = d.row(w, &h) {
			fields := cells(nil, row, h.separator)
			for i := range fields {
				f := string(fields[len(fields)-1-i])
				if turned.Len() == 0 || !bytes.Contains(turned.Bytes(), []byte("\n")) {
					f = " " + strings.ToUpper(strings.ReplaceAll(f, "_", " "))
				}
				if i > 0 {
					turned.WriteByte('|')
				}
				turned.WriteString(`"` + strings.ReplaceAll(f, `"`, `""`) + `"`)
			}
			turned.WriteString("\r\n")
		}
		want, _ := readAll(t, text)
		got, left := readAll(t, turned.Bytes())
		if len(got) != len(want) || len(left) > 0 {
			t.Fatalf("%s: %d events of %d, left out %v", file, len(got), len(want), left)
		}
		for i := range got {
			if got[i].ID == want[i].ID && len(h.what) > 2 && !h.isJSON {
				t.Errorf("%s: other text, same id", file)
			}
			if !reflect.DeepEqual(got[i].Body, want[i].Body) || !got[i].Time.Equal(want[i].Time) {
				t.Errorf("%s: %+v, want %+v", file, got[i].Body, want[i].Body)
			}
		}
	}
}

// TestSlowReader gives one byte at a time.
func TestSlowReader(t *testing.T) {
	for _, file := range forms(t) {
		text, told := write(t, file, ten())
		n := 0
		err := Read(iotest.OneByteReader(bytes.NewReader(text)), Options{Now: now}, func(*event.Event) error { n++; return nil })
		if err != nil || n != len(told) {
			t.Errorf("%s: %d events of %d, %v", file, n, len(told), err)
		}
	}
}

func TestErrors(t *testing.T) {
	stop := errors.New("enough")
	for _, in := range []string{one + two, "[" + one + "," + two + "]", "status,reason,email,created\n5,no,a@x.example,1763629200\n5,no,b@x.example,1763629200\n"} {
		n := 0
		err := Read(strings.NewReader(in), Options{Now: now}, func(*event.Event) error { n++; return stop })
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("visit was asked %d times: %v", n, err)
		}
		err = Read(io.MultiReader(strings.NewReader(in), iotest.ErrReader(io.ErrClosedPipe)), Options{Now: now}, func(*event.Event) error { return nil })
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the error of the stream became %v", err)
		}
	}
}

// TestOthers holds that what other readers are for is not taken for an export.
func TestOthers(t *testing.T) {
	for _, in := range []string{
		"",
		"[]",
		"{}",
		"Jan 22 09:10:00 mx postfix/smtp[1]: 3A2F1C0A7E: to=<a@x.example>, relay=none, status=deferred",
		`{"queue_name": "deferred", "queue_id": "3A2F1C0A7E", "arrival_time": 1763629200, "message_size": 1, "sender": "a@x.example", "recipients": [{"address": "b@x.example", "delay_reason": "x"}]}`,
		`{"MESSAGE":"3A2F1C0A7E: to=<a@x.example>","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"postfix/smtp"}`,
		`{"log":"x","stream":"stdout","time":"2026-01-01T00:00:00Z"}`,
		"origin_timestamp_utc,sender_address,recipient_status,message_subject,total_bytes,message_id,network_message_id,original_client_ip,directionality\n",
		"Received,SenderAddress,RecipientAddress,Subject,Status,FromIP,ToIP,Size,MessageId,MessageTraceId\n",
		"date_time_utc,client_ip,client_hostname,server_ip,server_hostname,source_context,connector_id,source,event_id,internal_message_id,message_id,network_message_id,recipient_address\n",
		`"PSComputerName","RunspaceId","Organization","MessageId","Received","SenderAddress","RecipientAddress","Subject","Status"` + "\n",
		"Timestamp,ClientIp,ClientHostname,ServerIp,ServerHostname,SourceContext,ConnectorId,Source,EventId,InternalMessageId,MessageId,Recipients,RecipientStatus\n",
		"Identity,DeliveryType,Status,MessageCount,NextHopDomain\n",
		"From: a@x.example\nTo: b@x.example\n\nHello\n",
		"timestamp,message\n2026-01-01,\"postfix/smtp[1]: 3A2F1C0A7E: to=<a@x.example>\"\n",
		"timestamp,message\n2026-01-01,\"{\"\"queue_id\"\":1}\"\n",
		"<?xml version=\"1.0\"?><feedback/>",
		`[{"Received":"2026-01-01T00:00:00","SenderAddress":"a@x.example","RecipientAddress":"b@x.example","Status":"Failed","MessageTraceId":"x","MessageId":"<y>"}]`,
	} {
		if format, ok := Sniff([]byte(in)); ok {
			t.Errorf("taken for %s: %s", format, in)
		}
	}
}

func TestMoment(t *testing.T) {
	want := time.Date(2026, 11, 20, 9, 5, 6, 0, time.UTC)
	paris := time.FixedZone("CET", 3600)
	for _, s := range []string{
		"1795165506", "1795165506000", "1795165506000000", "1795165506000000000", "1795165506.0", "1.795165506e9",
		"2026-11-20T09:05:06Z", "2026-11-20T09:05:06.000Z", "2026-11-20T10:05:06+01:00", "2026-11-20T10:05:06.000+0100",
		"2026-11-20 10:05:06", "2026-11-20 09:05:06 UTC", "2026-11-20 09:05:06+00:00", "2026-11-20 10:05:06.000 +0100 CET",
		"Fri, 20 Nov 2026 09:05:06 GMT", "Fri, 20 Nov 2026 09:05:06 UTC", "Fri, 20 Nov 2026 10:05:06 +0100", " 2026-11-20T10:05:06 ",
	} {
		if got, ok := moment(s, paris); !ok || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%q is %s, %v", s, got, ok)
		}
	}
	if got, _ := moment("1521233195.375624", nil); got.Nanosecond() != 375624000 {
		t.Errorf("the broken part became %s", got)
	}
	for _, s := range []string{"yesterday", "-1", "1e400", "NaN", "1795165506.x", strings.Repeat("9", 60), "2026-13-01"} {
		if got, ok := moment(s, time.UTC); ok {
			t.Errorf("%q is %s", s, got)
		}
	}
}

// FuzzRead holds that any text ends within bounds, that events are whole, and
// that a text read in small pieces says the same.
func FuzzRead(f *testing.F) {
	for _, file := range forms(f) {
		text, _ := write(f, file, ten()[:4])
		f.Add(text)
	}
	f.Add([]byte(one + "\n[" + two + ",{\"events\":[{}]}"))
	f.Add([]byte("status,reason,email,created\n5,\"no\n\",a@x.example,1763629200\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Sniff(b)
		lines := int64(bytes.Count(b, []byte{'\n'})) + 1
		read := func(r io.Reader) (ids []string, left []skipped) {
			o := Options{Now: now, Skip: func(line int64, why event.Skip) {
				if line < 0 || line > max(lines, int64(len(b))) {
					t.Fatalf("line %d of %d", line, lines)
				}
				left = append(left, skipped{line, why})
			}}
			err := Read(r, o, func(e *event.Event) error {
				if e.ID == "" || e.Origin.Format == "" || e.Origin.Grade == 0 || e.Body == nil {
					t.Fatalf("half an event: %+v", e)
				}
				if a, ok := e.Body.(*event.Attempt); ok && (a.Recipient == "" || a.Outcome == "") {
					t.Fatalf("half an attempt: %+v", a)
				}
				if _, err := e.MarshalJSON(); err != nil {
					t.Fatal(err)
				}
				ids = append(ids, e.ID)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return ids, left
		}
		ids, left := read(bytes.NewReader(b))
		if len(ids) > len(b) || len(left) > len(b)+1 {
			t.Fatalf("%d events, %d left out of %d bytes", len(ids), len(left), len(b))
		}
		again, leftAgain := read(iotest.HalfReader(bytes.NewReader(b)))
		if !slices.Equal(ids, again) || !slices.Equal(left, leftAgain) {
			t.Fatalf("in pieces: %v %v, whole: %v %v", again, leftAgain, ids, left)
		}
	})
}
