// Package line answers telephone calls over SIP (RFC 3261), behind an operator's session
// border controller: it takes calls from the trunks that are configured, agrees on
// sound, and hands each call to whoever serves it. Every call gets an answer: when
// there are too many, an announcement, and beyond that 503 with the time to try again.
//
// It knows nothing of purchases or of what is said.
package line

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"tenu/internal/purchase"
	"tenu/internal/voice/media"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
)

// Trunk is where calls come from, and where they go out to.
type Trunk struct {
	Name     string
	Networks []netip.Prefix // that its calls come from
	// Asserts says that its P-Asserted-Identity (RFC 3325) is true. The From of a call never is.
	Asserts bool

	Address   string // host or host:port that calls go out to; empty: none do
	Transport string // "udp", or "tcp"
	// User and Password prove who we are when it asks for that.
	User, Password string
	Register       bool // tell it where we are (RFC 3261, section 10)
}

// Config is what a line is built from. All of it is needed.
type Config struct {
	// Address is where calls come in, over UDP and TCP, and what the other ends are told.
	Address  netip.AddrPort
	Identity string // the user that our calls come from, as 121
	Trunks   []Trunk
	Capacity int // calls that Serve serves at once, and as many may be made
	Overflow int // calls beyond that Overload is told of; still more are refused
	// RetryAfter is when a call that was refused may be tried again.
	RetryAfter time.Duration
	Language   string // that a call begins in

	Media    *media.Streams
	Sounds   *sound.Library
	Voices   *speech.Voices
	Clock    purchase.Clock
	Log      *slog.Logger
	Number   func(text string) (purchase.MSISDN, bool) // a number as a trunk writes it
	Serve    func(ctx context.Context, c *Call)        // hangs up by returning
	Overload func(ctx context.Context, c *Call)
	Refused  func() // is told, without waiting, of each call that is refused because there are too many
}

// Line is a SIP server. It is safe for concurrent use.
type Line struct {
	cfg     Config
	agent   *sipgo.UserAgent
	server  *sipgo.Server
	client  *sipgo.Client
	open    atomic.Int64 // calls that are answered or about to be
	dialled atomic.Int64 // the same of ours
	counts  counts
	ready   chan struct{} // closed when it listens
	closing chan struct{} // closed when no more calls are taken
	packets *net.UDPConn

	mu         sync.Mutex
	closed     bool
	calls      map[string]*Call // by dialog
	peers      map[netip.Addr]int
	registered map[string]bool // of trunks that are to know where we are
	over       sync.WaitGroup  // everything that is begun by enter
}

type counts struct{ offered, answered, overloaded, refused, forbidden, dialled, reached atomic.Int64 }

// Counts are calls since the line was opened; Open are those that came in and are not over, Dialled
// those that we made, of which Reached were answered.
type Counts struct{ Offered, Answered, Overloaded, Refused, Forbidden, Dialled, Reached, Open int64 }

// Counts returns how many calls there were.
func (l *Line) Counts() Counts {
	c := &l.counts
	return Counts{c.offered.Load(), c.answered.Load(), c.overloaded.Load(), c.refused.Load(), c.forbidden.Load(),
		c.dialled.Load(), c.reached.Load(), l.open.Load()}
}

// silence is what the library logs on its own, once for all lines.
var silence sync.Once

// New returns a line that does not listen yet, or what of the configuration cannot be.
func New(cfg Config) (*Line, error) {
	if !cfg.Address.IsValid() || cfg.Identity == "" || cfg.Capacity < 1 || cfg.Overflow < 0 || cfg.RetryAfter < time.Second || cfg.Media == nil ||
		cfg.Sounds == nil || cfg.Voices == nil || cfg.Clock == nil || cfg.Log == nil || cfg.Number == nil || cfg.Serve == nil || cfg.Overload == nil || cfg.Refused == nil {
		return nil, errors.New("line: something that is needed is missing")
	}
	if cfg.Address.Addr().IsUnspecified() {
		return nil, errors.New("line: the address must be one that others can be told")
	}
	l := &Line{cfg: cfg, ready: make(chan struct{}), closing: make(chan struct{}), calls: map[string]*Call{}, peers: map[netip.Addr]int{}, registered: map[string]bool{}}
	for _, t := range cfg.Trunks {
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("line: trunk %q: %w", t.Name, err)
		}
		if t.Register {
			l.registered[t.Name] = false
		}
	}
	quiet := slog.New(slog.DiscardHandler) // what the library logs are whole messages, with people's numbers
	silence.Do(func() { sip.SetDefaultLogger(quiet) })
	var err error
	l.agent, err = sipgo.NewUA(sipgo.WithUserAgent("tenu"), sipgo.WithUserAgentHostname(l.host()),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(quiet), sip.WithTransportLayerReadFilter(l.gate)),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerLogger(cfg.Log)))
	if err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	if l.server, err = sipgo.NewServer(l.agent, sipgo.WithServerLogger(quiet)); err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	l.client, err = sipgo.NewClient(l.agent, sipgo.WithClientHostname(l.host()), sipgo.WithClientPort(int(cfg.Address.Port())),
		sipgo.WithClientNAT(), sipgo.WithClientLogger(quiet))
	if err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	l.handle()
	return l, nil
}

// check reports what of a trunk cannot be.
func (t *Trunk) check() error {
	switch {
	case t.Name == "":
		return errors.New("a name is needed")
	case t.Transport != "" && t.Transport != "udp" && t.Transport != "tcp":
		return fmt.Errorf("no transport is named %q", t.Transport)
	case t.Register && (t.Address == "" || t.User == ""):
		return errors.New("an address and a user are needed to register")
	}
	return nil
}

// host is what we say of where we are.
func (l *Line) host() string {
	address := l.cfg.Address.Addr().Unmap()
	if address.Is6() {
		return "[" + address.String() + "]"
	}
	return address.String()
}

func (l *Line) handle() {
	l.server.OnInvite(l.from(l.invite))
	l.server.OnAck(l.ack)
	l.server.OnBye(l.from(l.bye))
	l.server.OnUpdate(l.from(l.update))
	for code, on := range map[int]func(sipgo.RequestHandler){200: l.server.OnOptions, 481: l.server.OnCancel, 405: l.server.OnNoRoute} {
		on(l.from(func(_ *Trunk, req *sip.Request, tx sip.ServerTransaction) {
			l.respond(req, tx, code, reasons[code], sip.NewHeader("Allow", methods), sip.NewHeader("Accept", "application/sdp"),
				sip.NewHeader("Supported", "timer"))
		}))
	}
}

// methods are what is understood.
const methods = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE"

var reasons = map[int]string{200: "OK", 405: "Method Not Allowed", 481: "Call/Transaction Does Not Exist"}

// enter reports whether something new may be begun, which must call over.Done when it is done.
func (l *Line) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.over.Add(1)
	return true
}

// Run listens until ctx ends; then every call is hung up.
func (l *Line) Run(ctx context.Context) error {
	packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.cfg.Address))
	if err != nil {
		return fmt.Errorf("line: %w", err)
	}
	streams, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(l.cfg.Address))
	if err != nil {
		return errors.Join(fmt.Errorf("line: %w", err), packets.Close())
	}
	l.packets = packets
	var serving sync.WaitGroup
	failed := make(chan error, 2)
	serving.Go(func() { failed <- l.server.ServeUDP(&ear{UDPConn: packets, listening: l.ready}) })
	serving.Go(func() { failed <- l.server.ServeTCP(door{streams, l}) })
	for i := range l.cfg.Trunks {
		if t := &l.cfg.Trunks[i]; t.Register {
			l.over.Go(func() { l.register(t) })
		}
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	l.close()
	closed := errors.Join(packets.Close(), streams.Close())
	serving.Wait()
	if ctx.Err() == nil && err != nil {
		return errors.Join(fmt.Errorf("line: %w", err), closed)
	}
	return nil
}

// close ends everything that was begun, in time: who does not answer is not waited for.
func (l *Line) close() {
	l.mu.Lock()
	l.closed = true
	for _, c := range l.calls {
		c.end(errClosing)
	}
	l.mu.Unlock()
	close(l.closing)
	over := make(chan struct{})
	go func() { defer close(over); l.over.Wait() }()
	select {
	case <-over:
	case <-l.cfg.Clock.After(byeWithin):
	}
	if err := l.agent.Close(); err != nil {
		l.cfg.Log.Debug("the transport did not close", "error", err)
	}
	<-over
}

func (l *Line) respond(req *sip.Request, tx sip.ServerTransaction, code int, reason string, headers ...sip.Header) {
	answer := sip.NewResponseFromRequest(req, code, reason, nil)
	for _, h := range headers {
		answer.AppendHeader(h)
	}
	l.send(answer, tx)
}

func (l *Line) send(answer *sip.Response, tx sip.ServerTransaction) {
	if err := tx.Respond(answer); err != nil {
		l.cfg.Log.Debug("an answer did not leave", "code", answer.StatusCode, "error", err)
	}
}

// from tells a handler from which trunk a request comes, nil for the other end of a call of ours.
// The gate has let nothing else in.
func (l *Line) from(handle func(*Trunk, *sip.Request, sip.ServerTransaction)) sipgo.RequestHandler {
	return func(req *sip.Request, tx sip.ServerTransaction) {
		source, _ := netip.ParseAddrPort(req.Source()) // what the system wrote
		trunk, _ := l.known(source.Addr().Unmap())
		handle(trunk, req, tx)
	}
}

// known reports whether anything is taken from an address: that of a trunk, or of whom we called.
func (l *Line) known(address netip.Addr) (*Trunk, bool) {
	for i := range l.cfg.Trunks {
		for _, network := range l.cfg.Trunks[i].Networks {
			if network.Contains(address) {
				return &l.cfg.Trunks[i], true
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return nil, l.peers[address] > 0
}

func (l *Line) keep(c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[c.dialog.id] = c
	if l.closed {
		c.end(errClosing)
	}
}

func (l *Line) forget(c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.calls, c.dialog.id)
}

// call is the call that a request belongs to, or nil.
func (l *Line) call(req *sip.Request) *Call {
	id, err := sip.DialogIDFromRequestUAS(req)
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[id]
}
