package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// slow is a mix whose payer acknowledges and answers later, as a wallet does
// whose customer must first approve.
func (b *Bed) slow() mix {
	m := b.ordinary()
	m.payers = []string{"slow-wallet"}
	return m
}

// patiently keeps the deadlines out of what is measured beside them: told to be
// late, every open purchase would write a notice and a case.
func patiently(r *purchase.Rules) { r.ApproveWithin, r.DeliverWithin = 2*time.Hour, 2*time.Hour }

// leave makes count purchases that stay open, waiting for their payer, and
// returns when that is durable. keep is given each purchase's number and ID.
func (n *node) leave(ctx context.Context, m mix, count, inFlight int, keep func(i int, id purchase.ID)) error {
	load := n.load()
	before := n.Stats().ByKind[purchase.Pending]
	err := each(count, inFlight, func(i int) error {
		id, err := n.buy(ctx, m.request(load, i))
		if keep != nil && err == nil {
			keep(i, id)
		}
		return err
	})
	if err != nil {
		return err
	}
	return n.await(ctx, "all to be acknowledged", func() bool {
		s := n.Stats()
		return s.ByKind[purchase.Pending]-before >= int64(count) && s.Pending == 0
	})
}

// Open measures what a purchase costs in memory while it waits for a partner, and
// how fast new ones are sold beside very many that wait.
func (b *Bed) Open(ctx context.Context) (s Sample, err error) {
	d, err := b.fresh(ctx)
	if err != nil {
		return s, err
	}
	defer d.remove(ctx, &err)
	n, err := d.start(ctx, setup{partners: append(pair(), NewPartner("slow-wallet", Later)),
		maxOpen: b.Size.Open + 100_000, rules: patiently})
	if err != nil {
		return s, err
	}
	defer n.quit(&err)
	before := n.Stats()
	count := b.Size.Purchases/2 + 1
	if _, err := n.sell(ctx, b.ordinary(), count/10+1, b.Size.InFlight); err != nil {
		return s, err
	}
	alone, err := n.sell(ctx, b.ordinary(), count, b.Size.InFlight)
	if err != nil {
		return s, err
	}
	empty, taken := heap(), resident()
	const sample = 1000
	every := max(b.Size.Open/sample, 1)
	var mu sync.Mutex
	var some []purchase.ID // that will be answered at the end
	err = n.leave(ctx, b.slow(), b.Size.Open, b.Size.InFlight, func(i int, id purchase.ID) {
		if i%every == 0 {
			mu.Lock()
			some = append(some, id)
			mu.Unlock()
		}
	})
	if err != nil {
		return s, err
	}
	most := resident()
	full := heap()
	beside, err := n.sell(ctx, b.ordinary(), count, b.Size.InFlight)
	if err != nil {
		return s, err
	}
	if err := n.answer(ctx, some); err != nil {
		return s, err
	}
	s.Add("open", "purchases", float64(b.Size.Open), "")
	s.Add("memory of one", "B", (float64(full)-float64(empty))/float64(b.Size.Open), "its value alone")
	if taken > 0 { // the system tells
		s.Add("resident for one, garbage included", "B", max(float64(most-taken), 0)/float64(b.Size.Open), "memory of one")
	}
	s.Add("its value alone", "B", float64(unsafe.Sizeof(purchase.Purchase{})), "")
	s.Add("sold beside them", "purchases/s", beside.perSecond(), "sold with none open")
	s.Add("sold with none open", "purchases/s", alone.perSecond(), "")
	s.Add("settled beside them, p99", "ms", beside.at(0.99), "settled with none open, p99")
	s.Add("settled with none open, p99", "ms", alone.at(0.99), "")
	return s, n.check(ctx, before, count/10+1+2*count+len(some))
}

// answer lets the slow payer answer for some purchases, and waits until they are credited.
func (n *node) answer(ctx context.Context, ids []purchase.ID) error {
	payer := NewPartner("slow-wallet", Prompt)
	asked := purchase.Order{Amount: money.Amount{Minor: total, Currency: money.XOF}}
	return each(len(ids), 64, func(i int) error {
		updates, stop := n.Watch(ids[i])
		defer stop()
		event := purchase.Event{Leg: purchase.Charge, Outcome: payer.executed(ids[i], asked)}
		if err := n.Callback(ctx, ids[i], event); err != nil {
			return fmt.Errorf("answer later: %w", err)
		}
		last, err := final(ctx, updates)
		if err != nil {
			return err
		}
		if last.ID == 0 {
			return errors.New("a purchase that should be open is not")
		}
		return nil
	})
}
