-- In the order in which a request asks: what may these principals do to these objects?
CREATE TABLE aces (
    bucket text COLLATE "C" NOT NULL,
    uri text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    permission text COLLATE "C" NOT NULL,
    PRIMARY KEY (bucket, uri, principal, permission)
)
