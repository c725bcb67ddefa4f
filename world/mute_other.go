//go:build !linux

package world

import (
	"errors"
	"net"
)

// mute needs a filter that only Linux has.
func mute(net.Listener) (net.Conn, error) {
	return nil, errors.New(`do = "drop" needs Linux; use do = "hang" at = "connect" here`)
}
