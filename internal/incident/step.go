package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// The pace of the desk by itself, where nothing woke it.
const (
	deskBusy    = 2 * time.Second  // something fails, or customers are to be told
	deskSettles = 10 * time.Second // the last ones are settled
	deskIdle    = 30 * time.Second

	openEvery   = time.Minute // looks at all that is open, of an incident
	totalsEvery = 5 * time.Second
	remindEvery = time.Minute
)

// Step opens incidents for what fails, links whom they affect, tells them, follows each incident to its end, and returns
// when to call it again. Those whose incident was closed a moment ago are still told. What another node did meanwhile is no
// error. One incident that fails keeps no other waiting. Calls on one desk must not overlap.
func (d *Desk) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	errs := []error{d.applyHolds(ctx)}
	errs = append(errs, d.findings(ctx, now))
	open, err := d.store.Incidents(ctx, Query{Since: now.Add(-d.cfg.AgainWithin)})
	if err != nil {
		return now.Add(deskBusy), errors.Join(append(errs, fmt.Errorf("read open incidents: %w", err))...)
	}
	d.forget(open)
	d.refill(now)
	pauses, loose, err := d.pausesOf(ctx, open)
	if err != nil {
		return now.Add(deskBusy), errors.Join(append(errs, err)...)
	}
	next = now.Add(deskIdle)
	for i := range open {
		t := &tending{Desk: d, was: open[i], i: open[i], now: now, seen: d.remember(&open[i])}
		if t.pause = pauses[t.i.ID]; t.i.Status < Resolved && loose[t.i.Series] != nil { // what is over has no new pause
			t.adopt(loose[t.i.Series])
		}
		at, err := t.tend(ctx)
		if err != nil && !errors.Is(err, ErrStale) {
			errs = append(errs, fmt.Errorf("incident %s: %w", t.i.ID, err))
		}
		next = min(next, at)
	}
	return max(next, now), errors.Join(errs...)
}

// pausesOf are the last pauses of incidents, by incident, and those that last and belong to none, by series.
func (d *Desk) pausesOf(ctx context.Context, open []Incident) (found map[ID]*Pause, loose map[Series]*Pause, err error) {
	found, loose = map[ID]*Pause{}, map[Series]*Pause{}
	if len(open) == 0 {
		return found, loose, nil
	}
	since := open[0].SeenAt
	for i := range open {
		since = min(since, open[i].SeenAt)
	}
	all, err := d.store.Pauses(ctx, since)
	if err != nil {
		return nil, nil, fmt.Errorf("read pauses: %w", err)
	}
	for i := range all { // in the order of their IDs
		switch p := &all[i]; {
		case p.Incident != 0:
			found[p.Incident] = p
		case p.EndedAt == 0:
			loose[p.Series] = p
		}
	}
	return found, loose, nil
}

// findings takes what fails now into incidents.
func (d *Desk) findings(ctx context.Context, now purchase.Instant) error {
	if d.cfg.Find == nil {
		return nil
	}
	return d.Record(ctx, now, d.cfg.Find(now)...)
}

// Record takes what was found into incidents: one is opened, or opened again, unless it says so already. Any node may do
// so, whichever keeps the record, also while Step runs. Durable on return; that another node was faster is no error.
func (d *Desk) Record(ctx context.Context, now purchase.Instant, found ...Finding) error {
	var errs []error
	for try := 0; len(found) > 0 && try < raced; try++ {
		left, err := d.record(ctx, now, found)
		errs, found = append(errs, err), left
	}
	if len(found) > 0 {
		errs = append(errs, ErrStale)
	}
	return errors.Join(errs...)
}

// record is one try of Record. It returns what another change came before.
func (d *Desk) record(ctx context.Context, now purchase.Instant, found []Finding) (left []Finding, err error) {
	known, err := d.store.Incidents(ctx, Query{Since: now.Add(-d.cfg.AgainWithin)})
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	var errs []error
	for _, f := range found {
		if f.Well {
			continue
		}
		var last *Incident
		for i := range known { // the newest first; one that is open before all others
			if known[i].Series == f.Series && (last == nil || known[i].Status != Closed) {
				last = &known[i]
			}
		}
		var open *OpenError
		switch err := d.found(ctx, f, last, now); {
		case errors.As(err, &open), errors.Is(err, ErrStale), errors.Is(err, ErrPaused):
			left = append(left, f)
		case err != nil:
			errs = append(errs, fmt.Errorf("take in that %s fails: %w", f.Series.Name, err))
		}
	}
	return left, errors.Join(errs...)
}

// found opens an incident for what fails, or again the last one, unless that says so already. ErrStale, ErrPaused and
// *OpenError say that another change came before.
func (d *Desk) found(ctx context.Context, f Finding, last *Incident, now purchase.Instant) error {
	var c Change
	by := Actor{}
	switch {
	case last == nil:
		c.Now = Incident{Version: 1, Series: f.Series, Rule: f.Rule, Status: Ongoing, Severity: d.grave(f.Series, 0),
			Party: d.cfg.Party(f.Series, f.Rule), Since: f.Since, SeenAt: now, Share: 1000}
		if f.At != 0 && f.At < now { // by whichever node
			c.Now.SeenAt = f.At
		}
		if c.Now.Since == 0 || c.Now.Since > c.Now.SeenAt {
			c.Now.Since = c.Now.SeenAt
		}
		c.note(now, by, EventOpened, f.Detail)
	case last.Status == Ongoing:
		return nil
	case last.Status != Closed && f.At != 0 && f.At <= last.RecoveredAt: // seen before it recovered
		return nil
	case last.Status == Recovering: // while sales reopen step by step, the steps say whether it fails again
		lasts, err := d.lasts(ctx, last.ID, now)
		if err != nil || lasts {
			return err
		}
		c.Now = *last
		c.Now.Version++
		c.again(now, f.Detail)
	default:
		c.Now = *last
		c.Now.Version++
		c.again(now, f.Detail)
	}
	if pausable(f.Series) && d.cfg.Pauses(f) {
		if err := d.suspend(ctx, &c, by, f.Detail, now); err != nil {
			return err
		}
	}
	c.Now.ChangedAt = now
	d.draft(&c.Now)
	_, err := d.put(ctx, &c)
	return err
}

// lasts reports whether an incident has a pause that lasts.
func (d *Desk) lasts(ctx context.Context, id ID, now purchase.Instant) (bool, error) {
	pauses, err := d.store.Pauses(ctx, now)
	if err != nil {
		return false, fmt.Errorf("read pauses: %w", err)
	}
	return slices.ContainsFunc(pauses, func(p Pause) bool { return p.Incident == id && p.EndedAt == 0 }), nil
}

// again opens an incident again that had recovered.
func (c *Change) again(now purchase.Instant, why string) {
	c.Now.Status, c.Now.RecoveredAt, c.Now.ResolvedAt, c.Now.ClosedAt, c.Now.ExpectedAt = Ongoing, 0, 0, 0, 0
	c.note(now, Actor{}, EventAgain, why)
}

// suspend lets the change pause the sales of its series, or take over the pause that lasts.
func (d *Desk) suspend(ctx context.Context, c *Change, by Actor, reason string, now purchase.Instant) error {
	lasting, err := d.store.Pauses(ctx, now)
	if err != nil {
		return fmt.Errorf("read pauses: %w", err)
	}
	i := &c.Now
	for _, p := range lasting {
		if p.Series != i.Series || p.EndedAt != 0 {
			continue
		}
		if p.Incident == 0 || p.Incident != i.ID { // somebody paused it before anything was found
			p.Version++
			p.Incident = i.ID
			c.Pauses = append(c.Pauses, p)
		}
		i.PausedAt, i.Share = p.At, p.Share
		c.note(now, by, EventPaused, p.Reason)
		return nil
	}
	c.Pauses = append(c.Pauses, Pause{Version: 1, Series: i.Series, Reason: reason, By: by, Incident: i.ID, At: now})
	if i.Share = 0; i.PausedAt == 0 {
		i.PausedAt = now
	}
	c.note(now, by, EventPaused, reason)
	return nil
}

// note adds a line to the timeline.
func (c *Change) note(at purchase.Instant, by Actor, event Event, text string) {
	c.Entries = append(c.Entries, Entry{At: at, By: by, Event: event, Text: text})
}

// grave is the severity of an incident of a series that affects so many customers.
func (d *Desk) grave(s Series, customers int64) Severity {
	switch {
	case customers >= d.cfg.Severe.Critical:
		return Critical
	case customers >= d.cfg.Severe.Major, s.By == ByProvider, s.By == ByPayer:
		return Major
	}
	return Minor
}

// tending is one look at one open incident.
type tending struct {
	*Desk
	was, i Incident
	pause  *Pause // its last one, nil where nothing was paused
	now    purchase.Instant
	seen   *looked
	change Change
	left   bool // customers are still to be told of the incident
	more   bool // or of its end
}

// tend links, counts, tells, and moves the incident on. It returns when to look again.
func (t *tending) tend(ctx context.Context) (next purchase.Instant, err error) {
	next = t.now.Add(deskBusy)
	if t.i.Status == Closed {
		if err := t.tell(ctx); err != nil || t.left || t.more {
			return next, err
		}
		return t.now.Add(deskIdle), nil
	}
	fresh, err := t.link(ctx)
	if err != nil {
		return next, err
	}
	if err := t.count(ctx, fresh > 0); err != nil {
		return next, err
	}
	if err := t.tell(ctx); err != nil {
		return next, err
	}
	if err := t.probe(ctx); err != nil {
		return next, err
	}
	t.share()
	t.move()
	t.weigh()
	t.duties()
	if t.i.Status == Resolved && t.now >= t.i.ResolvedAt.Add(t.cfg.CloseAfter) {
		if err := t.close(ctx); err != nil {
			return next, err
		}
	}
	if err := t.write(ctx); err != nil {
		return t.now, err
	}
	t.remind()
	switch {
	case t.i.Status == Closed:
		next = t.now.Add(deskIdle)
	case t.i.Status == Resolved && !t.left && !t.more:
		next = t.now.Add(deskSettles)
	}
	return next, nil
}

// touches reports whether purchases are affected by what fails.
func (t *tending) touches() bool {
	return t.i.Rule != RuleNotices && t.i.Rule != RuleSilence && pausable(t.i.Series)
}

// pausable reports whether purchases are counted by a series, and can be paused by it.
func pausable(s Series) bool { return s.By >= ByProduct && s.By <= ByOperator }

// link links what the incident affects by now, what was charged until it recovered.
func (t *tending) link(ctx context.Context) (fresh int64, err error) {
	if !t.touches() {
		return 0, nil
	}
	till := t.now
	if t.i.RecoveredAt != 0 {
		till = t.i.RecoveredAt
	}
	r := Reach{Series: t.i.Series, From: min(t.seen.from, till), Till: till, Within: t.cfg.Within, At: t.now, House: t.cfg.House, Operator: t.cfg.Operator,
		Memory: &t.seen.memory}
	if t.now >= t.seen.openAt.Add(openEvery) {
		r.Open = t.i.Since.Add(-t.cfg.Within)
	}
	fresh, err = t.store.Affect(ctx, t.i.ID, r)
	if err != nil {
		return fresh, fmt.Errorf("link purchases: %w", err)
	}
	if r.Open == 0 {
		return fresh, nil
	}
	t.seen.openAt = t.now
	// What was charged before is decided: credited late, given back, or stuck. A while more is looked at again, for what was being written.
	if decided := t.now.Add(-t.cfg.Within - 30*time.Second); decided > t.seen.from {
		t.seen.from = min(decided, till)
	}
	return fresh, nil
}

// count sums up anew when there is something new, at the pace that the sum's size allows.
func (t *tending) count(ctx context.Context, fresh bool) error {
	every := totalsEvery + time.Duration(t.seen.totals.Purchases/10_000)*time.Second
	if t.seen.totalsAt != 0 && t.now < t.seen.totalsAt.Add(every) && (!fresh || t.seen.totals.Purchases > 10_000) {
		return nil
	}
	totals, err := t.store.Totals(ctx, t.i.ID)
	if err != nil {
		return fmt.Errorf("sum up: %w", err)
	}
	t.mu.Lock()
	t.seen.totals, t.seen.totalsAt = totals, t.now
	t.mu.Unlock()
	return nil
}

// share notes how much is sold, when that changed.
func (t *tending) share() {
	if t.pause == nil {
		return
	}
	if t.i.PausedAt == 0 {
		t.i.PausedAt = t.pause.At
		t.change.note(t.now, t.pause.By, EventPaused, t.pause.Reason)
	}
	share := t.pause.Share
	if t.pause.EndedAt != 0 {
		share = 1000
	}
	if share != t.i.Share {
		t.i.Share = share
		t.change.note(t.now, t.pause.By, EventStep, strconv.Itoa(share))
	}
}

// The outcomes of probes, as the first word of what a timeline says of them.
const (
	probedGood = "good"
	probedBad  = "bad"
	probedNone = "none" // there was nothing to try it with
)

// probed is what the last probe of a pause, or what was sold since, said, in the first word; "" where none was answered.
func (p *Pause) probed() string {
	switch {
	case p.Failing:
		return probedBad
	case p.Good > 0:
		return probedGood
	case p.Tries > 0 && p.TryAt == 0:
		return probedNone
	}
	return ""
}

// probe notes what probes say: the first one, and those that say something else than the one before. After a restart the
// timeline says what was noted.
func (t *tending) probe(ctx context.Context) error {
	if t.pause == nil {
		return nil
	}
	said := t.pause.probed()
	if said == "" || said == t.seen.probed && t.seen.probedOf == t.pause.ID {
		return nil
	}
	lines, err := t.store.Entries(ctx, t.i.ID)
	if err != nil {
		return fmt.Errorf("read a timeline: %w", err)
	}
	last := ""
	for i := range lines {
		if e := &lines[i]; e.Event == EventProbe && e.At >= t.pause.At {
			last, _, _ = strings.Cut(e.Text, " ")
		}
	}
	t.seen.probed, t.seen.probedOf = last, t.pause.ID
	if said != last { // seen is as the timeline is: what is noted now is seen in the next look
		t.change.note(t.now, Actor{}, EventProbe, strings.TrimSpace(said+" "+t.pause.Said))
	}
	return nil
}

// well reports whether the series works again, as far as can be told.
func (t *tending) well() bool {
	if t.cfg.Well != nil {
		return t.cfg.Well(t.i.Series, t.now)
	}
	if t.cfg.Find == nil {
		return false
	}
	for _, f := range t.cfg.Find(t.now) {
		if f.Series == t.i.Series && !f.Well {
			return false
		}
	}
	return true
}

// adopt makes a pause of the series the incident's, such as one that somebody began by hand.
func (t *tending) adopt(p *Pause) {
	now := *p
	now.Version++
	now.Incident = t.i.ID
	t.pause = &now
	t.change.Pauses = append(t.change.Pauses, now)
	t.i.PausedAt, t.i.Share = now.At, now.Share
	t.change.note(t.now, now.By, EventPaused, now.Reason)
}

// wellFor reports whether the series has worked for long enough: what a process that has just begun finds is no proof.
func (t *tending) wellFor() bool {
	if !t.well() {
		t.seen.wellAt = 0
		return false
	}
	if t.seen.wellAt == 0 {
		t.seen.wellAt = t.now
	}
	return t.now >= t.seen.wellAt.Add(t.cfg.WellFor)
}

// move lets the incident recover, fail again, and be resolved. While sales are paused the steps in which they are reopened
// tell; otherwise the series itself does. Of what a person found, nothing that is measured says when it is over: the
// end of the pause does, or a person.
func (t *tending) move() {
	lasts, hand := t.pause != nil && t.pause.EndedAt == 0, t.i.Rule == RuleHand
	if t.i.Status == Recovering && lasts && t.i.Share == 0 {
		t.i.Status, t.i.RecoveredAt = Ongoing, 0
		t.change.note(t.now, Actor{}, EventAgain, t.pause.Reason)
	}
	if t.i.Status == Ongoing {
		over := hand && t.pause != nil || !hand && t.wellFor()
		if lasts {
			over = t.i.Share > 0
		}
		if over {
			t.i.Status, t.i.RecoveredAt = Recovering, t.now
			t.change.note(t.now, Actor{}, EventRecovered, "")
		}
	}
	if t.i.Status == Recovering && !lasts && (hand || t.well()) {
		t.i.Status, t.i.ResolvedAt = Resolved, t.now
		t.change.note(t.now, Actor{}, EventResolved, "")
	}
}

// weigh makes the incident as severe as what it did, and never less than before.
func (t *tending) weigh() {
	if s := t.grave(t.i.Series, t.seen.totals.Customers); !t.i.Graded && s > t.i.Severity {
		t.i.Severity = s
		t.change.note(t.now, Actor{}, EventSeverity, severityNames[s])
	}
}

// close closes the incident when everybody is settled and was told so.
func (t *tending) close(ctx context.Context) error {
	if t.left || t.pause != nil && t.pause.EndedAt == 0 || t.i.unsent() {
		return nil
	}
	t.seen.totalsAt = 0
	if err := t.count(ctx, true); err != nil {
		return err
	}
	if t.seen.totals.Pending > 0 || t.seen.totals.Told < t.seen.totals.Customers {
		return nil
	}
	if more, err := t.store.Unended(ctx, t.i.ID, 0, 1); err != nil || len(more) > 0 {
		return err
	}
	t.i.Status, t.i.ClosedAt = Closed, t.now
	t.change.note(t.now, Actor{}, EventClosed, "")
	return nil
}

// write keeps what changed.
func (t *tending) write(ctx context.Context) error {
	if len(t.change.Entries) == 0 {
		return nil
	}
	t.i.Version++
	t.i.ChangedAt = t.now
	if t.i.Status != t.was.Status || t.i.PausedAt != t.was.PausedAt || (t.i.Share == 0) != (t.was.Share == 0) {
		t.draft(&t.i)
	}
	t.change.Now = t.i
	_, err := t.put(ctx, &t.change)
	if errors.Is(err, ErrUnsettled) { // one came meanwhile, or stands in exposure
		return nil
	}
	return err
}

// remind tells operations from time to time that the incident is still open.
func (t *tending) remind() {
	if t.i.Status < Resolved && t.now >= t.seen.alertAt.Add(remindEvery) {
		t.seen.alertAt = t.now
		t.alert(&t.i, "")
	}
}

var severityNames = [...]string{Minor: "minor", Major: "major", Critical: "critical"}

// String is the severity's word.
func (s Severity) String() string { return severityNames[s] }

var statusNames = [...]string{Ongoing: "ongoing", Recovering: "recovering", Resolved: "resolved", Closed: "closed"}

// String is the status's word.
func (s Status) String() string { return statusNames[s] }

// applyHolds holds on this node what the store says is to be held, and lets the rest go on.
func (d *Desk) applyHolds(ctx context.Context) error {
	if d.cfg.Engine == nil {
		return nil
	}
	holds, err := d.store.Held(ctx)
	if err != nil {
		return fmt.Errorf("read what is held: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted := make(map[string]bool, len(holds))
	for _, h := range holds {
		wanted[h.Partner] = true
		if !d.held[h.Partner] {
			d.held[h.Partner] = d.cfg.Engine.HoldStuck(h.Partner, true)
		}
	}
	for partner := range d.held {
		if !wanted[partner] {
			d.cfg.Engine.HoldStuck(partner, false)
			delete(d.held, partner)
		}
	}
	return nil
}

// who is one of the staff who may do something, or ErrNotAllowed.
func (d *Desk) who(ctx context.Context, id auth.StaffID, action auth.Action) error {
	person, err := d.store.StaffMember(ctx, id)
	switch {
	case err != nil:
		return fmt.Errorf("read who acts: %w", err)
	case !person.May(action):
		return ErrNotAllowed
	}
	return nil
}
