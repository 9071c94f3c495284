package ucip

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tenu/internal/money"
	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
)

// outcome is what the answer to an order proves.
func (p *Partner) outcome(o *purchase.Order, r *request, a *answer) purchase.Outcome {
	if !a.succeeded() {
		return a.refusal()
	}
	done := purchase.Outcome{Kind: purchase.Done, Ref: o.Key.Digits(), Amount: o.Amount, Product: o.Product}
	if a.code != 0 {
		done.Detail = fmt.Sprintf("response code %d", a.code)
	}
	var err error
	if r.method == "Refill" {
		err = p.proveRefill(&done, r, a)
	} else if value, has := a.members["accountValue1"]; has && !r.debit {
		done.Balance, err = p.minor(value)
		done.HasBalance = true
	}
	if err == nil {
		err = p.proveCurrency(&done, a)
	}
	if err != nil {
		return purchase.Outcome{Kind: purchase.Unknown, Detail: fmt.Sprintf("response code %d, but %v", a.code, err)}
	}
	return done
}

// proveRefill states what the refill moved, by the account before and after it.
func (p *Partner) proveRefill(done *purchase.Outcome, r *request, a *answer) error {
	before, hasBefore := a.members["accountBeforeRefill"].(xmlrpc.Struct)
	after, hasAfter := a.members["accountAfterRefill"].(xmlrpc.Struct)
	if !hasBefore || !hasAfter {
		return errors.New("the account before and after is not stated")
	}
	if _, err := units(before["accountValue1"]); err != nil {
		return err
	}
	var err error
	if done.Balance, err = p.minor(after["accountValue1"]); err != nil {
		return err
	}
	done.HasBalance = true
	if master, has := a.members["masterAccountNumber"].(string); has && !p.config.SharedAccounts {
		if done.Account = p.msisdn(master); done.Account == 0 {
			return errors.New("the account refilled is not readable")
		}
	}
	main, err := gain(before["accountValue1"], after["accountValue1"])
	if err != nil {
		return err
	}
	code, share, err := p.grown(before, after)
	switch {
	case err != nil:
		return err
	case r.bundle == nil && main > 0: // with whatever promotion beside it
		done.Amount.Minor = main / p.config.PerMinor
	case code != "":
		done.Product = code
		done.Amount.Minor = share(done.Amount.Minor)
	case main > 0:
		done.Product, done.Amount.Minor = "main account", main/p.config.PerMinor
	default:
		return errors.New("nothing has grown")
	}
	return nil
}

// grown finds the bundle whose dedicated account has grown, "" for none, and
// how an amount is to be shared where it was not a whole bundle.
func (p *Partner) grown(before, after xmlrpc.Struct) (code string, share func(int64) int64, err error) {
	was, err := dedicated(before)
	if err != nil {
		return "", nil, err
	}
	is, err := dedicated(after)
	if err != nil {
		return "", nil, err
	}
	for name, b := range p.config.Bundles {
		gained := is[b.Account] - was[b.Account] // both have at most 18 digits
		if gained <= 0 {
			continue
		}
		if code != "" {
			return "", nil, errors.New("several bundles have grown")
		}
		code, share = name, func(amount int64) int64 { return part(amount, gained, b.Value*b.Scale) }
	}
	return code, share, nil
}

// part is amount*gained/whole, rounded, at most maxAmount, and equal to amount
// only if gained is whole.
func part(amount, gained, whole int64) int64 {
	if gained == whole {
		return amount
	}
	share := int64(min(float64(amount)*(float64(gained)/float64(whole)), maxAmount))
	if share == amount {
		if gained < whole {
			return amount - 1
		}
		return amount + 1
	}
	return share
}

// dedicated reads the dedicated accounts of a struct, by ID.
func dedicated(members xmlrpc.Struct) (map[int64]int64, error) {
	values := map[int64]int64{}
	list, has := members["dedicatedAccountInformation"]
	if !has {
		return values, nil
	}
	items, isArray := list.([]any)
	if !isArray {
		return nil, errors.New("dedicated accounts are not a list")
	}
	for _, item := range items {
		one, _ := item.(xmlrpc.Struct)
		id, hasID := one["dedicatedAccountID"].(int64)
		if _, twice := values[id]; !hasID || twice {
			return nil, errors.New("dedicated account without an ID of its own")
		}
		value, has := one["dedicatedAccountValue1"]
		if !has { // composite, nothing assigned
			continue
		}
		n, err := units(value)
		if err != nil {
			return nil, err
		}
		values[id] = n
	}
	return values, nil
}

// proveCurrency compares the currency stated, if any, with the configured one.
func (p *Partner) proveCurrency(done *purchase.Outcome, a *answer) error {
	stated, has := a.members["currency1"]
	if !has || stated == p.config.CurrencyCode {
		return nil
	}
	code, _ := stated.(string)
	currency, err := money.ParseCurrency(code)
	if err != nil || currency == done.Amount.Currency {
		return errors.New("the currency is not readable")
	}
	done.Amount.Currency, done.HasBalance, done.Balance = currency, false, 0
	return nil
}

// gain is by how much a value grew.
func gain(before, after any) (int64, error) {
	was, err := units(before)
	if err != nil {
		return 0, err
	}
	is, err := units(after)
	if err != nil {
		return 0, err
	}
	return is - was, nil // both have at most 18 digits
}

// units reads a value of the server: a string of digits, perhaps with a minus sign.
func units(value any) (int64, error) {
	figure, isString := value.(string)
	digits := strings.TrimPrefix(figure, "-")
	if !isString || digits == "" || len(digits) > 18 || strings.Trim(digits, "0123456789") != "" {
		return 0, errors.New("a value is not readable")
	}
	return strconv.ParseInt(figure, 10, 64)
}

// minor is a value of the main account in minor units, rounded down.
func (p *Partner) minor(value any) (int64, error) {
	n, err := units(value)
	if err != nil {
		return 0, err
	}
	quotient := n / p.config.PerMinor
	if n%p.config.PerMinor < 0 {
		quotient--
	}
	return quotient, nil
}
