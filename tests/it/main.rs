//! Black-box tests: the built binary, real processes, real sockets. One test binary, so it links once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot go on should say so at once, and these tests are themselves the outside"
)]

mod approvals;
mod attacks;
mod audit;
mod contract;
mod copies;
mod definitions;
mod demo;
mod drivers;
mod export;
mod faults;
mod filled;
mod fleet;
mod full;
mod generated;
mod guard;
mod guardrails;
mod hostile;
mod in_database;
mod killed;
mod kinds;
mod layers;
mod leak;
mod limits;
mod lists;
mod login;
mod mask;
mod mcp;
mod oidc;
mod pages;
mod preflight;
mod protocol;
mod raw_texts;
mod reload;
mod requests;
mod reveal;
mod support;
mod transcripts;
mod tripwire;
mod tunnel;
mod unauthorised;
mod witness;
mod workload;

/// A test file without a `mod` line above would never run.
#[test]
fn no_file_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let listed: Vec<_> =
        include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_test = path.extension().is_some_and(|extension| extension == "rs") || path.join("mod.rs").exists();
        assert!(!is_test || name == "main" || listed.contains(&name.as_str()), "add `mod {name};` to tests/it/main.rs");
    }
}
