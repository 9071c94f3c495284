package telemetry_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/telemetry"
)

func TestCallMetrics(t *testing.T) {
	m := telemetry.NewMetrics("v1", func() purchase.Stats { return purchase.Stats{} }, func() []telemetry.Partner { return nil })
	calls := m.Calls([]string{"informed", "spoken"}, func() telemetry.Line {
		return telemetry.Line{Waiting: 3, Agents: map[string]int{"ready": 0, "talking": 2}, Lost: 4,
			SIP: &telemetry.SIP{Open: 5, Dialled: 6, Reached: 7, Forbidden: 8, Late: 9 * time.Millisecond, Registered: map[string]bool{"core": true, "spare": false}}}
	})
	calls.Ended("spoken", 2*time.Second, 25*time.Second)
	calls.Ended("spoken", time.Second, -1)
	calls.Refused()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, line := range []string{`tenu_calls_ended_total{release="informed"} 0`, `tenu_calls_ended_total{release="spoken"} 2`, `tenu_calls_refused_total 1`,
		`tenu_calls_waiting 3`, `tenu_agents{state="ready"} 0`, `tenu_agents{state="talking"} 2`, `tenu_calls_lost_total 4`,
		`tenu_calls_open 5`, `tenu_calls_dialled_total 6`, `tenu_calls_reached_total 7`, `tenu_calls_forbidden_total 8`, `tenu_call_packet_late_seconds 0.009`,
		`tenu_trunk_registered{trunk="core"} 1`, `tenu_trunk_registered{trunk="spare"} 0`,
		`tenu_call_answer_seconds_count 2`, `tenu_call_agent_seconds_bucket{le="20"} 0`, `tenu_call_agent_seconds_bucket{le="30"} 1`, `tenu_call_agent_seconds_count 1`} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("the scrape lacks %s", line)
		}
	}
}
