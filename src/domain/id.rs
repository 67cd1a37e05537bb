//! Names and identifiers, parsed once at the edge and compared as types from then on.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::time::Timestamp;

/// Why a name was refused. Says which characters are allowed, because the person typing it needs that.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not a {what}: {rule}")]
pub(crate) struct BadName {
    pub(crate) what: &'static str,
    pub(crate) text: String,
    pub(crate) rule: &'static str,
}

/// Longest name of a resource, purpose or gateway. The length of a DNS label, so that a name can be a host name.
const NAME_LENGTH_MAX: usize = 63;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) struct $name(String);

        impl $name {
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let first_ok = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                let rest_ok = text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
                if first_ok && rest_ok && text.len() <= NAME_LENGTH_MAX {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(BadName {
                        what: $what,
                        text: text.chars().take(NAME_LENGTH_MAX).collect(),
                        rule: "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or a digit",
                    })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// What people call a database they may ask for, for example `prod-db`. Never its address.
    ResourceName,
    "resource name"
);
name!(
    /// A reason for access from the configured list, for example `support.ticket`.
    PurposeId,
    "purpose"
);
name!(
    /// An agent of the configured list, for example `report-bot`.
    AgentId,
    "name for an agent"
);
name!(
    /// A CI job or service of the configured list, for example `deploy`.
    WorkloadId,
    "name for a workload"
);

/// Crockford's base 32, the alphabet of the ULID specification.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 48 bits of milliseconds and 80 bits of chance (github.com/ulid/spec), written in lower case because database
/// role names carry it and PostgreSQL folds unquoted names to lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Ulid(u128);

impl Ulid {
    fn new(at: Timestamp, chance: [u8; 10]) -> Self {
        let low = chance.iter().fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
        Self((u128::from(at.millis() & 0xffff_ffff_ffff) << 80) | low)
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() != 26 {
            return None;
        }
        let mut value: u128 = 0;
        for (index, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|symbol| *symbol == byte.to_ascii_lowercase())?;
            if index == 0 && digit > 7 {
                return None;
            }
            value = (value << 5) | u128::try_from(digit).ok()?;
        }
        Some(Self(value))
    }
}

impl Ulid {
    /// The 26 symbols, for writers that have no formatter at hand.
    fn symbols(self) -> [u8; 26] {
        let mut rest = self.0;
        let mut out = [b'0'; 26];
        for symbol in out.iter_mut().rev() {
            let digit = usize::try_from(rest & 31).unwrap_or(0);
            *symbol = ALPHABET.get(digit).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        out
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.symbols()).unwrap_or_default())
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) struct $name(Ulid);

        impl $name {
            /// A new identifier for something made at `at`; `chance` must come from a secure source.
            pub(crate) fn new(at: Timestamp, chance: [u8; 10]) -> Self {
                Self(Ulid::new(at, chance))
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                Ulid::parse(text).map(Self).ok_or_else(|| BadName {
                    what: $what,
                    text: text.chars().take(64).collect(),
                    rule: "it has 26 letters and digits",
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

identifier!(
    /// One use of a grant.
    SessionId,
    "session id"
);
identifier!(
    /// One audit record, made by whoever writes it; the key under which uploading it twice is harmless.
    RecordId,
    "record id"
);

identifier!(
    /// One request for somebody's approval.
    ApprovalId,
    "approval"
);

impl SessionId {
    /// The 26 characters of its text form.
    pub(crate) fn symbols(self) -> [u8; 26] {
        self.0.symbols()
    }
}

impl RecordId {
    /// The 26 characters of its text form.
    pub(crate) fn symbols(self) -> [u8; 26] {
        self.0.symbols()
    }
}

/// Which statement of a session: the same number on both sides, because both count what the client sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StatementId {
    /// Which database connection of the session, from 1, in the order the client opened them.
    pub(crate) stream: u32,
    /// Which statement of that connection, from 1.
    pub(crate) number: u64,
}

impl fmt::Display for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stream, self.number)
    }
}

impl FromStr for StatementId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let parse = || {
            let (stream, number) = text.split_once('.')?;
            Some(Self { stream: stream.parse().ok()?, number: number.parse().ok()? })
        };
        parse().ok_or_else(|| BadName {
            what: "statement id",
            text: text.chars().take(64).collect(),
            rule: "it is two numbers with a dot between",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_once() {
        for good in ["prod-db", "a", "0", "support.ticket", &"a".repeat(63)] {
            assert_eq!(good.parse::<ResourceName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".a", "Prod", "a b", "a/b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<ResourceName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn identifiers_sort_by_time_and_round_trip() {
        let early = SessionId::new(Timestamp::from_millis(1), [0xff; 10]);
        let late = SessionId::new(Timestamp::from_millis(2), [0; 10]);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse::<SessionId>().unwrap(), early);
        assert_eq!(early.to_string().len(), 26);
        for bad in ["", "0", &"8".repeat(26), &"u".repeat(26)] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn statement_ids_round_trip() {
        let id = StatementId { stream: 3, number: 41 };
        assert_eq!(id.to_string().parse::<StatementId>().unwrap(), id);
        assert!("3".parse::<StatementId>().is_err());
    }
}
