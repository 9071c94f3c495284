package cgrates

import (
	"crypto/sha1" //nolint:gosec // the record ID of CGRateS is a SHA-1; nothing is authenticated by it
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// movement is what a leg does to which balance.
type movement struct {
	key     string // names the stored actions, and the record's OriginID
	id      string // the record's CGRID
	verb    string // "*topup" or "*debit", also the record's RunID
	kind    string // balance type
	balance string // balance ID
	units   string // decimal, in CGRateS's own units
	expiry  string // relative, "" for none
	// checked: only if the balance has at least that many units.
	checked bool
	// main: it is the main balance.
	main bool
}

// originHost tells our records from others in the record store.
const originHost = "tenu"

// recordID is the CGRID of an order's record. CGRateS derives the IDs of its
// own records in the same way from OriginID and OriginHost.
func recordID(key string) string {
	sum := sha1.Sum([]byte(key + originHost)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// identify is what a movement's record is found by: all that a query or a
// cancellation needs, whatever the configuration says by now.
func (p *Partner) identify(o *purchase.Order) movement {
	key := o.Key.UUID()
	m := movement{key: key, id: recordID(key), verb: "*topup", kind: "*monetary", balance: p.config.MainBalance,
		units: o.Amount.Decimal(), main: true}
	if o.Leg == purchase.Charge || o.Leg == purchase.Reversal {
		m.verb, m.checked = "*debit", true
	}
	if o.Bundle && (o.Leg == purchase.Credit || o.Leg == purchase.Reversal) {
		m.main = false
	}
	return m
}

// plan completes a movement, or returns why it is refused without being sent.
func (p *Partner) plan(o *purchase.Order) (movement, *purchase.Outcome) {
	m := p.identify(o)
	refuse := func(reason purchase.Reason, detail string) (movement, *purchase.Outcome) {
		return m, &purchase.Outcome{Kind: purchase.Refused, Reason: reason, Detail: detail}
	}
	switch {
	case !p.Capability(o.Leg).Supported:
		return refuse(purchase.ReasonOther, "no such leg")
	case o.Amount.Currency != p.config.Currency || o.Amount.Minor <= 0 || o.Account <= 0:
		return refuse(purchase.ReasonOther, "no positive amount of "+string(p.config.Currency)+", or no account")
	case o.Amount.Minor > maxMinor(p.config.Currency):
		return refuse(purchase.ReasonLimit, "larger than CGRateS counts exactly")
	case !plain.MatchString(o.Product):
		return refuse(purchase.ReasonProduct, "product code cannot be recorded")
	case m.main:
		return m, nil
	}
	bundle, known := p.config.Bundles[o.Product]
	if !known {
		return refuse(purchase.ReasonProduct, "bundle is not configured")
	}
	m.kind, m.units = bundle.Type, strconv.FormatInt(bundle.Value*bundle.Scale, 10)
	credit := m.id
	if o.Leg == purchase.Reversal {
		if credit = o.Original; !plain.MatchString(credit) {
			return refuse(purchase.ReasonOther, "the credit to take back is not named")
		}
	} else if bundle.Validity > 0 {
		m.expiry = "+" + bundle.Validity.String()
	}
	m.balance = bundleBalance(o.Product, credit)
	return m, nil
}

// bundleBalance names the balance of one credit of a bundle. Each credit has
// its own, with its own expiry, so that a reversal takes back exactly that one.
func bundleBalance(code, credit string) string { return code + "#" + credit }

// action is one action of a set (utils.TPAction). Actions are executed by
// falling weight and are listed in that order: CGRateS sorts a shared slice
// without a lock, which changes nothing if it is sorted.
type action struct {
	Identifier      string
	BalanceID       string `json:"BalanceId,omitempty"`
	BalanceType     string `json:",omitempty"`
	Units           string `json:",omitempty"`
	ExpiryTime      string `json:",omitempty"`
	Filter          string `json:",omitempty"`
	ExtraParameters string `json:",omitempty"`
	Weight          float64
}

// actions are the movement and its record. A checked movement is recorded
// first: the test of both then sees the same balance, and both or neither
// happen. Otherwise the record comes last, so that it can state the new balance.
func (m *movement) actions(o *purchase.Order) []action {
	move := action{Identifier: m.verb, BalanceID: m.balance, BalanceType: m.kind, Units: m.units, ExpiryTime: m.expiry}
	record := action{Identifier: "*cdrlog", ExtraParameters: m.record(o, outcomeDone)}
	if m.checked {
		enough := fmt.Sprintf(`{"*and":[{"Type":%q},{"ID":%q},{"Disabled":false},{"ExpirationDate":{"*exp":false}},{"Value":{"*gte":%s}}]}`,
			m.kind, m.balance, m.units)
		record.Filter, record.Weight = enough, 20
		move.Filter, move.Weight = enough, 10
		return []action{record, move}
	}
	move.Weight, record.Weight = 20, 10
	return []action{move, record}
}

// cancellation is the record alone. CGRateS writes one record per movement of
// the set, so there must be one, which no balance ever satisfies.
func (m *movement) cancellation(o *purchase.Order) []action {
	return []action{
		{Identifier: "*cdrlog", ExtraParameters: m.record(o, outcomeCancelled), Weight: 20},
		{Identifier: m.verb, BalanceID: "none", BalanceType: m.kind, Units: "0", Filter: `{"Type":"none"}`, Weight: 10},
	}
}

// The outcomes that a record states.
const (
	outcomeDone      = "done"
	outcomeCancelled = "cancelled"
)

// fields are what a record says beside what CGRateS fills in.
func (m *movement) fields(o *purchase.Order, outcome string) map[string]string {
	fields := map[string]string{
		"CGRID":       m.id,
		"OriginID":    m.key,
		"OriginHost":  originHost,
		"purchaseRef": string(o.Reference),
		"leg":         o.Leg.String(),
		"price":       o.Amount.Decimal(),
		"currency":    string(o.Amount.Currency),
		"outcome":     outcome,
	}
	if plain.MatchString(o.Product) {
		fields["product"] = o.Product
	}
	return fields
}

// record is the template of the *cdrlog action: values that begin with ~ are
// filled in by CGRateS, the others are taken literally.
func (m *movement) record(o *purchase.Order, outcome string) string {
	fields := m.fields(o, outcome)
	if m.main && !m.checked && outcome == outcomeDone {
		fields["balance"] = "~BalanceValue"
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic("cgrates: a map of strings cannot be written as JSON: " + err.Error())
	}
	return string(text)
}

// accountName is the number as CGRateS knows it: E.164 without the plus sign.
func accountName(number purchase.MSISDN) string { return strconv.FormatInt(int64(number), 10) }

// maxRounded is up to where every step of CGRateS's rounding is exact: it
// multiplies a balance by a power of ten, six decimals at most, takes the whole
// part, and divides (utils/coreutils.go, Round).
const maxRounded = 1 << 53 / 1_000_000

// maxMinor is the largest amount, and the largest balance after a credit, that
// is counted exactly.
func maxMinor(c money.Currency) int64 {
	most := int64(maxRounded)
	for range c.Digits() {
		most *= 10
	}
	return most
}

// countable reports whether a whole number of units comes out of the rounding
// as it went in, although it may be too large for that to be certain.
func countable(units int64) bool {
	for _, decimals := range []float64{1e5, 1e6} { // the default, and what is built in
		if math.Floor(float64(units)*decimals)/decimals != float64(units) {
			return false
		}
	}
	return true
}
