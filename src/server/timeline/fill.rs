//! Envelopes → rows.
//!
//! A statement is one row, whoever spoke of it and however often: the gateway's account shows, the client's is
//! compared with it. Everything else the gateway and the server recorded is a row each.

use rusqlite::{OptionalExtension, Transaction};

use super::tables::{self, Position, Standing};
use crate::audit::{self, Asked, Batch, CERTIFICATE_TYPE, Certificate, Core, Envelope, Happened, Line};
use crate::domain::{Duration, PublicKey, SessionBalance, SessionId, Side, Timestamp};

/// How long a client may take to bring its account of a session that is over.
const CLIENT_SILENT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a record comes from.
#[derive(Clone, Copy, Debug)]
struct From {
    side: Side,
    session: Option<SessionId>,
    leaf: i64,
}

/// Adds leaves `first` and following, and says how many there are now. What cannot be read was not let into the log,
/// and is not in the timeline.
pub(super) fn add(db: &Transaction<'_>, first: u64, lines: &[String]) -> rusqlite::Result<u64> {
    let mut position = tables::position(db)?;
    for (line, leaf) in lines.iter().zip(first..) {
        if let Ok(envelope) = Envelope::read(line) {
            add_envelope(db, i64::try_from(leaf).unwrap_or(i64::MAX), &envelope)?;
        }
        position = Position { leaves: leaf.saturating_add(1), last: audit::leaf(line.as_bytes()) };
    }
    tables::advance(db, position)?;
    Ok(position.leaves)
}

fn add_envelope(db: &Transaction<'_>, leaf: i64, envelope: &Envelope) -> rusqlite::Result<()> {
    if envelope.payload_type == CERTIFICATE_TYPE {
        // The log let in only what the server signed.
        let Ok(certificate) = Certificate::open(envelope, envelope.key) else { return Ok(()) };
        let session = certificate.session.map(|session| session.to_string());
        db.prepare_cached("INSERT OR IGNORE INTO signers VALUES (?1, ?2, ?3)")?.execute((
            certificate.key.0,
            certificate.side.word(),
            &session,
        ))?;
        if let Some(session) = session {
            let sql = "INSERT OR IGNORE INTO sessions (session, subject) VALUES (?1, ?2)";
            db.prepare_cached(sql)?.execute((session, certificate.subject))?;
        }
        return Ok(());
    }
    let Ok(batch) = Batch::parse(&envelope.payload) else { return Ok(()) };
    for text in &batch.records {
        let Ok(core) = Core::parse(text) else { continue };
        let from = From { side: batch.side, session: batch.session.or(core.session), leaf };
        add_record(db, from, &core)?;
    }
    Ok(())
}

fn add_record(db: &Transaction<'_>, from: From, core: &Core) -> rusqlite::Result<()> {
    if let Some(of) = &core.of {
        // Somebody speaks for a key that cannot speak any more.
        let Some((side, session)) = signer(db, of.key)? else { return Ok(()) };
        let from = From { side, session, leaf: from.leaf };
        return match of.record.as_deref().map(Core::parse) {
            Some(Ok(found)) => add_record(db, From { session: session.or(found.session), ..from }, &found),
            Some(Err(_)) => Ok(()),
            None => add_statement(db, from, core),
        };
    }
    let about_statement = core.statement.is_some() && (core.decided.is_some() || core.happened.is_some());
    match (about_statement, from.side) {
        (true, _) => add_statement(db, from, core),
        (false, Side::Client) => {
            if core.kind == "session.close" {
                close(db, from, core, "client_closed")?;
            }
            Ok(())
        }
        (false, Side::Gateway | Side::Server) => {
            match core.kind.as_str() {
                "session.open" => open(db, from, core)?,
                "session.close" => close(db, from, core, "gateway_closed")?,
                "recon.session" => {
                    let session = from.session.map(|session| session.to_string());
                    let sql = "UPDATE sessions SET reconciled = iif(client_closed IS NULL, 1, 2) WHERE session = ?1";
                    db.prepare_cached(sql)?.execute([session])?;
                }
                _ => {}
            }
            add_other(db, from, core)
        }
    }
}

fn signer(db: &Transaction<'_>, key: PublicKey) -> rusqlite::Result<Option<(Side, Option<SessionId>)>> {
    let read = |row: &rusqlite::Row<'_>| {
        let (side, session): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok((Side::parse(&side).unwrap_or(Side::Server), session.and_then(|session| session.parse().ok())))
    };
    db.prepare_cached("SELECT side, session FROM signers WHERE key = ?1")?.query_row([key.0], read).optional()
}

fn open(db: &Transaction<'_>, from: From, core: &Core) -> rusqlite::Result<()> {
    let Some(session) = from.session else { return Ok(()) };
    db.prepare_cached(
        "INSERT INTO sessions (session, opened, subject, kind, agent, resource, access, purpose, reference)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (session) DO UPDATE SET opened = excluded.opened, subject = excluded.subject,
             kind = excluded.kind, agent = excluded.agent, resource = excluded.resource, access = excluded.access,
             purpose = excluded.purpose, reference = excluded.reference",
    )?
    .execute((
        session.to_string(),
        tables::integer(core.at.millis()),
        &core.subject,
        &core.identity_kind,
        core.actors.first(),
        &core.resource,
        &core.access,
        &core.purpose,
        &core.reference,
    ))?;
    Ok(())
}

fn close(db: &Transaction<'_>, from: From, core: &Core, column: &str) -> rusqlite::Result<()> {
    let Some(session) = from.session else { return Ok(()) };
    let session = session.to_string();
    let sql = format!("UPDATE sessions SET {column} = ?2 WHERE session = ?1");
    db.prepare_cached(&sql)?.execute((&session, tables::integer(core.at.millis())))?;
    if from.side == Side::Gateway {
        db.prepare_cached("UPDATE sessions SET why = ?2 WHERE session = ?1")?.execute((session, &core.why))?;
    }
    Ok(())
}

/// What is known of a session, for rows that do not say it themselves.
#[derive(Debug, Default)]
struct Whose {
    subject: Option<String>,
    agent: Option<String>,
    resource: Option<String>,
    purpose: Option<String>,
    reference: Option<String>,
}

fn whose(db: &Transaction<'_>, core: &Core, session: Option<&str>) -> rusqlite::Result<Whose> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Whose {
            subject: row.get(0)?,
            agent: row.get(1)?,
            resource: row.get(2)?,
            purpose: row.get(3)?,
            reference: row.get(4)?,
        })
    };
    let sql = "SELECT subject, agent, resource, purpose, reference FROM sessions WHERE session = ?1";
    let known = match session {
        Some(session) => db.prepare_cached(sql)?.query_row([session], read).optional()?,
        None => None,
    };
    let known = known.unwrap_or_default();
    Ok(Whose {
        subject: core.subject.clone().or(known.subject),
        agent: core.actors.first().cloned().or(known.agent),
        resource: core.resource.clone().or(known.resource),
        purpose: core.purpose.clone().or(known.purpose),
        reference: core.reference.clone().or(known.reference),
    })
}

fn add_other(db: &Transaction<'_>, from: From, core: &Core) -> rusqlite::Result<()> {
    let id = tables::free_id(db, core.at, Standing::of(&core.kind))?;
    let session = from.session.map(|session| session.to_string());
    let whose = whose(db, core, session.as_deref())?;
    db.prepare_cached(
        "INSERT INTO entries (id, leaf, kind, session, subject, agent, resource, purpose, reference, why, approval)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute((
        id,
        from.leaf,
        &core.kind,
        session,
        whose.subject,
        whose.agent,
        whose.resource,
        whose.purpose,
        whose.reference,
        core.why.as_ref().or(core.what.as_ref()),
        &core.approval,
    ))?;
    Ok(())
}

/// A statement's row as it is so far.
#[derive(Debug)]
struct Known {
    id: i64,
    line: Line,
    /// The gateway has said what was asked.
    by_gateway: bool,
}

fn add_statement(db: &Transaction<'_>, from: From, core: &Core) -> rusqlite::Result<()> {
    let Some(statement) = core.statement else { return Ok(()) };
    let session = from.session.map(|session| session.to_string());
    // What the client alone refused has no number: each is a row of its own.
    let number = (statement.number > 0).then(|| statement.to_string());
    let known = match (&session, &number) {
        (Some(session), Some(number)) => known(db, session, number)?,
        _ => None,
    };
    let mut line = known.as_ref().map_or_else(Line::default, |known| known.line.clone());
    line.enter(from.side, core);
    let balance = line.balance();
    let shown = match known {
        Some(known) if known.by_gateway && from.side == Side::Client => known.id,
        Some(known) => {
            if let Some(asked) = &core.asked {
                describe(db, known.id, asked)?;
            }
            known.id
        }
        None => {
            let id = tables::free_id(db, core.at, Standing::Within)?;
            let whose = whose(db, core, session.as_deref())?;
            db.prepare_cached(
                "INSERT INTO entries (id, leaf, kind, session, statement, subject, agent, resource, purpose, reference)
                 VALUES (?1, ?2, 'statement', ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute((
                id,
                from.leaf,
                session,
                &number,
                whose.subject,
                whose.agent,
                whose.resource,
                whose.purpose,
                whose.reference,
            ))?;
            if let Some(asked) = &core.asked {
                describe(db, id, asked)?;
                index_words(db, id, asked, core)?;
            }
            id
        }
    };
    if let Some(decided) = &core.decided {
        let rules: Vec<&str> = decided.rules.iter().map(|(rule, _)| rule.as_str()).collect();
        let outcome = match decided.action.as_str() {
            "deny" => "denied",
            "hold" => "held",
            _ => "open",
        };
        // The gateway's word counts; the client's only until the gateway has spoken.
        let sql = if from.side == Side::Gateway {
            "UPDATE entries SET action = ?2, rules = ?3, outcome = iif(outcome IN ('ok', 'error'), outcome, ?4),
                 approval = ?5 WHERE id = ?1"
        } else {
            "UPDATE entries SET action = ?2, rules = ?3, outcome = ?4, approval = ?5 WHERE id = ?1 AND action IS NULL"
        };
        db.prepare_cached(sql)?.execute((shown, &decided.action, rules.join(" "), outcome, &core.approval))?;
    }
    if let Some(happened) = &core.happened {
        let sql = if from.side == Side::Gateway {
            "UPDATE entries SET outcome = ?2, sqlstate = ?3, rows = ?4, masked = ?5, took = ?6
             WHERE id = ?1 AND NOT (?2 = 'unknown' AND outcome IN ('ok', 'error'))"
        } else {
            "UPDATE entries SET outcome = ?2, sqlstate = ?3, rows = ?4, masked = max(?5, coalesce(masked, 0)), took = ?6
             WHERE id = ?1 AND outcome IN ('open', 'held')"
        };
        db.prepare_cached(sql)?.execute((
            shown,
            &happened.outcome,
            &happened.sqlstate,
            tables::integer(happened.rows),
            tables::integer(happened.masked_cells),
            tables::integer(happened.dur_us),
        ))?;
    }
    if let Some(happened) = core.happened.as_ref().filter(|_| from.side == Side::Gateway) {
        went_out(db, shown, happened)?;
    }
    let sql = "UPDATE entries SET line = ?2, books = ?3 WHERE id = ?1";
    // A refusal without a number has nothing to be compared with.
    let books = if number.is_some() { balance.word() } else { "refused_by_client" };
    db.prepare_cached(sql)?.execute((shown, number.map(|_| line.write()), books))?;
    Ok(())
}

/// What the columns hold whose values went out, and how. Masks are the gateway's, so it alone can say.
fn went_out(db: &Transaction<'_>, id: i64, happened: &Happened) -> rusqlite::Result<()> {
    if happened.masked.is_empty() && happened.clear.is_empty() {
        return Ok(());
    }
    // Of a statement that returned the same both ways, what went out as it is counts.
    for (tags, how) in [(&happened.masked, "masked"), (&happened.clear, "clear")] {
        for tag in tags {
            let sql = "INSERT INTO tagged VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET shown = excluded.shown";
            db.prepare_cached(sql)?.execute((tag, id, how))?;
        }
    }
    let sql = "UPDATE entries SET masked_tags = ?2, clear_tags = ?3 WHERE id = ?1";
    db.prepare_cached(sql)?.execute((id, happened.masked.join(" "), happened.clear.join(" ")))?;
    Ok(())
}

fn known(db: &Transaction<'_>, session: &str, statement: &str) -> rusqlite::Result<Option<Known>> {
    let read = |row: &rusqlite::Row<'_>| {
        let line: Option<String> = row.get(1)?;
        let line = line.and_then(|line| Line::read(&line)).unwrap_or_default();
        let by_gateway = line.has(Side::Gateway);
        Ok(Known { id: row.get(0)?, line, by_gateway })
    };
    let sql = "SELECT id, line FROM entries WHERE session = ?1 AND statement = ?2";
    db.prepare_cached(sql)?.query_row((session, statement), read).optional()
}

fn describe(db: &Transaction<'_>, id: i64, asked: &Asked) -> rusqlite::Result<()> {
    let text = if asked.text.is_empty() { None } else { Some(text_id(db, &asked.text)?) };
    let mut objects = Vec::new();
    for object in &asked.relations {
        let schema = object.schema.as_deref();
        objects.push(format!(
            "{}{}{} {}",
            schema.unwrap_or_default(),
            if schema.is_some() { "." } else { "" },
            object.name,
            object.touch
        ));
        db.prepare_cached("INSERT OR IGNORE INTO touched VALUES (?1, ?2, ?3)")?.execute((&object.name, id, schema))?;
    }
    for tag in &asked.tags {
        db.prepare_cached("INSERT OR IGNORE INTO tagged (tag, id) VALUES (?1, ?2)")?.execute((tag, id))?;
    }
    let operations = if asked.parse == "ok" { asked.operations.join(" ") } else { "opaque".to_owned() };
    db.prepare_cached("UPDATE entries SET text = ?2, operations = ?3, objects = ?4, tags = ?5 WHERE id = ?1")?
        .execute((id, text, operations, objects.join("\n"), asked.tags.join(" ")))?;
    Ok(())
}

/// What a search for words finds the statement by.
fn index_words(db: &Transaction<'_>, id: i64, asked: &Asked, core: &Core) -> rusqlite::Result<()> {
    let mut text = asked.text.clone();
    for word in [&core.resource, &core.purpose, &core.reference].into_iter().flatten() {
        text.push(' ');
        text.push_str(word);
    }
    db.prepare_cached("INSERT INTO words (rowid, text) VALUES (?1, ?2)")?.execute((id, text))?;
    Ok(())
}

fn text_id(db: &Transaction<'_>, text: &str) -> rusqlite::Result<i64> {
    let digest = audit::digest(text.as_bytes()).0;
    let find = "SELECT id FROM texts WHERE digest = ?1";
    if let Some(id) = db.prepare_cached(find)?.query_row([digest], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    db.prepare_cached("INSERT INTO texts (digest, text) VALUES (?1, ?2)")?.execute((digest, text))?;
    Ok(db.last_insert_rowid())
}

/// How sessions compare that are over and not on record as compared yet.
pub(super) fn due(db: &Transaction<'_>, now: Timestamp, overdue: bool) -> rusqlite::Result<Vec<SessionBalance>> {
    let silent_since = if overdue { now.before(CLIENT_SILENT_MAX).millis() } else { 0 };
    let sql = "SELECT session, client_closed IS NOT NULL FROM sessions
               WHERE gateway_closed IS NOT NULL AND reconciled < 2
                 AND (client_closed IS NOT NULL OR (reconciled = 0 AND gateway_closed < ?1))";
    let mut statement = db.prepare_cached(sql)?;
    let found: Vec<(String, bool)> = statement
        .query_map([tables::integer(silent_since)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for (session, client_closed) in found {
        let Ok(id) = session.parse() else { continue };
        let mut balance = SessionBalance::of(id, client_closed);
        let sql = "SELECT books, count(*) FROM entries WHERE session = ?1 AND kind = 'statement' GROUP BY books";
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query([&session])?;
        while let Some(row) = rows.next()? {
            let (word, count): (Option<String>, i64) = (row.get(0)?, row.get(1)?);
            let count = u64::try_from(count).unwrap_or(0);
            match word.as_deref().unwrap_or_default() {
                "matched" => balance.matched = count,
                "refused_by_client" => balance.refused_by_client = count,
                "client_only" => balance.client_only = count,
                "gateway_only" => balance.gateway_only = count,
                "mismatch" => balance.mismatch = count,
                "unknown" => balance.unknown = count,
                _ => balance.open = balance.open.saturating_add(count),
            }
        }
        all.push(balance);
    }
    Ok(all)
}

/// A comparison is on record: for good when the client had closed its account.
pub(super) fn reconciled(db: &Transaction<'_>, session: SessionId, for_good: bool) -> rusqlite::Result<()> {
    let state = if for_good { 2 } else { 1 };
    db.prepare_cached("UPDATE sessions SET reconciled = ?2 WHERE session = ?1")?
        .execute((session.to_string(), state))?;
    Ok(())
}
