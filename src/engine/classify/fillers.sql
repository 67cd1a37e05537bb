SELECT json_build_object(
  'fillers', (SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
    SELECT t.tgrelid::bigint AS relation, pg_catalog.concat('trigger `', t.tgname, '`') AS name, l.lanname AS language,
      CASE WHEN l.lanname IN ('c', 'internal') THEN '' ELSE p.prosrc END AS code,
      pg_catalog.replace(pg_catalog.encode(t.tgargs, 'escape'), '\000', ' ') AS arguments
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE NOT t.tgisinternal
    UNION ALL
    SELECT r.ev_class::bigint, pg_catalog.concat('rule `', r.rulename, '`'), 'sql', pg_catalog.pg_get_ruledef(r.oid), ''
    FROM pg_catalog.pg_rewrite r WHERE r.ev_type <> '1' AND r.oid >= 16384) q),
  'functions', (SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
    SELECT pg_catalog.lower(p.proname) AS name, l.lanname AS language,
      CASE WHEN p.prosrc <> '' THEN p.prosrc ELSE pg_catalog.pg_get_functiondef(p.oid) END AS code
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.prokind IN ('f', 'p') AND l.lanname NOT IN ('c', 'internal') AND p.oid >= 16384
      AND n.nspname !~ '^gov_mask_[0-9a-f]{8}'
      AND p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')) q))
