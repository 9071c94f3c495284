package incident_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

const someone purchase.MSISDN = 22670000000

// outage lets a provider fail: of 30 purchases by 20 customers some are silent, some refused, and some of another product's
// end well. It returns those that are stuck.
func (r *rig) outage() (stuck []purchase.Purchase) {
	r.t.Helper()
	r.fail(ocs)
	for n := range purchase.MSISDN(30) {
		number := someone + n%20
		switch {
		case n%10 == 9:
			r.sell(number, charged, refused, refunded)
		case n == 5:
			r.sell(number, charged, credited)
		default:
			stuck = append(stuck, r.sell(number, charged, silence))
		}
	}
	return stuck
}

// TestLife: an outage from its first second to the last customer settled.
func TestLife(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		r.step()
		stuck := r.outage()
		r.now = r.now.Add(time.Second)
		r.step()
		i := r.only()
		if i.Status != incident.Ongoing || i.Series != ocs || i.Since != noon || i.SeenAt != noon || i.PausedAt != r.now || i.Party != "provider:ocs" || i.Severity != incident.Major || i.Share != 0 {
			t.Errorf("opened %+v", i)
		}
		if !strings.Contains(i.Text["fr"], "Depuis le 09/07 à 12:00") || !strings.Contains(i.Text["fr"], "plus rien n'est débité") || !strings.Contains(i.Title["en"], "platform ocs") {
			t.Errorf("drafted %q, %q", i.Title, i.Text)
		}
		if p := r.pauses(); len(p) != 1 || p[0].Incident != i.ID || p[0].Series != ocs || p[0].Share != 0 || len(r.paused) != 1 || r.paused[0] != p[0] {
			t.Errorf("paused %+v, told of %+v", p, r.paused)
		}
		// Those whose money went back are affected at once, those whose units are late after a minute.
		if sent := r.letters(); len(sent) != 2 || len(sent[someone+9]) != 1 || !strings.Contains(sent[someone+9][0], "vos 2 achats sont réglés, dont 2 100 F CFA remboursés") || !strings.Contains(sent[someone+19][0], "n'a pas abouti. 1 050 F CFA remboursés") {
			t.Errorf("told at first %q", sent)
		}
		file, err := r.store.ChangeCase(t.Context(), care.Change{Now: care.Case{Version: 1, Number: someone, Purchase: stuck[0].ID, Matters: []purchase.Matter{care.MatterNotReceived},
			Code: care.CodeTopUp, Status: care.Open, OpenedAt: r.now, DueAt: r.now, ChangedAt: r.now, Clock: care.Clock{AnswerBy: r.now, ResolveBy: r.now}, Channel: "app", Language: "fr"}})
		if err != nil {
			t.Fatal(err)
		}
		r.pass(2*time.Minute, 2*time.Second)
		sent := r.letters()
		if len(sent) != 20 || len(sent[someone]) != 1 || !strings.Contains(sent[someone][0], "vos 2 achats (2 100 F CFA) ne sont pas perdus") ||
			!strings.Contains(sent[someone][0], "avant le 10/07 à 12:00") || !strings.Contains(sent[someone][0], "Dossier D-1") || !strings.Contains(sent[someone+11][0], "Réf R12") {
			t.Errorf("told %d customers: %q, %q", len(sent), sent[someone], sent[someone+11])
		}
		if files, err := r.store.Cases(t.Context(), file.ID); err != nil || files[0].Incident != i.ID.String() {
			t.Errorf("the case %+v, %v", files, err)
		}
		totals, err := r.store.Totals(t.Context(), i.ID)
		if err != nil || totals.Purchases != 29 || totals.Customers != 20 || totals.Pending != 26 || totals.Refunded != 3 || totals.Told != 20 || totals.Cases != 1 {
			t.Errorf("totals %+v, %v", totals, err)
		}
		if i = r.only(); i.Told != 20 {
			t.Errorf("the timeline says that %d were told", i.Told)
		}
		if _, err := r.desk.Act(t.Context(), i.ID, i.Version, r.chief, incident.Deed{Do: incident.EventClosed}); !errors.Is(err, incident.ErrPaused) {
			t.Errorf("closed while it is paused: %v", err)
		}

		// It recovers: a little is sold, then all, and what was stuck is settled.
		r.sold(10)
		r.pass(10*time.Second, 2*time.Second)
		if i = r.only(); i.Status != incident.Recovering || i.RecoveredAt == 0 || i.Share != 10 || !strings.Contains(i.Text["fr"], "reprend peu à peu") {
			t.Errorf("recovering %+v", i)
		}
		r.sold(0)
		r.step()
		if i = r.only(); i.Status != incident.Ongoing || i.RecoveredAt != 0 {
			t.Errorf("fails again %+v", i)
		}
		r.sold(100)
		r.step()
		r.fails = nil
		for n, p := range stuck[:len(stuck)-1] {
			if n%2 == 0 {
				r.drive(p, credited)
			} else {
				r.given(p)
			}
		}
		r.sold(1000)
		r.pass(10*time.Second, 2*time.Second)
		if i = r.only(); i.Status != incident.Resolved || i.ResolvedAt == 0 || i.Share != 1000 {
			t.Errorf("resolved %+v", i)
		}
		if _, err := r.desk.Act(t.Context(), i.ID, i.Version, r.chief, incident.Deed{Do: incident.EventClosed}); !errors.Is(err, incident.ErrUnsettled) {
			t.Errorf("closed while one is stuck: %v", err)
		}
		r.pass(90*time.Minute, 10*time.Minute)
		if i = r.only(); i.Status != incident.Resolved {
			t.Errorf("closed by itself while one is stuck: %+v", i)
		}
		r.given(stuck[len(stuck)-1])
		r.pass(time.Minute, 10*time.Second)
		i = r.only()
		if i.Status != incident.Closed || !strings.Contains(i.Text["fr"], "C'est terminé") {
			t.Errorf("closed %+v", i)
		}
		for number, texts := range r.letters() {
			if want := 2; len(texts) != want && number != someone+9 && number != someone+19 {
				t.Errorf("%s was told %q", number, texts)
			}
		}
		want := []incident.Event{incident.EventOpened, incident.EventPaused, incident.EventTold, incident.EventTold, incident.EventStep, incident.EventRecovered, incident.EventStep, incident.EventAgain,
			incident.EventStep, incident.EventRecovered, incident.EventStep, incident.EventResolved, incident.EventClosed}
		if got := r.events(i.ID); !slices.Equal(got, want) {
			t.Errorf("timeline %v, want %v", got, want)
		}
		var alerts []incident.Event
		for _, a := range r.alerts {
			if a.Event != "" {
				alerts = append(alerts, a.Event)
			}
		}
		if want := []incident.Event{incident.EventOpened, incident.EventRecovered, incident.EventAgain, incident.EventRecovered, incident.EventResolved, incident.EventClosed}; !slices.Equal(alerts, want) {
			t.Errorf("alerts %v", alerts)
		}
		r.verified()

		// Failing again within the hour it is the same incident, later it is another.
		r.now = r.now.Add(30 * time.Minute)
		r.fail(ocs)
		r.step()
		if again := r.only(); again.ID != i.ID || again.Status != incident.Ongoing || again.ClosedAt != 0 || again.Since != noon {
			t.Errorf("again %+v", again)
		}
		r.fails = nil
		r.sold(1000)
		r.pass(3*time.Hour, 10*time.Minute)
		r.fail(ocs)
		r.step()
		if all, err := r.store.Incidents(t.Context(), incident.Query{}); err != nil || len(all) != 2 {
			t.Errorf("incidents %+v, %v", all, err)
		}
		r.verified()
	})
}

// TestCrash: the process ends at each call of the store in turn, before and after it, and another begins. Nobody is told
// twice, nothing is lost, and the timeline says everything once.
func TestCrash(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		broken := &faulty{Store: r.store, left: -1}
		r.cfg.Store = broken
		crashes := 0
		step := func() {
			t.Helper()
			for _, after := range []bool{false, true} {
				for at := 0; ; at++ {
					*broken = faulty{Store: r.store, left: at, after: after}
					r.restart()
					_, err := r.desk.Step(t.Context(), r.now)
					if !broken.fired {
						break
					}
					crashes++
					if err != nil && !errors.Is(err, purchase.ErrUnavailable) {
						t.Fatalf("crash %d: %v", crashes, err)
					}
				}
			}
			*broken = faulty{Store: r.store, left: -1}
			r.step() // counts whom the last one told
			r.step()
		}
		stuck := r.outage()
		step()
		r.now = r.now.Add(3 * time.Minute)
		step()
		r.sold(10)
		step()
		r.fails = nil
		for _, p := range stuck {
			r.given(p)
		}
		r.sold(1000)
		r.now = r.now.Add(10 * time.Second)
		step()
		r.now = r.now.Add(2 * time.Hour)
		step()
		i := r.only()
		if i.Status != incident.Closed || crashes < 30 {
			t.Errorf("after %d crashes: %+v", crashes, i)
		}
		for number, texts := range r.letters() {
			if want := 2; len(texts) != want && (len(texts) != 1 || number != someone+9 && number != someone+19) {
				t.Errorf("%s was told %q", number, texts)
			}
		}
		if sent := r.letters(); len(sent) != 20 {
			t.Errorf("%d customers were told", len(sent))
		}
		once := map[incident.Event]int{}
		for _, e := range r.events(i.ID) {
			once[e]++
		}
		for _, e := range []incident.Event{incident.EventOpened, incident.EventPaused, incident.EventRecovered, incident.EventResolved, incident.EventClosed} {
			if once[e] != 1 {
				t.Errorf("%s stands %d times in the timeline", e, once[e])
			}
		}
		if len(r.pauses()) != 1 {
			t.Errorf("pauses %+v", r.pauses())
		}
		r.verified()
	})
}

// TestManyNodes: 500 desks that find the same at once open one incident with one pause, and tell each customer once.
func TestManyNodes(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		r.outage()
		r.now = r.now.Add(2 * time.Minute)
		r.cfg.Alert, r.cfg.Paused = nil, nil
		second := r.cfg
		second.Store = open(t, dsn)
		var wg sync.WaitGroup
		for n := range 500 {
			wg.Go(func() {
				desk, err := incident.New([]incident.Config{r.cfg, second}[n%2])
				if err != nil {
					t.Error(err)
					return
				}
				if n >= 20 { // what opens it; the rest is done by a few
					if _, err := desk.Open(t.Context(), r.chief, incident.Opening{Series: ocs, Since: noon, Reason: "it fails", Pause: true}); err != nil {
						var open *incident.OpenError
						if !errors.As(err, &open) && !errors.Is(err, incident.ErrPaused) {
							t.Errorf("open: %v", err)
						}
					}
					return
				}
				for range 3 {
					if _, err := desk.Step(t.Context(), r.now); err != nil {
						t.Errorf("step: %v", err)
					}
				}
			})
		}
		wg.Wait()
		r.step()
		if i, p := r.only(), r.pauses(); len(p) != 1 || p[0].Incident != i.ID {
			t.Errorf("pauses %+v", p)
		}
		sent := r.letters()
		for number, texts := range sent {
			if len(texts) != 1 {
				t.Errorf("%s was told %q", number, texts)
			}
		}
		if len(sent) != 20 {
			t.Errorf("%d customers were told", len(sent))
		}
		r.verified()
	})
}

// TestTellRate: many customers are told at the rate that the gateway bears, the oldest purchases first, and each once.
func TestTellRate(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		r.cfg.TellRate = 20
		r.restart()
		r.fail(ocs)
		const count = 200
		for n := range purchase.MSISDN(count) {
			r.sell(someone+n, charged, silence)
		}
		r.now = r.now.Add(2 * time.Minute)
		seconds, before := 0, 0
		for ; seconds < 60; seconds++ {
			r.step()
			sent := len(r.letters())
			if most := 20; seconds > 0 && sent-before > most {
				t.Errorf("%d were told in a second, %d at most", sent-before, most)
			}
			if before = sent; sent == count {
				break
			}
			if _, first := r.letters()[someone]; !first {
				t.Error("the oldest was not told first")
			}
			r.now = r.now.Add(time.Second)
		}
		if want := (count - 5*20) / 20; seconds != want {
			t.Errorf("told %d in %d s, want %d s", before, seconds, want)
		}
		// Past their deadlines those who still wait are told so, once.
		r.now = r.now.Add(25 * time.Hour)
		r.pass(2*time.Minute, 2*time.Second)
		for number, texts := range r.letters() {
			if len(texts) != 2 || !strings.Contains(texts[1], "plus long que promis") {
				t.Fatalf("%s was told %q", number, texts)
			}
		}
	})
}

// TestClosedEarly: people close an incident as soon as everybody is settled, before everybody was told so. They are told all the same.
func TestClosedEarly(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	r.cfg.TellRate = 1
	r.restart()
	stuck := r.outage()
	r.now = r.now.Add(3 * time.Minute)
	r.step()
	r.fails = nil
	for _, p := range stuck {
		r.given(p)
	}
	r.sold(10)
	r.step()
	r.sold(1000)
	r.step()
	i := r.only()
	if i.Status != incident.Resolved || len(r.letters()) != 5 {
		t.Fatalf("%d were told of %+v", len(r.letters()), i)
	}
	if _, err := r.desk.Act(t.Context(), i.ID, i.Version, r.chief, incident.Deed{Do: incident.EventClosed}); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Minute, 2*time.Second)
	for number, texts := range r.letters() {
		// The first five were told before they were settled; the others hear of both at once.
		if want := map[bool]int{true: 2, false: 1}[number < someone+5]; len(texts) != want {
			t.Errorf("%s was told %q", number, texts)
		}
	}
	if len(r.letters()) != 20 {
		t.Errorf("%d were told", len(r.letters()))
	}
	r.verified()
}

// TestReopening: while sales reopen step by step, what is still found says nothing; once they are all open it does.
func TestReopening(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	r.fail(ocs)
	well := false
	r.cfg.Well = func(incident.Series, purchase.Instant) bool { return well }
	r.restart()
	found := func() {
		r.fails[0].At = r.now
		r.step()
	}
	found()
	r.sold(100)
	for range 3 {
		r.now = r.now.Add(time.Second)
		found()
	}
	if i := r.only(); i.Status != incident.Recovering {
		t.Errorf("reopening %+v", i)
	}
	r.sold(1000)
	r.now = r.now.Add(time.Second)
	found()
	if i, p := r.only(), r.pauses(); i.Status != incident.Ongoing || len(p) != 2 || p[1].EndedAt != 0 || p[1].Incident != i.ID {
		t.Errorf("failing after all is sold %+v, %+v", i, p)
	}
	r.sold(1000)
	r.fails, well = nil, true
	r.step()
	r.restart() // a process that has just begun has seen nothing fail
	r.pass(50*time.Second, 10*time.Second)
	if i := r.only(); i.Status != incident.Ongoing {
		t.Errorf("well for a moment %+v", i)
	}
	r.pass(20*time.Second, 10*time.Second)
	if i := r.only(); i.Status != incident.Resolved {
		t.Errorf("well %+v", i)
	}
	// What says that it works again opens nothing, and messages that are late pause nothing.
	centre := incident.Series{By: incident.ByCentre, Name: "sms"}
	r.fails = []incident.Finding{{Series: ocs, Rule: incident.RuleAbsolute, At: r.now, Well: true}, {Series: centre, Rule: incident.RuleNotices, Since: r.now, At: r.now}}
	r.step()
	all, err := r.store.Incidents(t.Context(), incident.Query{Open: true})
	if err != nil || len(all) != 2 || all[0].Series != centre || all[0].PausedAt != 0 || all[0].Party != "centre" || !strings.Contains(all[0].Text["fr"], "messages par sms") || all[1].Status != incident.Resolved {
		t.Errorf("incidents %+v, %v", all, err)
	}
}

// TestHarmedAgain: who was told that all of theirs is settled and is harmed again after the incident was opened again, is told of
// that, and of its end; who was not harmed again hears nothing more, and the incident closes only then.
func TestHarmedAgain(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	const twice, once, both = 22670000001, 22670000002, 22670000003
	r.sell(twice, charged, refused, refunded)
	r.sell(once, charged, refused, refunded)
	waits := r.sell(both, charged, silence)
	r.fail(ocs)
	r.pass(90*time.Second, 2*time.Second)
	r.fails = nil
	r.sold(1000)
	r.pass(2*time.Minute, 10*time.Second)
	if i := r.only(); i.Status != incident.Resolved {
		t.Fatalf("not resolved: %+v", i)
	}
	r.fail(ocs)
	stuck := r.sell(twice, charged, silence)
	r.sell(both, charged, refused, refunded)
	r.pass(90*time.Second, 2*time.Second)
	r.restart()
	r.pass(30*time.Second, 10*time.Second)
	sent := r.letters()
	if len(sent[twice]) != 2 || !strings.Contains(sent[twice][1], "votre achat de airtime (1 050 F CFA) n'est pas perdu") || len(sent[once]) != 1 || len(sent[both]) != 1 {
		t.Errorf("told again %q", sent)
	}
	r.fails = nil
	r.drive(stuck, credited)
	r.given(waits)
	r.sold(1000)
	r.pass(70*time.Minute, 30*time.Second)
	if i := r.only(); i.Status != incident.Closed {
		t.Errorf("not closed: %+v", i)
	}
	sent = r.letters()
	if len(sent[twice]) != 3 || !strings.Contains(sent[twice][2], "votre achat de airtime est crédité") || len(sent[once]) != 1 || len(sent[both]) != 2 {
		t.Errorf("told of the end again %q", sent)
	}
	r.verified()
}

// TestDeeds: who may do what to an incident, and what is refused.
func TestDeeds(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	ctx := t.Context()
	agent, admin := r.hire("issa", auth.Agent), r.hire("root", auth.Administrator)
	r.cfg.Known = func(s incident.Series) bool { return s.Name != "nobody" }
	r.restart()
	good := incident.Opening{Series: incident.Series{By: incident.ByProduct, Name: "data-day"}, Reason: "customers call"}
	for name, c := range map[string]struct {
		by     auth.StaffID
		change func(*incident.Opening)
		want   error
	}{
		"an agent": {agent, func(*incident.Opening) {}, incident.ErrNotAllowed}, "nobody": {0, func(*incident.Opening) {}, incident.ErrNotAllowed},
		"no series": {admin, func(n *incident.Opening) { n.Series = incident.Series{} }, incident.ErrSeries}, "unknown": {admin, func(n *incident.Opening) { n.Series.Name = "nobody" }, incident.ErrSeries},
		"no reason": {admin, func(n *incident.Opening) { n.Reason = " \x00" }, incident.ErrDeed}, "tomorrow": {admin, func(n *incident.Opening) { n.Since = r.now + 1 }, incident.ErrDeed},
		"language": {admin, func(n *incident.Opening) { n.Titles = map[purchase.Language]string{"xx": "x"} }, incident.ErrDeed},
	} {
		bad := good
		c.change(&bad)
		if _, err := r.desk.Open(ctx, c.by, bad); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good.Pause = true
	i, err := r.desk.Open(ctx, admin, good)
	if err != nil || i.Rule != incident.RuleHand || i.Owner != admin || i.Severity != incident.Minor || i.PausedAt != r.now {
		t.Fatalf("opened %+v, %v", i, err)
	}
	var other *incident.OpenError
	if _, err := r.desk.Open(ctx, r.chief, good); !errors.As(err, &other) || other.Incident != i.ID {
		t.Errorf("opened twice: %v", err)
	}
	first := i.Version
	r.step() // nothing that a person must know of
	long := strings.Repeat("x", incident.MaxText+1)
	for name, c := range map[string]struct {
		by   auth.StaffID
		deed incident.Deed
		want error
	}{
		"an agent": {agent, incident.Deed{Do: incident.EventNote, Text: "x"}, incident.ErrNotAllowed}, "no deed": {admin, incident.Deed{Do: incident.EventTold}, incident.ErrDeed},
		"empty": {admin, incident.Deed{Do: incident.EventNote}, incident.ErrDeed}, "severity": {admin, incident.Deed{Do: incident.EventSeverity, Severity: 4}, incident.ErrDeed},
		"owner": {admin, incident.Deed{Do: incident.EventOwner, Staff: agent}, incident.ErrNotAllowed}, "same": {admin, incident.Deed{Do: incident.EventOwner, Staff: admin}, incident.ErrDeed},
		"over": {admin, incident.Deed{Do: incident.EventExpected, At: r.now}, incident.ErrDeed}, "party": {admin, incident.Deed{Do: incident.EventParty}, incident.ErrDeed},
		"long": {admin, incident.Deed{Do: incident.EventText, Texts: map[purchase.Language]string{"fr": long}}, incident.ErrDeed}, "no text": {admin, incident.Deed{Do: incident.EventText}, incident.ErrDeed},
		"paused": {admin, incident.Deed{Do: incident.EventClosed}, incident.ErrPaused},
	} {
		if _, err := r.desk.Act(ctx, i.ID, first, c.by, c.deed); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.desk.Act(ctx, 99, 1, admin, incident.Deed{Do: incident.EventNote, Text: "x"}); !errors.Is(err, incident.ErrNotFound) {
		t.Errorf("of no incident: %v", err)
	}
	do := func(deed incident.Deed) {
		t.Helper()
		if i, err = r.desk.Act(ctx, i.ID, i.Version, r.chief, deed); err != nil {
			t.Fatalf("%s: %v", deed.Do, err)
		}
	}
	do(incident.Deed{Do: incident.EventNote, Text: "called the platform"})
	do(incident.Deed{Do: incident.EventOwner, Staff: r.chief})
	if _, err := r.desk.Act(ctx, i.ID, first, admin, incident.Deed{Do: incident.EventParty, Party: "tenu"}); !errors.Is(err, incident.ErrStale) {
		t.Errorf("of what was read before: %v", err)
	}
	do(incident.Deed{Do: incident.EventSeverity, Severity: incident.Critical})
	do(incident.Deed{Do: incident.EventParty, Party: "provider:other"})
	do(incident.Deed{Do: incident.EventExpected, At: r.now.Add(time.Hour)})
	do(incident.Deed{Do: incident.EventText, Titles: map[purchase.Language]string{"fr": "Titre"}, Texts: map[purchase.Language]string{"fr": "Texte\x00 écrit"}})
	if i.Title["fr"] != "Titre" || i.Text["fr"] != "Texte écrit" || i.Title["en"] == "" || !i.Worded || !i.Graded || i.Owner != r.chief || i.ExpectedAt == 0 || i.Party != "provider:other" {
		t.Errorf("after all deeds %+v", i)
	}
	// What people wrote stays, however it goes on; a pause that ends by hand ends it.
	r.sold(1000)
	r.pass(time.Minute, 10*time.Second)
	if now := r.only(); now.Status != incident.Resolved || now.Text["fr"] != "Texte écrit" || now.Severity != incident.Critical {
		t.Errorf("resolved %+v", now)
	}
	i = r.only()
	do(incident.Deed{Do: incident.EventClosed, Text: "all is well"})
	if i.Status != incident.Closed || i.ClosedAt != r.now {
		t.Errorf("closed %+v", i)
	}
	if _, err := r.desk.Act(ctx, i.ID, i.Version, admin, incident.Deed{Do: incident.EventClosed}); !errors.Is(err, incident.ErrDeed) {
		t.Errorf("closed twice: %v", err)
	}
	// A pause that somebody began before becomes the incident's.
	if _, err := r.store.ChangePause(ctx, incident.Pause{Version: 1, Series: ocs, Reason: "planned", By: incident.Actor{Staff: r.chief}, At: r.now, Held: true}); err != nil {
		t.Fatal(err)
	}
	r.fail(ocs)
	r.step()
	r.step()
	all, err := r.store.Incidents(ctx, incident.Query{Open: true})
	if p := r.pauses(); err != nil || len(all) != 1 || len(p) != 2 || p[1].Incident != all[0].ID || !p[1].Held || p[1].Version != 2 {
		t.Errorf("incidents %+v, pauses %+v, %v", all, p, err)
	}
	r.verified()
}

// engine is what the table grants, and what is held.
type engine struct {
	terms *purchase.Terms
	held  []string
}

func (e *engine) Grants(p *purchase.Purchase, w purchase.Wish, now purchase.Instant) purchase.Grant {
	return e.terms.Grants(p, w, now)
}

func (e *engine) HoldStuck(partner string, hold bool) bool {
	e.held = append(e.held, fmt.Sprint(partner, " ", hold))
	return true
}

// TestRemedy: what is stuck, what the table would do with it, how fast it is settled, and that it can be held.
func TestRemedy(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	ctx := t.Context()
	r.restart()
	if _, err := r.desk.DryRun(ctx, 1, r.now); !errors.Is(err, incident.ErrNoEngine) {
		t.Errorf("without an engine: %v", err)
	}
	e := &engine{terms: &r.terms}
	r.cfg.Engine = e
	r.restart()
	stuck := r.outage()
	r.sell(someone+50, charged, refused) // the refund is under way
	r.pass(2*time.Minute, 10*time.Second)
	i := r.only()
	p, err := r.desk.Progress(ctx, i.ID, r.now)
	if err != nil || p.Stuck != int64(len(stuck))+1 || p.EndsAt == 0 || p.Refunded != 3 { // three were given back within the 5 minutes
		t.Errorf("progress %+v, %v", p, err)
	}
	r.now = r.now.Add(10 * time.Minute)
	if p, err = r.desk.Progress(ctx, i.ID, r.now); err != nil || p.PerMinute != 0 || p.EndsAt != 0 {
		t.Errorf("progress of a standstill %+v, %v", p, err)
	}
	for _, one := range stuck[:10] {
		r.given(one)
	}
	r.now = r.now.Add(time.Second)
	if p, err = r.desk.Progress(ctx, i.ID, r.now); err != nil || p.PerMinute != 2 || p.EndsAt != r.now.Add(time.Duration(p.Stuck)*30*time.Second) {
		t.Errorf("progress %+v, %v", p, err)
	}
	run, err := r.desk.DryRun(ctx, i.ID, r.now)
	sum := incident.Sum{}
	for _, s := range run.By {
		sum = incident.Sum{Count: sum.Count + s.Count, Amount: sum.Amount + s.Amount}
	}
	if err != nil || run.Looked != int(p.Stuck) || sum != (incident.Sum{Count: p.Stuck, Amount: 1050 * p.Stuck}) || run.By[incident.RemedyUnderWay].Count != 1 || len(run.By) < 2 || run.More {
		t.Errorf("dry run %+v, %v", run, err)
	}
	if _, err := r.desk.Progress(ctx, 99, r.now); !errors.Is(err, incident.ErrNotFound) {
		t.Errorf("progress of nothing: %v", err)
	}
	// What is held is held after a restart too, and on every node.
	if err := r.desk.Hold(ctx, r.hire("issa", auth.Agent), "ocs", "x", true); !errors.Is(err, incident.ErrNotAllowed) {
		t.Errorf("held by an agent: %v", err)
	}
	if err := r.desk.Hold(ctx, r.chief, "ocs", "", true); !errors.Is(err, incident.ErrDeed) {
		t.Errorf("held without a reason: %v", err)
	}
	if err := r.desk.Hold(ctx, r.chief, "ocs", "their request", true); err != nil {
		t.Fatal(err)
	}
	r.step()
	r.restart()
	r.step()
	if err := r.desk.Hold(ctx, r.chief, "ocs", "", false); err != nil {
		t.Fatal(err)
	}
	r.step()
	if want := []string{"ocs true", "ocs true", "ocs false"}; !slices.Equal(e.held, want) {
		t.Errorf("held %q, want %q", e.held, want)
	}
}

// TestHouseAffectsNobody: what the house pays for, such as a probe of what fails, harms no customer, and nobody is told of it.
func TestHouseAffectsNobody(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		r.cfg.House = "house"
		r.restart()
		r.fail(ocs)
		r.sell(someone, charged, silence)
		r.payer = "house"
		r.sell(someone+1, charged, silence)
		r.sell(someone+1, charged, refused, refunded)
		r.pass(2*time.Minute, 2*time.Second)
		totals, err := r.store.Totals(t.Context(), r.only().ID)
		if sent := r.letters(); err != nil || totals.Purchases != 1 || totals.Customers != 1 || totals.Amount != 1050 || len(sent) != 1 || len(sent[someone]) != 1 {
			t.Errorf("%+v, %v, told %q", totals, err, sent)
		}
		r.verified()
	})
}

// TestPausedAfterwards: a pause that somebody makes while the last one affected is not settled yet is not of the incident.
func TestPausedAfterwards(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	r.fail(ocs)
	last := r.sell(someone, charged, silence)
	r.pass(2*time.Minute, 10*time.Second)
	r.fails = nil
	r.sold(1000)
	r.pass(10*time.Minute, time.Minute)
	before := r.only()
	if before.Status != incident.Resolved {
		t.Fatalf("%+v", before)
	}
	if _, err := r.store.ChangePause(t.Context(), incident.Pause{Version: 1, Series: ocs, Reason: "new cables", By: incident.Actor{Staff: r.chief}, Held: true, At: r.now}); err != nil {
		t.Fatal(err)
	}
	r.given(last)
	r.pass(2*time.Hour, time.Minute)
	if i := r.only(); i.Status != incident.Closed || i.PausedAt != before.PausedAt || i.Share != 1000 || i.ResolvedAt != before.ResolvedAt {
		t.Errorf("%+v", i)
	}
}
