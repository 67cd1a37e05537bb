//! Double entry: the client's account of a statement against the gateway's.

use std::collections::BTreeMap;

use super::record::{Core, Happened};
use crate::domain::{Digest, SessionId, Side, StatementId};

/// Both accounts of every statement, until they agree.
#[derive(Debug, Default)]
pub(crate) struct Books {
    statements: BTreeMap<(SessionId, StatementId), Line>,
    matched: u64,
}

/// Both accounts of one statement, until they agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Accounts(Box<Pair>),
    /// Both sides have said the same.
    Matched,
    /// Something came after that.
    Again,
}

/// What comparing one statement's accounts came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Balance {
    /// Both sides say the same.
    Matched,
    /// The client refused it and forwarded nothing, so the gateway has nothing to say.
    RefusedByClient,
    /// The client swears that it forwarded this, and the gateway is silent: it left something out, or there is a way
    /// around it.
    ClientOnly,
    /// The client's account has not come in, or it never recorded this.
    GatewayOnly,
    /// Both speak, and differ in these.
    Mismatch(Vec<&'static str>),
    /// At least one side could not see how it ended: it may have run.
    Unknown,
    /// It waits for somebody to approve it, or waited until it was given up.
    Held,
    /// It has not ended yet.
    Open,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    client: Option<Account>,
    gateway: Option<Account>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Account {
    start: Option<Start>,
    end: Option<End>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    text: Digest,
    policy: Option<Digest>,
    action: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    outcome: String,
    sqlstate: Option<String>,
    rows: u64,
}

impl Books {
    /// Enters a record, if it is about a statement; `side` and `session` are those of the key that signed it.
    pub(crate) fn enter(&mut self, session: SessionId, side: Side, record: &Core) {
        // What one side refused has no number: the other side never saw it.
        let Some(id) = record.statement.filter(|id| id.number > 0) else { return };
        let line = self.statements.entry((session, id)).or_default();
        let before = *line == Line::Matched;
        line.enter(side, record);
        match (before, *line == Line::Matched) {
            (false, true) => self.matched += 1,
            (true, false) => self.matched -= 1,
            (true, true) | (false, false) => {}
        }
    }

    /// Statements on which both sides agree.
    pub(crate) fn matched(&self) -> u64 {
        self.matched
    }

    /// Whether this side has said how a statement ended. Not known any more once both agree: then both have.
    pub(crate) fn has_end(&self, session: SessionId, statement: StatementId, side: Side) -> bool {
        self.statements.get(&(session, statement)).is_some_and(|line| line.has_end(side))
    }

    /// Every other statement.
    pub(crate) fn unmatched(&self) -> impl Iterator<Item = (SessionId, StatementId, Balance)> {
        let unmatched = self.statements.iter().filter(|(_, line)| **line != Line::Matched);
        unmatched.map(|((session, id), line)| (*session, *id, line.balance()))
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::Accounts(Box::default())
    }
}

impl Line {
    /// Enters what one side says about the statement.
    pub(crate) fn enter(&mut self, side: Side, record: &Core) {
        // What only mentions a statement says nothing of how it went.
        if record.decided.is_none() && record.happened.is_none() {
            return;
        }
        let pair = match self {
            Self::Accounts(pair) => pair,
            // Whoever finds a chain after a crash may not know that the statement had ended.
            Self::Matched if record.happened.as_ref().is_some_and(Happened::is_unknown) => return,
            Self::Matched | Self::Again => {
                *self = Self::Again;
                return;
            }
        };
        let account = match side {
            Side::Client => pair.client.get_or_insert_default(),
            Side::Gateway => pair.gateway.get_or_insert_default(),
            Side::Server => return,
        };
        if let (Some(asked), Some(decided)) = (&record.asked, &record.decided) {
            let (text, policy, action) = (asked.hmac, decided.policy, decided.action.clone());
            account.start = Some(Start { text, policy, action });
        }
        if let Some(happened) = &record.happened {
            // `unknown` is what is said when nothing is known; an end that was seen says more.
            if account.end.is_none() || !happened.is_unknown() {
                let (outcome, sqlstate) = (happened.outcome.clone(), happened.sqlstate.clone());
                account.end = Some(End { outcome, sqlstate, rows: happened.rows });
            }
        }
        if pair.balance() == Balance::Matched {
            *self = Self::Matched;
        }
    }

    /// Whether this side has said what was asked. Not known any more once both agree: then both have.
    pub(crate) fn has(&self, side: Side) -> bool {
        self.says(side, |account| account.start.is_some())
    }

    /// Whether this side has said how it ended; as for [`Self::has`].
    fn has_end(&self, side: Side) -> bool {
        self.says(side, |account| account.end.is_some())
    }

    fn says(&self, side: Side, what: impl Fn(&Account) -> bool) -> bool {
        match (self, side) {
            (Self::Accounts(pair), Side::Client) => pair.client.as_ref().is_some_and(what),
            (Self::Accounts(pair), Side::Gateway) => pair.gateway.as_ref().is_some_and(what),
            (Self::Matched | Self::Again, _) => true,
            (Self::Accounts(_), Side::Server) => false,
        }
    }

    /// What comparing the two comes to.
    pub(crate) fn balance(&self) -> Balance {
        match self {
            Self::Accounts(pair) => pair.balance(),
            Self::Matched => Balance::Matched,
            Self::Again => Balance::Mismatch(vec!["said again"]),
        }
    }

    /// The line as a text, for whoever keeps it elsewhere; read back by [`Line::read`].
    pub(crate) fn write(&self) -> String {
        match self {
            Self::Accounts(pair) => {
                let [client, gateway] = [&pair.client, &pair.gateway]
                    .map(|account| account.as_ref().map_or_else(String::new, Account::write));
                format!("{client}|{gateway}")
            }
            Self::Matched => "matched".to_owned(),
            Self::Again => "again".to_owned(),
        }
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let account = |text: &str| if text.is_empty() { Some(None) } else { Account::read(text).map(Some) };
        match text {
            "matched" => Some(Self::Matched),
            "again" => Some(Self::Again),
            accounts => {
                let (client, gateway) = accounts.split_once('|')?;
                Some(Self::Accounts(Box::new(Pair { client: account(client)?, gateway: account(gateway)? })))
            }
        }
    }
}

impl Balance {
    /// The word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::RefusedByClient => "refused_by_client",
            Self::ClientOnly => "client_only",
            Self::GatewayOnly => "gateway_only",
            Self::Mismatch(_) => "mismatch",
            Self::Unknown => "unknown",
            Self::Held => "held",
            Self::Open => "open",
        }
    }
}

impl Account {
    /// Words separated by spaces: three of the start, three of the end; `-` where there is none.
    fn write(&self) -> String {
        let start = self.start.as_ref().map_or_else(
            || "- - -".to_owned(),
            |start| {
                let policy = start.policy.map_or_else(|| "-".to_owned(), |policy| policy.to_string());
                format!("{} {policy} {}", start.text, start.action)
            },
        );
        let end = self.end.as_ref().map_or_else(
            || "- - -".to_owned(),
            |end| format!("{} {} {}", end.outcome, end.sqlstate.as_deref().unwrap_or("-"), end.rows),
        );
        format!("{start} {end}")
    }

    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [hmac, policy, action, outcome, sqlstate, rows] = words.as_slice() else { return None };
        let given = |word: &&str| (*word != "-").then(|| (*word).to_owned());
        let start = match given(hmac) {
            None => None,
            Some(hmac) => {
                let policy = match given(policy) {
                    None => None,
                    Some(policy) => Some(Digest::parse(&policy)?),
                };
                Some(Start { text: Digest::parse(&hmac)?, policy, action: (*action).to_owned() })
            }
        };
        let end = match given(outcome) {
            None => None,
            Some(outcome) => Some(End { outcome, sqlstate: given(sqlstate), rows: rows.parse().ok()? }),
        };
        Some(Self { start, end })
    }
}

impl Pair {
    fn balance(&self) -> Balance {
        match (&self.client, &self.gateway) {
            (None, None) => Balance::Open,
            (Some(client), None) => match client.start.as_ref().map(|start| start.action.as_str()) {
                Some("deny" | "hold") => Balance::RefusedByClient,
                // It ended before it had an answer: it may not have come to forwarding.
                _ if client.end.as_ref().is_some_and(|end| end.outcome == "unknown") => Balance::Unknown,
                _ => Balance::ClientOnly,
            },
            (None, Some(_)) => Balance::GatewayOnly,
            // An end without its start: what a dead client had signed comes in after what its finder signed. A chain
            // that leaves one out for good has a gap.
            (Some(client), Some(_)) if client.start.is_none() => Balance::GatewayOnly,
            (Some(client), Some(gateway)) => compare(client, gateway),
        }
    }
}

fn compare(client: &Account, gateway: &Account) -> Balance {
    let (Some(ours), Some(theirs)) = (&client.start, &gateway.start) else {
        return Balance::Mismatch(vec!["start"]);
    };
    let mut differ = Vec::new();
    let mut check = |same: bool, what| {
        if !same {
            differ.push(what);
        }
    };
    let unread = theirs.text == Digest::UNREAD && matches!(theirs.action.as_str(), "deny" | "hold");
    check(ours.text == theirs.text || unread, "text");
    check(ours.policy == theirs.policy, "policy");
    if ours.action == "allow" && matches!(theirs.action.as_str(), "deny" | "hold") {
        // The client handed it on and the gateway turned it away: all the client may have had of it is an error.
        let outcome = client.end.as_ref().map(|end| (end.outcome.as_str(), end.rows));
        check(matches!(outcome, None | Some(("unknown" | "error", 0))) && gateway.end.is_none(), "action");
        return match outcome {
            _ if !differ.is_empty() => Balance::Mismatch(differ),
            None => Balance::Open,
            Some(_) => Balance::Matched,
        };
    }
    check(ours.action == theirs.action, "action");
    match (&client.end, &gateway.end) {
        (Some(ours), Some(theirs)) if ours.outcome == "unknown" || theirs.outcome == "unknown" => {
            return if differ.is_empty() { Balance::Unknown } else { Balance::Mismatch(differ) };
        }
        (Some(ours), Some(theirs)) => {
            check(ours.outcome == theirs.outcome && ours.sqlstate == theirs.sqlstate, "outcome");
            check(ours.rows == theirs.rows, "rows");
        }
        (None, None) if ours.action == "hold" && differ.is_empty() => return Balance::Held,
        (None, None) if ours.action != "allow" || !differ.is_empty() => {}
        // One of the two has not come in yet.
        (None, None) | (Some(_), None) | (None, Some(_)) => {
            return if differ.is_empty() { Balance::Open } else { Balance::Mismatch(differ) };
        }
    }
    if differ.is_empty() { Balance::Matched } else { Balance::Mismatch(differ) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn session() -> SessionId {
        SessionId::new(Timestamp::from_millis(1), [0; 10])
    }

    #[test]
    fn what_has_no_number_is_nobody_elses_business() {
        let mut refused = start("a", "b", "deny");
        refused.statement = Some(StatementId { stream: 1, number: 0 });
        let mut books = Books::default();
        books.enter(session(), Side::Client, &refused);
        assert_eq!(books.unmatched().count(), 0);
    }

    fn record(rest: &str) -> Core {
        let id = "0".repeat(26);
        let text = format!(
            r#"{{"id":"{id}","seq":0,"ts":"2026-11-22T14:10:21.057Z","kind":"x","side":"client","stid":"1.1",{rest}}}"#
        );
        Core::parse(&text).unwrap()
    }

    fn start(text: &str, policy: &str, action: &str) -> Core {
        record(&format!(
            r#""q":{{"parse":"ok","op":[],"objs":[],"norm":"","bytes":1,"hmac":"{}"}},
               "dec":{{"action":"{action}","rules":[],"policy":"{}","engine":"1"}}"#,
            text.repeat(64),
            policy.repeat(64)
        ))
    }

    fn end(outcome: &str, rows: u64) -> Core {
        record(&format!(r#""res":{{"outcome":"{outcome}","rows":{rows}}}"#))
    }

    /// What the books say when each side has entered these records, whoever comes first.
    fn check(client: &[Core], gateway: &[Core], expected: &Balance) {
        let sides = [(Side::Client, client), (Side::Gateway, gateway)];
        for order in [[0, 1], [1, 0]] {
            let mut books = Books::default();
            let mut kept = Line::default().write();
            for (side, records) in order.map(|index| sides[index]) {
                for record in records {
                    books.enter(session(), side, record);
                    let mut line = Line::read(&kept).unwrap();
                    line.enter(side, record);
                    kept = line.write();
                }
            }
            assert_eq!(&Line::read(&kept).unwrap().balance(), expected, "kept as a text in between");
            let balance = books.unmatched().next().map_or(Balance::Matched, |(_, _, balance)| balance);
            assert_eq!(&balance, expected);
            assert_eq!(books.matched(), u64::from(*expected == Balance::Matched));
        }
    }

    #[test]
    fn what_comes_after_both_agreed_is_not_overlooked() {
        let mut books = Books::default();
        for side in [Side::Client, Side::Gateway] {
            books.enter(session(), side, &start("a", "b", "allow"));
            books.enter(session(), side, &end("ok", 3));
        }
        assert_eq!((books.matched(), books.unmatched().count()), (1, 0));
        books.enter(session(), Side::Gateway, &end("unknown", 0));
        assert_eq!((books.matched(), books.unmatched().count()), (1, 0));
        books.enter(session(), Side::Gateway, &start("c", "b", "allow"));
        books.enter(session(), Side::Gateway, &end("ok", 3));
        assert_eq!(books.matched(), 0);
        assert_eq!(books.unmatched().next().unwrap().2, Balance::Mismatch(vec!["said again"]));
    }

    #[test]
    fn accounts_are_compared_field_by_field() {
        let allow = || start("a", "b", "allow");
        let ok = || end("ok", 3);
        let mismatch = |what: &[&'static str]| Balance::Mismatch(what.to_vec());
        check(&[allow(), ok()], &[allow(), ok()], &Balance::Matched);
        check(&[start("a", "b", "deny")], &[start("a", "b", "deny")], &Balance::Matched);
        let held = || start("a", "b", "hold");
        check(&[held()], &[held()], &Balance::Held);
        check(&[held(), allow(), ok()], &[held(), allow(), ok()], &Balance::Matched);
        check(&[held()], &[held(), allow(), ok()], &mismatch(&["action"]));
        check(&[allow(), ok()], &[], &Balance::ClientOnly);
        check(&[allow()], &[], &Balance::ClientOnly);
        check(&[allow(), end("unknown", 0)], &[], &Balance::Unknown);
        check(&[start("a", "b", "deny")], &[], &Balance::RefusedByClient);
        check(&[], &[allow(), ok()], &Balance::GatewayOnly);
        check(&[allow(), ok()], &[allow()], &Balance::Open);
        check(&[allow()], &[allow()], &Balance::Open);
        check(&[allow(), ok()], &[start("c", "b", "allow"), ok()], &mismatch(&["text"]));
        check(&[allow(), ok()], &[start("a", "c", "allow"), ok()], &mismatch(&["policy"]));
        check(&[allow(), ok()], &[start("a", "b", "deny")], &mismatch(&["action"]));
        // What the gateway turned away has an error for the client, and no rows; what it did not read has no text.
        for action in ["deny", "hold"] {
            check(&[allow(), end("error", 0)], &[start("a", "b", action)], &Balance::Matched);
            check(&[allow(), end("unknown", 0)], &[start("a", "b", action)], &Balance::Matched);
            check(&[allow()], &[start("a", "b", action)], &Balance::Open);
            check(&[allow(), end("error", 3)], &[start("a", "b", action)], &mismatch(&["action"]));
            check(&[allow(), end("error", 0)], &[start("c", "b", action)], &mismatch(&["text"]));
        }
        check(&[allow(), end("error", 0)], &[start("0", "b", "deny")], &Balance::Matched);
        check(&[allow(), ok()], &[start("0", "b", "allow"), ok()], &mismatch(&["text"]));
        check(&[allow(), ok()], &[allow(), end("error", 3)], &mismatch(&["outcome"]));
        check(&[allow(), ok()], &[allow(), end("ok", 4)], &mismatch(&["rows"]));
        check(&[allow(), end("unknown", 0)], &[allow(), ok()], &Balance::Unknown);
        check(&[allow(), ok(), end("unknown", 0)], &[allow(), ok()], &Balance::Matched);
        check(&[ok()], &[allow(), ok()], &Balance::GatewayOnly);
        check(&[allow(), ok()], &[ok()], &mismatch(&["start"]));
    }
}
