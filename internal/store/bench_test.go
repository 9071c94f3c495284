package store

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"tenu/internal/ledger"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/testpeer"
)

// sale makes the three changes of one purchase of airtime, as the engine would.
func sale(id purchase.ID, epoch int64, now purchase.Instant) [3]purchase.Change {
	n := int64(id.Sequence())
	p := purchase.Purchase{ID: id, Version: 1, Epoch: epoch, State: purchase.Charging, CreatedAt: now, DueAt: now + 60_000_000,
		Request: purchase.Request{Client: "app", ClientKey: fmt.Sprintf("%016x-%08x", uint64(n)*0x9e3779b97f4a7c15, n), Channel: "app", Language: "fr",
			PayerNumber: purchase.MSISDN(22670000000 + n*7919%9999991), Recipient: purchase.MSISDN(22670000000 + n*7919%9999991),
			Payer: "moov-money", Provider: "ocs", Product: "airtime", Offer: 1, Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF}}
	created := purchase.Change{Now: p, Attempt: &purchase.Attempt{Leg: purchase.Charge, Try: 1, Partner: "moov-money", At: now}, RepeatSince: now - 120_000_000}
	total, price, fee := money.Amount{Minor: 1050, Currency: money.XOF}, money.Amount{Minor: 1000, Currency: money.XOF}, money.Amount{Minor: 50, Currency: money.XOF}
	p.Version, p.State, p.ChargedAt, p.Charged, p.Held = 2, purchase.Crediting, now+1, total, 1050
	p.DeliverBy, p.ResolveBy = now+60_000_000, now+86400_000_000
	charged := purchase.Change{Now: p, WasEpoch: epoch,
		Attempt:  &purchase.Attempt{Leg: purchase.Credit, Try: 1, Partner: "ocs", At: now + 1},
		Evidence: &purchase.Evidence{Version: 2, Leg: purchase.Charge, Source: purchase.FromAnswer, Partner: "moov-money", At: now + 1, Outcome: purchase.Outcome{Kind: purchase.Done, Ref: "MP240709.1345.A12345", Amount: total}},
		Postings: []purchase.Posting{{Leg: purchase.Charge, Effect: purchase.EffectPrincipal, At: now + 1, Posting: ledger.Posting{Debit: "wallet/moov-money", Credit: "held", Amount: total}}}}
	p.Version, p.State, p.ClosedAt, p.Held, p.DueAt, p.Told = 3, purchase.Credited, now+2, 0, 0, purchase.FactSet(0).With(purchase.FactCredited)
	credited := purchase.Change{Now: p, WasEpoch: epoch,
		Evidence: &purchase.Evidence{Version: 3, Leg: purchase.Credit, Source: purchase.FromAnswer, Partner: "ocs", At: now + 2, Outcome: purchase.Outcome{Kind: purchase.Done, Ref: "0123456789", Amount: price, Balance: 4242, HasBalance: true}},
		Postings: []purchase.Posting{{Leg: purchase.Credit, Effect: purchase.EffectPrincipal, At: now + 2, Posting: ledger.Posting{Debit: "held", Credit: "delivered/ocs", Amount: price}},
			{Leg: purchase.Credit, Effect: purchase.EffectFee, At: now + 2, Posting: ledger.Posting{Debit: "held", Credit: "fees/app", Amount: fee}}},
		Notices: []purchase.Notice{{Purchase: id, Fact: purchase.FactCredited, To: p.PayerNumber, Language: "fr", At: now + 2,
			Text: "Credite: 1 000 F CFA d'unites pour 70 00 00 00. Solde 4 242 F CFA. Ref K7M2-Q4XD-9T. Merci. Une question: 121."}}}
	return [3]purchase.Change{created, charged, credited}
}

// BenchmarkCommit pushes purchases through their three commits in batches, as
// many committers at once as the engine has, and reports purchases a second.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{256, 512} {
		b.Run(fmt.Sprintf("sqlite/%d", size), func(b *testing.B) {
			benchCommit(b, "sqlite:"+filepath.Join(b.TempDir(), "bench.db"), size, 1)
		})
		for _, committers := range []int{1, 2} {
			b.Run(fmt.Sprintf("postgres/%d/%d", size, committers), func(b *testing.B) {
				benchCommit(b, testpeer.Postgres(b), size, committers)
			})
		}
	}
}

func benchCommit(b *testing.B, dsn string, size, committers int) {
	s := openBench(b, dsn, committers)
	before := cpuTime(b)
	b.ResetTimer()
	times := sellBench(b, s, b.N, size, committers)
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1000/float64(b.N), "own-cpu-us/purchase")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "purchases/s")
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms/commit")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms/commit")
}

// BenchmarkVerify verifies a database of 100 000 purchases.
func BenchmarkVerify(b *testing.B) {
	for name, dsn := range map[string]string{"sqlite": "sqlite:" + filepath.Join(b.TempDir(), "bench.db"), "postgres": testpeer.VolatilePostgres(b)} {
		s := openBench(b, dsn, 1)
		sellBench(b, s, 100_000, 512, 1)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				found, err := s.Verify(b.Context(), Verification{Now: 1_800_000_000_000_000})
				if err != nil || len(found) != 0 {
					b.Fatalf("%v, %v", found, err)
				}
			}
		})
	}
}

func openBench(b *testing.B, dsn string, committers int) *Store {
	b.Helper()
	if _, _, err := Migrate(b.Context(), dsn, Options{}); err != nil {
		b.Fatal(err)
	}
	s, err := Open(b.Context(), dsn, Options{Committers: committers})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() }) // the figures are taken
	return s
}

// sellBench sells in batches and returns how long each commit took.
func sellBench(b *testing.B, s *Store, purchases, size, committers int) (times []time.Duration) {
	b.Helper()
	lease, err := s.Acquire(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	next := lease.Epoch*100_000_000 + 1 // so that a database may be used again
	last := next + int64(purchases)
	var selling sync.WaitGroup
	for range committers {
		selling.Go(func() {
			for {
				mu.Lock()
				first := next
				next = min(first+int64(size), last)
				batch := sales(first, next, lease.Epoch)
				mu.Unlock()
				if len(batch[0]) == 0 {
					return
				}
				for _, changes := range batch {
					began := time.Now()
					verdicts, err := s.Commit(b.Context(), lease.Epoch, changes)
					took := time.Since(began)
					if err != nil || slices.ContainsFunc(verdicts, func(v purchase.Verdict) bool { return v.Result != purchase.Written }) {
						b.Errorf("commit: %v", err)
						return
					}
					mu.Lock()
					times = append(times, took)
					mu.Unlock()
				}
			}
		})
	}
	selling.Wait()
	return times
}

// sales makes the three batches of the purchases from first on.
func sales(first, end, epoch int64) (batch [3][]purchase.Change) {
	for n := first; n < end; n++ {
		for step, c := range sale(purchase.MakeID(0, n), epoch, 1_800_000_000_000_000+1000*purchase.Instant(n)) {
			batch[step] = append(batch[step], c)
		}
	}
	return batch
}

// cpuTime is what this process has used of the processors, which other
// processes on the machine disturb less than they disturb the clock.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
