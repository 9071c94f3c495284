package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"tenu/internal/care"
	"tenu/internal/notify"
	"tenu/internal/purchase"
)

const (
	messageColumns     = `to_number, case_id, callback, at, sent_at, language, text, once`
	messageColumnsRead = `id, to_number, case_id, callback, at, sent_at, language, text, coalesce(once, '')`
)

func (s *Store) scanMessage(row scanner, m *care.Message) error {
	if err := row.Scan(&m.ID, &m.To, &m.Case, &m.Callback, &m.At, &m.SentAt, &m.Language, &m.Text, &m.Key); err != nil {
		return err
	}
	return s.open(&m.Text, "care_message.text", m.ID)
}

// addMessages adds what a customer is told of a case, or of a callback, unless the message
// itself says otherwise. Those whose key is there already are left out.
func (s *Store) addMessages(ctx context.Context, tx *sql.Tx, messages []care.Message, id care.CaseID, callback int64) error {
	rows, err := s.fresh(ctx, tx, "care_message", len(messages))
	if err != nil {
		return err
	}
	for i := range messages {
		m := messages[i]
		if m.Case == 0 {
			m.Case = id
		}
		if m.Callback == 0 {
			m.Callback = callback
		}
		once := sql.NullString{String: clean(m.Key), Valid: m.Key != ""}
		if _, err := change(ctx, tx, `INSERT INTO care_message (id, `+messageColumns+`) VALUES (`+placed("id, "+messageColumns)+`) ON CONFLICT DO NOTHING`,
			rows[i], int64(m.To), int64(m.Case), m.Callback, int64(m.At), int64(m.SentAt), clean(string(m.Language)),
			s.sealer.text(m.Text, "care_message.text", rows[i]), once); err != nil {
			return err
		}
	}
	return nil
}

// Write keeps messages that belong to no case and no callback. Those whose key is there already
// are left out. Durable on return, all or none.
func (s *Store) Write(ctx context.Context, messages []care.Message) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return s.addMessages(ctx, tx, messages, 0, 0) })
}

// MessagesOf is care.CaseStore.
func (s *Store) MessagesOf(ctx context.Context, id care.CaseID, callback int64) ([]care.Message, error) {
	about, value := `case_id <> 0 AND case_id = $1`, int64(id)
	if callback != 0 {
		about, value = `callback <> 0 AND callback = $1`, callback
	}
	return list(ctx, s, "read messages", s.scanMessage, `SELECT `+messageColumnsRead+` FROM care_message WHERE `+about+` ORDER BY id`, value)
}

// Letters are the messages of cases and callbacks, as an outbox delivers them: each as the
// first notice of a purchase that has the message's ID.
type Letters struct{ store *Store }

var _ notify.Store = Letters{}

// NewLetters returns the letters of a store.
func NewLetters(s *Store) Letters { return Letters{s} }

// UnsentNotices is notify.Store.
func (l Letters) UnsentNotices(ctx context.Context, limit int) ([]purchase.Notice, error) {
	notices, err := list(ctx, l.store, "read unsent messages", func(row scanner, n *purchase.Notice) error {
		n.Fact = 1
		if err := row.Scan(&n.Purchase, &n.To, &n.Language, &n.Text, &n.At); err != nil {
			return err
		}
		return l.store.open(&n.Text, "care_message.text", int64(n.Purchase))
	}, `SELECT id, to_number, language, text, at FROM care_message WHERE sent_at = 0 AND `+reachable+` ORDER BY at, id LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	return readable(notices, limit)
}

// readable leaves out what nobody can be sent because it cannot be read. When that is all there was room for, what
// stands behind it would wait in silence: that is an error.
func readable(notices []purchase.Notice, limit int) ([]purchase.Notice, error) {
	found := len(notices)
	notices = slices.DeleteFunc(notices, func(n purchase.Notice) bool { return n.Text == care.Unreadable })
	if len(notices) == 0 && found == limit && limit > 0 {
		return nil, fmt.Errorf("read unsent messages: %d of %d: %w", found, limit, care.ErrUnreadable)
	}
	return notices, nil
}

// NewestUnsent is notify.Store.
func (l Letters) NewestUnsent(ctx context.Context) (at purchase.Instant, err error) {
	return one(ctx, l.store, "read the newest unsent message", sql.ErrNoRows, func(row scanner, at *purchase.Instant) error { return row.Scan(at) },
		`SELECT coalesce(max(at), 0) FROM care_message WHERE sent_at = 0 AND `+reachable)
}

// MarkSent is notify.Store.
func (l Letters) MarkSent(ctx context.Context, notices []purchase.Notice, at purchase.Instant) error {
	if len(notices) == 0 {
		return nil
	}
	sent := make([]int64, len(notices))
	for i := range notices {
		sent[i] = int64(notices[i].Purchase)
	}
	d := l.store.db.dialect()
	err := l.store.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `UPDATE care_message SET sent_at = $2 WHERE sent_at = 0 AND id`+d.among, d.list(sent), int64(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("mark %d messages as sent: %w", len(notices), err)
	}
	return nil
}
