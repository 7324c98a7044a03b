-- What operators do, what they find when the books are compared, and grants that are given up.
-- depends: 0006_webhook_inbox

-- Who did what to which thing, why, and on what evidence. Chained per subject like payment_events.
CREATE TABLE admin_actions (
    subject        text NOT NULL
                   CHECK (subject IN ('payment', 'refund', 'outbox', 'reconciliation')),
    subject_id     text NOT NULL,
    seq            integer NOT NULL,
    at             timestamptz NOT NULL,
    actor          text NOT NULL CHECK (length(actor) BETWEEN 1 AND 160),
    action         text NOT NULL,
    reason         text NOT NULL,
    evidence       jsonb NOT NULL,
    correlation_id text NOT NULL,
    hash           bytea NOT NULL,
    PRIMARY KEY (subject, subject_id, seq)
);

CREATE FUNCTION admin_action_hash(
    previous bytea, subject text, subject_id text, seq integer, at timestamptz, actor text,
    action text, reason text, evidence jsonb, correlation_id text
) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(previous || convert_to(
        jsonb_build_array(
            subject, subject_id, seq, extract(epoch FROM at), actor, action, reason, evidence,
            correlation_id
        )::text, 'UTF8'))
$$;

CREATE FUNCTION chain_admin_action() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last record;
BEGIN
    -- Two operators may act on one thing at once, and nothing else need be locked for that. The
    -- query after the lock sees what was committed while this one waited for it.
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.subject || ' ' || NEW.subject_id, 0));
    SELECT a.seq, a.hash INTO last FROM admin_actions a
    WHERE a.subject = NEW.subject AND a.subject_id = NEW.subject_id ORDER BY a.seq DESC LIMIT 1;
    NEW.seq := coalesce(last.seq, 0) + 1;
    NEW.hash := admin_action_hash(coalesce(last.hash, ''), NEW.subject, NEW.subject_id, NEW.seq,
                                  NEW.at, NEW.actor, NEW.action, NEW.reason, NEW.evidence,
                                  NEW.correlation_id);
    RETURN NEW;
END
$$;

CREATE TRIGGER admin_actions_chain BEFORE INSERT ON admin_actions
    FOR EACH ROW EXECUTE FUNCTION chain_admin_action();

CREATE TRIGGER admin_actions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON admin_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('the audit trail is append-only');

CREATE VIEW invariant_broken_admin_chains AS
    SELECT subject, subject_id, seq FROM (
        SELECT a.subject, a.subject_id, a.seq, a.hash,
               row_number() OVER chain AS expected_seq,
               admin_action_hash(coalesce(lag(a.hash) OVER chain, ''), a.subject, a.subject_id,
                                 a.seq, a.at, a.actor, a.action, a.reason, a.evidence,
                                 a.correlation_id) AS expected_hash
        FROM admin_actions a
        WINDOW chain AS (PARTITION BY a.subject, a.subject_id ORDER BY a.seq)) c
    WHERE hash <> expected_hash OR seq <> expected_seq;

-- An operator's decision is an attempt too, so that it is settled by the same statement as the
-- provider's answers.
ALTER TABLE payment_attempts DROP CONSTRAINT payment_attempts_operation_check;
ALTER TABLE payment_attempts ADD CONSTRAINT payment_attempts_operation_check
    CHECK (operation IN ('charge', 'capture', 'cancel', 'expire', 'review'));

CREATE INDEX payments_in_review ON payments (id) WHERE status = 'review';
CREATE INDEX refunds_in_review ON refunds (id) WHERE status = 'review';

-- A grant that the Library will not take is given up, and its payment refunded.
ALTER TABLE outbox ADD COLUMN given_up_at timestamptz;
ALTER TABLE outbox ADD CONSTRAINT outbox_ends_once
    CHECK (delivered_at IS NULL OR given_up_at IS NULL);
CREATE INDEX outbox_given_up ON outbox (payment_id) WHERE given_up_at IS NOT NULL;

-- Money that was taken for games that nobody gets is on its way back, or its refund has failed and
-- a person knows (the gauge of paid and not granted counts it until then).
CREATE VIEW invariant_given_up_and_kept AS
    SELECT o.payment_id, o.id AS message_id
    FROM outbox o JOIN payments p ON p.id = o.payment_id
    WHERE o.given_up_at IS NOT NULL
      AND p.captured_minor > p.refunded_minor + p.refund_pending_minor
      AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status = 'failed');

CREATE TABLE reconciliation_runs (
    id           uuid PRIMARY KEY,
    status       text NOT NULL CHECK (status IN ('requested', 'running', 'succeeded', 'failed')),
    actor        text NOT NULL,
    requested_at timestamptz NOT NULL,
    started_at   timestamptz,
    finished_at  timestamptz,
    lease_until  timestamptz,
    window_from  timestamptz,
    window_to    timestamptz,
    charges      bigint NOT NULL DEFAULT 0,
    payments     bigint NOT NULL DEFAULT 0,
    grants       bigint NOT NULL DEFAULT 0,
    differences  bigint NOT NULL DEFAULT 0,
    error        text,
    CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CHECK ((status IN ('succeeded', 'failed')) = (finished_at IS NOT NULL))
);

-- One at a time, whichever replica has it, and one that waits.
CREATE UNIQUE INDEX one_running_reconciliation ON reconciliation_runs (status)
    WHERE status = 'running';
CREATE UNIQUE INDEX one_requested_reconciliation ON reconciliation_runs (status)
    WHERE status = 'requested';

-- What a run has met so far. A run that crashes leaves some rows, which the next one removes.
CREATE UNLOGGED TABLE reconciliation_seen (
    run_id  uuid NOT NULL,
    source  text NOT NULL,
    subject text NOT NULL,
    PRIMARY KEY (run_id, source, subject)
);

-- A difference keeps its row as long as it is found again, and when it comes back.
CREATE TABLE reconciliation_differences (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN (
                    'missing_at_provider', 'missing_here', 'duplicate_charge', 'amount_differs',
                    'status_differs', 'refund_differs', 'grant_missing', 'grant_unexpected',
                    'grant_differs')),
    source      text NOT NULL,          -- the provider, or `library`
    subject     text NOT NULL,          -- what it is about: the charge's or grant's id over there
    payment_id  uuid REFERENCES payments,
    ours        jsonb NOT NULL,
    theirs      jsonb NOT NULL,
    subject_at  timestamptz NOT NULL,   -- when it was made; runs that look back so far see it again
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    times_seen  integer NOT NULL DEFAULT 1,
    last_run_id uuid NOT NULL REFERENCES reconciliation_runs,
    resolved_at timestamptz,
    UNIQUE (source, kind, subject)
);

CREATE INDEX reconciliation_differences_open ON reconciliation_differences (source, subject_at)
    WHERE resolved_at IS NULL;
CREATE INDEX reconciliation_differences_of_payment ON reconciliation_differences (payment_id);
