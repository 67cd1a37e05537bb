SELECT coalesce(json_agg(n.nspname ORDER BY n.nspname), '[]') FROM pg_catalog.pg_namespace n
WHERE n.nspname !~ '^pg_(toast|temp)'
