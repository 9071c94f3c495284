package sim

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/ledger"
	"tenu/internal/purchase"
)

// number is what a full number looks like in a text.
var number = regexp.MustCompile(`\b226\d{8}\b`)

type clientKey struct{ client, key string }

// likeness is what purchases share of which the customer may have meant one.
type likeness struct {
	payer, recipient purchase.MSISDN
	product          string
	total            int64
}

// auditor keeps its own copy of all that becomes durable and checks every
// invariant at each change.
type auditor struct {
	w       *world
	records map[purchase.ID]*purchase.Record
	ids     []purchase.ID // in the order of their first change
	keys    map[clientKey]purchase.ID
	likes   map[likeness][]purchase.ID
	ledger  ledger.Balances
	fenced  map[int64]bool
	open    int // purchases that still act
	unsent  map[noticeKey]bool
	texts   map[noticeKey]string
	sends   map[string]string // partner's key to the purchase and leg that it was seen for
	arcs    map[[2]purchase.State]bool
	births  map[purchase.ID]birth
	last    map[purchase.ID]birth                  // when it was last written, and under which lease
	gaps    map[purchase.ID]time.Duration          // longest time that it waited for another process
	parked  map[news]bool                          // news that was ever kept for another node
	taken   map[int64]purchase.Parked              // what was read of it, by its number
	wishes  map[purchase.ID]map[purchase.Wish]bool // what people ever asked
}

// birth is when a purchase was made durable, and under which lease.
type birth struct {
	at    purchase.Instant
	epoch int64
}

type noticeKey struct {
	id   purchase.ID
	fact purchase.Fact
	to   purchase.MSISDN
}

func newAuditor(w *world) *auditor {
	a := &auditor{w: w, records: map[purchase.ID]*purchase.Record{}, keys: map[clientKey]purchase.ID{},
		likes:  map[likeness][]purchase.ID{},
		ledger: ledger.Balances{}, fenced: map[int64]bool{}, unsent: map[noticeKey]bool{},
		texts: map[noticeKey]string{}, sends: map[string]string{}, arcs: map[[2]purchase.State]bool{},
		births: map[purchase.ID]birth{}, last: map[purchase.ID]birth{}, gaps: map[purchase.ID]time.Duration{}, parked: map[news]bool{}, taken: map[int64]purchase.Parked{},
		wishes: map[purchase.ID]map[purchase.Wish]bool{}}
	for i := range purchase.Table {
		row := &purchase.Table[i]
		a.arcs[[2]purchase.State{row.From, row.To}] = true
	}
	return a
}

// moved notes a takeover.
func (a *auditor) moved(from, to int64, n int) {
	a.fenced[from] = true
	moved := 0
	for _, id := range a.ids {
		if r := a.records[id]; r.Purchase.Epoch == from && r.Purchase.Open() && moved < n {
			r.Purchase.Epoch = to
			moved++
		}
	}
	a.w.tally.Takeovers++
	a.w.note("takeover", 0, fmt.Sprintf("%d purchases of lease %d to lease %d", n, from, to))
}

// wrote checks a change that became durable, and keeps it.
func (a *auditor) wrote(epoch int64, c *purchase.Change) {
	p := &c.Now
	r := a.records[p.ID]
	if r == nil {
		r = &purchase.Record{}
		a.records[p.ID] = r
		a.ids = append(a.ids, p.ID)
		key := clientKey{p.Client, p.ClientKey}
		if other, taken := a.keys[key]; taken {
			a.w.fail("P8", p.ID, "a second purchase, after %d, under one client key", other)
		}
		a.keys[key] = p.ID
		a.births[p.ID] = birth{a.w.now, epoch}
		buyer, err := strconv.Atoi(strings.TrimPrefix(p.ClientKey, "key-"))
		if err == nil {
			a.w.bought[p.ID] = buyer
		}
		a.unlike(c)
	}
	if last := a.last[p.ID]; last.at != 0 && last.epoch != epoch {
		a.gaps[p.ID] = max(a.gaps[p.ID], a.w.now.Sub(last.at))
	}
	a.last[p.ID] = birth{a.w.now, epoch}
	was := r.Purchase
	a.w.tally.Changes++
	a.w.note("wrote", p.ID, describe(&was, c))
	a.version(epoch, &was, c)
	a.money(r, &was, c)
	a.transition(&was, c)
	a.unwished(&was, c)
	a.notices(&was, c)
	if was.Open() {
		a.open--
	}
	if p.Open() {
		a.open++
	}
	r.Purchase = *p
	if c.Attempt != nil {
		r.Attempts = append(r.Attempts, *c.Attempt)
	}
	if c.Evidence != nil {
		r.Evidence = append(r.Evidence, *c.Evidence)
	}
	r.Postings = append(r.Postings, c.Postings...)
	r.Notices = append(r.Notices, c.Notices...)
	r.Cases = append(r.Cases, c.Cases...)
	a.count(c)
	if a.w.files != nil {
		for i := range c.Cases {
			a.w.files.loose[loose{p.ID, c.Cases[i].Matter, 0}] = true
		}
	}
	a.whole(r)
	if was.State != p.State && p.State.Final() {
		a.w.tally.States[p.State]++
	}
	if a.w.play != nil {
		a.w.play.wrote(&was, c)
	}
	if was.ResolveBy == 0 && p.ResolveBy != 0 {
		a.watch(p)
	}
}

// count notes what is rare, so that a simulation without it is noticed.
func (a *auditor) count(c *purchase.Change) {
	if e := c.Evidence; e != nil && e.Leg == purchase.Reversal {
		a.w.tally.Reversals[e.Kind]++
	}
	for i := range c.Cases {
		a.w.tally.Matters[slices.Index(purchase.Matters, c.Cases[i].Matter)]++
	}
}

// unlike checks that a new purchase is not what a customer who tapped twice asked
// for (h1).
func (a *auditor) unlike(c *purchase.Change) {
	p := &c.Now
	like := likeness{p.PayerNumber, p.Recipient, p.Product, p.Total}
	for _, id := range a.likes[like] {
		other := &a.records[id].Purchase
		if c.RepeatSince != 0 && other.CreatedAt >= c.RepeatSince && other.State != purchase.Declined {
			a.w.fail("h1", p.ID, "made though purchase %d is like it and recent", id)
		}
	}
	a.likes[like] = append(a.likes[like], p.ID)
}

// describe is a change in one line.
func describe(was *purchase.Purchase, c *purchase.Change) string {
	p := &c.Now
	text := fmt.Sprintf("v%d lease %d ", p.Version, p.Epoch)
	if was.State != p.State {
		text += fmt.Sprintf("%s -> %s", was.State, p.State)
	} else {
		text += p.State.String()
	}
	if e := c.Evidence; e != nil {
		text += fmt.Sprintf("; %s %s by %s %s %d", e.Leg, e.Kind, e.Source, e.Ref, e.Amount.Minor)
	}
	if c.Attempt != nil {
		text += fmt.Sprintf("; attempt %s %d", c.Attempt.Leg, c.Attempt.Try)
	}
	for _, posting := range c.Postings {
		text += fmt.Sprintf("; post %s %d %s to %s", posting.Effect, posting.Amount.Minor, posting.Credit, posting.Debit)
	}
	for _, n := range c.Notices {
		text += "; tell " + n.Fact.String()
	}
	for _, k := range c.Cases {
		text += "; case " + string(k.Matter)
	}
	return text
}

// version checks P11: the writer had the current lease and version.
func (a *auditor) version(epoch int64, was *purchase.Purchase, c *purchase.Change) {
	p := &c.Now
	switch {
	case a.fenced[epoch]:
		a.w.fail("P11", p.ID, "written under lease %d, which is fenced", epoch)
	case p.Version != was.Version+1:
		a.w.fail("P11", p.ID, "version %d follows %d", p.Version, was.Version)
	case was.Version > 0 && was.Epoch != c.WasEpoch:
		a.w.fail("P11", p.ID, "written over lease %d as if over %d", was.Epoch, c.WasEpoch)
	case p.Epoch != epoch:
		a.w.fail("P11", p.ID, "lease %d writes as lease %d", epoch, p.Epoch)
	case c.Attempt != nil && int(c.Attempt.Try) != tries(a.records[p.ID], c.Attempt.Leg)+1:
		a.w.fail("P10", p.ID, "%s attempt %d after %d", c.Attempt.Leg, c.Attempt.Try, tries(a.records[p.ID], c.Attempt.Leg))
	}
}

func tries(r *purchase.Record, leg purchase.Leg) (n int) {
	for i := range r.Attempts {
		if r.Attempts[i].Leg == leg {
			n++
		}
	}
	return n
}

// money checks L1, L4, L5, L6 and L9 on a change's postings.
func (a *auditor) money(r *purchase.Record, was *purchase.Purchase, c *purchase.Change) {
	p := &c.Now
	for i := range c.Postings {
		posting := &c.Postings[i]
		if c.Evidence == nil || c.Evidence.Leg != posting.Leg {
			a.w.fail("L6", p.ID, "%s %s posted without evidence", posting.Leg, posting.Effect)
		}
		for j := range r.Postings {
			if r.Postings[j].Leg == posting.Leg && r.Postings[j].Effect == posting.Effect {
				a.w.fail("L4", p.ID, "%s %s posted twice", posting.Leg, posting.Effect)
			}
		}
		if err := a.ledger.Post(posting.Posting); err != nil {
			a.w.fail("L1", p.ID, "%v", err)
		}
	}
	if e := c.Evidence; e != nil && e.Kind == purchase.Done {
		a.truthful(p, e)
	}
	if was.ChargedAt != 0 && (was.Charged != p.Charged || was.ChargedAt != p.ChargedAt) {
		a.w.fail("L2", p.ID, "the charge was changed")
	}
}

// truthful checks that what is recorded as done is in the partner's books,
// unless the partner said so itself.
func (a *auditor) truthful(p *purchase.Purchase, e *purchase.Evidence) {
	account := a.w.account(p, e.Partner, e.Leg)
	if account == nil {
		a.w.fail("P1", p.ID, "%s done is recorded, and %s has never heard of it", e.Leg, e.Partner)
		return
	}
	if account.phantoms > 0 {
		return
	}
	for _, m := range account.moved {
		if (m.ref == e.Ref || e.Ref == "") && m.amount == e.Amount {
			return
		}
	}
	a.w.fail("P1", p.ID, "%s done %s over %d is recorded, and is not in the books of %s", e.Leg, e.Ref, e.Amount.Minor, e.Partner)
}

// account is what a partner knows of a leg of a purchase, or nil.
func (w *world) account(p *purchase.Purchase, partner string, leg purchase.Leg) *account {
	for _, peer := range w.peers {
		if peer.Name() == partner {
			return peer.keys[w.keys.Key(p.ID, leg).UUID()]
		}
	}
	return nil
}

// transition checks P7, P12, P13 and the truth of "nothing was taken".
func (a *auditor) transition(was *purchase.Purchase, c *purchase.Change) {
	p := &c.Now
	if was.Version == 0 {
		if p.State != purchase.Charging || c.Attempt == nil || c.Attempt.Leg != purchase.Charge {
			a.w.fail("P10", p.ID, "begins in %s without a charge attempt", p.State)
		}
	} else if was.State != p.State {
		if !a.arcs[[2]purchase.State{was.State, p.State}] {
			a.w.fail("P7", p.ID, "%s -> %s is no transition", was.State, p.State)
		}
		if was.State.Final() && c.Evidence == nil {
			a.w.fail("P7", p.ID, "left %s without evidence", was.State)
		}
	}
	if !p.State.Final() && p.DueAt == 0 {
		a.w.fail("P13", p.ID, "%s without a due time", p.State)
	}
	for _, leg := range purchase.Legs {
		if p.Legs[leg].Closed && !was.Legs[leg].Closed {
			a.closed(p, was, leg)
		}
	}
}

// closed checks P12: at the moment that "no" is final, the partner has not
// executed. That it does not do so later is checked when it does.
func (a *auditor) closed(p, was *purchase.Purchase, leg purchase.Leg) {
	account := a.w.account(p, was.Partner(leg), leg)
	if account == nil || account.misleads() {
		return
	}
	for _, m := range account.moved {
		if !m.undone && was.Legs[leg].Ref == "" {
			a.w.fail("P12", p.ID, "%s is taken for never executed, and %s has executed it as %s", leg, was.Partner(leg), m.ref)
		}
	}
}

// executed checks P12 from the other side, when a partner executes.
func (a *auditor) executed(peer *peer, account *account) {
	r := a.records[account.o.Purchase]
	if r == nil || account.lied {
		return
	}
	leg := account.o.Leg
	if l := &r.Purchase.Legs[leg]; l.Closed && !l.Done && r.Purchase.Partner(leg) == peer.Name() && len(account.moved) == 1 {
		a.w.fail("P12", r.Purchase.ID, "%s was taken for never executed, and %s executes it now", leg, peer.Name())
	}
}

// sent checks P6, P9 and P10 when a request arrives at a partner.
func (a *auditor) sent(peer *peer, o purchase.Order) {
	r := a.records[o.Purchase]
	if r == nil {
		a.w.fail("P10", o.Purchase, "%s was asked to %s before the purchase was durable", peer.Name(), o.Leg)
		return
	}
	p := &r.Purchase
	if a.fenced[a.w.sender] && !a.w.clocksDiffer() {
		a.w.fail("P11", o.Purchase, "%s is asked to %s under lease %d, which was taken over", peer.Name(), o.Leg, a.w.sender)
	}
	if tries(r, o.Leg) < o.Try {
		a.w.fail("P10", o.Purchase, "%s was asked to %s, try %d, before that was durable", peer.Name(), o.Leg, o.Try)
	}
	key, what := o.Key.UUID(), fmt.Sprintf("%d %s", o.Purchase, o.Leg)
	if was, seen := a.sends[key]; seen && was != what || o.Key != a.w.keys.Key(o.Purchase, o.Leg) {
		a.w.fail("P9", o.Purchase, "%s got key %s for %s, before for %s", peer.Name(), key, what, was)
	}
	a.sends[key] = what
	account := peer.keys[key]
	if account != nil && account.asked >= tries(r, o.Leg) {
		a.w.fail("P10", o.Purchase, "%s was asked to %s %d times, on %d attempts", peer.Name(), o.Leg, account.asked+1, tries(r, o.Leg))
	}
	if account != nil && !account.lied && len(account.moved) > 0 {
		c := peer.Capability(o.Leg)
		switch {
		case !c.Idempotent:
			a.w.fail("P3", o.Purchase, "%s, which is not idempotent, was asked to %s again after it had", peer.Name(), o.Leg)
		case a.w.now >= account.first.Add(c.KeyLife+a.unnoticed(o.Purchase)):
			a.w.fail("P3", o.Purchase, "%s was asked to %s again when it had forgotten the key", peer.Name(), o.Leg)
		}
	}
	switch {
	case o.Leg == purchase.Refund && !owes(r, o):
		a.w.fail("P6", o.Purchase, "a refund of %d to %s is asked for, %d was charged, %d is held", o.Amount.Minor, o.Account.Masked(), p.Charged.Minor, p.Held)
	case o.Leg == purchase.Charge && (o.Amount.Minor != p.Total || o.Account != p.PayerNumber):
		a.w.fail("P6", o.Purchase, "a charge of %d is asked for, the price is %d", o.Amount.Minor, p.Total)
	case o.Leg == purchase.Reversal && (o.Amount.Minor != p.Units || o.Account != p.Recipient || o.Product != p.Product || !credited(r, o.Original)):
		a.w.fail("P15", o.Purchase, "%d %s of credit %q are to be taken back, %d %s was credited", o.Amount.Minor, o.Product, o.Original, p.Units, p.Product)
	case o.Leg == purchase.Credit && (o.Amount.Minor != p.Units || o.Account != p.Recipient || o.Product != p.Product):
		a.w.fail("P6", o.Purchase, "a credit of %d %s is asked for, %d %s was bought", o.Amount.Minor, o.Product, p.Units, p.Product)
	}
}

// credited reports whether a credit of that reference is on record.
func credited(r *purchase.Record, ref string) bool {
	return slices.ContainsFunc(r.Evidence, func(e purchase.Evidence) bool {
		return e.Leg == purchase.Credit && e.Kind == purchase.Done && e.Ref == ref
	})
}

// unnoticed is by how much a process can take a key for younger than it is: the
// clock of the one before was ahead, and by now the time that it told has come.
func (a *auditor) unnoticed(id purchase.ID) time.Duration {
	return min(a.w.ahead, a.gaps[id]+purchase.ClockSlack)
}

// owes reports whether a refund is of what the purchase holds, or held when it was
// asked for, and to the number that was charged.
func owes(r *purchase.Record, o purchase.Order) bool {
	account := r.Purchase.PayerNumber
	for i := range r.Evidence {
		if e := &r.Evidence[i]; e.Leg == purchase.Charge && e.Kind == purchase.Done && e.Account != 0 {
			account = e.Account
			break
		}
	}
	for i := range r.Postings {
		s := sum(&purchase.Record{Postings: r.Postings[:i+1]})
		if o.Amount.Minor > 0 && o.Amount.Minor == s.holding-s.second {
			return o.Account == account
		}
	}
	return false
}

// whole checks what a record must be as a whole: L7, P1, P3, P4 and P5.
func (a *auditor) whole(r *purchase.Record) {
	p := &r.Purchase
	s := sum(r)
	if s.total != 0 {
		a.w.fail("L7", p.ID, "its postings leave %d unexplained", s.total)
	}
	if own := s.holding - s.second; own != p.Held || p.Held < 0 {
		a.w.fail("L7", p.ID, "%d is held by the journal, %d by the purchase", own, p.Held)
	}
	if p.State == purchase.Credited && !s.has(purchase.Credit, purchase.EffectPrincipal) && creditNet(r) != 1 {
		a.w.fail("P1", p.ID, "credited with %d credits on record", creditNet(r))
	}
	if s.exposure != 0 && (!p.Exposed || len(r.Cases) == 0) {
		a.w.fail("P5", p.ID, "exposure of %d without being listed, or without a case", s.exposure)
	}
	credited := s.has(purchase.Credit, purchase.EffectPrincipal) && !s.has(purchase.Credit, purchase.EffectUndone) &&
		!s.has(purchase.Reversal, purchase.EffectPrincipal)
	refundedToo := s.has(purchase.Refund, purchase.EffectPrincipal) && !s.has(purchase.Refund, purchase.EffectUndone)
	if credited && refundedToo && (!p.Exposed || len(r.Cases) == 0) {
		a.w.fail("P5", p.ID, "credited and refunded, and not exposed with a case")
	}
	if len(r.Cases) == 0 && doneRefs(r, purchase.Credit) > 1 {
		a.w.fail("P3", p.ID, "credited twice without a case")
	}
	if len(r.Cases) == 0 && doneRefs(r, purchase.Refund) > 1 {
		a.w.fail("P4", p.ID, "refunded twice without a case")
	}
	if len(r.Cases) == 0 && doneRefs(r, purchase.Reversal) > 1 {
		a.w.fail("P15", p.ID, "taken back twice without a case")
	}
}

// sums are a purchase's postings by kind of account.
type sums struct {
	total, holding, second, exposure, wallet, delivered int64
	posted                                              map[[2]int]bool
}

func sum(r *purchase.Record) sums {
	s := sums{posted: map[[2]int]bool{}}
	side := func(account ledger.Account, minor int64, second bool) {
		s.total += minor
		switch kind(account) {
		case "held", "orphans":
			s.holding -= minor
			if second {
				s.second -= minor
			}
		case "exposure":
			s.exposure += minor
		case "wallet":
			s.wallet += minor
		case "delivered", "fees":
			s.delivered -= minor
		}
	}
	for i := range r.Postings {
		p := &r.Postings[i]
		second := p.Leg == purchase.Charge && (p.Effect == purchase.EffectSecond || p.Effect == purchase.EffectSecondUndone)
		side(p.Debit, p.Amount.Minor, second)
		side(p.Credit, -p.Amount.Minor, second)
		s.posted[[2]int{int(p.Leg), int(p.Effect)}] = true
	}
	return s
}

// creditNet counts the credits on record that were not taken back.
func creditNet(r *purchase.Record) (n int) {
	for i := range r.Evidence {
		switch e := &r.Evidence[i]; {
		case e.Leg != purchase.Credit:
		case e.Kind == purchase.Done:
			n++
		case e.Kind == purchase.Reversed:
			n--
		}
	}
	return n
}

func (s *sums) has(leg purchase.Leg, e purchase.Effect) bool {
	return s.posted[[2]int{int(leg), int(e)}]
}

// doneRefs counts the different movements on record for a leg.
func doneRefs(r *purchase.Record, leg purchase.Leg) int {
	refs := map[string]bool{}
	for i := range r.Evidence {
		if e := &r.Evidence[i]; e.Leg == leg && e.Kind == purchase.Done && e.Ref != "" {
			refs[e.Ref] = true
		}
	}
	return len(refs)
}

// kind is what kind of account it is.
func kind(account ledger.Account) string {
	k, _, _ := strings.Cut(string(account), "/")
	return k
}

// signed counts a movement up, down, or not at all.
func signed(up, down bool, minor int64) int64 {
	switch {
	case up:
		return minor
	case down:
		return -minor
	}
	return 0
}
