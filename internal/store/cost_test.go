package store

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"net"
	"path/filepath"
	"slices"
	"testing"

	"tenu/internal/purchase"
	"tenu/internal/testpeer"
)

// spent is what a batch asked of the database.
type spent struct{ statements, roundTrips int }

// The statements of a batch, however many purchases are in it: the engine's speed
// rests on that. Each step is a batch of its own: purchases made, charged, credited.
func TestPostgresStatementsPerBatch(t *testing.T) {
	dsn := testpeer.VolatilePostgres(t)
	s := openCost(t, dsn, Options{Committers: 1})
	db, ok := s.db.(*postgres)
	if !ok {
		t.Fatalf("a store on %T", s.db)
	}
	var tap tap
	db.all[0].config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &tapped{Conn: conn, tap: &tap}, err
	}
	// BEGIN, the lease and COMMIT are three of each. A purchase that is made is
	// looked for by what makes a repeat, and is a row in purchase, open_purchase
	// and attempt. A charge adds evidence, a posting, balances and an attempt; a
	// credit evidence, postings, balances and a notice, and the purchase is no
	// longer listed as open. What the log is to say of all of it is one row.
	checkCost(t, s, [3]spent{{3 + 5, 2}, {3 + 6, 2}, {3 + 7, 2}}, [3]spent{{3 + 5, 2}, {3 + 6, 2}, {3 + 7, 2}}, func() spent {
		cost := tap.spent
		tap.spent = spent{}
		return cost
	})
	// Under load a batch holds all three at once: eleven statements between the lease
	// and COMMIT, as many as there are kinds of rows.
	lease, err := s.Acquire(t.Context(), "mixed")
	if err != nil {
		t.Fatal(err)
	}
	made, charged, credited := sales(1001, 1101, lease.Epoch), sales(1101, 1201, lease.Epoch), sales(1201, 1301, lease.Epoch)
	for _, changes := range [][]purchase.Change{charged[0], credited[0], credited[1], slices.Concat(made[0], charged[1], credited[2])} {
		tap.spent = spent{}
		if _, err := s.Commit(t.Context(), lease.Epoch, changes); err != nil {
			t.Fatal(err)
		}
	}
	if want := (spent{3 + 11, 2}); tap.spent != want {
		t.Errorf("a mixed batch: %+v, not %+v", tap.spent, want)
	}
}

// SQLite has no round trips: a statement is a call, and what is saved is statements.
func TestSQLiteStatementsPerBatch(t *testing.T) {
	s := openCost(t, "sqlite:"+filepath.Join(t.TempDir(), "cost.db"), Options{})
	db, ok := s.db.(*sqlite)
	if !ok {
		t.Fatalf("a store on %T", s.db)
	}
	count, counting := 0, false
	checkCost(t, s, [3]spent{{statements: 3 + 1 + 1 + 1}, {statements: 3 + 1 + 3 + 2 + 1}, {statements: 3 + 1 + 1 + 2 + 1 + 3 + 1}},
		[3]spent{{statements: 3 + 160 + 10 + 1}, {statements: 3 + 160 + 3*10 + 2 + 1}, {statements: 3 + 160 + 10 + 20 + 10 + 3 + 1}}, func() spent {
			if !counting { // the statements were just prepared
				db.writer.count(&count)
				counting = true
			}
			cost := spent{statements: count}
			count = 0
			return cost
		})
}

func openCost(t *testing.T, dsn string, options Options) *Store {
	t.Helper()
	if _, _, err := Migrate(t.Context(), dsn, Options{}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), dsn, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// checkCost sells one purchase at a time, and 160 together, and compares what
// each of the three commits cost.
func checkCost(t *testing.T, s *Store, alone, together [3]spent, read func() spent) {
	t.Helper()
	lease, err := s.Acquire(t.Context(), "cost")
	if err != nil {
		t.Fatal(err)
	}
	first := int64(1)
	for i, of := range []struct {
		count int64
		want  *[3]spent
	}{{1, nil}, {1, &alone}, {160, &together}} { // the first connects, prepares and names the accounts
		batches := sales(first, first+of.count, lease.Epoch)
		first += of.count
		for step, changes := range batches {
			verdicts, err := s.Commit(t.Context(), lease.Epoch, changes)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range verdicts {
				if v.Result != purchase.Written {
					t.Fatalf("batch %d, step %d: %+v", i, step, v)
				}
			}
			if cost := read(); of.want != nil && cost != of.want[step] {
				t.Errorf("step %d of %d purchases: %+v, not %+v", step+1, of.count, cost, of.want[step])
			}
		}
	}
}

// tap counts the messages of a PostgreSQL client that make the server work.
type tap struct {
	spent
	begun bool
	rest  []byte
}

// The messages that are counted, as the protocol names them.
const (
	executeMessage = 'E'
	queryMessage   = 'Q'
	syncMessage    = 'S'
)

func (t *tap) see(sent []byte) {
	t.rest = append(t.rest, sent...)
	for {
		header := 5
		if !t.begun { // the first message has no type
			header = 4
		}
		if len(t.rest) < header {
			return
		}
		size := header - 4 + int(binary.BigEndian.Uint32(t.rest[header-4:]))
		if len(t.rest) < size {
			return
		}
		if t.begun {
			switch t.rest[0] {
			case executeMessage:
				t.statements++
			case queryMessage:
				t.statements++
				t.roundTrips++
			case syncMessage:
				t.roundTrips++
			}
		}
		t.begun, t.rest = true, t.rest[size:]
	}
}

type tapped struct {
	net.Conn
	tap *tap
}

func (c *tapped) Write(b []byte) (int, error) {
	c.tap.see(b)
	return c.Conn.Write(b)
}

// count counts the statements that the writer runs.
func (w *writer) count(n *int) {
	for i := range w.prepared {
		w.prepared[i] = counted{w.prepared[i], n}
	}
	for i := range w.tables {
		w.tables[i].one, w.tables[i].many = counted{w.tables[i].one, n}, counted{w.tables[i].many, n}
	}
}

type counted struct {
	driver.Stmt
	n *int
}

func (c counted) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	*c.n++
	return c.Stmt.(driver.StmtExecContext).ExecContext(ctx, args) //nolint:errcheck,forcetypeassert // the driver's statements are
}

func (c counted) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	*c.n++
	return c.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args) //nolint:errcheck,forcetypeassert // the driver's statements are
}
