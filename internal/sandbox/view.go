package sandbox

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"tenu/internal/purchase"
)

// View reads a book. A Book reads what is durable, for as long as the caller's
// context lasts; a Page also the changes of its own task, and for as long as it
// needs, as it serves many callers.
type View struct {
	all  *shelf
	lock *sync.RWMutex // nil for a page, which is read by who writes it
}

// read calls do while nobody writes.
func (v View) read(ctx context.Context, do func(*shelf)) error {
	if v.lock != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.lock.RLock()
		defer v.lock.RUnlock()
	}
	do(v.all)
	return nil
}

// Account returns one balance of a number, or ErrNoEntry.
func (v View) Account(ctx context.Context, number, pocket string) (a Account, err error) {
	found := false
	err = v.read(ctx, func(all *shelf) {
		if had := all.account(number, pocket); had != nil {
			a, found = *had, true
		}
	})
	return a, cmp.Or(err, entry(found))
}

// entry is ErrNoEntry unless there is one.
func entry(found bool) error {
	if found {
		return nil
	}
	return ErrNoEntry
}

// emptyIs is ErrNoEntry of a list that was read and has nothing in it.
func emptyIs(n int, err error) error {
	if n == 0 && err == nil {
		return ErrNoEntry
	}
	return nil
}

// Pockets returns every balance of a number, ordered by pocket.
func (v View) Pockets(ctx context.Context, number string) (list []Account, err error) {
	err = v.read(ctx, func(all *shelf) { list = slices.Clone(all.accounts[number]) })
	return list, err
}

// Accounts returns up to limit accounts of numbers greater than after, ordered
// by number and pocket.
func (v View) Accounts(ctx context.Context, after string, limit int) (list []Account, err error) {
	err = v.read(ctx, func(all *shelf) {
		for _, number := range slices.Sorted(maps.Keys(all.accounts)) {
			if number > after {
				list = append(list, all.accounts[number]...)
			}
		}
	})
	return list[:min(len(list), limit)], err
}

// Movement returns the movement of a reference, or ErrNoEntry.
func (v View) Movement(ctx context.Context, ref string) (m Movement, err error) {
	seq, err := strconv.ParseInt(strings.TrimLeft(ref, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 10, 64)
	if err != nil {
		return m, ErrNoEntry
	}
	err = v.read(ctx, func(all *shelf) {
		if had := all.movement(seq); had != nil && had.Ref == ref {
			m = *had
		}
	})
	return m, cmp.Or(err, entry(m.Seq != 0))
}

// ByKey returns the movements made under a key, oldest first.
func (v View) ByKey(ctx context.Context, key string) (list []Movement, err error) {
	err = v.read(ctx, func(all *shelf) { list = all.numbered(all.byKey[key]) })
	return list, err
}

// Undoing returns the movements that undo the one of a reference, oldest first.
func (v View) Undoing(ctx context.Context, ref string) (list []Movement, err error) {
	err = v.read(ctx, func(all *shelf) { list = all.numbered(all.undoing[ref]) })
	return list, err
}

// ByNumber returns up to limit movements of a number after skipping offset, newest first.
func (v View) ByNumber(ctx context.Context, number string, offset, limit int) (list []Movement, err error) {
	err = v.read(ctx, func(all *shelf) {
		seqs := slices.Clone(all.byNumber[number])
		slices.Reverse(seqs)
		seqs = seqs[min(offset, len(seqs)):]
		list = all.numbered(seqs[:min(limit, len(seqs))])
	})
	return list, err
}

// Movements returns up to limit movements with Seq greater than after, oldest first.
func (v View) Movements(ctx context.Context, after int64, limit int) (list []Movement, err error) {
	err = v.read(ctx, func(all *shelf) {
		rest := all.movements[min(max(after, 0), int64(len(all.movements))):]
		list = slices.Clone(rest[:min(limit, len(rest))])
	})
	return list, err
}

// Moved hands each movement that moved from an instant until before another to
// each, in the order that they moved. What was reversed since is among them.
func (v View) Moved(ctx context.Context, from, to purchase.Instant, each func(Movement) error) error {
	var list []Movement
	err := v.read(ctx, func(all *shelf) {
		for _, m := range all.movements {
			if m.Moved > 0 && m.Moved >= from && m.Moved < to {
				list = append(list, m)
			}
		}
	})
	slices.SortFunc(list, func(x, y Movement) int { return cmp.Or(cmp.Compare(x.Moved, y.Moved), cmp.Compare(x.Seq, y.Seq)) })
	for i := 0; i < len(list) && err == nil; i++ {
		err = each(list[i])
	}
	return err
}

// DueBy returns up to limit pieces of work that are due at an instant, soonest first.
func (v View) DueBy(ctx context.Context, now purchase.Instant, limit int) (list []Due, err error) {
	err = v.read(ctx, func(all *shelf) {
		for _, d := range all.due[:min(limit, len(all.due))] {
			if d.At > now {
				break
			}
			list = append(list, d)
		}
	})
	return list, err
}

// NextDue returns when the next piece of work is due, zero when there is none.
func (v View) NextDue(ctx context.Context) (at purchase.Instant, err error) {
	err = v.read(ctx, func(all *shelf) {
		if len(all.due) > 0 {
			at = all.due[0].At
		}
	})
	return at, err
}

// Count returns how many movements there are by leg and status, and their
// amounts in minor units per currency.
func (v View) Count(ctx context.Context) (list []Tally, err error) {
	err = v.read(ctx, func(all *shelf) {
		sums := map[Tally]Tally{}
		for _, m := range all.movements {
			kind := Tally{Leg: m.Leg, Status: m.Status, Currency: m.Currency}
			sum, known := sums[kind]
			if !known {
				sum = kind
			}
			sum.Movements++
			sum.Amount += m.Amount
			sums[kind] = sum
		}
		list = slices.Collect(maps.Values(sums))
	})
	slices.SortFunc(list, func(x, y Tally) int {
		return cmp.Or(cmp.Compare(x.Leg, y.Leg), cmp.Compare(x.Status, y.Status), cmp.Compare(x.Currency, y.Currency))
	})
	return list, err
}

// Tally sums up the movements of one leg, status and currency.
type Tally struct {
	Leg       string `json:"leg"`
	Status    Status `json:"status"`
	Currency  string `json:"currency"`
	Movements int64  `json:"movements"`
	Amount    int64  `json:"amount"` // minor units
}
