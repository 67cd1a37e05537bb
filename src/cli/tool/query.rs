//! Runs a statement and gives its rows, a page at a time.

use std::sync::Arc;

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::desk::Left;
use super::{Answer as Answered, Desk, Tool, arguments, document};
use crate::cli::{exec, result};
use crate::client::inside::{Own, lost, said_no};
use crate::domain::{ApprovalId, Failure, Kind, Masking, SessionId, Timestamp};
use crate::runtime::clock;
use crate::runtime::database::{Answer, Connection};
use crate::wire::postgres::{Column, MASKED_COLUMNS};

/// Rows of a page when the agent names no number, and the most it may name: what a model can read, and what it can
/// still make something of.
const PAGE_ROWS: u32 = 100;
const PAGE_ROWS_MAX: u32 = 1_000;

/// Longest page, in bytes of cells. A page that is longer is an error and not cut: half a row means something else.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Longest statement. The gateway takes 1 MiB; nobody writes more than this to ask something.
const SQL_MAX: usize = 256 * 1024;

/// Values of one statement, and the length of one.
const PARAMETERS_MAX: usize = 1_000;

pub(super) struct Query;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// One statement of SQL; values stand in it as $1, $2. Left out when a cursor is given.
    sql: Option<String>,
    /// The values of $1, $2, …: they are bound, never put into the text.
    #[serde(default)]
    parameters: Vec<Parameter>,
    /// Rows of a page, 1 to 1000; 100 when left out.
    limit: Option<u32>,
    /// An approval of this very statement with these very values, once request_status says `approved`. Works once.
    approval: Option<String>,
    /// Go on where a page ended: `next_cursor` of that page. Works once.
    cursor: Option<String>,
    /// The database, as list_resources names it; may be left out when there is one.
    resource: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Parameter {
    Nothing(()),
    Truth(bool),
    Number(serde_json::Number),
    Text(String),
}

impl Parameter {
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Nothing(()) => None,
            Self::Truth(truth) => Some(truth.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct Rows {
    columns: Vec<ResultColumn>,
    /// One list per row, in the order of the columns.
    rows: Vec<Vec<Value>>,
    row_count: usize,
    /// What the database says it did, for example `SELECT 3`; absent while there is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// Names of the columns in which something was masked on this page.
    masked_columns: Vec<String>,
    /// What the database or the gateway had to say about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
    /// Give this as `cursor` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Where the session is masked: `in-database`, or `on-wire (reduced guarantee)`.
    masking: &'static str,
    /// Until when the session lasts.
    session_expires_at: String,
    /// What is left of what this session and this day may use up; a session ends when nothing is.
    budget: Vec<Left>,
}

#[derive(Serialize, JsonSchema)]
struct ResultColumn {
    name: String,
    /// The type's number in the database (`pg_type.oid`).
    type_oid: u32,
    masked: bool,
}

/// A result half read.
#[derive(Debug)]
pub(super) struct Page {
    own: Own,
    columns: Vec<Column>,
    masked: String,
    session: SessionId,
    masking: Masking,
    session_expires_at: Timestamp,
}

impl Tool for Query {
    fn name(&self) -> &'static str {
        "query"
    }

    fn summary(&self) -> &'static str {
        "Run one statement of SQL under the policy and get its rows, a page at a time; sensitive values come masked, \
         and a refusal says by which rule and what would be allowed instead"
    }

    fn input(&self, schemas: &mut SchemaGenerator) -> Schema {
        Arguments::json_schema(schemas)
    }

    fn output(&self, schemas: &mut SchemaGenerator) -> Schema {
        Rows::json_schema(schemas)
    }

    fn only_reads(&self) -> bool {
        false
    }

    fn call<'a>(&self, desk: &'a Desk, given: Map<String, Value>) -> Answered<'a> {
        Box::pin(async move { query(desk, arguments(given)?).await })
    }
}

async fn query(desk: &Desk, asked: Arguments) -> Result<Value, Failure> {
    let usage = |message: String| Err(Failure::new(Kind::Usage, message));
    let limit = asked.limit.unwrap_or(PAGE_ROWS);
    if !(1..=PAGE_ROWS_MAX).contains(&limit) {
        return usage(format!("`limit` is 1 to {PAGE_ROWS_MAX}"));
    }
    let approval = asked.approval.as_deref().map(str::parse::<ApprovalId>).transpose();
    let approval = approval.map_err(|_| Failure::new(Kind::Usage, "`approval` is not the id of one"))?;
    let page = match (asked.sql, asked.cursor) {
        (Some(_), Some(_)) | (None, None) => return usage("give `sql` or `cursor`, one of them".to_owned()),
        (None, Some(cursor)) => {
            let page = desk.take(&cursor).await;
            let mut page = page.ok_or_else(|| {
                Failure::new(Kind::NotFound, "there is no such cursor")
                    .detail("A cursor works once, and only the latest few are kept.")
                    .hint("run the query again, with a condition or an OFFSET")
            })?;
            page.own.connection.more(limit).await.map_err(lost)?;
            page
        }
        (Some(sql), None) if sql.len() > SQL_MAX => return usage(format!("`sql` is longer than {SQL_MAX} bytes")),
        (Some(_), None) if asked.parameters.len() > PARAMETERS_MAX => {
            return usage(format!("there are more than {PARAMETERS_MAX} parameters"));
        }
        (Some(sql), None) => {
            let inside = desk.session(desk.meant(asked.resource.as_deref())?).await?;
            let grant = Arc::clone(&inside.keeper().current().await.grant);
            let mut parameters = Desk::parameters(approval);
            parameters.push((MASKED_COLUMNS.to_owned(), "on".to_owned()));
            let mut own = inside.connect(parameters).await?;
            let values: Vec<_> = asked.parameters.into_iter().map(Parameter::text).collect();
            let values: Vec<_> = values.iter().map(Option::as_deref).collect();
            own.connection.ask_for(&sql, &values, limit).await.map_err(lost)?;
            let (session, masking, session_expires_at) = (grant.session, grant.masking, grant.expires_at);
            Page { own, columns: Vec::new(), masked: String::new(), session, masking, session_expires_at }
        }
    };
    read(desk, page).await.map_err(|failure| match held(&failure) {
        Some(id) => failure.hint(format!(
            "ask request_status for the approval {id}; once it is approved, call query with the same sql and parameters and it"
        )),
        None => failure,
    })
}

/// The approval that a statement waits for, when that is why it did not run.
pub(super) fn held(failure: &Failure) -> Option<ApprovalId> {
    let detail = failure.detail.as_deref().filter(|_| failure.kind == Kind::Pending)?;
    detail.split_once("Approval: ")?.1.split('.').next()?.parse().ok()
}

/// How a statement ended whose rows nobody wants.
pub(super) async fn outcome(connection: &mut Connection) -> Result<(), Failure> {
    let mut failed = None;
    loop {
        let said = |error| failed.as_ref().map_or_else(|| lost(error), said_no);
        match connection.next().await.map_err(said)? {
            Answer::Ready(_) => return failed.map_or(Ok(()), |complaint| Err(said_no(&complaint))),
            Answer::Failed(complaint) if failed.is_none() => {
                failed = Some(complaint);
                drop(connection.enough().await);
            }
            Answer::Suspended | Answer::Complete(_) => drop(connection.enough().await),
            Answer::CopyWanted => connection.refuse_copy("nothing is copied here").await.map_err(lost)?,
            Answer::Failed(_)
            | Answer::Columns(_)
            | Answer::Row(_)
            | Answer::Copied(_)
            | Answer::Parameter(..)
            | Answer::Notice(_) => {}
        }
    }
}

/// Most notices of a page. Code of the database can say as many as it likes.
const NOTICES_MAX: usize = 20;

/// Reads one page; what is left is kept.
async fn read(desk: &Desk, mut page: Page) -> Result<Value, Failure> {
    let connection = &mut page.own.connection;
    let (mut rows, mut length, mut ended, mut failed) = (Vec::new(), 0usize, None, None);
    let mut notices = Vec::new();
    loop {
        let answer = connection.next().await;
        // Whoever ends a connection says why before.
        let said = |error| failed.as_ref().map_or_else(|| lost(error), said_no);
        match answer.map_err(said)? {
            Answer::Columns(columns) => page.columns = columns,
            Answer::Row(cells) => {
                length = length.saturating_add(cells.iter().flatten().map(Vec::len).sum());
                if length > PAGE_BYTES_MAX {
                    return Err(Failure::new(Kind::Limit, format!("the page is longer than {PAGE_BYTES_MAX} bytes"))
                        .hint("ask for fewer columns, or for fewer rows with `limit`"));
                }
                rows.push(cells);
            }
            Answer::Parameter(name, value) if name == MASKED_COLUMNS => page.masked = value,
            Answer::CopyWanted => connection.refuse_copy("an agent has no data to copy").await.map_err(lost)?,
            Answer::Copied(_) => {
                return Err(Failure::new(Kind::Usage, "COPY is not for agents")
                    .detail("Its data has no columns, so that nothing could be said about them.")
                    .hint("use SELECT"));
            }
            Answer::Suspended => break,
            Answer::Complete(tag) => {
                ended = Some(tag);
                connection.enough().await.map_err(lost)?;
            }
            Answer::Failed(complaint) if failed.is_none() => {
                failed = Some(complaint);
                // After the last words of a connection there is nobody to tell.
                drop(connection.enough().await);
            }
            Answer::Ready(_) => match failed {
                // The only fault of protocol that the database answers and goes on after.
                Some(complaint) if complaint.sqlstate() == *b"08P01" => {
                    return Err(Failure::new(Kind::Usage, "there are more or fewer parameters than the statement has"));
                }
                Some(complaint) => return Err(said_no(&complaint)),
                None => break,
            },
            Answer::Notice(complaint) if notices.len() < NOTICES_MAX => notices.push(exec::whole(&complaint)),
            Answer::Failed(_) | Answer::Parameter(..) | Answer::Notice(_) => {}
        }
    }
    let masked: Vec<usize> = page.masked.split(',').filter_map(|number| number.parse().ok()).collect();
    let columns = page.columns.iter().enumerate().map(|(index, column)| ResultColumn {
        name: column.name.clone(),
        type_oid: column.kind,
        masked: masked.contains(&(index + 1)),
    });
    let columns: Vec<_> = columns.collect();
    let value = |(index, cell): (usize, &Option<Vec<u8>>)| {
        let kind = page.columns.get(index).map_or(0, |column| column.kind);
        result::value(kind, cell.as_deref())
    };
    let mut found = Rows {
        row_count: rows.len(),
        rows: rows.iter().map(|cells| cells.iter().enumerate().map(value).collect()).collect(),
        masked_columns: columns.iter().filter(|column| column.masked).map(|column| column.name.clone()).collect(),
        columns,
        notices,
        tag: ended,
        next_cursor: None,
        masking: page.masking.word(),
        session_expires_at: page.session_expires_at.to_string(),
        budget: desk.left(page.session).await,
    };
    if found.tag.is_none() && clock::now() < page.session_expires_at {
        found.next_cursor = Some(desk.keep(page).await?);
    } else {
        page.own.close().await;
    }
    document(&found)
}
