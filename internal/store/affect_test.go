package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"tenu/internal/incident"
)

// Whom an incident affects is looked for every few seconds, among all that was ever sold: no table is read as a whole.
func TestAffectReadsByIndexes(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "tenu.db")
	if _, _, err := Migrate(t.Context(), dsn, Options{}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for by := range seriesColumn {
		list := inList(s.db.dialect())
		for _, where := range []from{inSpan, stillOpen, list} {
			values := []any{1, 2, 3, 4, "ocs", "house"}
			switch where {
			case inSpan:
				values = append(values, 7, 8)
			case list:
				values = append(values, s.db.dialect().list([]int64{7, 8}))
			}
			err := s.view(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				return each(ctx, tx, func(rows *sql.Rows) error {
					var id, parent, unused int
					var step string
					err := rows.Scan(&id, &parent, &unused, &step)
					if strings.HasPrefix(step, "SCAN") && step != "SCAN purchase USING INDEX purchase_open" && !strings.HasPrefix(step, "SCAN json_each VIRTUAL TABLE") || strings.Contains(step, "TEMP B-TREE") {
						t.Errorf("dimension %d: %s", by, step)
					}
					return err
				}, `EXPLAIN QUERY PLAN `+where.query(by), values...)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(seriesColumn) != int(incident.ByOperator) {
		t.Errorf("%d dimensions are known", len(seriesColumn))
	}
}
