//! What functions do with where their arguments come from.

use super::apart::{Part, formatted};
use super::{Form, Kept, Origin, Purpose, Source, Tracer, system};
use crate::engine::builtin::{self, Class};
use crate::engine::sql::constant;
use crate::engine::sql::fact::{Constant, Name};
use crate::engine::sql::tree::Node;

/// Give back one of their argument's values.
const PICKING: &[&str] =
    &["any_value", "first_value", "lag", "last_value", "lead", "max", "min", "mode", "nth_value", "percentile_disc"];

/// Put their arguments' values together, or change letters, so that what is in them can still be recognised.
const READABLE: &[&str] = &[
    "array_agg",
    "array_append",
    "array_cat",
    "array_prepend",
    "array_to_json",
    "convert_from",
    "initcap",
    "json_agg",
    "json_agg_strict",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "jsonb_pretty",
    "json_strip_nulls",
    "jsonb_strip_nulls",
    "quote_ident",
    "quote_literal",
    "quote_nullable",
    "text",
    "varchar",
    "xmlagg",
    "xmlconcat",
];

/// Put texts together.
const JOINING: &[&str] = &["array_to_string", "concat", "concat_ws", "format", "string_agg"];

/// Give a text without what it begins or ends with, or all of it in another case: names are known by their capitals.
const FOLDING: &[&str] = &["btrim", "casefold", "lower", "ltrim", "rtrim", "upper"];

/// Say how much there is of a value, or of which type it is.
const MEASURING: &[&str] = &[
    "array_length",
    "bit_length",
    "cardinality",
    "char_length",
    "character_length",
    "json_array_length",
    "json_typeof",
    "jsonb_array_length",
    "jsonb_typeof",
    "length",
    "octet_length",
    "pg_column_size",
    "pg_typeof",
];

/// Give a row in another form, in which its columns keep their names.
const ROWS: &[&str] = &["row_to_json", "to_json", "to_jsonb"];

/// Take JSON apart and hand on what is in it as it is.
const TAKING_APART: &[&str] =
    &["json_array_elements", "json_array_elements_text", "jsonb_array_elements", "jsonb_array_elements_text"];

/// Texts of the system catalogs.
const CATALOG_TEXTS: &[&str] = &[
    "col_description",
    "enum_first",
    "enum_last",
    "enum_range",
    "obj_description",
    "pg_get_constraintdef",
    "pg_get_expr",
    "pg_get_function_arg_default",
    "pg_get_function_arguments",
    "pg_get_function_sqlbody",
    "pg_get_functiondef",
    "pg_get_indexdef",
    "pg_get_partkeydef",
    "pg_get_ruledef",
    "pg_get_statisticsobjdef",
    "pg_get_statisticsobjdef_columns",
    "pg_get_statisticsobjdef_expressions",
    "pg_get_triggerdef",
    "pg_get_viewdef",
    "shobj_description",
];

/// Texts of other sessions, statistics, bounds of partitions, and what else holds values without saying whose.
const SECRETS: &[&str] = &[
    "pg_cursor",
    "pg_get_partition_constraintdef",
    "pg_get_publication_tables",
    "pg_get_shmem_allocations",
    "pg_listening_channels",
    "pg_mcv_list_items",
    "pg_prepared_statement",
    "pg_prepared_xact",
    "pg_stat_get_activity",
    "pg_stat_get_backend_activity",
    "pg_stat_statements",
];

/// Only compute, but do something with their arguments that can be seen from elsewhere.
const TELLING: &[&str] = &[
    "pg_advisory_unlock",
    "pg_advisory_unlock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "setseed",
];

/// Give a value for any first argument, as long as the others are written out.
const CANNOT_FAIL: &[&str] = &[
    "abs",
    "age",
    "array_length",
    "ascii",
    "avg",
    "bit_length",
    "bool_and",
    "bool_or",
    "cardinality",
    "ceil",
    "ceiling",
    "char_length",
    "character_length",
    "cume_dist",
    "date",
    "dense_rank",
    "digest",
    "encode",
    "every",
    "floor",
    "hashtext",
    "hashtextextended",
    "hmac",
    "host",
    "hstore",
    "json_typeof",
    "jsonb_typeof",
    "left",
    "length",
    "lpad",
    "masklen",
    "md5",
    "netmask",
    "network",
    "ntile",
    "num_nonnulls",
    "num_nulls",
    "octet_length",
    "overlay",
    "percent_rank",
    "percentile_cont",
    "pg_column_size",
    "pg_typeof",
    "position",
    "rank",
    "regexp_match",
    "regexp_matches",
    "regexp_replace",
    "regexp_split_to_array",
    "regexp_split_to_table",
    "replace",
    "reverse",
    "right",
    "round",
    "row_number",
    "rpad",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "similarity",
    "soundex",
    "split_part",
    "starts_with",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_to_array",
    "string_to_table",
    "strpos",
    "substr",
    "substring",
    "sum",
    "to_char",
    "to_hex",
    "to_tsvector",
    "translate",
    "trunc",
    "unaccent",
    "unnest",
    "upper_inc",
    "var_pop",
    "var_samp",
    "variance",
    "xpath",
];

/// Make several rows out of one value: how many tells about it.
const EXPANDING: &[&str] = &[
    "aclexplode",
    "each",
    "generate_series",
    "generate_subscripts",
    "json_array_elements",
    "json_array_elements_text",
    "json_each",
    "json_each_text",
    "json_object_keys",
    "json_populate_recordset",
    "json_to_recordset",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_keys",
    "jsonb_path_query",
    "jsonb_populate_recordset",
    "jsonb_to_recordset",
    "regexp_matches",
    "regexp_split_to_table",
    "skeys",
    "string_to_table",
    "svals",
    "ts_debug",
    "ts_parse",
    "unnest",
    "xpath",
];

/// A part this long of a text can be recognised as it stands.
const PART_MIN: i64 = 64;

/// What stands where a function may stand in FROM, and is none: its value is one row.
pub(super) fn is_wrapper(node: Node<'_>) -> bool {
    node.kind() != "FuncCall"
}

impl Tracer<'_, '_> {
    pub(super) fn call(&mut self, node: Node<'_>) -> Origin {
        let name = Name::of_words(node.words("funcname"));
        let position = self.position;
        let arguments: Vec<Origin> = node.children("args").map(|argument| self.value(argument)).collect();
        let mut ordered = Origin::default();
        for key in node.children("agg_order").filter_map(|sort| sort.child("node")) {
            ordered = ordered.and(&self.value(key));
        }
        // What decides which rows count, and in which order they come.
        let mut around = Origin::default();
        for filter in node.children("agg_filter") {
            around = around.and(&self.test(filter));
        }
        for window in node.children("over") {
            around = around.and(&self.window(window));
        }
        let all = arguments.iter().fold(Origin::default(), |all, one| all.and(one));
        self.position = position;
        let given = all.clone().and(&ordered).and(&around);
        let meaning = self.meaning(&name, arguments.len());
        if let Meaning::Does = meaning {
            self.used(Purpose::Effect(name.name.clone()), given.clone());
        }
        match meaning {
            Meaning::Unknown | Meaning::Does if self.does_unknown(&name) => given.computed().and(&Origin::unknown()),
            Meaning::Unknown => given.computed().and(&Origin::unknown()),
            Meaning::Does => given.computed(),
            Meaning::Computes => {
                let within = node.flag("agg_within_group");
                self.computes(node, &name.name, arguments, all, ordered, within).and(&around.computed())
            }
        }
    }

    /// What a function that only computes gives back.
    fn computes(
        &mut self,
        node: Node<'_>,
        name: &str,
        arguments: Vec<Origin>,
        all: Origin,
        ordered: Origin,
        within: bool,
    ) -> Origin {
        if EXPANDING.contains(&name) {
            self.used(Purpose::Rows, all.clone());
        }
        if JOINING.contains(&name) {
            return self.joins(node, name, arguments, &all).and(&ordered.computed());
        }
        let mut listed = arguments.into_iter();
        let mut first = listed.next().unwrap_or_default();
        if within {
            first = ordered.clone();
        }
        match name {
            // How many there are says nothing about them, when what is counted are a column's own values.
            "count" => {
                if node.flag("agg_distinct") {
                    self.key(all.clone());
                }
                if all.is_same() { Origin::default() } else { all.computed() }
            }
            // Their arguments say which.
            name if PICKING.contains(&name) => {
                let rest = listed.fold(Origin::default(), |rest, one| rest.and(&one));
                let rest = if within { all } else { rest.and(&ordered) };
                first.at_least(Form::Picked).and(&rest.computed())
            }
            name if ROWS.contains(&name) && first.fields().is_some() => first,
            name if ROWS.contains(&name) || READABLE.contains(&name) => {
                all.at_least(Form::Readable).and(&ordered.computed())
            }
            name if TAKING_APART.contains(&name) => all.at_least(Form::Picked),
            "json_extract_path" | "json_extract_path_text" | "jsonb_extract_path" | "jsonb_extract_path_text" => {
                self.path(node, name, first, &all)
            }
            "substring" | "substr" | "left" if self.is_long_part(node, name) && self.is_plain_text(&all) => {
                all.at_least(Form::Readable)
            }
            name if FOLDING.contains(&name) && self.is_folded(node, &first) => all.at_least(Form::Readable),
            // Of what may hold anything it says nothing.
            name if MEASURING.contains(&name)
                && first.is_same()
                && first.kept(self.facts.catalog) == Kept::Mixed
                && listed.all(|one| one.is_empty()) =>
            {
                Origin::default()
            }
            name if CATALOG_TEXTS.contains(&name) => Origin::of(Source::CatalogText, Form::Same).and(&all.printed()),
            "current_setting" => {
                let setting = match node.children("args").next().map(constant) {
                    Some(Constant::Text(name)) => system::setting(&name),
                    _ => Origin::of(Source::CatalogText, Form::Same),
                };
                setting.and(&all.computed())
            }
            name if SECRETS.contains(&name) => Origin::of(Source::Secret, Form::Same).and(&all.computed()),
            name => {
                let written_out = match name {
                    // What they look at comes second.
                    "date_part" | "date_trunc" | "extract" => first.is_empty(),
                    name => CANNOT_FAIL.contains(&name) && listed.all(|one| one.is_empty()),
                };
                let all = self.changed(all.and(&ordered));
                // An index out of range, a unit that is none, a number too large: each is an answer.
                if !written_out {
                    self.used(Purpose::Risk, all.clone());
                }
                all
            }
        }
    }

    /// What a function gives back that puts texts together.
    fn joins(&self, node: Node<'_>, name: &str, arguments: Vec<Origin>, all: &Origin) -> Origin {
        let part = |(node, origin): (Node<'_>, Origin)| Part::of(node, || origin);
        let mut parts: Vec<Part> = node.children("args").zip(arguments).map(part).collect();
        let value = || Part::Value(all.clone());
        match (name, parts.first(), parts.get(1)) {
            ("concat", _, _) => {}
            ("concat_ws", Some(Part::Written(between)), _) | (_, _, Some(Part::Written(between)))
                if name != "format" =>
            {
                parts = vec![value(), Part::Written(between.clone()), value()];
            }
            ("format", Some(Part::Written(pattern)), _) => parts = formatted(pattern, all),
            // Nobody knows what stands between them.
            _ => parts = vec![value(), value()],
        }
        self.put_together(&parts)
    }

    /// Whether a text is left as it is but for its case and blanks at its ends, where that leaves what is in it.
    fn is_folded(&self, node: Node<'_>, first: &Origin) -> bool {
        let is_blank = |node| matches!(constant(node), Constant::Text(text) if text.trim().is_empty());
        node.children("args").skip(1).all(is_blank)
            && first.sources().all(|(source, form)| {
                let has_key = matches!(source, Source::Column { key: Some(key), .. } if key.leaf);
                !self.is_looked_into(source) || has_key && form <= Form::Picked
            })
    }

    /// `json_extract_path(document, name, …)`
    fn path(&self, node: Node<'_>, name: &str, first: Origin, all: &Origin) -> Origin {
        let mut out = first;
        for step in node.children("args").skip(1) {
            match constant(step) {
                Constant::Text(key) if key.parse::<i64>().is_ok() => out = out.at_least(Form::Picked),
                Constant::Text(key) => out = out.under(&key, name.ends_with("text")),
                _ => return all.clone().computed(),
            }
        }
        out
    }

    /// Whether a part of a text is cut out that begins at its beginning and is long.
    fn is_long_part(&self, node: Node<'_>, name: &str) -> bool {
        let numbers: Vec<Constant> = node.children("args").skip(1).map(constant).collect();
        match (name, numbers.as_slice()) {
            ("left", [Constant::Integer(length)]) => *length >= PART_MIN,
            // `substring(text FOR n)` is the same with 1 in between.
            ("substring" | "substr", [Constant::Integer(1), Constant::Integer(length)]) => *length >= PART_MIN,
            _ => false,
        }
    }

    fn meaning(&self, name: &Name, arguments: usize) -> Meaning {
        let is_built_in = name.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
        let class = builtin::class(&name.name).filter(|class| is_built_in || *class != Class::Read);
        // With a query given as values it computes.
        let class = if &*name.name == "ts_rewrite" && arguments == 3 { Some(Class::Read) } else { class };
        let own = self.facts.catalog.functions_named(&name.name);
        let mut own = own.filter(|function| name.schema.as_deref().is_none_or(|schema| schema == function.schema));
        match class {
            Some(Class::Read) if TELLING.contains(&&*name.name) => Meaning::Does,
            Some(Class::Read) if own.any(|function| function.takes(arguments) && !function.is_harmless()) => {
                Meaning::Unknown
            }
            Some(Class::Read) => Meaning::Computes,
            Some(_) => Meaning::Does,
            None => {
                let mut found = false;
                for function in own {
                    found = true;
                    if !function.is_harmless() {
                        return Meaning::Unknown;
                    }
                }
                let is_cast = arguments == 1 && !self.facts.catalog.types_named(&name.name).is_empty();
                let of_schema = name.is_in("information_schema") && builtin::is_of_information_schema(&name.name);
                if found || is_cast || of_schema { Meaning::Computes } else { Meaning::Unknown }
            }
        }
    }

    /// Whether a function that does something also reads what is not among its arguments.
    fn does_unknown(&self, name: &Name) -> bool {
        matches!(builtin::class(&name.name), Some(Class::RunsText | Class::Exports | Class::Outside))
    }
}

/// What a call means.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    /// Only computes from its arguments.
    Computes,
    /// Does something with them.
    Does,
    /// Code that nobody reviewed, or that somebody reviewed and that reads tables.
    Unknown,
}
