package load

import (
	"encoding/binary"
	"errors"
	"net"
	"syscall"
	"time"

	"tenu/internal/purchase"
)

// stamped lets the system say of each packet when it came, however late it is read.
func stamped(socket *net.UDPConn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
	})
	return errors.Join(err, failed)
}

// header is the size of a control message's header; a struct timespec follows it.
const header = 16

// arrived is when a packet came, in nanoseconds.
func arrived(control []byte, clock purchase.Clock) int64 {
	if len(control) < header+16 || binary.NativeEndian.Uint32(control[8:]) != syscall.SOL_SOCKET ||
		binary.NativeEndian.Uint32(control[12:]) != syscall.SCM_TIMESTAMPNS {
		return clock.Now().Time().UnixNano()
	}
	return int64(binary.NativeEndian.Uint64(control[header:]))*int64(time.Second) + int64(binary.NativeEndian.Uint64(control[header+8:])) //nolint:gosec // a time
}
