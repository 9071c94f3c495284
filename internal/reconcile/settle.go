package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Settlement is how a partner's days are settled on an account of ours.
type Settlement struct {
	// Account is whose statements, among the known, are the account's (camt.053).
	Account string
	// Name finds the partner's entries by their references; nil finds all. Its group "day", where it has one, names the day that an
	// entry is for, as 2026-07-09 or 20260709.
	Name *regexp.Regexp
	// Commission is in hundredths of a per cent of what the partner charged and credited, rounded down: what a payer keeps, or a
	// provider leaves us. Fee is what it keeps besides, minor units a day.
	Commission, Fee int64
	// Within is how long after its end a day must be settled; DefaultWithin for 0.
	Within time.Duration
}

// DefaultWithin is Settlement.Within where nothing else is said: the next working day's end after a weekend.
const DefaultWithin = 72 * time.Hour

// SettlementState is where the settlement of a day stands.
type SettlementState string

// The states.
const (
	Settled     SettlementState = "settled"
	Awaited     SettlementState = "awaited"   // there is time left, or the account's statement has not come
	Unsettled   SettlementState = "unsettled" // the time is over, and it is another amount, or nothing
	Unstated    SettlementState = "unstated"  // the partner's own statements do not cover the day
	NothingOwed SettlementState = "nothing"
)

// DaySettlement is a partner's day as it is owed and was settled, minor units. What is owed to us is positive.
type DaySettlement struct {
	Partner  string          `json:"partner"`
	Account  string          `json:"account"`
	Day      string          `json:"day"`
	Currency string          `json:"currency"`
	Position int64           `json:"position"` // by the partner's own statements
	Fees     int64           `json:"fees"`     // commission and fee, taken off
	Due      int64           `json:"due"`
	Got      int64           `json:"got"` // on the account
	Entries  int             `json:"entries"`
	State    SettlementState `json:"state"`

	until purchase.Instant // when it must be settled
	end   purchase.Instant // of the day
}

// party is who has to pay what is missing, or has too much.
func (s *DaySettlement) party() string {
	if s.Due > s.Got {
		return s.Partner
	}
	return House
}

// The bounds of what is settled at once.
const (
	settledDays  = 45
	maxEntries   = 100_000
	maxDaysAtOne = 10 // that one entry may settle
)

// settling gathers the days of partners that are settled on an account.
type settling struct {
	*Desk
	account string
	covered []Span
	entries []Line
}

// Settlements are the days before an instant that are settled on accounts, by partner and day, the newest first: as many days as
// there are, 45 at most.
func (d *Desk) Settlements(ctx context.Context, before purchase.Instant) (all []DaySettlement, err error) {
	accounts := map[string]*settling{}
	for i := range d.cfg.Known {
		k := &d.cfg.Known[i]
		if k.Settlement == nil {
			continue
		}
		s := accounts[k.Settlement.Account]
		if s == nil {
			if s, err = d.settling(ctx, k.Settlement.Account, before); err != nil {
				return nil, err
			}
			accounts[k.Settlement.Account] = s
		}
		days, err := s.days(ctx, k, before)
		if err != nil {
			return nil, err
		}
		all = append(all, days...)
	}
	slices.SortStableFunc(all, func(a, b DaySettlement) int { return strings.Compare(b.Day, a.Day) })
	return all, nil
}

// settling reads the entries of an account.
func (d *Desk) settling(ctx context.Context, account string, before purchase.Instant) (*settling, error) {
	s := &settling{Desk: d, account: account}
	statements, err := d.cfg.Store.Statements(ctx, account, Span{before.Add(-(settledDays + 1) * 24 * time.Hour), before.Add(settledDays * 24 * time.Hour)})
	if err != nil {
		return nil, err
	}
	for i := range statements {
		st := &statements[i]
		if !st.Partial {
			s.covered = append(s.covered, st.Span)
		}
		k := &archived{Statement: *st, seq: -1}
		in := k.all(ctx, d.cfg.Store)
		for {
			record, err := in.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			l, err := decodeLine(record)
			if err != nil {
				return nil, err
			}
			told := l.Kind != KindSettlement
			for k := range statements[:i] {
				told = told || statements[k].holds(l.At)
			}
			if told {
				continue
			}
			if len(s.entries) == maxEntries {
				return nil, fmt.Errorf("the statements of %s have more than %d entries", account, maxEntries)
			}
			s.entries = append(s.entries, l)
		}
	}
	s.covered = joined(s.covered)
	slices.SortStableFunc(s.entries, func(a, b Line) int { return int(min(max(a.At-b.At, -1), 1)) })
	return s, nil
}

// days are a partner's, by day and currency.
func (s *settling) days(ctx context.Context, k *Known, before purchase.Instant) ([]DaySettlement, error) {
	within := k.Settlement.Within
	if within <= 0 {
		within = DefaultWithin
	}
	var all []DaySettlement
	end := before.Time().In(s.cfg.Zone)
	end = time.Date(end.Year(), end.Month(), end.Day(), 0, 0, 0, 0, s.cfg.Zone)
	for back := settledDays; back >= 1; back-- {
		span := Span{purchase.At(end.AddDate(0, 0, -back)), purchase.At(end.AddDate(0, 0, 1-back))}
		p, undone, err := s.stated(ctx, k, span)
		if err != nil {
			return nil, err
		}
		if len(p.Statements) == 0 {
			continue
		}
		day := span.From.Time().In(s.cfg.Zone).Format(time.DateOnly)
		for _, x := range positions(slices.Concat(p.There, undone), nil) {
			one := DaySettlement{Partner: k.Name, Account: s.account, Day: day, Currency: x.Currency, Position: x.There, State: Awaited, end: span.To, until: span.To.Add(within)}
			if err := one.owe(k.Settlement, p.There); err != nil {
				return nil, err
			}
			if !p.Whole {
				one.State = Unstated
			}
			all = append(all, one)
		}
	}
	for i := range s.entries {
		s.assign(k.Settlement, &s.entries[i], all)
	}
	for i := range all {
		one := &all[i]
		covered := slices.ContainsFunc(s.covered, func(c Span) bool { return c.From <= one.end && c.To >= one.until })
		switch {
		case one.State == Unstated:
		case one.Due == one.Got && one.Due == 0:
			one.State = NothingOwed
		case one.Due == one.Got:
			one.State = Settled
		case covered:
			one.State = Unsettled
		}
	}
	return all, nil
}

// owe works out what is owed: the position, less what the partner may keep, or leaves.
func (s *DaySettlement) owe(by *Settlement, there []DaySum) error {
	gross := int64(0)
	for _, sum := range there {
		if sum.Currency == s.Currency && (sum.Kind == "charge" || sum.Kind == "credit") {
			gross += sum.Amount
		}
	}
	const whole = 10_000
	share := gross/whole*by.Commission + gross%whole*by.Commission/whole
	if s.Position < 0 {
		share = -share
	}
	s.Fees = share
	if s.Position != 0 {
		s.Fees += by.Fee
	}
	var err error
	if s.Due, err = money.Add(s.Position, -s.Fees); err != nil {
		return fmt.Errorf("settle %s, %s: %w", s.Partner, s.Day, err)
	}
	return nil
}

// named is whether an entry is of a partner, and the day that it names, "" for none.
func (s *Settlement) named(l *Line) (day string, is bool) {
	if s.Name == nil {
		return "", true
	}
	for _, text := range []string{l.Key, l.Ref} {
		found := s.Name.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		if i := s.Name.SubexpIndex("day"); i > 0 {
			day = found[i]
			if len(day) == 8 {
				day = day[:4] + "-" + day[4:6] + "-" + day[6:]
			}
		}
		return day, true
	}
	return "", false
}

// assign finds the days that an entry settles: the one that it names; else days that follow each other, none of them settled, whose
// sum it is; else the newest that is over and not settled, or at last the newest that is over.
func (s *settling) assign(by *Settlement, l *Line, all []DaySettlement) {
	day, is := by.named(l)
	if !is {
		return
	}
	var over []*DaySettlement
	for i := range all {
		one := &all[i]
		if one.Currency != string(l.Amount.Currency) {
			continue
		}
		if day != "" && one.Day == day {
			one.Got += l.Amount.Minor
			one.Entries++
			return
		}
		if day == "" && one.end <= l.At {
			over = append(over, one)
		}
	}
	for from := max(len(over)-2*maxDaysAtOne, 0); from < len(over); from++ {
		sum := int64(0)
		for till := from; till < min(len(over), from+maxDaysAtOne) && over[till].Entries == 0; till++ {
			if sum += over[till].Due; sum == l.Amount.Minor && over[till].Due != 0 {
				for _, one := range over[from : till+1] {
					one.Got, one.Entries = one.Due, 1
				}
				return
			}
		}
	}
	for _, one := range slices.Backward(over) {
		if one.Got != one.Due && one.until > l.At {
			one.Got += l.Amount.Minor
			one.Entries++
			return
		}
	}
	if len(over) > 0 {
		one := over[len(over)-1]
		one.Got += l.Amount.Minor
		one.Entries++
	}
}

// settle compares the days of whoever is settled on an account with its entries: a difference is a break of the account's, and one
// that is none any more is over.
func (d *Desk) settle(ctx context.Context, account string) error {
	all, err := d.Settlements(ctx, d.cfg.Clock.Now())
	if err != nil {
		return err
	}
	last, err := d.cfg.Store.Statements(ctx, account, Span{})
	if err != nil || len(last) == 0 {
		return err
	}
	var found []Found
	looked, open := map[string]bool{}, map[string]bool{}
	for i := len(all) - 1; i >= 0; i-- { // the oldest first
		s := &all[i]
		if s.Account != account || s.State == Unstated {
			continue
		}
		ref := s.Partner + " " + s.Day + " " + s.Currency
		looked[ref] = true
		if s.State != Unsettled {
			continue
		}
		open[ref] = true
		found = append(found, Found{Cause: CauseSettlement, Ref: ref, Party: s.party(), Here: s.Due, There: s.Got, Currency: s.Currency, At: s.until,
			Detail: fmt.Sprintf("%s: its statements say %d, less %d of fees; %d came in %d entries", s.Day, s.Position, s.Fees, s.Got, s.Entries)})
	}
	if len(found) > 0 {
		if _, err := d.cfg.Store.PutBreaks(ctx, account, last[len(last)-1].ID, found, d.cfg.Clock.Now()); err != nil {
			return err
		}
	}
	return d.unbroken(ctx, account, func(b *Break) bool { return looked[b.Ref] && !open[b.Ref] })
}

// unbroken resolves an account's breaks that are none any more.
func (d *Desk) unbroken(ctx context.Context, account string, over func(*Break) bool) error {
	const page = 500
	for before := int64(0); ; {
		all, err := d.cfg.Store.Breaks(ctx, Sift{Partner: account, Cause: CauseSettlement, Status: []Status{StatusOpen, StatusAsked}, Before: before, Limit: page})
		if err != nil {
			return err
		}
		for i := range all {
			before = all[i].ID
			if !over(&all[i]) {
				continue
			}
			b := all[i]
			b.Status, b.Reason = StatusResolved, ReasonSettled
			if _, err := d.change(ctx, b, Entry{Staff: auth.StaffID(0), Event: "gone", Text: b.Reason}, nil); err != nil && !errors.Is(err, ErrStale) {
				return err
			}
		}
		if len(all) < page {
			return nil
		}
	}
}
