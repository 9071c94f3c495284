package care

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// NewCase is what somebody says is wrong.
type NewCase struct {
	Number   purchase.MSISDN
	Purchase purchase.ID // 0 for none
	Matter   purchase.Matter
	Detail   string
	Channel  string
	Language purchase.Language
	// Own: who says it may not see what others said. Without a purchase it joins a case only that they opened themselves.
	Own bool
}

// Case returns a case, or ErrNoCase.
func (d *Desk) Case(ctx context.Context, id CaseID) (Case, error) {
	found, err := d.store.Cases(ctx, id)
	switch {
	case err != nil:
		return Case{}, fmt.Errorf("read case %d: %w", id, err)
	case len(found) == 0:
		return Case{}, ErrNoCase
	}
	return found[0], nil
}

// caseMark is what a case's name begins with: a purchase's has ten characters, a
// case's eleven.
const caseMark = "D"

// CaseReference is a case's name for people: "D-K7M2-Q4XD-9T".
func (d *Desk) CaseReference(id CaseID) string {
	if d.cfg.Files == nil {
		return caseMark + "-" + strconv.FormatInt(int64(id), 10)
	}
	return caseMark + "-" + d.cfg.Files.Reference(purchase.ID(id)).String()
}

// ParseCase reads a case's name as people write it, in any case, with or without
// hyphens and spaces, or returns ErrNoCase.
func (d *Desk) ParseCase(text string) (CaseID, error) {
	text = strings.TrimLeft(strings.TrimSpace(text), "- ")
	if d.cfg.Files == nil || len(text) < 2 || !strings.EqualFold(text[:1], caseMark) {
		return 0, ErrNoCase
	}
	id, err := d.cfg.Files.Parse(text[1:])
	if err != nil || id == 0 {
		return 0, ErrNoCase
	}
	return CaseID(id), nil
}

// opened is a change that makes a case, or adds matters to one.
type opened struct {
	*Desk
	now    purchase.Instant
	p      *purchase.Purchase // nil for none
	change Change
	fresh  bool // the case is new
}

// newFile begins a case of a number.
func (d *Desk) newFile(n *NewCase, p *purchase.Purchase, now purchase.Instant) *opened {
	c := Case{Number: n.Number, Purchase: n.Purchase, Code: codeOf(n.Matter), Status: Open, OpenedAt: now, ChangedAt: now, Clock: d.cfg.Clocks.Start(now),
		Channel: n.Channel, Language: n.Language}
	if p != nil {
		c.Number, c.Language = p.PayerNumber, p.Language
	}
	if c.Language == "" {
		c.Language = standard
	}
	return &opened{Desk: d, now: now, p: p, change: Change{Now: c}, fresh: true}
}

// add adds a matter, who says so, and in which words.
func (o *opened) add(m purchase.Matter, by Actor, at purchase.Instant, detail string) {
	c := &o.change.Now
	known := c.Has(m)
	if !known {
		c.Matters = append(c.Matters, m)
	}
	switch {
	case c.Status.Closed() && (!known || by.Kind != BySystem):
		o.change.again(o.Desk, o.now)
		o.change.note(o.now, EventReopened, by, string(m))
	case !known && len(c.Matters) > 1:
		o.change.note(at, EventMatter, by, string(m))
	}
	if detail = plain(detail); detail != "" || by.Kind == ByCustomer {
		o.change.note(at, EventReported, by, strings.TrimSpace(string(m)+" "+detail))
	}
	if c.Digest == "" || detail != "" {
		c.Digest = cleaned(strings.TrimSpace(string(m)+" "+detail), 120)
	}
	if c.Status == Waiting && by.Kind == ByCustomer { // the customer answered
		c.Status, c.Clock = Open, c.Clock.Resume(o.now)
		o.change.note(o.now, EventResumed, by, "")
	}
}

// finish completes the change: version, deadline, and who opened it.
func (o *opened) finish() Change {
	c := &o.change.Now
	c.Version++
	c.ChangedAt = o.now
	if o.fresh {
		by := Actor{Kind: BySystem}
		for i := range o.change.Entries {
			if e := &o.change.Entries[i]; e.By.Kind == ByCustomer || e.By.Kind == ByStaff || e.By.Kind == ByClient {
				by = e.By
			}
		}
		first := ""
		if len(c.Matters) > 0 {
			first = string(c.Matters[0])
		}
		o.change.Entries = append([]Entry{{At: c.OpenedAt, Event: EventOpened, By: by, Text: first}}, o.change.Entries...)
	}
	o.due(c, o.now)
	if !c.Status.Closed() {
		c.DueAt = max(o.now, 1) // the rules look at once
	}
	return o.change
}

// write stores the change.
func (o *opened) write(ctx context.Context) (Case, error) { return o.put(ctx, o.finish()) }

// Open opens a case for somebody, or adds a matter to the one that the purchase has;
// added says whether anything changed. Durable on return.
func (d *Desk) Open(ctx context.Context, by Actor, n NewCase) (c Case, added bool, err error) {
	n.Detail = plain(n.Detail)
	if !slices.Contains(Matters, n.Matter) {
		return Case{}, false, ErrMatter
	}
	err = retry(func() error {
		c, added, err = d.openOnce(ctx, by, &n)
		return err
	})
	if err != nil {
		return Case{}, false, fmt.Errorf("open a case: %w", err)
	}
	return c, added, nil
}

func (d *Desk) openOnce(ctx context.Context, by Actor, n *NewCase) (c Case, added bool, err error) {
	o, err := d.fileFor(ctx, by, n)
	if err != nil {
		return Case{}, false, err
	}
	if by.Kind == ByStaff {
		now := o.change.Now
		if err := d.mayBy(ctx, &now, by, auth.OpenCase); err != nil {
			return Case{}, false, err
		}
	}
	if c = o.change.Now; !o.fresh && c.Has(n.Matter) && !c.Status.Closed() && n.Detail == "" {
		return c, false, nil
	}
	o.add(n.Matter, by, o.now, n.Detail)
	c, err = o.write(ctx)
	return c, err == nil, err
}

// fileFor is the case of a purchase as a change to be made, or a new one.
func (d *Desk) fileFor(ctx context.Context, by Actor, n *NewCase) (*opened, error) {
	now := d.clock.Now()
	if n.Purchase == 0 {
		if n.Number == 0 {
			return nil, ErrNoCase
		}
		return d.fileWithout(ctx, by, n, now)
	}
	records, err := d.store.Load(ctx, n.Purchase)
	if err != nil {
		return nil, fmt.Errorf("load purchase %d: %w", n.Purchase, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("load purchase %d: %w", n.Purchase, ErrNotFound)
	}
	cases, err := d.store.CasesAbout(ctx, n.Purchase)
	if err != nil {
		return nil, fmt.Errorf("read the case of a purchase: %w", err)
	}
	return d.fileOver(n, &records[0].Purchase, cases, now), nil
}

// fileWithout is the open case without a purchase that a number has for the matter, or a new one.
func (d *Desk) fileWithout(ctx context.Context, by Actor, n *NewCase, now purchase.Instant) (*opened, error) {
	cases, err := d.store.CasesOf(ctx, n.Number, sameMatter)
	if err != nil {
		return nil, fmt.Errorf("read the cases of a number: %w", err)
	}
	for _, c := range cases {
		if c.Purchase != 0 || c.Status.Closed() || !c.Has(n.Matter) {
			continue
		}
		if n.Own {
			history, err := d.store.History(ctx, c.ID)
			if err != nil {
				return nil, fmt.Errorf("read a case's history: %w", err)
			}
			if !OpenedBy(history, by) {
				continue
			}
		}
		c.Matters = slices.Clone(c.Matters)
		return &opened{Desk: d, now: now, change: Change{Now: c}}, nil
	}
	return d.newFile(n, nil, now), nil
}

// OpenedBy reports whether a case's history says that somebody opened it.
func OpenedBy(history []Entry, by Actor) bool {
	return len(history) > 0 && history[0].Event == EventOpened && history[0].By == by
}

// sameMatter bounds among how many of a number's newest cases one of the same matter is looked for.
const sameMatter = 50

// fileOver is the case of a purchase, among cases that were read, or a new one.
func (d *Desk) fileOver(n *NewCase, p *purchase.Purchase, cases []Case, now purchase.Instant) *opened {
	for i := range cases {
		if cases[i].Purchase == p.ID {
			c := cases[i]
			c.Matters = slices.Clone(c.Matters)
			return &opened{Desk: d, now: now, p: p, change: Change{Now: c}}
		}
	}
	return d.newFile(n, p, now)
}

// intakeLimit bounds the matters that are taken in at once.
const intakeLimit = 200

// intake takes matters into cases, those of one purchase together, and reports whether
// there may be more.
func (d *Desk) intake(ctx context.Context, now purchase.Instant) (more bool, err error) {
	found, err := d.store.Openings(ctx, intakeLimit)
	if err != nil {
		return false, fmt.Errorf("read matters: %w", err)
	}
	if len(found) == 0 {
		return false, nil
	}
	var ids []purchase.ID
	about := map[purchase.ID][]Opening{}
	for _, o := range found {
		if about[o.Purchase] == nil {
			ids = append(ids, o.Purchase)
		}
		about[o.Purchase] = append(about[o.Purchase], o)
	}
	records, err := d.store.Load(ctx, ids...)
	if err != nil {
		return false, fmt.Errorf("load purchases: %w", err)
	}
	cases, err := d.store.CasesAbout(ctx, ids...)
	if err != nil {
		return false, fmt.Errorf("read cases: %w", err)
	}
	var errs []error
	stale := false
	for i := range records {
		r := &records[i]
		switch err := d.take(ctx, r, about[r.Purchase.ID], cases, now); {
		case errors.Is(err, ErrStale):
			stale = true // somebody else was faster
		case err != nil:
			errs = append(errs, err)
		}
	}
	return (stale || len(found) == intakeLimit) && len(errs) == 0, errors.Join(errs...)
}

// take takes the matters of one purchase into its case.
func (d *Desk) take(ctx context.Context, r *purchase.Record, matters []Opening, cases []Case, now purchase.Instant) error {
	p := &r.Purchase
	o := d.fileOver(&NewCase{Purchase: p.ID, Matter: matters[0].Matter, Channel: "system"}, p, cases, now)
	for _, m := range matters {
		if m.Report == nil {
			o.add(m.Matter, Actor{Kind: BySystem}, m.At, "")
			continue
		}
		said := m.Report
		if o.fresh && o.change.Now.Channel == "system" {
			o.change.Now.Channel = said.Channel
		}
		detail := said.Detail
		if said.Meant != 0 {
			detail = strings.TrimSpace("-> " + said.Meant.Masked() + " " + detail)
		}
		o.add(m.Matter, Actor{Kind: ByCustomer}, m.At, detail)
	}
	o.change.Taken = matters
	if !o.fresh && !o.change.Now.Status.Closed() {
		// A new case is told of when the rules first look at it, and has its name then.
		t := &treating{Desk: d, c: o.change.Now, r: r, now: now}
		if err := t.welcome(ctx, &o.change); err != nil {
			return err
		}
	}
	_, err := o.write(ctx)
	return err
}
