package bench

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// losses are triggers by which a SQLite store loses a part of what it was given,
// and the scenarios that must see it.
var losses = []struct {
	of, trigger string
	seen        []string
}{
	{"what is open", `CREATE TRIGGER loss AFTER UPDATE ON purchase WHEN new.acknowledged <> 0 AND new.id % 2 = 0
		BEGIN DELETE FROM purchase WHERE id = new.id; END`, []string{"open", "recover"}},
	{"what was sold", `CREATE TRIGGER loss AFTER UPDATE ON purchase WHEN new.state = 3 AND new.id % 2 = 0
		BEGIN DELETE FROM purchase WHERE id = new.id; END`, []string{"engine", "lone", "hot", "open", "drain", "growth"}},
	{"postings", `CREATE TRIGGER loss AFTER INSERT ON posting WHEN new.leg = 2 AND new.purchase % 2 = 0
		BEGIN DELETE FROM posting WHERE purchase = new.purchase AND leg = 2; END`,
		[]string{"engine", "lone", "hot", "open", "drain", "growth", "care"}},
	{"notices", `CREATE TRIGGER loss AFTER INSERT ON notice WHEN new.purchase % 2 = 0
		BEGIN DELETE FROM notice WHERE purchase = new.purchase; END`,
		[]string{"engine", "lone", "hot", "open", "drain", "growth", "care"}},
}

// TestLossFails checks that no scenario gives figures of a store that lost
// something of what was sold or of what is open.
func TestLossFails(t *testing.T) {
	for _, loss := range losses {
		b := sqliteBed(t)
		b.Fresh = forgetful(b.Fresh, loss.trigger)
		for _, s := range scenarios(b) {
			if !slices.Contains(loss.seen, s.Name) {
				continue
			}
			t.Run(loss.of+"/"+s.Name, func(t *testing.T) {
				if _, err := Measure(t.Context(), s, 1); err == nil {
					t.Error("measured as if nothing were lost")
				}
			})
		}
	}
}

// forgetful makes databases that have a trigger.
func forgetful(fresh func(context.Context) (string, func(context.Context) error, error), trigger string) func(context.Context) (string, func(context.Context) error, error) {
	return func(ctx context.Context) (string, func(context.Context) error, error) {
		dsn, drop, err := fresh(ctx)
		if err != nil {
			return "", nil, err
		}
		if _, _, err := store.Migrate(ctx, dsn, store.Options{}); err != nil {
			return "", nil, err
		}
		db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(dsn, "sqlite:"))
		if err != nil {
			return "", nil, err
		}
		_, err = db.ExecContext(ctx, trigger)
		return dsn, drop, errors.Join(err, db.Close())
	}
}

// liar is a partner whose answers are not what was asked for.
type liar struct {
	*Partner
	lie func(*purchase.Outcome)
}

func (l liar) Do(ctx context.Context, o purchase.Order) purchase.Outcome {
	said := l.Partner.Do(ctx, o)
	if o.Purchase%3 == 0 {
		l.lie(&said)
	}
	return said
}

// TestLiarFails checks that sales through a partner that lies are not counted as sold.
func TestLiarFails(t *testing.T) {
	less := func(o *purchase.Outcome) { o.Amount.Minor /= 2 }
	refused := func(o *purchase.Outcome) { *o = purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonOther} }
	reversed := func(o *purchase.Outcome) { o.Kind = purchase.Reversed }
	for name, partners := range map[string][]purchase.Partner{
		"payer took less":    {liar{NewPartner("wallet", Prompt), less}, NewPartner("ocs", Prompt)},
		"payer refused":      {liar{NewPartner("wallet", Prompt), refused}, NewPartner("ocs", Prompt)},
		"provider gave less": {NewPartner("wallet", Prompt), liar{NewPartner("ocs", Prompt), less}},
		"provider refused":   {NewPartner("wallet", Prompt), liar{NewPartner("ocs", Prompt), refused}},
		"provider took back": {NewPartner("wallet", Prompt), liar{NewPartner("ocs", Prompt), reversed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // some wait for what never comes
			b := sqliteBed(t)
			d, err := b.fresh(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}()
			n, err := d.start(t.Context(), setup{partners: partners, drain: hurry})
			if err != nil {
				t.Fatal(err)
			}
			patient, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			const count = 12
			if _, err = n.sell(patient, b.ordinary(), count, 4); err == nil {
				err = n.check(t.Context(), purchase.Stats{}, count)
			}
			if err == nil {
				t.Error("counted as sold")
			}
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
