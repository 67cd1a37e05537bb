SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT a.attrelid::bigint AS relation, a.attnum AS attribute, k.written, k.oid::bigint AS kind, k.modifier,
    EXISTS (SELECT 1 FROM pg_catalog.unnest(@groups@::pg_catalog.name[]) AS g(role)
      WHERE pg_catalog.has_schema_privilege(g.role, c.relnamespace, 'USAGE')
        AND pg_catalog.has_column_privilege(g.role, a.attrelid, a.attnum, 'SELECT')) AS wanted,
    pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
      AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable,
    pg_catalog.has_table_privilege(a.attrelid, 'SELECT WITH GRANT OPTION')
      AND (pg_catalog.has_schema_privilege('public', c.relnamespace, 'USAGE')
        OR pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE WITH GRANT OPTION')) AS grantable,
    pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE WITH GRANT OPTION') AS opens,
    c.relrowsecurity AND NOT pg_catalog.row_security_active(c.oid) AS unfiltered
  FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
      WITH RECURSIVE base(oid, modifier) AS (
        SELECT a.atttypid, a.atttypmod
        UNION ALL
        SELECT t.typbasetype, t.typtypmod FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')
      SELECT b.oid, b.modifier, pg_catalog.format_type(b.oid, b.modifier) AS written
      FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype <> 'd') k
  WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname !~ '^(pg_(toast|temp)|gov_mask_[0-9a-f]{8})'
  ORDER BY a.attrelid, a.attnum) q
