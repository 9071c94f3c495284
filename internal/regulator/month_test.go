package regulator_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that the tests read with, behind the store's back

	"tenu/internal/drill"
	"tenu/internal/notify"
	"tenu/internal/partner/house"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
	"tenu/internal/sim"
	"tenu/internal/store"
	"tenu/internal/testpeer"
	"tenu/internal/voice/centre"
)

func TestMain(m *testing.M) { os.Exit(testpeer.Main(m)) }

// installation is a database that a month is played in.
type installation struct {
	*store.Store
	dsn string
}

func (i installation) Letters() notify.Store { return store.NewLetters(i.Store) }

// Check is sim.Backing.
func (i installation) Check(ctx context.Context, now purchase.Instant) ([]store.Violation, error) {
	return i.Verify(ctx, store.Verification{Now: now, First: true})
}

// newInstallation is an empty one.
func newInstallation(t *testing.T, dsn string) installation {
	t.Helper()
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return installation{s, dsn}
}

// inMemory is a SQLite database that is kept in memory where the system has such: a month commits often, and nothing of
// it is to be kept.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "tenu-regulator-test-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return "sqlite:" + filepath.Join(dir, "tenu.db")
}

// raw is the database without the store.
func (i installation) raw(t *testing.T) *sql.DB {
	t.Helper()
	driver, source := "pgx", i.dsn
	if path, is := strings.CutPrefix(i.dsn, "sqlite:"); is {
		driver, source = "sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// zone is the country's. It has no summer time.
func zone(t *testing.T) *time.Location {
	t.Helper()
	at, err := time.LoadLocation("Africa/Ouagadougou")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// month is a script of July 2024 with the scenario of the 9th in it, and of nights on which partners fail over
// midnight.
func month(t *testing.T, ofThatDay, ofOthers int) *sim.Script {
	t.Helper()
	text, ok := drill.Shipped("2024-07-09")
	if !ok {
		t.Fatal("the scenario of 9 July 2024 is missing")
	}
	s, err := drill.Parse("2024-07-09.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	script := s.Script
	begins := purchase.At(time.Date(2024, 7, 1, 0, 0, 0, 0, zone(t)))
	later := script.Begins.Sub(begins)
	script.Seed, script.Begins, script.Ends = 9, begins, monthDays*24*time.Hour+2*time.Hour
	script.Nodes, script.Lease = 1, 10*time.Minute // a month of looking for something to do takes long otherwise
	script.Windows, script.Troubles = slices.Clone(script.Windows), slices.Clone(script.Troubles)
	for i := range script.Windows {
		script.Windows[i].From += later
		script.Windows[i].Till += later
	}
	for i := range script.Troubles {
		script.Troubles[i].At += later
		script.Troubles[i].Node = 0
	}
	script.Arrivals = nil
	for _, at := range s.Arrivals(9, ofThatDay) {
		script.Arrivals = append(script.Arrivals, at+later)
	}
	step := monthDays * 24 * time.Hour / time.Duration(ofOthers)
	for i := range ofOthers {
		script.Arrivals = append(script.Arrivals, time.Duration(i)*step+step/3)
	}
	night := func(day int, partner string, faults ...sim.Share) {
		from := time.Duration(day)*24*time.Hour - 40*time.Minute
		script.Windows = append(script.Windows, sim.Window{Partner: partner, From: from, Till: from + 70*time.Minute, Faults: faults})
		for i := range 50 { // more is bought then
			script.Arrivals = append(script.Arrivals, from+time.Duration(i)*84*time.Second)
		}
	}
	night(12, "charging", sim.Share{Fault: sim.Doubled, Of: 200}, sim.Share{Fault: sim.WrongAmount, Of: 150}, sim.Share{Fault: sim.UndoneLater, Of: 150}, sim.Share{Fault: sim.LateExecution, Of: 100})
	night(16, "charging", sim.Share{Fault: sim.ReplyLost, Of: 1000}, sim.Share{Fault: sim.QueryLost, Of: 1000})
	night(21, "wallet", sim.Share{Fault: sim.ReplyLost, Of: 500}, sim.Share{Fault: sim.RequestLost, Of: 300}, sim.Share{Fault: sim.QueryLost, Of: 1000})
	night(31, "charging", sim.Share{Fault: sim.Dropped, Of: 1000}, sim.Share{Fault: sim.QueryLost, Of: 900})
	script.Habits.Untold, script.Habits.Told = 900, 600
	script.Partners = slices.Clone(script.Partners)
	for i := range script.Partners {
		script.Partners[i].Declines = 20
	}
	slices.SortFunc(script.Windows, func(a, b sim.Window) int { return cmp.Compare(a.From, b.From) })
	slices.Sort(script.Arrivals)
	return &script
}

// settable is a clock that a test sets.
type settable struct{ now purchase.Instant }

func (c *settable) Now() purchase.Instant                { return c.now }
func (c *settable) After(time.Duration) <-chan time.Time { return nil }

// newDesk is a desk of an installation.
func newDesk(t *testing.T, s regulator.Store, clock purchase.Clock) *regulator.Desk {
	t.Helper()
	d, err := regulator.New(regulator.Config{Store: s, Clock: clock, Location: zone(t), House: house.Name, Version: "test", Secret: make([]byte, 32),
		Head: func(context.Context) (string, error) { return "head 1", nil }})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// stepAll sums up all days that are over.
func stepAll(t *testing.T, d *regulator.Desk, now purchase.Instant) {
	t.Helper()
	for {
		next, err := d.Step(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		if next > now {
			return
		}
	}
}

// hour is in microseconds.
const hour = 3_600_000_000

// called adds calls of every kind that ended by an instant, as they come in: a few an hour, each once.
func (i installation) called(ctx context.Context, to purchase.Instant) error {
	at := to - to%hour
	var calls []centre.Call
	for n, release := range centre.Releases {
		second := purchase.Instant(1_000_000 * (1 + n*int(at/hour)%17))
		c := centre.Call{ID: fmt.Sprintf("%d-%d", at/hour, n), Number: 22670000001, Language: "fr", Release: release,
			At: at - 600_000_000, Answered: at - 600_000_000 + 2*second, Ended: at - purchase.Instant(n)}
		if release == centre.Spoken {
			c.Queued, c.Taken, c.Staff = c.Answered+3*second, c.Answered+7*second, 1
		}
		if release == centre.Abandoned {
			c.Queued = c.Answered + second
		}
		if release == centre.Promised {
			c.Callback = 1 << 40 // of which there is nothing
		}
		calls = append(calls, c)
	}
	return i.AddCalls(ctx, calls, []centre.Refused{{Epoch: 1, Hour: at - hour, Count: int(at/hour) % 5}})
}

// played is July 2024, played in a database while its days are summed up as they end.
func played(t *testing.T, dsn string, ofThatDay, ofOthers int) (installation, *regulator.Desk, *settable) {
	t.Helper()
	in := newInstallation(t, dsn)
	script := month(t, ofThatDay, ofOthers)
	clock := &settable{script.Begins}
	desk := newDesk(t, in, clock)
	due := purchase.Instant(0)
	script.Pace = func(ctx context.Context, to purchase.Instant) (err error) {
		if to/hour != clock.now/hour {
			if err := in.called(ctx, to); err != nil {
				return err
			}
		}
		for clock.now = to; to >= due && err == nil; {
			if due, err = desk.Step(ctx, to); due == to {
				due = 0
			} else {
				break
			}
		}
		return err
	}
	p, err := sim.Perform(t.Context(), script, in)
	if err != nil {
		t.Fatal(err)
	}
	if p.Violation != nil {
		t.Fatal(p.Violation)
	}
	t.Logf("%d purchases, %d charged, %d credited, %d refunded, %d incidents", len(script.Arrivals), p.Ledger.Charged, p.Ledger.Credited, p.Ledger.Refunded, len(p.Sighting.Incidents))
	clock.now = script.Begins.Add(script.Ends + 24*time.Hour)
	stepAll(t, desk, clock.now)
	return in, desk, clock
}
