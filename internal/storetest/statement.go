package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

var around = reconcile.Span{From: dawn - 3_600_000_000, To: dawn + 3_600_000_000}

// runStatements checks what a database adds for reconciliation.
func runStatements(t *testing.T, open func(testing.TB) DatabaseSubject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, DatabaseSubject)
	}{
		{"MovementsAreRead", movementsAreRead},
		{"StatementsAreKept", statementsAreKept},
		{"BreaksAreKept", breaksAreKept},
		{"BreaksByTheBatch", breaksByTheBatch},
		{"ClosesAreAdded", closesAreAdded},
		{"StatementsAreReconciled", statementsAreReconciled},
		{"OtherwiseThanTold", otherwiseThanTold},
		{"AccountsSettle", accountsSettle},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// The movements that are read narrowly are those of the records.
func movementsAreRead(t *testing.T, s DatabaseSubject) {
	ctx := t.Context()
	shop := newShop(t, s)
	var ids []purchase.ID
	for i := int64(1); i <= 9; i++ {
		r := request(i)
		if i%3 == 0 {
			r.Provider = "other"
		}
		events := []purchase.Event{charged}
		switch i {
		case 4:
			events = append(events, credited)
		case 5:
			events = append(events, refused) // it is given back, by the payer
		case 7:
			events = append(events, answer(purchase.Credit, purchase.Unknown, ""))
		}
		p := shop.sell(r, events...)
		ids = append(ids, p.ID)
	}
	// The eighth is routed elsewhere by now.
	s.Execute(t, fmt.Sprintf(`UPDATE purchase SET provider = 'other' WHERE id = %d`, int64(ids[7])))
	ranges, err := s.Made(ctx, around)
	if err != nil || len(ranges) != 1 || ranges[0] != (reconcile.IDs{From: purchase.MakeID(0, 1), Till: purchase.MakeID(0, 10)}) {
		t.Fatalf("made: %+v, %v", ranges, err)
	}
	if none, err := s.Made(ctx, reconcile.Span{From: dawn + 3600_000_000, To: dawn + 7200_000_000}); err != nil || len(none) != 0 {
		t.Errorf("made at another time: %+v, %v", none, err)
	}
	records, err := s.Load(ctx, ids...)
	if err != nil {
		t.Fatal(err)
	}
	for _, partner := range []string{"ocs", "wallet", "other", "nobody"} {
		var want []reconcile.Movement
		for i := range records {
			want = append(want, reconcile.MovementsOf(&records[i], partner)...)
		}
		for _, limit := range []int{1, 2, 4, 100} {
			var got []reconcile.Movement
			for in := ranges[0]; in.From < in.Till; {
				till, err := s.Piece(ctx, in, limit)
				if err != nil || till <= in.From || till > in.From+purchase.ID(limit) {
					t.Fatalf("a piece of %d from %d ends at %d, %v", limit, in.From, till, err)
				}
				found, err := s.Movements(ctx, partner, reconcile.IDs{From: in.From, Till: till})
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, found...)
				in.From = till
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("of %s, %d at once: read %+v, want %+v", partner, limit, got, want)
			}
		}
		if partner == "ocs" && !slices.ContainsFunc(want, func(m reconcile.Movement) bool { return m.Elsewhere }) {
			t.Error("none is elsewhere")
		}
		if partner == "wallet" && !slices.ContainsFunc(want, func(m reconcile.Movement) bool { return m.Leg == purchase.Refund }) {
			t.Error("none is a refund")
		}
	}
}

func statementsAreKept(t *testing.T, s DatabaseSubject) {
	ctx := t.Context()
	st := reconcile.Statement{Partner: "ocs", Name: hostile, Format: "csv", Zone: "Africa/Lagos", Digest: "ab", Span: around, At: dawn, Partial: true,
		Lines: 7, Sums: []reconcile.Sum{{Kind: reconcile.KindCredit, Currency: "XOF", Lines: 7, Amount: 700}}}
	if _, err := s.Loaded(ctx, "ocs", "ab"); !errors.Is(err, reconcile.ErrNoStatement) {
		t.Errorf("before it was loaded: %v", err)
	}
	begun, err := s.BeginStatement(ctx, st)
	if err != nil || begun.ID == 0 || begun.Kept {
		t.Fatalf("begin: %+v, %v", begun, err)
	}
	parts := []reconcile.Part{{Seq: 0, First: []byte{0, 1}, Lines: []byte("a\x00\xff")}, {Seq: 1, First: []byte{0, 2}, Lines: []byte("b")}}
	if err := s.PutParts(ctx, begun.ID, parts); err != nil {
		t.Fatal(err)
	}
	// The load ended in the middle: it begins anew.
	if again, err := s.BeginStatement(ctx, st); err != nil || again.ID != begun.ID {
		t.Fatalf("begin again: %+v, %v", again, err)
	}
	if firsts, err := s.Firsts(ctx, begun.ID); err != nil || len(firsts) != 0 {
		t.Errorf("parts of a load that ended: %v, %v", firsts, err)
	}
	if all, err := s.Statements(ctx, "ocs", around); err != nil || len(all) != 0 {
		t.Errorf("one that is not kept is listed: %+v, %v", all, err)
	}
	if err := s.PutParts(ctx, begun.ID, parts); err != nil {
		t.Fatal(err)
	}
	begun.Tally = reconcile.Tally{Lines: 7, Matched: 5, Undone: map[string]int64{"credit XOF": 3}}
	if _, err := s.EndStatement(ctx, begun, nil, dawn); err != nil {
		t.Fatal(err)
	}
	want := st
	want.ID, want.Kept, want.Name, want.Tally = begun.ID, true, kept, begun.Tally
	if got, err := s.Again(t).Loaded(ctx, "ocs", "ab"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v, %v", got, want, err)
	}
	if got, err := s.BeginStatement(ctx, st); err != nil || !got.Kept || got.ID != begun.ID {
		t.Errorf("begun when it is kept: %+v, %v", got, err)
	}
	if lines, err := s.PartLines(ctx, begun.ID, 0); err != nil || !bytes.Equal(lines, parts[0].Lines) {
		t.Errorf("lines %q, %v", lines, err)
	}
	if firsts, err := s.Firsts(ctx, begun.ID); err != nil || !reflect.DeepEqual(firsts, [][]byte{{0, 1}, {0, 2}}) {
		t.Errorf("index %v, %v", firsts, err)
	}
	second := st
	second.Digest = "cd"
	if second, err = s.BeginStatement(ctx, second); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EndStatement(ctx, second, []int64{begun.ID}, dawn+1); err != nil {
		t.Fatal(err)
	}
	for span, n := range map[reconcile.Span]int{around: 1, {}: 1, {From: around.To, To: around.To + 1}: 0, {From: around.From - 1, To: around.From}: 0, {From: around.To - 1, To: around.To}: 1} {
		if all, err := s.Statements(ctx, "", span); err != nil || len(all) != n || n == 1 && all[0].ID != second.ID {
			t.Errorf("statements in %+v: %+v, %v", span, all, err)
		}
	}
	if _, err := s.EndStatement(ctx, reconcile.Statement{ID: 99}, nil, dawn); !errors.Is(err, reconcile.ErrNoStatement) {
		t.Errorf("end none: %v", err)
	}
}

func breaksAreKept(t *testing.T, s DatabaseSubject) {
	ctx := t.Context()
	shop := newShop(t, s)
	p := shop.sell(request(1), charged, credited)
	f := reconcile.Found{Cause: reconcile.CauseLied, Purchase: p.ID, Leg: purchase.Credit, Ref: hostile, Party: "ocs", Number: 22670112233, Here: 5, There: 6,
		Currency: "XOF", At: dawn, Place: 9, Detail: hostile, Version: 3, ByTable: true, Customer: true,
		Correction: purchase.Event{Leg: purchase.Credit, Source: purchase.FromStatement, Outcome: purchase.Outcome{Kind: purchase.Reversed, Ref: "r",
			Amount: money.Amount{Minor: 5, Currency: "XOF"}}}}
	other := reconcile.Found{Cause: reconcile.CauseUnasked, Ref: "x", Party: "ocs", There: 7, Currency: "XOF", At: dawn + 1}
	if n, err := s.PutBreaks(ctx, "ocs", 100, []reconcile.Found{f, other}, dawn+2); err != nil || n != 2 {
		t.Fatalf("%d fresh, %v", n, err)
	}
	if n, err := s.PutBreaks(ctx, "ocs", 100, []reconcile.Found{f}, dawn+3); err != nil || n != 0 {
		t.Fatalf("again: %d fresh, %v", n, err)
	}
	all, err := s.Again(t).Breaks(ctx, reconcile.Sift{Limit: 10})
	if err != nil || len(all) != 2 || all[0].Ref != "x" {
		t.Fatalf("%+v, %v", all, err)
	}
	want := reconcile.Break{ID: all[1].ID, Version: 1, Partner: "ocs", Found: f, Statement: 100, FirstAt: dawn + 2, FoundAt: dawn + 3, ChangedAt: dawn + 2, Status: reconcile.StatusOpen}
	want.Ref, want.Detail = kept, kept
	if b := all[1]; !reflect.DeepEqual(b, want) {
		t.Errorf("read %+v, want %+v", b, want)
	}
	openings, err := s.Openings(ctx, 10)
	if err != nil || len(openings) != 1 || openings[0].Purchase != p.ID || openings[0].Matter != care.MatterBreak {
		t.Errorf("the customer's case is opened as %+v, %v", openings, err)
	}
	breaksAreSifted(t, s, p.ID, all[0].ID)
	// One change of a version wins, with its evidence.
	b := all[1]
	b.Version, b.Status, b.Maker, b.Checker, b.Reason = 2, reconcile.StatusAccepted, 3, 4, hostile
	entry := reconcile.Entry{At: dawn + 4, Staff: 3, Event: "accepted", Text: hostile}
	if won := race(t, 8, reconcile.ErrStale, func(int) error {
		return s.ChangeBreak(ctx, b, entry, &purchase.Parked{Purchase: p.ID, Event: f.Correction, At: dawn + 4})
	}); won != 1 {
		t.Errorf("%d changes of one version won", won)
	}
	parked, err := s.TakeParked(ctx, shop.epoch, 10)
	if err != nil || len(parked) != 1 || parked[0].Event != f.Correction {
		t.Errorf("handed over: %+v, %v", parked, err)
	}
	history, err := s.BreakEntries(ctx, b.ID)
	if err != nil || len(history) != 2 || history[0].Event != "found" || history[1] != (reconcile.Entry{Break: b.ID, Seq: 2, At: dawn + 4, Staff: 3, Event: "accepted", Text: kept}) {
		t.Errorf("history %+v, %v", history, err)
	}
	// A later statement of the time that does not show it ends it; one that does opens it again.
	later, err := s.BeginStatement(ctx, reconcile.Statement{Partner: "ocs", Digest: "ef", Span: around})
	if err != nil {
		t.Fatal(err)
	}
	if gone, err := s.EndStatement(ctx, later, nil, dawn+5); err != nil || gone != 2 {
		t.Errorf("%d are gone, %v", gone, err)
	}
	if n, err := s.PutBreaks(ctx, "ocs", later.ID+1, []reconcile.Found{other}, dawn+6); err != nil || n != 0 {
		t.Errorf("found again: %d fresh, %v", n, err)
	}
	all, err = s.Breaks(ctx, reconcile.Sift{Limit: 10})
	if err != nil || all[0].Status != reconcile.StatusOpen || all[0].Reopened != 1 || all[0].FirstAt != dawn+2 || all[1].Status != reconcile.StatusResolved || all[1].Reason != reconcile.ReasonGone {
		t.Errorf("%+v, %v", all, err)
	}
}

// breaksAreSifted selects and adds up what breaksAreKept found.
func breaksAreSifted(t *testing.T, s DatabaseSubject, p purchase.ID, last int64) {
	t.Helper()
	ctx := t.Context()
	for name, c := range map[string]struct {
		sift reconcile.Sift
		n    int
	}{"partner": {reconcile.Sift{Partner: "wallet"}, 0}, "status": {reconcile.Sift{Status: []reconcile.Status{reconcile.StatusOpen, reconcile.StatusAsked}}, 2},
		"other status": {reconcile.Sift{Status: []reconcile.Status{reconcile.StatusResolved}}, 0}, "cause": {reconcile.Sift{Cause: reconcile.CauseLied}, 1},
		"purchase": {reconcile.Sift{Purchase: p}, 1}, "moved": {reconcile.Sift{Moved: reconcile.Span{From: dawn, To: dawn + 1}}, 1}, "before": {reconcile.Sift{Before: last}, 1}, "all but the last": {reconcile.Sift{Partner: "ocs", Party: "ocs", Before: last}, 1}, "party": {reconcile.Sift{Party: "ocs"}, 2}, "another party": {reconcile.Sift{Party: reconcile.House}, 0},
		"age": {reconcile.Sift{First: reconcile.Span{From: dawn + 2, To: dawn + 3}}, 2}, "older": {reconcile.Sift{First: reconcile.Span{To: dawn + 2}}, 0}} {
		c.sift.Limit = 10
		if found, err := s.Breaks(ctx, c.sift); err != nil || len(found) != c.n {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	totals, err := s.BreakTotals(ctx, reconcile.Sift{Partner: "ocs", Limit: 1})
	if err != nil || !slices.Equal(totals, []reconcile.BreakTotal{{Cause: reconcile.CauseLied, Party: "ocs", Status: reconcile.StatusOpen, Currency: "XOF", Breaks: 1, Loss: 6},
		{Cause: reconcile.CauseUnasked, Party: "ocs", Status: reconcile.StatusOpen, Currency: "XOF", Breaks: 1, Loss: 7}}) {
		t.Errorf("totals %+v, %v", totals, err)
	}
	if none, err := s.BreakTotals(ctx, reconcile.Sift{Cause: reconcile.CauseTwice}); err != nil || len(none) != 0 {
		t.Errorf("totals of none: %+v, %v", none, err)
	}
}

func closesAreAdded(t *testing.T, s DatabaseSubject) {
	ctx := t.Context()
	if c, err := s.LastClose(ctx); err != nil || c.Seq != 0 {
		t.Errorf("before the first: %+v, %v", c, err)
	}
	again := s.Again(t)
	for seq := int64(1); seq <= 3; seq++ {
		if won := race(t, 8, reconcile.ErrStale, func(i int) error {
			return []Database{s.Database, again}[i%2].AddClose(ctx, reconcile.Close{Seq: seq, Day: fmt.Sprint("2027-01-1", seq%2), Corrects: seq / 3, At: dawn, Note: hostile})
		}); won != 1 {
			t.Errorf("record %d was written %d times", seq, won)
		}
	}
	if err := s.AddClose(ctx, reconcile.Close{Seq: 5, Day: "x"}); !errors.Is(err, reconcile.ErrStale) {
		t.Errorf("a record after a gap: %v", err)
	}
	want := []reconcile.Close{{Seq: 1, Day: "2027-01-11", At: dawn, Note: kept}, {Seq: 3, Day: "2027-01-11", Corrects: 1, At: dawn, Note: kept}}
	if got, err := s.Closes(ctx, "2027-01-11"); err != nil || !slices.Equal(got, want) {
		t.Errorf("read %+v, %v", got, err)
	}
	if c, err := again.LastClose(ctx); err != nil || c.Seq != 3 {
		t.Errorf("last %+v, %v", c, err)
	}
}

// at is a clock that a test sets.
type at struct{ now purchase.Instant }

func (a *at) Now() purchase.Instant                { return a.now }
func (a *at) After(time.Duration) <-chan time.Time { return nil }

// office is a desk over a database, with what its tests need.
type office struct {
	t     *testing.T
	s     DatabaseSubject
	shop  *shop
	keys  *purchase.Keyring
	clock *at
	desk  *reconcile.Desk
}

func newOffice(t *testing.T, s DatabaseSubject) *office {
	t.Helper()
	keys, err := purchase.NewKeyring([]byte("a secret of sixteen bytes"))
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, s: s, shop: newShop(t, s), keys: keys, clock: &at{dawn + 7_200_000_000}}
	o.desk, err = reconcile.NewDesk(reconcile.Config{Store: s.Database, Keys: keys, Clock: o.clock, Dir: t.TempDir(),
		Bounds: map[auth.Role]reconcile.Bounds{auth.Agent: {Single: 5000, Unchecked: 500}, auth.Supervisor: {Single: 5000, Unchecked: 500, Approve: 5000}},
		Known: []reconcile.Known{{Partner: reconcile.Partner{Name: "ocs", Undone: true, Skew: time.Second,
			Capability: func(purchase.Leg) purchase.Capability { return purchase.Capability{Idempotent: true} }}}}})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// line is a line of a purchase's credit.
func (o *office) line(p *purchase.Purchase, ref string, amount int) string {
	return fmt.Sprintf("%s,%s,credit,%d,%d,XOF,airtime,,%s", ref, o.keys.Key(p.ID, purchase.Credit).UUID(), int64(p.Recipient), amount,
		(p.CreatedAt + 1000).Time().Format(time.RFC3339Nano))
}

// load loads a statement of lines.
func (o *office) load(amount int, lines ...string) reconcile.Report {
	o.t.Helper()
	m, err := reconcile.LoadMapping("sandbox")
	if err != nil {
		o.t.Fatal(err)
	}
	text := fmt.Sprintf("statement,ocs,%s,%s\nreference,key,leg,number,amount,currency,product,original,at\n%s\ntotal,XOF,%d,%d\n",
		around.From, around.To, strings.Join(lines, "\n"), len(lines), amount)
	report, err := o.desk.Load(o.t.Context(), "ocs.csv", strings.NewReader(text), m, reconcile.Want{Partner: "ocs"}, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return report
}

// settle lets purchases meet the evidence that was handed over, as their node does, and confirms.
func (o *office) settle() (booked int) {
	o.t.Helper()
	parked, err := o.s.TakeParked(o.t.Context(), o.shop.epoch, 100)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, k := range parked {
		o.shop.drive(load(o.t, o.s, k.Purchase).Purchase, k.Event)
		if err := o.s.Unpark(o.t.Context(), []int64{k.Seq}); err != nil {
			o.t.Fatal(err)
		}
	}
	booked, waiting, err := o.desk.Confirm(o.t.Context())
	if err != nil || waiting != 0 {
		o.t.Errorf("%d wait, %v", waiting, err)
	}
	return booked
}

// find is the only break of a cause and purchase.
func (o *office) find(cause reconcile.Cause, p *purchase.Purchase) reconcile.Break {
	o.t.Helper()
	all, err := o.desk.Breaks(o.t.Context(), reconcile.Sift{Cause: cause, Purchase: p.ID, Limit: 10})
	if err != nil || len(all) != 1 {
		o.t.Fatalf("breaks %s: %+v, %v", cause, all, err)
	}
	return all[0]
}

// Statements are matched with what the database holds; breaks are corrected by evidence, by rule and by people.
func statementsAreReconciled(t *testing.T, s DatabaseSubject) {
	o := newOffice(t, s)
	good := o.shop.sell(request(1), charged, credited)
	lied := o.shop.sell(request(2), charged, credited)
	silent := o.shop.sell(request(3), charged, answer(purchase.Credit, purchase.Unknown, ""))
	other := o.shop.sell(request(4), charged, credited)
	again := o.shop.sell(request(5), charged, credited)
	quiet := o.shop.sell(request(6), charged, refused)
	first := []string{o.line(&good, "credit-1", 1000), o.line(&silent, "C3", 1000), o.line(&other, "credit-1", 900), o.line(&again, "credit-1", 1000), o.line(&again, "C5b", 1000)}
	report := o.load(4900, first...)
	want := map[reconcile.Cause]int{reconcile.CauseLied: 1, reconcile.CauseUnheard: 1, reconcile.CauseAmount: 1, reconcile.CauseTwice: 1}
	if !reflect.DeepEqual(report.Breaks, want) || report.Fresh != 4 || report.ByTable != 1 || report.Statement.Tally.Matched != 3 || report.Statement.Tally.Open != 0 {
		t.Fatalf("%+v", report)
	}
	if report := o.load(4900, first...); !report.Repeated {
		t.Errorf("loaded again: %+v", report)
	}
	// The table decides about what was never answered.
	if n := o.settle(); n != 1 {
		t.Errorf("%d corrections are booked", n)
	}
	if r := load(t, s, silent.ID); r.Purchase.State != purchase.Credited || r.Evidence[len(r.Evidence)-1].Source != purchase.FromStatement {
		t.Errorf("what the statement shows to be credited is %s", r.Purchase.State)
	}
	if b := o.find(reconcile.CauseUnheard, &silent); b.Status != reconcile.StatusResolved || b.Reason != reconcile.ReasonBooked {
		t.Errorf("%+v", b)
	}
	o.decide(&lied, &other)
	// A later version of the statement.
	second := []string{o.line(&good, "credit-1", 1000), o.line(&silent, "C3", 1000), o.line(&other, "credit-1", 1000), o.line(&again, "credit-1", 1000)}
	report = o.load(4000, second...)
	want = map[reconcile.Cause]int{reconcile.CauseChanged: 1, reconcile.CauseVanished: 1}
	if !reflect.DeepEqual(report.Breaks, want) || report.Replaced != 1 || report.Gone != 1 {
		t.Errorf("the second version: %+v", report)
	}
	if b := o.find(reconcile.CauseTwice, &again); b.Status != reconcile.StatusResolved {
		t.Errorf("what is gone: %+v", b)
	}
	third := append(slices.Clone(first), o.line(&quiet, "C6", 1000))
	if report = o.load(5900, third...); report.Breaks[reconcile.CauseTwice] != 1 || report.Breaks[reconcile.CauseDenied] != 1 {
		t.Errorf("the third version: %+v", report)
	}
	if b := o.find(reconcile.CauseTwice, &again); b.Status != reconcile.StatusOpen || b.Reopened != 1 {
		t.Errorf("what was found again: %+v", b)
	}
	o.close()
}

// decide lets people decide about a lie, and about what no evidence puts right.
func (o *office) decide(lied, other *purchase.Purchase) {
	t, ctx := o.t, o.t.Context()
	agent, second := auth.Staff{ID: 1, Role: auth.Agent}, auth.Staff{ID: 2, Role: auth.Supervisor}
	lie := o.find(reconcile.CauseLied, lied)
	own := second
	own.Numbers = []purchase.MSISDN{lied.Recipient}
	for name, c := range map[string]struct {
		by     auth.Staff
		reason string
		want   error
	}{"no reason": {agent, "", reconcile.ErrReason}, "nobody": {auth.Staff{}, "x", reconcile.ErrBound}, "their own": {own, "x", reconcile.ErrOwn},
		"an administrator": {auth.Staff{ID: 3, Role: auth.Administrator}, "x", reconcile.ErrBound}} {
		if _, err := o.desk.Accept(ctx, lie.ID, c.by, c.reason); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b, err := o.desk.Accept(ctx, lie.ID, agent, "not in its records"); err != nil || b.Status != reconcile.StatusAsked || b.Maker != 1 {
		t.Fatalf("asked: %+v, %v", b, err)
	}
	if _, err := o.desk.Accept(ctx, lie.ID, agent, "again"); !errors.Is(err, reconcile.ErrSame) {
		t.Errorf("the maker checks: %v", err)
	}
	if b, err := o.desk.Accept(ctx, lie.ID, second, "seen"); err != nil || b.Status != reconcile.StatusAccepted || b.Checker != 2 {
		t.Fatalf("accepted: %+v, %v", b, err)
	}
	if n := o.settle(); n != 1 {
		t.Errorf("%d corrections are booked", n)
	}
	if r := load(t, o.s, lied.ID); r.Purchase.State != purchase.Refunding {
		t.Errorf("what was never credited is %s", r.Purchase.State)
	}
	amount := o.find(reconcile.CauseAmount, other)
	if _, err := o.desk.Accept(ctx, amount.ID, second, "x"); !errors.Is(err, reconcile.ErrNoCorrection) {
		t.Errorf("no correction: %v", err)
	}
	if _, err := o.desk.Resolve(ctx, amount.ID, agent, "x"); !errors.Is(err, reconcile.ErrBound) {
		t.Errorf("an agent ends a break of 1000: %v", err)
	}
	if b, err := o.desk.Resolve(ctx, amount.ID, second, "credited by a note of the partner"); err != nil || b.Status != reconcile.StatusResolved {
		t.Errorf("resolved: %+v, %v", b, err)
	}
}

// close closes the day, and finds what is done to the record.
func (o *office) close() {
	t, c := o.t, o.t.Context()
	private, public, err := note.GenerateKey(nil, "tenu.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	by := note.VerifierList(verifier)
	if _, err := o.desk.CloseDay(c, "2027-01-15", time.UTC, signer); !errors.Is(err, reconcile.ErrNotOver) {
		t.Errorf("today: %v", err)
	}
	o.clock.now += 86_400_000_000
	first, err := o.desk.CloseDay(c, "2027-01-15", time.UTC, signer)
	if err != nil || first.Seq != 1 {
		t.Fatal(first, err)
	}
	doc, err := reconcile.Verified(first.Note, by)
	if err != nil || len(doc.Figures.Partners) != 1 || len(doc.Figures.Open) == 0 {
		t.Fatalf("%+v, %v", doc, err)
	}
	p := doc.Figures.Partners[0]
	if p.Whole || len(p.There) != 1 || p.There[0] != (reconcile.DaySum{Kind: "credit", Currency: "XOF", Lines: 6, Amount: 5900}) || p.Positions[0].There != -5900 {
		t.Errorf("the partner's day: %+v", p)
	}
	o.clock.now += 1000
	if again, err := o.desk.CloseDay(c, "2027-01-15", time.UTC, signer); !errors.Is(err, reconcile.ErrUnchanged) || again != first {
		t.Errorf("closed again: %v", err)
	}
	open, err := o.desk.Breaks(c, reconcile.Sift{Status: []reconcile.Status{reconcile.StatusOpen}, Cause: reconcile.CauseTwice, Limit: 1})
	if err != nil || len(open) != 1 {
		t.Fatal(open, err)
	}
	if _, err := o.desk.Resolve(c, open[0].ID, auth.Staff{ID: 2, Role: auth.Supervisor}, "settled"); err != nil {
		t.Fatal(err)
	}
	second, err := o.desk.CloseDay(c, "2027-01-15", time.UTC, signer)
	if err != nil || second.Seq != 2 || second.Corrects != 1 {
		t.Errorf("the correction: %+v, %v", second, err)
	}
	if n, err := o.desk.VerifyCloses(c, by); n != 2 || err != nil {
		t.Errorf("%d hold, %v", n, err)
	}
	for _, attack := range []string{`UPDATE day_close SET note = replace(note, '5900', '5901') WHERE seq = 1`, `UPDATE day_close SET day = '2027-01-14' WHERE seq = 2`,
		`DELETE FROM day_close WHERE seq = 1`} {
		o.s.Execute(t, attack)
		if n, err := o.desk.VerifyCloses(c, by); err == nil {
			t.Errorf("after %s: %d hold", attack, n)
		}
	}
}

// A break of number is put right by evidence, once; those of amount and product tell what can be done, or why nothing can.
func otherwiseThanTold(t *testing.T, s DatabaseSubject) {
	o := newOffice(t, s)
	ctx := t.Context()
	elsewhere, short, more, other := o.shop.sell(request(1), charged, credited), o.shop.sell(request(2), charged, credited), o.shop.sell(request(3), charged, credited), o.shop.sell(request(4), charged, credited)
	line := func(p *purchase.Purchase, from, to string, amount int) string {
		return strings.Replace(o.line(p, "credit-1", amount), from, to, 1)
	}
	wrong := line(&elsewhere, ","+fmt.Sprint(int64(elsewhere.Recipient))+",", ",22676999999,", 1000)
	rest := []string{line(&short, "", "", 900), line(&more, "", "", 1100), line(&other, ",airtime,", ",data-day,", 1000)}
	o.load(4000, append([]string{wrong}, rest...)...)
	for p, want := range map[*purchase.Purchase]struct {
		cause  reconcile.Cause
		advice reconcile.Advice
	}{&elsewhere: {reconcile.CauseNumber, reconcile.Advice{Remedy: reconcile.RemedyEvidence, Why: reconcile.WhyNever}},
		&short: {reconcile.CauseAmount, reconcile.Advice{Remedy: reconcile.RemedyReversal, Why: reconcile.WhyShort}},
		&more:  {reconcile.CauseAmount, reconcile.Advice{Remedy: reconcile.RemedyNone, Why: reconcile.WhyPartnerBears}},
		&other: {reconcile.CauseProduct, reconcile.Advice{Remedy: reconcile.RemedyReversal, Why: reconcile.WhyOther}}} {
		b := o.find(want.cause, p)
		if got, err := o.desk.Advise(ctx, &b); err != nil || got != want.advice {
			t.Errorf("%s: advised %+v, %v", want.cause, got, err)
		}
		if _, err := o.desk.Accept(ctx, b.ID, auth.Staff{ID: 1, Role: auth.Agent}, "x"); (b.Correction.Leg == 0) != errors.Is(err, reconcile.ErrNoCorrection) {
			t.Errorf("%s: accepted: %v", want.cause, err)
		}
	}
	b := o.find(reconcile.CauseNumber, &elsewhere)
	if b, err := o.desk.Accept(ctx, b.ID, auth.Staff{ID: 2, Role: auth.Supervisor}, "seen"); err != nil || b.Status != reconcile.StatusAccepted {
		t.Fatalf("accepted: %+v, %v", b, err)
	}
	if n := o.settle(); n != 1 {
		t.Errorf("%d corrections are booked", n)
	}
	if r := load(t, s, elsewhere.ID); r.Purchase.State != purchase.Refunding {
		t.Errorf("what another number had is %s", r.Purchase.State)
	}
	x, err := o.desk.Exhibit(ctx, b.ID)
	if err != nil || len(x.There) != 1 || x.There[0].Number != 22676999999 || x.Here == nil || len(x.Here.Done) != 1 || len(x.Here.Undone) != 1 || x.Shown.ID != b.Statement || len(x.History) != 4 {
		t.Errorf("both sides: %+v, %v", x, err)
	}
	// A later version still says so: that is known, and is no break again.
	report := o.load(4100, append([]string{wrong}, append(rest[:2:2], line(&other, ",airtime,", ",data-day,", 1100))...)...)
	if n := report.Breaks[reconcile.CauseNumber]; n != 0 {
		t.Errorf("found again %d times", n)
	}
}

// What comes on a settlement account is held against what partners owe by their own statements.
func accountsSettle(t *testing.T, s DatabaseSubject) {
	ctx := t.Context()
	keys, err := purchase.NewKeyring([]byte("a secret of sixteen bytes"))
	if err != nil {
		t.Fatal(err)
	}
	monday := time.Date(2027, 1, 11, 0, 0, 0, 0, time.UTC)
	clock := &at{purchase.At(monday.AddDate(0, 0, 10))}
	named := regexp.MustCompile(`^W-(?P<day>\d{8})$`)
	desk, err := reconcile.NewDesk(reconcile.Config{Store: s.Database, Keys: keys, Clock: clock, Dir: t.TempDir(), Known: []reconcile.Known{
		{Partner: reconcile.Partner{Name: "wallet"}, Settlement: &reconcile.Settlement{Account: "bank", Name: named, Commission: 100, Fee: 10, Within: 24 * time.Hour}},
		{Partner: reconcile.Partner{Name: "ocs"}, Settlement: &reconcile.Settlement{Account: "bank", Name: regexp.MustCompile("^OCS"), Commission: 500, Within: 24 * time.Hour}},
		{Partner: reconcile.Partner{Name: "bank"}}}})
	if err != nil {
		t.Fatal(err)
	}
	give := func(partner, mapping, text string) { giveTo(t, desk, partner, mapping, text) }
	day := func(partner, leg string, back, amount int) {
		t.Helper()
		from := monday.AddDate(0, 0, back)
		give(partner, "sandbox", fmt.Sprintf("statement,%s,%s,%s\nreference,key,leg,number,amount,currency,product,original,at\n%s%d,,%s,22670112233,%d,XOF,,,%s\ntotal,XOF,1,%d\n",
			partner, from.Format(time.RFC3339), from.AddDate(0, 0, 1).Format(time.RFC3339), partner, back, leg, amount, from.Add(time.Hour).Format(time.RFC3339), amount))
	}
	entry := accountEntry
	account := func(from, to int, entries ...string) {
		t.Helper()
		give("bank", "camt053", fmt.Sprintf(`<Document><BkToCstmrStmt><Stmt><FrToDt><FrDtTm>%s</FrDtTm><ToDtTm>%s</ToDtTm></FrToDt>%s</Stmt></BkToCstmrStmt></Document>`,
			monday.AddDate(0, 0, from).Format(time.RFC3339), monday.AddDate(0, 0, to).Format(time.RFC3339), strings.Join(entries, "")))
	}
	for back, amount := range []int{1000, 2000, 3000} {
		day("wallet", "charge", back, amount)
		day("ocs", "credit", back, 10*amount)
	}
	account(0, 4, entry("W-20270111", "CRDT", 980, monday.Add(30*time.Hour)), entry("W-20270112", "CRDT", 1900, monday.Add(54*time.Hour)),
		entry("OCS 1+2", "DBIT", 9500+19000, monday.Add(50*time.Hour)), entry("RENT", "DBIT", 5, monday.Add(50*time.Hour)))
	all, err := desk.Settlements(ctx, clock.now)
	got := map[string]string{}
	for i := range all {
		d := &all[i]
		got[d.Partner+" "+d.Day] = fmt.Sprintf("%d-%d=%d %d %s", d.Position, d.Fees, d.Due, d.Got, d.State)
	}
	want := map[string]string{"wallet 2027-01-11": "1000-20=980 980 settled", "wallet 2027-01-12": "2000-30=1970 1900 unsettled", "wallet 2027-01-13": "3000-40=2960 0 unsettled",
		"ocs 2027-01-11": "-10000--500=-9500 -9500 settled", "ocs 2027-01-12": "-20000--1000=-19000 -19000 settled", "ocs 2027-01-13": "-30000--1500=-28500 0 unsettled"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("settled: %v, want %v, %v", got, want, err)
	}
	open := func() map[string]string { return unsettled(t, desk) }
	breaks := map[string]string{"wallet 2027-01-12 XOF": "wallet 1970 1900 bank", "wallet 2027-01-13 XOF": "wallet 2960 0 bank", "ocs 2027-01-13 XOF": "tenu -28500 0 bank"}
	if found := open(); !reflect.DeepEqual(found, breaks) {
		t.Errorf("breaks %v, want %v", found, breaks)
	}
	owed, err := desk.Breaks(ctx, reconcile.Sift{Party: reconcile.House, Limit: 1})
	if err != nil || len(owed) != 1 {
		t.Fatal(owed, err)
	}
	if _, err := desk.Resolve(ctx, owed[0].ID, auth.Staff{ID: 1, Role: auth.Agent}, "x"); !errors.Is(err, reconcile.ErrBound) {
		t.Errorf("who may decide about nothing ends what we owe: %v", err)
	}
	// The rest comes late, and a part of the third day; what is settled is over, the other has its new figures, under one break.
	account(4, 5, entry("W-20270112", "CRDT", 70, monday.AddDate(0, 0, 4).Add(time.Hour)), entry("W-20270113", "CRDT", 2000, monday.AddDate(0, 0, 4).Add(time.Hour)))
	breaks = map[string]string{"wallet 2027-01-13 XOF": "wallet 2960 2000 bank", "ocs 2027-01-13 XOF": "tenu -28500 0 bank"}
	if found := open(); !reflect.DeepEqual(found, breaks) {
		t.Errorf("later: breaks %v, want %v", found, breaks)
	}
}

func giveTo(t *testing.T, desk *reconcile.Desk, partner, mapping, text string) {
	t.Helper()
	m, err := reconcile.LoadMapping(mapping)
	if err == nil {
		_, err = desk.Load(t.Context(), partner+".x", strings.NewReader(text), m, reconcile.Want{Partner: partner}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func accountEntry(ref, sign string, amount int, at time.Time) string {
	return fmt.Sprintf(`<Ntry><Amt Ccy="XOF">%d</Amt><CdtDbtInd>%s</CdtDbtInd><Sts>BOOK</Sts><BookgDt><DtTm>%s</DtTm></BookgDt><AcctSvcrRef>%s</AcctSvcrRef></Ntry>`,
		amount, sign, at.Format(time.RFC3339), ref)
}

// unsettled are the breaks of settlements that are open, with who answers, what is owed and what came.
func unsettled(t *testing.T, desk *reconcile.Desk) map[string]string {
	t.Helper()
	all, err := desk.Breaks(t.Context(), reconcile.Sift{Cause: reconcile.CauseSettlement, Status: []reconcile.Status{reconcile.StatusOpen}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for i := range all {
		found[all[i].Ref] = fmt.Sprintf("%s %d %d %s", all[i].Party, all[i].Here, all[i].There, all[i].Partner)
	}
	return found
}
