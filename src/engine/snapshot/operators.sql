SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT n.nspname AS schema, o.oprname AS name, o.oprleft::bigint AS left, o.oprright::bigint AS right,
    o.oprcode::oid::bigint AS function
  FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
  WHERE o.oid >= 16384 ORDER BY o.oid) q
