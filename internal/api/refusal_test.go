package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// Whatever is wrong with a request to buy gets a precise problem document, and
// nothing is written.
func TestBuyRefuses(t *testing.T) {
	r := start(t, nil)
	body := func(member string) string {
		return `{"product":"airtime","number":"70112233","amount":1050` + member + `}`
	}
	number := func(text string) string { return `{"product":"airtime","amount":1050,"number":"` + text + `"}` }
	paid := func(text string) string { return `{"product":"airtime","number":"70112233","amount":` + text + `}` }
	for name, c := range map[string]struct {
		body, headers string
		status        int
		code          api.Code
		field, detail string
	}{
		"malformed number":     {body: number("70 11 22"), status: 422, code: "number_malformed", field: "number", detail: "6 digits, 8 expected"},
		"letters":              {body: number("seventy"), status: 422, code: "number_malformed", field: "number"},
		"empty number":         {body: number(""), status: 400, code: "body_malformed", field: "number", detail: "number is missing"},
		"foreign number":       {body: number("+33 6 12 34 56 78"), status: 422, code: "number_foreign", field: "number"},
		"fixed line":           {body: number("25 30 60 10"), status: 422, code: "number_fixed", field: "number"},
		"service":              {body: number("80 00 11 11"), status: 422, code: "number_service", field: "number"},
		"unassigned":           {body: number("99 11 22 33"), status: 422, code: "number_unassigned", field: "number"},
		"payer's number":       {body: body(`,"payer":"25306010"`), status: 422, code: "number_fixed", field: "payer"},
		"zero":                 {body: paid("0"), status: 422, code: "amount_zero", field: "amount"},
		"negative":             {body: paid("-1050"), status: 422, code: "amount_negative", field: "amount"},
		"fraction":             {body: paid("10.50"), status: 422, code: "amount_fraction", field: "amount", detail: "amount must be a whole number of F CFA"},
		"below":                {body: paid("50"), status: 422, code: "amount_below_minimum", field: "amount", detail: "200 F CFA"},
		"above":                {body: paid("100005"), status: 422, code: "amount_above_maximum", field: "amount", detail: "100 000 F CFA"},
		"far above":            {body: paid("9223372036854775807"), status: 422, code: "amount_above_maximum", field: "amount"},
		"beyond 64 bits":       {body: paid("92233720368547758070"), status: 422, code: "amount_above_maximum", field: "amount"},
		"off step":             {body: paid("1052"), status: 422, code: "amount_off_step", field: "amount", detail: "5 F CFA"},
		"no amount":            {body: `{"product":"airtime","number":"70112233"}`, status: 422, code: "amount_missing", field: "amount"},
		"not the price":        {body: `{"product":"data-day","number":"70112233","amount":201}`, status: 422, code: "amount_not_price", field: "amount", detail: "200 F CFA"},
		"unknown product":      {body: strings.Replace(body(""), "airtime", "time-machine", 1), status: 422, code: "product_unknown", field: "product"},
		"wrong currency":       {body: body(`,"currency":"EUR"`), status: 422, code: "currency_wrong", field: "currency"},
		"known wrong currency": {body: body(`,"currency":"GHS"`), status: 422, code: "currency_wrong", field: "currency"},
		"wrong paying":         {body: body(`,"pay_with":"balance"`), status: 422, code: "pay_with_refused", field: "pay_with"},
		"no key":               {body: airtime, headers: "Idempotency-Key:", status: 400, code: "idempotency_key_invalid", detail: "the Idempotency-Key header is missing"},
		"long key":             {body: airtime, headers: "Idempotency-Key: " + strings.Repeat("k", 65), status: 400, code: "idempotency_key_invalid"},
		"key with a space":     {body: airtime, headers: "Idempotency-Key: a b", status: 400, code: "idempotency_key_invalid"},
		"no body":              {body: "", status: 400, code: "body_malformed", detail: "there is no body"},
		"unknown field":        {body: body(`,"confirm":true`), status: 400, code: "body_malformed", detail: `unknown field "confirm"`},
		"field twice":          {body: body(`,"amount":1050`), status: 400, code: "body_malformed", detail: `field "amount" is given twice`},
		"trailing data":        {body: airtime + airtime, status: 400, code: "body_malformed", detail: "there is data after the JSON object"},
		"form":                 {body: "product=airtime", headers: "Content-Type: application/x-www-form-urlencoded", status: 415, code: "content_type_wrong"},
		"no type":              {body: airtime, headers: "Content-Type:", status: 415, code: "content_type_wrong"},
		"Latin-1":              {body: airtime, headers: "Content-Type: application/json; charset=iso-8859-1", status: 415, code: "content_type_wrong"},
		"compressed":           {body: airtime, headers: "Content-Encoding: gzip", status: 415, code: "content_type_wrong"},
		"too large":            {body: `{"product":"` + strings.Repeat("x", 17<<10) + `"}`, status: 413, code: "body_too_large"},
		"far too large":        {body: strings.Repeat(" ", 3<<20), status: 413, code: "body_too_large"},
		"no API key":           {body: airtime, headers: "Authorization:", status: 401, code: "key_not_accepted"},
		"expired API key":      {body: airtime, headers: "Authorization: Bearer " + r.expired, status: 401, code: "key_not_accepted"},
		"foreign API key":      {body: airtime, headers: "Authorization: Bearer tenu_shop_" + strings.Repeat("0", 52), status: 401, code: "key_not_accepted"},
		"malformed API key":    {body: airtime, headers: "Authorization: Bearer x", status: 401, code: "key_not_accepted"},
		"other scheme":         {body: airtime, headers: "Authorization: Basic " + r.key, status: 401, code: "key_not_accepted"},
		"no scope":             {body: airtime, headers: "Authorization: Bearer " + r.reader, status: 403, code: "scope_missing", detail: "purchases:write"},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if c.headers != "" {
				headers = []string{c.headers}
			}
			a := r.do("POST", "/v1/purchases", c.body, headers...)
			p := a.problem(t)
			if a.StatusCode != c.status || p.Code != c.code || p.Field != c.field || !strings.Contains(p.Detail, c.detail) {
				t.Errorf("got %s\nwant %d %s, field %q, detail with %q", a.body, c.status, c.code, c.field, c.detail)
			}
		})
	}
	if n := r.written(); n != 0 {
		t.Errorf("%d purchases were written", n)
	}
	if records, err := r.store.List(t.Context(), purchase.Page{Number: 22670112233, Limit: 10}); err != nil || len(records) != 0 {
		t.Errorf("the store holds %v, %v", records, err)
	}
}

// Refused keys must not be told apart: the answers are the same to the byte, but
// for the request's identity.
func TestRefusedKeysLookTheSame(t *testing.T) {
	r := start(t, nil)
	seen := map[string]string{}
	for name, header := range map[string]string{"absent": "Authorization:", "expired": "Authorization: Bearer " + r.expired,
		"unknown": "Authorization: Bearer tenu_shop_" + strings.Repeat("z", 52), "malformed": "Authorization: Bearer !",
		"empty": "Authorization: Bearer ", "long": "Authorization: Bearer " + strings.Repeat("x", 4000)} {
		a := r.do("GET", "/v1/products", "", header)
		text := fmt.Sprint(a.Status, a.Header, string(a.body))
		for _, own := range []string{a.Header.Get("X-Request-Id"), a.Header.Get("Date")} {
			text = strings.ReplaceAll(text, own, "")
		}
		seen[text] = name
		if a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: got %s, %v", name, a.Status, a.Header)
		}
	}
	if len(seen) != 1 {
		t.Errorf("refused keys get %d different answers: %v", len(seen), seen)
	}
}

func TestEveryAnswerIsOurs(t *testing.T) {
	r := start(t, nil)
	for name, c := range map[string]struct {
		method, path string
		status       int
		code         api.Code
		allow        string
	}{
		"nothing there":       {"GET", "/v2/purchases", 404, "route_not_found", ""},
		"dots":                {"GET", "/v1/../v1/products", 404, "route_not_found", ""},
		"double slash":        {"GET", "//v1/products", 404, "route_not_found", ""},
		"trailing slash":      {"GET", "/v1/products/", 404, "route_not_found", ""},
		"wrong method":        {"DELETE", "/v1/purchases", 405, "method_not_allowed", "GET, HEAD, POST"},
		"wrong callback":      {"GET", "/callbacks/wallet", 405, "method_not_allowed", "POST, PUT"},
		"unknown parameter":   {"GET", "/v1/products?colour=red", 422, "request_invalid", ""},
		"parameter twice":     {"GET", "/v1/purchases?number=70112234&number=70112235", 422, "request_invalid", ""},
		"bad query":           {"GET", "/v1/purchases?number=%zz", 422, "request_invalid", ""},
		"missing parameter":   {"GET", "/v1/purchases", 422, "request_invalid", ""},
		"limit zero":          {"GET", "/v1/purchases?number=70112234&limit=0", 422, "request_invalid", ""},
		"limit large":         {"GET", "/v1/purchases?number=70112234&limit=101", 422, "request_invalid", ""},
		"limit word":          {"GET", "/v1/purchases?number=70112234&limit=many", 422, "request_invalid", ""},
		"cursor":              {"GET", "/v1/purchases?number=70112234&cursor=xyz", 400, "cursor_malformed", ""},
		"list fixed":          {"GET", "/v1/purchases?number=25306010", 422, "number_fixed", ""},
		"reference":           {"GET", "/v1/purchases/abc", 400, "reference_malformed", ""},
		"balance of a fixed":  {"GET", "/v1/lines/25306010/balance", 422, "number_fixed", ""},
		"balance of nobody":   {"GET", "/v1/lines/70112234/balance", 404, "line_unknown", ""},
		"products of foreign": {"GET", "/v1/products?number=%2B33612345678", 422, "number_foreign", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.do(c.method, c.path, "")
			if p := a.problem(t); a.StatusCode != c.status || p.Code != c.code || a.Header.Get("Allow") != c.allow {
				t.Errorf("got %s, Allow %q: %s", a.Status, a.Header.Get("Allow"), a.body)
			}
		})
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/docs", "/docs.css"} {
		a := r.do("GET", path, "", "Authorization:")
		if a.StatusCode != 200 || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("X-Request-Id") == "" ||
			!strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: got %s, %v", path, a.Status, a.Header)
		}
	}
	if a := r.do("GET", "/v1/products", "a body"); a.problem(t).Code != api.CodeBodyLarge {
		t.Errorf("GET with a body: got %s", a.body)
	}
	if a := r.do("HEAD", "/healthz", ""); a.StatusCode != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: got %s", a.Status)
	}
}

func TestRequestIdentity(t *testing.T) {
	r := start(t, nil)
	if got := r.do("GET", "/healthz", "", "X-Request-Id: trace-7f3a").Header.Get("X-Request-Id"); got != "trace-7f3a" {
		t.Errorf("a fit identity was replaced by %q", got)
	}
	for _, unfit := range []string{"70112233", "a b", strings.Repeat("x", 65), "<script>", "22670112233-1"} {
		if got := r.do("GET", "/healthz", "", "X-Request-Id: "+unfit).Header.Get("X-Request-Id"); got == unfit || got == "" {
			t.Errorf("the identity %q was kept", unfit)
		}
	}
}

func TestLimits(t *testing.T) {
	r := start(t, func(r *rig, clients []auth.Client) {
		clients[0].Rate, clients[0].Burst = 0.001, 2
		clients[1].InFlight, clients[1].Streams = 1, 1
		r.ocs.gate = make(chan struct{})
	})
	for range 2 {
		if a := r.do("GET", "/v1/products", ""); a.StatusCode != 200 {
			t.Fatalf("within the burst: got %s", a.Status)
		}
	}
	a := r.do("GET", "/v1/products", "")
	if p := a.problem(t); p.Code != api.CodeRate || a.Header.Get("Retry-After") != fmt.Sprint(p.RetryAfter) || p.RetryAfter < 900 {
		t.Errorf("beyond the burst: got %s, Retry-After %s", a.body, a.Header.Get("Retry-After"))
	}

	as := "Authorization: Bearer " + r.other
	waiting := make(chan *answer, 1)
	go func() { waiting <- r.do("POST", "/v1/purchases", airtime, as, "Prefer: wait=30") }()
	for r.written() == 0 {
		time.Sleep(time.Millisecond)
	}
	if p := r.do("GET", "/v1/products", "", as).problem(t); p.Code != api.CodeCrowded {
		t.Errorf("a second request under way: got %v", p)
	}
	close(r.ocs.gate)
	if a := <-waiting; a.purchase(t).State != "credited" {
		t.Errorf("the waiting request: got %s", a.body)
	}
	if a := r.do("GET", "/v1/products", "", as); a.StatusCode != 200 {
		t.Errorf("after the request: got %s", a.Status)
	}
}

// A body that never ends must not hold a connection, nor one that lies about its length.
func TestCutBody(t *testing.T) {
	r := start(t, nil)
	conn := must[net.Conn](t)(new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://")))
	defer conn.Close()
	_, err := fmt.Fprintf(conn, "POST /v1/purchases HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nIdempotency-Key: cut\r\nContent-Length: 500\r\n\r\n%s", r.key, airtime)
	if err != nil {
		t.Fatal(err)
	}
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		t.Fatal("the connection cannot be half closed")
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	a := &answer{response, must[[]byte](t)(io.ReadAll(response.Body))}
	if p := a.problem(t); p.Code != api.CodeBody || r.written() != 0 {
		t.Errorf("got %s, %d written", a.body, r.written())
	}
}

func TestCallback(t *testing.T) {
	r := start(t, func(r *rig, _ []auth.Client) { r.ocs.gate = make(chan struct{}) })
	defer close(r.ocs.gate)
	p := r.do("POST", "/v1/purchases", airtime).purchase(t)
	id := must[purchase.ID](t)(r.keys.Parse(p.Reference))
	key := r.keys.Key(id, purchase.Credit).UUID()
	before := must[[]purchase.Record](t)(r.store.Load(t.Context(), id))
	for name, c := range map[string]struct {
		path, body, header string
		status             int
	}{
		"forged":          {"/callbacks/wallet", key, "X-Secret: wrong", 401},
		"no such partner": {"/callbacks/nobody", key, "X-Secret: right", 401},
		"garbage":         {"/callbacks/wallet", "<html>", "X-Secret: right", 400},
		"empty":           {"/callbacks/wallet", "", "X-Secret: right", 400},
		"huge":            {"/callbacks/wallet", strings.Repeat("x", 64<<10+1), "X-Secret: right", 413},
		"unknown":         {"/callbacks/wallet", r.keys.Key(purchase.MakeID(3, 9), purchase.Charge).UUID(), "X-Secret: right", 503},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.do("PUT", c.path, c.body, "Authorization:", c.header)
			if a.problem(t); a.StatusCode != c.status {
				t.Errorf("got %s: %s", a.Status, a.body)
			}
		})
	}
	after := must[[]purchase.Record](t)(r.store.Load(t.Context(), id))
	if after[0].Purchase.Version != before[0].Purchase.Version {
		t.Error("a refused callback changed the purchase")
	}
	if log := r.log.text(); !strings.Contains(log, "callback refused as forged") || !strings.Contains(log, "partner=wallet") {
		t.Error("a forged callback raised no alarm")
	}
	for _, method := range []string{"PUT", "POST"} {
		if a := r.do(method, "/callbacks/wallet", key, "Authorization:", "X-Secret: right"); a.StatusCode != http.StatusNoContent {
			t.Errorf("%s: got %s: %s", method, a.Status, a.body)
		}
	}
}

// What goes wrong inside is told to nobody but the log, under the request's identity.
func TestInternal(t *testing.T) {
	r := start(t, nil)
	id := r.keys.Reference(purchase.MakeID(0, 7)).String()
	r.broken.Store(true)
	a := r.do("GET", "/v1/purchases/"+id, "", "X-Request-Id: fire-drill")
	if p := a.problem(t); p.Code != api.CodeInternal || bytes.Contains(a.body, []byte("rack")) {
		t.Errorf("got %s", a.body)
	}
	if log := r.log.text(); !strings.Contains(log, "rack 7") || !strings.Contains(log, "fire-drill") {
		t.Errorf("the log does not say what went wrong: %s", log)
	}
	var anything any
	if err := json.Unmarshal(a.body, &anything); err != nil {
		t.Error(err)
	}
}
