package care

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"tenu/internal/purchase"
)

// The pace at which the desk looks by itself, where nothing woke it.
const (
	sweepEvery  = 30 * time.Second // for what other nodes wrote
	lookWaiting = time.Hour        // at a case whose customer is to answer
)

// lookAfter is how long after a look at an open case of an age the next one is. What
// settles a purchase wakes the desk; this is for what nobody told.
func lookAfter(age time.Duration) time.Duration {
	switch {
	case age < time.Minute:
		return 10 * time.Second
	case age < 10*time.Minute:
		return time.Minute
	case age < 2*time.Hour:
		return 10 * time.Minute
	}
	return time.Hour
}

// Step takes matters into cases, does what is due of cases, requests, callbacks and
// plans, and returns when to call it again. One part that fails keeps no other waiting.
func (d *Desk) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	next = now.Add(sweepEvery)
	var errs []error
	part := func(at purchase.Instant, err error) {
		if err != nil {
			errs = append(errs, err)
		}
		if at != 0 {
			next = min(next, at)
		}
	}
	more, err := d.intake(ctx, now)
	part(0, err)
	if more {
		part(now, nil)
	}
	part(d.stepSettled(ctx, now))
	part(d.stepCases(ctx, now))
	part(d.stepRequests(ctx, now))
	part(d.stepCallbacks(ctx, now))
	part(d.stepBulks(ctx, now))
	return max(next, now), errors.Join(errs...)
}

// maxSettled bounds the purchases that are remembered until the next step. One that is
// forgotten is found when its case is due.
const maxSettled = 100_000

// Settled tells that a purchase that has a case opened one or got its outcome. It
// never waits.
func (d *Desk) Settled(id purchase.ID) {
	d.mu.Lock()
	if len(d.settled) < maxSettled {
		d.settled = append(d.settled, id)
	}
	d.mu.Unlock()
	d.Wake()
}

// stepSettled looks at the cases of purchases that got their outcome.
func (d *Desk) stepSettled(ctx context.Context, now purchase.Instant) (purchase.Instant, error) {
	d.mu.Lock()
	ids := d.settled[:min(len(d.settled), casesAtOnce)]
	d.settled = d.settled[len(ids):]
	more := len(d.settled) > 0
	d.mu.Unlock()
	if len(ids) == 0 {
		return 0, nil
	}
	cases, err := d.store.CasesAbout(ctx, ids...)
	if err != nil {
		return 0, fmt.Errorf("read the cases of purchases that settled: %w", err)
	}
	err = d.treatAll(ctx, cases, now)
	if more {
		return now, err
	}
	return 0, err
}

// casesAtOnce is how many cases one look at the store takes.
const casesAtOnce = 100

// stepCases does what is due of cases.
func (d *Desk) stepCases(ctx context.Context, now purchase.Instant) (purchase.Instant, error) {
	due, next, err := d.store.DueCases(ctx, now, casesAtOnce)
	if err != nil {
		return 0, fmt.Errorf("find due cases: %w", err)
	}
	err = d.treatAll(ctx, due, now)
	if len(due) == casesAtOnce && err == nil {
		return now, nil
	}
	return next, err
}

// treatAll looks at cases, whose purchases are read together.
func (d *Desk) treatAll(ctx context.Context, cases []Case, now purchase.Instant) error {
	if len(cases) == 0 {
		return nil
	}
	var ids []purchase.ID
	for i := range cases {
		if cases[i].Purchase != 0 {
			ids = append(ids, cases[i].Purchase)
		}
	}
	records, err := d.store.Load(ctx, ids...)
	if err != nil {
		return fmt.Errorf("load purchases: %w", err)
	}
	at := make(map[purchase.ID]*purchase.Record, len(records))
	for i := range records {
		at[records[i].Purchase.ID] = &records[i]
	}
	rules, err := d.store.Rules(ctx)
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	var errs []error
	for i := range cases {
		c := &cases[i]
		if c.Status.Closed() {
			continue
		}
		t := &treating{Desk: d, c: *c, r: at[c.Purchase], now: now, rules: rules}
		if err := t.look(ctx); err != nil && !errors.Is(err, ErrStale) {
			errs = append(errs, fmt.Errorf("case %d: %w", c.ID, err))
		}
	}
	return errors.Join(errs...)
}

// treating is one look at one case.
type treating struct {
	*Desk
	c     Case
	r     *purchase.Record // nil for a case without a purchase
	now   purchase.Instant
	rules []Rule
}

// look does what is due: it tells the customer that the case is open, notes deadlines that
// passed, takes the case from an owner who is silent, lets the rules act, and says when to
// look again.
func (t *treating) look(ctx context.Context) error {
	x := t.begin(&t.c, Actor{Kind: BySystem}, t.now)
	c := &x.Now
	if t.c.TreatedAt == 0 {
		if err := t.welcome(ctx, &x); err != nil {
			return err
		}
	}
	t.owner(&x)
	t.deadlines(&x)
	if err := t.waited(ctx, &x); err != nil {
		return err
	}
	if c.Status == Open && t.now < c.Clock.ResolveBy.Add(treatFor) {
		if err := t.treat(ctx, &x); err != nil {
			return err
		}
	}
	c.TreatedAt = t.now
	t.due(c, t.now)
	_, err := t.put(ctx, x)
	if errors.Is(err, ErrUnproven) { // the purchase moved on since it was read
		again := t.begin(&t.c, Actor{Kind: BySystem}, t.now)
		again.Now.DueAt = t.now.Add(time.Second)
		_, err = t.put(ctx, again)
	}
	return err
}

// treatFor is how long after its last deadline rules still act on a case.
const treatFor = 30 * 24 * time.Hour

// welcome tells the customer, and whoever else reported it, that the case is open.
func (t *treating) welcome(ctx context.Context, x *Change) error {
	if !told(&t.c) {
		return nil
	}
	to := map[purchase.MSISDN]bool{t.c.Number: true}
	x.Messages = append(x.Messages, t.openedText(t.c.Number))
	if t.c.Purchase != 0 {
		reports, err := t.store.Reports(ctx, t.c.Purchase)
		if err != nil {
			return fmt.Errorf("read reports: %w", err)
		}
		for _, r := range reports {
			if !to[r.Number] {
				to[r.Number] = true
				x.Messages = append(x.Messages, t.openedText(r.Number))
			}
		}
	}
	return nil
}

// key makes a message of the case one that is sent once.
func (t *treating) key(what string) string {
	return "case-" + strconv.FormatInt(int64(t.c.ID), 10) + "-" + what
}

// openedText tells a number that the case is open.
func (t *treating) openedText(number purchase.MSISDN) Message {
	by := t.c.Clock.ResolveBy.Time().In(t.hours.Location)
	key, pairs := "case_opened_plain", []string{"Case", t.CaseReference(t.c.ID), "Date", by.Format("02/01"), "Time", by.Format("15:04")}
	if t.r != nil {
		key = "case_opened"
		pairs = append(pairs, "Item", t.item(&t.r.Purchase, t.c.Language), "Reference", t.reference())
	}
	return Message{Case: t.c.ID, To: number, Language: t.c.Language, At: t.now, Text: t.say(t.c.Language, key, pairs...),
		Key: t.key("opened-" + number.String())}
}

// reference names the case's purchase.
func (t *treating) reference() string {
	if t.r == nil || t.cfg.References == nil {
		return ""
	}
	return t.cfg.References.Reference(t.r.Purchase.ID).String()
}

// owner takes the case from an owner who was silent; the supervisor sees it.
func (t *treating) owner(x *Change) {
	c := &x.Now
	if c.Owner == 0 || t.now < c.OwnerTill {
		return
	}
	x.note(t.now, EventLapsed, Actor{Kind: BySystem}, "#"+strconv.FormatInt(int64(c.Owner), 10))
	c.Owner, c.OwnerTill = 0, 0
	t.escalate(x)
}

// escalate lets the supervisor act.
func (t *treating) escalate(x *Change) {
	if x.Now.Level == 0 {
		x.Now.Level = 1
		x.note(t.now, EventEscalated, Actor{Kind: BySystem}, "")
	}
}

// deadlines notes each deadline that passed since the last look, once.
func (t *treating) deadlines(x *Change) {
	c := &x.Now
	if c.Status != Open {
		return
	}
	passed := func(by purchase.Instant, what string) {
		if by <= t.now && by > t.c.TreatedAt {
			x.note(t.now, EventLate, Actor{Kind: BySystem}, what)
			t.escalate(x)
		}
	}
	if c.AnsweredAt == 0 {
		passed(c.Clock.AnswerBy, "answer")
	}
	passed(c.Clock.ResolveBy, "resolve")
}

// waited ends a wait for the customer's answer that was long enough: the case is settled
// where the ledger shows an outcome, and goes on where it does not.
func (t *treating) waited(ctx context.Context, x *Change) error {
	c := &x.Now
	if c.Status != Waiting || t.now < c.Clock.PausedAt.Add(t.cfg.Clocks.WaitFor) {
		return nil
	}
	by, err := t.pausedBy(ctx)
	if err != nil {
		return err
	}
	outcome := OutcomeAnswered
	if t.r != nil {
		outcome = 0
		if settled(&t.r.Purchase) && !personal(c) {
			outcome = shows(t.r.Purchase.State)
		}
	}
	if outcome == 0 || t.r == nil && c.AnsweredAt == 0 {
		c.Status, c.Clock = Open, c.Clock.Resume(t.now)
		x.note(t.now, EventResumed, Actor{Kind: BySystem}, "no answer")
		t.escalate(x)
		return nil
	}
	if err := t.settle(x, by, &Deed{Do: EventSettled, Outcome: outcome}, t.now); err != nil {
		return err
	}
	if t.r != nil {
		x.Messages = append(x.Messages, t.outcomeText(outcome)) // left out where a rule told it before it waited
	}
	x.note(t.now, EventSettled, by, outcome.String())
	return nil
}

// pausedBy is who let the case wait, where a rule did; otherwise the system.
func (t *treating) pausedBy(ctx context.Context) (Actor, error) {
	history, err := t.store.History(ctx, t.c.ID)
	if err != nil {
		return Actor{}, fmt.Errorf("read a case's history: %w", err)
	}
	for _, e := range slices.Backward(history) {
		if e.Event == EventPaused {
			if e.By.Kind == ByRule {
				return e.By, nil
			}
			break
		}
	}
	return Actor{Kind: BySystem}, nil
}
