// Package bench measures what tenu does against yardsticks taken in the same
// run: the scenarios, the partners in the process that they sell through, the
// bare loops they are compared with, the clients that buy over HTTP, and the report
// with its charts. It knows the engine, the store and nothing of the partners'
// protocols, of what serves, or of how databases are set up.
package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// Size says how much the scenarios do.
type Size struct {
	Purchases int           // sold where throughput is measured
	InFlight  int           // purchases open at once while it is
	Customers int           // different numbers that buy
	Point     time.Duration // how long each rate of arrivals is kept up
	Lone      int           // purchases sold one at a time
	Stored    int           // purchases of the full store
	Lookups   int           // of each kind
	Open      int           // purchases open at once for their memory
	Left      int           // open purchases left by a node that was stopped
	Stuck     int           // purchases stuck by an outage
	Allowed   int           // calls a second that the provider allows after it
	Sales     int           // new sales a second while something else goes on
	Leaves    int           // of the log that is audited
	Calls     int           // telephone calls held at once
	Held      time.Duration // how long they are
}

// Full is the size that the published figures are measured at.
func Full() Size {
	return Size{Purchases: 200_000, InFlight: 1024, Customers: 100_000, Point: 5 * time.Second, Lone: 1000,
		Stored: 10_000_000, Lookups: 2000, Open: 1_000_000, Left: 100_000, Stuck: 1_000_000, Allowed: 5000, Sales: 500, Leaves: 1_000_000,
		Calls: 500, Held: time.Minute}
}

// Quick is a size for a first look, of about a minute a store.
func Quick() Size {
	return Size{Purchases: 30_000, InFlight: 1024, Customers: 20_000, Point: time.Second, Lone: 100,
		Stored: 200_000, Lookups: 300, Open: 50_000, Left: 20_000, Stuck: 20_000, Allowed: 5000, Sales: 500, Leaves: 100_000,
		Calls: 500, Held: 10 * time.Second}
}

// Check says what is wrong with a size.
func (s Size) Check() error {
	for name, n := range map[string]int{"purchases": s.Purchases, "in-flight": s.InFlight, "customers": s.Customers,
		"lone": s.Lone, "stored": s.Stored, "lookups": s.Lookups, "open": s.Open, "left": s.Left, "stuck": s.Stuck,
		"allowed": s.Allowed, "sales": s.Sales, "leaves": s.Leaves, "calls": s.Calls} {
		if n < 1 {
			return fmt.Errorf("%s must be positive", name)
		}
	}
	switch {
	case s.Point <= 0 || s.Held <= 0:
		return errors.New("point and held must be positive")
	case s.Sales >= s.Allowed:
		return errors.New("sales must be below what the provider allows")
	}
	return nil
}

// Bed is one kind of store with what every scenario on it needs from its
// caller. The functions that may be nil leave their figures out.
type Bed struct {
	Store      string // "sqlite" or "postgres"
	Committers int
	Clock      purchase.Clock
	Wording    purchase.Wording
	Log        *slog.Logger
	Size       Size
	// Fresh makes an empty database and returns its address, and what removes it.
	Fresh func(context.Context) (dsn string, drop func(context.Context) error, err error)
	// Calm is called before a measurement: what earlier ones left to the database
	// to do later is done when it returns. It may be nil.
	Calm func(context.Context) error
	// Server reads what the database server has used so far. It may be nil.
	Server func(context.Context) (ServerUsage, error)
	// TPCB measures pgbench's TPC-B-like transactions a second on the same server.
	// It is nil where there is none.
	TPCB func(context.Context) (float64, error)
	// Serve starts tenu on the database at an address, with these partners, or
	// without any with sandboxes of a wallet and a charging system over HTTP.
	Serve func(ctx context.Context, dsn string, partners []*Partner) (*Served, error)
}

// ServerUsage is what a database server has used since it began.
type ServerUsage struct {
	CPU time.Duration // 0 where it cannot be told
	WAL int64         // bytes of the log
}

// database is a migrated database of a bed, open.
type database struct {
	*store.Store
	bed  *Bed
	dsn  string
	keys *purchase.Keyring
	drop func(context.Context) error

	unlogged bool // it keeps no append-only log
}

// secret is the installation's secret of every benchmark's database.
var secret = []byte("a benchmark keeps no secret")

// fresh makes a database of the bed. The caller closes it.
func (b *Bed) fresh(ctx context.Context) (*database, error) { return b.freshAs(ctx, false) }

// freshAs makes a database with the append-only log or without.
func (b *Bed) freshAs(ctx context.Context, unlogged bool) (*database, error) {
	dsn, drop, err := b.Fresh(ctx)
	if err != nil {
		return nil, fmt.Errorf("make a database: %w", err)
	}
	d := &database{bed: b, dsn: dsn, drop: drop, unlogged: unlogged}
	if _, _, err = store.Migrate(ctx, dsn, store.Options{}); err == nil {
		err = d.open(ctx)
	}
	if err == nil {
		_, err = d.Secret(ctx, secret)
	}
	if err == nil {
		d.keys, err = purchase.NewKeyring(secret)
	}
	if err != nil {
		return nil, errors.Join(err, drop(context.WithoutCancel(ctx)))
	}
	return d, nil
}

func (d *database) open(ctx context.Context) (err error) {
	d.Store, err = store.Open(ctx, d.dsn, store.Options{Committers: d.bed.Committers, Log: d.bed.Log, Unlogged: d.unlogged})
	return err
}

// reopen is what a new process does: new connections that nothing is prepared on.
func (d *database) reopen(ctx context.Context) error {
	if err := d.Close(); err != nil {
		return err
	}
	return d.open(ctx)
}

// remove closes the database and removes it, and adds what went wrong to err.
func (d *database) remove(ctx context.Context, err *error) {
	if d.Store != nil {
		*err = errors.Join(*err, d.Close())
	}
	*err = errors.Join(*err, d.drop(context.WithoutCancel(ctx)))
}

// verifyMost is the largest number of purchases that is verified as a whole: it
// takes seconds, and is not measured.
const verifyMost = 600_000

// verify checks every invariant that the database can show.
func (d *database) verify(ctx context.Context) error {
	if err := d.tidy(ctx); err != nil { // or the database's plans are for empty tables
		return err
	}
	found, err := d.Verify(ctx, store.Verification{Now: d.bed.Clock.Now(), First: true})
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("violated: %s", found[0])
	}
	return nil
}

// calm lets the database finish what it put off.
func (b *Bed) calm(ctx context.Context) error {
	if b.Calm == nil {
		return nil
	}
	return b.Calm(ctx)
}
