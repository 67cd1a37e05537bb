//! What a value comes from: sources, and how each of them shows in it.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Where values come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Source {
    /// A column of a table. With the last name of a path into it, when it holds values with names: a JSON key, a field.
    Column { relation: u32, attribute: i16, key: Option<Key> },
    /// A temporary table of the session.
    Temporary,
    /// Text of the system catalogs, which may quote values: comments, definitions, conditions.
    CatalogText,
    /// An expression as the system catalogs keep it. The constants in it stand as bytes, in which nobody finds anything.
    CatalogTree,
    /// What holds values of columns without saying of which: statistics, bounds of partitions, texts of other sessions.
    Secret,
    /// Code or a name that is not known: it may have read anything.
    Unknown,
}

/// A name under which a value stands in another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct Key {
    pub(in crate::engine) name: Box<str>,
    /// The value has no names in it: a number or a text.
    pub(in crate::engine) leaf: bool,
}

/// How a source shows in a value, from nothing changed to anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Form {
    /// It is the source's value, row by row.
    Same,
    /// It is one of the source's values.
    Picked,
    /// The source's value stands in it so that one would recognise it.
    Readable,
    /// It was computed from the source's value.
    Computed,
}

/// What a value comes from. Nothing at all: a constant, or the server's own knowledge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Origin {
    sources: BTreeMap<Source, Form>,
    /// Of a row: its columns.
    fields: Option<Arc<[Named]>>,
}

/// A column with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Named {
    pub(in crate::engine) name: Box<str>,
    pub(in crate::engine) origin: Origin,
}

impl Named {
    pub(super) fn new(name: &str, origin: Origin) -> Self {
        Self { name: name.into(), origin }
    }
}

impl Source {
    /// The relation and attribute, where it is a column of a table that is known.
    pub(in crate::engine) fn column(&self) -> Option<(u32, i16)> {
        match self {
            Self::Column { relation, attribute, .. } => Some((*relation, *attribute)),
            Self::Temporary | Self::CatalogText | Self::CatalogTree | Self::Secret | Self::Unknown => None,
        }
    }
}

impl Origin {
    pub(super) fn of(source: Source, form: Form) -> Self {
        Self { sources: BTreeMap::from([(source, form)]), fields: None }
    }

    pub(super) fn unknown() -> Self {
        Self::of(Source::Unknown, Form::Computed)
    }

    /// A row of these columns.
    pub(super) fn row(fields: Vec<Named>) -> Self {
        let all = fields.iter().fold(Self::default(), |all, field| all.and(&field.origin));
        Self { fields: Some(fields.into()), ..all.at_least(Form::Readable) }
    }

    pub(in crate::engine) fn sources(&self) -> impl Iterator<Item = (&Source, Form)> {
        self.sources.iter().map(|(source, form)| (source, *form))
    }

    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    pub(super) fn fields(&self) -> Option<&[Named]> {
        self.fields.as_deref()
    }

    /// Every source is there unchanged.
    pub(super) fn is_same(&self) -> bool {
        self.sources.values().all(|form| *form == Form::Same)
    }

    /// Made of both.
    pub(super) fn and(mut self, other: &Self) -> Self {
        for (source, form) in &other.sources {
            let entry = self.sources.entry(source.clone()).or_insert(*form);
            *entry = (*entry).max(*form);
        }
        self.fields = None;
        self
    }

    /// One or the other: a column of a set operation, an arm of a CASE. Only where all of them are columns themselves is
    /// the outcome one; a value that somebody chose among them makes the rest comparable with it.
    pub(super) fn or(self, other: &Self) -> Self {
        let mixed = !(self.is_same() && other.is_same()) || self.is_empty() != other.is_empty();
        let both = self.and(other);
        if mixed { both.at_least(Form::Picked) } else { both }
    }

    /// The same sources, changed at least so much.
    pub(in crate::engine) fn at_least(mut self, floor: Form) -> Self {
        self.sources.values_mut().for_each(|form| *form = (*form).max(floor));
        self
    }

    pub(super) fn computed(mut self) -> Self {
        self.fields = None;
        self.at_least(Form::Computed)
    }

    /// Changed so that nobody recognises any more what stands in it: also what has no names in it can be anything.
    pub(super) fn blurred(self) -> Self {
        let Self { sources, .. } = self;
        let blur = |source: Source| match source {
            Source::Column { relation, attribute, key: Some(Key { name, .. }) } => {
                Source::Column { relation, attribute, key: Some(Key { name, leaf: false }) }
            }
            source => source,
        };
        Self { sources: sources.into_keys().map(|source| (blur(source), Form::Computed)).collect(), fields: None }
    }

    /// Written out by a function that prints the system catalogs: what they hold stays what it is, of everything else it
    /// was computed.
    pub(super) fn printed(mut self) -> Self {
        self.fields = None;
        // An expression is written out as text.
        self.sources.retain(|source, form| *source != Source::CatalogTree || *form > Form::Picked);
        for (source, form) in &mut self.sources {
            if *source != Source::CatalogText {
                *form = Form::Computed;
            }
        }
        self
    }

    /// The same but for expressions of the system catalogs, where something else says which they are: those of whole rows.
    pub(in crate::engine) fn without_trees(mut self) -> Self {
        self.sources.retain(|source, form| *source != Source::CatalogTree || *form > Form::Same);
        self
    }

    /// What stands under other names than it had: no name says any more what is an expression.
    pub(super) fn renamed(mut self) -> Self {
        let tree = self.sources.get_mut(&Source::CatalogTree);
        tree.into_iter().for_each(|form| *form = Form::Picked.max(*form));
        self
    }

    /// What stands under a name in it: a field of a row, a key of a JSON object.
    pub(super) fn under(&self, key: &str, leaf: bool) -> Self {
        if let Some(fields) = &self.fields {
            return fields
                .iter()
                .filter(|field| &*field.name == key)
                .fold(Self::default(), |all, field| all.and(&field.origin))
                .at_least(Form::Readable);
        }
        let under = |source: &Source, form: Form| match source {
            Source::Column { relation, attribute, .. } if form <= Form::Readable => {
                Source::Column { relation: *relation, attribute: *attribute, key: Some(Key { name: key.into(), leaf }) }
            }
            other => other.clone(),
        };
        let sources = self.sources.iter().map(|(source, form)| (under(source, *form), *form)).collect();
        Self { sources, fields: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(attribute: i16) -> Origin {
        Origin::of(Source::Column { relation: 1, attribute, key: None }, Form::Same)
    }

    #[test]
    fn only_columns_among_themselves_stay_columns() {
        assert!(column(1).or(&column(2)).is_same());
        assert!(!column(1).or(&Origin::default()).is_same(), "a constant beside it can be told from it");
        assert!(!column(1).or(&column(2).computed()).is_same());
        assert!(Origin::default().or(&Origin::default()).is_empty());
    }

    #[test]
    fn fields_of_a_row_are_told_apart() {
        let row = Origin::row(vec![Named::new("a", column(1)), Named::new("b", Origin::default())]);
        assert!(row.under("b", true).is_empty());
        assert_eq!(row.under("a", true), column(1).at_least(Form::Readable));
        assert!(row.clone().and(&column(2)).fields().is_none());
    }
}
