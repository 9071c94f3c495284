package reconcile

import (
	"bytes"
	"context"
	"errors"
	"io"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/purchase"
)

// Exhibit is a break with what both sides say.
type Exhibit struct {
	Break
	// Statement is the one that showed it last; its ID is 0 where it is not kept any more.
	Shown Statement
	// There are the statement's lines about the movement, and Here is the movement as it is on record, nil where none is.
	There []Line
	Here  *Movement
	// Version is of the purchase now; more than Found.Version where something happened since.
	Now     int64
	Advice  Advice
	History []Entry
}

// Exhibit gathers what both sides say of a break. Lines without a key of ours are looked for one by one among their kind.
func (d *Desk) Exhibit(ctx context.Context, id int64) (x Exhibit, err error) {
	if x.Break, err = d.Break(ctx, id); err != nil {
		return x, err
	}
	if x.Advice, err = d.Advise(ctx, &x.Break); err != nil {
		return x, err
	}
	if x.History, err = d.History(ctx, id); err != nil {
		return x, err
	}
	if x.Purchase != 0 {
		records, err := d.cfg.Store.Load(ctx, x.Purchase)
		if err != nil {
			return x, err
		}
		for i := range records {
			x.Now = records[i].Purchase.Version
			for _, m := range MovementsOf(&records[i], x.Partner) {
				if m.Leg == x.Leg {
					x.Here = &m
				}
			}
		}
	}
	return x, d.shown(ctx, &x)
}

// shown reads the statement and the lines that it has about the break.
func (d *Desk) shown(ctx context.Context, x *Exhibit) error {
	all, err := d.cfg.Store.Statements(ctx, x.Partner, Span{})
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].ID == x.Break.Statement {
			x.Shown = all[i]
		}
	}
	if x.Shown.ID == 0 || x.Cause == CauseSettlement {
		return nil
	}
	k := &archived{Statement: x.Shown, seq: -1}
	if x.Purchase != 0 {
		if x.There, err = k.find(ctx, d.cfg.Store, placeBytes(Place{x.Purchase, x.Leg})); err != nil {
			return err
		}
	}
	if x.Place == 0 || len(x.There) > 0 {
		return nil
	}
	first := placeBytes(Place{})
	in := k.all(ctx, d.cfg.Store)
	for {
		record, err := in.next()
		if errors.Is(err, io.EOF) || err == nil && !bytes.Equal(record[:placeWidth], first) {
			return nil // lines with a key come after those without
		}
		if err != nil {
			return err
		}
		l, err := decodeLine(record)
		if err != nil {
			return err
		}
		if l.Place == x.Place {
			x.There = append(x.There, l)
			return nil
		}
	}
}

// Totals adds up breaks.
func (d *Desk) Totals(ctx context.Context, s Sift) ([]BreakTotal, error) {
	return d.cfg.Store.BreakTotals(ctx, s)
}

// Partners are the names of whose statements are known.
func (d *Desk) Partners() (names []string) {
	for i := range d.cfg.Known {
		names = append(names, d.cfg.Known[i].Name)
	}
	return names
}

// Reference is what people call a purchase.
func (d *Desk) Reference(id purchase.ID) string { return d.cfg.Reference(id) }

// Signed is the record of a day with what it says, and whether its signature holds.
type Signed struct {
	Close
	Document
	Holds bool // its signature is of who may sign, and the document is the record's
}

// Signed returns the newest records, the last first, and how many there are. Without verifiers none holds.
func (d *Desk) Signed(ctx context.Context, verifiers note.Verifiers, most int) (all []Signed, of int, err error) {
	records, err := d.cfg.Store.Closes(ctx, "")
	if err != nil {
		return nil, 0, err
	}
	for i := len(records) - 1; i >= 0 && len(all) < most; i-- {
		s := Signed{Close: records[i]}
		if verifiers != nil {
			doc, err := Verified(s.Note, verifiers)
			s.Holds = err == nil && doc.Seq == s.Close.Seq && doc.Day == s.Close.Day
			s.Document = doc
		}
		if !s.Holds {
			if s.Document, err = read(s.Note); err != nil {
				s.Document = Document{}
			}
		}
		all = append(all, s)
	}
	return all, len(records), nil
}

// Closes are the records of all days, in order.
func (d *Desk) Closes(ctx context.Context) ([]Close, error) { return d.cfg.Store.Closes(ctx, "") }
