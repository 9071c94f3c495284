package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tenu/internal/purchase"
)

// Performance is what became of a script.
type Performance struct {
	Violation *Violation // nil: every invariant held
	TraceHash string
	Tally     Tally
	Minutes   []Minute

	Refused    int              // before the charge, by a pause
	Unsettled  int              // charged, and neither credited nor given back at the end
	SettledAt  purchase.Instant // when nobody was unsettled any more; zero: somebody is
	Wrong      int              // told "credited" while the provider's books had no credit
	Lied       int              // of those, where the provider had said so itself
	Doubles    [2]int           // credited twice, refunded twice
	Lies       int              // legs of which partners' books and words differ
	FirstFault purchase.Instant // zero: none
	Refunds    []time.Duration  // from proof of non-delivery to the evidence of the refund, sorted
	Settles    []time.Duration  // from the charge to the evidence of credit or refund, sorted
	Told       []time.Duration  // from the pause to the message at the SMS centre, of affected customers, sorted
	Untold     int              // affected customers who were sent none
	OnlyCase   int              // charged purchases of which the engine opened a case and that no incident affects
	OnlyRecord int              // purchases that an incident affects and of which the engine opened no case
	Calls      Calls
	Complaints int // purchases about which somebody complained
	CasesFirst int // purchases whose case was open before anybody complained, or without that anybody did
	Cases      int
	Promised   int // callbacks; those that make good a broken one left out
	Kept       int // in the window that was promised
	Broken     int
	Cancelled  int
	Sighting   *Sighting
	Auditor    Totals // as each change was written
	Ledger     Totals // as the database holds it
	Books      Totals // of the partners
	HouseBuys  int    // purchases that the house made for customers
}

// Totals are what purchases came to. Amounts are in minor units.
type Totals struct {
	Purchases      int   `json:"purchases"`
	Charged        int   `json:"charged"`
	Credited       int   `json:"credited"`
	Refunded       int   `json:"refunded"`
	AmountCharged  int64 `json:"amount_charged"`
	AmountCredited int64 `json:"amount_credited"`
	AmountRefunded int64 `json:"amount_refunded"`
	Exposure       int64 `json:"exposure"`
}

// Same reports whether two totals agree, but for what only a ledger knows.
func (t Totals) Same(o Totals) bool {
	t.Exposure, t.Purchases = o.Exposure, o.Purchases
	return t == o
}

// performance sums up what happened.
func (w *world) performance() (*Performance, error) {
	p := w.play
	r := &Performance{Violation: w.failure, TraceHash: fmt.Sprintf("%016x", w.record.sum), Tally: w.tally, Minutes: p.minutes, Refused: p.refused,
		Unsettled: p.pending, SettledAt: p.ended, FirstFault: p.first, Refunds: p.refunds, Settles: p.settles, Calls: w.line.calls,
		Complaints: len(p.complaint), Cases: w.tally.Cases, Lies: w.tally.Breaches}
	var err error
	if r.Sighting, err = w.sighting(); err != nil {
		return nil, err
	}
	r.Violation = w.failure
	slices.Sort(r.Refunds)
	slices.Sort(r.Settles)
	for id, at := range p.opened {
		if said := p.complaint[id]; said == 0 || at <= said {
			r.CasesFirst++
		}
	}
	for id := range p.wrong {
		r.Wrong++
		if a := w.account(&w.book.records[id].Purchase, w.book.records[id].Purchase.Provider, purchase.Credit); a != nil && a.phantoms > 0 {
			r.Lied++
		}
	}
	w.promises(r)
	w.tellings(r)
	for _, id := range w.book.ids {
		record := w.book.records[id]
		if record.Purchase.Payer == houseName {
			r.HouseBuys++
			continue
		}
		r.Auditor.add(w.book, record)
		w.books(r, &record.Purchase)
	}
	return r, w.stored(&r.Ledger)
}

// add counts one purchase as its record shows it.
func (t *Totals) add(a *auditor, r *purchase.Record) {
	s := sum(r)
	t.Purchases++
	t.Exposure += s.exposure
	charged, credited, refunded := a.booked(r, purchase.Charge), a.booked(r, purchase.Credit)-a.booked(r, purchase.Reversal), a.booked(r, purchase.Refund)
	t.count(charged, credited, refunded)
}

func (t *Totals) count(charged, credited, refunded int64) {
	t.AmountCharged += charged
	t.AmountCredited += credited
	t.AmountRefunded += refunded
	for _, x := range []struct {
		minor int64
		n     *int
	}{{charged, &t.Charged}, {credited, &t.Credited}, {refunded, &t.Refunded}} {
		if x.minor > 0 {
			*x.n++
		}
	}
}

// inBooks is what the partners' books show of a purchase, by leg: how much was moved, and how often.
func (w *world) inBooks(p *purchase.Purchase) (moved [legCount]int64, times [legCount]int) {
	for _, leg := range purchase.Legs {
		for _, peer := range w.peers {
			a := peer.keys[w.keys.Key(p.ID, leg).UUID()]
			if a == nil {
				continue
			}
			for _, m := range a.moved {
				if !m.undone {
					moved[leg] += m.amount.Minor
					times[leg]++
				}
			}
		}
	}
	return moved, times
}

// books counts one purchase as the partners' books show it.
func (w *world) books(r *Performance, p *purchase.Purchase) {
	moved, times := w.inBooks(p)
	r.Books.Purchases++
	r.Books.count(moved[purchase.Charge], moved[purchase.Credit]-moved[purchase.Reversal], moved[purchase.Refund])
	if times[purchase.Credit]-times[purchase.Reversal] > 1 {
		r.Doubles[0]++
	}
	if times[purchase.Refund] > 1 {
		r.Doubles[1]++
	}
}

// stored counts all purchases as the database holds them.
func (w *world) stored(t *Totals) error {
	for from := 0; from < len(w.book.ids); from += 500 {
		records, err := w.store.Backing.Load(context.WithoutCancel(w.ctx), w.book.ids[from:min(from+500, len(w.book.ids))]...)
		if err != nil {
			return fmt.Errorf("read the purchases of a play: %w", err)
		}
		for i := range records {
			if records[i].Purchase.Payer != houseName {
				t.add(w.book, &records[i])
			}
		}
	}
	return nil
}

// promises counts callbacks. One that makes good a broken one is part of it.
func (w *world) promises(r *Performance) {
	for _, id := range w.files.calls {
		c := w.files.callbacks[id]
		if c.Follows != 0 {
			continue
		}
		r.Promised++
		switch name := c.State.String(); name {
		case "kept":
			r.Kept++
		case "broken":
			r.Broken++
		case "cancelled":
			r.Cancelled++
		}
	}
}
