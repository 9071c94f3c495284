package sms

import (
	"errors"
	"strings"

	"tenu/internal/customer"
)

// receipt tells what a purchase's receipt says, to who paid: the one that is named,
// otherwise the last. "RECU" begins complaints too, which have other words after it.
func (l *letter) receipt() (string, error) {
	named := strings.Join(l.rest, "")
	if named == "" {
		v, err := l.last()
		if v == nil {
			return l.Say("none"), err
		}
		named = v.Reference.String()
	}
	x, err := l.cfg.Customers.Receipt(l.ctx, l.from, named, false)
	switch {
	case err == nil:
		return l.receiptText(&x), nil
	case !errors.Is(err, customer.ErrNotFound):
		return "", err
	case len(l.rest) > 0 && !reference.MatchString(strings.Join(l.rest, " ")) && !reference.MatchString(named):
		return l.complain()
	}
	// Who receives may know where it stands, and no more; and so may who is still to pay.
	v, err := l.cfg.Customers.Purchase(l.ctx, l.from, named)
	if errors.Is(err, customer.ErrNotFound) {
		return l.Say("unknown"), nil
	}
	if err != nil {
		return "", err
	}
	return l.state(&v), nil
}

// receiptText is a receipt in one message. The key and the number say which one it is.
func (l *letter) receiptText(x *customer.Receipt) string {
	_, key, _ := strings.Cut(x.Says.Issuer, "+")
	outcome := l.Say("receipt_"+string(x.Says.Outcome), "Time", l.Time(x.Moment()))
	if x.Says.Charged.Minor == 0 {
		return l.Say("receipt_nothing", "Reference", x.View.Reference.String(), "Sequence", x.Number(), "Item", l.item(&x.View), "Outcome", outcome, "Key", key)
	}
	return l.Say("receipt", "Reference", x.View.Reference.String(), "Sequence", x.Number(), "Item", l.item(&x.View), "Total", x.Says.Charged.String(),
		"Fee", x.Says.Fee.String(), "Outcome", outcome, "Key", key)
}
