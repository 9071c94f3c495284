package status

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

var look = flag.String("look", "", "folder that TestLook writes sample pages to")

// noon is in the middle of the incident that the samples are of.
var noon = purchase.At(time.Date(2024, 7, 9, 14, 32, 5, 0, time.UTC))

func newSite(t testing.TB, platform string) *Site {
	t.Helper()
	s, err := NewSite(Config{Brand: "Tenu", Public: "https://etat.example/", Platform: platform, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// days are so many days up to an instant, the given ones from the end with a pause.
func days(till purchase.Instant, n int, paused map[int]time.Duration) (all []Day) {
	start := till - till%purchase.Instant((24*time.Hour).Microseconds())
	for i := n - 1; i >= 0; i-- {
		d := Day{At: start.Add(-time.Duration(i) * 24 * time.Hour), Measured: 24 * time.Hour, Paused: paused[i]}
		if i == 0 {
			d.Measured = till.Sub(start)
		}
		if i > 80 {
			d.Measured = 0
		}
		if i == 33 {
			d.Degraded = 20 * time.Minute
		}
		all = append(all, d)
	}
	return all
}

// ongoing is the afternoon of 9 July 2024, with a past incident.
func ongoing() *Snapshot {
	both := func(fr, en string) map[purchase.Language]string {
		return map[purchase.Language]string{"fr": fr, "en": en}
	}
	at := func(hour, minute, second int) purchase.Instant {
		return purchase.At(time.Date(2024, 7, 9, hour, minute, second, 0, time.UTC))
	}
	ocs := incident.Series{By: incident.ByProvider, Name: "ocs"}
	now := Incident{Incident: incident.Incident{ID: 12, Version: 9, Series: ocs, Rule: incident.RuleAbsolute, Status: incident.Ongoing,
		Severity: incident.Critical,
		Party:    "provider:ocs", Owner: 7, Since: at(13, 45, 2), SeenAt: at(13, 45, 41), PausedAt: at(13, 45, 50), ExpectedAt: at(15, 30, 0),
		Title: both("Crédit d'unités en retard", "Airtime credited late"),
		Text: both("Le système de crédit ne répond plus comme il faut. Les achats déjà payés seront crédités ou remboursés, sans rien faire.",
			"The charging system does not answer as it should. Purchases already paid will be credited or refunded; there is nothing to do.")},
		Totals: incident.Totals{Purchases: 214, Customers: 197, Credited: 12, Refunded: 150, Pending: 52, Amount: 214_000, AmountCredited: 12_000,
			AmountGiven:   150_000,
			AmountPending: 52_000, Told: 197},
		Entries: []incident.Entry{{Seq: 1, Incident: 12, At: at(13, 45, 41), Event: incident.EventOpened, Text: "20 paid, not credited"},
			{Seq: 2, Incident: 12, At: at(13, 45, 50), Event: incident.EventPaused, Text: "0"}, {Seq: 3, Incident: 12, At: at(13, 46, 30),
				Event: incident.EventTold, Text: "197"},
			{Seq: 4, Incident: 12, At: at(13, 50, 0), Event: incident.EventNote, Text: "called 70112233, Awa will look at it"},
			{Seq: 5, Incident: 12, At: at(14, 20, 0), Event: incident.EventStep, Text: "10"}}}
	past := Incident{Incident: incident.Incident{ID: 11, Version: 30, Series: incident.Series{By: incident.ByPayer, Name: "wallet"},
		Status: incident.Closed, Severity: incident.Minor,
		Since: at(9, 0, 0).Add(-240 * time.Hour), SeenAt: at(9, 1, 0).Add(-240 * time.Hour), ResolvedAt: at(9, 40,
			0).Add(-240 * time.Hour), ClosedAt: at(10, 0, 0).Add(-240 * time.Hour),
		Title: both("Paiement mobile indisponible", "Mobile money unavailable")},
		Totals: incident.Totals{Purchases: 8, Customers: 8, Refunded: 8, Amount: 8_000, AmountGiven: 8_000, Told: 8}}
	return &Snapshot{At: noon, Currency: money.XOF, Incidents: []Incident{now, past}, Components: []Component{
		{Series: ocs, Name: both("Crédit d'unités et forfaits", "Airtime and bundles"), State: Paused, Days: days(noon, Kept,
			map[int]time.Duration{0: 46 * time.Minute})},
		{Series: incident.Series{By: incident.ByPayer, Name: "wallet"}, Name: both("Paiement mobile", "Mobile money"), State: Operational,
			Days: days(noon, Kept, map[int]time.Duration{10: 40 * time.Minute})},
		{Series: incident.Series{By: incident.ByChannel, Name: "ussd"}, Name: both("Menu USSD", "USSD menu"), State: Operational, Days: days(noon, Kept, nil)},
		{Series: incident.Series{By: incident.ByChannel, Name: "app"}, Name: both("Application", "App"), State: Degraded, Days: days(noon, Kept, nil)}}}
}

// over is the day after.
func over() *Snapshot {
	s := ongoing()
	s.At = noon.Add(20 * time.Hour)
	in := &s.Incidents[0]
	in.Status, in.RecoveredAt, in.ResolvedAt, in.ClosedAt = incident.Closed, noon.Add(time.Hour), noon.Add(80*time.Minute), noon.Add(2*time.Hour)
	in.Totals.Credited, in.Totals.Pending, in.Totals.AmountCredited, in.Totals.AmountPending = 64, 0, 64_000, 0
	in.Entries = append(in.Entries, incident.Entry{Seq: 6, At: in.RecoveredAt, Event: incident.EventRecovered}, incident.Entry{Seq: 7,
		At: in.ResolvedAt, Event: incident.EventResolved},
		incident.Entry{Seq: 8, At: in.ClosedAt, Event: incident.EventClosed})
	for i := range s.Components {
		s.Components[i].State = Operational
	}
	return s
}

// crowded is as large and as hostile as a snapshot can be.
func crowded() *Snapshot {
	nasty := strings.Repeat(`<script>alert("x&y")</script>'`+"\u202e\x00\xff日本🙂]]>", 60)
	both := map[purchase.Language]string{"fr": nasty, "en": nasty}
	s := &Snapshot{At: noon, Currency: money.XOF}
	for i := range 80 {
		c := Component{Series: incident.Series{By: incident.ByProduct, Name: nasty + fmt.Sprint(i)}, Name: both, State: State(i%3 + 1)}
		for d := range 200 {
			c.Days = append(c.Days, Day{At: noon, Measured: time.Hour, Paused: time.Duration(d%3) * time.Minute, Degraded: time.Duration(d%2) * time.Minute})
		}
		s.Components = append(s.Components, c)
	}
	for i := range 700 {
		in := Incident{Incident: incident.Incident{ID: incident.ID(i + 1), Since: noon - 9e15, SeenAt: noon, ExpectedAt: noon,
			Status: incident.Status(i%4 + 1), Title: both, Text: both, ClosedAt: noon},
			Totals: incident.Totals{Purchases: 1 << 62, Amount: 1 << 62, Customers: 1 << 62}}
		for e := range 30 {
			in.Entries = append(in.Entries, incident.Entry{Seq: int64(e), At: noon, Event: incident.EventStep, Text: nasty})
		}
		s.Incidents = append(s.Incidents, in)
	}
	return s
}

// TestLook writes sample pages, to be looked at: go test ./internal/status -run TestLook -args -look DIR.
func TestLook(t *testing.T) {
	if *look == "" {
		*look = t.TempDir()
	}
	for name, snap := range map[string]*Snapshot{"ongoing": ongoing(), "over": over(), "crowded": crowded()} {
		dir := filepath.Join(*look, name)
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		files, err := newSite(t, "https://tenu.example/etat/").Files(snap)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f.Name), f.Body, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d files in %s", len(files), dir)
	}
}
