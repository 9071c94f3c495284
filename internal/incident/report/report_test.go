package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/sheet/sheettest"
)

var look = flag.String("look", "", "folder that TestLook writes sample reports to")

func at(hour, minute, second int) purchase.Instant {
	return purchase.At(time.Date(2024, 7, 9, hour, minute, second, 0, time.UTC))
}

func both(fr, en string) map[purchase.Language]string {
	return map[purchase.Language]string{"fr": fr, "en": en}
}

// july is the incident of 9 July 2024 as tenu would have had it.
func july() *Data {
	d := &Data{Brand: "Tenu", At: at(18, 0, 0), Currency: money.XOF, Location: time.UTC, Series: both("Crédit d'unités", "Airtime credit"),
		Party: both("le fournisseur de crédit OCS", "the credit provider OCS"), Staff: map[auth.StaffID]string{7: "Awa Ouédraogo"},
		Incident: incident.Incident{ID: 12, Version: 40, Series: incident.Series{By: incident.ByProvider, Name: "ocs"}, Rule: incident.RuleAbsolute,
			Status:   incident.Closed,
			Severity: incident.Critical, Party: "provider:ocs", Owner: 7, Since: at(13, 45, 2), SeenAt: at(13, 45, 41), PausedAt: at(13, 45,
				50), RecoveredAt: at(15, 30, 20),
			ResolvedAt: at(15, 48, 0), ClosedAt: at(16, 5, 0), Title: both("Crédit d'unités en retard", "Airtime credited late"),
			Text: both("Le système de crédit acceptait les demandes sans créditer. Les ventes ont été suspendues, puis chaque achat crédité ou remboursé.",
				"The charging system accepted requests and did not credit. Sales were paused, then every purchase was credited or refunded.")},
		Entries: []incident.Entry{{Seq: 1, At: at(13, 45, 41), Event: incident.EventOpened, Text: "20 paid and not credited in 2 min"}, {Seq: 2,
			At: at(13, 45, 50), Event: incident.EventPaused, Text: "0"},
			{Seq: 3, At: at(13, 46, 5), Event: incident.EventTold, Text: "1061"}, {Seq: 30, At: at(13, 46, 6), Event: incident.EventProbe, Text: "bad no answer"}, {Seq: 31, At: at(15, 31, 0), Event: incident.EventStep, Text: "10"}, {Seq: 4, At: at(13, 52, 0), By: incident.Actor{Staff: 7},
				Event: incident.EventNote, Text: "Appelé le fournisseur."},
			{Seq: 5, At: at(15, 30, 20), Event: incident.EventRecovered}, {Seq: 6, At: at(15, 48, 0), Event: incident.EventResolved}, {Seq: 7,
				At: at(16, 5, 0), By: incident.Actor{Staff: 9}, Event: incident.EventClosed}}}
	t := &d.Totals
	var settled []settlement
	for i := range 240 { // settled within seconds to hours
		s := settlement{after: time.Duration(8+i/3) * time.Second, refunded: i%3 != 0}
		if i >= 200 {
			s = settlement{after: 100*time.Minute + time.Duration(i)*time.Second}
		}
		settled = append(settled, s)
		t.Purchases, t.Amount = t.Purchases+1, t.Amount+500
		if s.refunded {
			t.Refunded, t.AmountGiven = t.Refunded+1, t.AmountGiven+500
		} else {
			t.Credited, t.AmountCredited = t.Credited+1, t.AmountCredited+500
		}
	}
	t.Customers, t.Told, t.Cases, t.CallbacksPromised, t.CallbacksKept, t.CallbacksLost = 213, 213, 18, 9, 8, 1
	all := tookOf(settled, func(settlement) bool { return true })
	t.SettledP50, t.SettledP95, t.SettledP99, t.SettledMax = all.P50, all.P95, all.P99, all.Max
	d.Settled = counted(settled)
	for m := at(12, 0, 0); m < at(17, 0, 0); m = m.Add(time.Minute) {
		x := Minute{At: m, Sold: 60, Paid: 58, Credited: 58}
		switch {
		case m >= at(13, 45, 0) && m < at(13, 47, 0):
			x.Credited, x.Refunded, x.Told = 4, 50, 61
		case m >= at(13, 47, 0) && m < at(15, 30, 0):
			x = Minute{At: m, Paused: 55}
			if m < at(13, 49, 0) {
				x.Told, x.Refunded = 45, 60
			}
			if m == at(13, 50, 0) {
				x.Told = 1
			}
		}
		d.Minutes = append(d.Minutes, x)
	}
	d.Told = []Telling{{Customers, at(13, 46, 5), at(13, 50, 40), 213}, {Agents, at(13, 45, 41), at(13, 45, 41), 14}, {Regulator, at(14, 45, 41),
		at(14, 45, 41), 1}}
	return d
}

// settlement is one purchase's, as a store has them.
type settlement struct {
	after    time.Duration
	refunded bool
}

func tookOf(all []settlement, which func(settlement) bool) incident.Took {
	var times []time.Duration
	for _, s := range all {
		if which(s) {
			times = append(times, s.after)
		}
	}
	slices.Sort(times)
	at := func(percent int) time.Duration { return times[(len(times)*percent+99)/100-1] }
	return incident.Took{Count: int64(len(times)), P50: at(50), P95: at(95), P99: at(99), Max: at(100)}
}

// counted is what a store says of settlements.
func counted(all []settlement) incident.Settlements {
	c := incident.Settlements{All: tookOf(all, func(settlement) bool { return true }), Credited: tookOf(all, func(s settlement) bool { return !s.refunded }), Given: tookOf(all, func(s settlement) bool { return s.refunded })}
	for _, end := range append(Ends(), 0) {
		c.Ends = append(c.Ends, incident.SettledWithin{Till: end})
	}
	for _, s := range all {
		i := slices.IndexFunc(ends, func(end time.Duration) bool { return s.after <= end })
		if i < 0 {
			i = len(ends)
		}
		if s.refunded {
			c.Ends[i].Given++
		} else {
			c.Ends[i].Credited++
		}
	}
	return c
}

// early is the same incident while it goes on.
func early() *Data {
	d := july()
	in := &d.Incident
	d.At, in.Status, in.RecoveredAt, in.ResolvedAt, in.ClosedAt, in.PausedAt = at(13, 45, 55), incident.Ongoing, 0, 0, 0, 0
	d.Totals = incident.Totals{Purchases: 3, Customers: 2, Pending: 3, Amount: 1500, AmountPending: 1500}
	d.Minutes, d.Settled, d.Told, d.Entries = nil, incident.Settlements{}, nil, d.Entries[:1]
	return d
}

func newReport(t testing.TB) *Report {
	t.Helper()
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLook writes sample reports, to be looked at: go test ./internal/incident/report -run TestLook -args -look DIR.
func TestLook(t *testing.T) {
	if *look == "" {
		*look = t.TempDir()
	}
	r := newReport(t)
	for name, d := range map[string]*Data{"past": july(), "ongoing": early()} {
		for _, lang := range []string{"fr", "en"} {
			page, err := r.HTML(d, lang)
			if err != nil {
				t.Fatal(err)
			}
			paper, err := r.PDF(d, lang)
			if err != nil {
				t.Fatal(err)
			}
			for end, data := range map[string][]byte{".html": page, ".pdf": paper} {
				if err := os.WriteFile(filepath.Join(*look, "report-"+name+"."+lang+end), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// wanted is what a report of july says in each language.
var wanted = map[string][]string{
	"fr": {"Rapport d'incident I-12", "Crédit d'unités en retard", "120 000 F CFA", "240", "213", "le fournisseur de crédit OCS", "1 061 clients", "échoué · no answer", "1,0 % des achats sont vendus", "critique", "3 h", "83,3 %", "09/07/2024 13:45:02",
		"39 s après les premiers échecs",
		"48 s après", "Awa Ouédraogo", "agent n° 9", "Appelé le fournisseur.", "Régulateur", "Non tenus", "Ventes, minute par minute", "p95", "La moitié en moins de"},
	"en": {"Incident report I-12", "Airtime credited late", "120 000 F CFA", "240", "213", "the credit provider OCS", "critical", "3 h", "83.3 %", "9 Jul 2024 13:45:02",
		"39 s after the first failures", "Awa Ouédraogo", "staff 9",
		"Regulator", "Broken", "Sales, minute by minute", "Half within"},
}

func TestPageSaysIt(t *testing.T) {
	r := newReport(t)
	for lang, wants := range wanted {
		body, err := r.HTML(july(), lang)
		if err != nil {
			t.Fatal(err)
		}
		root, err := html.Parse(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var words strings.Builder
		count := map[string]int{}
		var walk func(*html.Node)
		walk = func(n *html.Node) {
			count[n.Data]++
			if n.Type == html.TextNode {
				words.WriteString(n.Data + " ")
			}
			for _, a := range n.Attr {
				if a.Key == "src" || a.Key == "href" && !strings.HasPrefix(a.Val, "data:") || strings.HasPrefix(a.Key, "on") {
					t.Errorf("%s: <%s %s=%s>", lang, n.Data, a.Key, a.Val)
				}
			}
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				walk(c)
			}
		}
		walk(root)
		text := strings.ReplaceAll(words.String(), "\u00a0", " ")
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: does not say %q", lang, want)
			}
		}
		if count["svg"] != 3 || count["script"] != 0 {
			t.Errorf("%s: %d pictures, %d scripts", lang, count["svg"], count["script"])
		}
	}
}

func TestPaperSaysIt(t *testing.T) {
	r := newReport(t)
	for lang, wants := range wanted {
		pdf, err := r.PDF(july(), lang)
		if err != nil {
			t.Fatal(err)
		}
		sheettest.Check(t, pdf)
		pages, strokes := sheettest.Pages(t, pdf)
		text := strings.Join(pages, "")
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: does not say %q", lang, want)
			}
		}
		if strokes < 6*290 { // six curves of 300 minutes
			t.Errorf("%s: %d strokes", lang, strokes)
		}
	}
}

// TestBothAreAFunctionOfTheData: the same data make the same bytes, and no language changes a figure.
func TestBothAreAFunctionOfTheData(t *testing.T) {
	for name, d := range map[string]*Data{"july": july(), "early": early()} {
		for _, lang := range []string{"fr", "en"} {
			one, err := newReport(t).HTML(d, lang)
			two, err2 := newReport(t).HTML(d, lang)
			if err != nil || err2 != nil || !bytes.Equal(one, two) {
				t.Errorf("%s: two pages, %v, %v", name, err, err2)
			}
			one, err = newReport(t).PDF(d, lang)
			two, err2 = newReport(t).PDF(d, lang)
			if err != nil || err2 != nil || !bytes.Equal(one, two) {
				t.Errorf("%s: two papers, %v, %v", name, err, err2)
			}
			sheettest.Check(t, one)
		}
	}
}

func TestDisagreementIsRefused(t *testing.T) {
	r := newReport(t)
	for name, spoil := range map[string]func(*Data){
		"one credit more":              func(d *Data) { d.Totals.Credited++ },
		"one purchase less":            func(d *Data) { d.Totals.Purchases-- },
		"a franc more":                 func(d *Data) { d.Totals.AmountGiven++ },
		"charged less":                 func(d *Data) { d.Totals.Amount -= 5 },
		"more customers":               func(d *Data) { d.Totals.Customers = 241; d.Totals.Told = 213 },
		"no customers":                 func(d *Data) { d.Totals.Customers, d.Totals.Told = 0, 0 },
		"less than nothing":            func(d *Data) { d.Totals.Credited -= 300; d.Totals.Refunded += 300 },
		"more told":                    func(d *Data) { d.Totals.Told = 214 },
		"told others":                  func(d *Data) { d.Told[0].Count-- },
		"told by the minutes":          func(d *Data) { d.Minutes[120].Told++ },
		"more open cases":              func(d *Data) { d.Totals.CasesOpen = 19 },
		"more callbacks":               func(d *Data) { d.Totals.CallbacksKept = 9 },
		"percentiles in no order":      func(d *Data) { d.Totals.SettledP95 = d.Totals.SettledMax + 1 },
		"another median":               func(d *Data) { d.Totals.SettledP50 += 10 * time.Second },
		"another longest":              func(d *Data) { d.Totals.SettledMax += time.Second },
		"a settlement less":            func(d *Data) { d.Settled.Ends[9].Credited-- },
		"a settlement timed less":      func(d *Data) { d.Settled.Given.Count-- },
		"a credit for a refund":        func(d *Data) { d.Settled.Ends[9].Credited--; d.Settled.Ends[9].Given++ },
		"a settlement at another time": func(d *Data) { d.Settled.Ends[9].Credited -= 40; d.Settled.Ends[0].Credited += 40 },
		"other ends":                   func(d *Data) { d.Settled.Ends[3].Till++ },
		"an end less":                  func(d *Data) { d.Settled.Ends = d.Settled.Ends[:13] },
		"a refund before the median":   func(d *Data) { d.Settled.Given.P95 = d.Settled.Given.P50 - 1 },
		"closed, not settled": func(d *Data) {
			d.Totals.Pending, d.Totals.Credited, d.Settled = 1, d.Totals.Credited-1, incident.Settlements{}
		},
		"closed at no time":            func(d *Data) { d.Incident.ClosedAt = 0 },
		"seen before":                  func(d *Data) { d.Incident.SeenAt = d.Incident.Since - 1 },
		"resolved before it recovered": func(d *Data) { d.Incident.ResolvedAt = d.Incident.RecoveredAt - 1 },
		"minutes after the failure":    func(d *Data) { d.Minutes = d.Minutes[120:] },
		"minutes twice":                func(d *Data) { d.Minutes[5].At = d.Minutes[4].At },
		"minutes for years":            func(d *Data) { d.Minutes[0].At = 60_000_000 },
		"no refunds by the minutes": func(d *Data) {
			for i := range d.Minutes {
				d.Minutes[i].Refunded = 0
			}
		},
		"more than 64 bits": func(d *Data) { d.Totals.AmountCredited, d.Totals.AmountGiven = math.MaxInt64, math.MaxInt64 },
	} {
		d := july()
		if err := d.Check(); err != nil {
			t.Fatal(err)
		}
		spoil(d)
		var disagree *DisagreeError
		if _, err := r.HTML(d, "fr"); !errors.As(err, &disagree) || len(disagree.Problems) == 0 {
			t.Errorf("%s: a page, %v", name, err)
		}
		if _, err := r.PDF(d, "fr"); !errors.As(err, &disagree) {
			t.Errorf("%s: a paper, %v", name, err)
		}
	}
}

// TestClosedInExposure: an incident may be closed while a purchase stands in exposure, its case closed; it has a report.
func TestClosedInExposure(t *testing.T) {
	d := july()
	d.Totals.Pending, d.Totals.Exposed, d.Totals.Credited, d.Settled = 1, 1, d.Totals.Credited-1, incident.Settlements{}
	if err := d.Check(); err != nil {
		t.Error(err)
	}
}

// TestHostileTexts: what people wrote stays text, and what is long or endless is bounded.
func TestHostileTexts(t *testing.T) {
	nasty := "<script>alert(1)</script> \") Tj ET (\\" + "\x00\xff 日本 " + strings.Repeat("a", 3000) + strings.Repeat(" é(b)", 3000)
	d := july()
	d.Incident.Title, d.Incident.Text, d.Series, d.Brand = both(nasty, nasty), both(nasty, nasty), both(nasty, nasty), nasty
	d.Incident.Party, d.Party = nasty, nil
	for i := range 4000 {
		d.Entries = append(d.Entries, incident.Entry{Seq: int64(i), At: at(14, 0, 0), Event: "strange", Text: "x"})
	}
	d.Entries[0].Text = nasty
	d.Told[0].Whom = "<b>"
	d.Told = append(d.Told, Telling{Whom: Customers, First: at(14, 0, 0), Last: at(14, 0, 0), Count: 213})
	r := newReport(t)
	body, err := r.HTML(d, "fr")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(body, []byte("<script")) || bytes.Contains(body, []byte("<b>")) {
		t.Error("a text became part of the page")
	}
	if n := bytes.Count(body, []byte("strange")); n > maxEntries {
		t.Errorf("%d lines", n)
	}
	pdf, err := r.PDF(d, "fr")
	if err != nil {
		t.Fatal(err)
	}
	sheettest.Check(t, pdf)
}

// TestPicturesHaveTheirMarks: whatever the span, the ticks are few, and each moment is marked.
func TestPicturesHaveTheirMarks(t *testing.T) {
	r := newReport(t)
	for _, span := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 26 * time.Hour, 30 * 24 * time.Hour} {
		d := july()
		d.Location = time.FixedZone("far", 5*3600+45*60)
		d.Settled, d.Told = incident.Settlements{}, nil
		d.Totals = incident.Totals{}
		d.Minutes = []Minute{{At: at(13, 45, 0)}, {At: at(13, 45, 0).Add(span), Paid: 3}}
		d.Incident.RecoveredAt, d.Incident.ResolvedAt, d.Incident.ClosedAt, d.Incident.Status = 0, 0, 0, incident.Ongoing
		p, err := r.paper(d, "en")
		if err != nil {
			t.Fatal(err)
		}
		c := p.Charts[0]
		if n := len(c.Ticks); n < 2 || n > 12 || len(c.Marks) != 3 || len(c.Lines[0].Points) > mostPoints+1 {
			t.Errorf("%s: %d ticks, %d marks, %d points", span, n, len(c.Marks), len(c.Lines[0].Points))
		}
		if c.Ticks[0].At > minutes(d.Incident.Since) || c.Ticks[len(c.Ticks)-1].At < c.Lines[0].Points[len(c.Lines[0].Points)-1][0] {
			t.Errorf("%s: the axis from %v does not hold the curve", span, c.Ticks)
		}
		if err := xml.Unmarshal(c.SVG(), new(struct{ XMLName xml.Name })); err != nil {
			t.Errorf("%s: %v", span, err)
		}
	}
}

func TestDurations(t *testing.T) {
	w := &writer{newReport(t).texts.In("fr"), nil}
	for want, d := range map[string]time.Duration{"0,0 s": 0, "4,2 s": 4170 * time.Millisecond, "10 s": 9960 * time.Millisecond,
		"59 s": 59 * time.Second, "1 min 00 s": 59600 * time.Millisecond,
		"2 h 05 min": 2*time.Hour + 5*time.Minute} {
		if got := strings.ReplaceAll(w.duration(d), "\u00a0", " "); got != want {
			t.Errorf("%s is %q, not %q", d, got, want)
		}
	}
}
