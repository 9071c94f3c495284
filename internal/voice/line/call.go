package line

import (
	"context"
	"errors"
	"fmt"
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

// ErrHungUp is why a call is over when the other end hung up.
var ErrHungUp = errors.New("the other end hung up")

// Other ends of a call.
var (
	errHungUp  = errors.New("hung up")
	errClosing = errors.New("the line closes")
	errLost    = errors.New("nothing is heard of the other end any more")
	errExpired = errors.New("the session was not refreshed")
	errNoACK   = errors.New("an answer was never acknowledged")
)

// Call is a call that was answered, by us or by whom we called. It is safe for concurrent
// use, but only one may talk in it.
type Call struct {
	Caller   purchase.MSISDN // 0: nobody vouches for a number, or it is a call of ours
	Trunk    string
	Language string // may be changed by whoever serves it
	// Unrecorded says that the caller refused to be recorded, once whoever serves the call knows.
	Unrecorded bool
	At         purchase.Instant

	line      *Line
	stream    *media.Stream
	dialog    *dialog
	forgotten func() // what is kept of a call of ours, given back

	ctx       context.Context //nolint:containedctx // a call's life is one: it ends when the call is over
	end       context.CancelCauseFunc
	ended     chan struct{} // closed when the other end knows and nothing is held
	session   atomic.Pointer[session]
	refreshed chan struct{}

	mu        sync.Mutex
	acks      map[uint32]chan struct{} // of answers that wait for one, by number
	answering bool                     // the offer was ours, and the answer comes with the ACK
}

// begin makes a call of a dialog. It ends by run.
func (l *Line) begin(d *dialog, stream *media.Stream, s session) *Call {
	c := &Call{line: l, stream: stream, dialog: d, Language: l.cfg.Language, At: l.cfg.Clock.Now(), forgotten: func() {},
		ended: make(chan struct{}), refreshed: make(chan struct{}, 1), acks: map[uint32]chan struct{}{}}
	if d.trunk != nil {
		c.Trunk = d.trunk.Name
	}
	c.session.Store(&s)
	c.ctx, c.end = context.WithCancelCause(context.Background())
	l.keep(c)
	return c
}

// Done is closed when the call is over; then Err says why: ErrHungUp when the other end did it.
func (c *Call) Done() <-chan struct{} { return c.ctx.Done() }

// Err is why the call is over, nil while it is not.
func (c *Call) Err() error { return context.Cause(c.ctx) }

// HangUp ends the call, if it is not over. It does not wait until the other end knows.
func (c *Call) HangUp() { c.end(errHungUp) }

// gone is why nobody is there to talk to, or to whom nobody wants to talk any more; nil while neither is.
func (c *Call) gone(ctx context.Context) error {
	if err := c.Err(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// Say says a phrase to its end, or until a key is pressed, which Key then returns. It returns
// an error when the call is over.
func (c *Call) Say(ctx context.Context, key string, values map[string]speech.Value) error {
	law := c.stream.Law()
	var clips [][]byte
	for _, clip := range c.line.cfg.Voices.Say(c.Language, key, values) {
		clips = append(clips, c.line.cfg.Sounds.Clip(law, c.line.cfg.Voices.Known(c.Language), clip))
	}
	return c.play(ctx, clips)
}

func (c *Call) play(ctx context.Context, clips [][]byte) error {
	if len(c.stream.Keys()) > 0 { // who types ahead knows what is said
		return c.gone(ctx)
	}
	select {
	case <-c.stream.Play(clips...):
	case <-ctx.Done():
		c.stream.Play()
	case <-c.Done():
	}
	return c.gone(ctx)
}

// Key waits for a key, and returns 0 when none is pressed in time. An error says that the call is over.
func (c *Call) Key(ctx context.Context, within time.Duration) (byte, error) {
	select {
	case key := <-c.stream.Keys():
		return key, nil
	case <-c.line.cfg.Clock.After(within):
		return 0, nil
	case <-ctx.Done():
	case <-c.Done():
	}
	return 0, c.gone(ctx)
}

// Digits waits for digits up to a "#", or so many, each within a time of the one before.
func (c *Call) Digits(ctx context.Context, most int, within time.Duration) (string, error) {
	var typed strings.Builder
	for typed.Len() < most {
		key, err := c.Key(ctx, within)
		if err != nil {
			return "", err
		}
		if key == 0 || key == '#' {
			break
		}
		if key >= '0' && key <= '9' {
			typed.WriteByte(key)
		}
	}
	return typed.String(), nil
}

// Law is the law that the call is spoken in.
func (c *Call) Law() sound.Law { return c.stream.Law() }

// Bridge lets two calls hear each other until one of them is over. It returns nil when the
// other one is, so that there is still somebody to talk to, and an error when this one is or ctx has ended.
func (c *Call) Bridge(ctx context.Context, other *Call) error {
	media.Bridge(c.stream, other.stream)
	defer c.stream.Part()
	select {
	case <-c.Done():
	case <-other.Done():
	case <-ctx.Done():
	}
	return c.gone(ctx)
}

// run keeps the call alive until it is over; then it tells the other end and gives everything back.
func (c *Call) run() {
	defer close(c.ended)
	failed := false // the last refresh
	for c.Err() == nil {
		s := *c.session.Load()
		var due <-chan time.Time
		switch {
		case s.seconds == 0:
		case s.ours && !failed:
			due = c.line.cfg.Clock.After(s.half())
		case s.ours:
			due = c.line.cfg.Clock.After(s.patience() - s.half())
		default:
			due = c.line.cfg.Clock.After(s.patience())
		}
		select {
		case <-c.ctx.Done():
		case <-c.stream.Lost():
			c.end(errLost)
		case <-c.refreshed:
			failed = false
		case <-due:
			if !s.ours || failed {
				c.end(errExpired)
			} else if err := c.refresh(); err != nil {
				c.line.cfg.Log.Debug("a session was not refreshed", "error", err)
				failed = true
			}
		}
	}
	c.bury()
}

// bury tells the other end that the call is over, unless it said so itself.
func (c *Call) bury() {
	c.stream.Close()
	if !errors.Is(c.Err(), ErrHungUp) {
		ctx, cancel := context.WithTimeout(context.Background(), byeWithin)
		defer cancel()
		if err := c.dialog.bye(ctx); err != nil {
			c.line.cfg.Log.Debug("a BYE was not answered", "error", err)
		}
	}
	c.line.forget(c)
	c.forgotten()
}

// byeWithin is how long a call that is over is kept until the other end has said that it knows.
const byeWithin = 5 * time.Second

// refresh keeps the session alive when it is for us to do: with an UPDATE, which disturbs
// nothing, or where that is not understood with an INVITE.
func (c *Call) refresh() error {
	ctx, cancel := context.WithTimeout(c.ctx, byeWithin)
	defer cancel()
	s := *c.session.Load()
	req := c.dialog.request(sip.UPDATE)
	s.ask(req, ";refresher=uac")
	res, _, err := c.dialog.ask(ctx, req)
	if err == nil && (res.StatusCode == sip.StatusMethodNotAllowed || res.StatusCode == sip.StatusNotImplemented) {
		res, err = c.reinvite(ctx, s)
	}
	switch {
	case err != nil:
		return err
	case res.StatusCode == sip.StatusRequestTimeout || res.StatusCode == sip.StatusCallTransactionDoesNotExists:
		c.end(fmt.Errorf("%w: %d", errExpired, res.StatusCode))
		return nil
	case !res.IsSuccess():
		return fmt.Errorf("the session: %d", res.StatusCode)
	}
	next := granted(res)
	if next.seconds == 0 {
		next = s
	}
	c.session.Store(&next)
	return nil
}

// reinvite offers what is agreed once more.
func (c *Call) reinvite(ctx context.Context, s session) (*sip.Response, error) {
	req := c.dialog.request(sip.INVITE)
	s.ask(req, ";refresher=uac")
	req.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	req.SetBody(c.stream.Offer())
	res, last, err := c.dialog.ask(ctx, req)
	if err != nil || !res.IsSuccess() {
		return res, err
	}
	if err := c.line.client.WriteRequest(c.dialog.ack(last.CSeq().SeqNo), sipgo.ClientRequestAddVia); err != nil {
		return nil, err
	}
	c.dialog.moved(res.Contact())
	return res, c.stream.Answered(res.Body())
}

// alive takes a refresh of the other end.
func (c *Call) alive(s session) {
	c.session.Store(&s)
	select {
	case c.refreshed <- struct{}{}:
	default:
	}
}
