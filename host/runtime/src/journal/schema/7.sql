-- Actions: what the user had carried out outside the files, once each.

-- By its project and key, not by its run: what is done stays done when the run is forgotten.
CREATE TABLE actions (
    seq        INTEGER PRIMARY KEY,
    project    TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    -- The run that proposed it last, or had it carried out; by name, because it may be gone.
    run        TEXT    NOT NULL,
    item       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    body_json  TEXT    NOT NULL,
    -- 'proposed', 'started', 'done', 'failed', 'unknown'. One that is 'started' and whose host is gone is unknown.
    state      TEXT    NOT NULL,
    proposed   INTEGER NOT NULL,
    started    INTEGER,
    ended      INTEGER,
    -- When the user said how it stands.
    settled    INTEGER,
    exit_code  INTEGER,
    -- Why it stands so, where there is something to say.
    reason     TEXT    NOT NULL DEFAULT '',
    -- The end of what it printed.
    output     TEXT    NOT NULL DEFAULT '',
    errors     TEXT    NOT NULL DEFAULT '',
    UNIQUE (project, key)
) STRICT;

CREATE INDEX actions_by_run ON actions (run);
