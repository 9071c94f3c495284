package console

import (
	"database/sql"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"tenu/internal/care"
)

func version(c *care.Case) string { return strconv.FormatInt(c.Version, 10) }

// now is the case as it is.
func (s *scene) now() care.Case {
	s.t.Helper()
	return must[care.Case](s.t)(s.cfg.Care.Case(s.t.Context(), s.file.ID))
}

// Who comes second sees what changed meanwhile, and what they typed; nothing is done.
func TestStaleCaseKeepsText(t *testing.T) {
	s := play(t)
	s.look("carol", adama)
	path := "/cases/" + s.reference
	old := s.now()
	seen := strconv.FormatInt(int64(s.clock.Now()), 10)
	if a := s.post("carol", path, "do", "note", "text", "le client rappelle à 15 h", "version", version(&old)); a.status != http.StatusSeeOther {
		t.Fatalf("note: %d %s", a.status, a.main())
	}
	a := s.post("anna", path, "do", "told", "text", "Nous <b>vérifions</b>.", "version", version(&old), "seen", seen)
	shows(t, a, http.StatusConflict, "Nous <b>vérifions</b>.", "le client rappelle à 15 h", "nouveau", `name="version" value="`+strconv.FormatInt(old.Version+1, 10)+`"`)
	if n := strings.Count(a.main(), "nouveau"); n != 1 {
		t.Errorf("%d lines are new: %s", n, a.main())
	}
	whole(t, path, a.body)
	if now := s.now(); now.Version != old.Version+1 {
		t.Errorf("version %d, want %d", now.Version, old.Version+1)
	}
	// The same once more, on what is now shown.
	now := s.now()
	shows(t, s.post("anna", path, "do", "told", "text", "Nous vérifions.", "version", version(&now)), http.StatusSeeOther)
	shows(t, s.get("anna", path), http.StatusOK, "Nous vérifions.")
}

// What was changed in the database is said to be unreadable, and the rest of the page is as ever.
func TestUnreadableIsSaid(t *testing.T) {
	s := play(t)
	s.look("anna", adama)
	path := "/cases/" + s.reference
	for _, text := range []string{"la cliente rappelle", "elle a rappelé"} {
		c := s.now()
		shows(t, s.post("anna", path, "do", "note", "text", text, "version", version(&c)), http.StatusSeeOther)
	}
	shows(t, s.upload("anna", path+"/files", "ecran.png", []byte("\x89PNG\r\n\x1a\n")), http.StatusSeeOther)
	shows(t, s.get("anna", path), http.StatusOK, "la cliente rappelle", "elle a rappelé", "ecran.png")
	db, err := sql.Open("sqlite", strings.TrimPrefix(s.dsn, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range []string{
		`UPDATE case_entry SET text = (SELECT e.text FROM case_entry e WHERE e.event = 'note' ORDER BY seq LIMIT 1) WHERE event = 'note'`,
		`UPDATE attachment SET data = substr(data, 1, length(data) - 1)`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	a := s.get("anna", path)
	shows(t, a, http.StatusOK, "la cliente rappelle", "illisible", "ecran.png")
	if strings.Contains(a.main(), "elle a rappelé") || strings.Contains(a.main(), "sealed") {
		t.Errorf("the page is %s", a.main())
	}
	whole(t, path, a.body)
	shows(t, s.get("anna", path+"/files/1"), http.StatusUnprocessableEntity, "illisible")
}

// Each deed of a case does what it says, or is refused in words.
func TestDeeds(t *testing.T) {
	s := play(t)
	s.look("carol", adama)
	path := "/cases/" + s.reference
	do := func(login string, status int, pairs ...string) *answer {
		t.Helper()
		c := s.now()
		a := s.post(login, path, append(pairs, "version", version(&c))...)
		shows(t, a, status)
		return a
	}
	mia := strconv.FormatInt(int64(s.staff["mia"].ID), 10)
	do("anna", http.StatusSeeOther, "do", "taken")
	if c := s.now(); c.Owner != s.staff["anna"].ID {
		t.Errorf("owner %d", c.Owner)
	}
	do("anna", http.StatusUnprocessableEntity, "do", "taken", "staff", mia) // to give work to others is a supervisor's
	do("carol", http.StatusSeeOther, "do", "taken", "staff", mia)
	if c := s.now(); c.Owner != s.staff["mia"].ID {
		t.Errorf("owner %d", c.Owner)
	}
	do("anna", http.StatusSeeOther, "do", "paused", "text", "attend le client")
	do("anna", http.StatusSeeOther, "do", "resumed")
	do("anna", http.StatusSeeOther, "do", "escalated", "text", "urgent")
	do("anna", http.StatusSeeOther, "do", "linked", "incident", "panne-ocs")
	do("anna", http.StatusSeeOther, "do", "prefers", "prefer", "2")
	do("anna", http.StatusUnprocessableEntity, "do", "note", "text", "")
	long := do("anna", http.StatusUnprocessableEntity, "do", "told", "text", strings.Repeat("très long ", 60))
	shows(t, long, http.StatusUnprocessableEntity, "très long")
	do("anna", http.StatusUnprocessableEntity, "do", "erase")
	if a := do("anna", http.StatusConflict, "do", "settled", "outcome", "refunded", "text", "remboursé"); !strings.Contains(a.main(), "remboursé") { // nothing was
		t.Errorf("the text is lost: %s", a.main())
	}
	shows(t, s.get("anna", "/queue?view=escalated"), http.StatusOK, s.reference, "panne-ocs")
	shows(t, s.get("anna", "/queue?view=open&incident=panne-ocs"), http.StatusOK, s.reference)
	if a := s.get("anna", "/queue?view=open&incident=autre"); strings.Contains(a.main(), s.reference) {
		t.Error("a case of another incident is shown")
	}
	// Merged into another of the customer; of nobody else's.
	_, other := s.rig.file(adama, s.good.ID)
	_, foreign := s.rig.file(binta, 0)
	s.look("anna", binta)
	if a := s.post("anna", path+"/merge", "into", foreign); a.status == http.StatusSeeOther {
		t.Error("merged into another customer's")
	}
	shows(t, s.post("anna", path+"/merge", "into", "nothing"), http.StatusNotFound)
	shows(t, s.post("anna", path+"/merge", "into", other), http.StatusUnprocessableEntity) // its purchase is still open
	shows(t, s.post("anna", "/cases/"+other+"/merge", "into", s.reference), http.StatusSeeOther)
}

var png = append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"), make([]byte, 40)...)

// A file comes back as something to keep, not to run; too large, too many or of another kind is refused.
func TestAttachments(t *testing.T) {
	s := play(t)
	path := "/cases/" + s.reference
	shows(t, s.upload("anna", path+"/files", "../../reçu \"1\".png", png), http.StatusSeeOther)
	files := must[[]care.Attachment](t)(s.store.Attachments(t.Context(), s.file.ID))
	if len(files) != 1 || strings.ContainsAny(files[0].Name, "/\\") {
		t.Fatalf("files %+v", files)
	}
	at := path + "/files/" + strconv.FormatInt(files[0].ID, 10)
	a := s.get("anna", at)
	if a.status != http.StatusOK || a.body != string(png) || a.header.Get("Content-Type") != "image/png" || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") ||
		!strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", a.status, a.header)
	}
	for name, data := range map[string][]byte{"page.html": []byte("<html><script>alert(1)</script>"), "run.exe": []byte("MZ\x90\x00"), "none.png": nil} {
		if a := s.upload("anna", path+"/files", name, data); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, a.status, a.main())
		}
	}
	shows(t, s.upload("anna", path+"/files", "large.png", append(png, make([]byte, care.MaxAttachment)...)), http.StatusUnprocessableEntity)
	shows(t, s.upload("anna", path+"/files", "huge.png", append(png, make([]byte, 2*care.MaxAttachment)...)), http.StatusRequestEntityTooLarge, "2 Mo")
	shows(t, s.post("anna", path+"/files"), http.StatusUnprocessableEntity)
	for range care.MaxAttachments - 1 {
		shows(t, s.upload("anna", path+"/files", "x.png", png), http.StatusSeeOther)
	}
	shows(t, s.upload("anna", path+"/files", "x.png", png), http.StatusUnprocessableEntity)
	// Through another case a file is not there.
	_, other := s.rig.file(adama, s.good.ID)
	shows(t, s.get("anna", "/cases/"+other+"/files/"+strconv.FormatInt(files[0].ID, 10)), http.StatusNotFound)
	shows(t, s.get("anna", path+"/files/x"), http.StatusNotFound)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="(do|text|incident|link|outcome|case)" value="([^"]*)">`)

// One deed to many cases: looked at first, done after the time to undo it; not undone later.
func TestBulk(t *testing.T) {
	s := play(t)
	_, second := s.rig.file(adama, s.good.ID)
	pairs := []string{"do", "linked", "link", "panne", "case", s.reference, "case", second}
	shows(t, s.post("anna", "/queue", append(pairs, "step", "preview")...), http.StatusForbidden)
	a := s.post("carol", "/queue", append(pairs, "step", "preview")...)
	shows(t, a, http.StatusOK, s.reference, second)
	whole(t, "preview", a.body)
	if c := s.now(); c.Incident != "" {
		t.Errorf("a preview did it: %+v", c)
	}
	kept := []string{"step", "go"} // what the preview's own form holds
	for _, m := range hidden.FindAllStringSubmatch(a.body, -1) {
		kept = append(kept, m[1], m[2])
	}
	shows(t, s.post("carol", "/queue", kept...), http.StatusSeeOther)
	shows(t, s.get("carol", "/queue"), http.StatusOK, `name="step" value="undo"`)
	plans := must[[]care.Bulk](t)(s.cfg.Care.Bulks(t.Context(), s.staff["carol"].ID))
	if len(plans) != 1 || plans[0].Deed.Incident != "panne" || len(plans[0].Cases) != 2 {
		t.Fatalf("plans %+v", plans)
	}
	shows(t, s.post("carol", "/queue", "step", "undo", "plan", strconv.FormatInt(int64(plans[0].ID), 10)), http.StatusSeeOther)
	for wrong, status := range map[string]int{"99": http.StatusConflict, strconv.FormatInt(int64(plans[0].ID), 10): http.StatusConflict, "x": http.StatusNotFound, "": http.StatusNotFound} {
		shows(t, s.post("carol", "/queue", "step", "undo", "plan", wrong), status)
	}
	shows(t, s.post("carol", "/queue", "do", "linked", "link", "panne", "step", "preview"), http.StatusUnprocessableEntity)
	shows(t, s.post("carol", "/queue", "do", "erase", "case", s.reference, "step", "go"), http.StatusUnprocessableEntity)
	if c := s.now(); c.Incident != "" {
		t.Errorf("it was undone: %+v", c)
	}
}
