package cgrates

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"tenu/internal/fuzztest"
	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/purchase"
)

// said is a CGRateS that takes every order and answers every question the same.
type said []byte

// RoundTrip is http.RoundTripper.
func (s said) RoundTrip(r *http.Request) (*http.Response, error) {
	var asked struct{ Method string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return nil, err
	}
	body := []byte(s)
	switch asked.Method {
	case "APIerSv2.SetActions", "APIerSv1.ExecuteAction", "APIerSv1.RemoveActions", "CDRsV1.ProcessEvent":
		body = []byte(`{"id":1,"result":"OK","error":null}`)
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}, nil
}

// recorded is the answer that proves an order, but for some of its words.
func recorded(o *purchase.Order, m *movement, replace ...string) []byte {
	body := `{"id":1,"result":[{"CGRID":"` + m.id + `","OriginID":"` + m.key + `","RunID":"` + m.verb + `","Tenant":"cgrates.org","Account":"22670112233",
		"ToR":"*monetary","Cost":10,"ExtraFields":{"outcome":"done","leg":"` + o.Leg.String() + `","balance":"10","price":"10","product":"airtime"}}],"error":null}`
	return []byte(strings.NewReplacer(replace...).Replace(body))
}

// FuzzAnswer: no answer is more than Unknown unless it is the order's own record
// and says in full what was moved; what is kept of it is bounded.
func FuzzAnswer(f *testing.F) {
	credit, reversal := orderOf(1, purchase.Credit, 10), orderOf(1, purchase.Reversal, 10)
	bundle := orderOf(1, purchase.Credit, 10)
	bundle.Bundle, bundle.Product = true, "data-1g"
	p, err := New(config("http://127.0.0.1:1/"), nil, now)
	if err != nil {
		f.Fatal(err)
	}
	m, back := p.identify(&credit), p.identify(&reversal)
	f.Add(recorded(&credit, &m))
	f.Add(recorded(&reversal, &back))
	f.Add(recorded(&credit, &m, `:10,`, `:-10,`))
	f.Add(recorded(&credit, &m, `:10,`, `:9999999999999999.99,`, `"10"`, `"1e9"`))
	f.Add(recorded(&credit, &m, "22670112233", "9223372036854775807", `"product":"airtime"`, `"product":"`+strings.Repeat("x", 1000)+`"`))
	f.Add(recorded(&credit, &m, `"done"`, `"cancelled"`))
	f.Add([]byte(`{"id":1,"result":[` + strings.Repeat("{},", 150_000) + `{}],"error":null}`))
	f.Add([]byte(`{"id":1,"result":{"BalanceMap":{"a":[` + strings.Repeat("{},", 150_000) + `{}]}},"error":null}`))
	f.Add([]byte(`{"id":1,"result":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `,"error":null}`))
	f.Add([]byte(`{"id":1,"result":null,"error":"NOT_FOUND"}`))
	f.Add([]byte(`{"id":1,"result":null,"error":"SERVER_ERROR: 70 11 22 33"}`))
	f.Add([]byte(`{"id":1,"result":22670112233,"error":null}`))
	f.Add([]byte(`{"id":1,"result":[],"error":null}`))
	f.Add([]byte(`{"id":1,"result":"Pong","error":null}`))
	f.Add([]byte(`{"id":1,"result":{"ID":"cgrates.org:22670112233","BalanceMap":{"*monetary":[{"ID":"*default","Value":-1.5}],"*data":[{"ID":"data-1g#1","Value":1e300}]}},"error":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := New(config("http://ocs.invalid/"), said(body), now)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []purchase.Order{credit, reversal, bundle} {
			m := p.identify(&o)
			var did, asked, cancelled purchase.Outcome
			fuzztest.Within(t, 16<<20+64*len(body), func() {
				did, asked, cancelled = p.Do(t.Context(), o), p.Query(t.Context(), o), p.Cancel(t.Context(), o)
			})
			for _, got := range []purchase.Outcome{did, asked, cancelled} {
				checkOutcome(t, &got)
				if got.Kind == purchase.Done && got.Ref != m.id {
					t.Errorf("a foreign record proves %+v", got)
				}
			}
			if did.Kind == purchase.Absent || asked.Kind == purchase.Unsent || asked.Kind == purchase.Refused ||
				cancelled.Kind != purchase.Done && cancelled.Kind != purchase.Cancelled && cancelled.Kind != purchase.Unknown {
				t.Errorf("do %+v, query %+v, cancel %+v", did, asked, cancelled)
			}
		}
		fuzztest.NoNumber(t, p.Probe(t.Context()).Detail)
		all, err := p.Balance(t.Context(), line)
		if err != nil {
			fuzztest.NoNumber(t, partner.Detail(err.Error())) // as the Guard tells it
			if !errors.Is(err, purchase.ErrUnknownLine) && !errors.Is(err, purchase.ErrUnavailable) {
				t.Errorf("balance: %v", err)
			}
		}
		for _, b := range all.Bundles {
			if b.Left < 0 || b.Unit == "" {
				t.Errorf("%+v", b)
			}
		}
	})
}

func checkOutcome(t *testing.T, o *purchase.Outcome) {
	t.Helper()
	fuzztest.NoNumber(t, o.Detail)
	if o.Kind == 0 || len(o.Detail) > purchase.MaxDetail || len(o.Ref) > purchase.MaxDetail || len(o.Product) > purchase.MaxDetail ||
		(o.Kind == purchase.Refused) != (o.Reason != "") || o.Account < 0 || o.Account > maxNumber ||
		o.Kind == purchase.Done && (o.Amount.Minor < 0 || o.Amount.Currency != money.XOF) {
		t.Errorf("%+v", o)
	}
}

// FuzzRecordTemplate: a record says of an order what the order says, and nothing
// in it is taken for an instruction.
func FuzzRecordTemplate(f *testing.F) {
	f.Add("airtime", "K7M2Q4XD9T")
	f.Add("~BalanceValue", "K7M2Q4XD9T")
	f.Add("a\",\"leg\":\"charge", "\x00")
	p, err := New(config("http://127.0.0.1:1/"), nil, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, product, reference string) {
		o := orderOf(1, purchase.Credit, 10)
		o.Product, o.Reference = product, purchase.Reference(reference)
		m, refusal := p.plan(&o)
		if refusal != nil {
			return
		}
		var fields map[string]string
		if err := json.Unmarshal([]byte(m.record(&o, outcomeDone)), &fields); err != nil || fields["product"] != product || fields["leg"] != "credit" {
			t.Errorf("%q is recorded as %q: %v", product, fields["product"], err)
		}
		if strings.ContainsAny(product, "~;()={}") {
			t.Errorf("%q is recorded as it is", product)
		}
	})
}
