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

// third locks an account at the third failure.
func third(failed int) time.Duration {
	if failed < 3 {
		return 0
	}
	return 100 * time.Microsecond
}

func triesAreCounted(t *testing.T, s DatabaseSubject) {
	awa, secrets := hire(t, s, "awa")
	limits := []auth.Limit{{Name: "z", Since: dawn, Till: dawn.Add(time.Hour), Most: 12}, {Name: "a", Since: dawn, Till: dawn.Add(time.Hour), Most: 100}}
	var together sync.WaitGroup
	var open, locked, many atomic.Int64
	for i := range 20 {
		together.Go(func() {
			login := "awa"
			if i%2 == 1 {
				login = "nobody"
			}
			got, before, err := s.CountTry(t.Context(), login, dawn+50, limits, third)
			switch {
			case errors.Is(err, auth.ErrTooMany) && !errors.Is(err, purchase.ErrUnavailable):
				many.Add(1)
			case login == "nobody" && errors.Is(err, auth.ErrStaff): // counted, as others are
			case err != nil || !reflect.DeepEqual(got, awa) || !before.Same(&secrets):
				t.Errorf("%+v, %+v, %v", got, before, err)
			case dawn+50 < before.LockedTo:
				locked.Add(1)
			default:
				open.Add(1)
			}
		})
	}
	together.Wait()
	if many.Load() != 8 || open.Load() > 3 || open.Load()+locked.Load() > 10 {
		t.Errorf("%d tries might succeed, %d met the lock, %d were too many", open.Load(), locked.Load(), many.Load())
	}
	// One after another, and locked anew after the lock's end.
	fresh, _ := hire(t, s, "moussa")
	for i, want := range []struct {
		at     purchase.Instant
		failed int
		till   purchase.Instant
	}{{dawn, 0, 0}, {dawn, 1, 0}, {dawn, 2, 0}, {dawn + 99, 3, dawn + 100}, {dawn + 100, 3, dawn + 100}, {dawn + 100, 4, dawn + 200}} {
		_, before, err := s.CountTry(t.Context(), "moussa", want.at, nil, third)
		if err != nil || before.Failed != want.failed || before.LockedTo != want.till {
			t.Errorf("try %d: %+v, %v", i, before, err)
		}
	}
	_, before, err := s.Person(t.Context(), fresh.ID)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := s.AcceptTry(t.Context(), fresh.ID, before, 0, nil); err != nil || !done {
		t.Fatal(done, err)
	}
	if _, x, err := s.Person(t.Context(), fresh.ID); err != nil || x.Failed != 0 || x.LockedTo != 0 || x.TOTPStep != 7 {
		t.Errorf("after a right one: %+v, %v", x, err)
	}
	// What was accepted does not count.
	one := []auth.Limit{{Name: "one", Since: dawn, Till: dawn.Add(time.Hour), Most: 1}}
	for range 3 {
		if _, _, err := s.CountTry(t.Context(), "", dawn, one, third); !errors.Is(err, auth.ErrStaff) {
			t.Fatal(err)
		}
		if _, _, err := s.CountTry(t.Context(), "", dawn, one, third); !errors.Is(err, auth.ErrTooMany) {
			t.Errorf("beyond a limit: %v", err)
		}
		if done, err := s.AcceptTry(t.Context(), 0, auth.Secrets{}, 0, one); err != nil || !done {
			t.Fatal(done, err)
		}
	}
}

func codesAreAcceptedOnce(t *testing.T, s DatabaseSubject) {
	awa, before := hire(t, s, "awa")
	one := []auth.Limit{{Name: "one", Since: dawn, Till: dawn.Add(time.Hour), Most: 5}}
	accept := func(x auth.Secrets, step int64) bool {
		t.Helper()
		done, err := s.AcceptTry(t.Context(), awa.ID, x, step, one)
		if err != nil {
			t.Error(err)
		}
		return done
	}
	var together sync.WaitGroup
	var times atomic.Int64
	for range 10 {
		together.Go(func() {
			if accept(before, 8) {
				times.Add(1)
			}
		})
	}
	together.Wait()
	if times.Load() != 1 {
		t.Errorf("one code was accepted %d times", times.Load())
	}
	password, totp := before, before
	password.Password, totp.TOTP = "other", nil
	if accept(before, 7) || accept(password, 9) || accept(totp, 9) {
		t.Error("an earlier step, another password or another authenticator was accepted")
	}
	if !accept(before, 9) {
		t.Error("a later step was not accepted")
	}
	awa.Version, awa.Disabled = 2, true
	if err := s.ChangeStaff(t.Context(), awa, auth.StaffChange{}); err != nil {
		t.Fatal(err)
	}
	if accept(before, 10) {
		t.Error("a disabled person's code was accepted")
	}
}

func revokedAtOnce(t *testing.T, s DatabaseSubject) {
	awa, secrets := hire(t, s, "awa")
	moussa, _ := hire(t, s, "moussa")
	for _, each := range []auth.StaffSession{{Hash: "one", Staff: awa.ID}, {Hash: "two", Staff: awa.ID}, {Hash: "three", Staff: moussa.ID}} {
		each.At, each.SeenAt, each.Till = dawn, dawn, dawn.Add(time.Hour)
		if err := s.AddSession(t.Context(), each); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddPasskey(t.Context(), auth.Passkey{ID: []byte("k"), Staff: awa.ID}, auth.StaffChange{At: dawn, What: "key"}); err != nil {
		t.Fatal(err)
	}
	if err := s.RevokeStaff(t.Context(), awa.ID, dawn+5, nil, auth.StaffChange{At: dawn, What: "revoked"}); err != nil {
		t.Fatal(err)
	}
	for hash, want := range map[string]bool{"one": false, "two": false, "three": true} {
		if _, _, err := s.WhoseSession(t.Context(), hash); (err == nil) != want {
			t.Errorf("session %s: %v", hash, err)
		}
	}
	awa.Version, awa.SessionsFrom = 2, dawn+5
	is(t, s, awa, secrets)
	if keys, err := s.Passkeys(t.Context(), awa.ID); err != nil || len(keys) != 1 {
		t.Errorf("passkeys %+v, %v", keys, err)
	}
	for range 4 {
		if _, _, err := s.CountTry(t.Context(), "awa", dawn, nil, third); err != nil {
			t.Fatal(err)
		}
	}
	fresh := auth.Secrets{Password: "fresh", MustChange: true}
	if err := s.RevokeStaff(t.Context(), awa.ID, dawn+3, &fresh, auth.StaffChange{At: dawn, What: "reset"}); err != nil {
		t.Fatal(err)
	}
	awa.Version, awa.HasTOTP = 3, false // and nothing that was over begins anew
	is(t, s, awa, fresh)
	if keys, err := s.Passkeys(t.Context(), awa.ID); err != nil || len(keys) != 0 {
		t.Errorf("passkeys %+v, %v", keys, err)
	}
	changes, err := s.StaffChanges(t.Context(), awa.ID, 9)
	if err != nil || len(changes) != 4 || changes[0].What != "reset" || changes[1].What != "revoked" {
		t.Errorf("changes %+v, %v", changes, err)
	}
	if err := s.RevokeStaff(t.Context(), awa.ID+100, dawn, &fresh, auth.StaffChange{}); !errors.Is(err, auth.ErrStaff) {
		t.Errorf("of nobody: %v", err)
	}
}

func passkeysAreKept(t *testing.T, s DatabaseSubject) {
	awa, _ := hire(t, s, "awa")
	moussa, _ := hire(t, s, "moussa")
	key := auth.Passkey{ID: []byte{0, 0xff, 1}, Staff: awa.ID, Name: hostile, Data: []byte(`{"a":"\u0000"}`), Count: 1<<32 - 1, At: dawn}
	if err := s.AddPasskey(t.Context(), key, auth.StaffChange{At: dawn, By: "awa", What: "key"}); err != nil {
		t.Fatal(err)
	}
	theirs := key
	theirs.Staff = moussa.ID
	if err := s.AddPasskey(t.Context(), theirs, auth.StaffChange{}); !errors.Is(err, auth.ErrStaffTaken) || errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("somebody else's credential: %v", err)
	}
	key.Name = kept
	if all, err := s.Passkeys(t.Context(), awa.ID); err != nil || !reflect.DeepEqual(all, []auth.Passkey{key}) {
		t.Errorf("passkeys %+v, %v", all, err)
	}
	var together sync.WaitGroup
	var times atomic.Int64
	next := key
	next.Count, next.Data = 5, []byte("{}")
	for range 10 {
		together.Go(func() {
			used, err := s.UsePasskey(t.Context(), next, key.Count)
			if err != nil {
				t.Error(err)
			}
			if used {
				times.Add(1)
			}
		})
	}
	together.Wait()
	if times.Load() != 1 {
		t.Errorf("used %d times", times.Load())
	}
	if all, err := s.Passkeys(t.Context(), awa.ID); err != nil || !reflect.DeepEqual(all, []auth.Passkey{next}) {
		t.Errorf("passkeys %+v, %v", all, err)
	}
	if err := s.DropPasskey(t.Context(), moussa.ID, key.ID, auth.StaffChange{}); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Passkeys(t.Context(), awa.ID); err != nil || len(all) != 1 {
		t.Errorf("somebody else dropped it: %v", err)
	}
	for range 2 {
		if err := s.DropPasskey(t.Context(), awa.ID, key.ID, auth.StaffChange{At: dawn, By: "awa", What: "dropped"}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := s.Passkeys(t.Context(), awa.ID); err != nil || len(all) != 0 {
		t.Errorf("passkeys %+v, %v", all, err)
	}
	if changes, err := s.StaffChanges(t.Context(), awa.ID, 9); err != nil || len(changes) != 3 {
		t.Errorf("changes %+v, %v", changes, err)
	}
}

func staffSignIn(t *testing.T, s DatabaseSubject) {
	awa, _ := hire(t, s, "awa")
	moussa, _ := hire(t, s, "moussa")
	x := auth.StaffSession{Hash: "one", Staff: awa.ID, At: dawn, SeenAt: dawn, Till: dawn + 1000, Method: "password", Address: "2001:db8::", Browser: hostile}
	two, other := x, x
	two.Hash, two.At, two.SeenAt = "two", dawn+1, dawn+1
	other.Hash, other.Staff = "other", moussa.ID
	for _, each := range []auth.StaffSession{x, two, other} {
		if err := s.AddSession(t.Context(), each); err != nil {
			t.Fatal(err)
		}
	}
	x.Browser, two.Browser = kept, kept
	if got, who, err := s.WhoseSession(t.Context(), "one"); err != nil || got != x || !reflect.DeepEqual(who, awa) {
		t.Errorf("%+v, %+v, %v", got, who, err)
	}
	for _, hash := range []string{"", "none", "one\x00", "ONE"} {
		if _, _, err := s.WhoseSession(t.Context(), hash); !errors.Is(err, auth.ErrSignIn) || errors.Is(err, purchase.ErrUnavailable) {
			t.Errorf("session %q: %v", hash, err)
		}
	}
	for _, at := range []purchase.Instant{dawn + 20, dawn + 10} { // the later one stays
		if err := s.SeenSession(t.Context(), "one", at); err != nil {
			t.Fatal(err)
		}
	}
	x.SeenAt = dawn + 20
	if all, err := s.StaffSessions(t.Context(), awa.ID); err != nil || !reflect.DeepEqual(all, []auth.StaffSession{two, x}) {
		t.Errorf("sessions %+v, %v", all, err)
	}
	if counts, err := s.SignedIn(t.Context(), dawn+2); err != nil || counts[auth.Supervisor] != 1 || len(counts) != 1 {
		t.Errorf("signed in %v, %v", counts, err)
	}
	if counts, err := s.SignedIn(t.Context(), dawn); err != nil || counts[auth.Supervisor] != 2 {
		t.Errorf("signed in %v, %v", counts, err)
	}
	if err := s.EndSessions(t.Context(), awa.ID, "two"); err != nil {
		t.Fatal(err)
	}
	if all, err := s.StaffSessions(t.Context(), awa.ID); err != nil || len(all) != 1 || all[0].Hash != "two" {
		t.Errorf("all but one: %+v, %v", all, err)
	}
	for range 2 {
		if err := s.EndSession(t.Context(), "two"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.WhoseSession(t.Context(), "two"); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("after its end: %v", err)
	}
	if err := s.Tidy(t.Context(), dawn+999); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.WhoseSession(t.Context(), "other"); err != nil {
		t.Errorf("before its end: %v", err)
	}
	if err := s.Tidy(t.Context(), dawn+1000); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.WhoseSession(t.Context(), "other"); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("when it is over: %v", err)
	}
}

func usedOnce(t *testing.T, s DatabaseSubject) {
	second := s.Again(t)
	var together sync.WaitGroup
	var times atomic.Int64
	for i := range 10 {
		together.Go(func() {
			from := s.Database
			if i%2 == 1 {
				from = second
			}
			first, err := from.UseOnce(t.Context(), "it", dawn+9)
			if err != nil {
				t.Error(err)
			}
			if first {
				times.Add(1)
			}
		})
	}
	together.Wait()
	if times.Load() != 1 {
		t.Errorf("used %d times", times.Load())
	}
	if err := s.Tidy(t.Context(), dawn+8); err != nil {
		t.Fatal(err)
	}
	if first, err := s.UseOnce(t.Context(), "it", dawn+9); err != nil || first {
		t.Errorf("once more: %v, %v", first, err)
	}
	if first, err := s.UseOnce(t.Context(), "other", dawn+9); err != nil || !first {
		t.Errorf("another: %v, %v", first, err)
	}
}
