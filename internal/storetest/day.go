package storetest

import (
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// Day is an installation at work, for tests of what looks at all of it: purchases that go
// every way, with cases, requests, callbacks, incidents and pauses beside them.
type Day struct {
	shop *shop
	db   Database
}

// NewDay begins a day.
func NewDay(t testing.TB, db Database) *Day {
	return &Day{newShop(t, db), db}
}

// Now is the instant of the last change.
func (d *Day) Now() purchase.Instant { return d.shop.now }

// Wait lets time pass.
func (d *Day) Wait(by time.Duration) { d.shop.now = d.shop.now.Add(by) }

// fates are the ways that purchases go in turn.
var fates = [][]purchase.Event{
	{charged, credited},
	{charged, credited},
	{declined},
	{charged, refused, refunded},
	{charged, refused, refunded, credited}, // late: exposure
	{charged},
}

// Sell sells so many purchases, committed a few at a time, and returns them.
func (d *Day) Sell(count int) []purchase.Purchase {
	d.shop.t.Helper()
	const together = 50
	var all []purchase.Purchase
	for len(all) < count {
		n := min(together, count-len(all))
		var batch []purchase.Change
		for i := range n {
			r := request(d.shop.next)
			if i%3 == 0 {
				r.Recipient += 1_000_000
			}
			c := d.shop.begin(r)
			c.Now.Salt = [16]byte{0: 1, 7: byte(d.shop.next >> 8), 15: byte(d.shop.next)}
			batch = append(batch, c)
		}
		d.shop.commit(batch...)
		now := make([]purchase.Purchase, n)
		for i := range batch {
			now[i] = batch[i].Now
		}
		for step := range 4 {
			batch = batch[:0]
			for i := range now {
				if way := fates[(len(all)+i)%len(fates)]; step < len(way) {
					c, durable := d.shop.meet(&now[i], way[step])
					now[i] = c.Now
					if durable {
						batch = append(batch, c)
					}
				}
			}
			if len(batch) > 0 {
				d.shop.commit(batch...)
			}
		}
		all = append(all, now...)
	}
	return all
}

// Care opens a case and an incident with its pause, promises a callback and keeps another, and
// asks for a refund that is refused.
func (d *Day) Care(about purchase.Purchase) {
	t, ctx := d.shop.t, d.shop.t.Context()
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d.Wait(time.Second)
	now := d.shop.now
	file, err := d.db.ChangeCase(ctx, care.Change{Now: care.Case{Version: 1, Number: about.PayerNumber, Purchase: about.ID, OpenedAt: now, ChangedAt: now,
		DueAt: now + 1, Status: care.Open, Code: care.CodePending, Channel: "app", Language: "fr", Clock: care.Clock{AnswerBy: now + 2, ResolveBy: now + 3}}})
	check(err)
	file.Version, file.Status, file.ClosedAt, file.DueAt, file.ChangedAt = 2, care.Withdrawn, now+5, 0, now+5
	_, err = d.db.ChangeCase(ctx, care.Change{Now: file})
	check(err)
	for i := range 2 {
		kept, added, err := d.db.AddCallback(ctx, care.Callback{Number: about.PayerNumber + purchase.MSISDN(i), At: now, WindowAt: now.Add(time.Hour), DueAt: now + 9,
			Channel: "app", Language: "fr", Reason: "somebody's words"}, 10)
		if check(err); !added {
			t.Fatal("the callback was not added")
		}
		kept.Version, kept.State, kept.ClosedAt, kept.DueAt, kept.Tries = 2, care.Broken, now.Add(2*time.Hour), 0, 1
		if i == 0 {
			kept.State, kept.ClosedAt = care.Kept, now+20
		} else {
			break
		}
		check(d.db.ChangeCallback(ctx, care.CallbackChange{Now: kept, Attempt: &care.Attempt{Callback: kept.ID, Try: 1, Staff: 1, At: now + 15, EndedAt: now + 20, Ring: care.Answered}}))
	}
	asked, err := d.db.AddRequest(ctx, care.Request{Kind: care.AskRefund, Purchase: about.ID, Number: about.PayerNumber, Amount: about.Total, Rule: "rule",
		Stage: care.StageCheck, At: now, DueAt: now + 100}, care.Periods{}, func(care.Standing) error { return nil })
	check(err)
	asked.Version, asked.Stage, asked.Checker, asked.DecidedAt, asked.ClosedAt, asked.Why = 2, care.StageRefused, auth.StaffID(7), now+30, now+30, "somebody's words"
	check(d.db.MoveRequest(ctx, asked))
	stored, err := d.db.ChangeIncident(ctx, incident.Change{Now: incident.Incident{Version: 1, Series: incident.Series{By: incident.ByProvider, Name: "ocs"},
		Status: incident.Ongoing, Severity: incident.Major, Party: "provider:ocs", Since: now, SeenAt: now, ChangedAt: now, Share: 1000},
		Pauses: []incident.Pause{{Series: incident.Series{By: incident.ByProvider, Name: "ocs"}, At: now}}})
	check(err)
	pauses, err := d.db.Pauses(ctx, 0)
	check(err)
	p := pauses[len(pauses)-1]
	p.Version, p.Share, p.EndedAt = p.Version+1, 1000, now+40
	_, err = d.db.ChangePause(ctx, p)
	check(err)
	stored.Version, stored.Status, stored.RecoveredAt, stored.ResolvedAt, stored.ClosedAt, stored.ChangedAt = 2, incident.Closed, now+40, now+40, now+50, now+50
	_, err = d.db.ChangeIncident(ctx, incident.Change{Now: stored})
	check(err)
	d.shop.now = now + 60
}

// SellTo sells so many purchases that a number pays for, or receives, or both, each of which comes to an end,
// and returns them.
func (d *Day) SellTo(count int, number purchase.MSISDN) []purchase.Purchase {
	d.shop.t.Helper()
	ends := [][]purchase.Event{{charged, credited}, {declined}, {charged, refused, refunded}}
	var all []purchase.Purchase
	for i := range count {
		r := request(d.shop.next)
		if i%3 != 1 {
			r.Recipient = number
		}
		if i%3 != 2 {
			r.PayerNumber = number
		}
		c := d.shop.begin(r)
		c.Now.Salt = [16]byte{0: 2, 14: byte(d.shop.next >> 8), 15: byte(d.shop.next)}
		d.shop.commit(c)
		all = append(all, d.shop.drive(c.Now, ends[i/3%len(ends)]...))
	}
	return all
}
