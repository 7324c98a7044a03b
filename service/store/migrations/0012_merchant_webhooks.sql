-- Merchants' webhooks: who is told, of what, and how far the telling has come.
-- depends: 0016_audit_seals

-- The secret itself is nowhere: it is derived from a master key, the endpoint's id and a version.
CREATE TABLE webhook_endpoints (
    id               uuid PRIMARY KEY,
    url              text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    event_types      text[] NOT NULL CHECK (cardinality(event_types) > 0),
    description      text NOT NULL,
    status           text NOT NULL DEFAULT 'enabled',
    disabled_reason  text CHECK (disabled_reason IN ('operator', 'gone', 'failing')),
    secret_key       text NOT NULL,
    secret_version   integer NOT NULL DEFAULT 1 CHECK (secret_version >= 1),
    previous_key     text,
    previous_version integer,
    previous_until   timestamptz,  -- until then messages are signed with both
    failing_since    timestamptz,  -- the first failure after the last success
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    CHECK ((status = 'disabled') = (disabled_reason IS NOT NULL)),
    CHECK ((previous_key IS NULL) = (previous_version IS NULL)),
    CHECK ((previous_key IS NULL) = (previous_until IS NULL))
);

CREATE INDEX webhook_endpoints_enabled ON webhook_endpoints (id) WHERE status = 'enabled';
CREATE UNIQUE INDEX one_webhook_endpoint_a_url ON webhook_endpoints (url)
    WHERE status <> 'closed';

-- What is told, in the bytes that are signed: every try sends the same.
CREATE TABLE webhook_events (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    type           text NOT NULL,
    payment_id     uuid,
    body           text NOT NULL,
    correlation_id text NOT NULL,
    created_at     timestamptz NOT NULL
);

CREATE INDEX webhook_events_to_reap ON webhook_events (created_at);

-- No foreign key to the endpoint: every payment would share a lock on that one row, and endpoints
-- are never deleted.
CREATE TABLE webhook_deliveries (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id     uuid NOT NULL,
    event_id        uuid NOT NULL REFERENCES webhook_events ON DELETE CASCADE,
    status          text NOT NULL DEFAULT 'pending',
    attempts        integer NOT NULL DEFAULT 0,
    schedule_start  integer NOT NULL DEFAULT 0,  -- attempts before its schedule began (again)
    next_attempt_at timestamptz NOT NULL,
    last_status     smallint,
    last_error      text,
    created_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    CONSTRAINT one_delivery_an_endpoint UNIQUE (event_id, endpoint_id),
    CHECK ((status = 'pending') = (ended_at IS NULL))
);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_exhausted ON webhook_deliveries (endpoint_id, id)
    WHERE status = 'exhausted';
CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (endpoint_id, id DESC);

INSERT INTO status_transitions (entity, from_status, to_status) VALUES
    ('webhook_endpoint', 'new', 'enabled'),
    ('webhook_endpoint', 'enabled', 'disabled'),
    ('webhook_endpoint', 'disabled', 'enabled'),
    ('webhook_endpoint', 'enabled', 'closed'),
    ('webhook_endpoint', 'disabled', 'closed'),
    ('webhook_delivery', 'new', 'pending'),
    ('webhook_delivery', 'pending', 'succeeded'),
    ('webhook_delivery', 'pending', 'exhausted'),
    ('webhook_delivery', 'pending', 'canceled'),
    ('webhook_delivery', 'succeeded', 'pending'),
    ('webhook_delivery', 'exhausted', 'pending');

CREATE TRIGGER webhook_endpoints_first_status AFTER INSERT ON webhook_endpoints
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_first_status('webhook_endpoint');
CREATE TRIGGER webhook_endpoints_transition AFTER UPDATE ON webhook_endpoints
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_transition('webhook_endpoint');
CREATE TRIGGER webhook_endpoints_kept BEFORE DELETE OR TRUNCATE ON webhook_endpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('endpoints are closed');

CREATE TRIGGER webhook_events_frozen BEFORE UPDATE ON webhook_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('what is signed stays as it is');

CREATE TRIGGER webhook_deliveries_first_status AFTER INSERT ON webhook_deliveries
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_first_status('webhook_delivery');
CREATE TRIGGER webhook_deliveries_transition AFTER UPDATE ON webhook_deliveries
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_transition('webhook_delivery');
CREATE TRIGGER webhook_deliveries_identity
    BEFORE UPDATE OF id, endpoint_id, event_id, created_at ON webhook_deliveries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('a delivery keeps its endpoint and its event');

-- Which change is which event. A test holds it against service/webhooks/catalogue.py.
CREATE TABLE webhook_event_types (
    entity text NOT NULL,
    status text NOT NULL,
    type   text NOT NULL UNIQUE,
    PRIMARY KEY (entity, status)
);

INSERT INTO webhook_event_types (entity, status, type) VALUES
    ('payment', 'requires_action', 'payment.requires_action'),
    ('payment', 'authorized', 'payment.authorized'),
    ('payment', 'succeeded', 'payment.succeeded'),
    ('payment', 'failed', 'payment.failed'),
    ('payment', 'canceled', 'payment.canceled'),
    ('payment', 'expired', 'payment.expired'),
    ('payment', 'review', 'payment.review'),
    ('refund', 'succeeded', 'refund.succeeded'),
    ('refund', 'failed', 'refund.failed'),
    ('order', 'fulfilled', 'order.fulfilled');

CREATE FUNCTION webhook_body(type text, at timestamptz, data json) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT row_to_json(b)::text FROM (SELECT
        type, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS timestamp, data) b
$$;

-- An event is written by the statement that changes the status, so that it is true if and only if
-- the change is. While nobody listens, that costs one look at an empty index.

CREATE FUNCTION webhooks_wanted() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM webhook_endpoints WHERE status = 'enabled')
$$;

CREATE FUNCTION tell_of_payments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT webhooks_wanted() THEN
        RETURN NULL;
    END IF;
    INSERT INTO webhook_events (type, payment_id, body, correlation_id, created_at)
    SELECT t.type, n.id, webhook_body(t.type, n.updated_at, row_to_json(d)),
           coalesce(c.correlation_id, ''), n.updated_at
    FROM old_rows o
    JOIN new_rows n ON n.id = o.id
    JOIN webhook_event_types t ON t.entity = 'payment' AND t.status = n.status
    LEFT JOIN LATERAL (
        SELECT e.correlation_id FROM payment_events e
        WHERE e.payment_id = n.id ORDER BY e.seq DESC LIMIT 1) c ON true
    CROSS JOIN LATERAL (
        SELECT n.id AS payment_id, n.order_id, n.user_id, n.status, n.provider,
               n.capture_method AS capture, n.currency, n.amount_minor AS amount,
               n.captured_minor AS captured, n.refunded_minor AS refunded, n.failure_code) d
    WHERE o.status <> n.status
      AND EXISTS (SELECT FROM webhook_endpoints w
                  WHERE w.status = 'enabled' AND t.type = ANY (w.event_types));
    RETURN NULL;
END
$$;

CREATE FUNCTION tell_of_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT webhooks_wanted() THEN
        RETURN NULL;
    END IF;
    INSERT INTO webhook_events (type, payment_id, body, correlation_id, created_at)
    SELECT t.type, p.id, webhook_body(t.type, n.updated_at, row_to_json(d)),
           coalesce(c.correlation_id, ''), n.updated_at
    FROM old_rows o
    JOIN new_rows n ON n.id = o.id
    JOIN webhook_event_types t ON t.entity = 'refund' AND t.status = n.status
    JOIN payments p ON p.id = n.payment_id
    LEFT JOIN LATERAL (
        SELECT e.correlation_id FROM payment_events e
        WHERE e.payment_id = p.id ORDER BY e.seq DESC LIMIT 1) c ON true
    CROSS JOIN LATERAL (
        SELECT n.id AS refund_id, p.id AS payment_id, p.order_id, p.user_id, n.status, n.currency,
               n.amount_minor AS amount, p.captured_minor AS payment_captured,
               p.refunded_minor AS payment_refunded, n.failure_code) d
    WHERE o.status <> n.status
      AND EXISTS (SELECT FROM webhook_endpoints w
                  WHERE w.status = 'enabled' AND t.type = ANY (w.event_types));
    RETURN NULL;
END
$$;

CREATE FUNCTION tell_of_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT webhooks_wanted() THEN
        RETURN NULL;
    END IF;
    INSERT INTO webhook_events (type, payment_id, body, correlation_id, created_at)
    SELECT t.type, p.id, webhook_body(t.type, n.updated_at, row_to_json(d)),
           coalesce(c.correlation_id, ''), n.updated_at
    FROM old_rows o
    JOIN new_rows n ON n.id = o.id
    JOIN webhook_event_types t ON t.entity = 'order' AND t.status = n.status
    JOIN payments p ON p.order_id = n.id AND p.status = 'succeeded'
    LEFT JOIN LATERAL (
        SELECT e.correlation_id FROM payment_events e
        WHERE e.payment_id = p.id ORDER BY e.seq DESC LIMIT 1) c ON true
    CROSS JOIN LATERAL (
        SELECT n.id AS order_id, p.id AS payment_id, n.user_id, n.status, n.currency,
               n.total_minor AS total) d
    WHERE o.status <> n.status
      AND EXISTS (SELECT FROM webhook_endpoints w
                  WHERE w.status = 'enabled' AND t.type = ANY (w.event_types));
    RETURN NULL;
END
$$;

-- Fired at the end of the whole statement, so they see the trail's entry of the same statement; and
-- after refunds_count_changed, by name, so that a refund's event holds the counters with it.
CREATE TRIGGER payments_told AFTER UPDATE ON payments
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_payments();
CREATE TRIGGER refunds_told AFTER UPDATE ON refunds
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_refunds();
CREATE TRIGGER orders_told AFTER UPDATE ON orders
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_orders();

CREATE FUNCTION deliver_webhook_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_deliveries (endpoint_id, event_id, next_attempt_at, created_at)
    SELECT w.id, n.id, n.created_at, n.created_at
    FROM new_rows n
    JOIN webhook_endpoints w ON w.status = 'enabled' AND n.type = ANY (w.event_types);
    RETURN NULL;
END
$$;

CREATE TRIGGER webhook_events_delivered AFTER INSERT ON webhook_events
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION deliver_webhook_events();

ALTER TABLE admin_actions DROP CONSTRAINT admin_actions_subject_check;
ALTER TABLE admin_actions ADD CONSTRAINT admin_actions_subject_check CHECK (
    subject IN ('payment', 'refund', 'outbox', 'reconciliation', 'orphan_capture',
                'webhook_event', 'webhook_endpoint'));
