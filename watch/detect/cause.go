package detect

import "github.com/postroad/postroad/mail"

// line is a cause as evidence is counted for it: classes that mean nearly the
// same and are ordinary at the same rate.
type line uint8

const (
	lineRoute line = iota
	lineDNS
	lineSystem
	lineThrottle
	lineGrey
	lineReputation
	lineAuth
	lineJudged
	lineSender
	lineRecipient
	lineUnclear
	lines

	// Two more gather what is one trouble and is told in different words.
	lineAnyRoute = lines
	lineAnyTrust = lines + 1
	allLines     = lines + 2
)

// pool gives the line that gathers l with its relatives, false where there is none.
func (l line) pool() (line, bool) {
	switch l {
	case lineRoute, lineDNS, lineSystem:
		return lineAnyRoute, true
	case lineThrottle, lineGrey, lineReputation, lineJudged:
		return lineAnyTrust, true
	}
	return 0, false
}

// group is a cause as incidents are kept for it: lines that are often one
// trouble, of which at most one incident is open at a provider.
type group uint8

const (
	groupRoute group = iota // the way to them, or their servers
	groupTrust              // what they think of us, and how much they take
	groupAuth
	groupSender
	groupRecipient
	groupUnclear
	groups
)

// nature is what is shipped about a line: what ordinary life looks like before
// a stream has shown its own. The shares are of messages at their first
// attempt, from the published bounce and deferral rates of bulk senders
// (docs/decisions/0008).
type nature struct {
	group    group
	prior    float64 // share of messages that fail so in ordinary life
	floor    float64 // no stream is ever believed to be better than this
	least    float64 // the smallest share that is worth an incident
	messages int     // distinct failed messages that an incident needs
	hosts    int     // distinct recipients
	bursts   bool    // one sender's burst meets it in ordinary life
	extra    float64 // on the threshold, in nats
}

func (l line) nature() nature {
	switch l {
	case lineRoute:
		return nature{groupRoute, 0.004, 0.0015, 0.05, 3, 2, false, 0}
	case lineDNS:
		return nature{groupRoute, 0.003, 0.0015, 0.06, 3, 3, false, 1}
	case lineSystem:
		return nature{groupRoute, 0.006, 0.002, 0.06, 3, 2, false, 0}
	case lineThrottle:
		return nature{groupTrust, 0.012, 0.003, 0.08, 3, 2, true, 0}
	case lineGrey:
		return nature{groupTrust, 0.006, 0.003, 0.08, 4, 3, true, 1}
	case lineReputation:
		return nature{groupTrust, 0.002, 0.001, 0.05, 3, 2, false, 0}
	case lineAuth:
		return nature{groupAuth, 0.002, 0.001, 0.05, 3, 2, false, 0}
	case lineJudged:
		return nature{groupTrust, 0.005, 0.002, 0.06, 3, 2, false, 0}
	case lineSender:
		return nature{groupSender, 0.003, 0.0015, 0.06, 4, 3, false, 1}
	case lineAnyRoute:
		return nature{groupRoute, 0.009, 0.004, 0.06, 3, 2, false, 0}
	case lineAnyTrust:
		return nature{groupTrust, 0.02, 0.005, 0.08, 3, 2, true, 0}
	case lineRecipient:
		return nature{groupRecipient, 0.02, 0.005, 0.15, 10, 8, false, 4}
	}
	return nature{groupUnclear, 0.006, 0.002, 0.08, 3, 3, false, 1}
}

// lineOf gives the line of a class; what is not a class is unclear.
func lineOf(c mail.Class) line {
	switch c {
	case mail.Transport, mail.TLS:
		return lineRoute
	case mail.DNS:
		return lineDNS
	case mail.System, mail.Protocol:
		return lineSystem
	case mail.Throttling:
		return lineThrottle
	case mail.Greylisting:
		return lineGrey
	case mail.ReputationIP, mail.ReputationDomain, mail.Blocklist:
		return lineReputation
	case mail.Authentication:
		return lineAuth
	case mail.Policy, mail.Content:
		return lineJudged
	case mail.RelayDenied, mail.SenderRejected, mail.Size:
		return lineSender
	case mail.RecipientUnknown, mail.RecipientInactive, mail.MailboxFull:
		return lineRecipient
	}
	return lineUnclear
}

func groupOf(c mail.Class) group { return lineOf(c).nature().group }
