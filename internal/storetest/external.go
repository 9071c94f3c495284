package storetest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"tenu/internal/care"
	"tenu/internal/hook"
	"tenu/internal/purchase"
)

// plant writes a case behind the store's back.
func plant(t *testing.T, s DatabaseSubject, c care.Case) {
	t.Helper()
	s.Execute(t, fmt.Sprintf(`INSERT INTO case_file (id, version, number, purchase, owner, owner_till, opened_at, answer_by, resolve_by, paused_at, answered_at,
		treated_at, due_at, closed_at, changed_at, merged_into, status, outcome, prefer, level, reopened, code, matters, rule, incident, channel, language, digest)
		VALUES (%d, 1, %d, %d, %d, 0, %d, 1, 1, %d, %d, 0, 1, %d, 1, %d, %d, %d, 0, %d, 0, 'Z', ',other,', '%s', '%s', 'api', 'fr', '')`,
		c.ID, c.Number, c.Purchase, c.Owner, c.OpenedAt, c.Clock.PausedAt, c.AnsweredAt, c.ClosedAt, c.Into, c.Status, c.Outcome, c.Level, c.Rule, c.Incident))
}

// every is a case of each kind that phases tell apart, and more.
func every() []care.Case {
	open := care.Case{Status: care.Open}
	with := func(c care.Case, change func(*care.Case)) care.Case { change(&c); return c }
	settled := care.Case{Status: care.Settled, Outcome: care.OutcomeAnswered, ClosedAt: dawn + 50}
	gone := care.Case{Status: care.Withdrawn, ClosedAt: dawn + 50}
	all := []care.Case{open, with(open, func(c *care.Case) { c.Owner = 3 }), with(open, func(c *care.Case) { c.AnsweredAt = dawn }),
		with(open, func(c *care.Case) { c.Level = 1 }), with(open, func(c *care.Case) { c.Incident = "fibre" }),
		with(open, func(c *care.Case) { c.Incident, c.Owner = "fibre", 3 }), {Status: care.Waiting, Clock: care.Clock{PausedAt: dawn}},
		settled, with(settled, func(c *care.Case) { c.Rule = "refund" }), with(settled, func(c *care.Case) { c.Rule = "refund" }),
		gone, with(gone, func(c *care.Case) { c.Into = 1 })}
	for i := range all {
		all[i].ID, all[i].Number, all[i].OpenedAt = care.CaseID(i+1), someone, dawn+purchase.Instant(i)
	}
	return all
}

func casesAreCalled(t *testing.T, s DatabaseSubject) {
	put := func(e care.External) (care.External, bool) {
		t.Helper()
		kept, added, err := s.PutExternal(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		return kept, added
	}
	first := care.External{Client: "crm", ID: hostile, Case: 7, At: dawn}
	want := first
	want.ID = kept
	if got, added := put(first); !added || got != want {
		t.Errorf("got %+v, %v", got, added)
	}
	other := first
	other.Case, other.At = 8, dawn+1
	if got, added := put(other); added || got != want {
		t.Errorf("a name serves twice: %+v, %v", got, added)
	}
	other.Client = "shop"
	if got, added := put(other); !added || got.Case != 8 {
		t.Errorf("another client's name: %+v, %v", got, added)
	}
	for i, id := range []care.CaseID{7, 8, 8} {
		if got, added := put(care.External{Client: "crm", Case: id, At: dawn + 2}); added != (i < 2) || got.Case != id || got.ID != "" {
			t.Errorf("without a name: %+v, %v", got, added)
		}
	}
	if got, err := s.Called(t.Context(), "crm", hostile); err != nil || got != want {
		t.Errorf("called %+v, %v", got, err)
	}
	for _, none := range [][2]string{{"crm", "x"}, {"crm", ""}, {"nobody", kept}} {
		if _, err := s.Called(t.Context(), none[0], none[1]); !errors.Is(err, care.ErrNoCase) {
			t.Errorf("%q: %v", none, err)
		}
	}
	put(care.External{Client: "crm", ID: "newer", Case: 7, At: dawn + 3})
	for _, at := range []purchase.Instant{dawn + 9, dawn + 5} {
		if err := s.Agree(t.Context(), "crm", 7, at); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Externals(t.Context(), "crm", 7, 8, 9)
	if e := all[7]; err != nil || len(all) != 2 || e.ID != "newer" || e.AgreedAt != dawn+9 || all[8].ID != "" {
		t.Errorf("got %+v, %v", all, err)
	}
	var together sync.WaitGroup
	var won atomic.Int64
	for i := range 10 {
		together.Go(func() {
			_, added, err := s.PutExternal(t.Context(), care.External{Client: "crm", ID: "race", Case: care.CaseID(i + 100), At: dawn})
			if err != nil {
				t.Error(err)
			}
			if added {
				won.Add(1)
			}
		})
	}
	together.Wait()
	if won.Load() != 1 {
		t.Errorf("%d cases are called the same", won.Load())
	}
}

// The database tells phases apart as care.Case does.
func casesAreSifted(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	wish := request(1)
	shop.sell(wish, charged, credited)
	sold, err := s.List(t.Context(), purchase.Page{Number: wish.Recipient, Limit: 1})
	if err != nil || len(sold) != 1 {
		t.Fatalf("sold %v, %v", sold, err)
	}
	all := every()
	all[1].Purchase, all[2].Number = sold[0].ID, someone+1
	agreed := map[care.CaseID]purchase.Instant{10: dawn + 60}
	for _, c := range all {
		plant(t, s, c)
	}
	if err := s.Agree(t.Context(), "crm", 10, agreed[10]); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.PutExternal(t.Context(), care.External{Client: "crm", ID: "T-3", Case: 3, At: dawn}); err != nil {
		t.Fatal(err)
	}
	sift := func(q care.Sift) []care.CaseID {
		t.Helper()
		q.Limit = orAll(q.Limit)
		page, count, err := s.Sifted(t.Context(), q)
		if err != nil || q.Offset == 0 && q.Limit == 100 && count != len(page) {
			t.Fatalf("sift %+v: %v, %d, %v", q, page, count, err)
		}
		return page
	}
	seen := 0
	for _, phase := range care.Phases {
		var want []care.CaseID
		for _, c := range slices.Backward(all) {
			if c.Phase(agreed[c.ID]) == phase {
				want = append(want, c.ID)
			}
		}
		if got := sift(care.Sift{Agreeing: "crm", Phases: []care.Phase{phase}}); len(got) == 0 || !slices.Equal(got, want) {
			t.Errorf("phase %d: %v, want %v", phase, got, want)
		}
		seen += len(want)
	}
	if seen != len(all) {
		t.Errorf("%d of %d cases are in one phase", seen, len(all))
	}
	for i, c := range []struct {
		q    care.Sift
		want []care.CaseID
	}{
		{care.Sift{Client: "crm"}, []care.CaseID{10, 3}},
		{care.Sift{Client: sold[0].Client}, []care.CaseID{2}},
		{care.Sift{Client: "nobody"}, nil},
		{care.Sift{Client: "crm", Case: 3}, []care.CaseID{3}},
		{care.Sift{Client: "crm", Case: 2}, nil},
		{care.Sift{Agreeing: "crm", ID: "T-3"}, []care.CaseID{3}},
		{care.Sift{Agreeing: "shop", ID: "T-3"}, nil},
		{care.Sift{Number: someone + 1}, []care.CaseID{3}},
		{care.Sift{From: dawn + 2, Till: dawn + 4}, []care.CaseID{4, 3}},
		{care.Sift{Agreeing: "crm", Phases: []care.Phase{care.PhaseClosed, care.PhaseMerged}}, []care.CaseID{12, 10, 8}},
		{care.Sift{Client: "crm", Agreeing: "crm", Phases: care.Phases, Number: someone + 1, From: dawn, Till: dawn + 99, ID: "T-3"}, []care.CaseID{3}},
		{care.Sift{Offset: 10, Limit: 1}, []care.CaseID{2}},
		{care.Sift{Offset: 12}, nil},
	} {
		if got := sift(c.q); !slices.Equal(got, c.want) {
			t.Errorf("%d: %+v: got %v, want %v", i, c.q, got, c.want)
		}
	}
	if page, count, err := s.Sifted(t.Context(), care.Sift{Limit: 5}); err != nil || len(page) != 5 || count != len(all) {
		t.Errorf("a page of %d of %d, %v", len(page), count, err)
	}
}

func orAll(limit int) int {
	if limit == 0 {
		return 100
	}
	return limit
}

func listenersAreBounded(t *testing.T, s DatabaseSubject) {
	const most = 3
	var together sync.WaitGroup
	var full atomic.Int64
	for i := range 10 {
		together.Go(func() {
			l := hook.NewListener("crm", fmt.Sprintf("https://crm.example/%d", i), "", dawn)
			if err := s.PutListener(t.Context(), l, most); errors.Is(err, hook.ErrFull) {
				full.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	all, err := s.Listeners(t.Context())
	if err != nil || len(all) != most || full.Load() != 10-most {
		t.Fatalf("listeners %+v, %d too many, %v", all, full.Load(), err)
	}
	changed := all[1]
	changed.Query = hostile
	if err := s.PutListener(t.Context(), changed, most); err != nil {
		t.Errorf("again: %v", err)
	}
	changed.Query = kept
	if now, err := s.Listeners(t.Context()); err != nil || len(now) != most || now[1] != changed {
		t.Errorf("listeners %+v, %v", now, err)
	}
	if err := s.DropListener(t.Context(), "shop", changed.ID); !errors.Is(err, hook.ErrNotFound) {
		t.Errorf("another's: %v", err)
	}
	if err := s.DropListener(t.Context(), "crm", changed.ID); err != nil {
		t.Error(err)
	}
	if err := s.DropListener(t.Context(), "crm", changed.ID); !errors.Is(err, hook.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
}

// Each line of a history becomes one delivery for each listener of that time, and
// of a case they are due one after the other.
func everyEntryIsTold(t *testing.T, s DatabaseSubject) {
	write := func(id, seq, at int64) {
		t.Helper()
		s.Execute(t, fmt.Sprintf(`INSERT INTO case_entry (case_id, seq, at, staff, by_kind, by_name, event, text) VALUES (%d, %d, %d, 0, 1, '', 'note', '')`, id, seq, at))
	}
	listen := func(id string) {
		t.Helper()
		if err := s.PutListener(t.Context(), hook.Listener{ID: id, Client: "crm", URL: "https://crm.example/", At: dawn}, 10); err != nil {
			t.Fatal(err)
		}
	}
	due := func(listener string, till purchase.Instant, want ...hook.Delivery) {
		t.Helper()
		got, _, err := s.DueDeliveries(t.Context(), listener, till, 10)
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("due of %s: %+v, %v, want %+v", listener, got, err, want)
		}
	}
	at := int64(dawn)
	write(1, 1, at)
	listen("a")
	write(1, 2, at+1)
	listen("b")
	write(1, 3, at+2)
	write(2, 1, at+3)
	delivery := func(listener string, id, seq, after int64) hook.Delivery {
		return hook.Delivery{Listener: listener, Subject: id, Seq: seq, At: dawn + purchase.Instant(after), NextAt: dawn + purchase.Instant(after), State: hook.Waiting}
	}
	due("a", dawn+9, delivery("a", 1, 2, 1), delivery("a", 2, 1, 3))
	due("b", dawn+9, delivery("b", 1, 3, 2), delivery("b", 2, 1, 3))
	due("a", dawn)
	if b, err := s.Backlog(t.Context()); err != nil || b != (hook.Backlog{Waiting: 5, Oldest: dawn + 1}) {
		t.Errorf("backlog %+v, %v", b, err)
	}
	late := delivery("a", 1, 2, 1)
	late.Tries, late.TriedAt, late.NextAt, late.Problem = 1, dawn+9, dawn+20, hostile
	done := delivery("a", 2, 1, 3)
	done.State = hook.Delivered
	for range 2 {
		if err := s.MoveDeliveries(t.Context(), []hook.Delivery{late, done}); err != nil {
			t.Fatal(err)
		}
	}
	if got, next, err := s.DueDeliveries(t.Context(), "a", dawn+19, 10); err != nil || len(got) != 0 || next != dawn+20 {
		t.Errorf("what follows one that waits: %+v, %s, %v", got, next, err)
	}
	late.Problem = kept
	due("a", dawn+20, late)
	late.State = hook.Dead
	if err := s.MoveDeliveries(t.Context(), []hook.Delivery{late}); err != nil {
		t.Fatal(err)
	}
	due("a", dawn+20, delivery("a", 1, 3, 2))
	if b, err := s.Backlog(t.Context()); err != nil || b != (hook.Backlog{Waiting: 3, Dead: 1, Oldest: dawn + 2}) {
		t.Errorf("backlog %+v, %v", b, err)
	}
	const day = 24 * 3600 * 1_000_000
	if err := s.Tidy(t.Context(), dawn+91*day); err != nil {
		t.Fatal(err)
	}
	if err := s.DropListener(t.Context(), "crm", "b"); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Backlog(t.Context()); err != nil || b != (hook.Backlog{Waiting: 1, Oldest: dawn + 2}) {
		t.Errorf("backlog %+v, %v", b, err)
	}
	untoldAreForgotten(t, s)
}

func untoldAreForgotten(t *testing.T, s DatabaseSubject) {
	t.Helper()
	for _, c := range []struct {
		till purchase.Instant
		want map[string]int
	}{{dawn + 1, map[string]int{}}, {dawn + 2, map[string]int{"a": 1}}, {dawn + 2, map[string]int{}}} {
		if gone, err := s.ForgetDeliveries(t.Context(), c.till, 10); err != nil || !maps.Equal(gone, c.want) {
			t.Errorf("forgotten till %s: %v, want %v: %v", c.till, gone, c.want, err)
		}
	}
}
