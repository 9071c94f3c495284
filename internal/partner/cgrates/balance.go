package cgrates

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/purchase"
)

// account is what APIerSv2.GetAccount shows of an account.
type account struct {
	ID         string
	BalanceMap map[string][]balance
	Disabled   bool
}

type balance struct {
	ID             string
	Value          json.Number
	ExpirationDate time.Time
	Disabled       bool
}

func (b *balance) live(now time.Time) bool {
	return !b.Disabled && (b.ExpirationDate.IsZero() || b.ExpirationDate.After(now))
}

// account reads an account. Its error wraps purchase.ErrUnknownLine when
// CGRateS says that there is none, purchase.ErrUnavailable otherwise.
func (p *Partner) account(ctx context.Context, number purchase.MSISDN) (*account, error) {
	var a account
	err := p.call(ctx, "APIerSv2.GetAccount", map[string]any{"Tenant": p.config.Tenant, "Account": accountName(number)}, &a)
	switch {
	case errors.Is(err, errNotFound):
		return nil, fmt.Errorf("account %s: %w", number.Masked(), purchase.ErrUnknownLine)
	case err != nil:
		return nil, fmt.Errorf("account %s: %w: %w", number.Masked(), purchase.ErrUnavailable, err)
	case a.ID != p.config.Tenant+":"+accountName(number):
		return nil, fmt.Errorf("account %s: %w: answered for another account", number.Masked(), purchase.ErrUnavailable)
	}
	return &a, nil
}

// admit refuses an order that must not be sent: an account that is unknown,
// disabled for a charge or a credit (CGRateS would accept it), too poor, or not
// countable. A failure to ask is Unsent.
func (p *Partner) admit(ctx context.Context, o *purchase.Order, m *movement) *purchase.Outcome {
	refuse := func(reason purchase.Reason, detail string) *purchase.Outcome {
		return &purchase.Outcome{Kind: purchase.Refused, Reason: reason, Detail: detail}
	}
	a, err := p.account(ctx, o.Account)
	switch {
	case errors.Is(err, purchase.ErrUnknownLine):
		return refuse(purchase.ReasonUnknownLine, "no such account")
	case err != nil:
		return &purchase.Outcome{Kind: purchase.Unsent, Detail: partner.Detail(err.Error())}
	case a.Disabled && (o.Leg == purchase.Charge || o.Leg == purchase.Credit):
		return refuse(purchase.ReasonBarredLine, "account is disabled")
	}
	var held []balance
	for _, b := range a.BalanceMap[m.kind] {
		if b.ID == m.balance {
			held = append(held, b)
		}
	}
	if len(held) > 1 { // CGRateS would move each of them
		return refuse(purchase.ReasonOther, "several balances of one name")
	}
	if !m.main {
		return nil // whether it is unspent is decided under the lock
	}
	left := int64(0)
	if len(held) == 1 {
		if !held[0].live(p.now().Time()) {
			return refuse(purchase.ReasonOther, "main balance is disabled or expired")
		}
		if left, _, err = parseValue(string(held[0].Value), p.config.Currency.Digits()); err != nil {
			return &purchase.Outcome{Kind: purchase.Unsent, Detail: partner.Detail("main balance: " + err.Error())}
		}
	}
	switch {
	case m.checked && left < o.Amount.Minor:
		return refuse(purchase.ReasonFunds, "balance does not suffice")
	case !m.checked && left > maxMinor(p.config.Currency)-o.Amount.Minor:
		return refuse(purchase.ReasonLimit, "balance would be larger than CGRateS counts exactly")
	}
	return nil
}

// Balance returns the main balance, rounded down to the minor unit, and what is
// left of the configured bundles, soonest expiry first. The error wraps
// purchase.ErrUnknownLine or purchase.ErrUnavailable.
func (p *Partner) Balance(ctx context.Context, number purchase.MSISDN) (purchase.Balances, error) {
	a, err := p.account(ctx, number)
	if err != nil {
		return purchase.Balances{}, err
	}
	all := purchase.Balances{Main: money.Amount{Currency: p.config.Currency}}
	now := p.now().Time()
	for kind, balances := range a.BalanceMap {
		for _, b := range balances {
			if !b.live(now) {
				continue
			}
			if err := p.count(&all, kind, &b); err != nil {
				return purchase.Balances{}, fmt.Errorf("account %s: %w: %w", number.Masked(), purchase.ErrUnavailable, err)
			}
		}
	}
	slices.SortFunc(all.Bundles, func(a, b purchase.BundleBalance) int {
		return cmp.Or(cmp.Compare(expiry(a), expiry(b)), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Left, b.Left))
	})
	return all, nil
}

// expiry orders what never expires last.
func expiry(b purchase.BundleBalance) uint64 { return uint64(b.Expires) - 1 } //nolint:gosec // zero wraps to the largest on purpose

// count adds one balance to those of a customer; balances that tenu does not
// sell are left out.
func (p *Partner) count(all *purchase.Balances, kind string, b *balance) error {
	if kind == "*monetary" && b.ID == p.config.MainBalance {
		left, _, err := parseValue(string(b.Value), p.config.Currency.Digits())
		if err != nil {
			return err
		}
		all.Main.Minor, err = money.Add(all.Main.Minor, left)
		return err
	}
	code, _, _ := strings.Cut(b.ID, "#")
	bundle, known := p.config.Bundles[code]
	if !known || bundle.Type != kind {
		return nil
	}
	units, _, err := parseValue(string(b.Value), 0)
	if err != nil {
		return err
	}
	if units <= 0 {
		return nil
	}
	left := purchase.BundleBalance{Code: code, Left: units / bundle.Scale, Unit: bundle.Unit}
	if !b.ExpirationDate.IsZero() {
		left.Expires = purchase.At(b.ExpirationDate)
	}
	all.Bundles = append(all.Bundles, left)
	return nil
}

// parseValue reads a decimal figure of CGRateS into units of 10^-digits,
// rounded down; exact says that nothing was cut off. CGRateS writes an exponent
// only beyond 10^21, which is no figure of ours.
func parseValue(text string, digits int) (units int64, exact bool, err error) {
	figure, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(figure, ".")
	bad := fmt.Errorf("%.40q is not a figure", text)
	if whole == "" || len(whole) > 16 || strings.HasSuffix(figure, ".") {
		return 0, false, bad
	}
	kept := fraction[:min(len(fraction), digits)]
	for _, part := range []string{whole, kept, strings.Repeat("0", digits-len(kept))} {
		for _, ch := range part {
			if ch < '0' || ch > '9' || units > (1<<62)/10 {
				return 0, false, bad
			}
			units = units*10 + int64(ch-'0')
		}
	}
	rest := fraction[len(kept):]
	if strings.Trim(rest, "0123456789") != "" {
		return 0, false, bad
	}
	exact = strings.Trim(rest, "0") == ""
	switch {
	case negative && exact:
		return -units, true, nil
	case negative:
		return -units - 1, false, nil
	}
	return units, exact, nil
}

// Probe asks for a sign of life.
func (p *Partner) Probe(ctx context.Context) partner.Health {
	pong := ""
	if err := p.call(ctx, "APIerSv1.Ping", map[string]any{}, &pong); err != nil || pong != "Pong" {
		return partner.Health{Status: partner.Unavailable, Detail: partner.Detail(fmt.Sprintf("ping: %q, %v", pong, err))}
	}
	return partner.Health{Status: partner.Available}
}
