"""SQL of the faults: what the database's owner can write and the service never would.

The service's login may do none of this. Ages are written into the rows, as thresholds of hours are
not waited for.
"""

from typing import Final

from service.usecases.inbox import PARK_TRIES

WITHOUT_GUARDS: Final = "SET LOCAL session_replication_role = replica"
"""No trigger is fired until the end of the transaction: a superuser's right."""

OPEN_PAYMENT: Final = """
    INSERT INTO payments (id, order_id, user_id, provider, status, capture_method,
        payment_method, currency, amount_minor, created_at, updated_at)
    SELECT gen_random_uuid(), o.id, o.user_id, 'simulator', %s, 'automatic', 'pm_ok',
        o.currency, o.total_minor, now() - interval '2 hours', now() - interval '2 hours'
    FROM orders o
    WHERE o.status = 'pending' AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id)
    ORDER BY o.id LIMIT 1"""
"""It has no attempt, so nothing will ever record its outcome."""

REFUND_IN_REVIEW: Final = """
    INSERT INTO refunds (id, payment_id, status, amount_minor, currency, reason, next_check_at,
        created_at, updated_at)
    SELECT gen_random_uuid(), id, 'pending', 1, currency, 'by hand', now() + interval '1 day',
        now(), now()
    FROM payments WHERE status = 'succeeded' AND captured_minor > refund_pending_minor
        + refunded_minor ORDER BY id DESC LIMIT 1;
    UPDATE refunds SET status = 'unknown' WHERE reason = 'by hand';
    UPDATE refunds SET status = 'review' WHERE reason = 'by hand'"""

GRANTS_TO_REPEAT: Final = 25
"""More than the twenty that are many."""

CHARGES_TO_DISPUTE: Final = """
    SELECT provider_ref FROM payments
    WHERE status = 'succeeded' AND refunded_minor + refund_pending_minor = 0
    ORDER BY id DESC LIMIT %s"""

DISPUTES: Final = "SELECT id FROM disputes WHERE status = 'needs_response'"

GRANTS_GIVEN_UP: Final = "SELECT id FROM outbox WHERE given_up_at IS NOT NULL"

DELIVERED_GRANTS: Final = """
    SELECT id FROM outbox WHERE topic = 'library.grant' AND delivered_at IS NOT NULL"""

UNDELIVERED_GRANTS: Final = """
    UPDATE outbox SET delivered_at = NULL, created_at = now() - interval '10 minutes',
        next_attempt_at = now()
    WHERE id IN (SELECT id FROM outbox WHERE topic = 'library.grant' AND delivered_at IS NOT NULL
        ORDER BY id LIMIT %s)"""

FREEZE: Final = """
    CREATE FUNCTION stay_as_you_are() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RETURN NULL; END'"""
"""A row with such a trigger is changed by nobody, without an error."""
CAN_FREEZE: Final = "SELECT oid FROM pg_proc WHERE proname = 'stay_as_you_are'"

FROZEN_EVENT: Final = """
    CREATE TRIGGER frozen BEFORE UPDATE ON webhook_inbox FOR EACH ROW
        WHEN (OLD.event_id = 'evt_frozen') EXECUTE FUNCTION stay_as_you_are()"""

EVENT: Final = f"""
    INSERT INTO webhook_inbox (provider, event_id, kind, type, charge_ref, payment_id,
        attempts, next_attempt_at, correlation_id, received_at)
    VALUES ('simulator', %s, 'charge', 'charge.succeeded', 'ch_of_nobody', gen_random_uuid(),
        {PARK_TRIES}, now() - interval '5 minutes', 'by-hand', now() - interval '4 days')
"""

FALSE_CLAIM: Final = """
    INSERT INTO webhook_inbox (provider, event_id, kind, type, charge_ref, payment_id,
        next_attempt_at, correlation_id, received_at)
    SELECT p.provider, 'evt_false', 'charge', 'charge.succeeded', %s, p.id, now(), 'by-hand', now()
    FROM payments p WHERE p.provider_ref IS NOT NULL LIMIT 1
    RETURNING payment_id"""

PENDING_DELIVERIES: Final = """
    SELECT id FROM webhook_deliveries WHERE endpoint_id = %s AND status = 'pending' ORDER BY id"""

LAST_TRY: Final = """
    UPDATE webhook_deliveries SET attempts = 100, next_attempt_at = now() WHERE id = %s"""

FROZEN_DELIVERY: Final = """
    LOCK TABLE webhook_deliveries IN SHARE ROW EXCLUSIVE MODE;
    UPDATE webhook_deliveries SET next_attempt_at = now() - interval '10 minutes'
        WHERE id = {delivery};
    CREATE TRIGGER frozen BEFORE UPDATE ON webhook_deliveries FOR EACH ROW
        WHEN (OLD.id = {delivery}) EXECUTE FUNCTION stay_as_you_are()"""

UNBALANCED_LEDGER: Final = """
    INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)
    SELECT transaction_id, 'suspense', 1, currency FROM ledger_entries ORDER BY id LIMIT 1"""

CHANGED_TRAIL: Final = """
    UPDATE payment_events SET data = '{"changed": "by hand"}' WHERE position = (
        SELECT min(e.position) FROM payment_events e
        WHERE e.position <= (SELECT max(last_position) FROM audit_seals))"""

HOLD_SEALERS: Final = "SELECT pg_advisory_lock(%s)"
"""What a sealer takes before it seals: who has it and hangs keeps all others from it."""

LOST_SEALS: Final = """
    DELETE FROM audit_seals WHERE id > (SELECT max(id) / 2 FROM audit_seals)"""

UNSEALED_DECISION: Final = """
    INSERT INTO admin_actions (subject, subject_id, at, actor, action, reason, evidence,
        correlation_id)
    VALUES ('payment', 'by-hand', now() - interval '20 minutes', 'nobody', 'look', 'by hand',
        '{}', 'by-hand')"""

DECISIONS_BY_HAND: Final = "SELECT seq FROM admin_actions WHERE subject_id = 'by-hand'"

FAILED_RUNS: Final = "SELECT id FROM reconciliation_runs WHERE status = 'failed'"
OLD_RUNS: Final = """
    UPDATE reconciliation_runs SET finished_at = finished_at - interval '4 hours'
    WHERE status = 'succeeded'"""

ORPHANS: Final = "SELECT id FROM orphan_captures"
ORPHANS_REVIEWED: Final = """
    SELECT id FROM orphan_captures
    WHERE EXISTS (SELECT FROM orphan_captures WHERE status = 'review')"""
REVERSALS: Final = "SELECT id FROM reversals"
GRANTED: Final = """
    SELECT id FROM entitlements WHERE status = 'granted' AND updated_at < now() - interval '12 s'
    ORDER BY updated_at DESC LIMIT 1"""
"""A game that is granted: not one of the first, whose grants are repeated."""

PENDING_ORDERS: Final = "SELECT id, user_id FROM orders WHERE status = 'pending' LIMIT %s"

LOCKED_ORDERS: Final = "SELECT id FROM orders FOR UPDATE"
"""Orders can be read and made, and not changed."""

SLOW_INSERTS: Final = """
    CREATE FUNCTION take_your_time() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(3); RETURN NULL; END';
    CREATE TRIGGER slow AFTER INSERT ON orders
        FOR EACH STATEMENT EXECUTE FUNCTION take_your_time()"""
