package maillog

// firstYear finds the year of the first stamp, 0 if nothing tells.
func (r *Reader) firstYear() int { return 0 }

// Sniff reports whether the beginning of a file looks like the log of a mail
// server.
func Sniff(head []byte) bool {
	var s = string(head)
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && s[j] != '\n' {
			j++
		}
		if _, ok := ParseLine(s[i:j], 0, nil); ok {
			return true
		}
		i = j + 1
	}
	return false
}
