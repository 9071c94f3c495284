// Package customer is what a customer may see and do, whatever the channel: the
// purchases of a number and where each stands, buying with a recap and time to
// cancel, reports and callbacks, favourites and preferences. It knows nothing of
// pages, menus or messages, and nothing of SQL.
package customer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

// ErrNotFound is the one answer to what does not exist and to what is somebody else's.
var ErrNotFound = errors.New("customer: not found")

// Purchases reads purchases; purchase.Store is one.
type Purchases interface {
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)
	List(ctx context.Context, page purchase.Page) ([]purchase.Purchase, error)
}

// Engine tells of changes as they happen; *purchase.Engine is one.
type Engine interface {
	Watch(id purchase.ID) (updates <-chan purchase.Purchase, stop func())
}

// References name purchases to people; *purchase.Keyring is one.
type References interface {
	Reference(id purchase.ID) purchase.Reference
	Parse(text string) (purchase.ID, error)
}

// Config is what a desk is built from. All of it is needed but Receipts.
type Config struct {
	Sales      *sale.Desk
	Care       *care.Desk
	Purchases  Purchases
	Engine     Engine
	References References
	Store      Store
	Clock      purchase.Clock
	Random     io.Reader // of the keys of checkouts
	Rules      purchase.Rules
	// Receipts makes receipts; nil where there are none.
	Receipts Receipts
	// Proofs proves what they say; nil: nothing does.
	Proofs Proofs
}

// Desk serves customers. A number given to it is one whose owner has signed in or
// is known by the network. It is safe for concurrent use.
type Desk struct {
	cfg  Config
	wake chan struct{}
}

// New returns a desk.
func New(cfg Config) (*Desk, error) {
	if cfg.Sales == nil || cfg.Care == nil || cfg.Purchases == nil || cfg.Engine == nil || cfg.References == nil ||
		cfg.Store == nil || cfg.Clock == nil || cfg.Random == nil {
		return nil, errors.New("customer: sales, care, purchases, engine, references, store, clock and random are needed")
	}
	return &Desk{cfg, make(chan struct{}, 1)}, nil
}

// Last returns a number's newest purchases, newest first, each older than before
// (zero: the newest of all).
func (d *Desk) Last(ctx context.Context, number purchase.MSISDN, before purchase.ID, limit int) ([]View, error) {
	list, err := d.cfg.Purchases.List(ctx, purchase.Page{Number: number, Before: before, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list purchases: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	ids := make([]purchase.ID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	views, err := d.views(ctx, number, ids)
	slices.SortFunc(views, func(a, b View) int { return slices.Index(ids, a.ID) - slices.Index(ids, b.ID) })
	return views, err
}

// Purchase returns one purchase of a number by its reference, as people write it,
// or ErrNotFound.
func (d *Desk) Purchase(ctx context.Context, number purchase.MSISDN, reference string) (View, error) {
	id, err := d.cfg.References.Parse(reference)
	if err != nil {
		return View{}, ErrNotFound
	}
	views, err := d.views(ctx, number, []purchase.ID{id})
	if err != nil {
		return View{}, err
	}
	if len(views) == 0 {
		return View{}, ErrNotFound
	}
	return views[0], nil
}

// views are those purchases of a list that are the number's, as it may see them.
func (d *Desk) views(ctx context.Context, number purchase.MSISDN, ids []purchase.ID) ([]View, error) {
	records, err := d.cfg.Purchases.Load(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("load purchases: %w", err)
	}
	reports, err := d.cfg.Care.Reports(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("load reports: %w", err)
	}
	cases, err := d.cfg.Care.CasesAbout(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("load cases: %w", err)
	}
	var views []View
	for i := range records {
		r := &records[i]
		if r.Purchase.PayerNumber != number && r.Purchase.Recipient != number {
			continue
		}
		v := d.view(number, r)
		for _, report := range reports {
			if report.Purchase == v.ID && report.Number == number {
				v.Reports = append(v.Reports, report)
			}
		}
		v.Case = v.Case || len(v.Reports) > 0
		for j := range cases {
			if cases[j].Purchase == v.ID && cases[j].Number == number {
				v.Case, v.CaseRef = true, d.cfg.Care.CaseReference(cases[j].ID)
				if v.CaseAt == 0 {
					v.CaseAt = cases[j].OpenedAt
				}
			}
		}
		views = append(views, v)
	}
	return views, nil
}
