// Package dossier writes the support request about one incident: to the
// sender's own mail provider or to the postmaster of the receiving one.
//
// A [Case] comes in, the incident in facts, and subject and body of a plain text
// go out ([Ticket]), in the language of the catalogue. It does no I/O and keeps
// nothing. Mail addresses lose their local parts ([Mask]) unless the caller asks
// for all; IP addresses and hosts stay, since support works with them. analyze
// uses it, and the server for its tickets.
package dossier
