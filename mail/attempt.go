package mail

// Stage is the phase of a delivery attempt in which it ended. The zero value
// means that the evidence does not say; in JSON that is null.
type Stage string

// The stages, in the order in which a session passes them.
const (
	StageUnknown  Stage = ""
	StageResolve  Stage = "resolve"  // DNS: MX and addresses
	StageConnect  Stage = "connect"  // TCP
	StageBanner   Stage = "banner"   // the 220 greeting
	StageEHLO     Stage = "ehlo"     // EHLO or HELO
	StageSTARTTLS Stage = "starttls" // the STARTTLS command and its reply
	StageTLS      Stage = "tls"      // the handshake
	StageAuth     Stage = "auth"     // AUTH
	StageMail     Stage = "mail"     // MAIL FROM
	StageRcpt     Stage = "rcpt"     // RCPT TO
	StageData     Stage = "data"     // the DATA command, or while the content is sent
	StageFinal    Stage = "final"    // the reply to the final dot, or later
)

// Stages lists every known stage in order.
var Stages = [...]Stage{
	StageResolve, StageConnect, StageBanner, StageEHLO, StageSTARTTLS, StageTLS,
	StageAuth, StageMail, StageRcpt, StageData, StageFinal,
}

// Outcome is what an attempt came to. The zero value: not known.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered"
	Temporary Outcome = "temporary"
	Permanent Outcome = "permanent"
)

// Action is the action-value of RFC 3464 section 2.3.3: what the reporting MTA
// did with the recipient.
type Action string

// The actions.
const (
	ActionFailed    Action = "failed"
	ActionDelayed   Action = "delayed"
	ActionDelivered Action = "delivered"
	ActionRelayed   Action = "relayed"
	ActionExpanded  Action = "expanded"
)

// Ours says whether the mail that a report is about was sent by us.
type Ours string

// The answers; OursUnknown where nothing was given to compare with.
const (
	OursYes     Ours = "yes"
	OursNo      Ours = "no"
	OursUnknown Ours = "unknown"
)
