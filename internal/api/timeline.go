package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Entry is one thing recorded about a purchase.
type Entry struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind" enum:"request,attempt,evidence,notice,case" doc:"What was recorded."`
	// Text is for people who look into the purchase; English.
	Text    string     `json:"text" doc:"The entry in a plain sentence."`
	Leg     string     `json:"leg,omitempty" enum:"charge,credit,refund,reversal" doc:"The movement it is about."`
	Partner string     `json:"partner,omitempty" doc:"Who was asked, or who said so."`
	Source  string     `json:"source,omitempty" enum:"answer,callback,query,cancel,statement,node" doc:"How it came to be known."`
	Outcome string     `json:"outcome,omitempty" enum:"done,refused,pending,unknown,unsent,absent,cancelled,reversed" doc:"What is known after it."`
	Reason  string     `json:"reason,omitempty" doc:"Why it was refused."`
	Moved   *Amount    `json:"moved,omitempty" doc:"What the partner says it moved."`
	Ref     string     `json:"ref,omitempty" doc:"The partner's own reference."`
	Detail  string     `json:"detail,omitempty" doc:"The partner's own words or codes."`
	Fact    string     `json:"fact,omitempty" doc:"What a notice told."`
	To      string     `json:"to,omitempty" doc:"Whom a notice went to."`
	SentAt  *time.Time `json:"sent_at,omitempty" doc:"When an SMS centre took the notice."`
	Matter  string     `json:"matter,omitempty" doc:"What a case is about."`
}

// timeline merges what was recorded, oldest first. Entries of one instant stand
// in the order in which one leads to the next.
func timeline(r *purchase.Record) []Entry {
	p := &r.Purchase
	entries := make([]Entry, 0, 1+len(r.Attempts)+len(r.Evidence)+len(r.Notices)+len(r.Cases))
	entries = append(entries, Entry{At: p.CreatedAt.Time(), Kind: "request",
		Text: fmt.Sprintf("%s asked to sell %s for %s.", p.Client, p.Product, money.Amount{Minor: p.Total, Currency: p.Currency})})
	for i := range r.Evidence {
		entries = append(entries, evidenceEntry(&r.Evidence[i]))
	}
	for _, c := range r.Cases {
		entries = append(entries, Entry{At: c.At.Time(), Kind: "case", Matter: string(c.Matter),
			Text: "A case was opened: " + matters[c.Matter] + "."})
	}
	for i := range r.Notices {
		entries = append(entries, noticeEntry(&r.Notices[i]))
	}
	for _, at := range r.Attempts {
		entries = append(entries, Entry{At: at.At.Time(), Kind: "attempt", Leg: at.Leg.String(), Partner: at.Partner,
			Text: fmt.Sprintf("%s is asked to %s %s.%s", at.Partner, verbs[at.Leg], asked(p, at.Leg), again(at.Try))})
	}
	slices.SortStableFunc(entries, func(x, y Entry) int { return cmp.Compare(x.At.UnixMicro(), y.At.UnixMicro()) })
	return entries
}

// verbs say what a partner is asked to do.
var verbs = map[purchase.Leg]string{purchase.Charge: "charge", purchase.Credit: "credit", purchase.Refund: "give back",
	purchase.Reversal: "take back"}

// asked is what a leg is to move.
func asked(p *purchase.Purchase, leg purchase.Leg) string {
	goods := leg == purchase.Credit || leg == purchase.Reversal
	switch {
	case goods && p.Bundle:
		return p.Product
	case goods:
		return money.Amount{Minor: p.Units, Currency: p.Currency}.String()
	case leg == purchase.Refund && p.Charged.Minor > 0:
		return p.Charged.String()
	}
	return money.Amount{Minor: p.Total, Currency: p.Currency}.String()
}

func again(try int16) string {
	if try <= 1 {
		return ""
	}
	return fmt.Sprintf(" Try %d, with the same key.", try)
}

func evidenceEntry(e *purchase.Evidence) Entry {
	entry := Entry{At: e.At.Time(), Kind: "evidence", Leg: e.Leg.String(), Partner: e.Partner, Source: e.Source.String(),
		Outcome: e.Kind.String(), Reason: string(e.Reason), Ref: e.Ref, Detail: e.Detail}
	if e.Amount.Minor != 0 {
		moved := amount(e.Amount.Minor, e.Amount.Currency)
		entry.Moved = &moved
	}
	entry.Text = sources(e) + ": " + strings.NewReplacer("LEG", e.Leg.String(), "AMOUNT", e.Amount.String()).Replace(outcomes[e.Kind]) + "."
	return entry
}

func sources(e *purchase.Evidence) string {
	switch e.Source {
	case purchase.FromAnswer:
		return e.Partner + " answers"
	case purchase.FromCallback:
		return e.Partner + " calls back"
	case purchase.FromQuery:
		return e.Partner + " answers a query"
	case purchase.FromCancel:
		return e.Partner + " answers a cancellation"
	case purchase.FromStatement:
		return e.Partner + " states in its books"
	case purchase.FromNode, purchase.FromStaff: // a wish is never evidence
	}
	return "this node knows"
}

// outcomes say each kind in words.
var outcomes = map[purchase.Kind]string{
	purchase.Done:      "LEG done, AMOUNT",
	purchase.Refused:   "LEG refused",
	purchase.Pending:   "LEG in progress",
	purchase.Unknown:   "no telling whether the LEG was done",
	purchase.Unsent:    "the LEG was not sent",
	purchase.Absent:    "no trace of the LEG",
	purchase.Cancelled: "the LEG will never be done",
	purchase.Reversed:  "LEG of AMOUNT taken back",
}

func noticeEntry(n *purchase.Notice) Entry {
	return Entry{At: n.At.Time(), Kind: "notice", Fact: n.Fact.String(), To: n.To.String(), SentAt: instant(n.SentAt),
		Text: n.Text}
}

// matters say what a case is about.
var matters = map[purchase.Matter]string{
	purchase.MatterPendingCredit:   "not credited by the delivery deadline",
	purchase.MatterUnknownCharge:   "the payer never said whether it charged",
	purchase.MatterLateRefund:      "not refunded by the refund deadline",
	purchase.MatterRefundRefused:   "the payer refuses to give the money back",
	purchase.MatterOverdue:         "neither credited nor refunded by the last deadline",
	purchase.MatterUnproven:        "refunded at the deadline without proof of non-delivery",
	purchase.MatterOrphanCharge:    "charged after the purchase was declined",
	purchase.MatterWrongCharge:     "another amount was charged",
	purchase.MatterWrongCredit:     "other units, another product or another number was credited",
	purchase.MatterWrongRefund:     "another amount was refunded",
	purchase.MatterLateCredit:      "credited after the money was being given back",
	purchase.MatterSecondCharge:    "charged twice",
	purchase.MatterSecondCredit:    "credited twice",
	purchase.MatterSecondRefund:    "refunded twice",
	purchase.MatterCreditReversed:  "the provider took the units back",
	purchase.MatterChargeReversed:  "the payer gave the money back after delivery",
	purchase.MatterRefundReversed:  "the payer took the refund back",
	purchase.MatterUnbooked:        "a movement that the journal has no room for",
	purchase.MatterUnknownReversal: "the provider never said whether it took the units back",
	purchase.MatterWrongReversal:   "other units were taken back than were to be, or twice, or they were given again",
}
