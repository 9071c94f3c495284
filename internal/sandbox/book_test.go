package sandbox

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"tenu/internal/purchase"
)

func openTestBook(t testing.TB, path string) *Book {
	t.Helper()
	b, err := OpenBook(context.Background(), path, "MP")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// BenchmarkBook measures durable movements of concurrent callers, each as a
// wallet's charge does it: look for the key, read the account, write both.
func BenchmarkBook(b *testing.B) {
	book := openTestBook(b, filepath.Join(b.TempDir(), "book.db"))
	ctx := context.Background()
	var wg sync.WaitGroup
	work := make(chan int)
	for range 256 {
		wg.Go(func() {
			for i := range work {
				key := purchase.MSISDN(22670000000 + i).String()
				err := book.Do(ctx, func(p *Page) error {
					if had, err := p.ByKey(ctx, key); err != nil || len(had) > 0 {
						return errors.Join(err, errors.New("had"))
					}
					a, err := p.Account(ctx, key[1:], "XOF")
					if errors.Is(err, ErrNoEntry) {
						a, err = Account{Number: key[1:], Pocket: "XOF", Balance: 100_000, Unit: "XOF", Status: "available"}, nil
					}
					a.Balance -= 1050
					m := Movement{Key: key, Leg: "charge", Number: a.Number, Amount: 1050, Currency: "XOF", Status: StatusDone, At: 1, Moved: 1}
					return errors.Join(err, p.PutAccount(a), p.AddMovement(&m), p.AddDue(1, "callback", m.Ref))
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	for i := range b.N {
		work <- i
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "movements/s")
}
