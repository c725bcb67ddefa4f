package trace

import "strings"

// columns are those of a table or of an object.
type columns struct {
	cols []col // by position
	raw  bool  // of a log that the server wrote itself: times are UTC
	json bool

	dateUTC bool
	zone    string // of the column's name: "+01:00"
	lang    string // of the names
	sep     byte
	has     [cols]bool
	names   int // columns whose names are known
}

// name adds a column.
func (c *columns) name(name string) {
	at := len(c.cols)
	c.cols = append(c.cols, noCol)
	known, utc, ok := columnOf(name)
	if !ok {
		return
	}
	c.names++
	if c.has[known.col] && known.col != colIgnored {
		return // the first one of a name counts
	}
	c.cols[at] = known.col
	c.has[known.col] = true
	if known.lang != "en" && c.lang == "" {
		c.lang = known.lang
	}
	if known.col == colDate {
		c.dateUTC = utc
		if i := strings.Index(strings.ToLower(name), "utc"); i >= 0 {
			c.zone = strings.TrimRight(strings.TrimSpace(name[i+3:]), ")")
		}
	}
}

// settle reads "Data" as the date that it is in Italian and Portuguese, where the
// other names are of that language and none is the date's.
func (c *columns) settle() *columns {
	if c.has[colDate] || !c.has[colData] || c.lang != "it" && c.lang != "pt" {
		return c
	}
	for i, k := range c.cols {
		if k == colData {
			c.cols[i] = colDate
		}
	}
	c.has[colDate], c.has[colData] = true, false
	return c
}

// format says which evidence has such columns, "" if none of ours. ESP exports
// and queue listings have some of the names too, never these together.
func (c *columns) format() string {
	id := c.has[colMessageID] || c.has[colNetworkID] || c.has[colInternalID]
	switch {
	case !c.has[colDate]:
		return ""
	case c.has[colEvent] && c.has[colSource] && id && (c.raw || c.has[colInternalID] && !c.has[colDetail]):
		if !c.raw && c.has[colRecipientStatus] && c.dateUTC {
			return FormatDetail // the extended report has the columns of the log
		}
		return FormatTracking
	case c.has[colEvent] && c.has[colSource] && id && c.has[colContext]:
		return FormatTracking
	case c.has[colEvent] && (c.has[colDetail] || c.has[colData] || c.has[colAction]) && id:
		return FormatDetail
	case c.has[colEvent] && c.has[colRecipientStatus] && c.has[colRecipient] && id:
		return FormatDetail
	case c.has[colRecipientStatus] && (c.has[colSender] || id):
		return FormatSummary
	case c.has[colStatus] && c.has[colRecipient] && c.has[colSender] && c.exchanges():
		return FormatSummary
	case c.has[colConnector] && c.has[colRecipient] && c.has[colSender] && id:
		return FormatSummary // a connector report
	}
	return ""
}

// exchanges reports whether the columns are those of Exchange and not just any
// list of mails with a status.
func (c *columns) exchanges() bool {
	return c.has[colNetworkID] || c.has[colFromIP] || c.has[colToIP] || c.has[colDirection] || c.has[colIdentity] ||
		c.has[colMessageID] || c.has[colSubject]
}

// row is one row: a cell for each known column.
type row struct {
	cell [cols][]byte
	cols *columns
	line int64
	raw  []byte // the text of the row, for its id
	// open is a column whose value may have been cut: the input ends in it.
	open col
}

func (r *row) reset(c *columns, line int64) {
	r.cell = [cols][]byte{}
	r.cols, r.line, r.raw, r.open = c, line, nil, noCol
}

// get gives the text of a cell.
func (r *row) get(c col) string {
	b := r.cell[c]
	if len(b) == 0 {
		return ""
	}
	return strings.TrimSpace(fromNarrow(b))
}
