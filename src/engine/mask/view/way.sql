-- Lets gov mask in this database, and keeps its views out of the way of migrations. Run once, as a superuser:
--
--   gov server --print-masking-sql BROKER | psql -d DATABASE
--
-- A view keeps what it shows: without the trigger below, owners cannot drop or retype a column that a masking view
-- shows. With it, such a change lets go of the views it would meet, in its own transaction; gov makes them anew, and
-- until then sessions that are masked in the database do not see those relations. The trigger is a superuser's, so that
-- gov's broker cannot change what it does. Taken away again by:
--
--   DROP EVENT TRIGGER gov_make_way; DROP SCHEMA gov_way CASCADE;
BEGIN;
DO $do$ BEGIN
  EXECUTE pg_catalog.format('GRANT CREATE ON DATABASE %I TO %I', pg_catalog.current_database(), @broker@);
END $do$;
DROP EVENT TRIGGER IF EXISTS gov_make_way;
DROP SCHEMA IF EXISTS gov_way CASCADE;
CREATE SCHEMA gov_way;
CREATE FUNCTION gov_way.make_way() RETURNS event_trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  asked constant text := lower(coalesce(current_query(), ''));
  -- What is not said in the statement itself, but by code or by name of what contains it, may be any.
  plain constant boolean := tg_tag ~ '^(ALTER|DROP) (TABLE|VIEW|MATERIALIZED VIEW|FOREIGN TABLE)$'
    AND strpos(asked, lower(split_part(tg_tag, ' ', 1))) > 0 AND asked !~ '\m(do|call|execute|select)\M';
  one record;
BEGIN
  -- gov itself at work, or what this function does.
  IF coalesce(current_setting('gov.makes_masks', true), '') = 'on' THEN RETURN; END IF;
  -- Whoever sees masks changes nothing but temporary tables, whatever they are called.
  IF EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles s ON s.oid = m.member
    WHERE s.rolname = session_user AND r.rolname ~ '^gov_mask_[0-9a-f]{8}$') THEN RETURN; END IF;
  -- A new column, a default or a constraint meets no view.
  IF plain AND tg_tag ~ '^ALTER' AND asked !~ '\m(drop|type)\M' THEN RETURN; END IF;
  PERFORM set_config('gov.makes_masks', 'on', true);
  FOR one IN
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'v' AND n.nspname ~ '^gov_mask_[0-9a-f]{8}_'
      AND (NOT plain OR strpos(asked, lower(c.relname)) > 0)
  LOOP
    EXECUTE format('DROP VIEW %I.%I', one.nspname, one.relname);
  END LOOP;
  PERFORM set_config('gov.makes_masks', '', true);
END $body$;
REVOKE ALL ON FUNCTION gov_way.make_way() FROM PUBLIC;
CREATE EVENT TRIGGER gov_make_way ON ddl_command_start
  WHEN TAG IN ('ALTER TABLE', 'DROP TABLE', 'DROP VIEW', 'ALTER MATERIALIZED VIEW', 'DROP MATERIALIZED VIEW',
    'ALTER FOREIGN TABLE', 'DROP FOREIGN TABLE', 'DROP SCHEMA', 'ALTER TYPE', 'DROP TYPE', 'DROP DOMAIN',
    'DROP EXTENSION', 'DROP OWNED')
  EXECUTE FUNCTION gov_way.make_way();
COMMENT ON EVENT TRIGGER gov_make_way IS @version@;
COMMIT;
