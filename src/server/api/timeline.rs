//! The timeline: who connected, what they ran, what data they touched. One's own for everybody, all of it for operators.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::{Call, Caller, Contents, Handler, Method, Route, json};
use crate::domain::{Duration, Failure, Happening, Kind, Timestamp};
use crate::engine;
use crate::runtime::journal::Ticket;
use crate::server::timeline::{Access, AccessFilter, Entry, Filter, Page, SessionRow};
use crate::server::{directory, raw_texts};
use crate::wire::api::{
    AccessEntry, AccessQuery, AccessReport, TimelineEntry, TimelinePage, TimelineQuery, TimelineSession,
};

/// Entries of one page, unless fewer are asked for.
const PAGE: u32 = 200;
const PAGE_MAX: u32 = 1000;

/// Longest that a question waits for something to happen. Shorter than what clients and proxies wait for an answer.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// The same question by the same person within this time is one reading of the log.
const SAME_READING: Duration = Duration::from_secs(60);

pub(super) const FIND: Route = Route {
    method: Method::Get,
    path: "/v1/timeline",
    summary: "Find what happened; others' records are for operators only, and reading them is recorded",
    request: Contents::Query(|schemas| schemas.subschema_for::<TimelineQuery>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<TimelinePage>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let query: TimelineQuery = call.query()?;
            let filter = filter(&call, &caller, &query).await?;
            note_search(&call, &caller, &query, filter.subjects.as_deref())?;
            let timeline = &call.server.timeline;
            if query.before.is_none() {
                timeline.fresh(&call.server.log).await;
            }
            let mut page = timeline.find(filter.clone()).await?;
            let wait = query.wait_seconds.map_or(Duration::ZERO, Duration::from_secs).min(WAIT_MAX);
            let arrival = async {
                while page.entries.is_empty() {
                    timeline.grown().await;
                    page = timeline.find(filter.clone()).await?;
                }
                Ok::<(), Failure>(())
            };
            // Nothing has happened: that is an answer too.
            tokio::time::timeout(wait, arrival).await.unwrap_or(Ok(()))?;
            json(&named(&call, page).await?)
        })
    }),
};

pub(super) const ACCESS: Route = Route {
    method: Method::Get,
    path: "/v1/timeline/access",
    summary: "Count who touched what kind of data, masked or clear; reading others' records is recorded",
    request: Contents::Query(|schemas| schemas.subschema_for::<AccessQuery>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<AccessReport>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let query: AccessQuery = call.query()?;
            let filter = AccessFilter {
                tags: query.tag.as_deref().map(tags).transpose()?,
                subjects: subjects(&call, &caller, query.person.clone()).await?,
                resource: query.resource.clone(),
                since: time(query.since.as_deref(), "since")?,
                until: time(query.until.as_deref(), "until")?,
            };
            let words =
                [("tag", &query.tag), ("resource", &query.resource), ("since", &query.since), ("until", &query.until)];
            note_reading(&call, &caller, "access", &words, filter.subjects.as_deref())?;
            let timeline = &call.server.timeline;
            timeline.fresh(&call.server.log).await;
            let found = timeline.access(filter).await?;
            let names = names(&call, found.iter().filter_map(|access| access.subject.clone()).collect()).await?;
            json(&AccessReport { access: found.into_iter().map(|access| access_written(access, &names)).collect() })
        })
    }),
};

/// Whose records are meant: those of the person asked for, else one's own, and for operators everybody's.
async fn subjects(call: &Call, caller: &Caller, person: Option<String>) -> Result<Option<Vec<String>>, Failure> {
    let operator = call.server.config().is_operator(&caller.identity);
    let Some(person) = person else { return Ok((!operator).then(|| vec![caller.pseudonym.clone()])) };
    let found = call.server.store.run(move |db| directory::called(db, &person)).await?;
    if !operator && found.as_slice() != [caller.pseudonym.clone()] {
        return Err(Failure::new(Kind::Denied, "others' records are for operators only")
            .hint("see your own with: gov timeline"));
    }
    Ok(Some(found))
}

fn time(text: Option<&str>, name: &str) -> Result<Option<Timestamp>, Failure> {
    let wrong = || Failure::new(Kind::Usage, format!("`{name}` is no time as RFC 3339 writes it"));
    text.map(|text| Timestamp::parse(text).ok_or_else(wrong)).transpose()
}

async fn filter(call: &Call, caller: &Caller, query: &TimelineQuery) -> Result<Filter, Failure> {
    Ok(Filter {
        subjects: subjects(call, caller, query.person.clone()).await?,
        agent: query.agent.clone(),
        resource: query.resource.clone(),
        purpose: query.purpose.clone(),
        table: query.table.clone(),
        tags: query.tag.as_deref().map(tags).transpose()?,
        approval: query.approval.as_ref().map(|approval| approval.to_lowercase()),
        operation: query.operation.clone(),
        outcome: query.outcome.clone(),
        books: query.books.clone(),
        kind: query.kind.clone(),
        text: query.text.clone(),
        session: query.session.clone(),
        since: time(query.since.as_deref(), "since")?,
        until: time(query.until.as_deref(), "until")?,
        before: query.before,
        after: query.after,
        everything: query.all,
        oldest_first: query.after.is_some(),
        limit: query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX),
    })
}

/// The words of classification that are meant by one.
pub(super) fn tags(word: &str) -> Result<Vec<&'static str>, Failure> {
    let found = engine::entities_called(word);
    if found.is_empty() {
        return Err(Failure::new(Kind::Usage, format!("`{word}` is nothing that columns hold"))
            .hint("the words are those of gov classify, for example email, card or us_ssn"));
    }
    Ok(found)
}

/// Readings of the log within the last [`SAME_READING`]: who and what.
#[derive(Debug, Default)]
pub(crate) struct Readings(Mutex<BTreeMap<(String, String), Timestamp>>);

/// Puts on record what somebody searches for. Names and searched words are not: they may be about persons.
fn note_search(
    call: &Call,
    caller: &Caller,
    query: &TimelineQuery,
    subjects: Option<&[String]>,
) -> Result<(), Failure> {
    let words = [
        ("session", &query.session),
        ("agent", &query.agent),
        ("resource", &query.resource),
        ("purpose", &query.purpose),
        ("table", &query.table),
        ("tag", &query.tag),
        ("approval", &query.approval),
        ("operation", &query.operation),
        ("outcome", &query.outcome),
        ("books", &query.books),
        ("kind", &query.kind),
        ("since", &query.since),
        ("until", &query.until),
    ];
    let what = if query.text.is_some() { "timeline text" } else { "timeline" };
    note_reading(call, caller, what, &words, subjects)
}

/// Puts on record that somebody reads, and what.
fn note_reading(
    call: &Call,
    caller: &Caller,
    what: &str,
    words: &[(&str, &Option<String>)],
    subjects: Option<&[String]>,
) -> Result<(), Failure> {
    let mut what = what.to_owned();
    for (name, value) in words {
        if let Some(value) = value {
            what.push_str(&format!(" {name}={value}"));
        }
    }
    if let Some(subjects) = subjects {
        what.push_str(&format!(" subjects={}", subjects.join(",")));
    }
    call.server.note_reading(&caller.pseudonym, what, call.now).map(drop)
}

impl crate::server::Server {
    /// Puts on record that somebody reads the log, unless they have just done the same. The ticket is that of the record.
    pub(super) fn note_reading(&self, subject: &str, what: String, now: Timestamp) -> Result<Option<Ticket>, Failure> {
        let mut recent = self.readings.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        recent.retain(|_, at| now.since(*at) < SAME_READING);
        let reading = (subject.to_owned(), what);
        if recent.contains_key(&reading) {
            return Ok(None);
        }
        // What cannot be recorded is not shown.
        let (subject, what) = reading.clone();
        let ticket = self.log.record(None, Happening::AuditRead { subject, what })?;
        recent.insert(reading, now);
        Ok(Some(ticket))
    }
}

async fn named(call: &Call, page: Page) -> Result<TimelinePage, Failure> {
    let of_entries = page.entries.iter().filter_map(|entry| entry.subject.clone());
    let of_sessions = page.sessions.iter().filter_map(|session| session.subject.clone());
    let names = names(call, of_entries.chain(of_sessions).collect()).await?;
    let mut entries: Vec<_> = page.entries.into_iter().map(|entry| written(entry, &names)).collect();
    entries.sort_by_key(|entry| entry.id);
    let sessions = page.sessions.into_iter().map(|session| session_written(session, &names)).collect();
    Ok(TimelinePage { entries, sessions, more: page.more })
}

/// In place of a name that has been erased.
const ERASED: &str = "(erased)";

/// What pseudonyms stand for, as far as that has not been erased.
async fn names(call: &Call, subjects: BTreeSet<String>) -> Result<BTreeMap<String, String>, Failure> {
    let names = call.server.store.run(move |db| {
        let mut names = BTreeMap::new();
        for subject in subjects {
            if let Some(name) = directory::name(db, &subject)? {
                names.insert(subject, name);
            } else if raw_texts::is_erased(db, &subject)? {
                names.insert(subject, ERASED.to_owned());
            }
        }
        Ok(names)
    });
    names.await
}

fn access_written(access: Access, names: &BTreeMap<String, String>) -> AccessEntry {
    AccessEntry {
        tag: access.tag,
        shown: access.shown,
        who: access.subject.as_ref().and_then(|subject| names.get(subject)).cloned(),
        subject: access.subject,
        agent: access.agent,
        resource: access.resource,
        purpose: access.purpose,
        approval: access.approval,
        statements: access.statements,
        rows: access.rows,
        first: access.first.to_string(),
        last: access.last.to_string(),
    }
}

fn written(entry: Entry, names: &BTreeMap<String, String>) -> TimelineEntry {
    TimelineEntry {
        id: entry.id,
        at: entry.at.to_string(),
        kind: entry.kind,
        leaf: entry.leaf,
        session: entry.session,
        statement: entry.statement,
        who: entry.subject.as_ref().and_then(|subject| names.get(subject)).cloned(),
        subject: entry.subject,
        agent: entry.agent,
        resource: entry.resource,
        purpose: entry.purpose,
        reference: entry.reference,
        operations: entry.operations,
        objects: entry.objects,
        tags: entry.tags,
        masked_tags: entry.masked_tags,
        clear_tags: entry.clear_tags,
        functions: entry.functions,
        approval: entry.approval,
        text: entry.text,
        action: entry.action,
        rules: entry.rules,
        outcome: entry.outcome,
        sqlstate: entry.sqlstate,
        rows: entry.rows,
        masked_cells: entry.masked,
        took_us: entry.took_us,
        why: entry.why,
        books: entry.books,
    }
}

fn session_written(session: SessionRow, names: &BTreeMap<String, String>) -> TimelineSession {
    TimelineSession {
        session: session.session,
        who: session.subject.as_ref().and_then(|subject| names.get(subject)).cloned(),
        subject: session.subject,
        agent: session.agent,
        resource: session.resource,
        access: session.access,
        masking: session.masking,
        purpose: session.purpose,
        reference: session.reference,
        opened_at: session.opened.map(|at| at.to_string()),
        closed_at: session.closed.map(|at| at.to_string()),
        why: session.why,
        books: session.books.into_iter().collect(),
    }
}
