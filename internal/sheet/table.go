package sheet

import "strings"

// Table is rows under a title. Cells may take several lines.
type Table struct {
	Title  string
	Head   []string // nil for none; it stands again on each page that the table goes on to
	Widths []float64
	Align  string // "L" or "R" for each column
	Rows   [][]string
	// StrongLast writes the last column bold, and the others soft.
	StrongLast bool
}

// Table writes a table, or nothing of one without rows.
func (s *Sheet) Table(t *Table) {
	if len(t.Rows) == 0 {
		return
	}
	s.doc.Ln(3)
	s.room(5 * lineHeight) // a title does not stand alone
	if t.Title != "" {
		s.dress(section)
		s.doc.MultiCell(0, section.line, s.text(t.Title), "", "L", false)
	}
	s.doc.SetDrawColor(216, 212, 200)
	s.doc.SetLineWidth(0.2)
	if t.Head != nil {
		s.row(t, t.Head, true)
	}
	for _, row := range t.Rows {
		s.row(t, row, false)
	}
}

func (t *Table) style(column int, head bool) Style {
	switch {
	case head:
		return Fine
	case t.StrongLast && column == len(t.Widths)-1:
		return Strong
	case t.StrongLast:
		return Style{"", Body.size, Body.line, soft}
	}
	return Body
}

func (s *Sheet) row(t *Table, row []string, head bool) {
	split := make([][]string, len(row))
	most := 1
	for i, text := range row {
		s.dress(t.style(i, head))
		for part := range strings.SplitSeq(s.text(text), "\n") {
			for _, l := range s.doc.SplitLines([]byte(part), t.Widths[i]-2) {
				split[i] = append(split[i], string(l))
			}
		}
		most = max(most, len(split[i]))
	}
	most = min(most, int((s.foot-s.top)/lineHeight)-4) // a text longer than a page is cut
	height := float64(most)*lineHeight + 1
	if s.room(height) && t.Head != nil && !head {
		s.row(t, t.Head, true)
	}
	left, top := s.doc.GetXY()
	at := left
	for i := range row {
		s.dress(t.style(i, head))
		for j, text := range split[i][:min(len(split[i]), most)] {
			s.doc.SetXY(at, top+0.5+float64(j)*lineHeight)
			s.doc.CellFormat(t.Widths[i], lineHeight, text, "", 0, t.Align[i:i+1], false, 0, "")
		}
		at += t.Widths[i]
	}
	s.doc.Line(left, top, at, top)
	s.doc.SetXY(left, top+height)
}
