// Package smtp is the wire: the grammar of commands and replies (RFC 5321),
// reading and writing of message content, STARTTLS, AUTH, the extensions,
// timed phases and transcripts. Server, client, probe and the simulated outside
// share it, so that what one of them refuses none of them can be made to send.
//
// It works on any net.Conn and dials nothing itself. Nothing survives a crash:
// a session is over with its connection, and whoever holds the message decides
// what a lost session means.
package smtp
