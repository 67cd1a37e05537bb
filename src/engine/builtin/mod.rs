//! The functions that come with PostgreSQL, by what they do.
//!
//! Made once from `pg_proc` of PostgreSQL 15 and then by judgement, with those of 13 and 14 and of 16 to 18 from their
//! documentation. Volatility says too little: `table_to_xml` is STABLE and reads any table by name. A name that is on no
//! list is opaque. Functions of well-known extensions that are dangerous wherever they are installed are on the lists
//! too; the lists are by name alone, because a name of the server's cannot be taken by a function that does less.

mod reads;

use reads::READS;

/// What a built-in function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Computes from its arguments, reads metadata, or has effects too small to matter (`random`, `setseed`).
    Read,
    /// Sets a parameter.
    Setting,
    /// Takes the next value of a sequence, which no ROLLBACK gives back.
    Sequence,
    /// Sets a sequence back or forth.
    SequenceReset,
    /// Sends a notification.
    Notify,
    /// Waits.
    Sleep,
    /// Waits for an advisory lock and keeps it. The `try` forms and the unlocking ones do not wait and are reads.
    Lock,
    /// Reorganises an index.
    Maintenance,
    /// Runs SQL that it takes as text.
    RunsText,
    /// Hands out whole tables that it takes by name.
    Exports,
    /// Reaches files, large objects, other servers, other sessions, the server itself or its records.
    Outside,
}

/// What the built-in function of this name does; nothing when there is none that we know.
pub(super) fn class(name: &str) -> Option<Class> {
    let special = SPECIAL.iter().find(|(_, names)| names.binary_search(&name).is_ok()).map(|(class, _)| *class);
    special.or_else(|| READS.binary_search(&name).is_ok().then_some(Class::Read))
}

/// Whether an operator of this name comes with the server.
pub(super) fn is_operator(name: &str) -> bool {
    OPERATORS.binary_search(&name).is_ok()
}

/// Functions of `information_schema`, which its views are made of.
pub(super) fn is_of_information_schema(name: &str) -> bool {
    name.starts_with("_pg_")
}

/// Everything that is not a read.
const SPECIAL: &[(Class, &[&str])] = &[
    (Class::Setting, SETTING),
    (Class::Sequence, SEQUENCE),
    (Class::SequenceReset, SEQUENCE_RESET),
    (Class::Notify, NOTIFY),
    (Class::Sleep, SLEEP),
    (Class::Lock, LOCK),
    (Class::Maintenance, MAINTENANCE),
    (Class::RunsText, RUNS_TEXT),
    (Class::Exports, EXPORTS),
    (Class::Outside, OUTSIDE),
];

#[rustfmt::skip]
const SETTING: &[&str] = &[
    "set_config",
];

#[rustfmt::skip]
const SEQUENCE: &[&str] = &[
    "nextval",
];

#[rustfmt::skip]
const SEQUENCE_RESET: &[&str] = &[
    "setval",
];

#[rustfmt::skip]
const NOTIFY: &[&str] = &[
    "pg_notify",
];

#[rustfmt::skip]
const SLEEP: &[&str] = &[
    "pg_sleep", "pg_sleep_for", "pg_sleep_until",
];

#[rustfmt::skip]
const LOCK: &[&str] = &[
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared",
];

#[rustfmt::skip]
const MAINTENANCE: &[&str] = &[
    "brin_desummarize_range", "brin_summarize_new_values", "brin_summarize_range", "gin_clean_pending_list",
];

#[rustfmt::skip]
const RUNS_TEXT: &[&str] = &[
    "connectby", "crosstab", "crosstab2", "crosstab3", "crosstab4", "crosstabn", "currtid2", "query_to_xml",
    "query_to_xml_and_xmlschema", "query_to_xmlschema", "ts_rewrite", "ts_stat", "xpath_table",
];

#[rustfmt::skip]
const EXPORTS: &[&str] = &[
    "cursor_to_xml", "database_to_xml", "database_to_xml_and_xmlschema", "schema_to_xml",
    "schema_to_xml_and_xmlschema", "table_to_xml", "table_to_xml_and_xmlschema",
];

#[rustfmt::skip]
const OUTSIDE: &[&str] = &[
    "autoprewarm_dump_now", "autoprewarm_start_worker", "bt_metap", "bt_page_items", "bt_page_stats", "dblink",
    "dblink_build_sql_delete", "dblink_build_sql_insert", "dblink_build_sql_update", "dblink_cancel_query",
    "dblink_close", "dblink_connect", "dblink_connect_u", "dblink_current_query", "dblink_disconnect",
    "dblink_error_message", "dblink_exec", "dblink_fetch", "dblink_get_connections", "dblink_get_notify",
    "dblink_get_pkey", "dblink_get_result", "dblink_is_busy", "dblink_open", "dblink_send_query",
    "file_fdw_handler", "fsm_page_contents", "get_raw_page", "heap_force_freeze", "heap_force_kill",
    "heap_page_item_attrs", "heap_page_items", "lo_close", "lo_creat", "lo_create", "lo_export", "lo_from_bytea",
    "lo_get", "lo_import", "lo_lseek", "lo_lseek64", "lo_manage", "lo_open", "lo_put", "lo_tell", "lo_tell64",
    "lo_truncate", "lo_truncate64", "lo_unlink", "loread", "lowrite", "page_header", "pg_backup_start",
    "pg_backup_stop", "pg_buffercache_evict", "pg_buffercache_evict_all", "pg_buffercache_evict_relation",
    "pg_cancel_backend", "pg_clear_attribute_stats", "pg_clear_relation_stats", "pg_copy_logical_replication_slot",
    "pg_copy_physical_replication_slot", "pg_create_logical_replication_slot",
    "pg_create_physical_replication_slot", "pg_create_restore_point", "pg_current_logfile",
    "pg_drop_replication_slot", "pg_extension_config_dump", "pg_file_length", "pg_file_read", "pg_file_rename",
    "pg_file_sync", "pg_file_unlink", "pg_file_write", "pg_get_process_memory_contexts", "pg_get_wal_block_info",
    "pg_get_wal_record_info", "pg_get_wal_records_info", "pg_get_wal_stats", "pg_hba_file_rules",
    "pg_ident_file_mappings", "pg_import_system_collations", "pg_is_in_backup", "pg_log_backend_memory_contexts",
    "pg_log_standby_snapshot", "pg_logdir_ls", "pg_logfile_rotate", "pg_logical_emit_message",
    "pg_logical_slot_get_binary_changes", "pg_logical_slot_get_changes", "pg_logical_slot_peek_binary_changes",
    "pg_logical_slot_peek_changes", "pg_ls_archive_statusdir", "pg_ls_dir", "pg_ls_logdir", "pg_ls_logicalmapdir",
    "pg_ls_logicalsnapdir", "pg_ls_replslotdir", "pg_ls_summariesdir", "pg_ls_tmpdir", "pg_ls_waldir", "pg_nextoid",
    "pg_prewarm", "pg_promote", "pg_read_binary_file", "pg_read_file", "pg_read_file_old", "pg_reload_conf",
    "pg_replication_origin_advance", "pg_replication_origin_create", "pg_replication_origin_drop",
    "pg_replication_origin_session_reset", "pg_replication_origin_session_setup",
    "pg_replication_origin_xact_reset", "pg_replication_origin_xact_setup", "pg_replication_slot_advance",
    "pg_restore_attribute_stats", "pg_restore_relation_stats", "pg_rotate_logfile", "pg_rotate_logfile_old",
    "pg_show_all_file_settings", "pg_start_backup", "pg_stat_file", "pg_stat_reset", "pg_stat_reset_backend_stats",
    "pg_stat_reset_replication_slot", "pg_stat_reset_shared", "pg_stat_reset_single_function_counters",
    "pg_stat_reset_single_table_counters", "pg_stat_reset_slru", "pg_stat_reset_subscription_stats",
    "pg_stat_statements_reset", "pg_stop_backup", "pg_stop_making_pinned_objects", "pg_switch_wal",
    "pg_switch_xlog", "pg_sync_replication_slots", "pg_terminate_backend", "pg_truncate_visibility_map",
    "pg_wal_replay_pause", "pg_wal_replay_resume", "postgres_fdw_disconnect", "postgres_fdw_disconnect_all",
    "postgres_fdw_get_connections",
];

/// Operators of PostgreSQL 13 to 18.
#[rustfmt::skip]
const OPERATORS: &[&str] = &[
    "!!", "!~", "!~*", "!~~", "!~~*", "#", "##", "#-", "#>", "#>>", "%", "&", "&&", "&<", "&<|", "&>", "*", "*<",
    "*<=", "*<>", "*=", "*>", "*>=", "+", "-", "->", "->>", "-|-", "/", "<", "<->", "<<", "<<=", "<<|", "<=", "<>",
    "<@", "<^", "=", ">", ">=", ">>", ">>=", ">^", "?", "?#", "?&", "?-", "?-|", "?|", "?||", "@", "@-@", "@>",
    "@?", "@@", "@@@", "^", "^@", "|", "|&>", "|/", "|>>", "||", "||/", "~", "~*", "~<=~", "~<~", "~=", "~>=~",
    "~>~", "~~", "~~*",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_apart() {
        assert!(READS.is_sorted() && OPERATORS.is_sorted());
        for (_, names) in SPECIAL {
            assert!(names.is_sorted(), "{names:?}");
            assert!(names.iter().all(|name| READS.binary_search(name).is_err()), "{names:?}");
        }
    }

    #[test]
    fn classes() {
        assert_eq!(class("lower"), Some(Class::Read));
        assert_eq!(class("pg_read_file"), Some(Class::Outside));
        assert_eq!(class("query_to_xml"), Some(Class::RunsText));
        assert_eq!(class("pg_advisory_lock"), Some(Class::Lock));
        assert_eq!(class("pg_try_advisory_lock"), Some(Class::Read));
        assert_eq!(class("no_such_function"), None);
        assert!(is_operator("~~*") && !is_operator("###"));
    }
}
