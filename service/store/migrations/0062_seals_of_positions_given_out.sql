-- A seal covers positions that were given out. One beyond them would end sealing for good: nothing
-- would be new to the next one, and nothing would seem to wait.
-- depends: 0061_only_triggers_tell_merchants

CREATE FUNCTION guard_seal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    given_out bigint;
BEGIN
    SELECT CASE WHEN p.is_called THEN p.last_value ELSE 0 END INTO given_out
    FROM public.audit_positions p;
    IF NEW.last_position > given_out THEN
        RAISE EXCEPTION 'a seal up to % and positions up to %', NEW.last_position, given_out
            USING ERRCODE = 'check_violation', CONSTRAINT = 'audit_seals_given_out';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER audit_seals_given_out BEFORE INSERT ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION guard_seal();

-- And one that is there all the same, by a hand that switched the guard off, shows.
CREATE OR REPLACE VIEW audit_broken_seals AS
    SELECT s.id, CASE WHEN s.id > 1 AND p.id IS NULL THEN 'seals_missing' ELSE 'seal_changed' END
        AS fault
    FROM audit_seals s LEFT JOIN audit_seals p ON p.id = s.id - 1
    WHERE s.first_position <> coalesce(p.last_position, 0) + 1
       OR s.hash <> audit_seal_hash(coalesce(p.hash, ''), s.id, s.first_position, s.last_position,
                                    s.entries, s.root, s.sealed_at)
    UNION ALL
    SELECT s.id, 'seal_ahead' FROM audit_seals s CROSS JOIN audit_positions p
    WHERE s.last_position > CASE WHEN p.is_called THEN p.last_value ELSE 0 END;
