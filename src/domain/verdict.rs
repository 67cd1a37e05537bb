//! Allow, hold or deny; always with the rule and the reason.

/// What the policy says about a statement, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verdict {
    Allow,
    /// Runs only after somebody else agrees.
    Hold,
    Deny,
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }
}

/// What a rule's outcome is for an environment. `Observe` lets the statement run and says so in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Action {
    Allow,
    Observe,
    Hold,
    Deny,
}

impl Action {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Observe => "observe",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }
}

/// What kind of thing is wrong with a statement, where databases tell them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// It is understood, and not wanted.
    #[default]
    Forbidden,
    /// It is no statement.
    Syntax,
    /// It is no text.
    Encoding,
    TooLong,
    TooComplex,
    /// It names a relation that is not there.
    UnknownRelation,
}

/// Why a rule fired: what a person needs to understand it and to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// The rule's word in policy files, for example `missing_where`.
    pub(crate) rule: &'static str,
    /// What the statement does, lower case, no full stop.
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    /// Byte offset of the offending token in the statement's text.
    pub(crate) position: Option<usize>,
    pub(crate) fault: Fault,
}

impl Reason {
    pub(crate) fn new(rule: &'static str, message: impl Into<String>) -> Self {
        Self { rule, message: message.into(), detail: None, hint: None, position: None, fault: Fault::default() }
    }

    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    #[must_use]
    pub(crate) fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }
}
