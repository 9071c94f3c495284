package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"

	"tenu/internal/purchase"
)

// record keeps what happens in a world: always as a hash, and as lines where
// somebody wants to read them.
type record struct {
	sum uint64
	out io.Writer // nil for no lines
}

// note records what happens. The text must be the same on every machine.
func (w *world) note(what string, id purchase.ID, text string) {
	r := w.record
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %d %s %d %s", r.sum, w.now, what, id, text) // a hash never fails
	r.sum = h.Sum64()
	if r.out == nil {
		return
	}
	name := ""
	if id != 0 {
		name = w.keys.Reference(id).String()
	}
	_, _ = fmt.Fprintf(r.out, "%12.6fs  %-12s  %-10s %s\n", w.now.Sub(w.begins).Seconds(), name, what, text)
}

// cause is what an error means to the engine, which every store says alike.
func cause(err error) error {
	for _, meaning := range []error{purchase.ErrFenced, purchase.ErrCommitUnknown, purchase.ErrUnavailable} {
		if errors.Is(err, meaning) {
			return meaning
		}
	}
	return err
}
