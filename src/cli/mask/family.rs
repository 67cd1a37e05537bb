//! The families of ways in which values get past a mask. Each of their statements shows a value where nothing masks it;
//! those that do not with a given column, because of its type, are not tried on it.

/// One family.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) attempts: &'static [Attempt],
}

/// One way. In its text `{t}` is the table, `{c}` the column, `{v}` one of the views, `{f}` a call of one of the
/// functions; `;;` stands between statements.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attempt {
    /// Anybody can try it.
    Read(&'static str),
    /// The same, with the extended protocol and binary cells.
    Binary(&'static str),
    /// It needs a right to change something.
    Write(&'static str),
    /// A question that is asked with a right and with a wrong `{guess}`: the answers must not tell which is which.
    Oracle(&'static str),
}

use Attempt::{Binary, Oracle, Read, Write};

/// All of them, in the order of the report.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "projection",
        attempts: &[
            Read("SELECT {c} FROM {t}"),
            Read("SELECT {c} AS harmless FROM {t} AS x"),
            Read("SELECT * FROM {t}"),
            Read("TABLE {t}"),
            Read("SELECT x.a FROM (SELECT {c} FROM {t}) AS x(a)"),
            Read("SELECT DISTINCT {c} FROM {t} ORDER BY 1"),
            Read("SELECT {c}, count(*) FROM {t} GROUP BY {c}"),
            Read("SELECT count(*), {c} IS NULL, {c} FROM ONLY {t} GROUP BY 3"),
        ],
    },
    Family {
        name: "expression",
        attempts: &[
            Read("SELECT {c}::text FROM {t}"),
            Read("SELECT CAST({c} AS varchar(100)) FROM {t}"),
            Read("SELECT {c} || '' FROM {t}"),
            Read("SELECT concat('<', {c}, '>') FROM {t}"),
            Read("SELECT concat_ws('-', {c}::text, 'x') FROM {t}"),
            Read("SELECT format('%s', {c}) FROM {t}"),
            Read("SELECT substring({c}::text, 1, 500) FROM {t}"),
            Read("SELECT left({c}::text, -1) FROM {t}"),
            Read("SELECT upper({c}::text) FROM {t}"),
            Read("SELECT reverse({c}::text) FROM {t}"),
            Read("SELECT replace({c}::text, '@', ' at ') FROM {t}"),
            Read("SELECT overlay({c}::text placing 'z' from 1 for 0) FROM {t}"),
            Read("SELECT translate({c}::text, '-@.', '') FROM {t}"),
            Read("SELECT translate({c}::text, 'abcdefghijklmnopqrstuvwxyz', 'nopqrstuvwxyzabcdefghijklm') FROM {t}"),
            Read("SELECT encode({c}::text::bytea, 'hex') FROM {t}"),
            Read("SELECT encode({c}::text::bytea, 'base64') FROM {t}"),
            Read("SELECT encode(sha256({c}::text::bytea), 'hex') FROM {t}"),
            Read("SELECT regexp_replace({c}::text, '$', '!') FROM {t}"),
            Read("SELECT regexp_split_to_table({c}::text, '') FROM {t}"),
            Read("SELECT string_to_array({c}::text, 'x') FROM {t}"),
            Read("SELECT ascii(substr({c}::text, i, 1)) FROM {t}, generate_series(1, 40) i ORDER BY {t}.ctid, i"),
            Read("SELECT CASE WHEN {c} IS NULL THEN '' ELSE {c}::text END FROM {t}"),
            Read("SELECT coalesce(NULL, {c}::text) FROM {t}"),
            Read("SELECT nullif({c}::text, 'nothing') FROM {t}"),
            Read("SELECT greatest({c}, {c}) FROM {t}"),
            Read("SELECT ARRAY[{c}] FROM {t}"),
            Read("SELECT ROW({c}, 1) FROM {t}"),
            Read("SELECT {c} + 0 FROM {t}"),
            Read("SELECT {c} * 10 FROM {t}"),
            Read("SELECT to_char({c}, 'DD.MM.YYYY') FROM {t}"),
            Read("SELECT {c} + 0 * interval '1 day' FROM {t}"),
            Read("SELECT quote_literal({c}) FROM {t}"),
            Read("SELECT to_json({c}) FROM {t}"),
            Read("SELECT (SELECT {c}) FROM {t}"),
        ],
    },
    Family {
        name: "aggregate",
        attempts: &[
            Read("SELECT string_agg({c}::text, ',') FROM {t}"),
            Read("SELECT array_agg({c}) FROM {t}"),
            Read("SELECT json_agg({c}) FROM {t}"),
            Read("SELECT jsonb_object_agg({c}::text, 1) FROM {t} WHERE {c} IS NOT NULL"),
            Read("SELECT min({c}), max({c}) FROM {t}"),
            Read("SELECT max({c}::text) FILTER (WHERE true) FROM {t}"),
            Read("SELECT mode() WITHIN GROUP (ORDER BY {c}) FROM {t}"),
            Read("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY {c}) FROM {t}"),
            Read("SELECT {c}, grouping({c}) FROM {t} GROUP BY GROUPING SETS (({c}), ())"),
        ],
    },
    Family {
        name: "whole_row",
        attempts: &[
            Read("SELECT x FROM {t} AS x"),
            Read("SELECT x::text FROM {t} AS x"),
            Read("SELECT row_to_json(x) FROM {t} AS x"),
            Read("SELECT to_jsonb(x) FROM {t} AS x"),
            Read("SELECT json_agg(x) FROM {t} AS x"),
            Read("SELECT array_agg(x) FROM {t} AS x"),
            Read("SELECT (x).* FROM (SELECT y AS x FROM {t} AS y) AS z"),
            Read("SELECT key, value FROM {t} AS x, jsonb_each_text(to_jsonb(x))"),
            Read("SELECT jsonb_path_query(to_jsonb(x), '$.*') FROM {t} AS x"),
            Read("SELECT json_build_object('all', x) FROM {t} AS x"),
        ],
    },
    Family {
        name: "structure",
        attempts: &[
            Read("WITH x AS (SELECT {c} AS a FROM {t}) SELECT a FROM x"),
            Read("WITH x AS MATERIALIZED (SELECT * FROM {t}) SELECT * FROM x"),
            Read(
                "WITH RECURSIVE x(n, a) AS (SELECT 1, {c}::text FROM {t} UNION ALL SELECT n + 1, a FROM x WHERE n < 2) SELECT a FROM x",
            ),
            Read("SELECT {c}::text FROM {t} UNION SELECT 'x'"),
            Read("SELECT 'x' UNION ALL SELECT {c}::text FROM {t}"),
            Read("SELECT {c}::text FROM {t} EXCEPT SELECT 'x'"),
            Read("SELECT {c}::text FROM {t} INTERSECT SELECT {c}::text FROM {t}"),
            Read("SELECT b.{c} FROM {t} AS a JOIN {t} AS b ON true LIMIT 50"),
            Read("SELECT {c} FROM {t} AS a JOIN {t} AS b USING ({c})"),
            Read("SELECT l.a FROM {t} AS x, LATERAL (SELECT x.{c} AS a) AS l"),
            Read("SELECT l.a FROM {t} AS x CROSS JOIN LATERAL (VALUES (x.{c})) AS l(a)"),
            Read("SELECT (SELECT {c} FROM {t} LIMIT 1)"),
            Read("SELECT ARRAY(SELECT {c} FROM {t})"),
            Read("SELECT first_value({c}) OVER () FROM {t}"),
            Read("SELECT lag({c}) OVER (ORDER BY {c}) FROM {t}"),
            Read("SELECT unnest(ARRAY(SELECT {c} FROM {t}))"),
            Read("VALUES ((SELECT {c}::text FROM {t} LIMIT 1), 'x')"),
        ],
    },
    Family {
        name: "text_argument",
        attempts: &[
            Read("SELECT query_to_xml('SELECT {c} FROM {t}', true, false, '')"),
            Read("SELECT table_to_xml('{t}', true, false, '')"),
            Read(
                "SELECT * FROM ts_stat('SELECT to_tsvector(''simple'', translate({c}::text, ''@.-'', '''')) FROM {t}')",
            ),
        ],
    },
    Family {
        name: "copy",
        attempts: &[
            Read("COPY {t} TO STDOUT"),
            Read("COPY {t} ({c}) TO STDOUT WITH (FORMAT csv)"),
            Read("COPY (SELECT {c} FROM {t}) TO STDOUT WITH (FORMAT binary)"),
            Read("COPY (SELECT reverse({c}::text) FROM {t}) TO STDOUT WITH (DELIMITER '|', NULL '')"),
            Read("COPY (TABLE {t}) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *)"),
            Write("COPY (UPDATE {t} SET {c} = {c} RETURNING {c}) TO STDOUT"),
        ],
    },
    Family {
        name: "cursor",
        attempts: &[
            Read("BEGIN;;DECLARE u CURSOR FOR SELECT {c} FROM {t};;FETCH ALL FROM u;;ROLLBACK"),
            Read(
                "BEGIN;;DECLARE u CURSOR FOR SELECT 1;;CLOSE u;;DECLARE u CURSOR FOR SELECT {c}::text FROM {t};;FETCH 5 FROM u;;ROLLBACK",
            ),
            Read("BEGIN;;DECLARE u CURSOR WITH HOLD FOR SELECT {c}::text FROM {t};;COMMIT;;FETCH ALL FROM u;;CLOSE u"),
        ],
    },
    Family {
        name: "prepared",
        attempts: &[
            Read("PREPARE q AS SELECT {c} FROM {t};;EXECUTE q;;DEALLOCATE q"),
            Read("PREPARE q(int) AS SELECT {c}::text FROM {t} LIMIT $1;;EXECUTE q(3);;DEALLOCATE q"),
            Binary("SELECT {c} FROM {t}"),
            Binary("SELECT {c}::text FROM {t}"),
            Binary("SELECT x FROM {t} AS x"),
            Binary("SELECT array_agg({c}) FROM {t}"),
            Binary("SELECT to_jsonb(x) FROM {t} AS x"),
        ],
    },
    Family {
        name: "derived",
        attempts: &[
            Read("BEGIN;;CREATE TEMP TABLE z AS SELECT {c} AS a FROM {t};;SELECT a FROM z;;ROLLBACK"),
            Read("BEGIN;;SELECT {c} AS a INTO TEMP z FROM {t};;SELECT a FROM z;;ROLLBACK"),
            Read(
                "BEGIN;;CREATE TEMP TABLE z (a text);;INSERT INTO z SELECT {c}::text FROM {t};;SELECT a FROM z;;ROLLBACK",
            ),
            Read("BEGIN;;CREATE TEMP VIEW z AS SELECT {c}::text AS a FROM {t};;SELECT a FROM z;;ROLLBACK"),
            Read(
                "BEGIN;;SELECT set_config('my.value', {c}::text, true) IS NULL FROM {t};;SELECT current_setting('my.value');;ROLLBACK",
            ),
            Read(
                "BEGIN;;SELECT set_config('application_name', {c}::text, true) IS NULL FROM {t};;SHOW application_name;;ROLLBACK",
            ),
        ],
    },
    Family {
        name: "code",
        attempts: &[
            Read("DO $$ DECLARE a text; BEGIN SELECT {c}::text INTO a FROM {t} LIMIT 1; RAISE NOTICE '%', a; END $$"),
            Read(
                "BEGIN;;CREATE FUNCTION pg_temp.f(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN true; END';;SELECT count(*) FROM {t} WHERE pg_temp.f({c}::text);;ROLLBACK",
            ),
            Read(
                "BEGIN;;CREATE FUNCTION pg_temp.f() RETURNS SETOF text LANGUAGE sql AS 'SELECT {c}::text FROM {t}';;SELECT pg_temp.f();;ROLLBACK",
            ),
            Read("SELECT * FROM {f}"),
            Read("SELECT {f}::text"),
        ],
    },
    Family {
        name: "view",
        attempts: &[
            Read("SELECT * FROM {v}"),
            Read("SELECT x::text FROM {v} AS x"),
            Read("SELECT reverse(to_jsonb(x)::text) FROM {v} AS x"),
            Read("COPY (SELECT * FROM {v}) TO STDOUT"),
        ],
    },
    Family {
        name: "message",
        attempts: &[
            Read("SELECT ('x' || {c}::text)::int FROM {t}"),
            Read("SELECT ('x' || {c}::text)::date FROM {t}"),
            Read("SELECT ('x' || {c}::text)::uuid FROM {t}"),
            Read("SELECT ('{' || {c}::text)::json FROM {t}"),
            Read("SELECT ('x' || {c}::text)::inet FROM {t}"),
            Read("SELECT ('{' || {c}::text || '}')::int[] FROM {t}"),
            Read("SELECT ('x' || {c}::text)::regclass FROM {t}"),
            Read("SELECT date_trunc({c}::text, now()) FROM {t}"),
            Read("SELECT now() AT TIME ZONE ('x' || {c}::text) FROM {t}"),
            Read("SELECT pg_size_bytes({c}::text || 'x') FROM {t}"),
            Read("SELECT set_config('DateStyle', {c}::text, true) FROM {t}"),
            Read("SELECT to_timestamp('x' || {c}::text, 'YYYY') FROM {t}"),
            Read("SELECT current_setting('a.' || md5('x') || {c}::text) FROM {t}"),
            Write("BEGIN;;INSERT INTO {t} SELECT * FROM {t};;ROLLBACK"),
        ],
    },
    Family {
        name: "constraint",
        attempts: &[
            Write("BEGIN;;INSERT INTO {t} ({c}) SELECT {c} FROM {t};;ROLLBACK"),
            Write("BEGIN;;UPDATE {t} SET {c} = (SELECT min({c}) FROM {t});;ROLLBACK"),
            Write("BEGIN;;UPDATE {t} SET {c} = NULL;;ROLLBACK"),
            Write("BEGIN;;UPDATE {t} SET {c} = {c};;ROLLBACK"),
            Write("BEGIN;;DELETE FROM {t};;ROLLBACK"),
            Write("BEGIN;;SET CONSTRAINTS ALL DEFERRED;;DELETE FROM {t};;SET CONSTRAINTS ALL IMMEDIATE;;ROLLBACK"),
        ],
    },
    Family {
        name: "catalog",
        attempts: &[
            Read("SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats"),
            Read("EXPLAIN (VERBOSE, COSTS OFF) SELECT 1 FROM {t} WHERE {c}::text = (SELECT min({c}::text) FROM {t})"),
        ],
    },
    Family {
        name: "returning",
        attempts: &[
            Write("BEGIN;;UPDATE {t} SET {c} = {c} RETURNING {c};;ROLLBACK"),
            Write("BEGIN;;DELETE FROM {t} RETURNING *;;ROLLBACK"),
            Write("BEGIN;;DELETE FROM {t} AS x RETURNING x::text;;ROLLBACK"),
            Write("BEGIN;;WITH d AS (DELETE FROM {t} RETURNING {c}) SELECT * FROM d;;ROLLBACK"),
            Write("BEGIN;;UPDATE {t} SET {c} = {c} RETURNING reverse({c}::text);;ROLLBACK"),
        ],
    },
    Family {
        name: "inference",
        attempts: &[
            Oracle("SELECT count(*) FROM {t} WHERE {c}::text LIKE '%{guess}%'"),
            Oracle("SELECT count(*) FROM {t} WHERE {c}::text ~ '{guess}'"),
            Oracle("SELECT count(*) FROM {t} WHERE position('{guess}' in {c}::text) > 0"),
            Oracle("SELECT EXISTS (SELECT FROM {t} WHERE strpos({c}::text, '{guess}') > 0)"),
            Oracle("SELECT count(*) FILTER (WHERE {c}::text LIKE '%{guess}%') FROM {t}"),
            Oracle("SELECT sum(CASE WHEN {c}::text LIKE '%{guess}%' THEN 1 ELSE 0 END) FROM {t}"),
            Oracle("SELECT 1 / (CASE WHEN {c}::text LIKE '%{guess}%' THEN 0 ELSE 1 END) FROM {t}"),
            Oracle(
                "SELECT count(*) FROM {t} GROUP BY {c}::text LIKE '%{guess}%' HAVING bool_or({c}::text LIKE '%{guess}%')",
            ),
            Oracle("SELECT count(*) FROM {t} AS a JOIN (VALUES ('%{guess}%')) AS b(g) ON a.{c}::text LIKE b.g"),
            Oracle("SELECT replace({c}::text, '{guess}', '') = {c}::text FROM {t} LIMIT 1"),
            Oracle(
                "SELECT 'x' ORDER BY (SELECT count(*) FROM {t} WHERE {c}::text LIKE '%{guess}%') LIMIT (SELECT count(*) FROM {t} WHERE {c}::text LIKE '%{guess}%')",
            ),
            Read(
                "SELECT string_agg(chr(h), '' ORDER BY p) FROM (SELECT {c}::text AS a FROM {t} LIMIT 1) AS x, generate_series(1, 40) AS p, generate_series(45, 122) AS h WHERE ascii(substr(a, p, 1)) = h",
            ),
        ],
    },
];

impl Attempt {
    /// The statements, with the places filled in.
    pub(super) fn statements(self, filled: &[(&str, &str)]) -> Vec<String> {
        let (Read(text) | Binary(text) | Write(text) | Oracle(text)) = self;
        let fill = |statement: &str| {
            filled.iter().fold(statement.to_owned(), |statement, (place, with)| statement.replace(place, with))
        };
        text.split(";;").map(fill).collect()
    }

    /// Whether this place is in it.
    pub(super) fn has(self, place: &str) -> bool {
        let (Read(text) | Binary(text) | Write(text) | Oracle(text)) = self;
        text.contains(place)
    }
}
