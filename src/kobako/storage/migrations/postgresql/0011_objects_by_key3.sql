CREATE INDEX objects_by_key3 ON objects (bucket, parent, resource, key3) WHERE key3 IS NOT NULL
