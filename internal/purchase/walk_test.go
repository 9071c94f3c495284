package purchase

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tenu/internal/ledger"
	"tenu/internal/money"
)

// capabilities that partners declare in the walk: every combination that matters.
func walkCapabilities() []Capability {
	var all []Capability
	for bits := range 16 {
		c := Capability{Supported: true, Timeout: 5 * time.Second}
		if bits&1 != 0 {
			c.Idempotent, c.KeyLife = true, 24*time.Hour
		}
		c.Query = bits&2 != 0
		c.Tombstone = bits&4 != 0
		if bits&8 != 0 {
			c.Lateness = 2 * time.Minute
		}
		all = append(all, c)
	}
	return all
}

func walkTerms(payer, provider Capability, rules Rules) *Terms {
	return &Terms{Rules: rules,
		Capability: func(partner string, _ Leg) Capability {
			if partner == "wallet" {
				return payer
			}
			return provider
		},
		Alternate: func(*Purchase) string { return "" },
	}
}

// without is what the partners declare but for one leg.
func without(declared func(string, Leg) Capability, leg Leg) func(string, Leg) Capability {
	return func(partner string, l Leg) Capability {
		if l == leg {
			return Capability{}
		}
		return declared(partner, l)
	}
}

func walkRequest() *Request {
	return &Request{Client: "c", ClientKey: "k", Channel: "api", Language: "fr", PayerNumber: 22670112233,
		Recipient: 22676445566, Payer: "wallet", Provider: "ocs", Product: "airtime", Offer: 1,
		Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF}
}

// event draws any event, likely or absurd.
func walkEvent(r *rand.Rand, p *Purchase) Event {
	if r.IntN(4) == 0 {
		return Timer
	}
	if r.IntN(14) == 0 {
		ev, err := Wishes[r.IntN(len(Wishes))].event()
		if err != nil {
			panic(err)
		}
		return ev
	}
	ev := Event{Leg: Legs[r.IntN(4)], Source: Source(1 + r.IntN(5)), Outcome: Outcome{Kind: Kinds[r.IntN(len(Kinds))]}}
	if r.IntN(2) == 0 {
		s := step{p: p}
		if leg := s.p.active(); leg != 0 {
			ev.Leg = leg
		}
	}
	amount := map[Leg]int64{Charge: p.Total, Credit: p.Units, Refund: p.Charged.Minor, Reversal: p.Units}[ev.Leg]
	if amount == 0 {
		amount = p.Total
	}
	ev.Outcome.Amount = money.Amount{Minor: amount, Currency: money.XOF}
	switch r.IntN(12) {
	case 0:
		ev.Outcome.Amount.Minor = int64(r.IntN(3000)) - 10
	case 1:
		ev.Outcome.Amount.Currency = money.NGN
	case 2:
		ev.Outcome.Account = 22601020304
	}
	ev.Outcome.Ref = []string{"", "a", "b", "c"}[r.IntN(4)]
	return ev
}

// TestWalk lets random events meet random purchases under every pair of
// capabilities, and checks after each step what must hold whatever happens.
func TestWalk(t *testing.T) {
	reached := map[string]bool{}
	for i, payer := range walkCapabilities() {
		for j, provider := range walkCapabilities() {
			seed := uint64(i*100 + j)
			for walk := range uint64(300) {
				r := rand.New(rand.NewPCG(seed, walk)) //nolint:gosec // replayable on purpose
				rules := DefaultRules()
				rules.RefundUnproven = r.IntN(2) == 0
				terms := walkTerms(payer, provider, rules)
				if r.IntN(8) == 0 {
					terms.Capability = without(terms.Capability, Reversal)
				}
				if r.IntN(3) == 0 {
					terms.Alternate = func(p *Purchase) string { return map[string]string{"ocs": "ocs2"}[p.Provider] }
				}
				if err := walkOnce(r, terms, reached); err != nil {
					t.Fatalf("seed %d walk %d: %v", seed, walk, err)
				}
			}
		}
	}
	for i := range Table {
		row := &Table[i]
		if name := fmt.Sprint(i, row.From, row.On(), row.Condition()); !reached[name] {
			t.Errorf("no walk ever took row %s", name)
		}
	}
}

// walkScript is how a walk begins: by chance, or with a sale that goes well, of
// which the units are then wanted back.
func walkScript(r *rand.Rand, p *Purchase) []Event {
	if r.IntN(3) > 0 {
		return nil
	}
	done := func(leg Leg, minor int64) Event {
		return Event{Leg: leg, Source: FromAnswer, Outcome: Outcome{Kind: Done, Ref: "a", Amount: money.Amount{Minor: minor, Currency: money.XOF}}}
	}
	asked := Event{Leg: Reversal, Source: FromStaff, Outcome: Outcome{Kind: Asked}}
	return []Event{done(Charge, p.Total), done(Credit, p.Units), asked}[:1+r.IntN(3)]
}

func walkOnce(r *rand.Rand, terms *Terms, reached map[string]bool) error {
	now := Instant(1_800_000_000_000_000)
	step := terms.Begin(walkRequest(), MakeID(0, 1), 7, now)
	p := step.Change.Now
	balances := ledger.Balances{}
	script := walkScript(r, &p)
	var last Event
	for range 60 {
		switch r.IntN(6) {
		case 0:
			now = now.Add(time.Duration(r.Int64N(int64(30 * time.Hour))))
		case 1:
			now = max(now, p.DueAt)
		default:
			now = now.Add(time.Duration(r.Int64N(int64(40 * time.Second))))
		}
		ev := walkEvent(r, &p)
		switch {
		case len(script) > 0:
			ev, script = script[0], script[1:]
		case r.IntN(10) == 0: // it is told twice
			ev = last
		}
		last = ev
		if ev != Timer && ev.Outcome.Kind != Asked {
			ev.AskedAt = now.Add(-time.Second)
		}
		was, busy := p, r.IntN(5) == 0
		if r.IntN(25) == 0 {
			p.Resumed = now
		}
		if r.IntN(6) == 0 {
			if err := walkWishes(&p, terms, now, busy); err != nil {
				return err
			}
		}
		step := terms.Next(&p, ev, now, busy, 7)
		for i := range Table {
			if row := &Table[i]; row == step.Row {
				reached[fmt.Sprint(i, row.From, row.On(), row.Condition())] = true
			}
		}
		if err := walkCheck(&was, step, ev, balances); err != nil {
			return fmt.Errorf("%s in %s by row %q: %w", ev, was.State, step.Row.Condition(), err)
		}
		p = step.Change.Now
		if p.Legs[Charge].Tries > 0 && step.Call.Op == OpDo && r.IntN(4) == 0 {
			p.Legs[step.Call.Leg].LastAt = now
		}
	}
	return nil
}

func walkCheck(was *Purchase, step *Step, ev Event, balances ledger.Balances) error {
	c := &step.Change
	p := &c.Now
	for _, posting := range c.Postings {
		if c.Evidence == nil {
			return fmt.Errorf("L6: posting %s without evidence", posting.Effect)
		}
		if was.Posted.Has(posting.Leg, posting.Effect) {
			return fmt.Errorf("L4: %s %s posted twice", posting.Leg, posting.Effect)
		}
		if err := balances.Post(posting.Posting); err != nil {
			return err
		}
	}
	if err := walkBalances(p, balances); err != nil {
		return err
	}
	switch {
	case p.Version != was.Version && !step.Durable, step.Durable && p.Version != was.Version+1:
		return fmt.Errorf("version went from %d to %d", was.Version, p.Version)
	case !step.Durable && (len(step.Facts) > 0 || len(c.Cases) > 0 || len(c.Postings) > 0 || c.Attempt != nil || c.Evidence != nil):
		return fmt.Errorf("something to record in a step that is not durable")
	case !p.State.Final() && p.DueAt == 0:
		return fmt.Errorf("P13: open without a due time")
	case was.State.Final() && p.State != was.State && c.Evidence == nil:
		return fmt.Errorf("P7: final state left without evidence")
	case p.Told.Has(FactCredited) && p.Legs[Credit].Ref == "" && !was.Told.Has(FactCredited) && !p.Legs[Credit].Done:
		return fmt.Errorf("N2: told credited without evidence")
	case c.Attempt != nil && c.Attempt.Leg == Reversal && c.Attempt.Try == 1 && (ev.Leg != Reversal || ev.Outcome.Kind != Asked):
		return fmt.Errorf("C1: units are taken back, and nobody asked for it")
	case step.Call.Op == OpDo && !step.Durable && !was.Legs[step.Call.Leg].Unsent:
		return fmt.Errorf("P10: a try without a recorded intent")
	case p.Posted.Has(Credit, EffectPrincipal) && p.Posted.Has(Refund, EffectPrincipal) &&
		!p.Posted.Has(Credit, EffectUndone) && !p.Posted.Has(Reversal, EffectPrincipal) && !p.Exposed:
		return fmt.Errorf("P5: credited and refunded, not exposed")
	}
	if p.State == Declined && was.State == Charging && ev.Outcome.Kind == Absent && was.Legs[Charge].Doubt {
		if ev.AskedAt <= was.Legs[Charge].LastAt.Add(2*time.Minute) {
			return fmt.Errorf("P12: declined on an absence that proves nothing")
		}
	}
	return nil
}

// walkBalances checks L7: what was charged is delivered, given back, held or exposed.
func walkBalances(p *Purchase, b ledger.Balances) error {
	var sum int64
	held := map[money.Currency]int64{}
	for key, minor := range b {
		if key.Account == ledger.Held || key.Account == ledger.Orphans("wallet") {
			held[key.Currency] -= minor
		}
		sum += minor
	}
	if sum != 0 {
		return fmt.Errorf("L1: balances sum to %d", sum)
	}
	want := p.Held
	if p.Posted.Has(Charge, EffectSecondUndone) {
		return nil // by whatever amount the payer says
	}
	if p.Posted.Has(Charge, EffectSecond) {
		// a second charge is owed back beside what the purchase holds
		for c := range held {
			if held[c] >= want {
				return nil
			}
		}
	}
	if got := held[p.Charged.Currency]; got != want {
		return fmt.Errorf("L7: accounts hold %d, the purchase %d", got, want)
	}
	if want < 0 {
		return fmt.Errorf("L7: holds %d", want)
	}
	return nil
}
