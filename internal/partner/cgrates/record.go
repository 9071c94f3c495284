package cgrates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// maxNumber is the largest number that there can be: 15 digits (ITU-T E.164).
const maxNumber = 999_999_999_999_999

// record is a call detail record, as APIerSv2.GetCDRs shows it.
type record struct {
	CGRID       string
	RunID       string
	OriginID    string
	Tenant      string
	Account     string
	ToR         string
	Cost        json.Number
	ExtraFields map[string]string
}

// evidence looks for the record of a movement and says what it states: Done,
// Cancelled, Absent when CGRateS has none, or Unknown.
func (p *Partner) evidence(ctx context.Context, o *purchase.Order, m *movement) purchase.Outcome {
	var records []record
	err := p.call(ctx, "APIerSv2.GetCDRs", map[string]any{"CGRIDs": []string{m.id}}, &records)
	switch {
	case errors.Is(err, errNotFound), err == nil && len(records) == 0:
		return purchase.Outcome{Kind: purchase.Absent}
	case err != nil:
		return unknown("GetCDRs", err)
	case len(records) > 1:
		return purchase.Outcome{Kind: purchase.Unknown, Detail: fmt.Sprintf("%d records of one key", len(records))}
	}
	outcome, err := p.state(&records[0], o, m)
	if err != nil {
		return unknown("record", err)
	}
	return outcome
}

// state is what a record proves.
func (p *Partner) state(r *record, o *purchase.Order, m *movement) (purchase.Outcome, error) {
	if r.CGRID != m.id || r.OriginID != m.key || r.RunID != m.verb || r.Tenant != p.config.Tenant ||
		r.ExtraFields["leg"] != o.Leg.String() {
		return purchase.Outcome{}, errors.New("is of another key")
	}
	switch r.ExtraFields["outcome"] {
	case outcomeCancelled:
		return purchase.Outcome{Kind: purchase.Cancelled, Ref: r.CGRID}, nil
	case outcomeDone:
	default:
		return purchase.Outcome{}, errors.New("states no outcome")
	}
	account, err := strconv.ParseInt(r.Account, 10, 64)
	if err != nil || account <= 0 || account > maxNumber {
		return purchase.Outcome{}, errors.New("names no account")
	}
	if product := r.ExtraFields["product"]; product != "" && !plain.MatchString(product) {
		return purchase.Outcome{}, errors.New("names no product")
	}
	done := purchase.Outcome{Kind: purchase.Done, Ref: r.CGRID, Account: purchase.MSISDN(account), Product: r.ExtraFields["product"]}
	if m.main {
		if r.ToR != m.kind {
			return purchase.Outcome{}, errors.New("is of another kind of balance")
		}
		minor, exact, err := parseValue(string(r.Cost), p.config.Currency.Digits())
		if err != nil || !exact || minor < 0 {
			return purchase.Outcome{}, errors.New("states no exact amount")
		}
		done.Amount = money.Amount{Minor: minor, Currency: p.config.Currency}
		if left, _, err := parseValue(r.ExtraFields["balance"], p.config.Currency.Digits()); err == nil {
			done.Balance, done.HasBalance = left, true
		}
		return done, nil
	}
	if done.Amount, err = money.ParseDecimal(r.ExtraFields["price"], p.config.Currency); err != nil {
		return purchase.Outcome{}, fmt.Errorf("states no price: %w", err)
	}
	return done, nil
}

// writeRecord writes the record of a cancellation where there is no account to
// lock. One that exists is left as it is.
func (p *Partner) writeRecord(ctx context.Context, o *purchase.Order, m *movement) error {
	event := map[string]any{"RunID": m.verb, "ToR": m.kind, "RequestType": "*none", "Source": originHost, "Cost": 0,
		"PreRated": true, "Account": accountName(o.Account), "Subject": accountName(o.Account), "Usage": 1,
		"SetupTime": o.FirstAt.Time().Format(time.RFC3339), "AnswerTime": o.FirstAt.Time().Format(time.RFC3339)}
	for name, value := range m.fields(o, outcomeCancelled) {
		event[name] = value
	}
	err := p.acknowledged(ctx, "CDRsV1.ProcessEvent", map[string]any{"Tenant": p.config.Tenant, "ID": m.key + "-cancel",
		"Flags": []string{"*chargers:false"}, "Event": event})
	if errors.Is(err, errExists) {
		return nil
	}
	return err
}
