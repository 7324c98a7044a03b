-- What no statement of the service does, and a hand at the console might.
-- depends: 0010_reads_by_index

CREATE TRIGGER payments_captured_stays BEFORE UPDATE OF captured_minor, provider_ref ON payments
    FOR EACH ROW WHEN (OLD.captured_minor > 0 AND (NEW.captured_minor <> OLD.captured_minor
        OR NEW.provider_ref IS DISTINCT FROM OLD.provider_ref))
    EXECUTE FUNCTION refuse('what was captured, and where, stays');

CREATE TRIGGER payment_attempts_settled_once BEFORE UPDATE OF status, resolved_at ON payment_attempts
    FOR EACH ROW WHEN (OLD.resolved_at IS NOT NULL)
    EXECUTE FUNCTION refuse('an attempt is settled once');

CREATE TRIGGER payment_attempts_kept BEFORE DELETE OR TRUNCATE ON payment_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('attempts are kept');

CREATE TRIGGER entitlements_identity BEFORE UPDATE OF id, payment_id, user_id, game_id, quantity
    ON entitlements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('an entitlement keeps its owner and its game');

CREATE TRIGGER entitlements_kept BEFORE DELETE OR TRUNCATE ON entitlements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('entitlements are kept');

CREATE TRIGGER outbox_kept BEFORE DELETE OR TRUNCATE ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('a forgotten message could be sent again');

CREATE TRIGGER status_transitions_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON status_transitions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('the rules are changed by a migration');

-- A payment that took money for a game that it never held: the buyer paid for nothing.
CREATE VIEW invariant_paid_games_not_held AS
    SELECT p.id AS payment_id, i.game_id
    FROM payments p JOIN order_items i ON i.order_id = p.order_id
    WHERE p.captured_minor > 0 AND NOT EXISTS (
        SELECT FROM entitlements e WHERE e.payment_id = p.id AND e.game_id = i.game_id);

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
    UNION ALL SELECT 'broken_admin_chains', count(*) FROM invariant_broken_admin_chains;
