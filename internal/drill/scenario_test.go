package drill_test

import (
	"bytes"
	"strings"
	"testing"

	"tenu/internal/drill"
	"tenu/internal/fuzztest"
	"tenu/internal/sim"
)

// good is a scenario file that the cases below spoil.
const good = `title: {fr: "Essai", en: "Trial"}
begins: "2024-07-09 12:45"
ends: "14:00"
purchases: 100
partners:
  - {name: wallet, role: payer}
  - {name: charging, role: provider, lateness: 1h}
windows:
  - partner: charging
    from: "13:00"
    till: "13:10"
    faults: {dropped: 50%, reply_lost: 2.5%}
    late: 1m-5m
`

// TestBadFiles: a file with an error is refused with its line and key.
func TestBadFiles(t *testing.T) {
	if _, err := drill.Parse("good.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	second := "  - {partner: charging, from: \"13:05\", till: \"13:20\", faults: {dropped: 10%}}\n"
	for _, bad := range []struct{ name, old, new, want string }{
		{"unknown key", "purchases: 100", "purchase: 100", "bad.yaml:4: purchase: unknown field"},
		{"bad time", `from: "13:00"`, `from: "25:00"`, `bad.yaml:10: windows[0].from: "25:00" is not a time`},
		{"bad day", `"2024-07-09 12:45"`, `"9 July"`, `bad.yaml:2: begins: "9 July" is not a day and time`},
		{"before the beginning", `from: "13:00"`, `from: "12:00"`, `bad.yaml:10: windows[0].from: "12:00" comes before the beginning`},
		{"over before it begins", `till: "13:10"`, `till: "12:50"`, `bad.yaml:11: windows[0].till: 12:50 does not come after 13:00`},
		{"after the end", `till: "13:10"`, `till: "14:10"`, `bad.yaml:11: windows[0].till: 14:10 comes after the end`},
		{"overlapping windows", "    late: 1m-5m\n", "    late: 1m-5m\n" + second, "bad.yaml:14: windows[1].from: 13:05 overlaps another window of charging"},
		{"unknown partner", "partner: charging", "partner: recharge", `bad.yaml:9: windows[0].partner: no partner is called "recharge"`},
		{"unknown fault", "dropped: 50%", "droped: 50%", `bad.yaml:12: windows[0].faults.droped: charging knows no fault "droped"`},
		{"a node's fault", "dropped: 50%", "stopped: 50%", `bad.yaml:12: windows[0].faults.stopped: charging knows no fault "stopped"`},
		{"negative share", "dropped: 50%", "dropped: -5%", "bad.yaml:12: windows[0].faults.dropped: -5% is not between 0% and 100%"},
		{"too much", "dropped: 50%", "dropped: 99%", "bad.yaml:12: windows[0].faults: the shares come to more than 100%"},
		{"no share", "dropped: 50%", "dropped: half", `bad.yaml:12: windows[0].faults.dropped: "half" is not a share`},
		{"later than promised", "late: 1m-5m", "late: 1m-2h", "bad.yaml:13: windows[0].late: 2h0m0s is later than charging promises: 1h0m0s"},
		{"turned round", "late: 1m-5m", "late: 5m-1m", "bad.yaml:13: windows[0].late: 5m is more than 1m"},
		{"a name twice", "name: charging, role: provider", "name: wallet, role: provider", `bad.yaml:7: partners[1].name: "wallet" is named twice`},
		{"no role", "role: payer", "role: bank", `bad.yaml:6: partners[0].role: "bank" is neither payer nor provider`},
		{"nobody pays", "role: payer", "role: provider", "bad.yaml:6: partners: the shares of each payer must come to 100%"},
		{"too many", "purchases: 100", "purchases: -1", "bad.yaml:4: purchases: must be between 1 and"},
		{"no title", `en: "Trial"`, `de: "Probe"`, "bad.yaml:1: title.de: a title is in fr or en"},
		{"no zone", "purchases: 100", "timezone: Mars/Base", `bad.yaml:4: timezone: "Mars/Base" is no time zone`},
		{"unknown trouble", "purchases: 100", "troubles: [{at: \"13:00\", what: dropped}]", `bad.yaml:4: troubles[0].what: no trouble is called "dropped"`},
		{"no such node", "purchases: 100", "troubles: [{at: \"13:00\", what: stopped, node: 3}]", "bad.yaml:4: troubles[0].node: there are nodes 1 to 2"},
		{"rules", "purchases: 100", "rules: {resolve_within: 1m}", "bad.yaml:4: rules: rules: resolve_within"},
		{"rhythm", "purchases: 100", "rhythm: [{from: \"13:00\", weight: 0}]", "bad.yaml:4: rhythm: nobody buys anything"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			text := strings.Replace(good, bad.old, bad.new, 1)
			if text == good {
				t.Fatal("nothing is spoiled")
			}
			_, err := drill.Parse("bad.yaml", []byte(text))
			if err == nil || !strings.Contains(err.Error(), bad.want) {
				t.Errorf("got %v, want %s", err, bad.want)
			}
		})
	}
}

// TestSaid: everything that can fail has a name in both languages.
func TestSaid(t *testing.T) {
	text := good
	for _, f := range sim.Troubles() {
		if f == sim.CentreDown {
			continue
		}
		if !strings.Contains(text, "troubles:") {
			text += "troubles:\n"
		}
		text += "  - {at: \"13:30\", what: " + f.String() + ", node: 1}\n"
	}
	head, tail, _ := strings.Cut(text, "windows:\n")
	windows := "windows:\n"
	for _, kind := range []struct {
		partner string
		faults  []sim.Fault
	}{{"charging", sim.PartnerFaults()}, {sim.CentreName, sim.CentreFaults()}} {
		windows += "  - {partner: " + kind.partner + ", from: \"13:00\", till: \"13:10\", faults: {"
		for _, f := range kind.faults {
			windows += f.String() + ": 0%, "
		}
		windows += "}}\n"
	}
	_, tail, _ = strings.Cut(tail, "troubles:\n")
	s, err := drill.Parse("all.yaml", []byte(head+windows+"troubles:\n"+tail))
	if err != nil {
		t.Fatal(err)
	}
	s.Script.Troubles = nil // looked at below, and not played
	r := play(t, s, drill.Options{Seed: 1, Purchases: 20})
	for _, language := range drill.Languages {
		var out bytes.Buffer
		if err := r.Account(&out, language); err != nil || out.Len() < 1000 {
			t.Errorf("%s: %v, %d bytes", language, err, out.Len())
		}
	}
	for _, f := range sim.Troubles() {
		for _, language := range drill.Languages {
			if !drill.Says(language, "fault_"+f.String()) {
				t.Errorf("%s has no name in %s", f, language)
			}
		}
	}
}

// FuzzScenario: whatever a file says, it is read in bounded memory, or refused by its name.
func FuzzScenario(f *testing.F) {
	f.Add(good)
	for _, name := range drill.Names() {
		text, _ := drill.Shipped(name)
		f.Add(string(text))
	}
	f.Add(string(drill.Generate(1)))
	f.Fuzz(func(t *testing.T, text string) {
		var s *drill.Scenario
		var err error
		fuzztest.Within(t, 16<<20+8192*len(text), func() { s, err = drill.Parse("x.yaml", []byte(text)) })
		if err != nil {
			if !strings.HasPrefix(err.Error(), "read a scenario: x.yaml") {
				t.Errorf("%v does not name the file", err)
			}
			return
		}
		all := s.Arrivals(1, 50)
		for i, at := range all {
			if at < 0 || at > s.Script.Ends || i > 0 && at < all[i-1] {
				t.Fatalf("arrival %d at %s of %s", i, at, s.Script.Ends)
			}
		}
	})
}
