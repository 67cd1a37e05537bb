-- Every row of every relation that is not the server's own, the code and the large objects, as one digest.
SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
    SELECT c.oid::regclass::text || ' ' || (xpath('/row/h/text()', query_to_xml(format(
        'SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '''')) AS h FROM %s t', c.oid::regclass),
        true, true, '')))[1]::text AS part
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    UNION ALL SELECT oid::regprocedure::text || ' ' || md5(prosrc) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'large object ' || oid FROM pg_largeobject_metadata
) parts
