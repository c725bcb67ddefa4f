// Package dns is the one resolver of the whole product. A question goes in, an
// [Answer] comes out that keeps apart what mail must not confuse: the records
// are there, the name has none of that type, the name does not exist, nobody
// knows (a timeout, SERVFAIL), and the answer is forged or broken (DNSSEC).
//
// Everything that asks DNS uses it: mailauth, the relay, the audit, the probe.
// Nothing survives a crash; the cache is in memory.
package dns
