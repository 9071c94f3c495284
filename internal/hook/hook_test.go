package hook_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"database/sql"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that histories are written with behind the store's back
	"go.uber.org/goleak"

	"tenu/internal/hook"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/testpeer"
)

func TestMain(m *testing.M) { os.Exit(testpeer.Main(m)) }

const dawn purchase.Instant = 1_800_000_000_000_000

var (
	older = []byte("an older secret of at least 32 bytes")
	newer = []byte("a newer secret of at least 32 bytes.")
)

// clock stands where it is put.
type clock struct {
	mu sync.Mutex
	at purchase.Instant
}

func (c *clock) Now() purchase.Instant { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (*clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func (c *clock) put(at purchase.Instant) { c.mu.Lock(); defer c.mu.Unlock(); c.at = at }

// got is one request that a receiver took.
type got struct {
	id, kind, signature string
	body                []byte
}

// receiver is another system over HTTPS.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []got
	answer func(w http.ResponseWriter, r *http.Request, n int) // of the nth request, from 1
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(r)
	r.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	r.got = append(r.got, got{q.Header.Get(hook.HeaderEvent), q.Header.Get(hook.HeaderType), q.Header.Get(hook.HeaderSignature), body})
	n, answer := len(r.got), r.answer
	r.mu.Unlock()
	if answer != nil {
		answer(w, q, n)
	}
}

func (r *receiver) set(answer func(http.ResponseWriter, *http.Request, int)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// taken are the events that arrived, in order.
func (r *receiver) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, g := range r.got {
		ids = append(ids, g.id)
	}
	return ids
}

func (r *receiver) host() string { return strings.TrimPrefix(r.URL, "https://") }

func (r *receiver) target() hook.Target {
	return hook.Target{Host: r.host(), Secrets: [][]byte{older}, Private: true}
}

// rig is a courier over a real store.
type rig struct {
	*hook.Courier
	t       *testing.T
	store   *store.Store
	clock   *clock
	execute func(string)
	cfg     hook.Config
}

// backings are the databases that each test runs on.
func eachStore(t *testing.T, run func(t *testing.T, open func(targets ...hook.Target) *rig)) {
	for name, address := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "tenu.db") },
		"postgres": testpeer.VolatilePostgres,
	} {
		t.Run(name, func(t *testing.T) {
			dsn := address(t)
			run(t, func(targets ...hook.Target) *rig { return open(t, dsn, targets) })
		})
	}
}

func open(t *testing.T, dsn string, targets []hook.Target) *rig {
	t.Helper()
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	driver, source := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = db.Close() })
	r := &rig{t: t, store: s, clock: &clock{at: dawn}, execute: func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}}
	list, err := hook.NewTargets(targets)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	probe := httptest.NewTLSServer(http.NotFoundHandler())
	roots.AddCert(probe.Certificate()) // the same for every test server
	probe.Close()
	r.cfg = hook.Config{Store: s, Targets: list, Clock: r.clock, Log: slog.New(slog.DiscardHandler), Roots: roots, Timeout: 2 * time.Second,
		Write: func(_ context.Context, l hook.Listener, d hook.Delivery) (hook.Message, error) {
			if l.Query == "none" {
				return hook.Message{}, hook.ErrSkip
			}
			id := fmt.Sprintf("%d:%d", d.Subject, d.Seq)
			return hook.Message{ID: id, Type: "Event", Body: []byte(`{"event":"` + id + `"}`)}, nil
		}}
	r.again()
	return r
}

// again is the courier of another process.
func (r *rig) again() {
	r.t.Helper()
	var err error
	if r.Courier, err = hook.NewCourier(r.cfg); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) listen(url, query string) {
	r.t.Helper()
	if err := r.store.PutListener(r.t.Context(), hook.NewListener("crm", url, query, dawn), 10); err != nil {
		r.t.Fatal(err)
	}
}

// happen writes a line of a case's history.
func (r *rig) happen(id, seq int) {
	r.t.Helper()
	r.execute(fmt.Sprintf(`INSERT INTO case_entry (case_id, seq, at, staff, by_kind, by_name, event, text) VALUES (%d, %d, %d, 0, 1, '', 'note', '')`, id, seq, int64(dawn)))
}

// run steps until nothing is due, or a while has passed on the clock, and returns when the next step is.
func (r *rig) run() purchase.Instant {
	r.t.Helper()
	for range 1000 {
		next, err := r.Step(r.t.Context(), r.clock.Now())
		if err != nil {
			r.t.Fatal(err)
		}
		if next > r.clock.Now() {
			return next
		}
	}
	r.t.Fatal("the courier never rests")
	return 0
}

func (r *rig) backlog() hook.Backlog {
	r.t.Helper()
	b, err := r.store.Backlog(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// Events of a case arrive in their order, each signed so that its receiver can verify it.
func TestDelivered(t *testing.T) {
	eachStore(t, func(t *testing.T, open func(...hook.Target) *rig) {
		recv := newReceiver(t)
		r := open(recv.target())
		r.listen(recv.URL+"/events?x=1", "")
		r.listen(recv.URL+"/nothing", "none")
		for seq := range 5 {
			for id := range 3 {
				r.happen(id+1, seq+1)
			}
		}
		r.run()
		if b := r.backlog(); b != (hook.Backlog{}) {
			t.Errorf("left is %+v", b)
		}
		taken := recv.taken()
		for id := range 3 {
			var seen []string
			for _, each := range taken {
				if strings.HasPrefix(each, fmt.Sprintf("%d:", id+1)) {
					seen = append(seen, each)
				}
			}
			if !slices.IsSorted(seen) || len(seen) != 5 {
				t.Errorf("case %d: %v", id+1, seen)
			}
		}
		for _, g := range recv.got {
			if err := hook.Verify(g.signature, g.body, dawn.Time(), older); err != nil || g.kind != "Event" {
				t.Errorf("%s %s: %v", g.id, g.kind, err)
			}
		}
		if s := r.Stats(); s != (hook.Stats{Delivered: 15}) {
			t.Errorf("stats %+v", s)
		}
	})
}

// A target that fails, whatever the way, gets the event again under the same ID, later and
// later, and in the end not at all; what follows of the case waits until then.
func TestFailuresAreTriedAgain(t *testing.T) {
	far := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirection was followed") }))
	t.Cleanup(far.Close)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, wrong := range map[string]func(w http.ResponseWriter, r *http.Request, n int){
		"500": func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusInternalServerError) },
		"redirect": func(w http.ResponseWriter, r *http.Request, _ int) {
			http.Redirect(w, r, far.URL, http.StatusTemporaryRedirect)
		},
		"cut": func(http.ResponseWriter, *http.Request, int) { panic(http.ErrAbortHandler) },
		"slow": func(_ http.ResponseWriter, r *http.Request, _ int) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		},
		"endless headers": func(w http.ResponseWriter, _ *http.Request, _ int) {
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			recv := newReceiver(t)
			recv.set(func(w http.ResponseWriter, q *http.Request, n int) {
				if n <= 2 {
					wrong(w, q, n)
				}
			})
			r := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db"), []hook.Target{recv.target()})
			r.cfg.Timeout = 200 * time.Millisecond
			r.again()
			r.listen(recv.URL, "")
			r.happen(1, 1)
			r.happen(1, 2)
			for range 2 {
				next := r.run()
				if next <= r.clock.Now() || r.backlog().Waiting != 2 {
					t.Fatalf("next at %s, %+v", next, r.backlog())
				}
				r.clock.put(next)
			}
			r.clock.put(r.clock.Now().Add(time.Minute))
			r.run()
			if taken := recv.taken(); !slices.Equal(taken, []string{"1:1", "1:1", "1:1", "1:2"}) || r.backlog() != (hook.Backlog{}) {
				t.Errorf("taken %v, left %+v", taken, r.backlog())
			}
		})
	}
}

// An answer without an end costs a few kilobytes, and is an answer.
func TestHugeAnswer(t *testing.T) {
	recv := newReceiver(t)
	wrote := make(chan int, 1)
	recv.set(func(w http.ResponseWriter, _ *http.Request, _ int) {
		total := 0
		for block := make([]byte, 64<<10); total < 1<<30; {
			n, err := w.Write(block)
			if total += n; err != nil {
				break
			}
		}
		wrote <- total
	})
	r := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db"), []hook.Target{recv.target()})
	r.listen(recv.URL, "")
	r.happen(1, 1)
	r.run()
	if n := <-wrote; n > 64<<20 || r.backlog() != (hook.Backlog{}) {
		t.Errorf("%d bytes were taken, left is %+v", n, r.backlog())
	}
}

// After a day an event is given up, operators see it, and the case goes on.
func TestGivenUp(t *testing.T) {
	eachStore(t, func(t *testing.T, open func(...hook.Target) *rig) {
		recv := newReceiver(t)
		recv.set(func(w http.ResponseWriter, r *http.Request, _ int) {
			if r.Header.Get(hook.HeaderEvent) == "1:1" {
				w.WriteHeader(http.StatusTeapot)
			}
		})
		r := open(recv.target())
		r.listen(recv.URL, "")
		r.happen(1, 1)
		r.happen(1, 2)
		r.happen(2, 1)
		for r.clock.Now() < dawn.Add(25*time.Hour) && r.Stats().Died == 0 {
			r.clock.put(max(r.run(), r.clock.Now().Add(time.Second)))
		}
		r.run()
		if b := r.backlog(); b.Dead != 1 || b.Waiting != 0 || r.Stats().Died != 1 {
			t.Errorf("backlog %+v, stats %+v", b, r.Stats())
		}
		taken := recv.taken()
		if n := len(taken); n < 100 || n > 400 || taken[n-1] != "1:2" || !slices.Contains(taken[:3], "2:1") {
			t.Errorf("%d tries, the last %v", n, taken[n-1])
		}
	})
}

// losing is a store that is gone between the sending and the marking.
type losing struct {
	hook.Store
	lose bool
}

func (l *losing) MoveDeliveries(ctx context.Context, all []hook.Delivery) error {
	if l.lose {
		return purchase.ErrUnavailable
	}
	return l.Store.MoveDeliveries(ctx, all)
}

// A crash between the sending and the marking sends the same event again under the
// same ID, and loses and invents none.
func TestCrashBetween(t *testing.T) {
	eachStore(t, func(t *testing.T, open func(...hook.Target) *rig) {
		recv := newReceiver(t)
		r := open(recv.target())
		broken := &losing{r.store, true}
		r.cfg.Store = broken
		r.again()
		r.listen(recv.URL, "")
		r.happen(1, 1)
		r.happen(1, 2)
		if _, err := r.Step(t.Context(), r.clock.Now()); !errors.Is(err, purchase.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if next, err := r.Step(t.Context(), r.clock.Now()); err != nil || next <= r.clock.Now() || len(recv.taken()) != 1 {
			t.Errorf("it does not rest: %s, %v, %v", next, err, recv.taken())
		}
		broken.lose = false
		r.again()
		r.run()
		if taken := recv.taken(); !slices.Equal(taken, []string{"1:1", "1:1", "1:2"}) || r.backlog() != (hook.Backlog{}) {
			t.Errorf("taken %v, left %+v", taken, r.backlog())
		}
	})
}

// What no web address takes is carried, and what a web address takes is not, however its scheme is written. That it was taken is
// noted also when the process is told to end meanwhile.
func TestCarried(t *testing.T) {
	recv := newReceiver(t)
	plain := httptest.NewServer(recv)
	t.Cleanup(plain.Close)
	host := strings.TrimPrefix(plain.URL, "http://")
	r := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db"), []hook.Target{recv.target(), {Host: host, Secrets: [][]byte{older}, Private: true, Plain: true}})
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var carried, noted []string
	r.cfg.Carry = func(_ context.Context, l hook.Listener, _ hook.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		carried = append(carried, l.URL)
		stop()
		return nil
	}
	r.cfg.Taken = func(ctx context.Context, l hook.Listener, _ hook.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() == nil {
			noted = append(noted, l.URL)
		}
		return ctx.Err()
	}
	r.again()
	r.listen("HTTPS://"+recv.host(), "")
	r.listen(plain.URL, "")
	r.happen(1, 1)
	r.run()
	if taken := recv.taken(); len(taken) != 2 || len(carried) != 0 {
		t.Errorf("taken %v, carried %v", taken, carried)
	}
	r.listen("mailto:noc@operator.example", "")
	r.happen(2, 1)
	if _, err := r.Step(ctx, r.clock.Now()); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(carried, []string{"mailto:noc@operator.example"}) || !slices.Contains(noted, carried[0]) {
		t.Errorf("carried %v, noted %v", carried, noted)
	}
}

// One host that does not answer holds up no other.
func TestDeadHostHoldsUpNobody(t *testing.T) {
	recv := newReceiver(t)
	gone := httptest.NewTLSServer(http.NotFoundHandler())
	address := gone.URL
	gone.Close()
	r := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db"), []hook.Target{recv.target(), {Host: strings.TrimPrefix(address, "https://"), Secrets: [][]byte{older}, Private: true}})
	r.listen(address, "")
	r.listen(recv.URL, "")
	for id := range 40 {
		r.happen(id+1, 1)
	}
	r.run()
	if n := len(recv.taken()); n != 40 || r.backlog().Waiting != 40 {
		t.Errorf("%d taken, %+v left", n, r.backlog())
	}
	if s := r.Stats(); s.Failed == 0 || s.Failed > 8 { // those that were under way, and then no more
		t.Errorf("stats %+v", s)
	}
}

// A listener that takes its time, and answers, holds up no other, and is told nothing twice.
func TestSlowListenerHoldsUpNobody(t *testing.T) {
	slow, quick := newReceiver(t), newReceiver(t)
	release := make(chan struct{})
	slow.set(func(http.ResponseWriter, *http.Request, int) { <-release })
	r := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db"), []hook.Target{slow.target(), quick.target()})
	r.cfg.Timeout, r.cfg.Patience = time.Minute, 20*time.Millisecond
	r.again()
	r.listen(slow.URL, "")
	r.listen(quick.URL, "")
	until := func(done func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
			if r.run(); time.Now().After(end) {
				t.Errorf("told %v and %v", slow.taken(), quick.taken())
				return
			}
		}
	}
	for seq := range 3 {
		r.happen(1, seq+1)
		r.happen(2, seq+1)
		until(func() bool { return len(quick.taken()) == 2*(seq+1) })
	}
	if n := len(slow.taken()); n != 2 {
		t.Errorf("the slow one was asked %d times before it answered", n)
	}
	close(release)
	until(func() bool { return r.backlog().Waiting == 0 })
	for _, recv := range []*receiver{slow, quick} {
		taken := recv.taken()
		if slices.Sort(taken); !slices.Equal(taken, []string{"1:1", "1:2", "1:3", "2:1", "2:2", "2:3"}) {
			t.Errorf("told %v", taken)
		}
	}
}

// What is not told for days is given up, whether it was tried or not: a listener that is gone
// fills no table, and operators hear of it.
func TestOutdated(t *testing.T) {
	eachStore(t, func(t *testing.T, open func(...hook.Target) *rig) {
		gone := httptest.NewTLSServer(http.NotFoundHandler())
		address := gone.URL
		gone.Close()
		r := open(hook.Target{Host: strings.TrimPrefix(address, "https://"), Secrets: [][]byte{older}, Private: true})
		var log strings.Builder
		r.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		r.again()
		r.listen(address, "")
		for id := range 1100 {
			r.happen(id+1, 1)
		}
		r.run()
		r.clock.put(dawn.Add(71 * time.Hour))
		if r.run(); r.backlog().Waiting+r.backlog().Dead != 1100 {
			t.Errorf("too early: %+v", r.backlog())
		}
		r.clock.put(dawn.Add(73 * time.Hour))
		if r.run(); r.backlog().Waiting != 0 || r.Stats().Died != 1100 || !strings.Contains(log.String(), "given up untold") {
			t.Errorf("%+v, %+v, %.300s", r.backlog(), r.Stats(), log.String())
		}
	})
}

// Only the node that stands delivers.
func TestStanding(t *testing.T) {
	recv := newReceiver(t)
	r := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db"), []hook.Target{recv.target()})
	ours := false
	r.cfg.Standing = func(context.Context) (bool, bool, error) { return ours, false, nil }
	r.again()
	r.listen(recv.URL, "")
	r.happen(1, 1)
	if next := r.run(); len(recv.taken()) != 0 || next != dawn.Add(time.Second) {
		t.Errorf("taken %v, next %s", recv.taken(), next)
	}
	ours = true
	if r.run(); len(recv.taken()) != 1 {
		t.Errorf("taken %v", recv.taken())
	}
}

// Run delivers what happens while it runs, and leaves nothing behind.
func TestRun(t *testing.T) {
	recv := newReceiver(t)
	r := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db"), []hook.Target{recv.target()})
	before := goleak.IgnoreCurrent()
	arrived := make(chan struct{}, 1)
	recv.set(func(http.ResponseWriter, *http.Request, int) { arrived <- struct{}{} })
	if err := r.Configure(t.Context(), []hook.Listener{hook.Configured("crm", "crm", recv.URL, "")}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	r.happen(1, 1)
	r.Wake()
	<-arrived
	stop()
	<-ended
	recv.CloseClientConnections()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// What the configuration lists stands, and what it does not list any more is gone; those of clients stay.
func TestConfigure(t *testing.T) {
	eachStore(t, func(t *testing.T, open func(...hook.Target) *rig) {
		r := open()
		r.listen("https://crm.example/own", "")
		for _, names := range [][]string{{"a", "b"}, {"b", "c"}, nil} {
			var all []hook.Listener
			for _, name := range names {
				all = append(all, hook.Configured(name, "crm", "https://crm.example/"+name, ""))
			}
			if err := r.Configure(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			stored, err := r.store.Listeners(t.Context())
			if err != nil || len(stored) != len(names)+1 {
				t.Errorf("of %v stand %+v, %v", names, stored, err)
			}
		}
	})
}

// The secret is replaced without a gap: while both sign, either verifies.
func TestSecretsRotate(t *testing.T) {
	recv := newReceiver(t)
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "tenu.db")
	for seq, secrets := range [][][]byte{{older}, {older, newer}, {newer}} {
		target := recv.target()
		target.Secrets = secrets
		r := open(t, dsn, []hook.Target{target})
		r.listen(recv.URL, "")
		r.happen(1, seq+1)
		r.run()
		g := recv.got[len(recv.got)-1]
		for _, secret := range [][]byte{older, newer} {
			want := slices.ContainsFunc(secrets, func(s []byte) bool { return string(s) == string(secret) })
			if err := hook.Verify(g.signature, g.body, dawn.Time(), secret); (err == nil) != want {
				t.Errorf("signed by %d, %q verifies: %v", len(secrets), secret, err)
			}
		}
	}
}
