//! What the name of a column says, together with the table's.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::engine::detector::{DETECTORS, words};

/// How strongly a name claims an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// It speaks of the entity, among other words.
    Mentions,
    /// It may mean it.
    Hints,
    /// It ends in what the entity is called.
    Ends,
    /// It is what the entity is called.
    Names,
}

/// The claims of a name, by the places of their detectors. A claim within a longer one of another entity does not count:
/// an `ip address` is no postal address.
pub(super) fn claims(table: &str, column: &str) -> Vec<(usize, Claim)> {
    let words = words(column);
    let mut found: Vec<(usize, Claim, std::ops::Range<usize>)> = Vec::new();
    if words.first().is_some_and(|first| QUESTIONS.contains(&first.as_str())) {
        return Vec::new();
    }
    for (start, word) in words.iter().enumerate() {
        for phrase in PHRASES.get(word.as_str()).into_iter().flatten() {
            let end = start + phrase.words.len();
            let is_here = words
                .get(start..end)
                .is_some_and(|here| here.iter().map(String::as_str).eq(phrase.words.iter().copied()));
            if !is_here {
                continue;
            }
            let after = words.get(end..).unwrap_or_default();
            if after.iter().any(|word| ASIDE.binary_search(&word.as_str()).is_ok()) {
                continue;
            }
            let is_end = after
                .iter()
                .all(|word| NEUTRAL.contains(&word.as_str()) || word.bytes().all(|byte| byte.is_ascii_digit()));
            let claim = match (phrase.is_hint, start, is_end) {
                (false, 0, true) => Claim::Names,
                (false, _, true) => Claim::Ends,
                (true, 0, true) => Claim::Hints,
                (_, _, _) => Claim::Mentions,
            };
            found.push((phrase.detector, claim, start..end));
        }
    }
    let is_covered = |one: &(usize, Claim, std::ops::Range<usize>)| {
        found.iter().any(|other| {
            other.0 != one.0 && other.2.start <= one.2.start && other.2.end >= one.2.end && other.2.len() > one.2.len()
        })
    };
    let mut claims: HashMap<usize, Claim> = HashMap::new();
    for one in found.iter().filter(|one| !is_covered(one)) {
        // A table of persons turns a hint into an answer.
        let claim = if one.1 == Claim::Hints && is_of_persons(table) { Claim::Ends } else { one.1 };
        let best = claims.entry(one.0).or_insert(claim);
        *best = claim.max(*best);
    }
    let mut claims: Vec<_> = claims.into_iter().collect();
    claims.sort_unstable();
    claims
}

/// Whether a name says that values number things, which look like numbers of persons now and then.
pub(super) fn is_of_things(column: &str) -> bool {
    words(column).iter().any(|word| THINGS.binary_search(&word.as_str()).is_ok())
}

/// Whether a name says that people write texts there.
pub(super) fn is_of_texts(column: &str) -> bool {
    words(column).last().is_some_and(|word| TEXTS.binary_search(&word.as_str()).is_ok())
}

/// Whether a comment speaks of an entity, by the places of their detectors.
pub(super) fn spoken_of(comment: &str) -> Vec<usize> {
    let words = words(comment);
    let mut found: Vec<usize> = Vec::new();
    for (start, word) in words.iter().enumerate() {
        let phrases = PHRASES.get(word.as_str()).into_iter().flatten().filter(|phrase| !phrase.is_hint);
        found.extend(
            phrases
                .filter(|phrase| {
                    let here = words.get(start..start + phrase.words.len());
                    here.is_some_and(|here| here.iter().map(String::as_str).eq(phrase.words.iter().copied()))
                })
                .map(|phrase| phrase.detector),
        );
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether the rows of a table are persons.
pub(super) fn is_of_persons(table: &str) -> bool {
    words(table).iter().any(|word| {
        let singular = word.strip_suffix('s').unwrap_or(word);
        PERSONS.binary_search(&word.as_str()).is_ok() || PERSONS.binary_search(&singular).is_ok()
    })
}

struct Phrase {
    words: Vec<&'static str>,
    detector: usize,
    is_hint: bool,
}

/// What entities are called, by the first word.
static PHRASES: LazyLock<HashMap<&'static str, Vec<Phrase>>> = LazyLock::new(|| {
    let mut phrases: HashMap<&'static str, Vec<Phrase>> = HashMap::new();
    for (detector, entity) in DETECTORS.iter().enumerate() {
        let claims = entity.claims().iter().map(|claim| (*claim, false));
        for (claim, is_hint) in claims.chain(entity.hints().iter().map(|hint| (*hint, true))) {
            let words: Vec<&str> = claim.split(' ').collect();
            if let Some(first) = words.first() {
                phrases.entry(first).or_default().push(Phrase { words, detector, is_hint });
            }
        }
    }
    phrases
});

/// First words of names that ask a question or count.
const QUESTIONS: &[&str] = &[
    "is", "has", "can", "needs", "num", "count", "total", "allow", "allows", "show", "send", "enable", "enabled",
    "require", "requires", "should", "use", "uses", "max", "min", "avg", "sum", "n", "last4",
];

/// Words behind a claim that change nothing about it.
const NEUTRAL: &[&str] = &[
    "number",
    "no",
    "nr",
    "num",
    "nm",
    "name",
    "value",
    "val",
    "text",
    "txt",
    "str",
    "raw",
    "full",
    "main",
    "primary",
    "secondary",
    "old",
    "new",
    "alt",
    "alternate",
    "other",
    "home",
    "work",
    "mobile",
    "line",
    "plain",
    "encrypted",
    "enc",
    "hash",
    "hashed",
    "digest",
    "cd",
    "s",
    "x",
    "original",
    "orig",
    "current",
    "previous",
    "prev",
    "backup",
    "tmp",
    "addr",
    "clean",
    "normalized",
    "cliente",
    "customer",
    "client",
    "user",
    "lower",
    "upper",
    "string",
    "field",
    "col",
    "data",
    "info",
    "list",
    "a",
    "b",
    "c",
    "e",
    "pk",
];

/// Words behind a claim that make it speak of something else. Sorted.
const ASIDE: &[&str] = &[
    "accepted",
    "active",
    "allowed",
    "at",
    "attempts",
    "body",
    "brand",
    "category",
    "changed",
    "check",
    "checked",
    "class",
    "cnt",
    "config",
    "confirmed",
    "count",
    "country",
    "created",
    "date",
    "day",
    "days",
    "deleted",
    "delivered",
    "disabled",
    "domain",
    "enabled",
    "error",
    "errors",
    "exp",
    "expires",
    "expiry",
    "failed",
    "flag",
    "format",
    "frequency",
    "group",
    "id",
    "ids",
    "idx",
    "index",
    "is",
    "kind",
    "label",
    "lang",
    "language",
    "len",
    "length",
    "level",
    "limit",
    "limits",
    "mode",
    "month",
    "network",
    "notification",
    "notifications",
    "on",
    "opened",
    "opt",
    "option",
    "options",
    "order",
    "policy",
    "position",
    "preference",
    "preferences",
    "prefix",
    "provider",
    "quota",
    "rate",
    "reason",
    "required",
    "reset",
    "result",
    "schedule",
    "scheme",
    "scope",
    "score",
    "sent",
    "service",
    "setting",
    "settings",
    "size",
    "source",
    "state",
    "status",
    "strength",
    "subject",
    "suffix",
    "template",
    "time",
    "timestamp",
    "title",
    "tpl",
    "transport",
    "ts",
    "ttl",
    "type",
    "types",
    "updated",
    "usage",
    "used",
    "uuid",
    "valid",
    "validated",
    "verified",
    "version",
    "year",
];

/// What people call what they write. Sorted.
const TEXTS: &[&str] = &[
    "bemerkung",
    "bio",
    "body",
    "comment",
    "commentaire",
    "comments",
    "complaint",
    "feedback",
    "freetext",
    "kommentar",
    "memo",
    "message",
    "messages",
    "msg",
    "nota",
    "notas",
    "note",
    "notes",
    "notiz",
    "observaciones",
    "remark",
    "remarks",
    "reply",
    "subject",
    "transcript",
];

/// Things that are numbered. Sorted.
const THINGS: &[&str] = &[
    "article",
    "barcode",
    "batch",
    "booking",
    "build",
    "checksum",
    "commit",
    "container",
    "ean",
    "etag",
    "gtin",
    "invoice",
    "isbn",
    "item",
    "lot",
    "model",
    "order",
    "part",
    "po",
    "product",
    "receipt",
    "revision",
    "serial",
    "sha",
    "shipment",
    "sku",
    "span",
    "ticket",
    "trace",
    "tracking",
    "transaction",
    "txn",
    "upc",
    "version",
    "warehouse",
];

/// Words for persons in names of tables, in the singular. Sorted.
const PERSONS: &[&str] = &[
    "account",
    "admin",
    "agent",
    "applicant",
    "attendee",
    "author",
    "beneficiary",
    "borrower",
    "candidate",
    "client",
    "cliente",
    "clientes",
    "consumer",
    "contact",
    "crew",
    "customer",
    "doctor",
    "donor",
    "driver",
    "employee",
    "employees",
    "follower",
    "friend",
    "guest",
    "human",
    "individual",
    "instructor",
    "kunde",
    "kunden",
    "lead",
    "lecturer",
    "member",
    "nurse",
    "operator",
    "owner",
    "participant",
    "party",
    "passenger",
    "patient",
    "payee",
    "people",
    "person",
    "personal",
    "personnel",
    "persons",
    "physician",
    "player",
    "profile",
    "profiles",
    "prospect",
    "recipient",
    "resident",
    "seller",
    "signatory",
    "signer",
    "speaker",
    "staff",
    "student",
    "subscriber",
    "supporter",
    "teacher",
    "tenant",
    "traveler",
    "user",
    "usuario",
    "utilisateur",
    "visitor",
    "volunteer",
    "voter",
    "worker",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &str, column: &str, expected: &[(&str, Claim)]) {
        let found: Vec<_> = claims(table, column)
            .into_iter()
            .map(|(place, claim)| (DETECTORS[place].name(), claim))
            .filter(|(_, claim)| *claim >= Claim::Hints)
            .collect();
        assert_eq!(found, expected, "{table}.{column}");
    }

    #[test]
    fn lists_are_sorted() {
        for list in [ASIDE, PERSONS, THINGS] {
            assert!(list.is_sorted(), "{:?}", list.windows(2).find(|pair| pair[0] > pair[1]));
        }
    }

    #[test]
    fn names_claim() {
        check("t", "email", &[("email", Claim::Names)]);
        check("t", "pay", &[("salary", Claim::Names)]);
        check("t", "base_pay", &[("salary", Claim::Ends)]);
        check("t", "vergütung", &[("salary", Claim::Names)]);
        for other in ["payment_id", "payload", "pay_date", "pay_method", "paid_at", "payee_id", "is_pay", "payroll_id"]
        {
            check("t", other, &[]);
        }
        check("t", "billing_email", &[("email", Claim::Ends)]);
        check("t", "emailSettings", &[]);
        check("t", "email_sent_at", &[]);
        check("t", "has_phone", &[]);
        check("t", "address_count", &[]);
        check("t", "card_type", &[]);
        check("t", "ip_address", &[("ip_address", Claim::Names)]);
        check("t", "email_address", &[("email", Claim::Names)]);
        check("t", "address_line1", &[("address", Claim::Names)]);
        check("products", "name", &[("person_name", Claim::Hints)]);
        check("users", "name", &[("person_name", Claim::Ends)]);
        check("users", "invoice_display_name", &[]);
    }
}
