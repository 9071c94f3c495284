package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tenu/internal/auth"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

var problemType = reflect.TypeFor[Problem]()

// waitMost caps what Prefer: wait may ask for.
const waitMost = 30 * time.Second

// WishBody is the body of a purchase's request. It reads itself, because a
// request that moves money is read more strictly than encoding/json does.
type WishBody struct {
	Product  string `json:"product" doc:"The product's code." example:"airtime"`
	Number   string `json:"number" doc:"Who receives, as people write it." example:"70 11 22 33"`
	Payer    string `json:"payer,omitempty" required:"false" doc:"Who pays; the recipient when absent." example:"76 44 55 66"`
	Amount   int64  `json:"amount,omitempty" required:"false" doc:"What the customer pays, a whole number of the currency's minor unit. Needed for airtime; for a bundle it may be absent or is its price." example:"1050"`
	Currency string `json:"currency,omitempty" required:"false" doc:"The amount's currency; the product's when absent." example:"XOF"`
	PayWith  string `json:"pay_with,omitempty" required:"false" doc:"One of the product's pay_with: a wallet, or balance for the payer's main balance; the product's first when absent." example:"wallet"`
	Language string `json:"language,omitempty" required:"false" enum:"fr,en" doc:"In which the customer is told; French when absent." example:"fr"`
	Again    bool   `json:"again,omitempty" required:"false" doc:"The customer was asked and wants a second purchase like a recent one." example:"true"`

	hasAmount bool
	flaw      *Problem
}

var wishFields = []string{"product", "number", "payer", "amount", "currency", "pay_with", "language", "again"}

// unmarshal is huma's reader of bodies.
func unmarshal(data []byte, v any) error {
	switch body := v.(type) {
	case *WishBody:
		*body = readWish(data)
	case *batchBody:
		*body = readBatch(data)
	default:
		return fmt.Errorf("no reader for %T", v)
	}
	return nil
}

// readWish reads the body; what is wrong with it is its flaw.
func readWish(data []byte) WishBody {
	members, p := readObject(data, wishFields)
	if p != nil {
		return WishBody{flaw: p}
	}
	return wishOf(members)
}

// wishOf reads a wish's members; what is wrong with them is its flaw.
func wishOf(members object) WishBody {
	var b WishBody
	var p *Problem
	text := func(name string, limit int) string {
		s, flaw := members.text(name, limit)
		if p == nil {
			p = flaw
		}
		return s
	}
	b.Product, b.Number, b.Payer = text("product", 64), text("number", 64), text("payer", 64)
	b.Currency, b.PayWith, b.Language = text("currency", 3), text("pay_with", 16), text("language", 2)
	again, flaw := members.flag("again")
	if p == nil {
		p = flaw
	}
	b.Again = again
	if p == nil {
		p = b.readAmount(members)
	}
	switch {
	case p != nil:
	case b.Product == "":
		p = problem(CodeBody, "product is missing").of("product")
	case b.Number == "":
		p = problem(CodeBody, "number is missing").of("number")
	}
	b.flaw = p
	return b
}

func (b *WishBody) readAmount(members object) *Problem {
	var err error
	b.Amount, b.hasAmount, err = members.whole("amount")
	switch {
	case errors.Is(err, errTooLarge):
		return problem(Code(sale.CodeAmountAbove), "amount does not fit in 64 bits").of("amount")
	case errors.Is(err, errFraction):
		return problem(Code(sale.CodeAmountFraction), "amount must be a whole number of "+unitOf(b.Currency)+", written with digits alone").of("amount")
	case err != nil:
		return problem(Code(sale.CodeAmountMalformed), "amount must be a number, written with digits alone").of("amount")
	}
	return nil
}

// unitOf is what an amount counts, for people.
func unitOf(code string) string {
	c, err := money.ParseCurrency(orElse(code, string(money.XOF)))
	switch {
	case err != nil:
		return "the currency's minor unit"
	case c.Digits() > 0:
		return "the minor unit of " + code
	}
	return strings.TrimPrefix(money.Amount{Currency: c}.String(), "0 ")
}

// wish is the body as the sales desk takes it.
func (a *API) wish(b *WishBody, c *auth.Client, key string) sale.Wish {
	w := sale.Wish{Client: c.Name, ClientKey: key, Channel: c.Channel, Language: b.Language, Number: b.Number,
		Payer: b.Payer, Product: b.Product, Currency: b.Currency, PayWith: b.PayWith, Again: b.Again}
	if b.hasAmount {
		currency := money.Currency(orElse(b.Currency, string(a.desk.Catalogue().Currency())))
		w.Amount = money.Amount{Minor: b.Amount, Currency: currency}.Decimal()
	}
	return w
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

type buyIn struct {
	IdempotencyKey string `header:"Idempotency-Key" required:"true" doc:"Chosen by the client for this purchase and used again for each repetition: 1 to 64 printable ASCII characters without spaces; a UUID does well." example:"8e03978e-40d5-43dd-bc93-6894a57f9324"`
	Prefer         string `header:"Prefer" doc:"\u0060wait=N\u0060 holds the answer for the outcome, at most N seconds and 30." example:"wait=10"`
	Body           WishBody
}

type buyOut struct {
	Status   int
	Location string `header:"Location" doc:"Where the purchase is."`
	Applied  string `header:"Preference-Applied" doc:"The wait that was granted."`
	Body     Purchase
}

// buy makes a purchase.
func (a *API) buy(ctx context.Context, in *buyIn) (*buyOut, error) {
	key, p := clientKey(in.IdempotencyKey)
	if p != nil {
		return nil, p
	}
	if in.Body.flaw != nil {
		return nil, in.Body.flaw
	}
	wait := preferredWait(in.Prefer)
	bought := a.sell(ctx, []sale.Wish{a.wish(&in.Body, callOf(ctx).client, key)}, wait)[0]
	if bought.Err != nil {
		return nil, refusal(bought.Err, in.Body.Language)
	}
	callOf(ctx).about = bought.Purchase.ID
	out := &buyOut{Status: made(bought.Replay), Applied: applied(wait), Body: a.view(&bought.Purchase)}
	out.Location = "/v1/purchases/" + out.Body.Reference
	return out, nil
}

// sell makes purchases, and holds the answers for their outcomes at most for wait.
func (a *API) sell(ctx context.Context, ws []sale.Wish, wait time.Duration) []purchase.Bought {
	answers := a.desk.BuyAll(ctx, ws)
	if wait <= 0 {
		return answers
	}
	open := make([]*purchase.Purchase, 0, len(answers))
	for i := range answers {
		if answers[i].Err == nil {
			open = append(open, &answers[i].Purchase)
		}
	}
	if err := a.settle(ctx, open, wait); err != nil {
		// They are made: a failure to follow them must not hide that.
		callOf(ctx).cause = err
	}
	return answers
}

// made is the status of a purchase that is made, now or before.
func made(replay bool) int {
	if replay {
		return http.StatusOK
	}
	return http.StatusCreated
}

// applied says which wait was granted.
func applied(wait time.Duration) string {
	if wait <= 0 {
		return ""
	}
	return "wait=" + strconv.Itoa(int(wait/time.Second))
}

// clientKey checks the Idempotency-Key. The quotes of a structured field
// (draft-ietf-httpapi-idempotency-key-header) are not part of it.
func clientKey(header string) (string, *Problem) {
	key := header
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	switch {
	case header == "":
		return "", problem(Code(sale.CodeKeyInvalid), "the Idempotency-Key header is missing")
	case !keepable(key):
		return "", problem(Code(sale.CodeKeyInvalid), "the Idempotency-Key must have 1 to 64 printable ASCII characters and no space")
	}
	return key, nil
}

// keepable reports whether a text can be a client's key.
func keepable(key string) bool {
	return key != "" && len(key) <= 64 && !strings.ContainsFunc(key, func(ch rune) bool { return ch <= ' ' || ch > '~' })
}

// preferredWait reads wait=N from a Prefer header (RFC 7240 section 4.3), capped.
// What it does not understand is ignored, as section 2 asks for.
func preferredWait(header string) time.Duration {
	for preference := range strings.SplitSeq(header, ",") {
		token, _, _ := strings.Cut(preference, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(token), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 32)
		if err != nil {
			return 0 // the first one counts
		}
		return min(time.Duration(seconds)*time.Second, waitMost)
	}
	return 0
}

type getIn struct {
	Reference string `path:"reference" doc:"As people write it: any case, hyphens or not." example:"K7M2-Q4XD-9T"`
}

type getOut struct{ Body Purchase }

// get shows a purchase with its timeline.
func (a *API) get(ctx context.Context, in *getIn) (*getOut, error) {
	record, p := a.own(ctx, in.Reference)
	if p != nil {
		return nil, p
	}
	out := &getOut{a.view(&record.Purchase)}
	out.Body.Timeline = timeline(record)
	return out, nil
}

// own returns a purchase of the calling client. Another client's is answered as
// one that does not exist.
func (a *API) own(ctx context.Context, reference string) (*purchase.Record, *Problem) {
	id, err := a.keys.Parse(reference)
	if err != nil {
		return nil, problem(CodeReference, "a reference has ten characters, the last of which checks the others: look again")
	}
	record, err := a.load(ctx, id)
	switch {
	case errors.Is(err, purchase.ErrNotFound):
		return nil, problem(CodePurchase, "")
	case err != nil:
		return nil, refusal(err, "")
	case record.Purchase.Client != callOf(ctx).client.Name:
		return nil, problem(CodePurchase, "")
	}
	callOf(ctx).about = id
	return record, nil
}

type listIn struct {
	Number string `query:"number" required:"true" maxLength:"64" doc:"The payer's or the recipient's number, as people write it." example:"70112233"`
	Cursor string `query:"cursor" maxLength:"32" doc:"Where the page before ended, from its next."`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"How many at most."`
}

type listOut struct {
	Body struct {
		Purchases []Purchase `json:"purchases" doc:"Newest first."`
		Next      string     `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
	}
}

// list returns a page of a number's purchases. The cursor is the reference of
// the last one shown: it can be checked, tells nothing, and never grows stale.
func (a *API) list(ctx context.Context, in *listIn) (*listOut, error) {
	page := purchase.Page{Client: callOf(ctx).client.Name, Limit: in.Limit + 1}
	var err error
	if page.Number, _, err = a.numbers.Parse(in.Number); err != nil {
		return nil, badNumber(err, "number")
	}
	if in.Cursor != "" {
		if page.Before, err = a.keys.Parse(in.Cursor); err != nil {
			return nil, problem(CodeCursor, "use the next of the page before as it stands")
		}
	}
	found, err := a.purchases.List(ctx, page)
	if err != nil {
		return nil, refusal(fmt.Errorf("list purchases: %w", err), "")
	}
	out := &listOut{}
	out.Body.Purchases = make([]Purchase, 0, len(found))
	for i := range found[:min(len(found), in.Limit)] {
		out.Body.Purchases = append(out.Body.Purchases, a.view(&found[i]))
	}
	if len(found) > in.Limit {
		out.Body.Next = string(a.keys.Reference(found[in.Limit-1].ID))
	}
	return out, nil
}

var _ huma.StatusError = (*Problem)(nil)
