package reconcile

import (
	"bytes"
	"slices"

	"tenu/internal/purchase"
)

// Rewrite gives the lines of a kept part to change, which says whether it changed one, and
// returns the part with those changed, or nil when none was. Lines stay in order within their part. What
// is not a part is an error, and nothing is returned.
func Rewrite(lines []byte, change func(*Line) bool) ([]byte, error) {
	raw, err := unpack(lines)
	if err != nil {
		return nil, err
	}
	var records [][]byte
	changed := false
	for rest := raw; len(rest) > 0; {
		var record []byte
		if record, rest, err = nextRecord(rest); err != nil {
			return nil, err
		}
		l, err := decodeLine(record)
		if err != nil {
			return nil, err
		}
		if change(&l) {
			record, changed = l.encode(nil), true
		}
		records = append(records, record)
	}
	if !changed {
		return nil, nil
	}
	slices.SortStableFunc(records, bytes.Compare)
	w := &partWriter{}
	for _, record := range records {
		w.add(record)
	}
	p := pack(w.end())
	return p.Lines, p.err
}

// another reports whether a line's number is another than an account. Of an account that was
// erased nobody can say.
func (l *Line) another(account purchase.MSISDN) bool {
	return l.Number != 0 && l.Number != account && !account.Erased() && !l.Number.Erased()
}
