package regulator

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/money"
)

// Say is a value as people read it, in "fr" or "en".
func (v Value) Say(language string) string {
	switch {
	case v.Unlimited:
		return map[bool]string{true: "no such limit", false: "pas de limite"}[language == "en"]
	case v.Absent:
		return "–"
	}
	switch v.Unit {
	case Amount:
		return v.Money.Say()
	case Duration:
		return Took(v.Took, language)
	case Share:
		return Part(v.N, v.Of, language)
	case Count:
	}
	return Digits(v.N)
}

// In is the value with nothing in each of the currencies that are known, where it is of amounts and has none.
func (v Value) In(known ...money.Currency) Value {
	if v.Unit == Amount && len(v.Money) == 0 {
		v.Money = Money{}
		for _, c := range known {
			v.Money[c] = 0
		}
	}
	return v
}

// Currencies are those that purchases were made in.
func (f *Figures) Currencies() []money.Currency { return slices.Sorted(maps.Keys(f.Made.Amount)) }

// Digits is a number in groups of three.
func Digits(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, text = "−", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u00a0" + text[i:]
	}
	return sign + text
}

// Say is amounts as people read them.
func (m Money) Say() string {
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, money.Amount{Minor: m[c], Currency: c}.String())
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.ReplaceAll(strings.Join(parts, ", "), " ", "\u00a0")
}

// Part is a share of a whole, to a tenth of a percent, never rounded up to all; and the two numbers.
func Part(n, of int64, language string) string {
	if of == 0 {
		return "–"
	}
	point := ","
	if language == "en" {
		point = "."
	}
	thousandths := n * 1000 / of
	return fmt.Sprintf("%d%s%d\u00a0%% (%s/%s)", thousandths/10, point, thousandths%10, Digits(n), Digits(of))
}

// Took is a duration as people read it: two units of it.
func Took(d time.Duration, language string) string {
	day := "j"
	if language == "en" {
		day = "d"
	}
	tenths := int64(d+99*time.Millisecond) / int64(100*time.Millisecond)
	seconds := tenths / 10
	two := func(a int64, au string, b int64, bu string) string {
		if b == 0 {
			return fmt.Sprintf("%d\u00a0%s", a, au)
		}
		return fmt.Sprintf("%d\u00a0%s\u00a0%d\u00a0%s", a, au, b, bu)
	}
	switch {
	case seconds < 60 && tenths%10 != 0:
		point := ","
		if language == "en" {
			point = "."
		}
		return fmt.Sprintf("%d%s%d\u00a0s", seconds, point, tenths%10)
	case seconds < 60:
		return fmt.Sprintf("%d\u00a0s", seconds)
	case seconds < 3600:
		return two(seconds/60, "min", seconds%60, "s")
	case seconds < 48*3600:
		return two(seconds/3600, "h", seconds%3600/60, "min")
	}
	return two(seconds/86400, day, seconds%86400/3600, "h")
}

// codeWords say what a code of failure means, in French and in English.
var codeWords = map[string][2]string{
	"insufficient_funds":  {"Solde insuffisant", "Insufficient funds"},
	"limit_exceeded":      {"Plafond atteint", "Limit reached"},
	"not_approved":        {"Non approuvé par le client", "Not approved by the customer"},
	"unknown_line":        {"Numéro inconnu", "Unknown number"},
	"barred_line":         {"Numéro suspendu", "Barred number"},
	"product_not_allowed": {"Produit non permis pour ce compte", "Product not allowed for the account"},
	"partner_unavailable": {"Partenaire indisponible", "Partner unavailable"},
	"refused":             {"Refusé par le partenaire", "Refused by the partner"},
	CodeNoAnswer:          {"Sans réponse du partenaire", "No answer from the partner"},
	CodeNotSent:           {"Jamais envoyé au partenaire", "Never sent to the partner"},
	CodeTakenBack:         {"Repris par le partenaire", "Taken back by the partner"},
	CodeWrong:             {"Autre montant, produit ou numéro", "Another amount, product or number"},
	CodeChargedLate:       {"Débité après un refus", "Charged after a decline"},
	CodePayerUndid:        {"Rendu par le moyen de paiement", "Given back by the payer"},
	CodeReversalAsked:     {"Annulation demandée par le client", "Reversal asked for by the customer"},
}

// partyWords say who is responsible.
var partyWords = map[string][2]string{"customer": {"Client", "Customer"}, "payer": {"Moyen de paiement", "Payer"}, "provider": {"Système de charge", "Charging system"},
	"tenu": {"Plateforme de vente", "Sales platform"}, "product": {"Produit", "Product"}, "channel": {"Canal", "Channel"}, "operator": {"Opérateur", "Operator"}, "centre": {"Centre SMS", "SMS centre"},
	"charge": {"Débit", "Charge"}, "credit": {"Crédit", "Credit"}}

func worded(words map[string][2]string, key, language string) string {
	pair, known := words[key]
	switch {
	case !known:
		return key
	case language == "en":
		return pair[1]
	}
	return pair[0]
}

// SayCode is what a code of failure means.
func SayCode(code, language string) string { return worded(codeWords, code, language) }

// SayParty is a party, a series or a leg, in words: "provider:ocs" is "Système de charge ocs".
func SayParty(party, language string) string {
	kind, name, named := strings.Cut(party, ":")
	text := worded(partyWords, kind, language)
	if named {
		text += " " + name
	}
	return text
}

// Name is a figure's name.
func (d *Definition) Name(language string) string {
	if language == "en" {
		return d.English
	}
	return d.French
}

// Text is what a figure is.
func (d *Definition) Text(language string) string {
	if language == "en" {
		return d.MeansInEN
	}
	return d.Means
}
