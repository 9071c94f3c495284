-- +goose Up

-- Those who work for customers.
CREATE TABLE staff (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    version       INTEGER NOT NULL,
    sessions_from INTEGER NOT NULL, -- sessions that began before are over
    locked_to     INTEGER NOT NULL,
    totp_step     INTEGER NOT NULL, -- whose code was accepted last
    failed        INTEGER NOT NULL,
    disabled      INTEGER NOT NULL,
    must_change   INTEGER NOT NULL,
    login         TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    language      TEXT    NOT NULL,
    subject       TEXT    NOT NULL, -- of the OpenID provider, '' for none
    password      TEXT    NOT NULL, -- Argon2id, '' for none
    totp          BLOB    NOT NULL, -- sealed, empty for none
    CONSTRAINT staff_login UNIQUE (login),
    CONSTRAINT staff_version CHECK (version >= 1),
    CONSTRAINT staff_flags CHECK (disabled IN (0, 1) AND must_change IN (0, 1)),
    CONSTRAINT staff_role CHECK (role IN ('agent', 'supervisor', 'administrator', 'auditor'))
) STRICT;
CREATE UNIQUE INDEX staff_subject ON staff (subject) WHERE subject <> '';

-- Their own and declared related numbers: they act on none of them.
CREATE TABLE staff_number (
    staff  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    CONSTRAINT staff_number_key PRIMARY KEY (staff, number)
) STRICT, WITHOUT ROWID;

-- Web Authentication credentials.
CREATE TABLE passkey (
    id    BLOB    NOT NULL,
    staff INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    count INTEGER NOT NULL, -- of signatures
    name  TEXT    NOT NULL,
    data  BLOB    NOT NULL,
    CONSTRAINT passkey_key PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX passkey_staff ON passkey (staff);

-- Who is signed in at the console. Only the hash of a token is kept.
CREATE TABLE staff_session (
    hash    TEXT    NOT NULL,
    staff   INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    till    INTEGER NOT NULL,
    method  TEXT    NOT NULL,
    address TEXT    NOT NULL,
    browser TEXT    NOT NULL,
    CONSTRAINT staff_session_key PRIMARY KEY (hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_session_staff ON staff_session (staff, at);
CREATE INDEX staff_session_till ON staff_session (till);
CREATE INDEX staff_session_seen ON staff_session (seen_at);

-- What was done to accounts. Lines are added and never changed.
CREATE TABLE staff_change (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    at    INTEGER NOT NULL,
    staff INTEGER NOT NULL,
    who   TEXT    NOT NULL, -- a login, or "command"
    what  TEXT    NOT NULL
) STRICT;
CREATE INDEX staff_change_staff ON staff_change (staff, id);

-- +goose Down
DROP TABLE staff_change;
DROP TABLE staff_session;
DROP TABLE passkey;
DROP TABLE staff_number;
DROP TABLE staff;
