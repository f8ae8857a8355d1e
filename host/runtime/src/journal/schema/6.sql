-- Format 6. Edits that were carried out, with the way back and the way on: a crash between any two steps loses neither.

CREATE TABLE applies (
    seq     INTEGER PRIMARY KEY,
    id      TEXT    NOT NULL UNIQUE,
    -- Whose edits they are. What goes back goes with its run.
    run     INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    -- The id of the one that is taken back by it.
    undoes  TEXT,
    project TEXT    NOT NULL,
    state   TEXT    NOT NULL CHECK (state IN ('prepared', 'committing', 'done', 'undone', 'abandoned')),
    began   INTEGER NOT NULL,
    ended   INTEGER,
    CHECK ((ended IS NULL) = (state IN ('prepared', 'committing')))
) STRICT;

CREATE INDEX applies_by_run ON applies (run);
CREATE INDEX applies_under_way ON applies (seq) WHERE ended IS NULL;

CREATE TABLE applied_files (
    seq       INTEGER PRIMARY KEY,
    apply     INTEGER NOT NULL REFERENCES applies ON DELETE CASCADE,
    path      TEXT    NOT NULL,
    -- No bytes: there is no file.
    old       BLOB,
    old_mode  INTEGER,
    old_owner INTEGER,
    old_group INTEGER,
    new       BLOB,
    -- None of the three: as any new file gets them.
    new_mode  INTEGER,
    new_owner INTEGER,
    new_group INTEGER,
    -- Why a crash that was mended left it as it was found.
    spared    TEXT,
    UNIQUE (apply, path)
) STRICT;

-- Folders that were made for them.
CREATE TABLE applied_folders (
    seq   INTEGER PRIMARY KEY,
    apply INTEGER NOT NULL REFERENCES applies ON DELETE CASCADE,
    path  TEXT    NOT NULL
) STRICT;
