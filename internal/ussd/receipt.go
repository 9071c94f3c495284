package ussd

import (
	"errors"
	"strings"

	"tenu/internal/customer"
	"tenu/internal/receipt"
)

// receipt asks for a purchase's reference and tells what its receipt says, to who paid.
// Nobody else learns whether there is one.
func (s *session) receipt() (Screen, bool) {
	heading := s.Say("receipt_which")
	for {
		typed, more := s.next()
		if !more {
			return Screen{Text: heading}, false
		}
		if typed == "0" {
			return Screen{}, true
		}
		x, err := s.cfg.Customers.Receipt(s.ctx, s.turn.Number, typed, false)
		switch {
		case err == nil:
			return Screen{s.receiptText(&x), true}, false
		case !errors.Is(err, customer.ErrNotFound):
			return s.failed(err), false
		}
		heading = s.Say("receipt_unknown")
	}
}

// receiptText is a receipt on one screen. The key and the number say which one it is.
func (s *session) receiptText(x *customer.Receipt) string {
	_, key, _ := strings.Cut(x.Says.Issuer, "+")
	at := x.Moment().Time().In(s.cfg.Location).Format("02/01 15:04")
	var outcome string
	switch x.Says.Outcome {
	case receipt.Declined:
		return s.Say("receipt_nothing", "Reference", x.View.Reference.String(), "Sequence", x.Number(), "Item", s.item(&x.View), "Key", key)
	case receipt.Credited:
		outcome = s.Say("receipt_credited", "Time", at)
	case receipt.Refunded:
		outcome = s.Say("receipt_refunded", "Time", at)
	case receipt.Refunding:
		outcome = s.Say("receipt_refunding", "Time", at)
	case receipt.Pending:
		outcome = s.Say("receipt_pending", "Time", at)
	}
	return s.Say("receipt", "Reference", x.View.Reference.String(), "Sequence", x.Number(), "Item", s.item(&x.View), "Total", x.Says.Charged.String(),
		"Fee", x.Says.Fee.String(), "Outcome", outcome, "Key", key)
}
