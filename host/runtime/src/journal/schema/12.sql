-- Format 12. Who took what of a question where several models had a part in it, how often it was asked again, and who
-- pays for it.

-- After a failure; NULL: written before this format.
ALTER TABLE questions ADD COLUMN retries INTEGER;
-- 1: a subscription pays for it, and its dollars are not billed; NULL: written before this format.
ALTER TABLE questions ADD COLUMN notional INTEGER;
-- 1: who took what is in `shares`; 0: `model` at `backend` took all.
ALTER TABLE questions ADD COLUMN split INTEGER NOT NULL DEFAULT 0;

CREATE TABLE shares (
    question           INTEGER NOT NULL REFERENCES questions ON DELETE CASCADE,
    model              TEXT    NOT NULL,
    backend            TEXT    NOT NULL,
    notional           INTEGER NOT NULL,
    requests           INTEGER NOT NULL,
    input_tokens       INTEGER NOT NULL,
    cache_read_tokens  INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    usd_pico           INTEGER NOT NULL,
    uncertain_pico     INTEGER NOT NULL
) STRICT;

CREATE INDEX shares_by_question ON shares (question);
