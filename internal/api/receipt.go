package api

import (
	"context"
	"errors"
	"time"

	"tenu/internal/receipt"
)

// Receipt is a purchase's receipt, and what it says.
type Receipt struct {
	Reference string     `json:"reference" example:"K7M2-Q4XD-9T"`
	Sequence  int64      `json:"sequence" doc:"Of two receipts of a purchase the higher is the newer." example:"3"`
	Issuer    string     `json:"issuer" doc:"The key that signs, by its name and ID." example:"tenu.example+3fa2b1c0"`
	Charged   Amount     `json:"charged" doc:"As evidenced."`
	Fee       Amount     `json:"fee" doc:"Part of what was charged."`
	ChargedAt *time.Time `json:"charged_at,omitempty" doc:"Of the charge evidence."`
	ResolveBy *time.Time `json:"resolve_by,omitempty" doc:"Credited or refunded by then."`
	Outcome   string     `json:"outcome" enum:"pending,refunding,credited,refunded,declined" example:"credited"`
	At        *time.Time `json:"at,omitempty" doc:"Of the outcome; of a refund under way, by when."`
	Text      string     `json:"text" doc:"The receipt itself: what is to be kept, and all that is signed."`
	Link      string     `json:"link" doc:"The same as an address, for a QR code."`
	Logged    bool       `json:"logged" doc:"Whether the log has signed this entry: a second or two after it was made, as a rule."`
	Proof     string     `json:"proof,omitempty" doc:"Where it has, the proof, to be kept behind the text and an empty line (C2SP tlog-proof, with the signed checkpoint). Ask again for it where it is absent."`
}

type receiptIn struct {
	Reference string `path:"reference" doc:"The purchase's reference, as people write it." example:"K7M2-Q4XD-9T"`
	Shared    bool   `query:"shared" doc:"Without what its numbers could be told by, for showing to others."`
}

type receiptOut struct{ Body Receipt }

// receipt gives a purchase's newest receipt.
func (a *API) receipt(ctx context.Context, in *receiptIn) (*receiptOut, error) {
	record, p := a.own(ctx, in.Reference)
	if p != nil {
		return nil, p
	}
	if a.receipts == nil {
		return nil, problem(CodeReceipt, "this installation signs no receipts")
	}
	x, signed, err := a.receipts.Issue(record, a.keys.Reference(record.Purchase.ID), !in.Shared)
	switch {
	case errors.Is(err, receipt.ErrNone):
		return nil, problem(CodeReceipt, "nothing is charged or declined yet, or the payer's data was erased")
	case err != nil:
		return nil, refusal(err, "")
	}
	var proof []byte
	if a.proofs != nil {
		if proof, err = a.proofs.Prove(ctx, record); err != nil {
			return nil, refusal(err, "")
		}
	}
	return &receiptOut{Receipt{Logged: proof != nil, Proof: string(proof), Reference: x.Reference.String(), Sequence: x.Sequence, Issuer: x.Issuer, Charged: amount(x.Charged.Minor, x.Charged.Currency), Fee: amount(x.Fee.Minor, x.Fee.Currency),
		ChargedAt: timeOf(x.ChargedAt), ResolveBy: timeOf(x.ResolveBy), Outcome: string(x.Outcome), At: timeOf(x.At), Text: string(signed), Link: a.receipts.Link(signed)}}, nil
}

// timeOf is a time, nil for none.
func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
