-- The same statements as two functions, so that each transaction of a payment is one round trip:
-- what the peers call in their mode `tuned`. A refusal that comes after a write is an exception,
-- which undoes the write.

CREATE SCHEMA IF NOT EXISTS peers;

CREATE OR REPLACE FUNCTION peers.begin_payment(
    p_caller text, p_key text, p_fingerprint bytea, p_payment_id uuid, p_attempt_id uuid,
    p_order_id uuid, p_provider text, p_capture_method text, p_payment_method text,
    p_correlation_id text, p_at timestamptz, p_locked_until timestamptz,
    OUT state text, OUT answer_status smallint, OUT answer_body text,
    OUT amount_minor bigint, OUT currency text
) LANGUAGE plpgsql AS $$
DECLARE
    known record;
    found_order record;
BEGIN
    SELECT k.fingerprint, k.response_status, k.response_body INTO known FROM idempotency_keys k
    WHERE k.caller = p_caller AND k.key = p_key;
    IF FOUND THEN
        state := CASE WHEN known.fingerprint <> p_fingerprint THEN 'key_reused'
                      WHEN known.response_status IS NULL THEN 'in_flight'
                      ELSE 'replay' END;
        answer_status := known.response_status;
        answer_body := known.response_body;
        RETURN;
    END IF;
    SELECT o.user_id, o.status, o.currency, o.total_minor, o.expires_at INTO found_order
    FROM orders o WHERE o.id = p_order_id FOR SHARE;
    IF NOT FOUND OR found_order.user_id <> p_caller THEN
        state := 'not_found';
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM payments p WHERE p.order_id = p_order_id
               AND p.status NOT IN ('failed', 'canceled', 'expired')) THEN
        state := 'live_payment';
        RETURN;
    END IF;
    IF found_order.status <> 'pending' OR found_order.expires_at <= p_at THEN
        state := 'order_not_payable';
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM order_items i
               JOIN entitlements e ON e.game_id = i.game_id AND e.user_id = p_caller
               WHERE i.order_id = p_order_id AND e.status IN ('reserved', 'granted')) THEN
        state := 'owned';
        RETURN;
    END IF;
    INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, created_at, locked_until)
    VALUES (p_caller, p_key, p_fingerprint, p_payment_id, p_at, p_locked_until)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        state := 'in_flight';
        RETURN;
    END IF;
    INSERT INTO payments (id, order_id, user_id, provider, status, capture_method, payment_method,
                          currency, amount_minor, created_at, updated_at)
    VALUES (p_payment_id, p_order_id, p_caller, p_provider, 'processing', p_capture_method,
            p_payment_method, found_order.currency, found_order.total_minor, p_at, p_at);
    INSERT INTO entitlements (payment_id, user_id, game_id, quantity, updated_at)
    SELECT p_payment_id, p_caller, i.game_id, i.quantity, p_at
    FROM order_items i WHERE i.order_id = p_order_id;
    INSERT INTO payment_attempts (id, payment_id, operation, status, next_check_at, created_at)
    VALUES (p_attempt_id, p_payment_id, 'charge', 'pending', p_locked_until, p_at);
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    VALUES (p_payment_id, p_at, 'payment_created', jsonb_build_object(
        'order_id', p_order_id, 'provider', p_provider, 'attempt_id', p_attempt_id,
        'amount_minor', found_order.total_minor, 'currency', found_order.currency,
        'capture', p_capture_method, 'payment_method', p_payment_method), p_correlation_id);
    state := 'created';
    amount_minor := found_order.total_minor;
    currency := found_order.currency;
END
$$;

CREATE OR REPLACE FUNCTION peers.record_outcome(
    p_caller text, p_key text, p_payment_id uuid, p_attempt_id uuid, p_order_id uuid,
    p_ledger_id uuid, p_provider text, p_provider_ref text, p_captured_minor bigint,
    p_currency text, p_correlation_id text, p_at timestamptz, p_answer_status smallint,
    p_answer_body text
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM payment_attempts WHERE id = p_attempt_id AND status IN ('pending', 'unknown')
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE payment_attempts SET status = 'succeeded', resolved_at = p_at WHERE id = p_attempt_id;
    UPDATE payments SET status = 'succeeded', captured_minor = p_captured_minor,
        provider_ref = p_provider_ref, updated_at = p_at WHERE id = p_payment_id;
    UPDATE orders SET status = 'paid', updated_at = p_at
    WHERE id = p_order_id AND status = 'pending';
    INSERT INTO ledger_transactions (id, kind, payment_id, created_at)
    VALUES (p_ledger_id, 'capture', p_payment_id, p_at);
    INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency) VALUES
        (p_ledger_id, 'provider:' || p_provider, p_captured_minor, p_currency),
        (p_ledger_id, 'sales:games', -p_captured_minor, p_currency);
    INSERT INTO outbox (topic, dedupe_key, payment_id, correlation_id, next_attempt_at, created_at)
    VALUES ('library.grant', p_payment_id::text, p_payment_id, p_correlation_id, p_at, p_at);
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    VALUES (p_payment_id, p_at, 'payment_succeeded', jsonb_build_object(
        'attempt_id', p_attempt_id, 'provider_ref', p_provider_ref,
        'captured_minor', p_captured_minor, 'failure_code', NULL), p_correlation_id);
    UPDATE idempotency_keys SET recovery_point = 'finished', locked_until = NULL,
        response_status = p_answer_status, response_body = p_answer_body
    WHERE caller = p_caller AND key = p_key;
    RETURN true;
END
$$;
