-- Format 3. What attempts of a question may have cost beyond its dollars, at most, where nobody knows what they took.

ALTER TABLE questions ADD COLUMN uncertain_pico INTEGER NOT NULL DEFAULT 0;
