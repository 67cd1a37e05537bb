SELECT coalesce(json_agg(q.proname), '[]') FROM (
  SELECT DISTINCT p.proname FROM pg_catalog.pg_proc p
  WHERE p.oid < 16384 AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace ORDER BY 1) q
