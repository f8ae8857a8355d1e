-- Format 2. Which tier a question was meant for, and which one's model answered: `speed`, `comprehensive`.

-- Empty: written before tiers were.
ALTER TABLE questions ADD COLUMN tier TEXT NOT NULL DEFAULT '';
ALTER TABLE questions ADD COLUMN answered_tier TEXT;
