-- +goose Up

-- One sale. Instants are microseconds since the Unix epoch, 0 for never; amounts
-- are minor units; numbers are E.164 without the plus sign. Sets are bits.
CREATE TABLE purchase (
    id               INTEGER PRIMARY KEY,
    version          INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    payer_number     INTEGER NOT NULL,
    recipient        INTEGER NOT NULL,
    total            INTEGER NOT NULL,
    fee              INTEGER NOT NULL,
    units            INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    charged_at       INTEGER NOT NULL,
    closed_at        INTEGER NOT NULL,
    deliver_by       INTEGER NOT NULL,
    resolve_by       INTEGER NOT NULL,
    refund_by        INTEGER NOT NULL,
    watch_till       INTEGER NOT NULL,
    due_at           INTEGER NOT NULL,
    charged          INTEGER NOT NULL,
    held             INTEGER NOT NULL,
    offer            INTEGER NOT NULL,
    told             INTEGER NOT NULL,
    state            INTEGER NOT NULL,
    bundle           INTEGER NOT NULL,
    again            INTEGER NOT NULL,
    orphan           INTEGER NOT NULL,
    exposed          INTEGER NOT NULL,
    unproven         INTEGER NOT NULL,
    doubt            INTEGER NOT NULL, -- set of legs
    closed           INTEGER NOT NULL, -- set of legs
    acknowledged     INTEGER NOT NULL, -- set of legs
    client           TEXT    NOT NULL,
    client_key       TEXT    NOT NULL,
    channel          TEXT    NOT NULL,
    language         TEXT    NOT NULL,
    payer            TEXT    NOT NULL,
    provider         TEXT    NOT NULL,
    product          TEXT    NOT NULL,
    currency         TEXT    NOT NULL,
    charged_currency TEXT    NOT NULL,
    digest           BLOB    NOT NULL,
    CONSTRAINT purchase_version CHECK (version >= 1),
    CONSTRAINT purchase_state CHECK (state BETWEEN 1 AND 6),
    CONSTRAINT purchase_price CHECK (total > 0 AND units > 0 AND fee >= 0 AND fee < total),
    CONSTRAINT purchase_held CHECK (held BETWEEN 0 AND charged),
    CONSTRAINT purchase_nothing_taken CHECK (charged = 0 OR state NOT IN (1, 6)),
    CONSTRAINT purchase_due CHECK (due_at <> 0 OR state IN (3, 5, 6)),
    CONSTRAINT purchase_flags CHECK (bundle IN (0, 1) AND again IN (0, 1) AND orphan IN (0, 1)
        AND exposed IN (0, 1) AND unproven IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX purchase_client_key ON purchase (client, client_key);
CREATE INDEX purchase_recipient ON purchase (recipient, created_at);
CREATE INDEX purchase_payer ON purchase (payer_number, created_at) WHERE payer_number <> recipient;
CREATE INDEX purchase_open ON purchase (epoch, id) WHERE due_at <> 0;

-- The purchases that still act by themselves, by the lease that owns them.
CREATE VIEW open_purchase AS SELECT epoch, id AS purchase FROM purchase WHERE due_at <> 0;

-- The durable intent of one outbound try. In this table and those that follow,
-- version is that of the purchase after the change that wrote the row.
CREATE TABLE attempt (
    purchase INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    leg      INTEGER NOT NULL,
    try      INTEGER NOT NULL,
    partner  TEXT    NOT NULL,
    CONSTRAINT attempt_key PRIMARY KEY (purchase, leg, try),
    CONSTRAINT attempt_leg CHECK (leg BETWEEN 1 AND 4 AND try >= 1)
) STRICT, WITHOUT ROWID;

-- What a partner said of a leg.
CREATE TABLE evidence (
    purchase INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    account  INTEGER NOT NULL,
    balance  INTEGER,
    leg      INTEGER NOT NULL,
    source   INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    partner  TEXT    NOT NULL,
    ref      TEXT    NOT NULL,
    currency TEXT    NOT NULL,
    product  TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    CONSTRAINT evidence_key PRIMARY KEY (purchase, version),
    CONSTRAINT evidence_codes CHECK (leg BETWEEN 1 AND 4 AND source BETWEEN 1 AND 6 AND kind BETWEEN 1 AND 8)
) STRICT, WITHOUT ROWID;

-- A ledger account: a name within a currency.
CREATE TABLE account (
    id       INTEGER PRIMARY KEY,
    name     TEXT    NOT NULL,
    currency TEXT    NOT NULL,
    CONSTRAINT account_name UNIQUE (name, currency)
) STRICT;

-- The journal. Each posting rests on the evidence of its purchase and version.
CREATE TABLE posting (
    purchase INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    debit    INTEGER NOT NULL,
    credit   INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    leg      INTEGER NOT NULL,
    effect   INTEGER NOT NULL,
    CONSTRAINT posting_key PRIMARY KEY (purchase, leg, effect),
    CONSTRAINT posting_moves CHECK (amount > 0 AND debit <> credit),
    CONSTRAINT posting_codes CHECK (leg BETWEEN 1 AND 4 AND effect >= 1)
) STRICT, WITHOUT ROWID;

-- The sum of an account's postings, in parts that writers do not contend for.
CREATE TABLE balance (
    account INTEGER NOT NULL,
    stripe  INTEGER NOT NULL,
    amount  INTEGER NOT NULL,
    CONSTRAINT balance_key PRIMARY KEY (account, stripe)
) STRICT, WITHOUT ROWID;

-- A text to a customer, delivered from here.
CREATE TABLE notice (
    purchase  INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    to_number INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    sent_at   INTEGER NOT NULL,
    fact      INTEGER NOT NULL,
    language  TEXT    NOT NULL,
    text      TEXT    NOT NULL,
    CONSTRAINT notice_key PRIMARY KEY (purchase, fact, to_number),
    CONSTRAINT notice_fact CHECK (fact BETWEEN 1 AND 31)
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_unsent ON notice (at, purchase, fact, to_number) WHERE sent_at = 0;

-- What staff or rules must settle: one case per purchase and matter.
CREATE TABLE care_case (
    purchase INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    matter   TEXT    NOT NULL,
    CONSTRAINT care_case_key PRIMARY KEY (purchase, matter)
) STRICT, WITHOUT ROWID;

-- A node's right to write.
CREATE TABLE lease (
    epoch    INTEGER PRIMARY KEY AUTOINCREMENT,
    renewals INTEGER NOT NULL DEFAULT 0,
    fenced   INTEGER NOT NULL DEFAULT 0,
    node     TEXT    NOT NULL,
    CONSTRAINT lease_fenced CHECK (fenced IN (0, 1))
) STRICT;

-- Partners' callbacks that wait for the node that owns their purchase.
CREATE TABLE parked (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    purchase INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    account  INTEGER NOT NULL,
    balance  INTEGER,
    leg      INTEGER NOT NULL,
    source   INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    ref      TEXT    NOT NULL,
    currency TEXT    NOT NULL,
    product  TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    detail   TEXT    NOT NULL
) STRICT;

-- The next purchase number of each shard.
CREATE TABLE sequence (
    shard INTEGER PRIMARY KEY,
    next  INTEGER NOT NULL
) STRICT;

-- What an installation knows of itself.
CREATE TABLE meta (
    name  TEXT    NOT NULL,
    value BLOB    NOT NULL,
    CONSTRAINT meta_key PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE meta;
DROP TABLE sequence;
DROP TABLE parked;
DROP TABLE lease;
DROP TABLE care_case;
DROP TABLE notice;
DROP TABLE balance;
DROP TABLE posting;
DROP TABLE account;
DROP TABLE evidence;
DROP TABLE attempt;
DROP VIEW open_purchase;
DROP TABLE purchase;
