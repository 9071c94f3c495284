package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A report is asked for while the platform fails: it reads what the incident is linked to, and what was made in its time, by
// indexes.
func TestCoursesReadByIndexes(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "tenu.db")
	if _, _, err := Migrate(t.Context(), dsn, Options{}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	queries := map[string][]any{percentiles: {1}, settledWithin([]time.Duration{time.Second, time.Minute}): {1}, soldIn: {1, 2, "house", 4, 5}}
	for _, c := range courses {
		queries[courseQuery(c.at, c.from, c.count)] = []any{1, 2, 3, 4}
	}
	for query, values := range queries {
		steps := 0
		err := s.view(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			return each(ctx, tx, func(rows *sql.Rows) error {
				var id, parent, unused int
				var step string
				err := rows.Scan(&id, &parent, &unused, &step)
				if steps++; strings.HasPrefix(step, "SCAN") && step != "SCAN one" && step != "SCAN took" && step != "SCAN placed" && !strings.HasPrefix(step, "SCAN (subquery") {
					t.Errorf("%s: %s", query, step)
				}
				return err
			}, `EXPLAIN QUERY PLAN `+query, values...)
		})
		if err != nil || steps == 0 {
			t.Errorf("%s: %d steps, %v", query, steps, err)
		}
	}
}
