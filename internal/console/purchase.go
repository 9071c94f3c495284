package console

import (
	"errors"
	"net/http"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/catalogue"
	"tenu/internal/purchase"
	"tenu/internal/receipt"
	"tenu/internal/voice/centre"
)

// requestLine is a request on one line.
type requestLine struct {
	ID, Version                                     int64
	Kind, Amount, Maker, Checker, When, Reason, Why string
	Reference, Case, Number, Raw                    string
	Stage                                           badge
	Waits, Consent, Own, Unproven                   bool
}

func (v *visit) requestLine(r *care.Request, names map[auth.StaffID]string) requestLine {
	l := requestLine{ID: r.ID, Version: r.Version, Kind: v.Say("ask_" + string(r.Kind)), Maker: names[r.Maker], Checker: names[r.Checker], When: v.moment(r.At),
		Reason: v.legible(r.Reason), Why: v.legible(r.Why), Stage: v.stageBadge(r.Stage), Waits: r.Stage == care.StageCheck, Consent: r.Stage == care.StageConsent,
		Own: r.Maker == v.who.ID, Unproven: r.Unproven, Number: v.phone(r.Number), Raw: r.Number.String()}
	if r.Rule != "" {
		l.Maker = v.Say("by_rule", "Rule", r.Rule)
	}
	if r.Amount > 0 {
		l.Amount = v.amount(r.Amount, v.cfg.Sales.Catalogue().Currency())
	}
	if r.Why != "" && v.Has("why_"+r.Why) {
		l.Why = v.Say("why_" + r.Why)
	}
	if r.Purchase != 0 {
		l.Reference = v.cfg.References.Reference(r.Purchase).String()
	}
	if r.Case != 0 {
		l.Case = v.cfg.Care.CaseReference(r.Case)
	}
	return l
}

// action is something that may be asked for, or may not, and why.
type action struct {
	Kind, Name, Why, Amount     string
	OK, Checked, Unproven, Gift bool
}

type purchasePage struct {
	frame
	View                                              brief
	Raw, Payer, Provider, PayWith, Fee, Charged, Held string
	Number                                            purchase.MSISDN // whose screen it belongs to
	Recipient                                         purchase.MSISDN
	Sentence                                          string
	Other                                             sentence // the same in the customer's language, if that is another
	Windows                                           []choice
	Exposed, HasReceipt                               bool
	Facts                                             []choice
	Actions                                           []action
	Requests                                          []requestLine
	Case                                              *fileLine
	Timeline                                          []line
	Kinds                                             []filter
	Matters                                           []choice
	Products                                          []choice
	Lookers                                           []string
	Incident                                          *banner // that it is affected by
}

// sentence is what to say in a language.
type sentence struct{ Language, Text string }

// inTheirs is what to say in the language that the customer chose, nothing when that
// is the page's.
func (v *visit) inTheirs(p *purchase.Purchase) sentence {
	lang := v.texts.Choose(string(p.Language))
	if lang == v.lang {
		return sentence{}
	}
	theirs, shared := *v, *v.Visit // of which the page goes on to be made in its own
	theirs.Visit = &shared
	theirs.lang, theirs.Tongue = lang, v.texts.In(lang)
	return sentence{lang, theirs.sentence(p)}
}

// filter is a kind of line, to be shown alone.
type filter struct {
	Code, Name string
	On         bool
}

// recordOf is the purchase that the address names, with everything recorded.
func (v *visit) recordOf() (*purchase.Record, bool) {
	id, err := v.cfg.References.Parse(v.r.PathValue("reference"))
	if err != nil {
		v.missing()
		return nil, false
	}
	records, err := v.cfg.Purchases.Load(v.r.Context(), id)
	switch {
	case err != nil:
		v.fail(err)
	case len(records) == 0:
		v.missing()
	case v.admit(records[0].Purchase.PayerNumber):
		return &records[0], true
	}
	return nil, false
}

// purchase shows a purchase: what to say, what may be done now, and all that is known.
func (c *Console) purchase(v *visit) {
	r, ok := v.recordOf()
	if !ok {
		return
	}
	x := &r.Purchase
	p := &purchasePage{frame: v.frame("customer"), View: v.brief(x, x.PayerNumber), Raw: x.PayerNumber.String(), Payer: v.phone(x.PayerNumber),
		Provider: x.Provider, PayWith: v.partnerName(x.Payer), Number: x.PayerNumber, Recipient: x.Recipient, Sentence: v.sentence(x), Exposed: x.Exposed,
		Fee: v.amount(x.Fee, x.Currency), Charged: v.amount(x.Charged.Minor, x.Currency), Held: v.amount(x.Held, x.Currency)}
	p.HasReceipt = v.cfg.Receipts != nil && receipt.There(x)
	p.Other, p.Live = v.inTheirs(x), "purchase/"+p.View.Reference
	for _, m := range care.Matters {
		p.Matters = append(p.Matters, choice{string(m), v.matter(m)})
	}
	p.inTheirs(v, x.Language)
	in, err := v.affected(x.ID)
	if err != nil {
		v.fail(err)
		return
	}
	if in != nil {
		p.Incident = &banner{Name: in.ID.String(), Title: v.public(in.Title, v.lang), Status: v.incidentBadge(in.Status)}
	}
	if p.Windows, err = v.windows(); err != nil {
		v.fail(err)
		return
	}
	if err := errors.Join(v.noted(x.PayerNumber, x.ID, 0), p.actions(v, r), p.related(v, r)); err != nil {
		v.fail(err)
		return
	}
	p.Lookers = v.hub.others(p.Live, v.who.ID)
	v.show(http.StatusOK, "purchase", p)
}

// actions are what the person may ask for now.
func (p *purchasePage) actions(v *visit, r *purchase.Record) error {
	all, err := v.cfg.Care.Allowances(v.r.Context(), r, v.who)
	if err != nil {
		return err
	}
	for _, a := range all {
		x := action{Kind: string(a.Kind), Name: v.Say("ask_" + string(a.Kind)), OK: a.OK, Checked: a.Checked, Unproven: a.Unproven, Gift: a.Kind == care.AskGoodwill}
		if a.Amount > 0 && a.Kind != care.AskAnswer {
			x.Amount = v.amount(a.Amount, r.Purchase.Currency)
		}
		if !a.OK {
			x.Why = v.why(a.Why, a.At)
			if a.Limit > 0 {
				x.Why += " (" + v.amount(a.Limit, r.Purchase.Currency) + ")"
			}
		}
		p.Actions = append(p.Actions, x)
	}
	for _, product := range v.cfg.Sales.Catalogue().Products() {
		p.Products = append(p.Products, choice{product.Code, v.productName(product.Code)})
	}
	return nil
}

// related is everything else that is about the purchase.
func (p *purchasePage) related(v *visit, r *purchase.Record) error {
	ctx := v.r.Context()
	names, err := v.names()
	if err != nil {
		return err
	}
	cases, err := v.cfg.Care.CasesAbout(ctx, r.Purchase.ID)
	if err != nil {
		return err
	}
	requests, err := v.cfg.Care.Requests(ctx, r.Purchase.ID)
	if err != nil {
		return err
	}
	for i := range requests {
		p.Requests = append(p.Requests, v.requestLine(&requests[i], names))
	}
	t := &timeline{visit: v, names: names}
	t.record(r)
	t.requests(requests)
	if len(cases) > 0 {
		l := v.fileLine(&cases[0], names)
		p.Case = &l
		if err := t.file(ctx, &cases[0]); err != nil {
			return err
		}
	}
	spoken := func(c *centre.Call) bool { return c.Purchase == r.Purchase.ID }
	if err := errors.Join(t.calls(ctx, r), t.onLine(ctx, spoken, r.Purchase.PayerNumber, r.Purchase.Recipient), t.looks(ctx, r), t.deliveries(ctx, r)); err != nil {
		return err
	}
	p.Timeline, p.Kinds = t.lines(v.query("show"))
	return nil
}

// ask asks for something about a purchase.
func (c *Console) ask(v *visit) {
	r, ok := v.recordOf()
	if !ok {
		return
	}
	kind := care.Kind(v.form("kind"))
	if !contains(care.Kinds, kind) {
		v.missing()
		return
	}
	a := care.Ask{Kind: kind, Purchase: r.Purchase.ID, Reason: v.form("reason")}
	if kind == care.AskGoodwill {
		if a.Amount, ok = v.money(v.form("amount")); !ok {
			v.problem(http.StatusUnprocessableEntity, "amount_wrong")
			return
		}
		a.Product = v.form("product")
	}
	if kind == care.AskAnswer && a.Reason == "" {
		a.Reason = v.Say("ask_answer")
	}
	made, err := c.cfg.Care.Ask(v.r.Context(), v.who, a)
	switch {
	case errors.Is(err, care.ErrTwice):
		v.problem(http.StatusConflict, "twice")
	case err != nil:
		v.fail(err)
	default:
		v.see("/purchases/" + v.cfg.References.Reference(r.Purchase.ID).String() + "?done=asked_" + made.Stage.String())
	}
}

// money reads an amount as people write it, with spaces between thousands. ok is false
// for what is no amount.
func (v *visit) money(text string) (minor int64, ok bool) {
	text = strings.NewReplacer(" ", "", "\u00a0", "", "\u202f", "").Replace(text)
	amount, err := catalogue.ParseAmount(text, v.cfg.Sales.Catalogue().Currency())
	return amount.Minor, err == nil
}
