-- +goose Up

-- A plan is changed in turns: it is undone, or it begins.
ALTER TABLE bulk ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- +goose Down
ALTER TABLE bulk DROP COLUMN version;
