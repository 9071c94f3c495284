package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/fuzztest"
)

// unlimited lets a fuzz target ask as often as it can.
func unlimited(_ *rig, clients []auth.Client) {
	for i := range clients {
		clients[i].Rate, clients[i].Burst, clients[i].InFlight = 1e9, 1e9, 1000
	}
}

// ask asks the API without a connection. It returns nil for what no client can send.
func (r *rig) ask(t *testing.T, method, target, body string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil || request.URL.Host != "" || !strings.HasPrefix(target, "/") {
		return nil
	}
	request.Header = header
	if request.ContentLength == 0 {
		request.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	r.api.ServeHTTP(w, request)
	if w.Code >= http.StatusInternalServerError && w.Code != http.StatusServiceUnavailable {
		t.Fatalf("%s %q %q: %d %s\n%s", method, target, body, w.Code, w.Body, r.log.text())
	}
	if w.Code >= http.StatusBadRequest {
		var p api.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Title == "" || p.Instance == "" {
			t.Fatalf("%s %q %q: %d %s", method, target, body, w.Code, w.Body)
		}
		checkProblem(t, &p)
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if strings.Contains(r.log.String(), r.key) {
		t.Errorf("the log holds a key: %s", r.log.String())
	}
	r.log.Reset()
	return w
}

// checkProblem checks that a problem document is short and tells nobody's number.
func checkProblem(t *testing.T, p *api.Problem) {
	t.Helper()
	if len(p.Detail) > 400 {
		t.Errorf("a detail of %d bytes: %s", len(p.Detail), p.Detail)
	}
	if !strings.HasPrefix(p.Detail, "unknown field") { // the sender's own word
		fuzztest.NoNumber(t, p.Detail)
	}
	for _, each := range p.Errors {
		fuzztest.NoNumber(t, each.Message)
	}
}

// FuzzBuy: whatever a client sends is refused, and nothing is written, or makes
// one purchase however often it is sent.
func FuzzBuy(f *testing.F) {
	r := start(f, unlimited)
	f.Add(airtime, "key", "")
	f.Add(`{"product":"data-day","number":"+226 76 11 22 33","payer":"70 11 22 34","again":true,"language":"fr-BF"}`, `"8e03978e-40d5-43dd-bc93-6894a57f9324"`, "wait=0, respond-async")
	f.Add(`{"product":"airtime","number":"70112233","amount":99999999999999999999}`, "k", "wait=99999999999")
	f.Add(`{"product":"airtime","number":"70 11 22 33 44","amount":-0}`, "\x00", "")
	f.Add(`{"product":"70112233","number":"70112233","amount":1050,"currency":"70112233"}`, "k", "")
	f.Add(`{"70112233":1}`, "k", "")
	f.Add(`{"product":`+strings.Repeat("[", 8000)+strings.Repeat("]", 8000)+"}", "k", "")
	var calls atomic.Int64
	f.Fuzz(func(t *testing.T, body, key, prefer string) {
		if strings.Contains(prefer, "wait") {
			prefer = "wait=0" // the others wait, as they should
		}
		header := http.Header{"Authorization": {"Bearer " + r.key}, "Content-Type": {"application/json"}, "Idempotency-Key": {key}, "Prefer": {prefer}}
		before := r.written()
		w := r.ask(t, http.MethodPost, "/v1/purchases", body, header)
		if w.Code >= http.StatusBadRequest {
			if r.written() != before {
				t.Fatalf("%q was refused and made a purchase: %s", body, w.Body)
			}
			return
		}
		var bought api.Purchase
		if err := json.Unmarshal(w.Body.Bytes(), &bought); err != nil || bought.Reference == "" {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
		after := r.written()
		again := r.ask(t, http.MethodPost, "/v1/purchases", body, header)
		var same api.Purchase
		if err := json.Unmarshal(again.Body.Bytes(), &same); err != nil || same.Reference != bought.Reference || r.written() != after {
			t.Fatalf("%q under %q: %s, sent again %s", body, key, w.Body, again.Body)
		}
		header.Set("Idempotency-Key", "another-"+strconv.FormatInt(calls.Add(1), 10))
		if like := r.ask(t, http.MethodPost, "/v1/purchases", body, header); like.Code < http.StatusBadRequest && !strings.Contains(body, "again") {
			t.Fatalf("%q was bought twice: %s", body, like.Body)
		}
	})
}

// FuzzBatch: whatever is sent as a batch is refused as a whole, and nothing is
// written, or each of its purchases is refused or made once however often it is sent.
func FuzzBatch(f *testing.F) {
	r := start(f, unlimited)
	f.Add(batchOf(itemOf("a", "70112233", 1050), itemOf("a", "70112233", 1050), itemOf("b", "70112233", 1050)), "")
	f.Add(batchOf(itemOf("c", "70112234", 50), `{}`, itemOf("", "70112235", 1050)), "respond-async")
	f.Add(`{"purchases":[1]}`, "wait=99999999999")
	f.Fuzz(func(t *testing.T, body, prefer string) {
		if strings.Contains(prefer, "wait") {
			prefer = "wait=0" // the others wait, as they should
		}
		header := http.Header{"Authorization": {"Bearer " + r.key}, "Content-Type": {"application/json"}, "Prefer": {prefer}}
		send := func() (made int, b api.Batch) {
			before := r.written()
			w := r.ask(t, http.MethodPost, "/v1/purchases/batch", body, header)
			if w.Code == http.StatusOK {
				if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil || len(b.Answers) == 0 || len(b.Answers) > 1000 {
					t.Fatalf("%q: %s", body, w.Body)
				}
			}
			for i, each := range b.Answers {
				if each.Status == http.StatusCreated {
					made++
				}
				if each.Problem != nil {
					checkProblem(t, each.Problem)
				}
				if (each.Purchase == nil) == (each.Problem == nil) || each.Status == http.StatusInternalServerError {
					t.Fatalf("%q: answer %d is %+v", body, i, each)
				}
			}
			if n := r.written() - before; n != made {
				t.Fatalf("%q: %d purchases were made, and %d told", body, n, made)
			}
			return made, b
		}
		_, first := send()
		made, again := send()
		if made != 0 {
			t.Fatalf("%q was bought again: %+v", body, again)
		}
		for i, each := range first.Answers {
			if each.Purchase != nil && again.Answers[i].Purchase.Reference != each.Purchase.Reference {
				t.Fatalf("%q: answer %d is %+v, again %+v", body, i, each, again.Answers[i])
			}
		}
	})
}

// FuzzClient: whatever a client with a key asks for is answered, breaks nothing,
// and shows no purchase of another's.
func FuzzClient(f *testing.F) {
	r := start(f, unlimited)
	header := http.Header{"Authorization": {"Bearer " + r.other}, "Content-Type": {"application/json"}, "Idempotency-Key": {"theirs"}}
	var theirs api.Purchase
	theirAnswer := httptest.NewRecorder()
	request, err := http.NewRequestWithContext(f.Context(), http.MethodPost, "/v1/purchases", strings.NewReader(airtime))
	if err != nil {
		f.Fatal(err)
	}
	request.Header = header
	r.api.ServeHTTP(theirAnswer, request)
	if err := json.Unmarshal(theirAnswer.Body.Bytes(), &theirs); err != nil || theirs.Reference == "" {
		f.Fatalf("%s", theirAnswer.Body)
	}
	f.Add("GET", "/v1/purchases?number=70112233&cursor="+theirs.Reference+"&limit=2", "")
	f.Add("GET", "/v1/purchases?number=70%2011%2022%2033&limit=-1", "")
	f.Add("GET", "/v1/purchases/"+theirs.Reference, "")
	f.Add("GET", "/v1/products?number=+22670112233&language=%00", "")
	f.Add("GET", "/v1/lines/70%2011%2022%2033/balance", "")
	f.Add("GET", "/v1/lines/76112233/balance?x=1&x=2", "")
	f.Add("PUT", "/callbacks/wallet", "5c9f")
	f.Add("DELETE", "/v1/purchases/"+theirs.Reference, "{}")
	f.Fuzz(func(t *testing.T, method, target, body string) {
		if strings.Contains(target, "events") {
			return // a stream does not end
		}
		w := r.ask(t, method, target, body, http.Header{"Authorization": {"Bearer " + r.key}, "Content-Type": {"application/json"}, "Idempotency-Key": {"ours"}})
		if w == nil {
			return
		}
		if w.Code < http.StatusBadRequest && strings.Contains(w.Body.String(), theirs.Reference) {
			t.Fatalf("%s %q shows another's purchase: %s", method, target, w.Body)
		}
	})
}

// FuzzKey: no text but a client's key opens anything, in whatever words it comes.
func FuzzKey(f *testing.F) {
	r := start(f, unlimited)
	f.Add("Bearer "+r.key[:len(r.key)-1], "")
	f.Add("Bearer "+r.expired, "")
	f.Add("Basic Og==", "Bearer")
	f.Add("bearer  tenu_shop_", "\x00")
	f.Fuzz(func(t *testing.T, authorization, second string) {
		values := []string{authorization}
		if second != "" {
			values = append(values, second)
		}
		if len(values) == 1 && strings.HasSuffix(authorization, " "+r.key) {
			return
		}
		if w := r.ask(t, http.MethodGet, "/v1/products", "", http.Header{"Authorization": values}); w.Code != http.StatusUnauthorized {
			t.Fatalf("%q: %d %s", values, w.Code, w.Body)
		}
	})
}
