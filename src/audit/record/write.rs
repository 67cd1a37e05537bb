//! Writes records. The parts that repeat are written once and copied: those of the key, and those of each statement.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::entry::Role;
use super::super::json::Json;
use super::super::sealed::ALGORITHM;
use super::{Context, FUNCTIONS_MAX, Pseudonyms, RELATIONS_MAX, TEXT_MAX, WORD_MAX};
use crate::domain::{
    Actor, Duration, Event, Function, Grant, Happening, Outcome, Parse, Peer, Purpose, RecordId, Relation, SessionId,
    Side, Statement, StatementEnd, StatementId, StatementStart, Timestamp, Touch, Verdict,
};

/// Statements whose part is kept at the same time, per key. When full, all are forgotten.
const PARTS_MAX: usize = 128;

/// Longest part that is kept, so that one key keeps at most half a megabyte.
const PART_LENGTH_MAX: usize = 4 * 1024;

/// Where a record stands in its key's chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) id: RecordId,
    /// Position in the key's chain, from 0 without gaps.
    pub(crate) seq: u64,
    /// Time since the key was opened, by a clock that nobody sets.
    pub(crate) elapsed: Duration,
}

/// Writes the records of one key.
#[derive(Debug)]
pub(crate) struct Encoder {
    session: Option<SessionId>,
    side: Side,
    pseudonyms: Option<Pseudonyms>,
    /// `,"sid":…,"side":…` of the key's own session.
    whose: Vec<u8>,
    /// `,"sub":…,"act":…,"purp":…,"db":…`
    who: Vec<u8>,
    /// `,"policy":…,"engine":…`
    by: Vec<u8>,
    parts: Parts,
    second: Second,
    totals: Totals,
}

/// What a side's records so far amount to; the last one states it.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    /// Statements that ran.
    statements: u64,
    rows: u64,
    bytes: u64,
}

impl Encoder {
    pub(crate) fn new(context: &Context) -> Self {
        let mut whose = Vec::new();
        write_whose(&mut whose, context.session, context.side);
        let mut who = Vec::new();
        let mut json = Json::new(&mut who);
        if let Some(subject) = &context.subject {
            json.raw(b",\"sub\":").text_within(subject, WORD_MAX);
        }
        write_actors(&mut json, &context.actors);
        write_purpose(&mut json, context.purpose.as_ref());
        if let Some(resource) = &context.resource {
            json.raw(b",\"db\":{\"resource\":").text(resource.as_str()).raw(b"}");
        }
        let mut by = Vec::new();
        let mut json = Json::new(&mut by);
        if let Some(policy) = &context.policy {
            json.raw(b",\"policy\":").hex(&policy.0);
        }
        json.raw(b",\"engine\":").text_within(&context.engine, WORD_MAX);
        let pseudonyms = context.pseudonyms.clone();
        let (parts, second, totals) = Default::default();
        Self { session: context.session, side: context.side, pseudonyms, whose, who, by, parts, second, totals }
    }

    /// Appends one record, and says which part it plays for a statement.
    pub(crate) fn encode(&mut self, out: &mut Vec<u8>, place: Place, event: &Event) -> Role {
        let mut json = Json::new(out);
        json.raw(b"{\"id\":\"").raw(&place.id.symbols()).raw(b"\",\"seq\":").number(place.seq);
        json.raw(b",\"ts\":\"");
        self.second.write(&mut json, event.at);
        json.raw(b"\",\"mono\":").number(u64::try_from(place.elapsed.as_millis()).unwrap_or(u64::MAX));
        json.raw(b",\"kind\":\"").raw(kind(&event.happening).as_bytes()).raw(b"\"");
        if event.session == self.session || event.session.is_none() {
            json.raw(&self.whose);
        } else {
            write_whose(out, event.session, self.side);
        }
        let role = self.body(out, &event.happening);
        out.push(b'}');
        role
    }

    fn body(&mut self, out: &mut Vec<u8>, happening: &Happening) -> Role {
        let mut json = Json::new(out);
        match happening {
            Happening::StatementStarted(start) => return self.start(out, start),
            Happening::StatementEnded(end) => {
                self.totals.statements += 1;
                self.totals.rows = self.totals.rows.saturating_add(end.rows);
                self.totals.bytes = self.totals.bytes.saturating_add(end.bytes);
                write_end(&mut json, end);
                return Role::End(end.id);
            }
            Happening::StatementUnknown { id, key } => {
                write_statement_id(&mut json, *id);
                json.raw(b",\"of\":{\"key\":").hex(&key.0).raw(b"}");
                json.raw(b",\"res\":{\"outcome\":\"unknown\"}");
            }
            Happening::SessionOpened { grant, subject, client, keys } => {
                write_grant(&mut json, grant, subject);
                write_peer(&mut json, self.pseudonyms.as_ref(), client);
                json.raw(b",\"keys\":{");
                for (index, (side, key)) in keys.iter().enumerate() {
                    json.raw(if index == 0 { b"" } else { b"," });
                    json.text(side.word()).raw(b":").hex(&key.0);
                }
                json.raw(b"}");
            }
            Happening::SessionClosed { why } => {
                json.raw(b",\"why\":").text_within(why, WORD_MAX);
                let Totals { statements, rows, bytes } = self.totals;
                write_numbers(&mut json, &[("statements", statements), ("rows", rows), ("bytes", bytes)]);
            }
            other => write_rest(&mut json, other),
        }
        Role::Other
    }

    fn start(&mut self, out: &mut Vec<u8>, start: &StatementStart) -> Role {
        let mut json = Json::new(out);
        write_statement_id(&mut json, start.id);
        json.raw(b",\"q\":{");
        self.parts.write(out, &start.statement);
        let mut json = Json::new(out);
        json.raw(b",\"hmac\":").hex(&start.raw_hmac.0).raw(b"},\"dec\":{\"action\":\"");
        json.raw(start.verdict.word().as_bytes()).raw(b"\",\"rules\":[");
        for (index, (rule, action)) in start.rules.iter().enumerate() {
            json.raw(if index == 0 { b"[" } else { b",[" });
            json.text(rule).raw(b",\"").raw(action.word().as_bytes()).raw(b"\"]");
        }
        json.raw(b"]").raw(&self.by).raw(b"}").raw(&self.who);
        if let Some(sealed) = &start.sealed {
            json.raw(b",\"pay\":{\"cid\":").hex(&sealed.digest.0).raw(b",\"kid\":").hex(&sealed.key.0);
            json.raw(b",\"alg\":\"").raw(ALGORITHM.as_bytes()).raw(b"\"");
            write_numbers(&mut json, &[("len", u64::try_from(sealed.bytes.len()).unwrap_or(u64::MAX))]);
            json.raw(b"}");
        }
        if let Some(approval) = start.approval {
            json.raw(b",\"appr\":{\"id\":").text(&approval.to_string()).raw(b"}");
        }
        match start.verdict {
            Verdict::Allow => Role::Start(start.id),
            // Nothing runs, so nothing will end.
            Verdict::Hold | Verdict::Deny => Role::Other,
        }
    }
}

/// The word for what happened, as written in `kind`. Readers match on it; a word is never given a second meaning.
fn kind(happening: &Happening) -> &'static str {
    match happening {
        Happening::ServerStopped => "server.stop",
        Happening::LoginSucceeded { .. } => "auth.login",
        Happening::LoginFailed { .. } => "auth.fail",
        Happening::SessionOpened { .. } => "session.open",
        Happening::SessionRefused { .. } => "session.refuse",
        Happening::SessionClosed { .. } => "session.close",
        Happening::CredentialMinted { .. } => "cred.mint",
        Happening::CredentialRevoked { .. } => "cred.revoke",
        Happening::CredentialSwept { .. } => "cred.sweep",
        Happening::MasksRemoved { .. } => "mask.remove",
        Happening::PolicyChanged { .. } => "policy.change",
        Happening::StreamOpened { .. } => "stream.open",
        Happening::StreamClosed { .. } => "stream.close",
        Happening::Cancelled { .. } => "stmt.cancel",
        Happening::StatementStarted(_) => "stmt.start",
        Happening::StatementEnded(_) => "stmt.end",
        Happening::StatementUnknown { .. } => "stmt.unknown",
        Happening::TransactionRefused { .. } => "txn.refuse",
        Happening::Tripped { .. } => "mask.trip",
        Happening::Reconciled(_) => "recon.session",
        Happening::Approval { .. } => "approval",
        Happening::AuditRead { .. } => "audit.read",
        Happening::EvidencePacked { .. } => "evidence",
        Happening::Erased { .. } => "erase",
        Happening::Recovered { .. } => "recovered",
        Happening::Lost { .. } => "lost",
    }
}

/// Everything that is a few words and numbers.
fn write_rest(json: &mut Json<'_>, happening: &Happening) {
    let mut word = |name: &str, text: &str| {
        json.raw(b",\"").raw(name.as_bytes()).raw(b"\":").text_within(text, WORD_MAX);
    };
    match happening {
        Happening::MasksRemoved { subject, resource } => {
            word("sub", subject);
            json.raw(b",\"db\":{\"resource\":").text_within(resource, WORD_MAX);
            json.raw(b"}");
        }
        Happening::PolicyChanged { policy } => {
            json.raw(b",\"policy\":").hex(&policy.0);
        }
        Happening::LoginSucceeded { subject, method } => {
            word("sub", subject);
            word("method", method);
        }
        Happening::LoginFailed { why } => word("why", why),
        Happening::SessionRefused { subject, resource, why } => {
            word("sub", subject);
            word("why", why);
            json.raw(b",\"db\":{\"resource\":").text_within(resource, WORD_MAX);
            json.raw(b"}");
        }
        Happening::CredentialMinted { source, role } | Happening::CredentialSwept { source, role } => {
            word("source", source);
            word("role", role);
        }
        Happening::CredentialRevoked { source, role, ended, dropped } => {
            word("source", source);
            word("role", role);
            write_numbers(json, &[("ended", u64::from(*ended))]);
            write_truth(json, "dropped", *dropped);
        }
        Happening::StreamOpened { stream, application } => {
            word("app", &application_name(application));
            write_numbers(json, &[("stream", u64::from(*stream))]);
        }
        Happening::StreamClosed { stream, why } => {
            word("why", why);
            write_numbers(json, &[("stream", u64::from(*stream))]);
        }
        Happening::Cancelled { stream } => write_numbers(json, &[("stream", u64::from(*stream))]),
        Happening::TransactionRefused { last, why, changed, allowed } => {
            word("why", why);
            write_statement_id(json, *last);
            write_numbers(json, &[("changed", *changed), ("allowed", *allowed)]);
        }
        Happening::Tripped { last, column } => {
            word("why", column);
            write_statement_id(json, *last);
        }
        Happening::Reconciled(balance) => {
            write_truth(json, "client_closed", balance.client_closed);
            write_numbers(
                json,
                &[
                    ("matched", balance.matched),
                    ("refused_by_client", balance.refused_by_client),
                    ("client_only", balance.client_only),
                    ("gateway_only", balance.gateway_only),
                    ("mismatch", balance.mismatch),
                    ("unknown", balance.unknown),
                    ("open", balance.open),
                ],
            );
        }
        Happening::Approval { id, from, to, by, resource, digest, about } => {
            if let Some(by) = by {
                word("sub", by);
            }
            word("what", to.word());
            if let Some(from) = from {
                word("was", from.word());
            }
            json.raw(b",\"appr\":{\"id\":").text(&id.to_string()).raw(b",\"digest\":").hex(&digest.0);
            json.raw(b",\"about\":").text(about);
            json.raw(b"},\"db\":{\"resource\":").text_within(resource, WORD_MAX);
            json.raw(b"}");
        }
        Happening::AuditRead { subject, what } => {
            word("sub", subject);
            word("what", what);
        }
        Happening::EvidencePacked { subject, digest } => {
            word("sub", subject);
            json.raw(b",\"digest\":").hex(&digest.0);
        }
        Happening::Erased { subject, person, why, keys } => {
            word("sub", subject);
            word("person", person);
            word("why", why);
            json.raw(b",\"kids\":[");
            for (index, key) in keys.iter().enumerate() {
                json.raw(if index == 0 { b"" } else { b"," }).text(&key.to_string());
            }
            json.raw(b"]");
        }
        Happening::Recovered { key, record, .. } => {
            json.raw(b",\"of\":{\"key\":").hex(&key.0).raw(b",\"record\":");
            // A record that was ours is one line of JSON and goes in as it is; anything else is a text.
            if is_one_line_of_json(record) {
                json.raw(record.as_bytes());
            } else {
                json.text_within(record, TEXT_MAX);
            }
            json.raw(b"}");
        }
        Happening::Lost { entries, acknowledged } => {
            write_numbers(json, &[("entries", *entries)]);
            write_truth(json, "acknowledged", *acknowledged);
        }
        // Written by `Encoder::body`.
        Happening::ServerStopped
        | Happening::SessionOpened { .. }
        | Happening::SessionClosed { .. }
        | Happening::StatementStarted(_)
        | Happening::StatementEnded(_)
        | Happening::StatementUnknown { .. } => {}
    }
}

fn write_numbers(json: &mut Json<'_>, members: &[(&str, u64)]) {
    for (name, value) in members {
        json.raw(b",\"").raw(name.as_bytes()).raw(b"\":").number(*value);
    }
}

fn write_truth(json: &mut Json<'_>, name: &str, value: bool) {
    json.raw(b",\"").raw(name.as_bytes()).raw(if value { b"\":true" } else { b"\":false" });
}

fn write_whose(out: &mut Vec<u8>, session: Option<SessionId>, side: Side) {
    let mut json = Json::new(out);
    if let Some(session) = session {
        json.raw(b",\"sid\":\"").raw(&session.symbols()).raw(b"\"");
    }
    json.raw(b",\"side\":\"").raw(side.word().as_bytes()).raw(b"\"");
}

fn write_actors(json: &mut Json<'_>, actors: &[Actor]) {
    if actors.is_empty() {
        return;
    }
    json.raw(b",\"act\":[");
    for (index, actor) in actors.iter().enumerate() {
        json.raw(if index == 0 { b"" } else { b"," });
        json.raw(b"{\"type\":\"").raw(actor.kind.word().as_bytes()).raw(b"\",\"id\":");
        json.text_within(&actor.id, WORD_MAX);
        if let Some(charter) = &actor.charter {
            json.raw(b",\"charter\":").hex(&charter.0);
        }
        json.raw(b"}");
    }
    json.raw(b"]");
}

fn write_purpose(json: &mut Json<'_>, purpose: Option<&Purpose>) {
    let Some(purpose) = purpose else { return };
    json.raw(b",\"purp\":{\"id\":").text(purpose.id.as_str());
    if let Some(reference) = &purpose.reference {
        json.raw(b",\"ref\":").text_within(reference, WORD_MAX);
    }
    json.raw(b"}");
}

fn write_grant(json: &mut Json<'_>, grant: &Grant, subject: &str) {
    json.raw(b",\"sub\":").text_within(subject, WORD_MAX);
    json.raw(b",\"type\":\"").raw(grant.identity.kind.word().as_bytes()).raw(b"\"");
    write_actors(json, &grant.identity.actors);
    write_purpose(json, grant.purpose.as_ref());
    json.raw(b",\"db\":{\"resource\":").text(grant.resource.as_str()).raw(b"}");
    json.raw(b",\"access\":\"").raw(grant.access.word().as_bytes()).raw(b"\",\"masking\":\"");
    json.raw(grant.masking.word().as_bytes()).raw(b"\",\"policy\":").hex(&grant.policy.0);
    for (index, column) in grant.reveal.iter().enumerate() {
        json.raw(if index == 0 { b",\"reveal\":[" } else { b"," }).text(&column.to_string());
    }
    json.raw(if grant.reveal.is_empty() { b"" } else { b"]" });
    json.raw(b",\"from\":").text(&grant.opened_at.to_string());
    json.raw(b",\"until\":").text(&grant.expires_at.to_string());
}

/// Address and host lead to a person, so they are written as pseudonyms, or not at all where there is no key.
fn write_peer(json: &mut Json<'_>, pseudonyms: Option<&Pseudonyms>, peer: &Peer) {
    json.raw(b",\"src\":{\"version\":").text_within(&peer.version, WORD_MAX);
    if let Some(pseudonyms) = pseudonyms {
        json.raw(b",\"address\":").text(&pseudonyms.place("address", &peer.address));
        json.raw(b",\"host\":").text(&pseudonyms.place("host", &peer.host));
    }
    json.raw(b"}");
}

fn write_statement_id(json: &mut Json<'_>, id: StatementId) {
    json.raw(b",\"stid\":\"").number(u64::from(id.stream)).raw(b".").number(id.number).raw(b"\"");
}

fn write_end(json: &mut Json<'_>, end: &StatementEnd) {
    write_statement_id(json, end.id);
    json.raw(b",\"res\":{\"outcome\":\"");
    match &end.outcome {
        Outcome::Ok => json.raw(b"ok\""),
        // The five characters come from a server: what is no SQLSTATE is not written.
        Outcome::Error { sqlstate } if sqlstate.iter().all(u8::is_ascii_alphanumeric) => {
            json.raw(b"error\",\"sqlstate\":\"").raw(sqlstate).raw(b"\"")
        }
        Outcome::Error { .. } => json.raw(b"error\""),
        Outcome::Unknown => json.raw(b"unknown\""),
    };
    let took = u64::try_from(end.took.as_micros()).unwrap_or(u64::MAX);
    write_numbers(json, &[("rows", end.rows), ("bytes", end.bytes), ("dur_us", took)]);
    if end.masked_columns > 0 || end.masked_cells > 0 {
        write_numbers(json, &[("masked_cols", u64::from(end.masked_columns)), ("masked_cells", end.masked_cells)]);
    }
    write_tags(json, "masked", &end.shown.masked);
    write_tags(json, "clear", &end.shown.clear);
    json.raw(b"}");
}

/// What columns hold, in words of a fixed list; where they hold nothing, nothing.
fn write_tags<'t>(json: &mut Json<'_>, name: &str, tags: impl IntoIterator<Item = &'t &'static str>) {
    let mut before: &[u8] = b"[";
    for tag in tags {
        if before == b"[" {
            json.raw(b",\"").raw(name.as_bytes()).raw(b"\":");
        }
        json.raw(before).raw(b"\"").raw(tag.as_bytes()).raw(b"\"");
        before = b",";
    }
    if before == b"," {
        json.raw(b"]");
    }
}

fn is_one_line_of_json(text: &str) -> bool {
    !text.contains(['\n', '\r']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// What a client calls itself, cut to what programs use in their names: it is free text, and people put theirs there.
fn application_name(text: &str) -> String {
    /// `NAMEDATALEN - 1`: what PostgreSQL keeps of an application name.
    const LENGTH_MAX: usize = 63;
    let plain = |symbol: char| symbol.is_ascii_alphanumeric() || " ._-/()".contains(symbol);
    text.chars().take(LENGTH_MAX).map(|symbol| if plain(symbol) { symbol } else { '?' }).collect()
}

/// The part of a record that depends on the statement alone, kept per statement.
#[derive(Debug, Default)]
struct Parts {
    /// By the statement's address. The statement is kept beside the part, so the address cannot be given to another.
    known: HashMap<usize, (Arc<Statement>, Box<[u8]>)>,
}

impl Parts {
    fn write(&mut self, out: &mut Vec<u8>, statement: &Arc<Statement>) {
        let address = Arc::as_ptr(statement).addr();
        if let Some((_, part)) = self.known.get(&address) {
            out.extend_from_slice(part);
            return;
        }
        let start = out.len();
        write_statement(&mut Json::new(out), statement);
        let part = out.get(start..).unwrap_or_default();
        if part.len() <= PART_LENGTH_MAX {
            if self.known.len() >= PARTS_MAX {
                self.known.clear();
            }
            self.known.insert(address, (Arc::clone(statement), part.into()));
        }
    }
}

fn write_statement(json: &mut Json<'_>, statement: &Statement) {
    let parse = match statement.parse {
        Parse::Understood => "ok",
        Parse::Opaque => "opaque",
    };
    json.raw(b"\"parse\":\"").raw(parse.as_bytes()).raw(b"\",\"op\":[");
    for (index, operation) in statement.operations.iter().enumerate() {
        json.raw(if index == 0 { b"\"" } else { b",\"" }).raw(operation.word().as_bytes()).raw(b"\"");
    }
    json.raw(b"],\"objs\":[");
    let more = write_relations(json, &statement.relations);
    json.raw(b"]");
    if more > 0 {
        write_numbers(json, &[("objs_more", more)]);
    }
    write_tags(json, "tags", &*statement.tags);
    write_functions(json, &statement.functions);
    json.raw(b",\"norm\":");
    let text = match statement.parse {
        Parse::Understood => &*statement.normalized,
        // Nothing is known of it, so nothing of it is written, whatever the caller put there.
        Parse::Opaque => "",
    };
    if json.text_within(text, TEXT_MAX) {
        write_truth(json, "cut", true);
    }
    write_numbers(json, &[("bytes", u64::try_from(statement.length).unwrap_or(u64::MAX))]);
}

/// Writes the relations that fit, and returns how many did not.
fn write_relations(json: &mut Json<'_>, relations: &[Relation]) -> u64 {
    let mut room = RELATIONS_MAX;
    for (index, relation) in relations.iter().enumerate() {
        let touch = match relation.touch {
            Touch::Read => "read",
            Touch::Write => "write",
            Touch::Define => "define",
        };
        let mut one = Vec::new();
        let mut part = Json::new(&mut one);
        part.raw(if index == 0 { b"{" } else { b",{" });
        if let Some(schema) = &relation.schema {
            part.raw(b"\"schema\":").text(schema).raw(b",");
        }
        part.raw(b"\"name\":").text(&relation.name).raw(b",\"touch\":\"").raw(touch.as_bytes()).raw(b"\"}");
        let Some(rest) = room.checked_sub(one.len()) else {
            return u64::try_from(relations.len().saturating_sub(index)).unwrap_or(u64::MAX);
        };
        room = rest;
        json.raw(&one);
    }
    0
}

/// Writes the functions that fit, and how many did not.
fn write_functions(json: &mut Json<'_>, functions: &[Function]) {
    if functions.is_empty() {
        return;
    }
    json.raw(b",\"funcs\":[");
    let (mut room, mut more) = (FUNCTIONS_MAX, 0);
    for (index, function) in functions.iter().enumerate() {
        let mut one = Vec::new();
        let mut part = Json::new(&mut one);
        part.raw(if index == 0 { b"{" } else { b",{" }).raw(b"\"name\":").text(&function.name);
        if let Some(body) = &function.body {
            part.raw(b",\"body\":").text(body);
        }
        part.raw(b"}");
        let Some(rest) = room.checked_sub(one.len()) else {
            more = functions.len().saturating_sub(index);
            break;
        };
        room = rest;
        json.raw(&one);
    }
    json.raw(b"]");
    if more > 0 {
        write_numbers(json, &[("funcs_more", u64::try_from(more).unwrap_or(u64::MAX))]);
    }
}

/// The text of the second last written, because most records follow another within the same one.
#[derive(Debug, Default)]
struct Second {
    of: Option<u64>,
    /// `2026-11-22T14:10:21.`
    text: String,
}

impl Second {
    fn write(&mut self, json: &mut Json<'_>, at: Timestamp) {
        if self.of != Some(at.seconds()) {
            self.of = Some(at.seconds());
            self.text = at.to_string();
            self.text.truncate(self.text.len().saturating_sub("042Z".len()));
        }
        let millis = u16::try_from(at.millis() % 1000).unwrap_or(0);
        let digit = |value: u16| b'0' + u8::try_from(value % 10).unwrap_or(0);
        json.raw(self.text.as_bytes()).raw(&[digit(millis / 100), digit(millis / 10), digit(millis), b'Z']);
    }
}
