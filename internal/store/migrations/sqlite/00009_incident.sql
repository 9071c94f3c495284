-- +goose Up

-- One failure of a series. Codes are those of package incident; title and text are JSON,
-- by language.
CREATE TABLE incident (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    version      INTEGER NOT NULL,
    owner        INTEGER NOT NULL, -- of the staff, 0 for nobody
    since        INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    paused_at    INTEGER NOT NULL,
    recovered_at INTEGER NOT NULL,
    resolved_at  INTEGER NOT NULL,
    closed_at    INTEGER NOT NULL,
    expected_at  INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    told         INTEGER NOT NULL,
    dimension    INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    severity     INTEGER NOT NULL,
    share        INTEGER NOT NULL,
    graded       INTEGER NOT NULL,
    worded       INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    rule         TEXT    NOT NULL,
    party        TEXT    NOT NULL,
    title        TEXT    NOT NULL,
    text         TEXT    NOT NULL,
    CONSTRAINT incident_version CHECK (version >= 1),
    CONSTRAINT incident_codes CHECK (dimension BETWEEN 1 AND 6 AND status BETWEEN 1 AND 4 AND severity BETWEEN 1 AND 3),
    CONSTRAINT incident_flags CHECK (graded IN (0, 1) AND worded IN (0, 1) AND share BETWEEN 0 AND 1000),
    CONSTRAINT incident_closed CHECK ((status = 4) = (closed_at <> 0))
) STRICT;
CREATE UNIQUE INDEX incident_open ON incident (dimension, name) WHERE status <> 4;
CREATE INDEX incident_series ON incident (dimension, name, id);

-- An incident's timeline. Lines are added and never changed.
CREATE TABLE incident_entry (
    incident INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    staff    INTEGER NOT NULL, -- 0 for the system
    event    TEXT    NOT NULL,
    text     TEXT    NOT NULL,
    CONSTRAINT incident_entry_key PRIMARY KEY (incident, seq)
) STRICT, WITHOUT ROWID;

-- The purchases that an incident affects, by who was charged. A purchase is of one incident.
CREATE TABLE incident_purchase (
    incident INTEGER NOT NULL,
    purchase INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    at       INTEGER NOT NULL, -- when it was linked
    CONSTRAINT incident_purchase_key PRIMARY KEY (incident, purchase)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_purchase_number ON incident_purchase (incident, number, purchase);
CREATE UNIQUE INDEX incident_purchase_of ON incident_purchase (purchase);

-- The customers whom an incident affects, and what they were told.
CREATE TABLE incident_customer (
    incident INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    purchase INTEGER NOT NULL, -- the first that was found
    told_at  INTEGER NOT NULL, -- of the incident
    ended_at INTEGER NOT NULL, -- told that all of theirs is settled
    said     INTEGER NOT NULL, -- set
    language TEXT    NOT NULL,
    CONSTRAINT incident_customer_key PRIMARY KEY (incident, number),
    CONSTRAINT incident_customer_said CHECK (said BETWEEN 0 AND 7 AND (said & 1 = 1) = (told_at <> 0) AND (said & 2 = 2) = (ended_at <> 0))
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_customer_untold ON incident_customer (incident, purchase) WHERE told_at = 0;
CREATE INDEX incident_customer_unended ON incident_customer (incident, number) WHERE told_at <> 0 AND ended_at = 0;

-- Partners that are not asked about what is stuck.
CREATE TABLE stuck_hold (
    at      INTEGER NOT NULL,
    staff   INTEGER NOT NULL, -- 0 for the system
    partner TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    CONSTRAINT stuck_hold_key PRIMARY KEY (partner)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE stuck_hold;
DROP TABLE incident_customer;
DROP TABLE incident_purchase;
DROP TABLE incident_entry;
DROP TABLE incident;
