//! What would happen to a statement, without running it: whether it may run, and what its columns come from.

use super::catalog::Catalog;
use super::lineage::{Form, Lineage, Origin, Outputs, Source};
use super::mask::plan::{Treatment, of_origin};

/// A result column of a statement that nobody has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExplainedColumn {
    /// Its name as far as the text gives it one; `*` for all of them when the text does not say how many there are.
    pub(crate) name: String,
    pub(crate) mask: ExplainedMask,
    pub(crate) from: Vec<ExplainedSource>,
}

/// What becomes of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExplainedMask {
    /// They pass.
    Clear,
    /// Values in them that look sensitive are masked.
    Watched,
    /// They are masked as this.
    Masked(&'static str),
    /// Nothing of them is shown.
    Hidden,
}

/// Something its values come from, and how it shows in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExplainedSource {
    pub(crate) name: String,
    pub(crate) how: &'static str,
}

/// A column of which a statement compares masks, where the database shows masks: whoever looks for a value by them finds
/// none, which looks like an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// With its table.
    pub(crate) column: String,
    /// Whole values are found, since they are looked up.
    pub(super) looked_up: bool,
}

impl Compared {
    /// What to say about it.
    pub(crate) fn message(&self) -> String {
        format!("`{}` is masked: this compares its masks, not its values", self.column)
    }

    /// What finds values all the same.
    pub(crate) fn detail(&self) -> &'static str {
        match self.looked_up {
            true => "Only = and IN with whole values, written out or bound, find what they look for.",
            false => "No comparison with a value finds what it looks for.",
        }
    }
}

pub(super) fn columns(catalog: &Catalog, lineage: &Lineage) -> Vec<ExplainedColumn> {
    let column = |name: &str, origin: &Origin| ExplainedColumn {
        name: if name.is_empty() { "?column?" } else { name }.to_owned(),
        mask: match of_origin(catalog, origin) {
            Treatment::Clear => ExplainedMask::Clear,
            Treatment::Glance | Treatment::Look | Treatment::Definition | Treatment::Suspect(_) => {
                ExplainedMask::Watched
            }
            Treatment::Entity(entity) => ExplainedMask::Masked(entity.name()),
            Treatment::Redact | Treatment::Hide => ExplainedMask::Hidden,
        },
        from: origin.sources().map(|(source, form)| explained(catalog, source, form)).collect(),
    };
    match &lineage.outputs {
        Outputs::Columns(columns) => columns.iter().map(|named| column(&named.name, &named.origin)).collect(),
        Outputs::All(origin) if origin.is_empty() => Vec::new(),
        Outputs::All(origin) => vec![column("*", &origin.clone().at_least(Form::Readable))],
    }
}

fn explained(catalog: &Catalog, source: &Source, form: Form) -> ExplainedSource {
    let name = match source {
        Source::Column { relation, attribute, key } => {
            let relation = catalog.relation(*relation);
            let column = relation.and_then(|found| found.column(*attribute));
            match relation.zip(column) {
                Some((relation, column)) => {
                    let key = key.as_ref().map(|key| format!(" -> {}", key.name)).unwrap_or_default();
                    format!("{}.{}.{}{key}", relation.schema, relation.name, column.name)
                }
                None => "a column that is not known".to_owned(),
            }
        }
        Source::Temporary => "a temporary table".to_owned(),
        Source::CatalogText => "texts of the system catalogs".to_owned(),
        Source::CatalogTree => "expressions of the system catalogs, unprinted".to_owned(),
        Source::Secret => "statistics, bounds of partitions, or texts of other sessions".to_owned(),
        Source::Unknown => "something that is not known".to_owned(),
    };
    let how = match form {
        Form::Same => "as it is",
        Form::Picked => "one of its values",
        Form::Readable => "still readable",
        Form::Computed => "computed",
    };
    ExplainedSource { name, how }
}
