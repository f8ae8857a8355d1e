-- Format 9. What retention needs: runs that are being removed, and which results were used again.

-- 1: it is being removed, bit by bit, and nobody sees it any more.
ALTER TABLE runs ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0;

CREATE INDEX runs_leaving ON runs (leaving) WHERE leaving <> 0;
CREATE INDEX ends_by_reused ON ends (reused, ended) WHERE reused IS NOT NULL;
