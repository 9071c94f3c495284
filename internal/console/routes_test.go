package console

import (
	"net/http"
	"strings"
	"testing"

	"tenu/internal/auth"
)

// place fills an address with what is there.
func (s *scene) place(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	return method, strings.NewReplacer("{$}", "", "{number}", adama.String(), "{reference}", s.rig.reference(&s.doubt), "{case}", s.reference, "{file}", "1",
		"{rule}", "new", "{login}", "mia", "{incident}", s.incident, "{break}", "1", "{close}", "1").Replace(path)
}

// Every route x role: it is served exactly to those whose role may do its action, and to
// nobody without a session or without the form's token.
func TestRoutesByRole(t *testing.T) {
	s := play(t)
	s.fails()
	lie := s.sell(adama, adama, false)
	s.state(s.statement("ocs", &lie))
	for _, login := range []string{"mia", "carol", "emil", "fania"} {
		s.look(login, adama)
	}
	for _, r := range s.routes() {
		method, path := s.place(r.pattern)
		if path == "/signout" || path == "/live" { // the session and the stream have tests of their own
			continue
		}
		if !r.open {
			a := s.ask("", method, path, "", nil)
			if to := a.header.Get("Location"); !strings.HasPrefix(to, "/signin") && a.status != http.StatusUnauthorized {
				t.Errorf("%s without a session: %d to %q", r.pattern, a.status, to)
			}
		}
		for _, p := range crew {
			if r.open {
				continue
			}
			var a *answer
			if method == http.MethodGet {
				a = s.get(p.Login, path)
			} else {
				forged := s.ask(p.Login, method, path, "application/x-www-form-urlencoded", strings.NewReader("token=x"))
				if forged.status != http.StatusForbidden || !strings.Contains(forged.main(), s.texts.In(s.staff[p.Login].Language).Say("form_old")) {
					t.Errorf("%s by %s with a forged token: %d %s", r.pattern, p.Role, forged.status, forged.main())
				}
				a = s.post(p.Login, path)
			}
			denied := a.status == http.StatusForbidden && strings.Contains(a.main(), s.texts.In(s.staff[p.Login].Language).Say("may_not"))
			if may := r.action == "" || p.Role.May(r.action); denied == may {
				t.Errorf("%s by %s: %d, though the role may: %t: %s", r.pattern, p.Role, a.status, may, a.main())
			}
			if a.status == http.StatusInternalServerError {
				t.Errorf("%s by %s fails: %s", r.pattern, p.Role, a.main())
			}
		}
	}
}

// Every route has an action or is meant to have none, and every action has a route or is
// asked for below one.
func TestRoutesNameActions(t *testing.T) {
	c := &Console{}
	named := map[auth.Action]bool{auth.TakeCase: true, auth.Escalate: true, // deeds of POST /cases/{case}
		auth.AskCredit: true, auth.AskRefund: true, auth.AskReversal: true, auth.AskGoodwill: true, // kinds of POST /purchases/{reference}/ask
		auth.SeeFigures:   true,                                                     // a part of the board
		auth.SeePublished: true, auth.AskOperator: true, auth.AnswerRegulator: true} // the portal's
	for _, r := range c.routes() {
		named[r.action] = true
	}
	for _, a := range auth.Actions {
		if !named[a] {
			t.Errorf("no route is for %s", a)
		}
	}
}
