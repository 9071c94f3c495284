package line

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"tenu/internal/purchase"
	"tenu/internal/voice/media"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
)

// ErrHungUp is why a call's context ended when the caller did it.
var ErrHungUp = errors.New("the caller hung up")

// Other ends of a call.
var (
	errHungUp  = errors.New("hung up")
	errClosing = errors.New("the line closes")
	errLost    = errors.New("nothing is heard of the caller any more")
	errExpired = errors.New("the session was not refreshed")
)

// Call is a call that was answered.
type Call struct {
	Caller   purchase.MSISDN // 0: nobody vouches for a number
	Trunk    string
	Language string // may be changed by whoever serves it
	At       purchase.Instant

	line    *Line
	stream  *media.Stream
	dialog  *sipgo.DialogServerSession
	end     context.CancelCauseFunc
	timer   sessionTime
	refresh atomic.Int64 // when the session was refreshed last
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
		return context.Cause(ctx)
	}
	select {
	case <-c.stream.Play(clips...):
	case <-ctx.Done():
		c.stream.Play()
	}
	return context.Cause(ctx)
}

// Key waits for a key, and returns 0 when none is pressed in time. An error says that the call is over.
func (c *Call) Key(ctx context.Context, within time.Duration) (byte, error) {
	select {
	case key := <-c.stream.Keys():
		return key, nil
	case <-c.line.cfg.Clock.After(within):
		return 0, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
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

// hangUp ends the call from our side, if it is not over.
func (c *Call) hangUp() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.dialog.Bye(ctx); err != nil {
		c.line.cfg.Log.Debug("a BYE was not answered", "error", err)
	}
	_ = c.dialog.Close() // never fails
}

// watch ends the call when nothing is heard any more, or its session expires.
func (c *Call) watch(ctx context.Context) {
	c.refreshed()
	for {
		var expired <-chan time.Time
		if c.timer.seconds > 0 {
			left := purchase.Instant(c.refresh.Load()).Add(c.timer.patience()).Sub(c.line.cfg.Clock.Now())
			if left <= 0 {
				c.end(errExpired)
				return
			}
			expired = c.line.cfg.Clock.After(left)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.stream.Lost():
			c.end(errLost)
			return
		case <-expired:
		}
	}
}

func (c *Call) refreshed() { c.refresh.Store(int64(c.line.cfg.Clock.Now())) }

// minSession is the shortest interval of a session's refreshes that is taken, in
// seconds (RFC 4028, section 4).
const minSession = 90

// sessionTime is how often a session must be refreshed by the caller's side; 0 for never.
type sessionTime struct{ seconds int }

// sessionTimer reads how often the caller refreshes the session (RFC 4028, section 9); ok is
// false when that is too often.
func sessionTimer(req *sip.Request) (t sessionTime, ok bool) {
	h := req.GetHeader("Session-Expires")
	if h == nil {
		h = req.GetHeader("x") // its compact form
	}
	if h == nil {
		return t, true
	}
	text, _, _ := strings.Cut(h.Value(), ";")
	seconds, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || seconds > 1<<20 {
		return t, true
	}
	return sessionTime{seconds}, seconds >= minSession
}

// mark says in an answer that the caller refreshes.
func (t sessionTime) mark(answer *sip.Response) {
	if t.seconds > 0 {
		answer.AppendHeader(sip.NewHeader("Session-Expires", strconv.Itoa(t.seconds)+";refresher=uac"))
		answer.AppendHeader(sip.NewHeader("Require", "timer"))
	}
	answer.AppendHeader(sip.NewHeader("Allow", methods))
}

// patience is when a side that is not refreshed gives up (RFC 4028, section 10).
func (t sessionTime) patience() time.Duration {
	return time.Duration(t.seconds-min(32, t.seconds/3)) * time.Second
}
