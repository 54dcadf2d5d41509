-- Lists are never removed: a list that is made anew goes on from the timestamp it had.
-- `purged_before` says that changes up to there can no longer be told: they left no tombstones.
CREATE TABLE lists (
    id INTEGER PRIMARY KEY,
    parent TEXT NOT NULL,
    resource TEXT NOT NULL,
    last_modified INTEGER NOT NULL,
    open INTEGER NOT NULL,
    purged_before INTEGER NOT NULL DEFAULT 0,
    UNIQUE (parent, resource)
);

-- Tombstones are objects whose fields are {"deleted":true}. The text comes last: what is
-- asked of the other columns does not read it.
CREATE TABLE objects (
    list INTEGER NOT NULL REFERENCES lists (id),
    id TEXT NOT NULL,
    last_modified INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (list, id),
    UNIQUE (list, last_modified)
);

-- In the order in which a request asks: what may these principals do to these objects?
CREATE TABLE aces (
    principal TEXT NOT NULL,
    uri TEXT NOT NULL,
    permission TEXT NOT NULL,
    PRIMARY KEY (principal, uri, permission)
) WITHOUT ROWID;

CREATE INDEX aces_of_an_object ON aces (uri, permission, principal);

CREATE TABLE members (
    user TEXT NOT NULL,
    principal TEXT NOT NULL,
    PRIMARY KEY (user, principal)
) WITHOUT ROWID;

CREATE INDEX members_of_a_principal ON members (principal);
