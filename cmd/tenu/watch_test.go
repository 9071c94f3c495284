package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tenu/internal/incident"
	"tenu/internal/notify"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// open returns the only incident that is not closed, nil where there is none.
func (s *site) open(t *testing.T) *incident.Incident {
	t.Helper()
	found, err := s.node.store.Incidents(t.Context(), incident.Query{Open: true})
	if err != nil || len(found) > 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if len(found) == 0 {
		return nil
	}
	return &found[0]
}

// attempt buys for one of many lines, and reports whether it was sold.
func (s *site) attempt(t *testing.T, i int) (string, bool) {
	t.Helper()
	number := "7012" + strconv.Itoa(1000+i)
	p, err := s.remote.buy(t.Context(), uuid.NewString(), &wish{Product: "airtime", Number: number, Amount: 1050, Currency: "XOF", PayWith: "wallet"}, 0)
	if err != nil {
		return "", false
	}
	return p.Reference, true
}

// The charging system fails under a real installation: nobody tells the node. Sales stop, those who paid
// are told once, the page says so; it works again, everybody is settled, and the record is closed.
func TestIncident(t *testing.T) {
	s := startSite(t, func(text string) string {
		text = strings.Replace(text, "deliver_within: 20s", "deliver_within: 2s", 1)
		return text + "incidents: {expected: 1s, canaries: [{number: \"70 00 00 01\", operator: moov}]}\nstatus: {folder: " + t.TempDir() + "}\n"
	})
	n := s.node
	folder := n.cfg.path(n.cfg.Status.Folder)
	page := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(text)
	}
	soon(t, "the first page", 10*time.Second, func() bool { return strings.Contains(page("index.html"), "État du service") })

	s.fault(t, s.sandbox.addresses().Charging, `{"operation":"credit","kind":"lose_request"}`)
	began := s.app.clock.Now()
	var stuck string
	sold := 0
	for i := 0; s.quoted("app") == nil; i++ {
		if reference, ok := s.attempt(t, i); ok {
			sold++
			stuck = reference
		}
		if s.app.clock.Now().Sub(began) > time.Minute {
			t.Fatal("it is still sold after a minute")
		}
		time.Sleep(200 * time.Millisecond)
	}
	soon(t, "an incident", 45*time.Second, func() bool { return s.open(t) != nil })
	in := s.open(t)
	if in.Series != (incident.Series{By: incident.ByProvider, Name: "ocs"}) || in.PausedAt == 0 || in.Party != "provider:ocs" {
		t.Errorf("%+v", in)
	}
	charged := func() int64 {
		return int64(s.count(t, "purchase WHERE charged_at <> 0 AND payer = 'wallet'"))
	}
	if charged() < 5 {
		t.Errorf("%d sold, %d charged", sold, charged())
	}
	var totals incident.Totals
	defer func() {
		if t.Failed() {
			t.Logf("%d sold, %d charged: %+v", sold, charged(), totals)
		}
	}()
	soon(t, "all who paid are affected and told", 20*time.Second, func() bool {
		var err error
		if totals, err = n.store.Totals(t.Context(), in.ID); err != nil {
			t.Fatal(err)
		}
		return totals.Purchases == charged() && totals.Told == totals.Customers && totals.Pending > 0
	})
	soon(t, "the page says so", 10*time.Second, func() bool { return strings.Contains(page("index.html"), "suspendu") })
	soon(t, "the incident has a page", 10*time.Second, func() bool {
		return in.Title["fr"] != "" && strings.Contains(page("incident-"+strconv.Itoa(int(in.ID))+".html"), in.Title["fr"])
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.at.status.Addr().String()+"/concerned?ref="+stuck, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK || strings.Contains(string(text), "7012") {
		t.Errorf("%d %v %s", response.StatusCode, err, text)
	}

	s.noFaults(t, s.sandbox.addresses().Charging)
	soon(t, "a canary lets some in again", 90*time.Second, func() bool {
		in := s.open(t)
		return in != nil && in.Status == incident.Recovering
	})
	for _, p := range n.pauses.Pauses() {
		if _, err := n.pauses.Resume(t.Context(), incident.Actor{}, p.ID, 0, "the test has seen enough", true); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, "it is resolved", 20*time.Second, func() bool { return s.open(t).Status == incident.Resolved })
	soon(t, "everybody is settled", 60*time.Second, func() bool {
		var err error
		if totals, err = n.store.Totals(t.Context(), in.ID); err != nil {
			t.Fatal(err)
		}
		return totals.Pending == 0 && totals.Credited+totals.Refunded == charged()
	})
	if s.quoted("app") != nil {
		t.Error("it is not sold again")
	}
	s.showsIncident(t, charged())
	if found, err := n.store.Verify(t.Context(), store.Verification{}); err != nil || len(found) != 0 {
		t.Errorf("the books: %+v, %v", found, err)
	}
}

// showsIncident reads the first incident as somebody does who has no console.
func (s *site) showsIncident(t *testing.T, charged int64) {
	t.Helper()
	file := filepath.Join(s.Dir, "tenu.yaml")
	code, out, problems := tenu(t, noEnv, "incident", "show", "i-1", "--json", "--config", file)
	var shown incidentLine
	if err := json.Unmarshal([]byte(out), &shown); code != exitDone || err != nil || shown.Purchases != charged || shown.By != "provider" || shown.Name != "ocs" ||
		shown.Pending != 0 || len(shown.Timeline) < 4 || shown.Timeline[0].Event != string(incident.EventOpened) {
		t.Errorf("%d %s %s", code, out, problems)
	}
	code, out, _ = tenu(t, noEnv, "incident", "list", "--config", file)
	if code != exitDone || !strings.Contains(out, "I-1  provider ocs: resolved") {
		t.Errorf("%d %s", code, out)
	}
	for _, bad := range []string{"99", "x", "-1"} {
		if code, _, problems := tenu(t, noEnv, "incident", "show", "--config", file, "--", bad); code != exitUsage || !strings.Contains(problems, "tenu incident list") {
			t.Errorf("%s: %d %s", bad, code, problems)
		}
	}
}

// hands is a clock that a test moves.
type hands struct{ now purchase.Instant }

func (h *hands) Now() purchase.Instant                { return h.now }
func (*hands) After(d time.Duration) <-chan time.Time { return time.After(d) }

// answering is a centre that always gives one answer.
type answering struct{ err error }

func (c answering) Send(context.Context, notify.Message) error { return c.err }

// A centre that takes no message is found; numbers that it refuses, and a node that stops, are no fault of it.
func TestMessagesCount(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		ctx   context.Context
		err   error
		found bool
	}{{t.Context(), notify.ErrNotTaken, true}, {t.Context(), context.DeadlineExceeded, true}, {t.Context(), nil, false},
		{t.Context(), fmt.Errorf("%w: no such number", notify.ErrRefused), false}, {stopped, context.Canceled, false}} {
		clock := &hands{1_800_000_000_000_000}
		signals, detector := incident.NewSignals(incident.SignalsConfig{}), incident.NewDetector(incident.DetectorConfig{})
		centre := &countedCentre{answering{c.err}, signals.Delivered, clock}
		var readings incident.Readings
		found := false
		for range 60 {
			clock.now = clock.now.Add(time.Second)
			_ = centre.Send(c.ctx, notify.Message{})
			signals.ReadInto(&readings, clock.now)
			for _, f := range detector.Step(clock.now, readings) {
				found = found || f.Rule == incident.RuleNotices
			}
		}
		if found != c.found {
			t.Errorf("%v: found %v", c.err, found)
		}
	}
}

// What another process pauses is on the page within seconds, also where everything was well.
func TestPageFollowsOthers(t *testing.T) {
	s := startSite(t, func(text string) string { return text + "status: {folder: " + t.TempDir() + "}\n" })
	page := func() string {
		text, err := os.ReadFile(filepath.Join(s.node.cfg.path(s.node.cfg.Status.Folder), "index.html"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(text)
	}
	soon(t, "the first page", 10*time.Second, func() bool { return strings.Contains(page(), "État du service") })
	if strings.Contains(page(), "suspendu") {
		t.Fatal("something is paused")
	}
	p := incident.Pause{Version: 1, Series: incident.Series{By: incident.ByProvider, Name: "ocs"}, Reason: "maintenance", Held: true, At: s.app.clock.Now()}
	if _, err := s.node.store.ChangePause(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	soon(t, "the page says so", 20*time.Second, func() bool { return strings.Contains(page(), "suspendu") })
}

// A partner whose health is asked more seldom than a purchase takes is still asked before its probe is given up: else
// nothing would ever open a pause of it again.
func TestProbesAreAnswered(t *testing.T) {
	var c config
	c.Incidents.Expected.Duration = time.Second
	c.Partners = []partnerConfig{{}}
	if within := c.probeWithin(); within <= 10*time.Second {
		t.Errorf("given up after %s, asked every 10 s", within)
	}
	c.Partners[0].ProbeEvery.Duration = time.Minute
	if within := c.probeWithin(); within <= time.Minute {
		t.Errorf("given up after %s, asked every minute", within)
	}
	c.Incidents.Expected.Duration = time.Minute
	if within := c.probeWithin(); within != 3*time.Minute {
		t.Errorf("given up after %s", within)
	}
}
