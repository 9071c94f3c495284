package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// A *Store keeps all that care knows.
var _ care.Store = (*Store)(nil)

const (
	caseFileColumns = `version, number, purchase, owner, owner_till, opened_at, answer_by, resolve_by, paused_at, answered_at, treated_at, due_at,` +
		` closed_at, changed_at, merged_into, status, outcome, prefer, level, reopened, code, matters, rule, incident, channel, language, digest`
	caseColumnsRead = `id, ` + caseFileColumns
	entryColumns    = `case_id, seq, at, event, by_kind, staff, by_name, text`
)

// comma stands before, between and behind the items of a list.
const comma = ","

func joinMatters(matters []purchase.Matter) string {
	var b strings.Builder
	b.WriteString(comma)
	for _, m := range matters {
		b.WriteString(clean(string(m)) + comma)
	}
	return b.String()
}

func splitMatters(text string) (matters []purchase.Matter) {
	for m := range strings.SplitSeq(text, comma) {
		if m != "" {
			matters = append(matters, purchase.Matter(m))
		}
	}
	return matters
}

func (s *Store) caseFileValues(c *care.Case) []any {
	return []any{c.Version, int64(c.Number), int64(c.Purchase), int64(c.Owner), int64(c.OwnerTill), int64(c.OpenedAt), int64(c.Clock.AnswerBy),
		int64(c.Clock.ResolveBy), int64(c.Clock.PausedAt), int64(c.AnsweredAt), int64(c.TreatedAt), int64(c.DueAt), int64(c.ClosedAt),
		int64(c.ChangedAt), int64(c.Into), int64(c.Status), int64(c.Outcome), int64(c.Prefer), int64(c.Level), int64(c.Reopened),
		clean(string(c.Code)), joinMatters(c.Matters), clean(c.Rule), clean(c.Incident), clean(c.Channel), clean(string(c.Language)),
		s.sealer.text(c.Digest, "case_file.digest", int64(c.ID))}
}

func (s *Store) scanCaseFile(row scanner, c *care.Case) error {
	if err := scanCaseFile(row, c); err != nil {
		return err
	}
	return s.open(&c.Digest, "case_file.digest", int64(c.ID))
}

// scanCaseFile leaves sealed what is sealed.
func scanCaseFile(row scanner, c *care.Case) error {
	var matters string
	err := row.Scan(&c.ID, &c.Version, &c.Number, &c.Purchase, &c.Owner, &c.OwnerTill, &c.OpenedAt, &c.Clock.AnswerBy, &c.Clock.ResolveBy,
		&c.Clock.PausedAt, &c.AnsweredAt, &c.TreatedAt, &c.DueAt, &c.ClosedAt, &c.ChangedAt, &c.Into, &c.Status, &c.Outcome, &c.Prefer,
		&c.Level, &c.Reopened, &c.Code, &matters, &c.Rule, &c.Incident, &c.Channel, &c.Language, &c.Digest)
	c.Matters = splitMatters(matters)
	return err
}

func (s *Store) scanEntry(row scanner, e *care.Entry) error {
	if err := row.Scan(&e.Case, &e.Seq, &e.At, &e.Event, &e.By.Kind, &e.By.Staff, &e.By.Name, &e.Text); err != nil {
		return err
	}
	return s.open(&e.Text, "case_entry.text", int64(e.Case), e.Seq)
}

// Openings is care.CaseStore.
func (s *Store) Openings(ctx context.Context, limit int) (found []care.Opening, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		found, err = gather(ctx, tx, func(row scanner, o *care.Opening) error {
			return row.Scan(&o.Purchase, &o.Matter, &o.At)
		}, `SELECT purchase, matter, at FROM care_case WHERE taken = 0 ORDER BY at, purchase, matter LIMIT $1`, limit)
		if err != nil {
			return err
		}
		reports, err := gather(ctx, tx, s.scanReport,
			`SELECT `+reportColumns+` FROM report WHERE taken = 0 ORDER BY at, purchase, number, matter LIMIT $1`, limit)
		for i := range reports {
			r := &reports[i]
			found = append(found, care.Opening{Purchase: r.Purchase, Matter: r.Matter, At: r.At, Report: r})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read openings: %w", err)
	}
	slices.SortStableFunc(found, func(a, b care.Opening) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Purchase, b.Purchase))
	})
	return found[:min(len(found), limit)], nil
}

// ChangeCase is care.CaseStore. Two cases are written in the order of their IDs, so that
// no two changes wait for each other.
func (s *Store) ChangeCase(ctx context.Context, c care.Change) (stored care.Case, err error) {
	steps := []*care.Change{&c}
	if c.With != nil {
		steps = append(steps, c.With)
		slices.SortFunc(steps, func(a, b *care.Change) int { return cmp.Compare(a.Now.ID, b.Now.ID) })
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, step := range steps {
			id, err := s.changeCase(ctx, tx, step)
			if err != nil {
				return err
			}
			if step != &c {
				continue
			}
			if err := s.scanCaseFile(tx.QueryRowContext(ctx, `SELECT `+caseColumnsRead+` FROM case_file WHERE id = $1`, int64(id)), &stored); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return care.Case{}, fmt.Errorf("change a case: %w", err)
	}
	return stored, nil
}

// changeCase writes the step of one case. The purchase of the proof is looked at last, so that
// it is kept from its engine for as short as can be.
func (s *Store) changeCase(ctx context.Context, tx *sql.Tx, c *care.Change) (care.CaseID, error) {
	now := c.Now
	if err := s.writeCase(ctx, tx, &now); err != nil {
		return 0, err
	}
	if err := s.leaveCase(ctx, tx, &now); err != nil {
		return 0, err
	}
	if err := s.addEntries(ctx, tx, now.ID, now.Version*care.EntriesPerVersion, c.Entries); err != nil {
		return 0, err
	}
	if err := s.addMessages(ctx, tx, c.Messages, now.ID, 0); err != nil {
		return 0, err
	}
	if err := takeOpenings(ctx, tx, c.Taken); err != nil {
		return 0, err
	}
	if c.Proof != nil {
		return now.ID, s.prove(ctx, tx, c.Proof)
	}
	return now.ID, nil
}

// writeCase writes the row of a case, and gives a new one its ID.
func (s *Store) writeCase(ctx context.Context, tx *sql.Tx, c *care.Case) error {
	if c.Version == 1 {
		rows, err := s.fresh(ctx, tx, "case_file", 1)
		if err != nil {
			return err
		}
		c.ID = care.CaseID(rows[0])
		err = tx.QueryRowContext(ctx, `INSERT INTO case_file (`+caseColumnsRead+`) VALUES (`+placed(caseColumnsRead)+`)
			ON CONFLICT DO NOTHING RETURNING id`, append([]any{rows[0]}, s.caseFileValues(c)...)...).Scan(&c.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return own(care.ErrStale)
		}
		return err
	}
	n, err := change(ctx, tx, `UPDATE case_file SET `+unlessUnreadable(assign(caseFileColumns), "digest")+` WHERE id = $28 AND version = $29`,
		append(s.caseFileValues(c), int64(c.ID), c.Version-1)...)
	if err == nil && n == 0 {
		return own(care.ErrStale)
	}
	return err
}

// addEntries adds lines to a case's history, numbered from first on.
func (s *Store) addEntries(ctx context.Context, tx *sql.Tx, id care.CaseID, first int64, entries []care.Entry) error {
	for i := range entries {
		e := &entries[i]
		if _, err := change(ctx, tx, `INSERT INTO case_entry (`+entryColumns+`) VALUES (`+placed(entryColumns)+`)`, int64(id), first+int64(i),
			int64(e.At), clean(string(e.Event)), int64(e.By.Kind), int64(e.By.Staff), clean(e.By.Name),
			s.sealer.text(e.Text, "case_entry.text", int64(id), first+int64(i))); err != nil {
			return err
		}
	}
	return nil
}

// takeOpenings marks what is in a case now.
func takeOpenings(ctx context.Context, tx *sql.Tx, taken []care.Opening) error {
	for i := range taken {
		o := &taken[i]
		statement := `UPDATE care_case SET taken = 1 WHERE purchase = $1 AND matter = $2 AND taken = 0`
		values := []any{int64(o.Purchase), clean(string(o.Matter))}
		if o.Report != nil {
			statement = `UPDATE report SET taken = 1 WHERE purchase = $1 AND matter = $2 AND number = $3 AND taken = 0`
			values = append(values, int64(o.Report.Number))
		}
		if _, err := change(ctx, tx, statement, values...); err != nil {
			return err
		}
	}
	return nil
}

// prove holds a purchase as it is until the transaction ends, or returns ErrUnproven
// when it is not as a case says.
func (s *Store) prove(ctx context.Context, tx *sql.Tx, p *care.Proof) error {
	var state purchase.State
	var held int64
	err := tx.QueryRowContext(ctx, `SELECT state, held FROM purchase WHERE id = $1`+s.db.dialect().still, int64(p.Purchase)).Scan(&state, &held)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return own(care.ErrUnproven)
	case err != nil:
		return err
	case state != p.State || held != 0:
		return own(care.ErrUnproven)
	}
	return nil
}

// Cases is care.CaseStore.
func (s *Store) Cases(ctx context.Context, all ...care.CaseID) ([]care.Case, error) {
	if len(all) == 0 {
		return nil, nil
	}
	d := s.db.dialect()
	return list(ctx, s, "read cases", s.scanCaseFile, `SELECT `+caseColumnsRead+` FROM case_file WHERE id`+d.among+` ORDER BY id`, d.list(ids(all)))
}

// CasesOf is care.CaseStore.
func (s *Store) CasesOf(ctx context.Context, number purchase.MSISDN, limit int) ([]care.Case, error) {
	return list(ctx, s, "read a number's cases", s.scanCaseFile, `SELECT `+caseColumnsRead+` FROM case_file WHERE number = $1 ORDER BY id DESC LIMIT $2`,
		int64(number), limit)
}

// CasesAbout is care.CaseStore.
func (s *Store) CasesAbout(ctx context.Context, purchases ...purchase.ID) ([]care.Case, error) {
	if len(purchases) == 0 {
		return nil, nil
	}
	d := s.db.dialect()
	return list(ctx, s, "read cases of purchases", s.scanCaseFile, `SELECT `+caseColumnsRead+` FROM case_file
		WHERE purchase`+d.among+` AND purchase <> 0 AND merged_into = 0 ORDER BY id`, d.list(ids(purchases)))
}

var caseAgenda = agenda[care.Case]{caseColumnsRead, `case_file WHERE status IN (1, 2)`, (*Store).scanCaseFile,
	func(c *care.Case) purchase.Instant { return c.DueAt }}

// DueCases is care.CaseStore.
func (s *Store) DueCases(ctx context.Context, till purchase.Instant, limit int) ([]care.Case, purchase.Instant, error) {
	return caseAgenda.due(ctx, s, "read due cases", till, limit)
}

// History is care.CaseStore.
func (s *Store) History(ctx context.Context, id care.CaseID) ([]care.Entry, error) {
	return list(ctx, s, "read a case's history", s.scanEntry, `SELECT `+entryColumns+` FROM case_entry WHERE case_id = $1 ORDER BY seq`, int64(id))
}

// mostCounted bounds what a queue counts: one more says that there are more.
const mostCounted = 1000

// Queue is care.CaseStore.
func (s *Store) Queue(ctx context.Context, q care.Queue) (page []care.Case, count int, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		page, count = nil, 0
		for _, l := range selections(&q) {
			if err := l.read(ctx, s, tx, &q, &page, &count); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read a queue: %w", err)
	}
	return page, count, nil
}

// selection is a part of a queue that is read from one index, in its order.
type selection struct {
	where
	key   string // that orders it, before the ID
	order string
	after func(*care.Case) purchase.Instant
}

// read adds to a page what is missing, and counts.
func (l *selection) read(ctx context.Context, s *Store, tx *sql.Tx, q *care.Queue, page *[]care.Case, count *int) error {
	var n int
	all := `SELECT count(*) FROM (SELECT 1 FROM case_file` + l.text.String() + ` LIMIT ` + l.value(mostCounted+1-*count) + `) counted`
	if err := tx.QueryRowContext(ctx, all, l.arguments...).Scan(&n); err != nil {
		return err
	}
	*count += n
	l.arguments = l.arguments[:len(l.arguments)-1]
	if len(*page) >= q.Limit {
		return nil
	}
	if q.After != nil {
		comparison := map[string]string{"": ">", " DESC": "<"}[l.order]
		l.and(`(`+l.key+`, id) `+comparison+` (?, ?)`, int64(l.after(q.After)), int64(q.After.ID))
	}
	more, err := gather(ctx, tx, s.scanCaseFile, `SELECT `+caseColumnsRead+` FROM case_file`+l.text.String()+
		` ORDER BY `+l.key+l.order+`, id`+l.order+` LIMIT `+l.value(q.Limit-len(*page)), l.arguments...)
	*page = append(*page, more...)
	return err
}

// selections are the parts of a queue, in order. Those who are late with an answer only are due
// after those who are late altogether.
func selections(q *care.Queue) []*selection {
	urgent := func(condition string, values ...any) *selection {
		l := &selection{key: "resolve_by", after: func(c *care.Case) purchase.Instant { return c.Clock.ResolveBy }}
		l.and(condition, values...)
		return l
	}
	var all []*selection
	switch q.View {
	case care.ViewMine:
		all = append(all, urgent(`status = 1 AND owner = ?`, int64(q.Staff)))
	case care.ViewUnowned:
		all = append(all, urgent(`status = 1 AND owner = 0`))
	case care.ViewLate:
		all = append(all, urgent(`status = 1 AND resolve_by <= ?`, int64(q.Now)),
			urgent(`status = 1 AND answered_at = 0 AND answer_by <= ? AND resolve_by > ?`, int64(q.Now), int64(q.Now)))
	case care.ViewEscalated:
		all = append(all, urgent(`status = 1 AND level = 1`))
	case care.ViewWaiting:
		all = append(all, urgent(`status = 2`))
	case care.ViewOpen:
		all = append(all, urgent(`status = 1`))
	case care.ViewSettled:
		l := &selection{key: "closed_at", order: " DESC", after: func(c *care.Case) purchase.Instant { return c.ClosedAt }}
		l.and(`status = 3 AND closed_at <> 0`)
		all = append(all, l)
	}
	for _, l := range all {
		if q.Incident != "" {
			l.and(`incident <> '' AND incident = ?`, clean(q.Incident))
		}
		if q.Code != "" {
			l.and(`code = ?`, clean(string(q.Code)))
		}
	}
	return all
}
