package care

import (
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// DefaultPolicy is for a currency without minor unit whose thousand is a few minutes
// of talk, such as the CFA franc.
func DefaultPolicy() Policy {
	return Policy{Bounds: map[auth.Role]Bounds{
		auth.Agent: {Single: 25_000, Unchecked: 5_000, Day: 200_000, DayCount: 60, NumberDay: 50_000, NumberCount: 5},
		auth.Supervisor: {Single: 200_000, Unchecked: 10_000, Day: 1_000_000, DayCount: 200, NumberDay: 200_000, NumberCount: 10,
			Approve: 200_000},
		auth.Administrator: {Approve: 1_000_000},
	}, Goodwill: 500_000}
}

// action is what somebody must be allowed to do to ask for a kind.
func (k Kind) action() auth.Action {
	switch k {
	case AskAnswer:
		return auth.AskAnswer
	case AskCredit:
		return auth.AskCredit
	case AskRefund:
		return auth.AskRefund
	case AskReversal:
		return auth.AskReversal
	case AskGoodwill:
		return auth.AskGoodwill
	}
	return ""
}

// checked reports whether a checker must agree to a request of somebody in a role.
func (p *Policy) checked(role auth.Role, r *Request) bool {
	switch {
	case r.Rule != "" || r.Kind == AskAnswer:
		return false // a rule is bound by its budget, and by who wrote it
	case r.Kind == AskReversal || r.Unproven:
		return true
	}
	return r.Amount > p.Bounds[role].Unchecked
}

// who says why one of the staff may not do something about a request, whatever its
// amount; "" when they may. Nobody acts on a number that is theirs or related (invariant C4).
func who(s *auth.Staff, action auth.Action, numbers ...purchase.MSISDN) Why {
	switch {
	case s.ID == 0 || s.Disabled:
		return WhyDisabled
	case !s.Role.May(action):
		return WhyRole
	case s.Owns(numbers...):
		return WhyOwn
	}
	return ""
}

// allows says whether a request may be made as things stand inside its transaction
// (invariants C3, C4); the day ends at an instant.
func (p *Policy) allows(r *Request, st *Standing, dayEnds purchase.Instant) error {
	if r.Kind == AskGoodwill && r.Amount > p.Goodwill-st.Goodwill {
		return &Refusal{Why: WhyGoodwill, Limit: p.Goodwill}
	}
	if r.Rule != "" {
		return nil
	}
	m := &st.Maker
	if why := who(m, r.Kind.action(), r.Number, r.Recipient); why != "" {
		return &Refusal{Why: why}
	}
	if r.Kind == AskAnswer {
		return nil // it moves no money
	}
	b := p.Bounds[m.Role]
	switch {
	case r.Amount > b.Single:
		return &Refusal{Why: WhySingle, Limit: b.Single}
	case st.Day+r.Amount > b.Day:
		return &Refusal{Why: WhyDay, At: dayEnds, Limit: b.Day}
	case st.DayCount >= b.DayCount:
		return &Refusal{Why: WhyDayCount, At: dayEnds, Limit: int64(b.DayCount)}
	case st.NumberDay+r.Amount > b.NumberDay:
		return &Refusal{Why: WhyNumberDay, At: dayEnds, Limit: b.NumberDay}
	case st.NumberCount >= b.NumberCount:
		return &Refusal{Why: WhyNumberCount, At: dayEnds, Limit: int64(b.NumberCount)}
	case r.Stage == StageApproved && p.checked(m.Role, r):
		return &Refusal{Why: WhyRole} // it was changed a moment ago
	}
	return nil
}

// decides says whether a request may be decided as things stand inside the transaction
// (invariants C2, C4). Who refuses needs no limit; both need to be somebody else.
func (p *Policy) decides(r *Request, st *Standing, approve bool) error {
	c := &st.Checker
	if why := who(c, auth.Approve, r.Number, r.Recipient); why != "" {
		return &Refusal{Why: why}
	}
	switch limit := p.Bounds[c.Role].Approve; {
	case c.ID != r.Checker:
		return &Refusal{Why: WhyDisabled}
	case c.ID == r.Maker:
		return &Refusal{Why: WhySame}
	case approve && r.Amount > limit:
		return &Refusal{Why: WhyApprove, Limit: limit}
	case approve && r.Maker != 0 && (st.Maker.ID != r.Maker || st.Maker.Disabled):
		return &Refusal{Why: WhyMaker}
	}
	return nil
}

// periods are since when requests count, and when the day ends, by the country's clock.
func (d *Desk) periods(now purchase.Instant) (since Periods, dayEnds purchase.Instant) {
	at := now.Time().In(d.hours.Location)
	year, month, day := at.Date()
	begin := func(month time.Month, day int) purchase.Instant {
		return purchase.At(time.Date(year, month, day, 0, 0, 0, 0, d.hours.Location))
	}
	return Periods{Day: begin(month, day), Month: begin(month, 1)}, begin(month, day+1)
}
