-- Merchants are told of disputes, and reconciliation looks for them.
-- depends: 0032_disputes

-- expands: replaced at once by one that allows more
ALTER TABLE reconciliation_differences DROP CONSTRAINT reconciliation_differences_kind_check;
-- expands: allows all that the one before did
ALTER TABLE reconciliation_differences ADD CONSTRAINT reconciliation_differences_kind_check
    CHECK (kind IN ('missing_at_provider', 'missing_here', 'duplicate_charge', 'amount_differs',
                    'status_differs', 'refund_differs', 'grant_missing', 'grant_unexpected',
                    'grant_differs', 'dispute_missing_here', 'dispute_differs')) NOT VALID;

-- `created` and `updated` are told of a dispute in whatever status it is.
INSERT INTO webhook_event_types (entity, status, type) VALUES
    ('dispute', 'created', 'dispute.created'),
    ('dispute', 'updated', 'dispute.updated'),
    ('dispute', 'won', 'dispute.won'),
    ('dispute', 'lost', 'dispute.lost'),
    ('fraud_warning', 'created', 'fraud_warning.created');

-- The body of a dispute's event, as the row is now.
CREATE FUNCTION dispute_event(dispute disputes, type text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    INSERT INTO webhook_events (type, payment_id, body, correlation_id, created_at)
    SELECT type, p.id, webhook_body(type, dispute.updated_at, row_to_json(d)),
           coalesce((SELECT e.correlation_id FROM payment_events e
                     WHERE e.payment_id = p.id ORDER BY e.seq DESC LIMIT 1), ''),
           dispute.updated_at
    FROM payments p
    CROSS JOIN LATERAL (
        SELECT dispute.id AS dispute_id, p.id AS payment_id, p.order_id, p.user_id,
               dispute.status, dispute.currency, dispute.amount_minor AS amount,
               dispute.withdrawn_minor AS withdrawn, dispute.reinstated_minor AS reinstated,
               dispute.reason, dispute.evidence_due_at) d
    WHERE p.id = dispute.payment_id
      AND EXISTS (SELECT FROM webhook_endpoints w
                  WHERE w.status = 'enabled' AND type = ANY (w.event_types))
$$;

-- Both write as the owner, and so serve no other table.
CREATE FUNCTION tell_of_disputes() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_RELID <> 'public.disputes'::regclass THEN
        RAISE EXCEPTION 'tell_of_disputes is not for triggers of %', TG_RELID::regclass
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT webhooks_wanted() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        PERFORM dispute_event(n, 'dispute.created') FROM new_rows n;
        PERFORM dispute_event(n, 'dispute.' || n.status) FROM new_rows n
        WHERE n.status IN ('won', 'lost');
    ELSE
        PERFORM dispute_event(n, CASE WHEN n.status <> o.status AND n.status IN ('won', 'lost')
                                      THEN 'dispute.' || n.status ELSE 'dispute.updated' END)
        FROM old_rows o JOIN new_rows n ON n.id = o.id
        WHERE n.version <> o.version;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION tell_of_fraud_warnings() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_RELID <> 'public.fraud_warnings'::regclass THEN
        RAISE EXCEPTION 'tell_of_fraud_warnings is not for triggers of %',
            TG_RELID::regclass USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT webhooks_wanted() THEN
        RETURN NULL;
    END IF;
    INSERT INTO webhook_events (type, payment_id, body, correlation_id, created_at)
    SELECT 'fraud_warning.created', p.id,
           webhook_body('fraud_warning.created', n.updated_at, row_to_json(d)),
           coalesce((SELECT e.correlation_id FROM payment_events e
                     WHERE e.payment_id = p.id ORDER BY e.seq DESC LIMIT 1), ''),
           n.updated_at
    FROM new_rows n
    JOIN payments p ON p.id = n.payment_id
    CROSS JOIN LATERAL (
        SELECT n.id AS fraud_warning_id, p.id AS payment_id, p.order_id, p.user_id, n.fraud_type,
               n.actionable) d
    WHERE EXISTS (SELECT FROM webhook_endpoints w
                  WHERE w.status = 'enabled' AND 'fraud_warning.created' = ANY (w.event_types));
    RETURN NULL;
END
$$;

CREATE TRIGGER disputes_told_first AFTER INSERT ON disputes
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_disputes();
CREATE TRIGGER disputes_told AFTER UPDATE ON disputes
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_disputes();
CREATE TRIGGER fraud_warnings_told AFTER INSERT ON fraud_warnings
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_fraud_warnings();

-- expands: the functions are new
REVOKE ALL ON FUNCTION dispute_event(disputes, text), tell_of_disputes(), tell_of_fraud_warnings()
    FROM PUBLIC;
