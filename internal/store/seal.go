package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/seal"
)

// Sealing says how what holdings name as sealed is sealed, and by whom it is read.
type Sealing struct {
	Keeper *seal.Keeper
	// Now says when a data key was made.
	Now func() purchase.Instant
}

// ErrSealed says that a database holds what is sealed, and that no identity was given to read it by.
var ErrSealed = errors.New("what people wrote is sealed in this database: store.sealing with an identity is needed")

// sealer holds the data keys of a store. Without any, values are written plain.
type sealer struct {
	options *Sealing
	ring    atomic.Pointer[seal.Ring]

	mu sync.Mutex
	// lost are numbers of data keys that were looked for and are not there.
	lost map[int64]bool
}

// mostLost bounds what is looked for: behind that many numbers somebody makes them up.
const mostLost = 64

// newKeyError says that a value was sealed by a data key that this process may not have read yet.
type newKeyError struct{ id int64 }

func (e *newKeyError) Error() string { return fmt.Sprintf("data key %d is not known here", e.id) }

// sought reports whether a data key is worth looking for.
func (e *sealer) sought(id int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.options != nil && id > e.ring.Load().Last() && !e.lost[id] && len(e.lost) < mostLost
}

// took takes data keys over, and notes one that is not among them.
func (e *sealer) took(ring *seal.Ring, wanted int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ring.Last() > e.ring.Load().Last() {
		e.lost = nil
		e.ring.Store(ring)
	}
	if wanted > ring.Last() {
		if e.lost == nil {
			e.lost = map[int64]bool{}
		}
		e.lost[wanted] = true
	}
}

// text seals a text for a column of a row.
func (e *sealer) text(plain, column string, key ...any) string {
	ring := e.ring.Load()
	if plain = clean(plain); plain == care.Unreadable || ring.Last() == 0 && !seal.Sealed(plain) {
		return plain
	}
	return ring.Text(seal.Where(column, key...), plain)
}

// bytes seals bytes for a column of a row.
func (e *sealer) bytes(plain []byte, column string, key ...any) []byte {
	ring := e.ring.Load()
	if ring.Last() == 0 && !seal.Sealed(plain) {
		return plain
	}
	return ring.Bytes(seal.Where(column, key...), plain)
}

// open puts what a text says in its place. What cannot be read becomes care.Unreadable, and the log
// says why; only a data key that is newer than those here is an error, which keyed heeds.
func (s *Store) open(text *string, column string, key ...any) error {
	if !seal.Sealed(*text) {
		return nil
	}
	plain, err := s.sealer.ring.Load().OpenText(seal.Where(column, key...), *text)
	if err != nil {
		plain = care.Unreadable
	}
	*text = plain
	if again := s.newer(err); again != nil {
		return again
	}
	if err != nil && s.sealer.options != nil { // otherwise it was opened to be read without them
		s.log.Error("a sealed value cannot be read", "err", err)
	}
	return nil
}

// openRow opens what is sealed of a row, in the place of some columns' values. What cannot be read becomes care.Unreadable.
func (s *Store) openRow(h *holding, columns []string, values, key []any) (err error) {
	for i, column := range columns {
		if !slices.Contains(h.seals(), column) {
			continue
		}
		switch v := values[i].(type) {
		case string:
			err = s.open(&v, h.table+"."+column, key...)
			values[i] = v
		case []byte:
			err = s.openBytes(&v, h.table+"."+column, key...)
			values[i] = v
			if errors.Is(err, care.ErrUnreadable) {
				values[i], err = care.Unreadable, nil
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// newer is what keyed heeds, where a value did not open because its data key is newer than those here.
func (s *Store) newer(err error) error {
	var key *seal.KeyError
	if errors.As(err, &key) && s.sealer.sought(key.ID) {
		return own(&newKeyError{key.ID})
	}
	return nil
}

// openBytes is open for bytes, whose reader can do nothing without them: what cannot be read is an error.
func (s *Store) openBytes(data *[]byte, column string, key ...any) error {
	if !seal.Sealed(*data) {
		return nil
	}
	plain, err := s.sealer.ring.Load().OpenBytes(seal.Where(column, key...), *data)
	if again := s.newer(err); again != nil {
		return again
	}
	if err != nil {
		return own(fmt.Errorf("%w: %w", care.ErrUnreadable, err))
	}
	*data = plain
	return nil
}

// heed takes the newest data key up, where this process can open it, and returns its number.
func (s *Store) heed(ctx context.Context, tx *sql.Tx) (id int64, err error) {
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM sealing_key`).Scan(&id); err != nil {
		return 0, err
	}
	return id, s.newer(&seal.KeyError{ID: id})
}

// readsAll refuses what must see every text where others seal by a data key that this process cannot open.
func (s *Store) readsAll(ctx context.Context, tx *sql.Tx) error {
	id, err := s.heed(ctx, tx)
	if err == nil && id > s.sealer.ring.Load().Last() {
		err = own(fmt.Errorf("%w: no identity here opens data key %d: begin again with one that does", care.ErrUnreadable, id))
	}
	return err
}

// keyed makes a call again when it met a data key that another process made meanwhile.
func (s *Store) keyed(ctx context.Context, call func() error) error {
	for {
		err := call()
		var fresh *newKeyError
		if !errors.As(err, &fresh) {
			return err
		}
		if err := s.loadKeys(ctx, fresh.id); err != nil {
			if ctx.Err() != nil || errors.Is(err, purchase.ErrUnavailable) {
				return err
			}
			s.log.Error("a new data key cannot be opened here", "err", err)
			s.sealer.took(s.sealer.ring.Load(), fresh.id)
		}
	}
}

// loadKeys reads the data keys. wanted is why, 0 for none of them.
func (s *Store) loadKeys(ctx context.Context, wanted int64) error {
	keys, err := s.dataKeys(ctx)
	if err != nil {
		return err
	}
	ring, err := s.sealer.options.Keeper.Ring(keys)
	if err == nil && !ring.Follows(s.sealer.ring.Load()) {
		err = errors.New("those that were there are others now")
	}
	if err != nil {
		return fmt.Errorf("read the data keys: %w", err)
	}
	s.sealer.took(ring, wanted)
	return nil
}

const keyColumns = `id, recipients, wrapped`

func scanKey(row scanner, k *seal.Key) error { return row.Scan(&k.ID, &k.Recipients, &k.Wrapped) }

func (s *Store) dataKeys(ctx context.Context) ([]seal.Key, error) {
	return list(ctx, s, "read the data keys", scanKey, `SELECT `+keyColumns+` FROM sealing_key ORDER BY id`)
}

// unlock reads the data keys when a store is opened, and makes the first. Without an identity a store that has some
// stays closed; with blind set its sealed values stay unreadable instead.
func (s *Store) unlock(ctx context.Context, blind bool) error {
	keys, err := s.dataKeys(ctx)
	switch {
	case err != nil:
		return err
	case s.sealer.options == nil && len(keys) > 0 && !blind:
		return fmt.Errorf("%w of %s", ErrSealed, strings.ReplaceAll(keys[len(keys)-1].Recipients, " ", " or "))
	case s.sealer.options == nil:
		return nil
	case len(keys) == 0:
		first, err := s.sealer.options.Keeper.Make(seal.Key{})
		if err == nil {
			err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return s.addKey(ctx, tx, first) })
		}
		if err != nil {
			return fmt.Errorf("make the first data key: %w", err)
		}
	}
	for i := range keys {
		if keys[i].Recipients != s.sealer.options.Keeper.Recipients() {
			s.log.Warn("a data key is for other recipients than store.sealing names: tenu seal rotate makes it theirs", "key", keys[i].ID)
		}
	}
	return s.loadKeys(ctx, 0)
}

// addKey adds a data key, unless another process was faster.
func (s *Store) addKey(ctx context.Context, tx *sql.Tx, k seal.Key) error {
	_, err := change(ctx, tx, `INSERT INTO sealing_key (id, at, recipients, wrapped) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		k.ID, int64(s.sealer.options.Now()), k.Recipients, k.Wrapped)
	return err
}

// fresh are the IDs of the next rows of a table: what is sealed for a row needs to know it beforehand.
func (s *Store) fresh(ctx context.Context, tx *sql.Tx, table string, rows int) ([]int64, error) {
	if rows == 0 {
		return nil, nil
	}
	found, err := numbers(ctx, tx, s.db.dialect().fresh, table, rows)
	if err == nil && len(found) != rows {
		err = fmt.Errorf("%d IDs of %s were asked for, and %d came", rows, table, len(found))
	}
	return found, err
}

// unlessUnreadable keeps a column as it is where what is assigned to it could not be read before.
func unlessUnreadable(assignments, column string) string {
	before, after, _ := strings.Cut(assignments, column+` = $`)
	place, rest, _ := strings.Cut(after, `,`)
	if rest != "" {
		rest = `,` + rest
	}
	value := `CAST($` + place + ` AS TEXT)`
	return before + column + ` = CASE WHEN ` + value + ` = '` + care.Unreadable + `' THEN ` + column + ` ELSE ` + value + ` END` + rest
}
