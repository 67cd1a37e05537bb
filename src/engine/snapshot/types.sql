SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT t.oid::bigint AS oid, n.nspname AS schema, t.typname AS name, t.typtype AS kind, t.typbasetype::bigint AS base,
    t.typrelid::bigint AS relation, t.typelem::bigint AS element
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  WHERE t.oid >= 16384 AND n.nspname !~ '^(pg_(toast|temp)|gov_mask_[0-9a-f]{8})' ORDER BY t.oid) q
