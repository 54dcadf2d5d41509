CREATE INDEX objects_by_key2 ON objects (bucket, parent, resource, key2) WHERE key2 IS NOT NULL
