-- Format 5. What a user typed, so that a run can be continued, and the attempts at items that did not end them.

-- What was typed, and where; none: it can't be continued, only run again.
ALTER TABLE runs ADD COLUMN typed_json TEXT;
-- How often the run was continued after it had stopped.
ALTER TABLE runs ADD COLUMN continued INTEGER NOT NULL DEFAULT 0;

-- An attempt that came to nothing. The one that ended the item is its row in `ends`.
CREATE TABLE attempts (
    seq    INTEGER PRIMARY KEY,
    item   INTEGER NOT NULL REFERENCES items ON DELETE CASCADE,
    -- Which one of the item's it was, counted from 1.
    number INTEGER NOT NULL,
    worker INTEGER,
    -- What became of it: 'died', 'aside', 'again'.
    became TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    log    TEXT    NOT NULL,
    took   INTEGER NOT NULL,
    ended  INTEGER NOT NULL
) STRICT;

CREATE INDEX attempts_by_item ON attempts (item);
