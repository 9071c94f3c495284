package storetest

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// runStaff checks what the sign-in of staff asks of a database.
func runStaff(t *testing.T, open func(testing.TB) DatabaseSubject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, DatabaseSubject)
	}{
		{"StaffAreKept", staffAreKept},
		{"StaffChangeByVersion", staffChangeByVersion},
		{"StaffAreUnique", staffAreUnique},
		{"SecretsChangeOnce", secretsChangeOnce},
		{"TriesAreCounted", triesAreCounted},
		{"CodesAreAcceptedOnce", codesAreAcceptedOnce},
		{"RevokedAtOnce", revokedAtOnce},
		{"PasskeysAreKept", passkeysAreKept},
		{"StaffSignIn", staffSignIn},
		{"UsedOnce", usedOnce},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// hire adds an account.
func hire(t *testing.T, s DatabaseSubject, login string) (auth.Staff, auth.Secrets) {
	t.Helper()
	person := auth.Staff{Login: login, Name: hostile, Role: auth.Supervisor, Language: "fr", Version: 1, HasTOTP: true, MustChange: true,
		Subject: "https://id.example|" + login, Numbers: []purchase.MSISDN{22670000001, 22670000002}}
	secrets := auth.Secrets{Password: "hash of " + login, TOTP: []byte{0, 1, 0xff}, TOTPStep: 7, MustChange: true}
	id, err := s.AddStaff(t.Context(), person, secrets, auth.StaffChange{At: dawn, By: hostile, What: "added"})
	if err != nil || id == 0 {
		t.Fatal(id, err)
	}
	person.ID, person.Name = id, kept
	return person, secrets
}

// is fails the test unless an account is as expected.
func is(t *testing.T, s DatabaseSubject, want auth.Staff, secrets auth.Secrets) {
	t.Helper()
	got, x, err := s.Person(t.Context(), want.ID)
	if err != nil || !reflect.DeepEqual(got, want) || !x.Same(&secrets) || x.Failed != secrets.Failed || x.LockedTo != secrets.LockedTo {
		t.Errorf("got %+v, %+v, %v,\nwant %+v, %+v", got, x, err, want, secrets)
	}
}

func staffAreKept(t *testing.T, s DatabaseSubject) {
	moussa, other := hire(t, s, "moussa")
	awa, secrets := hire(t, s, "awa")
	is(t, s, awa, secrets)
	is(t, s, moussa, other)
	if got, x, err := s.PersonByLogin(t.Context(), "awa"); err != nil || !reflect.DeepEqual(got, awa) || !reflect.DeepEqual(x, secrets) {
		t.Errorf("by login: %+v, %+v, %v", got, x, err)
	}
	if got, err := s.PersonBySubject(t.Context(), awa.Subject); err != nil || !reflect.DeepEqual(got, awa) {
		t.Errorf("by subject: %+v, %v", got, err)
	}
	if all, err := s.People(t.Context()); err != nil || !reflect.DeepEqual(all, []auth.Staff{awa, moussa}) {
		t.Errorf("all: %+v, %v", all, err)
	}
	if _, _, err := s.Person(t.Context(), awa.ID+100); !errors.Is(err, auth.ErrStaff) || errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("nobody by ID: %v", err)
	}
	for _, login := range []string{"", "AWA", "awa ", "a_a", "awa\x00"} {
		if _, _, err := s.PersonByLogin(t.Context(), login); !errors.Is(err, auth.ErrStaff) {
			t.Errorf("nobody by the login %q: %v", login, err)
		}
	}
	if _, err := s.PersonBySubject(t.Context(), ""); !errors.Is(err, auth.ErrStaff) {
		t.Errorf("nobody by no subject: %v", err)
	}
	want := []auth.StaffChange{{At: dawn, By: kept, Staff: awa.ID, What: "added"}, {At: dawn, By: kept, Staff: moussa.ID, What: "added"}}
	if all, err := s.StaffChanges(t.Context(), 0, 10); err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("changes: %+v, %v", all, err)
	}
	if one, err := s.StaffChanges(t.Context(), moussa.ID, 1); err != nil || !reflect.DeepEqual(one, want[1:]) {
		t.Errorf("changes of one: %+v, %v", one, err)
	}
}

func staffChangeByVersion(t *testing.T, s DatabaseSubject) {
	awa, secrets := hire(t, s, "awa")
	var together sync.WaitGroup
	var changed, stale atomic.Int64
	for range 10 {
		together.Go(func() {
			next := awa
			next.Version, next.Role = 2, auth.Agent
			switch err := s.ChangeStaff(t.Context(), next, auth.StaffChange{At: dawn, By: "x", What: "role"}); {
			case errors.Is(err, auth.ErrStaffStale) && !errors.Is(err, purchase.ErrUnavailable):
				stale.Add(1)
			case err != nil:
				t.Error(err)
			default:
				changed.Add(1)
			}
		})
	}
	together.Wait()
	if changed.Load() != 1 || stale.Load() != 9 {
		t.Errorf("changed %d times, stale %d times", changed.Load(), stale.Load())
	}
	awa.Version, awa.Role = 2, auth.Agent
	is(t, s, awa, secrets)
	if all, err := s.StaffChanges(t.Context(), awa.ID, 99); err != nil || len(all) != 2 {
		t.Errorf("%d lines were written, %v", len(all), err)
	}
	session := auth.StaffSession{Hash: "h", Staff: awa.ID, At: dawn, SeenAt: dawn, Till: dawn.Add(time.Hour)}
	if err := s.AddSession(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	awa.Version, awa.Name, awa.Language, awa.Subject, awa.Numbers, awa.SessionsFrom, awa.Disabled = 3, "Awa", "en", "", nil, dawn+9, true
	if err := s.ChangeStaff(t.Context(), awa, auth.StaffChange{At: dawn, By: "x", What: "all"}); err != nil {
		t.Fatal(err)
	}
	is(t, s, awa, secrets)
	if _, _, err := s.WhoseSession(t.Context(), "h"); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("a disabled person's session: %v", err)
	}
}

func staffAreUnique(t *testing.T, s DatabaseSubject) {
	awa, _ := hire(t, s, "awa")
	moussa, secrets := hire(t, s, "moussa")
	for _, each := range []auth.Staff{{Login: "awa"}, {Login: "awa", Subject: "x"}, {Login: "other", Subject: awa.Subject}} {
		each.Name, each.Role, each.Version = "x", auth.Agent, 1
		if _, err := s.AddStaff(t.Context(), each, auth.Secrets{}, auth.StaffChange{}); !errors.Is(err, auth.ErrStaffTaken) || errors.Is(err, purchase.ErrUnavailable) {
			t.Errorf("%+v: %v", each, err)
		}
	}
	next := moussa
	next.Version, next.Subject = 2, awa.Subject
	if err := s.ChangeStaff(t.Context(), next, auth.StaffChange{}); !errors.Is(err, auth.ErrStaffTaken) {
		t.Errorf("a subject taken over: %v", err)
	}
	is(t, s, moussa, secrets)
	var together sync.WaitGroup
	var added, taken atomic.Int64
	for range 10 { // and many without a subject
		together.Go(func() {
			_, err := s.AddStaff(t.Context(), auth.Staff{Login: "new", Name: "x", Role: auth.Agent, Version: 1}, auth.Secrets{}, auth.StaffChange{})
			switch {
			case errors.Is(err, auth.ErrStaffTaken):
				taken.Add(1)
			case err != nil:
				t.Error(err)
			default:
				added.Add(1)
			}
		})
	}
	together.Wait()
	if added.Load() != 1 || taken.Load() != 9 {
		t.Errorf("%d added, %d taken", added.Load(), taken.Load())
	}
	if _, err := s.AddStaff(t.Context(), auth.Staff{Login: "newer", Name: "x", Role: auth.Agent, Version: 1}, auth.Secrets{}, auth.StaffChange{}); err != nil {
		t.Errorf("another without a subject: %v", err)
	}
	if all, err := s.People(t.Context()); err != nil || len(all) != 4 {
		t.Errorf("%d people, %v", len(all), err)
	}
}

func secretsChangeOnce(t *testing.T, s DatabaseSubject) {
	awa, before := hire(t, s, "awa")
	after := auth.Secrets{Password: "other", TOTPStep: 9}
	var together sync.WaitGroup
	var times atomic.Int64
	for range 10 {
		together.Go(func() {
			set, err := s.SetSecrets(t.Context(), awa.ID, before, after, &auth.StaffChange{At: dawn + 1, By: "awa", What: "password"})
			if err != nil {
				t.Error(err)
			}
			if set {
				times.Add(1)
			}
		})
	}
	together.Wait()
	if times.Load() != 1 {
		t.Errorf("set %d times", times.Load())
	}
	awa.HasTOTP, awa.MustChange, after.TOTP = false, false, nil
	is(t, s, awa, after)
	if all, err := s.StaffChanges(t.Context(), awa.ID, 99); err != nil || len(all) != 2 {
		t.Errorf("%d lines were written, %v", len(all), err)
	}
	if set, err := s.SetSecrets(t.Context(), awa.ID+100, after, after, nil); err != nil || set {
		t.Errorf("of nobody: %v, %v", set, err)
	}
}
