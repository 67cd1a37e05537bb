SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT DISTINCT u.relation::bigint AS relation, u.type::bigint AS type,
    CASE d.refclassid WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN d.refobjid
      WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass
        THEN (SELECT o.oprcode::oid FROM pg_catalog.pg_operator o WHERE o.oid = d.refobjid)
      ELSE 0::oid END::bigint AS function,
    CASE d.refclassid WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN d.refobjid ELSE 0::oid END::bigint AS reads
  FROM (
    SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass AS class, r.oid, r.ev_class AS relation, 0::oid AS type
      FROM pg_catalog.pg_rewrite r WHERE r.oid >= 16384
    UNION ALL
    SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, p.polrelid, 0::oid FROM pg_catalog.pg_policy p
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, o.oid, 0::oid, o.contypid
      FROM pg_catalog.pg_constraint o WHERE o.contypid <> 0 AND o.oid >= 16384) u
  JOIN pg_catalog.pg_depend d ON d.classid = u.class AND d.objid = u.oid
  WHERE d.refobjid >= 16384 AND d.refobjid <> u.relation
    AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass,
      'pg_catalog.pg_class'::pg_catalog.regclass)
  ORDER BY 1, 2, 3, 4) q
