//! Finds hashes of passwords as the usual functions write them.

use std::ops::Range;

use super::{Detector, Method, Sight};

pub(super) struct PasswordHash;

impl Detector for PasswordHash {
    fn name(&self) -> &'static str {
        "password_hash"
    }

    fn summary(&self) -> &'static str {
        "hashes of passwords"
    }

    fn method(&self) -> Method {
        Method::Redact
    }

    fn sight(&self) -> Sight {
        Sight::Text { signs: "$", find }
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "password hash",
            "passwordhash",
            "password digest",
            "passwd hash",
            "pwd hash",
            "hash password",
            "encrypted passwd",
            "bcrypt",
        ]
    }
}

/// Fewest bytes of one.
const LENGTH_MIN: usize = 30;

fn find(text: &str, from: usize) -> Option<Range<usize>> {
    const STARTS: &[&str] = &[
        "$2a$",
        "$2b$",
        "$2y$",
        "$1$",
        "$5$",
        "$6$",
        "$y$",
        "$argon2i$",
        "$argon2d$",
        "$argon2id$",
        "$scrypt$",
        "$pbkdf2",
        "pbkdf2_sha256$",
        "pbkdf2_sha1$",
        "scrypt:",
        "sha1$",
        "sha256$",
        "bcrypt_sha256$",
        "SCRAM-SHA-256$",
    ];
    // The shortest (MD5 in the form of crypt) has 34 characters.
    let rest = text.get(from..).filter(|rest| rest.len() >= LENGTH_MIN)?;
    let starts = STARTS.iter().filter_map(|start| rest.find(start).map(|at| from + at));
    let start = starts.min()?;
    let end = text
        .get(start..)?
        .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';'))
        .map_or(text.len(), |at| start + at);
    if end - start >= LENGTH_MIN { Some(start..end) } else { find(text, start + 1) }
}

#[cfg(test)]
mod tests {
    use super::super::Likeness;
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&PasswordHash, "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW", Likeness::Certain);
        check(
            &PasswordHash,
            "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG",
            Likeness::Certain,
        );
        check(&PasswordHash, "$2b$", Likeness::No);
        check(&PasswordHash, "US$ 12", Likeness::No);
    }
}
