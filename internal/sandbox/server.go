// Package sandbox holds partners to run against on a laptop and in tests: a
// wallet, a charging system and an SMS centre, each with durable books of its
// own and faults that are switched while it runs. It knows the partners'
// protocols and nothing of how tenu uses them.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// Config is what every sandbox partner needs.
type Config struct {
	// Name is the partner's name, as its statement has it.
	Name string
	// Path is the file of the partner's book. It is made when it is not there.
	Path string
	// StatementDir is where statement files are written; "" stands for nowhere.
	StatementDir string
	// Seed makes the draws of faults with a rate repeatable.
	Seed  uint64
	Clock purchase.Clock
	Log   *slog.Logger
}

// core is what the servers have in common: the book, the switches, the work
// that is due later, and the way that answers go out.
type core struct {
	Config
	book   *Book
	faults *Faults
	jobs   map[string]job
	wake   chan struct{} // there may be new due work
	step   sync.Mutex    // one Step at a time, so that nothing due is done twice
}

// job does a piece of due work, and drops it from the book in the transaction
// that records what was done. An error leaves the work due.
type job func(ctx context.Context, d Due, now purchase.Instant) error

func newCore(ctx context.Context, config Config, prefix string, offer map[string][]Kind) (*core, error) {
	if config.Clock == nil || config.Log == nil || config.Path == "" {
		return nil, errors.New("sandbox: a path, a clock and a log are needed")
	}
	book, err := OpenBook(ctx, config.Clock, config.Path, prefix)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", config.Name, err)
	}
	offer["statement"] = []Kind{StatementMissing, StatementExtra, StatementDifferent, StatementTwice,
		StatementPartial, StatementDisorder, StatementZone}
	return &core{Config: config, book: book, faults: NewFaults(config.Seed, offer),
		jobs: map[string]job{}, wake: make(chan struct{}, 1)}, nil
}

// Faults are the server's switches.
func (c *core) Faults() *Faults { return c.faults }

// Book is the server's book.
func (c *core) Book() *Book { return c.book }

// Close finishes what is under way and closes the book. Run must have ended.
func (c *core) Close() error { return c.book.Close() }

// dueSoon tells Run that there is new due work.
func (c *core) dueSoon() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Bounds of one Step: pieces of due work, and how many at once.
const (
	stepLimit   = 256
	stepWorkers = 32
)

// Step does the work that is due at an instant, and returns when there is more,
// zero when there is none.
func (c *core) Step(ctx context.Context, now purchase.Instant) (purchase.Instant, error) {
	c.step.Lock()
	defer c.step.Unlock()
	list, err := c.book.DueBy(ctx, now, stepLimit)
	if err != nil {
		return 0, err
	}
	queue := make(chan Due, len(list))
	for _, d := range list {
		queue <- d
	}
	close(queue)
	var workers sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range min(stepWorkers, len(list)) {
		workers.Go(func() {
			for d := range queue {
				if err := c.perform(ctx, d, now); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	if failed != nil {
		return 0, failed
	}
	return c.book.NextDue(ctx)
}

func (c *core) perform(ctx context.Context, d Due, now purchase.Instant) error {
	do := c.jobs[d.Kind]
	if do == nil { // of another version of the sandbox
		return c.book.Do(ctx, func(p *Page) error { return p.DropDue(d.ID) })
	}
	if err := do(ctx, d, now); err != nil {
		return fmt.Errorf("due work %s: %w", d.Kind, err)
	}
	return nil
}

// Run does due work until ctx ends. It returns nil.
func (c *core) Run(ctx context.Context) error {
	const idle, pause = time.Minute, time.Second
	for {
		now := c.Clock.Now()
		next, err := c.Step(ctx, now)
		wait := idle
		switch {
		case ctx.Err() != nil: // and so a step may have failed
			return nil //nolint:nilerr // ended as it was told to
		case err != nil:
			c.Log.Error("sandbox due work failed", slog.String("partner", c.Name), slog.Any("error", err))
			wait = pause
		case next != 0:
			wait = max(next.Sub(now), 0)
		}
		if wait == 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		case <-c.Clock.After(wait):
		}
	}
}

// answer sends an answer as the faults that hit the call have it. It does not
// return when the connection is to be cut.
func (c *core) answer(w http.ResponseWriter, r *http.Request, hits Hits, status int, contentType string, body []byte) {
	if hits.Has(LoseReply) || hits.Has(Late) {
		cut()
	}
	if f, ok := hits.Find(SlowAnswer); ok {
		c.wait(r.Context(), f.Delay())
	}
	if hits.Has(Garbage) {
		body = garbage[c.faults.Pick(len(garbage))]
	}
	w.Header().Set("Content-Type", contentType)
	if f, ok := hits.Find(Drip); ok {
		c.drip(w, r, status, body, f.Delay())
		return
	}
	w.WriteHeader(status)
	if hits.Has(Huge) {
		flood(w)
	}
	_, _ = w.Write(body) // the caller may have gone
}

// cut ends the request without an answer, as a lost connection does.
func cut() { panic(http.ErrAbortHandler) }

func (c *core) wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-c.Clock.After(d):
	}
}

// drip sends the body byte by byte.
func (c *core) drip(w http.ResponseWriter, r *http.Request, status int, body []byte, every time.Duration) {
	if every <= 0 {
		every = time.Second
	}
	w.WriteHeader(status)
	flow := http.NewResponseController(w)
	for i := range body {
		if _, err := w.Write(body[i : i+1]); err != nil || flow.Flush() != nil || r.Context().Err() != nil {
			return
		}
		c.wait(r.Context(), every)
	}
}

// flood sends blanks, which most formats allow before a document, without end
// in any caller's eyes: 64 MiB.
func flood(w http.ResponseWriter) {
	blanks := make([]byte, 64<<10)
	for i := range blanks {
		blanks[i] = ' '
	}
	for range 1 << 10 {
		if _, err := w.Write(blanks); err != nil {
			return
		}
	}
}

// garbage are answers that no protocol here has.
var garbage = [][]byte{
	[]byte("<html><body><h1>502 Bad Gateway</h1></body></html>"),
	[]byte(`{"status":"comp`),
	[]byte("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
	[]byte(`{"status":7,"amount":{},"transactionReference":[null]}`),
	{0xff, 0xfe, 0x00, 0x80, 0x1b, 0x5b},
	[]byte("null"),
	{},
}

// routes adds what every server has to a mux: its switches, its books as JSON,
// its statement, and its life sign.
func (c *core) routes(mux *http.ServeMux) {
	c.faults.Routes(mux)
	mux.HandleFunc("GET /books/accounts", c.listAccounts)
	mux.HandleFunc("GET /books/accounts/{number}", c.showAccount)
	mux.HandleFunc("GET /books/movements", c.listMovements)
	mux.HandleFunc("GET /books/tally", c.showTally)
	mux.HandleFunc("GET /statement", c.showStatement)
	mux.HandleFunc("POST /statement", c.fileStatement)
}

// pageLimit is how many rows one answer holds unless the caller wants fewer.
const pageLimit = 1000

func queryInt(r *http.Request, name string, otherwise, most int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s must be 0 to %d", name, most)
	}
	return n, nil
}

// show answers with a value that was read from the book.
func show(w http.ResponseWriter, value any, err error) {
	switch {
	case errors.Is(err, ErrNoEntry):
		writeProblem(w, http.StatusNotFound, err)
	case err != nil:
		writeProblem(w, http.StatusInternalServerError, err)
	default:
		writeJSON(w, http.StatusOK, value)
	}
}

func (c *core) listAccounts(w http.ResponseWriter, r *http.Request) {
	limit, err := queryInt(r, "limit", pageLimit, pageLimit)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err)
		return
	}
	list, err := c.book.Accounts(r.Context(), r.URL.Query().Get("after"), int(limit))
	show(w, append([]Account{}, list...), err)
}

func (c *core) showAccount(w http.ResponseWriter, r *http.Request) {
	list, err := c.book.Pockets(r.Context(), r.PathValue("number"))
	show(w, list, errors.Join(err, emptyIs(len(list), err)))
}

func (c *core) listMovements(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, err := queryInt(r, "after", 0, math.MaxInt64)
	limit, err2 := queryInt(r, "limit", pageLimit, pageLimit)
	if err := errors.Join(err, err2); err != nil {
		writeProblem(w, http.StatusBadRequest, err)
		return
	}
	var list []Movement
	switch {
	case q.Has("key"):
		list, err = c.book.ByKey(r.Context(), q.Get("key"))
	case q.Has("number"):
		list, err = c.book.ByNumber(r.Context(), q.Get("number"), int(after), int(limit))
	default:
		list, err = c.book.Movements(r.Context(), after, int(limit))
	}
	show(w, append([]Movement{}, list...), err)
}

func (c *core) showTally(w http.ResponseWriter, r *http.Request) {
	list, err := c.book.Count(r.Context())
	show(w, append([]Tally{}, list...), err)
}
