package console

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

func (s *scene) version(id incident.ID) string {
	s.t.Helper()
	return strconv.FormatInt(must[incident.Incident](s.t)(s.cfg.Incidents.Incident(s.t.Context(), id)).Version, 10)
}

// Every deed to an incident is kept, shown to everybody, and refused to those who may not.
func TestIncidentDeeds(t *testing.T) {
	s := play(t)
	in := s.fails()
	path := "/incidents/" + s.incident
	expected := s.clock.Now().Time().Add(2 * time.Hour).Format("2006-01-02T15:04")
	emil := strconv.FormatInt(int64(s.staff["emil"].ID), 10)
	for _, deed := range []struct {
		shown string
		form  []string
	}{
		{"Emil E.", []string{"do", "owner", "staff", emil}},
		{"Critical", []string{"do", "severity", "severity", "critical"}},
		{"provider:<i>x</i>", []string{"do", "party", "party", "provider:<i>x</i>"}},
		{expected[11:], []string{"do", "expected", "at", expected}},
		{"<script>alert(2)</script> & rien", []string{"do", "note", "text", "<script>alert(2)</script> & rien"}},
		{"It comes back.", []string{"do", "text", "title-fr", "Panne", "text-fr", "Cela revient.", "title-en", "Outage", "text-en", "It comes back."}},
		{"Recovering", []string{"do", "recovered", "text", "seen"}},
	} {
		form := append(deed.form, "version", s.version(in.ID))
		for _, login := range []string{"anna", "fania"} {
			shows(t, s.post(login, path, form...), http.StatusForbidden)
		}
		if a := s.post("emil", path, form...); a.status != http.StatusSeeOther || a.header.Get("Location") != path+"?done=saved" {
			t.Fatalf("%v: %d to %q %s", deed.form, a.status, a.header.Get("Location"), a.main())
		}
		a := s.get("mia", path)
		shows(t, a, http.StatusOK, deed.shown)
		if strings.Contains(a.body, "<script>alert(2)") || strings.Contains(a.body, "<i>x</i>") {
			t.Error("what people wrote is markup")
		}
	}
	for _, wrong := range [][]string{{"do", "note", "text", ""}, {"do", "severity", "severity", "worst"}, {"do", "expected", "at", "soon"}, {"do", "expected", "at", "2001-01-01T00:00"},
		{"do", "party", "party", "\u200b"}, {"do", "text", "title-fr", strings.Repeat("é", 121), "text-fr", "x", "title-en", "x", "text-en", "x"}} {
		shows(t, s.post("carol", path, append(wrong, "version", s.version(in.ID))...), http.StatusUnprocessableEntity)
	}
	anna := strconv.FormatInt(int64(s.staff["anna"].ID), 10)
	shows(t, s.post("carol", path, "do", "owner", "staff", anna, "version", s.version(in.ID)), http.StatusForbidden) // who may not lead
	for _, unknown := range []string{"/incidents/I-999", "/incidents/I-0", "/incidents/x", "/incidents/1", "/incidents/I-99999999999999999999", "/incidents?before=x"} {
		shows(t, s.get("carol", unknown), http.StatusNotFound)
	}
	shows(t, s.post("carol", path, "do", "step", "version", s.version(in.ID)), http.StatusNotFound) // no person's
	shows(t, s.post("carol", "/incidents/I-999", "do", "note", "text", "x", "version", "1"), http.StatusNotFound)
}

// Who comes second sees what changed, and what they typed.
func TestStaleIncidentKeepsText(t *testing.T) {
	s := play(t)
	in := s.fails()
	path, seen := "/incidents/"+s.incident, s.version(in.ID)
	before := strconv.FormatInt(int64(s.clock.Now()), 10)
	if _, err := s.elsewhereIncidents.Act(t.Context(), in.ID, in.Version, s.staff["emil"].ID, incident.Deed{Do: incident.EventSeverity, Severity: incident.Minor}); err != nil {
		t.Fatal(err)
	}
	mine := []string{"do", "text", "title-fr", "Mon titre", "text-fr", "Mon texte", "title-en", "My title", "text-en", "My text", "seen", before}
	a := s.post("carol", path, append(mine, "version", seen)...)
	shows(t, a, http.StatusConflict, "Mon titre", "Mon texte", "Mineur", "nouveau", `name="version" value="`+s.version(in.ID)+`"`)
	if now := must[incident.Incident](t)(s.cfg.Incidents.Incident(t.Context(), in.ID)); now.Title["fr"] == "Mon titre" {
		t.Error("it was written over")
	}
	shows(t, s.post("carol", path, append(mine, "version", s.version(in.ID))...), http.StatusSeeOther)
	shows(t, s.post("emil", path, "do", "closed", "version", "x"), http.StatusConflict)
}

// It is closed only when sales are open and everybody affected is settled, and says why not.
func TestIncidentIsNotClosedEarly(t *testing.T) {
	s := play(t)
	in := s.fails()
	path := "/incidents/" + s.incident
	shows(t, s.post("carol", path, "do", "closed", "text", "fini", "version", s.version(in.ID)), http.StatusConflict, "suspendues", "fini")
	pause := s.pauses.Pauses()[0]
	shows(t, s.post("carol", "/pauses", "do", "resume", "id", strconv.FormatInt(pause.ID, 10), "reason", "réparé"), http.StatusSeeOther)
	shows(t, s.post("carol", path, "do", "closed", "text", "fini", "version", s.version(in.ID)), http.StatusConflict, "1 achats touchés ne sont pas encore réglés", "fini")
	s.ocs.tell()
	for p := &s.doubt; p.State != purchase.Credited; time.Sleep(5 * time.Millisecond) {
		p = &must[[]purchase.Record](t)(s.store.Load(t.Context(), p.ID))[0].Purchase
	}
	shows(t, s.post("carol", path, "do", "closed", "text", "fini", "version", s.version(in.ID)), http.StatusSeeOther)
	a := s.get("anna", "/incidents")
	shows(t, a, http.StatusOK, "Clos", s.incident)
	if strings.Contains(a.body, `aria-label="`+s.incident+`"`) {
		t.Error("the banner says what is closed")
	}
}

// Sales are paused and resumed by those who may, with a reason, and never by a slip while it fails.
func TestPauses(t *testing.T) {
	s := play(t)
	form := []string{"do", "pause", "series", "payer wallet", "reason", "<b>C.</b> maintenance", "held", "on"}
	for _, login := range []string{"anna", "mia", "fania"} {
		shows(t, s.post(login, "/pauses", form...), http.StatusForbidden)
	}
	for _, wrong := range [][]string{{"do", "pause", "series", "payer nobody", "reason", "x"}, {"do", "pause", "series", "x", "reason", "x"}, {"do", "pause", "series", "payer wallet"}} {
		shows(t, s.post("carol", "/pauses", wrong...), http.StatusUnprocessableEntity)
	}
	if len(s.pauses.Pauses()) != 0 {
		t.Fatal("a form that is refused pauses")
	}
	shows(t, s.post("carol", "/pauses", form...), http.StatusSeeOther)
	shows(t, s.post("emil", "/pauses", form...), http.StatusConflict, "<b>C.</b> maintenance")
	p := s.pauses.Pauses()[0]
	if !p.Held || p.By.Staff != s.staff["carol"].ID || p.Share != 0 {
		t.Fatalf("pause %+v", p)
	}
	for _, login := range []string{"anna", "emil"} {
		a := s.get(login, "/incidents")
		shows(t, a, http.StatusOK, "<b>C.</b> maintenance", "0 %")
		if offered := strings.Contains(a.body, `value="resume"`); offered != (login == "emil") {
			t.Errorf("%s is offered to resume: %t", login, offered)
		}
		if strings.Contains(a.body, `name="force"`) {
			t.Error("what does not fail may be forced")
		}
	}
	shows(t, s.get("carol", "/board"), http.StatusOK, "<b>C.</b> maintenance")
	// A probe failed.
	p.Version++
	p.Failing, p.Tries, p.Said = true, 1, "no answer <i>appel</i>"
	s.pauses.Apply(must[incident.Pause](t)(s.store.ChangePause(t.Context(), p)))
	id := strconv.FormatInt(p.ID, 10)
	shows(t, s.get("emil", "/incidents"), http.StatusOK, "still fails", `name="force"`, "no answer <i>appel</i>")
	shows(t, s.post("emil", "/pauses", "do", "resume", "id", id, "reason", "it works, they say"), http.StatusConflict, "The last probe failed", "it works, they say")
	shows(t, s.post("emil", "/pauses", "do", "resume", "id", id, "force", "on"), http.StatusUnprocessableEntity)
	shows(t, s.post("emil", "/pauses", "do", "resume", "id", id, "reason", "it works, they say", "force", "on"), http.StatusSeeOther)
	if len(s.pauses.Pauses()) != 0 {
		t.Error("it lasts")
	}
	shows(t, s.post("emil", "/pauses", "do", "resume", "id", id, "reason", "again"), http.StatusConflict) // it is over
	for _, unknown := range [][]string{{"do", "resume", "id", "999", "reason", "x"}, {"do", "resume", "id", "x", "reason", "x"}, {"do", "both"}} {
		shows(t, s.post("emil", "/pauses", unknown...), http.StatusNotFound)
	}
}

// An incident is opened by hand, once for a series.
func TestIncidentByHand(t *testing.T) {
	s := play(t)
	form := []string{"series", "product airtime", "reason", "des plaintes", "since", s.clock.Now().Time().Add(-time.Hour).Format("2006-01-02T15:04")}
	shows(t, s.post("anna", "/incidents", form...), http.StatusForbidden)
	for _, wrong := range [][]string{{"series", "product nothing", "reason", "x"}, {"series", "product airtime"}, {"series", "product airtime", "reason", "x", "since", "yesterday"},
		{"series", "product airtime", "reason", "x", "since", "2999-01-01T00:00"}, {"series", "centre smsc", "reason", "x"}} {
		shows(t, s.post("carol", "/incidents", wrong...), http.StatusUnprocessableEntity)
	}
	a := s.post("carol", "/incidents", append(form, "pause", "on")...)
	shows(t, a, http.StatusSeeOther)
	to, _, _ := strings.Cut(a.header.Get("Location"), "?")
	shows(t, s.get("mia", to), http.StatusOK, "des plaintes", "Carol <b>C.</b>", "0 % sold")
	name := strings.TrimPrefix(to, "/incidents/")
	shows(t, s.post("emil", "/incidents", form...), http.StatusConflict, name, "des plaintes")
	// Every page says so, in the reader's language; to the customer in theirs.
	shows(t, s.get("mia", "/keys"), http.StatusOK, `aria-label="`+name+`"`, `<q lang="en">`)
	s.look("mia", adama)
	shows(t, s.get("mia", "/customers/"+adama.String()), http.StatusOK, `<q lang="fr">`)
	shows(t, s.get("mia", "/purchases/"+s.rig.reference(&s.good)), http.StatusOK, `<q lang="fr">`, "not affected")
}

// The customer's and the purchase's screens say whether this very purchase is affected.
func TestWhoIsAffected(t *testing.T) {
	s := play(t)
	s.fails()
	after := s.sell(adama, adama, false) // was sold after it
	shows(t, s.get("anna", "/purchases/"+s.rig.reference(&s.doubt)), http.StatusOK, "Cet achat est touché par", "/incidents/"+s.incident)
	shows(t, s.get("anna", "/purchases/"+s.rig.reference(&after)), http.StatusOK, "n'est pas touché")
	a := s.get("anna", "/customers/"+adama.String())
	if n := strings.Count(a.main(), "</a> touché"); n == 0 || n > 2 {
		t.Errorf("%d purchases are affected: %s", n, a.main())
	}
}

// What is stuck is looked at without touching it, and held and let go by those who lead.
func TestStuck(t *testing.T) {
	s := play(t)
	s.fails()
	path := "/incidents/" + s.incident
	shows(t, s.post("anna", path, "do", "dry"), http.StatusForbidden)
	shows(t, s.post("carol", path, "do", "dry"), http.StatusOK, "1 achats bloqués examinés", "1 050 F CFA")
	for _, wrong := range [][]string{{"do", "hold", "partner", "ocs"}, {"do", "hold", "partner", "nobody", "reason", "x"}} {
		shows(t, s.post("carol", path, wrong...), http.StatusUnprocessableEntity)
	}
	shows(t, s.post("anna", path, "do", "hold", "partner", "ocs", "reason", "x"), http.StatusForbidden)
	shows(t, s.post("carol", path, "do", "hold", "partner", "ocs", "reason", "il rattrape"), http.StatusSeeOther)
	if held := must[[]incident.Hold](t)(s.store.Held(t.Context())); len(held) != 1 || held[0].By.Staff != s.staff["carol"].ID {
		t.Errorf("held %+v", held)
	}
	shows(t, s.get("emil", path), http.StatusOK, "il rattrape", `value="release"`)
	shows(t, s.post("emil", path, "do", "release", "partner", "ocs"), http.StatusSeeOther)
	if held := must[[]incident.Hold](t)(s.store.Held(t.Context())); len(held) != 0 {
		t.Errorf("held %+v", held)
	}
}

// Who is responsible is said in words, and what people wrote as they wrote it; a case's incident leads to the incident.
func TestIncidentInWords(t *testing.T) {
	s := play(t)
	in := s.fails()
	for lang, want := range map[string]string{"fr": "le fournisseur de crédit OCS", "en": "the credit provider OCS"} {
		v := s.visitOf(t, must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "GET", "/", nil)), auth.Staff{ID: 1}, lang)
		if got := v.partyName(in.Party); got != want {
			t.Errorf("%q is %q, want %q", in.Party, got, want)
		}
		for party, want := range map[string]string{"Orange, équipe de nuit": "Orange, équipe de nuit", "provider:gone": v.Say("party_provider", "Name", "gone"),
			"payer:wallet": v.Say("party_payer", "Name", v.partnerName("wallet")), "tenu": v.Say("party_tenu"), "centre": v.Say("party_centre"), "provider:": "provider:"} {
			if got := v.partyName(party); got != want {
				t.Errorf("%q is %q, want %q", party, got, want)
			}
		}
	}
	shows(t, s.get("carol", "/incidents/"+s.incident), http.StatusOK, "le fournisseur de crédit OCS")
	v := s.visitOf(t, must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "GET", "/", nil)), must[auth.Staff](t)(s.store.StaffMember(t.Context(), s.staff["carol"].ID)), "fr")
	for name, want := range map[string]string{s.incident: "/incidents/" + s.incident, "INC-2024-07": "", "": ""} {
		l := v.fileLine(&care.Case{Incident: name, Status: care.Open}, nil)
		if l.Incident != name || l.IncidentPage != want {
			t.Errorf("%q leads to %q, want %q", name, l.IncidentPage, want)
		}
	}
	file := must[care.Case](t)(s.cfg.Care.Case(t.Context(), s.file.ID))
	shows(t, s.post("anna", "/cases/"+s.reference, "do", "linked", "incident", s.incident, "version", strconv.FormatInt(file.Version, 10)), http.StatusSeeOther)
	link := `href="/incidents/` + s.incident + `">` + s.incident + "</a>"
	shows(t, s.get("anna", "/queue?view=open&incident="+s.incident), http.StatusOK, link)
	shows(t, s.get("anna", "/cases/"+s.reference), http.StatusOK, link)
}

// The report is given as a file, in both languages, and runs nothing.
func TestReports(t *testing.T) {
	s := play(t)
	in := s.fails()
	for _, ending := range []string{"html", "pdf"} {
		for _, lang := range []string{"fr", "en", "tlh"} {
			a := s.get("fania", "/incidents/"+s.incident+"/report."+ending+"?language="+lang)
			want := map[string]string{"fr": "fr", "en": "en", "tlh": "fr"}[lang] // hers
			if a.status != http.StatusOK || !strings.Contains(a.header.Get("Content-Disposition"), s.incident+"-"+want+"."+ending) ||
				!strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") {
				t.Fatalf("%s in %s: %d %v %.300s", ending, lang, a.status, a.header, a.body)
			}
			switch ending {
			case "pdf":
				if !bytes.HasPrefix([]byte(a.body), []byte("%PDF-")) {
					t.Errorf("no PDF: %.40q", a.body)
				}
			default:
				for _, text := range []string{`lang="` + want + `"`, s.incident, "<svg"} {
					if !strings.Contains(a.body, text) {
						t.Errorf("the report in %s lacks %q", lang, text)
					}
				}
				if strings.Contains(a.body, "<i>appel</i>") || strings.Contains(a.body, "alert(1)</script>") {
					t.Error("what people wrote is markup in the report")
				}
			}
		}
	}
	v := s.visitOf(t, must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "GET", "/", nil)), auth.Staff{ID: 1}, "fr")
	d, err := v.reported(in.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Check(); err != nil {
		t.Error(err)
	}
	paid := int64(0)
	for _, m := range d.Minutes {
		paid += m.Paid
	}
	if paid != d.Totals.Purchases || paid == 0 {
		t.Errorf("%d paid by the minutes, %d purchases affected", paid, d.Totals.Purchases)
	}
	shows(t, s.get("fania", "/incidents/I-999/report.pdf"), http.StatusNotFound)
}

// A page of a purchase says that it is affected as soon as it is.
func TestAffectedLive(t *testing.T) {
	s := play(t)
	hit, other := s.watch("anna", "purchase/"+s.rig.reference(&s.doubt)), s.watch("anna", "purchase/"+s.rig.reference(&s.good))
	hit.until("changed")
	other.until("changed")
	in := must[incident.Incident](t)(s.cfg.Incidents.Open(t.Context(), s.staff["carol"].ID, incident.Opening{Series: incident.Series{By: incident.ByProduct, Name: "airtime"}, Reason: "x"}))
	hit.until("incident")
	for _, l := range []*looking{hit, other} {
		l.rest()
	}
	must[int64](t)(s.store.Affect(t.Context(), in.ID, incident.Reach{Series: in.Series, From: s.doubt.CreatedAt, Till: s.clock.Now(), Within: time.Minute, At: s.clock.Now().Add(2 * time.Minute)}))
	hit.until("changed")
	if len(other.events) > 0 {
		t.Errorf("what is not affected is told %q", <-other.events)
	}
}

// What happens to incidents and pauses is told to every page within a moment, whoever did it.
func TestIncidentsLive(t *testing.T) {
	s := play(t)
	desk, list, board := s.watch("anna", "desk"), s.watch("anna", "incidents"), s.watch("carol", "board")
	list.until("changed")
	board.until("changed")
	in := s.fails()
	page := s.watch("mia", "incident/"+s.incident)
	page.until("changed")
	for _, l := range []*looking{desk, list, board, page} {
		l.until("incident")
	}
	list.until("changed")
	board.until("changed")
	for _, l := range []*looking{desk, list, page} {
		l.rest()
	}
	if _, err := s.elsewhereIncidents.Act(t.Context(), in.ID, in.Version, s.staff["emil"].ID, incident.Deed{Do: incident.EventNote, Text: "of another node"}); err != nil {
		t.Fatal(err)
	}
	page.until("changed")
	list.until("changed")
	desk.rest()
	if len(desk.events) > 0 {
		t.Errorf("a note changes the banner: %q", <-desk.events)
	}
	page.rest()
	shows(t, s.post("carol", "/pauses", "do", "pause", "series", "payer wallet", "reason", "x"), http.StatusSeeOther)
	page.until("changed")
	for _, nothing := range []string{"incident/I-999", "incident/x", "incident"} {
		if l := s.watch("anna", nothing); l.status != http.StatusNoContent {
			t.Errorf("%s: %d", nothing, l.status)
		}
	}
	a := s.get("mia", "/banner")
	shows(t, a, http.StatusOK, "Outage")
	if !strings.HasPrefix(a.body, `<div id="banner">`) {
		t.Errorf("banner %.100s", a.body)
	}
}
