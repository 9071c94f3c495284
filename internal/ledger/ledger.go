// Package ledger names the accounts and postings of tenu's double-entry
// journal. It is pure: it computes, the store keeps.
//
// A posting moves one positive amount from the account it credits to the
// account it debits, so every entry balances by construction. The journal is
// append-only; a correction is a new posting in the other direction.
package ledger

import (
	"fmt"

	"tenu/internal/money"
)

// Account is the full name of a ledger account within a currency, such as
// "held" or "wallet/moov-money".
type Account string

// Held is the account of money that was charged and is neither delivered nor
// given back yet.
const Held Account = "held"

// Wallet is the account of money that a payer took from, or gave back to, its customers.
func Wallet(payer string) Account { return Account("wallet/" + payer) }

// Delivered is the account of value that a provider credited.
func Delivered(provider string) Account { return Account("delivered/" + provider) }

// Fees is the account of fees earned on a channel.
func Fees(channel string) Account { return Account("fees/" + channel) }

// Exposure is the account of value lost, for now, to a partner's late,
// doubled, wrong or reversed execution.
func Exposure(partner string) Account { return Account("exposure/" + partner) }

// Orphans is the account of charges that a payer evidenced after the purchase
// was declined, and that are owed back.
func Orphans(payer string) Account { return Account("orphans/" + payer) }

// Posting is one movement of money: Debit grows by Amount, Credit shrinks by it.
type Posting struct {
	Debit, Credit Account
	Amount        money.Amount
}

// Check returns an error unless the posting moves a positive amount between
// two different accounts.
func (p Posting) Check() error {
	if p.Amount.Minor <= 0 || p.Debit == p.Credit || p.Debit == "" || p.Credit == "" || p.Amount.Currency == "" {
		return fmt.Errorf("ledger: posting %s to %s of %d %s is not a movement of money",
			p.Credit, p.Debit, p.Amount.Minor, p.Amount.Currency)
	}
	return nil
}

// Key names one balance: an account in a currency.
type Key struct {
	Account  Account
	Currency money.Currency
}

// Balances accumulates the effect of postings per account and currency. Debits
// count up, credits count down, so that all balances of a currency sum to zero.
type Balances map[Key]int64

// Post adds the posting to the balances, or returns why it cannot; on an error
// the balances are unchanged.
func (b Balances) Post(p Posting) error {
	if err := p.Check(); err != nil {
		return err
	}
	debit, credit := Key{p.Debit, p.Amount.Currency}, Key{p.Credit, p.Amount.Currency}
	up, err := money.Add(b[debit], p.Amount.Minor)
	if err != nil {
		return fmt.Errorf("post to %s: %w", p.Debit, err)
	}
	down, err := money.Add(b[credit], -p.Amount.Minor)
	if err != nil {
		return fmt.Errorf("post to %s: %w", p.Credit, err)
	}
	b[debit], b[credit] = up, down
	return nil
}
