//! What a person is told when something did not happen, on a screen or in their database's own protocol.

use std::fmt;

/// Whose move it is. Fixes the exit code, the SQLSTATE and the HTTP status; see each of those for the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// What was typed or configured is wrong.
    Usage,
    /// Nobody is logged in, or the login has ended.
    NotLoggedIn,
    /// The policy says no.
    Denied,
    /// Somebody else must say yes first.
    Pending,
    /// A limit was reached: time, rows, connections.
    Limit,
    /// The named thing does not exist, or the reader may not know that it does.
    NotFound,
    /// The gateway, the identity provider or the network between did not do its part.
    Gateway,
    /// The database refused or broke.
    Database,
    /// A fault of ours.
    Internal,
}

/// A message in the three parts PostgreSQL and people know: what happened, more about it, what to do.
///
/// `message` is lower case without a full stop, `detail` is sentences, `hint` names something to run. None of the
/// three may hold a secret, a value from a row, or more than the reader may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None }
    }

    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The words of a lower layer as the detail: with a capital letter and a full stop they are a sentence.
    #[must_use]
    pub(crate) fn cause(self, words: impl fmt::Display) -> Self {
        let words = words.to_string();
        let mut letters = words.trim_end_matches('.').chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        let sentence: String = first.chain(letters).chain(['.']).collect();
        self.detail(sentence)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    /// The message alone; whoever shows a failure to a person prints detail and hint on lines of their own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_sentences() {
        for (words, sentence) in
            [("no such file", "No such file."), ("It broke.", "It broke."), ("über", "Über."), ("", ".")]
        {
            assert_eq!(Failure::new(Kind::Usage, "x").cause(words).detail.as_deref(), Some(sentence));
        }
    }
}
