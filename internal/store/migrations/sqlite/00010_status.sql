-- +goose Up

-- Who is told of incidents. dimension is that of the series, 0 with an empty name for all.
CREATE TABLE status_subscription (
    number    INTEGER NOT NULL,
    dimension INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    language  TEXT    NOT NULL,
    CONSTRAINT status_subscription_key PRIMARY KEY (number, dimension, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX status_subscription_series ON status_subscription (dimension, name, number);

-- +goose Down
DROP TABLE status_subscription;
