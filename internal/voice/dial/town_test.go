package dial_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/dial"
)

var _ dial.Agents = (*centre.Queue)(nil)

// clock stands where a test puts it.
type clock struct {
	mu  sync.Mutex
	now purchase.Instant

	waited func() // told when somebody waits
}

func (c *clock) Now() purchase.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(time.Duration) <-chan time.Time {
	if c.waited != nil {
		c.waited()
	}
	return nil
}

func (c *clock) set(at purchase.Instant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = max(c.now, at)
}

// town is a desk and a call centre over a real database, with agents at phones that a test plays.
type town struct {
	t     testing.TB
	db    *store.Store
	clock *clock
	desk  *care.Desk
	queue *centre.Queue
	d     *dial.Dialler
	first bool // the customer's phone rings first

	mu     sync.Mutex
	calls  []dial.Call
	hungUp []string
	answer func(dial.Call) error // of a call that is begun, nil for none
	dies   int                   // the process dies at this deed from now, 0 for never
	after  bool                  // it was done
	died   bool
}

var noon = purchase.At(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC))

// build is a town with so many agents, all of them ready.
func build(t testing.TB, agents int, customerFirst bool) *town {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "tenu.db")
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &town{t: t, db: db, clock: &clock{now: noon}, first: customerFirst}
	w.open()
	for i := range agents {
		id, err := db.AddStaff(t.Context(), auth.Staff{Version: 1, Login: fmt.Sprintf("agent%d", i), Name: "Agent", Role: auth.Agent, Language: "fr"},
			auth.Secrets{}, auth.StaffChange{At: noon, By: "test"})
		if err == nil {
			err = w.queue.Sign(t.Context(), id, fmt.Sprintf("10%d", i))
		}
		if err != nil {
			t.Fatal(err)
		}
		w.clock.set(w.clock.Now() + 1) // so that their order is known
	}
	return w
}

// open starts a process.
func (w *town) open() {
	w.queue = centre.New(centre.Config{Store: w.db, Clock: w.clock, WrapFor: -1})
	w.d = dial.New(dial.Config{Node: "a", Clock: w.clock, Log: slog.New(slog.DiscardHandler), Agents: mortal{w}, Phones: w, CustomerFirst: w.first,
		Staff: w.person, Look: w.look})
	var err error
	w.desk, err = care.New(care.Config{Store: w.db, Clock: w.clock, Dialler: w.d, Hours: care.Hours{Closes: 24 * time.Hour, Location: time.UTC, PerWindow: 100}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.d.Join(promises{w.desk, w})
	w.died = false
}

func (w *town) person(ctx context.Context, id auth.StaffID) (auth.Staff, error) {
	s, _, err := w.db.Person(ctx, id)
	return s, err
}

func (w *town) look(ctx context.Context, l care.Look) error {
	return w.deed(func() error { return w.db.AddLook(ctx, l) })
}

// round lets the queue do what is due.
func (w *town) round() {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.clock.waited = cancel
	w.queue.Run(ctx)
	w.clock.waited = nil
}

// deed is one effect of the process, which may die before it or after it.
func (w *town) deed(do func() error) error {
	if w.died {
		return purchase.ErrUnavailable
	}
	if w.dies > 0 {
		if w.dies--; w.dies == 0 {
			w.died = true
			if w.after {
				_ = do()
			}
			return purchase.ErrUnavailable
		}
	}
	return do()
}

// promises is the desk of a process that may die.
type promises struct {
	*care.Desk
	w *town
}

func (p promises) Attempt(ctx context.Context, s auth.Staff, id int64, ref string) (c care.Callback, a care.Attempt, err error) {
	err = p.w.deed(func() (err error) {
		c, a, err = p.Desk.Attempt(ctx, s, id, ref)
		return err
	})
	return c, a, err
}

func (p promises) Rang(ctx context.Context, s auth.Staff, id int64, try int, r care.Ring) (c care.Callback, err error) {
	err = p.w.deed(func() (err error) {
		c, err = p.Desk.Rang(ctx, s, id, try, r)
		return err
	})
	return c, err
}

// mortal are the agents of a process that may die.
type mortal struct{ w *town }

func (m mortal) Claim(ctx context.Context, c care.Callback) (a centre.Agent, ok bool, err error) {
	err = m.w.deed(func() (err error) {
		a, ok, err = m.w.queue.Claim(ctx, c)
		return err
	})
	return a, ok, err
}

func (m mortal) Own(ctx context.Context, s auth.StaffID, c care.Callback) (centre.Agent, bool, error) {
	return m.w.queue.Own(ctx, s, c)
}

func (m mortal) Take(ctx context.Context, a centre.Agent) (now centre.Agent, err error) {
	err = m.w.deed(func() (err error) {
		now, err = m.w.queue.Take(ctx, a)
		return err
	})
	return now, err
}

func (m mortal) Miss(ctx context.Context, a centre.Agent) error {
	return m.w.deed(func() error { return m.w.queue.Miss(ctx, a) })
}

func (m mortal) Over(ctx context.Context, a centre.Agent) error {
	return m.w.deed(func() error { return m.w.queue.Over(ctx, a) })
}

// Call is dial.Phones. Whatever rings has its agent, and an attempt that is durable.
func (w *town) Call(ctx context.Context, c dial.Call) error {
	return w.deed(func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range w.calls {
			if w.calls[i].Name == c.Name {
				w.t.Errorf("%s is dialled twice", c.Name)
			}
		}
		var id int64
		var try int
		if _, err := fmt.Sscanf(c.Name, "a-%d-%d", &id, &try); err != nil {
			w.t.Errorf("%s: %v", c.Name, err)
		}
		attempts, err := w.db.Attempts(ctx, id)
		if err != nil || len(attempts) != try || attempts[try-1].Ring != care.Ringing {
			w.t.Errorf("%s rings, and is not durable: %+v, %v", c.Name, attempts, err)
		}
		agent, err := w.queue.Agent(ctx, attempts[len(attempts)-1].Staff)
		if err != nil || agent.State != centre.Ringing || agent.Callback != id || agent.Extension != c.Extension {
			w.t.Errorf("%s rings, and its agent is %+v, %v", c.Name, agent, err)
		}
		w.calls = append(w.calls, c)
		if w.answer != nil {
			return w.answer(c)
		}
		return nil
	})
}

// HangUp is dial.Phones.
func (w *town) HangUp(name string) { w.hungUp = append(w.hungUp, name) }

// promise promises calls to so many customers, and waits for their window.
func (w *town) promise(customers int) (calls []care.Callback) {
	w.t.Helper()
	windows, err := w.desk.Windows(w.t.Context(), 1)
	if err != nil || len(windows) == 0 {
		w.t.Fatal(windows, err)
	}
	for i := range customers {
		c, added, err := w.desk.Promise(w.t.Context(), care.Callback{Number: purchase.MSISDN(22670000000 + i), WindowAt: windows[0], Channel: "app", Language: "fr"})
		if err != nil || !added {
			w.t.Fatal(c, err)
		}
		calls = append(calls, c)
	}
	w.clock.set(windows[0])
	return calls
}

// step lets the dialler work.
func (w *town) step() purchase.Instant {
	w.t.Helper()
	next, err := w.d.Step(w.t.Context(), w.clock.Now())
	if err != nil && !w.died {
		w.t.Error(err)
	}
	return next
}

// heard tells the dialler news of a call, and lets it work.
func (w *town) heard(name string, news ...dial.Event) {
	w.t.Helper()
	for _, e := range news {
		e.Call = name
		w.d.Heard(e)
		w.d.Heard(e) // again is as once
	}
	w.step()
}

// stands is a callback with its attempts.
func (w *town) stands(id int64) (care.Callback, []care.Attempt) {
	w.t.Helper()
	c, err := w.db.Callback(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	attempts, err := w.db.Attempts(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c, attempts
}

// agent is one of the agents.
func (w *town) agent(i int) centre.Agent {
	w.t.Helper()
	a, err := w.queue.Agent(w.t.Context(), auth.StaffID(i+1))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}
