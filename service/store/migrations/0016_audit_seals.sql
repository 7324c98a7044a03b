-- Closed intervals of the audit trails, each sealed by a root hash, so that a chain that is gone
-- shows as well as one that was changed (ADR-45).
-- depends: 0014_operators

-- Where an entry stands among those of both trails. CACHE 1: a number that a connection keeps in
-- reserve would come up after its interval was sealed.
CREATE SEQUENCE audit_positions CACHE 1;

-- A transaction has its id before it takes a position. So whoever reads the last position, then
-- takes an id, and then waits until older transactions have ended, sees every entry up to there
-- that there will ever be. CASE evaluates in this order.
CREATE FUNCTION next_audit_position() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('audit_positions') END
$$;

ALTER TABLE payment_events
    ADD COLUMN position bigint NOT NULL DEFAULT next_audit_position();
ALTER TABLE admin_actions
    ADD COLUMN position bigint NOT NULL DEFAULT next_audit_position();

-- Not unique: a trail that was restored without its sequence is for the verification to report,
-- and no reason to refuse payments.
CREATE INDEX payment_events_by_position ON payment_events (position);
CREATE INDEX admin_actions_by_position ON admin_actions (position);

CREATE VIEW audit_entries AS
    SELECT position, 'payment/' || payment_id AS chain, seq, hash FROM payment_events
    UNION ALL
    SELECT position, 'decisions/' || subject || '/' || subject_id, seq, hash FROM admin_actions;

-- Entries whose hash is not of what they say, or doesn't follow from the entry before.
CREATE VIEW audit_broken_entries AS
    SELECT e.position, 'payment/' || e.payment_id AS chain, e.seq
    FROM payment_events e
    WHERE e.hash <> event_hash(
        coalesce((SELECT p.hash FROM payment_events p
                  WHERE p.payment_id = e.payment_id AND p.seq = e.seq - 1), ''),
        e.payment_id, e.seq, e.at, e.event, e.data, e.correlation_id)
    UNION ALL
    SELECT a.position, 'decisions/' || a.subject || '/' || a.subject_id, a.seq
    FROM admin_actions a
    WHERE a.hash <> admin_action_hash(
        coalesce((SELECT p.hash FROM admin_actions p
                  WHERE p.subject = a.subject AND p.subject_id = a.subject_id
                    AND p.seq = a.seq - 1), ''),
        a.subject, a.subject_id, a.seq, a.at, a.actor, a.action, a.reason, a.evidence,
        a.correlation_id);

-- What an interval holds of each chain.
CREATE FUNCTION audit_digests(first_position bigint, last_position bigint)
RETURNS TABLE (chain text, entries bigint, digest bytea) LANGUAGE sql STABLE AS $$
    SELECT e.chain, count(*),
           sha256(string_agg(int8send(e.position) || int4send(e.seq) || e.hash, ''
                             ORDER BY e.position, e.seq))
    FROM audit_entries e
    WHERE e.position BETWEEN $1 AND $2
    GROUP BY e.chain
$$;

CREATE FUNCTION audit_root(chains text[], digests bytea[])
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(coalesce(string_agg(convert_to(c.chain, 'UTF8') || '\x00' || c.digest, ''
                                      ORDER BY c.place), ''))
    FROM unnest(chains, digests) WITH ORDINALITY AS c(chain, digest, place)
$$;

CREATE FUNCTION audit_seal_hash(
    previous bytea, id bigint, first_position bigint, last_position bigint, entries bigint,
    root bytea, sealed_at timestamptz
) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(previous || convert_to(
        jsonb_build_array(
            id, first_position, last_position, entries, encode(root, 'hex'),
            extract(epoch FROM sealed_at)
        )::text, 'UTF8'))
$$;

-- The chains with their digests are kept, so that a difference can be put down to a payment.
CREATE TABLE audit_seals (
    id             bigint PRIMARY KEY,
    first_position bigint NOT NULL,
    last_position  bigint NOT NULL,
    entries        bigint NOT NULL,
    chains         text[] NOT NULL,
    digests        bytea[] NOT NULL,
    root           bytea NOT NULL,
    sealed_at      timestamptz NOT NULL,
    hash           bytea NOT NULL,     -- over all of it and over the hash of the seal before
    CHECK (first_position <= last_position),
    CHECK (cardinality(chains) = cardinality(digests))
);

-- Whoever seals says up to where and when; the rest is what is there. Two at once would be given
-- the same id, and one of them refused.
CREATE FUNCTION chain_audit_seal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last record;
BEGIN
    SELECT s.id, s.last_position, s.hash INTO last FROM audit_seals s ORDER BY s.id DESC LIMIT 1;
    NEW.id := coalesce(last.id, 0) + 1;
    NEW.first_position := coalesce(last.last_position, 0) + 1;
    SELECT coalesce(sum(d.entries), 0),
           coalesce(array_agg(d.chain ORDER BY d.chain COLLATE "C"), '{}'),
           coalesce(array_agg(d.digest ORDER BY d.chain COLLATE "C"), '{}')
    INTO NEW.entries, NEW.chains, NEW.digests
    FROM audit_digests(NEW.first_position, NEW.last_position) d;
    NEW.root := audit_root(NEW.chains, NEW.digests);
    NEW.hash := audit_seal_hash(coalesce(last.hash, ''), NEW.id, NEW.first_position,
                                NEW.last_position, NEW.entries, NEW.root, NEW.sealed_at);
    RETURN NEW;
END
$$;

CREATE TRIGGER audit_seals_chain BEFORE INSERT ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION chain_audit_seal();

CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('the audit trail is append-only');

-- Seals that don't follow from the one before, or whose own facts were changed.
CREATE VIEW audit_broken_seals AS
    SELECT s.id, CASE WHEN s.id > 1 AND p.id IS NULL THEN 'seals_missing' ELSE 'seal_changed' END
        AS fault
    FROM audit_seals s LEFT JOIN audit_seals p ON p.id = s.id - 1
    WHERE s.first_position <> coalesce(p.last_position, 0) + 1
       OR s.hash <> audit_seal_hash(coalesce(p.hash, ''), s.id, s.first_position, s.last_position,
                                    s.entries, s.root, s.sealed_at);

-- Of the newest thousand: that is cheap enough for every minute. The workers go through all seals
-- and what they cover, a part at a time, and a command does at once.
CREATE VIEW invariant_broken_seals AS
    SELECT id, fault FROM audit_broken_seals
    WHERE id > (SELECT max(id) - 1000 FROM audit_seals);

CREATE OR REPLACE VIEW money_invariants AS
    SELECT 'unbalanced_ledger' AS invariant, count(*) AS violations FROM unbalanced_ledger
    UNION ALL SELECT 'ledger_differs_from_payments', count(*) FROM ledger_differs_from_payments
    UNION ALL SELECT 'refund_counters_differ', count(*) FROM refund_counters_differ
    UNION ALL SELECT 'over_refunded_payments', count(*) FROM over_refunded_payments
    UNION ALL SELECT 'orders_paid_twice', count(*) FROM orders_paid_twice
    UNION ALL SELECT 'orders_differ_from_payments', count(*) FROM orders_differ_from_payments
    UNION ALL SELECT 'entitlements_without_payment', count(*) FROM entitlements_without_payment
    UNION ALL SELECT 'captured_without_message', count(*) FROM captured_without_message
    UNION ALL SELECT 'broken_event_chains', count(*) FROM broken_event_chains
    UNION ALL SELECT 'orphans_that_pay', count(*) FROM invariant_orphans_that_pay
    UNION ALL SELECT 'paid_games_not_held', count(*) FROM invariant_paid_games_not_held
    UNION ALL SELECT 'given_up_and_kept', count(*) FROM invariant_given_up_and_kept
    UNION ALL SELECT 'broken_admin_chains', count(*) FROM invariant_broken_admin_chains
    UNION ALL SELECT 'broken_seals', count(*) FROM invariant_broken_seals;
