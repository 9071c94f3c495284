package main

import (
	"strings"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/testpeer"
)

// Two nodes on one PostgreSQL, of which neither sees enough to find anything: what both see is found by both, and
// recorded once.
func TestIncidentOfTwoNodes(t *testing.T) {
	dsn := testpeer.VolatilePostgres(t)
	start := func(name string) *site {
		return startSite(t, func(text string) string {
			text = strings.NewReplacer("node: demo", "node: "+name, `dsn: "sqlite:tenu.db"`, `dsn: "`+dsn+`"`).Replace(text)
			return text + "incidents: {expected: 1s}\n"
		})
	}
	sites := []*site{start("one"), start("two")}
	for _, s := range sites {
		s.fault(t, s.sandbox.addresses().Charging, `{"operation":"credit","kind":"delay","delay_ms":3000}`) // it answers well, and late
		soon(t, "it knows that it is not alone", 30*time.Second, func() bool { return !s.node.alone.Load() })
	}
	for i := range 6 { // three each, in six buckets
		began := sites[0].app.clock.Now()
		if _, sold := sites[i%2].attempt(t, i); !sold && i < 5 { // five do, in the end
			t.Fatalf("purchase %d was not sold", i)
		}
		soon(t, "the next bucket", 10*time.Second, func() bool { return sites[0].app.clock.Now().Sub(began) > 5*time.Second })
	}
	for i, s := range sites {
		soon(t, "it is found", 30*time.Second, func() bool { return len(s.node.detector.Active()) > 0 || s.open(t) != nil && s.open(t).PausedAt != 0 })
		soon(t, "nothing is sold", 5*time.Second, func() bool { return s.quoted("app") != nil })
		if paid, _, failed := s.node.signals.Sold(incident.Series{By: incident.ByProvider, Name: "ocs"}, 0, s.app.clock.Now()); paid < 5 || failed < 5 {
			t.Errorf("node %d sees %d paid, %d failed", i, paid, failed)
		}
	}
	all, err := sites[1].node.store.Incidents(t.Context(), incident.Query{})
	if err != nil || len(all) != 1 || all[0].Series != (incident.Series{By: incident.ByProvider, Name: "ocs"}) || all[0].Rule != incident.RuleAbsolute && all[0].Rule != incident.RuleFastBurn {
		t.Fatalf("%+v, %v", all, err)
	}
	if n, err := sites[0].node.store.Pauses(t.Context(), 0); err != nil || len(n) != 1 || n[0].Incident != all[0].ID {
		t.Errorf("%+v, %v", n, err)
	}
}
