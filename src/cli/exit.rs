//! Exit codes: a number for each thing a script may want to know. They are part of the interface; see `gov --help`.

use crate::domain::Kind;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Usage,
    Denied,
    NotLoggedIn,
    Pending,
    Limit,
    NotFound,
    Gateway,
    Database,
    Unsound,
    /// What a wrapped program ended with.
    Wrapped(u8),
}

/// All codes with their meaning, for the manual.
pub(crate) const MEANINGS: &[(Exit, &str)] = &[
    (Exit::Done, "done"),
    (Exit::Failed, "failed: a fault of gov's own"),
    (Exit::Usage, "not done: what was typed or configured is wrong"),
    (Exit::Denied, "not done: the policy says no"),
    (Exit::NotLoggedIn, "not done: nobody is logged in, or the login has ended"),
    (Exit::Pending, "not done yet: somebody else must agree first"),
    (Exit::Limit, "not done: a limit was reached"),
    (Exit::NotFound, "not done: the named thing does not exist"),
    (Exit::Gateway, "not done: the server, the identity provider or the network did not do its part"),
    (Exit::Database, "not done: the database refused or broke"),
    (Exit::Unsound, "done: what was verified is not sound"),
];

impl Exit {
    /// What shells report for a program that Ctrl-C ended: 128 and the number of SIGINT.
    pub(crate) const INTERRUPTED: Self = Self::Wrapped(130);

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::NotLoggedIn => 4,
            Self::Pending => 5,
            Self::Limit => 6,
            Self::NotFound => 7,
            Self::Gateway => 8,
            Self::Database => 9,
            Self::Unsound => 10,
            Self::Wrapped(code) => code,
        }
    }
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Usage => Self::Usage,
            Kind::NotLoggedIn => Self::NotLoggedIn,
            Kind::Denied => Self::Denied,
            Kind::Pending => Self::Pending,
            Kind::Limit => Self::Limit,
            Kind::NotFound => Self::NotFound,
            Kind::Gateway => Self::Gateway,
            Kind::Database => Self::Database,
            Kind::Internal => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_different_and_explained() {
        let codes: Vec<u8> = MEANINGS.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, (0..=10).collect::<Vec<u8>>());
    }
}
