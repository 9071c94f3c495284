package web

import (
	"fmt"
	"net/http"

	"tenu/internal/customer"
	"tenu/internal/receipt"
	"tenu/internal/receipt/show"
)

type receiptPage struct {
	frame
	View        shown
	Check       string // address of the page that checks this receipt
	Sequence    string
	Key, Shared string
	Logged      bool // a proof goes along
}

// receiptOf is the receipt that the address names, of the visitor's own purchase.
func (v *visit) receiptOf() (customer.Receipt, shown, bool) {
	x, err := v.cfg.Customers.Receipt(v.r.Context(), v.number, v.r.PathValue("reference"), v.r.URL.Query().Has("shared"))
	if err != nil {
		v.fail(err)
		return x, shown{}, false
	}
	return x, v.speaker.purchase(&x.View), true
}

func (w *Web) receipt(v *visit) {
	x, view, ok := v.receiptOf()
	if !ok {
		return
	}
	v.show(http.StatusOK, "receipt", &receiptPage{frame: v.frame("purchases"), View: view, Sequence: x.Number(), Key: x.Says.Issuer, Logged: x.Logged,
		Check: receipt.Link(show.PagePath, x.Signed)})
}

// receiptCode draws the receipt's address as a QR code.
func (w *Web) receiptCode(v *visit) {
	x, _, ok := v.receiptOf()
	if !ok {
		return
	}
	code, err := show.Code(x.Link)
	if err != nil {
		v.fail(fmt.Errorf("receipt of %s: %w", x.View.Reference, err))
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", "private, no-store")
	v.write(http.StatusOK, code)
}

// receiptFile is the receipt itself.
func (w *Web) receiptFile(v *visit) {
	x, _, ok := v.receiptOf()
	if !ok {
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+x.Says.File()+`"`)
	h.Set("Cache-Control", "private, no-store")
	v.write(http.StatusOK, x.File)
}

// receiptPaper is the receipt as a sheet, for a printer or a message.
func (w *Web) receiptPaper(v *visit) {
	x, view, ok := v.receiptOf()
	if !ok {
		return
	}
	body, err := show.PDF(&show.Paper{Brand: v.cfg.Brand, Title: v.Say("receipt") + " " + view.Reference, Language: v.lang, State: view.State.Word + " · " + view.Say,
		Rows: [][2]string{{v.Say("recap_item"), view.Item}, {v.Say("recap_for"), view.For}, {v.Say("recap_with"), view.With}, {v.Say("recap_fee"), view.Fee},
			{v.Say("recap_total"), view.Total}, {v.Say("receipt_paid"), v.moment(x.View.ChargedAt)}, {v.Say("receipt_by"), v.moment(x.View.ResolveBy)},
			{v.Say("receipt_number"), x.Number()}, {v.Say("receipt_key"), x.Says.Issuer}},
		Code: v.Say("receipt_scan", "Reference", view.Reference), Link: x.Link, Signed: x.File, File: x.Says.File(), Made: v.cfg.Clock.Now().Time()})
	if err != nil {
		v.fail(fmt.Errorf("receipt of %s: %w", view.Reference, err))
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", `inline; filename="`+view.Reference+`.pdf"`)
	h.Set("Cache-Control", "private, no-store")
	_, _ = v.w.Write(body) // a browser that left needs no answer
}
