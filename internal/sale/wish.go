package sale

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"tenu/internal/catalogue"
	"tenu/internal/money"
	"tenu/internal/numbering"
)

// maxKey bounds the bytes of a client's idempotency key.
const maxKey = 64

// Wish is what a customer wants to buy, as a channel took it down: nothing in
// it is checked yet.
type Wish struct {
	Client    string // the authenticated client on whose behalf
	ClientKey string // its idempotency key: 1 to 64 visible ASCII characters
	Channel   string // "api", "app", "ussd", "sms"
	Language  string // the customer's: "fr", "en-GB"; the default's where unknown

	Number  string // who receives, as people write it
	Payer   string // who pays; "" for the recipient
	Product string
	Amount  string // what the customer pays, "1050"; may be left out for a bundle
	// Currency is the amount's; "" for the catalogue's.
	Currency string
	// PayWith is a wallet's name, or catalogue.Balance; "" for the product's first.
	PayWith string
	// Again says that the customer was asked and wants a second purchase like a
	// recent one.
	Again bool
}

// keyed reports whether the wish has a key that can be kept.
func (w *Wish) keyed() bool {
	if w.ClientKey == "" || len(w.ClientKey) > maxKey {
		return false
	}
	for i := range len(w.ClientKey) {
		if w.ClientKey[i] <= ' ' || w.ClientKey[i] > '~' {
			return false
		}
	}
	return true
}

// digest stands for what is wished, not for how it was written: two wishes that
// mean the same have the same digest, whatever the catalogue and the numbering
// plan are at the moment, so that a request repeated after a change of prices
// still finds its purchase. The client, its key and its channel are not part of
// it; neither is Again, which answers a question of ours about the same wish.
func (w *Wish) digest(plan *numbering.Plan, currency money.Currency) [16]byte {
	recipient := plan.Canonical(w.Number)
	payer := recipient
	if strings.TrimSpace(w.Payer) != "" {
		payer = plan.Canonical(w.Payer)
	}
	if w.Currency != "" {
		currency = money.Currency(w.Currency)
	}
	amount := strings.TrimSpace(w.Amount)
	if parsed, err := catalogue.ParseAmount(amount, currency); err == nil {
		amount = parsed.Decimal()
	}
	hash := sha256.New()
	for _, field := range []string{"tenu wish 1", recipient, payer, w.Product,
		amount, string(currency), w.PayWith, strings.ToLower(w.Language)} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(field)))
		hash.Write(size[:])
		hash.Write([]byte(field))
	}
	return [16]byte(hash.Sum(nil))
}
