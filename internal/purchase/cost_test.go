package purchase_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// yes is a store that writes nothing and says that it did, once it has opened.
type yes struct {
	purchase.Store
	verdicts []purchase.Verdict
}

func (y *yes) Commit(_ context.Context, _ int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	y.verdicts = y.verdicts[:0]
	for range changes {
		y.verdicts = append(y.verdicts, purchase.Verdict{Result: purchase.Written})
	}
	return y.verdicts, nil
}

// A purchase costs the engine a known number of allocations, with partners that
// do what they are asked. More of them is more to collect, for every purchase.
func TestAllocationsPerPurchase(t *testing.T) {
	const count, bound, bytes = 512, 28, 9000
	prompt := func(_ *partner, o purchase.Order) purchase.Outcome {
		return purchase.Outcome{Kind: purchase.Done, Ref: "r", Amount: o.Amount, Account: o.Account}
	}
	n := begin(t, &dial{1_800_000_000_000_000}, &yes{Store: store.NewMemory()}, "n",
		newPartner("wallet", able, prompt), newPartner("ocs", able, prompt))
	requests := make([]purchase.Request, 2*count)
	for i := range requests {
		requests[i] = request(i)
		requests[i].Recipient += purchase.MSISDN(i)
		requests[i].PayerNumber = requests[i].Recipient
		requests[i].ClientKey = "key " + strconv.Itoa(i)
	}
	intents := make([]purchase.Intent, count)
	sell := func(requests []purchase.Request) {
		for i := range requests {
			intents[i] = n.Buy(t.Context(), requests[i])
		}
		n.commit()
		for _, partner := range []string{"wallet", "ocs"} {
			for {
				x, ok := n.Take(partner)
				if !ok {
					break
				}
				x.Answer(x.Send(t.Context()))
			}
			n.commit()
		}
		for i := range requests {
			if _, _, err := intents[i].Result(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	sell(requests[:count]) // what is kept for use again and again
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sell(requests[count:])
	runtime.ReadMemStats(&after)
	if held := n.Held(); len(held) != 0 {
		t.Fatalf("%d purchases are not closed, the first: %+v", len(held), held[0])
	}
	allocs, size := float64(after.Mallocs-before.Mallocs)/count, float64(after.TotalAlloc-before.TotalAlloc)/count
	t.Logf("a purchase takes %.1f allocations of %.0f bytes in all", allocs, size)
	if allocs > bound || size > bytes {
		t.Errorf("a purchase takes %.1f allocations of %.0f bytes in all, more than %d of %d", allocs, size, bound, bytes)
	}
}
