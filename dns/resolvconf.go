package dns

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ResolvConf is what a machine's /etc/resolv.conf says that concerns us.
type ResolvConf struct {
	Servers  []Server // none of them trusted: that is not the file's to say
	Timeout  time.Duration
	Attempts int // for each server
}

// Bounds of the file. The system's own resolver reads three servers.
const (
	maxConf        = 64 << 10
	maxConfServers = 8
)

// ReadResolvConf reads the form of /etc/resolv.conf (resolv.conf(5)): servers,
// the time for one try, and tries. As with the system's resolver a line that it
// does not know means nothing, and a file without servers means the one of this
// machine, 127.0.0.1. The search list is left out: mail has full names.
//
// The error is that of the reader, or that there are more than 64 KiB.
func ReadResolvConf(r io.Reader) (ResolvConf, error) {
	conf := ResolvConf{Timeout: 5 * time.Second, Attempts: 2} // resolv.conf(5)
	limited := &io.LimitedReader{R: r, N: maxConf + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxConf+1)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text, _, _ = strings.Cut(text, ";")
		fields := strings.Fields(text)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if address, err := netip.ParseAddr(fields[1]); err == nil && len(conf.Servers) < maxConfServers {
				conf.Servers = append(conf.Servers, Server{Address: netip.AddrPortFrom(address, 53)})
			}
		case "options":
			conf.option(fields[1:])
		}
	}
	if err := lines.Err(); err != nil {
		return ResolvConf{}, fmt.Errorf("read the list of DNS servers: %w", err)
	}
	if limited.N <= 0 {
		return ResolvConf{}, fmt.Errorf("read the list of DNS servers: more than %d bytes: "+
			"is this a resolv.conf?", maxConf)
	}
	if len(conf.Servers) == 0 {
		conf.Servers = []Server{{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}}
	}
	return conf, nil
}

// option reads what may be set; the limits are those of the system's resolver.
func (c *ResolvConf) option(words []string) {
	for _, word := range words {
		name, value, _ := strings.Cut(word, ":")
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			continue
		}
		switch name {
		case "timeout":
			c.Timeout = time.Duration(min(n, 30)) * time.Second
		case "attempts":
			c.Attempts = min(n, 5)
		}
	}
}
