-- +goose Up

-- Partners' statements that were loaded. Sums and tally are JSON.
CREATE TABLE statement (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    from_at  INTEGER NOT NULL,
    to_at    INTEGER NOT NULL,
    lines    INTEGER NOT NULL,
    replaced INTEGER NOT NULL, -- the statement that took its place, 0 for none
    partial  INTEGER NOT NULL,
    kept     INTEGER NOT NULL, -- 0 while it is being loaded
    partner  TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    format   TEXT    NOT NULL,
    zone     TEXT    NOT NULL,
    digest   TEXT    NOT NULL,
    sums     TEXT    NOT NULL,
    tally    TEXT    NOT NULL,
    CONSTRAINT statement_period CHECK (from_at < to_at),
    CONSTRAINT statement_flags CHECK (partial IN (0, 1) AND kept IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX statement_digest ON statement (partner, digest);
CREATE INDEX statement_from ON statement (partner, from_at);

-- The lines of a statement, sorted and compressed, in pieces.
CREATE TABLE statement_part (
    statement INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    first     BLOB    NOT NULL, -- purchase and leg of the first line
    lines     BLOB    NOT NULL,
    CONSTRAINT statement_part_key PRIMARY KEY (statement, seq)
) STRICT;

-- What partners' records say otherwise than ours. Codes are those of package reconcile.
CREATE TABLE statement_break (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version    INTEGER NOT NULL,
    purchase   INTEGER NOT NULL, -- 0 for none
    statement  INTEGER NOT NULL, -- that showed it last
    number     INTEGER NOT NULL,
    here       INTEGER NOT NULL,
    there      INTEGER NOT NULL,
    moved_at   INTEGER NOT NULL,
    first_at   INTEGER NOT NULL,
    found_at   INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    place      INTEGER NOT NULL,
    maker      INTEGER NOT NULL,
    checker    INTEGER NOT NULL,
    reopened   INTEGER NOT NULL,
    looked_at  INTEGER NOT NULL, -- version of the purchase
    cause      INTEGER NOT NULL,
    leg        INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    by_table   INTEGER NOT NULL,
    customer   INTEGER NOT NULL,
    partner    TEXT    NOT NULL,
    ref        TEXT    NOT NULL,
    party      TEXT    NOT NULL,
    currency   TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    correction TEXT    NOT NULL, -- an event as JSON, '' for none
    reason     TEXT    NOT NULL,
    CONSTRAINT statement_break_codes CHECK (cause BETWEEN 1 AND 63 AND leg BETWEEN 0 AND 4 AND status BETWEEN 1 AND 4),
    CONSTRAINT statement_break_flags CHECK (by_table IN (0, 1) AND customer IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX statement_break_of ON statement_break (partner, cause, purchase, leg, ref);
CREATE INDEX statement_break_open ON statement_break (partner, moved_at) WHERE status <> 4;
CREATE INDEX statement_break_purchase ON statement_break (purchase) WHERE purchase <> 0;

-- A break's history. Lines are added and never changed.
CREATE TABLE statement_break_entry (
    break_id INTEGER NOT NULL,
    seq      INTEGER NOT NULL, -- version of the break
    at       INTEGER NOT NULL,
    staff    INTEGER NOT NULL, -- 0 for the system
    event    TEXT    NOT NULL,
    text     TEXT    NOT NULL,
    CONSTRAINT statement_break_entry_key PRIMARY KEY (break_id, seq)
) STRICT, WITHOUT ROWID;

-- The signed records of days. They are added and never changed.
CREATE TABLE day_close (
    seq      INTEGER NOT NULL,
    corrects INTEGER NOT NULL, -- 0 for none
    at       INTEGER NOT NULL,
    day      TEXT    NOT NULL,
    note     TEXT    NOT NULL,
    CONSTRAINT day_close_key PRIMARY KEY (seq)
) STRICT;
CREATE INDEX day_close_day ON day_close (day, seq);

-- +goose Down
DROP TABLE day_close;
DROP TABLE statement_break_entry;
DROP TABLE statement_break;
DROP TABLE statement_part;
DROP TABLE statement;
