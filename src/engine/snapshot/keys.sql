SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT i.indrelid::bigint AS relation,
    (SELECT json_agg(k.attnum ORDER BY k.place)
      FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
      WHERE k.place <= i.indnkeyatts) AS columns
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^(pg_(toast|temp)|gov_mask_[0-9a-f]{8})'
  ORDER BY i.indexrelid) q
