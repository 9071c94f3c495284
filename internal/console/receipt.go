package console

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"tenu/internal/page"
	"tenu/internal/purchase"
	"tenu/internal/receipt"
	"tenu/internal/receipt/show"
)

// signedReceipt is a purchase's receipt as staff may have it: the copy that is made to be
// shown, by which nobody can tell the numbers. The other is its holder's alone.
type signedReceipt struct {
	receipt.Receipt
	signed []byte
	file   []byte // with the proof that it is in the log, where there is one
	link   string
}

type receiptPage struct {
	frame
	View                  brief
	Raw, Payer            string
	Sequence, Key, Check  string
	Paid, By, Fee, Charge string
	Text                  string
}

// receiptOf is the receipt that the address names.
func (v *visit) receiptOf() (*purchase.Record, *signedReceipt, bool) {
	r, ok := v.recordOf()
	if !ok {
		return nil, nil, false
	}
	if v.cfg.Receipts == nil {
		v.missing()
		return nil, nil, false
	}
	says, signed, err := v.cfg.Receipts.Issue(r, v.cfg.References.Reference(r.Purchase.ID), false)
	switch {
	case errors.Is(err, receipt.ErrNone):
		v.missing()
	case err != nil:
		v.fail(err)
	default:
		x := &signedReceipt{says, signed, signed, v.cfg.Receipts.Link(signed)}
		if v.cfg.Proofs == nil {
			return r, x, true
		}
		proof, err := v.cfg.Proofs.Prove(v.r.Context(), r)
		if err != nil {
			v.fail(err)
			return nil, nil, false
		}
		x.file = receipt.Join(signed, proof)
		return r, x, true
	}
	return nil, nil, false
}

// second is a receipt's time, nothing for none.
func (v *visit) second(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return v.moment(purchase.At(at))
}

func (c *Console) receipt(v *visit) {
	r, x, ok := v.receiptOf()
	if !ok {
		return
	}
	p := &r.Purchase
	v.show(http.StatusOK, "receipt", &receiptPage{frame: v.frame("customer"), View: v.brief(p, p.PayerNumber), Raw: p.PayerNumber.String(), Payer: v.phone(p.PayerNumber),
		Sequence: fmt.Sprint(x.Sequence), Key: x.Issuer, Check: x.link, Paid: v.second(x.ChargedAt), By: v.second(x.ResolveBy),
		Fee: v.amount(x.Fee.Minor, x.Fee.Currency), Charge: v.amount(x.Charged.Minor, x.Charged.Currency), Text: string(x.signed)})
}

func (c *Console) receiptCode(v *visit) {
	_, x, ok := v.receiptOf()
	if !ok {
		return
	}
	code, err := show.Code(x.link)
	if err != nil {
		v.fail(err)
		return
	}
	v.hand(code, "image/svg+xml", "inline")
}

func (c *Console) receiptFile(v *visit) {
	if _, x, ok := v.receiptOf(); ok {
		v.hand(x.file, "text/plain; charset=utf-8", `attachment; filename="`+x.File()+`"`)
	}
}

func (c *Console) receiptPaper(v *visit) {
	r, x, ok := v.receiptOf()
	if !ok {
		return
	}
	b := v.brief(&r.Purchase, r.Purchase.PayerNumber)
	body, err := show.PDF(&show.Paper{Brand: v.cfg.Brand, Title: v.Say("receipt") + " " + b.Reference, Language: v.lang, State: b.State.Word,
		Rows: [][2]string{{v.Say("col_what"), b.Item}, {v.Say("charged"), v.amount(x.Charged.Minor, x.Charged.Currency)}, {v.Say("fee"), v.amount(x.Fee.Minor, x.Fee.Currency)},
			{v.Say("receipt_paid"), v.second(x.ChargedAt)}, {v.Say("receipt_by"), v.second(x.ResolveBy)}, {v.Say("receipt_number"), fmt.Sprint(x.Sequence)}, {v.Say("receipt_key"), x.Issuer}},
		Code: v.Say("receipt_scan"), Link: x.link, Signed: x.file, File: x.File(), Made: v.cfg.Clock.Now().Time()})
	if err != nil {
		v.fail(err)
		return
	}
	v.hand(body, "application/pdf", `inline; filename="`+b.Reference+`.pdf"`)
}

// hand gives a file.
func (v *visit) hand(body []byte, kind, disposition string) {
	h := v.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", disposition)
	h.Set("Cache-Control", "no-store")
	page.Send(v.w, v.r, http.StatusOK, body, nil)
}
