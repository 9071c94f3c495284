package customer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// CaseView is a case as its customer may see it: where it stands, by when that
// changes, and what was said. What staff write for each other is not in it.
type CaseView struct {
	ID        care.CaseID
	Version   int64
	Reference string
	Purchase  purchase.Reference // "" for none
	Matters   []purchase.Matter
	Status    care.Status
	Outcome   care.Outcome
	Prefer    care.Preference
	OpenedAt  purchase.Instant
	AnswerBy  purchase.Instant // zero once the customer was answered, or when the case is closed
	ResolveBy purchase.Instant // zero when it is closed
	ClosedAt  purchase.Instant
	Told      []Told // oldest first
}

// Told is a message about a case, ours or the customer's own words.
type Told struct {
	At   purchase.Instant
	Mine bool // the customer's
	Text string
}

// maxCases is how many cases a customer is shown.
const maxCases = 20

// Cases returns a number's cases, newest first, without what was said in them.
func (d *Desk) Cases(ctx context.Context, number purchase.MSISDN) ([]CaseView, error) {
	found, err := d.cfg.Care.CasesOf(ctx, number, maxCases)
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	views := make([]CaseView, 0, len(found))
	for i := range found {
		if found[i].Into == 0 { // one that was merged lives on in the other
			views = append(views, d.caseView(&found[i]))
		}
	}
	return views, nil
}

// Case returns one case of a number by its reference, as people write it, with what
// was said, or ErrNotFound.
func (d *Desk) Case(ctx context.Context, number purchase.MSISDN, reference string) (CaseView, error) {
	c, err := d.ownCase(ctx, number, reference)
	if err != nil {
		return CaseView{}, err
	}
	v := d.caseView(&c)
	entries, err := d.cfg.Care.History(ctx, c.ID)
	if err != nil {
		return CaseView{}, fmt.Errorf("read a case's history: %w", err)
	}
	for i := range entries {
		e := &entries[i]
		if e.By.Kind == care.ByCustomer && (e.Event == care.EventReported || e.Event == care.EventReopened) && e.Text != "" {
			v.Told = append(v.Told, Told{e.At, true, e.Text})
		}
	}
	messages, err := d.cfg.Care.MessagesOf(ctx, c.ID)
	if err != nil {
		return CaseView{}, fmt.Errorf("read a case's messages: %w", err)
	}
	for i := range messages {
		if messages[i].To == number {
			v.Told = append(v.Told, Told{messages[i].At, false, messages[i].Text})
		}
	}
	slices.SortStableFunc(v.Told, func(a, b Told) int { return int(a.At - b.At) })
	return v, nil
}

// Reopen takes the customer's own words down in a case: one that was settled is opened
// again, one that waits for them goes on. It returns ErrNotFound, care.ErrRefused when it
// was settled too long ago or nothing is said. Durable on return.
func (d *Desk) Reopen(ctx context.Context, number purchase.MSISDN, reference, words string) error {
	return d.act(ctx, number, reference, care.Deed{Do: care.EventReported, Text: words})
}

// Prefer says what the customer wants while both are possible: the units or the
// money. Durable on return.
func (d *Desk) Prefer(ctx context.Context, number purchase.MSISDN, reference string, p care.Preference) error {
	return d.act(ctx, number, reference, care.Deed{Do: care.EventPrefers, Prefer: p})
}

// actTries is how often a deed is tried on a case that others change meanwhile.
const actTries = 3

// act does a customer's deed to a case of their own.
func (d *Desk) act(ctx context.Context, number purchase.MSISDN, reference string, deed care.Deed) error {
	for try := 1; ; try++ {
		c, err := d.ownCase(ctx, number, reference)
		if err != nil {
			return err
		}
		if deed.Do == care.EventReported && c.Status.Closed() {
			deed.Do = care.EventReopened
		}
		_, err = d.cfg.Care.Act(ctx, c.ID, c.Version, care.Actor{Kind: care.ByCustomer}, deed)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, care.ErrStale) || try == actTries:
			return fmt.Errorf("change a case: %w", err)
		}
	}
}

// ownCase is a case of a number.
func (d *Desk) ownCase(ctx context.Context, number purchase.MSISDN, reference string) (care.Case, error) {
	id, err := d.cfg.Care.ParseCase(reference)
	if err == nil {
		var c care.Case
		if c, err = d.cfg.Care.Case(ctx, id); err == nil && c.Number == number {
			return c, nil
		}
	}
	if err == nil || errors.Is(err, care.ErrNoCase) {
		return care.Case{}, ErrNotFound
	}
	return care.Case{}, fmt.Errorf("read a case: %w", err)
}

// caseView is a case as its customer may see it.
func (d *Desk) caseView(c *care.Case) CaseView {
	v := CaseView{ID: c.ID, Version: c.Version, Reference: d.cfg.Care.CaseReference(c.ID), Matters: c.Matters, Status: c.Status,
		Outcome: c.Outcome, Prefer: c.Prefer, OpenedAt: c.OpenedAt, ClosedAt: c.ClosedAt}
	if c.Purchase != 0 {
		v.Purchase = d.cfg.References.Reference(c.Purchase)
	}
	if !c.Status.Closed() {
		clock := c.Clock.At(d.cfg.Clock.Now())
		v.ResolveBy = clock.ResolveBy
		if c.AnsweredAt == 0 {
			v.AnswerBy = clock.AnswerBy
		}
	}
	return v
}

// Return is somebody's request to get units back that a number received.
type Return struct {
	ID   int64
	View View             // the purchase that they came with
	By   purchase.Instant // the answer is waited for until then
}

// Returns are the requests that a number is asked to answer.
func (d *Desk) Returns(ctx context.Context, number purchase.MSISDN) ([]Return, error) {
	requests, err := d.cfg.Care.Consents(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("read requests to give units back: %w", err)
	}
	var all []Return
	for i := range requests {
		views, err := d.views(ctx, number, []purchase.ID{requests[i].Purchase})
		if err != nil {
			return nil, err
		}
		if len(views) == 1 {
			all = append(all, Return{requests[i].ID, views[0], requests[i].DueAt})
		}
	}
	return all, nil
}

// Answer answers such a request. It returns ErrNotFound for one that is not the
// number's to answer any more. Durable on return.
func (d *Desk) Answer(ctx context.Context, number purchase.MSISDN, id int64, agrees bool) error {
	_, err := d.cfg.Care.Consent(ctx, number, id, agrees)
	if errors.Is(err, care.ErrNotFound) || errors.Is(err, care.ErrStale) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("answer a request to give units back: %w", err)
	}
	return nil
}
