package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Webhooks is how the telling of events stands.
type Webhooks struct {
	Delivered, Failed, Died int64 // tries of this node since the start
	Waiting, Dead           int   // in the store
	Oldest                  time.Duration
}

// Webhooks adds the figures of the telling of events, which are asked at each scrape.
// What figures returns beside an error is what is known without the store.
func (m *Metrics) Webhooks(figures func() (Webhooks, error)) {
	m.registry.MustRegister(webhooks{figures})
}

type webhooks struct{ figures func() (Webhooks, error) }

var (
	descTold   = described("webhook_tries_total", "Tries to tell a listener of an event, by what became of them.", "result")
	descDue    = described("webhook_events_waiting", "Events that wait to be told.")
	descDead   = described("webhook_events_dead", "Events that were given up. Any is worth a look.")
	descOldest = described("webhook_oldest_seconds", "Age of the oldest event that waits to be told.")
)

// Describe sends the descriptions of all that Collect sends.
func (webhooks) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descTold, descDue, descDead, descOldest} {
		ch <- d
	}
}

// Collect sends the present figures.
func (w webhooks) Collect(ch chan<- prometheus.Metric) {
	f, err := w.figures()
	for result, n := range map[string]int64{"delivered": f.Delivered, "failed": f.Failed, "given_up": f.Died} {
		ch <- prometheus.MustNewConstMetric(descTold, prometheus.CounterValue, float64(n), result)
	}
	if err != nil {
		return // the store's figures are missing for this once
	}
	ch <- prometheus.MustNewConstMetric(descDue, prometheus.GaugeValue, float64(f.Waiting))
	ch <- prometheus.MustNewConstMetric(descDead, prometheus.GaugeValue, float64(f.Dead))
	ch <- prometheus.MustNewConstMetric(descOldest, prometheus.GaugeValue, f.Oldest.Seconds())
}
