//! `completions/` and `man/` are made from the list of commands and committed. This test says when they are stale, and
//! with `GOV_UPDATE=1` makes them again.

use std::collections::BTreeMap;

use crate::support::{Sandbox, repository};

fn check(folder: &str, wanted: &BTreeMap<String, String>) {
    let folder = repository().join(folder);
    let update = std::env::var_os("GOV_UPDATE").is_some();
    if update {
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in wanted {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        found.insert(name, std::fs::read_to_string(path).unwrap());
    }
    let stale: Vec<_> =
        wanted.iter().filter(|(name, text)| found.get(*name) != Some(text)).map(|(name, _)| name).collect();
    let extra: Vec<_> = found.keys().filter(|name| !wanted.contains_key(*name)).collect();
    assert!(
        stale.is_empty() && extra.is_empty(),
        "{}: stale {stale:?}, not made any more {extra:?}; run: GOV_UPDATE=1 cargo test generated",
        folder.display()
    );
}

#[test]
fn generated_completions_are_fresh() {
    let sandbox = Sandbox::new();
    let shells = [("bash", "gov.bash"), ("zsh", "_gov"), ("fish", "gov.fish")];
    let made = shells.map(|(shell, file)| (file.to_owned(), sandbox.gov(["completions", shell]).ok().stdout));
    check("completions", &BTreeMap::from(made));
}

#[test]
fn generated_manual_pages_are_fresh() {
    let sandbox = Sandbox::new();
    sandbox.gov(["man", "--all", "man"]).ok();
    let mut made = BTreeMap::new();
    for entry in std::fs::read_dir(sandbox.home.join("man")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        made.insert(name, std::fs::read_to_string(path).unwrap());
    }
    assert_eq!(sandbox.gov(["man"]).ok().stdout, made["gov.1"]);
    assert_eq!(sandbox.gov(["man", "login"]).ok().stdout, made["gov-login.1"]);
    check("man", &made);
}
