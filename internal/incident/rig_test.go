package incident_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/testpeer"
)

func TestMain(m *testing.M) { os.Exit(testpeer.Main(m)) }

// hands is a clock that a test moves.
type hands struct{ now purchase.Instant }

func (h *hands) Now() purchase.Instant                { return h.now }
func (*hands) After(d time.Duration) <-chan time.Time { return time.After(d) }

// noon is the first instant of every test, on a day in July.
var noon = purchase.At(time.Date(2027, 7, 9, 12, 0, 0, 0, time.UTC))

// rig is a desk on a real store, with purchases that go as a test says. What fails is in fails.
type rig struct {
	*hands
	t     testing.TB
	store *store.Store
	terms purchase.Terms
	epoch int64
	next  int64
	payer string // of what is sold from now on
	fails []incident.Finding
	cfg   incident.Config
	desk  *incident.Desk

	alerts []incident.Alert
	paused []incident.Pause
	chief  auth.StaffID // a supervisor
}

// both runs a test on SQLite and on PostgreSQL.
func both(t *testing.T, run func(*testing.T, string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { run(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db")) })
	t.Run("postgres", func(t *testing.T) { run(t, testpeer.VolatilePostgres(t)) })
}

func open(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func begin(t testing.TB, dsn string) *rig {
	t.Helper()
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	r := &rig{hands: &hands{noon}, t: t, store: open(t, dsn), next: 1, payer: "wallet"}
	lease, err := r.store.Acquire(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	rules := purchase.DefaultRules()
	rules.RepeatWithin = 0
	r.epoch, r.terms = lease.Epoch, purchase.Terms{Rules: rules, Alternate: func(*purchase.Purchase) string { return "" },
		Capability: func(string, purchase.Leg) purchase.Capability {
			return purchase.Capability{Supported: true, Query: true, Lateness: 2 * time.Minute, Timeout: time.Second}
		}}
	r.cfg = incident.Config{Store: r.store, Clock: r, Find: func(purchase.Instant) []incident.Finding { return r.fails },
		Alert: func(a incident.Alert) { r.alerts = append(r.alerts, a) }, Paused: func(p incident.Pause) { r.paused = append(r.paused, p) },
		CaseName: func(id care.CaseID) string { return fmt.Sprintf("D-%d", id) }, Reference: func(id purchase.ID) string { return fmt.Sprintf("R%d", id) }}
	r.restart()
	r.chief = r.hire("awa", auth.Supervisor)
	return r
}

// restart makes a new desk, that remembers nothing.
func (r *rig) restart() {
	r.t.Helper()
	var err error
	if r.desk, err = incident.New(r.cfg); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) hire(login string, role auth.Role) auth.StaffID {
	r.t.Helper()
	id, err := r.store.AddStaff(r.t.Context(), auth.Staff{Version: 1, Login: login, Name: login, Role: role, Language: "fr"}, auth.Secrets{}, auth.StaffChange{At: r.now, By: "test"})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// fail lets a series fail from now on.
func (r *rig) fail(s incident.Series) {
	r.fails = append(r.fails, incident.Finding{Series: s, Rule: incident.RuleAbsolute, Since: r.now, At: r.now, Paid: 20, Failed: 20, Detail: "20 paid, none credited"})
}

// step lets the desk do what is to be done now.
func (r *rig) step() {
	r.t.Helper()
	if _, err := r.desk.Step(r.t.Context(), r.now); err != nil {
		r.t.Fatalf("step at %s: %v", r.now, err)
	}
}

// pass lets time pass, with a step every so often.
func (r *rig) pass(d, every time.Duration) {
	r.t.Helper()
	for end := r.now.Add(d); r.now < end; {
		r.now = min(r.now.Add(every), end)
		r.step()
	}
}

func answer(leg purchase.Leg, kind purchase.Kind) purchase.Event {
	ev := purchase.Event{Leg: leg, Source: purchase.FromAnswer, Outcome: purchase.Outcome{Kind: kind}}
	if kind == purchase.Done {
		ev.Outcome.Ref, ev.Outcome.Amount = leg.String(), money.Amount{Minor: 1050, Currency: money.XOF}
		if leg == purchase.Credit {
			ev.Outcome.Amount.Minor = 1000
		}
	}
	return ev
}

// Ways that a purchase may go.
var (
	charged  = answer(purchase.Charge, purchase.Done)
	silence  = answer(purchase.Credit, purchase.Unknown)
	credited = answer(purchase.Credit, purchase.Done)
	refused  = answer(purchase.Credit, purchase.Refused)
	refunded = answer(purchase.Refund, purchase.Done)
)

// sell makes a purchase of a number and lets it meet events.
func (r *rig) sell(number purchase.MSISDN, events ...purchase.Event) purchase.Purchase {
	r.t.Helper()
	wish := purchase.Request{Client: "app", ClientKey: fmt.Sprint("k", r.next), Channel: "app", Language: "fr", PayerNumber: number, Recipient: number,
		Payer: r.payer, Provider: "ocs", Product: "airtime", Offer: 1, Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF}
	step := r.terms.Begin(&wish, purchase.MakeID(0, r.next), r.epoch, r.now)
	r.next++
	r.commit(step)
	return r.drive(step.Change.Now, events...)
}

// drive lets a purchase meet events.
func (r *rig) drive(p purchase.Purchase, events ...purchase.Event) purchase.Purchase {
	r.t.Helper()
	for _, ev := range events {
		step := r.terms.Next(&p, ev, r.now, false, r.epoch)
		if step.Durable {
			r.commit(step)
		}
		p = step.Change.Now
	}
	return p
}

func (r *rig) commit(step *purchase.Step) {
	r.t.Helper()
	c := step.Change
	for _, fact := range step.Facts {
		c.Notices = append(c.Notices, purchase.Notice{Purchase: c.Now.ID, Fact: fact, To: c.Now.PayerNumber, Language: "fr", Text: fact.String(), At: r.now})
	}
	verdicts, err := r.store.Commit(r.t.Context(), r.epoch, []purchase.Change{c})
	if err != nil || verdicts[0].Result != purchase.Written {
		r.t.Fatalf("commit: %+v, %v", verdicts, err)
	}
}

// given lets a stuck purchase be given back: its partner has no trace of it.
func (r *rig) given(p purchase.Purchase) purchase.Purchase {
	r.t.Helper()
	absent := answer(purchase.Credit, purchase.Absent)
	absent.AskedAt = r.now
	return r.drive(p, absent, refunded)
}

// only is the only incident there is.
func (r *rig) only() incident.Incident {
	r.t.Helper()
	all, err := r.store.Incidents(r.t.Context(), incident.Query{})
	if err != nil || len(all) != 1 {
		r.t.Fatalf("incidents %+v, %v", all, err)
	}
	return all[0]
}

// events are those of an incident's timeline.
func (r *rig) events(id incident.ID) (events []incident.Event) {
	r.t.Helper()
	lines, err := r.store.Entries(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range lines {
		events = append(events, e.Event)
	}
	return events
}

// sold lets sales be reopened to a share, as whoever keeps the pause does.
func (r *rig) sold(share int) {
	r.t.Helper()
	for _, p := range r.pauses() {
		if p.EndedAt != 0 {
			continue
		}
		p.Version++
		if p.Share = share; share == 1000 {
			p.EndedAt = r.now
		}
		if _, err := r.store.ChangePause(r.t.Context(), p); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) pauses() []incident.Pause {
	r.t.Helper()
	pauses, err := r.store.Pauses(r.t.Context(), 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return pauses
}

// letters are the texts that were sent, by number.
func (r *rig) letters() map[purchase.MSISDN][]string {
	r.t.Helper()
	unsent, err := store.NewLetters(r.store).UnsentNotices(r.t.Context(), 100_000)
	if err != nil {
		r.t.Fatal(err)
	}
	sent := map[purchase.MSISDN][]string{}
	for _, n := range unsent {
		sent[n.To] = append(sent[n.To], n.Text)
	}
	return sent
}

// verified fails the test for each violation found.
func (r *rig) verified() {
	r.t.Helper()
	violations, err := r.store.Verify(r.t.Context(), store.Verification{Now: r.now})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, v := range violations {
		r.t.Errorf("violated: %s", v)
	}
}

// faulty is a real store, of which one call fails: before it did anything, or after it did all.
type faulty struct {
	*store.Store
	left  int // calls before the fault; none when negative
	after bool
	fired bool
}

func (s *faulty) call(do func() error) error {
	if s.left--; s.left != -1 {
		return do()
	}
	s.fired = true
	if s.after {
		if err := do(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: crashed", purchase.ErrUnavailable)
}

func asked[T any](s *faulty, do func() (T, error)) (result T, err error) {
	err = s.call(func() (err error) {
		result, err = do()
		return err
	})
	return result, err
}

func (s *faulty) ChangeIncident(ctx context.Context, c incident.Change) (incident.Incident, error) {
	return asked(s, func() (incident.Incident, error) { return s.Store.ChangeIncident(ctx, c) })
}

func (s *faulty) Incidents(ctx context.Context, q incident.Query) ([]incident.Incident, error) {
	return asked(s, func() ([]incident.Incident, error) { return s.Store.Incidents(ctx, q) })
}

func (s *faulty) Pauses(ctx context.Context, since purchase.Instant) ([]incident.Pause, error) {
	return asked(s, func() ([]incident.Pause, error) { return s.Store.Pauses(ctx, since) })
}

func (s *faulty) Affect(ctx context.Context, id incident.ID, r incident.Reach) (int64, error) {
	return asked(s, func() (int64, error) { return s.Store.Affect(ctx, id, r) })
}

func (s *faulty) Totals(ctx context.Context, id incident.ID) (incident.Totals, error) {
	return asked(s, func() (incident.Totals, error) { return s.Store.Totals(ctx, id) })
}

func (s *faulty) Untold(ctx context.Context, id incident.ID, limit int) ([]incident.Customer, error) {
	return asked(s, func() ([]incident.Customer, error) { return s.Store.Untold(ctx, id, limit) })
}

func (s *faulty) Unended(ctx context.Context, id incident.ID, after purchase.MSISDN, limit int) ([]incident.Customer, error) {
	return asked(s, func() ([]incident.Customer, error) { return s.Store.Unended(ctx, id, after, limit) })
}

func (s *faulty) Tell(ctx context.Context, id incident.ID, all []incident.Telling) (int64, error) {
	return asked(s, func() (int64, error) { return s.Store.Tell(ctx, id, all) })
}
