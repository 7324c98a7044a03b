-- What providers tell us, kept before it is acknowledged; and money that came for closed payments.
-- depends: 0005_invariants

-- One row an event, for ever: that is what makes a replay harmless. Only references are kept, no
-- card, name or address, and nothing here is believed: the provider is asked again.
CREATE TABLE webhook_inbox (
    provider        text NOT NULL,
    event_id        text NOT NULL CHECK (length(event_id) BETWEEN 1 AND 255),
    kind            text NOT NULL CHECK (kind IN ('charge', 'refund')),
    type            text NOT NULL,
    charge_ref      text NOT NULL,
    refund_ref      text,
    payment_id      uuid,                -- what the event names; no foreign key: it may be nothing
    attempt_id      uuid,
    refund_id       uuid,
    claimed_status  text,                -- what the event says; for people to compare
    status          text NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'processed', 'parked')),
    outcome         text,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    last_error      text,
    correlation_id  text NOT NULL,
    received_at     timestamptz NOT NULL,
    ended_at        timestamptz,
    PRIMARY KEY (provider, event_id),
    CHECK ((status = 'pending') = (ended_at IS NULL)),
    CHECK ((status = 'processed') = (outcome IS NOT NULL))
);

CREATE INDEX webhook_inbox_due ON webhook_inbox (next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_inbox_parked ON webhook_inbox (ended_at DESC) WHERE status = 'parked';

CREATE TRIGGER webhook_inbox_identity
    BEFORE UPDATE OF provider, event_id, kind, charge_ref, payment_id, attempt_id, refund_id,
        received_at ON webhook_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('an event is what the provider sent');

CREATE TRIGGER webhook_inbox_kept BEFORE DELETE OR TRUNCATE ON webhook_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('a forgotten event could be replayed');

-- Money that a provider took for a payment that is closed, or a second time. It is given back.
CREATE TABLE orphan_captures (
    id              uuid PRIMARY KEY,    -- also the refund's idempotency key at the provider
    provider        text NOT NULL,
    provider_ref    text NOT NULL,
    payment_id      uuid NOT NULL REFERENCES payments,
    amount_minor    bigint NOT NULL CHECK (amount_minor > 0),
    currency        text NOT NULL,
    status          text NOT NULL DEFAULT 'pending',
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    last_error      text,
    refund_ref      text,
    correlation_id  text NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    CONSTRAINT one_orphan_a_charge UNIQUE (provider, provider_ref),
    CHECK ((status = 'refunded') = (refund_ref IS NOT NULL))
);

CREATE INDEX orphan_captures_due ON orphan_captures (next_attempt_at) WHERE status = 'pending';
CREATE INDEX orphan_captures_of_payment ON orphan_captures (payment_id);

INSERT INTO status_transitions (entity, from_status, to_status) VALUES
    ('orphan_capture', 'new', 'pending'),
    ('orphan_capture', 'pending', 'refunded'),
    ('orphan_capture', 'pending', 'review'),
    ('orphan_capture', 'review', 'refunded');

CREATE TRIGGER orphan_captures_first_status AFTER INSERT ON orphan_captures
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_first_status('orphan_capture');

CREATE TRIGGER orphan_captures_transition AFTER UPDATE ON orphan_captures
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_transition('orphan_capture');

CREATE TRIGGER orphan_captures_identity
    BEFORE UPDATE OF id, provider, provider_ref, payment_id, amount_minor, currency, created_at
    ON orphan_captures
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('an orphan keeps its charge and its amount');

CREATE TRIGGER orphan_captures_kept BEFORE DELETE OR TRUNCATE ON orphan_captures
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('orphans are kept');

-- A charge that pays a payment is never given back as an orphan.
CREATE FUNCTION guard_orphan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    SELECT n.provider_ref, p.id AS payment_id INTO bad
    FROM new_rows n
    JOIN payments p ON p.provider = n.provider AND p.provider_ref = n.provider_ref
    WHERE p.status NOT IN ('failed', 'canceled', 'expired')
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'charge % pays payment %', bad.provider_ref, bad.payment_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'orphan_pays_nothing';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER orphan_captures_pay_nothing AFTER INSERT ON orphan_captures
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_orphan();

CREATE VIEW invariant_orphans_that_pay AS
    SELECT o.id AS orphan_id, p.id AS payment_id
    FROM orphan_captures o
    JOIN payments p ON p.provider = o.provider AND p.provider_ref = o.provider_ref
    WHERE p.status NOT IN ('failed', 'canceled', 'expired');
