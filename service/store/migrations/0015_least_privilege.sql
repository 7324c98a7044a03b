-- What the API and the workers may do: a role that owns nothing, with the verbs and columns that
-- their statements use (ADR-46). Their login is a member of it; the owner runs the migrations.
-- depends: 0012_merchant_webhooks

-- A role is the server's and not the database's: it may be there, or be made at this very moment.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'coinslot_service') THEN
        CREATE ROLE coinslot_service NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'there is no role coinslot_service, and % may not create roles; have an administrator run: CREATE ROLE coinslot_service NOLOGIN', current_user;
END
$$;

GRANT USAGE ON SCHEMA public TO coinslot_service;

-- It may read everything but the migrations' own log.
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
          AND position('yoyo' IN relname) = 0
    LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO coinslot_service', name);
    END LOOP;
END
$$;
GRANT SELECT ON _yoyo_migration TO coinslot_service;

GRANT INSERT (id, user_id, currency, total_minor, created_at, updated_at, expires_at),
    UPDATE (status, updated_at)
    ON orders TO coinslot_service;
GRANT INSERT (order_id, game_id, title, quantity, unit_price_minor)
    ON order_items TO coinslot_service;
GRANT INSERT (id, order_id, user_id, provider, status, capture_method, payment_method, currency,
              amount_minor, created_at, updated_at),
    UPDATE (status, captured_minor, provider_ref, failure_code, updated_at)
    ON payments TO coinslot_service;
GRANT INSERT (id, payment_id, operation, status, next_check_at, created_at),
    UPDATE (status, error_code, checks, next_check_at, resolved_at)
    ON payment_attempts TO coinslot_service;
GRANT INSERT (id, payment_id, status, amount_minor, currency, reason, next_check_at, created_at,
              updated_at),
    UPDATE (status, provider_ref, failure_code, checks, next_check_at, updated_at)
    ON refunds TO coinslot_service;
GRANT INSERT (payment_id, user_id, game_id, quantity, updated_at), UPDATE (status, updated_at)
    ON entitlements TO coinslot_service;
GRANT INSERT (id, kind, payment_id, refund_id, created_at)
    ON ledger_transactions TO coinslot_service;
GRANT INSERT (transaction_id, account, amount_minor, currency)
    ON ledger_entries TO coinslot_service;
GRANT INSERT (payment_id, at, event, data, correlation_id) ON payment_events TO coinslot_service;
GRANT INSERT (subject, subject_id, at, actor, action, reason, evidence, correlation_id)
    ON admin_actions TO coinslot_service;
GRANT USAGE, SELECT ON SEQUENCE audit_positions TO coinslot_service;
GRANT INSERT (last_position, sealed_at) ON audit_seals TO coinslot_service;

-- Keys are the only thing of a shop's that is ever forgotten.
GRANT INSERT (caller, key, fingerprint, resource_id, recovery_point, locked_until, response_status,
              response_body, created_at),
    UPDATE (recovery_point, locked_until, response_status, response_body), DELETE
    ON idempotency_keys TO coinslot_service;
GRANT INSERT (topic, dedupe_key, payment_id, correlation_id, next_attempt_at, created_at),
    UPDATE (attempts, next_attempt_at, delivered_at, given_up_at, last_error)
    ON outbox TO coinslot_service;
GRANT INSERT (provider, event_id, kind, type, charge_ref, refund_ref, payment_id, attempt_id,
              refund_id, claimed_status, next_attempt_at, correlation_id, received_at),
    UPDATE (status, outcome, attempts, next_attempt_at, last_error, ended_at)
    ON webhook_inbox TO coinslot_service;
GRANT INSERT (id, provider, provider_ref, payment_id, amount_minor, currency, next_attempt_at,
              correlation_id, created_at, updated_at),
    UPDATE (status, attempts, next_attempt_at, last_error, refund_ref, retry_keys, updated_at)
    ON orphan_captures TO coinslot_service;

GRANT INSERT (id, status, actor, requested_at, started_at, lease_until),
    UPDATE (status, actor, started_at, finished_at, lease_until, window_from, window_to, charges,
            payments, grants, differences, error)
    ON reconciliation_runs TO coinslot_service;
GRANT INSERT (run_id, source, subject), DELETE, TRUNCATE ON reconciliation_seen TO coinslot_service;
GRANT INSERT (id, kind, source, subject, payment_id, ours, theirs, subject_at, first_seen,
              last_seen, last_run_id),
    UPDATE (payment_id, ours, theirs, last_seen, last_run_id, times_seen, resolved_at)
    ON reconciliation_differences TO coinslot_service;

GRANT INSERT (id, url, description, event_types, secret_key, created_at, updated_at),
    UPDATE (url, description, event_types, status, disabled_reason, failing_since, secret_key,
            secret_version, previous_key, previous_version, previous_until, updated_at)
    ON webhook_endpoints TO coinslot_service;
GRANT INSERT (type, body, correlation_id, created_at), DELETE
    ON webhook_events TO coinslot_service;
GRANT INSERT (endpoint_id, event_id, next_attempt_at, created_at),
    UPDATE (status, attempts, last_status, last_error, next_attempt_at, schedule_start, ended_at)
    ON webhook_deliveries TO coinslot_service;

-- Merchants are told by triggers, which write as the owner.
ALTER FUNCTION tell_of_payments() SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION tell_of_refunds() SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION tell_of_orders() SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION deliver_webhook_events()
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;

-- The counters of a payment are the triggers' alone: they write them as the owner.
ALTER FUNCTION count_new_refunds() SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION count_changed_refunds()
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
