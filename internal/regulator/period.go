package regulator

import (
	"context"
	"errors"
	"maps"
	"time"

	"tenu/internal/purchase"
)

// Period is a time in days of the country, and its figures.
type Period struct {
	Span
	Figures *Figures
	Days    []DayFigures // oldest first; the last may last still
	// Summed is until when it is made of days that are summed up; what comes after is as it stands now.
	Summed purchase.Instant
	// Corrections are those of the days, oldest first.
	Corrections []Correction
}

// DayFigures is one day of a period.
type DayFigures struct {
	Day string
	Span
	Figures *Figures
	Open    bool // not summed up yet
}

// mostDays bounds a period.
const mostDays = 400

// Month is a month of the country, such as "2024-07".
func (d *Desk) Month(name string) (Span, error) {
	at, err := time.ParseInLocation("2006-01", name, d.cfg.Location)
	if err != nil {
		return Span{}, ErrPeriod
	}
	return Span{purchase.At(at), purchase.At(at.AddDate(0, 1, 0))}, nil
}

// Between is the time from the beginning of one day to the end of another, both as "2024-07-09".
func (d *Desk) Between(from, till string) (Span, error) {
	first, err := time.ParseInLocation(dayForm, from, d.cfg.Location)
	if err != nil {
		return Span{}, ErrPeriod
	}
	last, err := time.ParseInLocation(dayForm, till, d.cfg.Location)
	if err != nil || last.Before(first) || last.Sub(first) > mostDays*24*time.Hour {
		return Span{}, ErrPeriod
	}
	return Span{purchase.At(first), purchase.At(last.AddDate(0, 0, 1))}, nil
}

// Today is the day that lasts.
func (d *Desk) Today() Span {
	_, s := d.dayOf(d.cfg.Clock.Now())
	return s
}

// Over is the figures of whole days of the country: those that are over as they were summed up and corrected, the rest as
// it stands now. It reads a row for each day that is over, and of the rest what happened since it looked last.
func (d *Desk) Over(ctx context.Context, s Span) (*Period, error) {
	days, err := d.cfg.Store.Days(ctx, s)
	if err != nil {
		return nil, err
	}
	figures, err := d.right(ctx, days)
	if err != nil {
		return nil, err
	}
	p := &Period{Span: s, Figures: (&Figures{}).Whole(), Summed: s.From}
	for i := range days {
		p.Days = append(p.Days, DayFigures{Day: days[i].Day, Span: days[i].Span, Figures: figures[i]})
		p.Figures.Add(figures[i])
		p.Summed = days[i].Span.Till
	}
	if len(days) > 0 {
		if p.Corrections, err = d.cfg.Store.Corrections(ctx, days[0].Day, days[len(days)-1].Day); err != nil {
			return nil, err
		}
	}
	if now := d.cfg.Clock.Now(); s.Till > p.Summed && now > p.Summed {
		rest, err := d.since(ctx, now)
		if err != nil {
			return nil, err
		}
		for _, day := range rest {
			if day.Span.From < s.From || day.Span.From >= s.Till {
				continue
			}
			p.Days = append(p.Days, day)
			p.Figures.Add(day.Figures)
		}
	}
	return p, nil
}

// live is what is known of the days that are not summed up yet.
type live struct {
	after string // the day that was summed up last
	days  []livingDay
	items Items            // at the end of the last whole piece
	till  purchase.Instant // of it
}

// livingDay is a day of which whole pieces are summed up in memory.
type livingDay struct {
	name    string
	span    Span
	figures *Figures
	hours   []Hour
	items   Items // at its end, nil while it lasts
}

// Hour is what happened in a piece of a day that is not summed up yet.
type Hour struct {
	Span
	Figures *Figures
}

// since returns the days that are not summed up yet, up to now.
func (d *Desk) since(ctx context.Context, now purchase.Instant) ([]DayFigures, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.catchUp(ctx, now); err != nil {
		return nil, err
	}
	var all []DayFigures
	for i := range d.live.days {
		day := &d.live.days[i]
		f := day.figures.Whole()
		if day.items != nil {
			day.items.sumUp(f, day.span.Till)
			all = append(all, DayFigures{day.name, day.span, f, true})
			continue
		}
		items := maps.Clone(d.live.items)
		if d.live.till < now {
			if err := d.add(ctx, f, items, Span{d.live.till, now}); err != nil {
				return nil, err
			}
		}
		items.sumUp(f, now)
		all = append(all, DayFigures{day.name, day.span, f, true})
	}
	return all, nil
}

// catchUp brings what is known in memory to the last piece that is over for long enough.
func (d *Desk) catchUp(ctx context.Context, now purchase.Instant) error {
	name, span, items, err := d.due(ctx)
	switch {
	case errors.Is(err, ErrNotFound):
		d.live = live{}
		return nil
	case err != nil:
		return err
	}
	if d.live.after != name || len(d.live.days) == 0 || d.live.days[0].span != span {
		d.live = live{after: name, items: items, till: span.From, days: []livingDay{{name: name, span: span, figures: (&Figures{}).Whole()}}}
	}
	l := &d.live
	for {
		day := &l.days[len(l.days)-1]
		if l.till == day.span.Till {
			day.items = maps.Clone(l.items)
			name, span := d.dayOf(day.span.Till)
			span.From = day.span.Till
			l.days = append(l.days, livingDay{name: name, span: span, figures: (&Figures{}).Whole()})
			continue
		}
		part := Span{l.till, min(l.till.Add(piece), day.span.Till)}
		if part.Till.Add(settle) > now {
			return nil
		}
		f := (&Figures{}).Whole()
		if err := d.add(ctx, f, l.items, part); err != nil {
			d.live = live{} // items may be of some of it
			return err
		}
		day.figures.Add(f)
		day.hours = append(day.hours, Hour{part, f})
		l.till = part.Till
	}
}

// Hours is what happened in each whole hour that is over of the days that are not summed up yet.
func (d *Desk) Hours(ctx context.Context, s Span) ([]Hour, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.catchUp(ctx, d.cfg.Clock.Now()); err != nil {
		return nil, err
	}
	var all []Hour
	for _, day := range d.live.days {
		for _, h := range day.hours {
			if s.From <= h.From && h.Till <= s.Till {
				all = append(all, h)
			}
		}
	}
	return all, nil
}

// Open is what is held and in exposure now, oldest first (invariant R3).
func (d *Desk) Open(ctx context.Context) ([]Item, error) {
	now := d.cfg.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.catchUp(ctx, now); err != nil {
		return nil, err
	}
	items := maps.Clone(d.live.items)
	if items == nil {
		return nil, nil
	}
	if d.live.till != 0 && d.live.till < now {
		moved, err := d.cfg.Store.Moved(ctx, Span{d.live.till, now}, d.cfg.House)
		if err != nil {
			return nil, err
		}
		items.apply(moved)
	}
	return items.Sorted(), nil
}
