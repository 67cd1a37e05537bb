//! Who may use whom (`src/README.md`). One package has no crate walls, so this test is the wall.

use std::path::{Path, PathBuf};

use crate::support::repository;

/// For each module, the modules it may use. Whoever changes this changes `src/README.md` in the same commit.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("engine", &["domain"]),
    ("wire", &["domain"]),
    ("identity", &["domain"]),
    ("audit", &["domain"]),
    ("session", &["domain", "engine", "wire", "audit"]),
    ("runtime", &["domain", "engine", "wire", "identity", "audit", "session"]),
    ("client", &["domain", "engine", "wire", "identity", "audit", "session", "runtime"]),
    ("server", &["domain", "engine", "wire", "identity", "audit", "session", "runtime"]),
    ("cli", &["domain", "engine", "wire", "identity", "audit", "session", "runtime", "client", "server"]),
];

/// Modules that know nothing of the outside.
const PURE: &[&str] = &["domain", "engine", "wire", "identity", "audit", "session"];

/// Words that mean the outside.
const OUTSIDE: &[&str] = &[
    "tokio",
    ".await",
    "async ",
    "std::net",
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant",
    "SystemRandom",
    "println!",
    "eprintln!",
    "print!",
    "tracing",
    "reqwest",
    "rusqlite",
];

/// `std::net::IpAddr` is a number, not a socket.
const INNOCENT: &[&str] = &["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr"];

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The files of one module that are compiled into the product.
fn files_of(module: &str) -> Vec<PathBuf> {
    let folder = repository().join("src").join(module);
    let mut files = Vec::new();
    if folder.is_dir() {
        rust_files(&folder, &mut files);
    }
    files
}

/// The lines of a file that are code of the product: no comments, nothing from the tests at the end on.
fn code(path: &Path) -> Vec<(usize, String)> {
    let is_test_file =
        path.file_name().is_some_and(|name| name == "tests.rs" || name == "fuzz.rs" || name == "chance.rs");
    let text = std::fs::read_to_string(path).unwrap();
    let product = if is_test_file { "" } else { text.split("#[cfg(test)]\nmod tests").next().unwrap() };
    let lines = product.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.map(|(index, line)| (index + 1, line.split(" // ").next().unwrap().to_owned())).collect()
}

#[test]
fn modules_use_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for (module, may_use) in MAY_USE {
        for file in files_of(module) {
            for (number, line) in code(&file) {
                for rest in line.split("crate::").skip(1) {
                    let used: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    let known = MAY_USE.iter().any(|(name, _)| *name == used);
                    if known && used != *module && !may_use.contains(&used.as_str()) {
                        wrong.push(format!("{}:{number}: `{module}` uses `{used}`", file.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_table() {
    let library = std::fs::read_to_string(repository().join("src/lib.rs")).unwrap();
    let declared =
        library.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    for module in declared.filter(|module| *module != "doors") {
        assert!(MAY_USE.iter().any(|(name, _)| *name == module), "add `{module}` to MAY_USE");
    }
}

#[test]
fn pure_modules_do_not_touch_the_outside() {
    let mut wrong = Vec::new();
    for module in PURE {
        for file in files_of(module) {
            for (number, line) in code(&file) {
                let line = INNOCENT.iter().fold(line, |line, innocent| line.replace(innocent, ""));
                for word in OUTSIDE.iter().filter(|word| line.contains(**word)) {
                    wrong.push(format!("{}:{number}: `{word}`", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut files = Vec::new();
    rust_files(&repository().join("src"), &mut files);
    rust_files(&repository().join("tests/it"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let named = !["util", "utils", "common", "helpers", "misc", "types"].contains(&name);
        if !text.starts_with("//! ") || !named {
            wrong.push(file);
        }
    }
    assert!(wrong.is_empty(), "a name that says nothing, or no first line `//! …`: {wrong:?}");
}
