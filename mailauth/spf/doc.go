// Package spf evaluates the Sender Policy Framework (RFC 7208). A client's
// address, its HELO name and a reverse-path come in; out comes a verdict, and on
// demand the whole tree of look-ups that led to it: every record, every term,
// what DNS said, how much of the limits was used, and what is wrong with the
// records ([Finding]).
//
// [Checker.Check] is for a server that asks for a verdict with each message,
// [Checker.Walk] and [Checker.Survey] are for whoever wants to know why. Both
// are one evaluation; only the second writes down what it sees. [SecondOpinion]
// asks a library that others wrote, and tests hold the two together;
// docs/decisions/0010 says where they differ and why.
//
// DNS is asked through the resolver that it is given. Nothing survives a crash;
// records that were read are kept in memory, within bounds. The server, the
// audit and DMARC use it.
package spf
