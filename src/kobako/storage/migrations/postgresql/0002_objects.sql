-- Tombstones are objects whose fields are {"deleted":true}. `data` is the text that answers are made of;
-- `fields` has the same values, for filters and sorting.
CREATE TABLE objects (
    bucket text COLLATE "C" NOT NULL,
    parent text COLLATE "C" NOT NULL,
    resource text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    last_modified bigint NOT NULL,
    deleted boolean NOT NULL,
    data text NOT NULL,
    fields jsonb NOT NULL,
    PRIMARY KEY (bucket, parent, resource, id),
    UNIQUE (bucket, parent, resource, last_modified)
)
