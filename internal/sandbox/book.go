package sandbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"

	_ "modernc.org/sqlite" // the driver

	"tenu/internal/purchase"
)

// ErrClosed is returned by a book that was closed.
var ErrClosed = errors.New("sandbox: book is closed")

// ErrNoEntry is returned when what was asked for is not in the book.
var ErrNoEntry = errors.New("sandbox: not in the book")

// Status of a movement.
type Status string

// The statuses.
const (
	StatusPending  Status = "pending"  // accepted, nothing moved yet
	StatusDone     Status = "done"     // moved
	StatusFailed   Status = "failed"   // will never move
	StatusReversed Status = "reversed" // moved, and taken back since
)

// Account is one balance of a number.
type Account struct {
	Number string `json:"number"` // without the plus sign
	// Pocket tells a number's balances apart: a currency, or a bundle's code.
	Pocket  string           `json:"pocket"`
	Balance int64            `json:"balance"`          // minor units, or the bundle's unit
	Unit    string           `json:"unit"`             // currency, MB, min, SMS
	Status  string           `json:"status"`           // the partner's own word
	Expires purchase.Instant `json:"expires"`          // zero: never
	Opened  purchase.Instant `json:"opened,omitempty"` // when it was first used
}

// Movement is one thing that the partner did, or was asked to do.
type Movement struct {
	Seq      int64            `json:"seq"`      // order of acceptance, from 1; given by the book
	Ref      string           `json:"ref"`      // the partner's reference; given by the book
	Key      string           `json:"key"`      // the caller's key, "" when it gave none
	Leg      string           `json:"leg"`      // charge, credit, refund, reversal, or the partner's own word
	Number   string           `json:"number"`   // whose account moved
	Amount   int64            `json:"amount"`   // minor units, positive
	Currency string           `json:"currency"` // of Amount
	Product  string           `json:"product,omitempty"`
	Status   Status           `json:"status"`
	Reason   string           `json:"reason,omitempty"`   // the partner's code, when failed
	Original string           `json:"original,omitempty"` // Ref of the movement that this one undoes
	Note     string           `json:"note,omitempty"`     // what the server keeps with it
	At       purchase.Instant `json:"at"`                 // accepted
	Moved    purchase.Instant `json:"moved"`              // when it moved, zero before
}

// Due is work that a server will do at an instant, kept over a restart.
type Due struct {
	ID   int64
	At   purchase.Instant
	Kind string
	Data string // as the server that set it reads it
}

const schema = `
CREATE TABLE IF NOT EXISTS account (
  number TEXT NOT NULL, pocket TEXT NOT NULL, balance INTEGER NOT NULL, unit TEXT NOT NULL,
  status TEXT NOT NULL, expires INTEGER NOT NULL, opened INTEGER NOT NULL,
  PRIMARY KEY (number, pocket)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS movement (
  seq INTEGER PRIMARY KEY, ref TEXT NOT NULL, key TEXT NOT NULL, leg TEXT NOT NULL, number TEXT NOT NULL,
  amount INTEGER NOT NULL, currency TEXT NOT NULL, product TEXT NOT NULL, status TEXT NOT NULL,
  reason TEXT NOT NULL, original TEXT NOT NULL, note TEXT NOT NULL, at INTEGER NOT NULL, moved INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS movement_key ON movement (key) WHERE key <> '';
CREATE INDEX IF NOT EXISTS movement_number ON movement (number);
CREATE INDEX IF NOT EXISTS movement_original ON movement (original) WHERE original <> '';
CREATE INDEX IF NOT EXISTS movement_moved ON movement (moved) WHERE moved > 0;
CREATE TABLE IF NOT EXISTS due (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS due_at ON due (at);`

// maxBatch bounds the operations in one transaction, and those that wait.
const maxBatch = 512

// Book holds one partner's accounts, movements and due work in an SQLite file
// of its own. Writes of concurrent callers are gathered into one transaction
// and are durable when Do returns. Safe for concurrent use.
type Book struct {
	View // reads what is committed

	prefix string
	write  *sql.DB
	read   *sql.DB
	tasks  chan *task
	closed chan struct{} // closed by Close: no more tasks
	ended  chan struct{} // closed by the writer: no task is under way
	once   sync.Once
}

type task struct {
	do   func(*Page) error
	err  error
	done chan struct{}
}

// OpenBook opens the book in the file at path, and makes it if it is not
// there. prefix begins the references of its movements. Close must be called.
func OpenBook(ctx context.Context, path, prefix string) (*Book, error) {
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path)}).String() +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	write, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open book %s: %w", path, err)
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", dsn+"&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open book %s: %w", path, err), write.Close())
	}
	read.SetMaxOpenConns(4)
	b := &Book{prefix: prefix, write: write, read: read, tasks: make(chan *task, maxBatch),
		closed: make(chan struct{}), ended: make(chan struct{})}
	page, err := b.begin(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open book %s: %w", path, err), read.Close(), write.Close())
	}
	b.View = View{newStatements(read)}
	go b.run(page)
	return b, nil
}

// begin makes the tables and the page that the writer works on.
func (b *Book) begin(ctx context.Context) (*Page, error) {
	if _, err := b.write.ExecContext(ctx, schema); err != nil {
		return nil, fmt.Errorf("make tables: %w", err)
	}
	conn, err := b.write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	p := &Page{View: View{newStatements(conn)}, prefix: b.prefix, conn: conn}
	p.detached = true
	if err := conn.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM movement`).Scan(&p.last); err != nil {
		return nil, errors.Join(fmt.Errorf("find last movement: %w", err), conn.Close())
	}
	return p, nil
}

// Do runs fn inside the next transaction, and returns when that is durable. fn
// sees the writes of every earlier Do. When it returns an error its own writes
// are undone and Do returns that error. After ErrClosed or ctx's error fn did not
// run; after any other, its writes may or may not be there. fn must be quick and
// must not keep the page.
func (b *Book) Do(ctx context.Context, fn func(*Page) error) error {
	t := &task{do: fn, done: make(chan struct{})}
	select {
	case b.tasks <- t:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.closed:
		return ErrClosed
	}
	select {
	case <-t.done:
		return t.err
	case <-b.ended: // the writer ended before it took the task, or just after
		select {
		case <-t.done:
			return t.err
		default:
			return ErrClosed
		}
	}
}

// Close finishes what is under way and closes the file.
func (b *Book) Close() error {
	b.once.Do(func() { close(b.closed) })
	<-b.ended
	return errors.Join(b.read.Close(), b.write.Close())
}

// run gathers and commits until the book is closed.
func (b *Book) run(page *Page) {
	defer close(b.ended)
	defer func() { _ = page.conn.Close() }()
	batch := make([]*task, 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case t := <-b.tasks:
			batch = append(batch, t)
		case <-b.closed:
			return
		}
		for gather := true; gather && len(batch) < maxBatch; {
			select {
			case t := <-b.tasks:
				batch = append(batch, t)
			default:
				gather = false
			}
		}
		err := page.commit(batch)
		for _, t := range batch {
			if err != nil {
				t.err = err
			}
			close(t.done)
		}
	}
}

// Page is the book open for writing, inside a transaction. It reads its own writes.
type Page struct {
	View

	prefix  string
	conn    *sql.Conn
	last    int64 // sequence number of the last movement
	touched bool  // the current task has written
}

// commit runs the tasks of a batch in one transaction.
func (p *Page) commit(batch []*task) error {
	last := p.last
	if err := p.exec(`BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for _, t := range batch {
		if err := p.perform(t); err != nil {
			p.last = last
			return errors.Join(err, p.exec(`ROLLBACK`))
		}
	}
	if err := p.exec(`COMMIT`); err != nil {
		p.last = last
		_ = p.exec(`ROLLBACK`) // may be over already
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// perform runs one task, and undoes its writes when it returns an error.
func (p *Page) perform(t *task) error {
	p.touched = false
	last := p.last
	t.err = t.do(p)
	switch {
	case !p.touched:
		return nil
	case t.err != nil:
		p.last = last
		if err := p.exec(`ROLLBACK TO task`); err != nil {
			return fmt.Errorf("undo: %w", err)
		}
	}
	return p.exec(`RELEASE task`)
}

// change executes a write of the current task.
func (p *Page) change(query string, args ...any) error {
	if !p.touched {
		if err := p.exec(`SAVEPOINT task`); err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
		p.touched = true
	}
	return p.exec(query, args...)
}

func (p *Page) exec(query string, args ...any) error {
	ctx := context.Background()     // a transaction serves many callers; none may cut it short
	s, err := p.prepare(ctx, query) //nolint:sqlclosecheck // kept for the next time
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx, args...)
	return err
}

// PutAccount writes an account, new or not.
func (p *Page) PutAccount(a Account) error {
	return p.change(`INSERT INTO account (number, pocket, balance, unit, status, expires, opened) VALUES (?,?,?,?,?,?,?)
ON CONFLICT (number, pocket) DO UPDATE SET balance = excluded.balance, unit = excluded.unit, status = excluded.status,
expires = excluded.expires`, a.Number, a.Pocket, a.Balance, a.Unit, a.Status, int64(a.Expires), int64(a.Opened))
}

// AddMovement writes a new movement and gives it its Seq and Ref.
func (p *Page) AddMovement(m *Movement) error {
	m.Seq = p.last + 1
	m.Ref = fmt.Sprintf("%s%010d", p.prefix, m.Seq)
	err := p.change(`INSERT INTO movement (seq, ref, key, leg, number, amount, currency, product, status, reason, original,
note, at, moved) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, m.Seq, m.Ref, m.Key, m.Leg, m.Number, m.Amount, m.Currency,
		m.Product, string(m.Status), m.Reason, m.Original, m.Note, int64(m.At), int64(m.Moved))
	if err != nil {
		return fmt.Errorf("add movement: %w", err)
	}
	p.last = m.Seq
	return nil
}

// SetMovement writes what may change of a movement: amount, currency, number,
// product, status, reason, note and when it moved.
func (p *Page) SetMovement(m Movement) error {
	return p.change(`UPDATE movement SET number = ?, amount = ?, currency = ?, product = ?, status = ?, reason = ?,
note = ?, moved = ? WHERE seq = ?`, m.Number, m.Amount, m.Currency, m.Product, string(m.Status), m.Reason,
		m.Note, int64(m.Moved), m.Seq)
}

// AddDue sets work for later.
func (p *Page) AddDue(at purchase.Instant, kind, data string) error {
	return p.change(`INSERT INTO due (at, kind, data) VALUES (?,?,?)`, int64(at), kind, data)
}

// DropDue forgets work that is done.
func (p *Page) DropDue(id int64) error { return p.change(`DELETE FROM due WHERE id = ?`, id) }
