package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/purchase"
)

// courseMost bounds the purchases that are read, beside those affected, for one course.
const courseMost = 500_000

// madeEarlier is how long before its charge a purchase may have been made, as when a customer is slow to approve.
const madeEarlier = 10 * time.Minute

// Course counts all purchases of an incident's series, affected or not, in buckets of [from, till), with what its pauses refused. whole
// is false where there were too many of them: then the buckets are of those affected.
func (d *Desk) Course(ctx context.Context, i *Incident, from, till purchase.Instant, every time.Duration) (buckets []Bucket, whole bool, err error) {
	affected, err := d.store.IncidentCourse(ctx, i.ID, from, till, every)
	if err != nil {
		return nil, false, fmt.Errorf("read a course: %w", err)
	}
	all := slices.Clone(affected)
	count := func(at purchase.Instant, of func(*Bucket) *int64) {
		if at >= from && at < till {
			*of(&all[int64(at-from)/every.Microseconds()])++
		}
	}
	err = d.store.Sales(ctx, SalesQuery{From: from.Add(-madeEarlier), Till: till, House: d.cfg.House, Without: i.ID, Most: courseMost}, func(s *Sale) {
		if !i.Series.sells(s, d.cfg.Operator) {
			return
		}
		count(s.Made, func(b *Bucket) *int64 { return &b.Sold })
		count(s.Charged, func(b *Bucket) *int64 { return &b.Charged })
		switch s.State {
		case purchase.Credited:
			count(s.Closed, func(b *Bucket) *int64 { return &b.Credited })
		case purchase.Refunded:
			count(s.Closed, func(b *Bucket) *int64 { return &b.Given })
		default:
		}
	})
	switch {
	case errors.Is(err, ErrTooMany):
		return affected, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read a course: %w", err)
	}
	return all, true, nil
}

// sells reports whether a sale is one of the series.
func (s Series) sells(p *Sale, operatorOf func(purchase.MSISDN) string) bool {
	operator := ""
	if s.By == ByOperator && operatorOf != nil {
		operator = operatorOf(p.Recipient)
	}
	return s.Of(&purchase.Request{Product: p.Product, Provider: p.Provider, Payer: p.Payer, Channel: p.Channel}, operator)
}
