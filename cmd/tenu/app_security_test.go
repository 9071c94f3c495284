package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// visitor is a customer with a browser of their own.
type visitor struct {
	t      *testing.T
	s      *site
	number string // as it is typed
	client *http.Client
	header http.Header // sent along
}

func (s *site) visitor(t *testing.T, number string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, s: s, number: number, header: http.Header{},
		client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (v *visitor) base() *url.URL {
	return &url.URL{Scheme: "http", Host: v.s.at.app.Addr().String(), Path: "/"}
}

// answer is what a page answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// do asks for a page. What streams is read for a moment only.
func (v *visitor) do(method, path string, form url.Values) answer {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	defer cancel()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+v.base().Host+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	for name, values := range v.header {
		r.Header[name] = values
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := v.client.Do(r)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

func (v *visitor) get(path string) answer { v.t.Helper(); return v.do(http.MethodGet, path, nil) }

var tokenField = regexp.MustCompile(`name="token" value="([^"]*)"`)

// token is what this visitor's forms bear.
func (v *visitor) token() string {
	v.t.Helper()
	for _, path := range []string{"/help", "/"} {
		if m := tokenField.FindStringSubmatch(v.get(path).body); m != nil {
			return m[1]
		}
	}
	v.t.Fatal("no form has a token")
	return ""
}

// post sends a form with the visitor's own token.
func (v *visitor) post(path string, pairs ...string) answer {
	v.t.Helper()
	form := url.Values{"token": {v.token()}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return v.do(http.MethodPost, path, form)
}

// code reads the newest one-time code off the visitor's phone.
func (v *visitor) code(before int) string {
	v.t.Helper()
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if all := v.codes(); len(all) > before {
			return all[len(all)-1]
		}
		if time.Now().After(late) {
			v.t.Fatal("no code came")
		}
	}
}

// codes are all that came, oldest first.
func (v *visitor) codes() (all []string) {
	v.t.Helper()
	response, err := http.Get(v.s.sandbox.addresses().SMS + "/messages?to=" + url.QueryEscape("+226"+strings.ReplaceAll(v.number, " ", ""))) //nolint:noctx // of the loopback
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var inbox []struct {
		Text     string
		Accepted time.Time `json:"accepted_at"`
	}
	if err := json.NewDecoder(response.Body).Decode(&inbox); err != nil {
		v.t.Fatal(err)
	}
	slices.SortFunc(inbox, func(a, b struct {
		Text     string
		Accepted time.Time `json:"accepted_at"`
	}) int {
		return a.Accepted.Compare(b.Accepted)
	})
	for _, m := range inbox {
		if found := regexp.MustCompile(`\b\d{6}\b`).FindString(m.Text); strings.Contains(m.Text, "code") && found != "" {
			all = append(all, found)
		}
	}
	return all
}

func (v *visitor) signIn() *visitor {
	v.t.Helper()
	before := len(v.codes())
	if a := v.post("/code", "number", v.number); a.status != http.StatusOK {
		v.t.Fatalf("a code: %d %s", a.status, a.body)
	}
	if a := v.post("/signin", "number", v.number, "code", v.code(before)); a.status != http.StatusSeeOther {
		v.t.Fatalf("sign in: %d %s", a.status, a.body)
	}
	return v
}

// cookie is a cookie of the visitor's, as it is sent.
func (v *visitor) cookie(name string) string {
	for _, c := range v.client.Jar.Cookies(v.base()) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (v *visitor) setCookie(name, value string) {
	v.client.Jar.SetCookies(v.base(), []*http.Cookie{{Name: name, Value: value, Path: "/"}}) //nolint:gosec // of a browser, not of ours
}

// owned is what a customer has that is nobody else's.
type owned struct{ reference, checkout, callback, file string }

// own lets a visitor have one of each thing.
func (v *visitor) own() owned {
	v.t.Helper()
	begin := func(amount string) string {
		a := v.post("/buy", "for", "+226"+strings.ReplaceAll(v.number, " ", ""), "product", "airtime", "amount", amount, "pay_with", "wallet")
		if a.status != http.StatusSeeOther {
			v.t.Fatalf("buy: %d %s", a.status, a.body)
		}
		return strings.TrimPrefix(a.header.Get("Location"), "/checkout/")
	}
	var o owned
	key := begin("1150")
	v.post("/checkout/"+key, "do", "confirm")
	for late := time.Now().Add(20 * time.Second); o.reference == ""; time.Sleep(2 * time.Millisecond) {
		if a := v.get("/checkout/" + key); a.status == http.StatusSeeOther {
			o.reference = strings.TrimPrefix(a.header.Get("Location"), "/purchases/")
		} else if !strings.Contains(a.body, `hx-get="/checkout/`+key) {
			v.t.Fatalf("a page that waits for the sale does not ask again: %s", a.body)
		} else if time.Now().After(late) {
			v.t.Fatalf("the purchase is not made: %s", a.body)
		}
	}
	for late := time.Now().Add(20 * time.Second); !strings.Contains(v.get("/purchases/"+o.reference).body, "Crédité</b>"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			v.t.Fatal("not credited")
		}
	}
	o.checkout = begin("700")
	v.post("/purchases/"+o.reference+"/report", "matter", "other", "detail", "secret words")
	for late := time.Now().Add(20 * time.Second); o.file == ""; time.Sleep(20 * time.Millisecond) {
		if m := regexp.MustCompile(`href="/cases/([^"]+)"`).FindStringSubmatch(v.get("/purchases/" + o.reference).body); m != nil {
			o.file = m[1]
		} else if time.Now().After(late) {
			v.t.Fatal("no case")
		}
	}
	windows := regexp.MustCompile(`name="window" value="(\d+)"`).FindStringSubmatch(v.get("/callback").body)
	v.post("/callback", "do", "promise", "window", windows[1])
	o.callback = regexp.MustCompile(`name="id" value="(\d+)"`).FindStringSubmatch(v.get("/callback").body)[1]
	v.post("/favourites", "do", "put", "name", "Secret Name", "number", "70445566")
	return o
}

// fingerprint is all that visitors can move.
func (s *site) fingerprint(t *testing.T) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, "tenu.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var b strings.Builder
	for _, q := range []string{"SELECT count(*) FROM purchase", "SELECT count(*) FROM report", "SELECT group_concat(id || ':' || prefer || ':' || reopened) FROM case_file",
		"SELECT group_concat(id || ':' || state) FROM callback",
		"SELECT group_concat(key || ':' || state, ',') FROM checkout", "SELECT group_concat(number || ':' || recipient || ':' || name) FROM favourite",
		"SELECT group_concat(number || ':' || language || ':' || muted) FROM customer", "SELECT count(*) FROM push_subscription", "SELECT count(*) FROM session"} {
		var text sql.NullString
		if err := db.QueryRowContext(t.Context(), q).Scan(&text); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		fmt.Fprintln(&b, q, text.String)
	}
	return b.String()
}

// route is a pattern of the pages with a path and a form that would do something of
// the owner's, and a path that is nobody's.
type route struct {
	pattern, path, nobody string
	form                  url.Values // of a POST
	open                  bool       // for anybody
}

func routesOf(o owned) []route {
	const nobody = "/purchases/0000-0000-00"
	purchase := "/purchases/" + o.reference
	return []route{
		{pattern: "GET /{$}", path: "/", open: true}, {pattern: "GET /status", path: "/status", open: true},
		{pattern: "GET /offline", path: "/offline", open: true}, {pattern: "GET /elements", path: "/elements", open: true},
		{pattern: "POST /code", path: "/code", form: url.Values{"number": {"12"}}, open: true},
		{pattern: "POST /signin", path: "/signin", form: url.Values{"number": {"70314253"}, "code": {"000000"}}, open: true},
		{pattern: "POST /signout", path: "/signout", form: url.Values{}},
		{pattern: "POST /status", path: "/status", form: url.Values{"reference": {o.reference}}},
		{pattern: "GET /buy", path: "/buy?again=" + o.checkout, nobody: "/buy?again=none"},
		{pattern: "POST /buy", path: "/buy", form: url.Values{"for": {"+22670314253"}, "product": {"airtime"}, "amount": {"900"}, "pay_with": {"wallet"}}},
		{pattern: "GET /checkout/{key}", path: "/checkout/" + o.checkout, nobody: "/checkout/none"},
		{pattern: "POST /checkout/{key}", path: "/checkout/" + o.checkout, nobody: "/checkout/none", form: url.Values{"do": {"confirm"}}},
		{pattern: "GET /purchases", path: "/purchases?before=" + o.reference, nobody: "/purchases?before=0000-0000-00"},
		{pattern: "GET /purchases/{reference}", path: purchase, nobody: nobody},
		{pattern: "GET /purchases/{reference}/events", path: purchase + "/events", nobody: nobody + "/events"},
		{pattern: "GET /purchases/{reference}/receipt", path: purchase + "/receipt", nobody: nobody + "/receipt"},
		{pattern: "GET /purchases/{reference}/receipt.svg", path: purchase + "/receipt.svg", nobody: nobody + "/receipt.svg"},
		{pattern: "GET /purchases/{reference}/receipt.pdf", path: purchase + "/receipt.pdf", nobody: nobody + "/receipt.pdf"},
		{pattern: "GET /purchases/{reference}/receipt.txt", path: purchase + "/receipt.txt", nobody: nobody + "/receipt.txt"},
		{pattern: "GET /purchases/{reference}/report", path: purchase + "/report", nobody: nobody + "/report"},
		{pattern: "POST /purchases/{reference}/report", path: purchase + "/report", nobody: nobody + "/report", form: url.Values{"matter": {"duplicate"}}},
		{pattern: "GET /cases/{case}", path: "/cases/" + o.file, nobody: "/cases/D-0000-0000-00"},
		{pattern: "POST /cases/{case}", path: "/cases/" + o.file, nobody: "/cases/D-0000-0000-00", form: url.Values{"do": {"money"}}},
		{pattern: "GET /returns", path: "/returns"}, {pattern: "POST /returns", path: "/returns", form: url.Values{"do": {"give"}, "id": {"1"}}},
		{pattern: "GET /help", path: "/help"}, {pattern: "GET /callback", path: "/callback"},
		{pattern: "POST /callback", path: "/callback", form: url.Values{"do": {"cancel"}, "id": {o.callback}}},
		{pattern: "GET /favourites", path: "/favourites"},
		{pattern: "POST /favourites", path: "/favourites", form: url.Values{"do": {"drop"}, "number": {"70445566"}}},
		{pattern: "GET /settings", path: "/settings"},
		{pattern: "POST /settings", path: "/settings", form: url.Values{"language": {"en"}}},
		{pattern: "POST /push", path: "/push", form: url.Values{"do": {"on"}, "subscription": {"{}"}}},
		{pattern: "/", path: "/nowhere", open: true},
	}
}

// secrets are what only their owner may read.
func secrets(o owned) []string {
	return []string{"70\u00a031\u00a042\u00a053", "70 31 42 53", "70314253", "1\u00a0150", "1 150", "700\u00a0F", "Secret Name", "secret words", o.reference, o.checkout, o.file}
}

// With a session that is none, as another customer, with a form that is none, from
// elsewhere: nothing leaks and nothing moves, at every page and action.
func TestAppSecurity(t *testing.T) {
	s := startSite(t, func(text string) string {
		return text + "\napp: {cancel_for: 1ms, codes: {number: 100, number_daily: 100, source: 1000}}\n"
	})
	owner := s.visitor(t, "70314253").signIn()
	o := owner.own()
	stale := owner.token()
	routes := routesOf(o)
	everyRoute(t, routes)

	other := s.visitor(t, "70998877").signIn()
	expired := s.visitor(t, "70314253").signIn()
	s.execute(t, "UPDATE session SET till = 1 WHERE token = (SELECT token FROM session ORDER BY till DESC LIMIT 1)")
	left := s.visitor(t, "70314253").signIn()
	old := left.cookie("session")
	left.post("/signout")
	left.setCookie("session", old)
	session := owner.cookie("session")
	visitors := map[string]*visitor{"signed out": s.visitor(t, ""), "another customer": other, "session over": expired, "signed out, old cookie": left}
	for name, value := range map[string]string{"cut": session[:len(session)-1], "longer": session + "A", "altered": flip(session), "empty": "", "wild": "' OR 1=1 --", "huge": strings.Repeat("A", 3000)} {
		v := s.visitor(t, "")
		v.setCookie("session", value)
		v.setCookie("visit", owner.cookie("visit"))
		visitors["forged session, "+name] = v
	}
	before := s.fingerprint(t)
	check := func(who string, r *route, a answer, own bool) {
		t.Helper()
		body := strings.ReplaceAll(strings.ReplaceAll(a.body, url.QueryEscape(r.path), ""), r.path, "") // as the visitor asked
		body = strings.ReplaceAll(body, r.form.Get("reference"), "")
		if r.form.Get("number") != "" {
			body = strings.NewReplacer("70314253", "", "+22670314253", "", "70\u00a031\u00a042\u00a053", "").Replace(body)
		}
		for _, secret := range secrets(o) {
			if strings.Contains(body, secret) && !own {
				t.Errorf("%s, %s: the answer holds %q", who, r.pattern, secret)
			}
		}
		if after := s.fingerprint(t); after != before {
			t.Fatalf("%s, %s: from\n%sto\n%s", who, r.pattern, before, after)
		}
	}
	for _, who := range slices.Sorted(maps.Keys(visitors)) {
		v := visitors[who]
		token := ""
		if m := tokenField.FindStringSubmatch(v.get("/").body); m != nil {
			token = m[1]
		} else if who == "another customer" {
			token = v.token()
		}
		for i := range routes {
			r := &routes[i]
			if who == "another customer" && (r.nobody == "" && r.form != nil && r.pattern != "POST /callback" && r.pattern != "POST /status") {
				continue // it is theirs to do
			}
			method, form := http.MethodGet, url.Values(nil)
			if r.form != nil {
				method, form = http.MethodPost, maps.Clone(r.form)
				form.Set("token", token)
			}
			a := v.do(method, r.path, form)
			check(who, r, a, false)
			switch {
			case who == "another customer" && r.nobody != "":
				none := v.do(method, r.nobody, form)
				if a.status != none.status || strings.ReplaceAll(a.body, r.path, "") != strings.ReplaceAll(none.body, r.nobody, "") {
					t.Errorf("%s, %s: %d for another's, %d for nobody's:\n%s\n%s", who, r.pattern, a.status, none.status, a.body, none.body)
				}
			case who != "another customer" && !r.open && (a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/?next=") && a.header.Get("Location") != "/"):
				t.Errorf("%s, %s: %d to %q", who, r.pattern, a.status, a.header.Get("Location"))
			}
		}
	}
	// The owner's own browser, with a form that is not ours.
	forms := map[string]string{"no token": "", "a stale token": stale[:len(stale)-1], "another's token": other.token(), "wild": "<>'\""}
	for who, token := range forms {
		for i := range routes {
			if r := &routes[i]; r.form != nil {
				form := maps.Clone(r.form)
				form.Set("token", token)
				a := owner.do(http.MethodPost, r.path, form)
				check(who, r, a, true)
				if a.status != http.StatusForbidden {
					t.Errorf("%s, %s: %d", who, r.pattern, a.status)
				}
			}
		}
	}
	// From another origin, with everything else right.
	for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}}, {"Sec-Fetch-Site": {"same-site"}}} {
		token := owner.token()
		owner.header = header
		for i := range routes {
			if r := &routes[i]; r.form != nil {
				form := maps.Clone(r.form)
				form.Set("token", token)
				if a := owner.do(http.MethodPost, r.path, form); a.status != http.StatusForbidden {
					t.Errorf("%v, %s: %d", header, r.pattern, a.status)
				}
				check(fmt.Sprint(header), r, answer{}, true)
			}
		}
		owner.header = http.Header{}
	}
	// By another method than the pages know.
	for i := range routes {
		r := &routes[i]
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
			a := owner.do(method, r.path, nil)
			check(method, r, a, true)
			if a.status < 400 {
				t.Errorf("%s %s: %d", method, r.path, a.status)
			}
		}
	}
}

// everyRoute fails for a route of the pages that the matrix leaves out.
func everyRoute(t *testing.T, routes []route) {
	t.Helper()
	source, err := os.ReadFile("../../internal/web/web.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`\b(open|own)\("([^"]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(found) < 20 {
		t.Fatalf("%d routes are found", len(found))
	}
	for _, m := range found {
		if !slices.ContainsFunc(routes, func(r route) bool { return r.pattern == m[2] && r.open == (m[1] == "open") }) {
			t.Errorf("route %s, %s, is not in the matrix", m[2], m[1])
		}
	}
}

// flip alters a text by a letter.
func flip(text string) string {
	if text[0] == 'A' {
		return "B" + text[1:]
	}
	return "A" + text[1:]
}

// execute changes the database behind the node's back.
func (s *site) execute(t *testing.T, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, "tenu.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// Signing in tells nobody which numbers are customers', and a code is good once, for
// a while, for five tries.
func TestAppSignIn(t *testing.T) {
	s := startSite(t, func(text string) string {
		return text + "\napp: {codes: {number: 4, number_daily: 10, source: 1000}}\n"
	})
	known := s.visitor(t, "70314253").signIn()
	if known.cookie("session") == "" {
		t.Fatal("no session")
	}
	plain := func(a answer, number string) string {
		return strings.NewReplacer(number, "", "70\u00a031\u00a042\u00a053", "", "70\u00a055\u00a066\u00a077", "").Replace(tokenField.ReplaceAllString(a.body, ""))
	}
	first, second := s.visitor(t, "70314253"), s.visitor(t, "70556677")
	a, b := first.post("/code", "number", "70314253"), second.post("/code", "number", "70556677")
	if a.status != b.status || plain(a, "22670314253") != plain(b, "22670556677") {
		t.Errorf("a customer's number is answered %d, another %d", a.status, b.status)
	}
	right := second.code(0)
	wrong := "000000"
	if right == wrong {
		wrong = "000001"
	}
	for _, number := range []string{"70556677", "70990011"} { // one has a code, one never asked
		if a := second.post("/signin", "number", number, "code", wrong); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "code-wrong") {
			t.Errorf("%s: %d", number, a.status)
		}
	}
	if a := s.visitor(t, "70314253").post("/signin", "number", "70314253", "code", right); a.status != http.StatusUnprocessableEntity {
		t.Errorf("another number's code: %d", a.status)
	}
	for range 4 {
		second.post("/signin", "number", "70556677", "code", wrong)
	}
	if a := second.post("/signin", "number", "70556677", "code", right); a.status != http.StatusUnprocessableEntity || second.cookie("session") != "" {
		t.Errorf("the right code after five wrong ones: %d", a.status)
	}
	second.post("/code", "number", "70556677")
	old := second.code(1)
	second.post("/code", "number", "70556677")
	fresh := second.code(2)
	if a := second.post("/signin", "number", "70556677", "code", old); old != fresh && a.status != http.StatusUnprocessableEntity {
		t.Errorf("an older code: %d", a.status)
	}
	typed := fresh[:3] + " " + fresh[3:]
	if a := second.post("/signin", "number", "70556677", "code", typed, "next", "/help"); a.status != http.StatusSeeOther || a.header.Get("Location") != "/help" {
		t.Errorf("the code, with a space: %d to %s", a.status, a.header.Get("Location"))
	}
	if a := s.visitor(t, "70556677").post("/signin", "number", "70556677", "code", fresh); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a code that was used: %d", a.status)
	}
	third := s.visitor(t, "70556677")
	third.post("/code", "number", "70556677")
	if a := third.post("/code", "number", "70556677"); a.status != http.StatusTooManyRequests || !strings.Contains(a.body, "quart d&#39;heure") {
		t.Errorf("a fifth code: %d %s", a.status, a.body)
	}
	for _, next := range []string{"//evil.example", "https://evil.example", `\\evil.example`, "/\\evil.example", "javascript:alert(1)", "/\r\nSet-Cookie: a=b", "evil"} {
		v := s.visitor(t, "70778899")
		if a := v.get("/?next=" + url.QueryEscape(next)); !strings.Contains(a.body, `name="next" value="/"`) {
			t.Errorf("next %q is kept", next)
		}
	}
}

// What pages tell browsers, and what cookies are for.
func TestAppHeaders(t *testing.T) {
	s := startSite(t, func(text string) string { return text + "\napp: {https: true}\n" })
	v := s.visitor(t, "70314253")
	a := v.get("/")
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
		"Strict-Transport-Security": "max-age=31536000", "Cross-Origin-Opener-Policy": "same-origin"} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	policy := a.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy lacks %s: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy: %s", policy)
	}
	for _, c := range a.header.Values("Set-Cookie") {
		if !strings.HasPrefix(c, "__Host-") || !strings.Contains(c, "; HttpOnly") || !strings.Contains(c, "; Secure") || !strings.Contains(c, "; SameSite=Lax") || !strings.Contains(c, "Path=/") {
			t.Errorf("cookie %s", c)
		}
	}
	if len(a.header.Values("Set-Cookie")) == 0 {
		t.Error("no cookie")
	}
}

// Hostile text is shown as it is, and never runs; what is too much is refused.
func TestAppHostileText(t *testing.T) {
	s := startSite(t, nil)
	v := s.visitor(t, "70314253").signIn()
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>{{.}}`
	o := v.own()
	purchase := "/purchases/" + o.reference
	v.post(purchase+"/report", "matter", "duplicate", "detail", evil)
	v.post("/favourites", "do", "put", "name", evil, "number", "70556677")
	shown := 0
	for name, a := range map[string]answer{
		"purchase": v.get(purchase), "favourites": v.get("/favourites"), "buy": v.get("/buy?amount=" + url.QueryEscape(evil) + "&product=" + url.QueryEscape(evil)),
		"buy, wrong":       v.post("/buy", "for", "other", "other", evil, "product", evil, "amount", evil, "pay_with", evil),
		"favourite, wrong": v.post("/favourites", "do", "put", "name", evil, "number", evil),
		"report, wrong":    v.post(purchase+"/report", "matter", evil, "meant", evil, "detail", evil),
		"status":           v.post("/status", "reference", evil), "language": v.get("/help?lang=" + url.QueryEscape(evil)),
		"next": s.visitor(t, "").get("/?next=/" + url.QueryEscape(evil)), "number": s.visitor(t, "").post("/code", "number", evil, "next", "/"+evil),
		"path": v.get("/purchases/" + url.PathEscape(evil)), "callback": v.post("/callback", "window", evil, "about", evil),
	} {
		if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "<img src=x") {
			t.Errorf("%s runs it: %s", name, a.body)
		}
		if strings.Contains(a.body, "&lt;script&gt;") {
			shown++
		}
		if a.status >= 500 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if shown < 6 {
		t.Errorf("%d pages show it", shown)
	}
	token := v.token()
	long := strings.Repeat("x", 10_000)
	for name, a := range map[string]answer{
		"large":      v.do(http.MethodPost, "/buy", url.Values{"token": {token}, "amount": {strings.Repeat("9", 20_000)}}),
		"long":       v.post(purchase+"/report", "matter", "other", "detail", long),
		"NUL":        v.post("/favourites", "do", "put", "name", "a\x00b\xff", "number", "70667788"),
		"NUL number": v.post("/buy", "for", "other", "other", "70\x0055", "product", "airtime", "amount", "1\x00", "pay_with", "wallet"),
		"reference":  v.get("/purchases/%00%ff"), "key": v.get("/checkout/%00"), "before": v.get("/purchases?before=%zz"),
	} {
		if a.status >= 500 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// A browser's subscription is kept, if a push service is where it points.
func TestAppPush(t *testing.T) {
	s := startSite(t, func(text string) string { return text + "\napp: {push: {contact: \"mailto:ops@example.com\"}}\n" })
	v := s.visitor(t, "70314253").signIn()
	if a := v.get("/settings"); !regexp.MustCompile(`data-push="[\w-]{87}"`).MatchString(a.body) {
		t.Errorf("settings offer no push: %s", a.body)
	}
	const keys = `"keys":{"p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}`
	for endpoint, status := range map[string]int{"https://fcm.googleapis.com/fcm/send/abc": http.StatusNoContent,
		"https://10.0.0.1/": http.StatusUnprocessableEntity, "http://fcm.googleapis.com/": http.StatusUnprocessableEntity} {
		if a := v.post("/push", "do", "on", "subscription", `{"endpoint":"`+endpoint+`",`+keys); a.status != status {
			t.Errorf("%s: %d", endpoint, a.status)
		}
	}
	if n := s.count(t, "push_subscription"); n != 1 {
		t.Errorf("%d subscriptions", n)
	}
	v.post("/push", "do", "off", "subscription", `{"endpoint":"https://fcm.googleapis.com/fcm/send/abc",`+keys)
	if n := s.count(t, "push_subscription"); n != 0 {
		t.Errorf("%d subscriptions", n)
	}
}
