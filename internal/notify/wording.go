// Package notify tells customers: it words the notices that the engine writes
// with each fact, and delivers them from the store to a message centre. It knows
// neither SQL nor how purchases are decided, and nothing waits for it: a notice
// that is late or lost never holds up money (invariant N5).
package notify

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"time"

	"tenu/internal/money"
	"tenu/internal/notify/gsm7"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// Reasons lists every reason that a payment is refused for. A reason that is
// not among them is told as purchase.ReasonOther.
var Reasons = []purchase.Reason{purchase.ReasonFunds, purchase.ReasonLimit, purchase.ReasonNotApproved,
	purchase.ReasonUnknownLine, purchase.ReasonBarredLine, purchase.ReasonProduct, purchase.ReasonClosed, purchase.ReasonOther}

// The placeholders of the texts. Their order is that of the values given to Say.
const (
	itemValue = iota
	unitsValue
	productValue
	recipientValue
	paidValue
	balanceValue
	payerValue
	payerEndValue
	accountValue
	reasonValue
	beforeValue
	timeValue
	dateValue
	caseValue
	sorryValue
	referenceValue
	valueCount
)

var placeholders = [valueCount]string{itemValue: "Item", unitsValue: "Units", productValue: "Product",
	recipientValue: "Recipient", paidValue: "Paid", balanceValue: "Balance", payerValue: "Payer",
	payerEndValue: "PayerEnd", accountValue: "Account", reasonValue: "Reason", beforeValue: "Before",
	timeValue: "Time", dateValue: "Date", caseValue: "Case", sorryValue: "Sorry", referenceValue: "Reference"}

// declinedReversed is told instead of FactDeclined when the wallet had taken the
// money and undid it: "nothing was taken" would not be true.
const declinedReversed = "declined_reversed"

// schemaDefault is the language spoken where another is asked for.
const schemaDefault = "fr"

// schema is what every language must say.
func schema() phrase.Schema {
	s := phrase.Schema{Default: schemaDefault, Placeholders: placeholders[:], Phrases: map[string][]string{
		"airtime": {"Units"}, "airtime_short": nil, "bundle": {"Product"}, "bundle_short": nil,
		"balance": {"Balance"}, "case": nil, "sorry": nil, "main_balance": nil,
		"before_time": {"Time"}, "before_date": {"Date", "Time"}, "reason_none": nil,

		"credited":       {"Item", "Recipient", "Paid", "Balance", "Reference"},
		"received":       {"Item", "PayerEnd", "Balance", "Reference"},
		"pending":        {"Paid", "Item", "Sorry", "Before", "Case", "Reference"},
		"unconfirmed":    {"Paid", "Reference"},
		"refunded":       {"Paid", "Account", "Payer", "Item", "Sorry", "Reference"},
		"declined":       {"Reason", "Item", "Recipient", "Reference"},
		declinedReversed: {"Paid", "Item", "Recipient", "Reference"},
		"taken_back":     {"Item", "Paid", "Sorry", "Case", "Reference"},
		"charged_late":   {"Paid", "Item", "Sorry", "Case", "Reference"},
		"credited_late":  {"Paid", "Item", "Case", "Reference"},
		"refund_undone":  {"Paid", "Sorry", "Case", "Reference"},
		"reversed":       {"Item", "Recipient", "Paid", "Reference"},
		"reclaimed":      {"Item", "PayerEnd", "Reference"},

		"given":         {"Item", "Recipient", "Balance", "Reference"},
		"given_pending": {"Item", "Sorry", "Case", "Reference"},
		"given_not":     {"Item", "Sorry", "Case", "Reference"},
		"given_back":    {"Item", "Sorry", "Case", "Reference"},
		"given_late":    {"Item", "Recipient", "Reference"},
		"given_undone":  {"Item", "Recipient", "Reference"},
	}}
	for _, r := range Reasons {
		s.Phrases["reason_"+string(r)] = nil
	}
	return s
}

// taken says which placeholders each phrase takes.
var taken = func() map[string][valueCount]bool {
	all := map[string][valueCount]bool{}
	for key, names := range schema().Phrases {
		var takes [valueCount]bool
		for _, name := range names {
			takes[slices.Index(placeholders[:], name)] = true
		}
		all[key] = takes
	}
	return all
}()

//go:embed phrases/*.yaml
var shipped embed.FS

// WordingConfig is what the texts need to know beside a purchase. Format and
// Location are needed.
type WordingConfig struct {
	// Products and Payers are what customers call a product, by its code, and a
	// wallet, by its partner's name, in each language. A payer that is not among
	// them is a charging system: the customer paid with the main balance.
	Products, Payers map[string]map[string]string
	// House is the payer of what is given away: who gets it paid nothing. "" for none.
	House string
	// Format writes a number as people read it; (*numbering.Plan).Format does.
	Format func(purchase.MSISDN) string
	// Location is the country's time zone.
	Location *time.Location
	// Languages may hold further languages, one file each.
	Languages []fs.FS
}

// Wording writes the texts of notices; it is a purchase.Wording. It is pure,
// immutable and safe for concurrent use.
type Wording struct {
	cfg  WordingConfig
	book *phrase.Book
}

// NewWording reads the texts. It refuses a language that lacks a text or has one
// too many, a name or text with a character that an SMS does not carry, and a
// text that would not fit one SMS with the largest amounts that there can be.
func NewWording(cfg WordingConfig) (*Wording, error) {
	if cfg.Format == nil || cfg.Location == nil {
		return nil, errors.New("wording: format and location are needed")
	}
	dir, err := fs.Sub(shipped, "phrases")
	if err != nil {
		return nil, fmt.Errorf("wording: %w", err)
	}
	book, err := phrase.Load(schema(), append([]fs.FS{dir}, cfg.Languages...)...)
	if err != nil {
		return nil, fmt.Errorf("wording: %w", err)
	}
	w := &Wording{cfg, book}
	if err := w.checkNames(); err != nil {
		return nil, err
	}
	for _, language := range book.Languages() {
		if err := w.checkLanguage(language); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *Wording) checkNames() error {
	for _, names := range []map[string]map[string]string{w.cfg.Products, w.cfg.Payers} {
		for _, code := range slices.Sorted(maps.Keys(names)) {
			for language, name := range names[code] {
				_, err := gsm7.Septets(name)
				if name == "" {
					err = errors.New("it is empty")
				}
				if err != nil {
					return fmt.Errorf("wording: name %q of %s in %q cannot be sent: %w", name, code, language, err)
				}
			}
		}
	}
	return nil
}

// checkLanguage makes sure that the tersest form of every text fits, whatever the
// amounts, so that Notice always finds one that does.
func (w *Wording) checkLanguage(language string) error {
	v := voice{w.book.In(language), language, w}
	most := money.Amount{Minor: math.MinInt64, Currency: money.XOF}.String()
	number := w.cfg.Format(999_999_999_999_999)
	values := values{unitsValue: most, productValue: "", recipientValue: number, paidValue: most, payerValue: number,
		payerEndValue: "00", timeValue: "00:00", dateValue: "00/00", referenceValue: "0000-0000-00"}
	values[beforeValue] = v.longest(&values, "before_time", "before_date")
	reasons := []string{"reason_none"}
	for _, r := range Reasons {
		reasons = append(reasons, "reason_"+string(r))
	}
	values[reasonValue] = v.longest(&values, reasons...)
	values[itemValue] = v.longest(&values, "airtime_short", "bundle_short")
	values[accountValue] = v.say("main_balance", &values)
	for _, names := range w.cfg.Payers {
		if name := v.name(names); len(name) > len(values[accountValue]) {
			values[accountValue] = name
		}
	}
	for key, p := range v.phrases {
		text := string(p.Say(nil, values[:]))
		n, err := gsm7.Septets(text)
		if err == nil && n > gsm7.MaxSeptets {
			err = fmt.Errorf("up to %d characters, %d fit", n, gsm7.MaxSeptets)
		}
		if err != nil {
			return fmt.Errorf("wording: %s in %q, %q: %w", key, language, text, err)
		}
	}
	return nil
}

// Notice is purchase.Wording: the text of a fact about p as it stands after the
// change, out being the evidence behind it (zero for a deadline). Where a text is too
// long it is said more tersely, never with another meaning.
func (w *Wording) Notice(fact purchase.Fact, p *purchase.Purchase, ref purchase.Reference, out purchase.Outcome) string {
	v := voice{w.book.In(string(p.Language)), string(p.Language), w}
	key := fact.String()
	switch {
	case w.cfg.House != "" && p.Payer == w.cfg.House:
		key = given(fact, key)
	case fact == purchase.FactDeclined && out.Kind == purchase.Reversed:
		key = declinedReversed
	}
	values := v.values(key, fact, p, ref, &out)
	var buffer [2 * gsm7.MaxSeptets]byte
	var text string
	for _, shorten := range []func(){
		func() {},
		func() { values[sorryValue] = "" },
		func() { values[balanceValue] = "" },
		func() { values[caseValue] = "" },
		func() { values[itemValue] = v.shortItem(p.Bundle) },
	} {
		shorten()
		text = string(v.phrases[key].Say(buffer[:0], values[:]))
		if n, err := gsm7.Septets(text); err == nil && n <= gsm7.MaxSeptets {
			break
		}
	}
	return text
}

// given is what is told of a purchase that the house pays for: nothing was paid, so
// nothing is given back. What its recipient is told is told of every purchase alike.
func given(fact purchase.Fact, key string) string {
	switch fact {
	case purchase.FactCredited:
		return "given"
	case purchase.FactPending:
		return "given_pending"
	case purchase.FactTakenBack:
		return "given_back"
	case purchase.FactCreditedLate:
		return "given_late"
	case purchase.FactRefunded, purchase.FactDeclined, purchase.FactUnconfirmed, purchase.FactChargedLate, purchase.FactRefundUndone:
		return "given_not"
	case purchase.FactReversed:
		return "given_undone"
	case purchase.FactReceived, purchase.FactReclaimed:
	}
	return key
}
