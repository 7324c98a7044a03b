-- The ledger's guard looks at the transactions of its statement, one by one, by index.
-- depends: 0008_reconciliation

-- As `WHERE transaction_id IN (…)` it left the choice to the planner, and a session that made its
-- plan while the ledger was empty went on to read all of it for every payment.
CREATE OR REPLACE FUNCTION guard_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    SELECT t.transaction_id, e.currency, e.off INTO bad
    FROM (SELECT DISTINCT n.transaction_id FROM new_rows n) t
    CROSS JOIN LATERAL (
        SELECT x.currency, sum(x.amount_minor) AS off FROM ledger_entries x
        WHERE x.transaction_id = t.transaction_id
        GROUP BY x.currency
        HAVING sum(x.amount_minor) <> 0) e
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger transaction % is off by % %',
            bad.transaction_id, bad.off, bad.currency
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_balanced';
    END IF;
    RETURN NULL;
END
$$;
