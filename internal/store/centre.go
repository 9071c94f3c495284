package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

var _ centre.Store = (*Store)(nil)

const (
	agentColumns  = `staff, ` + agentProgress
	agentProgress = `version, since, till, number, purchase, case_id, callback, state, extension, call`
	callColumns   = `id, number, purchase, case_id, callback, staff, at, answered_at, queued_at, taken_at, ended_at, unrecorded, trunk, language, incident, release`
)

func scanAgent(row scanner, a *centre.Agent) error {
	return row.Scan(&a.Staff, &a.Version, &a.Since, &a.Till, &a.Number, &a.Purchase, &a.Case, &a.Callback, &a.State, &a.Extension, &a.Call)
}

func agentValues(a *centre.Agent) []any {
	return []any{a.Version, int64(a.Since), int64(a.Till), int64(a.Number), int64(a.Purchase), int64(a.Case), a.Callback, int64(a.State),
		clean(a.Extension), clean(a.Call)}
}

func scanCall(row scanner, c *centre.Call) error {
	return row.Scan(&c.ID, &c.Number, &c.Purchase, &c.Case, &c.Callback, &c.Staff, &c.At, &c.Answered, &c.Queued, &c.Taken, &c.Ended,
		&c.Unrecorded, &c.Trunk, &c.Language, &c.Incident, &c.Release)
}

// OnDuty is centre.Store.
func (s *Store) OnDuty(ctx context.Context, since purchase.Instant) ([]centre.Agent, error) {
	return list(ctx, s, "read agents", scanAgent, `SELECT `+agentColumns+` FROM agent WHERE state <> 1 OR since >= $1 ORDER BY since, staff`, int64(since))
}

// Agent is centre.Store.
func (s *Store) Agent(ctx context.Context, staff auth.StaffID) (centre.Agent, error) {
	a, err := one(ctx, s, "read an agent", centre.ErrStale, scanAgent, `SELECT `+agentColumns+` FROM agent WHERE staff = $1`, int64(staff))
	if errors.Is(err, centre.ErrStale) {
		return centre.Agent{Staff: staff, State: centre.Away}, nil
	}
	return a, err
}

// MoveAgents is centre.Store. Agents move in one transaction at a time: the tally is their lock.
func (s *Store) MoveAgents(ctx context.Context, agents ...centre.Agent) (moved int, err error) {
	if len(agents) == 0 {
		return 0, nil
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		moved = 0
		if err := s.lockTally(ctx, tx, "centre", 0); err != nil {
			return err
		}
		for i := range agents {
			n, err := moveAgent(ctx, tx, &agents[i])
			if err != nil || n == 0 {
				return err
			}
			moved++
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("move %d agents: %w", len(agents), err)
	}
	return moved, nil
}

func moveAgent(ctx context.Context, tx *sql.Tx, a *centre.Agent) (int, error) {
	var w where
	w.and(`staff <> ?`, int64(a.Staff))
	if a.Busy() {
		w.and(`(state <> 1 AND extension = ? OR state IN (3, 4) AND (call = ? OR callback <> 0 AND callback = ?))`, clean(a.Extension), clean(a.Call), a.Callback)
	} else {
		w.and(`state <> 1 AND extension = ?`, clean(a.Extension))
	}
	if a.State != centre.Away {
		var others int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM agent`+w.text.String(), w.arguments...).Scan(&others); err != nil || others > 0 {
			return 0, err
		}
	}
	if a.Version == 1 {
		return change(ctx, tx, `INSERT INTO agent (`+agentColumns+`) VALUES (`+placed(agentColumns)+`) ON CONFLICT DO NOTHING`,
			append([]any{int64(a.Staff)}, agentValues(a)...)...)
	}
	return change(ctx, tx, `UPDATE agent SET `+assign(agentProgress)+` WHERE staff = $11 AND version = $12`,
		append(agentValues(a), int64(a.Staff), a.Version-1)...)
}

// AddCalls is centre.Store.
func (s *Store) AddCalls(ctx context.Context, calls []centre.Call, refused []centre.Refused) error {
	rows := make([][]any, len(calls))
	for i := range calls {
		c := &calls[i]
		rows[i] = []any{clean(c.ID), int64(c.Number), int64(c.Purchase), int64(c.Case), c.Callback, int64(c.Staff), int64(c.At), int64(c.Answered),
			int64(c.Queued), int64(c.Taken), int64(c.Ended), flag(c.Unrecorded), clean(c.Trunk), clean(string(c.Language)), clean(c.Incident), clean(string(c.Release))}
	}
	if len(calls)+len(refused) == 0 {
		return nil
	}
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.addRows(ctx, tx, `call (`+callColumns+`)`, ` ON CONFLICT DO NOTHING`, rows); err != nil {
			return err
		}
		for _, r := range refused {
			if _, err := change(ctx, tx, `INSERT INTO call_refused (hour, epoch, refused) VALUES ($1, $2, $3) ON CONFLICT (hour, epoch) DO UPDATE SET
				refused = CASE WHEN excluded.refused > call_refused.refused THEN excluded.refused ELSE call_refused.refused END`,
				int64(r.Hour), r.Epoch, r.Count); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep %d calls: %w", len(calls), err)
	}
	return nil
}

// CallsOf is centre.Store.
func (s *Store) CallsOf(ctx context.Context, number purchase.MSISDN, limit int) ([]centre.Call, error) {
	return list(ctx, s, "read calls", scanCall, `SELECT `+callColumns+` FROM call WHERE number = $1 ORDER BY at DESC, id DESC LIMIT $2`, int64(number), limit)
}

// keptPromises are the calls of a time that ended with the promise of a callback, and when it, or the one that
// made it good, was kept.
const keptPromises = `WITH RECURSIVE promise (call, callback) AS (
		SELECT id, callback FROM call WHERE at >= $1 AND at < $2 AND taken_at = 0 AND callback <> 0
		UNION ALL SELECT p.call, b.id FROM promise p JOIN callback b ON b.follows = p.callback AND b.follows <> 0),
	kept (call, at) AS (SELECT p.call, coalesce((SELECT min(a.at) FROM callback_attempt a WHERE a.callback = b.id AND a.ring = 2), b.closed_at)
		FROM promise p JOIN callback b ON b.id = p.callback WHERE b.state = 2) `

// CallFigures is centre.Store. Whoever was promised a callback without having waited wished for an agent
// since the call was answered: nobody noted when.
func (s *Store) CallFigures(ctx context.Context, from, till purchase.Instant) (f centre.Figures, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		f = centre.Figures{Released: map[centre.Release]int{}}
		if err := tx.QueryRowContext(ctx, `SELECT CAST(coalesce(sum(refused), 0) AS BIGINT) FROM call_refused WHERE hour >= $1 AND hour < $2`,
			int64(from), int64(till)).Scan(&f.Refused); err != nil {
			return err
		}
		f.Offered = f.Refused
		return each(ctx, tx, func(rows *sql.Rows) error {
			var release centre.Release
			var n, inTime, queued, got int
			var answer, waited int64
			err := rows.Scan(&release, &n, &answer, &inTime, &queued, &got, &waited)
			f.Released[release] = n
			f.Offered, f.InTime, f.Queued, f.Got = f.Offered+n, f.InTime+inTime, f.Queued+queued, f.Got+got
			f.Answer, f.Waited = f.Answer+time.Duration(answer)*time.Microsecond, f.Waited+time.Duration(waited)*time.Microsecond
			return err
		}, keptPromises+`SELECT release, count(*), CAST(sum(answered_at - at) AS BIGINT),
				sum(CASE WHEN wish = 0 AND answered_at - at <= $3 OR wish <> 0 AND taken_at <> 0 AND got - wish <= $3 THEN 1 ELSE 0 END),
				sum(CASE WHEN wish <> 0 THEN 1 ELSE 0 END), sum(CASE WHEN got <> 0 THEN 1 ELSE 0 END),
				CAST(sum(CASE WHEN got > wish THEN got - wish ELSE 0 END) AS BIGINT)
			FROM (SELECT c.release, c.at, c.answered_at, c.taken_at, CASE WHEN c.queued_at <> 0 THEN c.queued_at WHEN c.callback <> 0 THEN c.answered_at ELSE 0 END AS wish,
					CASE WHEN c.taken_at <> 0 THEN c.taken_at ELSE coalesce(k.at, 0) END AS got
				FROM call c LEFT JOIN kept k ON k.call = c.id WHERE c.at >= $1 AND c.at < $2) x GROUP BY release`,
			int64(from), int64(till), centre.Prompt.Microseconds())
	})
	if err != nil {
		return centre.Figures{}, fmt.Errorf("sum up calls: %w", err)
	}
	return f, nil
}
