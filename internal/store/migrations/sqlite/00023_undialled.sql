-- +goose Up

-- 9: the customer's phone never rang, so that it is no attempt on them.
CREATE TABLE callback_attempt_again (
    callback INTEGER NOT NULL,
    try      INTEGER NOT NULL,
    staff    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    ring     INTEGER NOT NULL,
    ref      TEXT    NOT NULL,
    CONSTRAINT callback_attempt_key PRIMARY KEY (callback, try),
    CONSTRAINT callback_attempt_ring CHECK (ring BETWEEN 1 AND 9 AND (ring = 1) = (ended_at = 0))
) STRICT, WITHOUT ROWID;
INSERT INTO callback_attempt_again (callback, try, staff, at, ended_at, ring, ref)
    SELECT callback, try, staff, at, ended_at, ring, ref FROM callback_attempt;
DROP TABLE callback_attempt;
ALTER TABLE callback_attempt_again RENAME TO callback_attempt;
CREATE UNIQUE INDEX callback_attempt_ringing ON callback_attempt (callback) WHERE ring = 1;
CREATE INDEX callback_attempt_staff ON callback_attempt (at, staff);

-- +goose Down
CREATE TABLE callback_attempt_again (
    callback INTEGER NOT NULL,
    try      INTEGER NOT NULL,
    staff    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    ring     INTEGER NOT NULL,
    ref      TEXT    NOT NULL,
    CONSTRAINT callback_attempt_key PRIMARY KEY (callback, try),
    CONSTRAINT callback_attempt_ring CHECK (ring BETWEEN 1 AND 8 AND (ring = 1) = (ended_at = 0))
) STRICT, WITHOUT ROWID;
INSERT INTO callback_attempt_again (callback, try, staff, at, ended_at, ring, ref)
    SELECT callback, try, staff, at, ended_at, min(ring, 8), ref FROM callback_attempt;
DROP TABLE callback_attempt;
ALTER TABLE callback_attempt_again RENAME TO callback_attempt;
CREATE UNIQUE INDEX callback_attempt_ringing ON callback_attempt (callback) WHERE ring = 1;
CREATE INDEX callback_attempt_staff ON callback_attempt (at, staff);
