-- A hash of the audit trail is computed in line, not by a call of its own for each event.
-- depends: 0018_bounded_chain_checks

-- It calls functions that are only stable (jsonb_build_array, convert_to), and PostgreSQL puts a
-- function in line only if it promises no more than what it calls. What it returns is the same.
ALTER FUNCTION event_hash(
    previous bytea, payment_id uuid, seq integer, at timestamptz, event text, data jsonb,
    correlation_id text
) STABLE;
