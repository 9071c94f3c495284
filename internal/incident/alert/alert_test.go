package alert_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/incident/alert"
	"tenu/internal/purchase"
)

// hands is a clock that a test moves.
type hands struct{ now purchase.Instant }

func (h *hands) Now() purchase.Instant                { return h.now }
func (*hands) After(d time.Duration) <-chan time.Time { return time.After(d) }

// posted is an alert as the interface of Alertmanager v0.27 has it: its document api/v2/openapi.yaml, postableAlert.
type posted struct {
	Labels       map[string]string `json:"labels"` // required
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

// manager is a receiver that takes what the interface allows, and nothing else. It keeps the alerts by their labels, as
// the real one does.
type manager struct {
	t    *testing.T
	mu   sync.Mutex
	down bool
	now  *hands
	ends map[string]time.Time // by severity of I-12
	last []posted
	hits int
}

var name = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (m *manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hits++
	if m.down {
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/prefix/api/v2/alerts" || r.Header.Get("Content-Type") != "application/json" {
		m.t.Errorf("%s %s, %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		http.Error(w, "no such thing", http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		m.t.Error(err)
	}
	var all []posted
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		m.t.Errorf("%v: %s", err, body)
	}
	for _, a := range all {
		starts, err := time.Parse(time.RFC3339, a.StartsAt)
		ends, err2 := time.Parse(time.RFC3339, a.EndsAt)
		if err != nil || err2 != nil || ends.Before(starts) || len(a.Labels) == 0 || a.Labels["alertname"] == "" {
			m.t.Errorf("not an alert: %+v", a)
			http.Error(w, "invalid", http.StatusBadRequest)
			return
		}
		for label, value := range a.Labels {
			if !name.MatchString(label) || value == "" {
				m.t.Errorf("not a label: %q=%q", label, value)
			}
		}
		if a.Labels["incident"] == "I-12" {
			m.ends[a.Labels["severity"]] = ends
		}
	}
	m.last = all
}

// firing is whether I-12 fires with a severity.
func (m *manager) firing(severity string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ends[severity].After(m.now.now.Time())
}

// broken lets the receiver be out of order, or not.
func (m *manager) broken(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func TestAlerts(t *testing.T) {
	clock := &hands{1_800_000_000_000_000}
	m := &manager{t: t, now: clock, ends: map[string]time.Time{}}
	server := httptest.NewServer(m)
	defer server.Close()
	c, err := alert.New(alert.Config{URL: server.URL + "/prefix/", Clock: clock, Labels: map[string]string{"site": "ouaga"}, Language: "fr",
		Page: func(id incident.ID) string { return "https://console/incidents/" + id.String() }})
	if err != nil {
		t.Fatal(err)
	}
	step := func(fine bool) {
		t.Helper()
		if _, err := c.Step(t.Context(), clock.now); (err == nil) != fine {
			t.Errorf("step: %v", err)
		}
	}
	i := incident.Incident{ID: 12, Version: 1, Series: incident.Series{By: incident.ByProvider, Name: "ocs"}, Rule: incident.RuleAbsolute, Status: incident.Ongoing,
		Severity: incident.Major, Party: "provider:ocs", Since: clock.now - 5_000_000, Title: map[purchase.Language]string{"fr": "Achats perturbés"}}
	tell := func(e incident.Event) {
		c.Tell(incident.Alert{Incident: i, Totals: incident.Totals{Customers: 7, Purchases: 9, Pending: 8}, Event: e, At: clock.now})
	}
	step(true) // nothing to tell
	if m.hits != 0 {
		t.Error("nothing was told")
	}
	m.broken(true)
	tell(incident.EventOpened)
	step(false)
	m.broken(false)
	step(true)
	if !m.firing("major") || len(m.last) != 1 {
		t.Fatalf("told %+v", m.last)
	}
	a := m.last[0]
	if a.Labels["site"] != "ouaga" || a.Labels["series"] != "ocs" || a.Labels["dimension"] != "provider" || a.Labels["party"] != "provider:ocs" || a.Labels["rule"] != "absolute" ||
		a.Annotations["summary"] != "Achats perturbés" || a.Annotations["customers"] != "7" || a.GeneratorURL != "https://console/incidents/I-12" {
		t.Errorf("told %+v", a)
	}
	// It fires on while it is told of, whatever else happens.
	for range 10 {
		clock.now = clock.now.Add(time.Minute)
		before := m.hits
		step(true)
		if step(true); m.hits != before+1 || !m.firing("major") {
			t.Errorf("told %d times in a minute", m.hits-before)
		}
	}
	// A severity that it has no more fires no more.
	i.Version, i.Severity = 2, incident.Critical
	tell(incident.EventSeverity)
	step(true)
	if m.firing("major") || !m.firing("critical") {
		t.Errorf("ends %v", m.ends)
	}
	clock.now = clock.now.Add(time.Minute)
	if step(true); len(m.last) != 1 {
		t.Errorf("told %+v", m.last)
	}
	// What was true before says nothing any more.
	old := i
	old.Version, old.Severity = 1, incident.Minor
	c.Tell(incident.Alert{Incident: old})
	// The end is told, though the receiver is out of order at that time, and then no more.
	i.Version, i.Status, i.ResolvedAt = 3, incident.Resolved, clock.now
	m.broken(true)
	tell(incident.EventResolved)
	step(false)
	clock.now = clock.now.Add(2 * time.Minute)
	step(false)
	m.broken(false)
	step(true)
	if m.firing("critical") || m.firing("minor") {
		t.Errorf("ends %v", m.ends)
	}
	before := m.hits
	clock.now = clock.now.Add(time.Hour)
	if step(true); m.hits != before {
		t.Error("told of what is over")
	}
	// It begins again.
	i.Version, i.Status, i.ResolvedAt = 4, incident.Ongoing, 0
	tell(incident.EventAgain)
	if step(true); !m.firing("critical") {
		t.Error("it does not fire again")
	}
}

// TestRunTellsAtOnce: what is told while the loop sleeps is sent without waiting for the next repeat.
func TestRunTellsAtOnce(t *testing.T) {
	clock := &hands{1_800_000_000_000_000}
	told := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told <- struct{}{} }))
	defer server.Close()
	c, err := alert.New(alert.Config{URL: server.URL, Clock: clock, Repeat: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.Run(ctx, func(err error) { t.Error(err) })
	}()
	for id := range incident.ID(3) {
		c.Tell(incident.Alert{Incident: incident.Incident{ID: id + 1, Version: 1, Status: incident.Ongoing, Severity: incident.Minor}, Event: incident.EventOpened})
		select {
		case <-told:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was told")
		}
	}
	cancel()
	<-over
}

func TestNewRefuses(t *testing.T) {
	clock := &hands{}
	for _, cfg := range []alert.Config{{}, {URL: "alertmanager:9093", Clock: clock}, {URL: "ftp://host", Clock: clock}, {URL: "http://", Clock: clock}, {URL: "http://host"},
		{URL: "http://host", Clock: clock, Labels: map[string]string{"a-b": "x"}}, {URL: "http://host", Clock: clock, Labels: map[string]string{"severity": "x"}}} {
		if _, err := alert.New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

// TestKeptElsewhere: a node that is told no more of an incident, because another one keeps the record and saw its end, does
// not keep its alert open.
func TestKeptElsewhere(t *testing.T) {
	clock := &hands{1_800_000_000_000_000}
	m := &manager{t: t, now: clock, ends: map[string]time.Time{}}
	server := httptest.NewServer(m)
	defer server.Close()
	c, err := alert.New(alert.Config{URL: server.URL + "/prefix", Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	pass := func(d time.Duration, told bool) {
		t.Helper()
		for end := clock.now.Add(d); clock.now < end; clock.now = clock.now.Add(time.Minute) {
			if told {
				c.Tell(incident.Alert{Incident: incident.Incident{ID: 12, Version: 1, Status: incident.Ongoing, Severity: incident.Major, Since: 1_700_000_000_000_000}})
			}
			if _, err := c.Step(t.Context(), clock.now); err != nil {
				t.Fatal(err)
			}
		}
	}
	if pass(time.Hour, true); !m.firing("major") {
		t.Error("it ended while it lasted")
	}
	if pass(5*time.Minute, false); !m.firing("major") {
		t.Error("it ended while the store was out of reach for a moment")
	}
	if pass(15*time.Minute, false); m.firing("major") {
		t.Error("it is open for ever")
	}
}
