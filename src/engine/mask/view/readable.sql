SELECT coalesce(json_agg(json_build_array(a.attrelid::bigint, a.attnum)), '[]')
FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname !~ '^(pg_(toast|temp)|gov_mask_[0-9a-f]{8})'
  AND pg_catalog.has_column_privilege(@name@, a.attrelid, a.attnum, 'SELECT')
