-- A shop's past: %(rows)s paid orders with all that belongs to them, and a little work under way.
-- Triggers and foreign keys are off while it is written, so its event chains hold no hashes: it is
-- there to be looked past, by the planner and by the statements.

SET session_replication_role = replica;
SET synchronous_commit = off;

-- Ten orders a user; ids in order of time, as the service makes them.
CREATE TEMP TABLE past AS
SELECT n, 'user-' || n %% greatest(%(rows)s / 10, 1) AS user_id, 'game-' || n AS game_id,
    uuidv7(at - now()) AS order_id, uuidv7(at - now()) AS payment_id,
    uuidv7(at - now()) AS attempt_id, uuidv7(at - now()) AS ledger_id,
    uuidv7(at - now()) AS refund_id, at,
    -- the last thousand are still under way, in every way in which they can be
    CASE WHEN n <= %(rows)s - 1000 THEN 'succeeded'
         ELSE (ARRAY['processing', 'unknown', 'review', 'authorized', 'requires_action'])[n %% 5 + 1]
    END AS status
FROM (SELECT n, now() - interval '400 days' * (1 - n::float8 / %(rows)s) AS at
      FROM generate_series(1, %(rows)s) AS n) AS times;

INSERT INTO orders (id, user_id, status, currency, total_minor, created_at, updated_at, expires_at)
SELECT order_id, user_id, CASE status WHEN 'succeeded' THEN 'fulfilled' ELSE 'pending' END, 'EUR',
    1999, at, at, at + interval '30 min' FROM past;

INSERT INTO order_items (order_id, game_id, title, quantity, unit_price_minor)
SELECT order_id, game_id, 'A game', 1, 1999 FROM past;

INSERT INTO payments (id, order_id, user_id, provider, status, capture_method, payment_method,
    currency, amount_minor, captured_minor, refunded_minor, provider_ref, created_at, updated_at)
SELECT payment_id, order_id, user_id, 'simulator', status, 'automatic', 'pm_ok', 'EUR', 1999,
    CASE status WHEN 'succeeded' THEN 1999 ELSE 0 END,
    CASE WHEN status = 'succeeded' AND n %% 20 = 0 THEN 1000 ELSE 0 END, 'ch_' || n, at, at
FROM past;

INSERT INTO payment_attempts (id, payment_id, operation, status, next_check_at, created_at,
    resolved_at)
SELECT attempt_id, payment_id, 'charge',
    CASE status WHEN 'processing' THEN 'pending' WHEN 'unknown' THEN 'unknown' ELSE 'succeeded' END,
    at, at, CASE WHEN status IN ('processing', 'unknown') THEN NULL ELSE at END FROM past;

INSERT INTO refunds (id, payment_id, status, amount_minor, currency, reason, provider_ref,
    next_check_at, created_at, updated_at)
SELECT refund_id, payment_id,
    CASE WHEN n > %(rows)s - 10000 THEN (ARRAY['pending', 'unknown', 'review'])[n / 20 %% 3 + 1]
         ELSE 'succeeded' END,
    1000, 'EUR', 'requested_by_customer', 're_' || n, at, at, at
FROM past WHERE status = 'succeeded' AND n %% 20 = 0;

INSERT INTO entitlements (payment_id, user_id, game_id, quantity, status, updated_at)
SELECT payment_id, user_id, game_id, 1,
    CASE status WHEN 'succeeded' THEN 'granted' ELSE 'reserved' END, at FROM past;

INSERT INTO ledger_transactions (id, kind, payment_id, created_at)
SELECT ledger_id, 'capture', payment_id, at FROM past WHERE status = 'succeeded';

INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)
SELECT ledger_id, account, minor, 'EUR'
FROM past CROSS JOIN (VALUES ('provider:simulator', 1999), ('sales:games', -1999)) e(account, minor)
WHERE status = 'succeeded';

INSERT INTO payment_events (payment_id, seq, at, event, data, correlation_id, hash)
SELECT payment_id, seq, at, event, '{}', 'c-' || n, ''
FROM past CROSS JOIN (VALUES (1, 'payment_created'), (2, 'payment_succeeded')) e(seq, event);

INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, recovery_point,
    response_status, response_body, created_at)
SELECT user_id, 'key-' || n, '\x00', payment_id, 'finished', 201, '{}', at FROM past;

INSERT INTO outbox (topic, dedupe_key, payment_id, correlation_id, attempts, next_attempt_at,
    delivered_at, given_up_at, created_at)
SELECT 'library.grant', payment_id::text, payment_id, 'c-' || n, 1, at,
    CASE WHEN n <= %(rows)s - 2000 THEN at END,
    CASE WHEN n > %(rows)s - 2000 AND n %% 10 = 0 THEN at END, at
FROM past WHERE status = 'succeeded';

INSERT INTO webhook_inbox (provider, event_id, kind, type, charge_ref, payment_id, attempt_id,
    status, outcome, next_attempt_at, correlation_id, received_at, ended_at)
SELECT 'simulator', 'evt-' || n, 'charge', 'charge.succeeded', 'ch_' || n, payment_id, attempt_id,
    w.status, CASE w.status WHEN 'processed' THEN 'settled' END, at, 'c-' || n, at,
    CASE w.status WHEN 'pending' THEN NULL ELSE at END
FROM past CROSS JOIN LATERAL (SELECT CASE WHEN n <= %(rows)s - 1000 THEN 'processed'
    ELSE (ARRAY['pending', 'parked'])[n %% 2 + 1] END AS status) w;

INSERT INTO orphan_captures (id, provider, provider_ref, payment_id, amount_minor, currency, status,
    next_attempt_at, refund_ref, correlation_id, created_at, updated_at)
SELECT refund_id, 'simulator', 'late_' || n, payment_id, 1999, 'EUR',
    CASE WHEN n > %(rows)s - 10000 THEN 'pending' ELSE 'refunded' END, at,
    CASE WHEN n > %(rows)s - 10000 THEN NULL ELSE 'ore_' || n END, 'c-' || n, at, at
FROM past WHERE n %% 20 = 0;

INSERT INTO admin_actions (subject, subject_id, seq, at, actor, action, reason, evidence,
    correlation_id, hash)
SELECT 'payment', payment_id::text, 1, at, 'operator', 'review', 'x', '{}', 'c-' || n, ''
FROM past WHERE n %% 10 = 0;

INSERT INTO reconciliation_runs (id, status, actor, requested_at, started_at, finished_at,
    window_from, window_to)
SELECT ledger_id, 'succeeded', 'schedule', at, at, at, at, at FROM past WHERE n %% 10 = 0;

INSERT INTO reconciliation_seen (run_id, source, subject)
SELECT last.id, 'simulator', 'ch_' || n
FROM past CROSS JOIN (SELECT id FROM reconciliation_runs ORDER BY id DESC LIMIT 1) last;

INSERT INTO reconciliation_differences (id, kind, source, subject, payment_id, ours, theirs,
    subject_at, first_seen, last_seen, last_run_id, resolved_at)
SELECT refund_id, 'status_differs', 'simulator', 'ch_' || n, payment_id, '{}', '{}', at, at, at,
    ledger_id, CASE WHEN n <= %(rows)s - 10000 THEN at END
FROM past WHERE n %% 10 = 0;

-- Three endpoints, two of which were told. They are disabled: a benchmark has nobody to tell.
INSERT INTO webhook_endpoints (id, url, event_types, description, status, disabled_reason, secret_key,
    created_at, updated_at)
SELECT uuidv7(), 'https://merchant-' || n || '.example/hook', '{payment.succeeded}', '',
    CASE n WHEN 3 THEN 'closed' ELSE 'disabled' END, CASE WHEN n < 3 THEN 'operator' END,
    'k1', now(), now()
FROM generate_series(1, 3) AS n;

INSERT INTO webhook_events (id, type, payment_id, body, correlation_id, created_at)
SELECT ledger_id, 'payment.succeeded', payment_id, '{}', 'c-' || n, at
FROM past WHERE status = 'succeeded';

INSERT INTO webhook_deliveries (endpoint_id, event_id, status, attempts, next_attempt_at,
    created_at, ended_at)
SELECT e.id, ledger_id, s.status, 1, at, at, CASE s.status WHEN 'pending' THEN NULL ELSE at END
FROM past CROSS JOIN (SELECT id FROM webhook_endpoints WHERE status = 'disabled') e
CROSS JOIN LATERAL (SELECT CASE WHEN n <= %(rows)s - 1500 THEN 'succeeded'
    ELSE (ARRAY['pending', 'exhausted'])[n %% 2 + 1] END AS status) s
WHERE past.status = 'succeeded';

RESET session_replication_role;
