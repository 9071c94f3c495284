package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

// statement is one of the charging system's, of lines about sales; those that are not named are not in it.
func (r *rig) statement(partner string, around *purchase.Purchase, lines ...string) string {
	from, to := around.CreatedAt.Add(-time.Hour), around.CreatedAt.Add(time.Hour)
	sum := 0
	for _, l := range lines {
		var amount int
		if _, err := fmt.Sscan(strings.Split(l, ",")[4], &amount); err != nil {
			r.t.Fatal(err)
		}
		sum += amount
	}
	lines = append(lines, fmt.Sprintf("total,XOF,%d,%d", len(lines), sum))
	return fmt.Sprintf("statement,%s,%s,%s\nreference,key,leg,number,amount,currency,product,original,at\n%s\n", partner, from, to, strings.Join(lines, "\n"))
}

// line is a line about the credit of a sale.
func (r *rig) line(p *purchase.Purchase, number purchase.MSISDN, amount int, product string) string {
	return fmt.Sprintf("ocs-%s,%s,credit,%s,%d,XOF,%s,,%s", r.keys.Key(p.ID, purchase.Credit).UUID(), r.keys.Key(p.ID, purchase.Credit).UUID(), number, amount, product,
		p.CreatedAt.Time().Format(time.RFC3339Nano))
}

// state loads a statement.
func (r *rig) state(text string) {
	r.t.Helper()
	m := must[*reconcile.Mapping](r.t)(reconcile.LoadMapping("sandbox"))
	if _, err := r.breaks.Load(r.t.Context(), "ocs.csv", strings.NewReader(text), m, reconcile.Want{Partner: "ocs"}, nil); err != nil {
		r.t.Fatal(err)
	}
}

// brk is the break of a cause.
func (r *rig) brk(cause reconcile.Cause) reconcile.Break {
	r.t.Helper()
	all := must[[]reconcile.Break](r.t)(r.breaks.Breaks(r.t.Context(), reconcile.Sift{Cause: cause, Limit: 5}))
	if len(all) != 1 {
		r.t.Fatalf("breaks of %s: %+v", cause, all)
	}
	return all[0]
}

// decideOn decides about a break as it is now.
func (r *rig) decideOn(login string, id int64, do, reason string) *answer {
	r.t.Helper()
	b := must[reconcile.Break](r.t)(r.breaks.Break(r.t.Context(), id))
	return r.post(login, fmt.Sprintf("/breaks/%d", id), "version", fmt.Sprint(b.Version), "do", do, "reason", reason)
}

// The page of breaks lists, adds up and filters; one break shows both sides, and is decided by maker and checker.
func TestBreaks(t *testing.T) {
	s := start(t)
	s.enter("anna", "mia", "carol", "fania")
	if a := s.get("anna", "/breaks"); a.status != http.StatusOK || !strings.Contains(a.main(), "Aucun écart") {
		t.Errorf("before there are any: %d %s", a.status, a.main())
	}
	lied, short, other, moved, good := s.sell(adama, adama, false), s.sell(adama, binta, false), s.sell(adama, adama, false), s.sell(adama, adama, false), s.sell(adama, adama, false)
	s.state(s.statement("ocs", &lied, s.line(&short, binta, 900, "airtime"), s.line(&other, adama, 1000, "data-day"), s.line(&moved, binta, 1000, "airtime"),
		s.line(&good, adama, 1000, "airtime")))
	shows(t, s.get("mia", "/breaks"), http.StatusOK, "4 breaks", "Told, and not done", "Another amount", "Another product", "Another number", "OCS", "Open", "100 F CFA", s.reference(&lied))
	for query, n := range map[string]string{"cause=amount": "1 breaks", "partner=ocs": "4 breaks", "partner=bank": "0 breaks", "party=ocs": "4 breaks", "party=tenu": "0 breaks",
		"state=resolved": "0 breaks", "state=all": "4 breaks", "age=1": "0 breaks", "cause=lied&party=ocs&state=open": "1 breaks", "cause=x": "4 breaks"} {
		shows(t, s.get("mia", "/breaks?"+query), http.StatusOK, n)
	}
	lie := s.brk(reconcile.CauseLied)
	path := fmt.Sprintf("/breaks/%d", lie.ID)
	shows(t, s.get("mia", path), http.StatusOK, "its own statement does not show it", "Its statement has no such movement", "Told to be done", "1 000 F CFA",
		"The proposed correction can be accepted", "taken back, reference ocs-", adama.Masked())
	if body := s.get("mia", path).body; strings.Contains(body, adama.String()) || strings.Contains(body, "70 11 22 33") {
		t.Error("a whole number is shown without a reason")
	}
	if a := s.get("fania", path); a.status != http.StatusOK || strings.Contains(a.body, `value="accept"`) {
		t.Errorf("an auditor may decide: %d", a.status)
	}
	for _, cause := range []reconcile.Cause{reconcile.CauseAmount, reconcile.CauseProduct} {
		b := s.brk(cause)
		shows(t, s.get("mia", fmt.Sprintf("/breaks/%d", b.ID)), http.StatusOK, "Credit", "A reversal can be asked for")
		shows(t, s.decideOn("carol", b.ID, "accept", "x"), http.StatusUnprocessableEntity, "Aucune preuve")
	}
	wrong := s.brk(reconcile.CauseNumber)
	shows(t, s.get("mia", fmt.Sprintf("/breaks/%d", wrong.ID)), http.StatusOK, "The proposed correction can be accepted", binta.Masked())

	s.decided(path, lie.ID)
	settled := s.brk(reconcile.CauseAmount)
	shows(t, s.decideOn("mia", settled.ID, "resolve", "x"), http.StatusForbidden, "More than your role")
	if a := s.decideOn("carol", settled.ID, "resolve", "avoir 118"); a.status != http.StatusSeeOther {
		t.Errorf("resolve: %d %s", a.status, a.main())
	}
	shows(t, s.get("carol", fmt.Sprintf("/breaks/%d", settled.ID)), http.StatusOK, "Terminé sans correction", "avoir 118", "Carol")
	for _, path := range []string{"/breaks/99", "/breaks/x", "/closes/9", "/closes/x"} {
		shows(t, s.get("carol", path), http.StatusNotFound)
	}
}

// decided lets a maker ask, and a checker refuse and then accept.
func (r *rig) decided(path string, id int64) {
	t := r.t
	shows(t, r.decideOn("mia", id, "accept", ""), http.StatusUnprocessableEntity, "A reason is needed")
	if a := r.decideOn("mia", id, "accept", "not in its records"); a.status != http.StatusSeeOther || !strings.HasSuffix(a.header.Get("Location"), "done=break_asked") {
		t.Fatalf("asked: %d %s", a.status, a.main())
	}
	if a := r.get("mia", path); strings.Contains(a.body, `value="accept"`) || !strings.Contains(a.main(), "somebody else must approve") {
		t.Errorf("the maker may check: %s", a.main())
	}
	shows(t, r.decideOn("mia", id, "accept", "again"), http.StatusForbidden, "your own request")
	shows(t, r.decideOn("anna", id, "accept", "x"), http.StatusForbidden, "votre rôle")
	if a := r.decideOn("carol", id, "refuse", "vérifiez encore"); a.status != http.StatusSeeOther {
		t.Fatalf("refused: %d %s", a.status, a.main())
	}
	shows(t, r.post("mia", path, "version", "1", "do", "accept", "reason", "kept <b>words</b>"), http.StatusConflict, "Somebody else changed it", "kept <b>words</b>")
	r.decideOn("mia", id, "accept", "checked")
	if a := r.decideOn("carol", id, "accept", "vu"); a.status != http.StatusSeeOther || !strings.HasSuffix(a.header.Get("Location"), "done=break_accepted") {
		t.Fatalf("accepted: %d %s", a.status, a.main())
	}
	shows(t, r.get("carol", path), http.StatusOK, "En cours d'écriture", "Correction acceptée", "Mia M.", "vérifiez encore")
	// The engine meets the evidence, and gives the money back.
	b := must[reconcile.Break](t)(r.breaks.Break(t.Context(), id))
	for {
		p := must[[]purchase.Record](t)(r.store.Load(t.Context(), b.Purchase))[0].Purchase
		if p.State == purchase.Refunded {
			break
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("the purchase is %s", p.State)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if _, _, err := r.breaks.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	shows(t, r.get("mia", path), http.StatusOK, "Over", "Booked", "Taken back")
}

// Closed days are shown with whether their signature holds, and their record can be taken away.
func TestCloses(t *testing.T) {
	s := start(t)
	s.enter("anna")
	shows(t, s.get("anna", "/closes"), http.StatusOK, "Aucun jour n'est clôturé", "Aucun jour d'un partenaire")
	sold := s.sell(adama, adama, false)
	s.state(s.statement("ocs", &sold))
	s.late.by.Store(int64(48 * time.Hour))
	day := sold.CreatedAt.Time().UTC().Format(time.DateOnly)
	c, err := s.breaks.CloseDay(t.Context(), day, time.UTC, s.sign)
	if err != nil {
		t.Fatal(err)
	}
	shows(t, s.get("anna", "/closes"), http.StatusOK, day, "Signature valable", "1 écarts ouverts", "Encore ouverts", "Annoncé, pas fait", "OCS supporte 1 000 F CFA", "les relevés ne couvrent pas le jour", "-1 000 F CFA")
	if a := s.get("anna", "/closes/1"); a.status != http.StatusOK || a.body != c.Note || !strings.Contains(a.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("the record: %d %q", a.status, a.header)
	}
}
