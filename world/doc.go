// Package world is a simulated outside on loopback: zones, receiving providers
// with tempers that change over time, and the truth about what arrived. A
// [Scenario] comes in (TOML, docs/world.md); servers that speak DNS, SMTP and
// HTTPS and a count of every message by Message-ID and recipient come out.
//
// A provider has MX hosts, each with addresses. A [Temper] says how it behaves
// at one stage of a session, for a time, for some sources, senders, recipients
// or a share of the sessions. What a temper decides is a pure function of what
// is known of the session, of what the world remembers and of its clock, which
// may run faster than real time or be moved by hand.
//
// Tests, examples and people use it to see what mail software does when
// providers refuse, cut or slow down. It refuses to listen on anything but
// loopback. It works over sockets and, for tests under testing/synctest, in
// memory. Nothing survives a crash but the lines of [Options.Truth] that were
// written.
package world
