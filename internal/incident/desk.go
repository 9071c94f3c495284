package incident

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tenu/internal/care"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// Engine heals stuck purchases by its table; *purchase.Engine is one.
type Engine interface {
	// Grants says whether the purchase would hear a wish at an instant, and if not, why.
	Grants(p *purchase.Purchase, w purchase.Wish, now purchase.Instant) purchase.Grant
	// HoldStuck keeps this node from asking a partner about stuck purchases, or lets it go on.
	// It reports whether there is such a partner.
	HoldStuck(partner string, hold bool) bool
}

// Config is what a desk is built from. Store and Clock are needed; the rest has defaults.
type Config struct {
	Store    Store
	Clock    purchase.Clock
	Location *time.Location // of the times that people read; UTC when nil

	// Find returns what fails at an instant, as often as it fails. Nil: only people find anything.
	Find func(now purchase.Instant) []Finding
	// Well reports whether a series works again. Nil: it does as soon as Find does not name it.
	Well func(s Series, now purchase.Instant) bool
	// WellFor is how long a series must work before its incident recovers, where no pause says so (default 1 min).
	WellFor time.Duration
	// Known reports whether there is such a series; nil: there is any.
	Known func(Series) bool

	// Pauses reports whether what was found keeps the series from being sold; DefaultPauses when nil.
	Pauses func(Finding) bool
	// Paused is told, without waiting, of a pause that was made durable with an incident, so that it
	// holds here at once. Nil: nobody is.
	Paused func(Pause)

	// Within is how long after its charge a purchase that is not credited counts as affected (default 1 min).
	Within time.Duration
	// House is the payer of what no customer pays for, such as probes: that affects nobody. "" for none.
	House string
	// Operator is the operator of a number, for series by operator.
	Operator func(purchase.MSISDN) string
	// Party is who is responsible for a series; DefaultParty when nil.
	Party func(Series, Rule) string
	// Severe are the bounds of severity; DefaultSevere when zero.
	Severe Severe
	// Duties are what has to be done by rule about an incident.
	Duties []Duty

	// Label is a series as the public knows it; nil: by its name.
	Label func(Series, purchase.Language) string
	// Product is a product as customers know it; nil: by its code.
	Product func(code string, language purchase.Language) string
	// CaseName and Reference name cases and purchases to customers.
	CaseName  func(care.CaseID) string
	Reference func(purchase.ID) string

	TellRate    int           // messages to customers a second, at most (default 50)
	CloseAfter  time.Duration // how long after it was resolved an incident closes by itself (default 1 h)
	AgainWithin time.Duration // how long after it was closed an incident opens again rather than another (default 1 h)

	Engine Engine // nil: nothing is held, and no dry run
	// Changed is told, without waiting, of incidents that changed here; nil: nobody is.
	Changed func(ID)
	// Written is called, without waiting, after messages were committed; nil: nobody is.
	Written func()
	// Alert is told, without waiting, of what operations should know, and of what is open again once a minute. Nil: nobody is.
	Alert func(Alert)
}

// Severe says from how many customers on an incident is major or critical. One of a provider or a payer is
// major from the start.
type Severe struct{ Major, Critical int64 }

// DefaultSevere are the bounds where nothing else is said.
func DefaultSevere() Severe { return Severe{Major: 100, Critical: 1000} }

// DefaultPauses keeps from being sold what customers would go on to be charged for. What fails slowly is left to people,
// and nothing is gained by a pause where nobody buys or only messages are late.
func DefaultPauses(f Finding) bool {
	switch f.Rule {
	case RuleFastBurn, RuleAbsolute, RuleAnswers, RuleHeartbeat, RuleLines:
		return true
	case RuleSlowBurn, RuleSilence, RuleNotices, RuleHand:
	}
	return false
}

// DefaultParty is the partner, for a series that is one; otherwise the house.
func DefaultParty(s Series, r Rule) string {
	switch {
	case r == RuleNotices, s.By == ByCentre:
		return "centre"
	case s.By == ByProvider:
		return "provider:" + s.Name
	case s.By == ByPayer:
		return "payer:" + s.Name
	}
	return "tenu"
}

// Alert is what operations are told: an incident as it stands, and what just happened to it, "" for nothing new.
type Alert struct {
	Incident Incident
	Totals   Totals // as they were last summed up
	Event    Event
	At       purchase.Instant
}

// Desk keeps the record of incidents. It is safe for concurrent use. What it does follows from the store alone, so
// that it goes on after a restart, and several nodes may do it at once without telling anybody twice.
type Desk struct {
	cfg   Config
	store Store
	clock purchase.Clock
	texts *phrase.Texts
	wake  chan struct{}

	mu     sync.Mutex
	looked map[ID]*looked
	told   purchase.Instant // up to when messages were counted
	room   float64          // messages that may be written now
	held   map[string]bool  // partners whose stuck purchases this node holds
}

// looked is what the desk remembers of an open incident, to do less: how far it looked, and what it saw. Without it the
// desk looks from the start.
type looked struct {
	from     purchase.Instant // charges before are decided
	openAt   purchase.Instant // of the last look at all that is open, and all that was made lately
	memory   Memory           // of the looks between
	totals   Totals
	totalsAt purchase.Instant
	after    purchase.MSISDN // the last customer whose end was looked for
	alertAt  purchase.Instant
	probed   string           // what probes of a pause said last, as the timeline has it
	probedOf int64            // that pause
	wellAt   purchase.Instant // since when the series works, as far as was seen
}

// New returns a desk, or an error that says what cannot be.
func New(cfg Config) (*Desk, error) {
	if cfg.Store == nil || cfg.Clock == nil {
		return nil, errors.New("incident: a store and a clock are needed")
	}
	if cfg.Within < 0 || cfg.WellFor < 0 || cfg.TellRate < 0 || cfg.CloseAfter < 0 || cfg.AgainWithin < 0 {
		return nil, errors.New("incident: a time or rate is negative")
	}
	if err := checkDuties(cfg.Duties); err != nil {
		return nil, err
	}
	orDefault := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	orDefault(&cfg.Within, time.Minute)
	orDefault(&cfg.WellFor, time.Minute)
	orDefault(&cfg.CloseAfter, time.Hour)
	orDefault(&cfg.AgainWithin, time.Hour)
	if cfg.TellRate == 0 {
		cfg.TellRate = 50
	}
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	if cfg.Pauses == nil {
		cfg.Pauses = DefaultPauses
	}
	if cfg.Party == nil {
		cfg.Party = DefaultParty
	}
	if cfg.Severe == (Severe{}) {
		cfg.Severe = DefaultSevere()
	}
	texts, err := loadDeskTexts()
	if err != nil {
		return nil, err
	}
	return &Desk{cfg: cfg, store: cfg.Store, clock: cfg.Clock, texts: texts, wake: make(chan struct{}, 1),
		looked: map[ID]*looked{}, held: map[string]bool{}}, nil
}

// Wake tells the desk's loop that there is something to do. It never waits.
func (d *Desk) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// The pace of the loop of a node that does not keep the record, and after a failure.
const (
	deskStandby = 2 * time.Second
	deskFailed  = time.Second
)

// Run keeps the record until ctx ends: of several nodes the one that standing says. Should two believe to be that one
// for a moment, both do the same. What goes wrong is told to failed, and tried again. Every node
// holds the stuck purchases of its own that are to be held.
func (d *Desk) Run(ctx context.Context, standing func(context.Context) (ours, alone bool, err error), failed func(error)) {
	for ctx.Err() == nil {
		wait, wake := deskStandby, d.wake
		ours, alone, err := standing(ctx)
		switch {
		case err != nil:
		case ours:
			var next purchase.Instant
			next, err = d.Step(ctx, d.clock.Now())
			if wait = max(next.Sub(d.clock.Now()), 0); !alone { // other nodes wake only themselves
				wait = min(wait, deskStandby)
			}
		default:
			err = d.applyHolds(ctx)
		}
		if err != nil && ctx.Err() == nil {
			failed(err)
			wait, wake = deskFailed, nil
		}
		select {
		case <-ctx.Done():
		case <-d.clock.After(wait):
		case <-wake:
		}
	}
}

// remember is what is remembered of an incident. Callers hold no lock; only Step changes it.
func (d *Desk) remember(i *Incident) *looked {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.looked[i.ID]
	if l == nil {
		l = &looked{from: i.Since.Add(-d.cfg.Within)}
		d.looked[i.ID] = l
	}
	return l
}

// forget drops what is remembered of incidents that are not looked at any more.
func (d *Desk) forget(open []Incident) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := make(map[ID]*looked, len(open))
	for i := range open {
		if l := d.looked[open[i].ID]; l != nil {
			kept[open[i].ID] = l
		}
	}
	d.looked = kept
}

// Incident returns an incident, or ErrNotFound.
func (d *Desk) Incident(ctx context.Context, id ID) (Incident, error) {
	found, err := d.store.Incidents(ctx, Query{IDs: []ID{id}, Limit: 1})
	switch {
	case err != nil:
		return Incident{}, fmt.Errorf("read incident %d: %w", id, err)
	case len(found) == 0:
		return Incident{}, ErrNotFound
	}
	return found[0], nil
}

// put writes a change and tells whoever listens.
func (d *Desk) put(ctx context.Context, c *Change) (Incident, error) {
	now, err := d.store.ChangeIncident(ctx, *c)
	if err != nil {
		return Incident{}, fmt.Errorf("change an incident: %w", err)
	}
	if len(c.Pauses) > 0 && d.cfg.Paused != nil {
		pauses, err := d.store.Pauses(ctx, now.ChangedAt)
		if err != nil {
			return now, fmt.Errorf("read pauses: %w", err)
		}
		for _, p := range pauses {
			if p.Incident == now.ID && p.EndedAt == 0 {
				d.cfg.Paused(p)
			}
		}
	}
	if d.cfg.Changed != nil {
		d.cfg.Changed(now.ID)
	}
	for i := range c.Entries {
		d.alert(&now, c.Entries[i].Event)
	}
	d.Wake()
	return now, nil
}

// alerting are the events that operations are told of.
var alerting = map[Event]bool{EventOpened: true, EventAgain: true, EventSeverity: true, EventRecovered: true, EventResolved: true, EventClosed: true}

// alert tells operations of an event, or reminds them.
func (d *Desk) alert(i *Incident, e Event) {
	if d.cfg.Alert == nil || e != "" && !alerting[e] {
		return
	}
	a := Alert{Incident: *i, Event: e, At: i.ChangedAt}
	d.mu.Lock()
	if l := d.looked[i.ID]; l != nil {
		a.Totals = l.totals
	}
	d.mu.Unlock()
	d.cfg.Alert(a)
}
