package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/notify"
	"tenu/internal/purchase"
)

// watch is what sees, in one process of a node, that purchases fail, keeps more from being sold, and keeps the
// record of it. It is put together as in a node that serves.
type watch struct {
	n        *node
	signals  *incident.Signals
	detector *incident.Detector
	pauses   *incident.Switch
	desk     *incident.Desk
	exchange *incident.Exchange
	alone    bool // by the last look
	readings incident.Readings
	answers  map[string]*incident.Answers // of partners to this process, by name

	detectAt, pausesAt, deskAt, exchangeAt purchase.Instant // when each works next
}

// The pace of detection, and what a purchase is expected to do, as in a node that serves where nothing else is configured.
const (
	detectEvery     = 2 * time.Second
	watchExpects    = 10 * time.Second
	watchObjective  = 0.99
	watchRestsFor   = 30 * time.Second // while all comes to rest, which may take days
	watchStandsBy   = 2 * time.Second  // where another node keeps the record
	watchFailedWait = time.Second
)

// openWatch gives a process its watch, before its engine. It fails where the store does. Nobody watches in a world of
// dice, or where the store keeps no incidents.
func (n *node) openWatch() error {
	n.watch = nil
	store, ok := n.records()
	if !ok {
		return nil
	}
	x := &watch{n: n, answers: map[string]*incident.Answers{}}
	s := n.w.plan.script
	signals := incident.SignalsConfig{Expected: watchExpects, Partners: x.partners, Paused: func() (all []incident.Series) {
		for _, p := range x.pauses.Pauses() {
			all = append(all, p.Series)
		}
		return all
	}}
	detector := incident.DetectorConfig{Objective: watchObjective}
	if err := errors.Join(signals.Check(), detector.Check()); err != nil {
		n.w.fail("start", 0, "node %s: %v", n.name, err)
		return err
	}
	x.signals, x.detector = incident.NewSignals(signals), incident.NewDetector(detector)
	var err error
	x.pauses, err = incident.NewSwitch(incident.SwitchConfig{Store: store, Clock: clock{n}, Known: s.knows,
		Passes: func(r *purchase.Request) bool { return r.Payer == houseName }, Canary: &canary{n: n, under: map[string]purchase.Intent{}},
		Ramp: incident.Ramp{Ordinary: 10, Within: 3 * watchExpects},
		Reading: func(of incident.Series, since purchase.Instant) (paid, credited, failed int64) {
			return x.signals.Sold(of, since, clock{n}.Now())
		},
		Changed: x.pauseChanged})
	if err != nil {
		n.w.fail("start", 0, "node %s: %v", n.name, err)
		return err
	}
	x.desk, err = incident.New(incident.Config{Store: store, Clock: clock{n}, Location: s.Location, Find: x.failing, Known: s.knows,
		Well:   func(of incident.Series, _ purchase.Instant) bool { return x.detector.Well(of) && !x.exchange.Fails(of) },
		Paused: func(p incident.Pause) { x.pauses.Apply(p) }, Within: s.Rules.DeliverWithin, House: houseName, Label: label,
		Product: func(code string, l purchase.Language) string {
			return label(incident.Series{By: incident.ByProduct, Name: code}, l)
		},
		CaseName:  func(id care.CaseID) string { return n.desk.CaseReference(id) },
		Reference: func(id purchase.ID) string { return n.w.keys.Reference(id).String() },
		TellRate:  s.Messages, Engine: healer{wisher{n, n.life}}, Changed: func(incident.ID) { x.wake() }, Written: func() { n.post(50 * time.Millisecond) }})
	if err != nil {
		n.w.fail("start", 0, "node %s: %v", n.name, err)
		return err
	}
	x.exchange, err = incident.NewExchange(incident.ExchangeConfig{Store: store, Signals: x.signals, Detector: x.detector,
		Epoch: func() int64 { return n.epoch }, Alone: func() bool { return x.alone }})
	if err != nil {
		n.w.fail("start", 0, "node %s: %v", n.name, err)
		return err
	}
	if err := x.pauses.Load(n.w.ctx); err != nil {
		return fmt.Errorf("read the pauses: %w", err)
	}
	n.watch = x
	return nil
}

// label is what customers call a series.
func label(s incident.Series, language purchase.Language) string {
	switch {
	case s.Name == "data-1gb" && language == "fr":
		return "1 Go"
	case s.Name == "data-1gb":
		return "1 GB"
	case s.Name == "airtime" && language == "fr":
		return "crédit"
	}
	return called(s.Name)
}

// knows reports whether there is such a series in the script.
func (s *Script) knows(of incident.Series) bool {
	p := s.partner(of.Name)
	switch of.By {
	case incident.ByProvider:
		return p != nil && !p.Payer
	case incident.ByPayer:
		return p != nil && p.Payer
	case incident.ByProduct:
		return of.Name == "airtime" || of.Name == "data-1gb"
	case incident.ByChannel:
		return slices.Contains([]string{"app", "ussd", "sms", "api"}, of.Name)
	case incident.ByOperator, incident.ByCentre:
	}
	return false
}

// partners are the partners as this process sees them by their answers.
func (x *watch) partners() (all []incident.Partner) {
	for i := range x.n.w.plan.script.Partners {
		p := &x.n.w.plan.script.Partners[i]
		seen := incident.Partner{Series: incident.Series{By: incident.ByProvider, Name: p.Name}}
		if p.Payer {
			seen.Series.By = incident.ByPayer
		}
		if a := x.answers[p.Name]; a != nil {
			seen.Answers = *a
		}
		all = append(all, seen)
	}
	return all
}

// answered counts what a partner answered this process, as its guard does.
func (n *node) answered(p *peer, o *purchase.Outcome) {
	if n.watch == nil || p.plan.house {
		return
	}
	a := n.watch.answers[p.Name()]
	if a == nil {
		a = &incident.Answers{}
		n.watch.answers[p.Name()] = a
	}
	switch o.Kind {
	case purchase.Done:
		a.Done++
	case purchase.Refused:
		a.Refused++
	case purchase.Pending:
		a.Pending++
	case purchase.Unknown:
		a.Unknown++
	case purchase.Unsent:
		a.Unsent++
	case purchase.Absent, purchase.Cancelled, purchase.Reversed, purchase.Asked:
		a.Other++
	}
}

// watched lets the engine of a process ask and tell the watch.
func (n *node) watched(cfg *purchase.Config) {
	if x := n.watch; x != nil {
		cfg.Admit, cfg.Committed = x.pauses.Admit, x.committed
	}
}

// committed counts what the engine wrote, but not what the house sells: canaries go through what is known to fail.
func (x *watch) committed(c *purchase.Change) {
	if c.Now.Payer != houseName {
		x.signals.Committed(c)
	}
}

// failing is what fails: what this process found, and what others paused for it.
func (x *watch) failing(purchase.Instant) []incident.Finding {
	found := x.detector.Active()
	for _, p := range x.pauses.Pauses() {
		if p.By.Staff != 0 || p.Held || p.Incident != 0 || slices.ContainsFunc(found, func(f incident.Finding) bool { return f.Series == p.Series }) {
			continue
		}
		found = append(found, incident.Finding{Series: p.Series, Rule: incident.RuleAbsolute, Since: p.At, At: p.At, Detail: p.Reason})
	}
	return found
}

// pauseChanged ends what was found when all is sold again: from now on the sales say how it goes.
func (x *watch) pauseChanged(p incident.Pause) {
	if p.EndedAt != 0 {
		x.detector.End(p.Series, clock{x.n}.Now())
	}
	x.n.w.note("pause", 0, fmt.Sprintf("%d %s: %d, %s", p.ID, p.Series, p.Share, p.Said))
	x.wake()
}

// wake lets the desk work at once.
func (x *watch) wake() {
	x.deskAt = clock{x.n}.Now()
	x.n.watchLater(time.Millisecond)
}

// watchLater lets the watch work, and again when it wants to.
func (n *node) watchLater(d time.Duration) {
	if n.watch == nil {
		return
	}
	at := n.w.now.Add(d)
	if n.watchAt != 0 && n.watchAt <= at {
		return
	}
	n.watchAt = at
	n.then(d, func() {
		if n.watchAt != at || n.watch == nil {
			return
		}
		n.watchAt = 0
		wait := n.watch.step(n.w.ctx, clock{n}.Now()).Sub(clock{n}.Now())
		if n.w.calm {
			wait = max(wait, watchRestsFor)
		}
		n.watchLater(max(wait, time.Millisecond))
	})
}

// step does what is due, and returns when to call it again.
func (x *watch) step(ctx context.Context, now purchase.Instant) purchase.Instant {
	if now >= x.detectAt {
		x.detectAt = now.Add(max(detectEvery, x.n.w.plan.leaseTTL/15))
		x.detect(ctx, now)
	}
	if now >= x.pausesAt {
		next, err := x.pauses.Step(ctx, now)
		x.n.w.answered("pauses", err)
		x.pausesAt = next
	}
	if now >= x.deskAt {
		x.deskAt = now.Add(time.Hour) // unless it is woken meanwhile
		next, err := x.record(ctx, now)
		x.n.w.answered("incidents", err)
		x.deskAt = min(x.deskAt, next)
	}
	if now >= x.exchangeAt {
		next, err := x.exchange.Step(ctx, now)
		x.n.w.answered("tallies", err)
		x.exchangeAt = next
	}
	return min(x.detectAt, x.pausesAt, x.deskAt, x.exchangeAt)
}

// detect looks for what fails. What is found is not sold any more at once.
func (x *watch) detect(ctx context.Context, now purchase.Instant) {
	x.signals.ReadInto(&x.readings, now)
	for _, f := range x.detector.Step(now, x.readings) {
		x.n.w.note("detected", 0, fmt.Sprintf("%s: %s %s well %t, %s", x.n.name, f.Series, f.Rule, f.Well, f.Detail))
		if !f.Well && incident.DefaultPauses(f) && x.n.w.plan.script.knows(f.Series) {
			_, err := x.pauses.Pause(ctx, incident.Actor{}, f.Series, f.Detail, false)
			x.n.w.answered("pause", err)
		}
		x.wake()
	}
}

// record lets the desk work on the node that keeps the record, and returns when to do so again.
func (x *watch) record(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	ours, alone, err := x.n.w.store.of(x.n).Standing(ctx, x.n.epoch)
	if err == nil {
		x.alone = alone
	}
	switch {
	case err != nil:
		return now.Add(watchFailedWait), err
	case !ours:
		return now.Add(watchStandsBy), nil
	}
	next, err = x.desk.Step(ctx, now)
	if !alone { // other nodes wake only themselves
		next = min(next, now.Add(watchStandsBy))
	}
	if err != nil {
		next = now.Add(watchFailedWait)
	}
	return max(next, now.Add(time.Millisecond)), err
}

// healer is a process's engine as the desk asks it.
type healer struct{ wisher }

// HoldStuck is incident.Engine.
func (h healer) HoldStuck(partner string, hold bool) bool {
	return h.n.steps != nil && h.n.steps.HoldStuck(partner, hold)
}

// announced reports whether the line tells callers of what fails that a purchase is affected by it: while the incident
// is open.
func (w *world) announced(r *purchase.Request) bool {
	for _, i := range w.written.incidents {
		if i.Status != incident.Closed && i.Series.Of(r, "") {
			return true
		}
	}
	return false
}

// Sighting is what the record of incidents says of a play.
type Sighting struct {
	SeenAt, PausedAt purchase.Instant    // of the first incident; zero: it was not
	Incidents        []incident.Totals   // each one's, newest first
	Books            []Totals            // of the same purchases, as the partners' books have them
	Ledger           []Totals            // and as the database has them
	Records          []incident.Incident // each one's record, newest first
	Entries          []incident.Entry    // their timelines, by time

	of map[purchase.ID]incident.ID // by which incident a purchase is affected
}

// Agrees reports whether each incident's sums are those of the partners' books and of the database.
func (s *Sighting) Agrees() bool {
	for i := range s.Incidents {
		t := &s.Incidents[i]
		for _, o := range []*Totals{&s.Books[i], &s.Ledger[i]} {
			if int64(o.Purchases) != t.Purchases || o.AmountCharged != t.Amount || int64(o.Credited) != t.Credited || o.AmountCredited != t.AmountCredited ||
				int64(o.Refunded) != t.Refunded || o.AmountRefunded != t.AmountGiven || o.Exposure != 0 && t.Exposed == 0 {
				return false
			}
		}
	}
	return true
}

// sightings bounds the incidents of one play.
const sightings = 1000

// sighting reads the record of incidents; nil: there is none.
func (w *world) sighting() (*Sighting, error) {
	s, ok := w.store.Backing.(incident.Store)
	if !ok {
		return nil, nil
	}
	ctx := context.WithoutCancel(w.ctx)
	found, err := s.Incidents(ctx, incident.Query{Limit: sightings})
	if err != nil {
		return nil, fmt.Errorf("read the incidents of a play: %w", err)
	}
	pauses, err := s.Pauses(ctx, 1)
	if err != nil {
		return nil, fmt.Errorf("read the pauses of a play: %w", err)
	}
	w.written.same(w, found, pauses)
	x := &Sighting{Records: found, of: map[purchase.ID]incident.ID{}, Books: make([]Totals, len(found)), Ledger: make([]Totals, len(found))}
	for i := range found {
		x.SeenAt, x.PausedAt = sooner(x.SeenAt, found[i].SeenAt), sooner(x.PausedAt, found[i].PausedAt)
		t, err := s.Totals(ctx, found[i].ID)
		if err != nil {
			return nil, fmt.Errorf("sum up an incident of a play: %w", err)
		}
		x.Incidents = append(x.Incidents, t)
		entries, err := s.Entries(ctx, found[i].ID)
		if err != nil {
			return nil, fmt.Errorf("read the timeline of an incident of a play: %w", err)
		}
		x.Entries = append(x.Entries, entries...)
	}
	slices.SortStableFunc(x.Entries, func(a, b incident.Entry) int { return int(a.At - b.At) })
	if len(found) == 0 {
		return x, nil
	}
	return x, w.affectedBy(ctx, s, x)
}

// affectedBy sums up what each incident affects from the partners' books and from the database.
func (w *world) affectedBy(ctx context.Context, s incident.Store, x *Sighting) error {
	for _, id := range w.book.ids {
		of, err := s.Affects(ctx, id)
		if err != nil {
			return fmt.Errorf("read what affects a purchase of a play: %w", err)
		}
		if len(of) == 0 {
			continue
		}
		x.of[id] = of[0]
		i := slices.IndexFunc(x.Records, func(r incident.Incident) bool { return r.ID == of[0] })
		if i < 0 {
			return fmt.Errorf("sim: purchase %d is affected by %s, and there is no such incident", id, of[0])
		}
		records, err := w.store.Backing.Load(ctx, id)
		if err != nil || len(records) != 1 {
			return fmt.Errorf("read a purchase of a play: %w", err)
		}
		r := &records[0]
		x.Ledger[i].once(w.book.booked(r, purchase.Charge), w.book.booked(r, purchase.Credit)-w.book.booked(r, purchase.Reversal), w.book.booked(r, purchase.Refund))
		moved, _ := w.inBooks(&r.Purchase)
		x.Books[i].once(moved[purchase.Charge], moved[purchase.Credit]-moved[purchase.Reversal], moved[purchase.Refund])
	}
	return nil
}

// once adds a purchase as an incident's record does: what was given back and credited after all is given back, and in exposure.
func (t *Totals) once(charged, credited, refunded int64) {
	t.Purchases++
	if refunded > 0 {
		t.Exposure += credited
		credited = 0
	}
	t.count(charged, credited, refunded)
}

// letterOf names a message of an incident by its receiver and text.
type letterOf struct {
	to   purchase.MSISDN
	text string
}

// hearing is that a customer is told of an incident.
type hearing struct {
	of incident.ID
	to purchase.MSISDN
}

// announce notes that a message of an incident was written.
func (p *play) announce(of incident.ID, to purchase.MSISDN, text string) {
	p.announced[letterOf{to, text}] = of
}

// letter takes another message that the centre has taken at an instant.
func (p *play) letter(m notify.Message, at purchase.Instant) {
	p.minute().Told++
	of, incident := p.announced[letterOf{m.To, m.Text}]
	if key := (hearing{of, m.To}); incident && p.heard[key] == 0 {
		p.heard[key] = at
		p.informed[m.To] = sooner(p.informed[m.To], at)
	}
}

// tellings measures when customers whom an incident affects were told: from its pause, or from the first charge of theirs that is
// affected, where that came later. What is not paused is measured from when it was seen.
func (w *world) tellings(r *Performance) {
	if r.Sighting == nil {
		return
	}
	since := map[hearing]purchase.Instant{}
	for _, id := range w.book.ids {
		p := &w.book.records[id].Purchase
		of := r.Sighting.of[id]
		if of != 0 {
			key := hearing{of, p.PayerNumber}
			since[key] = sooner(since[key], p.ChargedAt)
		}
		late := w.play.opened[id] != 0 && p.ChargedAt != 0 && p.Payer != houseName
		switch {
		case of != 0 && !late:
			r.OnlyRecord++
		case of == 0 && late:
			r.OnlyCase++
		}
	}
	for key, charged := range since {
		i := slices.IndexFunc(r.Sighting.Records, func(x incident.Incident) bool { return x.ID == key.of })
		from := r.Sighting.Records[i].SeenAt
		if at := r.Sighting.Records[i].PausedAt; at != 0 {
			from = at
		}
		if at := w.play.heard[key]; at != 0 {
			r.Told = append(r.Told, max(at.Sub(max(from, charged)), 0))
		} else {
			r.Untold++
		}
	}
	slices.Sort(r.Told)
}
