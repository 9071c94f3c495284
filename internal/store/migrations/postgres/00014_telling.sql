-- +goose Up

-- What has to be done about an incident by rule, as JSON; '' where nothing is.
ALTER TABLE incident ADD COLUMN owed TEXT NOT NULL DEFAULT '';

-- Who is told of incidents: systems, and mailboxes.
CREATE TABLE incident_listener (
    id     TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    client TEXT   NOT NULL,
    url    TEXT   NOT NULL,
    query  TEXT   NOT NULL,
    CONSTRAINT incident_listener_key PRIMARY KEY (id)
);

-- What is still to be told to whom, or was given up.
CREATE TABLE incident_delivery (
    incident BIGINT   NOT NULL,
    seq      BIGINT   NOT NULL,
    at       BIGINT   NOT NULL,
    tried_at BIGINT   NOT NULL,
    next_at  BIGINT   NOT NULL,
    tries    INTEGER  NOT NULL,
    state    SMALLINT NOT NULL,
    listener TEXT     NOT NULL,
    problem  TEXT     NOT NULL,
    CONSTRAINT incident_delivery_key PRIMARY KEY (listener, incident, seq),
    CONSTRAINT incident_delivery_state CHECK (state IN (1, 3))
);
CREATE INDEX incident_delivery_due ON incident_delivery (listener, next_at, incident, seq) WHERE state = 1;
CREATE INDEX incident_delivery_oldest ON incident_delivery (at) WHERE state = 1;
CREATE INDEX incident_delivery_dead ON incident_delivery (tried_at) WHERE state = 3;

-- A line of a timeline and what is to be told of it are one transaction.
-- +goose StatementBegin
CREATE FUNCTION incident_entry_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO incident_delivery (listener, incident, seq, at, tried_at, next_at, tries, state, problem)
    SELECT id, added.incident, added.seq, added.at, 0, added.at, 0, 1, '' FROM incident_listener CROSS JOIN added;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER incident_entry_told AFTER INSERT ON incident_entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION incident_entry_told();

-- +goose Down
DROP TRIGGER incident_entry_told ON incident_entry;
DROP FUNCTION incident_entry_told;
DROP TABLE incident_delivery;
DROP TABLE incident_listener;
ALTER TABLE incident DROP COLUMN owed;
