package care

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"tenu/internal/auth"
)

// WhyMoney says that the purchase of the case that would end has no outcome yet, and nobody else would look after it.
const WhyMoney Why = "money"

// WhyOthers says that the two are of different customers, or one is merged or is the other.
const WhyOthers Why = "others"

// Merge puts a case into another of the same customer: its matters join the other's, its
// history stays where it is, and it is withdrawn. Its purchase, if it has one, must have its
// outcome: further matters of that purchase open a case of their own. Both must have the versions that they
// were read with, and both change in one transaction: of two merges that meet, one is done. Merged
// already, it is the other as it stands. Durable on return.
func (d *Desk) Merge(ctx context.Context, from, into Case, by Actor) (Case, error) {
	f, err := d.Case(ctx, from.ID)
	if err != nil {
		return Case{}, err
	}
	t, err := d.Case(ctx, into.ID)
	if err != nil {
		return Case{}, err
	}
	switch {
	case f.Version != from.Version || t.Version != into.Version:
		return t, ErrStale
	case f.ID == t.ID || f.Number != t.Number || t.Into != 0 || f.Into != 0 && f.Into != t.ID || f.Purchase != 0 && t.Purchase != 0 && f.Purchase == t.Purchase:
		return t, &Refusal{Why: WhyOthers}
	case by.Kind == ByCustomer:
		return t, &Refusal{Why: WhyDeed}
	}
	for _, c := range []*Case{&f, &t} {
		if err := d.mayBy(ctx, c, by, auth.MergeCases); err != nil {
			return t, err
		}
	}
	switch {
	case f.Into == t.ID:
		return t, nil
	case t.Status.Closed() || f.Status.Closed():
		return t, ErrClosed
	}
	if open, err := d.unsettled(ctx, &f); err != nil || open {
		return t, cmp.Or(err, error(&Refusal{Why: WhyMoney}))
	}
	now := d.clock.Now()
	gone := d.begin(&f, by, now)
	gone.close(Withdrawn, now)
	gone.Now.Into = t.ID
	gone.note(now, EventMerged, by, "into "+d.CaseReference(t.ID))
	d.due(&gone.Now, now)
	x := d.begin(&t, by, now)
	x.With = &gone
	for _, m := range f.Matters {
		if !x.Now.Has(m) {
			x.Now.Matters = append(x.Now.Matters, m)
		}
	}
	x.note(now, EventMerged, by, "from "+d.CaseReference(f.ID))
	d.due(&x.Now, now)
	return d.put(ctx, x)
}

// unsettled reports whether a case is about a purchase that has no outcome yet.
func (d *Desk) unsettled(ctx context.Context, c *Case) (bool, error) {
	if c.Purchase == 0 {
		return false, nil
	}
	p, err := d.load(ctx, c.Purchase)
	return err == nil && !settled(&p), err
}

// attachmentTypes are what may be attached, as the content itself says.
var attachmentTypes = []string{"image/png", "image/jpeg", "application/pdf", "text/plain; charset=utf-8"}

// The words of why a file is refused.
const (
	WhySize  Why = "size"  // larger than MaxAttachment, or empty
	WhyType  Why = "type"  // not a picture, a PDF or a text
	WhyFiles Why = "files" // the case has as many as it may
)

// Attach keeps a file of a case; its content decides its type, whatever its name says.
// A *Refusal says why not; ErrFull: the case has MaxAttachments. Durable on return.
func (d *Desk) Attach(ctx context.Context, id CaseID, by Actor, name string, data []byte) (Attachment, error) {
	c, err := d.Case(ctx, id)
	if err != nil {
		return Attachment{}, err
	}
	if err := d.mayAct(ctx, &c, by, &Deed{Do: EventNote}); err != nil {
		return Attachment{}, err
	}
	a := Attachment{Case: id, At: d.clock.Now(), By: by, Type: http.DetectContentType(data), Size: len(data), Data: data}
	switch {
	case len(data) == 0 || len(data) > MaxAttachment:
		return Attachment{}, &Refusal{Why: WhySize, Limit: MaxAttachment}
	case !slices.Contains(attachmentTypes, a.Type):
		return Attachment{}, &Refusal{Why: WhyType}
	}
	a.Name = cleaned(path.Base(strings.ReplaceAll(name, `\`, "/")), 80)
	if strings.Trim(a.Name, "./ ") == "" {
		a.Name = "file"
	}
	if a.ID, err = d.store.AddAttachment(ctx, a); err != nil {
		return Attachment{}, fmt.Errorf("keep a file: %w", err)
	}
	err = retry(func() error {
		now, err := d.Case(ctx, id)
		if err != nil {
			return err
		}
		x := d.begin(&now, by, a.At)
		x.note(a.At, EventAttached, by, a.Name)
		if !now.Status.Closed() {
			d.due(&x.Now, a.At)
		}
		_, err = d.put(ctx, x)
		return err
	})
	return a, err
}
