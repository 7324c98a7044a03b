-- Idempotency keys in, messages out.
-- depends: 0003_ledger

CREATE TABLE idempotency_keys (
    caller          text NOT NULL,
    key             text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint     bytea NOT NULL,        -- SHA-256 over method, path and canonical body
    resource_id     uuid NOT NULL,         -- the payment or refund that the request makes
    recovery_point  text NOT NULL DEFAULT 'started'
                    CHECK (recovery_point IN ('started', 'finished')),
    locked_until    timestamptz,           -- until then somebody works on it
    response_status smallint,
    response_body   text,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (caller, key),
    CHECK ((recovery_point = 'finished') = (response_status IS NOT NULL)),
    CHECK ((response_status IS NULL) = (response_body IS NULL)),
    CHECK (response_status < 500)          -- a 5xx is never replayed
);

CREATE INDEX idempotency_keys_of_resource ON idempotency_keys (resource_id);
CREATE INDEX idempotency_keys_to_reap ON idempotency_keys (created_at)
    WHERE recovery_point = 'finished';

CREATE TABLE outbox (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic           text NOT NULL,
    dedupe_key      text NOT NULL,
    payment_id      uuid NOT NULL REFERENCES payments,  -- messages of one payment go in order
    correlation_id  text NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    delivered_at    timestamptz,
    last_error      text,
    created_at      timestamptz NOT NULL,
    UNIQUE (topic, dedupe_key)
);

CREATE INDEX outbox_due ON outbox (next_attempt_at, id) WHERE delivered_at IS NULL;
CREATE INDEX outbox_undelivered ON outbox (payment_id, id) WHERE delivered_at IS NULL;
