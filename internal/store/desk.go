package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

const (
	lookColumns       = `id, at, staff, number, purchase, case_id, reason`
	attachmentColumns = `case_id, at, staff, size, by_kind, by_name, name, type`
	bulkColumns       = `version, staff, at, go_at, closed_at, done, failed, undone, deed, cases`
)

func (s *Store) scanLook(row scanner, l *care.Look) error {
	var id int64
	if err := row.Scan(&id, &l.At, &l.Staff, &l.Number, &l.Purchase, &l.Case, &l.Reason); err != nil {
		return err
	}
	return s.open(&l.Reason, "look.reason", id)
}

func (s *Store) scanAttachment(row scanner, a *care.Attachment) error {
	if err := row.Scan(&a.ID, &a.Case, &a.At, &a.By.Staff, &a.Size, &a.By.Kind, &a.By.Name, &a.Name, &a.Type); err != nil {
		return err
	}
	return s.open(&a.Name, "attachment.name", a.ID)
}

func (s *Store) scanBulk(row scanner, b *care.Bulk) error {
	var deed, cases string
	if err := row.Scan(&b.ID, &b.Version, &b.Staff, &b.At, &b.GoAt, &b.ClosedAt, &b.Done, &b.Failed, &b.Undone, &deed, &cases); err != nil {
		return err
	}
	if err := s.open(&deed, "bulk.deed", int64(b.ID)); err != nil {
		return err
	}
	if deed == care.Unreadable {
		b.Deed.Text = deed
		return nil
	}
	if err := json.Unmarshal([]byte(deed), &b.Deed); err != nil {
		return fmt.Errorf("read a plan's deed: %w", err)
	}
	if err := json.Unmarshal([]byte(cases), &b.Cases); err != nil {
		return fmt.Errorf("read a plan's cases: %w", err)
	}
	return nil
}

// AddLook is care.DeskStore.
func (s *Store) AddLook(ctx context.Context, l care.Look) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := s.fresh(ctx, tx, "look", 1)
		if err != nil {
			return err
		}
		_, err = change(ctx, tx, `INSERT INTO look (`+lookColumns+`) VALUES (`+placed(lookColumns)+`)`, rows[0], int64(l.At), int64(l.Staff), int64(l.Number),
			int64(l.Purchase), int64(l.Case), s.sealer.text(l.Reason, "look.reason", rows[0]))
		return err
	})
	if err != nil {
		return fmt.Errorf("add a look: %w", err)
	}
	return nil
}

// Looks is care.DeskStore.
func (s *Store) Looks(ctx context.Context, number purchase.MSISDN, staff auth.StaffID, limit int) ([]care.Look, error) {
	var w where
	if number != 0 {
		w.and(`number = ?`, int64(number))
	}
	if staff != 0 {
		w.and(`staff = ?`, int64(staff))
	}
	return list(ctx, s, "read looks", s.scanLook, `SELECT `+lookColumns+` FROM look`+w.text.String()+` ORDER BY id DESC LIMIT `+w.value(limit), w.arguments...)
}

// Macros is care.DeskStore.
func (s *Store) Macros(ctx context.Context) ([]care.Macro, error) {
	d := s.db.dialect()
	return list(ctx, s, "read macros", func(row scanner, m *care.Macro) error { return row.Scan(&m.Name, &m.Language, &m.Text, &m.Version) },
		`SELECT name, language, text, version FROM macro ORDER BY name`+d.bytewise+`, language`+d.bytewise)
}

// PutMacro is care.DeskStore.
func (s *Store) PutMacro(ctx context.Context, m care.Macro) error {
	statement, values := `UPDATE macro SET text = $3, version = version + 1 WHERE name = $1 AND language = $2 AND version = $4 - 1`,
		[]any{clean(m.Name), clean(string(m.Language)), clean(m.Text), m.Version}
	switch {
	case m.Text == "":
		statement = `DELETE FROM macro WHERE name = $1 AND language = $2 AND $3 = '' AND version = $4 - 1`
	case m.Version == 1:
		statement = `INSERT INTO macro (name, language, text, version) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	}
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, statement, values...)
		if err == nil && n == 0 {
			return own(care.ErrStale)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("put a macro: %w", err)
	}
	return nil
}

// AddAttachment is care.DeskStore.
func (s *Store) AddAttachment(ctx context.Context, a care.Attachment) (id int64, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lockTally(ctx, tx, fmt.Sprintf("attachment/%d", a.Case), 0); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM attachment WHERE case_id = $1`, int64(a.Case)).Scan(&count); err != nil {
			return err
		}
		if count >= care.MaxAttachments {
			return own(care.ErrFull)
		}
		rows, err := s.fresh(ctx, tx, "attachment", 1)
		if err != nil {
			return err
		}
		id = rows[0]
		_, err = change(ctx, tx, `INSERT INTO attachment (id, `+attachmentColumns+`, data) VALUES (`+placed(`id, `+attachmentColumns+`, data`)+`)`,
			id, int64(a.Case), int64(a.At), int64(a.By.Staff), len(a.Data), int64(a.By.Kind), clean(a.By.Name), s.sealer.text(a.Name, "attachment.name", id),
			clean(a.Type), s.sealer.bytes(a.Data, "attachment.data", id))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("add an attachment: %w", err)
	}
	return id, nil
}

// Attachments is care.DeskStore.
func (s *Store) Attachments(ctx context.Context, id care.CaseID) ([]care.Attachment, error) {
	return list(ctx, s, "read attachments", s.scanAttachment, `SELECT id, `+attachmentColumns+` FROM attachment WHERE case_id = $1 ORDER BY id`, int64(id))
}

// Attachment is care.DeskStore.
func (s *Store) Attachment(ctx context.Context, id care.CaseID, attachment int64) (care.Attachment, error) {
	return one(ctx, s, "read an attachment", care.ErrNotFound, func(row scanner, a *care.Attachment) error {
		if err := row.Scan(&a.ID, &a.Case, &a.At, &a.By.Staff, &a.Size, &a.By.Kind, &a.By.Name, &a.Name, &a.Type, &a.Data); err != nil {
			return err
		}
		if err := s.open(&a.Name, "attachment.name", a.ID); err != nil {
			return err
		}
		return s.openBytes(&a.Data, "attachment.data", a.ID)
	}, `SELECT id, `+attachmentColumns+`, data FROM attachment WHERE id = $1 AND case_id = $2`, attachment, int64(id))
}

// AddBulk is care.DeskStore.
func (s *Store) AddBulk(ctx context.Context, b care.Bulk) (id care.BulkID, err error) {
	deed, err := json.Marshal(b.Deed)
	if err != nil {
		return 0, fmt.Errorf("write a plan's deed: %w", err)
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := s.fresh(ctx, tx, "bulk", 1)
		if err != nil {
			return err
		}
		id = care.BulkID(rows[0])
		_, err = change(ctx, tx, `INSERT INTO bulk (id, `+bulkColumns+`) VALUES (`+placed("id, "+bulkColumns)+`)`,
			rows[0], b.Version, int64(b.Staff), int64(b.At), int64(b.GoAt), int64(b.ClosedAt), int64(b.Done), int64(b.Failed), flag(b.Undone),
			s.sealer.text(string(deed), "bulk.deed", rows[0]), jsonText(ids(b.Cases)))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("add a plan: %w", err)
	}
	return id, nil
}

// MoveBulk is care.DeskStore.
func (s *Store) MoveBulk(ctx context.Context, b care.Bulk) (moved bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `UPDATE bulk SET version = $1, done = $2, failed = $3, undone = $4, closed_at = $5
			WHERE id = $6 AND version = $1 - 1 AND closed_at = 0`, b.Version, int64(b.Done), int64(b.Failed), flag(b.Undone), int64(b.ClosedAt), int64(b.ID))
		moved = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("change plan %d: %w", b.ID, err)
	}
	return moved, nil
}

// Bulks is care.DeskStore. A plan that cannot be read is not carried out, and not shown.
func (s *Store) Bulks(ctx context.Context, staff auth.StaffID, since purchase.Instant) ([]care.Bulk, error) {
	var w where
	w.and(`(closed_at = 0 OR closed_at >= ?)`, int64(since))
	if staff != 0 {
		w.and(`staff = ?`, int64(staff))
	}
	all, err := list(ctx, s, "read plans", s.scanBulk, `SELECT id, `+bulkColumns+` FROM bulk`+w.text.String()+` ORDER BY id`, w.arguments...)
	return slices.DeleteFunc(all, func(b care.Bulk) bool { return b.Deed.Do == "" && b.Deed.Text == care.Unreadable }), err
}

// Changed is care.DeskStore.
func (s *Store) Changed(ctx context.Context, since purchase.Instant, limit int) ([]care.CaseID, error) {
	return list(ctx, s, "read changed cases", func(row scanner, id *care.CaseID) error { return row.Scan(id) },
		`SELECT id FROM case_file WHERE changed_at >= $1 ORDER BY changed_at, id LIMIT $2`, int64(since), limit)
}

// Calls is care.DeskStore.
func (s *Store) Calls(ctx context.Context, numbers ...purchase.MSISDN) (map[purchase.MSISDN]int64, error) {
	changes := map[purchase.MSISDN]int64{}
	if len(numbers) == 0 {
		return changes, nil
	}
	d := s.db.dialect()
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var number purchase.MSISDN
			var sum int64
			err := rows.Scan(&number, &sum)
			changes[number] = sum
			return err
		}, `SELECT number, CAST(sum(version) AS BIGINT) FROM callback WHERE number`+d.among+` GROUP BY number`, d.list(ids(numbers)))
	})
	if err != nil {
		return nil, fmt.Errorf("read changes of callbacks: %w", err)
	}
	return changes, nil
}

// Versions is care.DeskStore.
func (s *Store) Versions(ctx context.Context, purchases ...purchase.ID) (map[purchase.ID]int64, error) {
	versions := map[purchase.ID]int64{}
	if len(purchases) == 0 {
		return versions, nil
	}
	d := s.db.dialect()
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var id purchase.ID
			var version int64
			err := rows.Scan(&id, &version)
			versions[id] = version
			return err
		}, `SELECT id, version FROM purchase WHERE id`+d.among, d.list(ids(purchases)))
	})
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	return versions, nil
}

// Begun returns the purchases that some numbers paid for or received since an instant,
// by number.
func (s *Store) Begun(ctx context.Context, since purchase.Instant, numbers ...purchase.MSISDN) (map[purchase.MSISDN][]purchase.ID, error) {
	begun := map[purchase.MSISDN][]purchase.ID{}
	if len(numbers) == 0 {
		return begun, nil
	}
	d := s.db.dialect()
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var number purchase.MSISDN
			var id purchase.ID
			err := rows.Scan(&number, &id)
			begun[number] = append(begun[number], id)
			return err
		}, `SELECT recipient, id FROM purchase WHERE recipient`+d.among+` AND created_at >= $2 UNION ALL
			SELECT payer_number, id FROM purchase WHERE payer_number`+d.among+` AND payer_number <> recipient AND created_at >= $2`, d.list(ids(numbers)), int64(since))
	})
	if err != nil {
		return nil, fmt.Errorf("read what began: %w", err)
	}
	return begun, nil
}
