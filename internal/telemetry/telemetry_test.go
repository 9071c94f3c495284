package telemetry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/telemetry"
)

func TestMetrics(t *testing.T) {
	stats := purchase.Stats{Open: 3, Lanes: map[string]purchase.LaneStats{"wallet": {Waiting: 2, UnderWay: 1}}}
	stats.Created = 7
	stats.ByState[purchase.Credited] = 4
	m := telemetry.NewMetrics("v1.2.3", func() purchase.Stats { return stats },
		func() []telemetry.Partner { return []telemetry.Partner{{Name: "wallet", Available: true, HeldBack: 9}} })
	m.Request("POST /v1/purchases", "shop", 201, 12*time.Millisecond)
	m.CallbackRefused("wallet")

	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("scrape: %d, %v: %s", w.Code, err, body)
	}
	for _, line := range []string{
		`tenu_http_requests_total{client="shop",route="POST /v1/purchases",status="201"} 1`,
		`tenu_http_request_seconds_bucket{route="POST /v1/purchases",le="0.025"} 1`,
		`tenu_callbacks_refused_total{partner="wallet"} 1`,
		`tenu_purchases_created_total 7`,
		`tenu_purchases_entered_total{state="credited"} 4`,
		`tenu_purchases_open 3`,
		`tenu_partner_calls_waiting{partner="wallet"} 2`,
		`tenu_partner_calls_under_way{partner="wallet"} 1`,
		`tenu_partner_circuit_closed{partner="wallet"} 0`,
		`tenu_partner_available{partner="wallet"} 1`,
		`tenu_partner_calls_held_back_total{partner="wallet"} 9`,
		`tenu_build_info{version="v1.2.3"} 1`,
	} {
		if !strings.Contains(string(body), line+"\n") {
			t.Errorf("the scrape lacks %s", line)
		}
	}
}

func TestNewLogger(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "json", "warn")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("loud", "n", 1)
	var line struct {
		Msg string
		N   int
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "loud" || line.N != 1 {
		t.Errorf("got %q (%v), want the one warning", out.String(), err)
	}
	for _, c := range [][2]string{{"xml", "info"}, {"json", "loud"}, {"json", "info+3"}} {
		if _, err := telemetry.NewLogger(io.Discard, c[0], c[1]); err == nil {
			t.Errorf("format %s, level %s was accepted", c[0], c[1])
		}
	}
}
