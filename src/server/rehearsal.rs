//! What a statement that waits for approval would do, for whoever decides: the planner's estimate, and on demand a run
//! that is rolled back.
//!
//! Both use a connection of their own with the session's own credential: they can see and do no more than the statement
//! itself.

use std::sync::Arc;

use super::Server;
use super::approval::Approval;
use super::live::Live;
use crate::domain::{Duration, Failure, Kind, SessionId};
use crate::engine::quoted;
use crate::runtime::database::{Connection, Login, QueryError, Row};
use crate::runtime::pump::Estimator;
use crate::session::Inquiry;
use crate::wire::api::{Rehearsal, RehearsedTable};

/// How long an estimate may take: somebody waits for the page it is on.
const ESTIMATE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a rehearsal may run. It holds its locks as long.
const REHEARSAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Rows changed per table by the transaction at hand.
const CHANGED: &str = "SELECT r.oid::pg_catalog.regclass::pg_catalog.text, n.changed FROM pg_catalog.pg_class r CROSS JOIN \
    LATERAL (SELECT pg_catalog.pg_stat_get_xact_tuples_inserted(r.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(r.oid) \
    + pg_catalog.pg_stat_get_xact_tuples_deleted(r.oid) AS changed) n WHERE r.relkind IN ('r', 'm') \
    AND r.relnamespace <> 'pg_catalog'::pg_catalog.regnamespace AND r.relpersistence <> 't' AND n.changed > 0 ORDER BY 2 DESC, 1";

/// Rows the planner expects a statement to return or change. `None` where it cannot be asked: the session is over, the
/// statement has values, or it is not one that is planned.
pub(super) async fn estimate(server: &Server, approval: &Approval) -> Option<u64> {
    let text = single(approval, &["read", "insert", "update", "delete"])?;
    let mut connection = connect(server, approval).await.ok()?;
    planned(&mut connection, text, &[], &approval.body.search_path).await
}

/// Asks the planner about the statements of a session before they run, by what the session itself may do.
pub(super) fn estimator(live: &Arc<Live>) -> Estimator {
    let live = Arc::clone(live);
    Arc::new(move |question: Inquiry| {
        let live = Arc::clone(&live);
        Box::pin(async move {
            let (text, values) = (question.text?, question.values);
            let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
            let asked = async {
                let mut connection = connect_as(&live).await.ok()?;
                planned(&mut connection, text.trim_end().trim_end_matches(';'), &values, &question.search_path).await
            };
            tokio::time::timeout(ESTIMATE_TIMEOUT, asked).await.ok().flatten()
        })
    })
}

/// The planner's number for one statement. It is sent where the server takes no more than one, so that nothing behind it
/// runs.
async fn planned(
    connection: &mut Connection,
    text: &str,
    values: &[Option<&str>],
    search_path: &[String],
) -> Option<u64> {
    // Planning may run code that says of itself that it changes nothing.
    let begin = format!("BEGIN READ ONLY; {}", settings(search_path, ESTIMATE_TIMEOUT));
    connection.rows(&begin, ESTIMATE_TIMEOUT).await.ok()?;
    let explain = format!("EXPLAIN (FORMAT JSON) {text}");
    // Closing the connection rolls back.
    let rows = connection.rows_with(&explain, values, ESTIMATE_TIMEOUT).await.ok()?;
    let plan: serde_json::Value = rows.iter().find_map(|row| serde_json::from_str(row.text(0)?).ok())?;
    let plan = plan.get(0)?.get("Plan")?;
    let rows = |plan: &serde_json::Value| plan.get("Plan Rows")?.as_u64();
    // A node that changes rows returns none of them; what it is fed is what it changes.
    let changes = plan.get("Node Type").and_then(serde_json::Value::as_str) == Some("ModifyTable");
    if changes { rows(plan.get("Plans")?.get(0)?) } else { rows(plan) }
}

/// Runs a statement in a transaction that is rolled back, and counts. Only what a rollback undoes is run: plain changes
/// of rows.
pub(super) async fn rehearse(server: &Server, approval: &Approval) -> Result<Rehearsal, Failure> {
    let text = single(approval, &["read", "insert", "update", "delete"]).ok_or_else(|| {
        Failure::new(Kind::Usage, "this statement cannot be rehearsed")
            .detail("Only one that changes rows, without values bound to it and without code nobody reviewed, can be run and rolled back.")
    })?;
    let mut connection = connect(server, approval).await?;
    let begin = format!("BEGIN; {}", settings(&approval.body.search_path, REHEARSAL_TIMEOUT));
    let mut changed: Vec<Row> = Vec::new();
    for sql in [begin.as_str(), text, CHANGED, "ROLLBACK"] {
        changed = match connection.rows(sql, REHEARSAL_TIMEOUT).await {
            Ok(_) if sql == "ROLLBACK" => break,
            Ok(rows) => rows,
            // Closing the connection rolls back.
            Err(error) => return Err(failed(&error)),
        };
    }
    let table = |row: &Row| Some(RehearsedTable { table: row.text(0)?.to_owned(), changed: row.number(1)? });
    let tables: Vec<_> = changed.iter().filter_map(table).collect();
    Ok(Rehearsal { changed: tables.iter().map(|table| table.changed).sum(), tables })
}

/// The text of a request that is still open, if all it does is among `operations`.
fn single<'a>(approval: &'a Approval, operations: &[&str]) -> Option<&'a str> {
    let body = &approval.body;
    let plain = !body.operations.is_empty()
        && body.operations.iter().all(|operation| operations.contains(&operation.as_str()))
        && body.values.is_empty()
        && !body.opaque;
    body.text.as_deref().map(|text| text.trim_end().trim_end_matches(';')).filter(|_| plain)
}

/// What the statement would find set, and limits of time.
fn settings(search_path: &[String], timeout: Duration) -> String {
    let path: Vec<_> = search_path.iter().map(|schema| quoted(schema)).collect();
    let path = if path.is_empty() { "''".to_owned() } else { path.join(", ") };
    let timeout = timeout.as_millis();
    format!(
        "SET LOCAL search_path = {path}; SET LOCAL statement_timeout = {timeout}; SET LOCAL lock_timeout = 1000; SET LOCAL \
         idle_in_transaction_session_timeout = {timeout};"
    )
}

async fn connect(server: &Server, approval: &Approval) -> Result<Connection, Failure> {
    let over = || {
        Failure::new(Kind::NotFound, "the session this was asked in is over")
            .detail("Its credential is gone, and nothing can be tried with it.")
    };
    let session: SessionId = approval.body.session.as_deref().and_then(|id| id.parse().ok()).ok_or_else(over)?;
    let live = server.live.get(session).ok_or_else(over)?;
    connect_as(&live).await
}

/// A connection of its own with what a session may do.
async fn connect_as(live: &Live) -> Result<Connection, Failure> {
    let resource = live.schema.resource();
    let login = Login {
        user: live.lease.role.clone(),
        database: resource.database.clone(),
        password: live.lease.password.clone(),
        parameters: vec![("application_name".to_owned(), "gov rehearsal".to_owned())],
    };
    Connection::open(resource.broker().address(), &login)
        .await
        .map_err(|error| crate::runtime::database::unreachable(resource.name.as_str(), &error))
}

/// The database's words can hold values; its SQLSTATE cannot.
fn failed(error: &QueryError) -> Failure {
    let failure = Failure::new(Kind::Database, "the rehearsal failed");
    match error.sqlstate() {
        Some(sqlstate) => failure.detail(format!("SQLSTATE {}.", String::from_utf8_lossy(&sqlstate))),
        None => failure,
    }
}
