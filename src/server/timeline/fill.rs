//! Envelopes → rows.
//!
//! A statement is one row, whoever spoke of it and however often: the gateway's account shows, the client's is
//! compared with it. Everything else the gateway and the server recorded is a row each.
//!
//! What is read at once is written at once: the row of a statement that begins and ends within a [`Stretch`] is written
//! when all of it is known, and not for each record anew.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{OptionalExtension, Transaction, params};

use super::tables::{self, Position, Standing};
use crate::audit::{self, Asked, Certificate, Core, Decided, Happened, Line};
use crate::domain::{Duration, PublicKey, SessionBalance, SessionId, Side, Timestamp};
use crate::server::log::{Contents, Entered};

/// How long a client may take to bring its account of a session that is over.
const CLIENT_SILENT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a record comes from.
#[derive(Clone, Copy, Debug)]
struct From {
    side: Side,
    session: Option<SessionId>,
    leaf: i64,
}

/// Adds the leaves that come next, and says how many there are now.
pub(super) fn add(db: &Transaction<'_>, entered: Vec<Entered>) -> rusqlite::Result<u64> {
    let mut position = tables::position(db)?;
    let mut stretch = Stretch::new(db);
    for Entered { leaf, hash, contents } in entered {
        stretch.add_contents(i64::try_from(leaf).unwrap_or(i64::MAX), contents)?;
        position = Position { leaves: leaf.saturating_add(1), last: hash };
    }
    stretch.write()?;
    tables::advance(db, position)?;
    Ok(position.leaves)
}

/// Statements whose rows wait to be written. More are written before the stretch is over, so that memory has a bound.
const WAITING_MAX: usize = 2_000;

/// Some of the log, being read.
struct Stretch<'a> {
    db: &'a Transaction<'a>,
    /// Rows of statements, as they are after what has been read.
    rows: Vec<Row>,
    /// Which row is whose: by session and number.
    places: HashMap<(String, String), usize>,
    /// Ids of rows that are not in the table yet.
    given: BTreeSet<i64>,
    /// What the table says of sessions, and of texts.
    sessions: HashMap<String, Whose>,
    texts: HashMap<String, i64>,
}

/// A statement's row.
#[derive(Debug, Default)]
struct Row {
    id: i64,
    /// What a row begins with that is not in the table yet.
    begins: Option<Begins>,
    /// What was said that it asks, oldest first; the last counts.
    asked: Vec<Asked>,
    action: Option<String>,
    rules: Option<String>,
    outcome: Option<String>,
    sqlstate: Option<String>,
    rows: Option<i64>,
    masked: Option<i64>,
    took: Option<i64>,
    approval: Option<String>,
    /// What the columns hold whose values went out, masked and as they are, as it was said.
    shown: Vec<(Vec<String>, Vec<String>)>,
    line: Line,
    books: &'static str,
}

#[derive(Debug)]
struct Begins {
    leaf: i64,
    session: Option<String>,
    number: Option<String>,
    whose: Whose,
    /// What a search for words finds it by, besides its text. Nothing when its first record does not say what it asks.
    words: Option<[Option<String>; 3]>,
}

/// What a statement asks, as columns.
#[derive(Debug)]
struct Described {
    text: Option<i64>,
    operations: String,
    objects: String,
    tags: String,
    functions: String,
}

impl<'a> Stretch<'a> {
    fn new(db: &'a Transaction<'a>) -> Self {
        let (rows, places, given) = (Vec::new(), HashMap::new(), BTreeSet::new());
        Self { db, rows, places, given, sessions: HashMap::new(), texts: HashMap::new() }
    }

    fn add_contents(&mut self, leaf: i64, contents: Contents) -> rusqlite::Result<()> {
        match contents {
            Contents::Certificate(certificate) => return self.add_certificate(&certificate),
            Contents::Records { side, session, records } => {
                for core in records {
                    self.add_record(From { side, session: session.or(core.session), leaf }, core)?;
                }
            }
            Contents::Nothing => {}
        }
        if self.rows.len() > WAITING_MAX { self.write() } else { Ok(()) }
    }

    fn add_certificate(&mut self, certificate: &Certificate) -> rusqlite::Result<()> {
        let session = certificate.session.map(|session| session.to_string());
        self.db.prepare_cached("INSERT OR IGNORE INTO signers VALUES (?1, ?2, ?3)")?.execute((
            certificate.key.0,
            certificate.side.word(),
            &session,
        ))?;
        if let Some(session) = session {
            self.sessions.remove(&session);
            let sql = "INSERT OR IGNORE INTO sessions (session, subject) VALUES (?1, ?2)";
            self.db.prepare_cached(sql)?.execute((session, &certificate.subject))?;
        }
        Ok(())
    }

    fn add_record(&mut self, from: From, core: Core) -> rusqlite::Result<()> {
        if let Some(of) = &core.of {
            // Somebody speaks for a key that cannot speak any more.
            let Some((side, session)) = signer(self.db, of.key)? else { return Ok(()) };
            let from = From { side, session, leaf: from.leaf };
            return match of.record.as_deref().map(Core::parse) {
                Some(Ok(found)) => {
                    let session = session.or(found.session);
                    self.add_record(From { session, ..from }, found)
                }
                Some(Err(_)) => Ok(()),
                None => self.add_statement(from, core),
            };
        }
        let about_statement = core.statement.is_some() && (core.decided.is_some() || core.happened.is_some());
        match (about_statement, from.side) {
            (true, _) => self.add_statement(from, core),
            (false, Side::Client) => {
                if core.kind == "session.close" {
                    close(self.db, from, &core, "client_closed")?;
                }
                Ok(())
            }
            (false, Side::Gateway | Side::Server) => {
                match core.kind.as_str() {
                    "session.open" => self.open(from, &core)?,
                    "session.close" => close(self.db, from, &core, "gateway_closed")?,
                    "recon.session" => {
                        let session = from.session.map(|session| session.to_string());
                        let sql =
                            "UPDATE sessions SET reconciled = iif(client_closed IS NULL, 1, 2) WHERE session = ?1";
                        self.db.prepare_cached(sql)?.execute([session])?;
                    }
                    _ => {}
                }
                self.add_other(from, &core)
            }
        }
    }

    fn open(&mut self, from: From, core: &Core) -> rusqlite::Result<()> {
        let Some(session) = from.session.map(|session| session.to_string()) else { return Ok(()) };
        self.sessions.remove(&session);
        self.db
            .prepare_cached(
                "INSERT INTO sessions (session, opened, subject, kind, agent, resource, access, purpose, reference, masking)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (session) DO UPDATE SET opened = excluded.opened, subject = excluded.subject,
                     kind = excluded.kind, agent = excluded.agent, resource = excluded.resource,
                     access = excluded.access, purpose = excluded.purpose, reference = excluded.reference,
                     masking = excluded.masking",
            )?
            .execute((
                session,
                tables::integer(core.at.millis()),
                &core.subject,
                &core.identity_kind,
                core.actors.first(),
                &core.resource,
                &core.access,
                &core.purpose,
                &core.reference,
                &core.masking,
            ))?;
        Ok(())
    }

    fn add_other(&mut self, from: From, core: &Core) -> rusqlite::Result<()> {
        let id = self.free_id(core.at, Standing::of(&core.kind))?;
        let session = from.session.map(|session| session.to_string());
        let whose = self.whose(core, session.as_deref())?;
        if core.kind == "approval" && self.has_move(core, &whose)? {
            return Ok(());
        }
        self.db
            .prepare_cached(
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

    /// Whether a move of an approval is there already: what a gateway had recorded, and not noted so when it was killed,
    /// the next one recorded again, with the time at which it was made.
    fn has_move(&self, core: &Core, whose: &Whose) -> rusqlite::Result<bool> {
        let ids = Standing::of(&core.kind).ids_at(core.at);
        let sql =
            "SELECT EXISTS (SELECT 1 FROM entries WHERE id >= ?1 AND id < ?2 AND kind = 'approval' AND approval IS ?3
                   AND why IS ?4 AND subject IS ?5)";
        let why = core.why.as_ref().or(core.what.as_ref());
        let parameters = (ids.start, ids.end, &core.approval, why, &whose.subject);
        self.db.prepare_cached(sql)?.query_row(parameters, |row| row.get(0))
    }

    fn add_statement(&mut self, from: From, core: Core) -> rusqlite::Result<()> {
        let Some(statement) = core.statement else { return Ok(()) };
        let session = from.session.map(|session| session.to_string());
        // What the client alone refused has no number: each is a row of its own.
        let number = (statement.number > 0).then(|| statement.to_string());
        let is_numbered = number.is_some();
        let row = match session.clone().zip(number.clone()) {
            Some(place) => match self.known(&place)? {
                Some(row) => row,
                None => {
                    let row = self.begin(from, &core, session, number)?;
                    self.places.insert(place, row);
                    row
                }
            },
            None => self.begin(from, &core, session, number)?,
        };
        let Some(row) = self.rows.get_mut(row) else { return Ok(()) };
        // The gateway has said what was asked.
        let is_told = from.side == Side::Client && row.line.has(Side::Gateway);
        row.line.enter(from.side, &core);
        // What was refused without a number has nothing to be compared with. At the gateway that is what waits.
        row.books = match (is_numbered, from.side) {
            (true, _) => row.line.balance().word(),
            (false, Side::Client) => "refused_by_client",
            (false, Side::Gateway | Side::Server) => "held",
        };
        if let Some(decided) = &core.decided {
            row.decided(from.side, decided, core.approval);
        }
        if let Some(happened) = core.happened {
            row.happened(from.side, happened);
        }
        row.asked.extend(core.asked.filter(|_| !is_told));
        Ok(())
    }

    /// The row of a statement that something is known of.
    fn known(&mut self, place: &(String, String)) -> rusqlite::Result<Option<usize>> {
        if let Some(row) = self.places.get(place) {
            return Ok(Some(*row));
        }
        let read = |row: &rusqlite::Row<'_>| {
            let line: Option<String> = row.get(1)?;
            Ok(Row {
                id: row.get(0)?,
                line: line.and_then(|line| Line::read(&line)).unwrap_or_default(),
                action: row.get(2)?,
                rules: row.get(3)?,
                outcome: row.get(4)?,
                sqlstate: row.get(5)?,
                rows: row.get(6)?,
                masked: row.get(7)?,
                took: row.get(8)?,
                approval: row.get(9)?,
                ..Row::default()
            })
        };
        let sql = "SELECT id, line, action, rules, outcome, sqlstate, rows, masked, took, approval FROM entries
                   WHERE session = ?1 AND statement = ?2";
        let found = self.db.prepare_cached(sql)?.query_row((&place.0, &place.1), read).optional()?;
        let Some(row) = found else { return Ok(None) };
        self.rows.push(row);
        let at = self.rows.len() - 1;
        self.places.insert(place.clone(), at);
        Ok(Some(at))
    }

    /// A row for a statement that nothing was known of.
    fn begin(
        &mut self,
        from: From,
        core: &Core,
        session: Option<String>,
        number: Option<String>,
    ) -> rusqlite::Result<usize> {
        let id = self.free_id(core.at, Standing::Within)?;
        self.given.insert(id);
        let whose = self.whose(core, session.as_deref())?;
        let words = core.asked.as_ref().map(|_| [core.resource.clone(), core.purpose.clone(), core.reference.clone()]);
        let begins = Begins { leaf: from.leaf, session, number, whose, words };
        self.rows.push(Row { id, begins: Some(begins), ..Row::default() });
        Ok(self.rows.len() - 1)
    }

    /// An id for something that happened then.
    fn free_id(&self, at: Timestamp, standing: Standing) -> rusqlite::Result<i64> {
        let ids = standing.ids_at(at);
        let free = tables::free_id(self.db, ids.clone())?;
        Ok(self.given.range(ids).next_back().map_or(free, |last| free.max(last.saturating_add(1))))
    }

    fn whose(&mut self, core: &Core, session: Option<&str>) -> rusqlite::Result<Whose> {
        let known = match session {
            Some(session) => self.session(session)?,
            None => Whose::default(),
        };
        Ok(Whose {
            subject: core.subject.clone().or(known.subject),
            agent: core.actors.first().cloned().or(known.agent),
            resource: core.resource.clone().or(known.resource),
            purpose: core.purpose.clone().or(known.purpose),
            reference: core.reference.clone().or(known.reference),
        })
    }

    fn session(&mut self, session: &str) -> rusqlite::Result<Whose> {
        if let Some(known) = self.sessions.get(session) {
            return Ok(known.clone());
        }
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
        let known = self.db.prepare_cached(sql)?.query_row([session], read).optional()?.unwrap_or_default();
        self.sessions.insert(session.to_owned(), known.clone());
        Ok(known)
    }

    /// Writes the rows that wait.
    fn write(&mut self) -> rusqlite::Result<()> {
        self.places.clear();
        self.given.clear();
        for row in std::mem::take(&mut self.rows) {
            self.write_row(row)?;
        }
        Ok(())
    }

    fn write_row(&mut self, row: Row) -> rusqlite::Result<()> {
        let described = self.describe(row.id, &row.asked)?;
        let Some(begins) = row.begins else {
            if let Some(described) = described {
                let sql = "UPDATE entries SET text = ?2, operations = ?3, objects = ?4, tags = ?5,
                               functions = ?6 WHERE id = ?1";
                let Described { text, operations, objects, tags, functions } = described;
                self.db.prepare_cached(sql)?.execute((row.id, text, operations, objects, tags, functions))?;
            }
            let sql = "UPDATE entries SET action = ?2, rules = ?3, outcome = ?4, sqlstate = ?5, rows = ?6, masked = ?7,
                           took = ?8, approval = ?9, line = ?10, books = ?11 WHERE id = ?1";
            self.db.prepare_cached(sql)?.execute((
                row.id,
                row.action,
                row.rules,
                row.outcome,
                row.sqlstate,
                row.rows,
                row.masked,
                row.took,
                row.approval,
                row.line.write(),
                row.books,
            ))?;
            return went_out(self.db, row.id, &row.shown);
        };
        if let Some((asked, words)) = row.asked.first().zip(begins.words.as_ref()) {
            index_words(self.db, row.id, asked, words)?;
        }
        let described = described.as_ref();
        let whose = begins.whose;
        let line = begins.number.as_ref().map(|_| row.line.write());
        let sql = "INSERT INTO entries (id, leaf, kind, session, statement, subject, agent, resource, purpose, reference,
                       operations, objects, tags, text, action, rules, outcome, sqlstate, rows, masked, took, line, books,
                       approval, functions)
                   VALUES (?1, ?2, 'statement', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
                       ?19, ?20, ?21, ?22, ?23, ?24)";
        self.db.prepare_cached(sql)?.execute(params![
            row.id,
            begins.leaf,
            begins.session,
            begins.number,
            whose.subject,
            whose.agent,
            whose.resource,
            whose.purpose,
            whose.reference,
            described.map(|described| &described.operations),
            described.map(|described| &described.objects),
            described.map(|described| &described.tags),
            described.and_then(|described| described.text),
            row.action,
            row.rules,
            row.outcome,
            row.sqlstate,
            row.rows,
            row.masked,
            row.took,
            line,
            row.books,
            row.approval,
            described.map(|described| &described.functions),
        ])?;
        went_out(self.db, row.id, &row.shown)
    }

    /// Notes what a statement touches, by all that was said of it; gives what it asks, by what was said last.
    fn describe(&mut self, id: i64, asked: &[Asked]) -> rusqlite::Result<Option<Described>> {
        for asked in asked {
            for object in &asked.relations {
                self.db.prepare_cached("INSERT OR IGNORE INTO touched VALUES (?1, ?2, ?3)")?.execute((
                    &object.name,
                    id,
                    &object.schema,
                ))?;
            }
            for tag in &asked.tags {
                self.db.prepare_cached("INSERT OR IGNORE INTO tagged (tag, id) VALUES (?1, ?2)")?.execute((tag, id))?;
            }
        }
        let Some(asked) = asked.last() else { return Ok(None) };
        let objects = asked.relations.iter().map(|object| {
            let schema = object.schema.as_deref().map_or_else(String::new, |schema| format!("{schema}."));
            format!("{schema}{} {}", object.name, object.touch)
        });
        let objects: Vec<String> = objects.collect();
        let functions = asked.functions.iter().map(|function| match &function.body {
            Some(body) => format!("{} {body}", function.name),
            None => function.name.clone(),
        });
        Ok(Some(Described {
            text: if asked.text.is_empty() { None } else { Some(self.text_id(&asked.text)?) },
            operations: if asked.parse == "ok" { asked.operations.join(" ") } else { "opaque".to_owned() },
            objects: objects.join("\n"),
            tags: asked.tags.join(" "),
            functions: functions.collect::<Vec<_>>().join("\n"),
        }))
    }

    fn text_id(&mut self, text: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.texts.get(text) {
            return Ok(*id);
        }
        let digest = audit::digest(text.as_bytes()).0;
        let find = "SELECT id FROM texts WHERE digest = ?1";
        let id = match self.db.prepare_cached(find)?.query_row([digest], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => {
                self.db.prepare_cached("INSERT INTO texts (digest, text) VALUES (?1, ?2)")?.execute((digest, text))?;
                self.db.last_insert_rowid()
            }
        };
        self.texts.insert(text.to_owned(), id);
        Ok(id)
    }
}

impl Row {
    /// The gateway's word counts; the client's only until the gateway has spoken.
    fn decided(&mut self, side: Side, decided: &Decided, approval: Option<String>) {
        if side != Side::Gateway && self.action.is_some() {
            return;
        }
        let outcome = match decided.action.as_str() {
            "deny" => "denied",
            "hold" => "held",
            _ => "open",
        };
        let rules: Vec<&str> = decided.rules.iter().map(|(rule, _)| rule.as_str()).collect();
        self.action = Some(decided.action.clone());
        self.rules = Some(rules.join(" "));
        self.approval = approval;
        // What the gateway stopped did not run, whichever way the client heard of it, and whichever account came first.
        let stopped = side == Side::Gateway && outcome != "open";
        if stopped {
            (self.sqlstate, self.rows, self.masked, self.took) = (None, None, None, None);
        }
        if stopped || side != Side::Gateway || !self.has_ended() {
            self.outcome = Some(outcome.to_owned());
        }
    }

    fn happened(&mut self, side: Side, mut happened: Happened) {
        let shown = (std::mem::take(&mut happened.masked), std::mem::take(&mut happened.clear));
        // Masks are the gateway's, so it alone can say.
        self.shown
            .extend(Some(shown).filter(|(masked, clear)| side == Side::Gateway && masked.len() + clear.len() > 0));
        let masked = tables::integer(happened.masked_cells);
        let counts = match side {
            // That nobody knows the end is news only of what was begun.
            Side::Gateway => !happened.is_unknown() || (self.outcome.is_some() && !self.has_ended()),
            Side::Client | Side::Server => matches!(self.outcome.as_deref(), Some("open" | "held")),
        };
        if !counts {
            return;
        }
        self.masked = Some(if side == Side::Gateway { masked } else { masked.max(self.masked.unwrap_or(0)) });
        self.rows = Some(tables::integer(happened.rows));
        self.took = Some(tables::integer(happened.dur_us));
        (self.outcome, self.sqlstate) = (Some(happened.outcome), happened.sqlstate);
    }

    fn has_ended(&self) -> bool {
        matches!(self.outcome.as_deref(), Some("ok" | "error"))
    }
}

fn signer(db: &Transaction<'_>, key: PublicKey) -> rusqlite::Result<Option<(Side, Option<SessionId>)>> {
    let read = |row: &rusqlite::Row<'_>| {
        let (side, session): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok((Side::parse(&side).unwrap_or(Side::Server), session.and_then(|session| session.parse().ok())))
    };
    db.prepare_cached("SELECT side, session FROM signers WHERE key = ?1")?.query_row([key.0], read).optional()
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
#[derive(Clone, Debug, Default)]
struct Whose {
    subject: Option<String>,
    agent: Option<String>,
    resource: Option<String>,
    purpose: Option<String>,
    reference: Option<String>,
}

/// What the columns hold whose values went out, and how.
fn went_out(db: &Transaction<'_>, id: i64, shown: &[(Vec<String>, Vec<String>)]) -> rusqlite::Result<()> {
    for (masked, clear) in shown {
        // Of a statement that returned the same both ways, what went out as it is counts.
        for (tags, how) in [(masked, "masked"), (clear, "clear")] {
            for tag in tags {
                let sql = "INSERT INTO tagged VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET shown = excluded.shown";
                db.prepare_cached(sql)?.execute((tag, id, how))?;
            }
        }
    }
    let Some((masked, clear)) = shown.last() else { return Ok(()) };
    let sql = "UPDATE entries SET masked_tags = ?2, clear_tags = ?3 WHERE id = ?1";
    db.prepare_cached(sql)?.execute((id, masked.join(" "), clear.join(" ")))?;
    Ok(())
}

/// What a search for words finds the statement by.
fn index_words(db: &Transaction<'_>, id: i64, asked: &Asked, words: &[Option<String>]) -> rusqlite::Result<()> {
    let mut text = asked.text.clone();
    for word in words.iter().flatten() {
        text.push(' ');
        text.push_str(word);
    }
    db.prepare_cached("INSERT INTO words (rowid, text) VALUES (?1, ?2)")?.execute((id, text))?;
    Ok(())
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
                // It has not run: there is nothing to compare.
                "held" => {}
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rusqlite::Connection;
    use rusqlite::types::Value;

    use super::*;
    use crate::audit::{Chain, Context, Encoder, Envelope, Place, RECORDS_TYPE};
    use crate::domain::{
        Access, Action, Digest, Event, Function, Grant, Happening, Identity, IdentityKind, Limits, Masking, Method,
        Operation, Outcome, Parse, RecordId, Relation, Shown, Statement, StatementEnd, StatementId, StatementStart,
        Touch, Verdict,
    };

    fn grant() -> Grant {
        Grant {
            session: SessionId::new(Timestamp::from_millis(1_795_356_621_042), [1; 10]),
            identity: Identity {
                issuer: "https://idp.example.com".to_owned(),
                subject: "alice".to_owned(),
                name: "Alice Example".to_owned(),
                email: None,
                groups: Vec::new(),
                kind: IdentityKind::Person,
                actors: Vec::new(),
                method: Method::IdToken,
                proved_at: Timestamp::from_millis(0),
            },
            resource: "prod-db".parse().unwrap(),
            labels: Default::default(),
            purpose: None,
            masking: Masking::Wire,
            access: Access::Read,
            reveal: Vec::new(),
            limits: Limits { connections_max: 1, rows_max: None },
            opened_at: Timestamp::from_millis(1_795_356_621_042),
            expires_at: Timestamp::from_millis(1_795_360_221_042),
            policy: Digest([0xcd; 32]),
        }
    }

    /// A small generator (xorshift64*): the same seed makes the same log.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8) % end
        }

        fn pick<T: Clone>(&mut self, list: &[T]) -> T {
            list[usize::try_from(self.below(list.len() as u64)).unwrap()].clone()
        }
    }

    fn happening(chance: &mut Chance) -> Happening {
        // Number 0: what the client refused by itself.
        let id = StatementId { stream: 1, number: chance.below(5) };
        if chance.below(12) == 0 {
            return Happening::StreamClosed { stream: 1, why: "terminated" };
        }
        if chance.below(2) == 0 {
            let relation = |name: &str| Relation { schema: None, name: name.to_owned(), touch: Touch::Read };
            let statement = Statement {
                parse: Parse::Understood,
                normalized: chance.pick(&["SELECT a FROM t", "SELECT b FROM u", ""]).into(),
                operations: [Operation::Read].into(),
                relations: [relation(chance.pick(&["t", "u", "v"]))].into(),
                tags: chance.pick(&[vec![], vec!["email"]]).into(),
                functions: chance.pick(&[vec![], vec![Function { name: "a.f()".to_owned(), body: None }]]).into(),
                length: 15,
            };
            return Happening::StatementStarted(StatementStart {
                id,
                statement: Arc::new(statement),
                raw_hmac: Digest([chance.pick(&[1, 2]); 32]),
                sealed: None,
                verdict: chance.pick(&[Verdict::Allow, Verdict::Hold, Verdict::Deny]),
                rules: Arc::from([("missing_where", chance.pick(&[Action::Observe, Action::Deny]))]),
                approval: None,
            });
        }
        let mut shown = Shown::default();
        shown.masked.extend(chance.pick(&[None, Some("email")]));
        shown.clear.extend(chance.pick(&[None, Some("email"), Some("salary")]));
        Happening::StatementEnded(StatementEnd {
            id,
            outcome: chance.pick(&[Outcome::Ok, Outcome::Error { sqlstate: *b"42P01" }, Outcome::Unknown]),
            rows: chance.below(3),
            bytes: 100,
            masked_columns: 1,
            masked_cells: chance.below(3),
            shown,
            took: Duration::from_millis(1),
        })
    }

    /// Envelopes of one to three records by either side.
    fn log(chance: &mut Chance) -> Vec<String> {
        let sides = [(Side::Client, 1u8), (Side::Gateway, 2u8)];
        let mut encoders = sides.map(|(side, _)| Encoder::new(&Context::session(side, &grant(), "u-1")));
        let mut lines = Vec::new();
        for seq in 0..30 {
            let which = usize::try_from(chance.below(2)).unwrap();
            let (side, byte) = sides[which];
            let key = PublicKey([byte; 32]);
            let mut records = Vec::new();
            for _ in 0..=chance.below(3) {
                let at = Timestamp::from_millis(1_795_356_621_057 + chance.below(3));
                let event = Event { at, session: Some(grant().session), happening: happening(chance) };
                if !records.is_empty() {
                    records.push(b',');
                }
                let place = Place { id: RecordId::new(at, [2; 10]), seq, elapsed: Duration::from_millis(15) };
                encoders[which].encode(&mut records, place, &event);
            }
            let chain = Chain { key, side, session: Some(grant().session), previous: Digest([0; 32]) };
            let payload = audit::payload(&chain.header(seq), &records);
            lines.push(Envelope { payload_type: RECORDS_TYPE, payload, key, signature: [0; 64] }.write());
        }
        lines
    }

    /// All of an index that a log was read into, in stretches of so many envelopes.
    fn index(lines: &[String], stretch: usize) -> Vec<Vec<Value>> {
        let mut db = Connection::open_in_memory().unwrap();
        tables::MIGRATIONS.steps.iter().for_each(|step| db.execute_batch(step).unwrap());
        let mut first = 0;
        for lines in lines.chunks(stretch) {
            let transaction = db.transaction().unwrap();
            let entered = lines.iter().zip(first..).map(|(line, leaf)| Entered::read(leaf, line)).collect();
            first = add(&transaction, entered).unwrap();
            transaction.commit().unwrap();
        }
        let mut all = Vec::new();
        for sql in [
            "SELECT * FROM position",
            // Texts have numbers in the order of being written.
            "SELECT id, leaf, kind, session, statement, subject, agent, resource, purpose, reference, operations, objects,
                 tags, (SELECT texts.text FROM texts WHERE texts.id = entries.text), action, rules, outcome, sqlstate,
                 rows, masked, took, why, line, books, approval, masked_tags, clear_tags, functions FROM entries
                 ORDER BY id",
            "SELECT * FROM touched ORDER BY name, id",
            "SELECT * FROM tagged ORDER BY tag, id",
            "SELECT rowid FROM words WHERE words MATCH 'select' ORDER BY rowid",
        ] {
            let mut statement = db.prepare(sql).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                all.push((0..columns).map(|column| row.get(column).unwrap()).collect());
            }
        }
        all
    }

    #[test]
    fn what_is_read_at_once_is_what_is_read_one_by_one() {
        for seed in 1..=200 {
            let lines = log(&mut Chance(seed));
            let one_by_one = index(&lines, 1);
            assert!(one_by_one.len() > 10, "seed {seed}");
            for stretch in [2, 7, 100] {
                assert_eq!(index(&lines, stretch), one_by_one, "seed {seed}, {stretch} at once");
            }
        }
    }
}
