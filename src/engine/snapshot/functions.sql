SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT p.oid::bigint AS oid, n.nspname AS schema, p.proname AS name, p.prokind AS kind,
    (SELECT coalesce(json_agg(a.type::bigint ORDER BY a.place), '[]')
      FROM pg_catalog.unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a(type, place)) AS arguments,
    p.pronargdefaults AS defaults, p.provariadic <> 0 AS variadic, l.lanname AS language,
    p.provolatile AS volatility, p.prosecdef AS definer, pg_catalog.pg_get_userbyid(p.proowner) AS owner,
    pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)) AS signature,
    pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws(E'\n',
      pg_catalog.pg_get_userbyid(p.proowner), p.prosrc, p.probin,
      CASE WHEN p.prokind = 'a' THEN (SELECT row_to_json(g)::text FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = p.oid)
        ELSE pg_catalog.pg_get_functiondef(p.oid) END), 'UTF8')), 'hex') AS body,
    (SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e' LIMIT 1)
      AS extension
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE (p.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema')) AND n.nspname !~ '^gov_mask_[0-9a-f]{8}'
  ORDER BY p.oid) q
