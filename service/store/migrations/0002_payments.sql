-- Payments, what was tried at the provider, refunds, and the games they hold.
-- depends: 0001_orders

CREATE TABLE payments (
    id                   uuid PRIMARY KEY,
    order_id             uuid NOT NULL,
    user_id              text NOT NULL,
    provider             text NOT NULL,
    status               text NOT NULL,
    capture_method       text NOT NULL CHECK (capture_method IN ('automatic', 'manual')),
    payment_method       text NOT NULL,
    currency             text NOT NULL,
    amount_minor         bigint NOT NULL CHECK (amount_minor > 0),
    captured_minor       bigint NOT NULL DEFAULT 0,
    refund_pending_minor bigint NOT NULL DEFAULT 0 CHECK (refund_pending_minor >= 0),
    refunded_minor       bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    provider_ref         text,
    failure_code         text,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    FOREIGN KEY (order_id, user_id, currency, amount_minor)
        REFERENCES orders (id, user_id, currency, total_minor),
    UNIQUE (provider, provider_ref),
    CONSTRAINT captured_within_amount CHECK (captured_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT no_over_refund CHECK (refund_pending_minor + refunded_minor <= captured_minor),
    CONSTRAINT captured_means_succeeded CHECK ((status = 'succeeded') = (captured_minor > 0))
);

-- At most one payment of an order can take money.
CREATE UNIQUE INDEX one_live_payment_an_order ON payments (order_id)
    WHERE status NOT IN ('failed', 'canceled', 'expired');
CREATE INDEX payments_by_order ON payments (order_id, id DESC);
CREATE INDEX payments_by_user ON payments (user_id, id DESC);
CREATE INDEX payments_unresolved ON payments (status)
    WHERE status IN ('processing', 'unknown', 'review');
CREATE INDEX payments_held ON payments (updated_at)
    WHERE status IN ('authorized', 'requires_action');

INSERT INTO status_transitions (entity, from_status, to_status) VALUES
    ('payment', 'new', 'created'),
    ('payment', 'new', 'processing'),
    ('payment', 'created', 'processing'),
    ('payment', 'created', 'canceled'),
    ('payment', 'created', 'expired'),
    ('payment', 'processing', 'requires_action'),
    ('payment', 'processing', 'authorized'),
    ('payment', 'processing', 'succeeded'),
    ('payment', 'processing', 'failed'),
    ('payment', 'processing', 'unknown'),
    ('payment', 'processing', 'review'),
    ('payment', 'requires_action', 'processing'),
    ('payment', 'requires_action', 'canceled'),
    ('payment', 'requires_action', 'expired'),
    ('payment', 'requires_action', 'review'),
    ('payment', 'authorized', 'succeeded'),
    ('payment', 'authorized', 'canceled'),
    ('payment', 'authorized', 'expired'),
    ('payment', 'authorized', 'review'),
    ('payment', 'unknown', 'authorized'),
    ('payment', 'unknown', 'requires_action'),
    ('payment', 'unknown', 'succeeded'),
    ('payment', 'unknown', 'failed'),
    ('payment', 'unknown', 'review'),
    ('payment', 'review', 'succeeded'),
    ('payment', 'review', 'failed'),
    ('payment', 'review', 'canceled');

CREATE TRIGGER payments_first_status AFTER INSERT ON payments
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_first_status('payment');

CREATE TRIGGER payments_transition AFTER UPDATE ON payments
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_transition('payment');

CREATE TRIGGER payments_identity
    BEFORE UPDATE OF id, order_id, user_id, provider, currency, amount_minor, created_at
    ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('a payment keeps its order and its amount');

CREATE TRIGGER payments_kept BEFORE DELETE OR TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('payments are kept');

-- A closed order has no payment that could still take money. The function's query sees what was
-- committed while the closing statement waited for the order's row lock.
CREATE FUNCTION guard_order_close() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad uuid;
BEGIN
    SELECT n.id INTO bad FROM new_rows n
    WHERE n.status IN ('canceled', 'expired') AND EXISTS (
        SELECT FROM payments p
        WHERE p.order_id = n.id AND p.status NOT IN ('failed', 'canceled', 'expired'))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'order % has a live payment', bad
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_close';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER orders_close AFTER UPDATE ON orders
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_order_close();

-- One row a call series at the provider. The id is the provider's idempotency key, so a repeat of
-- an attempt can't charge twice.
CREATE TABLE payment_attempts (
    id            uuid PRIMARY KEY,
    payment_id    uuid NOT NULL REFERENCES payments,
    operation     text NOT NULL CHECK (operation IN ('charge', 'capture', 'cancel', 'expire')),
    status        text NOT NULL CHECK (status IN ('pending', 'unknown', 'succeeded', 'failed')),
    checks        integer NOT NULL DEFAULT 0,
    next_check_at timestamptz NOT NULL,
    error_code    text,
    created_at    timestamptz NOT NULL,
    resolved_at   timestamptz,
    CHECK ((status IN ('succeeded', 'failed')) = (resolved_at IS NOT NULL))
);

CREATE UNIQUE INDEX one_unresolved_attempt_a_payment ON payment_attempts (payment_id)
    WHERE status IN ('pending', 'unknown');
CREATE INDEX attempts_of_payment ON payment_attempts (payment_id);
CREATE INDEX attempts_due ON payment_attempts (next_check_at)
    WHERE status IN ('pending', 'unknown');

CREATE TABLE refunds (
    id            uuid PRIMARY KEY,  -- also the provider's idempotency key
    payment_id    uuid NOT NULL REFERENCES payments,
    status        text NOT NULL,
    amount_minor  bigint NOT NULL CHECK (amount_minor > 0),
    currency      text NOT NULL,
    reason        text NOT NULL,
    provider_ref  text,
    failure_code  text,
    checks        integer NOT NULL DEFAULT 0,
    next_check_at timestamptz NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);

CREATE INDEX refunds_of_payment ON refunds (payment_id);
CREATE INDEX refunds_due ON refunds (next_check_at) WHERE status IN ('pending', 'unknown');
CREATE UNIQUE INDEX refunds_provider_ref ON refunds (provider_ref);

INSERT INTO status_transitions (entity, from_status, to_status) VALUES
    ('refund', 'new', 'pending'),
    ('refund', 'pending', 'succeeded'),
    ('refund', 'pending', 'failed'),
    ('refund', 'pending', 'unknown'),
    ('refund', 'unknown', 'succeeded'),
    ('refund', 'unknown', 'failed'),
    ('refund', 'unknown', 'review'),
    ('refund', 'review', 'succeeded'),
    ('refund', 'review', 'failed');

CREATE TRIGGER refunds_first_status AFTER INSERT ON refunds
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_first_status('refund');

CREATE TRIGGER refunds_transition AFTER UPDATE ON refunds
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_transition('refund');

CREATE TRIGGER refunds_identity
    BEFORE UPDATE OF id, payment_id, amount_minor, currency, created_at ON refunds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('a refund keeps its payment and its amount');

CREATE TRIGGER refunds_kept BEFORE DELETE OR TRUNCATE ON refunds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('refunds are kept');

-- The counters of a payment follow its refunds by themselves, and nothing else may touch them:
-- the row lock of this update is what makes concurrent refunds queue up, and the CHECK
-- no_over_refund is what refuses the one too many.

CREATE FUNCTION count_new_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE payments p SET refund_pending_minor = p.refund_pending_minor + d.pending
    FROM (SELECT payment_id, sum(amount_minor) AS pending FROM new_rows GROUP BY payment_id) d
    WHERE p.id = d.payment_id;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_changed_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE payments p
    SET refund_pending_minor = p.refund_pending_minor - d.settled,
        refunded_minor = p.refunded_minor + d.succeeded
    FROM (
        SELECT n.payment_id, sum(n.amount_minor) AS settled,
               coalesce(sum(n.amount_minor) FILTER (WHERE n.status = 'succeeded'), 0) AS succeeded
        FROM old_rows o JOIN new_rows n ON n.id = o.id
        WHERE o.status NOT IN ('succeeded', 'failed') AND n.status IN ('succeeded', 'failed')
        GROUP BY n.payment_id) d
    WHERE p.id = d.payment_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER refunds_count_new AFTER INSERT ON refunds
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_new_refunds();

CREATE TRIGGER refunds_count_changed AFTER UPDATE ON refunds
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_refunds();

CREATE TRIGGER payments_refund_counters
    BEFORE UPDATE OF refund_pending_minor, refunded_minor ON payments
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse('refund counters follow the refunds');

-- A user's right to a game. The id is the grant's id at the Library.
CREATE TABLE entitlements (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    payment_id uuid NOT NULL REFERENCES payments,
    user_id    text NOT NULL,
    game_id    text NOT NULL,
    quantity   integer NOT NULL CHECK (quantity >= 1),
    status     text NOT NULL DEFAULT 'reserved',
    updated_at timestamptz NOT NULL,
    UNIQUE (payment_id, game_id)
);

-- Nobody pays twice for a game, and nobody for one that another payment is about to grant.
CREATE UNIQUE INDEX one_entitlement_a_game ON entitlements (user_id, game_id)
    WHERE status IN ('reserved', 'granted');

INSERT INTO status_transitions (entity, from_status, to_status) VALUES
    ('entitlement', 'new', 'reserved'),
    ('entitlement', 'reserved', 'granted'),
    ('entitlement', 'reserved', 'released'),
    ('entitlement', 'granted', 'revoked');

CREATE TRIGGER entitlements_first_status AFTER INSERT ON entitlements
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_first_status('entitlement');

CREATE TRIGGER entitlements_transition AFTER UPDATE ON entitlements
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_transition('entitlement');
