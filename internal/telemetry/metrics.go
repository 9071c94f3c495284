package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tenu/internal/purchase"
)

// Metrics are one node's, in the Prometheus exposition format, on a registry of
// their own.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	batched  *prometheus.CounterVec
}

// Partner is how a partner stands.
type Partner struct {
	Name      string
	Closed    bool  // its circuit: calls pass
	Available bool  // by its own word
	HeldBack  int64 // calls held back since the start
	Retries   int   // left in the budget
}

// NewMetrics returns the metrics of a node of this version, whose engine's
// figures stats returns, and its partners' partners. Both are asked at each scrape.
func NewMetrics(version string, stats func() purchase.Stats, partners func() []Partner) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenu_http_requests_total",
			Help: "Requests answered."}, []string{"route", "client", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tenu_http_request_seconds",
			Help:    "Time to answer a request, the wait that it asked for included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}, []string{"route"}),
		batched: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenu_batch_purchases_total",
			Help: "Purchases of batches, by the status of each one's answer."}, []string{"client", "status"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenu_callbacks_refused_total",
			Help: "Callbacks that were not authentic or not readable. Any is worth a look."}, []string{"partner"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "tenu_build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.latency, m.batched, m.refused, build, engine{stats}, circuits{partners},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Request counts one request answered.
func (m *Metrics) Request(route, client string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, client, strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(route).Observe(took.Seconds())
}

// Batched counts purchases of batches by what each was answered.
func (m *Metrics) Batched(client string, status, purchases int) {
	m.batched.WithLabelValues(client, strconv.Itoa(status)).Add(float64(purchases))
}

// CallbackRefused counts one callback in a partner's name that was refused.
func (m *Metrics) CallbackRefused(partner string) { m.refused.WithLabelValues(partner).Inc() }

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// engine collects the engine's figures when they are asked for.
type engine struct{ stats func() purchase.Stats }

func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tenu_"+name, help, labels, nil)
}

var (
	descCreated  = described("purchases_created_total", "Purchases made durable.")
	descReplayed = described("purchases_replayed_total", "Requests answered with an earlier purchase.")
	descEntered  = described("purchases_entered_total", "Purchases that entered a state.", "state")
	descOutcomes = described("partner_outcomes_total", "What exchanges with partners taught.", "kind")
	descChanges  = described("changes_total", "Changes of purchases made durable.")
	descCommits  = described("commits_total", "Transactions committed.")
	descStale    = described("changes_stale_total", "Changes refused because another node had written.")
	descOpen     = described("purchases_open", "Purchases that still act by themselves.")
	descPending  = described("changes_pending", "Changes that wait for a commit.")
	descWaiting  = described("partner_calls_waiting", "Calls that wait for the partner's turn.", "partner")
	descClosed   = described("partner_circuit_closed", "1 while calls to the partner pass, else 0.", "partner")
	descHealthy  = described("partner_available", "0 while the partner says that it is unavailable, else 1.", "partner")
	descHeldBack = described("partner_calls_held_back_total", "Calls that were held back from the partner.", "partner")
	descRetries  = described("partner_retries_left", "Retries that the partner's budget still allows.", "partner")
	descUnderWay = described("partner_calls_under_way", "Calls that the partner has not answered yet.", "partner")
)

// Describe sends the descriptions of all that Collect sends.
func (engine) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descCreated, descReplayed, descEntered, descOutcomes, descChanges, descCommits,
		descStale, descOpen, descPending, descWaiting, descUnderWay} {
		ch <- d
	}
}

// Collect sends the present figures.
func (e engine) Collect(ch chan<- prometheus.Metric) {
	s := e.stats()
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	counter(descCreated, s.Created)
	counter(descReplayed, s.Replayed)
	counter(descChanges, s.Changes)
	counter(descCommits, s.Commits)
	counter(descStale, s.Stale)
	for _, state := range purchase.States {
		counter(descEntered, s.ByState[state], state.String())
	}
	for _, kind := range purchase.Kinds {
		counter(descOutcomes, s.ByKind[kind], kind.String())
	}
	gauge(descOpen, s.Open)
	gauge(descPending, s.Pending)
	for name, lane := range s.Lanes {
		gauge(descWaiting, lane.Waiting, name)
		gauge(descUnderWay, lane.UnderWay, name)
	}
}

// circuits collects how the partners stand.
type circuits struct{ partners func() []Partner }

// Describe sends the descriptions of all that Collect sends.
func (circuits) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descClosed, descHealthy, descHeldBack, descRetries} {
		ch <- d
	}
}

// Collect sends how the partners stand.
func (c circuits) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, partner string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, partner)
	}
	truth := map[bool]float64{true: 1}
	for _, p := range c.partners() {
		gauge(descClosed, truth[p.Closed], p.Name)
		gauge(descHealthy, truth[p.Available], p.Name)
		gauge(descRetries, float64(p.Retries), p.Name)
		ch <- prometheus.MustNewConstMetric(descHeldBack, prometheus.CounterValue, float64(p.HeldBack), p.Name)
	}
}
