-- +goose Up

-- What a customer says is wrong with a purchase, once per matter.
CREATE TABLE report (
    purchase INTEGER NOT NULL,
    number   INTEGER NOT NULL, -- who says it
    at       INTEGER NOT NULL,
    meant    INTEGER NOT NULL, -- the number that was meant, 0 where none is told
    matter   TEXT    NOT NULL,
    channel  TEXT    NOT NULL,
    detail   TEXT    NOT NULL, -- in the customer's own words
    CONSTRAINT report_key PRIMARY KEY (purchase, number, matter)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_number ON report (number, at);

-- The promise to call a number within a window.
CREATE TABLE callback (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    number    INTEGER NOT NULL,
    purchase  INTEGER NOT NULL, -- that it is about, 0 for none
    at        INTEGER NOT NULL,
    window_at INTEGER NOT NULL, -- when the window begins
    closed_at INTEGER NOT NULL,
    state     INTEGER NOT NULL,
    channel   TEXT    NOT NULL,
    language  TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    CONSTRAINT callback_state CHECK (state BETWEEN 1 AND 4 AND (state = 1) = (closed_at = 0))
) STRICT;
CREATE UNIQUE INDEX callback_open ON callback (number) WHERE state = 1;
CREATE INDEX callback_window ON callback (window_at) WHERE state = 1;
CREATE INDEX callback_number ON callback (number, id);

-- A wish that its customer was shown with its price, and may confirm and cancel.
CREATE TABLE checkout (
    key      TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    go_at    INTEGER NOT NULL, -- when it is bought, 0 until it is confirmed
    purchase INTEGER NOT NULL, -- that it became, 0 for none
    total    INTEGER NOT NULL, -- that was shown
    state    INTEGER NOT NULL,
    wish     TEXT    NOT NULL, -- JSON
    problem  TEXT    NOT NULL, -- the code of what refused it
    earlier  TEXT    NOT NULL, -- the like purchase that it was refused for
    CONSTRAINT checkout_key PRIMARY KEY (key),
    CONSTRAINT checkout_state CHECK (state BETWEEN 1 AND 7)
) STRICT, WITHOUT ROWID;
CREATE INDEX checkout_due ON checkout (go_at) WHERE state IN (2, 3);
CREATE INDEX checkout_at ON checkout (at);
CREATE INDEX checkout_number ON checkout (number, at);

-- The one-time code that signs a number in. Only the newest of a number counts.
CREATE TABLE one_time_code (
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    till   INTEGER NOT NULL,
    tries  INTEGER NOT NULL,
    hash   BLOB    NOT NULL,
    CONSTRAINT one_time_code_key PRIMARY KEY (number)
) STRICT, WITHOUT ROWID;

-- How often something that is limited happened since the beginning of a period.
CREATE TABLE tally (
    name  TEXT    NOT NULL,
    since INTEGER NOT NULL,
    till  INTEGER NOT NULL, -- when the period is over
    count INTEGER NOT NULL,
    CONSTRAINT tally_key PRIMARY KEY (name, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX tally_till ON tally (till);

-- Who is signed in.
CREATE TABLE session (
    token TEXT    NOT NULL, -- its hash
    till  INTEGER NOT NULL,
    data  BLOB    NOT NULL,
    CONSTRAINT session_key PRIMARY KEY (token)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_till ON session (till);

-- The newest USSD session of a number that went past its first screen.
CREATE TABLE ussd_session (
    number        INTEGER NOT NULL,
    at            INTEGER NOT NULL, -- of its last turn
    began         INTEGER NOT NULL,
    dropped_began INTEGER NOT NULL,
    ended         INTEGER NOT NULL, -- 1 when there is nothing to go on with
    session       TEXT    NOT NULL, -- the gateway's name of it
    typed         TEXT    NOT NULL, -- joined by stars
    dropped       TEXT    NOT NULL, -- the session that it was asked to go on with, '' when it was not asked
    dropped_typed TEXT    NOT NULL,
    CONSTRAINT ussd_session_key PRIMARY KEY (number)
) STRICT, WITHOUT ROWID;
CREATE INDEX ussd_session_at ON ussd_session (at);

-- What a customer chose.
CREATE TABLE customer (
    number   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    language TEXT    NOT NULL,
    muted    INTEGER NOT NULL, -- set of what is not told by push
    CONSTRAINT customer_key PRIMARY KEY (number)
) STRICT, WITHOUT ROWID;

-- Numbers that a customer buys for often.
CREATE TABLE favourite (
    number    INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    CONSTRAINT favourite_key PRIMARY KEY (number, recipient)
) STRICT, WITHOUT ROWID;

-- Where a browser receives push messages (RFC 8030, RFC 8291).
CREATE TABLE push_subscription (
    endpoint TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    key      BLOB    NOT NULL,
    secret   BLOB    NOT NULL,
    CONSTRAINT push_subscription_key PRIMARY KEY (endpoint)
) STRICT, WITHOUT ROWID;
CREATE INDEX push_subscription_number ON push_subscription (number);

-- What a message centre told of a message that it took over.
CREATE TABLE delivery (
    centre  TEXT    NOT NULL,
    ref     TEXT    NOT NULL, -- the centre's own name of the message
    at      INTEGER NOT NULL, -- when it was taken over
    told_at INTEGER NOT NULL,
    state   INTEGER NOT NULL,
    message TEXT    NOT NULL, -- our name of it
    detail  TEXT    NOT NULL,
    CONSTRAINT delivery_key PRIMARY KEY (centre, ref)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_message ON delivery (message);

-- +goose Down
DROP TABLE delivery;
DROP TABLE push_subscription;
DROP TABLE favourite;
DROP TABLE customer;
DROP TABLE ussd_session;
DROP TABLE session;
DROP TABLE tally;
DROP TABLE one_time_code;
DROP TABLE checkout;
DROP TABLE callback;
DROP TABLE report;
