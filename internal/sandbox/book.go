package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

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

// maxBatch bounds the tasks that are made durable together, and those that wait.
const maxBatch = 512

// restBetween is how long after a batch the next one gathers. Making a file durable
// keeps the disk from everyone else, and costs the same for one task as for many. A
// task that comes later is written at once.
const restBetween = 10 * time.Millisecond

// Book holds one partner's accounts, movements and due work: in memory, and in a
// journal of one line of JSON per task that changed something. The tasks of
// concurrent callers are made durable together, and are when Do returns. Safe for
// concurrent use, by one process at a time.
type Book struct {
	View // reads what is durable

	clock  purchase.Clock
	page   Page
	file   journal
	size   int64        // of the journal, as far as it is durable
	broken error        // why nothing can be written any more
	lock   sync.RWMutex // held while tasks run, until they are durable
	tasks  chan *task
	closed chan struct{} // closed by Close: no more tasks
	ended  chan struct{} // closed by the writer: no task is under way
	once   sync.Once
}

// journal is a file that a book writes.
type journal interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

type task struct {
	do   func(*Page) error
	err  error
	done chan struct{}
}

// OpenBook opens the book whose journal is the file at path, and makes it if it is
// not there. What was being written when its process died is cut off. prefix begins
// the references of its movements. Close must be called.
func OpenBook(ctx context.Context, clock purchase.Clock, path, prefix string) (*Book, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // chosen by whoever runs the sandbox
	if err != nil {
		return nil, fmt.Errorf("open book: %w", err)
	}
	b := &Book{clock: clock, file: file, tasks: make(chan *task, maxBatch), closed: make(chan struct{}), ended: make(chan struct{})}
	all := newShelf()
	b.View, b.page = View{all, &b.lock}, Page{View: View{all, nil}, prefix: prefix}
	if err := b.load(ctx, file); err != nil {
		return nil, errors.Join(fmt.Errorf("open book %s: %w", path, err), file.Close())
	}
	go b.run()
	return b, nil
}

// load reads the journal, and cuts off what follows its last whole line.
func (b *Book) load(ctx context.Context, file *os.File) error {
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another process has it open: %w", err)
	}
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return b.cut()
		}
		var changes []change
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = json.Unmarshal(line, &changes)
		}
		for i := 0; i < len(changes) && err == nil; i++ {
			if m := changes[i].Movement; m != nil && (m.Seq < 1 || m.Seq > b.page.next()) {
				err = fmt.Errorf("no movement %d can follow", m.Seq)
				break
			}
			b.page.all.apply(changes[i])
		}
		if err != nil {
			return fmt.Errorf("read the journal at byte %d: %w", b.size, err)
		}
		b.size += int64(len(line))
	}
}

// cut makes the journal end where it is durable.
func (b *Book) cut() error {
	if err := b.file.Truncate(b.size); err != nil {
		return fmt.Errorf("cut the journal: %w", err)
	}
	return nil
}

// Do runs fn, and returns when what it changed is durable. fn sees the changes of
// every earlier Do. When it returns an error its own are undone and Do returns that
// error. After ErrClosed or ctx's error fn did not run; after any other, its changes
// may or may not be there. fn must be quick and must not keep the page.
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
func (b *Book) Close() (err error) {
	b.once.Do(func() {
		close(b.closed)
		<-b.ended
		err = b.file.Close()
	})
	<-b.ended
	return err
}

// run gathers tasks and does them until the book is closed.
func (b *Book) run() {
	defer close(b.ended)
	batch := make([]*task, 0, maxBatch)
	var rested <-chan time.Time // nil before the first batch
	for {
		batch = batch[:0]
		select {
		case t := <-b.tasks:
			batch = append(batch, t)
		case <-b.closed:
			return
		}
		if rested != nil {
			<-rested
		}
		for gather := true; gather && len(batch) < maxBatch; {
			select {
			case t := <-b.tasks:
				batch = append(batch, t)
			default:
				gather = false
			}
		}
		err := b.commit(batch)
		rested = b.clock.After(restBetween)
		for _, t := range batch {
			if err != nil {
				t.err = err
			}
			close(t.done)
		}
	}
}

// commit runs the tasks of a batch and makes their changes durable, or undoes them all.
func (b *Book) commit(batch []*task) error {
	b.lock.Lock()
	defer b.lock.Unlock()
	p := &b.page
	p.lines.Reset()
	p.undo = p.undo[:0]
	for _, t := range batch {
		t.err = p.perform(t)
	}
	if p.lines.Len() == 0 {
		return nil
	}
	err := b.broken
	if err == nil {
		_, err = b.file.WriteAt(p.lines.Bytes(), b.size)
	}
	if err == nil {
		err = b.file.Sync()
	}
	if err != nil {
		p.back(0)
		b.broken = b.cut() // or what is left of these lines could follow later ones
		return fmt.Errorf("write the journal: %w", errors.Join(err, b.broken))
	}
	b.size += int64(p.lines.Len())
	return nil
}

// change is what a task changed: one of these.
type change struct {
	Account  *Account  `json:"account,omitempty"`  // as it is from now on
	Movement *Movement `json:"movement,omitempty"` // likewise
	Due      *Due      `json:"due,omitempty"`      // added
	Done     int64     `json:"done,omitempty"`     // due work that is dropped
}

// Page is the book open for writing. It reads its own changes.
type Page struct {
	View

	prefix  string
	changes []change     // of the current task
	lines   bytes.Buffer // of the tasks before it
	undo    []func()     // takes back the changes of the batch so far
}

// perform runs one task, and undoes its changes when it returns an error.
func (p *Page) perform(t *task) error {
	from := len(p.undo)
	p.changes = p.changes[:0]
	err := t.do(p)
	if err == nil && len(p.changes) > 0 {
		err = json.NewEncoder(&p.lines).Encode(p.changes)
	}
	if err != nil {
		p.back(from)
	}
	return err
}

// back takes back all changes but so many.
func (p *Page) back(to int) {
	for _, undo := range slices.Backward(p.undo[to:]) {
		undo()
	}
	p.undo = p.undo[:to]
}

func (p *Page) change(c change) {
	p.undo = append(p.undo, p.all.apply(c))
	p.changes = append(p.changes, c)
}

// PutAccount writes an account, new or not. When it was opened does not change.
func (p *Page) PutAccount(a Account) error {
	if had := p.all.account(a.Number, a.Pocket); had != nil {
		a.Opened = had.Opened
	}
	p.change(change{Account: &a})
	return nil
}

// next is the Seq of the next new movement.
func (p *Page) next() int64 { return int64(len(p.all.movements)) + 1 }

// AddMovement writes a new movement and gives it its Seq and Ref.
func (p *Page) AddMovement(m *Movement) error {
	m.Seq = p.next()
	m.Ref = fmt.Sprintf("%s%010d", p.prefix, m.Seq)
	added := *m
	p.change(change{Movement: &added})
	return nil
}

// SetMovement writes what may change of a movement: amount, currency, number,
// product, status, reason, note and when it moved. It returns ErrNoEntry for one
// that is not in the book.
func (p *Page) SetMovement(m Movement) error {
	had := p.all.movement(m.Seq)
	if had == nil {
		return ErrNoEntry
	}
	m.Ref, m.Key, m.Leg, m.Original, m.At = had.Ref, had.Key, had.Leg, had.Original, had.At
	p.change(change{Movement: &m})
	return nil
}

// AddDue sets work for later.
func (p *Page) AddDue(at purchase.Instant, kind, data string) error {
	p.change(change{Due: &Due{ID: p.all.lastDue + 1, At: at, Kind: kind, Data: data}})
	return nil
}

// DropDue forgets work that is done.
func (p *Page) DropDue(id int64) error {
	p.change(change{Done: id})
	return nil
}
