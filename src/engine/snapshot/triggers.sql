SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT t.tgrelid::bigint AS relation, t.tgname AS name, t.tgfoid::bigint AS function
  FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal ORDER BY t.oid) q
