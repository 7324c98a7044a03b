-- Room in the ledger for what disputes move.
-- depends: 0020_reversals

-- Which dispute a movement is of, and which change of it brought it.
ALTER TABLE ledger_transactions ADD COLUMN dispute_id uuid;
ALTER TABLE ledger_transactions ADD COLUMN dispute_version integer;
