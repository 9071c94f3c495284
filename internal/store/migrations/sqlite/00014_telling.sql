-- +goose Up

-- What has to be done about an incident by rule, as JSON; '' where nothing is.
ALTER TABLE incident ADD COLUMN owed TEXT NOT NULL DEFAULT '';

-- Who is told of incidents: systems, and mailboxes.
CREATE TABLE incident_listener (
    id     TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    client TEXT    NOT NULL,
    url    TEXT    NOT NULL,
    query  TEXT    NOT NULL,
    CONSTRAINT incident_listener_key PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

-- What is still to be told to whom, or was given up.
CREATE TABLE incident_delivery (
    incident INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    tried_at INTEGER NOT NULL,
    next_at  INTEGER NOT NULL,
    tries    INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    listener TEXT    NOT NULL,
    problem  TEXT    NOT NULL,
    CONSTRAINT incident_delivery_key PRIMARY KEY (listener, incident, seq),
    CONSTRAINT incident_delivery_state CHECK (state IN (1, 3))
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_delivery_due ON incident_delivery (listener, next_at, incident, seq) WHERE state = 1;
CREATE INDEX incident_delivery_oldest ON incident_delivery (at) WHERE state = 1;
CREATE INDEX incident_delivery_dead ON incident_delivery (tried_at) WHERE state = 3;

-- A line of a timeline and what is to be told of it are one transaction.
-- +goose StatementBegin
CREATE TRIGGER incident_entry_told AFTER INSERT ON incident_entry BEGIN
    INSERT INTO incident_delivery (listener, incident, seq, at, tried_at, next_at, tries, state, problem)
    SELECT id, NEW.incident, NEW.seq, NEW.at, 0, NEW.at, 0, 1, '' FROM incident_listener;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER incident_entry_told;
DROP TABLE incident_delivery;
DROP TABLE incident_listener;
ALTER TABLE incident DROP COLUMN owed;
