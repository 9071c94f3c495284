package customer

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"tenu/internal/purchase"
	"tenu/internal/receipt"
)

// Receipts makes receipts; *receipt.Issuer is one.
type Receipts interface {
	Issue(r *purchase.Record, reference purchase.Reference, open bool) (receipt.Receipt, []byte, error)
	Link(signed []byte) string
}

// Proofs proves a purchase's last change in the log, nil while it is in no signed tree; *evidence.Prover does.
type Proofs interface {
	Prove(ctx context.Context, r *purchase.Record) ([]byte, error)
}

// Receipt is a purchase's receipt, for who paid.
type Receipt struct {
	View   View
	Says   receipt.Receipt
	Signed []byte // the receipt itself
	Link   string // the same, as an address of the page that checks it
	File   []byte // what is to be kept: the receipt, and the proof that it is in the log
	Logged bool   // there is a proof
}

// Number counts the receipts of a purchase.
func (x *Receipt) Number() string { return strconv.FormatInt(x.Says.Sequence, 10) }

// Moment is when the outcome was reached, or by when it will be.
func (x *Receipt) Moment() purchase.Instant {
	if x.Says.Outcome == receipt.Pending {
		return purchase.At(x.Says.ResolveBy)
	}
	return purchase.At(x.Says.At)
}

// Receipt is the newest receipt of a purchase that a number paid for, by its reference as
// people write it. It is ErrNotFound for everybody else, and while there is none. shared:
// without what its numbers could be told by, for showing to others.
func (d *Desk) Receipt(ctx context.Context, number purchase.MSISDN, reference string, shared bool) (Receipt, error) {
	id, err := d.cfg.References.Parse(reference)
	if err != nil || d.cfg.Receipts == nil {
		return Receipt{}, ErrNotFound
	}
	records, err := d.cfg.Purchases.Load(ctx, id)
	if err != nil {
		return Receipt{}, fmt.Errorf("load purchase: %w", err)
	}
	if len(records) == 0 || records[0].Purchase.PayerNumber != number {
		return Receipt{}, ErrNotFound
	}
	x := Receipt{View: d.view(number, &records[0])}
	x.Says, x.Signed, err = d.cfg.Receipts.Issue(&records[0], x.View.Reference, !shared)
	if errors.Is(err, receipt.ErrNone) {
		return Receipt{}, ErrNotFound
	}
	if err != nil {
		return Receipt{}, err
	}
	x.Link, x.File = d.cfg.Receipts.Link(x.Signed), x.Signed
	if d.cfg.Proofs != nil {
		proof, err := d.cfg.Proofs.Prove(ctx, &records[0])
		if err != nil {
			return Receipt{}, fmt.Errorf("prove receipt of %s: %w", x.View.Reference, err)
		}
		x.File, x.Logged = receipt.Join(x.Signed, proof), proof != nil
	}
	return x, nil
}
