SELECT coalesce(json_agg(n.nspname ORDER BY n.nspname), '[]') FROM pg_catalog.pg_namespace n
WHERE n.nspname !~ '^(pg_(toast|temp)|gov_mask_[0-9a-f]{8})'
