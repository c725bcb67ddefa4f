// Package analyze is the pipeline from a pile of evidence to what it says:
// which receiving provider is failing since when and why, at which of its
// addresses or from which of ours, how sure that is, what to do.
//
// Files come in, of any mixture: logs, traces, exports, queue listings, bounces
// ([Run]). The readers of ingest and diagnose/bounce turn them into events; here
// events become facts (several pieces of evidence about one attempt are one),
// are diagnosed, put in the order of time and given to watch/detect. A [Report]
// goes out, as JSON or as text. No request leaves the machine. Memory is bounded
// whatever the size of the input: beyond a limit facts wait in a temporary file
// that is gone when Run returns. The command analyze uses it; the server will,
// with the same parts.
package analyze

import (
	"time"

	"github.com/postroad/postroad/dossier"
	"github.com/postroad/postroad/mail"
)

// Schema is the version of the JSON form.
const Schema = 1

// MaxList is the longest list in a report; what is beyond it is counted.
const MaxList = 50

// Report is what a pile of evidence says. Its JSON form is described in
// docs/json.md and is stable.
type Report struct {
	Schema    int        `json:"schema"`
	Period    Period     `json:"period"`
	Events    int64      `json:"events"` // pieces of evidence that were read
	Facts     int64      `json:"facts"`  // attempts that they tell of, each once
	Providers []Provider `json:"providers"`
	Incidents []Incident `json:"incidents"`
	Queue     []Queue    `json:"queue"`
	Unknown   []Unknown  `json:"unknown_replies"`
	Skipped   []Skipped  `json:"skipped"`

	Platform    string `json:"platform,omitempty"`    // the mail service that sends for the owner, where the evidence is its own
	Backscatter int64  `json:"backscatter,omitempty"` // bounces of mail that was never ours
	Complaints  int64  `json:"complaints,omitempty"`  // feedback reports

	MoreIncidents int `json:"more_incidents,omitempty"`
	MoreProviders int `json:"more_providers,omitempty"` // beyond MaxList, the smallest
	MoreUnknown   int `json:"more_unknown_replies,omitempty"`
	MoreSkipped   int `json:"more_skipped,omitempty"`

	attached []dossier.Attachment // bounces that were given as files

	FailuresOnly bool `json:"failures_only"` // nothing in the input tells of a delivery: no rate means anything
	Inputs       int  `json:"inputs"`        // files and streams that something was read from
}

// Period is from the first to the last fact.
type Period struct {
	From *time.Time `json:"from"` // null where no fact has a time
	To   *time.Time `json:"to"`
}

// Quantiles are in seconds; null where nothing was delivered with a known delay.
type Quantiles struct {
	P50 *float64 `json:"p50"`
	P95 *float64 `json:"p95"`
}

// Provider is one receiving provider's part of the period.
type Provider struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Domains []string `json:"domains"` // recipient domains, the most used first

	// Attempts is the sum of the four that follow it.
	Attempts  int64 `json:"attempts"`
	Delivered int64 `json:"delivered"`
	Deferred  int64 `json:"deferred"`
	Bounced   int64 `json:"bounced"`
	Expired   int64 `json:"expired"`

	Messages int64                `json:"messages"` // message-recipients, retries counted once
	Waiting  int64                `json:"waiting"`  // ... whose last attempt was a deferral
	Classes  map[mail.Class]int64 `json:"classes"`  // failed attempts by class
	Seconds  Quantiles            `json:"delivery_seconds"`

	MoreDomains int `json:"more_domains,omitempty"`

	// Spark is the share of messages delivered in each of equal parts of the
	// period, -1 where none was tried. For the text, not for the JSON.
	Spark []float64 `json:"-"`
}

// Incident is one provider and one cause, from its begin to its end.
type Incident struct {
	ID           string       `json:"id"`
	Provider     string       `json:"provider"`
	Name         string       `json:"provider_name"`
	Class        mail.Class   `json:"class"`
	Stage        *mail.Stage  `json:"stage"` // null where the evidence does not say
	Actor        mail.Actor   `json:"actor"`
	Contributing []mail.Class `json:"contributing"`

	Began    time.Time  `json:"began"`
	Detected time.Time  `json:"detected"` // when the evidence sufficed
	Ended    *time.Time `json:"ended"`    // null while it lasts
	State    State      `json:"state"`
	Relapses []Span     `json:"relapses,omitempty"` // began again, ended again; the first span is Began to here

	Messages       int64    `json:"messages"`        // message-recipients that were tried
	FailedMessages int64    `json:"failed_messages"` // ... that failed at least once for this cause
	Attempts       int64    `json:"attempts"`
	Failures       int64    `json:"failures"`       // failed attempts of this class
	Rate           *float64 `json:"rate"`           // Failures / Attempts; null where deliveries are not in the input
	BaselineRate   *float64 `json:"baseline_rate"`  // the same before it began; null where there is no before
	SufficedAfter  int64    `json:"sufficed_after"` // distinct failed messages when it was certain

	Addresses        []Tally  `json:"addresses"` // theirs
	Sources          []Tally  `json:"sources"`   // ours
	SenderDomains    []string `json:"sender_domains"`
	RecipientDomains []string `json:"recipient_domains"`
	RecipientsMixed  *bool    `json:"recipients_mixed"` // the same recipients got some messages and not others; null where that cannot be seen

	Confidence float64  `json:"confidence"`
	Why        []string `json:"why"`
	Against    []string `json:"against"`
	Next       []string `json:"next"`
	Summary    string   `json:"summary"` // the answer in one or two sentences
	Link       *Link    `json:"link"`    // whom to write to at the provider; null where no page is known

	Samples []Sample `json:"samples"` // at most five

	Waiting int64 `json:"waiting"` // messages that it holds up at the end of the period

	After  *After   `json:"after"`             // what was tried since it ended; null while it lasts
	AtOnce []string `json:"at_once,omitempty"` // names of other providers that began to fail in the same way at the same time

	MoreAddresses        int `json:"more_addresses,omitempty"`
	MoreSources          int `json:"more_sources,omitempty"`
	MoreSenderDomains    int `json:"more_sender_domains,omitempty"`
	MoreRecipientDomains int `json:"more_recipient_domains,omitempty"`

	// Grounds and Doubts are Why and Against before they were put into words.
	Grounds []Ground  `json:"-"`
	Doubts  []Ground  `json:"-"`
	Spark   []float64 `json:"-"` // share delivered over the period, as in Provider
	Bounded string    `json:"-"` // "", or the domains of the sender that it is bound to
	Until   time.Time `json:"-"` // the last entry of the input, zero where not known
	whole   []Sample  // Samples with nothing masked, for the ticket, which masks itself
	Advice  string    `json:"-"` // mail.Diagnosis.Advice of most of its replies, "" where they have none
}

// After counts what was tried at the provider since an incident ended, until it
// began again or the input ended: a recovery is claimed by these numbers only.
type After struct {
	Messages  int64 `json:"messages"`
	Delivered int64 `json:"delivered"` // messages
}

// State is what has become of an incident.
type State string

// The states.
const (
	Open      State = "open"
	Recovered State = "recovered"
)

// Span is a time from began to ended; Ended is null while it lasts.
type Span struct {
	Began time.Time  `json:"began"`
	Ended *time.Time `json:"ended"`
}

// Ground is one reason: a key of the catalogue and its values.
type Ground struct {
	Key  string
	Args map[string]string
	N    int // for the plural form, -1 where the text has none
}

// Tally is what one address did during an incident, in attempts.
type Tally struct {
	Address   string `json:"address"`
	Host      string `json:"host"`
	Delivered int64  `json:"delivered"`
	Failed    int64  `json:"failed"`
}

// Link is a provider's page or form, with the date on which it was checked.
type Link struct {
	URL     string `json:"url"`
	Kind    string `json:"kind"`    // form, delist, postmaster
	Checked string `json:"checked"` // a date, "2026-10-08"
}

// Sample is one failed attempt with all that support asks for.
type Sample struct {
	Time         time.Time  `json:"time"`
	MessageID    string     `json:"message_id"`
	QueueID      string     `json:"queue_id,omitempty"`
	SenderDomain string     `json:"sender_domain"`
	Recipient    string     `json:"recipient"` // the local part masked unless Options.Full
	Host         string     `json:"host"`      // theirs
	Address      string     `json:"address"`
	SourceHost   string     `json:"source_host"` // ours
	Source       string     `json:"source"`
	User         string     `json:"user,omitempty"`   // who gave it to our server: login, masked as the recipient is
	Client       string     `json:"client,omitempty"` // ... host or address
	Reply        string     `json:"reply"`            // addresses in it masked unless Options.Full
	Stage        mail.Stage `json:"stage,omitempty"`
	Evidence     []string   `json:"evidence"` // ids of the pieces of evidence
}

// Queue is what waits for one provider: by a queue listing where one was given,
// else by what the logs leave open.
type Queue struct {
	Provider   string               `json:"provider"`
	Name       string               `json:"name"`
	Source     string               `json:"source"`     // "listing" or "log"
	Recipients int64                `json:"recipients"` // message-recipients that wait
	Messages   int64                `json:"messages"`
	Oldest     *time.Time           `json:"oldest"` // when the oldest of them came in
	Newest     *time.Time           `json:"newest"`
	Stagnates  bool                 `json:"stagnates"` // it waits and nothing goes out
	Classes    map[mail.Class]int64 `json:"classes"`
	Domains    []string             `json:"domains"`

	MoreDomains int `json:"more_domains,omitempty"`
}

// Unknown is a reply that no rule knows, without addresses and numbers.
type Unknown struct {
	Template string `json:"template"`
	Count    uint64 `json:"count"`
}

// Skipped is input that was left out.
type Skipped struct {
	File   string `json:"file"`
	Line   int64  `json:"line"`   // the first one of its kind; 0 for the whole file
	Reason string `json:"reason"` // in words
	Code   string `json:"code"`   // event.Skip
	Count  int64  `json:"count"`  // lines, rows or files of this file for this reason
}
