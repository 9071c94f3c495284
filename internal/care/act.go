package care

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tenu/internal/auth"
	"tenu/internal/notify/gsm7"
	"tenu/internal/purchase"
)

// Deed is what staff, a rule, a customer or a client's system does to a case. Do says
// which; the other fields hold what it needs.
type Deed struct {
	Do       Event // one of Deeds
	Text     string
	Staff    auth.StaffID // whom it is given to, for EventTaken; the actor when 0
	Outcome  Outcome
	Incident string
	Prefer   Preference
}

// Deeds lists what may be done to a case.
var Deeds = []Event{EventTaken, EventReleased, EventEscalated, EventPaused, EventResumed, EventNote, EventTold, EventLinked, EventReported,
	EventPrefers, EventSettled, EventWithdrawn, EventReopened}

// may says what each deed needs of staff.
var deedActions = map[Event]auth.Action{EventTaken: auth.TakeCase, EventReleased: auth.TakeCase, EventEscalated: auth.Escalate,
	EventPaused: auth.TakeCase, EventResumed: auth.TakeCase, EventNote: auth.Note, EventTold: auth.Note, EventLinked: auth.TakeCase, EventReported: auth.Note,
	EventPrefers: auth.TakeCase, EventSettled: auth.TakeCase, EventWithdrawn: auth.TakeCase, EventReopened: auth.TakeCase}

// customerDeeds and clientDeeds are what these may do.
var (
	customerDeeds = []Event{EventReported, EventReopened, EventPrefers, EventWithdrawn}
	clientDeeds   = []Event{EventReported, EventReopened, EventPrefers, EventWithdrawn, EventNote, EventTold, EventPaused, EventResumed, EventSettled, EventEscalated}
)

// MaxText bounds a note, in characters.
const MaxText = 2000

// The words of why a deed is refused, beside those of Whys.
const (
	WhyDeed    Why = "deed"    // no such deed, or not theirs to do
	WhyText    Why = "text"    // a text is needed
	WhyLong    Why = "long"    // more than one SMS holds
	WhyLate    Why = "late"    // settled too long ago to be opened again
	WhyAlready Why = "already" // it is so already
	WhyFound   Why = "found"   // the engine found it: nobody can take that back
)

// EntriesPerVersion bounds the entries of one change of a case: an entry's Seq, divided
// by it, is the version that wrote it.
const EntriesPerVersion = 1000

// Act does a deed to a case that still has a version, and returns it as it then
// stands. What the system changed since without a line of history, such as when it
// looks next, makes no version stale. It returns ErrNoCase, ErrStale, ErrClosed,
// ErrUnproven when the ledger does not show the outcome, or a *Refusal. Durable on return.
func (d *Desk) Act(ctx context.Context, id CaseID, version int64, by Actor, deed Deed) (Case, error) {
	for try := 0; ; try++ {
		c, err := d.Case(ctx, id)
		if err != nil {
			return Case{}, err
		}
		if same, err := d.same(ctx, &c, version); err != nil || !same {
			return c, cmp.Or(err, ErrStale)
		}
		if err := d.mayAct(ctx, &c, by, &deed); err != nil {
			return c, err
		}
		change, err := d.apply(&c, by, &deed, d.clock.Now())
		if err != nil {
			return c, err
		}
		if err := d.tellOutcome(ctx, &change, &deed); err != nil {
			return c, err
		}
		now, err := d.put(ctx, change)
		if !errors.Is(err, ErrStale) || try == recordTries {
			return now, err
		}
	}
}

// tellOutcome adds to a change that settles a case about a purchase what the customer is
// told, where whoever settles it wrote nothing and the customer knows of the case.
func (d *Desk) tellOutcome(ctx context.Context, x *Change, deed *Deed) error {
	if deed.Do != EventSettled || x.Now.Purchase == 0 || len(x.Messages) > 0 || !told(&x.Now) {
		return nil
	}
	records, err := d.store.Load(ctx, x.Now.Purchase)
	if err != nil || len(records) == 0 {
		return cmp.Or(err, ErrUnproven)
	}
	t := &treating{Desk: d, c: x.Now, r: &records[0], now: x.Now.ChangedAt}
	x.Messages = append(x.Messages, t.outcomeText(deed.Outcome))
	return nil
}

// same reports whether a case says the same as it did in a version.
func (d *Desk) same(ctx context.Context, c *Case, version int64) (bool, error) {
	if version >= c.Version || version < 1 {
		return version == c.Version, nil
	}
	history, err := d.store.History(ctx, c.ID)
	if err != nil {
		return false, fmt.Errorf("read a case's history: %w", err)
	}
	return len(history) == 0 || history[len(history)-1].Seq/EntriesPerVersion <= version, nil
}

// put writes a change and tells whoever listens.
func (d *Desk) put(ctx context.Context, change Change) (Case, error) {
	c, err := d.store.ChangeCase(ctx, change)
	if err != nil {
		return Case{}, fmt.Errorf("change a case: %w", err)
	}
	d.changed(Changed{Case: c.ID, Number: c.Number, Purchase: c.Purchase})
	if with := change.With; with != nil {
		d.changed(Changed{Case: with.Now.ID, Number: with.Now.Number, Purchase: with.Now.Purchase})
	}
	if len(change.Messages) > 0 {
		d.written()
	}
	d.Wake()
	return c, nil
}

// mayAct returns why somebody may not do a deed to a case, or nil.
func (d *Desk) mayAct(ctx context.Context, c *Case, by Actor, deed *Deed) error {
	switch by.Kind {
	case ByCustomer:
		if !slices.Contains(customerDeeds, deed.Do) {
			return &Refusal{Why: WhyDeed}
		}
		return nil
	case ByClient:
		if !slices.Contains(clientDeeds, deed.Do) {
			return &Refusal{Why: WhyDeed}
		}
	case ByStaff:
		action, known := deedActions[deed.Do]
		if !known {
			return &Refusal{Why: WhyDeed}
		}
		if deed.Do == EventTaken && deed.Staff != 0 && deed.Staff != by.Staff {
			action = auth.Bulk // to give work to others
		}
		if err := d.mayBy(ctx, c, by, action); err != nil {
			return err
		}
	case BySystem, ByRule:
	}
	if deed.Do == EventTaken && deed.Staff != 0 {
		if err := d.mayBy(ctx, c, Actor{Kind: ByStaff, Staff: deed.Staff}, auth.TakeCase); err != nil {
			return err // who gets it must be able to do it
		}
	}
	if deed.Do != EventSettled || c.Purchase == 0 {
		return nil
	}
	requests, err := d.store.RequestsAbout(ctx, c.Purchase)
	if err != nil {
		return fmt.Errorf("read requests: %w", err)
	}
	if slices.ContainsFunc(requests, func(r Request) bool { return !r.Stage.Over() }) {
		return &Refusal{Why: WhyUnderWay}
	}
	return nil
}

// mayBy returns why somebody may not do to a case what an action allows staff to do to
// those that are not about their own numbers (invariant C4), or nil. Their role is read anew.
func (d *Desk) mayBy(ctx context.Context, c *Case, by Actor, action auth.Action) error {
	if by.Kind != ByStaff {
		return nil
	}
	person, err := d.store.StaffMember(ctx, by.Staff)
	if err != nil {
		return fmt.Errorf("read who acts: %w", err)
	}
	numbers, err := d.numbersOf(ctx, c)
	if err != nil {
		return err
	}
	if why := who(&person, action, numbers...); why != "" {
		return &Refusal{Why: why}
	}
	return nil
}

// numbersOf are the numbers that a case is about.
func (d *Desk) numbersOf(ctx context.Context, c *Case) ([]purchase.MSISDN, error) {
	numbers := []purchase.MSISDN{c.Number}
	if c.Purchase == 0 {
		return numbers, nil
	}
	records, err := d.store.Load(ctx, c.Purchase)
	if err != nil {
		return nil, fmt.Errorf("read the purchase of a case: %w", err)
	}
	for i := range records {
		numbers = append(numbers, records[i].Purchase.PayerNumber, records[i].Purchase.Recipient)
	}
	return numbers, nil
}

// begin is the change that a deed begins with.
func (d *Desk) begin(c *Case, by Actor, now purchase.Instant) Change {
	change := Change{Now: *c}
	change.Now.Version++
	change.Now.ChangedAt = now
	change.Now.Matters = slices.Clone(c.Matters)
	if by.Kind == ByStaff && by.Staff == c.Owner {
		change.Now.OwnerTill = max(c.OwnerTill, now.Add(d.cfg.Clocks.OwnerSilent))
	}
	return change
}

// note adds a line to a change's history.
func (x *Change) note(at purchase.Instant, event Event, by Actor, text string) {
	x.Entries = append(x.Entries, Entry{Case: x.Now.ID, At: at, Event: event, By: by, Text: text})
}

// apply is the whole of what deeds do to a case. It is pure but for the wording.
func (d *Desk) apply(c *Case, by Actor, deed *Deed, now purchase.Instant) (Change, error) {
	x := d.begin(c, by, now)
	text := long(deed.Text)
	if c.Status.Closed() && deed.Do != EventReopened && deed.Do != EventNote && deed.Do != EventTold {
		return x, ErrClosed
	}
	var err error
	switch deed.Do {
	case EventTaken:
		if by.Kind != ByStaff && deed.Staff == 0 {
			return x, &Refusal{Why: WhyDeed}
		}
		text = x.take(d, by, deed, now)
	case EventReleased:
		x.Now.Owner, x.Now.OwnerTill = 0, 0
	case EventEscalated:
		if c.Level > 0 {
			return x, &Refusal{Why: WhyAlready}
		}
		x.Now.Level = 1
	case EventPaused:
		if c.Status == Waiting {
			return x, &Refusal{Why: WhyAlready}
		}
		x.Now.Status, x.Now.Clock = Waiting, c.Clock.Pause(now)
	case EventResumed:
		if c.Status != Waiting {
			return x, &Refusal{Why: WhyAlready}
		}
		x.Now.Status, x.Now.Clock = Open, c.Clock.Resume(now)
	case EventNote:
		if text == "" {
			return x, &Refusal{Why: WhyText}
		}
	case EventTold:
		err = d.tellText(&x, by, text, now)
	case EventLinked:
		text = short(deed.Incident)
		x.Now.Incident = text
	case EventReported:
		err = x.hear(by, text, now)
	case EventPrefers:
		if int(deed.Prefer) >= len(preferenceNames) {
			return x, &Refusal{Why: WhyDeed}
		}
		x.Now.Prefer, text = deed.Prefer, preferenceNames[deed.Prefer]
	case EventSettled:
		if err = d.settle(&x, by, deed, now); err == nil {
			text = deed.Outcome.String()
		}
	case EventWithdrawn:
		if slices.ContainsFunc(c.Matters, found) {
			return x, &Refusal{Why: WhyFound}
		}
		x.close(Withdrawn, now)
	case EventReopened:
		err = d.reopen(&x, c, now)
	default:
		return x, &Refusal{Why: WhyDeed}
	}
	if err != nil {
		return x, err
	}
	x.note(now, deed.Do, by, text)
	d.due(&x.Now, now)
	return x, nil
}

var preferenceNames = [...]string{PreferNone: "none", PreferUnits: "units", PreferMoney: "money"}

// found reports whether a matter is one that the engine found, which nobody can take back.
func found(m purchase.Matter) bool { return slices.Contains(purchase.Matters, m) }

// hear takes the customer's own words down. They end a wait for them, and what they
// answer is for a person to read.
func (x *Change) hear(by Actor, text string, now purchase.Instant) error {
	if text == "" {
		return &Refusal{Why: WhyText}
	}
	if c := &x.Now; c.Status == Waiting {
		c.Status, c.Clock = Open, c.Clock.Resume(now)
		x.contest()
		x.note(now, EventResumed, by, "")
	}
	return nil
}

// contest keeps rules from settling the case.
func (x *Change) contest() {
	if !x.Now.Has(MatterContested) {
		x.Now.Matters = append(x.Now.Matters, MatterContested)
	}
}

// take gives the case to its new owner, and returns what the history says.
func (x *Change) take(d *Desk, by Actor, deed *Deed, now purchase.Instant) string {
	owner, text := by.Staff, ""
	if deed.Staff != 0 && deed.Staff != by.Staff {
		owner, text = deed.Staff, "for #"+strconv.FormatInt(int64(deed.Staff), 10)
	}
	x.Now.Owner, x.Now.OwnerTill = owner, now.Add(d.cfg.Clocks.OwnerSilent)
	return text
}

// close closes the case.
func (x *Change) close(status Status, now purchase.Instant) {
	x.Now.Clock = x.Now.Clock.Resume(now)
	x.Now.Status, x.Now.ClosedAt, x.Now.Owner, x.Now.OwnerTill, x.Now.Level = status, now, 0, 0, 0
}

// settle closes with what the ledger shows (invariant C6); the store checks that it does.
func (d *Desk) settle(x *Change, by Actor, deed *Deed, now purchase.Instant) error {
	c := &x.Now
	state := stateOf(deed.Outcome)
	switch {
	case c.Purchase == 0 && deed.Outcome != OutcomeAnswered, c.Purchase != 0 && state == 0:
		return ErrUnproven
	case c.Purchase == 0 && c.AnsweredAt == 0 && deed.Text == "":
		return &Refusal{Why: WhyText} // whoever asks is answered
	}
	if c.Purchase != 0 {
		x.Proof = &Proof{Purchase: c.Purchase, State: state}
	}
	c.Rule = ""
	if by.Kind == ByRule {
		c.Rule = by.Name
	}
	x.close(Settled, now)
	c.Outcome = deed.Outcome
	if deed.Text != "" && by.Kind != ByRule {
		return d.tellText(x, by, long(deed.Text), now)
	}
	return nil
}

// reopen opens a closed case again, with clocks that begin anew.
func (d *Desk) reopen(x *Change, c *Case, now purchase.Instant) error {
	switch {
	case !c.Status.Closed() || c.Into != 0:
		return &Refusal{Why: WhyAlready}
	case now > c.ClosedAt.Add(d.cfg.Clocks.ReopenWithin):
		return &Refusal{Why: WhyLate}
	}
	x.again(d, now)
	x.Now.Level = 1 // what was settled, and was not, is for a supervisor
	x.contest()
	return nil
}

// again opens the case, whose clocks begin anew.
func (x *Change) again(d *Desk, now purchase.Instant) {
	c := &x.Now
	c.Status, c.Outcome, c.Rule, c.ClosedAt, c.AnsweredAt = Open, 0, "", 0, 0
	c.Clock = d.cfg.Clocks.Start(now)
	c.Reopened++
}

// tellText sends the customer a text of somebody's.
func (d *Desk) tellText(x *Change, by Actor, text string, now purchase.Instant) error {
	if text == "" {
		return &Refusal{Why: WhyText}
	}
	c := &x.Now
	whole := d.texts.In(string(c.Language)).Say("case_text", "Case", d.CaseReference(c.ID), "Text", text)
	fit := gsm7.Fit(whole)
	if utf8.RuneCountInString(fit) < utf8.RuneCountInString(whole) {
		return &Refusal{Why: WhyLong, Limit: gsm7.MaxSeptets}
	}
	x.Messages = append(x.Messages, Message{Case: c.ID, To: c.Number, Language: c.Language, At: now, Text: fit})
	if c.AnsweredAt == 0 && by.Kind != BySystem {
		c.AnsweredAt = now
	}
	return nil
}

// long is somebody's text without control characters, of at most MaxText characters;
// lines stay lines.
func long(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		lines = append(lines, cleaned(line, MaxText))
	}
	runes := []rune(strings.TrimSpace(strings.Join(lines, "\n")))
	return string(runes[:min(len(runes), MaxText)])
}

// short is a label of somebody's.
func short(text string) string { return cleaned(text, 80) }

// due sets when the system itself looks at a case next: at its next deadline, when its
// owner has been silent, or when it may have settled. A closed one is looked at no more.
func (d *Desk) due(c *Case, now purchase.Instant) {
	c.DueAt = 0
	if c.Status.Closed() {
		return
	}
	next := func(at purchase.Instant) {
		if at > now {
			c.DueAt = sooner(c.DueAt, at)
		}
	}
	if c.Owner != 0 {
		next(max(c.OwnerTill, now+1))
	}
	if c.Status == Waiting {
		next(c.Clock.PausedAt.Add(d.cfg.Clocks.WaitFor))
		next(now.Add(lookWaiting))
		return
	}
	if c.AnsweredAt == 0 {
		next(c.Clock.AnswerBy)
	}
	next(c.Clock.ResolveBy)
	next(now.Add(lookAfter(now.Sub(c.OpenedAt))))
}

// retry does something that may meet a case that others change meanwhile.
func retry(do func() error) error {
	for try := 0; ; try++ {
		if err := do(); !errors.Is(err, ErrStale) || try == recordTries {
			return err
		}
	}
}
