package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tenu/internal/api"
	"tenu/internal/auth"
)

// batchOf is the body of a batch.
func batchOf(items ...string) string { return `{"purchases":[` + strings.Join(items, ",") + `]}` }

// itemOf is one purchase of a batch, of an amount for a number.
func itemOf(key, number string, amount int) string {
	return fmt.Sprintf(`{"idempotency_key":%q,"product":"airtime","number":%q,"amount":%d}`, key, number, amount)
}

// batch returns the answers, checked for what every one must have.
func (a *answer) batch(t *testing.T) []api.Answer {
	t.Helper()
	var b api.Batch
	if err := json.Unmarshal(a.body, &b); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v", a.Status, a.body, err)
	}
	for i, each := range b.Answers {
		if (each.Purchase == nil) == (each.Problem == nil) || (each.Purchase != nil) != (each.Status < 300) {
			t.Fatalf("answer %d is neither a purchase nor a problem: %+v", i, each)
		}
		if p := each.Problem; p != nil && (p.Status != each.Status || p.Title == "" || p.Type != "/docs#"+string(p.Code) ||
			p.Instance != "urn:tenu:request:"+a.Header.Get("X-Request-Id")) {
			t.Errorf("answer %d: incomplete problem: %+v", i, p)
		}
	}
	return b.Answers
}

// Each purchase of a batch is answered as it would be alone, in the order of the
// request, and the refusal of one is nothing to the others.
func TestBatch(t *testing.T) {
	r := start(t, nil)
	early := r.do("POST", "/v1/purchases", airtime, "Idempotency-Key: early").purchase(t)
	body := batchOf(itemOf("one", "70 11 22 01", 1050), itemOf("two", "70 11 22 02", 50), itemOf("three", "70 11 22 03", 1050),
		itemOf("one", "70 11 22 01", 1050), itemOf("one", "70 11 22 01", 2000), itemOf("like", "70 11 22 03", 1050),
		itemOf("early", "70 11 22 33", 1050), itemOf("a b", "70 11 22 04", 1050), `{"idempotency_key":"x","prodcut":"airtime"}`,
		`{"product":"airtime","number":"70112205","amount":1050}`, `{"idempotency_key":7,"product":"airtime","number":"70112205","amount":1050}`,
		`{"idempotency_key":"y","product":"airtime","number":"70112205","amount":10.50}`)
	first := r.do("POST", "/v1/purchases/batch", body, "Idempotency-Key:", "Prefer: wait=20")
	answers := first.batch(t)
	want := []struct {
		key    string
		status int
		code   api.Code
	}{
		{"one", 201, ""}, {"two", 422, "amount_below_minimum"}, {"three", 201, ""}, {"one", 200, ""}, {"one", 409, "idempotency_key_reused"},
		{"like", 409, "ask_first"}, {"early", 200, ""}, {"", 400, "idempotency_key_invalid"}, {"", 400, "body_malformed"},
		{"", 400, "idempotency_key_invalid"}, {"", 400, "idempotency_key_invalid"}, {"y", 422, "amount_fraction"},
	}
	for i, w := range want {
		got := answers[i]
		if got.Key != w.key || got.Status != w.status || w.code != "" && got.Problem.Code != w.code || w.code == "" && got.Purchase.State != "credited" {
			t.Errorf("answer %d: %+v %+v, want %+v", i, got, got.Problem, w)
		}
	}
	if first.Header.Get("Preference-Applied") != "wait=20" || answers[3].Purchase.Reference != answers[0].Purchase.Reference ||
		answers[6].Purchase.Reference != early.Reference || answers[5].Problem.Earlier != answers[2].Purchase.Reference {
		t.Errorf("got %v, %s", first.Header, first.body)
	}
	if n := r.written(); n != 3 {
		t.Errorf("%d purchases were made, want 3", n)
	}
	again := r.do("POST", "/v1/purchases/batch", body).batch(t)
	for i, w := range want {
		if w.status == 201 {
			w.status = 200
		}
		if again[i].Status != w.status {
			t.Errorf("repeated: answer %d: %+v %+v, want %d", i, again[i], again[i].Problem, w.status)
		}
	}
	if n := r.written(); n != 3 {
		t.Errorf("the repetition made %d purchases", n-3)
	}
	if text := r.log.text(); !strings.Contains(text, "purchases=12 refused=8") {
		t.Errorf("the log says %s", text)
	}
}

// A thousand are taken, with every field as long as it may be.
func TestBatchOfMost(t *testing.T) {
	r := start(t, func(_ *rig, clients []auth.Client) { clients[0].InFlight = 1000 })
	items := make([]string, 1000)
	for i := range items {
		items[i] = fmt.Sprintf(`{"idempotency_key":"%064d","product":"airtime","number":"70%06d","payer":"76%06d","amount":1050,"currency":"XOF","pay_with":"wallet","language":"fr","again":false}`,
			i, i, i) + strings.Repeat(" ", 800)
	}
	a := r.do("POST", "/v1/purchases/batch", batchOf(items...), "Prefer: wait=30")
	for i, each := range a.batch(t) {
		if each.Status != http.StatusCreated || each.Purchase.Recipient.Number != fmt.Sprintf("+22670%06d", i) || each.Purchase.State != "credited" {
			t.Fatalf("answer %d: %+v %+v", i, each.Purchase, each.Problem)
		}
	}
	refused := r.do("POST", "/v1/purchases/batch", batchOf(append(items, items[0])...))
	if p := refused.problem(t); p.Code != api.CodeBatch || p.Status != 422 || r.written() != 1000 {
		t.Errorf("one too many: %s, %d written", refused.body, r.written())
	}
	page := httptest.NewRecorder()
	r.metrics.Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if !strings.Contains(page.Body.String(), `tenu_batch_purchases_total{client="shop",status="201"} 1000`) {
		t.Error("the purchases of the batch are not counted")
	}
}

// What is wrong with the whole is one refusal, and nothing is bought.
func TestBatchRefused(t *testing.T) {
	r := start(t, nil)
	good := itemOf("k", "70112233", 1050)
	for name, c := range map[string]struct {
		body   string
		status int
		code   api.Code
		detail string
	}{
		"empty":            {batchOf(), 422, api.CodeBatch, "there is no purchase"},
		"no list":          {`{}`, 400, api.CodeBody, "purchases must be a list"},
		"null":             {`{"purchases":null}`, 400, api.CodeBody, "purchases must be a list"},
		"object":           {`{"purchases":` + good + `}`, 400, api.CodeBody, "purchases must be a list"},
		"bare list":        {`[` + good + `]`, 400, api.CodeBody, "must be one JSON object"},
		"other member":     {`{"purchases":[` + good + `],"all_or_nothing":true}`, 400, api.CodeBody, `unknown field "all_or_nothing"`},
		"twice":            {`{"purchases":[],"purchases":[` + good + `]}`, 400, api.CodeBody, "given twice"},
		"no objects":       {batchOf(good, `"x"`), 400, api.CodeBody, "purchase 2 of the list is not a JSON object"},
		"not JSON":         {`{"purchases":[` + good + `,]}`, 400, api.CodeBody, "not JSON at byte"},
		"cut short":        {`{"purchases":[` + good, 400, api.CodeBody, "cut short"},
		"deep":             {`{"purchases":[` + strings.Repeat("[", 500_000) + `]}`, 400, api.CodeBody, "not JSON at byte"},
		"too large":        {batchOf(good) + strings.Repeat(" ", 1<<20), 413, api.CodeBodyLarge, "at most 1048576 bytes"},
		"many small items": {`{"purchases":[` + strings.Repeat("{},", 300_000) + `{}]}`, 422, api.CodeBatch, "at most 1000 purchases"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.do("POST", "/v1/purchases/batch", c.body)
			if p := a.problem(t); a.StatusCode != c.status || p.Code != c.code || !strings.Contains(p.Detail, c.detail) {
				t.Errorf("got %s, want %d %s: %s", a.body, c.status, c.code, c.detail)
			}
		})
	}
	for key, code := range map[string]api.Code{r.reader: api.CodeScope, r.expired: api.CodeKey} {
		if p := r.do("POST", "/v1/purchases/batch", batchOf(good), "Authorization: Bearer "+key).problem(t); p.Code != code {
			t.Errorf("got %s, want %s", p.Code, code)
		}
	}
	if n := r.written(); n != 0 {
		t.Errorf("%d purchases were made", n)
	}
}

// The limits of a client count the purchases of a batch.
func TestBatchLimits(t *testing.T) {
	r := start(t, func(r *rig, clients []auth.Client) {
		r.wallet.gate = make(chan struct{})
		clients[0].InFlight = 4
		clients[1].Burst, clients[1].Rate = 4, 0.001
	})
	other := "Authorization: Bearer " + r.other
	three := func(key string, amount int) string {
		return batchOf(itemOf(key+"1", "70112201", amount), itemOf(key+"2", "70112202", amount), itemOf(key+"3", "70112203", amount))
	}
	if p := r.do("POST", "/v1/purchases/batch", `{"purchases":[{},{},{},{},{}]}`).problem(t); p.Code != api.CodeBatch ||
		!strings.Contains(p.Detail, "at most 4") {
		t.Errorf("more than may ever be under way: %+v", p)
	}
	if answers := r.do("POST", "/v1/purchases/batch", three("o", 1000), other).batch(t); answers[2].Status != 201 {
		t.Errorf("got %+v", answers)
	}
	if p := r.do("POST", "/v1/purchases/batch", three("p", 2000), other).problem(t); p.Code != api.CodeRate || p.RetryAfter == 0 {
		t.Errorf("six in a burst of four: %+v", p)
	}

	waiting := make(chan *answer)
	go func() {
		waiting <- r.do("POST", "/v1/purchases/batch", three("s", 3000), "Prefer: wait=30")
	}()
	for r.written() < 6 {
		time.Sleep(time.Millisecond)
	}
	if p := r.do("POST", "/v1/purchases/batch", batchOf(itemOf("t", "70112204", 1050), itemOf("u", "70112205", 1050))).problem(t); p.Code != api.CodeCrowded {
		t.Errorf("five under way of four: %+v", p)
	}
	if a := r.do("POST", "/v1/purchases", airtime); a.StatusCode != http.StatusCreated {
		t.Errorf("four under way: %s", a.body)
	}
	close(r.wallet.gate)
	for _, each := range (<-waiting).batch(t) {
		if each.Status != 201 || each.Purchase.State != "credited" {
			t.Errorf("got %+v", each)
		}
	}
	if a := r.do("POST", "/v1/purchases/batch", batchOf(itemOf("v", "70112206", 1050))); a.batch(t)[0].Status != 201 {
		t.Errorf("after all have left: %s", a.body)
	}
}

// A server that is told to stop ends the wait of a batch with what is known.
func TestBatchDrains(t *testing.T) {
	r := start(t, func(r *rig, _ []auth.Client) { r.wallet.gate = make(chan struct{}) })
	waiting := make(chan *answer)
	go func() {
		waiting <- r.do("POST", "/v1/purchases/batch", batchOf(itemOf("a", "70112201", 1050), itemOf("b", "70112202", 50)), "Prefer: wait=30")
	}()
	for r.written() < 1 {
		time.Sleep(time.Millisecond)
	}
	r.api.Drain()
	answers := (<-waiting).batch(t)
	if answers[0].Status != 201 || answers[0].Purchase.State != "charging" || answers[1].Status != 422 {
		t.Errorf("got %+v", answers)
	}
	close(r.wallet.gate)
}
