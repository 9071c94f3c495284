-- +goose Up

-- Customers who are harmed again after they were told that all of theirs is settled: the number of the
-- reopening that did it, 0 for the first time, and the one that they were told of.
ALTER TABLE incident_purchase ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incident_customer ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incident_customer ADD COLUMN told_round INTEGER NOT NULL DEFAULT 0;
CREATE INDEX incident_customer_again ON incident_customer (incident, purchase) WHERE told_round < round;

-- What each node counted lately, by its lease, for the others. One row per node; what is of a fenced lease is worth nothing.
CREATE TABLE node_tally (
    epoch INTEGER NOT NULL,
    seq   INTEGER NOT NULL, -- counts the writings of that lease
    data  TEXT    NOT NULL,
    CONSTRAINT node_tally_key PRIMARY KEY (epoch)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE node_tally;
DROP INDEX incident_customer_again;
ALTER TABLE incident_customer DROP COLUMN told_round;
ALTER TABLE incident_customer DROP COLUMN round;
ALTER TABLE incident_purchase DROP COLUMN round;
