package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// A *Store keeps incidents and pauses.
var _ incident.Store = (*Store)(nil)

const (
	incidentColumns = `version, owner, since, seen_at, paused_at, recovered_at, resolved_at, closed_at, expected_at, changed_at, told,` +
		` dimension, status, severity, share, graded, worded, name, rule, party, title, text, owed`
	incidentEntryColumns = `incident, seq, at, staff, event, text`
	holdColumns          = `at, staff, partner, reason`
)

func incidentValues(i *incident.Incident) ([]any, error) {
	title, err := json.Marshal(i.Title)
	if err != nil {
		return nil, fmt.Errorf("write a title: %w", err)
	}
	text, err := json.Marshal(i.Text)
	if err != nil {
		return nil, fmt.Errorf("write a text: %w", err)
	}
	owed := []byte(nil)
	if len(i.Owed) > 0 {
		if owed, err = json.Marshal(i.Owed); err != nil {
			return nil, fmt.Errorf("write what is owed: %w", err)
		}
	}
	return []any{i.Version, int64(i.Owner), int64(i.Since), int64(i.SeenAt), int64(i.PausedAt), int64(i.RecoveredAt), int64(i.ResolvedAt),
		int64(i.ClosedAt), int64(i.ExpectedAt), int64(i.ChangedAt), i.Told, int64(i.Series.By), int64(i.Status), int64(i.Severity),
		int64(i.Share), flag(i.Graded), flag(i.Worded), clean(i.Series.Name), clean(string(i.Rule)), clean(i.Party),
		clean(string(title)), clean(string(text)), clean(string(owed))}, nil
}

func scanIncident(row scanner, i *incident.Incident) error {
	var title, text, owed string
	if err := row.Scan(&i.ID, &i.Version, &i.Owner, &i.Since, &i.SeenAt, &i.PausedAt, &i.RecoveredAt, &i.ResolvedAt, &i.ClosedAt, &i.ExpectedAt,
		&i.ChangedAt, &i.Told, &i.Series.By, &i.Status, &i.Severity, &i.Share, &i.Graded, &i.Worded, &i.Series.Name, &i.Rule, &i.Party,
		&title, &text, &owed); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(title), &i.Title); err != nil {
		return fmt.Errorf("read a title: %w", err)
	}
	if err := json.Unmarshal([]byte(text), &i.Text); err != nil {
		return fmt.Errorf("read a text: %w", err)
	}
	if owed == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(owed), &i.Owed); err != nil {
		return fmt.Errorf("read what is owed: %w", err)
	}
	return nil
}

func scanIncidentEntry(row scanner, e *incident.Entry) error {
	return row.Scan(&e.Incident, &e.Seq, &e.At, &e.By.Staff, &e.Event, &e.Text)
}

func scanHold(row scanner, h *incident.Hold) error {
	return row.Scan(&h.At, &h.By.Staff, &h.Partner, &h.Reason)
}

// ChangeIncident is incident.Store.
func (s *Store) ChangeIncident(ctx context.Context, c incident.Change) (stored incident.Incident, err error) {
	now := c.Now
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		now = c.Now
		if err := writeIncident(ctx, tx, &now); err != nil {
			return err
		}
		for i := range c.Entries {
			e := &c.Entries[i]
			if _, err := change(ctx, tx, `INSERT INTO incident_entry (`+incidentEntryColumns+`) VALUES (`+placed(incidentEntryColumns)+`)`, int64(now.ID),
				now.Version*incident.EntriesPerVersion+int64(i), int64(e.At), int64(e.By.Staff), clean(string(e.Event)), clean(e.Text)); err != nil {
				return err
			}
		}
		for i := range c.Pauses {
			p := c.Pauses[i]
			if p.Incident == 0 {
				p.Incident = now.ID
			}
			if _, err := s.putPause(ctx, tx, p); err != nil {
				return err
			}
		}
		if err := s.addMessages(ctx, tx, c.Messages, 0, 0); err != nil {
			return err
		}
		if err := scanIncident(tx.QueryRowContext(ctx, `SELECT id, `+incidentColumns+` FROM incident WHERE id = $1`, int64(now.ID)), &stored); err != nil {
			return err
		}
		return s.leaveIncident(ctx, tx, &stored)
	})
	if errors.Is(err, errRejected) && now.Status != incident.Closed { // lost a race for the series, it may be
		if open, found := s.openOf(ctx, now.Series); found == nil && open != 0 && open != now.ID {
			err = &incident.OpenError{Incident: open}
		}
	}
	if err != nil {
		return incident.Incident{}, fmt.Errorf("change an incident: %w", err)
	}
	return stored, nil
}

// writeIncident writes the row of an incident, and gives a new one its ID.
func writeIncident(ctx context.Context, tx *sql.Tx, i *incident.Incident) error {
	values, err := incidentValues(i)
	if err != nil {
		return err
	}
	if i.Version == 1 {
		err := tx.QueryRowContext(ctx, `INSERT INTO incident (`+incidentColumns+`) VALUES (`+placed(incidentColumns)+`)
			ON CONFLICT DO NOTHING RETURNING id`, values...).Scan(&i.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return openElsewhere(ctx, tx, i)
		}
		return err
	}
	if i.Status != incident.Closed {
		if err := openElsewhere(ctx, tx, i); !errors.Is(err, incident.ErrStale) {
			return err
		}
	}
	n, err := change(ctx, tx, `UPDATE incident SET `+assign(incidentColumns)+` WHERE id = $24 AND version = $25`,
		append(values, int64(i.ID), i.Version-1)...)
	switch {
	case err != nil:
		return err
	case n == 0:
		return own(incident.ErrStale)
	case i.Status == incident.Closed:
		return allSettled(ctx, tx, i.ID)
	}
	return nil
}

const openIncident = `SELECT id FROM incident WHERE dimension = $1 AND name = $2 AND status <> 4`

// openElsewhere is the *OpenError that names another open incident of the series, or ErrStale where there is none.
func openElsewhere(ctx context.Context, tx *sql.Tx, i *incident.Incident) error {
	open, err := numbers(ctx, tx, openIncident, int64(i.Series.By), clean(i.Series.Name))
	switch {
	case err != nil:
		return err
	case len(open) > 0 && open[0] != int64(i.ID):
		return own(&incident.OpenError{Incident: incident.ID(open[0])})
	}
	return own(incident.ErrStale)
}

// openOf is the open incident of a series, 0 for none.
func (s *Store) openOf(ctx context.Context, of incident.Series) (id incident.ID, err error) {
	found, err := list(ctx, s, "read an open incident", func(row scanner, id *incident.ID) error { return row.Scan(id) },
		openIncident, int64(of.By), clean(of.Name))
	if len(found) > 0 {
		id = found[0]
	}
	return id, err
}

// unsettled is a purchase p that keeps an incident from being closed.
const unsettled = pending + ` AND NOT (p.exposed = 1 AND EXISTS (SELECT 1 FROM case_file f
	WHERE f.purchase = p.id AND f.purchase <> 0 AND f.merged_into = 0 AND f.status IN (3, 4)))`

// pending is a linked purchase p of which nobody can say yet how it ends.
const pending = `p.state NOT IN (3, 5, 6)`

// allSettled returns ErrUnsettled unless every purchase of an incident is settled, or stands in exposure with a
// closed case. Who links purchases waits for the incident's row, which this transaction changed.
func allSettled(ctx context.Context, tx *sql.Tx, id incident.ID) error {
	open, err := numbers(ctx, tx, `SELECT p.id FROM incident_purchase i JOIN purchase p ON p.id = i.purchase WHERE i.incident = $1 AND `+unsettled+` LIMIT 1`, int64(id))
	if err == nil && len(open) > 0 {
		return own(incident.ErrUnsettled)
	}
	return err
}

// Incidents is incident.Store.
func (s *Store) Incidents(ctx context.Context, q incident.Query) ([]incident.Incident, error) {
	var w where
	if q.IDs != nil {
		d := s.db.dialect()
		w.arguments = append(w.arguments, d.list(ids(q.IDs)))
		w.and(`id` + d.among)
	}
	if q.Open {
		w.and(`status <> 4`)
	}
	if q.Since != 0 {
		w.and(`(closed_at = 0 OR closed_at >= ?)`, int64(q.Since))
	}
	if q.Before != 0 {
		w.and(`id < ?`, int64(q.Before))
	}
	if q.Limit <= 0 {
		q.Limit = incident.MaxListed
	}
	return list(ctx, s, "read incidents", scanIncident, `SELECT id, `+incidentColumns+` FROM incident`+w.text.String()+
		` ORDER BY id DESC LIMIT `+w.value(q.Limit), w.arguments...)
}

// Entries is incident.Store.
func (s *Store) Entries(ctx context.Context, id incident.ID) ([]incident.Entry, error) {
	return list(ctx, s, "read an incident's timeline", scanIncidentEntry, `SELECT `+incidentEntryColumns+` FROM incident_entry WHERE incident = $1 ORDER BY seq`,
		int64(id))
}

// HoldStuck is incident.Store.
func (s *Store) HoldStuck(ctx context.Context, h incident.Hold, hold bool) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		statement, values := `DELETE FROM stuck_hold WHERE partner = $1`, []any{clean(h.Partner)}
		if hold {
			statement = `INSERT INTO stuck_hold (` + holdColumns + `) VALUES (` + placed(holdColumns) + `) ON CONFLICT DO NOTHING`
			values = []any{int64(h.At), int64(h.By.Staff), clean(h.Partner), clean(h.Reason)}
		}
		_, err := change(ctx, tx, statement, values...)
		return err
	})
	if err != nil {
		return fmt.Errorf("hold what is stuck: %w", err)
	}
	return nil
}

// Held is incident.Store.
func (s *Store) Held(ctx context.Context) ([]incident.Hold, error) {
	return list(ctx, s, "read what is held", scanHold, `SELECT `+holdColumns+` FROM stuck_hold ORDER BY partner`+s.db.dialect().bytewise)
}

// Began is when the first purchase was made, zero where there is none yet: since then the
// installation can say how it was.
func (s *Store) Began(ctx context.Context) (purchase.Instant, error) {
	return one(ctx, s, "read the first purchase", nil, func(row scanner, at *purchase.Instant) error { return row.Scan(at) },
		`SELECT created_at FROM purchase ORDER BY id LIMIT 1`)
}
