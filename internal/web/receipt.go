package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-pdf/fpdf"
	"rsc.io/qr"

	"tenu/internal/customer"
)

type receiptPage struct {
	page
	View shown
}

// receiptOf is the purchase of a receipt: the payer's, once it has its outcome.
func (v *visit) receiptOf() (x shown, ok bool) {
	view, err := v.cfg.Customers.Purchase(v.r.Context(), v.number, v.r.PathValue("reference"))
	if err == nil {
		if x = v.speaker.purchase(&view); !x.HasReceipt {
			err = customer.ErrNotFound
		}
	}
	if err != nil {
		v.fail(err)
	}
	return x, err == nil
}

func (w *Web) receipt(v *visit) {
	if x, ok := v.receiptOf(); ok {
		v.show(http.StatusOK, "receipt", &receiptPage{v.page("purchases"), x})
	}
}

// receiptCode draws the reference as a QR code.
func (w *Web) receiptCode(v *visit) {
	x, ok := v.receiptOf()
	if !ok {
		return
	}
	code, err := qr.Encode(x.Reference, qr.M)
	if err != nil {
		v.fail(fmt.Errorf("draw the code of %s: %w", x.Reference, err))
		return
	}
	var path strings.Builder
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+4, y+4)
			}
		}
	}
	size := code.Size + 8
	h := v.w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", "private, max-age=86400")
	v.write(http.StatusOK, fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="%s"/></svg>`,
		size, size, size, size, path.String()))
}

// receiptPaper is the receipt as a page of A6, for a printer or a message.
func (w *Web) receiptPaper(v *visit) {
	x, ok := v.receiptOf()
	if !ok {
		return
	}
	body, err := v.paper(&x)
	if err != nil {
		v.fail(fmt.Errorf("print the receipt of %s: %w", x.Reference, err))
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", `inline; filename="tenu-`+x.Reference+`.pdf"`)
	h.Set("Cache-Control", "private, no-store")
	_, _ = v.w.Write(body) // a browser that left needs no answer
}

func (v *visit) paper(x *shown) ([]byte, error) {
	doc := fpdf.New("P", "mm", "A6", "")
	doc.SetTitle(v.Say("receipt")+" "+x.Reference, true)
	doc.SetLang(v.lang)
	doc.SetCreationDate(v.cfg.Clock.Now().Time())
	doc.SetModificationDate(v.cfg.Clock.Now().Time())
	doc.SetMargins(10, 10, 10)
	doc.AddPage()
	latin := doc.UnicodeTranslatorFromDescriptor("") // the built-in fonts have Windows-1252
	doc.SetFont("Helvetica", "B", 14)
	doc.CellFormat(0, 8, latin(v.cfg.Brand+" · "+v.Say("receipt")), "", 1, "", false, 0, "")
	doc.SetFont("Helvetica", "", 10)
	doc.CellFormat(0, 6, latin(x.State.Word+" "+x.Closed), "", 1, "", false, 0, "")
	doc.Ln(3)
	for _, row := range [][2]string{{v.Say("reference"), x.Reference}, {v.Say("recap_item"), x.Item}, {v.Say("recap_for"), x.For},
		{v.Say("recap_with"), x.With}, {v.Say("recap_fee"), x.Fee}, {v.Say("recap_total"), x.Total}} {
		doc.SetFont("Helvetica", "", 10)
		doc.CellFormat(38, 7, latin(row[0]), "B", 0, "", false, 0, "")
		doc.SetFont("Helvetica", "B", 10)
		doc.CellFormat(0, 7, latin(row[1]), "B", 1, "R", false, 0, "")
	}
	code, err := qr.Encode(x.Reference, qr.M)
	if err != nil {
		return nil, err
	}
	const edge = 32.0
	at, step := doc.GetY()+6, edge/float64(code.Size)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				doc.Rect(10+float64(x)*step, at+float64(y)*step, step, step, "F")
			}
		}
	}
	doc.SetXY(10, at+edge+3)
	doc.SetFont("Helvetica", "", 8)
	doc.MultiCell(0, 4, latin(v.Say("receipt_check")), "", "", false)
	var b bytes.Buffer
	if err := doc.Output(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
