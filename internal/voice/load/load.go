// Package load calls a line many times at once, and measures what the callers hear of it. It
// speaks SIP and RTP on its own, and knows of the line only where it is. It is for benchmarks and tests.
package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"tenu/internal/purchase"
)

// Config says whom to call.
type Config struct {
	Line  netip.AddrPort
	Own   netip.Addr // the callers' address
	Clock purchase.Clock
}

// Callers are telephones that call one line.
type Callers struct {
	cfg     Config
	agent   *sipgo.UserAgent
	ua      *sipgo.DialogUA
	serving sync.WaitGroup
	packets *net.UDPConn

	measuring atomic.Bool
	beside    *ear
	mu        sync.Mutex
	calls     map[string]*call // that are on, by Call-ID
}

// atOnce is how many calls are set up at the same time.
const atOnce = 32

// Open opens telephones. They are closed by Close.
func Open(cfg Config) (*Callers, error) {
	packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(cfg.Own, 0)))
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	c := &Callers{cfg: cfg, packets: packets, calls: map[string]*call{}}
	at := packets.LocalAddr().(*net.UDPAddr) //nolint:errcheck,forcetypeassert // what ListenUDP gives
	quiet := slog.New(slog.DiscardHandler)
	c.agent, err = sipgo.NewUA(sipgo.WithUserAgent("caller"), sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(quiet)),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerLogger(quiet)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load: %w", err), packets.Close())
	}
	client, err := sipgo.NewClient(c.agent, sipgo.WithClientHostname(at.IP.String()), sipgo.WithClientConnectionAddr(at.String()), sipgo.WithClientLogger(quiet))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load: %w", err), packets.Close())
	}
	server, err := sipgo.NewServer(c.agent, sipgo.WithServerLogger(quiet))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load: %w", err), packets.Close())
	}
	server.OnBye(c.bye)
	c.ua = &sipgo.DialogUA{Client: client, RewriteContact: true,
		ContactHDR: sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "caller", Host: at.IP.String(), Port: at.Port}}}
	e := &opening{UDPConn: packets, listening: make(chan struct{})}
	c.serving.Go(func() { _ = server.ServeUDP(e) }) // ends when the packets do
	<-e.listening
	return c, nil
}

// opening is a socket that says when it is listened to.
type opening struct {
	*net.UDPConn
	once      sync.Once
	listening chan struct{} // closed then
}

// ReadFrom is net.PacketConn.
func (o *opening) ReadFrom(b []byte) (int, net.Addr, error) {
	o.once.Do(func() { close(o.listening) })
	return o.UDPConn.ReadFrom(b)
}

// Close closes the telephones.
func (c *Callers) Close() error {
	err := errors.Join(c.agent.Close(), c.packets.Close())
	if c.beside != nil {
		err = errors.Join(err, c.beside.socket.Close())
	}
	c.serving.Wait()
	return err
}

func (c *Callers) bye(req *sip.Request, tx sip.ServerTransaction) {
	answer := sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)
	_ = tx.Respond(answer) // or it comes again
	c.mu.Lock()
	defer c.mu.Unlock()
	if on := c.calls[req.CallID().Value()]; on != nil {
		on.left.Store(true)
	}
}

// Outcome is what became of calls.
type Outcome struct {
	Answered   int
	Refused    int // 503 with the time to try again
	Unanswered int // anything else
	First      error
}

// Call makes so many calls, all of which stay on until HangUp.
func (c *Callers) Call(ctx context.Context, count int) (o Outcome) {
	slots := make(chan struct{}, atOnce)
	var made sync.WaitGroup
	var mu sync.Mutex
	for range count {
		slots <- struct{}{}
		made.Go(func() {
			defer func() { <-slots }()
			err := c.one(ctx)
			mu.Lock()
			defer mu.Unlock()
			var refused *sipgo.ErrDialogResponse
			switch {
			case err == nil:
				o.Answered++
			case errors.As(err, &refused) && refused.Res.StatusCode == sip.StatusServiceUnavailable && refused.Res.GetHeader("Retry-After") != nil:
				o.Refused++
			default:
				o.Unanswered++
				o.First = errors.Join(o.First, err)
			}
		})
	}
	made.Wait()
	return o
}

// on are the calls that are on.
func (c *Callers) on() []*call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.calls))
}

// HangUp ends all calls, and returns how many the line had ended before.
func (c *Callers) HangUp(ctx context.Context) (ended int) {
	calls := c.on()
	slots := make(chan struct{}, atOnce)
	var over sync.WaitGroup
	for _, each := range calls {
		if each.left.Load() {
			ended++
		}
		slots <- struct{}{}
		over.Go(func() { defer func() { <-slots }(); each.hangUp(ctx) })
	}
	over.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.calls)
	return ended
}

// Beside listens, while calls are measured, to a sender of packets that does nothing else: how late its are is
// what the machine does to anybody. It is told by a packet where to send to.
func (c *Callers) Beside(sender netip.AddrPort) error {
	e, err := c.ear()
	if err != nil {
		return err
	}
	c.beside = e
	c.serving.Go(e.listen)
	_, err = e.socket.WriteToUDPAddrPort([]byte{0}, sender)
	return err
}

// Measured is what was heard in some time.
type Measured struct {
	Calls  Lateness
	Beside Lateness
	Silent int // calls that no sound was heard of
	Ended  int // calls that the line ended
}

// Measure listens for a time to the calls that are on.
func (c *Callers) Measure(ctx context.Context, during time.Duration) (m Measured) {
	c.measuring.Store(true)
	select {
	case <-c.cfg.Clock.After(during):
	case <-ctx.Done():
	}
	c.measuring.Store(false)
	var ears []*ear
	for _, each := range c.on() {
		if ears = append(ears, each.ear); each.left.Load() {
			m.Ended++
		}
		if each.sound.Swap(0) == 0 {
			m.Silent++
		}
	}
	m.Calls = lateness(ears)
	if c.beside != nil {
		m.Beside = lateness([]*ear{c.beside})
	}
	return m
}
