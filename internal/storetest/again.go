package storetest

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// rounds is an incident whose customers are told.
type rounds struct {
	*shop
	s DatabaseSubject
	i incident.Incident
	n int64
}

func (r *rounds) buy(who int64, events ...purchase.Event) purchase.Purchase {
	r.n++
	wish := request(r.n)
	wish.PayerNumber, wish.Recipient = request(who).PayerNumber, request(who).PayerNumber
	return r.sell(wish, events...)
}

func (r *rounds) link(want int64) {
	r.t.Helper()
	if n := affect(r.t, r.s, &r.i, incident.Reach{From: dawn, Till: r.now + 1, At: r.now + 2*minute}); n != want {
		r.t.Errorf("%d linked, want %d", n, want)
	}
}

func (r *rounds) say(says incident.Saying, what string, c incident.Customer) int64 {
	r.t.Helper()
	told, err := r.s.Tell(r.t.Context(), r.i.ID, []incident.Telling{{Says: says, Round: c.Round,
		Message: care.Message{To: c.Number, Language: "fr", Text: "text", At: r.now, Key: r.i.ID.Key(what, c.Round, c.Number)}}})
	if err != nil {
		r.t.Fatal(err)
	}
	return told
}

func (r *rounds) list(untold bool, want int) []incident.Customer {
	r.t.Helper()
	found, err := r.s.Untold(r.t.Context(), r.i.ID, 10)
	if !untold {
		found, err = r.s.Unended(r.t.Context(), r.i.ID, 0, 10)
	}
	if err != nil || len(found) != want {
		r.t.Fatalf("untold %v: %+v, want %d, %v", untold, found, want, err)
	}
	return found
}

func (r *rounds) reopen() {
	r.i.Version++
	r.i = changeIncident(r.t, r.s, incident.Change{Now: r.i, Entries: []incident.Entry{{At: r.now, Event: incident.EventAgain}}})
}

// customersAreToldAgain: who was told that all is settled, and is harmed again once the incident was opened again, is told once
// more of what is new, and once more when that is settled. Others are not, and nobody twice for one reopening.
func customersAreToldAgain(t *testing.T, s DatabaseSubject) {
	r := &rounds{shop: newShop(t, s), s: s, i: changeIncident(t, s, incident.Change{Now: outage("ocs")})}
	r.buy(1, charged, refused, refunded)
	open := r.buy(2, charged, silence)
	r.link(2)
	settled, waits := r.list(true, 2)[0], r.list(true, 2)[1]
	first := r.now
	r.say(incident.SaidHappened|incident.SaidEnded, "told", settled)
	r.say(incident.SaidHappened, "told", waits)
	r.buy(1, charged, refused, refunded) // while it was not opened again: one message, however many purchases
	r.link(1)
	r.list(true, 0)

	r.reopen()
	again, _, fresh := r.buy(1, charged, silence), r.buy(2, charged, silence), r.buy(3, charged, silence)
	r.link(3)
	r.list(false, 1) // who is to be told again is not told of an end before
	untold := r.list(true, 2)
	want := incident.Customer{Number: settled.Number, Language: "fr", Round: 1, Purchases: 1, Amount: 1050, Pending: 1, First: again.ID, Product: "airtime",
		Currency: money.XOF, ResolveBy: again.ResolveBy, Saying: incident.SaidHappened}
	if untold[0] != want || untold[1].First != fresh.ID || untold[1].Round != 1 {
		t.Errorf("told again %+v, want %+v first", untold, want)
	}
	if r.say(incident.SaidEnded, "ended", want) != 0 || r.say(incident.SaidHappened|incident.SaidEnded, "told", settled) != 0 {
		t.Error("told of another round, or of an end before")
	}
	for _, c := range untold {
		if r.say(incident.SaidHappened, "told", c) != 1 || r.say(incident.SaidHappened, "told", c) != 0 {
			t.Errorf("%+v was not told once", c)
		}
	}
	r.list(true, 0)
	r.drive(again, credited)
	r.drive(open, credited)
	ended := r.list(false, 3)
	if ended[0].Number != settled.Number || ended[0].Pending != 0 || ended[0].Purchases != 1 || ended[1].Purchases != 2 || ended[1].Round != 0 || ended[1].Pending != 1 {
		t.Errorf("not told of the end %+v", ended)
	}
	if r.say(incident.SaidEnded, "ended", ended[0]) != 1 || r.say(incident.SaidEnded, "ended", ended[0]) != 0 {
		t.Error("not told once of the end")
	}
	r.buy(1, charged, refused, refunded) // still the same reopening
	r.link(1)
	r.list(true, 0)
	r.reopen()
	r.buy(1, charged, refused, refunded)
	r.link(1)
	third := r.list(true, 1)[0]
	if third.Round != 2 || third.Purchases != 1 || third.Pending != 0 || r.say(incident.SaidHappened|incident.SaidEnded, "told", third) != 1 {
		t.Errorf("the third time %+v", third)
	}
	r.list(true, 0)
	totals, err := s.Totals(t.Context(), r.i.ID)
	if err != nil || totals.Customers != 3 || totals.Told != 3 || totals.Purchases != 8 {
		t.Errorf("totals %+v, %v", totals, err)
	}
	course, err := s.IncidentCourse(t.Context(), r.i.ID, first, first+1, time.Microsecond)
	if err != nil || len(course) != 1 || course[0].Told != 2 {
		t.Errorf("whoever is told again was told the first time then: %+v, %v", course, err)
	}
	if letters, err := s.Letters.UnsentNotices(t.Context(), 20); err != nil || len(letters) != 6 {
		t.Errorf("letters %+v, %v", letters, err)
	}
	verified(t, s, dawn)
}

// affectRemembers: looks that remember link, at each moment, exactly what is affected by then: what is new, what was charged late,
// what became late, was credited late or given back, in any shard; and nothing once the incident recovered.
func affectRemembers(t *testing.T, s DatabaseSubject) {
	seed := rand.Uint64()               //nolint:gosec // printed when it matters
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // likewise
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	shop := newShop(t, s)
	i := changeIncident(t, s, incident.Change{Now: outage("ocs")})
	fates := [][]purchase.Event{{charged}, {charged, credited}, {charged, refused}, {charged, refused, refunded}, {declined}, {}, {charged, silence}}
	var memory incident.Memory
	all, credits := []purchase.Purchase(nil), map[purchase.ID]bool{} // all, and those credited in time
	step := func(p *purchase.Purchase, events ...purchase.Event) {
		if *p = shop.drive(*p, events...); p.State == purchase.Credited && p.ClosedAt <= p.ChargedAt+minute {
			credits[p.ID] = true
		}
	}
	since, recovered := shop.now, purchase.Instant(0)
	for look := range 120 {
		shop.now += purchase.Instant(r.Int64N(5_000_000))
		for range r.IntN(6) {
			wish := request(int64(len(all)))
			if r.IntN(8) == 0 {
				wish.Provider = "ucip"
			}
			begun := shop.begin(wish)
			begun.Now.ID = purchase.MakeID(r.IntN(2), int64(len(all))+1)
			shop.commit(begun)
			step(&begun.Now, fates[r.IntN(len(fates))]...)
			all = append(all, begun.Now)
		}
		for n := range all {
			if p := &all[n]; r.IntN(10) == 0 {
				switch p.State {
				case purchase.Charging:
					step(p, charged)
				case purchase.Crediting:
					step(p, [][]purchase.Event{{credited}, {refused}}[r.IntN(2)]...)
				case purchase.Refunding:
					step(p, refunded)
				default:
				}
			}
		}
		shop.now++
		if look == 90 {
			recovered = shop.now
		}
		reach := incident.Reach{From: since, Till: shop.now, At: shop.now, Memory: &memory}
		if recovered != 0 {
			reach.Till = recovered
		}
		if look%60 == 59 {
			memory.Forget()
		}
		affect(t, s, &i, reach)
		want := map[purchase.ID]bool{}
		for n := range all {
			p := &all[n]
			late := p.State == purchase.Crediting && p.ChargedAt+minute <= shop.now || p.State == purchase.Credited && !credits[p.ID] || p.State == purchase.Refunding || p.State == purchase.Refunded
			if p.Provider == "ocs" && p.ChargedAt != 0 && p.ChargedAt < reach.Till && late {
				want[p.ID] = true
			}
		}
		totals, err := s.Totals(t.Context(), i.ID)
		if err != nil || totals.Purchases != int64(len(want)) {
			t.Fatalf("look %d: %d linked, want %d, %v", look, totals.Purchases, len(want), err)
		}
	}
	if totals, err := s.Totals(t.Context(), i.ID); err != nil || totals.Purchases < 50 || len(memory.Next) != 2 {
		t.Errorf("%+v, %+v, %v", totals, memory.Next, err)
	}
	verified(t, s, dawn)
}

// affectedStatesPage: each purchase of an incident is told once, page by page in the order of the IDs over all shards, as it stands
// now; those of another incident and those that are not affected are not.
func affectedStatesPage(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	far := shop.begin(request(9))
	far.Now.ID = purchase.MakeID(3, 5) // another shard
	shop.commit(far)
	all := []purchase.Purchase{shop.sell(request(1), charged, silence), shop.sell(request(2), charged, refused, refunded), shop.sell(request(3), charged, refused),
		shop.sell(request(4), charged, silence), shop.drive(far.Now, charged, silence)}
	shop.sell(request(5), charged, credited)
	other := request(6)
	other.Provider = "ucip"
	others := shop.sell(other, charged, silence)
	i, j := changeIncident(t, s, incident.Change{Now: outage("ocs")}), changeIncident(t, s, incident.Change{Now: outage("ucip")})
	for _, of := range []*incident.Incident{&i, &j} {
		affect(t, s, of, incident.Reach{From: dawn, Till: shop.now + 1, At: shop.now + 2*minute})
	}
	all[3] = shop.drive(all[3], credited) // late
	told := func(id incident.ID, limit int, want ...purchase.Purchase) {
		t.Helper()
		for after := purchase.ID(-1); ; {
			page, err := s.AffectedStates(t.Context(), id, after, limit)
			if err != nil || len(page) != min(limit, len(want)) {
				t.Fatalf("after %d: %+v, want %d more, %v", after, page, len(want), err)
			}
			for k, a := range page {
				if a.ID != want[k].ID || a.State != want[k].State {
					t.Errorf("after %d: %+v, want %d in state %v", after, a, want[k].ID, want[k].State)
				}
				after = a.ID
			}
			if want = want[len(page):]; len(page) == 0 {
				return
			}
		}
	}
	for limit := 1; limit <= len(all)+1; limit++ {
		told(i.ID, limit, all...)
	}
	told(j.ID, 10, others)
	told(j.ID+1, 10)
}

// talliesAreExchanged: each node hears the last of every other one whose lease lives, and one row a node is all there is.
func talliesAreExchanged(t *testing.T, s DatabaseSubject) {
	again := s.Again(t)
	var leases [3]purchase.Lease
	for n := range leases {
		var err error
		if leases[n], err = s.Acquire(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
	}
	exchange := func(n int, seq int64, data string, want ...incident.NodeTally) {
		t.Helper()
		got, err := []Database{s.Database, again}[n%2].ExchangeTallies(t.Context(), incident.NodeTally{Epoch: leases[n].Epoch, Seq: seq, Data: []byte(data)})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("node %d hears %+v, %v, want %+v", n, got, err, want)
		}
	}
	said := func(n int, seq int64, data string) incident.NodeTally {
		return incident.NodeTally{Epoch: leases[n].Epoch, Seq: seq, Data: []byte(data)}
	}
	exchange(0, 1, "a")
	exchange(1, 1, hostile, said(0, 1, "a"))
	exchange(0, 2, "b", said(1, 1, kept))
	exchange(2, 7, "", said(0, 2, "b"), said(1, 1, kept))
	if _, err := s.Takeover(t.Context(), leases[1], leases[0].Epoch, 10); err != nil {
		t.Fatal(err)
	}
	exchange(0, 3, "c", said(2, 7, ""))
	exchange(1, 2, "of a lease that is lost", said(0, 3, "c"), said(2, 7, ""))
	exchange(2, 8, "d", said(0, 3, "c"))
}
