package care

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

const (
	mine    purchase.MSISDN = 22670000001
	related purchase.MSISDN = 22670000002
	others  purchase.MSISDN = 22670000003
)

var roles = []auth.Role{auth.Agent, auth.Supervisor, auth.Administrator, auth.Auditor, ""}

// Every role, kind, number and amount, with what was asked for before: a request is
// allowed exactly when the role may, the number is nobody's of theirs, and every bound holds.
func TestPermissionMatrix(t *testing.T) {
	p := DefaultPolicy()
	allowed := map[auth.Role]int{}
	for _, role := range roles {
		b := p.Bounds[role]
		for _, kind := range Kinds {
			for _, numbers := range [][2]purchase.MSISDN{{mine, others}, {others, mine}, {related, others}, {others, related}, {others, others}} {
				for _, amount := range []int64{1, b.Unchecked, b.Unchecked + 1, b.Single, b.Single + 1} {
					for _, before := range []Standing{{}, {Day: b.Day - amount}, {Day: b.Day - amount + 1}, {DayCount: b.DayCount - 1}, {DayCount: b.DayCount},
						{NumberDay: b.NumberDay - amount}, {NumberDay: b.NumberDay - amount + 1}, {NumberCount: b.NumberCount - 1}, {NumberCount: b.NumberCount},
						{Goodwill: p.Goodwill - amount}, {Goodwill: p.Goodwill - amount + 1}, {Maker: auth.Staff{Disabled: true}}} {
						for _, unproven := range []bool{false, true} {
							r := Request{Kind: kind, Number: numbers[0], Recipient: numbers[1], Amount: amount, Maker: 7, Unproven: unproven && kind == AskRefund,
								Stage: StageApproved}
							if p.checked(role, &r) {
								r.Stage = StageCheck
							}
							st := before
							st.Maker = auth.Staff{ID: 7, Role: role, Numbers: []purchase.MSISDN{mine, related}, Disabled: before.Maker.Disabled}
							want := role.May(kind.action()) && !st.Maker.Disabled && numbers == [2]purchase.MSISDN{others, others}
							if kind != AskAnswer {
								want = want && amount <= b.Single && st.Day+amount <= b.Day && st.DayCount < b.DayCount &&
									st.NumberDay+amount <= b.NumberDay && st.NumberCount < b.NumberCount
							}
							if kind == AskGoodwill {
								want = want && st.Goodwill+amount <= p.Goodwill
							}
							err := p.allows(&r, &st, 99)
							if (err == nil) != want {
								t.Fatalf("%s asks for %+v after %+v: %v, want allowed %t", role, r, before, err, want)
							}
							if err == nil {
								allowed[role]++
								unchecked := kind == AskAnswer || amount <= b.Unchecked && !r.Unproven && kind != AskReversal
								if unchecked != (r.Stage == StageApproved) {
									t.Fatalf("%s asks for %+v, and its stage is %s", role, r, r.Stage)
								}
							} else if !errors.Is(err, ErrRefused) {
								t.Fatal(err)
							}
						}
					}
				}
			}
		}
	}
	if allowed[auth.Agent] == 0 || allowed[auth.Supervisor] == 0 || allowed[""] != 0 {
		t.Errorf("allowed: %v", allowed)
	}
}

// Who lost the role, or another role's bounds, between the asking and the transaction, asks for nothing unchecked.
func TestRoleLostMeanwhile(t *testing.T) {
	p := DefaultPolicy()
	r := Request{Kind: AskRefund, Number: others, Recipient: others, Amount: 8_000, Maker: 7, Stage: StageApproved} // as a supervisor may
	for role, want := range map[auth.Role]bool{auth.Supervisor: true, auth.Agent: false, auth.Auditor: false, "": false} {
		err := p.allows(&r, &Standing{Maker: auth.Staff{ID: 7, Role: role}}, 0)
		if (err == nil) != want {
			t.Errorf("%q: %v", role, err)
		}
	}
}

// Every checker: somebody else, who may approve, with a limit that is high enough, whose number it is not.
func TestCheckerMatrix(t *testing.T) {
	p := DefaultPolicy()
	approved := 0
	for _, role := range roles {
		limit := p.Bounds[role].Approve
		for _, amount := range []int64{1, limit, limit + 1} {
			for _, number := range []purchase.MSISDN{mine, related, others} {
				for _, checker := range []auth.StaffID{7, 8} {
					for _, disabled := range []bool{false, true} {
						for _, maker := range []auth.Staff{{ID: 7}, {ID: 7, Disabled: true}, {}} {
							r := Request{Kind: AskRefund, Number: number, Recipient: others, Amount: amount, Maker: 7, Checker: checker, Stage: StageCheck}
							st := Standing{Maker: maker, Checker: auth.Staff{ID: checker, Role: role, Disabled: disabled, Numbers: []purchase.MSISDN{mine, related}}}
							may := !disabled && role.May(auth.Approve) && checker != 7 && number == others
							if err := p.decides(&r, &st, false); (err == nil) != may {
								t.Fatalf("%s refuses %+v: %v, want %t", role, r, err, may)
							}
							may = may && amount <= limit && maker.ID == 7 && !maker.Disabled
							if err := p.decides(&r, &st, true); (err == nil) != may {
								t.Fatalf("%s approves %+v: %v, want %t", role, r, err, may)
							}
							if may {
								approved++
							}
						}
					}
				}
			}
		}
	}
	if approved == 0 {
		t.Error("nobody may approve anything")
	}
}

// A rule is bound by the month's goodwill; a checker is no maker even where a rule is.
func TestRulesAreBound(t *testing.T) {
	p := DefaultPolicy()
	r := Request{Kind: AskGoodwill, Rule: "sorry", Amount: 500}
	for given, want := range map[int64]bool{0: true, p.Goodwill - 500: true, p.Goodwill - 499: false} {
		if err := p.allows(&r, &Standing{Goodwill: given}, 0); (err == nil) != want {
			t.Errorf("after %d: %v", given, err)
		}
	}
	r.Amount = math.MaxInt64
	if err := p.allows(&r, &Standing{Goodwill: 1}, 0); err == nil {
		t.Error("everything there is was within the month's goodwill")
	}
}

// The words are all different, so that the console explains each.
func TestWhys(t *testing.T) {
	seen := map[Why]bool{}
	for _, w := range Whys {
		if seen[w] || w == "" {
			t.Errorf("%q", w)
		}
		seen[w] = true
	}
	if err := fmt.Errorf("x: %w", &Refusal{Why: WhyDay}); !errors.Is(err, ErrRefused) || err.Error() != "x: care: not allowed: day" {
		t.Error(err)
	}
}
