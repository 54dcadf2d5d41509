-- NULL where the list declares nothing, and then in no index.
ALTER TABLE objects
    ADD COLUMN key1 bytea,
    ADD COLUMN key2 bytea,
    ADD COLUMN key3 bytea,
    ADD COLUMN key4 bytea,
    ADD COLUMN key5 bytea
