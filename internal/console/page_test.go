package console

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// scene is a customer with everything a page can show.
type scene struct {
	*rig
	good, doubt purchase.Purchase
	file        care.Case
	reference   string // of the case
	incident    string // an open one
}

func play(t testing.TB) *scene {
	t.Helper()
	s := &scene{rig: start(t)}
	s.enter("anna", "mia", "carol", "emil", "fania")
	s.good, s.doubt = s.sell(adama, adama, false), s.sell(adama, binta, true)
	s.file, s.reference = s.rig.file(adama, s.doubt.ID)
	if err := s.store.PutMacro(t.Context(), care.Macro{Name: "patience", Language: "fr", Text: "Nous vérifions.", Version: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.cfg.Care.Furnish(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.look("anna", adama)
	windows := must[[]purchase.Instant](t)(s.cfg.Care.Windows(t.Context(), 1))
	if _, _, err := s.cfg.Care.Promise(t.Context(), care.Callback{Number: adama, WindowAt: windows[0], Channel: "app", Language: "fr", Reason: "<i>appel</i>", Purchase: s.doubt.ID}); err != nil {
		t.Fatal(err)
	}
	return s
}

// fails opens an incident and pauses sales; what was sold is affected, and its case linked.
func (s *scene) fails() incident.Incident {
	t := s.t
	t.Helper()
	in := must[incident.Incident](t)(s.cfg.Incidents.Open(t.Context(), s.staff["carol"].ID, incident.Opening{Series: incident.Series{By: incident.ByProvider, Name: "ocs"},
		Since: s.good.CreatedAt, Reason: "<b>C.</b> sees it", Pause: true, Held: true,
		Titles: map[purchase.Language]string{"fr": "Panne <i>appel</i>", "en": "Outage <i>appel</i>"},
		Texts:  map[purchase.Language]string{"fr": "<script>alert(1)</script> Rien n'est perdu.", "en": "Nothing is lost."}}))
	s.incident = in.ID.String()
	if n := must[int64](t)(s.store.Affect(t.Context(), in.ID, incident.Reach{Series: in.Series, From: in.Since, Till: s.clock.Now(), Within: time.Microsecond, At: s.clock.Now().Add(time.Minute)})); n == 0 {
		t.Fatal("nobody is affected")
	}
	return in
}

// paths are where every page is.
func (s *scene) paths() []string {
	number := "/customers/" + adama.String()
	return []string{"/account", "/keys", "/search?q=rien", number, number + "/balance", "/purchases/" + s.rig.reference(&s.doubt), "/purchases/" + s.rig.reference(&s.good),
		"/cases/" + s.reference, "/incidents", "/incidents/" + s.incident, "/incidents/" + s.incident + "?show=action", "/queue", "/queue?view=open&code=D", "/queue?view=settled", "/approvals", "/calls", "/macros", "/board", "/board?hours=1", "/rules", "/rules/new", "/rules/ask-again",
		"/staff", "/staff/anna", "/audit", "/audit?number=70112233&staff=anna"}
}

var (
	inline  = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+="|<script>|javascript:`)
	unsaid  = regexp.MustCompile(`%!|<no value>|\{[A-Z][a-z]+\}`)
	labels  = regexp.MustCompile(`<label [^>]*for="([^"]+)"`)
	fieldID = regexp.MustCompile(`\sid="([^"]+)"`)
)

// whole fails the test unless a page is whole: no inline script or style, no text that was
// meant to be filled in, no label without a field, no ID twice, nobody's markup.
func whole(t *testing.T, path, body string) {
	t.Helper()
	for _, bad := range []*regexp.Regexp{inline, unsaid} {
		if found := bad.FindString(body); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
	ids := map[string]bool{}
	for _, m := range fieldID.FindAllStringSubmatch(body, -1) {
		if ids[m[1]] {
			t.Errorf("%s has two of id %q", path, m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range labels.FindAllStringSubmatch(body, -1) {
		if !ids[m[1]] {
			t.Errorf("%s has a label for %q, which is not there", path, m[1])
		}
	}
	if strings.Contains(body, "<b>C.</b>") || strings.Contains(body, "<i>appel</i>") || strings.Contains(body, "alert(1)</script>") {
		t.Errorf("%s shows what people wrote as markup", path)
	}
}

// Every page is shown in every language to who may see all of it.
func TestPages(t *testing.T) {
	s := play(t)
	s.fails()
	for _, login := range []string{"anna", "mia", "carol", "emil", "fania"} {
		s.look(login, adama)
		for _, path := range s.paths() {
			a := s.get(login, path)
			switch {
			case a.status == http.StatusForbidden, strings.HasPrefix(path, "/search"):
			case a.status != http.StatusOK:
				t.Errorf("%s sees %s: %d %s", login, path, a.status, a.main())
			}
			whole(t, login+" "+path, a.body)
			if want := `lang="` + s.staff[login].Language + `"`; !strings.Contains(a.body, want) && !strings.Contains(path, "balance") {
				t.Errorf("%s sees %s in another language than %s", login, path, want)
			}
			if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: headers %v", path, a.header)
			}
		}
	}
}
