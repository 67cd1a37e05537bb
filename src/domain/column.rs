//! A column of a database, by its name.

use std::fmt;
use std::str::FromStr;

use super::id::BadName;

/// `relation.column` or `schema.relation.column`, as it is in the catalog: in lower case unless it was made otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ColumnName {
    /// `None` where the search path is to say.
    pub(crate) schema: Option<String>,
    pub(crate) relation: String,
    pub(crate) column: String,
}

/// Longest name that is read: three identifiers of PostgreSQL with their dots, and some.
const LENGTH_MAX: usize = 256;

impl FromStr for ColumnName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let parts: Vec<&str> = text.split('.').collect();
        let good = text.len() <= LENGTH_MAX
            && parts.iter().all(|part| !part.is_empty() && !part.chars().any(char::is_control));
        match parts.as_slice() {
            [relation, column] if good => {
                Ok(Self { schema: None, relation: (*relation).to_owned(), column: (*column).to_owned() })
            }
            [schema, relation, column] if good => Ok(Self {
                schema: Some((*schema).to_owned()),
                relation: (*relation).to_owned(),
                column: (*column).to_owned(),
            }),
            _ => Err(BadName {
                what: "column",
                text: text.chars().take(LENGTH_MAX).collect(),
                rule: "write it as `table.column` or `schema.table.column`",
            }),
        }
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        write!(f, "{}.{}", self.relation, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for text in ["customers.email", "public.customers.email", "Sales.Kunden.E-Mail"] {
            assert_eq!(text.parse::<ColumnName>().unwrap().to_string(), text);
        }
        for text in ["", "email", "a.b.c.d", "a..b", ".a.b", "a.b\n", &format!("a.{}", "b".repeat(300))] {
            assert!(text.parse::<ColumnName>().is_err(), "{text}");
        }
    }
}
