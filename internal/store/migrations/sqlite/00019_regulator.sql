-- +goose Up

-- What happened in a time is summed up by when it happened, without reading all else.
CREATE INDEX purchase_created ON purchase (created_at);
CREATE INDEX evidence_at ON evidence (at);
CREATE INDEX attempt_refund ON attempt (at) WHERE leg = 3 AND try = 1;
CREATE INDEX notice_declined ON notice (at) WHERE fact = 6;
CREATE INDEX care_case_uncharged ON care_case (at) WHERE matter = 'unknown_charge';
CREATE INDEX case_entry_counted ON case_entry (at) WHERE event IN ('opened', 'reported', 'settled');
CREATE INDEX callback_at ON callback (at);
CREATE INDEX callback_closed ON callback (closed_at) WHERE closed_at <> 0;

-- A regulator's staff have accounts too.
CREATE TABLE staff_again (
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
    CONSTRAINT staff_role CHECK (role IN ('agent', 'supervisor', 'administrator', 'auditor', 'regulator'))
) STRICT;
INSERT INTO staff_again (id, version, sessions_from, locked_to, totp_step, failed, disabled, must_change, login, name, role, language, subject, password, totp)
    SELECT id, version, sessions_from, locked_to, totp_step, failed, disabled, must_change, login, name, role, language, subject, password, totp FROM staff;
DROP TABLE staff;
ALTER TABLE staff_again RENAME TO staff;
CREATE UNIQUE INDEX staff_subject ON staff (subject) WHERE subject <> '';

-- What happened on one day of the country, summed up once, when it was over. A row never changes.
CREATE TABLE regulator_day (
    day       TEXT    NOT NULL, -- 2024-07-09
    zone      TEXT    NOT NULL,
    from_at   INTEGER NOT NULL,
    till_at   INTEGER NOT NULL,
    closed_at INTEGER NOT NULL,
    figures   TEXT    NOT NULL, -- JSON
    digest    TEXT    NOT NULL, -- SHA-256 of the figures
    CONSTRAINT regulator_day_key PRIMARY KEY (day),
    CONSTRAINT regulator_day_till CHECK (till_at > from_at)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX regulator_day_from ON regulator_day (from_at);

-- What was found out later about a day that is summed up: its figures as they are right. Rows are added, never changed.
CREATE TABLE regulator_correction (
    day     TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    figures TEXT    NOT NULL,
    changed TEXT    NOT NULL, -- JSON: what differs from the figures before
    digest  TEXT    NOT NULL,
    CONSTRAINT regulator_correction_key PRIMARY KEY (day, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX regulator_correction_at ON regulator_correction (at);

-- Money of one purchase that was held, or in exposure, at the end of a day: a row for each day at whose end it was
-- another amount than a day before. Rows are added, never changed.
CREATE TABLE regulator_item (
    purchase INTEGER NOT NULL,
    account  TEXT    NOT NULL,
    currency TEXT    NOT NULL,
    day      TEXT    NOT NULL,
    noted_at INTEGER NOT NULL,
    amount   INTEGER NOT NULL, -- 0: no more
    since    INTEGER NOT NULL,
    CONSTRAINT regulator_item_key PRIMARY KEY (purchase, account, currency, day, noted_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX regulator_item_day ON regulator_item (day, purchase) WHERE amount <> 0;

-- A month's report, published once.
CREATE TABLE regulator_publication (
    month     TEXT    NOT NULL, -- 2024-07
    at        INTEGER NOT NULL,
    staff     INTEGER NOT NULL, -- 0 for the system
    version   TEXT    NOT NULL, -- of the software
    head      TEXT    NOT NULL, -- of the log
    profile   TEXT    NOT NULL,
    data      TEXT    NOT NULL, -- JSON
    digest    TEXT    NOT NULL, -- SHA-256 of the data
    signature TEXT    NOT NULL,
    CONSTRAINT regulator_publication_key PRIMARY KEY (month)
) STRICT, WITHOUT ROWID;

-- The files of a report, as they were published.
CREATE TABLE regulator_file (
    month  TEXT NOT NULL,
    name   TEXT NOT NULL,
    type   TEXT NOT NULL,
    digest TEXT NOT NULL, -- SHA-256
    data   BLOB NOT NULL,
    CONSTRAINT regulator_file_key PRIMARY KEY (month, name)
) STRICT, WITHOUT ROWID;

-- What a regulator asks the operator, and the answer.
CREATE TABLE regulator_question (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    staff       INTEGER NOT NULL, -- who asks
    due_at      INTEGER NOT NULL,
    answered_at INTEGER NOT NULL,
    answered_by INTEGER NOT NULL,
    subject     TEXT    NOT NULL,
    text        TEXT    NOT NULL,
    answer      TEXT    NOT NULL,
    CONSTRAINT regulator_question_due CHECK (due_at > at),
    CONSTRAINT regulator_question_answered CHECK ((answered_at <> 0) = (answer <> ''))
) STRICT;
CREATE INDEX regulator_question_open ON regulator_question (due_at) WHERE answered_at = 0;

-- +goose Down
DROP TABLE regulator_question;
DROP TABLE regulator_file;
DROP TABLE regulator_publication;
DROP TABLE regulator_item;
DROP TABLE regulator_correction;
DROP TABLE regulator_day;
UPDATE staff SET role = 'auditor', disabled = 1 WHERE role = 'regulator';
DROP INDEX callback_closed;
DROP INDEX callback_at;
DROP INDEX case_entry_counted;
DROP INDEX care_case_uncharged;
DROP INDEX notice_declined;
DROP INDEX attempt_refund;
DROP INDEX evidence_at;
DROP INDEX purchase_created;
