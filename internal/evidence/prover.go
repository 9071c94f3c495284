package evidence

import (
	"context"
	"errors"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/purchase"
)

// Prover proves entries of the log that a store keeps, by its last checkpoint as the witnesses cosigned it. It is safe for
// concurrent use.
type Prover struct {
	Store interface {
		Store
		Finder
	}
	Log note.Verifier
}

// Prove is the proof, as a file, of a purchase's last change. It is nil while that is in no signed tree: as a rule for a
// second or two.
func (p *Prover) Prove(ctx context.Context, r *purchase.Record) ([]byte, error) {
	from := FromStore{p.Store}
	checkpoint, err := from.Checkpoint(ctx)
	if errors.Is(err, ErrMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	head, _, err := OpenCheckpoint(checkpoint, p.Log)
	if err != nil {
		return nil, err
	}
	found, err := Find(ctx, p.Store, Purchase, int64(r.Purchase.ID), Instants(r)...)
	if err != nil {
		return nil, err
	}
	for i := range found {
		f := &found[i]
		if f.Version != r.Purchase.Version || f.Index >= head.Size {
			continue
		}
		path, err := NewReader(ctx, from, head).Prove(f.Index)
		if err != nil {
			return nil, err
		}
		return (&Proof{Leaf: f.Leaf, Index: f.Index, Path: path, Checkpoint: checkpoint}).Text(), nil
	}
	return nil, nil
}
