// Package smpp hands messages over to an SMS centre, and takes from it what
// customers write and what became of messages (SMPP 3.4, Issue 1.2). It keeps
// several binds up, each with a window of requests under way, and says of each
// message whether the centre took it, refused it, or whether that is not known.
//
// PDUs are encoded and decoded by gosmpp; the binds are kept here, because a bind
// must survive a PDU that cannot be understood and tell what left from what did not.
//
// It knows nothing of what is said, or of how it is stored.
package smpp

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
	"golang.org/x/time/rate"

	"tenu/internal/notify"
	"tenu/internal/purchase"
)

// Config is what a client is built from. All but the first two and Clock, Log and
// the two handlers may be left out.
type Config struct {
	Address  string // host:port
	SystemID string
	Password string
	Type     string // system_type
	// TLS, when set, is spoken from the first byte on.
	TLS *tls.Config
	// Pair binds a transmitter and a receiver instead of a transceiver, for centres
	// that know of no transceivers.
	Pair   bool
	Binds  int // at once (default 1)
	Window int // requests of a bind under way at once (default 32)
	Rate   int // messages per second over all binds (default no limit)
	// Sender is where messages come from: a short code, a number with its "+", or up
	// to 11 letters.
	Sender string
	// IDs tells how the centre writes one message's name in its answers and in its
	// receipts.
	IDs IDs
	// Enquire is the pause between two enquire links (default 30 s), Within how long
	// an answer, a connection or a write may take (default 10 s).
	Enquire, Within time.Duration
	// RetryFirst and RetryMost bound the growing pause before a bind is tried again
	// (default 500 ms and 30 s).
	RetryFirst, RetryMost time.Duration

	Clock purchase.Clock
	Log   *slog.Logger
	// Inbound is given what customers write, Receipt what became of messages. An
	// error makes the centre bring the same again.
	Inbound func(ctx context.Context, in Inbound) error
	Receipt func(ctx context.Context, r notify.Delivery) error
}

// IDs is how a centre writes the names of messages.
type IDs string

// The ways that are known. Some centres write a name in hexadecimal in one place
// and in decimal in the other.
const (
	SameIDs        IDs = ""
	HexThenDecimal IDs = "hex_then_decimal" // hexadecimal in answers, decimal in receipts
	DecimalThenHex IDs = "decimal_then_hex"
)

// ResendTag is the optional parameter, of those left to vendors, that marks a message
// which the centre may have taken before: one byte of value 1. The message's
// user_message_reference is the same each time.
const ResendTag pdu.Tag = 0x1400

// Client keeps binds to one centre. It is safe for concurrent use.
type Client struct {
	cfg     Config
	source  pdu.Address
	limiter *rate.Limiter
	parts   *joiner

	mu    sync.Mutex
	links []*link // that can transmit
	turn  uint
	quiet time.Time // the centre asked to be left alone until then

	bound atomic.Int32
}

// New returns a client that is not bound yet, or what of the configuration cannot be.
func New(cfg Config) (*Client, error) {
	if cfg.Address == "" || cfg.SystemID == "" || cfg.Clock == nil || cfg.Log == nil || cfg.Inbound == nil || cfg.Receipt == nil {
		return nil, errors.New("smpp: address, system ID, clock, log and handlers are needed")
	}
	for _, n := range []struct {
		of            *int
		otherwise, at int
	}{{&cfg.Binds, 1, 64}, {&cfg.Window, 32, 1000}, {&cfg.Rate, 1 << 20, 1 << 20}} {
		if *n.of == 0 {
			*n.of = n.otherwise
		}
		if *n.of < 0 || *n.of > n.at {
			return nil, fmt.Errorf("smpp: %d is not from 1 to %d", *n.of, n.at)
		}
	}
	for _, d := range []struct {
		of        *time.Duration
		otherwise time.Duration
	}{{&cfg.Enquire, 30 * time.Second}, {&cfg.Within, 10 * time.Second}, {&cfg.RetryFirst, 500 * time.Millisecond}, {&cfg.RetryMost, 30 * time.Second}} {
		if *d.of == 0 {
			*d.of = d.otherwise
		}
		if *d.of < 0 {
			return nil, fmt.Errorf("smpp: %s is not a time to wait", *d.of)
		}
	}
	if cfg.IDs != SameIDs && cfg.IDs != HexThenDecimal && cfg.IDs != DecimalThenHex {
		return nil, fmt.Errorf("smpp: names of messages cannot be %q", cfg.IDs)
	}
	source, err := sender(cfg.Sender)
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, source: source, parts: newJoiner(),
		limiter: rate.NewLimiter(rate.Limit(cfg.Rate), max(1, cfg.Rate/10))}, nil
}

// Types of number and numbering plans (section 5.2.5 and 5.2.6).
const (
	tonInternational, tonNetwork, tonAlphanumeric = 1, 3, 5
	npiUnknown, npiISDN                           = 0, 1
	maxShortCode, maxLetters, maxDigits           = 8, 11, 15 // E.164
)

// sender is a sender's address by what it looks like.
func sender(from string) (pdu.Address, error) {
	digits := strings.TrimPrefix(from, "+")
	number := digits != "" && strings.Trim(digits, "0123456789") == ""
	ton, npi := byte(tonAlphanumeric), byte(npiUnknown)
	switch {
	case from == "":
		return pdu.NewAddressWithTonNpi(0, 0), nil // the centre puts its own
	case number && digits != from && len(digits) <= maxDigits:
		ton, npi = tonInternational, npiISDN
	case number && len(digits) <= maxShortCode:
		ton = tonNetwork
	case number, len(from) > maxLetters, strings.ContainsFunc(from, func(r rune) bool { return r < ' ' || r > '~' }):
		return pdu.Address{}, fmt.Errorf("smpp: %q is no sender: a short code, a number with +, or up to %d letters", from, maxLetters)
	}
	address, err := pdu.NewAddressWithTonNpiAddr(ton, npi, digits)
	if err != nil {
		return pdu.Address{}, fmt.Errorf("smpp: sender: %w", err)
	}
	return address, nil
}

// Bound is how many binds are up.
func (c *Client) Bound() int { return int(c.bound.Load()) }

// Run keeps the binds until ctx ends, and then ends them in good order: what is
// under way has Within to be answered.
func (c *Client) Run(ctx context.Context) {
	var binds sync.WaitGroup
	roles := []pdu.BindingType{pdu.Transceiver}
	if c.cfg.Pair {
		roles = []pdu.BindingType{pdu.Transmitter, pdu.Receiver}
	}
	for range c.cfg.Binds {
		for _, role := range roles {
			binds.Go(func() { c.stay(ctx, role) })
		}
	}
	binds.Wait()
}

// stay keeps one bind up.
func (c *Client) stay(ctx context.Context, role pdu.BindingType) {
	for failures := 0; ctx.Err() == nil; {
		began := c.cfg.Clock.Now()
		up, err := c.serve(ctx, role)
		if ctx.Err() != nil {
			return
		}
		if failures++; up && c.cfg.Clock.Now().Sub(began) > c.cfg.RetryMost {
			failures = 1
		}
		wait := min(c.cfg.RetryFirst<<min(failures-1, 16), c.cfg.RetryMost)
		c.cfg.Log.WarnContext(ctx, "bind lost", "centre", c.cfg.Address, "again_in", wait, "error", err)
		select {
		case <-ctx.Done():
		case <-c.cfg.Clock.After(wait):
		}
	}
}

// serve binds once and serves the bind until it breaks or ctx ends.
func (c *Client) serve(ctx context.Context, role pdu.BindingType) (up bool, err error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return false, err
	}
	l := newLink(conn, c.cfg.Window, c.cfg.Within)
	var working sync.WaitGroup
	defer working.Wait()
	defer l.end(errClosed)
	working.Go(l.read)
	bind := pdu.NewBindRequest(role)
	bind.SystemID, bind.Password, bind.SystemType = c.cfg.SystemID, c.cfg.Password, c.cfg.Type
	bind.InterfaceVersion = data.SMPP_V34
	if err := l.bind(ctx, bind); err != nil {
		return false, err
	}
	c.cfg.Log.InfoContext(ctx, "bound", "centre", c.cfg.Address)
	c.bound.Add(1)
	defer c.bound.Add(-1)
	if role != pdu.Receiver {
		c.add(l)
		defer c.remove(l)
	}
	// What came in before the end is still answered.
	handling, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	working.Go(func() { c.handle(handling, l) })
	working.Go(func() { l.keep(handling, c.cfg.Clock.After, c.cfg.Enquire) })
	select {
	case <-l.ended:
	case <-ctx.Done():
		c.remove(l)
		l.drain()
		l.unbind()
	}
	return true, l.why()
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Within)
	defer cancel()
	var conn net.Conn
	var err error
	if c.cfg.TLS != nil {
		conn, err = (&tls.Dialer{Config: c.cfg.TLS}).DialContext(ctx, "tcp", c.cfg.Address)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", c.cfg.Address)
	}
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

func (c *Client) add(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links = append(c.links, l)
}

func (c *Client) remove(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, each := range c.links {
		if each == l {
			c.links = append(c.links[:i:i], c.links[i+1:]...)
			return
		}
	}
}

// pick returns the next bind's link, those with room first; nil when none is bound.
func (c *Client) pick() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best *link
	for i := range c.links {
		l := c.links[(c.turn+uint(i))%uint(len(c.links))]
		if best == nil || len(l.window) < len(best.window) {
			best = l
		}
	}
	c.turn++
	return best
}

// Send hands a message over and returns the centre's names of its parts. An error
// that wraps notify.ErrRefused or notify.ErrNotTaken says that the centre did not
// take it; after any other it may have. It waits for the rate, for room in a window
// and for the answers, at most until ctx ends.
func (c *Client) Send(ctx context.Context, m notify.Message) (refs []string, err error) {
	return c.send(ctx, m, nil)
}

// Answer shows a text in a USSD session. Errors are those of Send.
func (c *Client) Answer(ctx context.Context, m notify.Message, turn USSD) error {
	_, err := c.send(ctx, m, &turn)
	return err
}

func (c *Client) send(ctx context.Context, m notify.Message, turn *USSD) (refs []string, err error) {
	reference := fnv.New32a()
	reference.Write([]byte(m.ID))
	sum := reference.Sum32()
	parts, err := segments(m.Text, byte(sum)) //nolint:gosec // its last bits
	if err != nil {
		return nil, fmt.Errorf("%w: %w", notify.ErrRefused, err)
	}
	to, err := pdu.NewAddressWithTonNpiAddr(tonInternational, npiISDN, strings.TrimPrefix(m.To.String(), "+"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", notify.ErrRefused, err)
	}
	for i := range parts {
		submit, _ := pdu.NewSubmitSM().(*pdu.SubmitSM)
		submit.SourceAddr, submit.DestAddr, submit.Message = c.source, to, parts[i]
		submit.RegisteredDelivery = data.SM_SMSC_RECEIPT_REQUESTED
		if len(parts) > 1 {
			submit.EsmClass |= data.SM_UDH_GSM
		}
		submit.RegisterOptionalParam(pdu.Field{Tag: pdu.TagUserMessageReference, Data: binary.BigEndian.AppendUint16(nil, uint16(sum))}) //nolint:gosec // its last bits
		if m.Resend {
			submit.RegisterOptionalParam(pdu.Field{Tag: ResendTag, Data: []byte{1}})
		}
		turn.mark(submit)
		ref, err := c.submit(ctx, submit)
		switch {
		case i > 0 && errors.Is(err, notify.ErrNotTaken):
			return nil, fmt.Errorf("part %d of %d, and those before it are out: %w", i+1, len(parts), doubtful{err})
		case err != nil:
			return nil, err
		}
		refs = append(refs, c.cfg.IDs.answered(ref))
	}
	return refs, nil
}

// doubtful is an error after which part of a message is out.
type doubtful struct{ error }

// submit sends one part.
func (c *Client) submit(ctx context.Context, p *pdu.SubmitSM) (ref string, err error) {
	if err := c.pace(ctx); err != nil {
		return "", fmt.Errorf("%w: %w", notify.ErrNotTaken, err)
	}
	for {
		l := c.pick()
		if l == nil {
			return "", fmt.Errorf("%w: no bind is up", notify.ErrNotTaken)
		}
		answer, err := l.request(ctx, p)
		switch {
		case err == nil:
			return c.understood(answer)
		case !errors.Is(err, errNotSent):
			return "", fmt.Errorf("whether it was taken is not known: %w", err)
		case ctx.Err() != nil:
			return "", fmt.Errorf("%w: %w", notify.ErrNotTaken, err)
		}
		c.remove(l) // it is broken; another may be up
	}
}

// pace waits for the rate that is agreed, and while the centre asked for quiet.
func (c *Client) pace(ctx context.Context) error {
	if err := c.limiter.Wait(ctx); err != nil {
		return err //nolint:wrapcheck // the caller says what it means
	}
	c.mu.Lock()
	quiet := c.quiet.Sub(c.cfg.Clock.Now().Time())
	c.mu.Unlock()
	if quiet <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the same
	case <-c.cfg.Clock.After(quiet):
		return nil
	}
}

// throttledFor is how long a centre that is overloaded is left alone.
const throttledFor = time.Second

// understood is what an answer to submit_sm means (section 5.1.3).
func (c *Client) understood(answer pdu.PDU) (ref string, err error) {
	switch status := answer.GetHeader().CommandStatus; status {
	case data.ESME_ROK:
		if taken, ok := answer.(*pdu.SubmitSMResp); ok {
			ref = taken.MessageID
		}
		return ref, nil
	case data.ESME_RTHROTTLED, data.ESME_RMSGQFUL:
		c.mu.Lock()
		c.quiet = c.cfg.Clock.Now().Time().Add(throttledFor)
		c.mu.Unlock()
		return "", fmt.Errorf("%w: %s", notify.ErrNotTaken, status)
	case data.ESME_RSYSERR, data.ESME_RINVBNDSTS:
		return "", fmt.Errorf("%w: %s", notify.ErrNotTaken, status)
	default:
		return "", fmt.Errorf("%w: %s", notify.ErrRefused, status)
	}
}
