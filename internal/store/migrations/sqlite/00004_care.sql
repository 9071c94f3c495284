-- +goose Up

-- Matters that are in no case yet: what the engine found, and what customers reported.
ALTER TABLE care_case ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
CREATE INDEX care_case_untaken ON care_case (at, purchase, matter) WHERE taken = 0;
ALTER TABLE report ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
CREATE INDEX report_untaken ON report (at, purchase, number, matter) WHERE taken = 0;

-- Everything that is wrong with one purchase, or one matter of a number without one.
-- Lists are joined by commas, with one before and one behind.
CREATE TABLE case_file (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    version     INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    purchase    INTEGER NOT NULL, -- 0 for none
    owner       INTEGER NOT NULL, -- of the staff, 0 for nobody
    owner_till  INTEGER NOT NULL,
    opened_at   INTEGER NOT NULL,
    answer_by   INTEGER NOT NULL,
    resolve_by  INTEGER NOT NULL,
    paused_at   INTEGER NOT NULL,
    answered_at INTEGER NOT NULL,
    treated_at  INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    closed_at   INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    merged_into INTEGER NOT NULL, -- case, 0 for none
    status      INTEGER NOT NULL,
    outcome     INTEGER NOT NULL,
    prefer      INTEGER NOT NULL,
    level       INTEGER NOT NULL,
    reopened    INTEGER NOT NULL,
    code        TEXT    NOT NULL,
    matters     TEXT    NOT NULL,
    rule        TEXT    NOT NULL, -- that settled it
    incident    TEXT    NOT NULL,
    channel     TEXT    NOT NULL,
    language    TEXT    NOT NULL,
    digest      TEXT    NOT NULL,
    CONSTRAINT case_file_version CHECK (version >= 1),
    CONSTRAINT case_file_codes CHECK (status BETWEEN 1 AND 4 AND outcome BETWEEN 0 AND 4 AND prefer BETWEEN 0 AND 2 AND level BETWEEN 0 AND 1),
    CONSTRAINT case_file_settled CHECK ((status = 3) = (outcome <> 0)), -- nothing closes without an outcome
    CONSTRAINT case_file_closed CHECK ((status IN (3, 4)) = (closed_at <> 0)),
    CONSTRAINT case_file_waits CHECK ((status = 2) = (paused_at <> 0)),
    CONSTRAINT case_file_due CHECK (due_at <> 0 OR status IN (3, 4))
) STRICT;
CREATE UNIQUE INDEX case_file_purchase ON case_file (purchase) WHERE purchase <> 0 AND merged_into = 0;
CREATE INDEX case_file_number ON case_file (number, id);
CREATE INDEX case_file_due ON case_file (due_at, id) WHERE status IN (1, 2);
CREATE INDEX case_file_open ON case_file (resolve_by, id) WHERE status = 1;
CREATE INDEX case_file_owner ON case_file (owner, resolve_by, id) WHERE status = 1;
CREATE INDEX case_file_unanswered ON case_file (answer_by) WHERE status = 1 AND answered_at = 0;
CREATE INDEX case_file_escalated ON case_file (resolve_by, id) WHERE status = 1 AND level = 1;
CREATE INDEX case_file_waiting ON case_file (resolve_by, id) WHERE status = 2;
CREATE INDEX case_file_closed_at ON case_file (closed_at, id) WHERE closed_at <> 0;
CREATE INDEX case_file_answered_at ON case_file (answered_at) WHERE answered_at <> 0;
CREATE INDEX case_file_opened ON case_file (opened_at, id);
CREATE INDEX case_file_changed ON case_file (changed_at, id);
CREATE INDEX case_file_incident ON case_file (incident, status, resolve_by, id) WHERE incident <> '';

-- A case's history. Lines are added and never changed.
CREATE TABLE case_entry (
    case_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    staff   INTEGER NOT NULL, -- 0 for none
    by_kind INTEGER NOT NULL,
    by_name TEXT    NOT NULL, -- of a rule or a client
    event   TEXT    NOT NULL,
    text    TEXT    NOT NULL,
    CONSTRAINT case_entry_key PRIMARY KEY (case_id, seq),
    CONSTRAINT case_entry_by CHECK (by_kind BETWEEN 1 AND 5)
) STRICT, WITHOUT ROWID;
CREATE INDEX case_entry_staff ON case_entry (at, staff) WHERE staff <> 0;

-- What customers are told of cases and callbacks, delivered from here.
CREATE TABLE care_message (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    to_number INTEGER NOT NULL,
    case_id   INTEGER NOT NULL, -- 0 for none
    callback  INTEGER NOT NULL, -- 0 for none
    at        INTEGER NOT NULL,
    sent_at   INTEGER NOT NULL,
    language  TEXT    NOT NULL,
    text      TEXT    NOT NULL,
    once      TEXT,             -- another with the same is left out
    CONSTRAINT care_message_once UNIQUE (once)
) STRICT;
CREATE INDEX care_message_unsent ON care_message (at, id) WHERE sent_at = 0;
CREATE INDEX care_message_case ON care_message (case_id, id) WHERE case_id <> 0;
CREATE INDEX care_message_callback ON care_message (callback, id) WHERE callback <> 0;
CREATE INDEX care_message_to ON care_message (to_number, id);

-- What somebody wants done about a purchase. It moves no money.
CREATE TABLE request (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version    INTEGER NOT NULL,
    purchase   INTEGER NOT NULL,
    case_id    INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    recipient  INTEGER NOT NULL,
    amount     INTEGER NOT NULL,
    maker      INTEGER NOT NULL, -- of the staff, 0 for a rule
    checker    INTEGER NOT NULL, -- of the staff, 0 for nobody
    at         INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    decided_at INTEGER NOT NULL,
    closed_at  INTEGER NOT NULL,
    result     INTEGER NOT NULL, -- purchase, 0 for none
    stage      INTEGER NOT NULL,
    unproven   INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    product    TEXT    NOT NULL,
    rule       TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    CONSTRAINT request_version CHECK (version >= 1),
    CONSTRAINT request_stage CHECK (stage BETWEEN 1 AND 7 AND unproven IN (0, 1) AND amount >= 0),
    CONSTRAINT request_over CHECK ((stage >= 4) = (closed_at <> 0)),
    CONSTRAINT request_maker CHECK ((maker <> 0) = (rule = '')),
    CONSTRAINT request_due CHECK (due_at <> 0 OR stage >= 4),
    CONSTRAINT request_checker CHECK (checker = 0 OR checker <> maker) -- never the same
) STRICT;
-- Of one kind about one purchase, or one case without a purchase, one is under way
-- or had its effect; partners may be asked again and again.
CREATE UNIQUE INDEX request_once ON request (purchase, kind, (CASE WHEN purchase = 0 THEN case_id ELSE 0 END))
    WHERE stage <= 4 AND (stage <= 3 OR kind <> 'answer');
CREATE INDEX request_purchase ON request (purchase, id);
CREATE INDEX request_maker_at ON request (maker, at);
CREATE INDEX request_number ON request (number, at);
CREATE INDEX request_due ON request (due_at, id) WHERE stage <= 3;
CREATE INDEX request_consent ON request (recipient, at, id) WHERE stage = 1;
CREATE INDEX request_stage_at ON request (stage, at, id);
CREATE INDEX request_at ON request (at);
CREATE INDEX request_goodwill ON request (at, stage, amount) WHERE kind = 'goodwill';

-- How callbacks are kept.
ALTER TABLE callback ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE callback ADD COLUMN case_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE callback ADD COLUMN owner INTEGER NOT NULL DEFAULT 0; -- of the staff
ALTER TABLE callback ADD COLUMN next_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE callback ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE callback ADD COLUMN told_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE callback ADD COLUMN alerted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE callback ADD COLUMN follows INTEGER NOT NULL DEFAULT 0; -- the broken promise that it makes good
ALTER TABLE callback ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE callback ADD COLUMN trying INTEGER NOT NULL DEFAULT 0;
CREATE INDEX callback_due ON callback (due_at, id) WHERE state = 1;
CREATE INDEX callback_first ON callback (window_at, id) WHERE state = 1 AND follows <> 0;
CREATE INDEX callback_windows ON callback (window_at);
CREATE UNIQUE INDEX callback_follows ON callback (follows) WHERE follows <> 0;

-- One try to call back, durable before anything is dialled.
CREATE TABLE callback_attempt (
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
CREATE UNIQUE INDEX callback_attempt_ringing ON callback_attempt (callback) WHERE ring = 1;
CREATE INDEX callback_attempt_staff ON callback_attempt (at, staff);

-- Rules of automatic treatment. A version never changes.
CREATE TABLE care_rule (
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    staff   INTEGER NOT NULL,
    place   INTEGER NOT NULL, -- in the order in which rules are tried
    amount  INTEGER NOT NULL,
    budget  INTEGER NOT NULL,
    active  INTEGER NOT NULL,
    by_kind INTEGER NOT NULL,
    by_name TEXT    NOT NULL,
    step    TEXT    NOT NULL,
    asks    TEXT    NOT NULL, -- JSON
    CONSTRAINT care_rule_key PRIMARY KEY (name, version),
    CONSTRAINT care_rule_active CHECK (active IN (0, 1) AND version >= 1)
) STRICT, WITHOUT ROWID;

-- What a rule did to a case, once.
CREATE TABLE treatment (
    case_id INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    amount  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    rule    TEXT    NOT NULL,
    step    TEXT    NOT NULL,
    result  TEXT    NOT NULL,
    CONSTRAINT treatment_key PRIMARY KEY (case_id, rule, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX treatment_rule ON treatment (rule, at);
CREATE INDEX treatment_at ON treatment (at);

-- Who looked at what, and why.
CREATE TABLE look (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    staff    INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    purchase INTEGER NOT NULL,
    case_id  INTEGER NOT NULL,
    reason   TEXT    NOT NULL
) STRICT;
CREATE INDEX look_number ON look (number, id);
CREATE INDEX look_staff ON look (staff, id);
CREATE INDEX look_at ON look (at, staff);

-- Texts that agents use again.
CREATE TABLE macro (
    name     TEXT    NOT NULL,
    language TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    text     TEXT    NOT NULL,
    CONSTRAINT macro_key PRIMARY KEY (name, language)
) STRICT, WITHOUT ROWID;

-- Files of cases.
CREATE TABLE attachment (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    case_id INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    staff   INTEGER NOT NULL,
    size    INTEGER NOT NULL,
    by_kind INTEGER NOT NULL,
    by_name TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    type    TEXT    NOT NULL,
    data    BLOB    NOT NULL
) STRICT;
CREATE INDEX attachment_case ON attachment (case_id, id);

-- One deed to many cases, done at go_at unless it is undone before.
CREATE TABLE bulk (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    staff     INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    go_at     INTEGER NOT NULL,
    closed_at INTEGER NOT NULL,
    done      INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    undone    INTEGER NOT NULL,
    deed      TEXT    NOT NULL, -- JSON
    cases     TEXT    NOT NULL, -- JSON
    CONSTRAINT bulk_undone CHECK (undone IN (0, 1))
) STRICT;
CREATE INDEX bulk_closed ON bulk (closed_at);

-- +goose Down
DROP TABLE bulk;
DROP TABLE attachment;
DROP TABLE macro;
DROP TABLE look;
DROP TABLE treatment;
DROP TABLE care_rule;
DROP TABLE callback_attempt;
DROP TABLE request;
DROP TABLE care_message;
DROP TABLE case_entry;
DROP TABLE case_file;
DROP INDEX callback_due;
DROP INDEX callback_first;
DROP INDEX callback_windows;
DROP INDEX callback_follows;
DROP INDEX care_case_untaken;
DROP INDEX report_untaken;
ALTER TABLE callback DROP COLUMN version;
ALTER TABLE callback DROP COLUMN case_id;
ALTER TABLE callback DROP COLUMN owner;
ALTER TABLE callback DROP COLUMN next_at;
ALTER TABLE callback DROP COLUMN due_at;
ALTER TABLE callback DROP COLUMN told_at;
ALTER TABLE callback DROP COLUMN alerted;
ALTER TABLE callback DROP COLUMN follows;
ALTER TABLE callback DROP COLUMN tries;
ALTER TABLE callback DROP COLUMN trying;
ALTER TABLE report DROP COLUMN taken;
ALTER TABLE care_case DROP COLUMN taken;
