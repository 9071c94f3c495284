-- +goose Up

-- What clients of the interface call cases, and that they opened them. external_id
-- is empty where a client gave no name.
CREATE TABLE case_external (
    case_id     BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    agreed_at   BIGINT NOT NULL, -- that the client agreed with how the case was settled, 0 for never
    client      TEXT   NOT NULL,
    external_id TEXT   NOT NULL,
    CONSTRAINT case_external_key PRIMARY KEY (client, case_id, external_id)
);
CREATE UNIQUE INDEX case_external_name ON case_external (client, external_id) WHERE external_id <> '';

-- Who is told of cases.
CREATE TABLE hook_listener (
    id     TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    client TEXT   NOT NULL,
    url    TEXT   NOT NULL,
    query  TEXT   NOT NULL,
    CONSTRAINT hook_listener_key PRIMARY KEY (id)
);

-- What is still to be told to whom, or was given up.
CREATE TABLE hook_delivery (
    case_id      BIGINT   NOT NULL,
    seq          BIGINT   NOT NULL,
    at           BIGINT   NOT NULL,
    tried_at     BIGINT   NOT NULL,
    next_at      BIGINT   NOT NULL,
    tries        INTEGER  NOT NULL,
    state        SMALLINT NOT NULL,
    listener TEXT     NOT NULL,
    problem      TEXT     NOT NULL,
    CONSTRAINT hook_delivery_key PRIMARY KEY (listener, case_id, seq),
    CONSTRAINT hook_delivery_state CHECK (state IN (1, 3))
);
CREATE INDEX hook_delivery_due ON hook_delivery (listener, next_at, case_id, seq) WHERE state = 1;
CREATE INDEX hook_delivery_oldest ON hook_delivery (at) WHERE state = 1;
CREATE INDEX hook_delivery_dead ON hook_delivery (tried_at) WHERE state = 3;

-- A line of a case's history and what is to be told of it are one transaction,
-- whoever writes the line: no event is lost, and none is invented.
-- +goose StatementBegin
CREATE FUNCTION case_entry_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hook_delivery (listener, case_id, seq, at, tried_at, next_at, tries, state, problem)
    SELECT id, added.case_id, added.seq, added.at, 0, added.at, 0, 1, '' FROM hook_listener CROSS JOIN added;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER case_entry_told AFTER INSERT ON case_entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION case_entry_told();

-- +goose Down
DROP TRIGGER case_entry_told ON case_entry;
DROP FUNCTION case_entry_told;
DROP TABLE hook_delivery;
DROP TABLE hook_listener;
DROP TABLE case_external;
