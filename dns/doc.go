// Package dns is the one resolver of the whole product. A question goes in, an
// [Answer] comes out that keeps apart what mail must not confuse: the records
// are there, the name has none of that type, the name does not exist, nobody
// knows (a timeout, SERVFAIL), and the answer is forged or broken (DNSSEC).
//
// Everything that asks DNS uses it: mailauth, the relay, the audit, the probe.
// Nothing survives a crash; the cache is in memory.
//
// # How it asks
//
// It is a stub: it asks recursive resolvers ([Server]), over UDP with EDNS, over
// TCP where a reply was cut, cannot be read or may be forged, or over TLS with a
// check of the server's name. Where a server fails the next is asked. A server
// that says nothing is left alone for a while, so that a dead network is an
// answer at once, but only after it gave no sign of life to a question that
// needs nobody else: one domain whose own servers are slow must not stop all
// mail. CNAMEs are followed inside an answer and by asking on.
//
// Equal questions that are asked at once share one exchange. Who leaves, because
// its context ends, does not end it for the others; when nobody waits any more,
// it ends. Whatever a server does (says nothing, lies about lengths, sends
// without end, answers other questions, makes circles of CNAMEs) there is an
// answer after Options.Total at the latest, and an [Error] says of which [Kind].
//
// # What is kept
//
// Answers are kept, decoded, for their TTL: the least one on the way, and for an
// absence that of RFC 2308; what failed for a few seconds (RFC 9520), so that a
// queue of ten thousand mails does not ask ten thousand times. The cache is
// bounded in entries and in bytes. An answer from it costs no allocation; TTLs
// follow the clock of package time, so that testing/synctest moves them.
//
// # What is believed
//
// Whether DNSSEC proves an answer is known only from a validating resolver that
// nobody can come between: one on this machine or over TLS, that is marked as
// [Server.Trusted] and has passed the self-test ([Resolver.SelfTest]). Only then
// is an answer [Secure], [Insecure] or [Bogus]. In all other cases it is
// [Unavailable]: DANE is then not available, which is not the same as "there is
// no DANE".
//
// Tests put a function in the place of the network ([ExchangeFunc]), mostly one
// that asks zone data in memory (package dns/zone):
//
//	data, err := zone.Parse(text)
//	...
//	resolver, err := dns.New(dns.Options{
//		Servers: []dns.Server{{Address: netip.MustParseAddrPort("192.0.2.53:53")}},
//		Exchange: dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, query []byte) ([]byte, error) {
//			return data.Respond(ctx, network, query)
//		}),
//	})
package dns
