// Package sms answers what customers write by SMS: keywords, and the message of a
// purchase that is forwarded or answered, which opens the case. It knows nothing of
// how messages come and go, of SQL, or of how a purchase is decided.
//
// The same text twice has the same effect as once, so that a centre may bring it
// again.
package sms

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tenu/internal/care"
	"tenu/internal/catalogue"
	"tenu/internal/customer"
	"tenu/internal/money"
	"tenu/internal/notify/gsm7"
	"tenu/internal/numbering"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

//go:embed phrases/*.yaml
var shipped embed.FS

const standard = "fr"

// Config is what a desk is built from. All of it is needed.
type Config struct {
	Brand     string
	Customers *customer.Desk
	Sales     *sale.Desk
	Care      *care.Desk
	Numbers   *numbering.Directory
	Payers    map[string]map[string]string // names of wallets by partner and language
	Location  *time.Location
	Clock     purchase.Clock
}

// Desk answers texts. It is safe for concurrent use.
type Desk struct {
	cfg   Config
	texts *phrase.Texts
	words map[string]func(*letter) (string, error)

	mu    sync.Mutex
	spent map[purchase.MSISDN]*rate.Limiter
}

// The bounds of answers to one number: each costs a message, and a machine at the
// other end might answer the answers.
const (
	answersAtOnce = 20
	answersEvery  = time.Minute
	maxSpent      = 100_000 // numbers remembered
)

// New returns a desk, or an error that says what cannot be.
func New(cfg Config) (*Desk, error) {
	if cfg.Customers == nil || cfg.Sales == nil || cfg.Care == nil || cfg.Numbers == nil || cfg.Location == nil || cfg.Clock == nil {
		return nil, errors.New("sms: something that is needed is missing")
	}
	dir, err := fs.Sub(shipped, "phrases")
	if err != nil {
		return nil, fmt.Errorf("sms: %w", err)
	}
	texts, err := phrase.LoadTexts(standard, dir)
	if err != nil {
		return nil, fmt.Errorf("sms: %w", err)
	}
	d := &Desk{cfg: cfg, texts: texts, spent: map[purchase.MSISDN]*rate.Limiter{}, words: map[string]func(*letter) (string, error){}}
	for words, answer := range map[string]func(*letter) (string, error){
		"SOLDE BALANCE":                       (*letter).balance,
		"ACHAT ACHETER BUY RECHARGE":          (*letter).buy,
		"FORFAIT FORFAITS BUNDLE BUNDLES":     (*letter).bundles,
		"OUI YES":                             (*letter).confirm,
		"NON NO ANNULER CANCEL":               (*letter).cancel,
		"STATUT STATUS ETAT":                  (*letter).status,
		"RECU RECEIPT":                        (*letter).receipt,
		"RAPPEL RAPPELER CALL CALLBACK":       (*letter).callback,
		"DOSSIER CASE":                        (*letter).file,
		"PROBLEME RECLAMATION PROBLEM REPORT": (*letter).complain,
		"AIDE HELP INFO STOP":                 (*letter).help,
		"ENGLISH ANGLAIS":                     func(l *letter) (string, error) { return l.speak("en") },
		"FRANCAIS FRENCH":                     func(l *letter) (string, error) { return l.speak("fr") },
	} {
		for word := range strings.FieldsSeq(words) {
			d.words[word] = answer
		}
	}
	return d, nil
}

// letter is one text under way.
type letter struct {
	*Desk
	*phrase.Tongue
	customer.Calendar
	ctx  context.Context
	from purchase.MSISDN
	text string
	rest []string // the words after the keyword, in capitals and without accents
}

// reference finds what may be a purchase's reference.
var reference = regexp.MustCompile(`(?i)\b[0-9a-z]{4}-?[0-9a-z]{4}-?[0-9a-z]{2}\b`)

// Answer does what a number wrote, and returns what it is answered: a text of one
// message, or "" when it had so many answers that it gets none for a while. After an
// error, which wraps purchase.ErrUnavailable where it can be tried again, nothing or
// part was done, and the same text may be given again.
func (d *Desk) Answer(ctx context.Context, from purchase.MSISDN, text string) (string, error) {
	chosen, err := d.cfg.Customers.Choices(ctx, from)
	if err != nil {
		return "", fmt.Errorf("answer a text: %w", err)
	}
	l := &letter{Desk: d, Tongue: d.texts.In(string(chosen.Language)), ctx: ctx, from: from, text: text,
		Calendar: customer.Calendar{Now: d.cfg.Clock.Now(), Location: d.cfg.Location}}
	answer, err := l.answer()
	switch {
	case err != nil:
		return "", fmt.Errorf("answer a text: %w", err)
	case !d.afford(from):
		return "", nil
	}
	return gsm7.Fit(answer), nil
}

// answer finds out what is wanted: a keyword, a purchase's reference anywhere, or a
// complaint in the customer's own words about the last purchase.
func (l *letter) answer() (string, error) {
	words := strings.FieldsFunc(plain(l.text), func(r rune) bool {
		return r == ' ' || r == '\n' || r == '\t' || r == ':' || r == ',' || r == '.' || r == '!' || r == '?'
	})
	if len(words) == 0 {
		return l.help()
	}
	if answer := l.words[words[0]]; answer != nil && (len(words) <= maxWords || named(words)) {
		l.rest = words[1:]
		return answer(l)
	}
	for _, found := range reference.FindAllString(l.text, 5) {
		v, err := l.cfg.Customers.Purchase(l.ctx, l.from, found)
		if errors.Is(err, customer.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		return l.report(&v)
	}
	if len(words) > 1 {
		return l.complain()
	}
	return l.help()
}

// maxWords is how many words a keyword has at most, with its own. A forwarded message
// may begin with one by chance.
const maxWords = 9

// afford counts an answer, and reports whether it may be sent.
func (d *Desk) afford(number purchase.MSISDN) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.cfg.Clock.Now().Time()
	l := d.spent[number]
	if l == nil {
		if len(d.spent) >= maxSpent {
			for n, other := range d.spent {
				if other.TokensAt(now) >= answersAtOnce {
					delete(d.spent, n)
				}
			}
		}
		if len(d.spent) >= maxSpent {
			return false
		}
		l = rate.NewLimiter(rate.Every(answersEvery), answersAtOnce)
		d.spent[number] = l
	}
	return l.AllowN(now, 1)
}

// plain is a text in capitals without accents.
func plain(text string) string {
	return accents.Replace(strings.ToUpper(text))
}

var accents = strings.NewReplacer("À", "A", "Â", "A", "Ç", "C", "É", "E", "È", "E", "Ê", "E", "Ë", "E", "Î", "I", "Ï", "I", "Ô", "O",
	"Û", "U", "Ù", "U", "Ü", "U", "\u00a0", " ", "\u202f", " ", "’", "'")

// CodeText is the message of a one-time code.
func (d *Desk) CodeText(language, code string) string {
	return gsm7.Fit(d.texts.In(language).Say("code", "Brand", d.cfg.Brand, "Code", code))
}

func (l *letter) help() (string, error) { return l.Say("help"), nil }

// problem is a refusal of the sales desk in words; other errors stay errors.
func (l *letter) problem(err error) (string, error) {
	var p *sale.Problem
	if !errors.As(err, &p) {
		return "", err
	}
	if p.Code == sale.CodeInternal || p.Code == sale.CodeUnavailable {
		return l.Say("failed"), nil
	}
	return p.Message(l.Code), nil
}

// speak chooses a language.
func (l *letter) speak(code string) (string, error) {
	chosen, err := l.cfg.Customers.Choices(l.ctx, l.from)
	if err != nil {
		return "", err
	}
	chosen.Language = purchase.Language(code)
	if err := l.cfg.Customers.SetChoices(l.ctx, l.from, chosen); err != nil {
		return "", err
	}
	return l.texts.In(code).Say("language"), nil
}

func (l *letter) balance() (string, error) {
	held, err := l.cfg.Customers.Balance(l.ctx, l.from)
	if err != nil {
		return l.problem(err)
	}
	text := l.Say("balance", "Amount", held.Main.String())
	for _, b := range held.Bundles {
		line := "\n" + l.product(b.Code) + " : " + strconv.FormatInt(b.Left, 10) + " " + b.Unit
		if b.Expires != 0 {
			line += " " + l.Say("till", "Time", l.Time(b.Expires))
		}
		if !gsm7.Fits(text + line) {
			break
		}
		text += line
	}
	return text, nil
}

func (l *letter) product(code string) string {
	if p, known := l.cfg.Sales.Catalogue().Product(code); known && p.Names[l.Code] != "" {
		return p.Names[l.Code]
	}
	return code
}

func (l *letter) item(v *customer.View) string {
	if v.Bundle {
		return l.Say("bundle", "Product", l.product(v.Product))
	}
	return v.Units.String()
}

// bundles lists what can be bought by name.
func (l *letter) bundles() (string, error) {
	wares, err := l.cfg.Sales.Products(l.from.String(), channel)
	if err != nil {
		return l.problem(err)
	}
	text, how := l.Say("buy_bundles"), ""
	for i := range wares {
		w := &wares[i]
		if !w.Bundle {
			continue
		}
		price := money.Amount{Minor: w.Quote.Total, Currency: l.cfg.Sales.Catalogue().Currency()}.Number() + " F"
		if w.Paused() {
			price = l.Say("buy_bundles_paused")
		}
		if how == "" {
			how = "\n" + l.Say("buy_bundles_how", "Code", strings.ToUpper(w.Code))
		}
		line := "\n" + strings.ToUpper(w.Code) + " " + l.product(w.Code) + " " + price
		if !gsm7.Fits(text + line + how) {
			break
		}
		text += line
	}
	if how == "" {
		return l.Say("buy_bundles_none"), nil
	}
	return text + how, nil
}

// channel is what purchases are known by that were asked for by SMS.
const channel = "sms"

// checkouts is how the keys of checkouts begin that were asked for by SMS.
const checkouts = "sms-"

// buy prices what is asked for, and asks whether it shall be bought.
func (l *letter) buy() (string, error) {
	if len(l.rest) == 0 {
		return l.Say("buy_how"), nil
	}
	wares, err := l.cfg.Sales.Products("", channel)
	if err != nil {
		return l.problem(err)
	}
	w, err := l.wish(wares)
	if err != nil {
		return l.problem(err)
	}
	if w.Product == "" {
		return l.Say("buy_how"), nil
	}
	hash := sha256.Sum256([]byte(l.from.String() + "|" + strconv.FormatInt(int64(l.Now), 10) + "|" + l.text))
	c, err := l.cfg.Customers.BeginAs(l.ctx, l.from, checkouts+base64.RawURLEncoding.EncodeToString(hash[:16]), w)
	if err != nil {
		return l.problem(err)
	}
	amount := func(minor int64) string { return money.Amount{Minor: minor, Currency: c.Currency}.String() }
	item := amount(c.Units)
	if c.Bundle {
		item = l.Say("bundle", "Product", l.product(c.Product))
	}
	return l.Say("recap", "Item", item, "Number", l.cfg.Numbers.Format(c.Recipient), "Fee", amount(c.Fee), "Total", amount(c.Request.Total),
		"Payer", l.paying(w.PayWith)), nil
}

// wish reads what is to be bought: an amount or a product, and perhaps a number,
// which people write with spaces or without. The zero product says that it cannot
// be understood.
func (l *letter) wish(wares []sale.Ware) (sale.Wish, error) {
	w := sale.Wish{Channel: channel, Language: l.Code, Number: l.from.String()}
	if at := slices.IndexFunc(wares, func(w sale.Ware) bool { return w.Bundle && strings.EqualFold(w.Code, l.rest[0]) }); at >= 0 {
		w.Product, w.PayWith = wares[at].Code, wares[at].Payers[0]
		if len(l.rest) > 1 {
			w.Number = strings.Join(l.rest[1:], "")
		}
		return w, nil
	}
	airtime := slices.IndexFunc(wares, func(w sale.Ware) bool { return !w.Bundle })
	if airtime < 0 {
		return w, nil
	}
	words := slices.DeleteFunc(slices.Clone(l.rest), func(word string) bool {
		return word == "F" || word == "CFA" || word == "FCFA" || word == "XOF" || word == "POUR" || word == "FOR"
	})
	for _, word := range words {
		if strings.Trim(word, "+0123456789") != "" {
			return w, nil
		}
	}
	if len(words) == 0 {
		return w, nil
	}
	w.Product, w.PayWith = wares[airtime].Code, wares[airtime].Payers[0]
	const shortestNumber = 6 // digits: shorter is part of an amount
	for k := 1; k < len(words); k++ {
		number, err := l.cfg.Sales.Number(strings.Join(words[k:], ""))
		if err == nil {
			w.Amount, w.Number = strings.Join(words[:k], ""), number.String()
			return w, nil
		}
		if k == len(words)-1 && len(words[k]) >= shortestNumber {
			return w, err
		}
	}
	w.Amount = strings.Join(words, "")
	return w, nil
}

func (l *letter) paying(payer string) string {
	if payer == catalogue.Balance {
		return l.Say("pay_balance")
	}
	if name := l.cfg.Payers[payer][l.Code]; name != "" {
		return name
	}
	return payer
}

// confirm buys what was last asked for. It may be said again: the answer then tells
// where the purchase stands.
func (l *letter) confirm() (string, error) {
	if l.gives() {
		return l.giveBack(true)
	}
	c, err := l.cfg.Customers.LastCheckout(l.ctx, l.from, checkouts)
	if errors.Is(err, customer.ErrNotFound) {
		return l.unasked()
	}
	if err != nil {
		return "", err
	}
	if c.State == customer.Refused && c.Problem == sale.CodeAskFirst && len(l.rest) > 0 && (l.rest[0] == "ENCORE" || l.rest[0] == "AGAIN") {
		w := c.Wish
		w.Again = true
		again, err := l.cfg.Customers.BeginAs(l.ctx, l.from, c.Key+"-again", w)
		if err != nil {
			return l.problem(err)
		}
		c = again.Checkout
	}
	if c.State == customer.Shown {
		if c, err = l.cfg.Customers.Confirm(l.ctx, l.from, c.Key, 0); err != nil {
			return l.problem(err)
		}
	}
	if c, err = l.cfg.Customers.Sell(l.ctx, c); err != nil {
		return l.problem(err)
	}
	return l.outcome(&c)
}

// outcome tells what became of a checkout.
func (l *letter) outcome(c *customer.Checkout) (string, error) {
	switch c.State {
	case customer.Sold:
		v, err := l.cfg.Customers.Purchase(l.ctx, l.from, l.cfg.Customers.Reference(c.Purchase).String())
		switch {
		case err != nil:
			return "", err
		case v.Stage != customer.Asking:
			return l.state(&v), nil
		case c.Wish.PayWith == catalogue.Balance:
			return l.Say("sold_balance", "Reference", v.Reference.String()), nil
		}
		return l.Say("sold_wallet", "Payer", l.paying(c.Wish.PayWith), "Reference", v.Reference.String()), nil
	case customer.Refused:
		if c.Problem == sale.CodeAskFirst {
			return l.Say("again", "Reference", c.Earlier.String()), nil
		}
		return l.cfg.Sales.Message(c.Problem, c.Earlier, l.Code), nil
	case customer.Selling:
		return l.Say("selling"), nil
	case customer.Cancelled:
		return l.Say("cancelled"), nil
	default:
		return l.Say("lapsed"), nil
	}
}

// cancel cancels what was last asked for, if it was not bought meanwhile.
func (l *letter) cancel() (string, error) {
	if l.gives() {
		return l.giveBack(false)
	}
	c, err := l.cfg.Customers.LastCheckout(l.ctx, l.from, checkouts)
	if errors.Is(err, customer.ErrNotFound) {
		return l.unasked()
	}
	if err == nil {
		c, err = l.cfg.Customers.Cancel(l.ctx, l.from, c.Key)
	}
	if err != nil {
		return "", err
	}
	return l.outcome(&c)
}

// status tells where a purchase stands: the one that is named, otherwise the last.
func (l *letter) status() (string, error) {
	if len(l.rest) > 0 {
		v, err := l.cfg.Customers.Purchase(l.ctx, l.from, strings.Join(l.rest, ""))
		if errors.Is(err, customer.ErrNotFound) {
			return l.Say("unknown"), nil
		}
		if err != nil {
			return "", err
		}
		return l.state(&v), nil
	}
	v, err := l.last()
	if v == nil {
		return l.Say("none"), err
	}
	return l.state(v), nil
}

// last is the number's newest purchase, or nil.
func (l *letter) last() (*customer.View, error) {
	views, err := l.cfg.Customers.Last(l.ctx, l.from, 0, 1)
	if err != nil || len(views) == 0 {
		return nil, err
	}
	return &views[0], nil
}

// state is where a purchase stands, with the time that matters.
func (l *letter) state(v *customer.View) string {
	open := ""
	if v.Case {
		open = l.Say("case")
	}
	return l.Say("status_"+string(v.Stage), "Item", l.item(v), "Time", l.Time(v.Moment()), "Case", open, "Reference", v.Reference.String())
}

// complain reports the last purchase, in the customer's own words.
func (l *letter) complain() (string, error) {
	v, err := l.last()
	if err != nil {
		return "", err
	}
	if v == nil || l.Now >= v.CreatedAt.Add(complainWithin) {
		return l.help()
	}
	return l.report(v)
}

// complainWithin is how old a purchase may be for a text without a reference to be
// about it.
const complainWithin = 7 * 24 * time.Hour

// report opens the case of a purchase, or shows it. One for which nothing was taken,
// or all was given back, is only shown.
func (l *letter) report(v *customer.View) (string, error) {
	switch v.Stage {
	case customer.Asking, customer.Declined, customer.Back:
		return l.state(v), nil
	case customer.Unconfirmed, customer.Paid, customer.Late, customer.Refunding, customer.Done:
	}
	r := care.Report{Purchase: v.ID, Number: l.from, Matter: care.MatterNotReceived, Channel: "sms", Detail: l.text}
	if _, _, err := l.cfg.Care.Report(l.ctx, r); err != nil {
		return "", err
	}
	return l.Say("reported", "Reference", v.Reference.String(), "State", l.Say("state_"+string(v.Stage), "Time", l.Time(v.Moment()))), nil
}

// callback promises a callback in the next window, and cancels it when the answer is no.
func (l *letter) callback() (string, error) {
	list, err := l.cfg.Care.Callbacks(l.ctx, l.from, 1)
	if err != nil {
		return "", err
	}
	open := len(list) > 0 && list[0].State == care.Promised
	if len(l.rest) > 0 && slices.Contains([]string{"NON", "NO", "ANNULER", "CANCEL"}, l.rest[0]) {
		if !open {
			return l.Say("callback_no"), nil
		}
		if _, err := l.cfg.Care.Cancel(l.ctx, list[0].ID, l.from); err != nil {
			return "", err
		}
		return l.Say("callback_cancelled"), nil
	}
	if open {
		return l.promised(&list[0]), nil
	}
	windows, err := l.cfg.Care.Windows(l.ctx, 3)
	if err != nil {
		return "", err
	}
	for _, at := range windows {
		c, _, err := l.cfg.Care.Promise(l.ctx, care.Callback{Number: l.from, WindowAt: at, Channel: "sms", Language: purchase.Language(l.Code)})
		if errors.Is(err, care.ErrFull) || errors.Is(err, care.ErrWindow) { // taken a moment ago
			continue
		}
		if err != nil {
			return "", err
		}
		return l.promised(&c), nil
	}
	return l.Say("callback_none"), nil
}

func (l *letter) promised(c *care.Callback) string {
	from := c.WindowAt.Time().In(l.Location)
	day := from.Format("02/01")
	if l.Today(c.WindowAt) {
		day = l.Say("today")
	}
	window := l.Say("between", "Day", day, "From", from.Format("15:04"), "Till", from.Add(care.Window).Format("15:04"))
	return l.Say("callback_promised", "Window", window, "Number", l.cfg.Numbers.Format(l.from))
}
