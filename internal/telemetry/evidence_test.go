package telemetry_test

import (
	"errors"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/telemetry"
)

// scrape is what a node with a log, a witness and a line answers.
func scrape(t *testing.T, figures func() (telemetry.Evidence, error)) string {
	t.Helper()
	m := telemetry.NewMetrics("v1", func() purchase.Stats { return purchase.Stats{} }, func() []telemetry.Partner { return nil })
	m.Log(figures)
	m.Calls([]string{"overload"}, func() telemetry.Line {
		return telemetry.Line{Agents: map[string]int{"ready": 0}, SIP: &telemetry.SIP{Registered: map[string]bool{"core": true}}}
	})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func standing() (telemetry.Evidence, error) {
	return telemetry.Evidence{Size: 12, Late: 2, Waiting: 3, Oldest: 61 * time.Second, Head: 4500 * time.Millisecond,
		Behind: []telemetry.Behind{{"w.example", 90 * time.Second}, {"v.example", 0}}}, nil
}

func TestLogMetrics(t *testing.T) {
	body := scrape(t, standing)
	for _, line := range []string{`tenu_log_leaves 12`, `tenu_log_late_total 2`, `tenu_log_batches_waiting 3`, `tenu_log_lag_seconds 61`,
		`tenu_log_head_age_seconds 4.5`, `tenu_log_witness_behind_seconds{witness="w.example"} 90`, `tenu_log_witness_behind_seconds{witness="v.example"} 0`} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("the scrape lacks %s", line)
		}
	}
	// Without the store's figures an age of nothing must not be told for one of 0 s.
	body = scrape(t, func() (telemetry.Evidence, error) { return telemetry.Evidence{Late: 2}, errors.New("no database") })
	if !strings.Contains(body, "tenu_log_late_total 2\n") || strings.Contains(body, "\ntenu_log_head_age_seconds") || strings.Contains(body, "\ntenu_log_lag_seconds") {
		t.Errorf("without the database the scrape says\n%s", body)
	}
}

// The rules that are shipped ask for nothing that no node tells.
func TestAlertsAskForWhatIsTold(t *testing.T) {
	rules, err := os.ReadFile("../../docs/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	body := scrape(t, standing)
	asked := 0
	for line := range strings.Lines(string(rules)) {
		expression := strings.TrimSpace(line)
		if strings.HasPrefix(expression, "#") || strings.HasPrefix(expression, "description:") {
			continue // for people
		}
		for _, name := range regexp.MustCompile(`tenu_\w+`).FindAllString(expression, -1) {
			if asked++; !strings.Contains(body, "\n"+name+"{") && !strings.Contains(body, "\n"+name+" ") {
				t.Errorf("a rule asks for %s, which no node tells", name)
			}
		}
	}
	if asked < 15 {
		t.Errorf("the rules ask for %d metrics", asked)
	}
}
