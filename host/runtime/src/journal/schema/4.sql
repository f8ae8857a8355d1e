-- Format 4. What policies decided, and on what: `convoke policy try` decides it again. Only the newest rows are kept.

CREATE TABLE decisions (
    seq           INTEGER PRIMARY KEY,
    -- The run's id; it outlives no run for long.
    run           TEXT    NOT NULL,
    -- The question's number in its process; none: it was decided for the run.
    question      INTEGER,
    at            INTEGER NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('size', 'route', 'admit', 'recover', 'adapt', 'watch')),
    policy        TEXT    NOT NULL,
    generation    INTEGER NOT NULL,
    facts_json    TEXT    NOT NULL,
    decision_json TEXT    NOT NULL
) STRICT;

CREATE INDEX decisions_by_run ON decisions (run);
