-- +goose Up

-- What commits a purchase's numbers in the log, of chance alone. Empty where there is none, or not
-- any more: whoever asks to be forgotten has it deleted.
ALTER TABLE purchase ADD COLUMN salt BLOB NOT NULL DEFAULT x'';

-- The leaves of the log, as each transaction left them, in the form of a bundle. Rows are added and
-- never changed.
CREATE TABLE log_batch (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch  INTEGER NOT NULL, -- 0 for what the engine did not write
    leaves BLOB NOT NULL
) STRICT;

-- Where a batch stands in the tree. A seal is a leaf of its own, and of no batch.
CREATE TABLE log_place (
    first  INTEGER NOT NULL, -- index of its first leaf
    batch  INTEGER NOT NULL, -- 0 for a seal
    leaves INTEGER NOT NULL,
    low    INTEGER NOT NULL, -- the times of its leaves
    high   INTEGER NOT NULL,
    seal   BLOB NOT NULL,
    CONSTRAINT log_place_key PRIMARY KEY (first, batch)
) STRICT;
CREATE UNIQUE INDEX log_place_batch ON log_place (batch) WHERE batch <> 0;
CREATE INDEX log_place_time ON log_place (high, low, first);

-- The batches that are in no tree yet. One transaction writes at a time, so that IDs are in the
-- order of time, and the sequencer takes the oldest.
CREATE VIEW log_queue AS SELECT id AS batch FROM log_batch
    WHERE id > (SELECT coalesce(max(batch), 0) FROM log_place WHERE batch <> 0);

-- How far the log is: one row.
CREATE TABLE log_state (
    one        INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    seals      INTEGER NOT NULL,
    begun      INTEGER NOT NULL,
    sealed_at  INTEGER NOT NULL,
    signed     INTEGER NOT NULL, -- size of the tree of the checkpoint
    checkpoint BLOB NOT NULL,
    CONSTRAINT log_state_key PRIMARY KEY (one),
    CONSTRAINT log_state_one CHECK (one = 1 AND signed <= size)
) STRICT;
INSERT INTO log_state (one, size, seals, begun, sealed_at, signed, checkpoint) VALUES (1, 0, 0, 0, 0, 0, x'');

-- The tree as tiles of hashes. Only the last of a level changes.
CREATE TABLE log_tile (
    n     INTEGER NOT NULL,
    level INTEGER NOT NULL,
    data  BLOB NOT NULL,
    CONSTRAINT log_tile_key PRIMARY KEY (level, n)
) STRICT;

-- +goose Down
DROP TABLE log_tile;
DROP TABLE log_state;
DROP VIEW log_queue;
DROP TABLE log_place;
DROP TABLE log_batch;
ALTER TABLE purchase DROP COLUMN salt;
