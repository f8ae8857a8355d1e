-- Format 1. Times are microseconds since 1970 UTC, durations microseconds, digests 32 bytes, texts named *_json JSON.

CREATE TABLE runs (
    seq            INTEGER PRIMARY KEY,
    id             TEXT    NOT NULL UNIQUE,
    command        TEXT    NOT NULL,
    subcommand     TEXT,
    plugin_name    TEXT    NOT NULL,
    plugin_version TEXT    NOT NULL,
    plugin_digest  TEXT    NOT NULL,
    arguments_json TEXT    NOT NULL,
    project        TEXT    NOT NULL,
    mode           TEXT    NOT NULL,
    backend        TEXT    NOT NULL,
    started        INTEGER NOT NULL,
    -- All three or none: a run without them is under way, or was killed.
    ended          INTEGER,
    status         TEXT CHECK (status IN ('completed', 'degraded', 'parked', 'failed', 'interrupted')),
    census_json    TEXT,
    CHECK ((ended IS NULL) = (status IS NULL) AND (ended IS NULL) = (census_json IS NULL))
) STRICT;

CREATE TABLE items (
    seq     INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    id      TEXT    NOT NULL,
    label   TEXT    NOT NULL,
    key     BLOB    NOT NULL CHECK (length(key) = 32),
    ordinal INTEGER NOT NULL,
    -- The id of the item that added it.
    parent  TEXT,
    UNIQUE (run, id)
) STRICT;

CREATE INDEX items_by_key ON items (key);
CREATE INDEX items_by_parent ON items (run, parent) WHERE parent IS NOT NULL;

-- The end of an item, once a run. Its order is that in which items ended.
CREATE TABLE ends (
    seq          INTEGER PRIMARY KEY,
    item         INTEGER NOT NULL UNIQUE REFERENCES items ON DELETE CASCADE,
    outcome      TEXT    NOT NULL CHECK (outcome IN ('done', 'cached', 'fallback', 'failed', 'skipped')),
    reason       TEXT,
    partial_json TEXT,
    reads_json   TEXT    NOT NULL,
    -- The run whose result a cached item reused.
    reused       TEXT,
    took         INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    log          TEXT    NOT NULL,
    ended        INTEGER NOT NULL,
    CHECK (partial_json IS NOT NULL OR outcome NOT IN ('done', 'fallback'))
) STRICT;

-- The money ledger. It refers to runs and items by their ids and outlives them.
CREATE TABLE questions (
    seq                INTEGER PRIMARY KEY,
    run                TEXT    NOT NULL,
    item               TEXT    NOT NULL,
    role               TEXT    NOT NULL,
    model              TEXT    NOT NULL,
    backend            TEXT    NOT NULL,
    attempts           INTEGER NOT NULL,
    outcome            TEXT    NOT NULL,
    requests           INTEGER NOT NULL,
    input_tokens       INTEGER NOT NULL,
    cache_read_tokens  INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    usd_pico           INTEGER NOT NULL,
    asked              INTEGER NOT NULL,
    waited             INTEGER NOT NULL,
    first              INTEGER,
    took               INTEGER NOT NULL
) STRICT;

CREATE INDEX questions_by_run ON questions (run);
CREATE INDEX questions_by_time ON questions (asked);
