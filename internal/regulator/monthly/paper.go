package monthly

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"tenu/internal/chart"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
	"tenu/internal/regulator/picture"
	"tenu/internal/sheet"
)

//go:embed month.html
var pageFile embed.FS

var pageTemplate = template.Must(template.ParseFS(pageFile, "month.html"))

// paper is a month in words, whatever it is written on.
type paper struct {
	Lang, Brand, Title, Made string
	Sections                 []section
	Charts                   []template.HTML
	Style                    template.CSS
}

// section is a table.
type section struct {
	Title string
	Head  []string
	Rows  [][]string
	Right int // from which column on what is written ends at the right
}

// said are the words of the paper, in French and in English.
var said = map[string][2]string{
	"title":     {"Rapport de %s au régulateur", "Report of %s to the regulator"},
	"made":      {"Publié le %s. Logiciel tenu %s. Tête du journal : %s. Profil : %s. Heures de %s.", "Published on %s. Software tenu %s. Head of the log: %s. Profile: %s. Times of %s."},
	"none":      {"aucune", "none"},
	"purchases": {"Achats", "Purchases"}, "held": {"Argent retenu et exposition", "Money held and exposure"}, "credit_p50": {"Délais", "Times"},
	"cases": {"Réclamations et rappels", "Complaints and callbacks"}, "incidents": {"Incidents et suspensions", "Incidents and pauses"},
	"failures": {"Échecs par code et partie responsable", "Failures by code and responsible party"}, "failure": {"Échec", "Failure"}, "party": {"Responsable", "Responsible"},
	"count": {"Nombre", "Count"}, "amount": {"Montant", "Amount"},
	"open": {"Retenu et en exposition à la fin du mois", "Held and in exposure at the end of the month"}, "name": {"Nom", "Name"}, "where": {"Où", "Where"}, "since": {"Depuis", "Since"},
	"found": {"Corrections connues", "Known corrections"}, "day": {"Jour", "Day"}, "at": {"Trouvé le", "Found"}, "changed": {"Corrigé", "Corrected"},
	"spells": {"Incidents", "Incidents"}, "lasted": {"Durée", "Lasted"}, "customers": {"Clients touchés", "Customers affected"}, "held_item": {"retenu", "held"}, "exposed_item": {"exposition", "exposure"},
	"list_pauses": {"Suspensions de vente", "Pauses of sales"}, "concerns": {"Concerne", "Concerns"}, "late": {" (hors délai)", " (beyond the limit)"},
	"definitions": {"Définitions", "Definitions"}, "page": {"page %d sur {nb}", "page %d of {nb}"},
}

// say is a word of the paper.
func say(key, language string) string {
	if language == "en" {
		return said[key][1]
	}
	return said[key][0]
}

// written is a month in words.
func written(m *regulator.Monthly, lang, brand string, zone *time.Location) *paper {
	when := func(at purchase.Instant) string { return at.Time().In(zone).Format("02/01/2006 15:04") }
	head := say("none", lang)
	if lines := strings.Fields(m.Head); len(lines) > 2 {
		head = strings.Join(lines[:3], " ") // a checkpoint's log, size and root; its signatures are in the data
	} else if len(lines) > 0 {
		head = m.Head
	}
	p := &paper{Lang: lang, Brand: brand, Title: fmt.Sprintf(say("title", lang), m.Month), Made: fmt.Sprintf(say("made", lang), when(m.Published), m.Version, head, m.Profile, m.Zone)}
	limits := limitsOf(m)
	definitions := section{Title: say("definitions", lang), Right: 9}
	for i := range regulator.Definitions {
		d := &regulator.Definitions[i]
		if _, begins := said[d.Code]; begins || i == 0 {
			p.Sections = append(p.Sections, section{Title: say(d.Code, lang), Right: 1})
		}
		in := &p.Sections[len(p.Sections)-1]
		in.Rows = append(in.Rows, []string{d.Name(lang), d.Of(m.Figures, limits).In(m.Figures.Currencies()...).Say(lang)})
		definitions.Rows = append(definitions.Rows, []string{d.Name(lang), d.Text(lang)})
	}
	add := func(s section) {
		if len(s.Rows) > 0 {
			p.Sections = append(p.Sections, s)
		}
	}
	failures := section{Title: say("failures", lang), Head: []string{say("failure", lang), say("party", lang), say("count", lang), say("amount", lang)}, Right: 2}
	for i := range m.Figures.Failures {
		x := &m.Figures.Failures[i]
		failures.Rows = append(failures.Rows, []string{regulator.SayParty(x.Leg, lang) + " : " + regulator.SayCode(x.Code, lang), regulator.SayParty(x.Party, lang), regulator.Digits(x.Count), x.Amount.Say()})
	}
	add(failures)
	spells := section{Title: say("spells", lang), Head: []string{say("concerns", lang), say("since", lang), say("lasted", lang), say("customers", lang)}, Right: 2}
	for _, i := range m.Figures.Incidents {
		spells.Rows = append(spells.Rows, []string{fmt.Sprintf("I-%d, %s", i.ID, regulator.SayParty(i.Series, lang)), when(i.Seen), took(i.Lasted, lang), regulator.Digits(i.Customers)})
	}
	add(spells)
	pauses := section{Title: say("list_pauses", lang), Head: []string{say("concerns", lang), say("since", lang), say("lasted", lang)}, Right: 2}
	for _, x := range m.Figures.Pauses {
		pauses.Rows = append(pauses.Rows, []string{regulator.SayParty(x.Series, lang), when(x.At), took(x.Lasted, lang)})
	}
	add(pauses)
	add(openItems(m, lang, when))
	found := section{Title: say("found", lang), Head: []string{say("day", lang), say("at", lang), say("changed", lang)}, Right: 9}
	for _, c := range m.Corrections {
		var changed []string
		for _, x := range c.Changed {
			changed = append(changed, x.Figure+": "+x.Was+" > "+x.Is)
		}
		found.Rows = append(found.Rows, []string{c.Day, when(c.At), strings.Join(changed, "; ")})
	}
	add(found)
	add(definitions)
	return p
}

// mostOpen bounds the items of a paper; JSON has them all.
const mostOpen = 1000

func openItems(m *regulator.Monthly, lang string, when func(purchase.Instant) string) section {
	s := section{Title: say("open", lang), Head: []string{say("name", lang), say("where", lang), say("since", lang), say("amount", lang)}, Right: 3}
	for _, i := range m.Open[:min(len(m.Open), mostOpen)] {
		where := say("held_item", lang)
		if partner, exposed := strings.CutPrefix(i.Account, "exposure/"); exposed {
			where = say("exposed_item", lang) + ", " + partner
		}
		if i.Late {
			where += say("late", lang)
		}
		s.Rows = append(s.Rows, []string{i.Name[:10], where, when(i.Since), regulator.Money{money.Currency(i.Currency): i.Amount}.Say()})
	}
	return s
}

func took(n int64, lang string) string {
	return regulator.Took(time.Duration(n)*time.Microsecond, lang)
}

// pictures are the charts of the month: those that there is something to draw for.
func pictures(m *regulator.Monthly, lang string) ([]*chart.Chart, error) {
	p, err := picture.In(lang)
	if err != nil {
		return nil, err
	}
	days := make([]picture.Step, len(m.Days))
	for i := range m.Days {
		days[i] = picture.Step{Label: m.Days[i].Day[8:], Of: m.Days[i].Figures}
	}
	limits := limitsOf(m)
	all := []*chart.Chart{p.Days(days), p.Settled(m.Figures, limits.Settle), p.Failures(m.Figures), p.Refunded(m.Figures, limits.Refund)}
	return slices.DeleteFunc(all, func(c *chart.Chart) bool { return c == nil }), nil
}

// HTML is a month as one page that needs no other file, in "fr" or "en".
func HTML(m *regulator.Monthly, lang, brand string, zone *time.Location) ([]byte, error) {
	p := written(m, lang, brand, zone)
	p.Style = template.CSS(chart.Style) //nolint:gosec // our own
	charts, err := pictures(m, lang)
	if err != nil {
		return nil, err
	}
	for _, c := range charts {
		p.Charts = append(p.Charts, template.HTML(strings.TrimSpace(string(c.Inline())))) //nolint:gosec // the chart escapes its texts
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("write the page of %s: %w", m.Month, err)
	}
	return b.Bytes(), nil
}

// widths are those of as many columns, in millimetres.
var widths = map[int][]float64{2: {100, 80}, 3: {60, 45, 75}, 4: {64, 46, 34, 36}}

// PDF is a month as PDF, in "fr" or "en". It is a pure function of the month.
func PDF(m *regulator.Monthly, lang, brand string, zone *time.Location) ([]byte, error) {
	p := written(m, lang, brand, zone)
	charts, err := pictures(m, lang)
	if err != nil {
		return nil, err
	}
	s := sheet.New(sheet.Config{Title: p.Title, Author: brand, Language: lang, Made: m.Published.Time(), Foot: func(page int) (string, string) {
		return brand + " · " + p.Title, fmt.Sprintf(say("page", lang), page)
	}})
	s.Write(sheet.Title, p.Title)
	s.Write(sheet.Fine, p.Made)
	for _, c := range charts {
		s.Chart(c)
	}
	for i := range p.Sections {
		x := &p.Sections[i]
		columns := len(x.Rows[0])
		right := min(x.Right, columns)
		table := &sheet.Table{Title: x.Title, Head: x.Head, Rows: x.Rows, Widths: widths[columns], Align: strings.Repeat("L", right) + strings.Repeat("R", columns-right)}
		if columns == 2 && right == 2 {
			table.Widths = []float64{60, 120}
		}
		s.Table(table)
	}
	return s.Bytes()
}
