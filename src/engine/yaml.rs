//! Reads YAML that people write. What nests deeper than people write it is refused before the parser sees it: the parser
//! takes a time that grows with the square of the depth, and hours over a few hundred kilobytes of `{a: {a: …`.

use serde::de::DeserializeOwned;

use super::policy::PolicyMistake;

/// Brackets and braces that may be open at the same time. A policy has two or three; those that stand alone in texts and
/// comments, which nobody closes, are counted along, so there is room for many.
const DEPTH_MAX: usize = 1_000;

/// Reads a document; a mistake has a place.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, PolicyMistake> {
    match too_deep(text) {
        Some(mistake) => Err(mistake),
        None => serde_yaml::from_str(text).map_err(|error| PolicyMistake::of(&error)),
    }
}

fn too_deep(text: &str) -> Option<PolicyMistake> {
    let mut depth = 0_usize;
    for (index, line) in text.lines().enumerate() {
        for (column, byte) in line.bytes().enumerate() {
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > DEPTH_MAX {
                let message = format!("more than {DEPTH_MAX} brackets are open here");
                return Some(PolicyMistake { line: index + 1, column: column + 1, message, hint: None });
            }
        }
    }
    None
}
