package console

import (
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// asked asks for a goodwill that needs a checker, and returns the request.
func (s *scene) asked(login string) care.Request {
	s.t.Helper()
	a := s.post(login, "/purchases/"+s.rig.reference(&s.good)+"/ask", "kind", "goodwill", "amount", "11 000", "reason", "trois pannes en un jour")
	if a.status != http.StatusSeeOther || !strings.HasSuffix(a.header.Get("Location"), "asked_check") {
		s.t.Fatalf("goodwill: %d to %q %s", a.status, a.header.Get("Location"), a.main())
	}
	all := must[[]care.Request](s.t)(s.cfg.Care.ToCheck(s.t.Context(), 10))
	if len(all) != 1 {
		s.t.Fatalf("to be checked: %+v", all)
	}
	return all[0]
}

// What somebody asks is decided by another, once, and refused with a reason.
func TestApprovals(t *testing.T) {
	s := play(t)
	s.look("carol", adama)
	r := s.asked("carol")
	id, version := strconv.FormatInt(r.ID, 10), strconv.FormatInt(r.Version, 10)
	a := s.get("carol", "/approvals")
	shows(t, a, http.StatusOK, "trois pannes", "11 000")
	if strings.Contains(a.body, `value="approve"`) {
		t.Error("one's own request is offered for approval")
	}
	shows(t, s.get("emil", "/approvals"), http.StatusOK, `value="approve"`, "trois pannes")
	decide := func(login string, status int, pairs ...string) {
		t.Helper()
		shows(t, s.post(login, "/approvals", append([]string{"id", id}, pairs...)...), status)
	}
	decide("carol", http.StatusUnprocessableEntity, "version", version, "do", "approve") // the maker
	decide("anna", http.StatusForbidden, "version", version, "do", "approve")
	decide("emil", http.StatusUnprocessableEntity, "version", version, "do", "refuse")
	decide("emil", http.StatusConflict, "version", "99", "do", "approve")
	decide("emil", http.StatusNotFound, "version", version, "do", "both")
	decide("emil", http.StatusNotFound, "version", "x", "do", "approve")
	decide("emil", http.StatusSeeOther, "version", version, "do", "refuse", "why", "déjà donné hier")
	decide("emil", http.StatusConflict, "version", version, "do", "approve")
	shows(t, s.get("carol", "/purchases/"+s.rig.reference(&s.good)), http.StatusOK, "déjà donné hier", "Emil E.")
}

// A callback is promised, rung when its window begins, and kept by an answer.
func TestCallbacks(t *testing.T) {
	s := play(t)
	number := "/customers/" + binta.String()
	s.look("anna", binta)
	windows := must[[]purchase.Instant](t)(s.cfg.Care.Windows(t.Context(), 3))
	promise := []string{"do", "promise", "reason", "explique le retard", "window", strconv.FormatInt(int64(windows[1]), 10)}
	shows(t, s.post("anna", number+"/callback", promise...), http.StatusSeeOther)
	for _, wrong := range []string{"", "x", "1", strconv.FormatInt(int64(windows[1])+1, 10)} {
		if a := s.post("anna", "/customers/"+adama.String()+"/callback", "do", "promise", "window", wrong); a.status != http.StatusConflict {
			t.Errorf("window %q: %d", wrong, a.status)
		}
	}
	all := must[[]care.Callback](t)(s.cfg.Care.Callbacks(t.Context(), binta, 5))
	if len(all) != 1 {
		t.Fatalf("callbacks %+v", all)
	}
	id := strconv.FormatInt(all[0].ID, 10)
	s.clock.by.Add(int64(windows[1].Sub(s.clock.Now()) + time.Second))
	shows(t, s.get("anna", "/calls"), http.StatusOK, "explique le retard", `value="ring"`)
	a := s.post("anna", "/calls", "do", "ring", "id", id)
	shows(t, a, http.StatusSeeOther)
	to := a.header.Get("Location")
	if !strings.Contains(to, "tel%3A") {
		t.Errorf("leads to %q", to)
	}
	shows(t, s.get("anna", to), http.StatusOK, `href="tel:+22676445566"`, `value="answered"`)
	if a := s.get("anna", "/calls?link="+escape("javascript:alert(1)")); strings.Contains(a.body, "javascript") {
		t.Errorf("a link of an address is followed: %s", a.main())
	}
	if a := s.get("mia", "/calls"); strings.Contains(a.body, `value="answered"`) {
		t.Error("somebody else says what became of a call")
	}
	if looks := must[[]care.Look](t)(s.store.Looks(t.Context(), binta, s.staff["anna"].ID, 1)); len(looks) != 1 || looks[0].Reason != "call" {
		t.Errorf("looks %+v", looks)
	}
	for _, wrong := range [][]string{{"do", "answered", "id", id, "try", "x"}, {"do", "sang", "id", id, "try", "1"}, {"do", "ring", "id", "x"}, {"do", "ring", "id", "999"}} {
		shows(t, s.post("anna", "/calls", wrong...), http.StatusNotFound)
	}
	shows(t, s.post("anna", "/calls", "do", "answered", "id", id, "try", "1"), http.StatusSeeOther)
	if got := must[[]care.Callback](t)(s.cfg.Care.Callbacks(t.Context(), binta, 5))[0]; got.State != care.Kept {
		t.Errorf("callback %+v", got)
	}
}

var made = regexp.MustCompile(`<code>([^<]+)</code>`)

// An account is made, changed and revoked; what was revoked ends at once, and nobody raises themselves.
func TestStaff(t *testing.T) {
	s := play(t)
	a := s.post("emil", "/staff", "login", "zoe", "name", "Zoé", "role", "agent")
	shows(t, a, http.StatusOK)
	m := made.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no password is shown: %s", a.main())
	}
	shows(t, s.post("emil", "/staff", "login", "zoe", "name", "Zoé", "role", "agent"), http.StatusConflict, "Zoé")
	for _, wrong := range [][]string{{"login", "a b", "name", "x", "role", "agent"}, {"login", "yan", "name", "x", "role", "king"}, {"login", "yan", "role", "agent"}} {
		shows(t, s.post("emil", "/staff", wrong...), http.StatusUnprocessableEntity)
	}
	shows(t, s.post("", "/signin", "login", "zoe", "password", m[1]), http.StatusSeeOther)
	s.cookies["zoe"], s.cookies[""] = s.cookies[""], ""
	if to := s.get("zoe", "/queue").header.Get("Location"); to != "/account" { // a password of one's own first
		t.Errorf("leads to %q", to)
	}
	change := func(status int, pairs ...string) {
		t.Helper()
		mia := must[auth.Staff](t)(s.cfg.Staff.Person(t.Context(), s.staff["mia"].ID))
		shows(t, s.post("emil", "/staff/mia", append(pairs, "do", "change", "version", strconv.FormatInt(mia.Version, 10))...), status)
	}
	change(http.StatusUnprocessableEntity, "name", "Mia M.", "role", "agent", "numbers", "not a number")
	change(http.StatusSeeOther, "name", "Mia M.", "role", "supervisor", "numbers", "70 00 00 01, +226 70-00-00-02")
	shows(t, s.post("emil", "/staff/mia", "do", "change", "version", "1", "name", "Mia", "role", "agent"), http.StatusConflict)
	shows(t, s.post("emil", "/staff/emil", "do", "change", "version", "1", "name", "Emil", "role", "supervisor"), http.StatusForbidden)
	shows(t, s.get("mia", "/board"), http.StatusOK)
	shows(t, s.post("emil", "/staff/mia", "do", "revoke"), http.StatusSeeOther)
	if to := s.get("mia", "/cases/"+s.reference+"?show=look").header.Get("Location"); to != "/signin?next="+escape("/cases/"+s.reference+"?show=look") {
		t.Errorf("leads to %q", to)
	}
}

// Whose session is over is led to the sign-in and back, from a form to the page that it was on.
func TestSessionIsOver(t *testing.T) {
	s := play(t)
	path := "/cases/" + s.reference
	s.clock.by.Add(int64(3 * time.Hour))
	if to := s.get("anna", path).header.Get("Location"); to != "/signin?next="+escape(path) {
		t.Errorf("leads to %q", to)
	}
	for name, headers := range map[string][]string{"form": {"Referer", s.server.URL + path}, "foreign": {"Referer", "https://evil.example" + path}} {
		q := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "POST", s.server.URL+path, strings.NewReader("do=note")))
		q.Header.Set("Cookie", s.cookies["anna"])
		q.Header.Set(headers[0], headers[1])
		w := httptest.NewRecorder()
		q.Host, q.RequestURI = q.URL.Host, q.URL.RequestURI()
		s.ServeHTTP(w, q)
		want := map[string]string{"form": path, "foreign": "/"}[name]
		if to := w.Header().Get("Location"); to != "/signin?next="+escape(want) {
			t.Errorf("%s leads to %q", name, to)
		}
	}
	for _, path := range []string{"/live?what=queue", "/board.json"} {
		if a := s.get("carol", path); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	s.cookies["anna"] = ""
	a := s.post("", "/signin", "login", "anna", "password", password, "next", path)
	if to := a.header.Get("Location"); to != path {
		t.Errorf("leads to %q", to)
	}
	shows(t, s.post("", "/signin", "login", "anna", "password", "wrong", "next", path), http.StatusUnauthorized, path)
}

// Who left a chair leaves nobody else a way to sign in: one is added shortly after a sign-in only.
func TestOldSessionAddsNoWayIn(t *testing.T) {
	s := play(t)
	enrol := func(login string) *answer {
		t.Helper()
		page := html.UnescapeString(s.get(login, "/account").body)
		secret := regexp.MustCompile(`secret=([A-Z2-7]+)`).FindStringSubmatch(page)
		sealed := regexp.MustCompile(`name="sealed" value="([^"]+)"`).FindStringSubmatch(page)
		if secret == nil || sealed == nil {
			t.Fatalf("no authenticator is offered: %s", page)
		}
		code := must[string](t)(totp.GenerateCode(secret[1], s.clock.Now().Time()))
		return s.post(login, "/account", "do", "totp", "sealed", sealed[1], "code", code)
	}
	shows(t, enrol("mia"), http.StatusSeeOther)
	s.clock.by.Add(int64(20 * time.Minute))
	shows(t, enrol("anna"), http.StatusUnprocessableEntity, "connectez-vous")
	shows(t, s.post("anna", "/account", "do", "passkey", "state", "x", "answer", "{}"), http.StatusUnprocessableEntity, "connectez-vous")
	if p := must[auth.Staff](t)(s.cfg.Staff.Person(t.Context(), s.staff["anna"].ID)); p.HasTOTP {
		t.Error("an authenticator was added from an old session")
	}
	s.cookies["anna"] = ""
	s.enter("anna")
	shows(t, enrol("anna"), http.StatusSeeOther)
}

// Rules are tried before they are kept; macros and rules of others are not written over.
func TestRulesAndMacros(t *testing.T) {
	s := play(t)
	rule := []string{"name", "geste", "do", "goodwill", "order", "50", "amount", "100", "budget", "1000", "state", "credited", "active", "on"}
	shows(t, s.post("emil", "/rules/new", append(rule, "step", "try")...), http.StatusOK)
	for _, wrong := range [][2]string{{"amount", "-1"}, {"amount", "many"}, {"after", "soon"}, {"budget", "1e9"}, {"do", "give"}} {
		changed := append([]string{}, rule...)
		for i := 0; i < len(changed); i += 2 {
			if changed[i] == wrong[0] {
				changed[i+1] = wrong[1]
			}
		}
		if wrong[0] == "after" {
			changed = append(changed, "after", wrong[1])
		}
		shows(t, s.post("emil", "/rules/new", append(changed, "step", "keep")...), http.StatusUnprocessableEntity)
	}
	shows(t, s.post("emil", "/rules/new", append(rule, "step", "keep", "version", "0")...), http.StatusSeeOther)
	shows(t, s.post("emil", "/rules/geste", append(rule, "step", "keep", "version", "0")...), http.StatusConflict)
	shows(t, s.post("emil", "/rules/geste", append(rule, "step", "keep", "version", "1")...), http.StatusSeeOther)
	shows(t, s.get("fania", "/rules/geste"), http.StatusOK, "geste")
	shows(t, s.get("fania", "/rules/none"), http.StatusNotFound)

	macro := []string{"name", "patience", "language", "fr"}
	shows(t, s.post("carol", "/macros", append(macro, "text", "Un instant.", "version", "1")...), http.StatusSeeOther)
	shows(t, s.post("emil", "/macros", append(macro, "text", "Mon texte.", "version", "1")...), http.StatusConflict, "Mon texte.", "Un instant.", `name="version" value="2"`)
	shows(t, s.get("carol", "/macros"), http.StatusOK, "Un instant.")
	for _, wrong := range [][]string{{"name", "", "language", "fr", "text", "x"}, {"name", "x", "language", "tlh", "text", "x"}, {"name", "x", "language", "fr", "text", strings.Repeat("x", 301)}} {
		shows(t, s.post("carol", "/macros", wrong...), http.StatusUnprocessableEntity)
	}
}
