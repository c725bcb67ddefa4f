package mta

// The users that the servers insist on, known in the cell only. The numbers must
// belong to nobody: files in the cell's directory are theirs while it is open.
const (
	uidPostfix, gidPostfix = 64201, 64201
	gidPostdrop            = 64202
	uidExim, gidExim       = 64203, 64203
	uidMail, gidMail       = 64204, 64204
)

// Options of a cell.
type Options struct {
	Deps string // as [Find] gives it
	Host string // the machine's name, "mail.contoso.example"
	// Zone is the whole of DNS, in the form that package dns/zone reads; "" where a
	// world in the cell answers at [NameServer].
	Zone string
	// Clock is the servers' time, nil for the machine's; Local is their zone as the
	// environment variable TZ has it, "" for UTC.
	Clock *Clock
	Local string
	// Syslog takes what they log, nil if they write files themselves.
	Syslog *Syslog
}

// NameServer is where the cell's servers ask for DNS.
const NameServer = "127.0.0.1:53"

// Address is where the cell's mail servers send from.
const Address = "198.51.100.25"
