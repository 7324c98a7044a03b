-- What operators decide on, what a client left behind, and answers without a buyer's secret.
-- depends: 0011_guards_against_hands

ALTER TABLE admin_actions DROP CONSTRAINT admin_actions_subject_check;
ALTER TABLE admin_actions ADD CONSTRAINT admin_actions_subject_check CHECK (subject IN (
    'payment', 'refund', 'outbox', 'reconciliation', 'orphan_capture', 'webhook_event'));

-- An operator may have an orphan's refund tried again. Each try has a key of its own at the
-- provider, because a provider may keep a refusal as the answer to a key.
INSERT INTO status_transitions (entity, from_status, to_status) VALUES
    ('orphan_capture', 'review', 'pending');

ALTER TABLE orphan_captures ADD COLUMN retry_keys uuid[] NOT NULL DEFAULT '{}';

-- One refund gives one charge back, whoever says so.
CREATE UNIQUE INDEX orphan_captures_refund_ref ON orphan_captures (provider, refund_ref);

-- A parked event that people have looked into and that needs nothing.
ALTER TABLE webhook_inbox DROP CONSTRAINT webhook_inbox_status_check;
ALTER TABLE webhook_inbox ADD CONSTRAINT webhook_inbox_status_check
    CHECK (status IN ('pending', 'processed', 'parked', 'dismissed'));

-- Keys that nobody has answered: the few under way, and those whose request died.
CREATE INDEX idempotency_keys_unanswered ON idempotency_keys (locked_until)
    WHERE recovery_point = 'started';

-- Answers are kept without what the buyer does next; those of the release before are not yet.
UPDATE idempotency_keys SET response_body = jsonb_set(
    response_body::jsonb, '{next_action}', 'null')::text
WHERE response_body LIKE '%"next_action":{%';
