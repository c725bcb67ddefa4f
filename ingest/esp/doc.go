// Package esp reads what e-mail service providers export about the mail that
// they sent for somebody: webhook payloads that were kept, answers of their
// event APIs, exports of their control panels, bounce and suppression lists.
//
// A stream of JSON (one value, an array, a wrapper round a list, lines, or
// objects that follow one another without a break) or of CSV comes in. Events
// go out, one for each recipient of each record that tells of an attempt or of a
// complaint; what a record says beside (opened, clicked, accepted, queued) is
// passed over. Every record is recognised by itself, so that a file may mix
// vendors. Memory is bounded by the longest record that is taken; nothing is
// kept between records and nothing survives a crash. It is used by analyze.
//
// Whether a remote host spoke is decided here: what a vendor refuses by its own
// list was never tried, and must not count against the receiver.
package esp
