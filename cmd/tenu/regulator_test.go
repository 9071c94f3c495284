package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
)

// reader is one of those who read the regulator's portal.
type reader struct {
	*testing.T
	at     string
	client *http.Client
	page   string
	status int
}

// reads signs somebody in at a listener.
func reads(t *testing.T, at, login, password string) *reader {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{T: t, at: "http://" + at, client: &http.Client{Jar: jar}}
	r.get("/signin")
	r.post("/signin", url.Values{"login": {login}, "password": {password}})
	return r
}

func (r *reader) took(response *http.Response, err error) string {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.Fatal(err)
	}
	r.page, r.status = string(text), response.StatusCode
	return r.page
}

func (r *reader) get(path string) string {
	r.Helper()
	return r.took(r.client.Get(r.at + path)) //nolint:noctx // of the loopback
}

var formToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// post sends a form with the token of the page before.
func (r *reader) post(path string, form url.Values) string {
	r.Helper()
	if found := formToken.FindStringSubmatch(r.page); found != nil {
		form.Set("token", found[1])
	}
	return r.took(r.client.PostForm(r.at+path, form)) //nolint:noctx // of the loopback
}

// has checks the status and what a page says.
func (r *reader) has(status int, words ...string) {
	r.Helper()
	if r.status != status {
		r.Errorf("status %d, and not %d: %.300s", r.status, status, r.page)
	}
	for _, w := range words {
		if !strings.Contains(r.page, w) {
			r.Errorf("the page does not say %q", w)
		}
	}
}

// TestRegulatorPortal reads the portal over HTTP: who may, what is shown of a purchase, and questions with their clocks.
func TestRegulatorPortal(t *testing.T) {
	s := startSite(t, nil)
	// A credit that is acknowledged and never comes: the money is held.
	s.fault(t, s.sandbox.addresses().Charging, `{"operation":"credit","kind":"lose_request","next":3}`)
	const number = "70112233"
	w := wish{Product: "airtime", Number: number, Amount: 1050, Currency: "XOF", PayWith: "wallet", Again: true}
	if _, err := s.remote.buy(t.Context(), "one", &w, 1); err != nil {
		t.Fatal(err)
	}
	ines := reads(t, s.at.regulator.Addr().String(), "ines", s.password)
	ines.get("/")
	ines.has(http.StatusOK, "Aujourd&#39;hui", "Argent retenu", "Échecs")
	for _, path := range []string{"/period", "/period?from=2024-07-01&till=2024-07-31&profile=NG", "/profiles?month=2024-07", "/incidents", "/published", "/definitions", "/questions", "/open"} {
		ines.get(path)
		ines.has(http.StatusOK)
	}
	ines.get("/period?from=2024-07-31&till=2024-07-01")
	ines.has(http.StatusUnprocessableEntity)
	ines.get("/period?profile=XX")
	ines.has(http.StatusUnprocessableEntity)

	ines.get("/open")
	ines.post("/open", url.Values{"reason": {"?"}})
	ines.has(http.StatusUnprocessableEntity, "Dites en quelques mots pourquoi")
	ines.post("/open", url.Values{"reason": {"contrôle du jour"}})
	ines.has(http.StatusOK, "Retenu")
	seen := ines.page
	link := regexp.MustCompile(`/open/[0-9-]{7}/[A-Z0-9]+`).FindString(ines.page)
	if link == "" {
		t.Fatalf("nothing is held: %s", ines.page)
	}
	ines.post(link, url.Values{"reason": {"contrôle du jour"}})
	ines.has(http.StatusOK, "Ce qui s&#39;est passé", "Preuve")
	for _, page := range []string{seen, ines.page} {
		if strings.Contains(page, number) || strings.Contains(page, "226") || strings.Contains(page, number[6:]+"<") {
			t.Error("a page shows a number")
		}
	}
	if n := s.count(t, "look WHERE reason LIKE '%contrôle du jour%'"); n != 2 {
		t.Errorf("%d looks are kept, and not 2", n)
	}
	ines.post(link[:len(link)-1]+"Z", url.Values{"reason": {"contrôle du jour"}})
	ines.has(http.StatusNotFound)

	ines.get("/questions")
	ines.post("/questions", url.Values{"subject": {"Retards"}, "text": {"Pourquoi ?"}, "due": {"2020-01-01T00:00"}})
	ines.has(http.StatusUnprocessableEntity, "Pourquoi ?")
	due := time.Now().Add(48 * time.Hour).UTC().Format("2006-01-02T15:04")
	ines.post("/questions", url.Values{"subject": {"Retards"}, "text": {"Pourquoi <b> ?"}, "due": {due}})
	ines.has(http.StatusOK, "La question est posée", "Retards", "encore", "&lt;b&gt;")
	ines.post("/questions/1", url.Values{"answer": {"moi-même"}})
	ines.has(http.StatusForbidden)
	issa := reads(t, s.at.regulator.Addr().String(), "issa", s.password)
	issa.get("/questions")
	issa.post("/questions/1", url.Values{"answer": {"Panne de la charge."}})
	issa.has(http.StatusOK, "La réponse est enregistrée", "Issa Kaboré")
	issa.post("/questions/1", url.Values{"answer": {"Autre chose."}})
	issa.has(http.StatusConflict)
	issa.get("/questions")
	issa.post("/questions", url.Values{"subject": {"x"}, "text": {"y"}, "due": {due}})
	issa.has(http.StatusForbidden)

	awa := reads(t, s.at.regulator.Addr().String(), "awa", s.password)
	awa.get("/")
	awa.has(http.StatusForbidden)
	out := reads(t, s.at.console.Addr().String(), "ines", s.password)
	for _, path := range []string{"/queue", "/account", "/live?what=board", "/customers/+22670112233"} {
		out.get(path)
		out.has(http.StatusForbidden)
	}
	if !auth.Regulator.May(auth.SeePublished) || auth.Regulator.May(auth.ViewCustomer) {
		t.Error("the regulator's role is wrong")
	}
}

// TestRegulator drives the regulator's portal in a real browser.
func TestRegulator(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(text string) string { // what is lost stays unknown for as long as the test
		return strings.Replace(text, "lateness: 1m", "lateness: 2h", 1)
	})
	at := s.sandbox.addresses()
	bought := 0
	buy := func(times int) {
		for range times {
			bought++
			w := wish{Product: "airtime", Number: "70112233", Amount: 1050, Currency: "XOF", PayWith: "wallet", Again: true}
			if _, err := s.remote.buy(t.Context(), strings.Repeat("k", bought), &w, 5); err != nil {
				t.Fatal(err)
			}
		}
	}
	buy(4)
	s.fault(t, at.Wallet, `{"operation":"charge","kind":"refuse","next":3}`)
	buy(3)
	s.fault(t, at.Charging, `{"operation":"credit","kind":"refuse","next":2}`)
	buy(2)
	s.fault(t, at.Charging, `{"operation":"credit","kind":"lose_request","next":100000}`)
	buy(2)
	ines := reads(t, s.at.regulator.Addr().String(), "ines", s.password)
	ines.get("/")
	ines.has(http.StatusOK, "Argent retenu, par âge (XOF)", "Échecs par code et partie responsable", "Du débit au crédit ou au remboursement", "De l&#39;échec prouvé au remboursement", "0\u00a0F\u00a0CFA")
	browse(t, "regulator.js", map[string]any{"regulator": "http://" + s.at.regulator.Addr().String(), "password": s.password})
}
