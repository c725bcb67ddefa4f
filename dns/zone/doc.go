// Package zone is an authoritative name server whose zones are plain data: what
// the tests of everything that asks DNS talk to, and the DNS of the simulated
// outside (world). It answers over UDP, TCP or in memory, and can be slow,
// truncated, lame, unsigned or spoofed where its data says so.
//
// Nothing survives a crash: the data is the caller's.
package zone
