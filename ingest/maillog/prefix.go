package maillog

import (
	"strings"
	"time"
)

// prefix is what stands in front of the message: put there by syslog, journald,
// a container engine or the MTA's own log writer.
type prefix struct {
	time time.Time
	host string
	tag  string // "postfix/smtp"
	pid  int
	rest string // the message
}

// stamp reads the time at the start of a text and gives what follows it.
type stamp func(s string) (t time.Time, rest string, ok bool)

// cutPrefix takes the prefix off. It is tolerant: every part may be missing.
func cutPrefix(s string, cut stamp) prefix {
	var p prefix
	s = cutContainer(s)
	v5424 := false
	if s != "" && s[0] == '<' { // <PRI>, RFC 5424 section 6.2.1
		if v, n := number(s[1:]); n > 0 && n <= 3 && v < 192 && 1+n < len(s) && s[1+n] == '>' {
			s = trim(s[n+2:])
			if strings.HasPrefix(s, "1 ") {
				v5424, s = true, s[2:]
			}
		}
	}
	t, rest, ok := cut(s)
	if !ok {
		if bare := cutGrep(s); len(bare) < len(s) {
			if t, rest, ok = cut(bare); ok {
				s = bare
			}
		}
	}
	if ok {
		p.time, s = t, rest
		// A container engine put its own time (and stream) in front of syslog's.
		if len(s) > 9 && s[0] == 's' && (strings.HasPrefix(s, "stdout F ") || strings.HasPrefix(s, "stderr F ")) {
			s = s[9:]
		}
		if _, rest, again := cut(s); again {
			s = rest
		}
	}
	if v5424 && ok {
		if cut5424(&p, s) {
			return p
		}
	}
	cutTag(&p, s)
	return p
}

// cutContainer takes off the service name that "docker compose logs" and
// kubectl put in front ("mail-1  | ...", "[pod/mail] ...").
func cutContainer(s string) string {
	i := strings.IndexByte(s[:min(len(s), 80)], '|')
	if i <= 0 || i+1 >= len(s) || s[i+1] != ' ' {
		return s
	}
	name := strings.TrimRight(s[:i], " ")
	for j := 0; j < len(name); j++ {
		if c := name[j]; !isAlnum(c) && c != '-' && c != '_' && c != '.' {
			return s
		}
	}
	if name == "" {
		return s
	}
	return trim(s[i+2:])
}

// cutGrep takes off what grep puts in front of a line when it searches several
// files or counts the lines: "/var/log/mail.log.1:", "mail.log:1234:", "1234:".
func cutGrep(s string) string {
	for range 2 {
		i := strings.IndexByte(s[:min(len(s), 200)], ':')
		if i <= 0 || i+1 == len(s) || s[i+1] == ' ' || strings.IndexByte(s[:i], ' ') >= 0 {
			break
		}
		if _, n := number(s[:i]); n < i && strings.IndexByte(s[:i], '.') < 0 && !strings.Contains(s[:i], "log") {
			break // no name of a file that holds a log
		}
		s = s[i+1:]
	}
	return s
}

// cut5424 reads "host app procid msgid structured-data message".
func cut5424(p *prefix, s string) bool {
	var f [4]string
	for i := range f {
		j := strings.IndexByte(s, ' ')
		if j <= 0 {
			return false
		}
		f[i], s = s[:j], s[j+1:]
	}
	p.host, p.tag = dash(f[0]), dash(f[1])
	p.pid, _ = number(f[2])
	if strings.HasPrefix(s, "[") {
		end := strings.Index(s, "] ")
		if end < 0 {
			return false
		}
		s = s[end+2:]
	} else if strings.HasPrefix(s, "- ") {
		s = s[2:]
	}
	p.rest = trim(strings.TrimPrefix(s, "\ufeff"))
	return true
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// cutTag reads "host tag[pid]: message" after the time. The tag is the first of
// the next words that ends with a colon and is no queue id: without one the
// message stands bare.
func cutTag(p *prefix, s string) {
	p.rest = s
	at, words := 0, 0
	host := ""
	for words < 4 {
		end := strings.IndexByte(s[at:], ' ')
		if end < 0 {
			return
		}
		word := s[at : at+end]
		next := at + end
		for next < len(s) && s[next] == ' ' {
			next++
		}
		if n := len(word); n > 1 && word[n-1] == ':' {
			tag, pid, ok := splitTag(word[:n-1])
			if !ok {
				return
			}
			p.tag, p.pid, p.host, p.rest = tag, pid, host, cutSolaris(s[next:])
			return
		}
		if len(word) > 2 && word[0] == '<' && word[len(word)-1] == '>' && words == 0 {
			at = next // FreeBSD's "<mail.info>" behind the time
			continue
		}
		if strings.IndexByte(word, '=') >= 0 || strings.IndexByte(word, '<') >= 0 {
			return // the message has begun
		}
		if !isLevel(word) {
			host = word
		}
		at = next
		words++
	}
}

// cutSolaris takes "[ID 197553 mail.info] " off.
func cutSolaris(s string) string {
	if len(s) > 4 && s[:4] == "[ID " {
		if i := strings.Index(s, "] "); i > 0 && i < 40 {
			return s[i+2:]
		}
	}
	return s
}

// splitTag reads "postfix/smtp[123]". A queue id is no tag.
func splitTag(s string) (tag string, pid int, ok bool) {
	if i := strings.IndexByte(s, '['); i > 0 && s[len(s)-1] == ']' {
		v, n := number(s[i+1:])
		if n > 0 && i+1+n == len(s)-1 {
			return s[:i], v, true
		}
		return "", 0, false // host[ip]:
	}
	if isQueueID(s) || s == "NOQUEUE" || s == "warning" || s == "fatal" || s == "error" {
		return "", 0, false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '/' && c != '-' && c != '_' && c != '.' {
			return "", 0, false
		}
	}
	// "postfix/smtp:" and "exim:" are tags; a bare word might be anything.
	ok = strings.IndexByte(s, '/') > 0 || strings.HasPrefix(s, "exim") ||
		strings.HasPrefix(s, "postfix") || strings.HasPrefix(s, "qmail") ||
		strings.HasPrefix(s, "sendmail") || s == "smtpd" || s == "sm-mta"
	return s, 0, ok
}

// isLevel tells the severity words that some containers write where the host
// would stand.
func isLevel(s string) bool {
	switch s {
	case "INFO", "WARN", "WARNING", "ERROR", "NOTICE", "DEBUG", "info", "notice", "warn", "err":
		return true
	}
	return false
}

// isQueueID tells Postfix queue ids: short ones are upper-case hexadecimal,
// long ones (enable_long_queue_ids) are letters without vowels and digits.
func isQueueID(s string) bool {
	if len(s) < 5 || len(s) > 32 {
		return false
	}
	hex, long, digit := true, len(s) >= 10, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			digit = true
		case 'B', 'C', 'D', 'F':
		case 'A', 'E':
			long = false
		case 'a', 'e', 'i', 'o', 'u', 'I', 'O', 'U':
			hex, long = false, false
		default:
			if !isAlnum(c) {
				return false
			}
			hex = false
		}
	}
	return hex && (digit || len(s) >= 7) || long && digit
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// cutTime reads a timestamp at the start of s:
//
//	2024-01-22T09:10:11.123456+01:00   RFC 3339; also "+0100", "Z", none
//	2024-01-22 09:10:11.123 +0100      Exim
//	Jan 22 09:10:11                    RFC 3164; also with a year or a fraction
//	Mon 2024-01-22 09:10:11 CET        journalctl -o short-full
//	1705914611.123456                  journalctl -o short-unix
//	@4000000065ae2f3d0c1d2e3c          multilog
func cutTime(s string, year int, loc *time.Location) (t time.Time, rest string, ok bool) {
	if loc == nil {
		loc = time.UTC
	}
	if len(s) > 4 && s[3] == ' ' && isWeekday(s[:3]) {
		s = strings.TrimLeft(s[4:], " ")
	}
	switch {
	case len(s) < 15:
		return time.Time{}, s, false
	case s[0] == '@':
		return cutTAI(s)
	case isDigit(s[0]) && s[4] == '-':
		return cutISO(s, loc)
	case isDigit(s[0]):
		return cutUnix(s)
	}
	return cutTraditional(s, year, loc)
}

func isWeekday(s string) bool {
	switch s {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}

// never is the time of a stamp with a day that its month does not have; no log
// is so old.
var never = time.Unix(0, 0).UTC()

// daysOf gives the days of a month.
func daysOf(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// cutTraditional reads "Jan 22 09:10:11".
func cutTraditional(s string, year int, loc *time.Location) (t time.Time, rest string, ok bool) {
	t, rest, _, ok = readTraditional(s, year, loc)
	return t, rest, ok
}

// readTraditional also says whether the stamp has a year.
func readTraditional(s string, year int, loc *time.Location) (t time.Time, rest string, has, ok bool) {
	month := time.Month(1)
	for month <= 12 && months[3*month-3:3*month] != s[:3] {
		month++
	}
	if month > 12 || s[3] != ' ' {
		return time.Time{}, s, false, false
	}
	rest = strings.TrimLeft(s[4:], " ")
	day, n := number(rest)
	if n == 0 || n > 2 || day < 1 || day > 31 || n >= len(rest) || rest[n] != ' ' {
		return time.Time{}, s, false, false
	}
	rest = strings.TrimLeft(rest[n:], " ")
	if v, n := number(rest); n == 4 && n < len(rest) && rest[n] == ' ' && v > 1970 {
		year, has, rest = v, true, strings.TrimLeft(rest[n:], " ")
	}
	h, m, sec, nano, after, ok := cutClock(rest)
	if !ok {
		return time.Time{}, s, false, false
	}
	if year == 0 {
		year = latestYear(month, day)
	}
	if day > 28 && day > daysOf(year, month) {
		return never, after, has, true
	}
	return time.Date(year, month, day, h, m, sec, nano, loc), after, has, true
}

// latestYear gives the year that puts the day into the past, or at most one day
// ahead (clocks and zones differ); for 29 February the last leap year.
func latestYear(month time.Month, day int) int {
	limit := time.Now().Add(24 * time.Hour)
	year := limit.Year()
	for range 9 {
		t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		if !t.After(limit) && t.Day() == day {
			break
		}
		year--
	}
	return year
}

// cutClock reads "09:10:11" with an optional fraction, and the space after it.
func cutClock(s string) (h, m, sec, nano int, rest string, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return 0, 0, 0, 0, s, false
	}
	for _, i := range [...]int{0, 1, 3, 4, 6, 7} {
		if !isDigit(s[i]) {
			return 0, 0, 0, 0, s, false
		}
	}
	h, m, sec = int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0'), int(s[6]-'0')*10+int(s[7]-'0')
	if h > 23 || m > 59 || sec > 60 {
		return 0, 0, 0, 0, s, false
	}
	s = s[8:]
	if len(s) > 1 && (s[0] == '.' || s[0] == ',') && isDigit(s[1]) {
		unit := 100_000_000
		i := 1
		for ; i < len(s) && isDigit(s[i]); i++ {
			nano += int(s[i]-'0') * unit
			unit /= 10
		}
		s = s[i:]
	}
	return h, m, sec, nano, strings.TrimLeft(s, " "), true
}

// cutISO reads RFC 3339 and its relatives.
func cutISO(s string, loc *time.Location) (t time.Time, rest string, ok bool) {
	if len(s) < 19 || s[7] != '-' || s[10] != 'T' && s[10] != ' ' && s[10] != 't' {
		return time.Time{}, s, false
	}
	y, n := number(s[:4])
	mo, k := number(s[5:7])
	d, j := number(s[8:10])
	if n != 4 || k != 2 || j != 2 || mo < 1 || mo > 12 || d < 1 || d > 31 {
		return time.Time{}, s, false
	}
	h, m, sec, nano, rest, ok := cutClock(s[11:])
	if !ok {
		return time.Time{}, s, false
	}
	zone, rest := cutZone(rest, loc)
	if d > 28 && d > daysOf(y, time.Month(mo)) {
		return never, strings.TrimLeft(rest, " "), true
	}
	return time.Date(y, time.Month(mo), d, h, m, sec, nano, zone), strings.TrimLeft(rest, " "), true
}

// cutZone reads "Z", "+01:00", "+0100" or a zone's name; names other than UTC
// say nothing exact and give loc.
func cutZone(s string, loc *time.Location) (*time.Location, string) {
	if s == "" {
		return loc, s
	}
	switch {
	case s[0] == 'Z' && (len(s) == 1 || s[1] == ' '):
		return time.UTC, s[1:]
	case strings.HasPrefix(s, "UTC ") || strings.HasPrefix(s, "GMT "):
		return time.UTC, s[4:]
	case strings.HasPrefix(s, "CET ") || strings.HasPrefix(s, "CEST ") || strings.HasPrefix(s, "BST "):
		return loc, s[strings.IndexByte(s, ' ')+1:]
	case s[0] != '+' && s[0] != '-' || len(s) < 5:
		return loc, s
	}
	h, n := number(s[1:3])
	rest := s[3:]
	if rest[0] == ':' {
		rest = rest[1:]
	}
	if len(rest) < 2 {
		return loc, s
	}
	m, k := number(rest[:2])
	if n != 2 || k != 2 || h > 14 || m > 59 {
		return loc, s
	}
	offset := h*3600 + m*60
	if s[0] == '-' {
		offset = -offset
	}
	return zoneOf(offset), rest[2:]
}

// zoneOf avoids a new Location per line where the offset is zero.
func zoneOf(offset int) *time.Location {
	if offset == 0 {
		return time.UTC
	}
	return time.FixedZone("", offset)
}

func cutUnix(s string) (t time.Time, rest string, ok bool) {
	end := strings.IndexByte(s, ' ')
	if end < 10 || end > 20 {
		return time.Time{}, s, false
	}
	var whole int64
	i := 0
	for ; i < end && isDigit(s[i]); i++ {
		whole = whole*10 + int64(s[i]-'0')
		if i > 10 {
			return time.Time{}, s, false
		}
	}
	if i < 10 || i < end && s[i] != '.' {
		return time.Time{}, s, false
	}
	nano, unit := int64(0), int64(100_000_000)
	for i++; i < end; i++ {
		if !isDigit(s[i]) {
			return time.Time{}, s, false
		}
		nano += int64(s[i]-'0') * unit
		unit /= 10
	}
	return time.Unix(whole, nano).UTC(), s[end+1:], true
}

// cutTAI reads the TAI64N stamps of multilog. The ten leap seconds that TAI had
// ahead of UTC at the epoch are taken off, as the tools of that family do.
func cutTAI(s string) (t time.Time, rest string, ok bool) {
	if len(s) < 26 || s[25] != ' ' {
		return time.Time{}, s, false
	}
	var v [2]int64
	for i := 1; i < 25; i++ {
		c := s[i]
		d := int64(0)
		switch {
		case isDigit(c):
			d = int64(c - '0')
		case 'a' <= c && c <= 'f':
			d = int64(c-'a') + 10
		default:
			return time.Time{}, s, false
		}
		k := 0
		if i > 16 {
			k = 1
		}
		v[k] = v[k]<<4 | d
	}
	sec := v[0] - 1<<62 - 10
	if sec < 0 || sec > 1<<34 || v[1] > 999_999_999 {
		return time.Time{}, s, false
	}
	return time.Unix(sec, v[1]).UTC(), s[26:], true
}
