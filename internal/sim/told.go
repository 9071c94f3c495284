package sim

import (
	"fmt"
	"slices"
	"strings"

	"tenu/internal/notify/gsm7"
	"tenu/internal/purchase"
)

// notices checks N1 to N4 on the notices of a change.
func (a *auditor) notices(was *purchase.Purchase, c *purchase.Change) {
	p := &c.Now
	facts := map[purchase.Fact]bool{}
	for i := range c.Notices {
		n := &c.Notices[i]
		key := noticeKey{n.Purchase, n.Fact, n.To}
		if _, twice := a.texts[key]; twice {
			a.w.fail("N3", p.ID, "%s told twice", n.Fact)
		}
		a.texts[key], a.unsent[key] = n.Text, true
		facts[n.Fact] = true
		if septets, err := gsm7.Septets(n.Text); err != nil || septets == 0 || septets > gsm7.MaxSeptets {
			a.w.fail("N1", p.ID, "the text of %s cannot be sent: %q", n.Fact, n.Text)
		}
		if why := a.untrue(p, c, n.Fact); why != "" {
			a.w.fail("N1", p.ID, "%s told, %s", n.Fact, why)
		}
	}
	if p.State == purchase.Credited && was.State != purchase.Credited && !p.Told.Has(purchase.FactCredited) {
		a.w.fail("N2", p.ID, "credited, and nobody was told")
	}
	a.corrected(was, c, facts)
}

// told is evidence that a fact may rest on.
type told struct {
	leg  purchase.Leg
	kind purchase.Kind
}

// grounds are the evidence of which one must be recorded with a fact. The other
// facts tell that something is not known, or was not done.
var grounds = map[purchase.Fact][]told{
	purchase.FactCredited:     {{purchase.Credit, purchase.Done}},
	purchase.FactReceived:     {{purchase.Credit, purchase.Done}},
	purchase.FactCreditedLate: {{purchase.Credit, purchase.Done}},
	purchase.FactTakenBack:    {{purchase.Credit, purchase.Reversed}},
	purchase.FactRefunded:     {{purchase.Refund, purchase.Done}, {purchase.Charge, purchase.Reversed}},
	purchase.FactRefundUndone: {{purchase.Refund, purchase.Reversed}},
	purchase.FactChargedLate:  {{purchase.Charge, purchase.Done}},
	purchase.FactReversed:     {{purchase.Reversal, purchase.Done}},
	purchase.FactReclaimed:    {{purchase.Reversal, purchase.Done}},
}

// untrue says what is wrong with a fact, "" when it is true as far as can be known.
func (a *auditor) untrue(p *purchase.Purchase, c *purchase.Change, fact purchase.Fact) string {
	if on := grounds[fact]; on != nil && (c.Evidence == nil || !slices.Contains(on, told{c.Evidence.Leg, c.Evidence.Kind})) {
		return "without evidence"
	}
	switch fact {
	case purchase.FactCredited, purchase.FactReceived:
		if p.State != purchase.Credited || !asBought(p, c.Evidence) {
			return "without the credit"
		}
		return a.misdelivered(p, c.Evidence)
	case purchase.FactRefunded:
		if p.State != purchase.Refunded {
			return "without the refund"
		}
	case purchase.FactReversed, purchase.FactReclaimed:
		if p.State != purchase.Refunding || !asBought(p, c.Evidence) {
			return "without the units, or without the refund that it announces"
		}
	case purchase.FactChargedLate:
		if !ownMoney(p, c.Evidence) {
			return "and another had been charged"
		}
	case purchase.FactDeclined:
		account := a.w.account(p, p.Payer, purchase.Charge)
		if account == nil || account.misleads() {
			return ""
		}
		for _, m := range account.moved {
			if !m.undone {
				return "and the wallet had taken the money"
			}
		}
	default:
	}
	return ""
}

// misdelivered says how what a provider moved differs from what was bought.
func (a *auditor) misdelivered(p *purchase.Purchase, e *purchase.Evidence) string {
	account := a.w.account(p, e.Partner, purchase.Credit)
	if account == nil {
		return "and the provider has never heard of it"
	}
	for _, m := range account.moved {
		if m.ref == e.Ref && (m.account != p.Recipient || m.product != p.Product || m.amount.Minor != p.Units) {
			return fmt.Sprintf("and the provider gave %d of %s to another or for another thing", m.amount.Minor, m.product)
		}
	}
	return ""
}

// corrected checks N4: evidence against what was told sends a correction.
func (a *auditor) corrected(was *purchase.Purchase, c *purchase.Change, facts map[purchase.Fact]bool) {
	p := &c.Now
	missing := func(earlier, correction purchase.Fact) {
		if was.Told.Has(earlier) && !was.Told.Has(correction) && !facts[correction] {
			a.w.fail("N4", p.ID, "%s had been told, and no %s follows", earlier, correction)
		}
	}
	switch {
	case was.State == purchase.Credited && p.State != purchase.Credited && c.Evidence != nil && c.Evidence.Leg == purchase.Reversal:
		missing(purchase.FactCredited, purchase.FactReversed)
		if p.Recipient != p.PayerNumber {
			missing(purchase.FactReceived, purchase.FactReclaimed)
		}
	case was.State == purchase.Credited && p.State != purchase.Credited:
		missing(purchase.FactCredited, purchase.FactTakenBack)
	case was.State == purchase.Declined && p.State != purchase.Declined && ownMoney(p, c.Evidence):
		missing(purchase.FactDeclined, purchase.FactChargedLate)
	case was.State == purchase.Refunded && p.State != purchase.Refunded:
		missing(purchase.FactRefunded, purchase.FactRefundUndone)
	case was.State == purchase.Refunded && c.Evidence != nil && c.Evidence.Leg == purchase.Credit && c.Evidence.Kind == purchase.Done &&
		len(c.Postings) > 0 && asBought(p, c.Evidence):
		missing(purchase.FactRefunded, purchase.FactCreditedLate)
	}
}

// ownMoney reports whether a charge took the payer's money.
func ownMoney(p *purchase.Purchase, e *purchase.Evidence) bool {
	return e.Account == 0 || e.Account == p.PayerNumber
}

// asBought reports whether a credit gave what was bought.
func asBought(p *purchase.Purchase, e *purchase.Evidence) bool {
	return e.Amount.Minor == p.Units && (e.Account == 0 || e.Account == p.Recipient) && (e.Product == "" || e.Product == p.Product)
}

// marked notes notices that are marked as sent, which the centre must have.
func (a *auditor) marked(notices []purchase.Notice) {
	for i := range notices {
		n := &notices[i]
		if _, taken := a.w.centre.texts[string(a.w.keys.Reference(n.Purchase))+"-"+n.Fact.String()]; !taken {
			a.w.fail("N5", n.Purchase, "%s is marked as sent, and the centre has not taken it", n.Fact)
		}
		delete(a.unsent, noticeKey{notices[i].Purchase, notices[i].Fact, notices[i].To})
	}
}

// delivered checks that a customer reads only what was recorded.
func (a *auditor) delivered(id string, to purchase.MSISDN, text string) {
	reference, fact, _ := strings.Cut(id, "-")
	purchaseID, err := a.w.keys.Parse(reference)
	for _, f := range purchase.Facts {
		if err == nil && f.String() == fact && a.texts[noticeKey{purchaseID, f, to}] == text {
			a.w.note("message", purchaseID, text)
			return
		}
	}
	a.w.fail("N1", purchaseID, "message %s is no recorded notice: %q", id, text)
}
