SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (
  SELECT a.attrelid::bigint AS relation, a.attnum AS attribute, a.attname AS name, a.atttypid::bigint AS type,
    CASE WHEN k.typtype <> 'd' THEN a.atttypmod ELSE (WITH RECURSIVE base(oid, modifier) AS (
        SELECT a.atttypid, a.atttypmod
        UNION ALL
        SELECT t.typbasetype, t.typtypmod FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')
      SELECT b.modifier FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype <> 'd') END AS modifier,
    a.attnotnull AS not_null,
    a.attidentity <> '' OR coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false) AS counted,
    CASE WHEN a.attgenerated = '' THEN '{}'::smallint[] ELSE ARRAY(SELECT DISTINCT p.refobjsubid::smallint
      FROM pg_catalog.pg_depend p WHERE p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND p.refobjid = a.attrelid AND p.refobjsubid > 0 AND p.refobjsubid <> a.attnum
        AND (p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.objid = a.attrelid AND p.objsubid = a.attnum
          OR p.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND p.objid = d.oid) ORDER BY 1) END AS made_of
  FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type k ON k.oid = a.atttypid
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^(pg_(toast|temp)|gov_mask_[0-9a-f]{8})'
  ORDER BY a.attrelid, a.attnum) q
