-- Disputes: what a bank takes back from a payment, and warnings of fraud before it does (ADR-37).
-- depends: 0031_ledger_booked_once

-- expands: ledger_booked_once forbids the same for captures and refunds
ALTER TABLE ledger_transactions DROP CONSTRAINT ledger_transactions_payment_id_kind_refund_id_key;
-- expands: replaced at once by one that allows more
ALTER TABLE ledger_transactions DROP CONSTRAINT ledger_transactions_kind_check;
-- expands: allows all that the one before did
ALTER TABLE ledger_transactions ADD CONSTRAINT ledger_transactions_kind_check
    CHECK (kind IN ('capture', 'refund', 'refund_reversal', 'capture_reversal',
                    'dispute_withdrawal', 'dispute_reinstatement', 'dispute_loss',
                    'dispute_loss_reversal')) NOT VALID;
-- expands: no row names a dispute yet
ALTER TABLE ledger_transactions ADD CONSTRAINT ledger_transactions_dispute_check
    CHECK ((kind LIKE 'dispute%') = (dispute_id IS NOT NULL)
       AND (dispute_id IS NULL) = (dispute_version IS NULL)) NOT VALID;

-- Amounts are sums since the dispute began; withdrawn less reinstated is what the provider keeps.
CREATE TABLE disputes (
    id               uuid PRIMARY KEY,
    payment_id       uuid NOT NULL REFERENCES payments,
    provider         text NOT NULL,
    provider_ref     text NOT NULL CHECK (length(provider_ref) BETWEEN 1 AND 255),
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    currency         text NOT NULL,
    reason           text NOT NULL,
    status           text NOT NULL,
    evidence_due_at  timestamptz,
    withdrawn_minor  bigint NOT NULL DEFAULT 0,
    reinstated_minor bigint NOT NULL DEFAULT 0 CHECK (reinstated_minor >= 0),
    review           text CHECK (review IN ('answer', 'lost', 'won_after_revoke')),
    version          integer NOT NULL DEFAULT 1,  -- counts changes: who read an older one, is late
    disputed_at      timestamptz NOT NULL,        -- by the provider's clock
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    closed_at        timestamptz,
    CONSTRAINT one_dispute_a_reference UNIQUE (provider, provider_ref),
    CONSTRAINT withheld_within_amount
        CHECK (withdrawn_minor - reinstated_minor BETWEEN 0 AND amount_minor),
    CHECK ((status IN ('won', 'lost', 'warning_closed')) = (closed_at IS NOT NULL))
);

CREATE INDEX disputes_of_payment ON disputes (payment_id);
CREATE INDEX disputes_open ON disputes (id)
    WHERE status IN ('warning', 'needs_response', 'under_review');
CREATE INDEX disputes_by_status ON disputes (status, id DESC);
CREATE INDEX disputes_in_review ON disputes (id) WHERE review IS NOT NULL;

-- expands: the table is new
ALTER TABLE ledger_transactions ADD CONSTRAINT ledger_transactions_dispute_id_fkey
    FOREIGN KEY (dispute_id) REFERENCES disputes NOT VALID;

-- A bank may begin a second round, so no status is the last one.
INSERT INTO status_transitions (entity, from_status, to_status)
    SELECT 'dispute', f, t
    FROM unnest(ARRAY['new', 'warning', 'warning_closed', 'needs_response', 'under_review', 'won',
                      'lost']) AS f,
         unnest(ARRAY['needs_response', 'under_review', 'won', 'lost']) AS t
    WHERE f <> t
    UNION ALL
    VALUES ('dispute', 'new', 'warning'),
           ('dispute', 'new', 'warning_closed'),
           ('dispute', 'warning', 'warning_closed'),
           ('dispute', 'warning_closed', 'warning'),
           ('fraud_warning', 'new', 'open'),
           ('fraud_warning', 'new', 'closed'),
           ('fraud_warning', 'open', 'closed');

CREATE TRIGGER disputes_first_status AFTER INSERT ON disputes
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_first_status('dispute');
CREATE TRIGGER disputes_transition AFTER UPDATE ON disputes
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_transition('dispute');
CREATE TRIGGER disputes_identity
    BEFORE UPDATE OF id, payment_id, provider, provider_ref, currency, disputed_at, created_at
    ON disputes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('a dispute keeps its payment and its name');
CREATE TRIGGER disputes_only_add BEFORE UPDATE ON disputes
    FOR EACH ROW WHEN (NEW.withdrawn_minor < OLD.withdrawn_minor
        OR NEW.reinstated_minor < OLD.reinstated_minor OR NEW.version < OLD.version)
    EXECUTE FUNCTION refuse('what was withdrawn and reinstated are sums');
CREATE TRIGGER disputes_kept BEFORE DELETE OR TRUNCATE ON disputes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('disputes are kept');

-- A dispute is of its payment's provider and currency, and its payment has taken money.
CREATE FUNCTION guard_dispute_of_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad uuid;
BEGIN
    SELECT n.id INTO bad FROM new_rows n JOIN payments p ON p.id = n.payment_id
    WHERE n.currency <> p.currency OR n.provider <> p.provider OR p.captured_minor = 0
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'dispute % is not of its payment', bad
            USING ERRCODE = 'check_violation', CONSTRAINT = 'dispute_of_payment';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER disputes_of_their_payment AFTER INSERT ON disputes
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_dispute_of_payment();

-- The statement that changes a dispute books what that moves.
CREATE FUNCTION guard_dispute_booked() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad uuid;
BEGIN
    SELECT n.id INTO bad FROM new_rows n
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(e.amount_minor) FILTER (WHERE e.account LIKE 'provider:%'), 0)
                   AS provider,
               coalesce(sum(e.amount_minor) FILTER (WHERE e.account LIKE 'disputes:%'), 0)
                   AS withheld,
               coalesce(sum(e.amount_minor) FILTER (WHERE e.account = 'losses:disputes'), 0)
                   AS lost
        FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
        WHERE t.payment_id = n.payment_id AND t.dispute_id = n.id) l
    WHERE l.provider <> n.reinstated_minor - n.withdrawn_minor
       OR l.withheld + l.lost <> -l.provider
       OR l.lost <> CASE n.status WHEN 'lost' THEN n.withdrawn_minor - n.reinstated_minor ELSE 0 END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'dispute % differs from the ledger', bad
            USING ERRCODE = 'check_violation', CONSTRAINT = 'dispute_booked';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER disputes_booked_first AFTER INSERT ON disputes
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_dispute_booked();
CREATE TRIGGER disputes_booked AFTER UPDATE ON disputes
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_dispute_booked();

-- expands: the functions are new
REVOKE ALL ON FUNCTION guard_dispute_of_payment(), guard_dispute_booked() FROM PUBLIC;

-- A bank suspects fraud before its customer disputes. Open while a person has to look.
CREATE TABLE fraud_warnings (
    id           uuid PRIMARY KEY,
    payment_id   uuid NOT NULL REFERENCES payments,
    provider     text NOT NULL,
    provider_ref text NOT NULL CHECK (length(provider_ref) BETWEEN 1 AND 255),
    fraud_type   text NOT NULL,
    actionable   boolean NOT NULL,
    status       text NOT NULL,
    warned_at    timestamptz NOT NULL,  -- by the provider's clock
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    CONSTRAINT one_fraud_warning_a_reference UNIQUE (provider, provider_ref)
);

CREATE INDEX fraud_warnings_of_payment ON fraud_warnings (payment_id);
CREATE INDEX fraud_warnings_open ON fraud_warnings (id) WHERE status = 'open';

CREATE TRIGGER fraud_warnings_first_status AFTER INSERT ON fraud_warnings
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_first_status('fraud_warning');
CREATE TRIGGER fraud_warnings_transition AFTER UPDATE ON fraud_warnings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_transition('fraud_warning');
CREATE TRIGGER fraud_warnings_identity
    BEFORE UPDATE OF id, payment_id, provider, provider_ref, fraud_type, warned_at, created_at
    ON fraud_warnings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('a warning keeps its payment and its name');
CREATE TRIGGER fraud_warnings_kept BEFORE DELETE OR TRUNCATE ON fraud_warnings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('warnings are kept');

ALTER TABLE webhook_inbox ADD COLUMN object_ref text;  -- the dispute's or the warning's own name
-- expands: replaced at once by one that allows more
ALTER TABLE webhook_inbox DROP CONSTRAINT webhook_inbox_kind_check;
-- expands: allows all that the one before did
ALTER TABLE webhook_inbox ADD CONSTRAINT webhook_inbox_kind_check
    CHECK (kind IN ('charge', 'refund', 'dispute', 'fraud_warning')) NOT VALID;

-- expands: replaced at once by one that allows more
ALTER TABLE admin_actions DROP CONSTRAINT admin_actions_subject_check;
-- expands: allows all that the one before did
ALTER TABLE admin_actions ADD CONSTRAINT admin_actions_subject_check CHECK (
    subject IN ('payment', 'refund', 'outbox', 'reconciliation', 'orphan_capture',
                'webhook_event', 'webhook_endpoint', 'dispute', 'fraud_warning')) NOT VALID;

-- A capture that was reversed counts for nothing; what disputes withhold is not with the provider.
CREATE OR REPLACE VIEW ledger_differs_from_payments AS
    SELECT c.payment_id, c.payment_minor, coalesce(l.minor, 0) AS ledger_minor
    FROM (
        SELECT p.id AS payment_id,
               CASE p.status WHEN 'reversed' THEN 0 ELSE p.captured_minor END - p.refunded_minor
                   - coalesce((SELECT sum(d.withdrawn_minor - d.reinstated_minor)::bigint
                               FROM disputes d WHERE d.payment_id = p.id), 0) AS payment_minor
        FROM payments p) c
    LEFT JOIN (
        SELECT t.payment_id, sum(e.amount_minor) AS minor
        FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
        WHERE e.account LIKE 'provider:%'
        GROUP BY t.payment_id) l ON l.payment_id = c.payment_id
    WHERE c.payment_minor <> coalesce(l.minor, 0);

CREATE VIEW invariant_disputes_differ_from_ledger AS
    SELECT coalesce(d.id, l.dispute_id) AS dispute_id
    FROM disputes d
    FULL JOIN (
        SELECT t.dispute_id,
               sum(e.amount_minor) FILTER (WHERE e.account LIKE 'provider:%') AS provider,
               sum(e.amount_minor) FILTER (WHERE e.account LIKE 'disputes:%') AS withheld,
               sum(e.amount_minor) FILTER (WHERE e.account = 'losses:disputes') AS lost
        FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
        WHERE t.kind LIKE 'dispute%'
        GROUP BY t.dispute_id) l ON l.dispute_id = d.id
    CROSS JOIN LATERAL (
        SELECT d.withdrawn_minor - d.reinstated_minor AS kept,
               CASE d.status WHEN 'lost' THEN d.withdrawn_minor - d.reinstated_minor ELSE 0 END
                   AS lost) ours
    WHERE d.id IS NULL
       OR ours.kept <> -coalesce(l.provider, 0)
       OR ours.lost <> coalesce(l.lost, 0)
       OR ours.kept - ours.lost <> coalesce(l.withheld, 0);

-- One line more to those that are there.
-- expands: the view keeps its columns and every line it had
DO $$
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW money_invariants AS '
        || rtrim(pg_get_viewdef('money_invariants'::regclass), '; ' || chr(10))
        || ' UNION ALL SELECT ''disputes_differ_from_ledger'', count(*)'
        || ' FROM invariant_disputes_differ_from_ledger';
END
$$;

GRANT SELECT ON disputes, fraud_warnings, invariant_disputes_differ_from_ledger
    TO coinslot_service;
GRANT INSERT (id, payment_id, provider, provider_ref, amount_minor, currency, reason, status,
              evidence_due_at, withdrawn_minor, reinstated_minor, review, disputed_at, created_at,
              updated_at, closed_at),
    UPDATE (amount_minor, reason, status, evidence_due_at, withdrawn_minor, reinstated_minor,
            review, version, updated_at, closed_at)
    ON disputes TO coinslot_service;
GRANT INSERT (id, payment_id, provider, provider_ref, fraud_type, actionable, status, warned_at,
              created_at, updated_at),
    UPDATE (actionable, status, updated_at)
    ON fraud_warnings TO coinslot_service;
GRANT INSERT (dispute_id, dispute_version) ON ledger_transactions TO coinslot_service;
GRANT INSERT (object_ref) ON webhook_inbox TO coinslot_service;
