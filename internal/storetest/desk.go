package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

func rulesHaveVersions(t *testing.T, s DatabaseSubject) {
	full := care.Rule{Name: hostile, Version: 1, Active: true, Order: 2, Do: care.StepRefund, Amount: 3, Budget: 4, At: 5, By: care.Actor{Kind: care.ByStaff, Staff: 6, Name: hostile},
		When: care.When{Matters: []purchase.Matter{care.MatterOther, purchase.MatterLateCredit}, States: []purchase.State{purchase.Crediting, purchase.Declined},
			Prefer: care.PreferMoney, After: 7 * time.Minute, Most: 8, Proven: true}}
	for _, version := range []int{0, 2} {
		wrong := full
		wrong.Version = version
		if err := s.AddRule(t.Context(), wrong); !errors.Is(err, care.ErrStale) {
			t.Errorf("first version %d: %v", version, err)
		}
	}
	if won := race(t, 20, care.ErrStale, func(int) error { return s.AddRule(t.Context(), full) }); won != 1 {
		t.Errorf("version 1 was added %d times", won)
	}
	second := care.Rule{Name: hostile, Version: 2, Order: 9, Do: care.StepExplain, By: care.Actor{Kind: care.BySystem}}
	other := care.Rule{Name: "other", Version: 1, Order: 1, Do: care.StepSettle, By: care.Actor{Kind: care.BySystem}}
	for _, r := range []care.Rule{second, other} {
		if err := s.AddRule(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	full.Name, full.By.Name, second.Name = kept, kept, kept
	if got, err := s.Rules(t.Context()); err != nil || !reflect.DeepEqual(got, []care.Rule{other, second}) {
		t.Errorf("rules %+v, %v", got, err)
	}
	if got, err := s.RuleVersions(t.Context(), hostile); err != nil || !reflect.DeepEqual(got, []care.Rule{full, second}) {
		t.Errorf("versions %+v, want %+v, %v", got, full, err)
	}
}

func treatmentsKeepBudgets(t *testing.T, s DatabaseSubject) {
	one := care.Treatment{Case: 1, Rule: "r", Version: 1, Do: care.StepGoodwill, At: dawn, Amount: 100, Result: hostile}
	if won := race(t, 20, care.ErrTwice, func(int) error { return s.AddTreatment(t.Context(), one, 1000, dawn) }); won != 1 {
		t.Errorf("treated %d times", won)
	}
	again := s.Again(t)
	if won := race(t, 40, care.ErrRefused, func(i int) error {
		next := one
		next.Case, next.At = care.CaseID(i+2), dawn+1
		return []Database{s.Database, again}[i%2].AddTreatment(t.Context(), next, 1000, dawn)
	}); won != 9 {
		t.Errorf("%d more are within the budget, want 9", won)
	}
	next := one
	next.Case, next.Version, next.At = 1, 2, dawn+5
	for _, c := range []struct {
		amount, budget int64
		since          purchase.Instant
		want           error
	}{{1, 1000, dawn, care.ErrRefused}, {0, 1000, dawn, nil}, {100, 1000, dawn + 1, nil}, {100, 0, dawn, care.ErrRefused}} {
		next.Amount = c.amount
		if err := s.AddTreatment(t.Context(), next, c.budget, c.since); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
		next.Case++
	}
	other := care.Treatment{Case: 1, Rule: "other", Version: 1, At: dawn + 3}
	if err := s.AddTreatment(t.Context(), other, 0, 0); err != nil {
		t.Fatal(err)
	}
	one.Result = kept
	if all, err := s.Treatments(t.Context(), "r", 100); err != nil || len(all) != 12 || all[0].At != dawn+5 || all[11] != one {
		t.Errorf("treatments of a rule %+v, %v", all, err)
	}
	if all, err := s.Treatments(t.Context(), "", 4); err != nil || len(all) != 4 || all[2] != other {
		t.Errorf("treatments %+v, %v", all, err)
	}
	var cases []care.Case
	for i := range 5 {
		c := complaint(0)
		c.OpenedAt += purchase.Instant(i % 2)
		cases = append(cases, changeCase(t, s, care.Change{Now: c}))
	}
	if got, err := s.PastCases(t.Context(), dawn, cases[0].ID, 2); err != nil || !reflect.DeepEqual(got, cases[1:3]) {
		t.Errorf("past cases %+v, %v", got, err)
	}
	if got, err := s.PastCases(t.Context(), dawn+1, 0, 9); err != nil || !reflect.DeepEqual(got, []care.Case{cases[1], cases[3]}) {
		t.Errorf("past cases since then %+v, %v", got, err)
	}
}

func looksAreKept(t *testing.T, s DatabaseSubject) {
	all := []care.Look{{At: 1, Staff: 2, Number: someone, Purchase: 3, Case: 4, Reason: hostile}, {At: 5, Staff: 6, Number: someone}, {At: 7, Staff: 2, Number: someone + 1}}
	for _, l := range all {
		if err := s.AddLook(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	all[0].Reason = kept
	for _, c := range []struct {
		number purchase.MSISDN
		staff  auth.StaffID
		limit  int
		want   []care.Look
	}{{0, 0, 9, []care.Look{all[2], all[1], all[0]}}, {0, 0, 1, all[2:]}, {someone, 0, 9, []care.Look{all[1], all[0]}}, {0, 2, 9, []care.Look{all[2], all[0]}}, {someone, 2, 9, all[:1]}} {
		if got, err := s.Looks(t.Context(), c.number, c.staff, c.limit); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
}

func macrosHaveVersions(t *testing.T, s DatabaseSubject) {
	put := func(want error, m care.Macro) {
		t.Helper()
		if err := s.PutMacro(t.Context(), m); !errors.Is(err, want) {
			t.Errorf("put %+v: %v, want %v", m, err, want)
		}
	}
	put(care.ErrStale, care.Macro{Name: "b", Language: "fr", Text: "x", Version: 2})
	put(nil, care.Macro{Name: "b", Language: "fr", Text: hostile, Version: 1})
	put(care.ErrStale, care.Macro{Name: "b", Language: "fr", Text: "x", Version: 1})
	put(nil, care.Macro{Name: "b", Language: "en", Text: "y", Version: 1})
	put(nil, care.Macro{Name: "a", Language: "fr", Text: "z", Version: 1})
	if won := race(t, 20, care.ErrStale, func(i int) error {
		return s.PutMacro(t.Context(), care.Macro{Name: "b", Language: "en", Text: fmt.Sprint("y", i), Version: 2})
	}); won != 1 {
		t.Errorf("changed %d times", won)
	}
	put(care.ErrStale, care.Macro{Name: "a", Language: "fr", Version: 1})
	put(nil, care.Macro{Name: "a", Language: "fr", Version: 2})
	all, err := s.Macros(t.Context())
	if err != nil || len(all) != 2 || all[0].Language != "en" || all[0].Version != 2 || all[1] != (care.Macro{Name: "b", Language: "fr", Text: kept, Version: 1}) {
		t.Errorf("macros %+v, %v", all, err)
	}
}

func attachmentsAreBounded(t *testing.T, s DatabaseSubject) {
	file := care.Attachment{Case: 7, At: 1, By: care.Actor{Kind: care.ByStaff, Staff: 2, Name: hostile}, Name: hostile, Type: "image/png", Data: []byte("\x89PNG\x00\xff")}
	if won := race(t, 30, care.ErrFull, func(int) error { _, err := s.AddAttachment(t.Context(), file); return err }); won != care.MaxAttachments {
		t.Errorf("%d files are kept", won)
	}
	file.Case = 8
	id, err := s.AddAttachment(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	want := file
	want.ID, want.By.Name, want.Name, want.Size, want.Data = id, kept, kept, len(file.Data), nil
	if all, err := s.Attachments(t.Context(), 8); err != nil || !reflect.DeepEqual(all, []care.Attachment{want}) {
		t.Errorf("files %+v, %v", all, err)
	}
	if one, err := s.Attachment(t.Context(), 8, id); err != nil || !bytes.Equal(one.Data, file.Data) || one.Name != kept {
		t.Errorf("file %+v, %v", one, err)
	}
	if _, err := s.Attachment(t.Context(), 7, id); !errors.Is(err, care.ErrNotFound) {
		t.Errorf("another case's file: %v", err)
	}
}

func plansCloseOnce(t *testing.T, s DatabaseSubject) {
	b := care.Bulk{Version: 1, Staff: 1, At: 2, GoAt: 3, Cases: []care.CaseID{5, 4},
		Deed: care.Deed{Do: care.EventSettled, Text: "l'œil <&>", Staff: 6, Outcome: care.OutcomeRefunded, Incident: "i", Prefer: care.PreferUnits}}
	id, err := s.AddBulk(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	b.ID, b.Done = id, 1
	for _, c := range []struct {
		version int64
		moves   bool
	}{{1, false}, {2, true}, {2, false}, {4, false}, {3, true}} { // before it is closed it may go on, in turns
		b.Version = c.version
		if moved, err := s.MoveBulk(t.Context(), b); err != nil || moved != c.moves {
			t.Errorf("version %d moved %v, %v", c.version, moved, err)
		}
	}
	b.Version, b.Done, b.Failed, b.Undone, b.ClosedAt = 4, 2, 3, true, 10
	refusal := errors.New("closed")
	if won := race(t, 20, refusal, func(int) error {
		moved, err := s.MoveBulk(t.Context(), b)
		if err == nil && !moved {
			return refusal
		}
		return err
	}); won != 1 {
		t.Errorf("closed %d times", won)
	}
	open := care.Bulk{Version: 1, Staff: 2, At: 5}
	if open.ID, err = s.AddBulk(t.Context(), open); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		staff auth.StaffID
		since purchase.Instant
		want  []care.BulkID
	}{{0, 10, []care.BulkID{id, open.ID}}, {0, 11, []care.BulkID{open.ID}}, {1, 10, []care.BulkID{id}}, {1, 11, nil}} {
		all, err := s.Bulks(t.Context(), c.staff, c.since)
		var got []care.BulkID
		for i := range all {
			if got = append(got, all[i].ID); all[i].ID == id && !reflect.DeepEqual(all[i], b) {
				t.Errorf("plan %+v, want %+v", all[i], b)
			}
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func figuresAddUp(t *testing.T, s DatabaseSubject) {
	const hour = purchase.Instant(60 * minute)
	add := func(change func(*care.Case)) {
		c := complaint(0)
		change(&c)
		changeCase(t, s, care.Change{Now: c, Entries: []care.Entry{{At: c.ClosedAt, Event: care.EventSettled, By: care.Actor{Kind: care.ByStaff, Staff: 1}}}})
	}
	add(func(c *care.Case) { c.Owner = 1 })
	add(func(c *care.Case) { c.AnsweredAt, c.Code = dawn+3*hour, care.CodeOther })
	add(func(c *care.Case) { c.Status, c.Clock.PausedAt, c.AnsweredAt = care.Waiting, dawn, dawn+hour })
	add(func(c *care.Case) {
		c.Status, c.Outcome, c.ClosedAt, c.Rule = care.Settled, care.OutcomeAnswered, dawn+hour, "r"
	})
	add(func(c *care.Case) { c.Status, c.Outcome, c.ClosedAt = care.Settled, care.OutcomeAnswered, dawn+30*hour })
	add(func(c *care.Case) { c.Status, c.ClosedAt, c.OpenedAt = care.Withdrawn, dawn+hour, dawn-hour })
	for _, c := range []struct {
		from, till purchase.Instant
		want       care.Figures
	}{
		{dawn, dawn + 4*hour, care.Figures{Opened: 5, Settled: 1, Withdrawn: 1, ByRule: 1, Answered: 2, AnsweredInTime: 1, ResolvedInTime: 1, Open: 2, Late: 1,
			ByCode: map[care.Code]int{care.CodeTopUp: 4, care.CodeOther: 1}}},
		{dawn + 4*hour, dawn + 40*hour, care.Figures{Settled: 1, Open: 2, Late: 2, ByCode: map[care.Code]int{}}},
	} {
		if got, err := s.Figures(t.Context(), c.from, c.till); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("from %s to %s: %+v, %v", c.from, c.till, got, err)
		}
	}
	ask(t, s, refundOf(1))
	broken := promised(t, s, promise(someone, 1))
	broken.Version, broken.Tries = 2, 1 // no call, as the customer's phone never rang
	changeCallback(t, s, care.CallbackChange{Now: broken, Attempt: &care.Attempt{Try: 1, Staff: 2, At: dawn, EndedAt: dawn + 1, Ring: care.Undialled}})
	broken.Version, broken.State, broken.ClosedAt, broken.DueAt, broken.Tries = 3, care.Broken, dawn+2*window, 0, 2
	changeCallback(t, s, care.CallbackChange{Now: broken, Attempt: &care.Attempt{Try: 2, Staff: 2, At: dawn, EndedAt: dawn + 1, Ring: care.Answered}})
	for at := range purchase.Instant(3) {
		if err := s.AddLook(t.Context(), care.Look{At: dawn + at, Staff: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Agents(t.Context(), dawn, dawn+2*hour); err != nil ||
		!reflect.DeepEqual(got, []care.AgentFigures{{Staff: 1, Owned: 1, Settled: 2, Requests: 1}, {Staff: 2, Calls: 1, Answered: 1, Views: 3}}) {
		t.Errorf("agents %+v, %v", got, err)
	}
	want := []care.Bucket{{At: dawn - hour, Opened: 1}, {At: dawn, Opened: 5, Promised: 1, Broken: 1}, {At: dawn + hour, Settled: 1}}
	if got, err := s.Course(t.Context(), dawn-hour, dawn+hour+1, time.Hour); err != nil || !slices.Equal(got, want) {
		t.Errorf("course %+v, %v", got, err)
	}
	for _, none := range []struct {
		till  purchase.Instant
		every time.Duration
	}{{dawn, time.Hour}, {dawn + 5, 0}} {
		if got, err := s.Course(t.Context(), dawn, none.till, none.every); err != nil || len(got) != 0 {
			t.Errorf("no course: %+v, %v", got, err)
		}
	}
}

func othersSeeWhatChanged(t *testing.T, s DatabaseSubject) {
	var all []care.CaseID
	for i := range 3 {
		c := complaint(0)
		c.ChangedAt = dawn + purchase.Instant(5-i)
		all = append(all, changeCase(t, s, care.Change{Now: c}).ID)
	}
	if got, err := s.Changed(t.Context(), dawn+4, 5); err != nil || !slices.Equal(got, []care.CaseID{all[1], all[0]}) {
		t.Errorf("changed %v, %v", got, err)
	}
	if got, err := s.Changed(t.Context(), 0, 1); err != nil || !slices.Equal(got, all[2:]) {
		t.Errorf("changed first %v, %v", got, err)
	}
	bought := request(1)
	bought.Recipient++
	p := newShop(t, s).sell(bought, charged)
	if got, err := s.Versions(t.Context(), p.ID, p.ID+1); err != nil || len(got) != 1 || got[p.ID] != p.Version {
		t.Errorf("versions %v, %v", got, err)
	}
	if got, err := s.Versions(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("versions of nothing %v, %v", got, err)
	}
	payer, recipient := p.PayerNumber, p.Recipient
	for since, want := range map[purchase.Instant]map[purchase.MSISDN][]purchase.ID{p.CreatedAt: {payer: {p.ID}, recipient: {p.ID}}, p.CreatedAt + 1: {}} {
		if got, err := s.Begun(t.Context(), since, payer, recipient, payer+1); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("begun since %d: %v, %v, want %v", since, got, err, want)
		}
	}
	if got, err := s.Begun(t.Context(), 0); err != nil || len(got) != 0 {
		t.Errorf("begun of nobody %v, %v", got, err)
	}
}

// lettersGoOut: an outbox delivers what customers are told of cases.
func lettersGoOut(t *testing.T, s DatabaseSubject) {
	c := changeCase(t, s, care.Change{Now: complaint(1), Messages: []care.Message{{To: someone, Language: "fr", Text: hostile, At: dawn + 2},
		{To: someone + 1, Language: "en", Text: "first", At: dawn + 1}, {To: someone, Text: "last", At: dawn + 3}}})
	told, err := s.MessagesOf(t.Context(), c.ID, 0)
	if err != nil || len(told) != 3 {
		t.Fatalf("messages %+v, %v", told, err)
	}
	letters := s.Letters
	newest := func(want purchase.Instant) {
		t.Helper()
		if at, err := letters.NewestUnsent(t.Context()); err != nil || at != want {
			t.Errorf("newest unsent at %s, %v, want %s", at, err, want)
		}
	}
	newest(dawn + 3)
	want := []purchase.Notice{{Purchase: purchase.ID(told[1].ID), Fact: 1, To: someone + 1, Language: "en", Text: "first", At: dawn + 1},
		{Purchase: purchase.ID(told[0].ID), Fact: 1, To: someone, Language: "fr", Text: kept, At: dawn + 2}}
	unsent, err := letters.UnsentNotices(t.Context(), 2)
	if err != nil || !slices.Equal(unsent, want) {
		t.Errorf("unsent %+v, %v", unsent, err)
	}
	for i := range purchase.Instant(2) {
		if err := letters.MarkSent(t.Context(), unsent, dawn+5+i); err != nil {
			t.Fatal(err)
		}
	}
	if err := letters.MarkSent(t.Context(), nil, dawn); err != nil {
		t.Errorf("mark nothing: %v", err)
	}
	if left, err := letters.UnsentNotices(t.Context(), 9); err != nil || len(left) != 1 || left[0].Text != "last" {
		t.Errorf("left %+v, %v", left, err)
	}
	newest(dawn + 3)
	if told, err = s.MessagesOf(t.Context(), c.ID, 0); err != nil || told[0].SentAt != dawn+5 || told[1].SentAt != dawn+5 || told[2].SentAt != 0 {
		t.Errorf("sent %+v, %v", told, err)
	}
	if err := letters.MarkSent(t.Context(), []purchase.Notice{{Purchase: purchase.ID(told[2].ID), Fact: 1}}, dawn+9); err != nil {
		t.Fatal(err)
	}
	newest(0)
}
