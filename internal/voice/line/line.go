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
	"strconv"
	"strings"
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

// Trunk is where calls come from.
type Trunk struct {
	Name     string
	Networks []netip.Prefix
	// Asserts says that its P-Asserted-Identity (RFC 3325) is true. The From of a call never is.
	Asserts bool
}

// Config is what a line is built from. All of it is needed.
type Config struct {
	// Address is where calls come in, over UDP and TCP.
	Address  netip.AddrPort
	Trunks   []Trunk
	Capacity int // calls that Serve serves at once
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
}

// Line is a SIP server. It is safe for concurrent use.
type Line struct {
	cfg    Config
	agent  *sipgo.UserAgent
	server *sipgo.Server
	ua     sipgo.DialogUA
	open   atomic.Int64 // calls that are answered or about to be
	counts counts

	mu    sync.Mutex
	calls map[string]*Call // by dialog
	over  sync.WaitGroup
}

type counts struct{ offered, answered, overloaded, refused, forbidden atomic.Int64 }

// Counts are calls since the line was opened.
type Counts struct{ Offered, Answered, Overloaded, Refused, Forbidden, Open int64 }

// Counts returns how many calls there were.
func (l *Line) Counts() Counts {
	c := &l.counts
	return Counts{c.offered.Load(), c.answered.Load(), c.overloaded.Load(), c.refused.Load(), c.forbidden.Load(), l.open.Load()}
}

// New returns a line that does not listen yet, or what of the configuration cannot be.
func New(cfg Config) (*Line, error) {
	if !cfg.Address.IsValid() || cfg.Capacity < 1 || cfg.Overflow < 0 || cfg.RetryAfter < time.Second || cfg.Media == nil || cfg.Sounds == nil ||
		cfg.Voices == nil || cfg.Clock == nil || cfg.Log == nil || cfg.Number == nil || cfg.Serve == nil || cfg.Overload == nil {
		return nil, errors.New("line: something that is needed is missing")
	}
	agent, err := sipgo.NewUA(sipgo.WithUserAgent("tenu"), sipgo.WithUserAgentHostname(cfg.Address.Addr().String()),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(cfg.Log)))
	if err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	server, err := sipgo.NewServer(agent, sipgo.WithServerLogger(cfg.Log))
	if err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	client, err := sipgo.NewClient(agent, sipgo.WithClientHostname(cfg.Address.Addr().String()), sipgo.WithClientPort(int(cfg.Address.Port())),
		sipgo.WithClientLogger(cfg.Log))
	if err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	l := &Line{cfg: cfg, agent: agent, server: server, calls: map[string]*Call{},
		ua: sipgo.DialogUA{Client: client, RewriteContact: true, ContactHDR: sip.ContactHeader{
			Address: sip.Uri{Scheme: "sip", User: "121", Host: cfg.Address.Addr().String(), Port: int(cfg.Address.Port())}}}}
	server.OnInvite(l.from(l.invite))
	server.OnAck(l.ack)
	server.OnBye(l.from(l.bye))
	server.OnOptions(l.from(func(_ *Trunk, req *sip.Request, tx sip.ServerTransaction) { l.able(req, tx, 200, "OK") }))
	server.OnUpdate(l.from(l.refresh))
	server.OnNoRoute(l.from(func(_ *Trunk, req *sip.Request, tx sip.ServerTransaction) { l.able(req, tx, 405, "Method Not Allowed") }))
	return l, nil
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
	var serving sync.WaitGroup
	failed := make(chan error, 2)
	serving.Go(func() { failed <- l.server.ServeUDP(packets) })
	serving.Go(func() { failed <- l.server.ServeTCP(streams) })
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	l.mu.Lock()
	for _, c := range l.calls {
		c.end(errClosing)
	}
	l.mu.Unlock()
	l.over.Wait()
	closed := errors.Join(packets.Close(), streams.Close(), l.agent.Close())
	serving.Wait()
	if ctx.Err() == nil && err != nil {
		return errors.Join(fmt.Errorf("line: %w", err), closed)
	}
	return nil
}

// methods are what is understood.
const methods = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE"

func (l *Line) able(req *sip.Request, tx sip.ServerTransaction, code int, reason string) {
	l.respond(req, tx, code, reason, sip.NewHeader("Allow", methods), sip.NewHeader("Accept", "application/sdp"), sip.NewHeader("Supported", "timer"))
}

func (l *Line) respond(req *sip.Request, tx sip.ServerTransaction, code int, reason string, headers ...sip.Header) {
	answer := sip.NewResponseFromRequest(req, code, reason, nil)
	for _, h := range headers {
		answer.AppendHeader(h)
	}
	if err := tx.Respond(answer); err != nil {
		l.cfg.Log.Debug("an answer did not leave", "code", code, "error", err)
	}
}

// from lets a handler see only what comes from a trunk.
func (l *Line) from(handle func(*Trunk, *sip.Request, sip.ServerTransaction)) sipgo.RequestHandler {
	return func(req *sip.Request, tx sip.ServerTransaction) {
		source, err := netip.ParseAddrPort(req.Source())
		if err == nil {
			for i := range l.cfg.Trunks {
				for _, network := range l.cfg.Trunks[i].Networks {
					if network.Contains(source.Addr().Unmap()) {
						handle(&l.cfg.Trunks[i], req, tx)
						return
					}
				}
			}
		}
		l.counts.forbidden.Add(1)
		l.respond(req, tx, 403, "Forbidden")
	}
}

// invite takes a new call, or a new offer in the middle of one.
func (l *Line) invite(trunk *Trunk, req *sip.Request, tx sip.ServerTransaction) {
	if to := req.To(); to != nil && to.Params.Has("tag") {
		l.offer(req, tx)
		return
	}
	if required := req.GetHeader("Require"); required != nil && !strings.EqualFold(strings.TrimSpace(required.Value()), "timer") {
		l.respond(req, tx, 420, "Bad Extension", sip.NewHeader("Unsupported", required.Value()))
		return
	}
	timer, ok := sessionTimer(req)
	if !ok {
		l.respond(req, tx, 422, "Session Interval Too Small", sip.NewHeader("Min-SE", strconv.Itoa(minSession)))
		return
	}
	l.counts.offered.Add(1)
	n := l.open.Add(1)
	defer l.open.Add(-1)
	serve := l.cfg.Serve
	switch {
	case n > int64(l.cfg.Capacity+l.cfg.Overflow):
		l.counts.refused.Add(1)
		l.respond(req, tx, 503, "Service Unavailable", sip.NewHeader("Retry-After", strconv.Itoa(int(l.cfg.RetryAfter.Seconds()))))
		return
	case n > int64(l.cfg.Capacity):
		l.counts.overloaded.Add(1)
		serve = l.cfg.Overload
	}
	l.over.Add(1)
	defer l.over.Done()
	l.take(trunk, req, tx, timer, serve)
}

// take answers a call and serves it.
func (l *Line) take(trunk *Trunk, req *sip.Request, tx sip.ServerTransaction, timer sessionTime, serve func(context.Context, *Call)) {
	stream, err := l.cfg.Media.Open()
	if err != nil {
		l.cfg.Log.Error("a call finds no port", "error", err)
		l.respond(req, tx, 503, "Service Unavailable", sip.NewHeader("Retry-After", strconv.Itoa(int(l.cfg.RetryAfter.Seconds()))))
		return
	}
	defer stream.Close()
	var sdp []byte
	if len(req.Body()) == 0 { // the offer is ours, the answer comes with the ACK
		sdp = stream.Offer()
	} else if sdp, err = stream.Answer(req.Body()); err != nil {
		l.respond(req, tx, 488, "Not Acceptable Here", warning(err))
		return
	}
	dialog, err := l.ua.ReadInvite(req, tx)
	if err != nil {
		l.respond(req, tx, 400, "Bad Request")
		return
	}
	c := &Call{line: l, stream: stream, dialog: dialog, Trunk: trunk.Name, Language: l.cfg.Language, At: l.cfg.Clock.Now(), timer: timer}
	c.Caller = l.caller(trunk, req)
	ctx, end := context.WithCancelCause(context.Background())
	c.end = end
	defer end(errHungUp) // also of a call whose answer was never acknowledged
	l.keep(dialog.ID, c)
	defer l.forget(dialog.ID)
	answer := sip.NewSDPResponseFromRequest(dialog.InviteRequest, sdp)
	timer.mark(answer)
	if err := dialog.WriteResponse(answer); err != nil {
		l.cfg.Log.Debug("a call was not answered", "error", err)
		return
	}
	l.counts.answered.Add(1)
	watched := make(chan struct{})
	go func() { defer close(watched); c.watch(ctx) }()
	serve(ctx, c)
	c.hangUp()
	end(errHungUp)
	<-watched
}

func (l *Line) keep(id string, c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[id] = c
}

func (l *Line) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.calls, id)
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

// offer answers a new offer in the middle of a call: hold, another address.
func (l *Line) offer(req *sip.Request, tx sip.ServerTransaction) {
	c := l.call(req)
	if c == nil {
		l.respond(req, tx, 481, "Call/Transaction Does Not Exist")
		return
	}
	if err := c.dialog.ReadRequest(req, tx); err != nil {
		l.respond(req, tx, 500, "Server Internal Error", sip.NewHeader("Retry-After", "1"))
		return
	}
	sdp := c.stream.Offer()
	if len(req.Body()) > 0 {
		var err error
		if sdp, err = c.stream.Answer(req.Body()); err != nil {
			l.respond(req, tx, 488, "Not Acceptable Here", warning(err))
			return
		}
	}
	c.refreshed()
	answer := sip.NewSDPResponseFromRequest(req, sdp)
	answer.AppendHeader(&l.ua.ContactHDR)
	c.timer.mark(answer)
	if err := tx.Respond(answer); err != nil {
		l.cfg.Log.Debug("an answer did not leave", "error", err)
	}
}

// refresh answers an UPDATE, which keeps a session alive (RFC 3311, RFC 4028).
func (l *Line) refresh(_ *Trunk, req *sip.Request, tx sip.ServerTransaction) {
	c := l.call(req)
	if c == nil {
		l.respond(req, tx, 481, "Call/Transaction Does Not Exist")
		return
	}
	c.refreshed()
	answer := sip.NewResponseFromRequest(req, 200, "OK", nil)
	answer.AppendHeader(&l.ua.ContactHDR)
	c.timer.mark(answer)
	if err := tx.Respond(answer); err != nil {
		l.cfg.Log.Debug("an answer did not leave", "error", err)
	}
}

func (l *Line) ack(req *sip.Request, tx sip.ServerTransaction) {
	c := l.call(req)
	if c == nil {
		return
	}
	if len(req.Body()) > 0 {
		if err := c.stream.Answered(req.Body()); err != nil {
			c.end(fmt.Errorf("the answer in the ACK: %w", err))
		}
	}
	_ = c.dialog.ReadAck(req, tx) // of an offer in the middle, which needs none
}

func (l *Line) bye(_ *Trunk, req *sip.Request, tx sip.ServerTransaction) {
	c := l.call(req)
	if c == nil {
		l.respond(req, tx, 481, "Call/Transaction Does Not Exist")
		return
	}
	c.end(ErrHungUp)
	if err := c.dialog.ReadBye(req, tx); err != nil {
		l.respond(req, tx, 400, "Bad Request")
	}
}

// warning says what of a description cannot be used (RFC 3261, section 20.43).
func warning(err error) sip.Header {
	code := 399
	if errors.Is(err, media.ErrCodec) {
		code = 305
	}
	return sip.NewHeader("Warning", fmt.Sprintf("%d tenu %q", code, err.Error()))
}

// caller is the number that a trunk vouches for, or 0.
func (l *Line) caller(trunk *Trunk, req *sip.Request) purchase.MSISDN {
	if privacy := req.GetHeader("Privacy"); !trunk.Asserts || privacy != nil && strings.Contains(strings.ToLower(privacy.Value()), "id") {
		return 0
	}
	for _, h := range req.GetHeaders("P-Asserted-Identity") {
		for each := range strings.SplitSeq(h.Value(), ",") {
			if number, ok := l.number(each); ok {
				return number
			}
		}
	}
	return 0
}

// number is that of an identity: "Name" <sip:+22670112233@host;user=phone>, <tel:+22670112233>.
func (l *Line) number(identity string) (purchase.MSISDN, bool) {
	if _, rest, is := strings.Cut(identity, "<"); is {
		identity, _, _ = strings.Cut(rest, ">")
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(identity), ":")
	switch strings.ToLower(scheme) {
	case "sip", "sips":
		rest, _, _ = strings.Cut(rest, "@")
	case "tel":
	default:
		return 0, false
	}
	rest, _, _ = strings.Cut(rest, ";")
	return l.cfg.Number(rest)
}
