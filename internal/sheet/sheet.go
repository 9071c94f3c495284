// Package sheet writes papers as PDF: paragraphs, tables that go on from page to page, charts with the vectors that they
// have on a page, and page numbers. It knows nothing of what is written.
package sheet

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"
)

// Config is what a sheet is begun with. The same config and the same calls make the same bytes.
type Config struct {
	Title, Author, Language string
	Made                    time.Time
	// Small is A5 upright instead of A4.
	Small bool
	// Foot is written below each page, left and right; in right, {nb} is the number of pages. nil for nothing.
	Foot func(page int) (left, right string)
}

// Sheet is a PDF that is being written. It is for one goroutine.
type Sheet struct {
	doc         *fpdf.Fpdf
	latin       func(string) string
	edge, width float64 // millimetres, as all lengths
	foot        float64 // where a page's text ends
	top         float64
}

// lineHeight is that of Body.
const lineHeight = 5.5

// Style is how a paragraph looks.
type Style struct {
	weight string
	size   float64 // points
	line   float64 // millimetres
	colour [3]int
}

var ink, soft = [3]int{29, 28, 26}, [3]int{90, 88, 81}

// The styles.
var (
	Title   = Style{"B", 20, 9, ink}
	Heading = Style{"B", 16, 8, ink}
	Lead    = Style{"", 12, 6.5, ink}
	Body    = Style{"", 10, lineHeight, ink}
	Strong  = Style{"B", 10, lineHeight, ink}
	Fine    = Style{"", 9, 5, soft}
	section = Style{"B", 13, 8, ink}
	below   = Style{"", 8, 5, soft}
)

// New begins a sheet with its first page.
func New(cfg Config) *Sheet {
	s := &Sheet{edge: 15, width: 210 - 2*15, foot: 297 - 20}
	size := "A4"
	if cfg.Small {
		s.edge, s.width, s.foot, size = 12, 148-2*12, 210-12, "A5"
	}
	s.top = s.edge
	s.doc = fpdf.New("P", "mm", size, "")
	s.latin = s.doc.UnicodeTranslatorFromDescriptor("")
	_, height := s.doc.GetPageSize()
	s.doc.SetTitle(cfg.Title, true)
	s.doc.SetAuthor(cfg.Author, true)
	s.doc.SetLang(cfg.Language)
	s.doc.SetCreationDate(cfg.Made)
	s.doc.SetModificationDate(cfg.Made)
	s.doc.SetCatalogSort(true)
	s.doc.SetMargins(s.edge, s.edge, s.edge)
	s.doc.SetAutoPageBreak(true, height-s.foot)
	s.doc.AliasNbPages("")
	if cfg.Foot != nil {
		s.doc.SetFooterFunc(func() {
			left, right := cfg.Foot(s.doc.PageNo())
			s.doc.SetY(-13)
			s.dress(below)
			s.doc.CellFormat(s.width*3/4, below.line, s.cut(left, s.width*3/4), "", 0, "L", false, 0, "")
			s.doc.CellFormat(s.width/4, below.line, s.text(right), "", 0, "R", false, 0, "")
		})
	}
	s.doc.AddPage()
	return s
}

// plain is how what the fonts lack is written.
var plain = strings.NewReplacer("\u202f", "\u00a0", "\u2009", "\u00a0", "\u2212", "\u2013", "\u2264", "<=", "\u2265", ">=", "\u2192", ">",
	" ?", "\u00a0?", " !", "\u00a0!", " :", "\u00a0:", " ;", "\u00a0;") // French punctuation stays with its word

// text is a text as the built-in fonts have it, in Windows-1252: what is not in that becomes a point.
func (s *Sheet) text(text string) string { return s.latin(plain.Replace(text)) }

// cut is a text in the style that is set, cut to a width.
func (s *Sheet) cut(text string, width float64) string {
	latin := s.text(text)
	if s.doc.GetStringWidth(latin) <= width-2 {
		return latin
	}
	for len(latin) > 0 && s.doc.GetStringWidth(latin+"...") > width-2 {
		latin = latin[:len(latin)-1]
	}
	return latin + "..."
}

func (s *Sheet) dress(x Style) {
	s.doc.SetFont("Helvetica", x.weight, x.size)
	s.doc.SetTextColor(x.colour[0], x.colour[1], x.colour[2])
}

// Write writes a paragraph, or nothing of an empty text.
func (s *Sheet) Write(x Style, text string) {
	if text == "" {
		return
	}
	s.dress(x)
	s.doc.MultiCell(0, x.line, s.text(text), "", "L", false)
}

// Gap leaves a gap of so many millimetres.
func (s *Sheet) Gap(height float64) { s.doc.Ln(height) }

// room begins a new page where so much does not fit on this one, and reports whether it did.
func (s *Sheet) room(height float64) bool {
	if s.doc.GetY()+height <= s.foot || s.doc.GetY() <= s.top {
		return false
	}
	s.doc.AddPage()
	return true
}

// Attach puts a file into the PDF.
func (s *Sheet) Attach(name, description string, data []byte) {
	s.doc.SetAttachments([]fpdf.Attachment{{Content: data, Filename: name, Description: description}})
}

// Beside draws black boxes in a square of a side, and writes a text at the right of it. draw calls box for each, in
// millimetres from the square's upper left corner.
func (s *Sheet) Beside(side float64, text string, draw func(box func(x, y, w, h float64))) {
	s.doc.Ln(4)
	s.room(side)
	top := s.doc.GetY()
	s.doc.SetFillColor(0, 0, 0)
	draw(func(x, y, w, h float64) { s.doc.Rect(s.edge+x, top+y, w, h, "F") })
	s.doc.SetXY(s.edge+side+6, top)
	s.dress(Fine)
	s.doc.MultiCell(s.width-side-6, 4.5, s.text(text), "", "L", false)
	s.doc.SetXY(s.edge, max(top+side, s.doc.GetY())+4)
}

// Bytes ends the sheet.
func (s *Sheet) Bytes() ([]byte, error) {
	var b bytes.Buffer
	if err := s.doc.Output(&b); err != nil {
		return nil, fmt.Errorf("write a PDF: %w", err)
	}
	return b.Bytes(), nil
}
