//go:build !linux

package load

import (
	"net"

	"tenu/internal/purchase"
)

// stamped does nothing where the system does not say when a packet came.
func stamped(*net.UDPConn) error { return nil }

// arrived is when a packet was read.
func arrived(_ []byte, clock purchase.Clock) int64 { return clock.Now().Time().UnixNano() }
