-- What must always hold, as views: each row is a violation. Gauges, alerts, the admin API, the
-- demo and the load test's verdict read money_invariants.
-- depends: 0004_messages

CREATE VIEW unbalanced_ledger AS
    SELECT transaction_id, currency, sum(amount_minor) AS off_minor
    FROM ledger_entries GROUP BY transaction_id, currency HAVING sum(amount_minor) <> 0;

-- The ledger's provider account says for each payment what the payment's own counters say.
CREATE VIEW ledger_differs_from_payments AS
    SELECT p.id AS payment_id, p.captured_minor - p.refunded_minor AS payment_minor,
           coalesce(l.minor, 0) AS ledger_minor
    FROM payments p
    LEFT JOIN (
        SELECT t.payment_id, sum(e.amount_minor) AS minor
        FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
        WHERE e.account LIKE 'provider:%'
        GROUP BY t.payment_id) l ON l.payment_id = p.id
    WHERE p.captured_minor - p.refunded_minor <> coalesce(l.minor, 0);

CREATE VIEW refund_counters_differ AS
    SELECT p.id AS payment_id
    FROM payments p
    LEFT JOIN (
        SELECT payment_id,
               sum(amount_minor) FILTER (WHERE status = 'succeeded') AS refunded,
               sum(amount_minor) FILTER (WHERE status IN ('pending', 'unknown', 'review'))
                   AS pending
        FROM refunds GROUP BY payment_id) r ON r.payment_id = p.id
    WHERE p.refunded_minor <> coalesce(r.refunded, 0)
       OR p.refund_pending_minor <> coalesce(r.pending, 0);

CREATE VIEW over_refunded_payments AS
    SELECT id AS payment_id FROM payments
    WHERE refund_pending_minor + refunded_minor > captured_minor;

CREATE VIEW orders_paid_twice AS
    SELECT order_id FROM payments WHERE status = 'succeeded'
    GROUP BY order_id HAVING count(*) > 1;

CREATE VIEW orders_differ_from_payments AS
    SELECT o.id AS order_id, o.status
    FROM orders o
    LEFT JOIN payments p ON p.order_id = o.id AND p.status = 'succeeded'
    WHERE (o.status IN ('paid', 'fulfilled', 'refunded')) <> (p.id IS NOT NULL)
       OR (o.status = 'refunded') <> coalesce(p.refunded_minor = p.captured_minor, false);

-- A game is held only by a payment that may still be or was captured, and not after a full refund.
CREATE VIEW entitlements_without_payment AS
    SELECT e.id AS entitlement_id
    FROM entitlements e JOIN payments p ON p.id = e.payment_id
    WHERE (e.status = 'reserved' AND p.status IN ('failed', 'canceled', 'expired'))
       OR (e.status = 'granted' AND p.status <> 'succeeded');

CREATE VIEW captured_without_message AS
    SELECT p.id AS payment_id FROM payments p
    WHERE p.status = 'succeeded' AND NOT EXISTS (
        SELECT FROM outbox o
        WHERE o.topic = 'library.grant' AND o.dedupe_key = p.id::text);

CREATE VIEW broken_event_chains AS
    SELECT payment_id, seq FROM (
        SELECT e.payment_id, e.seq, e.hash,
               row_number() OVER chain AS expected_seq,
               event_hash(coalesce(lag(e.hash) OVER chain, ''), e.payment_id, e.seq, e.at,
                          e.event, e.data, e.correlation_id) AS expected_hash
        FROM payment_events e
        WINDOW chain AS (PARTITION BY e.payment_id ORDER BY e.seq)) c
    WHERE hash <> expected_hash OR seq <> expected_seq;

CREATE VIEW money_invariants AS
    SELECT 'unbalanced_ledger' AS invariant, count(*) AS violations FROM unbalanced_ledger
    UNION ALL SELECT 'ledger_differs_from_payments', count(*) FROM ledger_differs_from_payments
    UNION ALL SELECT 'refund_counters_differ', count(*) FROM refund_counters_differ
    UNION ALL SELECT 'over_refunded_payments', count(*) FROM over_refunded_payments
    UNION ALL SELECT 'orders_paid_twice', count(*) FROM orders_paid_twice
    UNION ALL SELECT 'orders_differ_from_payments', count(*) FROM orders_differ_from_payments
    UNION ALL SELECT 'entitlements_without_payment', count(*) FROM entitlements_without_payment
    UNION ALL SELECT 'captured_without_message', count(*) FROM captured_without_message
    UNION ALL SELECT 'broken_event_chains', count(*) FROM broken_event_chains;
