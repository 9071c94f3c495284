package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// texts are what people and partners send, and what databases stumble over.
var texts = []string{"app", "", "wallet", "é", "e\u0301", "\U0001F4B8", "\u202Eppa", "app ", "APP", "NULL", "a'b\"c\\d", `{"a":[1,NULL]}`, "%_?$1:x",
	"\x00", "\xff\xfe", "\uFFFD", "\t\r\n", strings.Repeat("\u20ac", purchase.MaxDetail/3), strings.Repeat("\u20ac", purchase.MaxDetail),
	"x" + strings.Repeat("\u20ac", purchase.MaxDetail/3), strings.Repeat("\xff", purchase.MaxDetail)}

func text(t *rapid.T, label string) string { return rapid.SampledFrom(texts).Draw(t, label) }

// numbers are few, so that purchases meet.
var numbers = []purchase.MSISDN{22670112233, 22676445566, 1, math.MaxInt64}

// most bounds amounts, so that a few hundred movements do not overflow a balance:
// how large a sum may grow, a store that keeps no balances does not know.
const most = 1 << 52

// drawnCapability is what a partner of a name can do; some can do nothing but their work.
func drawnCapability(partner string) purchase.Capability {
	switch partner {
	case "wallet", "ocs":
		return able
	case "app":
		return purchase.Capability{Supported: true, Tombstone: true, Idempotent: true, KeyLife: able.Lateness, Timeout: able.Timeout}
	}
	return purchase.Capability{Supported: true, Timeout: able.Timeout}
}

// epoch is a lease's, rarely one that nobody has.
func (w *world) epoch(t *rapid.T) int64 {
	lease := rapid.SampledFrom(append(slices.Clone(w.leases), purchase.Lease{Epoch: 77})).Draw(t, "lease")
	return lease.Epoch
}

// id is a purchase's, rarely none or one that nobody made.
func (w *world) id(t *rapid.T) purchase.ID {
	return rapid.SampledFrom(append(slices.Clone(w.ids), 0, 77_777)).Draw(t, "id")
}

func (w *world) wish(t *rapid.T) purchase.Request {
	if len(w.ids) > 0 && rapid.Bool().Draw(t, "the same again") {
		r := w.latest[rapid.SampledFrom(w.ids).Draw(t, "as")].Request
		r.ClientKey = fmt.Sprint("key-", rapid.IntRange(0, 1000).Draw(t, "key"))
		return r
	}
	r := purchase.Request{Client: "app", ClientKey: fmt.Sprint("key-", rapid.IntRange(0, 1000).Draw(t, "key")), Channel: text(t, "channel"),
		Language: purchase.Language(text(t, "language")), PayerNumber: rapid.SampledFrom(numbers).Draw(t, "payer"),
		Recipient: rapid.SampledFrom(numbers).Draw(t, "recipient"), Payer: "wallet", Provider: "ocs", Product: "airtime",
		Offer:    rapid.SampledFrom([]int32{1, 0, math.MaxInt32, math.MinInt32}).Draw(t, "offer"),
		Total:    rapid.SampledFrom([]int64{1050, 1, most}).Draw(t, "total"),
		Units:    rapid.SampledFrom([]int64{1000, 1, most}).Draw(t, "units"),
		Currency: rapid.SampledFrom([]money.Currency{money.XOF, money.GHS}).Draw(t, "currency"),
		Bundle:   rapid.Bool().Draw(t, "bundle"), Again: rapid.Bool().Draw(t, "again")}
	r.Fee = min(r.Total-1, rapid.SampledFrom([]int64{50, 0, most}).Draw(t, "fee"))
	for i := range r.Digest {
		r.Digest[i] = byte(int(r.Total) + i*int(r.Offer))
	}
	if rapid.Bool().Draw(t, "in strange words") {
		r.Client, r.ClientKey, r.Product = text(t, "client"), text(t, "key"), text(t, "product")
		r.Payer, r.Provider = text(t, "wallet"), text(t, "system")
	}
	return r
}

// awaited is the news that moves a purchase on.
var awaited = map[purchase.State]purchase.Event{
	purchase.Charging: charged, purchase.Crediting: credited, purchase.Refunding: refunded, purchase.Refunded: credited,
	purchase.Credited: answer(purchase.Credit, purchase.Reversed, "credit-1"), purchase.Declined: charged,
}

// event is any news about any leg of p, likely or absurd. A leg that was never
// tried has no answers, only what the partner tells by itself.
func (w *world) event(t *rapid.T, p purchase.Purchase) purchase.Event {
	if ev, ok := awaited[p.State]; ok && rapid.IntRange(0, 2).Draw(t, "odd") == 0 {
		ev.Outcome.Amount = money.Amount{Minor: p.Total, Currency: p.Currency}
		if ev.Leg == purchase.Credit {
			ev.Outcome.Amount.Minor = p.Units
		}
		return ev
	}
	ev := purchase.Event{Leg: rapid.SampledFrom(purchase.Legs).Draw(t, "leg"),
		Source: rapid.SampledFrom([]purchase.Source{purchase.FromAnswer, purchase.FromCallback, purchase.FromQuery, purchase.FromCancel, purchase.FromStatement, purchase.FromNode}).Draw(t, "source")}
	if p.Legs[ev.Leg].Tries == 0 {
		ev.Source = rapid.SampledFrom([]purchase.Source{purchase.FromCallback, purchase.FromStatement}).Draw(t, "unasked")
	}
	o := &ev.Outcome
	o.Kind = rapid.SampledFrom(append([]purchase.Kind{purchase.Done, purchase.Done, purchase.Done}, purchase.Kinds...)).Draw(t, "kind")
	o.Ref = rapid.SampledFrom([]string{"a", "b", "", texts[len(texts)-2]}).Draw(t, "ref")
	o.Amount = money.Amount{Minor: p.Total, Currency: p.Currency}
	if ev.Leg == purchase.Credit {
		o.Amount.Minor = p.Units
	}
	if rapid.IntRange(0, 3).Draw(t, "oddity") == 3 {
		o.Amount = money.Amount{Minor: rapid.SampledFrom([]int64{1, 0, -1, most, p.Held, p.Total - 1}).Draw(t, "amount"),
			Currency: rapid.SampledFrom([]money.Currency{p.Currency, money.GHS, "", "\xff"}).Draw(t, "its currency")}
		o.Account = rapid.SampledFrom(append([]purchase.MSISDN{0}, numbers...)).Draw(t, "account")
		o.Product, o.Reason, o.Detail = text(t, "its product"), purchase.Reason(text(t, "reason")), text(t, "detail")
		if o.HasBalance = rapid.Bool().Draw(t, "has balance"); o.HasBalance {
			o.Balance = rapid.SampledFrom([]int64{0, -1, math.MaxInt64, math.MinInt64}).Draw(t, "balance")
		}
	}
	if rapid.Bool().Draw(t, "asked") {
		ev.AskedAt = w.now
	}
	return ev
}

// The ways in which a change comes about.
const (
	begun    = iota // a new purchase
	met             // news about one
	due             // its due time
	outdated        // news about what it was some time ago
	repeated        // one that was written before
	misowned        // of a purchase that another lease owns
	spoilt          // breaks a rule, perhaps
)

// change makes one change under the shop's lease.
func (w *world) change(t *rapid.T, s *shop, how int) (c purchase.Change, ok bool) {
	if how == begun || len(w.ids) == 0 {
		c = s.begin(w.wish(t))
		if rapid.Bool().Draw(t, "ask first") {
			c.RepeatSince = max(1, w.now-rapid.SampledFrom([]purchase.Instant{0, 60_000_000, w.now - 1}).Draw(t, "since"))
		}
		return c, true
	}
	if how == repeated {
		c = rapid.SampledFrom(w.written).Draw(t, "written")
		return c, c.Now.Epoch == s.epoch
	}
	p := w.latest[rapid.SampledFrom(w.ids).Draw(t, "of")]
	if how == outdated {
		p = rapid.SampledFrom(w.past).Draw(t, "past")
	}
	ev := purchase.Timer
	if how != due {
		ev = w.event(t, p)
	}
	c, ok = s.meet(&p, ev)
	for i := range c.Notices {
		c.Notices[i].Text = text(t, "notice")
	}
	switch how {
	case misowned:
		c.WasEpoch = w.epoch(t)
	case spoilt:
		rapid.SampledFrom(spoilers).Draw(t, "spoiler").do(&c)
	}
	return c, ok
}

// spoiler makes a change break a rule, where it has what that takes.
type spoiler struct {
	name string
	do   func(*purchase.Change)
}

// String names the spoiler in a report.
func (s spoiler) String() string { return s.name }

var spoilers = []spoiler{
	{"negative hold", func(c *purchase.Change) { c.Now.Held = -1 }},
	{"holds too much", func(c *purchase.Change) { c.Now.Held = c.Now.Charged.Minor + 1 }},
	{"no such state", func(c *purchase.Change) { c.Now.State = 9 }},
	{"no state", func(c *purchase.Change) { c.Now.State = 0 }},
	{"charged and charging", func(c *purchase.Change) { c.Now.State, c.Now.Charged.Minor = purchase.Charging, 5 }},
	{"open without due time", func(c *purchase.Change) { c.Now.State, c.Now.DueAt = purchase.Refunding, 0 }},
	{"fee of everything", func(c *purchase.Change) { c.Now.Fee = c.Now.Total }},
	{"no version", func(c *purchase.Change) { c.Now.Version = 0 }},
	{"negative number", func(c *purchase.Change) { c.Now.ID = -c.Now.ID }},
	{"evidence of another step", func(c *purchase.Change) {
		if c.Evidence != nil {
			c.Evidence.Version++
		}
	}},
	{"evidence of no kind", func(c *purchase.Change) {
		if c.Evidence != nil {
			c.Evidence.Kind = 0
		}
	}},
	{"posting without evidence", func(c *purchase.Change) { c.Evidence = nil }},
	{"posted twice", func(c *purchase.Change) { c.Postings = append(c.Postings, c.Postings...) }},
	{"posted before", func(c *purchase.Change) {
		if c.Postings = slices.Clone(c.Postings); len(c.Postings) > 0 {
			c.Postings[0].Leg, c.Postings[0].Effect = purchase.Charge, purchase.EffectPrincipal
		}
	}},
	{"posting to itself", func(c *purchase.Change) {
		if c.Postings = slices.Clone(c.Postings); len(c.Postings) > 0 {
			c.Postings[0].Debit = c.Postings[0].Credit
		}
	}},
	{"told twice", func(c *purchase.Change) { c.Notices = append(c.Notices, c.Notices...) }},
	{"tells nothing", func(c *purchase.Change) { c.Notices = append(c.Notices, purchase.Notice{}) }},
	{"case opened twice", func(c *purchase.Change) { c.Cases = append(c.Cases, c.Cases...) }},
	{"attempted before", func(c *purchase.Change) { c.Attempt = &purchase.Attempt{Leg: purchase.Charge, Try: 1} }},
	{"attempt of no leg", func(c *purchase.Change) { c.Attempt = &purchase.Attempt{Try: 1} }},
	{"attempt never", func(c *purchase.Change) { c.Attempt = &purchase.Attempt{Leg: purchase.Charge} }},
}

// commit writes a batch of changes that came about in some of these ways.
func (w *world) commit(t *rapid.T, ways ...int) {
	w.now++
	s := &shop{terms: w.terms, epoch: w.epoch(t), now: w.now, next: w.next}
	var batch []purchase.Change
	sane := true
	used := map[purchase.ID]bool{}
	for range rapid.IntRange(0, 6).Draw(t, "changes") {
		how := rapid.SampledFrom(ways).Draw(t, "way")
		c, ok := w.change(t, s, how)
		if !ok || used[c.Now.ID] { // at most one change per purchase
			continue
		}
		used[c.Now.ID] = true
		sane = sane && how != spoilt
		batch = append(batch, c)
	}
	w.now, w.next = s.now, s.next
	w.askFirst(batch)
	verdicts, err := alike(t, w, fmt.Sprintf("commit under %d: %+v", s.epoch, batch), func(st purchase.Store, _ *replica) ([]purchase.Verdict, error) {
		verdicts, err := st.Commit(context.Background(), s.epoch, batch)
		for i, v := range verdicts {
			if v.Result == purchase.Repeat && w.repeats(batch, i, v.Other) {
				// A verdict names "the earlier purchase"; of several, any.
				verdicts[i].Other = -1
			}
		}
		return verdicts, err
	})
	if sane && errors.Is(err, errOther) {
		t.Fatalf("the stores refuse what the table of states asks for: %+v", batch)
	}
	var ids []purchase.ID
	for i := range verdicts {
		if p := &batch[i].Now; verdicts[i].Result == purchase.Written {
			if p.Version == 1 {
				w.ids = append(w.ids, p.ID)
			}
			w.latest[p.ID] = *p
			w.past, w.written = append(w.past, *p), append(w.written, batch[i])
		}
		ids = append(ids, batch[i].Now.ID)
	}
	w.records(t, ids)
}

// askFirst takes the look for a repeat out of batches that decline a purchase or
// take one back from its decline: whether that one counts "is left open"
// (Change.RepeatSince).
func (w *world) askFirst(batch []purchase.Change) {
	if !slices.ContainsFunc(batch, func(c purchase.Change) bool {
		return c.Now.State == purchase.Declined || w.latest[c.Now.ID].State == purchase.Declined
	}) {
		return
	}
	for i := range batch {
		batch[i].RepeatSince = 0
	}
}

// repeats reports whether a change of a batch is like another purchase, or like
// an earlier change of the batch.
func (w *world) repeats(batch []purchase.Change, i int, other purchase.ID) bool {
	p, since := &batch[i].Now, batch[i].RepeatSince
	q, known := w.latest[other]
	for _, c := range batch[:i] {
		if c.Now.ID == other {
			q, known = c.Now, true
		}
	}
	return known && q.State != purchase.Declined && q.PayerNumber == p.PayerNumber && q.Recipient == p.Recipient &&
		q.Total == p.Total && q.CreatedAt >= since
}
