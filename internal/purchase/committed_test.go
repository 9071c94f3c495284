package purchase_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// hear makes a node that writes down what it tells whoever counts.
func hear(t *testing.T, clock *dial, kept purchase.Store, name string, told *[]string, partners ...*partner) *node {
	t.Helper()
	return beginWith(t, clock, kept, name, func(c *purchase.Config) {
		c.Committed = func(c *purchase.Change) {
			was, now := "nothing", "nothing"
			if c.Was.State != 0 {
				was = c.Was.State.String() + "/" + c.Was.Provider
			}
			if c.Now.State != 0 {
				now = c.Now.State.String() + "/" + c.Now.Provider
			}
			if c.Now.Resumed != 0 {
				now += " resumed"
			}
			*told = append(*told, was+" > "+now)
		}
	}, partners...)
}

func toldWas(t *testing.T, told *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*told, want) {
		t.Errorf("told\n%q, want\n%q", *told, want)
	}
	*told = nil
}

// Whoever counts is told of each written change with what it changed, and after a
// takeover of what is open, so that nothing is unknown and nothing counts twice.
func TestCommittedTellsWhatWasAndIs(t *testing.T) {
	clock, kept := &dial{1_800_000_000_000_000}, store.NewMemory()
	mute := able
	mute.Query = false
	wallet, ocs := newPartner("wallet", able, obey), newPartner("ocs", mute, silent)
	var first, second []string
	a := hear(t, clock, kept, "a", &first, wallet, ocs)
	id := a.buy()
	a.call("wallet")
	a.call("ocs")
	toldWas(t, &first, "nothing > charging/ocs", "charging/ocs > crediting/ocs", "crediting/ocs > crediting/ocs")

	b := hear(t, clock, kept, "b", &second, wallet, newPartner("ocs", mute, obey))
	toldWas(t, &second)
	for range 12 { // until a has not renewed for long enough
		b.turn(3 * time.Second)
	}
	for range 5 {
		b.turn(time.Minute)
		b.call("ocs")
	}
	if len(second) < 2 || second[0] != "nothing > crediting/ocs resumed" ||
		second[len(second)-1] != "crediting/ocs > credited/ocs resumed" {
		t.Errorf("after the takeover: %q", second)
	}
	records, err := kept.Load(t.Context(), id)
	if err != nil || records[0].Purchase.State != purchase.Credited {
		t.Fatalf("%+v, %v", records, err)
	}
}

// A purchase that somebody else wrote is given up, once, and told again if it is
// still ours.
func TestCommittedTellsWhatIsGivenUp(t *testing.T) {
	clock, kept := &dial{1_800_000_000_000_000}, store.NewMemory()
	var told []string
	n := hear(t, clock, kept, "a", &told, newPartner("wallet", able, obey), newPartner("ocs", able, obey))
	id := n.buy()
	records, err := kept.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	other := purchase.Change{Now: records[0].Purchase, WasEpoch: records[0].Purchase.Epoch}
	for range 2 {
		other.Now.Version++
		if v, err := kept.Commit(t.Context(), other.Now.Epoch, []purchase.Change{other}); err != nil || v[0].Result != purchase.Written {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	told = nil
	n.call("wallet")
	toldWas(t, &told, "charging/ocs > nothing")
	if err := n.Lease(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	toldWas(t, &told, "nothing > charging/ocs resumed")
}

// A provider that cannot be reached is replaced; the change names both.
func TestCommittedTellsTheFormerProvider(t *testing.T) {
	unsent := func(*partner, purchase.Order) purchase.Outcome {
		return purchase.Outcome{Kind: purchase.Unsent, Reason: purchase.ReasonClosed}
	}
	var told []string
	n := beginWith(t, &dial{1_800_000_000_000_000}, store.NewMemory(), "a", func(c *purchase.Config) {
		c.Alternates = func(*purchase.Purchase) []string { return []string{"ocs", "spare"} }
		c.Committed = func(c *purchase.Change) {
			told = append(told, fmt.Sprintf("%s %s > %s %s", c.Was.State, c.Was.Provider, c.Now.State, c.Now.Provider))
		}
	}, newPartner("wallet", able, obey), newPartner("ocs", able, unsent), newPartner("spare", able, obey))
	n.buy()
	n.call("wallet")
	told = nil
	n.call("ocs")
	n.call("spare")
	toldWas(t, &told, "crediting ocs > crediting spare", "crediting spare > credited spare")
}
