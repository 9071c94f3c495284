package store

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// The checks are written with the codes of package purchase.
func TestChecksKnowTheCodes(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want int
	}{
		{"charging", int(purchase.Charging), 1}, {"crediting", int(purchase.Crediting), 2}, {"credited", int(purchase.Credited), 3},
		{"refunding", int(purchase.Refunding), 4}, {"refunded", int(purchase.Refunded), 5}, {"declined", int(purchase.Declined), 6},
		{"charge", int(purchase.Charge), 1}, {"credit", int(purchase.Credit), 2}, {"refund", int(purchase.Refund), 3},
		{"done", int(purchase.Done), 1}, {"reversed", int(purchase.Reversed), 8},
		{"answer", int(purchase.FromAnswer), 1}, {"query", int(purchase.FromQuery), 3}, {"cancel", int(purchase.FromCancel), 4}, {"node", int(purchase.FromNode), 6},
		{"principal", int(purchase.EffectPrincipal), 1}, {"second", int(purchase.EffectSecond), 4}, {"undone", int(purchase.EffectUndone), 7},
		{"fact credited", int(purchase.FactCredited), 1}, {"fact received", int(purchase.FactReceived), 2},
		{"reversal", int(purchase.Reversal), 4}, {"fact reversed", int(purchase.FactReversed), 11},
		{"fact taken back", int(purchase.FactTakenBack), 7}, {"fact charged late", int(purchase.FactChargedLate), 8},
		{"case settled", int(care.Settled), 3}, {"outcome credited", int(care.OutcomeCredited), 1}, {"outcome refunded", int(care.OutcomeRefunded), 2},
		{"outcome nothing taken", int(care.OutcomeNothingTaken), 3}, {"request done", int(care.StageDone), 4},
		{"promised", int(care.Promised), 1}, {"kept", int(care.Kept), 2}, {"broken", int(care.Broken), 4}, {"answered", int(care.Answered), 2},
		{"case withdrawn", int(care.Withdrawn), 4}, {"incident closed", int(incident.Closed), 4}, {"by product", int(incident.ByProduct), 1},
		{"by provider", int(incident.ByProvider), 2}, {"by payer", int(incident.ByPayer), 3}, {"by channel", int(incident.ByChannel), 4},
		{"said happened", int(incident.SaidHappened), 1}, {"said ended", int(incident.SaidEnded), 2},
	} {
		if c.got != c.want {
			t.Errorf("%s has code %d, the checks say %d", c.name, c.got, c.want)
		}
	}
	if care.AskGoodwill != "goodwill" || care.AskAnswer != "answer" {
		t.Error("the checks know requests by other words")
	}
	if key := incident.ID(7).Key("told", 0, 22670112233) + incident.ID(7).Key("told", 2, 22670112233); key != "incident-7-told-22670112233incident-7-told.2-22670112233" {
		t.Errorf("the checks know messages by other keys than %s", key)
	}
	if len(purchase.States) != 6 || len(purchase.Legs) != 4 || len(purchase.Kinds) != 8 {
		t.Error("there are more codes than the constraints of the tables allow")
	}
	quoted := regexp.MustCompile(`k\.matter (?:= |IN \()('[^)]*')`)
	for _, c := range checks {
		for _, match := range quoted.FindAllStringSubmatch(c.query, -1) {
			for matter := range strings.SplitSeq(strings.ReplaceAll(match[1], "'", ""), ", ") {
				if !slices.Contains(purchase.Matters, purchase.Matter(matter)) {
					t.Errorf("%s: no case is about %q", c.invariant, matter)
				}
			}
		}
	}
}

// What a partner sends must not keep a batch from being written, and what fits
// must stay as it is.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "MP240709.1345.A12345", "d\u00e9tail", "\x00", "\xff\xfe", strings.Repeat("\u20ac", 100), strings.Repeat("a", 239) + "\u20ac"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clip(clean(s))
		switch {
		case !strings.Contains(s, "\x00") && len(s) <= purchase.MaxDetail && strings.ToValidUTF8(s, "") == s && got != s:
			t.Errorf("%q became %q", s, got)
		case len(got) > purchase.MaxDetail || strings.Contains(got, "\x00") || strings.ToValidUTF8(got, "") != got:
			t.Errorf("%q became %q, which a database may refuse", s, got)
		case clean(clean(s)) != clean(s):
			t.Errorf("%q is not cleaned at once", s)
		}
	})
}
