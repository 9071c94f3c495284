-- +goose Up

-- What is kept from being sold before the charge. A series has at most one pause that lasts.
CREATE TABLE sales_pause (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version    INTEGER NOT NULL,
    dimension  INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL, -- 0 while it lasts
    share      INTEGER NOT NULL, -- of a thousand purchases that are let through
    held       INTEGER NOT NULL, -- 1: only a person ends it
    staff      INTEGER NOT NULL, -- 0 for the system
    ended_by   INTEGER NOT NULL,
    incident   INTEGER NOT NULL, -- 0 for none
    tries      INTEGER NOT NULL,
    good       INTEGER NOT NULL,
    falls      INTEGER NOT NULL,
    failing    INTEGER NOT NULL,
    step_at    INTEGER NOT NULL,
    try_at     INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    end_reason TEXT    NOT NULL,
    said       TEXT    NOT NULL,
    CONSTRAINT sales_pause_share CHECK (share BETWEEN 0 AND 1000 AND version >= 1 AND (ended_at = 0 OR share = 1000)),
    CONSTRAINT sales_pause_flags CHECK (held IN (0, 1) AND failing IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX sales_pause_lasting ON sales_pause (dimension, name) WHERE ended_at = 0;
CREATE INDEX sales_pause_ended ON sales_pause (ended_at);

-- +goose Down
DROP TABLE sales_pause;
