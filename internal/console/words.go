package console

import (
	"strconv"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/money"
	"tenu/internal/page"
	"tenu/internal/purchase"
)

// badge is a state as it is shown: by word, shape and colour.
type badge struct{ Word, Icon, Tone string }

// stateLooks say the shape and the colour of each state.
var stateLooks = map[purchase.State]badge{
	purchase.Charging: {"state_charging", "clock", "wait"}, purchase.Crediting: {"state_crediting", "pulse", "wait"},
	purchase.Credited: {"state_credited", "check", "good"}, purchase.Refunding: {"state_refunding", "return", "back"},
	purchase.Refunded: {"state_refunded", "return", "back"}, purchase.Declined: {"state_declined", "cross", "bad"},
}

func (v *visit) stateBadge(p *purchase.Purchase) badge {
	b := stateLooks[p.State]
	if p.State == purchase.Crediting && v.Now >= p.DeliverBy {
		b = badge{"state_late", "clock", "bad"}
	}
	b.Word = v.Say(b.Word)
	return b
}

var statusLooks = map[care.Status]badge{care.Open: {"status_open", "folder", "case"}, care.Waiting: {"status_waiting", "clock", "wait"},
	care.Settled: {"status_settled", "check", "good"}, care.Withdrawn: {"status_withdrawn", "cross", ""}}

func (v *visit) statusBadge(c *care.Case) badge {
	b := statusLooks[c.Status]
	b.Word = v.Say(b.Word)
	return b
}

var callLooks = map[care.State]badge{care.Promised: {"call_promised", "phone", "case"}, care.Kept: {"call_kept", "check", "good"},
	care.Cancelled: {"call_cancelled", "cross", ""}, care.Broken: {"call_broken", "cross", "bad"}}

func (v *visit) callBadge(s care.State) badge {
	b := callLooks[s]
	b.Word = v.Say(b.Word)
	return b
}

var stageTones = map[care.Stage]badge{care.StageConsent: {"", "phone", "wait"}, care.StageCheck: {"", "clock", "wait"}, care.StageApproved: {"", "pulse", "wait"},
	care.StageDone: {"", "check", "good"}, care.StageRefused: {"", "cross", "bad"}, care.StageVoid: {"", "cross", ""}, care.StageLapsed: {"", "cross", ""}}

func (v *visit) stageBadge(s care.Stage) badge {
	b := stageTones[s]
	b.Word = v.Say("stage_" + s.String())
	return b
}

func (v *visit) amount(minor int64, c money.Currency) string {
	return page.Unbroken(money.Amount{Minor: minor, Currency: c}.String())
}

func (v *visit) phone(m purchase.MSISDN) string { return page.Unbroken(v.cfg.Numbers.Format(m)) }

// productName is what people call a product.
func (v *visit) productName(code string) string {
	product, known := v.cfg.Sales.Catalogue().Product(code)
	switch {
	case !known:
		return code
	case product.Names[v.lang] != "":
		return product.Names[v.lang]
	}
	return product.Names[standard]
}

// partnerName is what people call a wallet or a provider, or the partner's own name.
func (v *visit) partnerName(code string) string {
	names := v.cfg.Partners[code]
	switch {
	case names[v.lang] != "":
		return names[v.lang]
	case names[standard] != "":
		return names[standard]
	}
	return code
}

// item is what was bought.
func (v *visit) item(p *purchase.Purchase) string {
	if p.Bundle {
		return v.Say("item_bundle", "Product", v.productName(p.Product))
	}
	return v.Say("item_airtime", "Units", v.amount(p.Units, p.Currency))
}

// day is an instant as it is said: with its day, to the minute.
func (v *visit) day(at purchase.Instant) string {
	then := at.Time().In(v.cfg.Location)
	if v.Today(at) {
		return v.Say("say_today", "Time", then.Format("15:04"))
	}
	return v.Say("say_day", "Day", then.Format("02/01/2006"), "Time", then.Format("15:04"))
}

// sentence is what to say to the customer: only what is evidenced, and by when it changes.
func (v *visit) sentence(p *purchase.Purchase) string {
	subject := v.Say("say_subject", "Item", v.item(p), "Recipient", v.phone(p.Recipient), "Day", v.day(p.CreatedAt))
	say := func(key string, pairs ...string) string { return subject + " " + v.Say(key, pairs...) }
	paid := v.amount(p.Charged.Minor, p.Currency)
	switch p.State {
	case purchase.Charging:
		return say("say_charging", "Payer", v.partnerName(p.Payer))
	case purchase.Crediting:
		if v.Now < p.DeliverBy {
			return say("say_crediting", "Paid", paid, "Time", v.Time(p.DeliverBy))
		}
		return say("say_late", "Paid", paid, "Time", v.Time(p.ResolveBy))
	case purchase.Credited:
		return say("say_credited", "Time", v.moment(p.ClosedAt))
	case purchase.Refunding:
		return say("say_refunding", "Paid", paid, "Time", v.Time(p.RefundBy))
	case purchase.Refunded:
		return say("say_refunded", "Paid", paid, "Payer", v.partnerName(p.Payer), "Time", v.moment(p.ClosedAt))
	case purchase.Declined:
	}
	if p.Legs[purchase.Charge].Doubt && p.WatchTill != 0 {
		return say("say_unconfirmed")
	}
	return say("say_declined")
}

// brief is a purchase on one line.
type brief struct {
	Reference, Item, For, By, Total, When string
	State                                 badge
	Pays, Gets                            bool // of the customer who is looked at
	Case                                  string
	Incident                              string // that it is affected by, "" for none
}

func (v *visit) brief(p *purchase.Purchase, number purchase.MSISDN) brief {
	return brief{Reference: v.cfg.References.Reference(p.ID).String(), Item: v.item(p), For: v.phone(p.Recipient), By: v.phone(p.PayerNumber),
		Total: v.amount(p.Total, p.Currency), When: v.moment(p.CreatedAt), State: v.stateBadge(p), Pays: p.PayerNumber == number, Gets: p.Recipient == number}
}

// fileLine is a case on one line.
type fileLine struct {
	ID                                               care.CaseID
	Reference, Number, Raw, Matter, When, Due, Owner string
	Code, Incident, Digest                           string
	IncidentPage                                     string // of the incident, "" where it is none of ours or not theirs to see
	Version                                          int64
	Status                                           badge
	Late, High                                       bool
}

func (v *visit) matter(m purchase.Matter) string {
	if key := "matter_" + string(m); v.Has(key) {
		return v.Say(key)
	}
	return string(m)
}

// digest is a case in one line, without the matter that it begins with, which is said in words.
func (v *visit) digest(c *care.Case) string {
	for _, m := range c.Matters {
		if rest, is := strings.CutPrefix(c.Digest, string(m)); is {
			return strings.TrimSpace(rest)
		}
	}
	return v.legible(c.Digest)
}

// legible says so of a text that the store could not read.
func (v *visit) legible(text string) string {
	if text == care.Unreadable {
		return v.Say("unreadable")
	}
	return text
}

func (v *visit) fileLine(c *care.Case, names map[auth.StaffID]string) fileLine {
	clock := c.Clock.At(v.Now)
	l := fileLine{ID: c.ID, Reference: v.cfg.Care.CaseReference(c.ID), Number: v.phone(c.Number), Raw: c.Number.String(), When: v.moment(c.OpenedAt),
		Code: string(c.Code), Incident: c.Incident, Digest: v.digest(c), Version: c.Version, Status: v.statusBadge(c), High: c.Level > 0}
	if id, ours := parseIncident(c.Incident); ours && v.may(auth.SeeIncidents) {
		l.IncidentPage = "/incidents/" + id.String()
	}
	if len(c.Matters) > 0 {
		l.Matter = v.matter(c.Matters[0])
	}
	if !c.Status.Closed() {
		due := clock.ResolveBy
		if c.AnsweredAt == 0 {
			due = min(due, clock.AnswerBy)
		}
		l.Due, l.Late = v.left(due), due < v.Now && c.Status == care.Open
	}
	if c.Owner != 0 {
		l.Owner = names[c.Owner]
	}
	return l
}

// left is how long there is until an instant, or how long it has passed.
func (v *visit) left(at purchase.Instant) string {
	d := at.Sub(v.Now)
	key := "left"
	if d < 0 {
		key, d = "past", -d
	}
	switch minutes := int(d.Minutes()); {
	case minutes < 60:
		return v.Say(key+"_minutes", "N", itoa(minutes))
	case minutes < 48*60:
		return v.Say(key+"_hours", "N", itoa(minutes/60), "M", itoa(minutes%60))
	default:
		return v.Say(key+"_days", "N", itoa(minutes/60/24))
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
