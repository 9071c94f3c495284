package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenu/internal/care"
	"tenu/internal/seal"
)

// SealWork is what SealRows is to do with the values of the columns that are sealed.
type SealWork struct {
	// Again seals also what an older data key sealed.
	Again bool
	// Check only looks: what is plain is counted, and everything else opened.
	Check bool
	// Progress is told of each table before it is gone through. It may be nil.
	Progress func(table string, done, total int)
}

// SealedRows is what was found and done.
type SealedRows struct {
	Sealed int64 `json:"sealed"` // values that are sealed by the newest data key since
	Plain  int64 `json:"plain"`  // values that are not sealed, of a check
	Opened int64 `json:"opened"` // values that a check opened
	Older  int64 `json:"older"`  // values of these that are not sealed by the newest data key
	Lost   int64 `json:"lost"`   // values that cannot be read
	// Places name the first of those, with why.
	Places []string `json:"places"`
}

// placesTold bounds the places that are named.
const placesTold = 100

// ErrPlain says that sealing is not switched on.
var ErrPlain = errors.New("nothing is sealed: store.sealing is needed")

// How many rows one batch has, and how many where they are files.
const (
	sealedAtOnce = 200
	filesAtOnce  = 8
)

// SealRows seals what was written before sealing began, in batches, while others work. What is changed meanwhile
// is left to whoever changes it. It is safe to stop and to call again: what is done is passed over. A value that cannot be read
// stays as it is, and is told.
func (s *Store) SealRows(ctx context.Context, w SealWork) (r SealedRows, err error) {
	if s.sealer.options == nil {
		return r, ErrPlain
	}
	if err := s.loadKeys(ctx, 0); err != nil {
		return r, err
	}
	var tables []*holding
	for i := range holdings {
		if holdings[i].sealed != "" {
			tables = append(tables, &holdings[i])
		}
	}
	r.Places = []string{}
	for i, h := range tables {
		if w.Progress != nil {
			w.Progress(h.table, i, len(tables))
		}
		if err := s.sealTable(ctx, h, &w, &r); err != nil {
			return r, fmt.Errorf("seal %s: %w", h.table, err)
		}
	}
	return r, nil
}

// keptRow is a row with the values of its sealed columns, as they are stored.
type keptRow struct{ key, values []any }

func (s *Store) sealTable(ctx context.Context, h *holding, w *SealWork, r *SealedRows) error {
	for after := []any(nil); ; {
		batch, err := s.toSeal(ctx, h, w, after)
		if err != nil || len(batch) == 0 {
			return err
		}
		if err := s.sealBatch(ctx, h, w, batch, r); err != nil {
			return err
		}
		after = batch[len(batch)-1].key
	}
}

// toSeal reads the next rows that have something to do.
func (s *Store) toSeal(ctx context.Context, h *holding, w *SealWork, after []any) (batch []keptRow, err error) {
	keys := h.keys()
	list := strings.Join(keys, `, `)
	newest := s.sealer.ring.Load().Last()
	var q where
	var either []string
	for _, column := range h.seals() {
		condition := `length(` + column + `) > 0`
		switch {
		case w.Check:
		case slices.Contains(strings.Fields(h.own), column):
			condition += unsealed[[]byte](&q, column, w.Again, newest)
		default:
			condition += unsealed[string](&q, column, w.Again, newest)
		}
		either = append(either, condition)
	}
	q.and(`(` + strings.Join(either, ` OR `) + `)`)
	if after != nil {
		q.and(`(`+list+`) > (`+strings.Repeat(`?, `, len(keys)-1)+`?)`, after...)
	}
	most := sealedAtOnce
	if h.own != "" {
		most = filesAtOnce
	}
	err = s.longer(ctx, func(ctx context.Context, tx *sql.Tx) error {
		batch = nil
		return each(ctx, tx, func(rows *sql.Rows) error {
			values, err := scanAny(rows, len(keys)+len(h.seals()))
			batch = append(batch, keptRow{values[:len(keys)], values[len(keys):]})
			return err
		}, `SELECT `+strings.Join(slices.Concat(keys, h.seals()), `, `)+` FROM `+h.table+q.text.String()+` ORDER BY `+list+` LIMIT `+strconv.Itoa(most), q.arguments...)
	})
	return batch, err
}

// unsealed is the condition that a column is not sealed or, with again, not by the newest data key.
func unsealed[T string | []byte](q *where, column string, again bool, newest int64) string {
	begins := func(with T) string {
		return `substr(` + column + `, 1, ` + strconv.Itoa(len(with)) + `) = ` + q.value(with)
	}
	if again {
		return ` AND NOT ` + begins(seal.Prefix[T](newest))
	}
	plain := seal.Plain[T]()
	return ` AND (NOT ` + begins(plain[:len(seal.Mark)]) + ` OR ` + begins(plain) + `)`
}

// sealBatch does what is to be done with rows, in one transaction.
func (s *Store) sealBatch(ctx context.Context, h *holding, w *SealWork, batch []keptRow, r *SealedRows) error {
	var done SealedRows
	one := func(ctx context.Context, tx *sql.Tx) error {
		done = SealedRows{}
		for i := range batch {
			for j, column := range h.seals() {
				if err := s.sealValue(ctx, tx, h, w, &batch[i], j, column, &done); err != nil {
					return err
				}
			}
		}
		return nil
	}
	var err error
	if w.Check {
		err = s.keyed(ctx, func() error { return one(ctx, nil) })
	} else {
		err = s.update(ctx, one)
	}
	if err != nil {
		return err
	}
	r.Sealed, r.Plain, r.Opened, r.Lost = r.Sealed+done.Sealed, r.Plain+done.Plain, r.Opened+done.Opened, r.Lost+done.Lost
	r.Older += done.Older
	r.Places = append(r.Places, done.Places[:min(len(done.Places), placesTold-len(r.Places))]...)
	return nil
}

// sealValue does what is to be done with one value. It is written only where it is still what was read.
func (s *Store) sealValue(ctx context.Context, tx *sql.Tx, h *holding, w *SealWork, row *keptRow, at int, column string, done *SealedRows) (err error) {
	var now any
	var sealed, same bool
	switch v := row.values[at].(type) {
	case string:
		now, sealed, same, err = sealedAgain(s.sealer, v, w, h.table+"."+column, row.key, (*seal.Ring).OpenText, (*seal.Ring).Text)
	case []byte:
		now, sealed, same, err = sealedAgain(s.sealer, v, w, h.table+"."+column, row.key, (*seal.Ring).OpenBytes, (*seal.Ring).Bytes)
	}
	if again := s.newer(err); again != nil {
		return again
	}
	switch {
	case err != nil:
		done.Lost++
		done.Places = append(done.Places, err.Error())
		return nil
	case w.Check && sealed:
		done.Opened++
		if !same {
			done.Older++
		}
		return nil
	case w.Check && !same:
		done.Plain++
		return nil
	case same || w.Check:
		return nil
	}
	var q where
	for i, k := range h.keys() {
		q.and(k+` = ?`, row.key[i])
	}
	q.and(column+` = ?`, row.values[at])
	n, err := change(ctx, tx, `UPDATE `+h.table+` SET `+column+` = `+q.value(now)+q.text.String(), q.arguments...)
	done.Sealed += int64(n)
	return err
}

// sealedAgain is a stored value as it is to be. sealed says that it is sealed already, same that nothing is to be done, or to a check that the
// newest data key sealed it.
func sealedAgain[T string | []byte](e *sealer, v T, w *SealWork, column string, key []any, open func(*seal.Ring, string, T) (T, error),
	shut func(*seal.Ring, string, T) T) (now T, sealed, same bool, err error) {
	ring, place := e.ring.Load(), seal.Where(column, key...)
	newest, zero := seal.Prefix[T](ring.Last()), seal.Plain[T]()
	sealed = seal.Sealed(v) && !strings.HasPrefix(string(v), string(zero))
	if len(v) == 0 || string(v) == care.Unreadable || !w.Check && sealed && (!w.Again || strings.HasPrefix(string(v), string(newest))) {
		return v, sealed, true, nil
	}
	plain, err := open(ring, place, v)
	if err != nil || w.Check {
		return v, sealed, strings.HasPrefix(string(v), string(newest)), err
	}
	return shut(ring, place, plain), sealed, false, nil
}

// RotateKeys makes a new data key, by which everything is sealed from now on, and encrypts the older ones for the
// recipients of now: an identity that is none of theirs opens nothing any more that is in the database. It returns the new key's number.
// Nodes that run take it over when they first meet it. Durable on return.
func (s *Store) RotateKeys(ctx context.Context) (id int64, err error) {
	if s.sealer.options == nil {
		return 0, ErrPlain
	}
	keeper := s.sealer.options.Keeper
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lockTally(ctx, tx, "sealing key", 0); err != nil {
			return err
		}
		keys, err := gather(ctx, tx, scanKey, `SELECT `+keyColumns+` FROM sealing_key ORDER BY id`)
		if err != nil {
			return err
		}
		if _, err := keeper.Ring(keys); err != nil { // what somebody else put there gets no proof from us
			return own(err)
		}
		var last seal.Key
		for _, k := range keys {
			if last, err = keeper.Again(k); err != nil {
				return own(err)
			}
			if _, err := change(ctx, tx, `UPDATE sealing_key SET recipients = $2, wrapped = $3 WHERE id = $1`, last.ID, last.Recipients, last.Wrapped); err != nil {
				return err
			}
		}
		fresh, err := keeper.Make(last)
		if err != nil {
			return own(err)
		}
		id = fresh.ID
		return s.addKey(ctx, tx, fresh)
	})
	if err == nil {
		err = s.loadKeys(ctx, 0)
	}
	if err != nil {
		return 0, fmt.Errorf("rotate data keys: %w", err)
	}
	return id, nil
}
