-- Format 11. What a run took, beside its report: so that many runs are compared without reading their reports and ledgers.

-- Of the report: from start to end, and the time that its items were in hands, in microseconds; its workers.
ALTER TABLE reports ADD COLUMN wall INTEGER;
ALTER TABLE reports ADD COLUMN work INTEGER;
ALTER TABLE reports ADD COLUMN workers INTEGER;
-- Of the ledger, as it stood when the report was kept. None of them: written before they were kept.
ALTER TABLE reports ADD COLUMN questions INTEGER;
ALTER TABLE reports ADD COLUMN input_tokens INTEGER;
ALTER TABLE reports ADD COLUMN output_tokens INTEGER;
ALTER TABLE reports ADD COLUMN usd_pico INTEGER;

CREATE INDEX runs_by_command ON runs (command, subcommand);
