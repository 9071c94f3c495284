package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"tenu/internal/purchase"
)

// dialect is where the two databases' SQL differs outside of Commit.
type dialect struct {
	name string // of the folder of migrations
	// among follows a column and holds a list as its first parameter.
	among string
	// list makes numbers the parameter of among.
	list func([]int64) any
	// triples selects a list of three numbers each, the parameters after the first.
	triples string
	// zip makes the parameters of triples.
	zip func([][3]int64) []any
	// rows reads the arrays of a JSON array, which is the first parameter, as value.
	rows string
	// share and drain follow a SELECT of a lease: hold it against fencing, and
	// wait for all who hold it. SQLite has one writer at a time and needs neither.
	share, drain string
	// still and lock follow a SELECT of rows that nobody is to change, or to lock either,
	// until the transaction ends. What they select is as it is then.
	still, lock string
	// moveOpen gives the open purchases of a list from lease $3 to lease $2, where
	// that does not follow from the purchases themselves.
	moveOpen string
	// bytewise orders a text by its bytes, whatever the database's language is.
	bytewise string
	// nothing is an empty column of bytes, as SQL.
	nothing string
	// tables counts the tables of a name.
	tables string
	// fresh selects the IDs of the next rows of the table $1, $2 of them.
	fresh string
	// leave adds a batch of leaves, the first parameter, for the sequencer to take.
	leave string
	// taken forgets that batches of a list wait, where that does not follow from their places.
	taken string
	// integrity lists what is wrong with the files, or "ok"; "" where the database
	// cannot say.
	integrity string
}

var sqliteDialect = dialect{
	name:    "sqlite",
	among:   ` IN (SELECT value FROM json_each($1))`,
	list:    func(values []int64) any { return jsonText(values) },
	triples: `SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($2)`,
	zip:     func(rows [][3]int64) []any { return []any{jsonText(rows)} },
	rows:    `json_each($1)`,
	nothing: `x''`,
	tables:  `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1`,
	fresh: `WITH RECURSIVE next (id, n) AS (SELECT 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = $1), 0), 1
		UNION ALL SELECT id + 1, n + 1 FROM next WHERE n < $2) SELECT id FROM next`,
	leave:     `INSERT INTO log_batch (epoch, leaves) VALUES (0, $1)`,
	integrity: `PRAGMA integrity_check`,
}

// In PostgreSQL a key-share lock conflicts with a lock for update only, so that
// renewals and commits do not wait for each other.
var postgresDialect = dialect{
	name:     "postgres",
	among:    ` = ANY ($1)`,
	list:     func(values []int64) any { return values },
	triples:  `SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[])`,
	zip:      columnsOf,
	rows:     `jsonb_array_elements(CAST($1 AS jsonb)) AS each(value)`,
	share:    ` FOR KEY SHARE`,
	drain:    ` FOR UPDATE`,
	still:    ` FOR SHARE`,
	lock:     ` FOR UPDATE`,
	nothing:  `''`,
	bytewise: ` COLLATE "C"`,
	fresh:    `SELECT nextval(pg_get_serial_sequence($1, 'id')) FROM generate_series(1, CAST($2 AS BIGINT))`,
	leave: `WITH b AS (INSERT INTO log_batch (epoch, leaves) VALUES (0, $1) RETURNING id)
		INSERT INTO log_queue (batch) SELECT id FROM b`,
	taken:    `DELETE FROM log_queue WHERE batch = ANY ($1)`,
	moveOpen: `UPDATE open_purchase SET epoch = $2 WHERE epoch = $3 AND purchase = ANY ($1)`,
	tables:   `SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = $1`,
}

func jsonText(values any) string {
	text, err := json.Marshal(values)
	if err != nil { // numbers and texts always have one
		return "[]"
	}
	return string(text)
}

func columnsOf(rows [][3]int64) []any {
	var columns [3][]int64
	for _, row := range rows {
		for i, v := range row {
			columns[i] = append(columns[i], v)
		}
	}
	return []any{columns[0], columns[1], columns[2]}
}

// each runs a query and reads its rows one by one.
func each(ctx context.Context, tx *sql.Tx, read func(*sql.Rows) error, query string, arguments ...any) error {
	rows, err := tx.QueryContext(ctx, query, arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// numbers runs a query that selects numbers.
func numbers(ctx context.Context, tx *sql.Tx, query string, arguments ...any) (found []int64, err error) {
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var n int64
		err := rows.Scan(&n)
		found = append(found, n)
		return err
	}, query, arguments...)
	return found, err
}

// change runs a statement and returns how many rows it changed.
func change(ctx context.Context, tx *sql.Tx, statement string, arguments ...any) (int, error) {
	result, err := tx.ExecContext(ctx, statement, arguments...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// unavailable marks an error of a call that wrote nothing.
func unavailable(err error) error { return fmt.Errorf("%w: %w", purchase.ErrUnavailable, err) }

// damaged marks an error that says that what is stored is not what was written.
func damaged(err error) error { return fmt.Errorf("%w: %w", ErrDamaged, err) }

// uncertain marks an error of a call that may have written.
func uncertain(err error) error { return fmt.Errorf("%w: %w", purchase.ErrCommitUnknown, err) }
