// Package ussd is the customer's menus on any telephone: a screen of at most 160
// characters and five choices, and what was typed so far. It knows nothing of how
// a gateway carries them, of SQL, or of how a purchase is decided.
//
// A session has no state of its own: what was typed since its beginning says where
// it is, and is gone through anew at each turn. So a gateway that asks the same
// twice gets the same screen, and whatever moves money is done under a key that
// follows from session and typing. A session that was dropped goes on in the next
// one under the same keys, for what was typed in it is kept for a while.
package ussd

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tenu/internal/care"
	"tenu/internal/catalogue"
	"tenu/internal/customer"
	"tenu/internal/money"
	"tenu/internal/numbering"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

// Turn is what a gateway brings: who dials, and all that was typed in the session.
type Turn struct {
	Session string
	Number  purchase.MSISDN
	Typed   []string
}

// Screen is what the telephone shows. After End the session is over.
type Screen struct {
	Text string
	End  bool
}

// The bounds of a session.
const (
	maxTyped  = 60
	maxChoice = 5
)

// Config is what menus are built from. All of it is needed.
type Config struct {
	Brand     string
	Customers *customer.Desk
	Sales     *sale.Desk
	Care      *care.Desk
	Numbers   *numbering.Directory
	Store     Store
	Payers    map[string]map[string]string // names of wallets by partner and language
	Location  *time.Location
	Clock     purchase.Clock
}

// Menu answers turns. It is safe for concurrent use.
type Menu struct {
	cfg   Config
	texts *phrase.Texts
	swept atomic.Int64 // when old sessions were dropped last
}

// New returns the menus, or an error that says what cannot be.
func New(cfg Config) (*Menu, error) {
	if cfg.Customers == nil || cfg.Sales == nil || cfg.Care == nil || cfg.Numbers == nil || cfg.Store == nil || cfg.Location == nil || cfg.Clock == nil {
		return nil, errors.New("ussd: something that is needed is missing")
	}
	texts, err := loadTexts()
	if err != nil {
		return nil, err
	}
	return &Menu{cfg: cfg, texts: texts}, nil
}

// Answer returns the screen of a turn. The same turn has the same screen, but for
// what changed meanwhile.
func (m *Menu) Answer(ctx context.Context, turn Turn) Screen {
	now := m.cfg.Clock.Now()
	s := &session{Menu: m, ctx: ctx, turn: turn, now: now.Time().In(m.cfg.Location)}
	chosen, err := m.cfg.Customers.Choices(ctx, turn.Number)
	s.Tongue = m.texts.In(string(chosen.Language))
	if err != nil {
		return s.failed(err)
	}
	if len(turn.Typed) > maxTyped {
		return s.end("too_long")
	}
	kept, known, err := m.recall(ctx, &turn, now)
	if err != nil {
		return s.failed(err)
	}
	here := Base{turn.Session, now, turn.Typed}
	at, decided := here, true
	if kept.Session == turn.Session {
		here.Began = kept.Began
		at, decided = kept.resolve(here)
	}
	s.turn.Session, s.turn.Typed, s.began = at.Session, at.Typed, at.Began
	var screen Screen
	switch {
	case !decided:
		screen = s.offer(len(turn.Typed) > 0)
	case len(at.Typed) > maxTyped:
		screen = s.end("too_long")
	default:
		screen = s.home()
	}
	screen.Text = fit(screen.Text)
	if known {
		m.keep(ctx, &kept, Kept{Number: turn.Number, Base: here, At: now, Ended: screen.End || s.idle})
	}
	if s.language != "" && s.language != chosen.Language {
		chosen.Language = s.language
		_ = m.cfg.Customers.SetChoices(ctx, turn.Number, chosen) // the next turn tries again
	}
	return screen
}

// session is one turn under way.
type session struct {
	*Menu
	*phrase.Tongue
	ctx      context.Context
	turn     Turn // of the session that is gone on with
	began    purchase.Instant
	at       int  // how much of what was typed is used
	idle     bool // it is at its first screen
	language purchase.Language
	now      time.Time
}

// next is what was typed after what is used, false when that is all.
func (s *session) next() (string, bool) {
	if s.at >= len(s.turn.Typed) {
		return "", false
	}
	s.at++
	return strings.TrimSpace(s.turn.Typed[s.at-1]), true
}

// key names what the session does at this point of the typing.
func (s *session) key() string {
	hash := sha256.New()
	for _, part := range append([]string{"tenu ussd 1", s.turn.Number.String(), s.turn.Session}, s.turn.Typed[:s.at]...) {
		hash.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return "ussd-" + base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:16])
}

func (s *session) end(key string, pairs ...string) Screen { return Screen{s.Say(key, pairs...), true} }

// wait is a screen that waits for a choice: a heading, and numbered choices.
func (s *session) wait(heading string, choices ...string) Screen {
	var b strings.Builder
	b.WriteString(heading)
	for i, c := range choices {
		b.WriteString("\n" + strconv.Itoa(i+1) + " " + c)
	}
	return Screen{Text: b.String()}
}

// failed ends a session over an error of ours. Nothing more was done than was told.
func (s *session) failed(error) Screen { return s.end("failed") }

// refused is a problem of the sales desk in words, and whether it is one.
func (s *session) refused(err error) (string, bool) {
	var p *sale.Problem
	if !errors.As(err, &p) || p.Code == sale.CodeInternal || p.Code == sale.CodeUnavailable {
		return "", false
	}
	return p.Message(s.Code), true
}

// home is the first screen: it tells where the last purchase stands.
func (s *session) home() Screen {
	heading := ""
	for {
		typed, more := s.next()
		if !more {
			if heading == "" {
				heading = s.greeting()
			}
			s.idle = true
			screen := s.wait(heading, s.Say("home_buy"), s.Say("home_balance"), s.Say("home_last"), s.Say("home_report"), s.Say("home_callback"))
			if more := screen.Text + "\n" + s.Say("home_language"); fits(more) {
				screen.Text = more
			}
			return screen
		}
		var screen Screen
		back := false
		switch typed {
		case "1":
			screen, back = s.buy()
		case "2":
			screen, back = s.balance()
		case "3", "7": // *121*7#: where is my purchase
			screen, back = s.last()
		case "4":
			screen, back = s.report()
		case "5":
			screen, back = s.callback()
		case "6": // *121*6#: what does the receipt say
			screen, back = s.receipt()
		case "8":
			screen, back = s.choose()
		default:
			heading = s.Say("wrong")
			continue
		}
		if !back {
			return screen
		}
		heading = ""
	}
}

// greeting tells the last purchase's state in a line.
func (s *session) greeting() string {
	views, err := s.cfg.Customers.Last(s.ctx, s.turn.Number, 0, 1)
	if err != nil || len(views) == 0 {
		return s.cfg.Brand
	}
	return s.cfg.Brand + "\n" + s.line(&views[0])
}

// line is a purchase and its state in a line.
func (s *session) line(v *customer.View) string {
	return s.Say("line", "Item", s.item(v), "State", s.Say("state_"+string(v.Stage)), "Time", s.clock(v))
}

func (s *session) item(v *customer.View) string {
	if !v.Bundle {
		return v.Units.String()
	}
	return s.product(v.Product)
}

func (s *session) product(code string) string {
	if p, known := s.cfg.Sales.Catalogue().Product(code); known {
		if name := p.Names[s.Code]; name != "" {
			return name
		}
	}
	return code
}

// clock is when the purchase got where it stands, or by when it leaves it.
func (s *session) clock(v *customer.View) string {
	at := v.CreatedAt
	switch v.Stage {
	case customer.Paid:
		at = v.DeliverBy
	case customer.Late:
		at = v.ResolveBy
	case customer.Refunding:
		at = v.RefundBy
	case customer.Done, customer.Back, customer.Declined, customer.Unconfirmed:
		at = v.ClosedAt
	case customer.Asking:
	}
	local := at.Time().In(s.cfg.Location)
	if local.YearDay() == s.now.YearDay() && local.Year() == s.now.Year() {
		return local.Format("15:04")
	}
	return local.Format("02/01")
}

// channel is what purchases are known by that were made in the menus.
const channel = "ussd"

// wish gathers what is to be bought.
type wish struct {
	sale.Wish
	product *sale.Ware
}

// buy asks who for, what, how much and how paid, shows what it costs, and buys.
func (s *session) buy() (Screen, bool) {
	w := &wish{Wish: sale.Wish{Channel: channel, Language: s.Code}}
	for _, ask := range []func(*wish) (Screen, bool, bool){s.who, s.what, s.amount, s.payer} {
		if screen, back, done := ask(w); !done {
			return screen, back
		}
	}
	return s.recap(w)
}

// who asks whom it is for.
func (s *session) who(w *wish) (screen Screen, back, done bool) {
	heading := s.Say("who")
	for {
		typed, more := s.next()
		if !more {
			return s.wait(heading, s.Say("who_me"), s.Say("who_other")), false, false
		}
		switch typed {
		case "0":
			return screen, true, false
		case "1":
			w.Number = s.turn.Number.String()
			return screen, false, true
		case "2":
			return s.other(w)
		}
		heading = s.Say("wrong")
	}
}

func (s *session) other(w *wish) (screen Screen, back, done bool) {
	heading := s.Say("other_number")
	for {
		typed, more := s.next()
		if !more {
			return Screen{Text: heading}, false, false
		}
		if typed == "0" {
			return screen, true, false
		}
		number, err := s.cfg.Sales.Number(typed)
		if err == nil {
			w.Number = number.String()
			return screen, false, true
		}
		text, _ := s.refused(err)
		heading = text
	}
}

// what asks for the product, four on a screen.
func (s *session) what(w *wish) (screen Screen, back, done bool) {
	wares, err := s.cfg.Sales.Products(w.Number, channel)
	if err != nil {
		return s.failed(err), false, false
	}
	if len(wares) == 0 {
		return Screen{s.cfg.Sales.Message(sale.CodeProductLine, "", s.Code), true}, false, false
	}
	heading, first := s.Say("what"), 0
	const perScreen = maxChoice - 1
	for {
		page := wares[first:min(first+perScreen, len(wares))]
		typed, more := s.next()
		if !more {
			if !slices.ContainsFunc(wares, func(w sale.Ware) bool { return !w.Paused() }) {
				return s.paused(), false, false
			}
			return s.offered(heading, page, len(wares) > perScreen), false, false
		}
		n, err := strconv.Atoi(typed)
		switch {
		case typed == "0":
			return screen, true, false
		case err == nil && n >= 1 && n <= len(page):
			w.product, w.Product = &page[n-1], page[n-1].Code
			if w.product.Paused() && s.at == len(s.turn.Typed) { // what was typed on may have been bought before
				return s.paused(), false, false
			}
			return screen, false, true
		case n == len(page)+1 && len(wares) > perScreen:
			if first += perScreen; first >= len(wares) {
				first = 0
			}
			heading = s.Say("what")
		default:
			heading = s.Say("wrong")
		}
	}
}

// paused ends a session over what cannot be bought at the moment.
func (s *session) paused() Screen {
	return Screen{s.cfg.Sales.Message(sale.CodePaused, "", s.Code), true}
}

// offered is the screen of some products. Those that are paused are marked as far as the
// screen holds it.
func (s *session) offered(heading string, page []sale.Ware, more bool) Screen {
	var plain, marked []string
	for i := range page {
		name := s.ware(&page[i])
		plain = append(plain, name)
		if page[i].Paused() {
			name = s.Say("paused", "Name", s.product(page[i].Code))
		}
		marked = append(marked, name)
	}
	if more {
		plain, marked = append(plain, s.Say("more")), append(marked, s.Say("more"))
	}
	if screen := s.wait(heading, marked...); fits(screen.Text) {
		return screen
	}
	return s.wait(heading, plain...)
}

func (s *session) ware(w *sale.Ware) string {
	if !w.Bundle {
		return s.product(w.Code)
	}
	return s.product(w.Code) + " " + money.Amount{Minor: w.Quote.Total, Currency: s.cfg.Sales.Catalogue().Currency()}.Number()
}

// amount asks how much, for airtime.
func (s *session) amount(w *wish) (screen Screen, back, done bool) {
	if w.product.Bundle {
		return screen, false, true
	}
	currency := s.cfg.Sales.Catalogue().Currency()
	heading := s.Say("amount", "Min", money.Amount{Minor: w.product.Offer.Min, Currency: currency}.Number(),
		"Max", money.Amount{Minor: w.product.Offer.Max, Currency: currency}.Number())
	for {
		typed, more := s.next()
		if !more {
			return Screen{Text: heading}, false, false
		}
		if typed == "0" {
			return screen, true, false
		}
		w.Amount = strings.ReplaceAll(typed, " ", "")
		_, err := s.cfg.Sales.Quote(sale.Wish{Number: w.Number, Product: w.Product, Amount: w.Amount})
		var p *sale.Problem
		if !errors.As(err, &p) || p.Field != "amount" {
			return screen, false, true
		}
		heading = p.Message(s.Code)
	}
}

// payer asks how it is paid, where there is a choice.
func (s *session) payer(w *wish) (screen Screen, back, done bool) {
	w.PayWith = w.product.Payers[0]
	if len(w.product.Payers) == 1 {
		return screen, false, true
	}
	payers := w.product.Payers[:min(len(w.product.Payers), maxChoice)]
	heading := s.Say("pay")
	for {
		typed, more := s.next()
		if !more {
			var names []string
			for _, p := range payers {
				name := s.paying(p)
				if slices.Contains(w.product.Closed, p) {
					name = s.Say("paused", "Name", name)
				}
				names = append(names, name)
			}
			return s.wait(heading, names...), false, false
		}
		n, err := strconv.Atoi(typed)
		switch {
		case typed == "0":
			return screen, true, false
		case err == nil && n >= 1 && n <= len(payers):
			w.PayWith = payers[n-1]
			return screen, false, true
		}
		heading = s.Say("wrong")
	}
}

func (s *session) paying(payer string) string {
	if payer == catalogue.Balance {
		return s.Say("pay_balance")
	}
	if name := s.cfg.Payers[payer][s.Code]; name != "" {
		return name
	}
	return payer
}

// recap shows what is bought and what it costs, and buys it once it is confirmed.
func (s *session) recap(w *wish) (Screen, bool) {
	key := s.key()
	c, err := s.cfg.Customers.BeginAs(s.ctx, s.turn.Number, key, w.Wish)
	if text, refused := s.refused(err); refused {
		return Screen{text, true}, false
	}
	if err != nil {
		return s.failed(err), false
	}
	amount := func(minor int64) string { return money.Amount{Minor: minor, Currency: c.Currency}.String() }
	item := s.product(c.Wish.Product)
	if !c.Bundle {
		item = amount(c.Units)
	}
	heading := s.Say("recap", "Item", item, "Number", s.cfg.Numbers.Format(c.Recipient), "Fee", amount(c.Fee), "Total", amount(c.Request.Total))
	for {
		typed, more := s.next()
		switch {
		case !more && c.State == customer.Shown:
			return s.wait(heading, s.Say("recap_pay"), s.Say("recap_cancel")), false
		case !more: // it went on under the same key, and the customer was not told
			return s.outcome(c.Checkout), false
		case typed == "1":
			return s.pay(c.Checkout), false
		case typed == "0", typed == "2":
			c, err := s.cfg.Customers.Cancel(s.ctx, s.turn.Number, key)
			if err != nil {
				return s.failed(err), false
			}
			return s.outcome(c), false
		}
		heading = s.Say("wrong")
	}
}

// pay buys, and says what the customer does next.
func (s *session) pay(c customer.Checkout) Screen {
	if c.State != customer.Shown {
		return s.outcome(c)
	}
	c, err := s.cfg.Customers.Confirm(s.ctx, s.turn.Number, c.Key, 0)
	if text, refused := s.refused(err); refused {
		return Screen{text, true}
	}
	switch {
	case errors.Is(err, purchase.ErrUnavailable):
		return s.failed(err)
	case err != nil: // it may be confirmed
		return s.end("unsure")
	}
	return s.outcome(c)
}

// outcome says what became of a checkout. One that is confirmed is bought, here or
// later.
func (s *session) outcome(c customer.Checkout) Screen {
	if c.State == customer.Confirmed || c.State == customer.Selling {
		var err error
		if c, err = s.cfg.Customers.Sell(s.ctx, c); err != nil {
			return s.end("selling")
		}
	}
	switch c.State {
	case customer.Sold:
		reference := s.cfg.Customers.Reference(c.Purchase).String()
		if c.Wish.PayWith == catalogue.Balance {
			return s.end("sold_balance", "Reference", reference)
		}
		return s.end("sold_wallet", "Payer", s.paying(c.Wish.PayWith), "Reference", reference)
	case customer.Refused:
		if c.Problem == sale.CodeAskFirst {
			return s.again(c)
		}
		return Screen{s.cfg.Sales.Message(c.Problem, c.Earlier, s.Code), true}
	case customer.Confirmed, customer.Selling:
		return s.end("selling")
	case customer.Cancelled:
		return s.end("cancelled")
	case customer.Shown, customer.Lapsed:
	}
	return s.end("lapsed")
}

// again asks whether a purchase like one of a moment ago is meant, and buys it then.
func (s *session) again(c customer.Checkout) Screen {
	heading := s.cfg.Sales.Message(c.Problem, c.Earlier, s.Code)
	for {
		typed, more := s.next()
		if !more {
			return s.wait(heading, s.Say("again_yes"), s.Say("again_no"))
		}
		switch typed {
		case "1":
			c.Wish.Again = true
			recap, err := s.cfg.Customers.BeginAs(s.ctx, s.turn.Number, s.key(), c.Wish)
			if text, refused := s.refused(err); refused {
				return Screen{text, true}
			}
			if err != nil {
				return s.failed(err)
			}
			return s.pay(recap.Checkout)
		case "0", "2":
			return s.end("cancelled")
		}
		heading = s.Say("wrong")
	}
}

// balance tells what the line holds.
func (s *session) balance() (Screen, bool) {
	held, err := s.cfg.Customers.Balance(s.ctx, s.turn.Number)
	if text, refused := s.refused(err); refused {
		return Screen{text, true}, false
	}
	if err != nil {
		return s.failed(err), false
	}
	text := s.Say("balance", "Amount", held.Main.String())
	for _, b := range held.Bundles {
		line := "\n" + s.product(b.Code) + ": " + strconv.FormatInt(b.Left, 10) + " " + b.Unit
		if b.Expires != 0 {
			line += " " + s.Say("till", "Time", b.Expires.Time().In(s.cfg.Location).Format("02/01 15:04"))
		}
		if !fits(text + line) {
			break
		}
		text += line
	}
	return Screen{text, true}, false
}

// last lists the last purchases.
func (s *session) last() (Screen, bool) {
	views, err := s.cfg.Customers.Last(s.ctx, s.turn.Number, 0, 3)
	if err != nil {
		return s.failed(err), false
	}
	if len(views) == 0 {
		return s.end("none"), false
	}
	text := ""
	for i := range views {
		line := s.line(&views[i]) + " " + views[i].Reference.String()
		if i > 0 {
			line = "\n" + line
		}
		if !fits(text + line) {
			break
		}
		text += line
	}
	return Screen{text, true}, false
}
