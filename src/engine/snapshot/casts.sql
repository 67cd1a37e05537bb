SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT c.castsource::bigint AS source, c.casttarget::bigint AS target, c.castfunc::bigint AS function,
    c.castcontext AS context
  FROM pg_catalog.pg_cast c WHERE c.castfunc >= 16384 ORDER BY c.oid) q
