package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/testpeer"
)

// BenchmarkAffect looks for whom an incident affects while 500 purchases a second are sold, every 2 s, as the desk does: at all that
// was made lately, and at what is new and undecided only.
//
//	go test ./internal/store -run '^$' -bench BenchmarkAffect -benchtime 20x
func BenchmarkAffect(b *testing.B) {
	for name, dsn := range map[string]func() string{"sqlite": func() string { return "sqlite:" + filepath.Join(b.TempDir(), "bench.db") },
		"postgres": func() string { return testpeer.Postgres(b) }} {
		b.Run(name, func(b *testing.B) {
			s := openBench(b, dsn(), 1)
			lease, err := s.Acquire(b.Context(), "n")
			if err != nil {
				b.Fatal(err)
			}
			now := purchase.Instant(1_800_000_000_000_000)
			sold := &sold{s: s, epoch: lease.Epoch, next: 1}
			const minutes = 13
			for n := range time.Duration(minutes * 6) {
				sold.sell(b, now.Add((n-minutes*6)*10*time.Second), 10*perSecond)
			}
			if err := s.update(b.Context(), func(ctx context.Context, tx *sql.Tx) error { // as the database does by itself, some time
				_, err := change(ctx, tx, `ANALYZE`)
				return err
			}); err != nil {
				b.Fatal(err)
			}
			i, err := s.ChangeIncident(b.Context(), incident.Change{Now: incident.Incident{Version: 1, Series: incident.Series{By: incident.ByProvider, Name: "ocs"},
				Rule: incident.RuleAbsolute, Status: incident.Ongoing, Severity: incident.Minor, Since: now.Add(-time.Minute), SeenAt: now, ChangedAt: now}})
			if err != nil {
				b.Fatal(err)
			}
			for _, way := range []struct {
				name   string
				memory *incident.Memory
			}{{"all", nil}, {"new", &incident.Memory{}}} {
				look := func(open purchase.Instant) {
					if _, err := s.Affect(b.Context(), i.ID, incident.Reach{Series: i.Series, From: now.Add(-90 * time.Second), Till: now, At: now, Within: time.Minute,
						House: "house", Open: open, Memory: way.memory}); err != nil {
						b.Fatal(err)
					}
				}
				look(i.Since)
				b.Run(way.name, func(b *testing.B) {
					for b.Loop() {
						b.StopTimer()
						sold.sell(b, now, 2*perSecond)
						now = now.Add(2 * time.Second)
						b.StartTimer()
						look(0)
					}
				})
			}
		})
	}
}

const perSecond = 500

// sold fills a store with purchases, one in ten of which hangs.
type sold struct {
	s           *Store
	epoch, next int64
}

func (f *sold) sell(b *testing.B, from purchase.Instant, count int64) {
	b.Helper()
	const made = `WITH RECURSIVE n(i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2), m AS (SELECT i, $3 + (i - $1) * 1000000 / 500 AS at FROM n) `
	const columns = `id, version, epoch, payer_number, recipient, total, fee, units, created_at, charged_at, closed_at, deliver_by, resolve_by, refund_by, watch_till, due_at, charged,
		held, offer, told, state, bundle, again, orphan, exposed, unproven, doubt, closed, acknowledged, client, client_key, channel, language, payer, provider, product, currency, charged_currency, digest`
	err := f.s.update(b.Context(), func(ctx context.Context, tx *sql.Tx) error {
		digest := `'0123456789abcdef'`
		if f.s.db.dialect().moveOpen == "" {
			digest = `x'30313233'`
		}
		if _, err := change(ctx, tx, made+`INSERT INTO purchase (`+columns+`) SELECT i, 3, $4, 22600000000 + i, 22600000000 + i, 1050, 50, 1000, at, at,
			CASE i % 10 WHEN 0 THEN 0 ELSE at + 1 END, 0, 0, 0, 0, CASE i % 10 WHEN 0 THEN at + 60000000 ELSE 0 END, 1050, CASE i % 10 WHEN 0 THEN 1050 ELSE 0 END, 1, 0,
			CASE i % 10 WHEN 0 THEN 2 ELSE 3 END, 0, 0, 0, 0, 0, 0, 0, 0, 'app', 'k' || i, 'app', 'fr', 'wallet', 'ocs', 'airtime', 'XOF', 'XOF', `+digest+` FROM m`,
			f.next, f.next+count, int64(from), f.epoch); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		if f.s.db.dialect().moveOpen == "" {
			return nil
		}
		_, err := change(ctx, tx, made+`INSERT INTO open_purchase (epoch, purchase) SELECT $4, i FROM m WHERE i % 10 = 0`, f.next, f.next+count, int64(from), f.epoch)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	f.next += count
}
