package storetest

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"tenu/internal/care"
	"tenu/internal/hook"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// outage is an open incident of a provider, as it is first written.
func outage(provider string) incident.Incident {
	return incident.Incident{Version: 1, Series: incident.Series{By: incident.ByProvider, Name: provider}, Rule: incident.RuleAbsolute, Status: incident.Ongoing,
		Severity: incident.Minor, Since: dawn, SeenAt: dawn, ChangedAt: dawn}
}

// changeIncident writes a change that must succeed.
func changeIncident(t testing.TB, s incident.Store, c incident.Change) incident.Incident {
	t.Helper()
	stored, err := s.ChangeIncident(t.Context(), c)
	if err != nil {
		t.Fatalf("change an incident: %v", err)
	}
	return stored
}

// affect links what is in reach of the incident at an instant, and returns how many purchases are new.
func affect(t testing.TB, s incident.Store, i *incident.Incident, r incident.Reach) int64 {
	t.Helper()
	r.Series, r.Within = i.Series, time.Minute
	n, err := s.Affect(t.Context(), i.ID, r)
	if err != nil {
		t.Fatalf("affect: %v", err)
	}
	return n
}

func incidentsAreWrittenWhole(t *testing.T, s DatabaseSubject) {
	full := incident.Incident{Version: 1, Series: incident.Series{By: incident.ByChannel, Name: hostile}, Rule: hostile, Status: incident.Recovering,
		Severity: incident.Critical, Party: hostile, Owner: 2, Since: 3, SeenAt: 4, PausedAt: 5, RecoveredAt: 6, ResolvedAt: 7, ExpectedAt: 8,
		Title: map[purchase.Language]string{"fr": "l'œil \"d'août\"", "en": "x"}, Text: map[purchase.Language]string{"fr": "日本"}, ChangedAt: 9,
		Graded: true, Worded: true, Share: 100, Told: 11,
		Owed: []incident.Owed{{Duty: "users-told", Kind: incident.TellUsers, Source: "l'arrêté \"068\"", At: 1, Due: 2, DoneAt: 3, DoneBy: 4, Late: true}, {Duty: "b"}}}
	by := incident.Actor{Staff: 12}
	pause := incident.Pause{Version: 1, Series: full.Series, Share: 10, Reason: hostile, By: by, At: 13, Held: true}
	stored := changeIncident(t, s, incident.Change{Now: full, Entries: []incident.Entry{{At: 14, By: by, Event: incident.EventOpened, Text: hostile}, {At: 15, Event: incident.EventPaused}},
		Pauses: []incident.Pause{pause}, Messages: []care.Message{{To: someone, Text: "of no customer", At: 16, Key: "k"}}})
	want := full
	want.ID, want.Series.Name, want.Rule, want.Party = stored.ID, kept, kept, kept
	if stored.ID == 0 || !reflect.DeepEqual(stored, want) {
		t.Fatalf("stored %+v, want %+v", stored, want)
	}
	second := want
	second.Version, second.Status, second.ClosedAt = 2, incident.Closed, 20
	if stored = changeIncident(t, s, incident.Change{Now: second, Entries: []incident.Entry{{At: 20, Event: incident.EventClosed}}}); !reflect.DeepEqual(stored, second) {
		t.Errorf("changed %+v, want %+v", stored, second)
	}
	for _, version := range []int64{2, 4} {
		stale := second
		stale.Version = version
		if _, err := s.ChangeIncident(t.Context(), incident.Change{Now: stale, Entries: []incident.Entry{{At: 21, Event: incident.EventNote}},
			Pauses: []incident.Pause{{Version: 1, Series: incident.Series{By: incident.ByPayer, Name: "wallet"}, At: 21}}}); !errors.Is(err, incident.ErrStale) || errors.Is(err, purchase.ErrUnavailable) {
			t.Errorf("version %d after 2: %v", version, err)
		}
	}
	lines := []incident.Entry{{Seq: 1000, Incident: stored.ID, At: 14, By: by, Event: incident.EventOpened, Text: kept},
		{Seq: 1001, Incident: stored.ID, At: 15, Event: incident.EventPaused}, {Seq: 2000, Incident: stored.ID, At: 20, Event: incident.EventClosed}}
	if got, err := s.Entries(t.Context(), stored.ID); err != nil || !slices.Equal(got, lines) {
		t.Errorf("timeline %+v, %v", got, err)
	}
	pauses, err := s.Pauses(t.Context(), 0)
	if err != nil || len(pauses) != 1 {
		t.Fatalf("pauses %+v, %v", pauses, err)
	}
	pause.ID, pause.Incident, pause.Series.Name, pause.Reason, pause.ExpectedAt = pauses[0].ID, stored.ID, kept, kept, full.ExpectedAt
	if pauses[0] != pause || pause.ID == 0 {
		t.Errorf("pause %+v, want %+v", pauses[0], pause)
	}
	other := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	for name, c := range map[string]struct {
		q    incident.Query
		want []incident.ID
	}{
		"all": {incident.Query{}, []incident.ID{other.ID, stored.ID}}, "open": {incident.Query{Open: true}, []incident.ID{other.ID}},
		"since": {incident.Query{Since: 21}, []incident.ID{other.ID}}, "closed since": {incident.Query{Since: 20}, []incident.ID{other.ID, stored.ID}},
		"before": {incident.Query{Before: other.ID}, []incident.ID{stored.ID}}, "some": {incident.Query{IDs: []incident.ID{stored.ID, 99}, Since: 5, Before: 50}, []incident.ID{stored.ID}},
		"none": {incident.Query{IDs: []incident.ID{}}, nil}, "newest": {incident.Query{Limit: 1}, []incident.ID{other.ID}},
	} {
		got, err := s.Incidents(t.Context(), c.q)
		var found []incident.ID
		for i := range got {
			found = append(found, got[i].ID)
		}
		if err != nil || !slices.Equal(found, c.want) {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// incidentsOpenOnce: of all who open an incident of a series at once, one does.
func incidentsOpenOnce(t *testing.T, s DatabaseSubject) {
	again := s.Again(t)
	from := func(i int) Database { return []Database{s.Database, again}[i%2] }
	open := func(i int, now incident.Incident) error {
		pause := incident.Pause{Version: 1, Series: now.Series, At: dawn}
		_, err := from(i).ChangeIncident(t.Context(), incident.Change{Now: now, Entries: []incident.Entry{{At: dawn, Event: incident.EventOpened}}, Pauses: []incident.Pause{pause}})
		var other *incident.OpenError
		if errors.As(err, &other) && other.Incident != 0 {
			return incident.ErrStale
		}
		return err
	}
	if won := race(t, 500, incident.ErrStale, func(i int) error { return open(i, outage("ocs")) }); won != 1 {
		t.Errorf("opened %d times", won)
	}
	all, err := s.Incidents(t.Context(), incident.Query{})
	if err != nil || len(all) != 1 {
		t.Fatalf("incidents %+v, %v", all, err)
	}
	if pauses, err := s.Pauses(t.Context(), 0); err != nil || len(pauses) != 1 || pauses[0].Incident != all[0].ID {
		t.Errorf("pauses %+v, %v", pauses, err)
	}
	// Another series has its own. One that is closed leaves its place, and gets it back only while it is free.
	if err := open(0, outage("ucip")); err != nil {
		t.Errorf("another: %v", err)
	}
	closed := all[0]
	closed.Version, closed.Status, closed.ClosedAt = 2, incident.Closed, dawn+1
	closed = changeIncident(t, s, incident.Change{Now: closed})
	next := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	closed.Version, closed.Status, closed.ClosedAt = 3, incident.Ongoing, 0
	var other *incident.OpenError
	if _, err := s.ChangeIncident(t.Context(), incident.Change{Now: closed}); !errors.As(err, &other) || other.Incident != next.ID {
		t.Errorf("opened again beside another: %v", err)
	}
	next.Version, next.Status, next.ClosedAt = 2, incident.Closed, dawn+2
	changeIncident(t, s, incident.Change{Now: next})
	if won := race(t, 20, incident.ErrPaused, func(i int) error { return open(i, closed) }); won != 0 {
		t.Errorf("opened again %d times with a pause that lasts", won)
	}
}

func holdsAreKept(t *testing.T, s DatabaseSubject) {
	first := incident.Hold{Partner: "ocs", At: dawn, By: incident.Actor{Staff: 1}, Reason: "why"}
	for _, h := range []incident.Hold{first, {Partner: "ocs", At: dawn + 1}, {Partner: "airtel", At: dawn + 2}} {
		if err := s.HoldStuck(t.Context(), h, true); err != nil {
			t.Fatal(err)
		}
	}
	if held, err := s.Held(t.Context()); err != nil || len(held) != 2 || held[1] != first {
		t.Errorf("held %+v, %v", held, err)
	}
	for range 2 {
		if err := s.HoldStuck(t.Context(), incident.Hold{Partner: "airtel"}, false); err != nil {
			t.Fatal(err)
		}
	}
	if held, err := s.Held(t.Context()); err != nil || len(held) != 1 {
		t.Errorf("held %+v, %v", held, err)
	}
}

// silence is a provider that does not answer.
var silence = answer(purchase.Credit, purchase.Unknown, "")

// affectedAreLinked: a purchase is linked when it was charged in the time and not credited within the minute, and no other is.
func affectedAreLinked(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	other := request(20)
	other.Provider = "ucip"
	before := shop.sell(request(10), charged, silence)
	shop.now += 30 * minute
	from := shop.now
	stuck := shop.sell(request(1), charged, silence)
	given := shop.sell(request(2), charged, refused, refunded)
	giving := shop.sell(request(3), charged, refused)
	quick := shop.sell(request(4), charged, credited)
	slow := shop.sell(request(5), charged, silence)
	shop.sell(request(6), declined)
	shop.sell(request(7))
	shop.sell(other, charged, silence)
	gift := request(12)
	gift.Payer = "house"
	ours := shop.sell(gift, charged, silence)
	taken := shop.sell(request(8), charged, credited)
	far := shop.begin(request(11))
	far.Now.ID = purchase.MakeID(3, 5) // another shard
	shop.commit(far)
	elsewhere := shop.drive(far.Now, charged, silence)
	shop.now = from + 2*minute
	shop.drive(slow, credited)
	shop.drive(taken, answer(purchase.Credit, purchase.Reversed, "credit-1"), refunded)
	young := shop.sell(request(9), charged, silence)

	i := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	reach := incident.Reach{From: from, Till: shop.now + minute, At: shop.now + 1, House: "house"}
	if n := affect(t, s, &i, reach); n != 5 {
		t.Errorf("%d linked, want 5", n)
	}
	is := func(p purchase.Purchase, want bool) {
		t.Helper()
		if ids, err := s.Affects(t.Context(), p.ID); err != nil || slices.Contains(ids, i.ID) != want || !want && len(ids) > 0 {
			t.Errorf("purchase %d is of incidents %v, %v", p.ID, ids, err)
		}
	}
	for _, p := range []purchase.Purchase{stuck, given, giving, slow, elsewhere} {
		is(p, true)
	}
	for _, p := range []purchase.Purchase{quick, before, young, taken, ours} {
		is(p, false)
	}
	// What comes later is found later; what is open is found whenever it was made.
	reach.At += minute
	if n := affect(t, s, &i, reach); n != 1 {
		t.Errorf("%d linked later, want 1", n)
	}
	reach.Open = dawn
	if n := affect(t, s, &i, reach); n != 1 {
		t.Errorf("%d linked of what is open, want 1", n)
	}
	is(before, true)
	if n := affect(t, s, &i, reach); n != 0 {
		t.Errorf("%d linked again", n)
	}
	if open, err := s.Stuck(t.Context(), i.ID, stuck.ID, 2); err != nil || !slices.Equal(open, []purchase.ID{giving.ID, young.ID}) {
		t.Errorf("stuck %v, %v", open, err)
	}
	otherReaches(t, s, &i, reach, other.Recipient, given.Recipient, quick.Recipient)
	verified(t, s, dawn)
}

// otherReaches: by the recipient's operator, which only the caller knows, three numbers' purchases are looked at, of which one is
// affected and of no other incident. Nothing is linked to what is closed, to nothing, or by no dimension.
func otherReaches(t *testing.T, s DatabaseSubject, i *incident.Incident, reach incident.Reach, numbers ...purchase.MSISDN) {
	t.Helper()
	closed := changeIncident(t, s, incident.Change{Now: outage("gone")})
	closed.Version, closed.Status, closed.ClosedAt = 2, incident.Closed, reach.At
	closed = changeIncident(t, s, incident.Change{Now: closed})
	closed.Series = incident.Series{By: incident.ByProduct, Name: "airtime"}
	if n := affect(t, s, &closed, reach); n != 0 {
		t.Errorf("%d linked to a closed incident", n)
	}
	series := incident.Series{By: incident.ByOperator, Name: "moov"}
	by := outage("")
	by.Series = series
	by = changeIncident(t, s, incident.Change{Now: by})
	reach.Operator = func(number purchase.MSISDN) string {
		if slices.Contains(numbers, number) {
			return "moov"
		}
		return ""
	}
	if n := affect(t, s, &by, reach); n != 1 {
		t.Errorf("%d linked by operator, want 1", n)
	}
	if _, err := s.Affect(t.Context(), 99, incident.Reach{Series: i.Series, Till: reach.Till, At: reach.At}); !errors.Is(err, incident.ErrNotFound) {
		t.Errorf("of no incident: %v", err)
	}
	if _, err := s.Affect(t.Context(), i.ID, incident.Reach{Till: reach.Till, At: reach.At}); !errors.Is(err, incident.ErrSeries) {
		t.Errorf("of no series: %v", err)
	}
}

// affectIsBounded: more than a transaction links is linked all the same.
func affectIsBounded(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	var changes []purchase.Change
	const count = 1234
	for n := range int64(count) {
		r := request(n)
		r.PayerNumber, r.Recipient = 22670000000+purchase.MSISDN(n%100), 22670000000+purchase.MSISDN(n%100)
		changes = append(changes, shop.begin(r))
	}
	shop.commit(changes...)
	for i := range changes {
		changes[i], _ = shop.meet(&changes[i].Now, charged)
	}
	shop.commit(changes...)
	i := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	half := changes[count/2].Now.ChargedAt
	reach := incident.Reach{From: dawn, Till: half, At: shop.now + 2*minute}
	if n := affect(t, s, &i, reach); n != count/2 {
		t.Errorf("%d linked, want %d", n, count/2)
	}
	reach.Open, reach.From, reach.Till = dawn, shop.now+60*minute, shop.now+60*minute
	if n := affect(t, s, &i, reach); n != count/2 {
		t.Errorf("%d of the open linked, want %d", n, count/2)
	}
	// What is one incident's is no other's.
	other := changeIncident(t, s, incident.Change{Now: outageOf(incident.ByPayer, "wallet")})
	if n := affect(t, s, &other, reach); n != 0 {
		t.Errorf("%d linked to another incident too", n)
	}
	if customers, err := s.Untold(t.Context(), other.ID, 10); err != nil || len(customers) != 0 {
		t.Errorf("another incident's customers %+v, %v", customers, err)
	}
	if totals, err := s.Totals(t.Context(), i.ID); err != nil || totals.Purchases != count || totals.Customers != 100 || totals.Pending != count {
		t.Errorf("totals %+v, %v", totals, err)
	}
}

func outageOf(by incident.Dimension, name string) incident.Incident {
	i := outage(name)
	i.Series.By = by
	return i
}

// casesAreLinked: the cases of linked purchases are the incident's, those that are opened later too. Who
// read one before does not write over it, and need not read again.
func casesAreLinked(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	first, second, other := shop.sell(request(1), charged, refused), shop.sell(request(2), charged, refused), shop.sell(request(3), charged, credited)
	early, aside := changeCase(t, s, care.Change{Now: complaint(first.ID), Entries: []care.Entry{{At: dawn, Event: care.EventOpened, By: care.Actor{Kind: care.BySystem}}}}),
		changeCase(t, s, care.Change{Now: complaint(other.ID)})
	i := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	reach := incident.Reach{From: dawn, Till: shop.now + 1, At: shop.now + 2}
	if n := affect(t, s, &i, reach); n != 2 {
		t.Fatalf("%d linked", n)
	}
	late := changeCase(t, s, care.Change{Now: complaint(second.ID)})
	reach.At += 5
	affect(t, s, &i, reach)
	affect(t, s, &i, reach)
	cases, err := s.Cases(t.Context(), early.ID, late.ID, aside.ID)
	if err != nil || len(cases) != 3 {
		t.Fatalf("cases %+v, %v", cases, err)
	}
	for _, c := range cases {
		history, err := s.History(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if c.ID == aside.ID {
			if c.Incident != "" || c.Version != 1 {
				t.Errorf("a case of no linked purchase: %+v", c)
			}
			continue
		}
		last := history[len(history)-1]
		if c.Incident != i.ID.String() || c.Version != 2 || c.ChangedAt < shop.now || last.Event != care.EventLinked || last.Text != i.ID.String() || last.Seq/care.EntriesPerVersion > 1 {
			t.Errorf("linked case %+v with history %+v", c, history)
		}
	}
	early.Version++
	if _, err := s.ChangeCase(t.Context(), care.Change{Now: early}); !errors.Is(err, care.ErrStale) {
		t.Errorf("a case was written over: %v", err)
	}
	page, count, err := s.Queue(t.Context(), care.Queue{View: care.ViewOpen, Incident: i.ID.String(), Limit: 10})
	if err != nil || count != 2 || len(page) != 2 {
		t.Errorf("queue of the incident: %d, %v", count, err)
	}
	verified(t, s, dawn)
}

// incidentsCloseSettled: an incident is closed when all whom it affects are settled, and not before.
func incidentsCloseSettled(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	p, done := shop.sell(request(1), charged, refused), shop.sell(request(2), charged, refused, refunded)
	i := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	affect(t, s, &i, incident.Reach{From: dawn, Till: shop.now + 1, At: shop.now + 2})
	closed := i
	closed.Version, closed.Status, closed.ClosedAt = 2, incident.Closed, shop.now+100
	if _, err := s.ChangeIncident(t.Context(), incident.Change{Now: closed, Entries: []incident.Entry{{At: shop.now, Event: incident.EventClosed}}}); !errors.Is(err, incident.ErrUnsettled) {
		t.Errorf("closed with %d unsettled: %v", p.ID, err)
	}
	if lines, err := s.Entries(t.Context(), i.ID); err != nil || len(lines) != 0 {
		t.Errorf("timeline %+v, %v", lines, err)
	}
	shop.drive(p, refunded)
	changeIncident(t, s, incident.Change{Now: closed})
	verified(t, s, dawn)
	_ = done
}

func customersAreToldOnce(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	twice := request(2)
	twice.ClientKey, twice.PayerNumber, twice.Recipient = "again", request(1).PayerNumber, request(1).PayerNumber
	first := shop.sell(request(1), charged, silence)
	shop.sell(twice, charged, refused, refunded)
	third := shop.sell(request(3), charged, refused, refunded)
	file := changeCase(t, s, care.Change{Now: complaint(first.ID)})
	i := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	affect(t, s, &i, incident.Reach{From: dawn, Till: shop.now + 1, At: shop.now + 2*minute})
	untold := func(limit int) []incident.Customer {
		t.Helper()
		found, err := s.Untold(t.Context(), i.ID, limit)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	want := incident.Customer{Number: first.PayerNumber, Language: "fr", Purchases: 2, Amount: 2100, Pending: 1, Given: 1050, First: first.ID, Product: "airtime",
		Currency: money.XOF, ResolveBy: first.ResolveBy, Case: file.ID}
	if all := untold(10); len(all) != 2 || all[0] != want || all[1].Number != third.PayerNumber || all[1].Pending != 0 || all[1].ResolveBy != 0 {
		t.Fatalf("untold %+v, want %+v first", all, want)
	}
	if one := untold(1); len(one) != 1 || one[0] != want {
		t.Errorf("the first untold %+v", one)
	}
	letter := func(to purchase.MSISDN, says incident.Saying, what string) incident.Telling {
		return incident.Telling{Says: says, Message: care.Message{To: to, Language: "fr", Text: "text", At: dawn + 9, Key: i.ID.Key(what, 0, to)}}
	}
	batch := []incident.Telling{letter(want.Number, incident.SaidHappened, "told"), letter(third.PayerNumber, incident.SaidHappened|incident.SaidEnded, "told"), letter(someone, incident.SaidHappened, "told")}
	again := s.Again(t)
	total := int64(0)
	results := make(chan int64, 20)
	race(t, 20, incident.ErrStale, func(n int) error {
		told, err := []Database{s.Database, again}[n%2].Tell(t.Context(), i.ID, batch)
		results <- told
		return err
	})
	close(results)
	for n := range results {
		total += n
	}
	if letters, err := s.Letters.UnsentNotices(t.Context(), 10); err != nil || len(letters) != 2 || total != 2 {
		t.Errorf("%d told, letters %+v, %v", total, letters, err)
	}
	if left := untold(10); len(left) != 0 {
		t.Errorf("left untold %+v", left)
	}
	want.Saying = incident.SaidHappened
	if open, err := s.Unended(t.Context(), i.ID, 0, 10); err != nil || len(open) != 1 || open[0] != want {
		t.Errorf("not told of the end %+v, %v", open, err)
	}
	if open, err := s.Unended(t.Context(), i.ID, want.Number, 10); err != nil || len(open) != 0 {
		t.Errorf("after the last %+v, %v", open, err)
	}
	for _, more := range []struct {
		says incident.Saying
		n    int64
	}{{incident.SaidLonger, 1}, {incident.SaidLonger, 0}, {incident.SaidEnded, 1}, {incident.SaidEnded, 0}} {
		if n, err := s.Tell(t.Context(), i.ID, []incident.Telling{letter(want.Number, more.says, "more"+string('0'+rune(more.says)))}); err != nil || n != more.n {
			t.Errorf("say %d: %d, %v", more.says, n, err)
		}
	}
	if totals, err := s.Totals(t.Context(), i.ID); err != nil || totals.Told != 2 || totals.Customers != 2 {
		t.Errorf("totals %+v, %v", totals, err)
	}
	verified(t, s, dawn)
}

func incidentTotalsAddUp(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	i := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	if none, err := s.Totals(t.Context(), i.ID); err != nil || none != (incident.Totals{}) {
		t.Errorf("totals of nothing %+v, %v", none, err)
	}
	want := incident.Totals{Currency: money.XOF}
	var took []time.Duration
	var first purchase.Instant
	for n := range int64(20) {
		p := shop.sell(request(n), charged, silence)
		if first == 0 {
			first = p.CreatedAt
		}
		shop.now = p.ChargedAt + 2*minute + purchase.Instant(n)*minute
		want.Purchases, want.Customers, want.Amount = want.Purchases+1, want.Customers+1, want.Amount+1050
		switch {
		case n == 3:
			want.Pending, want.AmountPending = 1, 1050
			continue
		case n%2 == 0:
			p = shop.drive(p, credited)
			want.Credited, want.AmountCredited = want.Credited+1, want.AmountCredited+1050
		default:
			absent := answer(purchase.Credit, purchase.Absent, "")
			absent.AskedAt = shop.now
			p = shop.drive(p, absent, refunded)
			want.Refunded, want.AmountGiven = want.Refunded+1, want.AmountGiven+1050
		}
		if !p.State.Final() {
			t.Fatalf("purchase %d is %s", n, p.State)
		}
		took = append(took, p.ClosedAt.Sub(p.ChargedAt))
		if n < 5 {
			c := changeCase(t, s, care.Change{Now: complaint(p.ID)})
			if n == 0 {
				outcome := care.OutcomeCredited
				changeCase(t, s, care.Change{Now: settled(c, outcome, shop.now+1)})
			} else {
				want.CasesOpen++
			}
			want.Cases++
		}
		if n < 2 {
			want.CallbacksPromised++
			if called(t, s, &p, shop.now, n == 0) {
				want.CallbacksKept++
			} else {
				want.CallbacksLost++
			}
		}
	}
	promised(t, s, promise(someone, 1)) // of nobody affected
	affect(t, s, &i, incident.Reach{From: dawn, Till: shop.now, At: shop.now + minute})
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)*percent+99)/100-1] }
	want.SettledP50, want.SettledP95, want.SettledP99, want.SettledMax = at(50), at(95), at(99), took[len(took)-1]
	if got, err := s.Totals(t.Context(), i.ID); err != nil || got != want {
		t.Errorf("totals %+v, %v, want %+v", got, err, want)
	}
	course, err := s.IncidentCourse(t.Context(), i.ID, first, shop.now+1, time.Hour)
	var sum incident.Bucket
	for _, b := range course {
		sum.Sold, sum.Charged, sum.Credited, sum.Given = sum.Sold+b.Sold, sum.Charged+b.Charged, sum.Credited+b.Credited, sum.Given+b.Given
	}
	if err != nil || len(course) < 3 || course[0].At != first || sum != (incident.Bucket{Sold: want.Purchases, Charged: want.Purchases, Credited: want.Credited, Given: want.Refunded}) {
		t.Errorf("course %+v, %v", course, err)
	}
	if _, err := s.IncidentCourse(t.Context(), i.ID, 0, shop.now, time.Microsecond); err == nil {
		t.Error("a course without end")
	}
	verified(t, s, dawn)
}

// called keeps a promise to call about a purchase, or breaks it.
func called(t testing.TB, s DatabaseSubject, p *purchase.Purchase, now purchase.Instant, kept bool) bool {
	t.Helper()
	call := promise(p.PayerNumber, 1)
	call.Purchase, call.Case = p.ID, 0
	call = promised(t, s, call)
	call.Version, call.State, call.ClosedAt, call.DueAt = 2, care.Broken, now, 0
	c := care.CallbackChange{Now: call}
	if kept {
		c.Now.State, c.Attempt = care.Kept, &care.Attempt{Try: 1, At: dawn, EndedAt: dawn, Ring: care.Answered}
	}
	changeCallback(t, s, c)
	return kept
}

// Each line of a timeline becomes one delivery for each listener to incidents of that time, and none for those to cases.
func everyIncidentEntryIsTold(t *testing.T, s DatabaseSubject) {
	events := s.IncidentEvents()
	listen := func(id string) {
		t.Helper()
		if err := events.PutListener(t.Context(), hook.Listener{ID: id, URL: "https://noc.example/", At: dawn}, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutListener(t.Context(), hook.Listener{ID: "cases", Client: "crm", URL: "https://crm.example/", At: dawn}, 1); err != nil {
		t.Fatal(err)
	}
	listen("a")
	in := changeIncident(t, s, incident.Change{Now: outage("ocs"), Entries: []incident.Entry{{At: dawn, Event: incident.EventOpened}, {At: dawn, Event: incident.EventPaused}}})
	listen("b")
	if err := events.PutListener(t.Context(), hook.Listener{ID: "c", URL: "https://noc.example/", At: dawn}, 2); !errors.Is(err, hook.ErrFull) {
		t.Errorf("a third of two: %v", err)
	}
	in.Version++
	changeIncident(t, s, incident.Change{Now: in, Entries: []incident.Entry{{At: dawn + 5, Event: incident.EventNote}}})
	in.Version = 7 // stale: nothing is told of what did not happen
	if _, err := s.ChangeIncident(t.Context(), incident.Change{Now: in, Entries: []incident.Entry{{At: dawn + 6, Event: incident.EventNote}}}); !errors.Is(err, incident.ErrStale) {
		t.Fatal(err)
	}
	delivery := func(listener string, seq int64, at purchase.Instant) hook.Delivery {
		return hook.Delivery{Listener: listener, Subject: int64(in.ID), Seq: seq, At: at, NextAt: at, State: hook.Waiting}
	}
	due := func(listener string, want ...hook.Delivery) {
		t.Helper()
		if got, _, err := events.DueDeliveries(t.Context(), listener, dawn+9, 10); err != nil || !slices.Equal(got, want) {
			t.Errorf("due of %s: %+v, %v, want %+v", listener, got, err, want)
		}
	}
	due("a", delivery("a", 1000, dawn))
	due("b", delivery("b", 2000, dawn+5))
	due("cases")
	first := delivery("a", 1000, dawn)
	first.State = hook.Delivered
	if err := events.MoveDeliveries(t.Context(), []hook.Delivery{first}); err != nil {
		t.Fatal(err)
	}
	due("a", delivery("a", 1001, dawn))
	if gone, err := events.ForgetDeliveries(t.Context(), dawn+1, 10); err != nil || len(gone) != 1 || gone["a"] != 1 {
		t.Errorf("forgotten %v, %v", gone, err)
	}
	due("a", delivery("a", 2000, dawn+5))
	if err := events.DropListener(t.Context(), "", "a"); err != nil {
		t.Fatal(err)
	}
	if b, err := events.Backlog(t.Context()); err != nil || b != (hook.Backlog{Waiting: 1, Oldest: dawn + 5}) {
		t.Errorf("backlog %+v, %v", b, err)
	}
	if b, err := s.Backlog(t.Context()); err != nil || b != (hook.Backlog{}) {
		t.Errorf("of cases %+v, %v", b, err)
	}
	if all, err := s.Listeners(t.Context()); err != nil || len(all) != 1 || all[0].ID != "cases" {
		t.Errorf("of cases listen %+v, %v", all, err)
	}
}
