CREATE INDEX objects_by_key4 ON objects (bucket, parent, resource, key4) WHERE key4 IS NOT NULL
