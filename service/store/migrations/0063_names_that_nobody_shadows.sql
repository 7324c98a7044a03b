-- The guards name their tables with their schema: they run as whoever writes, and a table of that
-- session's own, should anybody be let to make one, would stand before ours (ADR-47).
-- depends: 0062_seals_of_positions_given_out

-- A fixed search path would do the same, at a tenth of a payment's cost. What acts as the owner has
-- one already (migration 0015). Bodies stay as earlier migrations have left them, but for the names.
-- expands: the same tables
DO $$
DECLARE
    f record;
    tables text;
    qualified text;
BEGIN
    SELECT string_agg(c.relname, '|') INTO tables FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'p', 'S');
    FOR f IN
        SELECT p.oid, pg_get_functiondef(p.oid) AS definition
        FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
        WHERE p.pronamespace = 'public'::regnamespace AND l.lanname IN ('sql', 'plpgsql')
          AND p.prokind = 'f' AND NOT p.prosecdef AND NOT EXISTS (
            SELECT FROM pg_depend d  -- an extension's are somebody else's
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        qualified := regexp_replace(
            f.definition, '\m(FROM|JOIN|INTO|UPDATE)(\s+)(' || tables || ')\M', '\1\2public.\3', 'g');
        qualified := regexp_replace(
            qualified, '\mnextval\(''(' || tables || ')''', 'nextval(''public.\1''', 'g');
        IF qualified <> f.definition THEN
            EXECUTE qualified;
        END IF;
    END LOOP;
END
$$;
