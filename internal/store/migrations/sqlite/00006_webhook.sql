-- +goose Up

-- What clients of the interface call cases, and that they opened them. external_id
-- is empty where a client gave no name.
CREATE TABLE case_external (
    case_id     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    agreed_at   INTEGER NOT NULL, -- that the client agreed with how the case was settled, 0 for never
    client      TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    CONSTRAINT case_external_key PRIMARY KEY (client, case_id, external_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX case_external_name ON case_external (client, external_id) WHERE external_id <> '';

-- Who is told of cases.
CREATE TABLE hook_listener (
    id     TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    client TEXT    NOT NULL,
    url    TEXT    NOT NULL,
    query  TEXT    NOT NULL,
    CONSTRAINT hook_listener_key PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

-- What is still to be told to whom, or was given up.
CREATE TABLE hook_delivery (
    case_id      INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    tried_at     INTEGER NOT NULL,
    next_at      INTEGER NOT NULL,
    tries        INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    listener TEXT    NOT NULL,
    problem      TEXT    NOT NULL,
    CONSTRAINT hook_delivery_key PRIMARY KEY (listener, case_id, seq),
    CONSTRAINT hook_delivery_state CHECK (state IN (1, 3))
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_delivery_due ON hook_delivery (listener, next_at, case_id, seq) WHERE state = 1;
CREATE INDEX hook_delivery_oldest ON hook_delivery (at) WHERE state = 1;
CREATE INDEX hook_delivery_dead ON hook_delivery (tried_at) WHERE state = 3;

-- A line of a case's history and what is to be told of it are one transaction,
-- whoever writes the line: no event is lost, and none is invented.
-- +goose StatementBegin
CREATE TRIGGER case_entry_told AFTER INSERT ON case_entry BEGIN
    INSERT INTO hook_delivery (listener, case_id, seq, at, tried_at, next_at, tries, state, problem)
    SELECT id, NEW.case_id, NEW.seq, NEW.at, 0, NEW.at, 0, 1, '' FROM hook_listener;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER case_entry_told;
DROP TABLE hook_delivery;
DROP TABLE hook_listener;
DROP TABLE case_external;
