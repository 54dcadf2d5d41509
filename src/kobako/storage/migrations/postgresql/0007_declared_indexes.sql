-- The fields that a list declares: its objects have a key for each, in this order.
ALTER TABLE lists ADD COLUMN indexes text[] NOT NULL DEFAULT '{}'
