package telemetry_test

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"tenu/internal/purchase"
	"tenu/internal/telemetry"
)

// receiver is a collector.
type receiver struct {
	*httptest.Server

	mu    sync.Mutex
	bytes []byte
	spans []*wire.Span
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body := io.Reader(request.Body)
		if request.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Error(err)
				return
			}
		}
		data, err := io.ReadAll(body)
		var export collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(data, &export) != nil || request.URL.Path != "/v1/traces" {
			t.Errorf("at %s: %q, %v", request.URL.Path, data, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bytes = append(r.bytes, data...)
		for _, resource := range export.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				r.spans = append(r.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// of are a span's attributes that are texts.
func of(s *wire.Span) map[string]string {
	texts := map[string]string{}
	for _, a := range s.GetAttributes() {
		texts[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return texts
}

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

var secret = []byte("a secret of an installation")

// traced are traces of an installation that knows its numbers.
func traced(t *testing.T, endpoint string, sample float64) *telemetry.Traces {
	t.Helper()
	log := telemetry.Shielded(slog.New(slog.DiscardHandler))
	telemetry.Know(log, secret, "226", []int{8}, read)
	traces, err := telemetry.NewTraces(telemetry.TracesConfig{Endpoint: endpoint, Sample: sample, Version: "v1", Node: "n1", Log: log,
		Chance: func() uint64 { return 1 << 63 }, Clock: clock{}})
	if err != nil {
		t.Fatal(err)
	}
	return traces
}

// answering is a partner that answers as it is told to.
type answering struct {
	purchase.Partner

	out purchase.Outcome
}

func (answering) Name() string                                          { return "wallet" }
func (a answering) Do(context.Context, purchase.Order) purchase.Outcome { return a.out }
func (answering) Balance(context.Context, purchase.MSISDN) (b purchase.Balances, _ error) {
	return b, purchase.ErrUnavailable
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// No number passes, wherever it stands in a span.
func TestNoNumberPassesTheTraces(t *testing.T) {
	r := newReceiver(t)
	traces := traced(t, r.URL+"/v1/traces", 1)
	const number = purchase.MSISDN(22670123456)
	token := telemetry.Token(secret, number)
	apart := "70 12 34 56"
	traces.Request("GET /v1/70123456", parent, 500, "K7M2Q4XD9T", 1000, 500, slog.String("request", "order-22670123456"), slog.Any("to", number))
	traces.Call("spoken", "", 1000, 2000, slog.String(apart, "+226 70.12.34.56"), slog.Int64("whole", int64(number)))
	partner := traces.Partner(answering{out: purchase.Outcome{Kind: purchase.Refused, Reason: "no 0022670123456"}})
	partner.Do(t.Context(), purchase.Order{Reference: "K7M2Q4XD9T", Leg: purchase.Charge, Try: 2, Account: number})
	if _, err := traces.Balances("wallet", answering{}).Balance(t.Context(), number); err == nil {
		t.Error("the balance's error is lost")
	}
	if err := traces.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"22670123456", "70123456", "70 12 34 56", "70.12.34.56", "123456"} {
		if strings.Contains(string(r.bytes), form) {
			t.Errorf("%s passed: %q", form, r.bytes)
		}
	}
	if len(r.spans) != 4 {
		t.Fatalf("%d spans", len(r.spans))
	}
	request, call, charge, balance := r.spans[0], r.spans[1], r.spans[2], r.spans[3]
	if a := of(request); request.GetName() != "GET /v1/"+token || a["tenu.request"] != "order-"+token || a["tenu.to"] != token || a["http.route"] != "GET /v1/"+token || a["tenu.purchase"] != "K7M2-Q4XD-9T" ||
		request.GetStatus().GetCode() != wire.Status_STATUS_CODE_ERROR || string(request.GetParentSpanId()) != "\xb7\xadkqi 31" ||
		request.GetStartTimeUnixNano() != 1_000_000 || request.GetEndTimeUnixNano() != 1_000_000 {
		t.Errorf("request: %v", request)
	}
	if a := of(call); a["tenu."+token] != token || a["tenu.whole"] != token || a["tenu.release"] != "spoken" || len(call.GetParentSpanId()) != 0 {
		t.Errorf("call: %v", call)
	}
	if a := of(charge); charge.GetName() != "wallet charge do" || a["tenu.number"] != token || a["tenu.reason"] != "no "+token || a["tenu.outcome"] != "refused" {
		t.Errorf("charge: %v", charge)
	}
	if a := of(balance); a["tenu.number"] != token || a["tenu.outcome"] != "partner_unavailable" {
		t.Errorf("balance: %v", balance)
	}
}

// All spans of a purchase are chosen, or none; who is part of a trace is traced.
func TestSampling(t *testing.T) {
	r := newReceiver(t)
	traces := traced(t, r.URL+"/v1/traces", 0.5)
	const purchases = 200
	for i := range purchases {
		about := purchase.Reference("K7M2Q4X" + string(rune('A'+i/20)) + string(rune('A'+i%20)) + "T")
		traces.Request("a", "", 200, about, 0, 0)
		traces.Call("b", about, 0, 0)
	}
	traces.Request("none", "", 200, "", 0, 0) // by chance
	traces.Request("part", parent, 200, "", 0, 0)
	traces.Request("unsampled", strings.TrimSuffix(parent, "1")+"0", 200, "", 0, 0)
	traces.Request("garbage", "00-70123456", 200, "", 0, 0)
	if err := traces.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := map[string]int{}
	for _, s := range r.spans {
		spans[of(s)["tenu.purchase"]]++
	}
	if spans[""] != 1 || len(spans) < purchases/4 || len(spans) > purchases*3/4 {
		t.Errorf("%d purchases are traced, and %d others", len(spans)-1, spans[""])
	}
	for about, n := range spans {
		if about != "" && n != 2 {
			t.Errorf("%d of 2 spans of %s", n, about)
		}
	}
}

// What the collector does not take is dropped and counted, and nobody waits.
func TestCollectorIsGone(t *testing.T) {
	r := newReceiver(t)
	r.Close()
	traces := traced(t, r.URL+"/v1/traces", 1)
	m := telemetry.NewMetrics("v1", func() purchase.Stats { return purchase.Stats{} }, func() []telemetry.Partner { return nil })
	m.Traces(traces)
	for range 700 {
		traces.Call("informed", "", 1000, 2000)
	}
	if err := traces.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, line := range []string{`tenu_spans_total{result="sent"} 0`, `tenu_spans_total{result="dropped"} 700`} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("the scrape lacks %s", line)
		}
	}
}

// A collector that takes connections and never answers fills the queue; the rest is dropped at once, and the end comes.
func TestCollectorHangs(t *testing.T) {
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is it seen that the client leaves
		<-r.Context().Done()
	}))
	t.Cleanup(hanging.Close)
	traces := traced(t, hanging.URL+"/v1/traces", 1)
	m := telemetry.NewMetrics("v1", func() purchase.Stats { return purchase.Stats{} }, func() []telemetry.Partner { return nil })
	m.Traces(traces)
	for range 5000 {
		traces.Call("informed", "", 1000, 2000)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if !strings.Contains(w.Body.String(), `tenu_spans_total{result="dropped"} `) || strings.Contains(w.Body.String(), `tenu_spans_total{result="dropped"} 0`) {
		t.Error("nothing is dropped")
	}
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := traces.Stop(soon); err == nil {
		t.Error("spans that are not sent are no error")
	}
}

// Without traces nothing is in the way.
func TestNoTraces(t *testing.T) {
	var traces *telemetry.Traces
	partner := purchase.Partner(&answering{})
	if traces.Partner(partner) != partner {
		t.Error("the partner is another")
	}
	traces.Request("a", parent, 200, "", 0, 0)
	traces.Call("a", "", 0, 0)
	if err := traces.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
