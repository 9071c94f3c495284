package purchase

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Wish is what people, or their rules, may ask of a purchase. A wish is no
// evidence and moves no money by itself: the table decides what comes of it.
type Wish uint8

// The wishes.
const (
	WishAnswer   Wish = iota + 1 // ask the partner again now, whatever the backoff
	WishCredit                   // send the credit again, under the same key, where that cannot double it
	WishRefund                   // give the money back rather than wait for the credit
	WishReversal                 // take the units back from the recipient, then refund (wrong number)
	// WishProvenRefund is WishRefund for as long as it needs no checker: where it is proven that nothing was credited.
	WishProvenRefund
)

// Wishes lists every wish.
var Wishes = []Wish{WishAnswer, WishCredit, WishRefund, WishReversal, WishProvenRefund}

var wishNames = [...]string{WishAnswer: "answer", WishCredit: "credit", WishRefund: "refund", WishReversal: "reversal",
	WishProvenRefund: "proven refund"}

// reasonProof is what WishProvenRefund says beside WishRefund.
const reasonProof Reason = "on_proof"

// String is the wish's word.
func (w Wish) String() string { return name(wishNames[:], int(w), "wish") }

// event is the wish as the table meets it. An answer is asked for the leg that the
// purchase waits for.
func (w Wish) event() (Event, error) {
	ev := Event{Source: FromStaff, Outcome: Outcome{Kind: Asked}}
	switch w {
	case WishAnswer:
	case WishCredit:
		ev.Leg = Credit
	case WishRefund:
		ev.Leg = Refund
	case WishProvenRefund:
		ev.Leg, ev.Outcome.Reason = Refund, reasonProof
	case WishReversal:
		ev.Leg = Reversal
	default:
		return Event{}, fmt.Errorf("ask for %s: no such wish", w)
	}
	return ev, nil
}

// Hindrance is why a purchase does not heed a wish, "" for nothing.
type Hindrance string

// The hindrances.
const (
	HindranceNothingCharged  Hindrance = "nothing_charged"    // the payer is still being asked
	HindranceDeclined        Hindrance = "declined"           // nothing was taken
	HindranceCredited        Hindrance = "final_credited"     // the units are there
	HindranceRefunded        Hindrance = "final_refunded"     // the money was given back
	HindranceNotCredited     Hindrance = "not_credited"       // there is nothing to take back
	HindranceRefunding       Hindrance = "refund_under_way"   // the money is being given back
	HindranceCall            Hindrance = "call_ongoing"       // a partner's answer is waited for: ask again in a moment
	HindranceCreditUnsafe    Hindrance = "credit_not_safe"    // a further try could double the credit
	HindranceRefundUnsafe    Hindrance = "refund_not_safe"    // a further try could double the refund
	HindranceProof           Hindrance = "proof_coming"       // that it was not credited will be proven, and the refund comes by itself
	HindranceUnproven        Hindrance = "unproven"           // it was wished for on proof, and there is none
	HindranceResumed         Hindrance = "just_resumed"       // this process has not had the time to ask the partner
	HindranceClosed          Hindrance = "closed"             // no answer is waited for any more
	HindranceIncapable       Hindrance = "not_capable"        // the partner cannot do it
	HindranceGivenBack       Hindrance = "given_back"         // the payer has the money, or some of it, already
	HindranceReversing       Hindrance = "reversal_under_way" // the units are being taken back
	HindranceReversalRefused Hindrance = "reversal_refused"   // the provider did not take them back, and will not
	HindranceReversalUnknown Hindrance = "reversal_unknown"   // whether it did was never answered
	HindranceReversalWrong   Hindrance = "reversal_wrong"     // it took something else back: staff settle that
)

// Hindrances lists every hindrance.
var Hindrances = []Hindrance{HindranceNothingCharged, HindranceDeclined, HindranceCredited, HindranceRefunded,
	HindranceNotCredited, HindranceRefunding, HindranceCall, HindranceCreditUnsafe, HindranceRefundUnsafe,
	HindranceProof, HindranceUnproven, HindranceResumed, HindranceClosed, HindranceIncapable, HindranceGivenBack, HindranceReversing,
	HindranceReversalRefused, HindranceReversalUnknown, HindranceReversalWrong}

// Grant says whether a purchase would heed a wish.
type Grant struct {
	OK  bool
	Why Hindrance // why not
	// At is when that may change by itself, 0 when unknown.
	At Instant
	// Unproven: a refund now would rest on no proof that nothing was credited,
	// and the operator would bear a late credit.
	Unproven bool
}

// Ask hands a wish to a purchase, wherever it is: it is kept for the node that
// owns it. When it returns nil the wish was heard, and what came of it is
// durable; what that is shows in the purchase, and may be nothing. A wish that
// is asked again changes nothing more. Errors: ErrNotFound; ErrUnavailable when
// it was not heard, ErrBusy when too much of the purchase waits.
func (e *Engine) Ask(ctx context.Context, id ID, w Wish) error {
	ev, err := w.event()
	if err != nil {
		return err
	}
	return e.hear(ctx, id, ev, "wish")
}

// Ask is Engine.Ask. Unless it returns an error it calls done once, as Deliver does.
func (s *Steps) Ask(ctx context.Context, id ID, w Wish, done func(error)) error {
	ev, err := w.event()
	if err != nil {
		return err
	}
	return s.e.deliver(ctx, id, ev, done)
}

// Grants is Engine.Grants.
func (s *Steps) Grants(p *Purchase, w Wish, now Instant) Grant { return s.e.Grants(p, w, now) }

// Grants says whether the purchase, as it stands at an instant, would heed a
// wish, and if not, why: by the rows of the table, without doing anything. The
// purchase must be as Store.Load returns it. A request of which nothing is
// recorded but that it was to be sent counts as under way.
func (t *Terms) Grants(p *Purchase, w Wish, now Instant) Grant {
	return t.grants(p, w, now, p.unanswered())
}

// Grants is Terms.Grants with what this node remembers of the purchase, where it
// holds it.
func (e *Engine) Grants(p *Purchase, w Wish, now Instant) Grant {
	e.mu.Lock()
	defer e.mu.Unlock()
	it := e.core.open[p.ID]
	if it == nil {
		return e.core.terms.Grants(p, w, now)
	}
	held, busy := it.p, it.busy()
	if ev, err := w.event(); err == nil && it.yields(&ev) {
		held.Legs[Credit].Unsent, busy = true, false
	}
	return e.core.terms.grants(&held, w, now, busy || it.change != nil)
}

func (t *Terms) grants(p *Purchase, w Wish, now Instant, busy bool) Grant {
	ev, err := w.event()
	if err != nil {
		return Grant{Why: HindranceIncapable}
	}
	out := t.Next(p, ev, now, busy, p.Epoch)
	switch {
	case out.Hindrance != "":
		return Grant{Why: out.Hindrance, At: out.HinderedTill}
	case !out.Durable && out.Call.Op == 0: // all that is left is to wait
		return Grant{Why: HindranceIncapable}
	}
	return Grant{OK: true, Unproven: out.Change.Now.Unproven && !p.Unproven}
}

// unanswered reports whether the last try of the leg that the purchase waits for
// may be under way, as far as its record tells.
func (p *Purchase) unanswered() bool {
	leg := p.active()
	l := &p.Legs[leg]
	answered := leg == Refund && p.Opened.Has(MatterRefundRefused)
	return l.Tries > 0 && !l.open() && !l.Unsent && !l.Closed && !l.Done && !answered
}

// busy reports whether a call of the purchase is under way, or waits to be made.
func (it *item) busy() bool { return it.calls > 0 || it.queued != nil }

// yields reports whether an event is the wish for a refund instead of a credit
// that still waits to be sent, and never was.
func (it *item) yields(ev *Event) bool {
	k := it.queued
	return ev.Outcome.Kind == Asked && ev.Leg == Refund && it.change == nil && it.calls == 0 && k != nil &&
		k.Op == OpDo && k.Leg == Credit && it.p.State == Crediting && !it.p.Legs[Credit].open()
}

// awaits reports whether an event is a wish that waits already: however often it
// is asked meanwhile, it is one, and takes no room from partners' news.
func (it *item) awaits(ev *Event) bool {
	return ev.Outcome.Kind == Asked && slices.Contains(it.queue, *ev)
}

// hinder says why a wish is not heeded.
func hinder(why Hindrance) effect {
	return effect{"not heeded: " + string(why), func(s *step) { s.out.Hindrance = why }}
}

var (
	// asDue does what the timer would.
	asDue = effect{"what is due, whatever the backoff", func(s *step) {
		s.p.Legs[s.p.active()].Queries = 0
		s.timed = true
	}}
	// hinderProof says by when the proof may be there.
	hinderProof = effect{"not heeded: " + string(HindranceProof), func(s *step) {
		s.out.Hindrance = HindranceProof
		s.out.HinderedTill = s.proof()
	}}
	hinderResumed = effect{"not heeded: " + string(HindranceResumed), func(s *step) {
		s.out.Hindrance = HindranceResumed
		s.out.HinderedTill = s.resort(0) - s.p.Skew
	}}
)

// proof is when a provider with a lateness bound can be proven not to have credited:
// the bound after the last try, and tries go on while they are wanted.
func (s *step) proof() Instant {
	l, last := &s.p.Legs[Credit], s.p.ResolveBy.Add(-s.terms.ResolveMargin)
	at := last
	if !l.Acknowledged {
		sent := l.LastAt
		if retriable.holds(s) && wanted.holds(s) {
			sent = max(sent, s.p.DeliverBy)
		}
		at = min(sent.Add(s.capability(Credit).Lateness)+1, last)
	}
	if at <= s.now {
		at = s.now.Add(time.Second)
	}
	return at - s.p.Skew
}

var (
	// lateProof: when the bound is over, a query proves that nothing was credited.
	lateProof = condition{"provable by its lateness", func(s *step) bool {
		c := s.capability(s.p.active())
		return c.Lateness > 0 && c.Query
	}}
	justResumed = condition{"just resumed", func(s *step) bool { return s.now < s.resort(0) }}
	onProof     = condition{"wished for on proof only", func(s *step) bool { return s.ev.Outcome.Reason == reasonProof }}
	forGood     = condition{"closed for good", func(s *step) bool { return !s.p.Open() }}
)

// wishes are the rows of what people ask for, and of the reversal, which happens
// only when they do.
func wishes() []Row {
	rows := []Row{
		{Crediting, Refund, Asked, when(callOngoing), 0, do(hinder(HindranceCall))},
		{Crediting, Refund, Asked, when(unsent), Refunding, do(settled0(Credit), attemptRefund)},
		{Crediting, Refund, Asked, when(tombstone), 0, do(cancel)},
		{Crediting, Refund, Asked, when(lateProof), 0, do(hinderProof)},
		{Crediting, Refund, Asked, when(justResumed), 0, do(hinderResumed)},
		{Crediting, Refund, Asked, when(onProof), 0, do(hinder(HindranceUnproven))},
		{Crediting, Refund, Asked, nil, Refunding, do(unproved, expose, openCase(MatterUnproven), attemptRefund)},

		{Crediting, Credit, Asked, when(callOngoing), 0, do(hinder(HindranceCall))},
		{Crediting, Credit, Asked, when(retriable), 0, do(tryAgain)},
		{Crediting, Credit, Asked, nil, 0, do(hinder(HindranceCreditUnsafe))},
		{Crediting, Reversal, Asked, nil, 0, do(hinder(HindranceNotCredited))},

		{Refunding, Refund, Asked, when(callOngoing), 0, do(hinder(HindranceCall))},
		{Refunding, Refund, Asked, when(retriable), 0, do(tryAgain)},
		{Refunding, Refund, Asked, nil, 0, do(hinder(HindranceRefundUnsafe))},
	}
	rows = append(append(rows, reversal()...), afterReversal()...)
	final := map[State]Hindrance{Charging: HindranceNothingCharged, Credited: HindranceCredited,
		Refunding: HindranceRefunding, Refunded: HindranceRefunded, Declined: HindranceDeclined}
	for _, state := range States {
		for _, leg := range []Leg{Credit, Refund, Reversal} {
			if !slices.ContainsFunc(rows, func(r Row) bool { return r.From == state && r.Leg == leg && r.Kind == Asked }) {
				rows = append(rows, Row{state, leg, Asked, nil, 0, do(hinder(final[state]))})
			}
		}
		if state.Final() {
			rows = append(rows, Row{state, 0, Asked, when(forGood), 0, do(hinder(HindranceClosed))})
		}
		rows = append(rows, Row{state, 0, Asked, when(callOngoing), 0, do(hinder(HindranceCall))},
			Row{state, 0, Asked, nil, 0, do(asDue)})
	}
	return rows
}
