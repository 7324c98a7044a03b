-- What a provider takes back after it was final, and what is done in its dashboard (ADR-36).
-- depends: 0019_hashes_in_line

INSERT INTO status_transitions (entity, from_status, to_status) VALUES
    ('refund', 'succeeded', 'failed'),           -- the buyer's bank sent it back, days later
    ('refund', 'failed', 'succeeded'),           -- recorded as not sent, and made all the same
    ('payment', 'succeeded', 'reversed'),        -- a bank debit that failed after it had succeeded
    ('payment', 'requires_action', 'succeeded'), -- paid just before it was given up
    ('order', 'refunded', 'paid'),               -- its refund came back: we hold the money again
    ('order', 'paid', 'canceled'),
    ('order', 'fulfilled', 'canceled'),
    ('orphan_capture', 'refunded', 'review'),    -- its refund came back
    ('reversal', 'new', 'open'),
    ('reversal', 'new', 'closed'),
    ('reversal', 'open', 'closed');

-- Whether the API made a refund, or somebody in the provider's dashboard.
ALTER TABLE refunds ADD COLUMN origin text NOT NULL DEFAULT 'api';
-- expands: earlier code makes refunds of the default origin
-- locks: refunds are few next to payments
ALTER TABLE refunds ADD CONSTRAINT refunds_origin_check CHECK (origin IN ('api', 'provider'));

-- A capture may be of a part: the attempt keeps which, for whoever finishes it.
ALTER TABLE payment_attempts ADD COLUMN amount_minor bigint;
-- expands: every row has no amount yet
ALTER TABLE payment_attempts ADD CONSTRAINT payment_attempts_amount_check
    CHECK (amount_minor > 0) NOT VALID;

-- expands: replaced at once by one that allows more
ALTER TABLE payments DROP CONSTRAINT captured_means_succeeded;
-- expands: allows all that the one before did
ALTER TABLE payments ADD CONSTRAINT captured_means_succeeded
    CHECK ((status IN ('succeeded', 'reversed')) = (captured_minor > 0)) NOT VALID;

-- expands: replaced at once by one that allows more
ALTER TABLE ledger_transactions DROP CONSTRAINT ledger_transactions_kind_check;
-- expands: allows all that the one before did
ALTER TABLE ledger_transactions ADD CONSTRAINT ledger_transactions_kind_check
    CHECK (kind IN ('capture', 'refund', 'refund_reversal', 'capture_reversal')) NOT VALID;
-- expands: replaced at once by one that allows more
ALTER TABLE ledger_transactions DROP CONSTRAINT ledger_transactions_check;
-- expands: allows all that the one before did
ALTER TABLE ledger_transactions ADD CONSTRAINT ledger_transactions_check
    CHECK ((kind IN ('refund', 'refund_reversal')) = (refund_id IS NOT NULL)) NOT VALID;

-- What was taken back: of a refund, or (without one) of a payment's capture. It is open while a
-- person has to say what becomes of the buyer's money and games.
CREATE TABLE reversals (
    id             uuid PRIMARY KEY,
    payment_id     uuid NOT NULL REFERENCES payments,
    refund_id      uuid REFERENCES refunds,
    amount_minor   bigint NOT NULL CHECK (amount_minor > 0),
    currency       text NOT NULL,
    failure_code   text,
    status         text NOT NULL DEFAULT 'open',
    replacement_id uuid REFERENCES refunds,  -- the refund that a person had made in its place
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT one_reversal UNIQUE NULLS NOT DISTINCT (payment_id, refund_id)
);

CREATE INDEX reversals_of_refund ON reversals (refund_id);
CREATE INDEX reversals_replaced ON reversals (replacement_id);
CREATE INDEX reversals_open ON reversals (id) WHERE status = 'open';

-- What a person has to decide: nothing was made in its place, or that has failed as well.
CREATE VIEW undecided_reversals AS
    SELECT v.* FROM reversals v LEFT JOIN refunds r ON r.id = v.replacement_id
    WHERE v.status = 'open' AND (r.id IS NULL OR r.status = 'failed');

CREATE TRIGGER reversals_first_status AFTER INSERT ON reversals
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_first_status('reversal');
CREATE TRIGGER reversals_transition AFTER UPDATE ON reversals
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_transition('reversal');
CREATE TRIGGER reversals_identity
    BEFORE UPDATE OF id, payment_id, refund_id, amount_minor, currency, created_at ON reversals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('what was taken back stays as it was');
CREATE TRIGGER reversals_kept BEFORE DELETE OR TRUNCATE ON reversals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('reversals are kept');

-- The counters follow every change of a refund's status, back too.
CREATE OR REPLACE FUNCTION count_changed_refunds() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE payments p
    SET refund_pending_minor = p.refund_pending_minor + d.pending,
        refunded_minor = p.refunded_minor + d.refunded
    FROM (
        SELECT n.payment_id,
               sum(n.amount_minor * ((n.status NOT IN ('succeeded', 'failed'))::integer
                                   - (o.status NOT IN ('succeeded', 'failed'))::integer))
                   AS pending,
               sum(n.amount_minor * ((n.status = 'succeeded')::integer
                                   - (o.status = 'succeeded')::integer)) AS refunded
        FROM old_rows o JOIN new_rows n ON n.id = o.id
        WHERE o.status <> n.status
        GROUP BY n.payment_id) d
    WHERE p.id = d.payment_id AND (d.pending <> 0 OR d.refunded <> 0);
    RETURN NULL;
END
$$;

-- An order whose capture was taken back is closed.
CREATE OR REPLACE FUNCTION guard_order_close() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad uuid;
BEGIN
    SELECT n.id INTO bad FROM new_rows n
    WHERE n.status IN ('canceled', 'expired') AND EXISTS (
        SELECT FROM payments p
        WHERE p.order_id = n.id
          AND p.status NOT IN ('failed', 'canceled', 'expired', 'reversed'))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'order % has a live payment', bad
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_close';
    END IF;
    RETURN NULL;
END
$$;

INSERT INTO webhook_event_types (entity, status, type) VALUES
    ('payment', 'reversed', 'payment.reversed');

CREATE OR REPLACE VIEW ledger_differs_from_payments AS
    SELECT p.id AS payment_id,
           CASE p.status WHEN 'reversed' THEN 0 ELSE p.captured_minor END - p.refunded_minor
               AS payment_minor,
           coalesce(l.minor, 0) AS ledger_minor
    FROM payments p
    LEFT JOIN (
        SELECT t.payment_id, sum(e.amount_minor) AS minor
        FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
        WHERE e.account LIKE 'provider:%'
        GROUP BY t.payment_id) l ON l.payment_id = p.id
    WHERE CASE p.status WHEN 'reversed' THEN 0 ELSE p.captured_minor END - p.refunded_minor
          <> coalesce(l.minor, 0);

CREATE OR REPLACE VIEW orders_differ_from_payments AS
    SELECT o.id AS order_id, o.status
    FROM orders o
    LEFT JOIN payments p ON p.order_id = o.id AND p.status IN ('succeeded', 'reversed')
    WHERE (o.status IN ('paid', 'fulfilled') AND p.status IS DISTINCT FROM 'succeeded')
       OR (o.status IN ('pending', 'canceled', 'expired') AND p.status = 'succeeded')
       OR (o.status = 'refunded' AND p.refunded_minor IS DISTINCT FROM p.captured_minor)
       OR (o.status <> 'refunded' AND p.status = 'succeeded'
           AND p.refunded_minor = p.captured_minor);

-- Games of a capture that was taken back are on their way back too.
CREATE OR REPLACE VIEW entitlements_without_payment AS
    SELECT e.id AS entitlement_id
    FROM entitlements e JOIN payments p ON p.id = e.payment_id
    WHERE (e.status = 'reserved' AND p.status IN ('failed', 'canceled', 'expired', 'reversed'))
       OR (e.status = 'granted' AND p.status NOT IN ('succeeded', 'reversed'))
       OR (e.status = 'granted' AND p.status = 'reversed' AND NOT EXISTS (
            SELECT FROM outbox o
            WHERE o.payment_id = p.id AND o.topic = 'library.revoke'
              AND o.delivered_at IS NULL));

CREATE OR REPLACE VIEW invariant_given_up_and_kept AS
    SELECT o.payment_id, o.id AS message_id
    FROM outbox o JOIN payments p ON p.id = o.payment_id
    WHERE o.given_up_at IS NOT NULL AND p.status = 'succeeded'
      AND p.captured_minor > p.refunded_minor + p.refund_pending_minor
      AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status = 'failed');

-- A refund that failed after it was booked has its reversal, in the ledger and to be looked at.
CREATE VIEW invariant_reversals_not_booked AS
    SELECT r.id AS refund_id
    FROM refunds r
    JOIN ledger_transactions b ON b.payment_id = r.payment_id AND b.refund_id = r.id
        AND b.kind = 'refund'
    LEFT JOIN ledger_transactions t ON t.payment_id = r.payment_id AND t.refund_id = r.id
        AND t.kind = 'refund_reversal'
    LEFT JOIN reversals v ON v.payment_id = r.payment_id AND v.refund_id = r.id
    WHERE (r.status = 'failed') <> (t.id IS NOT NULL) OR (t.id IS NULL) <> (v.id IS NULL)
    UNION ALL
    SELECT p.id
    FROM payments p
    LEFT JOIN ledger_transactions t ON t.payment_id = p.id AND t.kind = 'capture_reversal'
    LEFT JOIN reversals v ON v.payment_id = p.id AND v.refund_id IS NULL
    WHERE p.status = 'reversed' AND (t.id IS NULL OR v.id IS NULL);

CREATE OR REPLACE VIEW money_invariants AS
    SELECT 'unbalanced_ledger' AS invariant, count(*) AS violations FROM unbalanced_ledger
    UNION ALL SELECT 'ledger_differs_from_payments', count(*) FROM ledger_differs_from_payments
    UNION ALL SELECT 'refund_counters_differ', count(*) FROM refund_counters_differ
    UNION ALL SELECT 'over_refunded_payments', count(*) FROM over_refunded_payments
    UNION ALL SELECT 'orders_paid_twice', count(*) FROM orders_paid_twice
    UNION ALL SELECT 'orders_differ_from_payments', count(*) FROM orders_differ_from_payments
    UNION ALL SELECT 'entitlements_without_payment', count(*) FROM entitlements_without_payment
    UNION ALL SELECT 'captured_without_message', count(*) FROM captured_without_message
    UNION ALL SELECT 'broken_event_chains', count(*) FROM broken_event_chains
    UNION ALL SELECT 'orphans_that_pay', count(*) FROM invariant_orphans_that_pay
    UNION ALL SELECT 'paid_games_not_held', count(*) FROM invariant_paid_games_not_held
    UNION ALL SELECT 'given_up_and_kept', count(*) FROM invariant_given_up_and_kept
    UNION ALL SELECT 'broken_admin_chains', count(*) FROM invariant_broken_admin_chains
    UNION ALL SELECT 'broken_seals', count(*) FROM invariant_broken_seals
    UNION ALL SELECT 'reversals_not_booked', count(*) FROM invariant_reversals_not_booked;

GRANT SELECT ON reversals, undecided_reversals, invariant_reversals_not_booked TO coinslot_service;
GRANT INSERT (id, payment_id, refund_id, amount_minor, currency, failure_code, status, created_at,
              updated_at),
    UPDATE (status, replacement_id, updated_at)
    ON reversals TO coinslot_service;
GRANT INSERT (origin) ON refunds TO coinslot_service;
GRANT INSERT (amount_minor) ON payment_attempts TO coinslot_service;
