SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT o.conrelid::bigint AS relation, o.conkey AS columns, o.confrelid::bigint AS target,
    o.confkey AS target_columns, o.confdeltype AS on_delete, o.confupdtype AS on_update
  FROM pg_catalog.pg_constraint o WHERE o.contype = 'f' ORDER BY o.oid) q
