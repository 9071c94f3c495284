package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

const minute = 60_000_000

// complaint is an open case about a purchase, as it is first written.
func complaint(about purchase.ID) care.Case {
	return care.Case{Version: 1, Number: someone, Purchase: about, Matters: []purchase.Matter{care.MatterNotReceived, purchase.MatterPendingCredit},
		Code: care.CodeTopUp, Status: care.Open, OpenedAt: dawn, Clock: care.Clock{AnswerBy: dawn + 120*minute, ResolveBy: dawn + 1440*minute},
		DueAt: dawn + 5*minute, ChangedAt: dawn, Channel: "app", Language: "fr", Digest: "digest"}
}

// changeCase writes a change that must succeed.
func changeCase(t testing.TB, s care.CaseStore, c care.Change) care.Case {
	t.Helper()
	stored, err := s.ChangeCase(t.Context(), c)
	if err != nil {
		t.Fatalf("change a case: %v", err)
	}
	return stored
}

// settled is the next version of a case that was closed with an outcome.
func settled(c care.Case, outcome care.Outcome, at purchase.Instant) care.Case {
	c.Version++
	c.Status, c.Outcome, c.ClosedAt, c.ChangedAt, c.DueAt, c.Clock.PausedAt = care.Settled, outcome, at, at, 0, 0
	return c
}

func casesAreWrittenWhole(t *testing.T, s DatabaseSubject) {
	full := care.Case{Version: 1, Number: someone, Purchase: 7, Matters: []purchase.Matter{care.MatterOther, care.MatterDuplicate}, Code: care.CodeBalance,
		Status: care.Waiting, Rule: hostile, Prefer: care.PreferMoney, Owner: 3, OwnerTill: 4, Level: 1, OpenedAt: 5,
		Clock: care.Clock{AnswerBy: 6, ResolveBy: 7, PausedAt: 8}, AnsweredAt: 9, TreatedAt: 10, DueAt: 11, ChangedAt: 13, Reopened: 14,
		Incident: hostile, Channel: hostile, Language: "en", Digest: hostile}
	by := care.Actor{Kind: care.ByClient, Staff: 15, Name: hostile}
	c := care.Change{Now: full, Entries: []care.Entry{{At: 16, Event: care.EventOpened, By: by, Text: hostile}, {At: 17, Event: care.EventMatter, By: care.Actor{Kind: care.BySystem}}},
		Messages: []care.Message{{To: someone, Language: "fr", Text: hostile, At: 18, Key: "k"}, {To: someone, Text: "left out", Key: "k"}, {To: someone, At: 19}, {To: someone, At: 20}}}
	stored := changeCase(t, s, c)
	want := full
	want.ID, want.Rule, want.Incident, want.Channel, want.Digest = stored.ID, kept, kept, kept, kept
	if stored.ID == 0 || !reflect.DeepEqual(stored, want) {
		t.Fatalf("stored %+v, want %+v", stored, want)
	}
	by.Name = kept
	history := []care.Entry{{Case: stored.ID, Seq: 1000, At: 16, Event: care.EventOpened, By: by, Text: kept},
		{Case: stored.ID, Seq: 1001, At: 17, Event: care.EventMatter, By: care.Actor{Kind: care.BySystem}}}
	second := want
	second.Version, second.Matters, second.Status, second.Outcome, second.ClosedAt, second.Clock.PausedAt, second.DueAt =
		2, append(slices.Clone(want.Matters), purchase.MatterLateCredit), care.Settled, care.OutcomeAnswered, 12, 0, 0
	stored = changeCase(t, s, care.Change{Now: second, Entries: []care.Entry{{At: 3, Event: care.EventSettled, By: by}}, Messages: []care.Message{{To: someone, At: 21, Key: "k"}}})
	if !reflect.DeepEqual(stored, second) {
		t.Errorf("changed %+v, want %+v", stored, second)
	}
	history = append(history, care.Entry{Case: stored.ID, Seq: 2000, At: 3, Event: care.EventSettled, By: by})
	// What is stale or impossible leaves nothing.
	stale := second
	for _, version := range []int64{2, 4} {
		stale.Version, stale.Digest = version, "stale"
		if _, err := s.ChangeCase(t.Context(), care.Change{Now: stale, Entries: c.Entries, Messages: []care.Message{{To: someone}}}); !errors.Is(err, care.ErrStale) {
			t.Errorf("version %d after 2: %v", version, err)
		}
	}
	stale.Version, stale.Outcome = 3, 0
	if _, err := s.ChangeCase(t.Context(), care.Change{Now: stale, Entries: c.Entries}); err == nil || errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("settled without an outcome: %v", err)
	}
	if got, err := s.History(t.Context(), stored.ID); err != nil || !slices.Equal(got, history) {
		t.Errorf("history %+v, %v", got, err)
	}
	messages, err := s.MessagesOf(t.Context(), stored.ID, 0)
	if err != nil || len(messages) != 3 || messages[0].ID == 0 {
		t.Fatalf("messages %+v, %v", messages, err)
	}
	if first := (care.Message{ID: messages[0].ID, Case: stored.ID, To: someone, Language: "fr", Text: kept, At: 18, Key: "k"}); messages[0] != first || messages[2].At != 20 {
		t.Errorf("messages %+v", messages)
	}
	if got, err := s.Cases(t.Context(), stored.ID, stored.ID+1); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], stored) {
		t.Errorf("read again %+v, %v", got, err)
	}
	if none, err := s.Cases(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("cases of nothing: %v, %v", none, err)
	}
}

// race runs a call many times at once, and counts those that succeeded; all others must fail with want.
func race(t *testing.T, times int, want error, call func(i int) error) int {
	t.Helper()
	var together sync.WaitGroup
	var won atomic.Int64
	for i := range times {
		together.Go(func() {
			switch err := call(i); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, want) || errors.Is(err, purchase.ErrUnavailable):
				t.Errorf("call %d: %v, want %v", i, err, want)
			}
		})
	}
	together.Wait()
	return int(won.Load())
}

func casesChangeOnce(t *testing.T, s DatabaseSubject) {
	again := s.Again(t)
	from := func(i int) Database { return []Database{s.Database, again}[i%2] }
	// A purchase has one case.
	if won := race(t, 50, care.ErrStale, func(i int) error {
		_, err := from(i).ChangeCase(t.Context(), care.Change{Now: complaint(7), Entries: []care.Entry{{At: dawn, Event: care.EventOpened, By: care.Actor{Kind: care.BySystem}}}})
		return err
	}); won != 1 {
		t.Errorf("opened %d times", won)
	}
	all, err := s.CasesAbout(t.Context(), 7)
	if err != nil || len(all) != 1 {
		t.Fatalf("cases %+v, %v", all, err)
	}
	// A version is followed by one.
	for version := int64(2); version < 5; version++ {
		if won := race(t, 50, care.ErrStale, func(i int) error {
			now := all[0]
			now.Version, now.Digest = version, fmt.Sprint(i)
			_, err := from(i).ChangeCase(t.Context(), care.Change{Now: now, Entries: []care.Entry{{At: dawn, Event: care.EventNote, By: care.Actor{Kind: care.ByStaff, Staff: 1}, Text: now.Digest}}})
			return err
		}); won != 1 {
			t.Errorf("version %d was written %d times", version, won)
		}
	}
	history, err := s.History(t.Context(), all[0].ID)
	last, err2 := s.Cases(t.Context(), all[0].ID)
	if err != nil || err2 != nil || len(history) != 4 || len(last) != 1 || last[0].Version != 4 || last[0].Digest != history[3].Text {
		t.Errorf("%+v and %+v, %v, %v", history, last, err, err2)
	}
	// Those without a purchase are as many as there are matters.
	for range 2 {
		changeCase(t, s, care.Change{Now: complaint(0)})
	}
	// One that was merged leaves its place to another.
	merged := last[0]
	merged.Version, merged.Status, merged.Into, merged.ClosedAt = 5, care.Withdrawn, all[0].ID+100, dawn
	changeCase(t, s, care.Change{Now: merged})
	next := changeCase(t, s, care.Change{Now: complaint(7)})
	if all, err := s.CasesAbout(t.Context(), 7, 8, 0); err != nil || len(all) != 1 || all[0].ID != next.ID {
		t.Errorf("cases %+v, %v", all, err)
	}
	if of, err := s.CasesOf(t.Context(), someone, 2); err != nil || len(of) != 2 || of[0].ID != next.ID || of[1].ID <= all[0].ID {
		t.Errorf("a number's newest %+v, %v", of, err)
	}
}

func casesCloseOnProof(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	pending, done, given := shop.sell(request(1), charged), shop.sell(request(2), charged, credited), shop.sell(request(3), charged, refused, refunded)
	for _, c := range []struct {
		about   purchase.ID
		outcome care.Outcome
		proof   care.Proof
		proven  bool
	}{
		{pending.ID, care.OutcomeCredited, care.Proof{Purchase: pending.ID, State: purchase.Credited}, false},
		{pending.ID, care.OutcomeCredited, care.Proof{Purchase: pending.ID, State: purchase.Crediting}, false}, // it holds money
		{done.ID, care.OutcomeRefunded, care.Proof{Purchase: done.ID, State: purchase.Refunded}, false},
		{done.ID, care.OutcomeCredited, care.Proof{Purchase: 999, State: purchase.Credited}, false},
		{done.ID, care.OutcomeCredited, care.Proof{Purchase: done.ID, State: purchase.Credited}, true},
		{given.ID, care.OutcomeRefunded, care.Proof{Purchase: given.ID, State: purchase.Refunded}, true},
	} {
		if _, err := s.ChangeCase(t.Context(), care.Change{Now: complaint(c.about)}); err != nil && !errors.Is(err, care.ErrStale) {
			t.Fatal(err)
		}
		before, err := s.CasesAbout(t.Context(), c.about)
		if err != nil || len(before) != 1 {
			t.Fatalf("%+v, %v", before, err)
		}
		_, err = s.ChangeCase(t.Context(), care.Change{Now: settled(before[0], c.outcome, dawn), Proof: &c.proof,
			Messages: []care.Message{{To: someone}}, Entries: []care.Entry{{Event: care.EventSettled, By: care.Actor{Kind: care.ByRule}}}})
		after, err2 := s.CasesAbout(t.Context(), c.about)
		told, err3 := s.MessagesOf(t.Context(), before[0].ID, 0)
		switch {
		case err2 != nil || err3 != nil:
			t.Fatal(err2, err3)
		case c.proven && (err != nil || after[0].Status != care.Settled || len(told) != 1):
			t.Errorf("%+v: %v", c, err)
		case !c.proven && (!errors.Is(err, care.ErrUnproven) || errors.Is(err, purchase.ErrUnavailable) || after[0].Version != before[0].Version || len(told) != 0):
			t.Errorf("%+v: %v", c, err)
		}
	}
	verified(t, s, dawn)
}

func openingsAreTaken(t *testing.T, s DatabaseSubject) {
	openings := func(limit int) []care.Opening {
		t.Helper()
		all, err := s.Openings(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if none := openings(10); len(none) != 0 {
		t.Errorf("openings of nothing: %+v", none)
	}
	shop := newShop(t, s)
	p := shop.sell(request(1), declined, charged) // an orphan
	reports := []care.Report{{Purchase: p.ID, Number: someone, Matter: care.MatterOther, Channel: "app", Detail: kept, At: 1},
		{Purchase: p.ID, Number: someone + 1, Matter: care.MatterOther, At: shop.now + 1}}
	for _, r := range reports {
		if _, _, err := s.AddReport(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	want := []care.Opening{{Purchase: p.ID, Matter: care.MatterOther, At: 1, Report: &reports[0]}, {Purchase: p.ID, Matter: purchase.MatterOrphanCharge, At: shop.now},
		{Purchase: p.ID, Matter: care.MatterOther, At: shop.now + 1, Report: &reports[1]}}
	if got := openings(10); !reflect.DeepEqual(got, want) {
		t.Fatalf("openings %+v", got)
	}
	if got := openings(2); !reflect.DeepEqual(got, want[:2]) {
		t.Errorf("the first two %+v", got)
	}
	c := changeCase(t, s, care.Change{Now: complaint(p.ID), Taken: want[:1]})
	if got := openings(10); !reflect.DeepEqual(got, want[1:]) {
		t.Errorf("after one was taken %+v", got)
	}
	c.Version = 9
	if _, err := s.ChangeCase(t.Context(), care.Change{Now: c, Taken: want}); !errors.Is(err, care.ErrStale) || len(openings(10)) != 2 {
		t.Errorf("a stale change took openings: %v", err)
	}
	c.Version = 2
	changeCase(t, s, care.Change{Now: c, Taken: want})
	if got := openings(10); len(got) != 0 {
		t.Errorf("after all were taken %+v", got)
	}
	if r := load(t, s, p.ID); len(r.Cases) != 1 || r.Cases[0].Matter != purchase.MatterOrphanCharge {
		t.Errorf("the record's cases: %+v", r.Cases)
	}
}

func casesComeDue(t *testing.T, s DatabaseSubject) {
	var all []care.Case
	for i, at := range []purchase.Instant{dawn + 3, dawn + 1, dawn + 1, dawn + 9} {
		c := complaint(purchase.ID(i + 1))
		c.DueAt = at
		if i == 2 {
			c.Status, c.Clock.PausedAt = care.Waiting, dawn
		}
		all = append(all, changeCase(t, s, care.Change{Now: c}))
	}
	closed := settled(changeCase(t, s, care.Change{Now: complaint(5)}), care.OutcomeAnswered, dawn)
	closed.DueAt = dawn
	changeCase(t, s, care.Change{Now: closed})
	for _, c := range []struct {
		till  purchase.Instant
		limit int
		want  []int
		next  purchase.Instant
	}{{dawn, 10, nil, dawn + 1}, {dawn + 1, 10, []int{1, 2}, dawn + 3}, {dawn + 1, 1, []int{1}, dawn + 1}, {dawn + 3, 2, []int{1, 2}, dawn + 3},
		{dawn + 3, 3, []int{1, 2, 0}, dawn + 9}, {dawn + 9, 10, []int{1, 2, 0, 3}, 0}} {
		due, next, err := s.DueCases(t.Context(), c.till, c.limit)
		var want []care.Case
		for _, i := range c.want {
			want = append(want, all[i])
		}
		if err != nil || next != c.next || !reflect.DeepEqual(due, want) {
			t.Errorf("due at %s, at most %d: %+v, next %s, %v", c.till, c.limit, due, next, err)
		}
	}
}

// queuesPage compares every queue, page by page, with the same cases in memory.
func queuesPage(t *testing.T, s DatabaseSubject) {
	r := rand.New(rand.NewPCG(5, 8)) //nolint:gosec // replayable on purpose
	var all []care.Case
	for range 120 {
		c := complaint(0)
		c.Owner, c.Level, c.Incident = []care.Case{{}, {Owner: 1}, {Owner: 2}}[r.IntN(3)].Owner, r.IntN(2), []string{"", "", "i-1", "i-2"}[r.IntN(4)]
		c.Code = []care.Code{care.CodeTopUp, care.CodeOther}[r.IntN(2)]
		c.Clock = care.Clock{AnswerBy: dawn + purchase.Instant(r.IntN(9)), ResolveBy: dawn + 5 + purchase.Instant(r.IntN(9))}
		c.AnsweredAt = purchase.Instant(r.IntN(2))
		switch r.IntN(5) {
		case 0:
			c.Status, c.Clock.PausedAt = care.Waiting, dawn
		case 1:
			c.Status, c.Outcome, c.ClosedAt = care.Settled, care.OutcomeAnswered, dawn+purchase.Instant(r.IntN(9))
		case 2:
			c.Status, c.ClosedAt = care.Withdrawn, dawn+purchase.Instant(r.IntN(9))
		}
		all = append(all, changeCase(t, s, care.Change{Now: c}))
	}
	const now = dawn + 7
	fits := map[care.View]func(*care.Case) bool{
		care.ViewMine:    func(c *care.Case) bool { return c.Status == care.Open && c.Owner == 2 },
		care.ViewUnowned: func(c *care.Case) bool { return c.Status == care.Open && c.Owner == 0 },
		care.ViewLate: func(c *care.Case) bool {
			return c.Status == care.Open && (c.Clock.ResolveBy <= now || c.AnsweredAt == 0 && c.Clock.AnswerBy <= now)
		},
		care.ViewEscalated: func(c *care.Case) bool { return c.Status == care.Open && c.Level == 1 },
		care.ViewWaiting:   func(c *care.Case) bool { return c.Status == care.Waiting },
		care.ViewOpen:      func(c *care.Case) bool { return c.Status == care.Open },
		care.ViewSettled:   func(c *care.Case) bool { return c.Status == care.Settled },
	}
	for _, view := range care.Views {
		for _, incident := range []string{"", "i-1"} {
			for _, code := range []care.Code{"", care.CodeOther} {
				want := slices.DeleteFunc(slices.Clone(all), func(c care.Case) bool {
					return !fits[view](&c) || incident != "" && c.Incident != incident || code != "" && c.Code != code
				})
				slices.SortFunc(want, func(a, b care.Case) int {
					if view == care.ViewSettled {
						return cmp.Or(cmp.Compare(b.ClosedAt, a.ClosedAt), cmp.Compare(b.ID, a.ID))
					}
					return cmp.Or(cmp.Compare(a.Clock.ResolveBy, b.Clock.ResolveBy), cmp.Compare(a.ID, b.ID))
				})
				if len(want) == 0 {
					t.Errorf("nothing in view %s", view)
				}
				q := care.Queue{View: view, Staff: 2, Incident: incident, Code: code, Now: now, Limit: 7}
				var got []care.Case
				for more := true; more; {
					page, count, err := s.Queue(t.Context(), q)
					if err != nil || count != len(want) || len(page) > q.Limit {
						t.Fatalf("%+v: %d of %d, want %d, %v", q, len(page), count, len(want), err)
					}
					got = append(got, page...)
					if more = len(page) == q.Limit; more {
						q.After = &page[len(page)-1]
					}
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("view %s, incident %q, code %q: %d cases, want %d, or another order", view, incident, code, len(got), len(want))
				}
			}
		}
	}
}

// queuesCountSoFar: what is more than a thousand is not counted.
func queuesCountSoFar(t *testing.T, s DatabaseSubject) {
	s.Execute(t, `INSERT INTO case_file (version, number, purchase, owner, owner_till, opened_at, answer_by, resolve_by, paused_at, answered_at, treated_at,
			due_at, closed_at, changed_at, merged_into, status, outcome, prefer, level, reopened, code, matters, rule, incident, channel, language, digest)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
		SELECT 1, 1, 0, 0, 0, 1, i, i + 600, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 'A11', ',other,', '', '', 'app', 'fr', '' FROM n`)
	for view, want := range map[care.View]int{care.ViewOpen: 1001, care.ViewLate: 1001, care.ViewEscalated: 0} {
		if page, count, err := s.Queue(t.Context(), care.Queue{View: view, Now: 1500, Limit: 3}); err != nil || count != want || len(page) != min(3, want) {
			t.Errorf("%s: %d of %d, %v", view, len(page), count, err)
		}
	}
	if _, count, err := s.Queue(t.Context(), care.Queue{View: care.ViewLate, Now: 900, Limit: 3}); err != nil || count != 900 {
		t.Errorf("late in any way: %d, %v", count, err)
	}
}
