package console

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// A search leads to what a text names, in whatever form, and says clearly when it names nothing.
func TestSearch(t *testing.T) {
	s := play(t)
	customer, bought, file := "/customers/"+adama.String(), "/purchases/"+s.rig.reference(&s.doubt), "/cases/"+s.reference
	reference := s.rig.reference(&s.doubt)
	for text, to := range map[string]string{
		"+226 70-11.22.33": customer, "70112233": customer, "00226 70 11 22 33": customer, " 226(70)112233 ": customer,
		reference: bought, strings.ToLower(strings.ReplaceAll(reference, "-", "")): bought, strings.ReplaceAll(reference, "-", " "): bought,
		s.reference: file, strings.ToLower(s.reference): file,
		"Achat de 1 050 F. Réf. " + reference + ". Merci !":                           bought,
		"Nous traitons votre achat. Dossier " + s.reference + ", réponse avant 18:00": file,
		"J'ai payé 1050 le 09/07 et rien reçu, mon numéro c'est 70 11 22 33 svp":      customer,
		"": "", " ": "", "rien": "", "12": "", "+999 12345678": "", "D-": "", "D-0000-0000-00": "", "<script>alert(1)</script>": "", "'; DROP TABLE purchase; --": "",
		"\x00\xff": "", strings.Repeat("7", 3000): "", strings.Repeat("K7M2-Q4XD-9T ", 500): "", "../../etc/passwd": "", "%2e%2e": "",
	} {
		a := s.get("anna", "/search?q="+escape(text))
		switch got := a.header.Get("Location"); {
		case to == "" && (a.status != http.StatusNotFound || !strings.Contains(a.main(), "70 11 22 33")):
			t.Errorf("%q: %d to %q", text, a.status, got)
		case to != "" && (got != to || a.status != http.StatusSeeOther):
			t.Errorf("%q leads to %q (%d), want %q", text, got, a.status, to)
		}
	}
}

// C5: nothing of a customer is shown before a reason is given, and the reason is logged first.
func TestReasonBeforeAnything(t *testing.T) {
	s := play(t)
	reference := s.rig.reference(&s.doubt)
	number := "/customers/" + adama.String()
	for _, path := range []string{number, number + "/balance", "/purchases/" + reference, "/cases/" + s.reference, "/cases/" + s.reference + "/files/1"} {
		a := s.get("mia", path)
		shows(t, a, http.StatusOK, "reason")
		for _, secret := range []string{"1 050", "1 000", "4 250", "delivery_late", "rien reçu"} {
			if strings.Contains(a.main(), secret) {
				t.Errorf("%s shows %q before a reason was given", path, secret)
			}
		}
	}
	for _, path := range []string{number + "/callback", number + "/case", "/purchases/" + reference + "/ask", "/cases/" + s.reference} {
		if a := s.post("mia", path, "kind", "refund", "reason", "x", "do", "note", "text", "x", "version", "1", "matter", "other"); a.status != http.StatusOK || !strings.Contains(a.main(), `name="reason" value="call"`) {
			t.Errorf("%s is done before a reason was given: %d %s", path, a.status, a.main())
		}
	}
	if a := s.get("mia", "/live?what=customer/"+adama.String()); a.status != http.StatusNoContent {
		t.Errorf("changes are told before a reason was given: %d", a.status)
	}
	looks := func() []care.Look {
		return must[[]care.Look](t)(s.store.Looks(t.Context(), adama, s.staff["mia"].ID, 10))
	}
	if all := looks(); len(all) != 0 {
		t.Errorf("looks %+v", all)
	}
	for _, wrong := range [][]string{{"reason", "because"}, {"reason", "other"}, {}} {
		if a := s.post("mia", number, wrong...); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", wrong, a.status)
		}
	}
	a := s.post("mia", number, "reason", "other", "detail", "he <b>wrote</b>", "to", "//evil.example/")
	if to := a.header.Get("Location"); to != "/" {
		t.Errorf("leads to %q", to)
	}
	if all := looks(); len(all) != 1 || all[0].Reason != "other: he <b>wrote</b>" {
		t.Errorf("looks %+v", all)
	}
	shows(t, s.get("mia", number), http.StatusOK, reference)
	s.get("mia", "/cases/"+s.reference)
	if all := looks(); len(all) != 2 || all[0].Case != s.file.ID {
		t.Errorf("looks %+v", all)
	}
	shows(t, s.get("fania", "/audit?number="+escape(adama.String())), http.StatusOK, "Mia M.", "he <b>wrote</b>", s.reference)
	// Nobody looks at a number of their own.
	own := "/customers/+22670000001"
	shows(t, s.get("mia", own), http.StatusForbidden)
	shows(t, s.post("mia", own, "reason", "call"), http.StatusForbidden)
}

// The balance is asked live; a charging system that is silent is said to be.
func TestBalance(t *testing.T) {
	s := play(t)
	path := "/customers/" + adama.String() + "/balance"
	shows(t, s.get("anna", path), http.StatusOK, "4 250", "120 MB")
	s.ocs.silence(true)
	a := s.get("anna", path)
	shows(t, a, http.StatusOK)
	if strings.Contains(a.main(), "4 250") {
		t.Errorf("a balance that nobody told: %s", a.main())
	}
}

// What the purchase's page says is what the books show; what may be asked is asked for once.
func TestPurchase(t *testing.T) {
	s := play(t)
	path := "/purchases/" + s.rig.reference(&s.doubt)
	a := s.get("anna", path)
	shows(t, a, http.StatusOK, "1 050 F", "70 11 22 33", "Portefeuille", "silence", "Anna A.", s.reference)
	if order := strings.Index(a.body, "line_request"); order >= 0 {
		t.Errorf("phrases are missing: %s", a.main())
	}
	shows(t, s.get("anna", path+"?show=look"), http.StatusOK, "Anna A.")
	shows(t, s.post("anna", path+"/ask", "kind", "refund", "reason", ""), http.StatusUnprocessableEntity)
	shows(t, s.post("anna", path+"/ask", "kind", "all of it", "reason", "x"), http.StatusNotFound)
	for _, amount := range []string{"-5", "1e9", "99999999999999999999", "", "beaucoup"} {
		if a := s.post("anna", path+"/ask", "kind", "goodwill", "reason", "x", "amount", amount); a.status != http.StatusUnprocessableEntity && a.status != http.StatusConflict {
			t.Errorf("goodwill of %q: %d %s", amount, a.status, a.main())
		}
	}
	if a := s.post("anna", path+"/ask", "kind", "refund", "reason", "le client n'a rien reçu"); a.status != http.StatusSeeOther {
		t.Fatalf("refund: %d %s", a.status, a.main())
	}
	if a := s.post("mia", path+"/ask", "kind", "refund", "reason", "again"); a.status != http.StatusOK { // Mia gave no reason to look
		t.Errorf("%d", a.status)
	}
	s.look("carol", adama)
	shows(t, s.post("carol", path+"/ask", "kind", "refund", "reason", "encore"), http.StatusConflict)
	for _, other := range []string{"/purchases/nothing", "/purchases/K7M2-Q4XD-9T", "/cases/D-0000-0000-00", "/customers/12", "/customers/%ff", "/staff/nobody"} {
		if a := s.get("emil", other); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", other, a.status)
		}
	}
}

// A case or a callback is not opened about somebody else's purchase.
func TestPurchasesOfOthers(t *testing.T) {
	s := play(t)
	other := s.sell(binta, binta, false)
	about := s.rig.reference(&other)
	number := "/customers/" + adama.String()
	windows := must[[]purchase.Instant](t)(s.cfg.Care.Windows(t.Context(), 2))
	shows(t, s.post("anna", number+"/case", "matter", "other", "about", about), http.StatusNotFound)
	shows(t, s.post("anna", number+"/callback", "do", "promise", "window", strconv.FormatInt(int64(windows[1]), 10), "about", about), http.StatusNotFound)
	if all := must[[]care.Case](t)(s.cfg.Care.CasesAbout(t.Context(), other.ID)); len(all) != 0 {
		t.Errorf("cases %+v", all)
	}
}
