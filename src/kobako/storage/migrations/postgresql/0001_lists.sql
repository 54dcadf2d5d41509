-- Lists are never removed: a list that is made anew goes on from the timestamp it had.
-- `purged_before` says that changes up to there can no longer be told: they left no tombstones.
-- Every write moves the row of its list: with room on the page, no index is touched.
CREATE TABLE lists (
    bucket text COLLATE "C" NOT NULL,
    parent text COLLATE "C" NOT NULL,
    resource text COLLATE "C" NOT NULL,
    last_modified bigint NOT NULL,
    open boolean NOT NULL,
    purged_before bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, parent, resource)
) WITH (fillfactor = 50)
