package bench

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

type wording struct{}

func (wording) Notice(purchase.Fact, *purchase.Purchase, purchase.Reference, purchase.Outcome) string {
	return "Recharge de 1 000 F CFA reussie. Nouveau solde 1 234 F CFA. Ref"
}

func config(t testing.TB, s purchase.Store) purchase.Config {
	keys, err := purchase.NewKeyring([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	return purchase.Config{Store: s, Keys: keys, Clock: clock{}, Wording: wording{}, Rules: purchase.DefaultRules(),
		Log: slog.New(slog.DiscardHandler)}
}

// TestEngine checks that the measurement itself is sound: all is sold and counted.
func TestEngine(t *testing.T) {
	s := store.NewMemory()
	r, err := Engine(context.Background(), config(t, s), Load{Purchases: 2000, InFlight: 64, Customers: 100})
	if err != nil {
		t.Fatal(err)
	}
	if r.Purchases != 2000 || r.PurchasesPerSec <= 0 || r.P99 < r.P50 || r.BatchMean < 1 {
		t.Errorf("%+v", r)
	}
	t.Logf("%+v", r)
}

func BenchmarkEngineMemory(b *testing.B) {
	s := store.NewMemory()
	r, err := Engine(context.Background(), config(b, s), Load{Purchases: b.N, InFlight: 512, Customers: 100_000})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(r.PurchasesPerSec, "purchases/s")
}
