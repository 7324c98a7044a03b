-- The ordinary statements of a payment, in the order in which a transaction runs them. Both peers
-- run them one after the other in their mode `plain`, and so does pgbench.

-- name: find_key (caller, key)
SELECT fingerprint, response_status, response_body FROM idempotency_keys
WHERE caller = $1 AND key = $2;

-- name: lock_order (order_id)
SELECT user_id, status, currency, total_minor, expires_at FROM orders WHERE id = $1 FOR SHARE;

-- name: has_live_payment (order_id)
SELECT EXISTS (SELECT FROM payments
               WHERE order_id = $1 AND status NOT IN ('failed', 'canceled', 'expired'));

-- name: owns_game (caller, order_id)
SELECT EXISTS (SELECT FROM order_items i
               JOIN entitlements e ON e.game_id = i.game_id AND e.user_id = $1
               WHERE i.order_id = $2 AND e.status IN ('reserved', 'granted'));

-- name: claim_key (caller, key, fingerprint, payment_id, at, locked_until)
INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, created_at, locked_until)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING;

-- name: insert_payment (payment_id, order_id, caller, provider, capture_method, payment_method, currency, amount_minor, at)
INSERT INTO payments (id, order_id, user_id, provider, status, capture_method, payment_method,
                      currency, amount_minor, created_at, updated_at)
VALUES ($1, $2, $3, $4, 'processing', $5, $6, $7, $8, $9, $9);

-- name: reserve_games (payment_id, caller, at, order_id)
INSERT INTO entitlements (payment_id, user_id, game_id, quantity, updated_at)
SELECT $1, $2, game_id, quantity, $3 FROM order_items WHERE order_id = $4;

-- name: insert_attempt (attempt_id, payment_id, locked_until, at)
INSERT INTO payment_attempts (id, payment_id, operation, status, next_check_at, created_at)
VALUES ($1, $2, 'charge', 'pending', $3, $4);

-- name: insert_event (payment_id, at, event, data, correlation_id)
INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
VALUES ($1, $2, $3, $4, $5);

-- name: lock_attempt (attempt_id)
SELECT status FROM payment_attempts WHERE id = $1 FOR UPDATE;

-- name: close_attempt (attempt_id, at)
UPDATE payment_attempts SET status = 'succeeded', resolved_at = $2 WHERE id = $1;

-- name: close_payment (payment_id, captured_minor, provider_ref, at)
UPDATE payments SET status = 'succeeded', captured_minor = $2, provider_ref = $3, updated_at = $4
WHERE id = $1;

-- name: close_order (order_id, at)
UPDATE orders SET status = 'paid', updated_at = $2 WHERE id = $1 AND status = 'pending';

-- name: insert_ledger_transaction (ledger_id, payment_id, at)
INSERT INTO ledger_transactions (id, kind, payment_id, created_at) VALUES ($1, 'capture', $2, $3);

-- name: insert_ledger_entries (ledger_id, debit_account, credit_account, captured_minor, currency)
INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)
VALUES ($1, $2, $4::bigint, $5), ($1, $3, -$4::bigint, $5);

-- name: insert_grant (payment_id, correlation_id, at)
INSERT INTO outbox (topic, dedupe_key, payment_id, correlation_id, next_attempt_at, created_at)
VALUES ('library.grant', $1::uuid::text, $1::uuid, $2, $3, $3);

-- name: store_answer (caller, key, response_status, response_body)
UPDATE idempotency_keys SET recovery_point = 'finished', locked_until = NULL,
    response_status = $3, response_body = $4
WHERE caller = $1 AND key = $2;
