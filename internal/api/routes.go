package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tenu/internal/auth"
	"tenu/internal/sale"
)

// metaStream marks operations that are counted as streams, not as requests.
const metaStream = "stream"

// The tags, in the order of the page.
const (
	purchases = "Purchases"
	products  = "Products"
	lines     = "Lines"
	itself    = "Deployment"
	partners  = "Partners"
)

// route registers the whole surface.
func (a *API) route(version string) error {
	h := a.huma(version)

	huma.Register(h, huma.Operation{
		OperationID: "buy", Method: http.MethodPost, Path: "/v1/purchases", Tags: []string{purchases},
		Summary:     "Buy airtime or a bundle",
		Description: buyDoc, Security: needs(auth.PurchasesWrite), DefaultStatus: http.StatusCreated,
		SkipValidateParams: true, SkipValidateBody: true, BodyReadTimeout: -1, MaxBodyBytes: bodyLimit + 1,
		Responses: repeated(refusals("201", "The purchase is made: its intent is durable.", keyed(CodeBody, CodeBodyLarge, CodeBodyType), wishCodes)),
	}, a.buy)

	huma.Register(h, huma.Operation{
		OperationID: "buy-batch", Method: http.MethodPost, Path: "/v1/purchases/batch", Tags: []string{purchases},
		Summary:     "Buy up to 1000 times at once",
		Description: batchDoc, Security: needs(auth.PurchasesWrite),
		SkipValidateParams: true, SkipValidateBody: true, BodyReadTimeout: -1, MaxBodyBytes: batchLimit + 1,
		Responses: refusals("200", "The answers.", keyed(CodeBatch, CodeBody, CodeBodyLarge, CodeBodyType)),
	}, a.buyBatch)

	huma.Register(h, huma.Operation{
		OperationID: "list-purchases", Method: http.MethodGet, Path: "/v1/purchases", Tags: []string{purchases},
		Summary:     "List a number's purchases",
		Description: "The client's own purchases that the number paid for or received, newest first.",
		Security:    needs(auth.PurchasesRead),
		Responses:   refusals("200", "A page of purchases.", keyed(CodeCursor, CodeRequest), numberCodes),
	}, a.list)

	huma.Register(h, huma.Operation{
		OperationID: "get-purchase", Method: http.MethodGet, Path: "/v1/purchases/{reference}", Tags: []string{purchases},
		Summary:     "Show a purchase with its timeline",
		Description: "Another client's purchase is answered as one that does not exist.",
		Security:    needs(auth.PurchasesRead),
		Responses:   refusals("200", "The purchase.", keyed(CodeReference, CodePurchase)),
	}, a.get)

	a.routeReceipt(h)

	huma.Register(h, huma.Operation{
		OperationID: "watch-purchase", Method: http.MethodGet, Path: "/v1/purchases/{reference}/events", Tags: []string{purchases},
		Summary:     "Follow a purchase as server-sent events",
		Description: eventsDoc, Security: needs(auth.PurchasesRead), Metadata: map[string]any{metaStream: true},
		Responses: streamed(refusals("200", "The stream of events.", keyed(CodeReference, CodePurchase, CodeRequest))),
	}, a.events)

	huma.Register(h, huma.Operation{
		OperationID: "list-products", Method: http.MethodGet, Path: "/v1/products", Tags: []string{products},
		Summary:   "List what is on sale now",
		Security:  needs(auth.ProductsRead),
		Responses: refusals("200", "The products.", keyed(CodeRequest), numberCodes),
	}, a.products)

	huma.Register(h, huma.Operation{
		OperationID: "get-balance", Method: http.MethodGet, Path: "/v1/lines/{number}/balance", Tags: []string{lines},
		Summary:   "Ask the charging system for a line's balance",
		Security:  needs(auth.BalanceRead),
		Responses: refusals("200", "The balances.", keyed(CodeRequest), numberCodes, []sale.Code{sale.CodeLineUnknown}),
	}, a.balance)

	huma.Register(h, huma.Operation{
		OperationID: "get-deployment", Method: http.MethodGet, Path: "/v1/deployment", Tags: []string{itself},
		Summary:     "Say what this installation is",
		Description: "Whether it is a test deployment, by when it keeps what, and where its partners' switches are if it is one: for `tenu drill --against`.",
		Security:    needs(auth.PurchasesRead),
		Responses:   refusals("200", "The installation.", keyed()),
	}, a.deployed)

	a.routeCallbacks(h)
	return a.pages(h.OpenAPI())
}

// routeCallbacks registers what partners tell by themselves.
func (a *API) routeCallbacks(h huma.API) {
	for _, method := range []string{http.MethodPut, http.MethodPost} {
		huma.Register(h, huma.Operation{
			OperationID: "callback-" + map[string]string{http.MethodPut: "put", http.MethodPost: "post"}[method],
			Method:      method, Path: "/callbacks/{partner}", Tags: []string{partners},
			Summary:     "Take what a partner tells by itself",
			Description: callbackDoc, DefaultStatus: http.StatusNoContent, BodyReadTimeout: -1, MaxBodyBytes: callbackLimit + 1,
			Responses: refusals("204", "The news is durable.", []Code{CodeCallbackBody, CodeCallback, CodeBodyLarge, CodeUnavailable}),
		}, a.callback)
	}
}

// routeReceipt registers what concerns a purchase's receipt.
func (a *API) routeReceipt(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "get-receipt", Method: http.MethodGet, Path: "/v1/purchases/{reference}/receipt", Tags: []string{purchases},
		Summary:     "Get a purchase's newest signed receipt",
		Description: receiptDoc, Security: needs(auth.PurchasesRead),
		Responses: refusals("200", "The receipt.", keyed(CodeReference, CodePurchase, CodeReceipt, CodeRequest)),
	}, a.receipt)
}

// pages adds what is not part of the document, the document itself included.
func (a *API) pages(doc *huma.OpenAPI) error {
	// huma's own problems are turned into ours (sign), so nobody meets them.
	for _, foreign := range []string{"ErrorModel", "ErrorDetail"} {
		delete(doc.Components.Schemas.Map(), foreign)
	}
	document, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("write the OpenAPI document: %w", err)
	}
	page, err := renderPage(doc)
	if err != nil {
		return fmt.Errorf("render the API's page: %w", err)
	}
	a.mux.Handle("GET /openapi.json", constant("application/openapi+json", document))
	a.mux.Handle("GET /docs", page)
	a.mux.Handle("GET /docs.css", constant("text/css; charset=utf-8", pageStyle))
	a.mux.Handle("GET /{$}", http.RedirectHandler("/docs", http.StatusSeeOther))
	a.mux.HandleFunc("GET /healthz", alive)
	a.mux.HandleFunc("GET /readyz", a.ready)
	return nil
}

const (
	buyDoc = "Answers as soon as the intent is durable: the purchase then ends credited, refunded or declined, whatever " +
		"fails on the way. `Prefer: wait=N` (RFC 7240) holds the answer until the outcome, at most N and never more than " +
		"30 seconds. The same Idempotency-Key with the same body is the same purchase, answered with 200; with another " +
		"body it is refused with 409. Repeat with the same key after any 5xx or broken connection. A like purchase within " +
		"a short time is refused with `ask_first`: ask the customer, then repeat with `again`."
	batchDoc = "For resellers and salaries: each purchase of the list is made or refused by itself, under its own key, and has " +
		"its own answer with the status and the body that `POST /v1/purchases` would have given; a problem's `code` is one of " +
		"those listed there. The answer is 200 even if all were refused; any other status means that nothing was bought at " +
		"all. Two purchases of a batch with one key are one purchase or a conflict; a like one is answered with `ask_first`. " +
		"Without `Prefer: wait=N` the answer comes when each intent is durable, with it when each has its outcome. Repeat " +
		"the whole batch after any 5xx or broken connection: what was bought is answered with 200 and not bought again. The " +
		"client's limits of requests per second and under way count each purchase."
	eventsDoc = "One event `purchase` for the present state and one after each change; the event's id is the purchase's " +
		"version. Comments keep the connection alive. The stream ends with the final state; a reconnection with the last " +
		"id is then answered with 204. A server that is about to stop ends the stream early: reconnect."
	receiptDoc = "For the payer alone, who can check it without asking anybody: `text` is a C2SP signed-note, which the page at " +
		"the link's address checks without a network; the keys are served beside it at /receipts/keys. There is none while the " +
		"payer is being asked, and none after the payer's data was erased. A later receipt of the same purchase has a higher sequence."
	callbackDoc = "For the partners' own systems, authenticated as agreed with each. 204 is answered once the news is " +
		"durable; a repetition is answered likewise and changes nothing."
)

// huma returns the frame of the OpenAPI document, with our own encoding, guard and problems.
func (a *API) huma(version string) huma.API {
	encoding := huma.Format{Unmarshal: unmarshal, Marshal: marshal}
	h := humago.New(a.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "tenu", Version: version, Description: "Airtime and bundles, kept as promised: a purchase " +
				"that is confirmed has been credited, and money that was taken is credited or given back."},
			Tags: []*huma.Tag{
				{Name: purchases, Description: "Buying, and what became of it."},
				{Name: products, Description: "What is sold."},
				{Name: lines, Description: "What a customer's line holds."},
				{Name: itself, Description: "What this installation is."},
				{Name: partners, Description: "What wallets and charging systems tell."},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{scheme: {Type: "http", Scheme: "bearer",
					Description: "`Authorization: Bearer tenu_<client>_<secret>`"}},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": encoding, "json": encoding},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{sign},
	})
	h.UseMiddleware(a.guard)
	h.OpenAPI().Components.Schemas.Schema(problemType, true, "Problem")
	return h
}

// sign gives every problem its instance, keeps its cause for the log, and turns
// huma's own refusals into ours.
func sign(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*Problem)
	if m, foreign := v.(*huma.ErrorModel); foreign {
		p, ok = adopt(m), true
	}
	if !ok {
		return v, nil
	}
	c := callOf(ctx.Context())
	c.cause = p.cause
	p.Instance = instance(c.id)
	return p, nil
}

// numberCodes are what the sales desk refuses a number with, wishCodes a wish.
var (
	numberCodes = []sale.Code{sale.CodeNumberMalformed, sale.CodeNumberForeign, sale.CodeNumberFixed,
		sale.CodeNumberService, sale.CodeNumberUnassigned}
	wishCodes = append([]sale.Code{sale.CodeKeyInvalid, sale.CodeKeyReused, sale.CodeAskFirst,
		sale.CodeProductUnknown, sale.CodeProductOff, sale.CodeProductLine, sale.CodePayWith, sale.CodeCurrency,
		sale.CodeAmountMissing, sale.CodeAmountMalformed, sale.CodeAmountZero, sale.CodeAmountNegative,
		sale.CodeAmountFraction, sale.CodeAmountBelow, sale.CodeAmountAbove, sale.CodeAmountStep, sale.CodeAmountPrice,
		sale.CodePaused, sale.CodeBusy}, numberCodes...)
)

// keyed adds to an operation's own problems those of every operation that a key is needed for.
func keyed(own ...Code) []Code {
	return append(own, CodeKey, CodeScope, CodeRate, CodeCrowded, CodeUnavailable)
}

// refusals documents an operation's answers: the good one, and the problems by status.
func refusals(good, description string, own []Code, desk ...[]sale.Code) map[string]*huma.Response {
	responses := map[string]*huma.Response{good: {Description: description}}
	for _, list := range desk {
		for _, code := range list {
			own = append(own, Code(code))
		}
	}
	for _, code := range append(own, CodeInternal) {
		p := problem(code, "")
		status := fmt.Sprint(p.Status)
		line := "`" + string(code) + "`: " + p.Title + "."
		if r := responses[status]; r != nil {
			r.Description += " " + line
			continue
		}
		responses[status] = &huma.Response{Description: line, Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}}}
	}
	return responses
}

// repeated says that the good answer to a repetition has a status of its own.
func repeated(responses map[string]*huma.Response) map[string]*huma.Response {
	responses["200"] = &huma.Response{Description: "The purchase had been made before under this key.",
		Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/Purchase"}}}}
	return responses
}

// streamed says that the good answer is a stream of events.
func streamed(responses map[string]*huma.Response) map[string]*huma.Response {
	responses["200"].Content = map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}
	responses["204"] = &huma.Response{Description: "The final state was seen already: do not reconnect."}
	return responses
}

// constant answers with the same bytes always.
func constant(kind string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(body) // a client that left needs no answer
	})
}

// alive answers that the process runs.
func alive(w http.ResponseWriter, r *http.Request) {
	constant("application/json", []byte(`{"status":"alive"}`+"\n")).ServeHTTP(w, r)
}

// ready answers whether purchases are admitted.
func (a *API) ready(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	if err := a.engine.Ready(); err != nil {
		p := problem(CodeUnavailable, "purchases are not admitted now").because(err)
		c.cause, p.Instance = err, instance(c.id)
		p.write(w)
		return
	}
	constant("application/json", []byte(`{"status":"ready"}`+"\n")).ServeHTTP(w, r)
}
