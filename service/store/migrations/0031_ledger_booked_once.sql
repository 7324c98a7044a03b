-- transactional: false
-- Each movement is booked once: the key of the ledger, wider by its disputes.
-- depends: 0030_ledger_of_disputes

-- expands: what a run left that was stopped while it made the index
DROP INDEX CONCURRENTLY IF EXISTS ledger_booked_once;

-- expands: the constraint that it replaces forbids more
CREATE UNIQUE INDEX CONCURRENTLY ledger_booked_once ON ledger_transactions
    (payment_id, kind, refund_id, dispute_id, dispute_version) NULLS NOT DISTINCT;
