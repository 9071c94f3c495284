package profile

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/fuzztest"
)

func load(t *testing.T, country string) *Profile {
	t.Helper()
	p, err := Load(country)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The built-in files say what the regulators do, each with its source.
func TestCountries(t *testing.T) {
	if got := Countries(); !slices.Equal(got, []string{"BF", "NG", "TG", "TZ", "UMOA"}) {
		t.Fatalf("countries %v", got)
	}
	for _, c := range []struct {
		country string
		rule    Rule
		drafts  bool
		want    time.Duration // 0: nothing is said
	}{
		{"NG", RefundWithin, false, 30 * time.Second}, {"NG", PendingWithin, false, 24 * time.Hour}, {"NG", FeedbackWithin, false, 2 * time.Hour},
		{"NG", EscalatedWithin, false, 48 * time.Hour}, {"NG", CallbackWithin, false, 0}, {"NG", CallbackWithin, true, 30 * time.Minute},
		{"TZ", SoftwareWithin, false, 30 * time.Minute}, {"TZ", NetworkWithin, false, 3 * time.Hour}, {"TZ", RestoreWithin, false, time.Hour},
		{"BF", RefundWithin, true, 0}, {"BF", ResolveWithin, true, 0}, {"BF", AnswerWithin, false, 720 * time.Hour}, {"TG", AnswerWithin, false, 720 * time.Hour},
	} {
		l, said := load(t, c.country).Within(c.rule, c.drafts)
		if said != (c.want > 0) || l.Within != c.want || said && l.Source == "" {
			t.Errorf("%s %s: %+v, %t", c.country, c.rule, l, said)
		}
	}
	if l := load(t, "TG").Of(UsersTold, false); len(l) != 1 || l[0].Lasts != 2*time.Hour || l[0].Source != "decision 068/ARCEP/DG/21" || l[0].Country != "TG" {
		t.Errorf("Togo %+v", l)
	}
	ng := load(t, "NG")
	if l := ng.Of(SalesSuspended, false); len(l) != 0 {
		t.Errorf("a draft is in force: %+v", l)
	}
	if l := ng.Of(SalesSuspended, true); len(l) != 1 || l[0].Lasts != 10*time.Minute {
		t.Errorf("the draft %+v", l)
	}
	if l := ng.Of(ComplaintCodes, false); len(l) != 1 || l[0].Codes["A11"] != "virtual top-up deducted but not sent" {
		t.Errorf("codes %+v", l)
	}
	if l := load(t, "BF").Of(AnswerWithin, false); len(l) != 1 || l[0].Country != "UMOA" {
		t.Errorf("the union's %+v", l)
	}
	for _, country := range Countries() {
		p := load(t, country)
		if len(p.None) == 0 {
			t.Errorf("%s does not say what is not known", country)
		}
	}
	if _, err := Load("../BF"); err == nil || !strings.Contains(err.Error(), "there are BF, NG") {
		t.Errorf("no such country: %v", err)
	}
}

const good = "country: XX\nversion: 1\nname: {fr: x, en: x}\nlimits:\n- rule: refund_within\n  within: 30s\n  source: a law\n  date: \"2026\"\n  state: in force\n"

// A file with a mistake is refused with its line and key.
func TestParseRefuses(t *testing.T) {
	if p, _, err := Parse("xx.yaml", []byte(good)); err != nil || len(p.Limits) != 1 {
		t.Fatal(err)
	}
	for name, c := range map[string][3]string{
		"unknown key":  {"version: 1", "version: 1\nlimit: 2", "unknown"},
		"country":      {"country: XX", "country: x", "xx.yaml:1: country: a code"},
		"version":      {"version: 1", "version: 0", "xx.yaml:2: version: counts"},
		"name":         {"{fr: x, en: x}", "{fr: x}", "xx.yaml:3: name"},
		"rule":         {"refund_within", "refund", "xx.yaml:5: limits[0]: rule: there is no rule"},
		"no time":      {"30s", "soon", "within: \"soon\" is no time"},
		"negative":     {"30s", "-30s", "is no time"},
		"century":      {"30s", "876000h", "is no time"},
		"no source":    {"a law", "\"\"", "source: who says so"},
		"date":         {"\"2026\"", "\"lately\"", "date: of the source"},
		"state":        {"in force", "maybe", "state: in force or draft"},
		"other form":   {"within: 30s", "lasts: 30s", "within: does not fit"},
		"both forms":   {"within: 30s", "within: 30s\n  text: x", "text: does not fit"},
		"share":        {"within: 30s", "within: 30s\n  per_thousand: 980", "per_thousand: does not fit"},
		"codes":        {"within: 30s", "within: 30s\n  codes: {A: b}", "codes: do not fit"},
		"severity":     {"within: 30s", "within: 30s\n  severity: major", "severity: minor, major"},
		"incident":     {"rule: refund_within", "rule: users_told", "lasts, customers"},
		"said and not": {"state: in force", "state: in force\nnone: {refund_within: looked}", "refund_within has a limit"},
		"none of none": {"state: in force", "state: in force\nnone: {such: looked}", "there is no rule \"such\""},
		"none unsaid":  {"state: in force", "state: in force\nnone: {answer_within: \"\"}", "say what was looked for"},
		"own union":    {"version: 1", "version: 1\nunions: [XX]", "unions: XX is not its own"},
	} {
		if _, _, err := Parse("xx.yaml", []byte(strings.Replace(good, c[0], c[1], 1))); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v, want %s", name, err, c[2])
		}
	}
}

// FuzzParse: what is read holds together, what is not is told of by file.
func FuzzParse(f *testing.F) {
	f.Add(good)
	for _, country := range Countries() {
		data, err := countries.ReadFile("countries/" + strings.ToLower(country) + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		fuzztest.Within(t, 16<<20+2048*len(text), func() {
			p, _, err := Parse("x.yaml", []byte(text))
			if err != nil {
				if !strings.Contains(err.Error(), "x.yaml:") {
					t.Errorf("the file is not named: %v", err)
				}
				return
			}
			for _, l := range p.Limits {
				if l.Source == "" || l.Date == "" || forms[l.Rule] == 0 || l.Within < 0 || l.Lasts < 0 {
					t.Errorf("read %+v", l)
				}
			}
			for rule := range maps.Keys(p.None) {
				if len(p.Of(rule, true)) > 0 {
					t.Errorf("%s is said and is not", rule)
				}
			}
		})
	})
}
