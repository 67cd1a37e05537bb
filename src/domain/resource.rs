//! A database one may ask for, as everyone but the gateway sees it: no address, no password.

use std::collections::BTreeMap;

/// Labels of a resource, for example `env: prod`. Policies match on them.
pub(crate) type Labels = BTreeMap<String, String>;

/// Which database protocol a resource speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProtocolName {
    Postgres,
}

impl ProtocolName {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
        }
    }
}

/// How careful to be, from the `env` label. A resource without the label is treated as production: unknown means no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Environment {
    Production,
    Staging,
    Development,
}

impl Environment {
    pub(crate) fn of(labels: &Labels) -> Self {
        match labels.get("env").map(String::as_str) {
            Some("dev" | "development" | "test" | "local") => Self::Development,
            Some("staging" | "stage" | "qa" | "uat") => Self::Staging,
            _ => Self::Production,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Production => "prod",
            Self::Staging => "staging",
            Self::Development => "dev",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_environment_is_production() {
        let labelled = |value: &str| Labels::from([("env".to_owned(), value.to_owned())]);
        assert_eq!(Environment::of(&Labels::new()), Environment::Production);
        assert_eq!(Environment::of(&labelled("prdo")), Environment::Production);
        assert_eq!(Environment::of(&labelled("staging")), Environment::Staging);
        assert_eq!(Environment::of(&labelled("dev")), Environment::Development);
    }
}
