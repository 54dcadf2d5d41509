CREATE TABLE members (
    bucket text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    member text COLLATE "C" NOT NULL,
    PRIMARY KEY (bucket, principal, member)
)
