package care

import (
	"context"

	"tenu/internal/purchase"
)

// CasesOf returns the cases of a number, newest first.
func (d *Desk) CasesOf(ctx context.Context, number purchase.MSISDN, limit int) ([]Case, error) {
	return d.store.CasesOf(ctx, number, limit)
}

// CasesAbout returns the cases of purchases, merged ones left out.
func (d *Desk) CasesAbout(ctx context.Context, purchases ...purchase.ID) ([]Case, error) {
	return d.store.CasesAbout(ctx, purchases...)
}

// History returns a case's entries, oldest first.
func (d *Desk) History(ctx context.Context, id CaseID) ([]Entry, error) {
	return d.store.History(ctx, id)
}

// MessagesOf returns what customers were told of a case, oldest first.
func (d *Desk) MessagesOf(ctx context.Context, id CaseID) ([]Message, error) {
	return d.store.MessagesOf(ctx, id, 0)
}
