-- How many charges of a run were somebody else's: the account at the provider is shared.
-- depends: 0033_disputes_told

ALTER TABLE reconciliation_runs ADD COLUMN foreign_charges bigint NOT NULL DEFAULT 0;

-- A charge may be found to differ again for what changed long after it was made.
GRANT UPDATE (subject_at) ON reconciliation_differences TO coinslot_service;

GRANT UPDATE (foreign_charges) ON reconciliation_runs TO coinslot_service;
