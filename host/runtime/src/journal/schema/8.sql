-- Format 8. Where a run's questions went, in the host's words: so that it can be told why an item is done again.

-- None: written before it was kept.
ALTER TABLE runs ADD COLUMN route TEXT;
