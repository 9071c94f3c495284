package evidence

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"tenu/internal/purchase"
)

// Finder reads leaves by their times.
type Finder interface {
	// LogSpans returns spans whose leaves' times may hold an instant, and of which the latest is at most
	// till, in no order that counts.
	LogSpans(ctx context.Context, at, till purchase.Instant) ([]Span, error)
}

// Found is a leaf and its place.
type Found struct {
	Head
	Index int64
	Leaf  []byte
}

// Seeker is a Finder that looks for several instants at once.
type Seeker interface {
	// LogSpansAt is LogSpans for each instant, till so long after it, but for spans whose first leaf is known.
	LogSpansAt(ctx context.Context, times []purchase.Instant, within time.Duration, known map[int64]bool) ([]Span, error)
}

// Find finds the leaves of a thing that changed at some instants, oldest version first. No
// index says where a leaf is, as one would cost every purchase: batches know their times, and
// few of them hold an instant.
func Find(ctx context.Context, f Finder, kind Kind, id int64, times ...purchase.Instant) (found []Found, err error) {
	times = slices.Clone(times)
	slices.Sort(times)
	times = slices.Compact(times)
	known := map[int64]bool{} // spans, by their first leaf
	// As a rule within a second, at the latest within LateAfter; and whatever is later.
	for _, within := range []time.Duration{3 * time.Second, LateAfter, 1 << 62} {
		times = slices.DeleteFunc(times, func(at purchase.Instant) bool {
			return at == 0 || slices.ContainsFunc(found, func(l Found) bool { return l.At == at })
		})
		if len(times) == 0 {
			break
		}
		spans, err := spansAt(ctx, f, times, within, known)
		if err != nil {
			return nil, err
		}
		for i := range spans {
			if !known[spans[i].First] {
				known[spans[i].First] = true
				found = ofThing(found, &spans[i], kind, id)
			}
		}
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Index, b.Index)) })
	return found, nil
}

func spansAt(ctx context.Context, f Finder, times []purchase.Instant, within time.Duration, known map[int64]bool) (all []Span, err error) {
	if s, ok := f.(Seeker); ok {
		return s.LogSpansAt(ctx, times, within, known)
	}
	for _, at := range times {
		spans, err := f.LogSpans(ctx, at, After(at, within))
		if err != nil {
			return nil, err
		}
		all = append(all, spans...)
	}
	return all, nil
}

// After is so long after an instant, the last instant at most.
func After(at purchase.Instant, within time.Duration) purchase.Instant {
	if till := at.Add(within); till >= at {
		return till
	}
	return 1<<63 - 1
}

// ofThing adds the leaves of a thing that are in a span.
func ofThing(found []Found, x *Span, kind Kind, id int64) []Found {
	begin := append(strconv.AppendInt([]byte{byte(kind), ' '}, id, 10), ' ')
	index := x.First
	for rest := x.Leaves; len(rest) > 0; index++ {
		leaf, more, err := NextLeaf(rest)
		if err != nil {
			break
		}
		if bytes.HasPrefix(leaf, begin) {
			if h, _, err := ParseHead(leaf); err == nil {
				found = append(found, Found{h, index, leaf})
			}
		}
		rest = more
	}
	return found
}

// Instants are when a recorded purchase changed, as far as its rows say.
func Instants(r *purchase.Record) []purchase.Instant {
	times := []purchase.Instant{r.Purchase.CreatedAt, r.Purchase.WatchTill}
	for i := range r.Attempts {
		times = append(times, r.Attempts[i].At)
	}
	for i := range r.Evidence {
		times = append(times, r.Evidence[i].At)
	}
	for i := range r.Notices {
		times = append(times, r.Notices[i].At)
	}
	for i := range r.Cases {
		times = append(times, r.Cases[i].At)
	}
	return times
}
