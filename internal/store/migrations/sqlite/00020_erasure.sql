-- +goose Up

-- What was erased, and why. While an erasure is under way its row has the number, so that it can be
-- ended after a crash; then it has none. cause is 1 for a request, 2 for what was kept long enough.
CREATE TABLE erasure (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    version     INTEGER NOT NULL,
    at          INTEGER NOT NULL, -- what was there then is erased
    done_at     INTEGER NOT NULL, -- 0 while it is under way
    number      INTEGER NOT NULL,
    instead     INTEGER NOT NULL, -- what stands for the number, 0 where each of many has its own
    purchases   INTEGER NOT NULL,
    commitments INTEGER NOT NULL,
    cases       INTEGER NOT NULL,
    changed     INTEGER NOT NULL, -- rows
    cause       INTEGER NOT NULL,
    by_name     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    CONSTRAINT erasure_done CHECK (version = CASE WHEN done_at = 0 OR cause = 2 THEN 1 ELSE 2 END AND (done_at = 0 OR number = 0)),
    CONSTRAINT erasure_cause CHECK (cause IN (1, 2))
) STRICT;
CREATE INDEX erasure_under_way ON erasure (number) WHERE done_at = 0;

-- +goose Down
DROP TABLE erasure;
