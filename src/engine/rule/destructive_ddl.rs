//! Refuses statements that drop or empty whole objects.

use super::Rule;
use crate::domain::{Action, Environment, Operation, Reason};
use crate::engine::sql::Understood;

pub(super) struct DestructiveDdl;

impl Rule for DestructiveDdl {
    fn name(&self) -> &'static str {
        "destructive_ddl"
    }

    fn summary(&self) -> &'static str {
        "DROP and TRUNCATE of tables, schemas, databases"
    }

    fn default(&self, environment: Environment) -> Action {
        match environment {
            Environment::Production => Action::Deny,
            Environment::Staging => Action::Hold,
            Environment::Development => Action::Observe,
        }
    }

    fn check(&self, what: &Understood) -> Option<Reason> {
        let drops = |operation: &Operation| matches!(operation, Operation::Drop | Operation::Truncate);
        what.statement.operations.iter().any(drops).then(|| Reason {
            rule: self.name(),
            message: "this would destroy data that cannot be brought back".to_owned(),
            detail: None,
            hint: Some("rename the object first, or ask the owner of the database".to_owned()),
            position: None,
        })
    }
}
