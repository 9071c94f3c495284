package incident

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"tenu/internal/purchase"
)

// History is what the rhythm of sales is learnt from; a Store is one.
type History interface {
	Sales(ctx context.Context, q SalesQuery, see func(*Sale)) error
	Incidents(ctx context.Context, q Query) ([]Incident, error)
	Pauses(ctx context.Context, since purchase.Instant) ([]Pause, error)
}

// HistoryConfig is what is learnt from. Store and Detector are needed.
type HistoryConfig struct {
	Store    History
	Detector *Detector
	// House pays for what is no sale; "" for none.
	House string
	// Operator is the recipient's, "" where nobody knows; nil knows of none.
	Operator func(purchase.MSISDN) string
	// PerHour bounds the purchases that are read of one hour (default 5 000). Of an hour that sold more a part is read.
	PerHour int
}

// Of an hour so much is read: the whole, unless its first minutes already hold too many.
const (
	firstPart = 2 * time.Minute
	leastPart = 5 * time.Second
)

// LearnHistory teaches a detector the hours of the last four weeks before now, and returns how many it taught: those in which
// something had been sold before, nothing failed and nothing was paused. It reads a bounded number of purchases, in
// short transactions, and may take some seconds, while the detector works.
func LearnHistory(ctx context.Context, c HistoryConfig, now purchase.Instant) (hours int, err error) {
	if c.PerHour <= 0 {
		c.PerHour = 5000
	}
	till := floorTo(now, time.Hour)
	from := till.Add(-weeksKept * hoursOfWeek * time.Hour)
	bad, err := c.disturbed(ctx, from, now)
	if err != nil {
		return 0, err
	}
	known := map[Series]bool{}
	for hour := from; hour < till; hour = hour.Add(time.Hour) {
		if slices.ContainsFunc(bad, func(s [2]purchase.Instant) bool { return s[0] < hour.Add(time.Hour) && s[1] >= hour }) {
			continue
		}
		sold, scale, err := c.hour(ctx, hour)
		switch {
		case errors.Is(err, ErrTooMany): // more in some seconds than is read of an hour
			continue
		case err != nil:
			return hours, fmt.Errorf("learn the hour of %s: %w", hour, err)
		}
		for s := range sold {
			if len(known) < c.Detector.cfg.MaxSeries {
				known[s] = true
			}
		}
		if len(known) == 0 {
			continue
		}
		hours++
		for s := range known {
			n := sold[s]
			if n == nil {
				n = &soldIn{}
			}
			c.Detector.Learn(s, hour, n.count*scale, n.longest(time.Hour/time.Duration(scale)))
		}
	}
	return hours, nil
}

// disturbed are the times since an instant in which something failed or was paused.
func (c *HistoryConfig) disturbed(ctx context.Context, since, now purchase.Instant) (all [][2]purchase.Instant, err error) {
	pauses, err := c.Store.Pauses(ctx, since)
	if err != nil {
		return nil, fmt.Errorf("read pauses: %w", err)
	}
	or := func(end purchase.Instant) purchase.Instant {
		if end == 0 {
			return now
		}
		return end
	}
	for i := range pauses {
		all = append(all, [2]purchase.Instant{pauses[i].At, or(pauses[i].EndedAt)})
	}
	for before := ID(0); ; {
		page, err := c.Store.Incidents(ctx, Query{Since: since, Before: before, Limit: MaxListed})
		if err != nil {
			return nil, fmt.Errorf("read incidents: %w", err)
		}
		for i := range page {
			if page[i].Series.By != ByCentre {
				all = append(all, [2]purchase.Instant{page[i].Since, or(page[i].ResolvedAt)})
			}
		}
		if len(page) < MaxListed {
			return all, nil
		}
		before = page[len(page)-1].ID
	}
}

// soldIn is what one series sold in an hour, and in which of its seconds.
type soldIn struct {
	count   int64
	seconds [3600/64 + 1]uint64
}

func (n *soldIn) add(second int64) {
	n.count++
	n.seconds[second/64] |= 1 << (second % 64)
}

// longest is the longest time in which nothing was sold of the first part of the hour.
func (n *soldIn) longest(part time.Duration) time.Duration {
	last, longest := int64(0), int64(0)
	for i, word := range n.seconds {
		for ; word != 0; word &= word - 1 {
			at := int64(i)*64 + int64(bits.TrailingZeros64(word))
			longest = max(longest, at-last)
			last = at
		}
	}
	return time.Duration(max(longest, int64(part/time.Second)-last)) * time.Second
}

// hour counts what was sold in an hour by series, of its first part where it was much: all of it is scale times as much.
func (c *HistoryConfig) hour(ctx context.Context, hour purchase.Instant) (sold map[Series]*soldIn, scale int64, err error) {
	part := firstPart
	sold, n, err := c.part(ctx, hour, part)
	if errors.Is(err, ErrTooMany) {
		part = leastPart
		sold, _, err = c.part(ctx, hour, part)
	} else if err == nil && n*int(time.Hour/part) <= c.PerHour {
		whole, _, all := c.part(ctx, hour, time.Hour)
		if !errors.Is(all, ErrTooMany) {
			return whole, 1, all
		}
	}
	return sold, int64(time.Hour / part), err
}

func (c *HistoryConfig) part(ctx context.Context, hour purchase.Instant, part time.Duration) (sold map[Series]*soldIn, n int, err error) {
	sold = map[Series]*soldIn{}
	err = c.Store.Sales(ctx, SalesQuery{From: hour, Till: hour.Add(part), House: c.House, Most: 2 * c.PerHour}, func(p *Sale) {
		if p.Charged == 0 || p.Made < hour || p.Made >= hour.Add(part) {
			return
		}
		n++
		of := [...]Series{{ByProduct, p.Product}, {ByProvider, p.Provider}, {ByPayer, p.Payer}, {ByChannel, p.Channel}, {ByOperator, ""}}
		if c.Operator != nil {
			of[4].Name = c.Operator(p.Recipient)
		}
		for _, s := range of {
			if s.Name == "" {
				continue
			}
			if sold[s] == nil {
				if len(sold) >= c.Detector.cfg.MaxSeries {
					continue
				}
				sold[s] = &soldIn{}
			}
			sold[s].add(int64(p.Made.Sub(hour) / time.Second))
		}
	})
	return sold, n, err //nolint:wrapcheck // the caller says what for
}
