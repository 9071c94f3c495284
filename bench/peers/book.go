package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
)

// What every purchase moves, in francs.
const (
	total, fee, units = 1050, 50, 1000
)

// firstNumber is the number of the first purchase's customer. Each purchase has a
// customer of its own, so that a partner knows by the number which one it is.
const firstNumber = 22670000000

// order is one purchase to be made.
type order struct {
	n      int // its place in the load, from 0
	key    string
	number int64
}

func orderOf(n int) order {
	mixed := uint64(n+1) * 0x9e3779b97f4a7c15 //nolint:gosec // not negative
	return order{n: n, key: fmt.Sprintf("%016x-%x", mixed, n), number: firstNumber + int64(n)}
}

// partner moves money at once and counts how often it did, by purchase.
type partner struct {
	name string
	done []atomic.Int32
}

func newPartner(name string, purchases int) *partner {
	return &partner{name: name, done: make([]atomic.Int32, purchases)}
}

// move does what it is asked and returns its reference.
func (p *partner) move(number int64) (ref string) {
	n := number - firstNumber
	p.done[n].Add(1)
	return fmt.Sprintf("%s%d", p.name, n)
}

// world is what a version of the purchase is given.
type world struct {
	dsn         string // an empty database
	inFlight    int    // purchases open at once
	wallet, ocs *partner
}

// version is one way to write the purchase.
type version interface {
	// sell makes one purchase and returns when it is settled and durable: charged,
	// credited, booked, and the notice written. A client key that was used
	// before makes no second purchase.
	sell(ctx context.Context, o order) error
	// books reads what the database holds.
	books(ctx context.Context) (books, error)
	// close ends what is running.
	close(ctx context.Context) error
}

// versions are all of them, by name.
var versions = []struct {
	name  string
	begin func(context.Context, *world) (version, error)
}{{"tenu", beginTenu}, {"plain SQL", beginPlain}, {"River", beginRiver}, {"DBOS", beginDBOS}}

// books are counts of what a database holds.
type books struct {
	purchases int
	settled   int
	unbooked  int // purchases whose entries are not exactly the three that they should be
	held      int // francs that were charged and neither delivered nor kept as fee
	notices   int
	untold    int // settled purchases without a notice
}

// check returns an error unless the books hold so many purchases, each charged and
// credited once, balanced, and told once.
func (w *world) check(b books, purchases int) error {
	if want := (books{purchases: purchases, settled: purchases, notices: purchases}); b != want {
		return fmt.Errorf("the books show %+v, not %+v", b, want)
	}
	for _, p := range []*partner{w.wallet, w.ocs} {
		for n := range p.done {
			did, want := p.done[n].Load(), int32(0)
			if n < purchases {
				want = 1
			}
			if did != want {
				return fmt.Errorf("%s did purchase %d %d times, not %d", p.name, n, did, want)
			}
		}
	}
	return nil
}

// The tables of those versions that have none of their own.
const tables = `
CREATE TABLE purchase (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_key TEXT NOT NULL UNIQUE,
    number     BIGINT NOT NULL,
    total      BIGINT NOT NULL,
    fee        BIGINT NOT NULL,
    units      BIGINT NOT NULL,
    state      SMALLINT NOT NULL, -- 1 charging, 2 crediting, 3 credited
    charge_ref TEXT,
    credit_ref TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    settled_at TIMESTAMPTZ
);
CREATE INDEX purchase_number ON purchase (number);
CREATE TABLE entry (
    purchase BIGINT NOT NULL REFERENCES purchase,
    line     SMALLINT NOT NULL,
    debit    TEXT NOT NULL,
    credit   TEXT NOT NULL,
    amount   BIGINT NOT NULL CHECK (amount > 0),
    PRIMARY KEY (purchase, line)
);
CREATE TABLE notice (
    purchase BIGINT PRIMARY KEY REFERENCES purchase,
    number   BIGINT NOT NULL,
    body     TEXT NOT NULL
);`

// The statements of a purchase's three steps: its intent, what the charge proves,
// and what the credit proves. Each names the state that it follows, so that a
// step that is repeated changes nothing.
const (
	intentSQL = `INSERT INTO purchase (client_key, number, total, fee, units, state) VALUES ($1, $2, 1050, 50, 1000, 1)
		ON CONFLICT (client_key) DO NOTHING RETURNING id`
	chargedSQL      = `UPDATE purchase SET state = 2, charge_ref = $2 WHERE id = $1 AND state = 1`
	chargeBookedSQL = `INSERT INTO entry (purchase, line, debit, credit, amount) VALUES ($1, 1, 'wallet', 'held', 1050)`
	creditedSQL     = `UPDATE purchase SET state = 3, credit_ref = $2, settled_at = now() WHERE id = $1 AND state = 2`
	unitsBookedSQL  = `INSERT INTO entry (purchase, line, debit, credit, amount) VALUES ($1, 2, 'held', 'delivered', 1000), ($1, 3, 'held', 'fees', 50)`
	noticeSQL       = `INSERT INTO notice (purchase, number, body) VALUES ($1, $2, $3)`
	noticeText      = "Recharge de 1 000 F CFA reussie. Nouveau solde 1 234 F CFA. Ref K7M2-Q4XD-9T"
)

const booksSQL = `
SELECT (SELECT count(*) FROM purchase), (SELECT count(*) FROM purchase WHERE state = 3),
    (SELECT count(*) FROM purchase p WHERE (SELECT coalesce(string_agg(debit || '>' || credit || '=' || amount, ',' ORDER BY line), '')
        FROM entry e WHERE e.purchase = p.id) <> 'wallet>held=1050,held>delivered=1000,held>fees=50'),
    (SELECT coalesce(sum(CASE WHEN credit = 'held' THEN amount WHEN debit = 'held' THEN -amount ELSE 0 END), 0)::bigint FROM entry),
    (SELECT count(*) FROM notice),
    (SELECT count(*) FROM purchase p WHERE state = 3 AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.purchase = p.id))`

// readBooks reads the books by a statement that gives the fields in their order.
func readBooks(ctx context.Context, pool *pgxpool.Pool, statement string) (b books, err error) {
	err = pool.QueryRow(ctx, statement).Scan(&b.purchases, &b.settled, &b.unbooked, &b.held, &b.notices, &b.untold)
	if err != nil {
		return b, fmt.Errorf("read the books: %w", err)
	}
	return b, nil
}

// openPool opens connections, with the tables made.
func openPool(ctx context.Context, dsn string, connections int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("address of the database: %w", err)
	}
	config.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if _, err := pool.Exec(ctx, tables); err != nil {
		pool.Close()
		return nil, fmt.Errorf("make the tables: %w", err)
	}
	return pool, nil
}
