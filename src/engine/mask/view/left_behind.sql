SELECT coalesce(json_agg(row_to_json(q) ORDER BY q.name), '[]') FROM (
  SELECT s.name,
    coalesce((SELECT pg_catalog.obj_description(n.oid, 'pg_namespace') FROM pg_catalog.pg_namespace n
      WHERE n.nspname = s.name) ~ '^gov masking functions [0-9a-f]{32}$', false)
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n
        WHERE n.oid = ANY (s.schemas) AND NOT pg_catalog.pg_has_role(n.nspowner, 'USAGE')) AS marked,
    (SELECT coalesce(json_agg(t.named ORDER BY t.named), '[]') FROM (
      SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS named
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.oid = ANY (s.schemas) AND c.relkind <> 'i' AND CASE WHEN n.nspname = s.name THEN c.relname <> 'key'
          ELSE coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '') !~ '^gov masking view [0-9a-f]{32}$' END
      UNION ALL
      SELECT pg_catalog.format('%I.%I', n.nspname, p.proname)
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.oid = ANY (s.schemas) AND n.nspname <> s.name
      UNION ALL
      SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname)
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_rewrite'::pg_catalog.regclass
          AND d.objid = w.oid JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_class o ON d.refclassid = 'pg_class'::pg_catalog.regclass AND d.refobjid = o.oid
        WHERE o.relnamespace = ANY (s.schemas) AND n.oid <> ALL (s.schemas)) t) AS foreign_things,
    (SELECT count(*) FROM pg_catalog.pg_stat_activity a
      JOIN pg_catalog.pg_auth_members m ON m.member = a.usesysid
      JOIN pg_catalog.pg_roles r ON r.oid = m.roleid
      -- From 16 on whoever makes a role is a member of it.
      WHERE r.rolname = s.name AND a.usesysid <> ALL (s.owners)) AS sessions
  FROM (SELECT pg_catalog.substr(n.nspname, 1, 17) AS name, array_agg(n.oid) AS schemas,
      array_agg(n.nspowner) AS owners FROM pg_catalog.pg_namespace n
    WHERE n.nspname ~ '^gov_mask_[0-9a-f]{8}(_|$)' AND pg_catalog.substr(n.nspname, 1, 17) <> @name@ GROUP BY 1) s) q
