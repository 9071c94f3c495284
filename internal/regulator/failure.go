package regulator

import "tenu/internal/purchase"

// The standard codes of what fails beside the reasons of refusals (purchase.Reason).
const (
	CodeNoAnswer      = "no_answer"       // the partner never said whether it did it
	CodeNotSent       = "not_sent"        // the request never left
	CodeTakenBack     = "taken_back"      // done, and taken back by the partner
	CodeWrong         = "wrong"           // another amount, product or number than was asked for
	CodeChargedLate   = "charged_late"    // charged after the customer was told that nothing was taken
	CodePayerUndid    = "payer_gave_back" // the payer gave the money back by itself
	CodeReversalAsked = "reversal_asked"  // the customer asked for it, and the units were taken back
)

// Codes lists every code.
var Codes = []string{string(purchase.ReasonFunds), string(purchase.ReasonLimit), string(purchase.ReasonNotApproved), string(purchase.ReasonUnknownLine),
	string(purchase.ReasonBarredLine), string(purchase.ReasonProduct), string(purchase.ReasonClosed), string(purchase.ReasonOther), CodeNoAnswer, CodeNotSent,
	CodeTakenBack, CodeWrong, CodeChargedLate, CodePayerUndid, CodeReversalAsked}

// Fact is how purchases failed, as the store has it: what was decided, and the evidence that it was decided by.
type Fact struct {
	// Leg is Charge where the purchase was declined, Credit where the refund of what was charged began, Refund where money
	// was given back without one having begun.
	Leg    purchase.Leg
	On     purchase.Leg // that the evidence is of, 0 where there is none
	Kind   purchase.Kind
	Reason purchase.Reason
	// Unproven: without evidence, because a deadline had come. Otherwise what was to be done had never left.
	Unproven bool
	// Orphan: the charge contradicted a decline.
	Orphan          bool
	Payer, Provider string
}

// Failure is the standard code of a fact, and who is responsible for it.
func (f *Fact) Failure() Failure {
	payer, provider := "payer:"+f.Payer, "provider:"+f.Provider
	switch {
	case f.Leg == purchase.Refund:
		return Failure{Leg: "credit", Code: CodePayerUndid, Party: payer}
	case f.Leg == purchase.Charge:
		code := codeOf(f)
		return Failure{Leg: "charge", Code: code, Party: responsible(code, payer)}
	case f.On == purchase.Charge && f.Kind == purchase.Done && f.Orphan:
		return Failure{Leg: "charge", Code: CodeChargedLate, Party: payer}
	case f.On == purchase.Charge && f.Kind == purchase.Done:
		return Failure{Leg: "charge", Code: CodeWrong, Party: payer}
	case f.On == purchase.Reversal:
		return Failure{Leg: "credit", Code: CodeReversalAsked, Party: customer}
	}
	code := codeOf(f)
	return Failure{Leg: "credit", Code: code, Party: responsible(code, provider)}
}

// The parties that are no partners.
const (
	customer = "customer"
	operator = "tenu"
)

// codeOf is the code of what a partner said, or did not say.
func codeOf(f *Fact) string {
	switch f.Kind {
	case purchase.Refused:
		return string(f.Reason)
	case purchase.Done:
		return CodeWrong
	case purchase.Reversed:
		return CodeTakenBack
	case purchase.Unsent:
		return CodeNotSent
	case purchase.Absent, purchase.Cancelled, purchase.Pending, purchase.Unknown, purchase.Asked:
		return CodeNoAnswer
	}
	if f.Unproven {
		return CodeNoAnswer
	}
	return CodeNotSent
}

// responsible is who is to blame for a code, where a partner had been asked.
func responsible(code, partner string) string {
	switch code {
	case string(purchase.ReasonFunds), string(purchase.ReasonLimit), string(purchase.ReasonNotApproved), string(purchase.ReasonUnknownLine), string(purchase.ReasonBarredLine),
		string(purchase.ReasonProduct):
		return customer
	case CodeNotSent:
		return operator
	}
	return partner
}
