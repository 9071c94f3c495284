package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// refundOf is a request to refund a purchase, that waits for a checker.
func refundOf(id purchase.ID) care.Request {
	return care.Request{Kind: care.AskRefund, Purchase: id, Number: someone, Recipient: someone + 1, Amount: 1050, Maker: 1, Reason: "reason",
		Stage: care.StageCheck, At: dawn, DueAt: dawn + 5}
}

// staffed makes so many agents, of the IDs from 1 on.
func staffed(t testing.TB, s DatabaseSubject, count auth.StaffID, numbers ...purchase.MSISDN) {
	t.Helper()
	for want := range count {
		person := auth.Staff{Login: fmt.Sprintf("agent-%d", want), Role: auth.Agent, Language: "fr", Numbers: numbers, Version: 1}
		if id, err := s.AddStaff(t.Context(), person, auth.Secrets{}, auth.StaffChange{}); err != nil || id != want+1 {
			t.Fatalf("add one of the staff: %d, %v", id, err)
		}
	}
}

func anything(care.Standing) error { return nil }

// ask adds a request that must be kept.
func ask(t testing.TB, s care.RequestStore, r care.Request) care.Request {
	t.Helper()
	kept, err := s.AddRequest(t.Context(), r, care.Periods{}, anything)
	if err != nil {
		t.Fatalf("add a request: %v", err)
	}
	return kept
}

// moved is a request as it stands in another stage.
func moved(r care.Request, stage care.Stage) care.Request {
	r.Version++
	if r.Stage = stage; stage.Over() {
		r.ClosedAt = dawn + 9
	}
	return r
}

func requestsAreWrittenWhole(t *testing.T, s DatabaseSubject) {
	full := care.Request{Kind: care.AskReversal, Case: 2, Purchase: 3, Number: 4, Recipient: 5, Amount: 6, Product: hostile, Unproven: true, Maker: 7,
		Reason: hostile, Stage: care.StageConsent, At: 8, DueAt: 9, Tries: 10, Checker: 11, DecidedAt: 12, Why: hostile, Result: 13}
	got := ask(t, s, full)
	want := full
	want.ID, want.Version, want.Product, want.Reason, want.Why = got.ID, 1, kept, kept, kept
	if got.ID == 0 || got != want {
		t.Fatalf("kept %+v, want %+v", got, want)
	}
	if to, err := s.RequestsTo(t.Context(), 5); err != nil || !slices.Equal(to, []care.Request{want}) {
		t.Errorf("to the recipient %+v, %v", to, err)
	}
	next := want
	next.Version, next.Case, next.Recipient, next.Unproven, next.Stage, next.DueAt, next.Tries, next.Checker, next.DecidedAt, next.Why, next.ClosedAt, next.Result =
		2, 22, 25, false, care.StageDone, 0, 30, 31, 32, "why", 33, 34
	if err := s.MoveRequest(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	for _, version := range []int64{2, 4} {
		stale := next
		stale.Version = version
		if err := s.MoveRequest(t.Context(), stale); !errors.Is(err, care.ErrStale) {
			t.Errorf("version %d after 2: %v", version, err)
		}
	}
	if got, err := s.Request(t.Context(), next.ID); err != nil || got != next {
		t.Errorf("moved %+v, want %+v, %v", got, next, err)
	}
	if _, err := s.Request(t.Context(), next.ID+1); !errors.Is(err, care.ErrNotFound) {
		t.Errorf("no such request: %v", err)
	}
	byRule := refundOf(3)
	byRule.Maker, byRule.Rule = 0, "rule"
	second := ask(t, s, byRule)
	if about, err := s.RequestsAbout(t.Context(), 3, 4); err != nil || !slices.Equal(about, []care.Request{next, second}) {
		t.Errorf("about the purchase %+v, %v", about, err)
	}
	for stage, want := range map[care.Stage][]care.Request{care.StageDone: {next}, care.StageCheck: {second}, care.StageConsent: nil} {
		if in, err := s.RequestsIn(t.Context(), stage, 5); err != nil || !slices.Equal(in, want) {
			t.Errorf("in %s: %+v, %v", stage, in, err)
		}
	}
	if to, err := s.RequestsTo(t.Context(), 5); err != nil || len(to) != 0 {
		t.Errorf("consented: %+v, %v", to, err)
	}
	third := refundOf(4)
	third.DueAt = dawn + 8
	ask(t, s, third)
	if due, at, err := s.DueRequests(t.Context(), dawn+5, 10); err != nil || !slices.Equal(due, []care.Request{second}) || at != dawn+8 {
		t.Errorf("due %+v, next %s, %v", due, at, err)
	}
}

// Of a kind there is one under way or done about a purchase, however many ask at once.
func requestsOnce(t *testing.T, s DatabaseSubject) {
	again := s.Again(t)
	from := func(i int) Database { return []Database{s.Database, again}[i%2] }
	var first atomic.Int64
	if won := race(t, 500, care.ErrTwice, func(i int) error {
		r := refundOf(7)
		r.Maker = auth.StaffID(1 + i%50)
		if i%3 == 0 { // as whoever gives no number would
			r.Number = purchase.MSISDN(22670000000 + i)
		}
		got, err := from(i).AddRequest(t.Context(), r, care.Periods{}, anything)
		if first.CompareAndSwap(0, got.ID); got.ID == 0 || got.ID != first.Load() {
			t.Errorf("got request %d, want %d", got.ID, first.Load())
		}
		return err
	}); won != 1 {
		t.Errorf("%d refunds were asked for", won)
	}
	all, err := s.RequestsAbout(t.Context(), 7)
	if err != nil || len(all) != 1 {
		t.Fatalf("requests %+v, %v", all, err)
	}
	r := all[0]
	for _, c := range []struct {
		stage care.Stage
		twice bool
	}{{care.StageCheck, true}, {care.StageApproved, true}, {care.StageDone, true}, {care.StageRefused, false}, {care.StageVoid, false}, {care.StageLapsed, false}} {
		if r = moved(r, c.stage); s.MoveRequest(t.Context(), r) != nil {
			t.Fatal("it does not move")
		}
		got, err := s.AddRequest(t.Context(), refundOf(7), care.Periods{}, anything)
		switch {
		case c.twice && (!errors.Is(err, care.ErrTwice) || got != r):
			t.Errorf("%s: %+v, %v", c.stage, got, err)
		case !c.twice && err != nil:
			t.Errorf("%s: %v", c.stage, err)
		case !c.twice:
			if err := s.MoveRequest(t.Context(), moved(got, care.StageVoid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A partner may be asked again, once it was asked; a case without a purchase is one.
	answer := refundOf(8)
	answer.Kind = care.AskAnswer
	kept := ask(t, s, answer)
	if _, err := s.AddRequest(t.Context(), answer, care.Periods{}, anything); !errors.Is(err, care.ErrTwice) {
		t.Errorf("asked while it is under way: %v", err)
	}
	if err := s.MoveRequest(t.Context(), moved(kept, care.StageDone)); err != nil {
		t.Fatal(err)
	}
	ask(t, s, answer)
	for id := range care.CaseID(2) {
		gift := care.Request{Kind: care.AskGoodwill, Case: id + 1, Number: someone, Maker: 1, Amount: 1, Stage: care.StageApproved, At: dawn, DueAt: dawn}
		ask(t, s, gift)
		if _, err := s.AddRequest(t.Context(), gift, care.Periods{}, anything); !errors.Is(err, care.ErrTwice) {
			t.Errorf("goodwill of case %d: %v", id+1, err)
		}
	}
}

// limitsHold: what is asked for at once never exceeds a limit of a maker, a number or goodwill.
func limitsHold(t *testing.T, s DatabaseSubject) {
	again := s.Again(t)
	refusal := errors.New("refused")
	staffed(t, s, 70)
	since := care.Periods{Day: dawn, Month: dawn - 30}
	// Old ones, refused ones and those of others are not counted.
	old := refundOf(1)
	old.At = dawn - 1
	ask(t, s, old)
	gone := ask(t, s, refundOf(2))
	if err := s.MoveRequest(t.Context(), moved(gone, care.StageRefused)); err != nil {
		t.Fatal(err)
	}
	other := refundOf(3)
	other.Maker, other.Number = 999, someone+500
	ask(t, s, other)
	for _, c := range []struct {
		name  string
		order func(i int) care.Request
		sum   func(care.Standing) (int64, int)
	}{
		{"maker", func(i int) care.Request {
			r := refundOf(purchase.ID(1000 + i))
			r.Number = purchase.MSISDN(22671000000 + i)
			return r
		}, func(st care.Standing) (int64, int) { return st.Day, st.DayCount }},
		{"number", func(i int) care.Request {
			r := refundOf(purchase.ID(2000 + i))
			r.Maker, r.Number = auth.StaffID(2+i), someone+7
			return r
		}, func(st care.Standing) (int64, int) { return st.NumberDay, st.NumberCount }},
		{"goodwill", func(i int) care.Request {
			r := refundOf(purchase.ID(3000 + i))
			r.Kind, r.Maker, r.Number, r.At = care.AskGoodwill, auth.StaffID(2+i), purchase.MSISDN(22672000000+i), dawn-20
			if i%2 == 0 {
				r.Maker, r.Rule = 0, "rule"
			}
			return r
		}, func(st care.Standing) (int64, int) { return st.Goodwill, int(st.Goodwill / 1050) }},
	} {
		var strangers atomic.Int64
		won := race(t, 60, refusal, func(i int) error {
			r := c.order(i)
			_, err := []Database{s.Database, again}[i%2].AddRequest(t.Context(), r, since, func(st care.Standing) error {
				if st.Maker.ID != r.Maker || st.Checker.ID != 0 {
					strangers.Add(1)
				}
				amount, count := c.sum(st)
				if amount != int64(count)*1050 || amount+r.Amount > 10*1050 {
					return refusal
				}
				return nil
			})
			if err != nil && !reflect.DeepEqual(err, refusal) {
				t.Errorf("%s: %v is not returned as it is", c.name, err)
			}
			return err
		})
		if won != 10 || strangers.Load() != 0 {
			t.Errorf("%s: %d are within the limit, want 10; %d makers are others", c.name, won, strangers.Load())
		}
	}
}

func requestsAreDecidedOnce(t *testing.T, s DatabaseSubject) {
	again := s.Again(t)
	staffed(t, s, 60)
	r := ask(t, s, refundOf(7))
	refusal := errors.New("refused")
	if _, err := s.DecideRequest(t.Context(), moved(r, care.StageApproved), func(care.Standing) error { return refusal }); !reflect.DeepEqual(err, refusal) {
		t.Errorf("refused: %v", err)
	}
	own := moved(r, care.StageApproved)
	own.Checker = r.Maker
	if _, err := s.DecideRequest(t.Context(), own, anything); err == nil || errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("decided by its maker: %v", err)
	}
	if won := race(t, 50, care.ErrStale, func(i int) error {
		now := moved(r, []care.Stage{care.StageApproved, care.StageRefused}[i%2])
		now.Checker, now.DecidedAt, now.Amount = auth.StaffID(2+i), dawn+6, 1
		got, err := []Database{s.Database, again}[i%2].DecideRequest(t.Context(), now, func(st care.Standing) error {
			if st.Maker.ID != 1 || st.Checker.ID != now.Checker {
				t.Errorf("decided with %+v", st)
			}
			return nil
		})
		if err == nil && (got.Checker != now.Checker || got.Stage != now.Stage || got.Amount != r.Amount) {
			t.Errorf("decided %+v", got)
		}
		return err
	}); won != 1 {
		t.Errorf("decided %d times", won)
	}
	none := r
	none.ID, none.Version = r.ID+1, 2
	if _, err := s.DecideRequest(t.Context(), none, anything); !errors.Is(err, care.ErrNotFound) {
		t.Errorf("no such request: %v", err)
	}
}

// A role that was lost a moment ago is not there any more, neither for who asks nor for who decides.
func rolesAreThoseOfNow(t *testing.T, s DatabaseSubject) {
	staffed(t, s, 2, 22670112299)
	if person, err := s.StaffMember(t.Context(), 1); err != nil || person.ID != 1 || person.Role != auth.Agent || !slices.Equal(person.Numbers, []purchase.MSISDN{22670112299}) {
		t.Errorf("one of the staff %+v, %v", person, err)
	}
	if nobody, err := s.StaffMember(t.Context(), 3); err != nil || nobody.ID != 0 {
		t.Errorf("nobody is %+v, %v", nobody, err)
	}
	seen := func(want string) func(care.Standing) error {
		return func(st care.Standing) error {
			if got := fmt.Sprintf("%d %s %v %v %d %s", st.Maker.ID, st.Maker.Role, st.Maker.Disabled, st.Maker.Numbers, st.Checker.ID, st.Checker.Role); got != want {
				t.Errorf("measured against %s, want %s", got, want)
			}
			return nil
		}
	}
	r, err := s.AddRequest(t.Context(), refundOf(1), care.Periods{}, seen("1 agent false [+22670112299] 0 "))
	if err != nil {
		t.Fatal(err)
	}
	for id, change := range map[auth.StaffID]func(*auth.Staff){1: func(p *auth.Staff) { p.Disabled = true }, 2: func(p *auth.Staff) { p.Role = auth.Supervisor }} {
		person, err := s.StaffMember(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		person.Version++
		change(&person)
		if err := s.ChangeStaff(t.Context(), person, auth.StaffChange{}); err != nil {
			t.Fatal(err)
		}
	}
	r = moved(r, care.StageCheck)
	r.Checker = 2
	if r, err = s.DecideRequest(t.Context(), r, seen("1 agent true [+22670112299] 2 supervisor")); err != nil {
		t.Fatal(err)
	}
	s.Execute(t, `DELETE FROM staff WHERE id = 2`)
	if _, err := s.DecideRequest(t.Context(), moved(r, care.StageApproved), seen("1 agent true [+22670112299] 0 ")); err != nil {
		t.Fatal(err)
	}
	byRule := refundOf(2)
	byRule.Maker, byRule.Rule = 0, "rule"
	if _, err := s.AddRequest(t.Context(), byRule, care.Periods{}, seen("0  false [] 0 ")); err != nil {
		t.Fatal(err)
	}
}
