package web

import (
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/money"
	"tenu/internal/page"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// badge is a state as it is shown: by word, shape and colour.
type badge struct{ Word, Icon, Tone string }

// looks say the shape and the colour of each stage.
var looks = map[customer.Stage]badge{
	customer.Asking:      {Icon: "clock", Tone: "wait"},
	customer.Unconfirmed: {Icon: "clock", Tone: "wait"},
	customer.Paid:        {Icon: "pulse", Tone: "wait"},
	customer.Late:        {Icon: "clock", Tone: "bad"},
	customer.Refunding:   {Icon: "return", Tone: "back"},
	customer.Done:        {Icon: "check", Tone: "good"},
	customer.Back:        {Icon: "return", Tone: "back"},
	customer.Declined:    {Icon: "cross", Tone: "bad"},
}

// step is one line of a purchase's course.
type step struct {
	badge
	Time string // when it was, or by when it is due
	Done bool
}

// shown is a purchase in words.
type shown struct {
	Reference  string
	Item       string
	For        string // the recipient's number
	When       string // bought
	Closed     string
	State      badge
	Say        string
	Steps      []step
	With       string
	Fee, Total string
	Balance    string
	Case       string // its reference
	Final      bool
	HasReceipt bool
}

func (s *speaker) amount(a money.Amount) string { return page.Unbroken(a.String()) }

// speaker tells purchases in one language.
type speaker struct {
	*phrase.Tongue
	*names
	customer.Calendar
}

// names are what customers call things, and how numbers and times are written.
type names struct {
	product, payer func(code, language string) string
	phone          func(purchase.MSISDN) string
}

func (s *speaker) at(t purchase.Instant) string { return s.Say("at", "Time", s.Time(t)) }
func (s *speaker) before(t purchase.Instant) string {
	return s.Say("before", "Time", s.Time(t))
}

// item is what was bought.
func (s *speaker) item(bundle bool, product string, units money.Amount) string {
	if bundle {
		return s.Say("item_bundle", "Product", s.product(product, s.Code))
	}
	return s.Say("item_airtime", "Units", s.amount(units))
}

// paying is what a customer pays with.
func (s *speaker) paying(partner string) string {
	if name := s.payer(partner, s.Code); name != "" {
		return name
	}
	return s.Say("buy_balance")
}

// purchase tells a purchase.
func (s *speaker) purchase(v *customer.View) shown {
	x := shown{Reference: v.Reference.String(), Item: s.item(v.Bundle, v.Product, v.Units), For: s.phone(v.Recipient),
		When: s.Time(v.CreatedAt), Case: v.CaseRef, Closed: s.Time(v.ClosedAt), State: s.state(v.Stage), Say: s.sentence(v), Steps: s.steps(v),
		Final: v.Final(), HasReceipt: v.HasReceipt}
	if v.Payer {
		x.With, x.Fee, x.Total = s.paying(v.PayWith), s.amount(v.Fee), s.amount(v.Total)
	}
	if v.HasBalance {
		x.Balance = s.amount(v.Balance)
	}
	return x
}

// moment is an instant in full, nothing for none.
func (s *speaker) moment(at purchase.Instant) string {
	if at == 0 {
		return ""
	}
	return s.Time(at)
}

func (s *speaker) state(stage customer.Stage) badge {
	b := looks[stage]
	b.Word = s.Say("state_" + string(stage))
	return b
}

// sentence says what is known, and what comes next by when.
func (s *speaker) sentence(v *customer.View) string {
	if !v.Payer && v.Stage != customer.Done {
		return s.Say("say_gift")
	}
	switch v.Stage {
	case customer.Asking:
		return s.Say("say_asking", "Time", s.Time(v.ApproveBy))
	case customer.Paid:
		return s.Say("say_paid", "Time", s.Time(v.DeliverBy))
	case customer.Late:
		return s.Say("say_late", "Time", s.Time(v.ResolveBy))
	case customer.Refunding:
		return s.Say("say_refunding", "Time", s.Time(v.RefundBy))
	case customer.Back:
		return s.Say("say_refunded", "Amount", s.amount(v.Charged), "Payer", s.paying(v.PayWith))
	case customer.Declined:
		if key := "reason_" + string(v.Reason); v.Reason != "" && s.Has(key) {
			return s.Say("say_declined_reason", "Reason", s.Say(key))
		}
		return s.Say("say_declined")
	case customer.Unconfirmed:
		return s.Say("say_unconfirmed")
	case customer.Done:
	}
	return s.Say("say_credited")
}

// steps are the course of a purchase: what is done, with its time, and what is to
// come, with its deadline.
func (s *speaker) steps(v *customer.View) []step {
	if !v.Payer {
		return nil
	}
	steps := []step{{badge{s.Say("step_asked"), "check", "good"}, s.at(v.CreatedAt), true}}
	switch {
	case v.ChargedAt != 0:
		steps = append(steps, step{badge{s.Say("step_paid"), "check", "good"}, s.at(v.ChargedAt), true})
	case v.Stage == customer.Declined, v.Stage == customer.Unconfirmed:
		steps = append(steps, step{badge{s.Say("step_declined"), "cross", "bad"}, s.at(v.ClosedAt), true})
	default:
		steps = append(steps, step{badge{s.Say("step_paid"), "clock", "wait"}, s.before(v.ApproveBy), false})
	}
	if v.Case {
		steps = append(steps, step{badge{s.Say("step_case"), "folder", "case"}, s.at(v.CaseAt), true})
	}
	switch v.Stage {
	case customer.Asking:
		steps = append(steps, step{badge{s.Say("step_delivery"), "clock", "wait"}, "", false})
	case customer.Paid:
		steps = append(steps, step{badge{s.Say("step_delivery"), "clock", "wait"}, s.before(v.DeliverBy), false})
	case customer.Late:
		steps = append(steps, step{badge{s.Say("step_either"), "clock", "bad"}, s.before(v.ResolveBy), false})
	case customer.Done:
		steps = append(steps, step{badge{s.Say("step_credited"), "check", "good"}, s.at(v.ClosedAt), true})
	case customer.Refunding:
		steps = append(steps, step{badge{s.Say("step_refund"), "return", "back"}, s.before(v.RefundBy), false})
	case customer.Back:
		steps = append(steps, step{badge{s.Say("step_refunded"), "return", "back"}, s.at(v.ClosedAt), true})
	case customer.Declined, customer.Unconfirmed:
	}
	return steps
}

// window is a callback's, in words.
func (s *speaker) window(at purchase.Instant) string {
	from := at.Time().In(s.Location)
	day := from.Format("02/01")
	switch tomorrow := s.Now.Time().In(s.Location).AddDate(0, 0, 1); {
	case s.Today(at):
		day = s.Say("today")
	case from.Year() == tomorrow.Year() && from.YearDay() == tomorrow.YearDay():
		day = s.Say("tomorrow")
	}
	return s.Say("callback_between", "Day", day, "From", from.Format("15:04"), "Till", from.Add(care.Window).Format("15:04"))
}
