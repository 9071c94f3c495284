package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tenu/internal/page"
	"tenu/internal/staff"
)

// portalRoute is one that the portal answers.
type portalRoute struct {
	method, path  string
	open, allowed bool // to anybody; to a regulator's staff
}

// portalRoutes are all of the portal's, those of every site among them, read off its source.
func portalRoutes(t *testing.T) (all []portalRoute) {
	t.Helper()
	source, err := os.ReadFile("../../internal/regulator/portal/portal.go")
	if err != nil {
		t.Fatal(err)
	}
	path := strings.NewReplacer("{$}", "", "{month}", "2024-07", "{name}", "ABCDEFGHJKMNPQRSTVWXYZ2345", "{file}", "2024-07.csv", "{id}", "1")
	add := func(pattern string, open, allowed bool) {
		method, to, _ := strings.Cut(pattern, " ")
		all = append(all, portalRoute{method, path.Replace(to), open, allowed})
	}
	for _, r := range staff.Routes() {
		add(r.Pattern, r.Open, true)
	}
	for _, found := range regexp.MustCompile(`\{"((?:GET|POST) [^"]+)", (true|false), auth\.(\w+)`).FindAllStringSubmatch(string(source), -1) {
		add(found[1], found[2] == "true", found[3] != "AnswerRegulator")
	}
	if len(all) < 8+13 {
		t.Fatalf("%d routes are found", len(all))
	}
	return all
}

// asked sends a request of a reader's, and does not follow where it leads.
func (r *reader) asked(method, path string, header http.Header, form url.Values) answer {
	r.Helper()
	q, err := http.NewRequestWithContext(r.Context(), method, r.at+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.Fatal(err)
	}
	if method == http.MethodPost {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	maps.Copy(q.Header, header)
	client := *r.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(q)
	r.took(response, err)
	h := response.Header
	if h.Get("Content-Security-Policy") == "" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") == "" || h.Get("Cross-Origin-Opener-Policy") == "" {
		r.Errorf("%s %s lacks a header: %v", method, path, h)
	}
	if kind := h.Get("Content-Type"); strings.HasPrefix(kind, "text/html") && h.Get("Location") == "" && (h.Get("Content-Security-Policy") != page.Policy || h.Get("Cache-Control") != "no-store") {
		r.Errorf("%s %s may be kept, or does too much: %v", method, path, h)
	}
	for _, k := range response.Cookies() {
		if !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Path != "/" {
			r.Errorf("%s %s sets %v", method, path, k)
		}
	}
	return answer{r.status, h, r.page}
}

// TestRegulatorSecurity: every route of the portal x whoever asks: without a session, with one that is none or another site's, in
// another role, with a form that is none or another's, from elsewhere, by another method. Nothing moves and nothing is shown.
func TestRegulatorSecurity(t *testing.T) {
	s := startSite(t, nil)
	at := s.at.regulator.Addr().String()
	routes := portalRoutes(t)
	kept := func() string {
		return fmt.Sprint(s.count(t, "regulator_question"), s.count(t, "look"), s.count(t, "staff_change"), s.count(t, "staff WHERE language = 'fr'"))
	}
	ines, awa := reads(t, at, "ines", s.password), reads(t, at, "awa", s.password)
	ines.get("/questions")
	own := formToken.FindStringSubmatch(ines.page)[1]
	before := kept()
	stranger := func(cookies ...*http.Cookie) *reader {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		jar.SetCookies(&url.URL{Scheme: "http", Host: at, Path: "/"}, cookies)
		return &reader{T: t, at: "http://" + at, client: &http.Client{Jar: jar}}
	}
	session := ""
	for _, k := range ines.client.Jar.Cookies(&url.URL{Scheme: "http", Host: at, Path: "/"}) {
		if k.Name == "regulator" {
			session = k.Value
		}
	}
	if session == "" {
		t.Fatal("ines has no session")
	}
	nobodies := map[string]*reader{"nobody": stranger()}
	for name, value := range map[string]string{"cut": session[:len(session)-1], "longer": session + "A", "altered": flip(session), "wild": "' OR 1=1 --", "huge": strings.Repeat("A", 5000)} {
		nobodies[name] = stranger(&http.Cookie{Name: "regulator", Value: value, Path: "/"}) //nolint:gosec // of a browser, not of ours
	}
	nobodies["under the console's name"] = stranger(&http.Cookie{Name: "desk", Value: session, Path: "/"}) //nolint:gosec // of a browser, not of ours
	form := func(token string) url.Values {
		return url.Values{"token": {token}, "reason": {"contrôle du jour"}, "subject": {"x"}, "text": {"y"}, "due": {"2090-01-01T00:00"}, "answer": {"z"}, "do": {"language"}, "language": {"en"}}
	}
	for _, to := range routes {
		about := to.method + " " + to.path
		if !to.open {
			for _, who := range slices.Sorted(maps.Keys(nobodies)) {
				if a := nobodies[who].asked(to.method, to.path, nil, form(own)); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/signin") {
					t.Errorf("%s by %s: %d to %q", about, who, a.status, a.header.Get("Location"))
				}
			}
		}
		if to.method == http.MethodPost {
			for name, token := range map[string]string{"no token": "", "an altered token": flip(own), "another's token": formToken.FindStringSubmatch(awa.get("/account"))[1]} {
				if ines.asked(to.method, to.path, nil, form(token)); ines.status != http.StatusForbidden || !strings.Contains(ines.page, "trop ancienne") {
					t.Errorf("%s with %s: %d", about, name, ines.status)
				}
			}
			for _, from := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}}, {"Sec-Fetch-Site": {"same-site"}}} {
				if ines.asked(to.method, to.path, from, form(own)); ines.status != http.StatusForbidden {
					t.Errorf("%s from %v: %d", about, from, ines.status)
				}
			}
		}
		if !to.allowed {
			if ines.asked(to.method, to.path, nil, form(own)); ines.status != http.StatusForbidden {
				t.Errorf("%s by the regulator: %d", about, ines.status)
			}
		}
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch} {
			if ines.asked(method, to.path, nil, nil); ines.status < 400 {
				t.Errorf("%s %s: %d", method, to.path, ines.status)
			}
		}
	}
	token := formToken.FindStringSubmatch(awa.get("/account"))[1]
	for _, to := range routes[len(staff.Routes()):] { // an agent may read and ask nothing here
		if awa.asked(to.method, to.path, nil, form(token)); awa.status != http.StatusForbidden || !strings.Contains(awa.page, "rôle") {
			t.Errorf("%s %s by an agent: %d", to.method, to.path, awa.status)
		}
	}
	if after := kept(); after != before {
		t.Errorf("from %s to %s", before, after)
	}
	if a := nobodies["nobody"].asked(http.MethodGet, "/period?from=2024-01-01", nil, nil); a.header.Get("Location") != "/signin?next=%2Fperiod%3Ffrom%3D2024-01-01" {
		t.Errorf("a stranger is sent to %q", a.header.Get("Location"))
	}
	if a := nobodies["nobody"].asked(http.MethodGet, "/", http.Header{staff.ByItselfHeader: {"1"}}, nil); a.status != http.StatusUnauthorized {
		t.Errorf("a page that looks by itself gets %d", a.status)
	}
}

// TestRegulatorWaysIn: the portal lets in by passkey, and by the console's OpenID provider, which sends browsers back to it.
func TestRegulatorWaysIn(t *testing.T) {
	var provider *httptest.Server
	provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": provider.URL, "authorization_endpoint": provider.URL + "/authorize", "token_endpoint": provider.URL + "/token", "jwks_uri": provider.URL + "/keys"})
	}))
	t.Cleanup(provider.Close)
	const back = "http://localhost:4433/signin/oidc"
	s := startSite(t, func(text string) string {
		text = strings.Replace(text, "\nconsole: {", "\nconsole: {passkeys: {party: localhost, origins: [\"http://localhost:4433\"]}, oidc: {issuer: \""+provider.URL+
			"\", client_id: tenu, redirect: \"http://localhost:4434/signin/oidc\"}, ", 1)
		return text + "\nregulator: {oidc_redirect: \"" + back + "\"}\n"
	})
	ines := reads(t, s.at.regulator.Addr().String(), "ines", "wrong")
	ines.has(http.StatusUnauthorized, `action="/signin/passkey"`, `action="/signin/oidc"`, "Identifiant, mot de passe")
	a := ines.asked(http.MethodPost, "/signin/oidc", nil, url.Values{"token": {formToken.FindStringSubmatch(ines.page)[1]}, "next": {"/period"}})
	_, to, _ := strings.Cut(a.header.Get("Refresh"), "url=")
	u, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, provider.URL+"/authorize?") || u.Query().Get("redirect_uri") != back || u.Query().Get("code_challenge_method") != "S256" {
		t.Errorf("the browser is sent to %q", to)
	}
	ines.get("/signin/oidc?state=x&code=y")
	ines.has(http.StatusUnauthorized)
	ines = reads(t, s.at.regulator.Addr().String(), "ines", s.password)
	ines.get("/account")
	ines.has(http.StatusOK, `data-passkey="create"`, "mot de passe", "ici")
	ines.post("/account", url.Values{"do": {"passkey"}, "state": {"x"}, "answer": {"{}"}, "name": {"clé"}})
	ines.has(http.StatusUnprocessableEntity)
}
