CREATE INDEX objects_by_key5 ON objects (bucket, parent, resource, key5) WHERE key5 IS NOT NULL
