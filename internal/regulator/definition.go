package regulator

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/profile"
)

// Limits are those of a country's profile that figures are held against. Zero: the country has no such limit, and the
// figures of it say so.
type Limits struct {
	Profile string        // with its version, as in "ng 2026-03-01"
	Refund  time.Duration // from the proof that it failed to the refund
	Settle  time.Duration // from the charge to the credit or the refund
	Resolve time.Duration // from the complaint to its settlement
	Call    time.Duration // from the promise of a callback to the conversation
	// Sources are who says so, by the figure that the limit is of.
	Sources map[string]profile.Limit
}

// Unit is what a value counts.
type Unit string

// The units.
const (
	Count    Unit = "count"
	Amount   Unit = "amount"   // minor units, by currency
	Duration Unit = "duration" // milliseconds
	Share    Unit = "share"    // a part of a whole, told as both
)

// Value is a figure's. It is Absent where there is nothing to tell it of, and Unlimited where the profile has no such
// limit: neither is zero.
type Value struct {
	Unit              Unit
	N                 int64 // of Count and Share
	Of                int64 // the whole, of Share
	Money             Money
	Took              time.Duration
	Absent, Unlimited bool
}

// Definition is what a figure is: one for each.
type Definition struct {
	Code             string
	Unit             Unit
	French, English  string // its name
	Means, MeansInEN string // what it is, in French and in English
	Source           string // the entries that it is counted from
	of               func(f *Figures, l *Limits) Value
}

// Of is the figure's value.
func (d *Definition) Of(f *Figures, l *Limits) Value {
	v := d.of(f, l)
	v.Unit = d.Unit
	return v
}

func count(n func(*Figures) int64) func(*Figures, *Limits) Value {
	return func(f *Figures, _ *Limits) Value { return Value{N: n(f)} }
}

func amount(of func(*Figures) Money) func(*Figures, *Limits) Value {
	return func(f *Figures, _ *Limits) Value { return Value{Money: of(f)} }
}

func fastest(percent int64, of func(*Figures) Times) func(*Figures, *Limits) Value {
	return func(f *Figures, _ *Limits) Value {
		took, ok := of(f).Fastest(percent)
		return Value{Took: took, Absent: !ok}
	}
}

// within is the share of times that kept a limit.
func within(limit func(*Limits) time.Duration, of ...func(*Figures) Times) func(*Figures, *Limits) Value {
	return func(f *Figures, l *Limits) Value {
		v := Value{Unlimited: limit(l) == 0}
		for _, times := range of {
			v.N += times(f).Within(limit(l))
			v.Of += times(f).Count()
		}
		v.Absent = v.Of == 0
		return v
	}
}

// Breaches is how many kept no limit, those still held for longer at the end among them.
func (f *Figures) Breaches(l *Limits) (refund, settle int64) {
	if l.Refund > 0 {
		refund = f.ToRefund.Count() - f.ToRefund.Within(l.Refund)
	}
	if l.Settle > 0 {
		for _, t := range []Times{f.ToCredit, f.FromCharge, f.HeldFor} {
			settle += t.Count() - t.Within(l.Settle)
		}
	}
	return refund, settle
}

func toCredit(f *Figures) Times   { return f.ToCredit }
func toRefund(f *Figures) Times   { return f.ToRefund }
func fromCharge(f *Figures) Times { return f.FromCharge }
func heldFor(f *Figures) Times    { return f.HeldFor }
func resolved(f *Figures) Times   { return f.Resolved }
func waited(f *Figures) Times     { return f.Waited }

func failed(f *Figures) (n int64) {
	for i := range f.Failures {
		n += f.Failures[i].Count
	}
	return n
}

func exposed(f *Figures) (s Sum) {
	for _, d := range f.Exposure {
		s.add(d.Sum)
	}
	return s
}

// Failed is how many purchases failed, by who is responsible.
func (f *Figures) Failed() map[string]int64 {
	by := map[string]int64{}
	for i := range f.Failures {
		by[f.Failures[i].Party] += f.Failures[i].Count
	}
	return by
}

// The sources of figures.
const (
	fromPurchases = "purchase"
	fromJournal   = "posting, evidence"
	fromCases     = "case_entry"
	fromCallbacks = "callback, callback_attempt"
	fromCalls     = "call"
	fromIncidents = "incident_entry, incident_purchase"
	fromPauses    = "sales_pause"
)

// Definitions are all figures, in the order in which they are shown.
var Definitions = slices.Concat(ofPurchases, ofMoney, ofTimes, ofCare, ofCalls, ofIncidents)

var ofPurchases = []Definition{
	{"purchases", Count, "Achats", "Purchases", "Achats faits par des clients dans la période.", "Purchases that customers made in the period.", fromPurchases,
		count(func(f *Figures) int64 { return f.Made.Count })},
	{"purchases_amount", Amount, "Montant des achats", "Amount of purchases", "Ce que ces achats coûtent, frais compris.", "What those purchases cost, fees included.", fromPurchases,
		amount(func(f *Figures) Money { return f.Made.Amount })},
	{"charged", Count, "Débits", "Charges", "Débits attestés par un moyen de paiement dans la période, qu'ils soient attendus ou en double.", "Charges that a payer evidenced in the period, expected or doubled.", fromJournal,
		count(func(f *Figures) int64 { return f.Charged.Count })},
	{"charged_amount", Amount, "Montant débité", "Amount charged", "La somme de ces débits.", "The sum of those charges.", fromJournal,
		amount(func(f *Figures) Money { return f.Charged.Amount })},
	{"credited", Count, "Crédits", "Credits", "Crédits attestés par un système de charge dans la période, payés de ce qui avait été débité.", "Credits that a charging system evidenced in the period, paid from what had been charged.", fromJournal,
		count(func(f *Figures) int64 { return f.Credited.Count })},
	{"credited_amount", Amount, "Montant crédité", "Amount credited", "La somme de ces crédits, frais compris.", "The sum of those credits, fees included.", fromJournal,
		amount(func(f *Figures) Money { return f.Credited.Amount })},
	{"refunded", Count, "Remboursements", "Refunds", "Mouvements attestés qui rendent de l'argent à des clients, remboursements partiels et débits annulés compris.", "Evidenced movements that give money back to customers, partial refunds and undone charges included.", fromJournal,
		count(func(f *Figures) int64 { return f.Refunded.Count })},
	{"refunded_amount", Amount, "Montant remboursé", "Amount refunded", "La somme de ces remboursements.", "The sum of those refunds.", fromJournal,
		amount(func(f *Figures) Money { return f.Refunded.Amount })},
	{"taken_back", Count, "Crédits repris", "Credits taken back", "Crédits qu'un système de charge a annulés dans la période.", "Credits that a charging system undid in the period.", fromJournal,
		count(func(f *Figures) int64 { return f.TakenBack.Count })},
	{"refund_undone", Count, "Remboursements annulés", "Refunds undone", "Remboursements qu'un moyen de paiement a annulés dans la période ; l'argent est de nouveau dû.", "Refunds that a payer undid in the period; the money is owed again.", fromJournal,
		count(func(f *Figures) int64 { return f.RefundUndone.Count })},
	{"failed", Count, "Échecs", "Failures", "Achats refusés sans débit, et achats débités dont le remboursement a commencé ou que le moyen de paiement a rendus, par code normalisé et partie responsable.", "Purchases declined without a charge, and charged ones whose refund began or that the payer gave back, by standard code and responsible party.", "notice, care_case, attempt, evidence, posting",
		count(failed)},
}

var ofMoney = []Definition{
	{"held", Count, "Achats dont l'argent est retenu", "Purchases whose money is held", "À la fin de la période : débités, ni crédités ni remboursés ; débits en double compris.", "At the end of the period: charged, and neither credited nor refunded; doubled charges included.", fromJournal,
		count(func(f *Figures) int64 { return f.Held.Count })},
	{"held_amount", Amount, "Argent retenu", "Money held", "La somme retenue pour ces achats.", "The sum held for those purchases.", fromJournal,
		amount(func(f *Figures) Money { return f.Held.Amount })},
	{"held_p50", Duration, "Âge médian de l'argent retenu", "Median age of money held", "Depuis le débit, pour la moitié de ces achats au plus.", "Since the charge, for half of those purchases at most.", fromJournal, fastest(50, heldFor)},
	{"held_max", Duration, "Âge de l'argent retenu depuis le plus longtemps", "Age of the money held longest", "Depuis le débit.", "Since the charge.", fromJournal, fastest(100, heldFor)},
	{"held_late", Count, "Argent retenu au-delà de la limite", "Money held beyond the limit", "De ces achats, ceux débités depuis plus longtemps que la limite du profil.", "Of those purchases, those charged for longer than the profile's limit.", fromJournal,
		func(f *Figures, l *Limits) Value {
			return Value{N: f.HeldFor.Count() - f.HeldFor.Within(l.Settle), Unlimited: l.Settle == 0}
		}},
	{"exposed", Count, "Mouvements en exposition", "Movements into exposure", "Valeur perdue dans la période, pour l'instant, par l'exécution tardive, double, fausse ou annulée d'un partenaire.", "Value lost in the period, for now, to a partner's late, doubled, wrong or undone execution.", fromJournal,
		count(func(f *Figures) int64 { return f.Exposed.Count })},
	{"exposed_amount", Amount, "Montant entré en exposition", "Amount that went into exposure", "La somme de ces mouvements.", "The sum of those movements.", fromJournal,
		amount(func(f *Figures) Money { return f.Exposed.Amount })},
	{"recovered_amount", Amount, "Montant récupéré", "Amount recovered", "Ce qui a quitté l'exposition dans la période.", "What left exposure in the period.", fromJournal,
		amount(func(f *Figures) Money { return f.Recovered.Amount })},
	{"exposure", Count, "Achats en exposition", "Purchases in exposure", "À la fin de la période, par partenaire.", "At the end of the period, by partner.", fromJournal,
		count(func(f *Figures) int64 { return exposed(f).Count })},
	{"exposure_amount", Amount, "Exposition", "Exposure", "La somme en exposition à la fin de la période, par partenaire.", "The sum in exposure at the end of the period, by partner.", fromJournal,
		amount(func(f *Figures) Money { s := exposed(f); return s.Amount })},
}

var ofTimes = []Definition{
	{"credit_p50", Duration, "Délai de crédit médian", "Median time to credit", "De la preuve du débit à la preuve du crédit, pour les crédits de la période.", "From the charge's evidence to the credit's, of the period's credits.", fromJournal, fastest(50, toCredit)},
	{"credit_p95", Duration, "Délai de crédit, 95 % les plus rapides", "Time to credit, fastest 95 %", "Le même délai, pour 95 % des crédits au plus.", "The same time, for 95 % of the credits at most.", fromJournal, fastest(95, toCredit)},
	{"credit_p99", Duration, "Délai de crédit, 99 % les plus rapides", "Time to credit, fastest 99 %", "Le même délai, pour 99 % des crédits au plus.", "The same time, for 99 % of the credits at most.", fromJournal, fastest(99, toCredit)},
	{"refund_p50", Duration, "Délai de remboursement médian", "Median time to refund", "De la preuve de l'échec, où le remboursement commence, à la preuve du remboursement.", "From the proof of failure, with which the refund begins, to the refund's evidence.", "attempt, posting", fastest(50, toRefund)},
	{"refund_p95", Duration, "Délai de remboursement, 95 % les plus rapides", "Time to refund, fastest 95 %", "Le même délai, pour 95 % des remboursements au plus.", "The same time, for 95 % of the refunds at most.", "attempt, posting", fastest(95, toRefund)},
	{"refund_p99", Duration, "Délai de remboursement, 99 % les plus rapides", "Time to refund, fastest 99 %", "Le même délai, pour 99 % des remboursements au plus.", "The same time, for 99 % of the refunds at most.", "attempt, posting", fastest(99, toRefund)},
	{"refund_within", Share, "Remboursés dans la limite", "Refunded within the limit", "Des remboursements de la période, ceux dont ce délai n'excède pas la limite du profil après un échec prouvé.", "Of the period's refunds, those whose time does not exceed the profile's limit after a proven failure.", "attempt, posting",
		within(func(l *Limits) time.Duration { return l.Refund }, toRefund)},
	{"settle_p95", Duration, "Délai du débit au remboursement, 95 % les plus rapides", "Time from charge to refund, fastest 95 %", "De la preuve du débit à la preuve du remboursement, pour 95 % au plus.", "From the charge's evidence to the refund's, for 95 % at most.", fromJournal, fastest(95, fromCharge)},
	{"settle_within", Share, "Réglés dans la limite", "Settled within the limit", "Des crédits et remboursements de la période, ceux qui suivent le débit dans la limite du profil pour un achat en attente.", "Of the period's credits and refunds, those that followed the charge within the profile's limit for a pending purchase.", fromJournal,
		within(func(l *Limits) time.Duration { return l.Settle }, toCredit, fromCharge)},
	{"breaches", Count, "Limites dépassées", "Breaches of limits", "Remboursements après la limite d'un échec prouvé ; crédits, remboursements et argent encore retenu après la limite d'un achat en attente. Un achat peut compter deux fois.", "Refunds after the limit of a proven failure; credits, refunds and money still held after the limit of a pending purchase. One purchase may count twice.", fromJournal,
		func(f *Figures, l *Limits) Value {
			refund, settle := f.Breaches(l)
			return Value{N: refund + settle, Unlimited: l.Refund == 0 && l.Settle == 0}
		}},
}

var ofCare = []Definition{
	{"cases", Count, "Dossiers ouverts", "Cases opened", "Dossiers ouverts dans la période, par le système ou par des personnes, par code.", "Cases opened in the period, by the system or by people, by code.", fromCases,
		count(func(f *Figures) int64 { return f.Opened.Count() })},
	{"complaints", Count, "Réclamations", "Complaints", "Dossiers dont un client a parlé pour la première fois dans la période, par code de la liste de la NCC.", "Cases that a customer first spoke of in the period, by code of the NCC's list.", fromCases,
		count(func(f *Figures) int64 { return f.Complaints.Count() })},
	{"resolved", Count, "Réclamations réglées", "Complaints resolved", "Dossiers dont un client avait parlé, réglés dans la période ; un dossier rouvert et réglé de nouveau compte de nouveau.", "Cases that a customer had spoken of, settled in the period; one that was reopened and settled again counts again.", fromCases,
		count(func(f *Figures) int64 { return f.Resolved.Count() })},
	{"resolution_p80", Duration, "Délai de réclamation, 80 % les plus rapides", "Complaint resolution time, fastest 80 %", "De la réclamation au règlement, en temps de calendrier (ETSI EG 202 057-1).", "From the complaint to its settlement, by the calendar (ETSI EG 202 057-1).", fromCases, fastest(80, resolved)},
	{"resolution_p95", Duration, "Délai de réclamation, 95 % les plus rapides", "Complaint resolution time, fastest 95 %", "Le même délai, pour 95 % au plus (ETSI EG 202 057-1).", "The same time, for 95 % at most (ETSI EG 202 057-1).", fromCases, fastest(95, resolved)},
	{"resolution_within", Share, "Réclamations réglées dans l'objectif", "Complaints resolved within target", "Des réclamations réglées dans la période, celles dont ce délai n'excède pas la limite du profil (ETSI EG 202 057-1).", "Of the complaints resolved in the period, those whose time does not exceed the profile's limit (ETSI EG 202 057-1).", fromCases,
		within(func(l *Limits) time.Duration { return l.Resolve }, resolved)},
	{"complaints_share", Share, "Réclamations sur l'exactitude du crédit prépayé", "Prepaid-credit-correctness complaints", "Réclamations de la période sur ses achats (ETSI EG 202 057-1).", "The period's complaints out of its purchases (ETSI EG 202 057-1).", "case_entry, purchase",
		func(f *Figures, _ *Limits) Value {
			return Value{N: f.Complaints.Count(), Of: f.Made.Count, Absent: f.Made.Count == 0}
		}},
	{"callbacks_promised", Count, "Rappels promis", "Callbacks promised", "Promesses de rappel faites dans la période.", "Promises to call back that were made in the period.", fromCallbacks, count(func(f *Figures) int64 { return f.Promised })},
	{"callbacks_kept", Count, "Rappels tenus", "Callbacks kept", "Promesses dont le client a été joint dans la période.", "Promises whose customer was spoken with in the period.", fromCallbacks, count(func(f *Figures) int64 { return f.Kept })},
	{"callbacks_broken", Count, "Rappels manqués", "Callbacks broken", "Promesses dont le créneau est passé dans la période sans que le client soit joint.", "Promises whose window passed in the period without the customer being spoken with.", fromCallbacks, count(func(f *Figures) int64 { return f.Broken })},
	{"callbacks_cancelled", Count, "Rappels annulés par le client", "Callbacks cancelled by the customer", "Promesses que le client n'a plus voulues.", "Promises that the customer did not want any more.", fromCallbacks, count(func(f *Figures) int64 { return f.Cancelled })},
	{"wait_mean", Duration, "Attente moyenne avant un rappel", "Mean wait for a callback", "De la promesse à la conversation, pour les rappels tenus dans la période.", "From the promise to the conversation, of the callbacks kept in the period.", fromCallbacks,
		func(f *Figures, _ *Limits) Value { return mean(f.WaitedInAll, f.Waited.Count()) }},
	{"wait_p95", Duration, "Attente avant un rappel, 95 % les plus rapides", "Wait for a callback, fastest 95 %", "Le même délai, pour 95 % au plus.", "The same time, for 95 % at most.", fromCallbacks, fastest(95, waited)},
	{"wait_within", Share, "Rappels tenus dans la limite", "Callbacks kept within the limit", "Des rappels tenus, ceux dont l'attente n'excède pas la limite du profil.", "Of the callbacks kept, those whose wait does not exceed the profile's limit.", fromCallbacks,
		within(func(l *Limits) time.Duration { return l.Call }, waited)},
}

// calls counts calls by how they ended.
func calls(release string) func(*Figures, *Limits) Value {
	return count(func(f *Figures) int64 { return f.Calls.Answered[release] })
}

// mean is an average of microseconds.
func mean(inAll, n int64) Value {
	if n == 0 {
		return Value{Absent: true}
	}
	return Value{Took: time.Duration(inAll/n) * time.Microsecond}
}

// untilSpoken are the waits for an agent, by telephone or until the callback.
func untilSpoken(f *Figures) (all Times) {
	all.add(f.Calls.Agent)
	all.add(f.Waited)
	return all
}

var ofCalls = []Definition{
	{"calls_offered", Count, "Appels offerts", "Calls offered", "Appels au centre d'appels qui ont pris fin ou ont été refusés dans la période.", "Calls to the call centre that ended, or were refused, in the period.", "call, call_refused",
		count(func(f *Figures) int64 { return f.Calls.Offered() })},
	{"calls_answered", Count, "Appels décrochés", "Calls answered", "De ces appels, ceux qui ont été décrochés, par la ligne elle-même ou par un agent ; les autres ont été refusés avec l'heure d'un nouvel essai.", "Of those calls, the ones that were answered, by the line itself or by an agent; the others were refused with the time to try again.", fromCalls,
		count(func(f *Figures) int64 { return f.Calls.Answered.Count() })},
	{"calls_informed", Count, "Appels réglés par l'information seule", "Calls released by information alone", "Appels dont le client a entendu ce qu'il y a à entendre, et n'a rien demandé de plus.", "Calls whose customer heard what there is to hear, and asked for nothing more.", fromCalls, calls("informed")},
	{"calls_agent", Count, "Appels parlés avec un agent", "Calls to agents", "Appels dont le client a parlé avec un agent.", "Calls whose customer spoke with an agent.", fromCalls, calls("spoken")},
	{"calls_abandoned", Count, "Appels abandonnés", "Calls abandoned", "Appels raccrochés pendant l'attente d'un agent, ou avant que tout soit dit.", "Calls hung up while waiting for an agent, or before all was said.", fromCalls, calls("abandoned")},
	{"calls_prompt", Share, "Appels décrochés en 20 s", "Calls answered within 20 s", "Des appels offerts, ceux qui ont été décrochés en 20 s au plus ; pour qui voulait un agent, par l'agent (ETSI EG 202 057-1).", "Of the calls offered, those that were answered within 20 s; for whom wished for an agent, by the agent (ETSI EG 202 057-1).", "call, call_refused",
		func(f *Figures, _ *Limits) Value {
			return Value{N: f.Calls.Prompt, Of: f.Calls.Offered(), Absent: f.Calls.Offered() == 0}
		}},
	{"calls_answer_mean", Duration, "Délai moyen de décroché", "Average speed of answer", "De l'appel au décroché, par la ligne elle-même.", "From the call to its answer, by the line itself.", fromCalls,
		func(f *Figures, _ *Limits) Value { return mean(f.Calls.AnswerInAll, f.Calls.Answered.Count()) }},
	{"agent_wait_mean", Duration, "Attente moyenne d'un agent, rappels compris", "Mean wait for an agent, callbacks included", "Du souhait d'un agent à l'agent, ou de la promesse d'un rappel à la conversation.", "From the wish for an agent to the agent, or from the promise of a callback to the conversation.", "call, callback, callback_attempt",
		func(f *Figures, _ *Limits) Value {
			return mean(f.Calls.AgentInAll+f.WaitedInAll, f.Calls.Agent.Count()+f.Waited.Count())
		}},
	{"agent_wait_p95", Duration, "Attente d'un agent, rappels compris, 95 % les plus rapides", "Wait for an agent, callbacks included, fastest 95 %", "Le même délai, pour 95 % au plus.", "The same time, for 95 % at most.", "call, callback, callback_attempt", fastest(95, untilSpoken)},
}

var ofIncidents = []Definition{
	{"incidents", Count, "Incidents", "Incidents", "Incidents qui ont duré ou touché des clients dans la période.", "Incidents that lasted, or affected customers, in the period.", fromIncidents, count(func(f *Figures) int64 { return int64(len(f.Incidents)) })},
	{"incident_time", Duration, "Durée des incidents", "Time of incidents", "Somme des durées dans la période, de la détection à la réouverture entière des ventes.", "The sum of their times in the period, from when each was seen until sales were wholly open again.", fromIncidents,
		func(f *Figures, _ *Limits) Value {
			var v Value
			for _, i := range f.Incidents {
				v.Took += time.Duration(i.Lasted) * time.Microsecond
			}
			return v
		}},
	{"customers_affected", Count, "Clients touchés", "Customers affected", "Clients dont un achat a été rattaché à un incident dans la période pour la première fois ; un client touché par deux incidents compte deux fois.", "Customers of whom a purchase was first linked to an incident in the period; one affected by two incidents counts twice.", fromIncidents,
		count(func(f *Figures) (n int64) {
			for _, i := range f.Incidents {
				n += i.Customers
			}
			return n
		})},
	{"purchases_affected", Count, "Achats touchés", "Purchases affected", "Achats rattachés à un incident dans la période.", "Purchases that were linked to an incident in the period.", fromIncidents,
		count(func(f *Figures) (n int64) {
			for _, i := range f.Incidents {
				n += i.Purchases
			}
			return n
		})},
	{"pauses", Count, "Suspensions de vente", "Pauses of sales", "Suspensions qui ont duré dans la période, entières ou en partie.", "Pauses that lasted in the period, whole or in part.", fromPauses, count(func(f *Figures) int64 { return int64(len(f.Pauses)) })},
	{"pause_time", Duration, "Durée des suspensions", "Time of pauses", "Somme de leurs durées dans la période, jusqu'à la réouverture entière.", "The sum of their times in the period, until sales were wholly open.", fromPauses,
		func(f *Figures, _ *Limits) Value {
			var v Value
			for _, p := range f.Pauses {
				v.Took += time.Duration(p.Lasted) * time.Microsecond
			}
			return v
		}},
}

// Differences are the figures that two have differently, and the failures, by their codes.
func Differences(was, is *Figures) []Change {
	changed := []Change{}
	none := &Limits{}
	note := func(figure, before, after string) {
		if before != after {
			changed = append(changed, Change{figure, before, after})
		}
	}
	for i := range Definitions {
		d := &Definitions[i]
		if d.Unit == Share {
			continue // follows from others
		}
		note(d.Code, d.Of(was, none).Plain(), d.Of(is, none).Plain())
	}
	before, after := byFailure(was), byFailure(is)
	for _, k := range slices.Sorted(maps.Keys(merge(before, after))) {
		note("failed "+k, strconv.FormatInt(before[k], 10), strconv.FormatInt(after[k], 10))
	}
	if len(changed) == 0 {
		changed = append(changed, Change{Figure: "times"})
	}
	return changed
}

func byFailure(f *Figures) map[string]int64 {
	by := map[string]int64{}
	for i := range f.Failures {
		x := &f.Failures[i]
		by[x.Leg+" "+x.Code+" "+x.Party] = x.Count
	}
	return by
}

func merge(a, b map[string]int64) map[string]int64 {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// Plain is a value for programs: digits, "12/15" of a share, "XOF 1050" of money, milliseconds of a duration, "" where there is
// none.
func (v Value) Plain() string {
	switch {
	case v.Absent || v.Unlimited:
		return ""
	case v.Unit == Amount:
		var parts []string
		for _, c := range slices.Sorted(maps.Keys(v.Money)) {
			parts = append(parts, fmt.Sprintf("%s %d", c, v.Money[c]))
		}
		return strings.Join(parts, " ")
	case v.Unit == Duration:
		return strconv.FormatInt(v.Took.Milliseconds(), 10)
	case v.Unit == Share:
		return fmt.Sprintf("%d/%d", v.N, v.Of)
	}
	return strconv.FormatInt(v.N, 10)
}
