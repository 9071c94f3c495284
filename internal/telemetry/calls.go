package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Calls are the measures of the voice line. What is counted is of this node; callers wait at it, and agents are all nodes'.
type Calls struct {
	ended         *prometheus.CounterVec
	refused       prometheus.Counter
	answer, agent prometheus.Histogram
}

// Line is how the voice line stands.
type Line struct {
	Waiting int            // callers, for an agent
	Agents  map[string]int // by state
	Lost    int64          // calls that could not be kept, since the start
	SIP     *SIP           // of the SIP server, nil where there is none
}

// SIP is how the SIP server stands, and what it counted since its start.
type SIP struct {
	Open             int64           // calls that came in and are not over
	Dialled, Reached int64           // calls that it made, and those of them that were answered
	Forbidden        int64           // requests from outside the trunks
	Late             time.Duration   // the most that a packet of sound left too late
	Registered       map[string]bool // the trunks that are to know where the line is, and whether they do
}

// Calls adds the measures of the voice line, whose releases are given so that each is told from the start, and how
// it stands, which is asked at each scrape.
func (m *Metrics) Calls(releases []string, stands func() Line) *Calls {
	buckets := []float64{.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600}
	c := &Calls{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenu_calls_ended_total",
			Help: "Calls to the line that were answered and are over, by how they ended: abandoned and informed among them."}, []string{"release"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "tenu_calls_refused_total",
			Help: "Calls that were refused, with the time to try again. With tenu_calls_ended_total: all that were offered."}),
		answer: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tenu_call_answer_seconds",
			Help: "From a call's offer until it was answered.", Buckets: buckets}),
		agent: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tenu_call_agent_seconds",
			Help: "From the wish for an agent until the agent took the call.", Buckets: buckets}),
	}
	for _, release := range releases {
		c.ended.WithLabelValues(release)
	}
	m.registry.MustRegister(c.ended, c.refused, c.answer, c.agent, line{stands})
	return c
}

// Ended counts a call that is over: after what time it was answered, and an agent took it, negative for none.
func (c *Calls) Ended(release string, answered, agent time.Duration) {
	c.ended.WithLabelValues(release).Inc()
	c.answer.Observe(answered.Seconds())
	if agent >= 0 {
		c.agent.Observe(agent.Seconds())
	}
}

// Refused counts a call that was refused.
func (c *Calls) Refused() { c.refused.Inc() }

type line struct{ stands func() Line }

var (
	descCallers   = described("calls_waiting", "Callers who wait for an agent at this node.")
	descAgents    = described("agents", "Agents at their telephones, by what they do, as this node knows them.", "state")
	descCallsLost = described("calls_lost_total", "Calls whose record could not be kept. Any is worth a look.")

	descCallsOpen      = described("calls_open", "Calls to the line that are under way.")
	descCallsDialled   = described("calls_dialled_total", "Calls that the line made, to agents and to customers.")
	descCallsReached   = described("calls_reached_total", "Calls that the line made and that were answered.")
	descCallsForbidden = described("calls_forbidden_total", "SIP requests from outside the trunks.")
	descPacketLate     = described("call_packet_late_seconds", "The most that a packet of sound left too late, since the start.")
	descTrunk          = described("trunk_registered", "1 while a trunk that is to know where the line is does, otherwise 0.", "trunk")
)

// Describe sends the descriptions of all that Collect sends.
func (line) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descCallers, descAgents, descCallsLost, descCallsOpen, descCallsDialled, descCallsReached, descCallsForbidden, descPacketLate, descTrunk} {
		ch <- d
	}
}

// Collect sends the present figures.
func (l line) Collect(ch chan<- prometheus.Metric) {
	s := l.stands()
	ch <- prometheus.MustNewConstMetric(descCallers, prometheus.GaugeValue, float64(s.Waiting))
	ch <- prometheus.MustNewConstMetric(descCallsLost, prometheus.CounterValue, float64(s.Lost))
	for state, n := range s.Agents {
		ch <- prometheus.MustNewConstMetric(descAgents, prometheus.GaugeValue, float64(n), state)
	}
	if s.SIP == nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(descCallsOpen, prometheus.GaugeValue, float64(s.SIP.Open))
	ch <- prometheus.MustNewConstMetric(descCallsDialled, prometheus.CounterValue, float64(s.SIP.Dialled))
	ch <- prometheus.MustNewConstMetric(descCallsReached, prometheus.CounterValue, float64(s.SIP.Reached))
	ch <- prometheus.MustNewConstMetric(descCallsForbidden, prometheus.CounterValue, float64(s.SIP.Forbidden))
	ch <- prometheus.MustNewConstMetric(descPacketLate, prometheus.GaugeValue, s.SIP.Late.Seconds())
	for trunk, registered := range s.SIP.Registered {
		value := 0.0
		if registered {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(descTrunk, prometheus.GaugeValue, value, trunk)
	}
}
