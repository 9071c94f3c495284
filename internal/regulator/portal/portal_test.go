package portal

import (
	"testing"

	"tenu/internal/auth"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
	"tenu/internal/staff"
)

// TestRoutesNameActions: every route but those of one's own account is for those whose role may read, ask or answer.
func TestRoutesNameActions(t *testing.T) {
	free := map[string]bool{"POST /signout": true, "GET /account": true, "POST /account": true}
	of := map[auth.Action]bool{}
	for _, r := range (&Portal{}).routes() {
		switch {
		case r.open && r.action != "":
			t.Errorf("%s is open, and names an action", r.pattern)
		case !r.open && r.action == "" && !free[r.pattern]:
			t.Errorf("%s names no action", r.pattern)
		}
		of[r.action] = true
	}
	for _, a := range []auth.Action{auth.SeePublished, auth.AskOperator, auth.AnswerRegulator} {
		if !of[a] {
			t.Errorf("no route is for %s", a)
		}
	}
}

// TestTexts: what code says by parts of a key is there in every language.
func TestTexts(t *testing.T) {
	texts, err := phrase.LoadTexts("fr", staff.With(files, "phrases"))
	if err != nil {
		t.Fatal(err)
	}
	if len(texts.Languages()) != 2 {
		t.Errorf("pages in %d languages", len(texts.Languages()))
	}
	for _, lang := range texts.Languages() {
		for _, key := range []string{"status_1", "status_2", "status_3", "status_4", "code_A2", "code_A3", "code_A11", "code_Z", "state_charging", "state_crediting", "state_credited",
			"state_refunding", "state_refunded", "state_declined", "leg_charge", "leg_credit", "leg_refund", "leg_reversal", "done_asked", "done_answered", "done_saved"} {
			if !texts.In(lang).Has(key) {
				t.Errorf("%s has no %s", lang, key)
			}
		}
		for _, kind := range purchase.Kinds {
			if !texts.In(lang).Has("kind_" + kind.String()) {
				t.Errorf("%s has no words for %s", lang, kind)
			}
		}
	}
}
