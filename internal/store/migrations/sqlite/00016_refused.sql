-- +goose Up

-- What pauses kept from being sold, by the minute: of all nodes together.
CREATE TABLE sales_refused (
    pause   INTEGER NOT NULL,
    minute  INTEGER NOT NULL, -- the instant that it begins at
    refused INTEGER NOT NULL,
    CONSTRAINT sales_refused_key PRIMARY KEY (pause, minute)
) STRICT, WITHOUT ROWID;
CREATE INDEX sales_pause_incident ON sales_pause (incident) WHERE incident <> 0;

-- +goose Down
DROP INDEX sales_pause_incident;
DROP TABLE sales_refused;
