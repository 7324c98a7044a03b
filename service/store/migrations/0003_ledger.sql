-- The ledger and the audit trail: append-only, balanced, chained.
-- depends: 0002_payments

CREATE TABLE ledger_transactions (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('capture', 'refund')),
    payment_id uuid NOT NULL REFERENCES payments,
    refund_id  uuid REFERENCES refunds,
    created_at timestamptz NOT NULL,
    CHECK ((kind = 'refund') = (refund_id IS NOT NULL)),
    -- a payment is captured once, a refund is booked once
    UNIQUE NULLS NOT DISTINCT (payment_id, kind, refund_id)
);

CREATE TABLE ledger_entries (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id uuid NOT NULL REFERENCES ledger_transactions,
    account        text NOT NULL,
    amount_minor   bigint NOT NULL CHECK (amount_minor <> 0),  -- debit > 0, credit < 0
    currency       text NOT NULL
);

CREATE INDEX ledger_entries_of_transaction ON ledger_entries (transaction_id);

-- A statement leaves every transaction that it touches balanced: stricter than a check at commit,
-- and one look at all rows of a batch instead of a deferred call a row.
CREATE FUNCTION guard_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    SELECT e.transaction_id, e.currency, sum(e.amount_minor) AS off INTO bad
    FROM ledger_entries e
    WHERE e.transaction_id IN (SELECT transaction_id FROM new_rows)
    GROUP BY e.transaction_id, e.currency
    HAVING sum(e.amount_minor) <> 0
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger transaction % is off by % %',
            bad.transaction_id, bad.off, bad.currency
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_balanced';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER ledger_balanced AFTER INSERT ON ledger_entries
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_balance();

CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('the ledger is append-only');

CREATE TRIGGER ledger_transactions_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('the ledger is append-only');

-- What happened to a payment, in order. Each row's hash covers the one before it, so that a changed
-- or removed row shows (see the view broken_event_chains).
CREATE TABLE payment_events (
    payment_id     uuid NOT NULL REFERENCES payments,
    seq            integer NOT NULL,
    at             timestamptz NOT NULL,
    event          text NOT NULL,
    data           jsonb NOT NULL,
    correlation_id text NOT NULL,
    hash           bytea NOT NULL,
    PRIMARY KEY (payment_id, seq)
);

CREATE FUNCTION event_hash(
    previous bytea, payment_id uuid, seq integer, at timestamptz, event text, data jsonb,
    correlation_id text
) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(previous || convert_to(
        jsonb_build_array(
            payment_id, seq, extract(epoch FROM at), event, data, correlation_id
        )::text, 'UTF8'))
$$;

CREATE FUNCTION chain_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last record;
BEGIN
    SELECT e.seq, e.hash INTO last FROM payment_events e
    WHERE e.payment_id = NEW.payment_id ORDER BY e.seq DESC LIMIT 1;
    NEW.seq := coalesce(last.seq, 0) + 1;
    NEW.hash := event_hash(coalesce(last.hash, ''), NEW.payment_id, NEW.seq, NEW.at, NEW.event,
                           NEW.data, NEW.correlation_id);
    RETURN NEW;
END
$$;

CREATE TRIGGER payment_events_chain BEFORE INSERT ON payment_events
    FOR EACH ROW EXECUTE FUNCTION chain_event();

CREATE TRIGGER payment_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('the audit trail is append-only');
