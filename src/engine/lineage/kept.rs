//! How closely the values of a source are kept.

use super::{Key, Origin, Source};
use crate::engine::catalog::{Catalog, CatalogRelation, CatalogType, RelationKind, TypeKind};
use crate::engine::classify::{Classification, Verdict};
use crate::engine::detector::{self, Detector};

/// How closely values are kept, from not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Kept {
    /// Anybody may see them.
    Open,
    /// Holds values of many kinds, some of which are masked.
    Mixed,
    /// Masked.
    Closed,
}

impl Source {
    /// What the column holds, or the value under a name in it; nothing where nothing is known to be sensitive.
    pub(in crate::engine) fn holds(&self, catalog: &Catalog) -> Option<&'static dyn Detector> {
        let Self::Column { relation, attribute, key } = self else { return None };
        // What the database masks is what it is all the same.
        match judged(catalog, *relation, *attribute, Classification::known) {
            Verdict::Sensitive(entity) => Some(entity),
            Verdict::Unknown => None,
            Verdict::Clear if is_mixed(catalog, *relation, *attribute) => key.as_ref().and_then(Key::claimed),
            Verdict::Clear => None,
        }
    }

    /// Whether the database shows masked values of it only.
    pub(in crate::engine) fn is_masked(&self, catalog: &Catalog) -> bool {
        matches!(self, Self::Column { relation, attribute, .. } if catalog.classification.is_masked(*relation, *attribute))
    }

    pub(in crate::engine) fn kept(&self, catalog: &Catalog) -> Kept {
        match self {
            Self::Column { relation, attribute, key } => match verdict(catalog, *relation, *attribute) {
                Verdict::Sensitive(_) | Verdict::Unknown => Kept::Closed,
                // Conditions meet what the database shows.
                Verdict::Clear if catalog.classification.is_scrubbed(*relation, *attribute) => Kept::Open,
                Verdict::Clear if !is_mixed(catalog, *relation, *attribute) => Kept::Open,
                Verdict::Clear => match key {
                    Some(key) if key.claimed().is_some() => Kept::Closed,
                    Some(key) if key.leaf && key.hinted().is_none() && holds_names(catalog, *relation, *attribute) => {
                        Kept::Open
                    }
                    Some(_) | None => Kept::Mixed,
                },
            },
            Self::Temporary | Self::CatalogText | Self::CatalogTree => Kept::Open,
            Self::Secret | Self::Unknown => Kept::Closed,
        }
    }
}

impl Origin {
    /// That of the source that is kept most closely.
    pub(in crate::engine) fn kept(&self, catalog: &Catalog) -> Kept {
        self.sources().map(|(source, _)| source.kept(catalog)).max().unwrap_or(Kept::Open)
    }
}

impl Key {
    /// What a value under this name holds.
    pub(in crate::engine) fn claimed(&self) -> Option<&'static dyn Detector> {
        detector::claimed(&detector::words(&self.name))
    }

    /// What a value under this name may hold, if it reads like it.
    pub(in crate::engine) fn hinted(&self) -> Option<&'static dyn Detector> {
        detector::hinted(&detector::words(&self.name))
    }
}

/// What is known about a column, in itself or in the table it is a partition of.
pub(in crate::engine) fn verdict(catalog: &Catalog, relation: u32, attribute: i16) -> Verdict {
    judged(catalog, relation, attribute, Classification::verdict)
}

fn judged(
    catalog: &Catalog,
    relation: u32,
    attribute: i16,
    judge: fn(&Classification, u32, i16) -> Verdict,
) -> Verdict {
    let own = judge(&catalog.classification, relation, attribute);
    if let Verdict::Sensitive(_) = own {
        return own;
    }
    let Some(child) = catalog.relation(relation) else { return own };
    let name = child.column(attribute).map(|column| &column.name);
    let above = child.parents.iter().filter_map(|parent| catalog.relation(*parent)).filter_map(|parent| {
        let column = parent.columns.iter().find(|column| Some(&column.name) == name)?;
        // Inheritance has no loops.
        Some(judged(catalog, parent.oid, column.attribute, judge))
    });
    above.fold(own, |own, above| match (own, above) {
        (Verdict::Unknown, known) | (Verdict::Clear, known @ Verdict::Sensitive(_)) => known,
        (own, _) => own,
    })
}

/// Whether a column's type holds values with names of their own, which may be anything, or its texts hold something.
pub(in crate::engine) fn is_mixed(catalog: &Catalog, relation: u32, attribute: i16) -> bool {
    let free_text = |found: &CatalogRelation| catalog.classification.is_free_text(found.oid, attribute);
    catalog.relation(relation).is_some_and(free_text) || holds_names(catalog, relation, attribute)
}

fn holds_names(catalog: &Catalog, relation: u32, attribute: i16) -> bool {
    /// json, jsonb, xml, record and their arrays
    const BUILT_IN: [u32; 8] = [114, 3802, 142, 2249, 199, 3807, 143, 2287];
    catalog
        .column(relation, attribute)
        .is_some_and(|column| BUILT_IN.contains(&column.kind) || has_names(catalog, column.kind))
}

/// Types that are not the server's own: rows, hstore, and arrays of them.
fn has_names(catalog: &Catalog, kind: u32) -> bool {
    let own = |kind: u32| catalog.type_of(kind);
    let element = own(kind).and_then(|kind| own(kind.element));
    let named = |kind: &CatalogType| kind.kind == TypeKind::Composite || kind.name == "hstore";
    own(kind).is_some_and(named) || element.is_some_and(named)
}

/// Whether rows of a relation may hold values that are masked.
pub(in crate::engine) fn touches(catalog: &Catalog, oid: u32) -> bool {
    catalog.relation(oid).is_none_or(|relation| {
        // What a view shows is kept by the tables behind it.
        relation.kind == RelationKind::View
            || relation.columns.iter().any(|column| {
                let source = Source::Column { relation: oid, attribute: column.attribute, key: None };
                source.kept(catalog) != Kept::Open
            })
    })
}
