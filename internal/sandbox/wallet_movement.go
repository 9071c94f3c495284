package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// The legs of the wallet's book. An undo is the wallet's own taking back of
// what it did, which nobody asked for.
const (
	legCharge = "charge"
	legRefund = "refund"
	legUndo   = "undo"
)

// The kinds of the wallet's due work.
const (
	dueExecute  = "execute"  // a request that is executed late; data: asked
	dueDecide   = "decide"   // the customer's decision; data: reference
	dueReverse  = "reverse"  // taken back of the wallet's own accord; data: reference
	dueCallback = "callback" // data: callback
	dueReplay   = "replay"   // data: signedCallback
)

// walletNote is what the wallet keeps with a movement.
type walletNote struct {
	Hash        string        `json:"hash,omitempty"`
	Reference   string        `json:"reference,omitempty"` // the caller's own
	Text        string        `json:"text,omitempty"`
	RequestDate string        `json:"request_date,omitempty"`
	Callback    string        `json:"callback,omitempty"`
	Async       bool          `json:"async,omitempty"`
	Decision    Decision      `json:"decision,omitempty"`
	Failing     bool          `json:"failing,omitempty"` // answered 500 for ever
	Lie         bool          `json:"lie,omitempty"`     // said to be done, never moved
	Reverse     time.Duration `json:"reverse,omitempty"` // taken back so long after it moved; zero: never
}

func readNote(m Movement) walletNote {
	var note walletNote
	_ = json.Unmarshal([]byte(m.Note), &note) // we wrote it; of another version, it is empty
	return note
}

func (n walletNote) String() string {
	text, err := json.Marshal(n)
	if err != nil {
		return ""
	}
	return string(text)
}

// charge is POST /transactions/type/{transactionType}.
func (l *Wallet) charge(c *walletCall, kind string) {
	a, body, problem := c.understand(legCharge)
	if problem == nil {
		problem = l.checkCharge(&a, kind, &body)
	}
	if problem != nil {
		c.fail(problem)
		return
	}
	c.take(a)
}

func (l *Wallet) checkCharge(a *asked, kind string, body *walletRequest) (problem *walletError) {
	if kind != "merchantpay" {
		return errType
	}
	if a.Amount == 0 {
		return errMissing
	}
	if a.Currency != l.config.Currency {
		return errCurrency
	}
	for _, p := range body.CreditParty {
		if p.Key == l.config.MerchantKey && p.Value == l.config.Merchant {
			a.Number, problem = number(body.DebitParty)
			return problem
		}
	}
	return errUnknown
}

// refund is POST /transactions/{transactionReference}/reversals.
func (l *Wallet) refund(c *walletCall) {
	a, body, problem := c.understand(legRefund)
	if problem == nil && body.Type != "reversal" {
		problem = errType
	}
	if problem != nil {
		c.fail(problem)
		return
	}
	a.Original = c.r.PathValue("reference")
	original, err := l.book.Movement(c.r.Context(), a.Original)
	switch {
	case errors.Is(err, ErrNoEntry):
		c.fail(errUnknown)
		return
	case err != nil:
		c.broken(err)
		return
	}
	a.Number = original.Number
	c.take(a)
}

// taken is what became of a request.
type taken struct {
	m       Movement
	note    walletNote
	problem *walletError // nothing was recorded
}

// take executes a request as the call's faults have it, and answers.
func (c *walletCall) take(a asked) {
	l := c.wallet
	if !c.draw(a.Leg, a.Number) {
		return
	}
	if f, late := c.hits.Find(Late); late {
		if err := l.postpone(c.r.Context(), a, c.now.Add(f.Delay())); err != nil {
			l.Log.Error("sandbox book failed", "partner", l.Name, "error", err)
		}
		cut()
	}
	var t taken
	err := l.book.Do(c.r.Context(), func(p *Page) (err error) {
		t, err = l.execute(p, a, c.hits, c.now)
		return err
	})
	if err != nil {
		c.broken(err)
		return
	}
	l.dueSoon()
	if t.note.Failing && !c.hits.Has(CachedError) {
		c.hits = append(c.hits, Fault{Kind: CachedError})
	}
	switch {
	case t.problem != nil:
		c.fail(t.problem)
	case t.note.Async:
		state := l.requestState(t.m, c.now)
		if c.hits.Has(CallbackEarly) {
			l.callBackEarly(c.r.Context(), t.m.Ref, c.now)
		}
		c.reply(http.StatusAccepted, state)
	case t.m.Status == StatusFailed:
		c.fail(errorOf(t.m.Reason))
	default:
		c.reply(http.StatusCreated, l.transaction(t.m))
	}
}

// postpone keeps a request to be executed later.
func (l *Wallet) postpone(ctx context.Context, a asked, at purchase.Instant) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	err = l.book.Do(ctx, func(p *Page) error { return p.AddDue(at, dueExecute, string(data)) })
	l.dueSoon()
	return err
}

// executeLate does what postpone kept. A key that was executed meanwhile is not
// executed again.
func (l *Wallet) executeLate(ctx context.Context, d Due, now purchase.Instant) error {
	var a asked
	broken := json.Unmarshal([]byte(d.Data), &a)
	return l.book.Do(ctx, func(p *Page) error {
		if broken != nil {
			return p.DropDue(d.ID)
		}
		had, err := p.ByKey(ctx, a.Key)
		if err != nil || len(had) > 0 && !l.config.Forgetful {
			return errors.Join(err, p.DropDue(d.ID))
		}
		t, err := l.execute(p, a, nil, now)
		if err != nil || t.problem != nil || t.m.Status == StatusPending {
			return errors.Join(err, p.DropDue(d.ID))
		}
		return errors.Join(p.DropDue(d.ID), l.announce(p, t.m, t.note, now))
	})
}

// execute records a request and, unless the customer is to decide first, moves
// the money. A key that is known is not executed again.
func (l *Wallet) execute(p *Page, a asked, hits Hits, now purchase.Instant) (taken, error) {
	ctx := context.Background()
	if !l.config.Forgetful && !hits.Has(ForgetKey) {
		had, err := p.ByKey(ctx, a.Key)
		if err != nil {
			return taken{}, err
		}
		if len(had) > 0 && now.Sub(had[0].At) < l.config.KeyLife {
			note := readNote(had[0])
			if l.config.RefuseDuplicates || note.Hash != a.Hash {
				return taken{problem: errDuplicate}, nil
			}
			return taken{m: had[0], note: note}, nil
		}
	}
	if a.Leg == legRefund {
		if problem, err := l.checkRefund(p, &a); problem != nil || err != nil {
			return taken{problem: problem}, err
		}
	}
	note, after := l.arrange(a, hits)
	m := Movement{Key: a.Key, Leg: a.Leg, Number: a.Number, Amount: a.Amount, Currency: string(a.Currency),
		Original: a.Original, Status: StatusPending, Note: note.String(), At: now}
	distort(&m, hits)
	times := 1
	if hits.Has(Twice) {
		times = 2
	}
	var first Movement
	for i := range times {
		if err := l.record(p, &m, note, after, now); err != nil {
			return taken{}, err
		}
		if i == 0 {
			first = m
		}
	}
	return taken{m: first, note: note}, nil
}

// arrange decides how a request is treated: its note, and how long the customer
// takes where it is not decided at once.
func (l *Wallet) arrange(a asked, hits Hits) (walletNote, time.Duration) {
	phone := l.config.Phones[a.Number]
	note := walletNote{Hash: a.Hash, Reference: a.Reference, Text: a.Text, RequestDate: a.RequestDate, Callback: a.Callback,
		Decision: Approve, Failing: hits.Has(CachedError), Lie: hits.Has(Lie)}
	after := time.Duration(0)
	if a.Leg == legCharge {
		after = max(l.config.After, phone.After)
		if phone.Decision != "" {
			note.Decision = phone.Decision
		}
		if hits.Has(Unapproved) {
			note.Decision = Deny
		}
		if note.Decision == Ignore || hits.Has(Unanswered) {
			note.Decision, after = Ignore, l.config.Expiry
		}
	}
	note.Async = l.config.Async || after > 0 || hits.Has(CallbackEarly)
	if f, ok := hits.Find(ReverseLater); ok {
		note.Reverse = max(f.Delay(), time.Microsecond)
	}
	return note, after
}

// distort makes a movement another one than was asked for.
func distort(m *Movement, hits Hits) {
	if hits.Has(WrongAmount) {
		m.Amount += m.Amount/10 + 1
	}
	if hits.Has(Partial) {
		m.Amount = max(m.Amount/2, 1)
	}
	if hits.Has(WrongCurrency) {
		if m.Currency == string(money.XOF) {
			m.Currency = string(money.XAF)
		} else {
			m.Currency = string(money.XOF)
		}
	}
	if n, err := strconv.ParseInt(m.Number, 10, 64); err == nil && hits.Has(WrongNumber) {
		m.Number = strconv.FormatInt(n+1, 10)
	}
}

// record writes a new movement, decided at once or left to the customer.
func (l *Wallet) record(p *Page, m *Movement, note walletNote, after time.Duration, now purchase.Instant) error {
	if note.Async {
		if err := p.AddMovement(m); err != nil {
			return err
		}
		return p.AddDue(now.Add(after), dueDecide, m.Ref)
	}
	if err := l.move(p, m, note, now); err != nil {
		return err
	}
	if err := p.AddMovement(m); err != nil {
		return err
	}
	return l.arrangeReversal(p, *m, note, now)
}

// move decides a pending movement and, when it is approved and possible, moves
// the money. It does not write the movement.
func (l *Wallet) move(p *Page, m *Movement, note walletNote, now purchase.Instant) error {
	ctx := context.Background()
	customer, err := l.account(ctx, p.View, m.Number, m.Currency, now)
	if err != nil {
		return err
	}
	merchant, err := l.account(ctx, p.View, l.config.Merchant, m.Currency, now)
	if err != nil {
		return err
	}
	change := m.Amount // of the customer's balance
	if m.Leg == legCharge {
		change = -m.Amount
	}
	balance, over := money.Add(customer.Balance, change)
	switch {
	case note.Decision == Deny:
		m.Status, m.Reason = StatusFailed, errDeclined.code
	case note.Decision == Ignore:
		m.Status, m.Reason = StatusFailed, errExpired.code
	case customer.Status == unregistered:
		m.Status, m.Reason = StatusFailed, errUnknown.code
	case customer.Status != available:
		m.Status, m.Reason = StatusFailed, errState.code
	case over != nil || balance < 0:
		m.Status, m.Reason = StatusFailed, errFunds.code
	case note.Lie:
		m.Status = StatusDone
	default:
		m.Status, m.Moved = StatusDone, now
		customer.Balance = balance
		merchant.Balance -= change
		return errors.Join(p.PutAccount(customer), p.PutAccount(merchant))
	}
	return nil
}

// The states of a wallet's account.
const (
	available    = "available"
	unregistered = "unregistered"
)

// account is a number's balance, as it would be opened on first use.
func (l *Wallet) account(ctx context.Context, v View, number, currency string, now purchase.Instant) (Account, error) {
	a, err := v.Account(ctx, number, currency)
	if !errors.Is(err, ErrNoEntry) {
		return a, err
	}
	a = Account{Number: number, Pocket: currency, Balance: l.config.Opening, Unit: currency, Status: available, Opened: now}
	if number == l.config.Merchant {
		a.Balance = 0
	}
	if phone, ok := l.config.Phones[number]; ok {
		a.Balance = phone.Balance
		if phone.Status != "" {
			a.Status = phone.Status
		}
	}
	return a, nil
}

// checkRefund completes a refund from the charge that it gives back, or says why it cannot be.
func (l *Wallet) checkRefund(p *Page, a *asked) (*walletError, error) {
	ctx := context.Background()
	original, err := p.Movement(ctx, a.Original)
	if err != nil {
		return nil, fmt.Errorf("find charge: %w", err)
	}
	undoing, err := p.Undoing(ctx, a.Original)
	if err != nil {
		return nil, err
	}
	left := original.Amount
	for _, u := range undoing {
		if u.Status != StatusFailed {
			left -= u.Amount
		}
	}
	if a.Amount == 0 {
		a.Amount, a.Currency = left, money.Currency(original.Currency)
	}
	switch {
	case original.Leg != legCharge || original.Status != StatusDone || a.Amount <= 0 || a.Amount > left:
		return errState, nil
	case string(a.Currency) != original.Currency:
		return errCurrency, nil
	}
	a.Number = original.Number
	return nil, nil
}

func (l *Wallet) arrangeReversal(p *Page, m Movement, note walletNote, now purchase.Instant) error {
	if note.Reverse == 0 || m.Moved == 0 {
		return nil
	}
	return p.AddDue(now.Add(note.Reverse), dueReverse, m.Ref)
}

// decide does what the customer decided about a pending movement.
func (l *Wallet) decide(ctx context.Context, d Due, now purchase.Instant) error {
	return l.book.Do(ctx, func(p *Page) error {
		m, err := p.Movement(ctx, d.Data)
		if err != nil || m.Status != StatusPending {
			return errors.Join(ignoreMissing(err), p.DropDue(d.ID))
		}
		note := readNote(m)
		if err := l.move(p, &m, note, now); err != nil {
			return err
		}
		return errors.Join(p.DropDue(d.ID), p.SetMovement(m), l.arrangeReversal(p, m, note, now), l.announce(p, m, note, now))
	})
}

func ignoreMissing(err error) error {
	if errors.Is(err, ErrNoEntry) {
		return nil
	}
	return err
}

// reverse takes back a movement of the wallet's own accord.
func (l *Wallet) reverse(ctx context.Context, d Due, now purchase.Instant) error {
	return l.book.Do(ctx, func(p *Page) error {
		m, err := p.Movement(ctx, d.Data)
		if err != nil || m.Status != StatusDone {
			return errors.Join(ignoreMissing(err), p.DropDue(d.ID))
		}
		undo := Movement{Leg: legUndo, Number: m.Number, Amount: m.Amount, Currency: m.Currency, Original: m.Ref,
			Status: StatusDone, At: now, Moved: now}
		customer, err := p.Account(ctx, m.Number, m.Currency)
		merchant, err2 := p.Account(ctx, l.config.Merchant, m.Currency)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		change := m.Amount
		if m.Leg != legCharge {
			change = -m.Amount
		}
		customer.Balance += change
		merchant.Balance -= change
		m.Status = StatusReversed
		return errors.Join(p.DropDue(d.ID), p.PutAccount(customer), p.PutAccount(merchant), p.AddMovement(&undo),
			p.SetMovement(m), l.announce(p, m, readNote(m), now))
	})
}
