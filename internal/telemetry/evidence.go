package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Evidence is how the append-only log stands.
type Evidence struct {
	Size    int64         // leaves in the tree
	Late    int64         // promises that took more than a minute into the tree, by this node since the start
	Waiting int64         // batches that are in no tree yet
	Oldest  time.Duration // age of the oldest leaf of those
	Head    time.Duration // age of the signed head
	Behind  []Behind      // of witnesses; empty on a node that does not sign
}

// Behind is for how long a witness lacks the last head, 0 where it cosigned it.
type Behind struct {
	Witness string
	For     time.Duration
}

// Log adds the figures of the append-only log, which are asked at each scrape. What figures
// returns beside an error is what is known without the store.
func (m *Metrics) Log(figures func() (Evidence, error)) {
	m.registry.MustRegister(evidence{figures})
}

type evidence struct{ figures func() (Evidence, error) }

var (
	descLeaves   = described("log_leaves", "Leaves in the tree of the append-only log.")
	descLate     = described("log_late_total", "Promises that took more than 60 s into the log: each is a breach.")
	descUnlogged = described("log_batches_waiting", "Batches of leaves that are in no tree yet.")
	descHead     = described("log_head_age_seconds", "Age of the signed head. It is renewed within 30 s even where nothing happens: alert above 60.")
	descBehind   = described("log_witness_behind_seconds", "For how long a witness lacks the last head, by the node that signs; 0 where it cosigned it.", "witness")
	descLag      = described("log_lag_seconds", "Age of the oldest leaf that is in no tree yet. Alert above 10, long before the 60 that are promised.")
)

// Describe sends the descriptions of all that Collect sends.
func (evidence) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLeaves, descLate, descUnlogged, descLag, descHead, descBehind} {
		ch <- d
	}
}

// Collect sends the present figures.
func (e evidence) Collect(ch chan<- prometheus.Metric) {
	f, err := e.figures()
	ch <- prometheus.MustNewConstMetric(descLate, prometheus.CounterValue, float64(f.Late))
	for _, b := range f.Behind {
		ch <- prometheus.MustNewConstMetric(descBehind, prometheus.GaugeValue, b.For.Seconds(), b.Witness)
	}
	if err != nil {
		return // the store's figures are missing for this once
	}
	ch <- prometheus.MustNewConstMetric(descLeaves, prometheus.GaugeValue, float64(f.Size))
	ch <- prometheus.MustNewConstMetric(descUnlogged, prometheus.GaugeValue, float64(f.Waiting))
	ch <- prometheus.MustNewConstMetric(descHead, prometheus.GaugeValue, f.Head.Seconds())
	ch <- prometheus.MustNewConstMetric(descLag, prometheus.GaugeValue, f.Oldest.Seconds())
}
