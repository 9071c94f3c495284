package incident_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/incident"
)

// togo is a rule as a country has it, own is a target of the operator's own.
var (
	togo = incident.Duty{Name: "tg-users", Kind: incident.TellUsers, Lasts: 2 * time.Hour, Source: "decision 068/ARCEP/DG/21"}
	own  = incident.Duty{Name: "own-regulator", Kind: incident.TellRegulator, Severity: incident.Major, Lasts: time.Hour, Customers: 20, Within: 3 * time.Hour, Source: "the operator's own target"}
	stop = incident.Duty{Name: "ng-suspend", Kind: incident.SuspendSales, Lasts: 10 * time.Minute, Source: "a draft"}
)

// of are the lines of a timeline that are of a duty, as "event at text".
func (r *rig) of(duty string) (lines []string) {
	r.t.Helper()
	all, err := r.store.Entries(r.t.Context(), r.only().ID)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range all {
		switch e.Event {
		case incident.EventOwed, incident.EventDone, incident.EventLate:
			if name, more, _ := strings.Cut(e.Text, "\n"); name == duty {
				lines = append(lines, strings.TrimSpace(string(e.Event)+" "+e.At.Sub(noon).String()+" "+more))
			}
		default:
		}
	}
	return lines
}

// What is owed by rule is noted when it binds, done where it is done by itself, late where it is not, on any node, and once.
func TestDuties(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		r.cfg.Duties = []incident.Duty{togo, own, stop}
		r.restart()
		r.step()
		r.outage()
		for range 40 { // of a minute each, with a restart in each
			r.now = r.now.Add(time.Minute)
			r.restart()
			r.step()
		}
		i := r.only()
		// Twenty customers are affected once those whose units are late count; ten minutes after the first failure sales must be
		// suspended, and have been for long.
		o := i.Owes(own.Name)
		if o == nil || o.At <= noon || o.At > noon.Add(5*time.Minute) || o.Due != o.At.Add(3*time.Hour) || o.DoneAt != 0 || i.Owes(togo.Name) != nil {
			t.Fatalf("owed after 40 min %+v", i.Owed)
		}
		if s := i.Owes(stop.Name); s == nil || s.At != noon.Add(10*time.Minute) || !s.Kept() && s.DoneAt > s.At.Add(time.Minute) || s.DoneAt == 0 {
			t.Errorf("suspended %+v", s)
		}
		r.pass(80*time.Minute, time.Minute)
		if lines := r.of(togo.Name); len(lines) != 0 {
			t.Errorf("at two hours, not beyond: %q", lines)
		}
		r.pass(10*time.Second, 2*time.Second)
		if lines := r.of(togo.Name); !slices.Equal(lines, []string{"owed 2h0m2s", "done 2h0m2s"}) && !slices.Equal(lines, []string{"owed 2h0m2s", "done 2h0m4s"}) && !slices.Equal(lines, []string{"owed 2h0m2s", "done 2h0m6s"}) {
			t.Errorf("all were told long before: %q", lines)
		}
		r.pass(2*time.Hour, time.Minute)
		if lines := r.of(own.Name); len(lines) != 2 || !strings.HasPrefix(lines[1], "late 3h") {
			t.Errorf("the notice that nobody sent: %q", lines)
		}

		// It cannot be closed before the notice is sent, and is sent once.
		i = r.only()
		subject, text := r.desk.Notice(&i, i.Owes(own.Name), &incident.Totals{Customers: 20, Purchases: 29, Amount: 30450, Currency: "XOF"}, "fr")
		if !strings.Contains(subject, i.ID.String()) || !strings.Contains(text, "Clients touchés : 20") || !strings.Contains(text, "30 450 F CFA") ||
			!strings.Contains(text, "Premier échec : 09/07/2027 12:00 UTC") || !strings.Contains(text, own.Source) || !strings.Contains(text, i.Text["fr"]) {
			t.Errorf("drafted %q:\n%s", subject, text)
		}
		if _, text := r.desk.Notice(&i, i.Owes(own.Name), &incident.Totals{}, "en"); !strings.Contains(text, "Service fully restored: not yet") {
			t.Errorf("drafted\n%s", text)
		}
		if _, err := r.desk.Act(t.Context(), i.ID, i.Version, r.chief, incident.Deed{Do: incident.EventClosed}); !errors.Is(err, incident.ErrOwed) {
			t.Errorf("closed before the notice: %v", err)
		}
		for _, duty := range []string{"", "nothing", togo.Name, stop.Name} {
			if _, err := r.desk.Act(t.Context(), i.ID, i.Version, r.chief, incident.Deed{Do: incident.EventDone, Duty: duty}); !errors.Is(err, incident.ErrDeed) {
				t.Errorf("%q was done: %v", duty, err)
			}
		}
		i, err := r.desk.Act(t.Context(), i.ID, i.Version, r.chief, incident.Deed{Do: incident.EventDone, Duty: own.Name, Text: "by fax"})
		if o := i.Owes(own.Name); err != nil || o.DoneBy != r.chief || o.DoneAt != r.now || o.Kept() {
			t.Errorf("sent %+v, %v", o, err)
		}
		if err := r.desk.Done(t.Context(), i.ID, own.Name, "mail"); err != nil {
			t.Error(err)
		}
		r.pass(time.Minute, 2*time.Second)
		if lines := r.of(own.Name); len(lines) != 3 || !strings.HasPrefix(lines[2], "done 4h") || !strings.HasSuffix(lines[2], "by fax") {
			t.Errorf("sent once: %q", lines)
		}
		r.verified()
	})
}

// Where no purchase is affected nobody was told of it: the rule is not kept by itself, and a person says what was done.
func TestNobodyToTell(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	r.cfg.Duties = []incident.Duty{togo}
	r.restart()
	r.fail(ocs)
	r.pass(125*time.Minute, time.Minute)
	if lines := r.of(togo.Name); len(lines) != 2 || !strings.HasPrefix(lines[1], "late ") {
		t.Errorf("nobody was told: %q", lines)
	}
	i := r.only()
	i, err := r.desk.Act(t.Context(), i.ID, i.Version, r.chief, incident.Deed{Do: incident.EventDone, Duty: togo.Name, Text: "by radio"})
	if o := i.Owes(togo.Name); err != nil || o.DoneBy != r.chief || o.Kept() {
		t.Errorf("done by hand %+v, %v", o, err)
	}
}

// What a channel sent is noted once, also while the incident changes.
func TestDoneByChannel(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	r.cfg.Duties = []incident.Duty{own}
	r.restart()
	r.fail(ocs)
	r.pass(61*time.Minute, time.Minute)
	i := r.only()
	if o := i.Owes(own.Name); o == nil || o.At != noon.Add(time.Hour) {
		t.Fatalf("owed %+v", i.Owed)
	}
	for range 2 {
		if err := r.desk.Done(t.Context(), i.ID, own.Name, "regulator@example"); err != nil {
			t.Fatal(err)
		}
	}
	i = r.only()
	if lines := r.of(own.Name); len(lines) != 2 || !i.Owes(own.Name).Kept() {
		t.Errorf("%q, %+v", lines, i.Owed)
	}
}

// A severity below, a time that was not exceeded and too few customers bind nobody.
func TestBinds(t *testing.T) {
	i := incident.Incident{Severity: incident.Major, Since: noon, Status: incident.Ongoing}
	over := i
	over.ResolvedAt = noon.Add(time.Hour)
	minor := i
	minor.Severity = incident.Minor
	for name, c := range map[string]struct {
		i         incident.Incident
		customers int64
		after     time.Duration
		want      time.Duration // since noon; -1 for not
	}{
		"not yet":      {i, 19, time.Hour, -1},
		"by time":      {i, 0, time.Hour + time.Second, time.Hour},
		"by customers": {i, 20, time.Minute, time.Minute},
		"the earlier":  {i, 20, 2 * time.Hour, time.Hour},
		"over before":  {over, 19, 3 * time.Hour, -1},
		"minor":        {minor, 1000, 3 * time.Hour, -1},
	} {
		got := own.Binds(&c.i, c.customers, noon.Add(c.after))
		if c.want < 0 && got != 0 || c.want >= 0 && got != noon.Add(c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, d := range map[string]incident.Duty{"no name": {Kind: incident.TellUsers, Lasts: 1, Source: "x"}, "no kind": {Name: "x", Lasts: 1, Source: "x"},
		"never": {Name: "x", Kind: incident.TellUsers, Source: "x"}, "no source": {Name: "x", Kind: incident.TellUsers, Lasts: 1}, "negative": {Name: "x", Kind: incident.TellUsers, Lasts: -1, Source: "x"}} {
		r := incident.Config{Store: nil, Duties: []incident.Duty{d}}
		r.Store, r.Clock = &faulty{}, &hands{}
		if _, err := incident.New(r); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
