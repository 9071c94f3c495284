package console

import (
	"net/http"
	"testing"
	"time"

	"tenu/internal/incident"
)

// What an incident owes by rule is shown with its clock and its draft, is said to be done by those who lead, once, and keeps it from
// being closed until then.
func TestOwed(t *testing.T) {
	s := play(t)
	in := s.fails()
	now := s.clock.Now()
	in.Version++
	in.Owed = []incident.Owed{{Duty: "own-regulator", Kind: incident.TellRegulator, Source: "une <b>loi</b>", At: now.Add(-time.Minute), Due: now.Add(3 * time.Hour)},
		{Duty: "tg-users", Kind: incident.TellUsers, Source: "decision 068", At: now.Add(-time.Hour), Due: now.Add(-time.Hour), Late: true},
		{Duty: "ng-suspend", Kind: incident.SuspendSales, Source: "x", At: now, Due: now.Add(time.Hour), DoneAt: now}}
	must[incident.Incident](t)(s.store.ChangeIncident(t.Context(), incident.Change{Now: in, Entries: []incident.Entry{{At: now, Event: incident.EventOwed, Text: "own-regulator"}, {At: now, Event: incident.EventLate, Text: "tg-users"}}}))
	path := "/incidents/" + s.incident
	a := s.get("carol", path)
	shows(t, a, http.StatusOK, "Notifier le régulateur", "reste", "2 h", "Notification d'un incident de service", "Notice of a service incident", "Avertir les clients", "En retard",
		"Fait à temps", "une <b>loi</b>", `name="duty" value="own-regulator"`, "Exigé par une règle", "Règle non respectée")
	shows(t, s.get("anna", path), http.StatusOK, "Notifier le régulateur")
	shows(t, s.post("carol", path, "do", "closed", "version", s.version(in.ID)), http.StatusConflict, "notification au régulateur reste à envoyer")
	form := []string{"do", "done", "duty", "own-regulator", "text", "fax <i>appel</i>"}
	shows(t, s.post("anna", path, append(form, "version", s.version(in.ID))...), http.StatusForbidden)
	shows(t, s.post("carol", path, append(form, "version", s.version(in.ID))...), http.StatusSeeOther)
	shows(t, s.get("emil", path), http.StatusOK, "Done in time", "own-regulator: fax <i>appel</i>")
	for _, duty := range []string{"own-regulator", "ng-suspend", "no-such"} {
		shows(t, s.post("carol", path, "do", "done", "duty", duty, "version", s.version(in.ID)), http.StatusUnprocessableEntity)
	}
	shows(t, s.post("carol", path, "do", "closed", "version", s.version(in.ID)), http.StatusConflict, "suspendues") // now for its pause
}
