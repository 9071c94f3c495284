package care

import (
	"context"
	"time"

	"tenu/internal/purchase"
)

// Step is what a rule does.
type Step string

// The steps.
const (
	StepAnswer   Step = "ask_answer" // ask the partner again
	StepCredit   Step = "credit"     // credit again, where it is safe and the customer still wants it
	StepRefund   Step = "refund"     // give the money back, where that is proven or within the budget
	StepRestore  Step = "restore"    // give a bundle again whose validity was lost, at the house's expense
	StepGoodwill Step = "goodwill"   // give units, at the house's expense
	StepExplain  Step = "explain"    // tell the customer what is evidenced, and wait for an answer
	StepSettle   Step = "settle"     // close with what the ledger shows
)

// Steps lists every step.
var Steps = []Step{StepAnswer, StepCredit, StepRefund, StepRestore, StepGoodwill, StepExplain, StepSettle}

// Rule settles cases without a person when the evidence is conclusive. A version of a
// rule never changes; a later version takes its place.
type Rule struct {
	Name    string
	Version int // from 1
	Active  bool
	Order   int // rules are tried in this order; the first that fits acts
	When    When
	Do      Step
	Amount  int64 // of goodwill, minor units
	// Budget bounds what the rule may cost in a day: goodwill, and refunds without proof. Zero: nothing.
	Budget int64
	At     purchase.Instant
	By     Actor
}

// When is what a rule asks of a case. An empty list asks nothing.
type When struct {
	Matters []purchase.Matter // all of the case's are among these
	States  []purchase.State  // of the purchase
	Prefer  Preference        // of the customer; PreferNone asks nothing
	After   time.Duration     // the case is at least so old
	Most    int64             // total of the purchase at most, minor units; 0 asks nothing
	Proven  bool              // of a refund: only with proof of non-delivery
}

// Treatment is what a rule did to a case, or would do.
type Treatment struct {
	Case    CaseID
	Rule    string
	Version int
	Do      Step
	At      purchase.Instant
	Amount  int64
	Result  string // a word: "asked", "told", "settled", "refused: ..."
}

// RuleStore keeps rules and what they did. What a method changed is durable on return.
type RuleStore interface {
	// Rules returns the newest version of each rule, in their order.
	Rules(ctx context.Context) ([]Rule, error)
	// AddRule keeps a further version of a rule, or returns ErrStale when its version is not the next.
	AddRule(ctx context.Context, r Rule) error
	// RuleVersions returns all versions of a rule, oldest first.
	RuleVersions(ctx context.Context, name string) ([]Rule, error)
	// AddTreatment keeps what a rule did. Of one rule, version and case there is one: another returns ErrTwice.
	// One that costs something is ErrRefused when the rule's treatments since an instant would cost
	// more than the budget.
	AddTreatment(ctx context.Context, t Treatment, budget int64, since purchase.Instant) error
	// Treatments returns what a rule did, newest first; of all rules when the name is "".
	Treatments(ctx context.Context, name string, limit int) ([]Treatment, error)
	// PastCases returns up to limit cases with IDs after one, opened since an instant, in the order of their IDs.
	PastCases(ctx context.Context, since purchase.Instant, after CaseID, limit int) ([]Case, error)
}
