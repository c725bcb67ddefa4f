package source

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// inOrder sorts names so that the parts of a rotated log come the oldest first,
// as a log that is read forwards knows more of each message: mail.log.10.gz,
// mail.log.2.gz, mail.log.1, mail.log; mail-20240101.gz, mail-20240108, mail. All
// else is by name.
func inOrder(names []string) []string {
	type place struct {
		name, stem string
		rank       int64
	}
	places := make([]place, len(names))
	for i, name := range names {
		stem, rank := rotation(name)
		places[i] = place{name, stem, rank}
	}
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(strings.Compare(a.stem, b.stem), cmp.Compare(a.rank, b.rank), strings.Compare(a.name, b.name))
	})
	sorted := make([]string, len(names))
	for i, p := range places {
		sorted[i] = p.name
	}
	return sorted
}

// rotation divides a name into that of the log and the part's place in time: a
// number counts back from now, a date (dateext of logrotate) forwards, the log
// itself is the newest.
func rotation(name string) (stem string, rank int64) {
	const newest = 1 << 62
	dir, stem := filepath.Split(name)
	switch ext := path.Ext(stem); strings.ToLower(ext) {
	case ".gz", ".bz2", ".xz", ".zst":
		stem = stem[:len(stem)-len(ext)]
	}
	i := strings.LastIndexAny(stem, ".-_")
	if i <= 0 {
		return dir + stem, newest
	}
	// "mail.log.1.gz" and "mail.log-20240101.gz", but also "mail-20240101.log".
	digits, rest := stem[i+1:], ""
	if !isDigits(digits) {
		j := strings.LastIndexAny(stem[:i], ".-_")
		if j <= 0 || !isDigits(stem[j+1:i]) || i-j != len("-20240101") {
			return dir + stem, newest
		}
		digits, rest, i = stem[j+1:i], stem[i:], j
	}
	n, err := strconv.ParseInt(digits, 10, 62)
	switch {
	case err != nil:
		return dir + stem, newest
	case len(digits) >= 8: // a date, with or without an hour, or seconds of an epoch
		return dir + stem[:i] + rest, n
	case len(digits) > 4 || rest != "" || stem[i] != '.':
		return dir + stem, newest
	}
	return dir + stem[:i], newest - 1 - n
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
