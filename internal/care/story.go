package care

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// name is what a case's history calls a request: "refund #17".
func (r *Request) name() string { return string(r.Kind) + " #" + strconv.FormatInt(r.ID, 10) }

// agreed reports whether the recipient let the units be taken back.
func (r *Request) agreed() bool {
	return r.Kind == AskReversal && r.Stage != StageConsent && (r.Checker != 0 || r.Stage == StageCheck || r.Why == WhyNoCheck)
}

// story is what the history of a case holds of a request as it stands. It follows from the
// request alone, so that it can be written again after a crash.
func (r *Request) story() []Entry {
	maker := Actor{Kind: ByStaff, Staff: r.Maker}
	if r.Rule != "" {
		maker = Actor{Kind: ByRule, Name: r.Rule}
	}
	name := r.name()
	all := []Entry{{At: r.At, Event: EventAsked, By: maker, Text: name}}
	if r.agreed() {
		all = append(all, Entry{At: r.At, Event: EventDecided, By: Actor{Kind: ByCustomer}, Text: name + " " + WhyAgreed})
	}
	approved := r.Stage == StageApproved || r.Stage == StageDone || r.Stage == StageVoid
	if r.Checker != 0 && approved {
		all = append(all, Entry{At: r.DecidedAt, Event: EventDecided, By: Actor{Kind: ByStaff, Staff: r.Checker}, Text: name + " approved"})
	}
	last := Entry{At: r.ClosedAt, By: Actor{Kind: BySystem}, Text: name + " " + r.Stage.String()}
	switch r.Stage {
	case StageDone:
		last.Event = EventDone
	case StageVoid:
		last.Event, last.Text = EventDone, last.Text+": "+r.Why
	case StageRefused:
		last.Event, last.By, last.Text = EventDecided, Actor{Kind: ByCustomer}, last.Text+": "+r.Why
		if r.Checker != 0 {
			last.By = Actor{Kind: ByStaff, Staff: r.Checker}
		}
	case StageLapsed:
		last.Event, last.Text = EventDecided, last.Text+": "+r.Why
	case StageConsent, StageCheck, StageApproved:
		return all
	}
	return append(all, last)
}

// letters are what the two sides of a reversal are told, each once.
func (d *Desk) letters(ctx context.Context, r *Request, language purchase.Language) ([]Message, error) {
	if r.Kind != AskReversal {
		return nil, nil
	}
	p, err := d.load(ctx, r.Purchase)
	if err != nil {
		return nil, err
	}
	var all []Message
	tell := func(to purchase.MSISDN, key string, pairs ...string) {
		all = append(all, Message{Case: r.Case, To: to, Language: language, At: d.clock.Now(), Text: d.say(language, key, pairs...),
			Key: "request-" + strconv.FormatInt(r.ID, 10) + "-" + key})
	}
	item, ref := d.item(&p, language), ""
	if d.cfg.References != nil {
		ref = d.cfg.References.Reference(r.Purchase).String()
	}
	switch {
	case r.Stage == StageConsent:
		by := r.DueAt.Time().In(d.hours.Location)
		tell(r.Recipient, "return_ask", "Item", item, "Date", by.Format("02/01"), "Time", by.Format("15:04"), "Reference", ref)
	case r.Checker == 0 && (r.Why == WhyRecipient || r.Why == WhyNoConsent):
		tell(r.Number, "return_no", "Item", item, "Reference", ref)
		if r.Why == WhyNoConsent {
			tell(r.Recipient, "return_lapsed", "Item", item, "Reference", ref)
		}
	case r.Stage == StageRefused || r.Stage == StageLapsed || r.Stage == StageVoid:
		tell(r.Number, "return_off", "Item", item, "Reference", ref)
		tell(r.Recipient, "return_lapsed", "Item", item, "Reference", ref)
	}
	return all, nil
}

// item is what was bought, in words.
func (d *Desk) item(p *purchase.Purchase, language purchase.Language) string {
	if p.Bundle {
		return d.say(language, "bundle")
	}
	return money.Amount{Minor: p.Units, Currency: p.Currency}.String()
}

// recordTries bounds how often a case is read again that others change meanwhile.
const recordTries = 10

// record writes what a request came to into its case's history, with further entries and what
// customers are told of it. What stands there already is left out.
func (d *Desk) record(ctx context.Context, r *Request, more []Entry) error {
	if r.Case == 0 {
		return nil
	}
	story := append(r.story(), more...)
	id := r.Case
	for try := 0; ; try++ {
		c, err := d.fileOf(ctx, id)
		if err != nil {
			return err
		}
		known, err := d.store.History(ctx, c.ID)
		if err != nil {
			return fmt.Errorf("read the history of a case: %w", err)
		}
		fresh := slices.DeleteFunc(slices.Clone(story), func(e Entry) bool {
			return slices.ContainsFunc(known, func(k Entry) bool { return k.Event == e.Event && k.Text == e.Text && k.By == e.By })
		})
		if len(fresh) == 0 {
			return nil
		}
		letters, err := d.letters(ctx, r, c.Language)
		if err != nil {
			return err
		}
		_, err = d.store.ChangeCase(ctx, d.reversed(r, d.chapter(c, fresh, letters)))
		switch {
		case err == nil:
			d.changed(Changed{Case: c.ID, Number: c.Number, Purchase: c.Purchase})
			d.written()
			return nil
		case !errors.Is(err, ErrStale) || try == recordTries:
			return fmt.Errorf("write the history of a case: %w", err)
		}
	}
}

// reversed opens a settled case again with the change that tells that a request moved money:
// the ledger does not show any more what the case was settled with (invariant C6).
func (d *Desk) reversed(r *Request, x Change) Change {
	if x.Now.Status != Settled || r.Stage != StageDone || r.Kind.Wish() == 0 || r.Kind == AskAnswer {
		return x
	}
	now := d.clock.Now()
	x.again(d, now)
	x.note(now, EventReopened, Actor{Kind: BySystem}, r.name())
	x.Now.DueAt = max(now, 1)
	return x
}

// fileOf is a case, or the one that it was merged into.
func (d *Desk) fileOf(ctx context.Context, id CaseID) (Case, error) {
	for range recordTries {
		found, err := d.store.Cases(ctx, id)
		if err != nil {
			return Case{}, fmt.Errorf("read a case: %w", err)
		}
		if len(found) == 0 {
			return Case{}, fmt.Errorf("read case %d: %w", id, ErrNoCase)
		}
		if found[0].Into == 0 {
			return found[0], nil
		}
		id = found[0].Into
	}
	return Case{}, fmt.Errorf("read case %d: %w", id, ErrNoCase)
}

// chapter is a change of a case that adds to its history. An owner who acts keeps the case; a
// request that is over makes the case's own step look at once.
func (d *Desk) chapter(c Case, entries []Entry, messages []Message) Change {
	now := d.clock.Now()
	c.Version++
	c.ChangedAt = now
	for i := range entries {
		entries[i].Case = c.ID
		if e := &entries[i]; c.Owner != 0 && e.By.Staff == c.Owner {
			c.OwnerTill = max(c.OwnerTill, now.Add(d.cfg.Clocks.OwnerSilent))
		}
		if entries[i].Event == EventDone && !c.Status.Closed() {
			c.DueAt = min(c.DueAt, now)
		}
	}
	return Change{Now: c, Entries: entries, Messages: messages}
}
