//! What the tests and benches of this repository may see from outside. Not an interface: it changes as the code does.

use std::sync::Arc;

use crate::domain::{
    Access, Digest, Environment, Grant, Identity, IdentityKind, Labels, Limits, Masking, Method, Secret, SessionId,
    Timestamp,
};
use crate::engine::{
    Catalog, Classification, ColumnKind, Decision, MaskKey, Policy, PolicySource, ResultColumn, Sampled, Scope,
    Snapshot, classify_relation,
};

/// A folder whose files are the entries of a list.
#[derive(Debug)]
pub struct List {
    /// Below `src/`.
    pub folder: &'static str,
    /// Name and summary of each entry.
    pub entries: Vec<(&'static str, &'static str)>,
    /// Files in the folder that are not entries.
    pub other_files: &'static [&'static str],
}

/// All lists of the kind "one file and one line".
pub fn lists() -> Vec<List> {
    vec![
        List {
            folder: "cli",
            entries: crate::cli::COMMANDS.iter().map(|command| (command.name(), command.summary())).collect(),
            other_files: &[
                "drift",
                "raw",
                "exit",
                "fleet",
                "moment",
                "output",
                "result",
                "stage",
                "tool",
                "variables",
                "wish",
                "wrapped",
            ],
        },
        List {
            folder: "cli/tool",
            entries: crate::cli::tool::TOOLS.iter().map(|tool| (tool.name(), tool.summary())).collect(),
            other_files: &["desk"],
        },
        List {
            folder: "client/token_store",
            entries: crate::client::token_store::TOKEN_STORES.iter().map(|s| (s.name(), s.summary())).collect(),
            other_files: &[],
        },
        List {
            folder: "engine/detector",
            entries: crate::engine::DETECTORS.iter().map(|detector| (detector.name(), detector.summary())).collect(),
            other_files: &["census", "checksum", "given_names", "name", "oracle", "ordinary", "scan", "surnames"],
        },
    ]
}

/// The engine without anything around it, for `benches/engine.rs`.
#[derive(Debug)]
pub struct Engine {
    engine: crate::engine::Engine,
    grant: Grant,
    scope: Scope,
}

impl Engine {
    /// Decides by this policy about the relations of this catalog, in production, for a person who may write. Why not,
    /// when one of the two cannot be read.
    pub fn new(policy: &str, catalog: &str) -> Result<Self, String> {
        let source = PolicySource::parse(policy).map_err(|mistake| mistake.message)?;
        let policy = Policy::written(Environment::Production, &source);
        let snapshot: Snapshot = serde_json::from_str(catalog).map_err(|error| error.to_string())?;
        let catalog = Catalog::from_snapshot(&snapshot, Classification::default());
        let key = MaskKey(Secret::new([7; 32]));
        let path = ["$user".to_owned(), "public".to_owned()];
        Ok(Self {
            grant: grant(Access::Write, IdentityKind::Person, policy.digest())?,
            engine: crate::engine::Engine::new(Arc::new(policy), Arc::new(catalog), Some(key)),
            scope: Scope::new("gv_rw", &path),
        })
    }

    /// Whether a text may run.
    pub fn allows(&self, text: &str) -> bool {
        let what = self.engine.understand(text.as_bytes());
        matches!(self.engine.decide(Timestamp::default(), &self.grant, &what, &self.scope), Decision::Allow(_))
    }

    /// Masks rows of texts nobody has classified; how many cells were changed.
    pub fn masks(&self, rows: &[Vec<String>]) -> u64 {
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let column =
            ResultColumn { name: String::new(), table: 0, attribute: 0, kind: TEXT, modifier: -1, binary: false };
        // A text that has no such command has no lineage either: its columns may hold anything.
        let what = self.engine.understand(b"");
        let mut masker = self.engine.masker(&self.grant, &what, 0, &self.scope, &vec![column; width]);
        for row in rows {
            masker.begin();
            row.iter().enumerate().for_each(|(index, cell)| masker.cell(index, Some(cell.as_bytes())));
            let _ = masker.finish();
        }
        masker.cells_masked()
    }
}

/// How many values detectors find in the cells of rows.
pub fn detect(rows: &[Vec<String>]) -> usize {
    crate::engine::values_in(rows.iter().flatten().map(String::as_str))
}

/// In how many of these columns, with their names and values, something was found.
pub fn classify(columns: &[(String, Vec<String>)]) -> usize {
    let sampled = columns.iter().map(|(name, values)| Sampled {
        table: "customers",
        name,
        kind: ColumnKind::Text,
        comment: None,
        values: values.iter().map(String::as_str).collect(),
        made_of: Vec::new(),
    });
    classify_relation(&sampled.collect::<Vec<_>>()).iter().flatten().count()
}

/// `text`
const TEXT: u32 = 25;

/// Access of somebody to a database, under this policy.
pub(crate) fn grant(access: Access, kind: IdentityKind, policy: Digest) -> Result<Grant, String> {
    Ok(Grant {
        session: SessionId::new(Timestamp::default(), [0; 10]),
        identity: Identity {
            issuer: "https://issuer.invalid".to_owned(),
            subject: "1".to_owned(),
            name: "alice".to_owned(),
            email: None,
            groups: Vec::new(),
            kind,
            actors: Vec::new(),
            method: Method::IdToken,
            proved_at: Timestamp::default(),
        },
        resource: "prod-db".parse().map_err(|_| "`prod-db` is no name of a resource")?,
        labels: Labels::new(),
        purpose: None,
        access,
        masking: Masking::Wire,
        reveal: Vec::new(),
        limits: Limits { connections_max: 1, rows_max: None },
        opened_at: Timestamp::default(),
        expires_at: Timestamp::from_seconds(1),
        policy,
    })
}

/// What `tests/fuzz` gives bytes to: a name, and a body next to the code that it tries.
#[cfg(any(test, fuzzing))]
const FUZZED: &[(&str, Body)] = &[
    ("bodies", |bytes| _ = crate::wire::fuzz::bodies(bytes)),
    ("bundles", |bytes| _ = crate::audit::fuzz::bundles(bytes)),
    ("canonical_policies", crate::engine::fuzz::canonical_policies),
    ("cells", crate::engine::fuzz::cells),
    ("checkpoints", |bytes| _ = crate::audit::fuzz::checkpoints(bytes)),
    ("claims", |bytes| _ = crate::identity::fuzz::claims(bytes)),
    ("codes", crate::identity::fuzz::codes),
    ("conversations", crate::session::fuzz::conversations),
    ("copies", crate::wire::postgres::fuzz::copies),
    ("documents", |bytes| _ = crate::identity::fuzz::documents(bytes)),
    ("envelopes", |bytes| _ = crate::audit::fuzz::changed_envelopes(bytes)),
    ("forms", |bytes| _ = crate::audit::fuzz::forms(bytes)),
    ("frames", crate::audit::fuzz::frames),
    ("logins", crate::wire::postgres::fuzz::logins),
    ("messages", crate::engine::fuzz::messages),
    ("openings", crate::wire::postgres::fuzz::opening),
    ("policies", |bytes| _ = crate::engine::fuzz::policies(bytes)),
    ("replies", |bytes| _ = crate::wire::postgres::fuzz::replies(bytes)),
    ("requests", |bytes| _ = crate::wire::postgres::fuzz::requests(bytes)),
    ("texts", crate::engine::fuzz::texts),
    ("tokens", |bytes| _ = crate::identity::fuzz::changed_tokens(bytes)),
    ("verifiers", crate::audit::fuzz::verifiers),
];

/// Does something with bytes that may be anything.
#[cfg(any(test, fuzzing))]
type Body = fn(&[u8]);

/// Gives bytes to the body of this name; it panics when something is wrong.
#[cfg(fuzzing)]
pub fn fuzz(name: &str, bytes: &[u8]) {
    for (_, body) in FUZZED.iter().filter(|(known, _)| *known == name) {
        body(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_every_body_takes_any_bytes_and_has_a_target() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/targets");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        let names: Vec<std::ffi::OsString> = FUZZED.iter().map(|(name, _)| format!("{name}.rs").into()).collect();
        assert_eq!(files, names);
        let mut chance = crate::domain::Chance::new(23);
        for (_, body) in FUZZED {
            for sample in [&b""[..], b"\0", b"{}", b"SELECT 1"] {
                body(sample);
                body(&chance.mutate(&[sample]));
            }
        }
    }
}
