package purchase

import (
	"fmt"
	"testing"
	"time"
)

// walkWishes asks every wish of a purchase as it stands, and checks what must hold
// whatever the state: no evidence, no money moved, nothing said or done where a
// hindrance is given, and nothing more when it is asked again.
func walkWishes(p *Purchase, terms *Terms, now Instant, busy bool) error {
	for _, w := range Wishes {
		ev, err := w.event()
		if err != nil {
			return err
		}
		step := terms.Next(p, ev, now, busy, 7)
		if err := walkWish(p, w, step, busy); err != nil {
			return fmt.Errorf("%s wished for in %s by row %q: %w", w, p.State, step.Row.Condition(), err)
		}
		grant, acts := terms.grants(p, w, now, busy), step.Durable || step.Call.Op != 0
		if grant.OK != acts || grant.OK == (grant.Why != "") {
			return fmt.Errorf("%s in %s: granted %+v, and the table does %+v", w, p.State, grant, step)
		}
		if grant.At != 0 && grant.At <= now {
			return fmt.Errorf("%s in %s: may change at %s, and it is %s", w, p.State, grant.At, now)
		}
		if w == WishAnswer {
			continue // what is due next may be something else
		}
		again := terms.Next(&step.Change.Now, ev, now, busy || step.Call.Op != 0, 7)
		if again.Durable || again.Call.Op != 0 {
			return fmt.Errorf("%s in %s: asked again it does %v", w, p.State, again.Row.Effects())
		}
	}
	return nil
}

func walkWish(was *Purchase, w Wish, step *Step, busy bool) error {
	c, p := &step.Change, &step.Change.Now
	switch {
	case c.Evidence != nil || len(c.Postings) > 0:
		return fmt.Errorf("evidence %+v and postings %v of a wish", c.Evidence, c.Postings)
	case step.Row == &ignored:
		return fmt.Errorf("no row says what becomes of it")
	case busy && (step.Durable || step.Call.Op != 0):
		return fmt.Errorf("it does %v while a call is under way", step.Row.Effects())
	case step.Hindrance != "" && (step.Durable || step.Call.Op != 0):
		return fmt.Errorf("it is hindered by %s, and does %v", step.Hindrance, step.Row.Effects())
	case was.State.Final() && p.State != was.State:
		return fmt.Errorf("P7: it leaves the state")
	case step.Call.Op == OpDo && step.Call.Leg == Refund && p.State != Refunding, p.Legs[Refund].Tries > was.Legs[Refund].Tries+1:
		return fmt.Errorf("it refunds")
	case w != WishAnswer && !was.State.Final() && step.Hindrance == "" && was.State == Charging:
		return fmt.Errorf("it does %v before anything was charged", step.Row.Effects())
	}
	return nil
}

// TestWishes says what each wish does in each state, on purchases that stand there
// in the ways that matter.
func TestWishes(t *testing.T) {
	now := Instant(1_800_000_000_000_000)
	plain := Capability{Supported: true, Timeout: 5 * time.Second}
	with := func(change func(*Capability)) Capability {
		c := plain
		change(&c)
		return c
	}
	idempotent := with(func(c *Capability) { c.Idempotent, c.KeyLife = true, 24*time.Hour })
	tombstone := with(func(c *Capability) { c.Tombstone = true })
	bounded := with(func(c *Capability) { c.Lateness, c.Query = 10*time.Minute, true })
	stands := func(state State, leg Leg, change func(*LegState)) *Purchase {
		p := &Purchase{ID: 1, Version: 3, Request: *walkRequest(), State: state, CreatedAt: now.Add(-time.Hour), DueAt: now.Add(time.Minute)}
		if state != Charging && state != Declined {
			p.Charged, p.ChargedAt = p.total(), now.Add(-time.Hour)
			p.DeliverBy, p.ResolveBy = now.Add(-59*time.Minute), now.Add(23*time.Hour)
			p.Legs[Charge] = LegState{Tries: 1, Done: true, FirstAt: p.CreatedAt, LastAt: p.CreatedAt, Ref: "c"}
			p.Posted = p.Posted.With(Charge, EffectPrincipal)
		}
		if state == Crediting || state == Refunding {
			p.Held = p.Total
		}
		if state.Final() {
			p.DueAt = 0
		}
		if leg != 0 {
			p.Legs[leg] = LegState{Tries: 1, FirstAt: now.Add(-time.Hour), LastAt: now.Add(-time.Minute)}
			change(&p.Legs[leg])
		}
		return p
	}
	doubt := func(l *LegState) { l.Doubt = true }
	delivered := func(change func(*Purchase)) *Purchase {
		p := stands(Credited, Credit, func(l *LegState) { l.Done = true })
		p.Posted = p.Posted.With(Credit, EffectPrincipal)
		change(p)
		return p
	}
	reversal := func(change func(*LegState)) *Purchase {
		return delivered(func(p *Purchase) {
			p.Legs[Reversal] = LegState{Tries: 1, FirstAt: now.Add(-time.Minute), LastAt: now.Add(-time.Minute)}
			change(&p.Legs[Reversal])
		})
	}
	for _, c := range []struct {
		name    string
		partner Capability
		p       *Purchase
		wish    Wish
		busy    bool
		want    Grant
		does    string // the row's effects, where granted
	}{
		{"credit in doubt, refund", plain, stands(Crediting, Credit, doubt), WishRefund, false, Grant{OK: true, Unproven: true}, ""},
		{"credit in doubt, refund, a call", plain, stands(Crediting, Credit, doubt), WishRefund, true, Grant{Why: HindranceCall}, ""},
		{"credit in doubt, key can be cancelled", tombstone, stands(Crediting, Credit, doubt), WishRefund, false, Grant{OK: true}, "cancel the key"},
		{"credit in doubt, lateness bound", bounded, stands(Crediting, Credit, doubt), WishRefund, false,
			Grant{Why: HindranceProof, At: now.Add(9*time.Minute) + 1}, ""},
		{"credit acknowledged, lateness bound", bounded, stands(Crediting, Credit, func(l *LegState) { l.Acknowledged = true }), WishRefund, false,
			Grant{Why: HindranceProof, At: now.Add(23*time.Hour - 10*time.Minute)}, ""},
		{"credit never left", bounded, stands(Crediting, Credit, func(l *LegState) { l.Unsent = true }), WishRefund, false, Grant{OK: true}, "leg closed"},
		{"credit in doubt, refund on proof", plain, stands(Crediting, Credit, doubt), WishProvenRefund, false, Grant{Why: HindranceUnproven}, ""},
		{"key can be cancelled, refund on proof", tombstone, stands(Crediting, Credit, doubt), WishProvenRefund, false, Grant{OK: true}, "cancel the key"},
		{"credit never left, refund on proof", plain, stands(Crediting, Credit, func(l *LegState) { l.Unsent = true }), WishProvenRefund, false, Grant{OK: true}, "leg closed"},
		{"refund refused, refund on proof", plain, stands(Refunding, Refund, func(*LegState) {}), WishProvenRefund, false, Grant{OK: true}, "try again"},
		{"credit again, not idempotent", plain, stands(Crediting, Credit, doubt), WishCredit, false, Grant{Why: HindranceCreditUnsafe}, ""},
		{"credit again", idempotent, stands(Crediting, Credit, doubt), WishCredit, false, Grant{OK: true}, "try again"},
		{"credit again, a call", idempotent, stands(Crediting, Credit, doubt), WishCredit, true, Grant{Why: HindranceCall}, ""},
		{"answer of a credit", bounded, stands(Crediting, Credit, doubt), WishAnswer, false, Grant{OK: true}, ""},
		{"answer of a credit that cannot be asked for", plain, stands(Crediting, Credit, func(l *LegState) { l.Acknowledged = true }), WishAnswer, false, Grant{OK: true}, ""},
		{"reversal of what is not credited", plain, stands(Crediting, Credit, doubt), WishReversal, false, Grant{Why: HindranceNotCredited}, ""},
		{"refund in doubt", plain, stands(Refunding, Refund, doubt), WishRefund, false, Grant{Why: HindranceRefundUnsafe}, ""},
		{"refund refused", plain, stands(Refunding, Refund, func(*LegState) {}), WishRefund, false, Grant{OK: true}, "try again"},
		{"credit while refunding", idempotent, stands(Refunding, Refund, doubt), WishCredit, false, Grant{Why: HindranceRefunding}, ""},
		{"charge in doubt", idempotent, stands(Charging, Charge, doubt), WishRefund, false, Grant{Why: HindranceNothingCharged}, ""},
		{"credited, refund", idempotent, stands(Credited, Credit, func(l *LegState) { l.Done = true }), WishRefund, false, Grant{Why: HindranceCredited}, ""},
		{"refunded, refund", idempotent, stands(Refunded, Refund, func(l *LegState) { l.Done = true }), WishRefund, false, Grant{Why: HindranceRefunded}, ""},
		{"declined, refund", idempotent, stands(Declined, Charge, func(l *LegState) { l.Closed = true }), WishRefund, false, Grant{Why: HindranceDeclined}, ""},
		{"reversal", plain, delivered(func(*Purchase) {}), WishReversal, false, Grant{OK: true}, "reversal attempt"},
		{"reversal, a call", plain, delivered(func(*Purchase) {}), WishReversal, true, Grant{Why: HindranceCall}, ""},
		{"reversal, the provider cannot", Capability{}, delivered(func(*Purchase) {}), WishReversal, false, Grant{Why: HindranceIncapable}, ""},
		{"reversal of what the payer has back", plain, delivered(func(p *Purchase) { p.Legs[Charge].Done = false }), WishReversal, false, Grant{Why: HindranceGivenBack}, ""},
		{"reversal under way", plain, reversal(doubt), WishReversal, false, Grant{Why: HindranceReversing}, ""},
		{"reversal refused", plain, reversal(func(l *LegState) { l.Closed = true }), WishReversal, false, Grant{Why: HindranceReversalRefused}, ""},
		{"reversal wrong", plain, reversal(func(l *LegState) { l.Done = true }), WishReversal, false, Grant{Why: HindranceReversalWrong}, ""},
		{"reversal never answered", plain, func() *Purchase {
			p := reversal(doubt)
			p.Opened = p.Opened.With(MatterUnknownReversal)
			return p
		}(), WishReversal, false, Grant{Why: HindranceReversalUnknown}, ""},
		{"refund of what is being taken back", plain, reversal(doubt), WishRefund, false, Grant{Why: HindranceReversing}, ""},
		{"answer of a reversal", bounded, func() *Purchase {
			p := reversal(doubt)
			p.DueAt = now.Add(time.Hour)
			return p
		}(), WishAnswer, false, Grant{OK: true}, ""},
		{"refunded, answer", idempotent, stands(Refunded, Refund, func(l *LegState) { l.Done = true }), WishAnswer, false, Grant{Why: HindranceClosed}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			terms := walkTerms(c.partner, c.partner, DefaultRules())
			if got := terms.grants(c.p, c.wish, now, c.busy); got != c.want {
				t.Errorf("granted %+v, want %+v", got, c.want)
			}
			ev, err := c.wish.event()
			if err != nil {
				t.Fatal(err)
			}
			if step := terms.Next(c.p, ev, now, c.busy, 7); c.does != "" && step.Row.Effects()[0] != c.does {
				t.Errorf("it does %v, want %s", step.Row.Effects(), c.does)
			}
		})
	}
}

// TestUnansweredIsUnderWay: a request that was recorded and never spoken of may be
// on its way, as far as another node can tell.
func TestUnansweredIsUnderWay(t *testing.T) {
	now := Instant(1_800_000_000_000_000)
	terms := walkTerms(Capability{}, Capability{Supported: true}, DefaultRules())
	p := Purchase{ID: 1, Version: 2, Request: *walkRequest(), State: Crediting, DueAt: now, ResolveBy: now.Add(time.Hour), Held: 1050}
	p.Charged = p.total()
	p.Legs[Credit] = LegState{Tries: 1, FirstAt: now, LastAt: now}
	if g := terms.Grants(&p, WishRefund, now); g.Why != HindranceCall {
		t.Errorf("granted %+v", g)
	}
	p.Legs[Credit].Doubt = true
	if g := terms.Grants(&p, WishRefund, now); !g.OK || !g.Unproven {
		t.Errorf("granted %+v of a credit in doubt", g)
	}
	if g := terms.Grants(&p, 0, now); g.OK || g.Why != HindranceIncapable {
		t.Errorf("granted %+v of no wish", g)
	}
}
