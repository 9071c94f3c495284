package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

// The pace and the bounds of streams.
const (
	maxStreams  = 2000
	beatEvery   = 15 * time.Second
	pollEvery   = 500 * time.Millisecond
	writeWithin = 10 * time.Second
)

// paces say how long a browser rests between two changes of what it looks at.
var paces = map[string]time.Duration{"board": 2 * time.Second, "queue": time.Second}

// pace is that of everything else.
const pace = 300 * time.Millisecond

// hub knows which browsers look at what, and tells them when it changes. What changes
// on this node it is told; what changes on others it reads, once for all who look.
type hub struct {
	c       *Console
	mu      sync.Mutex
	streams map[*stream]bool
	looking chan struct{} // somebody began to look

	agents map[auth.StaffID]centre.Agent // as they were told of

	incidents atomic.Bool // an incident or a pause changed here
}

// stream is one browser's. It keeps at most one event of each kind for a slow reader.
type stream struct {
	what     string // "customer/+226…", "purchase/K7M2-…", "case/D-…", "queue", …
	number   purchase.MSISDN
	purchase purchase.ID
	file     care.CaseID
	incident incident.ID
	staff    auth.StaffID
	name     string
	wake     chan struct{}
	ring     chan struct{} // the person's telephone changed: told at once, whatever the pace

	// Guarded by the hub.
	changed, presence bool
	seen              string                // what its banner says, by digest
	banner            bool                  // the banner says something else
	versions          map[purchase.ID]int64 // of the purchases it shows
	affected          map[purchase.ID]bool  // of those, which an incident is known to affect
	calls             int64                 // how often the callbacks of its number had changed
	telephone         int64                 // the version of the person's telephone that it was told of
}

func newHub(c *Console) *hub {
	return &hub{c: c, streams: map[*stream]bool{}, looking: make(chan struct{}, 1), agents: map[auth.StaffID]centre.Agent{}}
}

// add lets a browser look; ok is false when there are too many.
func (h *hub) add(s *stream) (ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.streams) >= maxStreams {
		return false
	}
	h.streams[s] = true
	h.present(s.what)
	select {
	case h.looking <- struct{}{}:
	default:
	}
	return true
}

func (h *hub) remove(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, s)
	h.present(s.what)
}

// present tells those who look at the same thing that somebody came or went.
func (h *hub) present(what string) {
	if what == "desk" { // pages that say nothing of who else looks
		return
	}
	for s := range h.streams {
		if s.what == what {
			s.presence = true
			s.signal()
		}
	}
}

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// others are the names of those who look at the same thing, but one.
func (h *hub) others(what string, but auth.StaffID) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for s := range h.streams {
		if s.what == what && s.staff != but && !slices.Contains(names, s.name) {
			names = append(names, s.name)
		}
	}
	slices.Sort(names)
	return names
}

// changed tells whoever looks at what changed. Lists change with everything in them.
func (h *hub) changed(x care.Changed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		if s.sees(&x) {
			s.change()
		}
	}
}

// change notes that what is looked at changed. The hub is locked.
func (s *stream) change() {
	s.changed = true
	s.signal()
}

// lists reports whether the browser looks at a list of things.
func (s *stream) lists() bool { return s.number == 0 && s.purchase == 0 && s.file == 0 }

// sees reports whether a change shows in what the browser looks at.
func (s *stream) sees(x *care.Changed) bool {
	switch {
	case s.what == "desk", s.what == "incidents", s.incident != 0:
		return false // glanceIncidents sees to them
	case !s.lists():
		return s.number != 0 && s.number == x.Number || s.purchase != 0 && s.purchase == x.Purchase || s.file != 0 && s.file == x.Case
	case s.what == "approvals":
		return x.Request != 0
	case s.what == "calls":
		return x.Callback != 0
	}
	return true
}

// run reads what purchases and other nodes changed while somebody looks.
func (h *hub) run(ctx context.Context) {
	g := &glimpse{since: h.c.cfg.Clock.Now()}
	for ctx.Err() == nil {
		h.mu.Lock()
		busy := len(h.streams) > 0
		h.mu.Unlock()
		if !busy {
			select {
			case <-ctx.Done():
				return
			case <-h.looking:
				g = &glimpse{since: h.c.cfg.Clock.Now().Add(-time.Second)}
			}
		}
		h.glance(ctx, g)
		select {
		case <-ctx.Done():
		case <-h.c.cfg.Clock.After(pollEvery):
		}
	}
}

// errNothing: there is nothing like that to look at, or not for this person.
var errNothing = errors.New("console: nothing to look at")

// streamOf is what a browser asks to be told of: what its page shows, and no more.
func (v *visit) streamOf() (*stream, error) {
	s := &stream{what: v.query("what"), seen: cut(v.query("seen"), 40), staff: v.who.ID, name: v.who.Name, wake: make(chan struct{}, 1), ring: make(chan struct{}, 1),
		versions: map[purchase.ID]int64{}, affected: map[purchase.ID]bool{}}
	ctx := v.r.Context()
	kind, name, named := strings.Cut(s.what, "/")
	number := purchase.MSISDN(0)
	switch kind {
	case "customer":
		n, _, err := v.cfg.Numbers.Parse(name)
		if err != nil {
			return nil, errNothing
		}
		s.number, number = n, n
		list, err := v.cfg.Purchases.List(ctx, purchase.Page{Number: n, Limit: perPage})
		if err != nil {
			return nil, err
		}
		for i := range list {
			if list[i].ClosedAt == 0 {
				s.versions[list[i].ID] = list[i].Version
			}
		}
		calls, err := v.cfg.Store.Calls(ctx, n)
		if err != nil {
			return nil, err
		}
		s.calls = calls[n]
	case "purchase":
		id, err := v.cfg.References.Parse(name)
		if err != nil {
			return nil, errNothing
		}
		records, err := v.cfg.Purchases.Load(ctx, id)
		if err != nil || len(records) == 0 {
			return nil, errors.Join(err, errNothing)
		}
		s.purchase, number, s.versions[id] = id, records[0].Purchase.PayerNumber, records[0].Purchase.Version
	case "case":
		id, err := v.cfg.Care.ParseCase(name)
		if err != nil {
			return nil, errNothing
		}
		c, err := v.cfg.Care.Case(ctx, id)
		if err != nil {
			return nil, err
		}
		s.file, number = id, c.Number
		if c.Purchase != 0 {
			records, err := v.cfg.Purchases.Load(ctx, c.Purchase)
			if err != nil || len(records) == 0 {
				return nil, errors.Join(err, errNothing)
			}
			s.versions[c.Purchase] = records[0].Purchase.Version
		}
	case "incident":
		in, err := v.incidentNamed(name)
		s.incident = in.ID
		return s, err
	case "queue", "approvals", "calls", "board", "incidents", "desk":
		if !named {
			return s, nil
		}
		return nil, errNothing
	default:
		return nil, errNothing
	}
	if ok, err := v.looked(number); err != nil || !ok {
		return nil, errors.Join(err, errNothing)
	}
	return s, nil
}

// live streams what changes as server-sent events (WHATWG HTML, section 9.2): "changed"
// when what is looked at should be fetched again, "incident" when the banner should be,
// "telephone" when the person's own changed, "presence" with who else looks. A stream begins with "changed", so that nothing is missed between a page and its stream,
// or two streams.
func (c *Console) live(v *visit) {
	s, err := v.streamOf()
	if err != nil || !v.may(auth.SeeQueues) {
		v.w.WriteHeader(http.StatusNoContent) // which a browser does not come back after
		return
	}
	s.changed = s.what != "desk"
	if !c.hub.add(s) {
		v.w.Header().Set("Retry-After", "30")
		v.w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer c.hub.remove(s)
	v.catchUp(s)
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(v.w)
	write := func(text string) bool {
		if out.SetWriteDeadline(c.cfg.Clock.Now().Time().Add(writeWithin)) != nil {
			return false
		}
		_, err := v.w.Write([]byte(text))
		return err == nil && out.Flush() == nil
	}
	if write("retry: 1000\n\n") {
		v.follow(s, write)
	}
}

// follow writes what happens to a stream until the browser or this node goes. After a
// change it rests, and then tells what came meanwhile as one.
func (v *visit) follow(s *stream, write func(string) bool) {
	ctx := v.r.Context()
	var updates <-chan purchase.Purchase
	if s.purchase != 0 {
		watch, stop := v.cfg.Engine.Watch(s.purchase)
		defer stop()
		updates = watch
	}
	wake, beat := s.wake, v.cfg.Clock.After(beatEvery)
	var rested <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.draining:
			return
		case _, open := <-updates:
			if !open {
				updates = nil // closed here; the poll has the rest
			}
			v.hub.mu.Lock()
			s.change()
			v.hub.mu.Unlock()
		case <-beat:
			if !v.beat(ctx, write) {
				return
			}
			beat = v.cfg.Clock.After(beatEvery)
		case <-s.ring:
			if !write("event: telephone\ndata:\n\n") {
				return
			}
		case <-rested:
			wake, rested = s.wake, nil
		case <-wake:
			if !v.tell(s, write) {
				return
			}
			wake, rested = nil, v.cfg.Clock.After(cmp.Or(paces[s.what], pace))
		}
	}
}

// beat keeps a stream open for whoever is still signed in.
func (v *visit) beat(ctx context.Context, write func(string) bool) bool {
	if _, _, err := v.cfg.Staff.Still(ctx, v.SessionToken()); errors.Is(err, auth.ErrSignIn) {
		write("event: over\ndata:\n\n") // signed out, revoked, or idle
		return false
	}
	return write(": still here\n\n")
}

// tell writes what is new to a stream.
func (v *visit) tell(s *stream, write func(string) bool) bool {
	v.hub.mu.Lock()
	changed, presence, banner := s.changed, s.presence, s.banner
	s.changed, s.presence, s.banner = false, false, false
	v.hub.mu.Unlock()
	if presence {
		text := ""
		if names := v.hub.others(s.what, s.staff); len(names) > 0 {
			text = template.HTMLEscapeString(v.Say("here_too", "Names", strings.Join(names, ", ")))
		}
		if !write(fmt.Sprintf("event: presence\ndata: %s\n\n", strings.ReplaceAll(text, "\n", " "))) {
			return false
		}
	}
	if banner && !write("event: incident\ndata:\n\n") {
		return false
	}
	return !changed || write("event: changed\ndata:\n\n")
}

type keysPage struct{ frame }

// keys lists what the keyboard does.
func (c *Console) keys(v *visit) { v.show(http.StatusOK, "keys", &keysPage{v.frame("")}) }
