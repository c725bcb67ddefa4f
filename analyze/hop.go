package analyze

import (
	"net/netip"
	"strings"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/ingest/maillog"
	"github.com/postroad/postroad/provider"
)

// A message may pass hosts before it leaves: a filter, a relay of ours or of our
// provider's. Such a hop is no delivery to the recipient's provider, and where
// the host is our own it is none to anybody.

// ourHosts are those that the options name.
type ourHosts struct {
	domains  []string // in lower case
	networks []netip.Prefix
}

func readOurs(names []string) ourHosts {
	var o ourHosts
	for _, name := range names {
		name = strings.TrimLeft(strings.Trim(strings.TrimSpace(name), "[]"), "@*.")
		if a, err := netip.ParseAddr(name); err == nil {
			o.networks = append(o.networks, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		} else if n, err := netip.ParsePrefix(name); err == nil {
			o.networks = append(o.networks, n.Masked())
		} else if name = strings.Trim(lower(name), "."); name != "" {
			o.domains = append(o.domains, name)
		}
	}
	return o
}

// have reports whether an attempt went to one of our own hosts.
func (o *ourHosts) have(a *event.Attempt) bool {
	if len(o.domains) > 0 && a.RemoteHost != "" {
		host := strings.TrimSuffix(lower(a.RemoteHost), ".")
		for _, d := range o.domains {
			if rest, ok := strings.CutSuffix(host, d); ok && (rest == "" || strings.HasSuffix(rest, ".")) {
				return true
			}
		}
	}
	if len(o.networks) > 0 && a.RemoteIP != "" {
		if ip, err := netip.ParseAddr(a.RemoteIP); err == nil {
			for _, n := range o.networks {
				if n.Contains(ip.Unmap()) {
					return true
				}
			}
		}
	}
	return false
}

// relay gives the host of a log line that cannot be a provider's, because a server
// finds those by name: an address or a bare name stands there only if somebody
// wrote it into the configuration. It is "" for all others.
func relay(a *event.Attempt, format string) string {
	host := a.RemoteHost
	if host == "" {
		if a.RemoteIP == "" {
			return ""
		}
		// Others name an address only where they do not know the host.
		if ip, err := netip.ParseAddr(a.RemoteIP); format == maillog.FormatPostfix || err == nil && ip.IsPrivate() {
			return a.RemoteIP
		}
		return ""
	}
	if c := host[len(host)-1]; (c < '0' || c > '9') && strings.IndexByte(host, '.') > 0 && strings.IndexByte(host, ':') < 0 {
		return "" // what nearly all look like
	}
	if strings.IndexByte(host, '.') < 0 {
		return host
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return strings.Trim(host, "[]")
	}
	return ""
}

// relayID gives the provider that stands for such a host.
func (p *Pile) relayID(host string) uint32 {
	host = lower(host)
	return p.providerID(provider.Identity{ID: byHost + host, Name: host})
}
