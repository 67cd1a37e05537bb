//! A snapshot of a database's schema, as data.

use std::collections::HashMap;

use super::classify::Classification;

/// One column of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogColumn {
    /// `pg_attribute.attnum`.
    pub(crate) attribute: i16,
    pub(crate) name: String,
    /// `pg_attribute.atttypid`.
    pub(crate) kind: u32,
}

/// A table, view, materialised view, foreign table or partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogRelation {
    /// `pg_class.oid`.
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<CatalogColumn>,
}

/// Everything the engine knows about a database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    relations: HashMap<u32, CatalogRelation>,
    pub(crate) classification: Classification,
}

impl Catalog {
    pub(crate) fn new(relations: Vec<CatalogRelation>, classification: Classification) -> Self {
        Self { relations: relations.into_iter().map(|relation| (relation.oid, relation)).collect(), classification }
    }

    pub(crate) fn relation(&self, oid: u32) -> Option<&CatalogRelation> {
        self.relations.get(&oid)
    }

    pub(crate) fn relations(&self) -> impl Iterator<Item = &CatalogRelation> {
        self.relations.values()
    }
}
