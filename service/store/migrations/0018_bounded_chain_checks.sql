-- The invariants look at the newest entries of the audit trails, not every minute at all of them
-- (ADR-45): twice the hashes of a million payments took longer than a statement may.
-- depends: 0015_least_privilege

-- The newest 20,000, and those where no seal will ever reach. What is older is sealed, or will be as
-- soon as sealing goes on; the workers' rounds check that, and a command does at once. Each entry
-- finds the one before it by key: that bounds the work whatever the planner knows.
CREATE OR REPLACE VIEW broken_event_chains AS
    SELECT e.payment_id, e.seq
    FROM ((SELECT * FROM payment_events ORDER BY position DESC LIMIT 20000)
          UNION ALL
          (SELECT * FROM payment_events WHERE position < 1 ORDER BY position LIMIT 20000)) e
    LEFT JOIN LATERAL (
        SELECT p.hash FROM payment_events p
        WHERE p.payment_id = e.payment_id AND p.seq = e.seq - 1 LIMIT 1) before ON true
    WHERE e.position < 1
       OR (before.hash IS NULL) <> (e.seq = 1)
       OR e.hash <> event_hash(coalesce(before.hash, ''), e.payment_id, e.seq, e.at, e.event,
                               e.data, e.correlation_id);

CREATE OR REPLACE VIEW invariant_broken_admin_chains AS
    SELECT a.subject, a.subject_id, a.seq
    FROM ((SELECT * FROM admin_actions ORDER BY position DESC LIMIT 20000)
          UNION ALL
          (SELECT * FROM admin_actions WHERE position < 1 ORDER BY position LIMIT 20000)) a
    LEFT JOIN LATERAL (
        SELECT p.hash FROM admin_actions p
        WHERE p.subject = a.subject AND p.subject_id = a.subject_id AND p.seq = a.seq - 1
        LIMIT 1) before ON true
    WHERE a.position < 1
       OR (before.hash IS NULL) <> (a.seq = 1)
       OR a.hash <> admin_action_hash(coalesce(before.hash, ''), a.subject, a.subject_id, a.seq,
                                      a.at, a.actor, a.action, a.reason, a.evidence,
                                      a.correlation_id);
