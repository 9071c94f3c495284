package sim

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"

	"tenu/internal/purchase"
)

// agenda holds what is open by its ID, and knows when the first of it is due, without
// looking at all of it: worlds hold tens of thousands.
type agenda[K cmp.Ordered] struct {
	open  map[K]purchase.Instant // when it is due, zero for never
	queue dues[K]                // at least what open says; entries that it belies are void
}

func newAgenda[K cmp.Ordered]() *agenda[K] { return &agenda[K]{open: map[K]purchase.Instant{}} }

// put notes when something open is due, zero for never.
func (a *agenda[K]) put(id K, at purchase.Instant) {
	was, known := a.open[id]
	a.open[id] = at
	if at != 0 && (!known || was != at) {
		heap.Push(&a.queue, due[K]{at, id})
	}
}

// drop forgets what is over.
func (a *agenda[K]) drop(id K) { delete(a.open, id) }

// next is when the first is due, zero for never.
func (a *agenda[K]) next() purchase.Instant {
	for len(a.queue) > 0 {
		first := a.queue[0]
		if at, open := a.open[first.id]; open && at == first.at {
			return at
		}
		heap.Pop(&a.queue)
	}
	return 0
}

// ids lists what is open, in order.
func (a *agenda[K]) ids() []K { return slices.Sorted(maps.Keys(a.open)) }

type due[K any] struct {
	at purchase.Instant
	id K
}

type dues[K any] []due[K]

func (q dues[K]) Len() int           { return len(q) }
func (q dues[K]) Less(i, j int) bool { return q[i].at < q[j].at }
func (q dues[K]) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push and Pop are heap.Interface.
func (q *dues[K]) Push(x any) { *q = append(*q, x.(due[K])) } //nolint:errcheck,forcetypeassert // only these are pushed

// Pop removes the last.
func (q *dues[K]) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	*q = (*q)[:last]
	return d
}
