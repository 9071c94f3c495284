-- +goose Up

-- How many bytes the leaves of a batch have, which are stored packed (S2); 0: they are stored as they are.
ALTER TABLE log_batch ADD COLUMN raw BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE log_batch DROP COLUMN raw;
