package auth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"tenu/internal/auth"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// hands is a clock that tests set.
type hands struct {
	mu  sync.Mutex
	now purchase.Instant
}

func (h *hands) Now() purchase.Instant {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hands) After(time.Duration) <-chan time.Time { return nil }

func (h *hands) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// office is a desk on a database of its own.
type office struct {
	*auth.StaffDesk
	clock *hands
	store *store.Store
	ctx   context.Context
}

func open(t *testing.T, more func(*auth.StaffConfig)) *office {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "staff.db")
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	o := &office{clock: &hands{now: purchase.At(noon)}, store: s, ctx: t.Context()}
	cfg := auth.StaffConfig{Store: s, Clock: o.clock, Random: rand.Reader, Secret: []byte("0123456789abcdef"), PasswordAlone: true}
	if more != nil {
		more(&cfg)
	}
	if o.StaffDesk, err = auth.NewStaffDesk(cfg); err != nil {
		t.Fatal(err)
	}
	return o
}

// hire adds a person whose password is known.
func (o *office) hire(t *testing.T, login string, role auth.Role) (auth.Staff, string) {
	t.Helper()
	s, given, err := o.Add(o.ctx, "test", auth.Staff{Login: login, Name: "Awa " + login, Role: role, Language: "fr"})
	if err != nil {
		t.Fatal(err)
	}
	const password = "huit mots de passe" //nolint:gosec // of nobody
	if err := o.ChangePassword(o.ctx, s.ID, given, password, auth.Visitor{}); err != nil {
		t.Fatal(err)
	}
	return s, password
}

func (o *office) enter(t *testing.T, login, password, code string) string {
	t.Helper()
	token, _, err := o.SignIn(o.ctx, login, password, code, auth.Visitor{Address: "192.0.2.1", Browser: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Who may do what is one table; this is what it must say, for every role and action.
func TestRoles(t *testing.T) {
	want := map[auth.Action]string{ // a(gent) s(upervisor) d(administrator) r(auditor) g (regulator)
		auth.ViewCustomer: "asdr", auth.SeeQueues: "asdr", auth.OpenCase: "as", auth.TakeCase: "as", auth.Note: "as", auth.Escalate: "as",
		auth.MergeCases: "as", auth.Bulk: "s", auth.AskAnswer: "as", auth.AskCredit: "as", auth.AskRefund: "as", auth.AskReversal: "as",
		auth.AskGoodwill: "as", auth.Approve: "sd", auth.PromiseCallback: "as", auth.MakeCall: "as", auth.LeadAgents: "s", auth.SeeBoard: "sdr",
		auth.SeeFigures: "sdr", auth.SeeAudit: "sdr", auth.EditMacros: "sd", auth.EditRules: "d", auth.ManageStaff: "d",
		auth.SeeIncidents: "asdr", auth.LeadIncidents: "sd", auth.PauseSales: "sd",
		auth.SeeBreaks: "asdr", auth.DecideBreaks: "asd",
		auth.SeePublished: "gsdr", auth.AskOperator: "g", auth.AnswerRegulator: "sd",
	}
	letters := map[auth.Role]byte{auth.Agent: 'a', auth.Supervisor: 's', auth.Administrator: 'd', auth.Auditor: 'r', auth.Regulator: 'g'}
	if len(want) != len(auth.Actions) || len(letters) != len(auth.Roles) {
		t.Fatalf("%d actions and %d roles are expected, there are %d and %d", len(want), len(letters), len(auth.Actions), len(auth.Roles))
	}
	for _, action := range auth.Actions {
		roles, named := want[action]
		if !named {
			t.Errorf("nothing is expected of %s", action)
		}
		for _, role := range auth.Roles {
			expected := false
			for i := range len(roles) {
				expected = expected || roles[i] == letters[role]
			}
			if role.May(action) != expected {
				t.Errorf("%s may %s: %t", role, action, role.May(action))
			}
			if disabled := (&auth.Staff{ID: 1, Role: role, Disabled: true}); disabled.May(action) {
				t.Errorf("a disabled %s may %s", role, action)
			}
		}
		if auth.Role("root").May(action) || auth.Role("").May(action) {
			t.Errorf("a role that is none may %s", action)
		}
	}
}

func TestSignIn(t *testing.T) {
	o := open(t, nil)
	s, password := o.hire(t, "awa", auth.Agent)
	for name, c := range map[string]struct{ login, password string }{
		"unknown": {"nobody", password}, "wrong": {"awa", password + "x"}, "empty": {"awa", ""}, "long": {"awa", string(make([]byte, 5000))},
		"no login": {"", password}, "hostile": {"awa' OR '1'='1", password},
	} {
		if _, _, err := o.SignIn(o.ctx, c.login, c.password, "", auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
			t.Errorf("%s: %v", name, err)
		}
	}
	token := o.enter(t, " AWA ", password, "")
	who, session, err := o.Who(o.ctx, token)
	if err != nil || who.ID != s.ID || who.MustChange || session.Method != "password" {
		t.Fatalf("%+v, %+v, %v", who, session, err)
	}
	for _, other := range []string{"", token + "x", session.Hash} {
		if _, _, err := o.Who(o.ctx, other); !errors.Is(err, auth.ErrSignIn) {
			t.Errorf("token %q: %v", other, err)
		}
	}
	if err := o.SignOut(o.ctx, token); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.Who(o.ctx, token); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("after signing out: %v", err)
	}
}

func TestSessionsEnd(t *testing.T) {
	o := open(t, nil)
	s, password := o.hire(t, "awa", auth.Supervisor)
	over := func(what string, token string) {
		t.Helper()
		if _, _, err := o.Who(o.ctx, token); !errors.Is(err, auth.ErrSignIn) {
			t.Errorf("%s: %v", what, err)
		}
	}
	idle := o.enter(t, "awa", password, "")
	o.clock.pass(29 * time.Minute)
	if _, _, err := o.Who(o.ctx, idle); err != nil {
		t.Fatal(err)
	}
	o.clock.pass(29 * time.Minute)
	if _, _, err := o.Who(o.ctx, idle); err != nil {
		t.Fatal("a session that is used ends: ", err)
	}
	for range 3 { // a page that looks by itself is no use of it
		o.clock.pass(10 * time.Minute)
		_, _, _ = o.Still(o.ctx, idle)
	}
	over("idle", idle)
	long := o.enter(t, "awa", password, "")
	for range 36 {
		o.clock.pass(20 * time.Minute)
		_, _, _ = o.Who(o.ctx, long)
	}
	over("after a working day", long)

	revoked, kept := o.enter(t, "awa", password, ""), ""
	if err := o.Revoke(o.ctx, "test", s.ID); err != nil {
		t.Fatal(err)
	}
	over("revoked", revoked)
	o.clock.pass(time.Second)
	revoked, kept = o.enter(t, "awa", password, ""), o.enter(t, "awa", password, "")
	if err := o.SignOutElsewhere(o.ctx, s.ID, kept); err != nil {
		t.Fatal(err)
	}
	over("signed out elsewhere", revoked)
	now, _, err := o.Who(o.ctx, kept)
	if err != nil {
		t.Fatal(err)
	}
	now.Role = auth.Agent
	if now, err = o.Change(o.ctx, "test", now); err != nil {
		t.Fatal(err)
	}
	if who, _, err := o.Who(o.ctx, kept); err != nil || who.May(auth.Approve) {
		t.Errorf("a role that was taken away still holds: %v, %v", who.Role, err)
	}
	stale := now
	stale.Version--
	if _, err := o.Change(o.ctx, "test", stale); !errors.Is(err, auth.ErrStaffStale) {
		t.Errorf("a stale change: %v", err)
	}
	now.Disabled = true
	if _, err = o.Change(o.ctx, "test", now); err != nil {
		t.Fatal(err)
	}
	over("disabled", kept)
	if _, _, err := o.SignIn(o.ctx, "awa", password, "", auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("a disabled person signs in: %v", err)
	}
}

func TestLockOut(t *testing.T) {
	o := open(t, nil)
	_, password := o.hire(t, "awa", auth.Agent)
	for range 6 {
		_, _, _ = o.SignIn(o.ctx, "awa", "wrong wrong wrong", "", auth.Visitor{})
	}
	if _, _, err := o.SignIn(o.ctx, "awa", password, "", auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("after six wrong tries: %v", err)
	}
	o.clock.pass(time.Minute)
	token := o.enter(t, "awa", password, "")
	if _, _, err := o.Who(o.ctx, token); err != nil {
		t.Error(err)
	}
}

// Many wrong passwords at once are no more tries than the same ones in turn: the right one
// among them opens nothing once the account is locked.
func TestGuessesAtOnce(t *testing.T) {
	o := open(t, nil)
	s, password := o.hire(t, "awa", auth.Agent)
	compared := func() int { // by what is kept of the tries: an account that is locked counts none
		_, x, err := o.store.Person(o.ctx, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		return x.Failed
	}
	var together sync.WaitGroup
	for i := range 40 {
		together.Go(func() {
			_, _, err := o.SignIn(o.ctx, "awa", fmt.Sprint("a wrong password ", i), "", auth.Visitor{Address: fmt.Sprint("192.0.2.", i)})
			if !errors.Is(err, auth.ErrSignIn) {
				t.Error(err)
			}
		})
	}
	together.Wait()
	if n := compared(); n != 5 {
		t.Errorf("%d passwords were compared before the account was locked", n)
	}
	if _, _, err := o.SignIn(o.ctx, "awa", password, "", auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("the right password of a locked account: %v", err)
	}
	// The lock grows with each wrong try after it, and ends with a right one.
	for _, after := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
		o.clock.pass(after - time.Second)
		_, _, _ = o.SignIn(o.ctx, "awa", password, "", auth.Visitor{})
		before := compared()
		o.clock.pass(time.Second)
		_, _, _ = o.SignIn(o.ctx, "awa", "still a wrong one", "", auth.Visitor{})
		if n := compared(); n != before+1 {
			t.Errorf("after %s: %d tries, %d before", after, n, before)
		}
	}
	o.clock.pass(15 * time.Minute)
	o.enter(t, "awa", password, "")
	if n := compared(); n != 0 {
		t.Errorf("after a right one %d tries are kept", n)
	}
}

// From one address only so many are wrong, whichever accounts and ways they try; who is
// right does not count.
func TestLockOutOfAnAddress(t *testing.T) {
	o := keyed(t)
	_, password := o.hire(t, "awa", auth.Agent)
	v := auth.Visitor{Address: "2001:db8::"}
	for range 61 {
		if _, _, err := o.SignIn(o.ctx, "awa", password, "", v); err != nil {
			t.Fatal(err)
		}
	}
	c, err := o.AskPasskey()
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for ; wrong < 1000; wrong++ {
		var err error
		if wrong%2 == 0 {
			_, _, err = o.SignIn(o.ctx, fmt.Sprint("nobody", wrong), password, "", v)
		} else {
			_, _, err = o.SignInByPasskey(o.ctx, c.State, []byte("{}"), v)
		}
		if errors.Is(err, auth.ErrLocked) {
			break
		}
		if !errors.Is(err, auth.ErrSignIn) {
			t.Fatal(err)
		}
	}
	if wrong != 60 {
		t.Errorf("%d wrong tries from one address", wrong)
	}
	if _, _, err := o.SignIn(o.ctx, "awa", password, "", v); !errors.Is(err, auth.ErrLocked) {
		t.Errorf("a right one from there: %v", err)
	}
	o.enter(t, "awa", password, "") // from elsewhere
	o.clock.pass(15 * time.Minute)
	if _, _, err := o.SignIn(o.ctx, "awa", password, "", v); err != nil {
		t.Errorf("a quarter of an hour later: %v", err)
	}
}

// Who signed in with a password that somebody else gave, or without an authenticator, may do
// nothing before that is mended.
func TestDuties(t *testing.T) {
	o := open(t, func(c *auth.StaffConfig) { c.PasswordAlone = false })
	s, given, err := o.Add(o.ctx, "test", auth.Staff{Login: "awa", Name: "Awa", Role: auth.Administrator, Language: "fr"})
	if err != nil {
		t.Fatal(err)
	}
	token := o.enter(t, "awa", given, "")
	has := func(duty auth.Duty) {
		t.Helper()
		who, session, err := o.Who(o.ctx, token)
		if err != nil || who.Duty != duty || !o.Fresh(session) {
			t.Fatalf("duty %q, %v", who.Duty, err)
		}
		for _, a := range auth.Actions {
			if who.May(a) != (duty == auth.NoDuty && auth.Administrator.May(a)) {
				t.Errorf("with the duty %q: %s %t", duty, a, who.May(a))
			}
		}
	}
	has(auth.OwnPassword)
	if err := o.ChangePassword(o.ctx, s.ID, given, given, auth.Visitor{}); !errors.Is(err, auth.ErrWeak) {
		t.Errorf("the given password again: %v", err)
	}
	if err := o.ChangePassword(o.ctx, s.ID, given, "huit mots de passe", auth.Visitor{}); err != nil {
		t.Fatal(err)
	}
	has(auth.Authenticator)
	uri, sealed, err := o.OfferTOTP(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.EnrolTOTP(o.ctx, s, sealed, code(t, uri, o.clock.Now())); err != nil {
		t.Fatal(err)
	}
	has(auth.NoDuty)
	o.clock.pass(15 * time.Minute)
	if who, session, err := o.Who(o.ctx, token); err != nil || !who.May(auth.ManageStaff) || o.Fresh(session) {
		t.Errorf("later: %+v, %v", who, err)
	}
}

// Nobody changes what they themselves may do, nor gives themselves a password.
func TestOwnAccount(t *testing.T) {
	o := open(t, nil)
	s, _ := o.hire(t, "awa", auth.Administrator)
	s.Numbers = []purchase.MSISDN{22670000002, 22670000001, 22670000002}
	s, err := o.Change(o.ctx, "awa", s) // to declare is no gain
	if err != nil || len(s.Numbers) != 2 {
		t.Fatal(s, err)
	}
	for name, change := range map[string]func(*auth.Staff){
		"role": func(s *auth.Staff) { s.Role = auth.Supervisor }, "numbers": func(s *auth.Staff) { s.Numbers = s.Numbers[:1] },
		"no numbers": func(s *auth.Staff) { s.Numbers = nil }, "subject": func(s *auth.Staff) { s.Subject = "x|y" },
		"disabled": func(s *auth.Staff) { s.Disabled = true },
	} {
		next := s
		change(&next)
		if _, err := o.Change(o.ctx, "awa", next); !errors.Is(err, auth.ErrOwn) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := o.Change(o.ctx, "moussa", next); err != nil || got.Version != s.Version+1 {
			t.Errorf("%s by another: %+v, %v", name, got, err)
		} else if s, err = o.Change(o.ctx, "moussa", auth.Staff{ID: s.ID, Version: got.Version, Name: s.Name, Role: s.Role, Language: s.Language,
			Numbers: s.Numbers}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Reset(o.ctx, "awa", s.ID); !errors.Is(err, auth.ErrOwn) {
		t.Errorf("a reset: %v", err)
	}
	s.Name = "Awa T."
	if _, err := o.Change(o.ctx, "awa", s); err != nil {
		t.Errorf("the name: %v", err)
	}
}

// code is what an authenticator shows.
func code(t *testing.T, uri string, at purchase.Instant) string {
	t.Helper()
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := totp.GenerateCode(key.Secret(), at.Time())
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

func TestAuthenticator(t *testing.T) {
	o := open(t, nil)
	s, password := o.hire(t, "awa", auth.Agent)
	uri, sealed, err := o.OfferTOTP(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.EnrolTOTP(o.ctx, s, sealed, "000000x"); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("a wrong first code: %v", err)
	}
	other, _ := o.hire(t, "moussa", auth.Agent)
	if err := o.EnrolTOTP(o.ctx, other, sealed, code(t, uri, o.clock.Now())); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("somebody else's secret: %v", err)
	}
	if err := o.EnrolTOTP(o.ctx, s, sealed, code(t, uri, o.clock.Now())); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.SignIn(o.ctx, "awa", password, "", auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("a password alone: %v", err)
	}
	if _, _, err := o.SignIn(o.ctx, "awa", password, code(t, uri, o.clock.Now()), auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("the code of the enrolment again: %v", err)
	}
	o.clock.pass(time.Minute)
	now := code(t, uri, o.clock.Now())
	var in sync.WaitGroup
	entered := make(chan bool, 20)
	for range 20 { // at once, with one code
		in.Go(func() {
			_, _, err := o.SignIn(o.ctx, "awa", password, now, auth.Visitor{})
			entered <- err == nil
		})
	}
	in.Wait()
	close(entered)
	count := 0
	for ok := range entered {
		if ok {
			count++
		}
	}
	if count != 1 {
		t.Errorf("one code signed in %d times", count)
	}
	if _, err := o.Reset(o.ctx, "test", s.ID); err != nil {
		t.Fatal(err)
	}
	if again, err := o.Person(o.ctx, s.ID); err != nil || again.HasTOTP || !again.MustChange {
		t.Errorf("after a reset: %+v, %v", again, err)
	}
}

func TestAccountsRefused(t *testing.T) {
	o := open(t, nil)
	s, password := o.hire(t, "awa", auth.Agent)
	if _, _, err := o.Add(o.ctx, "test", auth.Staff{Login: "AWA", Name: "x", Role: auth.Agent}); !errors.Is(err, auth.ErrStaffTaken) {
		t.Errorf("a login twice: %v", err)
	}
	for name, bad := range map[string]auth.Staff{
		"login": {Login: "a b", Name: "x", Role: auth.Agent}, "short": {Login: "a", Name: "x", Role: auth.Agent},
		"name": {Login: "abc", Name: " ", Role: auth.Agent}, "role": {Login: "abc", Name: "x", Role: "root"},
		"numbers": {Login: "abc", Name: "x", Role: auth.Agent, Numbers: make([]purchase.MSISDN, 51)},
	} {
		if _, _, err := o.Add(o.ctx, "test", bad); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for _, weak := range []string{"", "short", "aaaaaaaaaaaaaaaa", "awa is my name ok", string(make([]byte, 300))} {
		if err := o.ChangePassword(o.ctx, s.ID, password, weak, auth.Visitor{}); !errors.Is(err, auth.ErrWeak) {
			t.Errorf("password %.20q: %v", weak, err)
		}
	}
	if err := o.ChangePassword(o.ctx, s.ID, "not the old one", "huit autres mots", auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("without the old password: %v", err)
	}
	changes, err := o.Changes(o.ctx, s.ID, 10)
	if err != nil || len(changes) != 2 || changes[0].What != "password changed" || changes[1].By != "test" {
		t.Errorf("%+v, %v", changes, err)
	}
}
