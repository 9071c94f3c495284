package load

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/voice/sound"
)

// An RTP packet of ours: a header without anything that may be left out, and 20 ms of sound.
const (
	frame      = 20 * time.Millisecond
	headerSize = 12
	frameSize  = 160
)

// ear takes packets that somebody sends every 20 ms, and notes when they come.
type ear struct {
	socket    *net.UDPConn
	clock     purchase.Clock
	measuring *atomic.Bool
	sound     atomic.Int64 // packets that were not silence

	mu    sync.Mutex
	first uint32  // the timestamp of the first
	last  int64   // the frame of the last one, from the first
	early []int64 // when each came, less when it was due, in nanoseconds from any beginning
}

// ear opens one.
func (c *Callers) ear() (*ear, error) {
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.cfg.Own, 0)))
	if err != nil {
		return nil, err
	}
	if err := stamped(socket); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return &ear{socket: socket, clock: c.cfg.Clock, measuring: &c.measuring}, nil
}

// at is where it listens.
func (e *ear) at() netip.AddrPort {
	at := e.socket.LocalAddr().(*net.UDPAddr).AddrPort() //nolint:errcheck,forcetypeassert // what ListenUDP gives
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// listen takes packets until the socket is closed.
func (e *ear) listen() {
	var data [1500]byte
	var control [64]byte
	for {
		n, controls, _, _, err := e.socket.ReadMsgUDPAddrPort(data[:], control[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && n == headerSize+frameSize {
			e.take(data[:n], arrived(control[:controls], e.clock))
		}
	}
}

func (e *ear) take(packet []byte, at int64) {
	if slices.ContainsFunc(packet[headerSize:], func(b byte) bool { return b != sound.ALaw.Silence() }) {
		e.sound.Add(1)
	}
	if !e.measuring.Load() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	stamp := binary.BigEndian.Uint32(packet[4:])
	if len(e.early) == 0 {
		e.first, e.last = stamp, 0
	}
	n := e.last + int64(int32(stamp-e.first-uint32(e.last*frameSize)))/frameSize //nolint:gosec // it wraps around
	e.last = max(e.last, n)
	e.early = append(e.early, at-n*int64(frame))
}

// Lateness is how late packets came, by the one of the same call that was earliest.
type Lateness struct {
	Packets, Lost int64
	P99, Most     time.Duration
}

// lateness is that of all packets that some ears took since the last time.
func lateness(ears []*ear) (l Lateness) {
	var late []int64
	for _, e := range ears {
		e.mu.Lock()
		if len(e.early) > 0 {
			l.Packets += int64(len(e.early))
			l.Lost += max(0, e.last+1-int64(len(e.early)))
			least := slices.Min(e.early)
			for _, at := range e.early {
				late = append(late, at-least)
			}
			e.early = nil
		}
		e.mu.Unlock()
	}
	if len(late) > 0 {
		slices.Sort(late)
		l.P99, l.Most = time.Duration(late[(len(late)*99-1)/100]), time.Duration(late[len(late)-1])
	}
	return l
}
