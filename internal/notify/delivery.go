package notify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// DeliveryState is what became of a message. A greater one outranks a lesser:
// receipts may come in any order, and more than once.
type DeliveryState uint8

// The states, by rank (SMPP 3.4 section 5.2.28).
const (
	DeliveryUnknown DeliveryState = iota // nothing is told, or the centre does not know
	Enroute
	Accepted      // taken by somebody on the customer's behalf
	Undeliverable // will not arrive
	Rejected
	Deleted
	Expired
	Delivered
)

var deliveryStates = [...]string{"unknown", "enroute", "accepted", "undeliverable", "rejected", "deleted", "expired", "delivered"}

// String is the state's name.
func (s DeliveryState) String() string {
	if int(s) < len(deliveryStates) {
		return deliveryStates[s]
	}
	return "state " + strconv.Itoa(int(s))
}

// Delivery is one short message at a centre: what we call it, or what became of it,
// or both.
type Delivery struct {
	Centre, Ref string // the centre's own name of it
	Message     string // ours, "" while only the centre's receipt is known
	At          purchase.Instant
	ToldAt      purchase.Instant // when the state was told, zero when none was
	State       DeliveryState
	Detail      string // the centre's error code, if it told one
}

// Merge adds what another says of the same message.
func (d *Delivery) Merge(other *Delivery) {
	if other.Message != "" {
		d.Message, d.At = other.Message, other.At
	}
	if other.ToldAt != 0 && (d.ToldAt == 0 || other.State > d.State) {
		d.ToldAt, d.State, d.Detail = other.ToldAt, other.State, other.Detail
	}
}

// DeliveryStore keeps deliveries.
type DeliveryStore interface {
	// PutDeliveries merges deliveries, of which no two are of the same message, into
	// those that are kept. All are durable on return, or none.
	PutDeliveries(ctx context.Context, all []Delivery) error
}

// Deliveries keeps what is told of messages, many at a time: what comes while one
// transaction is written goes into the next. It is safe for concurrent use.
type Deliveries struct {
	store DeliveryStore
	turn  chan struct{} // held by the one that writes

	mu   sync.Mutex
	next *together
}

// together are deliveries that are written in one transaction.
type together struct {
	all  []Delivery
	done chan struct{}
	err  error // once done is closed
}

// putWithin bounds one transaction.
const putWithin = 10 * time.Second

// NewDeliveries returns the keeper of a store.
func NewDeliveries(store DeliveryStore) *Deliveries {
	return &Deliveries{store: store, turn: make(chan struct{}, 1)}
}

// Keep keeps deliveries. They are durable when it returns nil.
func (d *Deliveries) Keep(ctx context.Context, all ...Delivery) error {
	d.mu.Lock()
	if d.next == nil {
		d.next = &together{done: make(chan struct{})}
	}
	mine := d.next
	mine.all = append(mine.all, all...)
	d.mu.Unlock()
	select {
	case <-mine.done:
	case d.turn <- struct{}{}:
		d.write(ctx, mine)
		<-d.turn
	case <-ctx.Done():
		return fmt.Errorf("keep deliveries: %w", ctx.Err())
	}
	return mine.err
}

// write writes what is gathered, unless whoever had the turn before did.
func (d *Deliveries) write(ctx context.Context, mine *together) {
	d.mu.Lock()
	open := d.next == mine
	if open {
		d.next = nil
	}
	d.mu.Unlock()
	if !open {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putWithin) // it is not for this caller alone
	defer cancel()
	if err := d.store.PutDeliveries(ctx, merged(mine.all)); err != nil {
		mine.err = fmt.Errorf("keep deliveries: %w", err)
	}
	close(mine.done)
}

// merged are deliveries with those of the same message made one, in the order of
// their names, so that transactions never wait for each other in a circle.
func merged(all []Delivery) []Delivery {
	type name struct{ centre, ref string }
	at := map[name]int{}
	one := make([]Delivery, 0, len(all))
	for i := range all {
		key := name{all[i].Centre, all[i].Ref}
		if first, again := at[key]; again {
			one[first].Merge(&all[i])
			continue
		}
		at[key] = len(one)
		one = append(one, all[i])
	}
	slices.SortFunc(one, func(a, b Delivery) int {
		return cmp.Or(strings.Compare(a.Centre, b.Centre), strings.Compare(a.Ref, b.Ref))
	})
	return one
}
