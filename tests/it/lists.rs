//! Every kind of thing that is added often has a folder, a trait and a list. File name = name in the list = word that
//! people type; this test keeps the three equal.

use std::collections::BTreeSet;

use crate::support::repository;

#[test]
fn folders_and_lists_hold_the_same_names() {
    for list in gov::doors::lists() {
        let folder = repository().join("src").join(list.folder);
        let mut files = BTreeSet::new();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if !["mod", "tests"].contains(&name.as_str()) && !list.other_files.contains(&name.as_str()) {
                files.insert(name);
            }
        }
        let mut names = BTreeSet::new();
        for (name, summary) in &list.entries {
            assert!(names.insert((*name).to_owned()), "{}: `{name}` is there twice", list.folder);
            let fine = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            assert!(fine, "{}: `{name}` is not a word of a-z, 0-9 and `_`", list.folder);
            assert!(!summary.is_empty() && !summary.ends_with('.'), "{}: the summary of `{name}`", list.folder);
        }
        assert_eq!(files, names, "{}: files on the left, list on the right", list.folder);
    }
}

/// A command that has no transcript has never been seen.
#[test]
fn every_command_has_a_transcript() {
    let mut seen = String::new();
    for entry in std::fs::read_dir(repository().join("tests/it/commands")).unwrap() {
        seen.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let lists = gov::doors::lists();
    let commands = lists.iter().find(|list| list.folder == "cli").unwrap();
    for (name, _) in &commands.entries {
        assert!(seen.contains(&format!("$ gov {name}")), "write tests/it/commands/{name}.txt");
    }
}
