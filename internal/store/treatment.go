package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

const (
	ruleColumns      = `name, version, at, staff, place, amount, budget, active, by_kind, by_name, step, asks`
	treatmentColumns = `case_id, at, amount, version, rule, step, result`
)

// asks is what a rule asks of a case, as it is kept.
type asks struct {
	Matters []purchase.Matter `json:"matters,omitempty"`
	States  []int             `json:"states,omitempty"`
	Prefer  care.Preference   `json:"prefer,omitempty"`
	After   int64             `json:"after,omitempty"` // microseconds
	Most    int64             `json:"most,omitempty"`
	Proven  bool              `json:"proven,omitempty"`
}

func asksOf(w *care.When) (string, error) {
	a := asks{Matters: w.Matters, Prefer: w.Prefer, After: w.After.Microseconds(), Most: w.Most, Proven: w.Proven}
	for _, state := range w.States {
		a.States = append(a.States, int(state))
	}
	text, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("write what a rule asks: %w", err)
	}
	return clean(string(text)), nil
}

func scanRule(row scanner, r *care.Rule) error {
	var text string
	err := row.Scan(&r.Name, &r.Version, &r.At, &r.By.Staff, &r.Order, &r.Amount, &r.Budget, &r.Active, &r.By.Kind, &r.By.Name, &r.Do, &text)
	if err != nil {
		return err
	}
	var a asks
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return fmt.Errorf("read what a rule asks: %w", err)
	}
	r.When = care.When{Matters: a.Matters, Prefer: a.Prefer, After: time.Duration(a.After) * time.Microsecond, Most: a.Most, Proven: a.Proven}
	for _, state := range a.States {
		r.When.States = append(r.When.States, purchase.State(state)) //nolint:gosec // as it was written
	}
	return nil
}

func scanTreatment(row scanner, t *care.Treatment) error {
	return row.Scan(&t.Case, &t.At, &t.Amount, &t.Version, &t.Rule, &t.Do, &t.Result)
}

// Rules is care.RuleStore.
func (s *Store) Rules(ctx context.Context) ([]care.Rule, error) {
	return list(ctx, s, "read rules", scanRule, `SELECT `+ruleColumns+` FROM care_rule r
		WHERE version = (SELECT max(version) FROM care_rule v WHERE v.name = r.name) ORDER BY place, name`+s.db.dialect().bytewise)
}

// AddRule is care.RuleStore.
func (s *Store) AddRule(ctx context.Context, r care.Rule) error {
	text, err := asksOf(&r.When)
	if err != nil {
		return err
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var newest int
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM care_rule WHERE name = $1`, clean(r.Name)).Scan(&newest); err != nil {
			return err
		}
		if r.Version != newest+1 {
			return own(care.ErrStale)
		}
		n, err := change(ctx, tx, `INSERT INTO care_rule (`+ruleColumns+`) VALUES (`+placed(ruleColumns)+`) ON CONFLICT DO NOTHING`,
			clean(r.Name), int64(r.Version), int64(r.At), int64(r.By.Staff), int64(r.Order), r.Amount, r.Budget, flag(r.Active),
			int64(r.By.Kind), clean(r.By.Name), clean(string(r.Do)), text)
		if err == nil && n == 0 {
			return own(care.ErrStale)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("add a rule: %w", err)
	}
	return nil
}

// RuleVersions is care.RuleStore.
func (s *Store) RuleVersions(ctx context.Context, name string) ([]care.Rule, error) {
	return list(ctx, s, "read a rule's versions", scanRule, `SELECT `+ruleColumns+` FROM care_rule WHERE name = $1 ORDER BY version`, clean(name))
}

// AddTreatment is care.RuleStore. Treatments of a rule are counted by one transaction at a
// time. One that costs nothing is within any budget.
func (s *Store) AddTreatment(ctx context.Context, t care.Treatment, budget int64, since purchase.Instant) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lockTally(ctx, tx, "treatment/"+clean(t.Rule), 0); err != nil {
			return err
		}
		var already int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM treatment WHERE case_id = $1 AND rule = $2 AND version = $3`,
			int64(t.Case), clean(t.Rule), int64(t.Version)).Scan(&already)
		switch {
		case err != nil:
			return err
		case already > 0:
			return own(care.ErrTwice)
		}
		var spent int64
		if t.Amount > 0 {
			if err := tx.QueryRowContext(ctx, `SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM treatment WHERE rule = $1 AND at >= $2`,
				clean(t.Rule), int64(since)).Scan(&spent); err != nil {
				return err
			}
			if t.Amount > budget-spent {
				return own(fmt.Errorf("%w: the rule's budget is spent", care.ErrRefused))
			}
		}
		_, err = change(ctx, tx, `INSERT INTO treatment (`+treatmentColumns+`) VALUES (`+placed(treatmentColumns)+`)`,
			int64(t.Case), int64(t.At), t.Amount, int64(t.Version), clean(t.Rule), clean(string(t.Do)), clean(t.Result))
		return err
	})
	if err != nil {
		return fmt.Errorf("add a treatment: %w", err)
	}
	return nil
}

// Treatments is care.RuleStore.
func (s *Store) Treatments(ctx context.Context, name string, limit int) ([]care.Treatment, error) {
	var w where
	if name != "" {
		w.and(`rule = ?`, clean(name))
	}
	return list(ctx, s, "read treatments", scanTreatment, `SELECT `+treatmentColumns+` FROM treatment`+w.text.String()+
		` ORDER BY at DESC, case_id DESC, version DESC LIMIT `+w.value(limit), w.arguments...)
}

// PastCases is care.RuleStore.
func (s *Store) PastCases(ctx context.Context, since purchase.Instant, after care.CaseID, limit int) ([]care.Case, error) {
	return list(ctx, s, "read past cases", s.scanCaseFile, `SELECT `+caseColumnsRead+` FROM case_file WHERE id > $1 AND opened_at >= $2 ORDER BY id LIMIT $3`,
		int64(after), int64(since), limit)
}
