SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT i.inhrelid::bigint AS relation, i.inhparent::bigint AS parent, c.relispartition AS partition
  FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
  WHERE c.relkind IN ('r', 'p', 'f') ORDER BY i.inhrelid, i.inhseqno) q
