package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
)

// A copy of the status page is asked for purchases in a real browser after the platform is gone: what
// it says of each is what became of it.
func TestStatusCopy(t *testing.T) {
	folder := t.TempDir()
	s := startSite(t, func(text string) string {
		return quick(text) + "status: {folder: " + folder + "}\n"
	})
	charging := s.sandbox.addresses().Charging
	unaffected := s.one(t, 900)
	soon(t, "it is credited", 10*time.Second, func() bool { return s.state(t, unaffected) == "credited" })

	s.fault(t, charging, `{"operation":"credit","kind":"lose_request"}`)
	var sold []string
	began := s.app.clock.Now()
	for i := 0; s.quoted("app") == nil; i++ {
		if s.app.clock.Now().Sub(began) > time.Minute {
			t.Fatal("it is still sold after a minute")
		}
		if reference, ok := s.attempt(t, i); ok {
			sold = append(sold, reference)
		}
		time.Sleep(100 * time.Millisecond)
	}
	soon(t, "an incident", 45*time.Second, func() bool { return s.open(t) != nil })
	if len(sold) < 6 {
		t.Fatalf("only %d were sold", len(sold))
	}
	// From here on two lines get nothing, the others are credited.
	for i := range 2 {
		s.fault(t, charging, fmt.Sprintf(`{"operation":"credit","kind":"lose_request","account":"2267012%d"}`, 1000+i))
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, charging+"/faults/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.Body.Close() != nil || response.StatusCode != http.StatusNoContent {
		t.Fatal(response, err)
	}
	settled := func() bool { return s.count(t, "purchase WHERE state = "+strconv.Itoa(int(purchase.Crediting))) == 2 }
	soon(t, "all but two are settled", time.Minute, settled)
	affected := s.count(t, "incident_purchase")
	after := time.Now()
	var list struct {
		At       time.Time
		Complete bool
	}
	soon(t, "a version of the list after that", time.Minute, func() bool {
		text, err := os.ReadFile(filepath.Join(folder, "concerned.json"))
		return err == nil && json.Unmarshal(text, &list) == nil && list.At.After(after) && list.Complete
	})
	entries := 0
	for i := range 64 {
		text, err := os.ReadFile(filepath.Join(folder, fmt.Sprintf("concerned-%02x.bin", i)))
		if err != nil || len(text)%5 != 0 {
			t.Fatal(len(text), err)
		}
		entries += len(text) / 5
	}
	if entries != affected || affected < 6 {
		t.Errorf("%d listed, %d affected", entries, affected)
	}
	type asked struct {
		Ref  string   `json:"ref"`
		Want []string `json:"want"`
		None bool     `json:"none,omitempty"` // nothing is fetched for it
	}
	cases := []asked{{Ref: sold[len(sold)-1]}, {Ref: unaffected, Want: []string{"n'est pas dans la liste"}},
		{Ref: "K7M2-Q4XD-9", Want: []string{"n'est pas juste"}, None: true}}
	says := map[string]string{"credited": "Il est crédité.", "refunded": "Il est remboursé.", "crediting": "Il est en attente."} //nolint:gosec // no credentials
	seen := map[string]bool{}
	for i, reference := range sold {
		state := s.state(t, reference)
		want := []string{"est concerné par un incident.", says[state], "D'après la liste du"}
		if i == len(sold)-1 {
			cases[0].Want = want
		} else if !seen[state] || i < 6 {
			cases = append(cases, asked{Ref: reference, Want: want})
		}
		seen[state] = true
	}
	if !seen["credited"] || !seen["crediting"] {
		t.Errorf("not both are there: %v", seen)
	}
	s.halt() // the platform is gone
	copied := httptest.NewServer(http.FileServer(http.Dir(folder)))
	defer copied.Close()
	browse(t, "status.js", map[string]any{"base": copied.URL, "cases": cases})
}

// one buys for a line, which must work.
func (s *site) one(t *testing.T, i int) string {
	t.Helper()
	reference, ok := s.attempt(t, i)
	if !ok {
		t.Fatal("it is not sold")
	}
	return reference
}

// state is a purchase's, by the API.
func (s *site) state(t *testing.T, reference string) string {
	t.Helper()
	var p struct{ State string }
	if err := s.remote.call(t.Context(), http.MethodGet, "/v1/purchases/"+reference, nil, nil, &p); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(p.State)
}
