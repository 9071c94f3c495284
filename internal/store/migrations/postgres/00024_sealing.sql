-- +goose Up

-- The data keys by which texts and files are sealed, each encrypted by age for its recipients. None: nothing is sealed.
-- A key is never deleted while a value may be sealed by it; the one of the highest number seals.
CREATE TABLE sealing_key (
    id         BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    recipients TEXT NOT NULL,
    wrapped    BYTEA NOT NULL,
    CONSTRAINT sealing_key_key PRIMARY KEY (id),
    CONSTRAINT sealing_key_sound CHECK (id >= 1 AND recipients <> '' AND length(wrapped) BETWEEN 1 AND 65536)
);

-- +goose Down
DROP TABLE sealing_key;
