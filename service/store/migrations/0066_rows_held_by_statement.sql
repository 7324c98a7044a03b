-- What refers to a payment, an order or a ledger transaction is looked at once a statement, and no
-- longer once a row: nine foreign keys were a tenth of what a payment costs the database (ADR-56).
-- depends: 0065_refunded_order_canceled

-- As strong as a foreign key, because what is referred to is never deleted and keeps its key:
-- payments_kept, payments_identity, orders_kept, orders_identity, ledger_transactions_append_only.

CREATE FUNCTION guard_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad uuid;
BEGIN
    SELECT n.id INTO bad FROM new_rows n
    WHERE NOT EXISTS (
        SELECT FROM public.orders o
        WHERE o.id = n.order_id AND o.user_id = n.user_id AND o.currency = n.currency
          AND o.total_minor = n.amount_minor)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payment % is not of its order''s owner, currency and amount', bad
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'payments_of_order';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION guard_of_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad uuid;
BEGIN
    SELECT n.payment_id INTO bad FROM new_rows n
    WHERE NOT EXISTS (SELECT FROM public.payments p WHERE p.id = n.payment_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% refers to payment %, which is not there', TG_TABLE_NAME, bad
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = TG_TABLE_NAME || '_of_payment';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER payments_of_order AFTER INSERT ON payments
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_of_order();
CREATE TRIGGER entitlements_of_payment AFTER INSERT ON entitlements
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_of_payment();
CREATE TRIGGER payment_attempts_of_payment AFTER INSERT ON payment_attempts
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_of_payment();
CREATE TRIGGER ledger_transactions_of_payment AFTER INSERT ON ledger_transactions
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_of_payment();
CREATE TRIGGER outbox_of_payment AFTER INSERT ON outbox
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_of_payment();

-- None of these columns changes later, also where no foreign key says so any more.
CREATE TRIGGER payment_attempts_identity BEFORE UPDATE OF id, payment_id, operation, created_at
    ON payment_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('an attempt keeps its payment');
CREATE TRIGGER outbox_identity BEFORE UPDATE OF id, topic, dedupe_key, payment_id ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('a message keeps its payment');

-- The first event of a chain looks for its payment; the others follow one that was let in.
CREATE OR REPLACE FUNCTION chain_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    previous bytea;
BEGIN
    SELECT e.seq + 1, e.hash INTO NEW.seq, previous FROM public.payment_events e
    WHERE e.payment_id = NEW.payment_id ORDER BY e.seq DESC LIMIT 1;
    IF NOT FOUND THEN
        IF NOT EXISTS (SELECT FROM public.payments p WHERE p.id = NEW.payment_id) THEN
            RAISE EXCEPTION 'payment_events refers to payment %, which is not there', NEW.payment_id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'payment_events_of_payment';
        END IF;
        NEW.seq := 1;
        previous := '';
    END IF;
    NEW.hash := event_hash(previous, NEW.payment_id, NEW.seq, NEW.at, NEW.event, NEW.data,
                           NEW.correlation_id);
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION guard_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    SELECT t.transaction_id, l.id AS known, e.currency, e.off INTO bad
    FROM (SELECT DISTINCT n.transaction_id FROM new_rows n) t
    LEFT JOIN public.ledger_transactions l ON l.id = t.transaction_id
    LEFT JOIN LATERAL (
        SELECT x.currency, sum(x.amount_minor) AS off FROM public.ledger_entries x
        WHERE x.transaction_id = t.transaction_id
        GROUP BY x.currency
        HAVING sum(x.amount_minor) <> 0
        LIMIT 1) e ON true
    WHERE l.id IS NULL OR e.off IS NOT NULL
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF bad.known IS NULL THEN
        RAISE EXCEPTION 'ledger_entries refers to transaction %, which is not there',
            bad.transaction_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_entries_of_transaction';
    END IF;
    RAISE EXCEPTION 'ledger transaction % is off by % %', bad.transaction_id, bad.off, bad.currency
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_balanced';
END
$$;

-- expands: the trigger above refuses the same
ALTER TABLE payments DROP CONSTRAINT payments_order_id_user_id_currency_amount_minor_fkey;
-- expands: the trigger above refuses the same
ALTER TABLE entitlements DROP CONSTRAINT entitlements_payment_id_fkey;
-- expands: the trigger above refuses the same
ALTER TABLE payment_attempts DROP CONSTRAINT payment_attempts_payment_id_fkey;
-- expands: the trigger above refuses the same
ALTER TABLE ledger_transactions DROP CONSTRAINT ledger_transactions_payment_id_fkey;
-- expands: the trigger above refuses the same
ALTER TABLE outbox DROP CONSTRAINT outbox_payment_id_fkey;
-- expands: the trigger above refuses the same
ALTER TABLE payment_events DROP CONSTRAINT payment_events_payment_id_fkey;
-- expands: the trigger above refuses the same
ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_transaction_id_fkey;
-- expands: only the foreign key needed it; an order is found by its id
ALTER TABLE orders DROP CONSTRAINT orders_id_user_id_currency_total_minor_key;
