package customer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/sale"
)

// Client is the name under which customers' purchases are made.
const Client = "customer"

// CheckoutState is where a checkout stands.
type CheckoutState uint8

// The states. A checkout is Shown, then Confirmed; it is Selling from the moment that
// the sale is tried, and not to be cancelled any more.
const (
	Shown CheckoutState = iota + 1
	Confirmed
	Selling
	Sold
	Refused
	Cancelled
	Lapsed // confirmed or shown so long ago that it is not bought any more
)

// Checkout is a wish that its customer was shown with its price, and may confirm
// and cancel. One checkout makes one purchase at most, however often it is
// confirmed: its key is the purchase's.
type Checkout struct {
	Key      string
	Number   purchase.MSISDN // whose it is, and who pays
	At       purchase.Instant
	GoAt     purchase.Instant // when it is bought; zero until it is confirmed
	State    CheckoutState
	Wish     sale.Wish
	Total    int64       // that the customer was shown, minor units
	Purchase purchase.ID // that it became; 0 for none
	Problem  sale.Code   // why it was refused; "" when it was not
	Earlier  purchase.Reference
}

// Store keeps checkouts, favourites and what customers chose. What a method changed
// is durable on return. Errors wrap purchase.ErrUnavailable when nothing was changed
// and the call may be repeated.
type Store interface {
	// AddCheckout keeps a new one.
	AddCheckout(ctx context.Context, c Checkout) error
	// Checkout returns a number's checkout, or ErrNotFound.
	Checkout(ctx context.Context, key string, number purchase.MSISDN) (Checkout, error)
	// LastCheckout returns a number's newest checkout whose key begins so, or ErrNotFound.
	LastCheckout(ctx context.Context, number purchase.MSISDN, prefix string) (Checkout, error)
	// MoveCheckout replaces a checkout if it still is in a state, and reports whether
	// it was.
	MoveCheckout(ctx context.Context, from CheckoutState, c Checkout) (moved bool, err error)
	// DueCheckouts returns up to limit that are Confirmed or Selling and to be bought
	// by an instant, the first first, and when the next after them is; zero for never.
	DueCheckouts(ctx context.Context, till purchase.Instant, limit int) (due []Checkout, next purchase.Instant, err error)
	// DropCheckouts forgets those begun before an instant that are not under way.
	DropCheckouts(ctx context.Context, before purchase.Instant) error

	preferences
}

// The times of a checkout.
const (
	// ShownFor is how long a price that was shown can be confirmed.
	ShownFor = 15 * time.Minute
	// lateBy is how late a confirmed checkout is still bought, as after an outage.
	lateBy = 2 * time.Minute
	// keptFor is how long a checkout is kept, so that going back to it shows what became of it.
	keptFor = 48 * time.Hour
	// sweep is how often checkouts of other nodes are looked for.
	sweep = 30 * time.Second
	// again is when a sale is tried again whose outcome is not known.
	again = 2 * time.Second
)

// Recap is a checkout with what it costs and brings.
type Recap struct {
	Checkout
	purchase.Request
}

// Begin prices a wish for a number that pays itself, and keeps it as a checkout to
// be confirmed. Client, ClientKey and Payer of the wish are set here. An error is a
// *sale.Problem, or the store's.
func (d *Desk) Begin(ctx context.Context, number purchase.MSISDN, w sale.Wish) (Recap, error) {
	var b [16]byte
	if _, err := io.ReadFull(d.cfg.Random, b[:]); err != nil {
		return Recap{}, fmt.Errorf("draw a key: %w", err)
	}
	return d.begin(ctx, number, base64.RawURLEncoding.EncodeToString(b[:]), w)
}

// BeginAs is Begin under a key of the caller's, which no other customer can come by:
// a second call, even at the same time, returns what the first began, as it stands.
// The request is then what it would cost at the moment, zero when it is not sold.
func (d *Desk) BeginAs(ctx context.Context, number purchase.MSISDN, key string, w sale.Wish) (Recap, error) {
	c, err := d.Checkout(ctx, number, key)
	if !errors.Is(err, ErrNotFound) {
		if err == nil && c.State != Shown {
			c.Request, _ = d.cfg.Sales.Quote(c.Wish) // a refusal now is none of what was sold then
		}
		return c, err
	}
	fresh, failed := d.begin(ctx, number, key, w)
	if failed != nil {
		if c, err = d.Checkout(ctx, number, key); err == nil { // another call was faster
			return c, nil
		}
	}
	return fresh, failed
}

func (d *Desk) begin(ctx context.Context, number purchase.MSISDN, key string, w sale.Wish) (Recap, error) {
	w.Client, w.ClientKey, w.Payer = Client, key, number.String()
	request, err := d.cfg.Sales.Quote(w)
	if err != nil {
		return Recap{}, err
	}
	c := Checkout{Key: w.ClientKey, Number: number, At: d.cfg.Clock.Now(), State: Shown, Wish: w, Total: request.Total}
	if err := d.cfg.Store.AddCheckout(ctx, c); err != nil {
		return Recap{}, fmt.Errorf("keep a checkout: %w", err)
	}
	return Recap{c, request}, nil
}

// Checkout returns a number's checkout as it stands, or ErrNotFound. The request is
// what it costs at the moment; it is zero once the checkout is not Shown any more.
func (d *Desk) Checkout(ctx context.Context, number purchase.MSISDN, key string) (Recap, error) {
	c, err := d.cfg.Store.Checkout(ctx, key, number)
	if err != nil {
		return Recap{}, err
	}
	if c.State != Shown {
		return Recap{Checkout: c}, nil
	}
	if d.cfg.Clock.Now() >= c.At.Add(ShownFor) {
		c.State = Lapsed
		return Recap{Checkout: c}, nil
	}
	request, err := d.cfg.Sales.Quote(c.Wish)
	if err == nil && request.Total != c.Total {
		c.State = Lapsed
	}
	return Recap{c, request}, err
}

// LastCheckout returns the newest that a number began under keys that begin so, or
// ErrNotFound. One that was shown too long ago is Lapsed.
func (d *Desk) LastCheckout(ctx context.Context, number purchase.MSISDN, prefix string) (Checkout, error) {
	c, err := d.cfg.Store.LastCheckout(ctx, number, prefix)
	if err == nil && c.State == Shown && d.cfg.Clock.Now() >= c.At.Add(ShownFor) {
		c.State = Lapsed
	}
	return c, err
}

// Confirm has a checkout bought after a while in which it can be cancelled, and
// returns it as it then stands: a second call changes nothing. A price that is not
// the one that was shown lapses. An error is a *sale.Problem, ErrNotFound, or the
// store's.
func (d *Desk) Confirm(ctx context.Context, number purchase.MSISDN, key string, cancelFor time.Duration) (Checkout, error) {
	recap, err := d.Checkout(ctx, number, key)
	if err != nil {
		return Checkout{}, err
	}
	c := recap.Checkout
	if c.State != Shown {
		return c, nil
	}
	c.State, c.GoAt = Confirmed, d.cfg.Clock.Now().Add(cancelFor)
	if err := d.move(ctx, Shown, &c); err != nil {
		return Checkout{}, err
	}
	d.Wake()
	return c, nil
}

// Cancel cancels a checkout that is not being sold yet, and returns it as it then
// stands.
func (d *Desk) Cancel(ctx context.Context, number purchase.MSISDN, key string) (Checkout, error) {
	c, err := d.cfg.Store.Checkout(ctx, key, number)
	if err != nil {
		return Checkout{}, err
	}
	if c.State != Shown && c.State != Confirmed {
		return c, nil
	}
	from := c.State
	c.State = Cancelled
	return c, d.move(ctx, from, &c)
}

// move changes a checkout, or reads what another made of it meanwhile.
func (d *Desk) move(ctx context.Context, from CheckoutState, c *Checkout) error {
	moved, err := d.cfg.Store.MoveCheckout(ctx, from, *c)
	if err == nil && !moved {
		*c, err = d.cfg.Store.Checkout(ctx, c.Key, c.Number)
	}
	if err != nil {
		return fmt.Errorf("move a checkout: %w", err)
	}
	return nil
}

// Sell buys a confirmed checkout now, without waiting for the time to cancel to
// pass, and returns it as it then stands: Selling when the outcome is not known yet.
func (d *Desk) Sell(ctx context.Context, c Checkout) (Checkout, error) {
	if c.State == Confirmed {
		c.State = Selling
		if err := d.move(ctx, Confirmed, &c); err != nil {
			return c, err
		}
	}
	if c.State != Selling {
		return c, nil
	}
	p, _, err := d.cfg.Sales.Buy(ctx, c.Wish)
	var problem *sale.Problem
	switch {
	case err == nil:
		c.State, c.Purchase = Sold, p.ID
	case errors.As(err, &problem) && problem.Code != sale.CodeUnavailable && problem.Code != sale.CodeBusy && problem.Code != sale.CodeInternal:
		c.State, c.Problem, c.Earlier = Refused, problem.Code, problem.Earlier
	default:
		return c, nil // the same key is tried again
	}
	return c, d.move(ctx, Selling, &c)
}

// Step buys what is due, and returns when to call it again unless Wake is called
// before.
func (d *Desk) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	const most = 100
	due, soon, err := d.cfg.Store.DueCheckouts(ctx, now, most)
	if err != nil {
		return now.Add(again), fmt.Errorf("read due checkouts: %w", err)
	}
	next = now.Add(sweep)
	if soon != 0 {
		next = min(next, soon)
	}
	for _, c := range due {
		if c.State == Confirmed && now >= c.GoAt.Add(lateBy) {
			c.State = Lapsed
			err = errors.Join(err, d.move(ctx, Confirmed, &c))
			continue
		}
		after, failed := d.Sell(ctx, c)
		if err = errors.Join(err, failed); failed != nil || after.State == Selling {
			next = min(next, now.Add(again))
		}
	}
	if len(due) == most {
		next = now
	}
	return next, errors.Join(err, d.cfg.Store.DropCheckouts(ctx, now.Add(-keptFor)))
}

// Wake makes Run look at what is due. It never waits.
func (d *Desk) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run buys what is due until ctx ends. failed is told of what must wait.
func (d *Desk) Run(ctx context.Context, failed func(error)) {
	for ctx.Err() == nil {
		next, err := d.Step(ctx, d.cfg.Clock.Now())
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-d.cfg.Clock.After(max(next.Sub(d.cfg.Clock.Now()), 0)):
		}
	}
}
