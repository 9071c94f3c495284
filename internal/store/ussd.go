package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"tenu/internal/purchase"
	"tenu/internal/ussd"
)

const ussdColumns = `number, at, began, dropped_began, ended, session, typed, dropped, dropped_typed`

const star = "*" // between what was typed on one screen and on the next

func unstarred(typed string) []string {
	if typed == "" {
		return nil
	}
	return strings.Split(typed, star)
}

// USSDSession is ussd.Store.
func (s *Store) USSDSession(ctx context.Context, number purchase.MSISDN) (k ussd.Kept, err error) {
	var ended int
	var typed, dropped string
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT `+ussdColumns+` FROM ussd_session WHERE number = $1`, int64(number)).Scan(
			&k.Number, &k.At, &k.Began, &k.Dropped.Began, &ended, &k.Session, &typed, &k.Dropped.Session, &dropped)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return ussd.Kept{}, fmt.Errorf("read a USSD session: %w", err)
	}
	k.Ended, k.Typed, k.Dropped.Typed = ended == 1, unstarred(typed), unstarred(dropped)
	return k, nil
}

// KeepUSSDSession is ussd.Store.
func (s *Store) KeepUSSDSession(ctx context.Context, k ussd.Kept) error {
	ended := 0
	if k.Ended {
		ended = 1
	}
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `INSERT INTO ussd_session (`+ussdColumns+`) VALUES (`+places(9)+`)
			ON CONFLICT (number) DO UPDATE SET at = excluded.at, began = excluded.began, dropped_began = excluded.dropped_began,
			ended = excluded.ended, session = excluded.session, typed = excluded.typed, dropped = excluded.dropped, dropped_typed = excluded.dropped_typed
			WHERE ussd_session.session <> excluded.session OR length(ussd_session.typed) <= length(excluded.typed)`,
			int64(k.Number), int64(k.At), int64(k.Began), int64(k.Dropped.Began), ended, clean(k.Session), clean(strings.Join(k.Typed, star)),
			clean(k.Dropped.Session), clean(strings.Join(k.Dropped.Typed, star)))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a USSD session: %w", err)
	}
	return nil
}

// DropUSSDSessions is ussd.Store.
func (s *Store) DropUSSDSessions(ctx context.Context, before purchase.Instant) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `DELETE FROM ussd_session WHERE at < $1`, int64(before))
		return err
	})
	if err != nil {
		return fmt.Errorf("drop USSD sessions: %w", err)
	}
	return nil
}
