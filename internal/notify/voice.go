package notify

import (
	"slices"

	"tenu/internal/money"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// values are what a text's placeholders stand for.
type values [valueCount]string

// voice speaks one language.
type voice struct {
	phrases  phrase.Phrases
	language string
	*Wording
}

func (v *voice) say(key string, values *values) string {
	return string(v.phrases[key].Say(nil, values[:]))
}

func (v *voice) longest(values *values, keys ...string) string {
	longest := ""
	for _, key := range keys {
		if text := v.say(key, values); len(text) > len(longest) {
			longest = text
		}
	}
	return longest
}

// values are those that a phrase about a purchase takes. Only what the evidence
// shows goes in: the balance is the recipient's and is told to nobody else, the
// payer is told to the recipient by the last two digits only.
func (v *voice) values(key string, fact purchase.Fact, p *purchase.Purchase, ref purchase.Reference, out *purchase.Outcome) values {
	var x values
	x[referenceValue] = ref.String()
	takes := taken[key]
	if takes[recipientValue] {
		x[recipientValue] = v.cfg.Format(p.Recipient)
	}
	if takes[payerValue] {
		x[payerValue] = v.cfg.Format(p.PayerNumber)
	}
	if takes[payerEndValue] {
		x[payerEndValue] = ending(p.PayerNumber)
	}
	if takes[paidValue] {
		x[paidValue] = paid(p).String()
	}
	if takes[accountValue] {
		x[accountValue] = v.account(p)
	}
	if takes[sorryValue] {
		x[sorryValue] = v.say("sorry", &x)
	}
	if takes[caseValue] && p.Opened != 0 {
		x[caseValue] = v.say("case", &x)
	}
	switch fact {
	case purchase.FactCredited, purchase.FactReceived:
		if out.HasBalance && (fact == purchase.FactReceived || p.PayerNumber == p.Recipient) {
			x[balanceValue] = money.Amount{Minor: out.Balance, Currency: p.Currency}.String()
			x[balanceValue] = v.say("balance", &x)
		}
	case purchase.FactDeclined:
		x[reasonValue] = v.say(reason(out), &x)
	case purchase.FactPending:
		x[beforeValue] = v.before(p, &x)
	case purchase.FactUnconfirmed, purchase.FactRefunded, purchase.FactTakenBack, purchase.FactChargedLate,
		purchase.FactCreditedLate, purchase.FactRefundUndone, purchase.FactReversed, purchase.FactReclaimed:
	}
	x[itemValue] = v.item(fact, p, out, &x)
	return x
}

// paid is what was charged, or is to be.
func paid(p *purchase.Purchase) money.Amount {
	if p.Charged.Minor != 0 {
		return p.Charged
	}
	return money.Amount{Minor: p.Total, Currency: p.Currency}
}

// item is what was bought, in words: "1 000 F CFA d'unités", "forfait Internet
// jour". A late credit is told as its evidence has it, which may be other than
// what was bought.
func (v *voice) item(fact purchase.Fact, p *purchase.Purchase, out *purchase.Outcome, x *values) string {
	units := money.Amount{Minor: p.Units, Currency: p.Currency}
	if fact == purchase.FactCreditedLate {
		if out.Product != "" && out.Product != p.Product || out.Amount.Minor == 0 && !p.Bundle {
			return v.shortItem(p.Bundle)
		}
		units = out.Amount
	}
	if !p.Bundle {
		x[unitsValue] = units.String()
		return v.say("airtime", x)
	}
	if x[productValue] = v.name(v.cfg.Products[p.Product]); x[productValue] == "" {
		return v.shortItem(true)
	}
	return v.say("bundle", x)
}

// shortItem is what was bought without its amount or name.
func (v *voice) shortItem(bundle bool) string {
	key := "airtime_short"
	if bundle {
		key = "bundle_short"
	}
	return v.say(key, &values{})
}

// account is what was charged, and is refunded.
func (v *voice) account(p *purchase.Purchase) string {
	if names, wallet := v.cfg.Payers[p.Payer]; wallet {
		return v.name(names)
	}
	return v.say("main_balance", &values{})
}

// name is the name in the language, or in the default one.
func (v *voice) name(names map[string]string) string {
	if name := names[v.language]; name != "" {
		return name
	}
	return names[schemaDefault]
}

// before is the time by which a purchase is credited or refunded, with the date
// if that is another day than the one the customer is told on.
func (v *voice) before(p *purchase.Purchase, x *values) string {
	by, told := p.ResolveBy.Time().In(v.cfg.Location), p.DeliverBy.Time().In(v.cfg.Location)
	x[timeValue], x[dateValue] = by.Format("15:04"), by.Format("02/01")
	if by.YearDay() == told.YearDay() && by.Year() == told.Year() {
		return v.say("before_time", x)
	}
	return v.say("before_date", x)
}

// reason is the phrase that says why nothing was taken.
func reason(out *purchase.Outcome) string {
	switch out.Kind {
	case purchase.Refused:
		if slices.Contains(Reasons, out.Reason) {
			return "reason_" + string(out.Reason)
		}
		return "reason_" + string(purchase.ReasonOther)
	case purchase.Unsent:
		return "reason_" + string(purchase.ReasonClosed)
	case 0, purchase.Done, purchase.Pending, purchase.Unknown, purchase.Absent, purchase.Cancelled, purchase.Reversed, purchase.Asked:
	}
	return "reason_none"
}

// ending is the last two digits of a number, all that another person is shown.
func ending(m purchase.MSISDN) string {
	text := m.String()
	return text[len(text)-2:]
}
