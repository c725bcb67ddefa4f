// Package message reads mail as it really is: broken, cut, nested, in any
// charset and with any line ends.
//
// What comes in is the bytes of one mail (or an mbox, or a Maildir to walk);
// what goes out is a flat list of parts, each a pair of byte ranges over those
// bytes, with header fields that are looked up where they stand. Nothing is
// copied until a part is asked for, nothing fails, and what a cap leaves out is
// said in [Message.Notes]. Everything else in Postroad that reads mail stands
// on it.
//
// Nothing survives a crash here because nothing is kept: a Message is a view of
// the caller's bytes, which must not change while it is in use. Any number of
// goroutines may read one Message.
//
// Line ends are LF, CRLF and bare CR alike, also mixed; CR CR LF, which broken
// gateways write, is one line end. The mac and dos copies of a mail give the
// same parts and the same texts as the original.
package message
