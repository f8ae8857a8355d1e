-- Format 10. What a run told while it went on, and its report: so that both can be shown later as they were then.

-- Its events in the order in which they were told, some hundreds in a row, a line of JSON each.
CREATE TABLE events (
    seq   INTEGER PRIMARY KEY,
    run   INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    -- When their stream began: a run that goes on has a row of each of its streams.
    began INTEGER NOT NULL,
    lines TEXT    NOT NULL
) STRICT;

CREATE INDEX events_by_run ON events (run);

CREATE TABLE reports (
    run         INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    report_json TEXT NOT NULL
) STRICT;
