package ucip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
)

// admit refuses a debit that the account cannot bear now. An enquiry that fails
// is Unsent: nothing that moves anything has left.
func (p *Partner) admit(ctx context.Context, r *request) *purchase.Outcome {
	unsent := func(err error) *purchase.Outcome {
		return &purchase.Outcome{Kind: purchase.Unsent, Detail: partner.Detail(err.Error())}
	}
	poor := &purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonFunds, Detail: "balance does not suffice"}
	if r.bundle != nil {
		a, err := p.ask(ctx, "GetBalanceAndDate", p.enquiry(r.number))
		if err != nil {
			return refusedOr(a, unsent(err))
		}
		left, err := dedicated(a.members)
		switch {
		case err != nil:
			return unsent(err)
		case left[r.bundle.Account] < r.units:
			return poor
		}
		return nil
	}
	members := p.enquiry(r.number)
	members["requestedInformationFlags"] = xmlrpc.Struct{"requestMasterAccountBalanceFlag": true}
	a, err := p.ask(ctx, "GetAccountDetails", members)
	if err != nil {
		return refusedOr(a, unsent(err))
	}
	if a.members["temporaryBlockedFlag"] == true {
		return &purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonBarredLine, Detail: "temporarily blocked"}
	}
	value, stated := a.members["accountValue1"]
	if !stated { // the server decides
		return nil
	}
	left, err := units(value)
	switch {
	case err != nil:
		return unsent(err)
	case left < r.units:
		return poor
	}
	return nil
}

// refusedOr is the refusal that an enquiry was answered with, or else.
func refusedOr(a *answer, otherwise *purchase.Outcome) *purchase.Outcome {
	if a != nil {
		if refusal := a.refusal(); refusal.Kind == purchase.Refused {
			return &refusal
		}
	}
	return otherwise
}

// ask makes an enquiry. Its error wraps purchase.ErrUnknownLine or
// purchase.ErrUnavailable; with the error comes the answer, if there was one.
func (p *Partner) ask(ctx context.Context, method string, members xmlrpc.Struct) (*answer, error) {
	a, err := p.call(ctx, method, members)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", purchase.ErrUnavailable, err)
	case a.code == 102:
		return a, fmt.Errorf("%s: %w", method, purchase.ErrUnknownLine)
	case !a.succeeded():
		return a, fmt.Errorf("%s: %w: response code %d", method, purchase.ErrUnavailable, a.code)
	}
	return a, nil
}

// Balance returns the main balance, rounded down to the minor unit, until when
// the line may use it, and what is left of the configured bundles, soonest
// expiry first. The error wraps purchase.ErrUnknownLine or purchase.ErrUnavailable.
func (p *Partner) Balance(ctx context.Context, number purchase.MSISDN) (purchase.Balances, error) {
	text, fits := p.number(number)
	if !fits {
		return purchase.Balances{}, fmt.Errorf("%s: %w", number.Masked(), purchase.ErrUnknownLine)
	}
	a, err := p.ask(ctx, "GetBalanceAndDate", p.enquiry(text))
	if err != nil {
		return purchase.Balances{}, err
	}
	all, err := p.balances(a.members)
	if err != nil {
		return purchase.Balances{}, fmt.Errorf("GetBalanceAndDate: %w: %w", purchase.ErrUnavailable, err)
	}
	return all, nil
}

func (p *Partner) balances(members xmlrpc.Struct) (purchase.Balances, error) {
	all := purchase.Balances{Main: money.Amount{Currency: p.config.Currency}}
	if currency, stated := members["currency1"]; stated && currency != p.config.CurrencyCode {
		return all, errors.New("account in another currency")
	}
	var err error
	if all.Main.Minor, err = p.minor(members["accountValue1"]); err != nil {
		return all, err
	}
	if all.Expires, err = expiry(members["supervisionExpiryDate"]); err != nil {
		return all, err
	}
	left, err := dedicated(members)
	if err != nil {
		return all, err
	}
	ends, err := expiries(members)
	if err != nil {
		return all, err
	}
	now := p.now()
	for code, b := range p.config.Bundles {
		end := ends[b.Account]
		if left[b.Account] > 0 && (end == 0 || end > now) {
			all.Bundles = append(all.Bundles, purchase.BundleBalance{Code: code, Left: left[b.Account] / b.Scale, Unit: b.Unit, Expires: end})
		}
	}
	never := purchase.Instant(1<<63 - 1)
	slices.SortFunc(all.Bundles, func(a, b purchase.BundleBalance) int {
		return cmp.Or(cmp.Compare(cmp.Or(a.Expires, never), cmp.Or(b.Expires, never)), cmp.Compare(a.Code, b.Code))
	})
	return all, nil
}

// expiries reads when dedicated accounts expire, by ID. The struct was read by
// dedicated before.
func expiries(members xmlrpc.Struct) (map[int64]purchase.Instant, error) {
	ends := map[int64]purchase.Instant{}
	items, _ := members["dedicatedAccountInformation"].([]any)
	for _, item := range items {
		one, _ := item.(xmlrpc.Struct)
		id, _ := one["dedicatedAccountID"].(int64)
		end, err := expiry(one["expiryDate"])
		if err != nil {
			return nil, err
		}
		ends[id] = end
	}
	return ends, nil
}

// expiry reads a date until whose end something lasts. A date alone is written
// as its noon in UTC, and no end as the year 9999 (sections 8.1 and 8.3).
func expiry(value any) (purchase.Instant, error) {
	if value == nil {
		return 0, nil
	}
	date, isTime := value.(time.Time)
	switch {
	case !isTime:
		return 0, errors.New("a date is not readable")
	case date.Year() >= 9999:
		return 0, nil
	}
	if date = date.UTC(); date.Hour() == 12 && date.Minute() == 0 && date.Second() == 0 {
		date = date.Add(12*time.Hour - time.Second)
	}
	return purchase.At(date), nil
}

// Probe asks for the server's capabilities, which changes nothing. An older
// server that does not know the method works all the same.
func (p *Partner) Probe(ctx context.Context) partner.Health {
	_, err := p.call(ctx, "GetCapabilities", nil)
	fault := (*xmlrpc.Fault)(nil)
	switch {
	case err == nil, errors.As(err, &fault) && fault.Code == 1004:
		return partner.Health{Status: partner.Available}
	case fault != nil && fault.Code == 1007:
		return partner.Health{Status: partner.Degraded, Detail: "overload rejection"}
	}
	return partner.Health{Status: partner.Unavailable, Detail: partner.Detail(err.Error())}
}
