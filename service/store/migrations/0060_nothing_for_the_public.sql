-- Who is neither the owner nor the service can call nothing here, make nothing, and hang nothing on
-- our triggers' functions; and those that act as the owner look at what they hang on (ADR-47).
-- depends: 0035_foreign_charges

-- expands: only the service calls them, and it is granted what it calls below
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS (
            SELECT FROM pg_depend d  -- an extension's are somebody else's
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', f);
    END LOOP;
END
$$;
-- expands: functions of later migrations, and each grants what the service calls
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC;

-- What the service's statements call: themselves, in views, in defaults, and in triggers that act
-- as whoever writes. EXECUTE on a trigger's function is asked of who makes the trigger only.
GRANT EXECUTE ON FUNCTION
    event_hash(bytea, uuid, integer, timestamptz, text, jsonb, text),
    admin_action_hash(bytea, text, text, integer, timestamptz, text, text, text, jsonb, text),
    next_audit_position(),
    audit_digests(bigint, bigint),
    audit_root(text[], bytea[]),
    audit_seal_hash(bytea, bigint, bigint, bigint, bigint, bytea, timestamptz),
    webhook_body(text, timestamptz, json)
TO coinslot_service;

-- A table of one's own, if only for a session, is what a trigger can be hung on, and stands before
-- ours where a name is not qualified.
-- expands: no statement of the service makes a table
DO $$
DECLARE
    database CONSTANT text := current_database();
BEGIN
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', database);
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    IF EXISTS (
        SELECT FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
        WHERE d.datname = database AND a.grantee = 0 AND a.privilege_type <> 'CONNECT')
    THEN
        RAISE EXCEPTION '% does not own the database %, and everybody may make temporary tables there; have its owner run: REVOKE CREATE, TEMPORARY ON DATABASE % FROM PUBLIC',
            current_user, database, quote_ident(database);
    END IF;
    IF EXISTS (
        SELECT FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
        WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE')
    THEN
        RAISE EXCEPTION '% does not own the schema public, and everybody may make tables there; have its owner run: REVOKE CREATE ON SCHEMA public FROM PUBLIC',
            current_user;
    END IF;
END
$$;

-- Each function that acts as the owner begins with a look at the table whose trigger has called
-- it. Its body stays as earlier migrations have left it: to copy six bodies would hide six lines.
-- expands: the triggers are on these tables
DO $$
DECLARE
    f record;
    guarded text;
BEGIN
    FOR f IN
        SELECT p.oid, p.proname, min(t.tgrelid::regclass::text) AS its_table,
               count(DISTINCT t.tgrelid) AS tables
        FROM pg_proc p LEFT JOIN pg_trigger t ON t.tgfoid = p.oid
        WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
          AND position('TG_RELID' IN p.prosrc) = 0
        GROUP BY p.oid, p.proname
    LOOP
        IF f.tables <> 1 THEN
            RAISE EXCEPTION '% acts as its owner and hangs on % tables', f.proname, f.tables;
        END IF;
        guarded := regexp_replace(pg_get_functiondef(f.oid), '\nBEGIN\n', format($guard$
BEGIN
    IF TG_RELID <> %L::regclass THEN
        RAISE EXCEPTION '%% is not for triggers of %%', %L, TG_RELID::regclass
            USING ERRCODE = 'insufficient_privilege';
    END IF;
$guard$, 'public.' || f.its_table, f.proname));
        IF position('TG_RELID' IN guarded) = 0 THEN
            RAISE EXCEPTION '% has no BEGIN on a line of its own', f.proname;
        END IF;
        EXECUTE guarded;
    END LOOP;
END
$$;
