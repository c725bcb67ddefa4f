package mail

// Class is why an attempt failed. One failed attempt has exactly one class: the
// narrowest that the evidence supports, taken from the innermost reply.
type Class string

// The classes. What each one is, and is not, stands in docs/classes.md.
const (
	Transport         Class = "transport"
	DNS               Class = "dns"
	TLS               Class = "tls"
	Throttling        Class = "throttling"
	Greylisting       Class = "greylisting"
	ReputationIP      Class = "reputation-ip"
	ReputationDomain  Class = "reputation-domain"
	Blocklist         Class = "blocklist"
	Authentication    Class = "authentication"
	Policy            Class = "policy"
	Content           Class = "content"
	RecipientUnknown  Class = "recipient-unknown"
	RecipientInactive Class = "recipient-inactive"
	MailboxFull       Class = "mailbox-full"
	RelayDenied       Class = "relay-denied"
	Size              Class = "size"
	SenderRejected    Class = "sender-rejected"
	Protocol          Class = "protocol"
	System            Class = "system"
	Expired           Class = "expired"
	Unknown           Class = "unknown"
)

// Classes lists every class.
var Classes = [...]Class{
	Transport, DNS, TLS, Throttling, Greylisting, ReputationIP, ReputationDomain,
	Blocklist, Authentication, Policy, Content, RecipientUnknown,
	RecipientInactive, MailboxFull, RelayDenied, Size, SenderRejected, Protocol,
	System, Expired, Unknown,
}

// Retry is what another attempt needs before it can help.
type Retry string

// The answers to "when may it be tried again?".
const (
	RetryElsewhere Retry = "elsewhere" // another address of theirs or ours at once, then later
	RetryLater     Retry = "later"     // by the ordinary ladder, at a throttle slower
	RetryDays      Retry = "days"      // a full mailbox
	RetryAfterFix  Retry = "after-fix" // somebody must change something first
	RetryNever     Retry = "never"
)

// Retries lists every retry value.
var Retries = [...]Retry{RetryElsewhere, RetryLater, RetryDays, RetryAfterFix, RetryNever}

// Actor is whose move it is.
type Actor string

// The actors. ActorUnknown is for class unknown, and for expired mail whose
// inner reply is not known.
const (
	ActorSender            Actor = "sender"
	ActorSenderProvider    Actor = "sender-provider" // also through a reseller
	ActorPath              Actor = "path"
	ActorReceivingProvider Actor = "receiving-provider"
	ActorRecipient         Actor = "recipient"
	ActorUnknown           Actor = "unknown"
)

// Actors lists every actor.
var Actors = [...]Actor{
	ActorSender, ActorSenderProvider, ActorPath, ActorReceivingProvider,
	ActorRecipient, ActorUnknown,
}

// Valid reports whether c is one of the classes.
func (c Class) Valid() bool { _, ok := classDefaults[c]; return ok }

type defaults struct {
	retry Retry
	actor Actor
}

var classDefaults = map[Class]defaults{
	Transport:         {RetryElsewhere, ActorPath},
	DNS:               {RetryLater, ActorReceivingProvider},
	TLS:               {RetryElsewhere, ActorReceivingProvider},
	Throttling:        {RetryLater, ActorSender},
	Greylisting:       {RetryLater, ActorReceivingProvider},
	ReputationIP:      {RetryAfterFix, ActorSender},
	ReputationDomain:  {RetryAfterFix, ActorSender},
	Blocklist:         {RetryAfterFix, ActorSender},
	Authentication:    {RetryAfterFix, ActorSender},
	Policy:            {RetryAfterFix, ActorSender},
	Content:           {RetryAfterFix, ActorSender},
	RecipientUnknown:  {RetryNever, ActorRecipient},
	RecipientInactive: {RetryNever, ActorRecipient},
	MailboxFull:       {RetryDays, ActorRecipient},
	RelayDenied:       {RetryAfterFix, ActorSender},
	Size:              {RetryAfterFix, ActorSender},
	SenderRejected:    {RetryAfterFix, ActorSender},
	Protocol:          {RetryAfterFix, ActorSender},
	System:            {RetryLater, ActorReceivingProvider},
	Expired:           {RetryNever, ActorUnknown},
	Unknown:           {RetryLater, ActorUnknown},
}

// Retry is the class's default answer; a rule may set its own. For [Unknown]
// the reply code decides, see [RetryByCode].
func (c Class) Retry() Retry { return classDefaults[c].retry }

// Actor is the class's default answer; a rule may set its own.
func (c Class) Actor() Actor { return classDefaults[c].actor }

// RetryByCode is the retry of a reply that no rule knows: a permanent refusal
// needs a change first, anything else is tried later.
func RetryByCode(o Outcome) Retry {
	if o == Permanent {
		return RetryAfterFix
	}
	return RetryLater
}

// Reason is one ground of a verdict: a key of the text catalogue and the piece
// of the evidence that it speaks of, verbatim.
type Reason struct {
	Key      string
	Fragment string
}

// Link is one layer of a reply that was wrapped in others, outermost first.
type Link struct {
	Code     int
	Enhanced Enhanced
	Text     string
	Class    Class // what this layer says by itself
}

// Diagnosis is the verdict on one reply.
type Diagnosis struct {
	Class        Class
	Contributing []Class
	Retry        Retry
	Actor        Actor
	Confidence   float64 // 0 to 1
	Rule         string  // id of the rule that decided, "" if none did
	Stage        Stage   // where the evidence says so
	Why          []Reason
	Chain        []Link // outermost first; the last one decided
	Provider     string // operator id, where only one provider writes this text
	Advice       string // catalogue key of advice that is narrower than the class's, or ""
}

// SyntheticMark stands in every reply and report text that Postroad itself
// writes. Such a text never matches a rule: a suspension that we declared must
// not count as the provider's evidence for itself.
const SyntheticMark = "[postroad]"
