package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tenu/internal/sale"
)

func TestReadWish(t *testing.T) {
	const fraction = Code(sale.CodeAmountFraction)
	for name, c := range map[string]struct {
		body, detail string
		code         Code
	}{
		"good":            {`{"product":"airtime","number":"70 11 22 33","amount":1050}`, "", ""},
		"spaced":          {" {\n\t\"product\" : \"airtime\" , \"number\":\"70112233\"}\r\n", "", ""},
		"escaped name":    {`{"product":"airtime","n\u0075mber":"70112233"}`, "", ""},
		"all":             {`{"product":"airtime","number":"70112233","payer":"76445566","amount":1,"currency":"XOF","pay_with":"balance","language":"en","again":true}`, "", ""},
		"not JSON":        {`product=airtime`, "the body must be one JSON object", CodeBody},
		"array":           {`[1]`, "the body must be one JSON object", CodeBody},
		"null":            {`null`, "the body must be one JSON object", CodeBody},
		"cut":             {`{"product":"airtime"`, "the body is cut short", CodeBody},
		"cut in a name":   {`{"prod`, "the body is cut short", CodeBody},
		"cut in a value":  {`{"product":"air`, "the body is cut short", CodeBody},
		"comma":           {`{"product":"airtime",}`, "the body is not JSON at byte", CodeBody},
		"trailing":        {`{"product":"airtime","number":"1"}{}`, "there is data after the JSON object", CodeBody},
		"trailing text":   {`{"product":"airtime","number":"1"} x`, "there is data after the JSON object", CodeBody},
		"twice":           {`{"product":"airtime","amount":1,"amount":2,"number":"1"}`, `field "amount" is given twice`, CodeBody},
		"twice escaped":   {`{"product":"airtime","amount":1,"\u0061mount":2,"number":"1"}`, `field "amount" is given twice`, CodeBody},
		"other case":      {`{"Product":"airtime"}`, `unknown field "Product"; known are product, number`, CodeBody},
		"unknown":         {`{"prodcut":"airtime"}`, `unknown field "prodcut"`, CodeBody},
		"not UTF-8":       {"{\"product\":\"a\xff\"}", "the body is not UTF-8", CodeBody},
		"no product":      {`{"number":"70112233"}`, "product is missing", CodeBody},
		"no number":       {`{"product":"airtime"}`, "number is missing", CodeBody},
		"null product":    {`{"product":null,"number":"1"}`, "product must be a string", CodeBody},
		"number unquoted": {`{"product":"airtime","number":70112233}`, "number must be a string", CodeBody},
		"nested":          {`{"product":{"product":"airtime"},"number":"1"}`, "product must be a string", CodeBody},
		"long":            {`{"product":"` + strings.Repeat("é", 65) + `","number":"1"}`, "product must have at most 64 characters", CodeBody},
		"again a word":    {`{"product":"airtime","number":"1","again":"yes"}`, "again must be true or false", CodeBody},
		"fraction":        {`{"product":"airtime","number":"1","amount":10.5}`, "amount must be a whole number of F CFA, written with digits alone", fraction},
		"zero fraction":   {`{"product":"airtime","number":"1","amount":1050.0}`, "amount must be a whole number of F CFA", fraction},
		"exponent":        {`{"product":"airtime","number":"1","amount":1e3}`, "amount must be a whole number of F CFA", fraction},
		"quoted amount":   {`{"product":"airtime","number":"1","amount":"1050"}`, "amount must be a number", Code(sale.CodeAmountMalformed)},
		"null amount":     {`{"product":"airtime","number":"1","amount":null}`, "amount must be a number", Code(sale.CodeAmountMalformed)},
		"cedi":            {`{"product":"airtime","number":"1","amount":10.5,"currency":"GHS"}`, "amount must be a whole number of the minor unit of GHS", fraction},
		"odd currency":    {`{"product":"airtime","number":"1","amount":10.5,"currency":"EUR"}`, "amount must be a whole number of the currency's minor unit", fraction},
		"beyond 64 bits":  {`{"product":"airtime","number":"1","amount":9223372036854775808}`, "amount does not fit", Code(sale.CodeAmountAbove)},
	} {
		t.Run(name, func(t *testing.T) {
			flaw := readWish([]byte(c.body)).flaw
			switch {
			case c.code == "" && flaw != nil:
				t.Errorf("refused: %v", flaw)
			case c.code != "" && (flaw == nil || flaw.Code != c.code || !strings.Contains(flaw.Detail, c.detail)):
				t.Errorf("got %v, want %s: %s", flaw, c.code, c.detail)
			}
		})
	}
}

// FuzzReadWish: whatever is read without a flaw is what encoding/json reads,
// and survives being written and read again.
func FuzzReadWish(f *testing.F) {
	f.Add([]byte(`{"product":"airtime","number":"70 11 22 33","amount":1050,"again":true}`))
	f.Add([]byte(`{"product":"data-1g","number":"+226 76 44 55 66","payer":"70112233","currency":"XOF","pay_with":"wallet","language":"fr"}`))
	f.Add([]byte(`{"product":"airtime","amount":1,"\u0061mount":2}`))
	f.Add([]byte(`{"product":"\ud800","number":"1"} {}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := readWish(data)
		if got.flaw != nil {
			if got.flaw.Status == 500 || got.flaw.Detail == "" || !utf8.ValidString(got.flaw.Detail) {
				t.Errorf("flaw says too little: %#v", got.flaw)
			}
			return
		}
		var want WishBody
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("read what is not JSON: %v", err)
		}
		want.hasAmount = got.hasAmount
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("read %+v, encoding/json reads %+v", got, want)
		}
		text, err := json.Marshal(&got)
		if err != nil {
			t.Fatal(err)
		}
		if back := readWish(text); back.flaw != nil || !reflect.DeepEqual(back, got) {
			t.Fatalf("written as %s, read back as %+v", text, back)
		}
	})
}

// FuzzReadBatch: a batch is read as encoding/json reads it, each purchase as
// readWish reads it alone, and never more of them than it may have.
func FuzzReadBatch(f *testing.F) {
	f.Add([]byte(`{"purchases":[{"idempotency_key":"k","product":"airtime","number":"70 11 22 33","amount":1050,"again":true}]}`))
	f.Add([]byte(` { "purchases" : [ {"idempotency_key":"\u006b" , "product":"a]}\"","number":"1"} , {"product":{"x":[1,"]"]}} , {} ] } `))
	f.Add([]byte(`{"purchases":[{"idempotency_key":null,"x":1},{"idempotency_key":"a b"}],"purchases":[]}`))
	f.Add([]byte(`{"purchases":[` + strings.Repeat("{},", 1000) + `{}]}`))
	f.Add([]byte(`{"purchases":[[],-1e5,"\\"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := readBatch(data)
		if got.flaw != nil {
			if got.flaw.Status/100 != 4 || got.flaw.Detail == "" || !utf8.ValidString(got.flaw.Detail) || got.Purchases != nil {
				t.Errorf("flaw says too little: %#v", got.flaw)
			}
			return
		}
		var want struct{ Purchases []map[string]json.RawMessage }
		if err := json.Unmarshal(data, &want); err != nil || len(want.Purchases) != len(got.Purchases) || len(got.Purchases) > batchMost {
			t.Fatalf("read %d purchases, encoding/json %d: %v", len(got.Purchases), len(want.Purchases), err)
		}
		for i, item := range got.Purchases {
			if item.flaw != nil {
				continue
			}
			members := want.Purchases[i]
			var key string
			if err := json.Unmarshal(members["idempotency_key"], &key); err != nil || item.Key != key || !keepable(key) {
				t.Fatalf("key %q, want %q: %v", item.Key, key, err)
			}
			delete(members, "idempotency_key")
			alone, err := json.Marshal(members)
			if err != nil {
				t.Fatal(err)
			}
			if one := readWish(alone); !reflect.DeepEqual(one, item.WishBody) {
				t.Fatalf("read %+v, alone %+v", item.WishBody, one)
			}
		}
	})
}

func TestPreferredWait(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                             0,
		"wait=10":                      10 * time.Second,
		"respond-async, wait=5":        5 * time.Second,
		`Wait = "7"; x=1, handling=ok`: 7 * time.Second,
		"wait=100":                     waitMost,
		"wait=99999999999999999999":    0,
		"wait=-1":                      0,
		"wait":                         0,
		"wait=x, wait=5":               0,
		"waiting=5":                    0,
	} {
		if got := preferredWait(header); got != want {
			t.Errorf("Prefer: %s: got %v, want %v", header, got, want)
		}
	}
}

func TestClientKey(t *testing.T) {
	for header, want := range map[string]string{
		"8e03978e-40d5-43dd-bc93-6894a57f9324":   "8e03978e-40d5-43dd-bc93-6894a57f9324",
		`"8e03978e-40d5-43dd-bc93-6894a57f9324"`: "8e03978e-40d5-43dd-bc93-6894a57f9324",
		strings.Repeat("k", 64):                  strings.Repeat("k", 64),
	} {
		if got, p := clientKey(header); p != nil || got != want {
			t.Errorf("%s: got %s, %v", header, got, p)
		}
	}
	for _, header := range []string{"", `""`, "a b", "clé", "tab\t", strings.Repeat("k", 65)} {
		if got, p := clientKey(header); p == nil || p.Code != Code(sale.CodeKeyInvalid) {
			t.Errorf("%q: got %q, %v, want %s", header, got, p, Code(sale.CodeKeyInvalid))
		}
	}
}

// FuzzHeaders: what is taken of a header is within its bounds, and as it was sent.
func FuzzHeaders(f *testing.F) {
	f.Add("8e03978e-40d5-43dd-bc93-6894a57f9324", "respond-async, wait=5", "Bearer x")
	f.Add(`"a b"`, `Wait = "7"; x=1, handling=ok`, "bearer  x")
	f.Add(`"`, "wait=99999999999999999999", "Bearer")
	f.Add(strings.Repeat("k", 65), strings.Repeat("wait=1,", 1000), "Basic x")
	f.Fuzz(func(t *testing.T, key, prefer, authorization string) {
		got, p := clientKey(key)
		if p != nil && (got != "" || p.Status/100 != 4) || p == nil && (got == "" || len(got) > 64 || got != key && `"`+got+`"` != key ||
			strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' })) {
			t.Errorf("%q is taken as %q, %v", key, got, p)
		}
		if wait := preferredWait(prefer); wait < 0 || wait > waitMost || wait%time.Second != 0 {
			t.Errorf("%q is a wait of %s", prefer, wait)
		}
		if got := bearer(http.Header{"Authorization": {authorization}}); got != "" && !strings.HasSuffix(authorization, " "+got) {
			t.Errorf("%q bears %q", authorization, got)
		}
	})
}
