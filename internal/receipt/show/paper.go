package show

import (
	"fmt"
	"strings"
	"time"

	"rsc.io/qr"

	"tenu/internal/sheet"
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

// codeWidth is wide enough for any camera, in millimetres.
const codeWidth = 58.0

// PDF is the receipt as a sheet of A5. It is a pure function of the paper.
func PDF(p *Paper) ([]byte, error) {
	code, err := qr.Encode(p.Link, qr.L)
	if err != nil {
		return nil, fmt.Errorf("draw a code: %w", err)
	}
	s := sheet.New(sheet.Config{Title: p.Title, Author: p.Brand, Language: p.Language, Made: p.Made, Small: true})
	s.Write(sheet.Heading, p.Brand+" · "+p.Title)
	s.Write(sheet.Lead, p.State)
	table := &sheet.Table{Widths: []float64{52, 72}, Align: "LR", StrongLast: true}
	for _, row := range p.Rows {
		if row[1] != "" {
			table.Rows = append(table.Rows, row[:])
		}
	}
	s.Table(table)
	step := codeWidth / float64(code.Size)
	const bleed = 0.02 // so that no hair of paper shows between two lines
	s.Beside(codeWidth, p.Code, func(box func(x, y, w, h float64)) {
		runs(code, func(x, y, n int) { box(float64(x)*step, float64(y)*step, float64(n)*step, step+bleed) })
	})
	s.Attach(p.File, p.Title, p.Signed)
	return s.Bytes()
}
