// Package smtp is the wire: the grammar of commands and replies (RFC 5321),
// reading and writing of message content, STARTTLS, AUTH, the extensions,
// timed phases and transcripts. Server, client, probe and the simulated outside
// share it, so that what one of them refuses none of them can be made to send.
//
// It works on any net.Conn and dials nothing itself. A server is [Serve] with a
// [Handler], a client is a [Client]; both stand on [Wire]. What comes in are the octets of a
// peer, who may be slow, broken or hostile: every line, reply, chunk and message has a
// bound and every phase a time limit. What goes out are commands, replies and messages that are
// whole, or a typed error.
//
// One rule is above the others: no octet of one part is ever taken for another's. Only CRLF
// ends a line and only CRLF.CRLF content; a CR or LF by itself is refused and never
// passed on; what was said in clear does not reach into TLS; what nobody wants is read
// to its true end or the connection is closed.
//
// Nothing survives a crash: a session is over with its connection, and whoever holds the
// message decides what a lost session means.
package smtp
