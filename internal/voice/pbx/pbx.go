// Package pbx lets an operator's own telephone system take the place of the SIP server. Commands go out and events
// come in as JSON over HTTP, signed as webhooks are (Tenu-Signature). Both may be repeated: a command has the name of its
// call, and an event that was told before changes nothing. docs/VOICE.md describes them for those who write the other side.
package pbx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"tenu/internal/care"
	"tenu/internal/hook"
	"tenu/internal/purchase"
	"tenu/internal/voice/dial"
)

// HeaderCommand names a command: the same for every try.
const HeaderCommand = "Tenu-Command-Id"

// The times and bounds of commands.
const (
	tryFor     = 3 * time.Second  // one request
	commandFor = 20 * time.Second // from a command's first try to its last: a phone that rings later rings too late
	retryAfter = time.Second
	maxAnswer  = 4 << 10 // bytes of an answer that are read; nothing in it matters
	maxUnder   = 1000    // commands under way
)

// Config is what a telephone system is reached by. All of it is needed.
type Config struct {
	URL     string   // where commands are posted
	Secrets [][]byte // the first signs commands; any signs events
	Clock   purchase.Clock
	Log     *slog.Logger
	Heard   func(dial.Event) // never waits
	Agents  Agents
	Calls   Calls
	Number  func(text string) (purchase.MSISDN, bool)
}

// PBX is a telephone system. It is safe for concurrent use.
type PBX struct {
	cfg    Config
	client *http.Client
	under  chan struct{} // a place for each command under way

	mu     sync.Mutex
	closed bool
	group  sync.WaitGroup
	ctx    context.Context //nolint:containedctx // of commands, which end with the system
	cancel context.CancelFunc
}

// New returns a telephone system that nothing was said to yet, or what of the configuration cannot be.
func New(cfg Config) (*PBX, error) {
	if cfg.URL == "" || len(cfg.Secrets) == 0 || cfg.Clock == nil || cfg.Log == nil || cfg.Heard == nil || cfg.Agents == nil || cfg.Calls == nil || cfg.Number == nil {
		return nil, errors.New("pbx: something that is needed is missing")
	}
	for _, secret := range cfg.Secrets {
		if len(secret) < hook.MinSecret {
			return nil, fmt.Errorf("pbx: a secret of at least %d bytes is needed", hook.MinSecret)
		}
	}
	p := &PBX{cfg: cfg, under: make(chan struct{}, maxUnder), client: &http.Client{
		Timeout:       tryFor,
		Transport:     &http.Transport{MaxConnsPerHost: 16, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: tryFor},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Command is what the telephone system is told to do.
type Command struct {
	ID   string    `json:"id"`
	Type string    `json:"type"` // "dial", "hangup"
	At   time.Time `json:"at"`
	Call string    `json:"call"` // its name, which events repeat

	// Of dial alone.
	Extension     string `json:"extension,omitempty"` // the agent's
	Number        string `json:"number,omitempty"`    // the customer's, as +226…
	Language      string `json:"language,omitempty"`
	Late          bool   `json:"late,omitempty"`           // an apology is due: a promise was broken
	CustomerFirst bool   `json:"customer_first,omitempty"` // the customer's phone rings before the agent's
	Asked         bool   `json:"asked,omitempty"`          // the agent asked for the call and need not be asked
}

// Call is dial.Phones: it returns at once. When the telephone system refuses or is certainly not reached, nothing rings, and
// that is told as the call's end; when its answer is lost, its events tell what became of the call.
func (p *PBX) Call(_ context.Context, c dial.Call) error {
	return p.order(&Command{ID: c.Name, Type: "dial", At: p.cfg.Clock.Now().Time(), Call: c.Name, Extension: c.Extension, Number: c.Number.String(),
		Language: string(c.Language), Late: c.Late, CustomerFirst: c.CustomerFirst, Asked: c.Asked})
}

// HangUp is dial.Phones.
func (p *PBX) HangUp(name string) {
	if err := p.order(&Command{ID: name + "/hangup", Type: "hangup", At: p.cfg.Clock.Now().Time(), Call: name}); err != nil {
		p.cfg.Log.Warn("a call is not hung up", slog.String("call", name), slog.Any("error", err))
	}
}

// Close gives up what is not taken yet, and returns when nothing is under way.
func (p *PBX) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.group.Wait()
	p.client.CloseIdleConnections()
}

// order has a command told, in a goroutine of its own.
func (p *PBX) order(c *Command) error {
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("%w: %w", dial.ErrUndialled, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return dial.ErrUndialled
	}
	select {
	case p.under <- struct{}{}:
	default:
		return fmt.Errorf("%w: %d commands are under way", dial.ErrUndialled, maxUnder)
	}
	p.group.Go(func() {
		defer func() { <-p.under }()
		p.tell(c, body)
	})
	return nil
}

// tell tells a command until it is taken, refused, or too old.
func (p *PBX) tell(c *Command, body []byte) {
	reached := false // perhaps
	for {
		sure, err := p.post(c.ID, body)
		if err == nil {
			return
		}
		reached = reached || !sure
		p.cfg.Log.Warn("a command is not taken", slog.String("command", c.ID), slog.Any("error", err))
		var refused *refusal
		if errors.As(err, &refused) || p.ctx.Err() != nil || p.cfg.Clock.Now().Time().After(c.At.Add(commandFor)) {
			if c.Type == "dial" && !reached {
				p.cfg.Heard(dial.Event{Call: c.Call, News: dial.Ended, Ring: care.Undialled, Down: refused == nil})
			}
			return
		}
		select {
		case <-p.cfg.Clock.After(retryAfter):
		case <-p.ctx.Done():
		}
	}
}

// refusal is an answer that says no, for good.
type refusal struct{ status int }

func (r *refusal) Error() string { return fmt.Sprintf("refused by %d", r.status) }

// post tells a command once. After an error, sure says that it certainly was not taken.
func (p *PBX) post(id string, body []byte) (sure bool, err error) {
	req, err := http.NewRequestWithContext(p.ctx, http.MethodPost, p.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return true, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(HeaderCommand, id)
	req.Header.Set(hook.HeaderSignature, hook.Sign(body, p.cfg.Clock.Now().Time(), p.cfg.Secrets[0]))
	answer, err := p.client.Do(req)
	if err != nil {
		var refused *net.OpError
		return errors.As(err, &refused) && refused.Op == "dial", err
	}
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
	_ = answer.Body.Close()
	switch {
	case answer.StatusCode/100 == 2:
		return false, nil
	case answer.StatusCode/100 == 4 && answer.StatusCode != http.StatusRequestTimeout && answer.StatusCode != http.StatusTooManyRequests:
		return true, &refusal{answer.StatusCode}
	case answer.StatusCode == http.StatusTooManyRequests:
		return true, fmt.Errorf("answered by %d", answer.StatusCode)
	}
	return false, fmt.Errorf("answered by %d", answer.StatusCode)
}
