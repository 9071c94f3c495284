package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"tenu/internal/money"
	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
)

// The legs of the charging system's book that the wallet's has not.
const (
	legCredit   = "credit"
	legReversal = "reversal"
	legGrant    = "grant"
)

// asking is a request for a movement. It is kept as JSON while it waits to be
// executed late.
type asking struct {
	Leg    string `json:"leg"`
	Number string `json:"number"`
	Key    string `json:"key"`
	Host   string `json:"host"`
	// Amount is what is asked for or paid, in minor units, positive.
	Amount int64 `json:"amount"`
	// Profile is a refill's, Bundle the profile of the bundle that is moved, ""
	// for the main account, and Units how much of it.
	Profile   string `json:"profile,omitempty"`
	Bundle    string `json:"bundle,omitempty"`
	Units     int64  `json:"units,omitempty"`
	Reference string `json:"reference,omitempty"`
}

// standing is an account as an answer states it.
type standing struct {
	Number   string    `json:"number"`
	Currency string    `json:"currency"`
	Main     int64     `json:"main"` // minor units
	Pockets  []Account `json:"pockets,omitempty"`
}

// chargingNote is what the charging system keeps with a movement, so that it
// can answer again.
type chargingNote struct {
	Host      string   `json:"host"`
	Reference string   `json:"reference,omitempty"`
	Failing   *Fault   `json:"failing,omitempty"` // answered as this for ever
	Units     int64    `json:"units,omitempty"`
	Bundle    string   `json:"bundle,omitempty"`
	Before    standing `json:"before"`
	After     standing `json:"after"`
}

// readRefill understands a Refill.
func (c *chargingCall) readRefill(a *asking) (code int64) {
	amount, fits := c.minor("transactionAmount")
	profile, _ := c.members["refillProfileID"].(string)
	bundle, isBundle := c.config.Bundles[profile]
	switch {
	case !fits || amount <= 0 || c.members["transactionCurrency"] != string(c.config.Currency):
		return 115
	case !isBundle && profile != c.config.Profile:
		return 120
	}
	a.Leg, a.Amount, a.Profile = legCredit, amount, profile
	if isBundle {
		a.Bundle, a.Units = profile, bundle.Value
	}
	return 0
}

// readAdjustment understands an UpdateBalanceAndDate by a relative amount.
func (c *chargingCall) readAdjustment(a *asking) (code int64) {
	if list, has := c.members["dedicatedAccountUpdateInformation"].([]any); has {
		return c.readDedicated(a, list)
	}
	amount, fits := c.minor("adjustmentAmountRelative")
	if !fits || amount == 0 || c.members["transactionCurrency"] != string(c.config.Currency) {
		return 100
	}
	if a.Leg, a.Amount = legRefund, amount; amount < 0 {
		a.Leg, a.Amount = legCharge, -amount
	}
	return 0
}

func (c *chargingCall) readDedicated(a *asking, list []any) (code int64) {
	if len(list) != 1 {
		return 100
	}
	one, _ := list[0].(xmlrpc.Struct)
	id, _ := one["dedicatedAccountID"].(int64)
	text, _ := one["adjustmentAmountRelative"].(string)
	units, err := strconv.ParseInt(text, 10, 64)
	profile, has := c.profileOf(id)
	switch {
	case !has:
		return 139
	case err != nil || units == 0 || len(text) > maxFigure:
		return 100
	}
	if a.Leg, a.Units, a.Bundle = legGrant, units, profile; units < 0 {
		a.Leg, a.Units = legReversal, -units
	}
	a.Amount = a.Units
	return 0
}

// profileOf is a profile whose bundle has a dedicated account.
func (s *Charging) profileOf(account int64) (string, bool) {
	var found []string
	for profile, b := range s.config.Bundles {
		if b.Account == account {
			found = append(found, profile)
		}
	}
	slices.Sort(found)
	return strings.Join(found[:min(len(found), 1)], ""), len(found) > 0
}

// maxFigure is how many characters a figure of the protocol has, with its sign.
const maxFigure = 13

// minor reads an amount of the protocol, which must be whole minor units.
func (c *chargingCall) minor(name string) (int64, bool) {
	text, _ := c.members[name].(string)
	n, err := strconv.ParseInt(text, 10, 64)
	return n / c.config.PerMinor, err == nil && n%c.config.PerMinor == 0 && len(text) <= maxFigure
}

// move executes a request for a movement as the call's faults have it, and answers.
func (c *chargingCall) move(read func(*asking) int64) {
	if !c.identified() {
		return
	}
	a := asking{}
	code := read(&a)
	number, known := c.number()
	a.Number = number
	a.Key, _ = c.members["originTransactionID"].(string)
	a.Host, _ = c.members["originHostName"].(string)
	a.Reference, _ = c.members["externalData1"].(string)
	if !known {
		code = 102
	}
	if code != 0 {
		c.respond(xmlrpc.Struct{"responseCode": code})
		return
	}
	if !c.draw(a.Leg, a.Number) {
		return
	}
	if f, late := c.hits.Find(Late); late {
		if err := c.postpone(c.r.Context(), a, c.now.Add(f.Delay())); err != nil {
			c.Log.Error("sandbox book failed", "partner", c.Name, "error", err)
		}
		cut()
	}
	var note chargingNote
	err := c.book.Do(c.r.Context(), func(p *Page) (err error) {
		note, code, err = c.execute(p, a, c.hits, c.now)
		return err
	})
	if err != nil {
		c.broken(err)
		return
	}
	c.dueSoon()
	if note.Failing != nil && !c.hits.Has(CachedError) {
		c.hits = append(c.hits, *note.Failing)
	}
	if code != 0 {
		c.respond(xmlrpc.Struct{"responseCode": code})
		return
	}
	c.respond(c.moved(a, note))
}

// postpone keeps a request to be executed later.
func (s *Charging) postpone(ctx context.Context, a asking, at purchase.Instant) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	err = s.book.Do(ctx, func(p *Page) error { return p.AddDue(at, dueExecute, string(data)) })
	s.dueSoon()
	return err
}

// executeLate does what postpone kept, unless its transaction was detected as
// executed meanwhile.
func (s *Charging) executeLate(ctx context.Context, d Due, now purchase.Instant) error {
	var a asking
	broken := json.Unmarshal([]byte(d.Data), &a)
	return s.book.Do(ctx, func(p *Page) error {
		if broken == nil {
			if _, _, err := s.execute(p, a, nil, now); err != nil {
				return err
			}
		}
		return p.DropDue(d.ID)
	})
}

// execute moves what is asked for, or returns the response code that says why
// not. A transaction that is detected is not executed again.
func (s *Charging) execute(p *Page, a asking, hits Hits, now purchase.Instant) (chargingNote, int64, error) {
	if s.config.DetectFor > 0 && !hits.Has(ForgetKey) {
		had, err := p.ByKey(context.Background(), a.Key)
		if err != nil {
			return chargingNote{}, 0, err
		}
		for _, m := range had {
			var note chargingNote
			if err := json.Unmarshal([]byte(m.Note), &note); err == nil && note.Host == a.Host && now.Sub(m.At) < s.config.DetectFor {
				return note, 0, nil
			}
		}
	}
	currency := string(s.config.Currency)
	if hits.Has(WrongCurrency) {
		currency = string(money.XAF)
		if s.config.Currency == money.XAF {
			currency = string(money.XOF)
		}
	}
	s.twist(&a, hits)
	note, code, err := s.apply(p, a, currency, hits, now)
	if err != nil || code != 0 || !hits.Has(Twice) {
		return note, code, err
	}
	_, _, err = s.apply(p, a, currency, hits, now)
	return note, 0, err
}

// twist makes a request another one than was made.
func (s *Charging) twist(a *asking, hits Hits) {
	if hits.Has(WrongProduct) {
		profiles := []string{""}
		for profile := range s.config.Bundles {
			profiles = append(profiles, profile)
		}
		slices.Sort(profiles)
		next := (slices.Index(profiles, a.Bundle) + 1) % len(profiles)
		a.Bundle, a.Units = profiles[next], s.config.Bundles[profiles[next]].Value
	}
	change := func(n int64) int64 {
		if hits.Has(WrongAmount) {
			n += n/10 + 1
		}
		if hits.Has(Partial) {
			n = max(n/2, 1)
		}
		return n
	}
	a.Amount = change(a.Amount)
	if a.Bundle != "" {
		a.Units = change(a.Units)
	}
	if n, err := strconv.ParseInt(a.Number, 10, 64); err == nil && hits.Has(WrongNumber) {
		a.Number = strconv.FormatInt(n+1, 10)
	}
}

// apply moves one time and records it.
func (s *Charging) apply(p *Page, a asking, currency string, hits Hits, now purchase.Instant) (chargingNote, int64, error) {
	note := chargingNote{Host: a.Host, Reference: a.Reference, Units: a.Units, Bundle: a.Bundle}
	if f, hit := hits.Find(CachedError); hit {
		note.Failing = &f
	}
	var err error
	if note.Before, err = s.standing(p.View, a.Number, currency, now); err != nil {
		return note, 0, err
	}
	pocket, code := s.changed(note.Before, a, now)
	if code != 0 {
		return note, code, nil
	}
	note.After = note.Before
	note.After.Pockets = slices.Clone(note.Before.Pockets)
	if a.Bundle == "" {
		note.After.Main = pocket.Balance
	}
	i := slices.IndexFunc(note.After.Pockets, func(b Account) bool { return b.Pocket == pocket.Pocket })
	if i < 0 {
		note.After.Pockets = append(note.After.Pockets, pocket)
	} else {
		note.After.Pockets[i] = pocket
	}
	m := Movement{Key: a.Key, Leg: a.Leg, Number: a.Number, Amount: a.Amount, Currency: currency,
		Product: s.config.Bundles[a.Bundle].Code, Status: StatusDone, At: now, Moved: now}
	if a.Leg == legReversal || a.Leg == legGrant {
		m.Currency = pocket.Unit
	}
	text, err := json.Marshal(note)
	if err != nil {
		return note, 0, err
	}
	m.Note = string(text)
	if hits.Has(Lie) { // recorded, so that the lie is told again, but never moved
		m.Moved = 0
		return note, 0, p.AddMovement(&m)
	}
	err = errors.Join(p.PutAccount(pocket), p.AddMovement(&m))
	if f, hit := hits.Find(ReverseLater); hit && err == nil {
		err = p.AddDue(now.Add(f.Delay()), dueReverse, m.Ref)
	}
	return note, 0, err
}

// changed is the pocket as it is after the movement, or why it cannot be.
func (s *Charging) changed(was standing, a asking, now purchase.Instant) (Account, int64) {
	bundle, isBundle := s.config.Bundles[a.Bundle]
	name, change := was.Currency, a.Amount
	if isBundle {
		name, change = bundle.Code, a.Units
	}
	if a.Leg == legCharge || a.Leg == legReversal {
		change = -change
	}
	pocket := was.pocket(name)
	if isBundle {
		pocket.Unit = bundle.Unit
		if pocket.Expires != 0 && pocket.Expires <= now {
			pocket.Balance = 0
		}
		if a.Leg == legCredit && bundle.Validity > 0 {
			pocket.Expires = now.Add(bundle.Validity)
		}
	}
	balance, err := money.Add(pocket.Balance, change)
	switch {
	case balance < 0 && isBundle:
		return pocket, 106
	case balance < 0:
		return pocket, 124
	case err != nil || !isBundle && change > 0 && s.config.Most > 0 && balance > s.config.Most:
		return pocket, 123
	}
	pocket.Balance = balance
	return pocket, 0
}

func (a *standing) pocket(name string) Account {
	for _, p := range a.Pockets {
		if p.Pocket == name {
			return p
		}
	}
	return Account{Number: a.Number, Pocket: name, Status: available}
}

// standing reads a number's account, as it would be opened on first use.
func (s *Charging) standing(v View, number, currency string, now purchase.Instant) (standing, error) {
	pockets, err := v.Pockets(context.Background(), number)
	if err != nil {
		return standing{}, err
	}
	all := standing{Number: number, Currency: currency, Pockets: pockets}
	main := all.pocket(currency)
	if main.Unit == "" {
		main.Unit, main.Opened = currency, now
		if currency == string(s.config.Currency) {
			main.Balance = s.config.Opening
		}
		all.Pockets = append(all.Pockets, main)
	}
	all.Main = main.Balance
	return all, nil
}

// takeBack undoes a movement of the charging system's own accord, as far as
// what it gave is still there.
func (s *Charging) takeBack(ctx context.Context, d Due, now purchase.Instant) error {
	return s.book.Do(ctx, func(p *Page) error {
		m, err := p.Movement(ctx, d.Data)
		if err != nil || m.Status != StatusDone {
			return errors.Join(ignoreMissing(err), p.DropDue(d.ID))
		}
		var note chargingNote
		if err := json.Unmarshal([]byte(m.Note), &note); err != nil {
			return p.DropDue(d.ID)
		}
		name, change := note.After.Currency, m.Amount
		if note.Bundle != "" {
			name, change = s.config.Bundles[note.Bundle].Code, note.Units
		}
		pocket, err := p.Account(ctx, m.Number, name)
		if err != nil {
			return errors.Join(ignoreMissing(err), p.DropDue(d.ID))
		}
		if m.Leg == legCharge || m.Leg == legReversal {
			change = -change
		}
		pocket.Balance -= change
		m.Status = StatusReversed
		undo := Movement{Leg: legUndo, Number: m.Number, Amount: m.Amount, Currency: m.Currency, Product: m.Product,
			Original: m.Ref, Status: StatusDone, At: now, Moved: now}
		return errors.Join(p.DropDue(d.ID), p.PutAccount(pocket), p.AddMovement(&undo), p.SetMovement(m))
	})
}
