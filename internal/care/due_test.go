package care_test

import (
	"strings"
	"testing"
	"time"

	"tenu/internal/care"
)

// TestDeadlines: each deadline that passes is noted once, and the supervisor sees it;
// while the case waits, none passes.
func TestDeadlines(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		_, c := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
		late := func() int { return strings.Count(o.history(t, c.ID), "late system") }
		o.after(t, 90*time.Minute)
		if late() != 0 {
			t.Fatal(o.history(t, c.ID))
		}
		o.must(t, c.ID, by(basil), care.Deed{Do: care.EventPaused})
		o.after(t, 10*time.Hour)
		o.after(t, 10*time.Hour)
		if c = o.file(t, c.ID); late() != 0 || c.Level != 0 || c.Status != care.Waiting {
			t.Fatalf("it waits: %+v\n%s", c, o.history(t, c.ID))
		}
		o.must(t, c.ID, by(basil), care.Deed{Do: care.EventResumed})
		o.after(t, 20*time.Minute)
		if late() != 0 {
			t.Fatalf("too early: %s", o.history(t, c.ID))
		}
		o.after(t, 15*time.Minute)
		if c = o.file(t, c.ID); late() != 1 || c.Level != 1 || !strings.Contains(o.history(t, c.ID), "escalated system") {
			t.Fatalf("no answer in time: %+v\n%s", c, o.history(t, c.ID))
		}
		for range 60 {
			o.after(t, time.Hour)
		}
		if late() != 2 || strings.Count(o.history(t, c.ID), "escalated") != 1 {
			t.Errorf("two deadlines passed: %s", o.history(t, c.ID))
		}
		o.must(t, c.ID, by(basil), care.Deed{Do: care.EventPaused})
		o.after(t, 3*time.Hour)
		o.must(t, c.ID, by(basil), care.Deed{Do: care.EventResumed})
		for range 10 {
			o.after(t, time.Hour)
		}
		if late() != 2 {
			t.Errorf("a deadline was missed twice: %s", o.history(t, c.ID))
		}
	})
}

// TestOwnerLapses: who takes a case and does nothing loses it; each deed keeps it longer.
func TestOwnerLapses(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		silent := care.DefaultClocks().OwnerSilent
		_, c := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
		o.must(t, c.ID, by(basil), care.Deed{Do: care.EventTaken})
		o.after(t, silent-time.Minute)
		o.must(t, c.ID, by(carol), care.Deed{Do: care.EventNote, Text: "somebody else's deed keeps nothing"})
		o.must(t, c.ID, by(basil), care.Deed{Do: care.EventNote, Text: "still at it"})
		o.after(t, silent-time.Minute)
		if c = o.file(t, c.ID); c.Owner != basil.ID || c.Level != 0 {
			t.Fatalf("lapsed too early: %+v", c)
		}
		o.must(t, c.ID, by(carol), care.Deed{Do: care.EventNote, Text: "x"})
		o.after(t, time.Minute+time.Second)
		if c = o.file(t, c.ID); c.Owner != 0 || c.Level != 1 || !strings.Contains(o.history(t, c.ID), "lapsed system #2") {
			t.Errorf("silent: %+v\n%s", c, o.history(t, c.ID))
		}
	})
}
