package pbx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"tenu/internal/care"
	"tenu/internal/hook"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/dial"
)

// Agents are told what agents do at their telephones; *centre.Queue is one.
type Agents interface {
	// Observe notes that whoever is at an extension speaks with a number (0: nobody knows which), or is free again. It returns
	// centre.ErrExtension when nobody is there. Noted before it changes nothing.
	Observe(ctx context.Context, extension, call string, number purchase.MSISDN, s centre.State) error
}

// Calls keep calls that ended; *centre.Recorder is one.
type Calls interface{ Add(c centre.Call) }

// The bounds of what comes in.
const (
	maxBody   = 16 << 10 // bytes: what the API takes of anybody
	maxEvents = 100      // of one request
	maxName   = 128      // bytes of a call's name
)

// Event is what the telephone system tells. Which fields it has depends on its type:
//
//	call.taken, call.missed    of a call that it was told to dial: the agent's phone was answered, or was not
//	call.spoke                 agent and customer hear each other
//	call.ended                 nothing rings and nobody is connected any more: Ring, Down
//	agent.talking, agent.free  of its own queue: Extension, and of talking Number
//	inbound.ended              a call of a customer's, answered by itself: Inbound
type Event struct {
	Type string `json:"type"`
	Call string `json:"call"` // its name: ours for what was dialled, the system's own otherwise

	Ring string `json:"ring,omitempty"` // as care.Ring names it: "busy", "no_answer", "unreachable", "voicemail", "declined", "undialled"
	Down bool   `json:"down,omitempty"` // nobody at all would be reached now

	Extension string `json:"extension,omitempty"`
	Number    string `json:"number,omitempty"`

	Inbound *Inbound `json:"inbound,omitempty"`
}

// Inbound is a call that the telephone system answered itself.
type Inbound struct {
	Trunk    string         `json:"trunk"`
	Number   string         `json:"number,omitempty"`
	Language string         `json:"language"`
	At       time.Time      `json:"at"`
	Answered time.Time      `json:"answered"`
	Queued   time.Time      `json:"queued,omitzero"`
	Taken    time.Time      `json:"taken,omitzero"`
	Ended    time.Time      `json:"ended"`
	Release  centre.Release `json:"release"`
}

// ServeHTTP takes signed events: 204 when all are taken, 401 for a signature that is wrong or old, 400 for what cannot be
// read, with the place, and nothing of it taken; 503 when it is to be told again.
func (p *PBX) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, fmt.Sprintf("more than %d bytes, or cut off", maxBody), http.StatusRequestEntityTooLarge)
		return
	}
	if err := hook.Verify(r.Header.Get(hook.HeaderSignature), body, p.cfg.Clock.Now().Time(), p.cfg.Secrets...); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	deeds, err := p.read(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for i, deed := range deeds {
		err := deed(r.Context())
		switch {
		case errors.Is(err, centre.ErrExtension): // somebody who has not signed on: not ours to follow
			p.cfg.Log.Info("an event of an unknown telephone", slog.Int("event", i))
		case err != nil:
			p.cfg.Log.Warn("an event is not taken", slog.Int("event", i), slog.Any("error", err))
			http.Error(w, fmt.Sprintf("events[%d]: tell it again", i), http.StatusServiceUnavailable)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// deed is what an event does.
type deed func(context.Context) error

// read reads the events of a request, all before any is done.
func (p *PBX) read(body []byte) ([]deed, error) {
	var request struct {
		Events []Event `json:"events"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, fmt.Errorf("not JSON as it is described: %w", err)
	}
	if len(request.Events) == 0 || len(request.Events) > maxEvents {
		return nil, fmt.Errorf("events: 1 to %d are read, not %d", maxEvents, len(request.Events))
	}
	deeds := make([]deed, 0, len(request.Events))
	for i := range request.Events {
		d, err := p.deed(&request.Events[i])
		if err != nil {
			return nil, fmt.Errorf("events[%d]: %w", i, err)
		}
		deeds = append(deeds, d)
	}
	return deeds, nil
}

// news is what events tell of calls that were dialled.
var news = map[string]dial.News{"call.taken": dial.Taken, "call.missed": dial.Missed, "call.spoke": dial.Spoke, "call.ended": dial.Ended}

// rings are the outcomes by their words.
var rings = map[string]care.Ring{care.Busy.String(): care.Busy, care.NoAnswer.String(): care.NoAnswer, care.Unreachable.String(): care.Unreachable,
	care.Voicemail.String(): care.Voicemail, care.Declined.String(): care.Declined, care.Undialled.String(): care.Undialled}

// deed checks an event, and returns what it does.
func (p *PBX) deed(e *Event) (deed, error) {
	if e.Call == "" || len(e.Call) > maxName {
		return nil, fmt.Errorf("call: a name of 1 to %d bytes is needed", maxName)
	}
	if n, of := news[e.Type]; of {
		heard := dial.Event{Call: e.Call, News: n, Down: e.Down}
		if n == dial.Ended {
			heard.Ring = care.Lost // after the two spoke it does not count; before that nobody knows
			if e.Ring != "" {
				ring, known := rings[e.Ring]
				if !known {
					return nil, fmt.Errorf("ring: %q is no outcome", e.Ring)
				}
				heard.Ring = ring
			}
		}
		return func(context.Context) error { p.cfg.Heard(heard); return nil }, nil
	}
	switch e.Type {
	case "agent.talking", "agent.free":
		return p.agent(e)
	case "inbound.ended":
		return p.inbound(e)
	}
	return nil, fmt.Errorf("type: %q is none", e.Type)
}

func (p *PBX) agent(e *Event) (deed, error) {
	number, err := p.number(e.Number)
	if err != nil {
		return nil, err
	}
	state := centre.Talking
	if e.Type == "agent.free" {
		state = centre.Wrapping
	}
	return func(ctx context.Context) error { return p.cfg.Agents.Observe(ctx, e.Extension, e.Call, number, state) }, nil
}

func (p *PBX) inbound(e *Event) (deed, error) {
	in := e.Inbound
	if in == nil {
		return nil, errors.New("inbound: it is needed")
	}
	number, err := p.number(in.Number)
	switch {
	case err != nil:
		return nil, err
	case !slices.Contains(centre.Releases, in.Release):
		return nil, fmt.Errorf("inbound.release: %q is none of %q", in.Release, centre.Releases)
	case len(in.Trunk) > maxName || len(in.Language) > 8:
		return nil, errors.New("inbound: a trunk or language of that length is none")
	}
	c := centre.Call{ID: "pbx-" + e.Call, Trunk: in.Trunk, Number: number, Language: purchase.Language(in.Language), At: at(in.At), Answered: at(in.Answered),
		Queued: at(in.Queued), Taken: at(in.Taken), Ended: at(in.Ended), Release: in.Release}
	if c.At <= 0 || c.Answered < c.At || c.Ended < max(c.Answered, c.Queued, c.Taken) || c.Queued != 0 && c.Queued < c.At ||
		c.Taken != 0 && c.Taken < max(c.Answered, c.Queued) || c.Ended > p.cfg.Clock.Now().Add(hook.ReplayWindow) {
		return nil, errors.New("inbound: its times are in no order that can be")
	}
	return func(context.Context) error { p.cfg.Calls.Add(c); return nil }, nil
}

// at is a time as it is kept, zero for none.
func at(t time.Time) purchase.Instant {
	if t.IsZero() {
		return 0
	}
	return purchase.At(t)
}

// number reads a number; "" is none.
func (p *PBX) number(text string) (purchase.MSISDN, error) {
	if text == "" {
		return 0, nil
	}
	n, ok := p.cfg.Number(text)
	if !ok {
		return 0, errors.New("number: it is none of the numbering plan")
	}
	return n, nil
}
