-- The fields that a list declares, as JSON, and a key for each in its objects. Where nothing is declared
-- the keys are NULL, and in no index.
ALTER TABLE lists ADD COLUMN indexes TEXT NOT NULL DEFAULT '[]';

ALTER TABLE objects ADD COLUMN key1 BLOB;
ALTER TABLE objects ADD COLUMN key2 BLOB;
ALTER TABLE objects ADD COLUMN key3 BLOB;
ALTER TABLE objects ADD COLUMN key4 BLOB;
ALTER TABLE objects ADD COLUMN key5 BLOB;

CREATE INDEX objects_by_key1 ON objects (list, key1) WHERE key1 IS NOT NULL;
CREATE INDEX objects_by_key2 ON objects (list, key2) WHERE key2 IS NOT NULL;
CREATE INDEX objects_by_key3 ON objects (list, key3) WHERE key3 IS NOT NULL;
CREATE INDEX objects_by_key4 ON objects (list, key4) WHERE key4 IS NOT NULL;
CREATE INDEX objects_by_key5 ON objects (list, key5) WHERE key5 IS NOT NULL;
