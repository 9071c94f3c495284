package monthly

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"

	"tenu/internal/chart"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
)

//go:embed month.html
var pageFile embed.FS

var pageTemplate = template.Must(template.ParseFS(pageFile, "month.html"))

// paper is a month in words, whatever it is written on.
type paper struct {
	Lang, Brand, Title, Made string
	Sections                 []section
	Chart                    template.HTML
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
	"days": {"Achats par jour", "Purchases by day"}, "column_credited": {"crédités", "credited"}, "column_failed": {"échoués", "failed"}, "bought": {"achats", "purchases"},
	"spells": {"Incidents", "Incidents"}, "lasted": {"Durée", "Lasted"}, "customers": {"Clients touchés", "Customers affected"}, "held_item": {"retenu", "held"},
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
		in.Rows = append(in.Rows, []string{d.Name(lang), d.Of(m.Figures, limits).Say(lang)})
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
		where := i.Account
		if where == regulator.Held {
			where = say("held_item", lang)
		}
		if i.Late {
			where += say("late", lang)
		}
		s.Rows = append(s.Rows, []string{i.Name[:10], where, when(i.Since), fmt.Sprintf("%s\u00a0%s", regulator.Digits(i.Amount), i.Currency)})
	}
	return s
}

func took(n int64, lang string) string {
	return regulator.Took(time.Duration(n)*time.Microsecond, lang)
}

// picture is the days of the month.
func picture(m *regulator.Monthly, lang string) *chart.Chart {
	c := &chart.Chart{Title: say("days", lang), X: strings.ToLower(say("day", lang)), Y: say("bought", lang), Whole: true, Keys: []string{say("column_credited", lang), say("column_failed", lang)}}
	for _, d := range m.Days {
		failed := int64(0)
		for i := range d.Figures.Failures {
			failed += d.Figures.Failures[i].Count
		}
		c.Columns = append(c.Columns, chart.Column{Label: d.Day[8:], Values: []float64{float64(d.Figures.Credited.Count), float64(failed)}})
	}
	return c
}

// HTML is a month as one page that needs no other file, in "fr" or "en".
func HTML(m *regulator.Monthly, lang, brand string, zone *time.Location) ([]byte, error) {
	p := written(m, lang, brand, zone)
	p.Style = template.CSS(chart.Style)                                           //nolint:gosec // our own
	p.Chart = template.HTML(strings.TrimSpace(string(picture(m, lang).Inline()))) //nolint:gosec // the chart escapes its texts
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("write the page of %s: %w", m.Month, err)
	}
	return b.Bytes(), nil
}

// The sheet, in millimetres: A4 upright, as the reports of incidents have it.
const (
	edge       = 15.0
	sheetWidth = 210 - 2*edge
	sheetFoot  = 297 - 20.0
	lineHeight = 5.5
)

var ink, soft = [3]int{29, 28, 26}, [3]int{90, 88, 81}

// sheet is a PDF that is being written. The built-in fonts have Windows-1252: what is not in it becomes a point.
type sheet struct {
	*fpdf.Fpdf
	latin func(string) string
}

// PDF is a month as PDF, in "fr" or "en". It is a pure function of the month.
func PDF(m *regulator.Monthly, lang, brand string, zone *time.Location) ([]byte, error) {
	p := written(m, lang, brand, zone)
	doc := fpdf.New("P", "mm", "A4", "")
	doc.SetTitle(p.Title, true)
	doc.SetAuthor(brand, true)
	doc.SetLang(lang)
	doc.SetCreationDate(m.Published.Time())
	doc.SetModificationDate(m.Published.Time())
	doc.SetCatalogSort(true)
	doc.SetMargins(edge, edge, edge)
	doc.SetAutoPageBreak(true, 297-sheetFoot)
	doc.AliasNbPages("")
	s := &sheet{doc, doc.UnicodeTranslatorFromDescriptor("")}
	s.SetFooterFunc(func() {
		s.SetY(-13)
		s.style("", 8, soft)
		s.CellFormat(sheetWidth/2, 5, s.text(brand+" · "+p.Title), "", 0, "L", false, 0, "")
		s.CellFormat(sheetWidth/2, 5, s.text(fmt.Sprintf(say("page", lang), s.PageNo())), "", 0, "R", false, 0, "")
	})
	s.AddPage()
	s.style("B", 20, ink)
	s.MultiCell(0, 9, s.text(p.Title), "", "L", false)
	s.style("", 9, soft)
	s.MultiCell(0, lineHeight, s.text(p.Made), "", "L", false)
	for _, x := range p.Sections {
		s.section(&x)
	}
	var b bytes.Buffer
	if err := s.Output(&b); err != nil {
		return nil, fmt.Errorf("write the PDF of %s: %w", m.Month, err)
	}
	return b.Bytes(), nil
}

func (s *sheet) text(text string) string {
	return s.latin(strings.ReplaceAll(text, "\u202f", "\u00a0"))
}

func (s *sheet) style(weight string, size float64, colour [3]int) {
	s.SetFont("Helvetica", weight, size)
	s.SetTextColor(colour[0], colour[1], colour[2])
}

// section writes a table whose cells may take several lines.
func (s *sheet) section(x *section) {
	s.Ln(3)
	if s.GetY()+5*lineHeight > sheetFoot { // a title does not stand alone
		s.AddPage()
	}
	s.style("B", 13, ink)
	s.CellFormat(0, 8, s.text(x.Title), "", 1, "L", false, 0, "")
	s.SetDrawColor(216, 212, 200)
	s.SetLineWidth(0.2)
	if x.Head != nil {
		s.style("", 9, soft)
		s.row(x, x.Head)
	}
	for _, row := range x.Rows {
		s.style("", 9.5, ink)
		s.row(x, row)
	}
}

// widths are those of as many columns.
var widths = map[int][]float64{2: {100, 80}, 3: {60, 45, 75}, 4: {70, 50, 30, 30}}

func (s *sheet) row(x *section, row []string) {
	wide := widths[len(row)]
	if x.Right == 9 && len(row) == 2 {
		wide = []float64{60, 120}
	}
	split, most := make([][]string, len(row)), 1
	for i, text := range row {
		for _, l := range s.SplitLines([]byte(s.text(text)), wide[i]-2) {
			split[i] = append(split[i], string(l))
		}
		most = max(most, len(split[i]))
	}
	most = min(most, 40)
	height := float64(most)*lineHeight + 1
	if s.GetY()+height > sheetFoot {
		s.AddPage()
	}
	left, top := s.GetXY()
	s.Line(left, top, left+sheetWidth, top)
	at := left
	for i := range row {
		align := "L"
		if i >= x.Right {
			align = "R"
		}
		for j, text := range split[i][:min(len(split[i]), most)] {
			s.SetXY(at, top+0.5+float64(j)*lineHeight)
			s.CellFormat(wide[i], lineHeight, text, "", 0, align, false, 0, "")
		}
		at += wide[i]
	}
	s.SetXY(left, top+height)
}
