package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/regulator"
	"tenu/internal/regulator/feed"
	"tenu/internal/regulator/monthly"
	"tenu/internal/testpeer"
)

// published puts a month into a site's store whose texts begin formulas.
func (s *site) published(t *testing.T, month string) {
	t.Helper()
	f := (&regulator.Figures{Made: regulator.Sum{Count: 1, Amount: regulator.Money{"XOF": 1050}},
		Failures: []regulator.Failure{{Leg: "=1+1", Code: "@SUM(A1)", Party: "+cmd|' /C calc'!A0", Sum: regulator.Sum{Count: 1, Amount: regulator.Money{"XOF": 1050}}}}}).Whole()
	m := &regulator.Monthly{Month: month, Zone: "UTC", Version: "-1", Limits: map[string]int64{}, Figures: f}
	files, err := monthly.Drawer("tenu", time.UTC)(m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i].Name, files[i].Digest = month+files[i].Name, regulator.Digest(files[i].Data)
	}
	if err := s.node.store.Publish(t.Context(), regulator.Publication{Month: month, At: s.app.clock.Now(), Version: "1", Digest: "x", Signature: "y"}, files); err != nil {
		t.Fatal(err)
	}
}

// fed asks the feed under a key, "" for none, at an address.
func fed(t *testing.T, url, key string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// TestFeed: who may ask, for which periods, in which forms; what is refused says why as a problem; nothing in a spreadsheet begins a formula.
func TestFeed(t *testing.T) {
	old := "tenu_old_" + strings.Repeat("A", 43)
	key, err := auth.NewKey("old", strings.NewReader(strings.Repeat("stale and random ", 20)))
	if err == nil {
		old = string(key)
	}
	s := startSite(t, func(text string) string {
		return strings.Replace(text, "clients:\n", "clients:\n  - name: old\n    channel: old\n    scopes: [regulator:read]\n    keys: [{hash: \""+auth.HashKey(old).String()+"\", expires: 2020-01-01T00:00:00Z}]\n", 1)
	})
	s.published(t, "2024-07")
	base := s.remote.URL + feed.Base
	for name, c := range map[string]struct {
		path, key string
		status    int
		code      string
	}{
		"no key":               {"/figures?month=2024-07", "", http.StatusUnauthorized, "key"},
		"a key that is none":   {"/figures?month=2024-07", s.regulatorKey[:len(s.regulatorKey)-1], http.StatusUnauthorized, "key"},
		"a key that is over":   {"/figures?month=2024-07", old, http.StatusUnauthorized, "key"},
		"a seller's key":       {"/figures?month=2024-07", s.remote.Key, http.StatusForbidden, "scope"},
		"reports of a seller":  {"/reports/2024-07/2024-07.csv", s.remote.Key, http.StatusForbidden, "scope"},
		"no period":            {"/figures", s.regulatorKey, http.StatusUnprocessableEntity, "period_wrong"},
		"a month that is none": {"/figures?month=2024-13", s.regulatorKey, http.StatusUnprocessableEntity, "period_wrong"},
		"ends before it began": {"/figures?from=2024-07-31&till=2024-07-01", s.regulatorKey, http.StatusUnprocessableEntity, "period_wrong"},
		"days of years":        {"/figures?from=2020-01-01&till=2024-07-01", s.regulatorKey, http.StatusUnprocessableEntity, "period_wrong"},
		"a day that is none":   {"/figures?from=2024-02-30&till=2024-03-01", s.regulatorKey, http.StatusUnprocessableEntity, "period_wrong"},
		"injected":             {"/figures?from=2024-01-01'%20OR%201=1--&till=2024-03-01", s.regulatorKey, http.StatusUnprocessableEntity, "period_wrong"},
		"no such country":      {"/figures?month=2024-07&profile=../NG", s.regulatorKey, http.StatusUnprocessableEntity, "period_wrong"},
		"no such month":        {"/reports/2024-06/2024-06.csv", s.regulatorKey, http.StatusNotFound, "not_found"},
		"no such file":         {"/reports/2024-07/..%2f..%2fetc%2fpasswd", s.regulatorKey, http.StatusNotFound, "not_found"},
	} {
		a := fed(t, base+c.path, c.key)
		var p struct {
			Status int
			Code   string
		}
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != c.status || p.Status != c.status || !strings.Contains(p.Code, c.code) || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s (%v)", name, a.status, a.body, err)
		}
	}
	for form, kind := range map[string]string{".csv": "text/csv; charset=utf-8", ".json": "application/json", "-fr.pdf": "application/pdf", "-en.html": "text/html; charset=utf-8", ".parquet": "application/vnd.apache.parquet"} {
		a := fed(t, base+"/reports/2024-07/2024-07"+form, s.regulatorKey)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != kind || a.header.Get("ETag") != `"`+regulator.Digest([]byte(a.body))+`"` || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", form, a.status, a.header)
		}
	}
	lines, err := csv.NewReader(bytes.NewReader([]byte(fed(t, base+"/reports/2024-07/2024-07.csv", s.regulatorKey).body))).ReadAll()
	if err != nil || len(lines) < 10 {
		t.Fatalf("%d lines: %v", len(lines), err)
	}
	marked := 0
	for _, cell := range slices.Concat(lines...) {
		if strings.ContainsAny(cell[:min(len(cell), 1)], "=+-@\t\r") {
			t.Errorf("a cell begins a formula: %q", cell)
		}
		if strings.HasPrefix(cell, "'") {
			marked++
		}
	}
	if marked < 3 {
		t.Errorf("%d cells are marked as text", marked)
	}
}

// TestFeedFitsItsDescription: all that the feed answers passes a validator that is not ours, by the description that it publishes itself.
func TestFeedFitsItsDescription(t *testing.T) {
	s := startSite(t, nil)
	s.published(t, "2024-07")
	w := wish{Product: "airtime", Number: "70112233", Amount: 1050, Currency: "XOF", PayWith: "wallet", Again: true}
	if _, err := s.remote.buy(t.Context(), "one", &w, 1); err != nil {
		t.Fatal(err)
	}
	described := fed(t, s.remote.URL+feed.Base+"/openapi.json", "")
	if described.status != http.StatusOK || described.header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("%d %v", described.status, described.header)
	}
	file := filepath.Join(t.TempDir(), "feed.json")
	if err := os.WriteFile(file, []byte(described.body), 0o600); err != nil {
		t.Fatal(err)
	}
	through := testpeer.Prism(t, file, s.remote.URL)
	month := time.Now().UTC().Format("2006-01")
	for path, want := range map[string]int{"/figures?month=" + month: 200, "/figures?from=" + month + "-01&till=" + month + "-01&profile=NG": 200, "/definitions": 200, "/reports": 200, "/reports/2024-07/2024-07.json": 200,
		"/figures?month=2024-13": 422, "/reports/2024-01/x": 404} {
		if a := fed(t, through+feed.Base+path, s.regulatorKey); a.status != want || want == 200 && !json.Valid([]byte(a.body)) || strings.Contains(a.body, "stoplight") {
			t.Errorf("%s: %d %.600s", path, a.status, a.body)
		}
	}
	if a := fed(t, through+feed.Base+"/figures?month="+month, s.remote.Key); a.status != http.StatusForbidden {
		t.Errorf("a seller's key: %d %.300s", a.status, a.body)
	}
	// The validator validates: what is not in the description does not pass it.
	if a := fed(t, through+feed.Base+"/figures?month=july", s.regulatorKey); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "stoplight") {
		t.Errorf("a question that is not described passes: %d %.300s", a.status, a.body)
	}
}
