package telemetry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"tenu/internal/purchase"
)

// The queue of spans.
const (
	spanRoom      = 2048            // spans that wait for the collector or are on their way to it; what ends then is dropped
	spansAtOnce   = 512             // spans of one export
	spansEvery    = 5 * time.Second // at most between two exports
	collectWithin = 2 * time.Second // of one export: it is tried once
)

// TracesConfig is what traces are built from. All of it is needed.
type TracesConfig struct {
	Endpoint string        // the collector's address, OTLP over HTTP: http://127.0.0.1:4318/v1/traces
	Sample   float64       // the part of purchases, and of what concerns none, that is traced: above 0, at most 1
	Version  string        // of tenu
	Node     string        // its name
	Log      *slog.Logger  // a shielded one: what it was told to Know holds for spans too
	Chance   func() uint64 // whether what concerns no purchase is traced
	Clock    purchase.Clock
}

// Traces are the spans that a node sends to a collector. Nothing waits for it: what it does not take is dropped and
// counted. A purchase is traced by all nodes or by none. All methods but NewTraces do nothing on nil; they are safe for
// concurrent use.
type Traces struct {
	known    *atomic.Pointer[knowledge]
	below    uint64 // of 2^63
	chance   func() uint64
	clock    purchase.Clock
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	outlet   *outlet
}

// NewTraces returns traces that are sent from now on, until Stop.
func NewTraces(cfg TracesConfig) (*Traces, error) {
	shield, shielded := cfg.Log.Handler().(*Shield)
	if !shielded {
		return nil, errors.New("traces: the log is not shielded")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: collectWithin, IdleConnTimeout: time.Minute, MaxIdleConns: 1}
	client := &http.Client{Transport: transport, Timeout: collectWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(cfg.Endpoint), otlptracehttp.WithHTTPClient(client),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	o := &outlet{Exporter: exporter, log: cfg.Log, hangUp: transport.CloseIdleConnections}
	o.lasting, o.end = context.WithCancel(context.Background())
	queue := sdktrace.NewBatchSpanProcessor(o, sdktrace.WithMaxQueueSize(spanRoom), sdktrace.WithMaxExportBatchSize(spansAtOnce),
		sdktrace.WithBatchTimeout(spansEvery), sdktrace.WithExportTimeout(collectWithin))
	// Whether there is a span is decided before one begins.
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithSpanProcessor(gate{queue, o}),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "tenu"),
			attribute.String("service.version", cfg.Version), attribute.String("service.instance.id", cfg.Node))))
	return &Traces{known: shield.known, below: uint64(cfg.Sample * (1 << 63)), chance: cfg.Chance, clock: cfg.Clock,
		provider: provider, tracer: provider.Tracer("tenu"), outlet: o}, nil
}

// Stop sends what waits, as far as it gets until ctx ends, and ends the traces.
func (t *Traces) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	err := t.provider.Shutdown(ctx)
	t.outlet.end()
	t.outlet.hangUp()
	if err != nil {
		return fmt.Errorf("traces are dropped: %w", err)
	}
	return nil
}

// Request tells of one request of the API: by its route, under the parent that a traceparent header (W3C) names, "" for none. A
// parent that is sampled has the request traced in any case.
func (t *Traces) Request(route, parent string, status int, about purchase.Reference, from, to purchase.Instant, attrs ...slog.Attr) {
	if t == nil {
		return
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
	if trace.SpanContextFromContext(ctx).IsSampled() || t.chosen(about) {
		t.span(ctx, &span{name: route, kind: trace.SpanKindServer, about: about, from: from, to: to, failed: status >= http.StatusInternalServerError,
			attrs: append(attrs, slog.String("route", route), slog.Int("status", status))})
	}
}

// Call tells of one call of the voice line that is over.
func (t *Traces) Call(release string, about purchase.Reference, from, to purchase.Instant, attrs ...slog.Attr) {
	if t != nil && t.chosen(about) {
		t.span(context.Background(), &span{name: "call", kind: trace.SpanKindServer, about: about, from: from, to: to,
			attrs: append(attrs, slog.String("release", release))})
	}
}

// chosen reports whether what concerns a purchase, or none, is traced.
func (t *Traces) chosen(about purchase.Reference) bool {
	if about == "" {
		return t.chance()>>1 < t.below
	}
	sum := sha256.Sum256([]byte(about))
	return binary.BigEndian.Uint64(sum[:])>>1 < t.below
}

// span is what there is to tell of something that is over.
type span struct {
	name     string
	kind     trace.SpanKind
	about    purchase.Reference // "" for no purchase
	from, to purchase.Instant
	failed   bool
	attrs    []slog.Attr
}

// standard are OpenTelemetry's names of what has one; what else is told is called as in the log, after "tenu.".
var standard = map[string]string{"route": "http.route", "status": "http.response.status_code"}

// span begins and ends a span. Every text of it passes here, and is what the log would write of it.
func (t *Traces) span(ctx context.Context, s *span) {
	k := t.known.Load()
	if s.about != "" {
		s.attrs = append(s.attrs, slog.String("purchase", s.about.String()))
	}
	attrs := make([]attribute.KeyValue, len(s.attrs))
	for i, a := range s.attrs {
		a = k.attr(a)
		key := cmp.Or(standard[a.Key], "tenu."+a.Key)
		if a.Value.Kind() == slog.KindInt64 {
			attrs[i] = attribute.Int64(key, a.Value.Int64())
		} else {
			attrs[i] = attribute.String(key, a.Value.String())
		}
	}
	_, open := t.tracer.Start(ctx, k.text(s.name), trace.WithSpanKind(s.kind), trace.WithTimestamp(s.from.Time()), trace.WithAttributes(attrs...))
	if s.failed {
		open.SetStatus(codes.Error, "")
	}
	open.End(trace.WithTimestamp(max(s.to, s.from).Time()))
}

// Partner is the partner with a span for each of its calls.
func (t *Traces) Partner(p purchase.Partner) purchase.Partner {
	if t == nil {
		return p
	}
	return &tracedPartner{p, t}
}

type tracedPartner struct {
	purchase.Partner

	traces *Traces
}

// Do is purchase.Partner.
func (p *tracedPartner) Do(ctx context.Context, o purchase.Order) purchase.Outcome {
	return p.call(ctx, o, "do", p.Partner.Do)
}

// Query is purchase.Partner.
func (p *tracedPartner) Query(ctx context.Context, o purchase.Order) purchase.Outcome {
	return p.call(ctx, o, "query", p.Partner.Query)
}

// Cancel is purchase.Partner.
func (p *tracedPartner) Cancel(ctx context.Context, o purchase.Order) purchase.Outcome {
	return p.call(ctx, o, "cancel", p.Partner.Cancel)
}

func (p *tracedPartner) call(ctx context.Context, o purchase.Order, operation string, ask func(context.Context, purchase.Order) purchase.Outcome) purchase.Outcome {
	t := p.traces
	if !t.chosen(o.Reference) {
		return ask(ctx, o)
	}
	from, out := t.clock.Now(), purchase.Outcome{Kind: purchase.Unknown} // as for a call that panics
	defer func() {
		attrs := []slog.Attr{slog.String("partner", p.Name()), slog.String("operation", operation), slog.String("leg", o.Leg.String()),
			slog.Int("try", o.Try), slog.String("outcome", out.Kind.String()), slog.Any("number", o.Account)}
		if out.Reason != "" {
			attrs = append(attrs, slog.String("reason", string(out.Reason)))
		}
		t.span(context.Background(), &span{name: p.Name() + " " + o.Leg.String() + " " + operation, kind: trace.SpanKindClient, about: o.Reference,
			from: from, to: t.clock.Now(), failed: out.Kind == purchase.Unknown || out.Kind == purchase.Unsent, attrs: attrs})
	}()
	out = ask(ctx, o)
	return out
}

// Balances is the partner's telling of balances with a span for each question.
func (t *Traces) Balances(name string, r purchase.BalanceReader) purchase.BalanceReader {
	if t == nil {
		return r
	}
	return &tracedBalances{r, name, t}
}

type tracedBalances struct {
	reader purchase.BalanceReader
	name   string
	traces *Traces
}

// Balance is purchase.BalanceReader.
func (b *tracedBalances) Balance(ctx context.Context, line purchase.MSISDN) (purchase.Balances, error) {
	t := b.traces
	if !t.chosen("") {
		return b.reader.Balance(ctx, line) //nolint:wrapcheck // it is the same reader to whoever asks
	}
	from := t.clock.Now()
	balances, err := b.reader.Balance(ctx, line)
	outcome := "done"
	switch {
	case errors.Is(err, purchase.ErrUnknownLine):
		outcome = string(purchase.ReasonUnknownLine)
	case err != nil:
		outcome = string(purchase.ReasonClosed)
	}
	t.span(context.Background(), &span{name: b.name + " balance", kind: trace.SpanKindClient, from: from, to: t.clock.Now(), failed: outcome == string(purchase.ReasonClosed),
		attrs: []slog.Attr{slog.String("partner", b.name), slog.String("operation", "balance"), slog.String("outcome", outcome), slog.Any("number", line)}})
	return balances, err //nolint:wrapcheck // likewise
}

// outlet stands behind the queue of spans, and counts what leaves it.
type outlet struct {
	*otlptrace.Exporter

	log           *slog.Logger
	hangUp        func()
	lasting       context.Context // ends when nothing more may be sent
	end           context.CancelFunc
	waiting       atomic.Int64 // in the queue or on their way
	sent, dropped atomic.Int64
	failing       bool // of the last export; they follow one another
}

// gate stands before the queue of spans, and lets in what there is room for.
type gate struct {
	sdktrace.SpanProcessor

	outlet *outlet
}

// OnEnd is sdktrace.SpanProcessor.
func (g gate) OnEnd(s sdktrace.ReadOnlySpan) {
	if g.outlet.waiting.Add(1) > spanRoom {
		g.outlet.waiting.Add(-1)
		g.outlet.dropped.Add(1)
		return
	}
	g.SpanProcessor.OnEnd(s)
}

// ExportSpans is sdktrace.SpanExporter. Its failures are counted and logged here, and are nobody else's.
func (o *outlet) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.lasting, cancel)()
	err := o.Exporter.ExportSpans(ctx, spans)
	n := int64(len(spans))
	o.waiting.Add(-n)
	if err == nil {
		o.sent.Add(n)
	} else {
		o.dropped.Add(n)
	}
	switch failing := err != nil; {
	case failing && !o.failing:
		o.log.Warn("traces are dropped", slog.String("error", fmt.Sprintf("%.240s", err.Error())))
	case !failing && o.failing:
		o.log.Info("traces are sent again")
	}
	o.failing = err != nil
	return nil
}

// Traces adds the counts of spans, which are asked at each scrape.
func (m *Metrics) Traces(t *Traces) {
	if t != nil {
		m.registry.MustRegister(spans{t.outlet})
	}
}

type spans struct{ outlet *outlet }

var descSpans = described("spans_total", "Spans that ended, by what became of them: sent to the collector, or dropped.", "result")

// Describe sends the descriptions of all that Collect sends.
func (spans) Describe(ch chan<- *prometheus.Desc) { ch <- descSpans }

// Collect sends the present figures.
func (s spans) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(descSpans, prometheus.CounterValue, float64(s.outlet.sent.Load()), "sent")
	ch <- prometheus.MustNewConstMetric(descSpans, prometheus.CounterValue, float64(s.outlet.dropped.Load()), "dropped")
}
