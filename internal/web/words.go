package web

import (
	"strings"
	"time"

	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/money"
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
	Final      bool
	HasReceipt bool
}

// unbroken keeps the parts of an amount or a number on one line. Messages have plain
// spaces; pages may have these.
func unbroken(text string) string { return strings.ReplaceAll(text, " ", "\u00a0") }

func (s *speaker) amount(a money.Amount) string { return unbroken(a.String()) }

// speaker tells purchases in one language.
type speaker struct {
	*tongue
	*names
	now time.Time // in the country
}

// names are what customers call things, and how numbers and times are written.
type names struct {
	product, payer func(code, language string) string
	phone          func(purchase.MSISDN) string
	location       *time.Location
}

// clock is a time of today, or with its day of another.
func (s *speaker) clock(at purchase.Instant) string {
	if at == 0 {
		return ""
	}
	local := at.Time().In(s.location)
	if local.Year() == s.now.Year() && local.YearDay() == s.now.YearDay() {
		return local.Format("15:04")
	}
	if local.Year() == s.now.Year() {
		return local.Format("02/01 15:04")
	}
	return local.Format("02/01/2006 15:04")
}

func (s *speaker) at(t purchase.Instant) string { return s.say("at", "Time", s.clock(t)) }
func (s *speaker) before(t purchase.Instant) string {
	return s.say("before", "Time", s.clock(t))
}

// item is what was bought.
func (s *speaker) item(bundle bool, product string, units money.Amount) string {
	if bundle {
		return s.say("item_bundle", "Product", s.product(product, s.code))
	}
	return s.say("item_airtime", "Units", s.amount(units))
}

// paying is what a customer pays with.
func (s *speaker) paying(partner string) string {
	if name := s.payer(partner, s.code); name != "" {
		return name
	}
	return s.say("buy_balance")
}

// purchase tells a purchase.
func (s *speaker) purchase(v *customer.View) shown {
	x := shown{Reference: v.Reference.String(), Item: s.item(v.Bundle, v.Product, v.Units), For: s.phone(v.Recipient),
		When: s.clock(v.CreatedAt), Closed: s.clock(v.ClosedAt), State: s.state(v.Stage), Say: s.sentence(v), Steps: s.steps(v),
		Final: v.Final(), HasReceipt: v.Payer && (v.Stage == customer.Done || v.Stage == customer.Back)}
	if v.Payer {
		x.With, x.Fee, x.Total = s.paying(v.PayWith), s.amount(v.Fee), s.amount(v.Total)
	}
	if v.HasBalance {
		x.Balance = s.amount(v.Balance)
	}
	return x
}

func (s *speaker) state(stage customer.Stage) badge {
	b := looks[stage]
	b.Word = s.say("state_" + string(stage))
	return b
}

// sentence says what is known, and what comes next by when.
func (s *speaker) sentence(v *customer.View) string {
	if !v.Payer && v.Stage != customer.Done {
		return s.say("say_gift")
	}
	switch v.Stage {
	case customer.Asking:
		return s.say("say_asking", "Time", s.clock(v.ApproveBy))
	case customer.Paid:
		return s.say("say_paid", "Time", s.clock(v.DeliverBy))
	case customer.Late:
		return s.say("say_late", "Time", s.clock(v.ResolveBy))
	case customer.Refunding:
		return s.say("say_refunding", "Time", s.clock(v.RefundBy))
	case customer.Back:
		return s.say("say_refunded", "Amount", s.amount(v.Charged), "Payer", s.paying(v.PayWith))
	case customer.Declined:
		if key := "reason_" + string(v.Reason); v.Reason != "" && s.has(key) {
			return s.say("say_declined_reason", "Reason", s.say(key))
		}
		return s.say("say_declined")
	case customer.Unconfirmed:
		return s.say("say_unconfirmed")
	case customer.Done:
	}
	return s.say("say_credited")
}

// steps are the course of a purchase: what is done, with its time, and what is to
// come, with its deadline.
func (s *speaker) steps(v *customer.View) []step {
	if !v.Payer {
		return nil
	}
	steps := []step{{badge{s.say("step_asked"), "check", "good"}, s.at(v.CreatedAt), true}}
	switch {
	case v.ChargedAt != 0:
		steps = append(steps, step{badge{s.say("step_paid"), "check", "good"}, s.at(v.ChargedAt), true})
	case v.Stage == customer.Declined, v.Stage == customer.Unconfirmed:
		steps = append(steps, step{badge{s.say("step_declined"), "cross", "bad"}, s.at(v.ClosedAt), true})
	default:
		steps = append(steps, step{badge{s.say("step_paid"), "clock", "wait"}, s.before(v.ApproveBy), false})
	}
	if v.Case {
		steps = append(steps, step{badge{s.say("step_case"), "folder", "case"}, s.at(v.CaseAt), true})
	}
	switch v.Stage {
	case customer.Asking:
		steps = append(steps, step{badge{s.say("step_delivery"), "clock", "wait"}, "", false})
	case customer.Paid:
		steps = append(steps, step{badge{s.say("step_delivery"), "clock", "wait"}, s.before(v.DeliverBy), false})
	case customer.Late:
		steps = append(steps, step{badge{s.say("step_delivery"), "clock", "bad"}, s.before(v.ResolveBy), false})
	case customer.Done:
		steps = append(steps, step{badge{s.say("step_credited"), "check", "good"}, s.at(v.ClosedAt), true})
	case customer.Refunding:
		steps = append(steps, step{badge{s.say("step_refund"), "return", "back"}, s.before(v.RefundBy), false})
	case customer.Back:
		steps = append(steps, step{badge{s.say("step_refunded"), "return", "back"}, s.at(v.ClosedAt), true})
	case customer.Declined, customer.Unconfirmed:
	}
	return steps
}

// window is a callback's, in words.
func (s *speaker) window(at purchase.Instant) string {
	from := at.Time().In(s.location)
	day := from.Format("02/01")
	switch tomorrow := s.now.AddDate(0, 0, 1); {
	case from.Year() == s.now.Year() && from.YearDay() == s.now.YearDay():
		day = s.say("today")
	case from.Year() == tomorrow.Year() && from.YearDay() == tomorrow.YearDay():
		day = s.say("tomorrow")
	}
	return s.say("callback_between", "Day", day, "From", from.Format("15:04"), "Till", from.Add(care.Window).Format("15:04"))
}
