-- Format 11. What a run took, by its report and its part of the ledger: so that many runs are compared without reading those.

CREATE TABLE took (
    run           INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    -- From start to end, and the time that its items were in hands.
    wall          INTEGER NOT NULL,
    work          INTEGER NOT NULL,
    workers       INTEGER NOT NULL,
    questions     INTEGER NOT NULL,
    -- All input tokens, those of the provider's prompt cache included.
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    -- What it cost at most.
    usd_pico      INTEGER NOT NULL
) STRICT;

CREATE INDEX runs_by_command ON runs (command, subcommand);
