package incident

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"tenu/internal/purchase"
)

// PauseStore keeps pauses; a Store is one.
type PauseStore interface {
	ChangePause(ctx context.Context, p Pause) (Pause, error)
	Pauses(ctx context.Context, since purchase.Instant) ([]Pause, error)
	CountRefused(ctx context.Context, all []Refused) error
}

// SwitchConfig is what a switch is built from. Store, Clock and Known are needed.
type SwitchConfig struct {
	Store PauseStore
	Clock purchase.Clock
	// Known reports whether there is such a product, partner, channel or operator.
	Known func(Series) bool
	// Operator is the recipient's, "" where nobody knows; nil knows of none.
	Operator func(purchase.MSISDN) string
	// Passes marks what is sold whatever is paused: the house's own gifts and canaries.
	Passes func(*purchase.Request) bool
	// Canary probes; nil keeps this node from reopening anything by itself.
	Canary Canary
	// Reading counts purchases of a series that were charged since an instant: all, those
	// credited, and those not credited in time; what is neither is still awaited. It must
	// not wait. Nil sees no purchases: then shares grow by probes only.
	Reading func(s Series, since purchase.Instant) (paid, credited, failed int64)
	Ramp    Ramp
	// Changed is told of each change that this switch made durable, once it holds, one at a
	// time. It must not ask the switch for another one.
	Changed func(Pause)
	// Every is how often the pauses of other nodes are looked for (default 500 ms).
	Every time.Duration
}

// Switch refuses purchases of what is paused, before the charge, and reopens it step by
// step. It is safe for concurrent use.
type Switch struct {
	cfg    SwitchConfig
	closed atomic.Pointer[closedSet] // nil while nothing is paused
	wake   chan struct{}

	stepping sync.Mutex      // one Step at a time
	probes   map[int64]int64 // by pause, the last probe that this node began; of Step
	changing sync.Mutex      // one change at a time, told in their order

	mu    sync.Mutex
	known map[int64]knownPause // that last, or ended not long ago
	heard int64                // counts Apply
	// refused counts by pause what is not written yet; a pause that is forgotten is left out once it is.
	refused map[int64]*atomic.Int64
}

// knownPause is a pause with when this node heard of it.
type knownPause struct {
	Pause
	heard int64
}

// NewSwitch returns a switch that knows of no pause until its first Step.
func NewSwitch(cfg SwitchConfig) (*Switch, error) {
	if cfg.Store == nil || cfg.Clock == nil || cfg.Known == nil {
		return nil, errors.New("incident: a switch needs store, clock and known")
	}
	if err := cfg.Ramp.fill(); err != nil {
		return nil, err
	}
	if cfg.Operator == nil {
		cfg.Operator = func(purchase.MSISDN) string { return "" }
	}
	if cfg.Passes == nil {
		cfg.Passes = func(*purchase.Request) bool { return false }
	}
	if cfg.Reading == nil {
		cfg.Reading = func(Series, purchase.Instant) (paid, credited, failed int64) { return 0, 0, 0 }
	}
	if cfg.Changed == nil {
		cfg.Changed = func(Pause) {}
	}
	if cfg.Every <= 0 {
		cfg.Every = 500 * time.Millisecond
	}
	return &Switch{cfg: cfg, wake: make(chan struct{}, 1), probes: map[int64]int64{}, known: map[int64]knownPause{}, refused: map[int64]*atomic.Int64{}}, nil
}

// closedSet is what is paused, by name. It never changes.
type closedSet struct {
	product, provider, payer, channel, operator map[string]*closing
}

// closing is one pause as purchases are held against it.
type closing struct {
	id      int64
	share   int
	err     error
	refused *atomic.Int64 // since it was last written
}

// open reports whether a purchase for a line is let through. The draw rests on the
// pause and the line that is to be credited, and on nothing that a customer can choose
// anew: who is refused is refused however often he tries, by whatever channel, product,
// payer or key, and who is let through stays so as the share grows. For nobody's line,
// as in a list for everybody, only what lets nobody through is closed.
func (c *closing) open(line purchase.MSISDN) bool {
	if c == nil {
		return true
	}
	if line == 0 {
		return c.share > 0
	}
	return draw(c.id, line) < c.share
}

// draw is a number from 0 to 999, evenly over the lines, and anew for each pause.
func draw(pause int64, line purchase.MSISDN) int {
	x := scatter(uint64(line) ^ scatter(uint64(pause))) //nolint:gosec // any bits will do
	high, _ := bits.Mul64(x, whole)
	return int(high) //nolint:gosec // below 1000
}

// scatter is the finalizer of SplitMix64: every bit of the result hangs on every bit of x.
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Admit returns a *purchase.PausedError for a purchase of what is paused, unless it is
// of the share that is let through. It does not wait for anything: the same purchase gets
// the same answer for as long as the pauses stay as they are. Who is refused is counted; a
// request without a price, as of a list that says what is sold, is nobody's.
func (s *Switch) Admit(r *purchase.Request) error {
	set := s.closed.Load()
	if set == nil || s.cfg.Passes(r) {
		return nil
	}
	c := s.closedTo(set, r)
	if c == nil {
		return nil
	}
	if r.Total > 0 {
		c.refused.Add(1)
	}
	return c.err
}

// closedTo is the pause that a request is refused for, nil for none.
func (s *Switch) closedTo(set *closedSet, r *purchase.Request) *closing {
	for _, c := range [...]*closing{set.product[r.Product], set.provider[r.Provider], set.payer[r.Payer], set.channel[r.Channel]} {
		if !c.open(r.Recipient) {
			return c
		}
	}
	if len(set.operator) > 0 {
		if c := set.operator[s.cfg.Operator(r.Recipient)]; !c.open(r.Recipient) {
			return c
		}
	}
	return nil
}

// Load learns of all pauses. A node does so before it sells.
func (s *Switch) Load(ctx context.Context) error { return s.read(ctx, s.cfg.Clock.Now()) }

// Pauses returns those that last, as this node knows them, oldest first.
func (s *Switch) Pauses() []Pause {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Pause
	for _, p := range s.known {
		if p.EndedAt == 0 {
			all = append(all, p.Pause)
		}
	}
	slices.SortFunc(all, func(a, b Pause) int { return int(a.ID - b.ID) })
	return all
}

// Apply makes pauses hold on this node at once that were made durable by other means
// than this switch, as with an incident.
func (s *Switch) Apply(pauses ...Pause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard++
	for _, p := range pauses {
		if k, known := s.known[p.ID]; !known || k.Version <= p.Version {
			s.known[p.ID] = knownPause{p, s.heard}
		}
	}
	s.rebuild()
}

// read learns of all pauses. When they cannot be read those that are known stay.
func (s *Switch) read(ctx context.Context, now purchase.Instant) error {
	s.mu.Lock()
	before := s.heard
	s.mu.Unlock()
	list, err := s.cfg.Store.Pauses(ctx, now.Add(-s.cfg.Ramp.Calm))
	if err != nil {
		return fmt.Errorf("read the pauses: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := make(map[int64]knownPause, len(list))
	for _, p := range list {
		fresh[p.ID] = knownPause{p, before}
	}
	for id, k := range s.known { // what was heard of meanwhile may be newer than the list
		if f, listed := fresh[id]; k.heard > before && !listed || listed && k.Version > f.Version {
			fresh[id] = k
		}
	}
	s.known = fresh
	s.rebuild()
	return nil
}

// rebuild makes what is known hold. The caller holds mu.
func (s *Switch) rebuild() {
	set := &closedSet{map[string]*closing{}, map[string]*closing{}, map[string]*closing{}, map[string]*closing{}, map[string]*closing{}}
	paused := false
	for _, k := range s.known {
		p := k.Pause
		if p.EndedAt != 0 || p.Share >= whole {
			continue
		}
		if s.refused[p.ID] == nil {
			s.refused[p.ID] = new(atomic.Int64)
		}
		c := &closing{id: p.ID, share: p.Share, refused: s.refused[p.ID]}
		refusal := purchase.PausedError{Until: p.ExpectedAt}
		switch p.Series.By {
		case ByProduct:
			refusal.Product, set.product[p.Series.Name] = p.Series.Name, c
		case ByProvider:
			refusal.Partner, set.provider[p.Series.Name] = p.Series.Name, c
		case ByPayer:
			refusal.Partner, set.payer[p.Series.Name] = p.Series.Name, c
		case ByChannel:
			refusal.Channel, set.channel[p.Series.Name] = p.Series.Name, c
		case ByOperator:
			refusal.Operator, set.operator[p.Series.Name] = p.Series.Name, c
		default: // of a later version: it cannot be told what it is of
			continue
		}
		c.err, paused = &refusal, true
	}
	if !paused {
		set = nil
	}
	s.closed.Store(set)
}

// lasting returns the pause of a series that lasts, as this node knows it.
func (s *Switch) lasting(of Series) (Pause, bool) {
	for _, p := range s.Pauses() {
		if p.Series == of {
			return p, true
		}
	}
	return Pause{}, false
}

// raced is how often a change is tried that another one came before.
const raced = 5

// Pause keeps purchases of a series from being sold, on this node at once and on others
// within a second. A pause that lasts is gone back to selling nothing, or is held from
// now on; when it did both already the error is ErrPaused, with the pause as it is. held
// keeps probes from reopening it. Other errors: ErrSeries, ErrReason, the store's.
func (s *Switch) Pause(ctx context.Context, by Actor, of Series, reason string, held bool) (Pause, error) {
	if !s.cfg.Known(of) {
		return Pause{}, fmt.Errorf("%w: %s", ErrSeries, of)
	}
	reason, err := checkReason(reason)
	if err != nil {
		return Pause{}, err
	}
	for range raced {
		now := s.cfg.Clock.Now()
		p, lasts := s.lasting(of)
		switch {
		case !lasts:
			p = Pause{Version: 1, Series: of, Reason: reason, By: by, At: now, Held: held}
		case p.Share == 0 && (p.Held || !held):
			return p, ErrPaused
		default:
			if p.Share > 0 {
				p = s.cfg.Ramp.fall(p, reason, now)
			}
			if p.Version++; by.Staff != 0 || held {
				p.By, p.Reason = by, reason
			}
			p.Held = p.Held || held
		}
		kept, err := s.change(ctx, p)
		if err == nil {
			return kept, nil
		}
		if !errors.Is(err, ErrPaused) && !errors.Is(err, ErrStale) {
			return Pause{}, err
		}
		if err := s.read(ctx, now); err != nil {
			return Pause{}, err
		}
	}
	return Pause{}, ErrStale
}

// Resume ends a pause at once, for all purchases. version is the one that the person
// saw, 0 for whatever it is: probes count versions too. While the last probe failed, or
// what was sold since, the error is ErrFailing unless force is set. Other errors:
// ErrNotFound, ErrStale (it changed, or is over), ErrReason, the store's.
func (s *Switch) Resume(ctx context.Context, by Actor, id, version int64, reason string, force bool) (Pause, error) {
	reason, err := checkReason(reason)
	if err != nil {
		return Pause{}, err
	}
	for range raced {
		now := s.cfg.Clock.Now()
		if err := s.read(ctx, now); err != nil {
			return Pause{}, err
		}
		s.mu.Lock()
		k, known := s.known[id]
		s.mu.Unlock()
		p := k.Pause
		switch {
		case !known:
			return Pause{}, fmt.Errorf("%w: pause %d", ErrNotFound, id)
		case p.EndedAt != 0, version != 0 && p.Version != version:
			return p, fmt.Errorf("pause %d: %w", id, ErrStale)
		case p.Failing && !force:
			return p, fmt.Errorf("%w: %s", ErrFailing, p.Said)
		}
		p.Version++
		p.Share, p.EndedAt, p.StepAt, p.TryAt, p.NextAt, p.EndedBy, p.EndReason = whole, now, now, 0, 0, by, reason
		kept, err := s.change(ctx, p)
		if err == nil || !errors.Is(err, ErrStale) || version != 0 {
			return kept, err
		}
	}
	return Pause{}, ErrStale
}

// maxReason is how many characters a reason has at most.
const maxReason = 500

func checkReason(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	if n := utf8.RuneCountInString(reason); n == 0 || n > maxReason {
		return "", ErrReason
	}
	return reason, nil
}

// change makes a change durable, then hold.
func (s *Switch) change(ctx context.Context, p Pause) (Pause, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	kept, err := s.cfg.Store.ChangePause(ctx, p)
	if err != nil {
		return Pause{}, fmt.Errorf("change a pause: %w", err)
	}
	s.Apply(kept)
	s.cfg.Changed(kept)
	return kept, nil
}

// Step learns of other nodes' pauses, and takes those that nobody holds a step further.
// It returns when to call it again, unless Wake is called before. With an error the rest
// was done all the same; a store that cannot be read leaves the known pauses in force.
func (s *Switch) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	s.stepping.Lock()
	defer s.stepping.Unlock()
	next = now.Add(s.cfg.Every)
	if err := s.read(ctx, now); err != nil {
		return next, err
	}
	errs := []error{s.keepRefused(ctx, now)}
	if s.cfg.Canary == nil {
		return next, errs[0]
	}
	for _, p := range s.Pauses() {
		if p.Held {
			continue
		}
		soon, err := s.advance(ctx, p, now)
		if err != nil && !errors.Is(err, ErrStale) { // of another node: the next step sees it
			errs = append(errs, err)
		}
		if soon > now {
			next = min(next, soon)
		}
	}
	return next, errors.Join(errs...)
}

// keepRefused writes how many were refused since the last time, in the minute of now. What could not be written is with the next;
// what a process that dies did not write, of half a second, is lost.
func (s *Switch) keepRefused(ctx context.Context, now purchase.Instant) error {
	var all []Refused
	s.mu.Lock()
	for id, n := range s.refused {
		switch count := n.Swap(0); {
		case count > 0:
			all = append(all, Refused{Pause: id, Minute: floorTo(now, time.Minute), Count: count})
		case s.known[id].ID == 0: // no request can see it any more
			delete(s.refused, id)
		}
	}
	s.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b Refused) int { return int(a.Pause - b.Pause) })
	if err := s.cfg.Store.CountRefused(ctx, all); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range all {
			if s.refused[r.Pause] != nil {
				s.refused[r.Pause].Add(r.Count)
			}
		}
		return fmt.Errorf("keep what was refused: %w", err)
	}
	return nil
}

// advance takes a pause one step further, and returns when it needs the next.
func (s *Switch) advance(ctx context.Context, p Pause, now purchase.Instant) (purchase.Instant, error) {
	r := &s.cfg.Ramp
	if p.TryAt == 0 {
		falls := s.fellBefore(&p)
		do, next := r.next(&p, falls, s.cfg.Reading, now)
		var err error
		switch do {
		case moveWait:
			return next, nil
		case moveGrow:
			p.Version++
			_, err = s.change(ctx, r.grow(p, now))
			return next, err
		case moveFall:
			p.Version++
			_, err = s.change(ctx, r.fall(p, "purchases fail again", now))
			return next, err
		case moveProbe:
		}
		if p, err = s.change(ctx, r.begin(p, falls, now)); err != nil {
			return now, err
		}
		s.probes[p.ID] = p.Tries
	}
	return s.probe(ctx, p, now)
}

// probe looks what became of the probe under way. That is done by the node that began it,
// until its time is over: then by any.
func (s *Switch) probe(ctx context.Context, p Pause, now purchase.Instant) (purchase.Instant, error) {
	r := &s.cfg.Ramp
	end := p.TryAt.Add(r.Within)
	if p.Share > 0 && r.failed(&p, s.cfg.Reading) {
		p.Version++
		_, err := s.change(ctx, r.fall(p, "purchases fail again", now))
		return now, err
	}
	if now < end && s.probes[p.ID] != p.Tries {
		return end, nil
	}
	res, failed := s.cfg.Canary.Try(ctx, p, now)
	if failed != nil {
		res = ProbeResult{Said: failed.Error()}
	}
	if res.Answer == ProbePending {
		if now < end {
			return end, failed
		}
		res = ProbeResult{ProbeBad, "no answer in time: " + res.Said}
	}
	delete(s.probes, p.ID)
	_, err := s.change(ctx, r.end(p, res, now))
	return now, errors.Join(failed, err)
}

// fellBefore is how often the series of a pause fell in the one before it, where that
// ended not long ago: what fails again as soon as it is open is tried ever more seldom.
func (s *Switch) fellBefore(p *Pause) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last Pause
	for _, k := range s.known {
		if k.Series == p.Series && k.EndedAt != 0 && k.Tries > 0 && k.EndedAt >= p.At.Add(-s.cfg.Ramp.Calm) && k.EndedAt > last.EndedAt {
			last = k.Pause
		}
	}
	if last.ID == 0 {
		return 0
	}
	return last.Falls + 1
}

// Wake makes Run look at once. It never waits.
func (s *Switch) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run calls Step until ctx ends. failed is told of what must wait.
func (s *Switch) Run(ctx context.Context, failed func(error)) {
	for ctx.Err() == nil {
		now := s.cfg.Clock.Now()
		next, err := s.Step(ctx, now)
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-s.cfg.Clock.After(max(next.Sub(s.cfg.Clock.Now()), time.Millisecond)):
		}
	}
}

// dimensionNames are the dimensions' words, as people write them.
var dimensionNames = map[Dimension]string{ByProduct: "product", ByProvider: "provider", ByPayer: "payer", ByChannel: "channel", ByOperator: "operator", ByCentre: "centre"}

// ParseDimension reads a dimension as people write it: "provider".
func ParseDimension(word string) (Dimension, bool) {
	for d, name := range dimensionNames {
		if name == word {
			return d, true
		}
	}
	return 0, false
}

// String is the dimension's word.
func (d Dimension) String() string { return dimensionNames[d] }

// String is the series in words: "provider ocs".
func (s Series) String() string { return s.By.String() + " " + s.Name }
