-- +goose Up

-- What pauses kept from being sold, by the minute: of all nodes together.
CREATE TABLE sales_refused (
    pause   BIGINT NOT NULL,
    minute  BIGINT NOT NULL, -- the instant that it begins at
    refused BIGINT NOT NULL,
    CONSTRAINT sales_refused_key PRIMARY KEY (pause, minute)
);
CREATE INDEX sales_pause_incident ON sales_pause (incident) WHERE incident <> 0;

-- +goose Down
DROP INDEX sales_pause_incident;
DROP TABLE sales_refused;
