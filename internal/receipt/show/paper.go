package show

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"
	"rsc.io/qr"
)

// quiet is the empty border of a code, in its modules.
const quiet = 4

// Code draws a receipt's address as a QR code, in SVG.
func Code(link string) ([]byte, error) {
	code, err := qr.Encode(link, qr.L)
	if err != nil {
		return nil, fmt.Errorf("draw a code: %w", err)
	}
	var path strings.Builder
	runs(code, func(x, y, n int) { fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, n, n) })
	size := code.Size + 2*quiet
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="%s"/></svg>`,
		size, size, size, size, path.String()), nil
}

// runs calls draw with each run of n black modules of a line.
func runs(code *qr.Code, draw func(x, y, n int)) {
	for y := range code.Size {
		for x, n := 0, 0; x < code.Size; x += n {
			if n = 1; !code.Black(x, y) {
				continue
			}
			for x+n < code.Size && code.Black(x+n, y) {
				n++
			}
			draw(x, y, n)
		}
	}
}

// Paper is a receipt for a printer: what it says in a language, and the receipt itself.
type Paper struct {
	Brand, Title, Language string
	State                  string      // how the purchase stands, and since when
	Rows                   [][2]string // what, and how much
	Code                   string      // how to check it with a phone, beside the code
	Link                   string
	Signed                 []byte // goes along as an attachment
	File                   string // what that is called
	Made                   time.Time
}

// ink and soft are the colours of texts.
var ink, soft = [3]int{29, 28, 26}, [3]int{90, 88, 81}

// The sheet, in millimetres: A5 upright, on which a code is large enough for any camera.
const (
	edge      = 12.0
	width     = 148 - 2*edge
	codeWidth = 58.0
)

// sheet is a PDF that is being written. The built-in fonts have Windows-1252: what is not
// in it becomes a point.
type sheet struct {
	*fpdf.Fpdf
	latin func(string) string
}

func (s *sheet) style(font, weight string, size float64, colour [3]int) {
	s.SetFont(font, weight, size)
	s.SetTextColor(colour[0], colour[1], colour[2])
}

// PDF is the receipt as a sheet of A5. It is a pure function of the paper.
func PDF(p *Paper) ([]byte, error) {
	doc := fpdf.New("P", "mm", "A5", "")
	s := &sheet{doc, doc.UnicodeTranslatorFromDescriptor("")}
	s.SetTitle(p.Title, true)
	s.SetLang(p.Language)
	s.SetCreationDate(p.Made)
	s.SetModificationDate(p.Made)
	s.SetCatalogSort(true)
	s.SetMargins(edge, edge, edge)
	s.SetAutoPageBreak(true, edge)
	s.SetDrawColor(216, 212, 200)
	s.AddPage()
	s.style("Helvetica", "B", 16, ink)
	s.CellFormat(0, 8, s.latin(p.Brand+" · "+p.Title), "", 1, "L", false, 0, "")
	s.style("Helvetica", "", 11, soft)
	s.MultiCell(0, 6, s.latin(p.State), "", "L", false)
	s.Ln(2)
	for _, row := range p.Rows {
		if row[1] == "" {
			continue
		}
		s.style("Helvetica", "", 10, soft)
		s.CellFormat(width/2, 7, s.latin(row[0]), "B", 0, "L", false, 0, "")
		s.style("Helvetica", "B", 10, ink)
		s.CellFormat(width/2, 7, s.latin(row[1]), "B", 1, "R", false, 0, "")
	}
	if err := s.code(p); err != nil {
		return nil, err
	}
	s.SetAttachments([]fpdf.Attachment{{Content: p.Signed, Filename: p.File, Description: p.Title}})
	var b bytes.Buffer
	if err := s.Output(&b); err != nil {
		return nil, fmt.Errorf("print a receipt: %w", err)
	}
	return b.Bytes(), nil
}

// code draws the QR code with what to do with it beside.
func (s *sheet) code(p *Paper) error {
	code, err := qr.Encode(p.Link, qr.L)
	if err != nil {
		return fmt.Errorf("draw a code: %w", err)
	}
	at, step := s.GetY()+4, codeWidth/float64(code.Size)
	s.SetFillColor(0, 0, 0)
	const bleed = 0.02 // so that no hair of paper shows between two lines
	runs(code, func(x, y, n int) {
		s.Rect(edge+float64(x)*step, at+float64(y)*step, float64(n)*step, step+bleed, "F")
	})
	s.SetXY(edge+codeWidth+6, at)
	s.style("Helvetica", "", 9, ink)
	s.MultiCell(width-codeWidth-6, 4.5, s.latin(p.Code), "", "L", false)
	s.SetXY(edge, at+codeWidth+4)
	return nil
}
