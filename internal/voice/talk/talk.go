// Package talk is what a caller of line 121 hears and may choose: where the last purchase
// stands, a report, a callback, an agent, another number, the language. It knows nothing of
// SIP, of recordings, or of how a purchase is decided.
//
// Nothing that a call does is done twice: a report, a promise and a case are each the one
// that stands already, whoever hangs up and calls again.
package talk

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/line"
	"tenu/internal/voice/speech"
)

// channel is what reports and callbacks are known by that were asked for on the telephone.
const channel = "voice"

// Incidents reads incidents and whom they affect; *store.Store is one.
type Incidents interface {
	Incidents(ctx context.Context, q incident.Query) ([]incident.Incident, error)
	// Affects returns the incidents that a purchase is linked to: one at most.
	Affects(ctx context.Context, p purchase.ID) ([]incident.ID, error)
}

// Place is a caller's in the queue.
type Place interface {
	// Given brings an agent who was claimed for the caller: another one when the one before
	// did not take the call.
	Given() <-chan centre.Agent
	// At is 1 for who is next.
	At() int
	// Leave leaves the queue, and gives an agent back who was given and not connected. It is idempotent.
	Leave()
}

// Agents are those who can be spoken with.
type Agents interface {
	// Open reports whether it is time, and an agent is there.
	Open() bool
	// Estimate is how long a caller would wait now, and at which place. ok is false when nobody can say, or it is too long.
	Estimate(first bool) (place int, least, most time.Duration, ok bool)
	// Enter lets a caller wait. An error says that there is no room.
	Enter(w centre.Waiter) (Place, error)
	// Connect lets an agent's telephone ring and, once it is answered, the two speak until one
	// of them hangs up. It returns when the agent took the call, zero for one who did not.
	Connect(ctx context.Context, c *line.Call, a centre.Agent) (taken purchase.Instant, err error)
}

// Phone is what a conversation needs of a call. *line.Call is one.
type Phone interface {
	// Say says a phrase to its end, or until a key is pressed. An error says that the call is over.
	Say(ctx context.Context, key string, values map[string]speech.Value) error
	// Key waits for a key, and returns 0 when none is pressed in time.
	Key(ctx context.Context, within time.Duration) (byte, error)
	// Digits waits for digits up to a "#", or so many, each within a time of the one before.
	Digits(ctx context.Context, most int, within time.Duration) (string, error)
}

// Config is what a Talk is built from. All of it is needed but Consent and Patience.
type Config struct {
	Customers *customer.Desk
	Care      *care.Desk
	Incidents Incidents
	// Serves are the series of incidents that a number depends on, whatever is bought: its
	// operator, and the providers of that.
	Serves func(purchase.MSISDN) []incident.Series
	Codes  *auth.Codes
	Send   func(number purchase.MSISDN, language, code string) error // a one-time code, by SMS
	Number func(text string) (purchase.MSISDN, bool)                 // a number as people type it
	Agents Agents
	Hours  care.Hours // in which agents answer; its zone is the one that times are said in
	Voices *speech.Voices
	Clock  purchase.Clock
	Log    *slog.Logger
	NewID  func() string // of a call
	// Record is given each call once it is over. It must not wait.
	Record func(centre.Call)
	// Consent says that calls with agents may be recorded. Then callers are told, and may refuse.
	Consent bool
	// Patience is how long the store is waited for (default 4 s).
	Patience time.Duration
}

// Talk serves calls. It is safe for concurrent use.
type Talk struct{ cfg Config }

// New returns a Talk, or an error that says what is missing.
func New(cfg Config) (*Talk, error) {
	if cfg.Customers == nil || cfg.Care == nil || cfg.Incidents == nil || cfg.Serves == nil || cfg.Codes == nil || cfg.Send == nil || cfg.Number == nil ||
		cfg.Agents == nil || cfg.Hours.Location == nil || cfg.Voices == nil || cfg.Clock == nil || cfg.Log == nil || cfg.NewID == nil || cfg.Record == nil {
		return nil, errors.New("talk: something that is needed is missing")
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 4 * time.Second
	}
	return &Talk{cfg}, nil
}

// Serve talks with a caller to the end of the call. It is line.Config.Serve.
func (t *Talk) Serve(ctx context.Context, c *line.Call) { t.over(ctx, c).run((*conversation).serve) }

// Overload tells a caller that all lines are taken, and promises a callback to a number that is
// vouched for. It is line.Config.Overload.
func (t *Talk) Overload(ctx context.Context, c *line.Call) {
	t.over(ctx, c).run((*conversation).overload)
}

// over is a conversation over a call.
func (t *Talk) over(ctx context.Context, c *line.Call) *conversation {
	v := t.begin(ctx, c, centre.Call{Trunk: c.Trunk, Number: c.Caller, Language: purchase.Language(c.Language), At: c.At})
	v.speak = func(language string) { c.Language = language }
	v.connect = func(ctx context.Context, a centre.Agent) (purchase.Instant, error) {
		c.Unrecorded = v.call.Unrecorded
		return t.cfg.Agents.Connect(ctx, c, a)
	}
	return v
}

// begin is a conversation that was not begun yet.
func (t *Talk) begin(ctx context.Context, phone Phone, call centre.Call) *conversation {
	call.ID, call.Answered, call.Release = t.cfg.NewID(), t.cfg.Clock.Now(), centre.Abandoned
	return &conversation{Talk: t, phone: phone, ctx: ctx, call: call, number: call.Number}
}
