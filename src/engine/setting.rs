//! Parameters of a session: which of them anybody may set, and to what.

use super::policy::Policy;
use super::sql::fact::{Setting, Value};

/// What setting a parameter would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Formats, planner hints, names: nothing that others rely on.
    Harmless,
    /// Changes how the server reads a text, so that it would not be what was judged.
    Reading,
    /// Takes another role.
    Role,
    /// Takes away a protection. With the reason, for a sentence.
    Guard(&'static str),
}

/// Parameters that change nothing but how values look and how queries are planned.
const HARMLESS: &[&str] = &[
    "application_name",
    "array_nulls",
    "bytea_output",
    "client_min_messages",
    "constraint_exclusion",
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "cursor_tuple_fraction",
    "datestyle",
    "debug_parallel_query",
    "default_statistics_target",
    "default_text_search_config",
    "default_toast_compression",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "effective_cache_size",
    "enable_async_append",
    "enable_bitmapscan",
    "enable_gathermerge",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_incremental_sort",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_memoize",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_parallel_append",
    "enable_parallel_hash",
    "enable_partition_pruning",
    "enable_partitionwise_aggregate",
    "enable_partitionwise_join",
    "enable_presorted_aggregate",
    "enable_seqscan",
    "enable_sort",
    "enable_tidscan",
    "escape_string_warning",
    "extra_float_digits",
    "force_parallel_mode",
    "from_collapse_limit",
    "geqo",
    "geqo_effort",
    "geqo_generations",
    "geqo_pool_size",
    "geqo_seed",
    "geqo_selection_bias",
    "geqo_threshold",
    "gin_fuzzy_search_limit",
    "icu_validation_level",
    "intervalstyle",
    "jit",
    "jit_above_cost",
    "jit_inline_above_cost",
    "jit_optimize_above_cost",
    "join_collapse_limit",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "max_parallel_workers_per_gather",
    "operator_precedence_warning",
    "parallel_leader_participation",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "plan_cache_mode",
    "quote_all_identifiers",
    "random_page_cost",
    "recursive_worktable_factor",
    "restrict_nonsystem_relation_kind",
    "seed",
    "seq_page_cost",
    "synchronize_seqscans",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "timezone",
    "timezone_abbreviations",
    "transaction_deferrable",
    "transaction_isolation",
    "transform_null_equals",
    "xmlbinary",
    "xmloption",
];

/// Parameters that may be written again as they are anyway: programs that dump, restore and move data begin so.
const PINNED: &[(&str, &[&str])] = &[
    ("check_function_bodies", &["on", "true", "yes", "1"]),
    ("default_table_access_method", &["heap"]),
    ("default_tablespace", &[""]),
    ("session_replication_role", &["origin"]),
    ("synchronous_commit", &["on", "true", "yes", "1"]),
];

/// Most memory that a session may give each of its sorts and hash tables, in kB: what reports ask for, and a hundred
/// times that does not bring a server down.
const WORK_MEMORY_MAX_KB: u64 = 256 * 1024;

/// Limits of time. A session may tighten them, and loosen them up to the policy's limit.
const TIMEOUTS: &[&str] = &[
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "lock_timeout",
    "statement_timeout",
    "transaction_timeout",
];

/// What a SET, a `set_config` or a startup parameter would do.
pub(super) fn effect(setting: &Setting, policy: &Policy) -> Effect {
    let Some(name) = setting.name.as_deref() else {
        return Effect::Guard("it sets a parameter whose name is computed");
    };
    match name {
        "role" | "session_authorization" => Effect::Role,
        "client_encoding" => pinned(&setting.value, is_utf8),
        "standard_conforming_strings" => pinned(&setting.value, |word| boolean(word) == Some(true)),
        "backslash_quote" => pinned(&setting.value, |word| word.eq_ignore_ascii_case("safe_encoding")),
        "search_path" => search_path(setting, policy),
        "default_transaction_read_only" | "transaction_read_only" if is_on(&setting.value) => Effect::Harmless,
        "default_transaction_read_only" | "transaction_read_only" => {
            Effect::Guard("it allows writing where only reading may be allowed")
        }
        "row_security" if is_on(&setting.value) => Effect::Harmless,
        "row_security" => Effect::Guard("it asks for rows that row security hides"),
        name if HARMLESS.binary_search(&name).is_ok() => Effect::Harmless,
        name if TIMEOUTS.contains(&name) => timeout(&setting.value, policy),
        name if policy.lists_setting(name) => Effect::Harmless,
        "work_mem" => work_memory(&setting.value),
        name if name.contains('.') => Effect::Guard("it sets a parameter that code in the database may rely on"),
        // What it was when the session began.
        _ if setting.value == Value::Default => Effect::Harmless,
        name if is_pinned(name, &setting.value) => Effect::Harmless,
        _ => Effect::Guard("it sets a parameter that is not on the list of those a session may change"),
    }
}

/// Whether a parameter is surely switched on by this.
pub(super) fn is_on(value: &Value) -> bool {
    value.word().and_then(boolean) == Some(true)
}

/// A parameter with one value that may be written again; its default is that value too.
fn pinned(value: &Value, is_it: impl Fn(&str) -> bool) -> Effect {
    match value {
        Value::Default => Effect::Harmless,
        Value::Words(_) if value.word().is_some_and(is_it) => Effect::Harmless,
        Value::Words(_) | Value::Unknown => Effect::Reading,
    }
}

/// The server ignores case and everything but letters and digits in the name of an encoding.
fn is_utf8(word: &str) -> bool {
    let plain: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
    plain.eq_ignore_ascii_case("utf8") || plain.eq_ignore_ascii_case("unicode")
}

fn search_path(setting: &Setting, policy: &Policy) -> Effect {
    match &setting.value {
        Value::Unknown => Effect::Guard("it sets a search path that is computed"),
        _ if !setting.certain => Effect::Guard("it sets the search path where one cannot know whether it will happen"),
        Value::Default => Effect::Harmless,
        Value::Words(schemas) if schemas.iter().all(|schema| policy.lists_schema(schema)) => Effect::Harmless,
        Value::Words(_) => Effect::Guard("it puts a schema into the search path that the policy does not list"),
    }
}

fn timeout(value: &Value, policy: &Policy) -> Effect {
    match value.word().and_then(milliseconds) {
        Some(0) => Effect::Guard("it switches a time limit off"),
        Some(time) if time <= policy.limits().timeout => Effect::Harmless,
        Some(_) => Effect::Guard("it sets a time limit above the one that the policy allows"),
        None => Effect::Guard("it sets a time limit to what is not known"),
    }
}

fn work_memory(value: &Value) -> Effect {
    let asked = value.word().and_then(kilobytes);
    match (value, asked) {
        (Value::Default, _) => Effect::Harmless,
        (_, Some(size)) if size <= WORK_MEMORY_MAX_KB => Effect::Harmless,
        (_, Some(_)) => Effect::Guard("it asks for more memory than a session may take"),
        (_, None) => Effect::Guard("it sets a size of memory to what is not known"),
    }
}

fn is_pinned(name: &str, value: &Value) -> bool {
    let fits = |word: &str| {
        let pinned = PINNED.iter().find(|(pinned, _)| *pinned == name);
        pinned.is_some_and(|(_, words)| words.iter().any(|known| word.eq_ignore_ascii_case(known)))
    };
    value.word().is_some_and(fits)
}

/// The nearest to `setting` that a session may have, where clients ask for more out of habit and mean no harm: tools
/// that dump or move whole databases begin with limits off, and would not begin at all otherwise.
pub(super) fn nearest(setting: &Setting, policy: &Policy) -> Option<(Box<str>, String)> {
    let name = setting.name.as_deref().filter(|_| setting.certain)?;
    let word = setting.value.word()?;
    let limit = policy.limits().timeout;
    let value = match name {
        "row_security" => boolean(word).filter(|on| !on).map(|_| "on".to_owned()),
        name if TIMEOUTS.contains(&name) => {
            milliseconds(word).filter(|time| *time == 0 || *time > limit).map(|_| format!("{limit}ms"))
        }
        _ => None,
    };
    Some((name.into(), value?))
}

/// A boolean as the server reads it: any unique beginning of a word.
fn boolean(word: &str) -> Option<bool> {
    let word = word.to_ascii_lowercase();
    let begins = |whole: &str, least: usize| word.len() >= least && whole.starts_with(&word);
    if begins("true", 1) || begins("yes", 1) || word == "on" || word == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0" {
        Some(false)
    } else {
        None
    }
}

/// A duration as the server reads it, in milliseconds, which it is in without a unit. Rounded up, but what is less than
/// one is nothing: there the server rounds down, and no time is no limit.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let units = [("us", 0.001), ("", 1.0), ("ms", 1.0), ("s", 1e3), ("min", 6e4), ("h", 3.6e6), ("d", 8.64e7)];
    measured(text, &units)
}

/// A size of memory as the server reads it, in kB, which it is in without a unit.
fn kilobytes(text: &str) -> Option<u64> {
    const KB: f64 = 1024.0;
    measured(text, &[("B", 1.0 / KB), ("", 1.0), ("kB", 1.0), ("MB", KB), ("GB", KB * KB), ("TB", KB * KB * KB)])
}

/// A number, then a unit.
fn measured(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let (_, factor) = units.iter().find(|(known, _)| *known == unit.trim_start())?;
    let value = number.parse::<f64>().ok()? * factor;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast beyond the range is cut to it")]
    let whole = if value < 1.0 { 0 } else { value.ceil() as u64 };
    (0.0..1e15).contains(&value).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Environment;

    fn check(name: &str, value: &[&str], expected: &str) {
        let policy = Policy::parse("settings: [work_mem]\nsearch_path: [billing]", Environment::Production).unwrap();
        let value = Value::Words(value.iter().map(|word| (*word).into()).collect());
        let setting = Setting { name: Some(name.into()), value, local: false, certain: true };
        let word = match effect(&setting, &policy) {
            Effect::Harmless => "harmless",
            Effect::Reading => "reading",
            Effect::Role => "role",
            Effect::Guard(_) => "guard",
        };
        assert_eq!(word, expected, "{setting:?}");
    }

    #[test]
    fn lists_are_sorted() {
        assert!(HARMLESS.is_sorted());
    }

    #[test]
    fn nearest_is_what_may_be_had() {
        let policy = Policy::parse("limits: {timeout: 30s}", Environment::Production).unwrap();
        for (name, value, expected) in [
            ("statement_timeout", "0", Some("30000ms")),
            ("statement_timeout", "0.4ms", Some("30000ms")),
            ("lock_timeout", "1h", Some("30000ms")),
            ("lock_timeout", "-1", None),
            ("lock_timeout", "5s", None),
            ("row_security", "off", Some("on")),
            ("row_security", "on", None),
            ("row_security", "o", None),
            ("default_transaction_read_only", "off", None),
            ("work_mem", "0", None),
        ] {
            let value = Value::Words(vec![value.into()]);
            let mut setting = Setting { name: Some(name.into()), value, local: false, certain: true };
            let found = nearest(&setting, &policy).map(|(_, value)| value);
            assert_eq!(found.as_deref(), expected, "{setting:?}");
            if let Some(found) = found {
                let near = Setting { value: Value::Words(vec![found.into()]), ..setting.clone() };
                assert_eq!(effect(&near, &policy), Effect::Harmless, "{near:?}");
            }
            setting.certain = false;
            assert_eq!(nearest(&setting, &policy), None, "what may not happen is not replaced");
        }
    }

    #[test]
    fn effects() {
        check("timezone", &["UTC"], "harmless");
        check("client_encoding", &["utf-8"], "harmless");
        check("client_encoding", &["UNICODE"], "harmless");
        check("client_encoding", &["SQL_ASCII"], "reading");
        check("client_encoding", &["LATIN1"], "reading");
        check("standard_conforming_strings", &["on"], "harmless");
        check("standard_conforming_strings", &["off"], "reading");
        check("standard_conforming_strings", &["0"], "reading");
        check("backslash_quote", &["on"], "reading");
        check("statement_timeout", &["5s"], "harmless");
        check("statement_timeout", &["300000"], "harmless");
        check("statement_timeout", &["5min"], "harmless");
        check("statement_timeout", &["300001"], "guard");
        check("statement_timeout", &["6 min"], "guard");
        check("statement_timeout", &["0"], "guard");
        check("statement_timeout", &["0.0"], "guard");
        check("statement_timeout", &["0.4ms"], "guard");
        check("statement_timeout", &["400us"], "guard");
        check("statement_timeout", &["1d"], "guard");
        check("statement_timeout", &["-1"], "guard");
        check("statement_timeout", &["0x1"], "guard");
        check("search_path", &["public"], "harmless");
        check("search_path", &["billing", "public"], "harmless");
        check("search_path", &["evil", "public"], "guard");
        check("search_path", &["pg_temp"], "guard");
        check("role", &["none"], "role");
        check("row_security", &["off"], "guard");
        check("row_security", &["on"], "harmless");
        check("default_transaction_read_only", &["off"], "guard");
        check("default_transaction_read_only", &["true"], "harmless");
        check("work_mem", &["1GB"], "harmless");
        check("maintenance_work_mem", &["1GB"], "guard");
        check("session_replication_role", &["replica"], "guard");
        check("app.user", &["1"], "guard");
        check("session_replication_role", &["origin"], "harmless");
        check("synchronous_commit", &["on"], "harmless");
        check("synchronous_commit", &["off"], "guard");
        check("default_tablespace", &[""], "harmless");
        check("default_tablespace", &["fast"], "guard");
        check("check_function_bodies", &["false"], "guard");
    }

    #[test]
    fn memory_has_a_limit() {
        let policy = Policy::parse("{}", Environment::Production).unwrap();
        for (word, harmless) in [
            ("64MB", true),
            ("256MB", true),
            ("262144", true),
            ("257MB", false),
            ("1GB", false),
            ("300000", false),
            ("1TB", false),
            ("64 MB", true),
            ("64mb", false),
            ("-1", false),
            ("0x10", false),
        ] {
            let value = Value::Words(vec![word.into()]);
            let setting = Setting { name: Some("work_mem".into()), value, local: true, certain: true };
            assert_eq!(effect(&setting, &policy) == Effect::Harmless, harmless, "{word}");
        }
    }
}
