// Package mail is the vocabulary of the whole product: addresses, envelopes,
// SMTP replies, the stages of a session, and the words of a verdict (class,
// retry, actor).
//
// Nothing comes in and nothing goes out: it is values and pure functions over
// the standard library, without I/O, so that every other package can speak the
// same words. Nothing here survives a crash because nothing here is kept.
package mail
