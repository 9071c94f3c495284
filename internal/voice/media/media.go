package media

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tenu/internal/purchase"
)

// Config is what streams are built from. All of it is needed.
type Config struct {
	// Address is where packets come in, and From to To are its ports; of each two one is used.
	Address  netip.Addr
	From, To uint16
	// Patience is how long a stream may be silent before it is lost.
	Patience time.Duration
	Clock    purchase.Clock
	Random   func() uint64
}

// Streams are the sound of all calls of a process. One goroutine sends for all of
// them, in turns, so that packets leave at equal distances however many calls there are.
type Streams struct {
	cfg  Config
	sent atomic.Int64
	late atomic.Int64 // the most that a turn was late, in microseconds

	mu    sync.Mutex
	turns [turns][]*Stream
	port  uint16
	turn  int // that the next stream gets
}

// A frame is 20 ms; streams take their turns within it at equal distances.
const (
	frame      = 20 * time.Millisecond
	frameBytes = 160
	turns      = 4
	turnEvery  = frame / turns
	// tooLate is how much is made good when the process was held up; what is older is dropped.
	tooLate = 200 * time.Millisecond
)

// New returns streams, none of which is open.
func New(cfg Config) (*Streams, error) {
	if !cfg.Address.IsValid() || cfg.From == 0 || cfg.To < cfg.From || cfg.Patience <= 0 || cfg.Clock == nil || cfg.Random == nil {
		return nil, errors.New("media: address, ports, patience, clock and random numbers are needed")
	}
	return &Streams{cfg: cfg, port: cfg.From + cfg.From%2}, nil
}

// Run sends until ctx ends.
func (all *Streams) Run(ctx context.Context) {
	next := all.cfg.Clock.Now()
	var round []*Stream
	var gap uint32 // what was dropped so far, in samples
	for turn := 0; ; turn = (turn + 1) % turns {
		now := all.cfg.Clock.Now()
		if wait := next.Sub(now); wait > 0 {
			select {
			case <-all.cfg.Clock.After(wait):
			case <-ctx.Done():
				return
			}
			now = all.cfg.Clock.Now()
		}
		behind := now.Sub(next)
		if behind > tooLate {
			dropped := behind / frame
			next = next.Add(dropped * frame)
			gap += uint32(dropped) * frameBytes //nolint:gosec // timestamps wrap around
		}
		next = next.Add(turnEvery)
		all.mu.Lock()
		round = append(round[:0], all.turns[turn]...)
		all.mu.Unlock()
		for _, s := range round {
			s.send(now, gap)
		}
		if len(round) > 0 && behind.Microseconds() > all.late.Load() {
			all.late.Store(behind.Microseconds())
		}
		clear(round)
		if ctx.Err() != nil {
			return
		}
	}
}

// Count is how many streams are open.
func (all *Streams) Count() (n int) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, each := range all.turns {
		n += len(each)
	}
	return n
}

// Sent counts the packets that left.
func (all *Streams) Sent() int64 { return all.sent.Load() }

// Late is the most that a packet was late.
func (all *Streams) Late() time.Duration { return time.Duration(all.late.Load()) * time.Microsecond }

// errNoPort means that all ports are in use.
var errNoPort = errors.New("no port is free")

// Open opens a stream at a port of its own. It is closed by Close.
func (all *Streams) Open() (*Stream, error) {
	conn, err := all.listen()
	if err != nil {
		return nil, err
	}
	local, _ := netip.ParseAddrPort(conn.LocalAddr().String()) // what the system wrote
	s := &Stream{all: all, conn: conn, local: local, keys: make(chan byte, maxKeys), lost: make(chan struct{}), closed: make(chan struct{}),
		id: all.cfg.Random() >> 1, heard: all.cfg.Clock.Now()}
	first := all.cfg.Random()
	s.out.SSRC, s.out.SequenceNumber, s.out.Timestamp = uint32(first), uint16(first>>32), uint32(all.cfg.Random()) //nolint:gosec // parts of a random number
	s.out.Version, s.out.Marker = 2, true
	all.mu.Lock()
	s.turn = all.turn
	all.turns[s.turn] = append(all.turns[s.turn], s)
	all.turn = (all.turn + 1) % turns
	all.mu.Unlock()
	go s.receive()
	return s, nil
}

// listen takes the next port that is free.
func (all *Streams) listen() (*net.UDPConn, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	var err error
	for range (int(all.cfg.To) - int(all.cfg.From) + 2) / 2 {
		port := all.port
		if all.port += 2; all.port > all.cfg.To || all.port < 2 {
			all.port = all.cfg.From + all.cfg.From%2
		}
		var conn *net.UDPConn
		if conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(all.cfg.Address, port))); err == nil {
			return conn, nil
		}
	}
	return nil, fmt.Errorf("media: %w: %w", errNoPort, err)
}

func (all *Streams) drop(s *Stream) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.turns[s.turn] = slices.DeleteFunc(all.turns[s.turn], func(other *Stream) bool { return other == s })
}
