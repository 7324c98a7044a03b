-- Guards look at what their statement has touched, one by one, by index; and so do lists of the few.
-- depends: 0008_reconciliation

-- As `WHERE … IN (SELECT … FROM new_rows)` they left the choice to the planner, and a session that
-- made its plan while the tables were empty went on to read all of the ledger for every payment,
-- and all items for every order.
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

CREATE OR REPLACE FUNCTION guard_order_total() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    SELECT o.id, o.total_minor, i.items INTO bad
    FROM (SELECT DISTINCT n.order_id FROM new_rows n) t
    JOIN orders o ON o.id = t.order_id
    CROSS JOIN LATERAL (
        SELECT sum(x.quantity * x.unit_price_minor) AS items FROM order_items x
        WHERE x.order_id = t.order_id) i
    WHERE o.total_minor <> i.items
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'order % says % and its items make %', bad.id, bad.total_minor, bad.items
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_total';
    END IF;
    RETURN NULL;
END
$$;

-- Few of many: the rest are refunded or resolved, and stay for ever.
CREATE INDEX orphan_captures_unrefunded ON orphan_captures (status)
    WHERE status IN ('pending', 'review');
CREATE INDEX reconciliation_differences_to_list ON reconciliation_differences (id)
    WHERE resolved_at IS NULL;
