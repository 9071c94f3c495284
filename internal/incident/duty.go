package incident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// DutyKind is what a rule asks for.
type DutyKind string

// The kinds of duties.
const (
	// TellRegulator: the regulator is notified.
	TellRegulator DutyKind = "regulator"
	// TellUsers: whoever is affected is told by a message that nobody has to write.
	TellUsers DutyKind = "users"
	// SuspendSales: what fails is not sold.
	SuspendSales DutyKind = "suspend"
)

// DutyKinds lists them.
var DutyKinds = []DutyKind{TellRegulator, TellUsers, SuspendSales}

// Duty is a rule of a country, or a target of the operator's own: what has to be done about an incident of at least a
// severity that lasts longer, or affects as many customers.
type Duty struct {
	Name      string // names it in timelines: lower-case letters, digits and hyphens
	Kind      DutyKind
	Severity  Severity      // at least; 0 for any
	Lasts     time.Duration // longer than; 0: the time alone does not bind
	Customers int64         // affected, at least; 0: their number alone does not bind
	Within    time.Duration // how long after it binds it has to be done; 0: at once
	Source    string        // who says so, and where
}

// Owed is a duty that an incident has.
type Owed struct {
	Duty   string           `json:"duty"`
	Kind   DutyKind         `json:"kind"`
	Source string           `json:"source"`
	At     purchase.Instant `json:"at"`  // since when it binds
	Due    purchase.Instant `json:"due"` // by when it has to be done
	DoneAt purchase.Instant `json:"done_at,omitempty"`
	DoneBy auth.StaffID     `json:"done_by,omitempty"` // 0 for the system
	Late   bool             `json:"late,omitempty"`    // it was noted that it was not done in time
}

// Kept reports whether it was done in time.
func (o *Owed) Kept() bool { return o.DoneAt != 0 && o.DoneAt <= max(o.Due, o.At) && !o.Late }

// Hand reports whether a person may say that it was done: a pause shows by itself.
func (o *Owed) Hand() bool { return o.DoneAt == 0 && o.Kind != SuspendSales }

// unsent reports whether a regulator is still to be notified.
func (i *Incident) unsent() bool {
	return slices.ContainsFunc(i.Owed, func(o Owed) bool { return o.Kind == TellRegulator && o.DoneAt == 0 })
}

// Owes is what an incident owes under a name, nil for nothing.
func (i *Incident) Owes(duty string) *Owed {
	for k := range i.Owed {
		if i.Owed[k].Duty == duty {
			return &i.Owed[k]
		}
	}
	return nil
}

// maxDuties bounds the duties of an installation.
const maxDuties = 20

var dutyName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// checkDuties finds what makes no sense in duties.
func checkDuties(all []Duty) error {
	if len(all) > maxDuties {
		return fmt.Errorf("incident: %d duties, at most %d", len(all), maxDuties)
	}
	names := map[string]bool{}
	for k := range all {
		d := &all[k]
		switch {
		case !dutyName.MatchString(d.Name) || names[d.Name]:
			return fmt.Errorf("incident: duty %q: a name of its own is needed, of a-z, 0-9 and hyphen", d.Name)
		case !slices.Contains(DutyKinds, d.Kind):
			return fmt.Errorf("incident: duty %s: there is no kind %q", d.Name, d.Kind)
		case d.Lasts < 0 || d.Customers < 0 || d.Within < 0 || d.Severity > Critical:
			return fmt.Errorf("incident: duty %s: a bound is out of range", d.Name)
		case d.Lasts == 0 && d.Customers == 0:
			return fmt.Errorf("incident: duty %s: from when on it binds is needed, by time or by customers", d.Name)
		case d.Source == "":
			return fmt.Errorf("incident: duty %s: its source is needed", d.Name)
		}
		names[d.Name] = true
	}
	return nil
}

// Binds is since when a duty binds an incident that affects so many customers, 0 for not, or not yet.
func (d *Duty) Binds(i *Incident, customers int64, now purchase.Instant) purchase.Instant {
	if i.Severity < d.Severity {
		return 0
	}
	var at purchase.Instant
	if d.Lasts > 0 {
		till := now
		if i.ResolvedAt != 0 {
			till = i.ResolvedAt
		}
		if from := i.Since.Add(d.Lasts); till > from { // it exceeds that
			at = from
		}
	}
	if d.Customers > 0 && customers >= d.Customers && (at == 0 || now < at) {
		at = now
	}
	return at
}

// duties notes what has to be done by now, what was done, and what is late.
func (t *tending) duties() {
	for k := range t.cfg.Duties {
		d := &t.cfg.Duties[k]
		if t.i.Owes(d.Name) != nil {
			continue
		}
		if at := d.Binds(&t.i, t.seen.totals.Customers, t.now); at != 0 {
			t.owe(Owed{Duty: d.Name, Kind: d.Kind, Source: d.Source, At: at, Due: at.Add(d.Within)})
			t.change.note(t.now, Actor{}, EventOwed, d.Name)
		}
	}
	for k := range t.i.Owed {
		o := t.i.Owed[k]
		if o.DoneAt != 0 {
			continue
		}
		if t.does(o.Kind) {
			o.DoneAt = t.now
			t.owe(o)
			t.change.note(t.now, Actor{}, EventDone, o.Duty)
			continue
		}
		// What is due the moment it binds is not late because it is looked at every few seconds.
		if !o.Late && t.now > max(o.Due, o.At.Add(dutyGrace)) {
			o.Late = true
			t.owe(o)
			t.change.note(t.now, Actor{}, EventLate, o.Duty)
		}
	}
}

// dutyGrace is how long after a duty binds it is late at the earliest: the desk looks every few seconds.
const dutyGrace = time.Minute

// owe keeps what is owed, without touching what was read.
func (t *tending) owe(o Owed) {
	t.i.Owed = slices.Clone(t.i.Owed)
	if was := t.i.Owes(o.Duty); was != nil {
		*was = o
		return
	}
	t.i.Owed = append(t.i.Owed, o)
}

// does reports whether a duty is done by itself by now.
func (t *tending) does(kind DutyKind) bool {
	switch kind {
	case TellUsers:
		told := &t.seen.totals // that nobody was told is not that everybody was
		return t.touches() && !t.left && t.seen.totalsAt == t.now && told.Customers > 0 && told.Told >= told.Customers
	case SuspendSales:
		return t.i.PausedAt != 0
	case TellRegulator:
	}
	return false
}

// done is the deed of a person who did what an incident owes.
func (i *Incident) done(duty string, now purchase.Instant, by auth.StaffID) error {
	i.Owed = slices.Clone(i.Owed)
	o := i.Owes(duty)
	switch {
	case o == nil:
		return fmt.Errorf("%w: it owes no %q", ErrDeed, duty)
	case o.DoneAt != 0:
		return fmt.Errorf("%w: it is so already", ErrDeed)
	case !o.Hand():
		return fmt.Errorf("%w: a pause of sales does that", ErrDeed)
	}
	o.DoneAt, o.DoneBy = now, by
	return nil
}

// Done notes that a channel did what an incident owes, unless that was noted before. Durable on return.
func (d *Desk) Done(ctx context.Context, id ID, duty, how string) error {
	for try := 0; ; try++ {
		i, err := d.Incident(ctx, id)
		if err != nil {
			return err
		}
		if o := i.Owes(duty); o == nil || o.DoneAt != 0 {
			return nil
		}
		now := d.clock.Now()
		c := Change{Now: i}
		c.Now.Version++
		c.Now.ChangedAt = now
		if err := c.Now.done(duty, now, 0); err != nil {
			return err
		}
		c.note(now, Actor{}, EventDone, strings.TrimSpace(duty+"\n"+tidied(how, MaxText)))
		if _, err = d.put(ctx, &c); !errors.Is(err, ErrStale) || try == deskTries {
			return err
		}
	}
}

// Notice drafts what a regulator is told of an incident in a language: a subject, and a text without any number of a customer.
func (d *Desk) Notice(i *Incident, o *Owed, totals *Totals, language purchase.Language) (subject, text string) {
	t := d.texts.In(string(language))
	at := func(x purchase.Instant) string {
		if x == 0 {
			return t.Say("notice_not_yet")
		}
		return x.Time().In(d.cfg.Location).Format("02/01/2006 15:04 MST")
	}
	what := ""
	if d.cfg.Label != nil {
		what = d.cfg.Label(i.Series, language)
	}
	what = cmp.Or(what, t.Say(whatKeys[i.Series.By], "Name", i.Series.Name))
	amount := func(minor int64) string {
		if totals.Currency == "" {
			return "0"
		}
		return money.Amount{Minor: minor, Currency: totals.Currency}.String()
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	subject = t.Say("notice_subject", "Name", i.ID.String(), "What", what, "Since", at(i.Since))
	text = t.Say("notice_text", "Name", i.ID.String(), "What", what, "Since", at(i.Since), "Seen", at(i.SeenAt), "Paused", at(i.PausedAt),
		"Recovered", at(i.RecoveredAt), "Resolved", at(i.ResolvedAt), "Status", t.Say("notice_"+i.Status.String()), "Severity", t.Say("notice_"+i.Severity.String()),
		"Party", i.Party, "Customers", number(totals.Customers), "Purchases", number(totals.Purchases), "Amount", amount(totals.Amount),
		"Credited", number(totals.Credited), "Refunded", number(totals.Refunded), "Pending", number(totals.Pending), "Told", number(totals.Told),
		"Public", i.Text[language], "Source", o.Source, "Due", at(o.Due))
	return subject, strings.TrimSpace(text)
}
