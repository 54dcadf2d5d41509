CREATE INDEX objects_by_key1 ON objects (bucket, parent, resource, key1) WHERE key1 IS NOT NULL
