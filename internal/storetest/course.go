package storetest

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// incidentCoursesAgree: what is counted by time is counted in the totals, whatever outcome a linked purchase has, and the
// settlements are those of the totals.
func incidentCoursesAgree(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	i := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	ends := []time.Duration{3 * time.Minute, 7 * time.Minute, 12 * time.Minute}
	none, err := s.Settlements(t.Context(), i.ID, ends)
	if err != nil || len(none.Ends) != 4 || none.Credited != (incident.Took{}) || none.Given != (incident.Took{}) {
		t.Errorf("settlements of nothing %+v, %v", none, err)
	}
	var tooks [3][]time.Duration
	want := incident.Settlements{Ends: []incident.SettledWithin{{Till: ends[0]}, {Till: ends[1]}, {Till: ends[2]}, {}}}
	count := func(back int, p *purchase.Purchase) {
		took := p.ClosedAt.Sub(p.ChargedAt)
		tooks[back], tooks[2] = append(tooks[back], took), append(tooks[2], took)
		at := slices.IndexFunc(ends, func(end time.Duration) bool { return took <= end })
		if at < 0 {
			at = len(ends)
		}
		*[]*int64{&want.Ends[at].Credited, &want.Ends[at].Given}[back]++
	}
	var stuck []purchase.Purchase
	for n := range int64(12) {
		p := shop.sell(request(n), charged, silence)
		shop.now = p.ChargedAt + 2*minute + purchase.Instant(n)*minute
		switch {
		case n >= 10:
			stuck = append(stuck, p)
			continue
		case n%3 == 0:
			absent := answer(purchase.Credit, purchase.Absent, "")
			absent.AskedAt = shop.now
			p = shop.drive(p, absent, refunded)
			count(1, &p)
		default:
			p = shop.drive(p, credited)
			count(0, &p)
		}
	}
	affect(t, s, &i, incident.Reach{From: dawn, Till: shop.now, At: shop.now + minute})
	// No row of the table declines what was charged; a later one may, and a total that counts it as refunded needs its minute.
	p := load(t, s, stuck[0].ID).Purchase
	p.Version, p.State, p.Charged, p.Held, p.DueAt, p.ClosedAt = p.Version+1, purchase.Declined, money.Amount{}, 0, 0, p.ChargedAt+9*minute
	shop.commit(purchase.Change{WasEpoch: shop.epoch, Was: purchase.Before{State: purchase.Crediting, Provider: stuck[0].Provider}, Now: p})
	count(1, &p)
	for back, into := range []*incident.Took{&want.Credited, &want.Given, &want.All} {
		took := tooks[back]
		slices.Sort(took)
		at := func(percent int) time.Duration { return took[(len(took)*percent+99)/100-1] }
		*into = incident.Took{Count: int64(len(took)), P50: at(50), P95: at(95), P99: at(99), Max: at(100)}
	}
	if got, err := s.Settlements(t.Context(), i.ID, ends); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("settlements %+v, %v, want %+v", got, err, want)
	}
	if got, err := s.Settlements(t.Context(), i.ID, nil); err != nil || len(got.Ends) != 1 || got.Ends[0].Credited != want.Credited.Count {
		t.Errorf("settlements without ends %+v, %v", got, err)
	}
	if _, err := s.Settlements(t.Context(), i.ID, make([]time.Duration, 1000)); err == nil {
		t.Error("a thousand ends")
	}
	totals, err := s.Totals(t.Context(), i.ID)
	if err != nil {
		t.Fatal(err)
	}
	sum := course(t, s, i.ID, dawn, shop.now+20*minute)
	if sum.Sold != totals.Purchases || sum.Charged != totals.Purchases || sum.Credited != totals.Credited || sum.Given != totals.Refunded {
		t.Errorf("by the minute %+v, by the totals %+v", sum, totals)
	}
	if all := (incident.Took{Count: totals.Credited + totals.Refunded, P50: totals.SettledP50, P95: totals.SettledP95, P99: totals.SettledP99, Max: totals.SettledMax}); all != want.All {
		t.Errorf("settlements by the totals %+v, want %+v", all, want.All)
	}
}

// course sums the minutes of an incident up.
func course(t testing.TB, s incident.Store, id incident.ID, from, till purchase.Instant) (sum incident.Bucket) {
	t.Helper()
	buckets, err := s.IncidentCourse(t.Context(), id, from, till, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range buckets {
		sum.Sold, sum.Charged, sum.Credited = sum.Sold+b.Sold, sum.Charged+b.Charged, sum.Credited+b.Credited
		sum.Given, sum.Refused, sum.Told = sum.Given+b.Given, sum.Refused+b.Refused, sum.Told+b.Told
	}
	return sum
}

// refusalsAddUp: what several nodes count of one pause is one sum by the minute, of the incident that the pause is of.
func refusalsAddUp(t *testing.T, s DatabaseSubject) {
	series := outage("ocs").Series
	i := changeIncident(t, s, incident.Change{Now: outage("ocs"), Pauses: []incident.Pause{{Version: 1, Series: series, At: dawn}}})
	pauses, err := s.Pauses(t.Context(), 0)
	if err != nil || len(pauses) != 1 {
		t.Fatalf("pauses %+v, %v", pauses, err)
	}
	again, id := s.Again(t), pauses[0].ID
	for n, of := range [][]incident.Refused{{{Pause: id, Minute: dawn, Count: 3}, {Pause: id, Minute: dawn + minute, Count: 1}}, {{Pause: id, Minute: dawn, Count: 4},
		{Pause: id + 1, Minute: dawn, Count: 99}}, nil} {
		if err := []Database{s.Database, again}[n%2].CountRefused(t.Context(), of); err != nil {
			t.Fatal(err)
		}
	}
	buckets, err := s.IncidentCourse(t.Context(), i.ID, dawn, dawn+3*minute, time.Minute)
	if err != nil || len(buckets) != 3 || buckets[0] != (incident.Bucket{At: dawn, Refused: 7}) || buckets[1].Refused != 1 || buckets[2].Refused != 0 {
		t.Errorf("course %+v, %v", buckets, err)
	}
	if sum := course(t, s, 99, dawn, dawn+3*minute); sum != (incident.Bucket{}) {
		t.Errorf("of no incident %+v", sum)
	}
}

// salesAreTold: everything that was made in the time, and nothing that the house paid for or that is left out.
func salesAreTold(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	shop.sell(request(1), charged, credited)
	shop.now += 30 * minute
	from := shop.now
	late := shop.sell(request(2), charged, silence)
	quick := shop.sell(request(3), charged, credited)
	gift := request(4)
	gift.Payer = "house"
	shop.sell(gift, charged, credited)
	refusedOne := shop.sell(request(5), declined)
	far := shop.begin(request(6))
	far.Now.ID = purchase.MakeID(3, 5)
	shop.commit(far)
	elsewhere := shop.drive(far.Now, charged, credited)
	till := shop.now + 1
	shop.now += 30 * minute
	shop.sell(request(7), charged, credited)
	q := incident.SalesQuery{From: from, Till: till, House: "house", Most: 100}
	told := func() (all []incident.Sale) {
		t.Helper()
		if err := s.Sales(t.Context(), q, func(p *incident.Sale) { all = append(all, *p) }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := func(of ...purchase.Purchase) (all []incident.Sale) {
		for _, p := range of {
			all = append(all, incident.Sale{Made: p.CreatedAt, Charged: p.ChargedAt, Closed: p.ClosedAt, State: p.State, Recipient: p.Recipient,
				Product: p.Product, Provider: p.Provider, Payer: p.Payer, Channel: p.Channel})
		}
		return all
	}
	if got := told(); !slices.Equal(got, want(late, quick, refusedOne, elsewhere)) {
		t.Errorf("told %+v, want %+v", got, want(late, quick, refusedOne, elsewhere))
	}
	i := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	affect(t, s, &i, incident.Reach{From: from, Till: till, At: shop.now + 5*minute})
	if q.Without = i.ID; !slices.Equal(told(), want(quick, refusedOne, elsewhere)) {
		t.Errorf("told %+v without those that are linked", told())
	}
	q.Most = 2
	if err := s.Sales(t.Context(), q, func(*incident.Sale) {}); !errors.Is(err, incident.ErrTooMany) {
		t.Errorf("more than the most: %v", err)
	}
	q.From = q.Till
	if len(told()) != 0 {
		t.Error("told of no time")
	}
}
