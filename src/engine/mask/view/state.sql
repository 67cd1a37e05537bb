SELECT row_to_json(q) FROM (
  SELECT
    (SELECT coalesce(pg_catalog.obj_description(n.oid, 'pg_namespace'), '') FROM pg_catalog.pg_namespace n
      WHERE n.nspname = @name@) AS support,
    (SELECT r.oid::bigint FROM pg_catalog.pg_roles r WHERE r.rolname = @name@) AS reader,
    (SELECT coalesce(json_agg(n.nspname ORDER BY n.nspname), '[]') FROM pg_catalog.pg_namespace n
      WHERE pg_catalog.starts_with(n.nspname, @name@ || '_')) AS schemas,
    (SELECT coalesce(json_agg(json_build_object('schema', n.nspname, 'name', c.relname,
        'comment', coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '')) ORDER BY n.nspname, c.relname), '[]')
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'v' AND pg_catalog.starts_with(n.nspname, @name@ || '_')) AS views,
    (SELECT coalesce(json_agg(json_build_object('schema', n.nspname, 'name', c.relname)
        ORDER BY n.nspname, c.relname), '[]')
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS e
        JOIN pg_catalog.pg_roles r ON r.oid = e.grantee
      WHERE r.rolname = @name@ AND NOT pg_catalog.starts_with(n.nspname, @name@)) AS granted,
    (SELECT coalesce(json_agg(n.nspname ORDER BY n.nspname), '[]')
      FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS e
        JOIN pg_catalog.pg_roles r ON r.oid = e.grantee
      WHERE r.rolname = @name@ AND NOT pg_catalog.starts_with(n.nspname, @name@)) AS opened,
    (SELECT coalesce(pg_catalog.obj_description(e.oid, 'pg_event_trigger'), '') FROM pg_catalog.pg_event_trigger e
      WHERE e.evtname = 'gov_make_way' AND e.evtenabled IN ('O', 'A')) AS way,
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS creates,
    pg_catalog.has_language_privilege('plpgsql', 'USAGE') AS speaks,
    pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000 AS major) q
