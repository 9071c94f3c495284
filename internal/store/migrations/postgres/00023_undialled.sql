-- +goose Up

-- 9: the customer's phone never rang, so that it is no attempt on them.
ALTER TABLE callback_attempt DROP CONSTRAINT callback_attempt_ring;
ALTER TABLE callback_attempt ADD CONSTRAINT callback_attempt_ring CHECK (ring BETWEEN 1 AND 9 AND (ring = 1) = (ended_at = 0));

-- +goose Down
UPDATE callback_attempt SET ring = 8 WHERE ring = 9;
ALTER TABLE callback_attempt DROP CONSTRAINT callback_attempt_ring;
ALTER TABLE callback_attempt ADD CONSTRAINT callback_attempt_ring CHECK (ring BETWEEN 1 AND 8 AND (ring = 1) = (ended_at = 0));
