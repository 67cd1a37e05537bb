//! Who somebody is, and how that was proved.

use super::digest::Digest;
use super::time::Timestamp;

/// What kind of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IdentityKind {
    /// A human being.
    Person,
    /// A CI job or a service.
    Workload,
    /// A program that acts for a person and is trusted less than that person.
    Agent,
}

impl IdentityKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Workload => "workload",
            Self::Agent => "agent",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Person, Self::Workload, Self::Agent].into_iter().find(|kind| kind.word() == word)
    }
}

/// How the identity was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    /// An OpenID Connect ID token from the configured issuer.
    IdToken,
    /// A JWT access token (RFC 9068) from the configured issuer.
    AccessToken,
}

impl Method {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::IdToken => "id_token",
            Self::AccessToken => "access_token",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::IdToken, Self::AccessToken].into_iter().find(|method| method.word() == word)
    }
}

/// One link of the chain of those who act for the subject (RFC 8693 section 4.1, claim `act`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) kind: IdentityKind,
    pub(crate) id: String,
    /// SHA-256 of the text that says what an agent is for, as it was when the agent was let in.
    pub(crate) charter: Option<Digest>,
}

/// A proved identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `iss` of the token that proved it.
    pub(crate) issuer: String,
    /// `sub` of that token: unique within the issuer, never reassigned.
    pub(crate) subject: String,
    /// What to call them on a screen; not for comparison.
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) kind: IdentityKind,
    /// Who acts for the subject, the nearest first. Empty when the subject acts alone.
    pub(crate) actors: Vec<Actor>,
    pub(crate) method: Method,
    pub(crate) proved_at: Timestamp,
}

impl Identity {
    /// What kind of somebody acts: where an agent acts for a person, an agent does.
    pub(crate) fn acting(&self) -> IdentityKind {
        let is_agent = |actor: &Actor| actor.kind == IdentityKind::Agent;
        if self.actors.iter().any(is_agent) { IdentityKind::Agent } else { self.kind }
    }

    /// Whether this is the very same: the same subject, with the same chain of those who act for it.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.subject == other.subject && self.actors == other.actors
    }
}
