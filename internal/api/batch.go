package api

import (
	"context"
	"fmt"

	"tenu/internal/purchase"
	"tenu/internal/sale"
)

// batchMost is how many purchases one batch may hold, and batchLimit the bytes
// of its body: enough for as many whose every field is as long as it may be.
const (
	batchMost  = 1000
	batchLimit = 1 << 20
)

// batchBody is the body of a batch's request.
type batchBody struct {
	Purchases []batchItem `json:"purchases" minItems:"1" maxItems:"1000" nullable:"false" doc:"What to buy." example:"[{\"idempotency_key\":\"pay-2024-07-0001\",\"product\":\"airtime\",\"number\":\"70 11 22 33\",\"amount\":1050}]"`

	flaw *Problem // of the whole; a purchase's own is its own
}

// batchItem is one purchase of a batch: the body of one, with its key.
type batchItem struct {
	Key string `json:"idempotency_key" doc:"What the Idempotency-Key header is to a single purchase: 1 to 64 printable ASCII characters without spaces." example:"pay-2024-07-0001"`
	WishBody
}

var (
	batchFields = []string{"purchases"}
	itemFields  = append([]string{"idempotency_key"}, wishFields...)
)

// readBatch reads the body; what is wrong with it as a whole is its flaw. No more
// than the first purchase too many is read.
func readBatch(data []byte) batchBody {
	members, p := readObject(data, batchFields)
	if p != nil {
		return batchBody{flaw: p}
	}
	list := cursor{text: members.member("purchases")}
	if len(list.text) == 0 || list.text[0] != '[' {
		return batchBody{flaw: problem(CodeBody, "purchases must be a list").of("purchases")}
	}
	var b batchBody
	list.at++
	for list.more(']') {
		switch {
		case list.next() != '{':
			p = problem(CodeBody, fmt.Sprintf("purchase %d of the list is not a JSON object", len(b.Purchases)+1)).of("purchases")
		case len(b.Purchases) == batchMost:
			p = tooMany(batchMost)
		}
		if p != nil {
			return batchBody{flaw: p}
		}
		b.Purchases = append(b.Purchases, readItem(&list))
	}
	if len(b.Purchases) == 0 {
		return batchBody{flaw: problem(CodeBatch, "there is no purchase in the list").of("purchases")}
	}
	return b
}

func tooMany(most int) *Problem {
	return problem(CodeBatch, fmt.Sprintf("at most %d purchases are taken at once", most)).of("purchases")
}

// readItem reads the next of a batch's purchases; what is wrong with it is its flaw.
func readItem(list *cursor) batchItem {
	one := cursor{text: list.value()}
	members, p := one.object(itemFields)
	if p != nil {
		return batchItem{WishBody: WishBody{flaw: p}}
	}
	item := batchItem{WishBody: wishOf(members)}
	raw := members.member("idempotency_key")
	if raw != nil {
		item.Key, _ = unquote(raw)
	}
	switch {
	case raw == nil:
		p = problem(Code(sale.CodeKeyInvalid), "idempotency_key is missing")
	case !keepable(item.Key):
		p = problem(Code(sale.CodeKeyInvalid), "idempotency_key must be a string of 1 to 64 printable ASCII characters without spaces")
	default:
		return item
	}
	return batchItem{WishBody: WishBody{flaw: p.of("idempotency_key")}}
}

type batchIn struct {
	Prefer string `header:"Prefer" doc:"\u0060wait=N\u0060 holds the answer until every purchase has its outcome, at most N seconds and 30." example:"wait=10"`
	Body   batchBody
}

type batchOut struct {
	Applied string `header:"Preference-Applied" doc:"The wait that was granted."`
	Body    Batch
}

// Batch is what became of the purchases of a batch.
type Batch struct {
	Answers []Answer `json:"answers" nullable:"false" doc:"One for each purchase, in the order of the request."`
}

// Answer is what the request for one purchase would have been answered: a
// purchase or a problem.
type Answer struct {
	Key      string    `json:"idempotency_key,omitempty" doc:"The purchase's key, if it has a valid one." example:"pay-2024-07-0001"`
	Status   int       `json:"status" doc:"The HTTP status that the purchase alone would have been answered with." example:"201"`
	Purchase *Purchase `json:"purchase,omitempty" doc:"The purchase, with the status 201 if it was made now and 200 if it had been made before under its key."`
	Problem  *Problem  `json:"problem,omitempty" doc:"Why it was refused, with any other status."`
}

// buyBatch makes the purchases of a batch, each by itself.
//
// The answer's status is 200 whatever became of them: the batch was taken and
// each answer says how its purchase fared. 207 would say no more, and its body is
// WebDAV's (RFC 4918 section 13): what stands between may take it for that.
func (a *API) buyBatch(ctx context.Context, in *batchIn) (*batchOut, error) {
	items := in.Body.Purchases
	if in.Body.flaw != nil {
		return nil, in.Body.flaw
	}
	c := callOf(ctx)
	if most := batchOf(c.client); len(items) > most {
		return nil, tooMany(most)
	}
	if p := c.stay.grow(len(items), a.clock.Now()); p != nil {
		return nil, p
	}
	ws, places := make([]sale.Wish, 0, len(items)), make([]int, 0, len(items))
	for i := range items {
		if items[i].flaw == nil {
			ws, places = append(ws, a.wish(&items[i].WishBody, c.client, items[i].Key)), append(places, i)
		}
	}
	wait := preferredWait(in.Prefer)
	bought := a.sell(ctx, ws, wait)
	answers := make([]Answer, len(items))
	for i, at := range places {
		answers[at] = a.answer(&items[at], &bought[i])
	}
	a.count(c, items, answers)
	return &batchOut{Applied: applied(wait), Body: Batch{answers}}, nil
}

// answer is what one purchase of a batch is answered.
func (a *API) answer(item *batchItem, bought *purchase.Bought) Answer {
	if bought.Err != nil {
		item.flaw = refusal(bought.Err, item.Language)
		return Answer{}
	}
	view := a.view(&bought.Purchase)
	return Answer{Status: made(bought.Replay), Purchase: &view}
}

// count completes the answers of what was refused, and counts them all.
func (a *API) count(c *call, items []batchItem, answers []Answer) {
	by := map[int]int{}
	for i := range answers {
		to := &answers[i]
		to.Key = items[i].Key
		if p := items[i].flaw; p != nil {
			to.Status, to.Problem, p.Instance = p.Status, p, instance(c.id)
			if c.cause == nil {
				c.cause = p.cause // one for all, or an outage would flood the log
			}
		}
		by[to.Status]++
	}
	for status, n := range by {
		a.meter.Batched(c.client.Name, status, n)
	}
	c.items = len(items)
	c.refused = c.items - by[made(false)] - by[made(true)]
}
