//! What the tests of this repository may see from outside. Not an interface: it changes as the code does.

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
                "exit",
                "fleet",
                "moment",
                "output",
                "result",
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
            other_files: &["checksum", "given_names", "name", "scan", "surnames"],
        },
    ]
}
