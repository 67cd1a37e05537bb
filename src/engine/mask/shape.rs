//! What a value of a type is made of, as far as masking it needs to know.

use super::treatment::Treatment;
use crate::engine::catalog::{Catalog, CatalogColumn, TypeKind};
use crate::engine::detector;

/// Domains over domains that are followed.
const NESTING_MAX: usize = 16;

/// What values of a type are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The same bytes in both formats.
    Text,
    /// `name`: text of at most 63 bytes.
    Name,
    Json,
    Jsonb,
    Xml,
    /// With its width in bytes.
    Integer(usize),
    Float(usize),
    Numeric,
    Date,
    /// With or without a time zone.
    Timestamp,
    Uuid,
    Bytes,
    /// `inet` and `cidr`.
    Network,
    /// With its width in bytes.
    Hardware(usize),
    Range,
    MultiRange,
    Array(Box<Self>),
    /// A row with its fields; with none where its type does not say which.
    Row(Vec<Field>),
    Hstore,
    /// A value of a set that somebody has written down: text in both formats.
    Label,
    /// Numbers of the server's own and the like: flags, object ids, times of day.
    Plain,
    /// Nothing is known about it.
    Unknown,
}

/// A field of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) shape: Shape,
    told: Option<Told>,
}

/// The entity that a field's name says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Is(&'static str),
    MayBe(&'static str),
}

impl Field {
    /// What becomes of its values in a row whose values are looked at.
    pub(super) fn treatment(&self, treatment: Treatment) -> Treatment {
        let (Treatment::Glance | Treatment::Look | Treatment::Suspect(_)) = treatment else { return treatment };
        let found = match self.told {
            Some(Told::Is(entity)) => detector::named(entity).map(Treatment::Entity),
            Some(Told::MayBe(entity)) => detector::named(entity).map(Treatment::Suspect),
            None => None,
        };
        found.unwrap_or(treatment)
    }
}

impl Shape {
    /// Whether its fields have names that say what they hold, which are lost where it is written as text.
    pub(super) fn is_told(&self) -> bool {
        match self {
            Self::Row(fields) => fields.iter().any(|field| field.told.is_some() || field.shape.is_told()),
            Self::Array(element) => element.is_told(),
            _ => false,
        }
    }

    /// The shape of a type. Domains arrive as what they are over.
    pub(super) fn of(kind: u32, catalog: &Catalog) -> Self {
        Self::within(kind, catalog, NESTING_MAX)
    }

    fn within(kind: u32, catalog: &Catalog, depth: usize) -> Self {
        Self::built_in(kind).or_else(|| Self::defined(kind, catalog, depth)).unwrap_or(Self::Unknown)
    }

    /// The shape of a type that came with the server.
    pub(super) fn built_in(kind: u32) -> Option<Self> {
        Some(match kind {
            // text, varchar, bpchar, unknown, cstring, refcursor, tsvector and what else is text in a coat
            25 | 1043 | 1042 | 705 | 2275 | 1790 => Self::Text,
            19 => Self::Name,
            114 | 4072 => Self::Json,
            3802 => Self::Jsonb,
            142 => Self::Xml,
            21 => Self::Integer(2),
            23 => Self::Integer(4),
            20 => Self::Integer(8),
            700 => Self::Float(4),
            701 => Self::Float(8),
            1700 => Self::Numeric,
            1082 => Self::Date,
            1114 | 1184 => Self::Timestamp,
            2950 => Self::Uuid,
            17 => Self::Bytes,
            869 | 650 => Self::Network,
            829 => Self::Hardware(6),
            774 => Self::Hardware(8),
            3904 | 3906 | 3908 | 3910 | 3912 | 3926 => Self::Range,
            4451 | 4532 | 4533 | 4534 | 4535 | 4536 => Self::MultiRange,
            2249 => Self::Row(Vec::new()),
            // bool, "char", oid, time, timetz, interval, bit, varbit, money, tid, xid, cid, pg_lsn, xid8, void, regclass and kin
            16 | 18 | 26 | 1083 | 1266 | 1186 | 1560 | 1562 | 790 | 27 | 28 | 29 | 3220 | 5069 | 2278 => Self::Plain,
            // int2vector, oidvector, regproc and its like
            22 | 30 | 2202..=2206 | 3734 | 3769 | 4089 | 4096 | 4191 | 24 => Self::Plain,
            _ => return Self::array(kind),
        })
    }

    fn array(kind: u32) -> Option<Self> {
        let element = match kind {
            1009 | 1015 | 1014 | 1263 => Self::Text,
            1003 => Self::Name,
            199 => Self::Json,
            3807 => Self::Jsonb,
            143 => Self::Xml,
            1005 => Self::Integer(2),
            1007 => Self::Integer(4),
            1016 => Self::Integer(8),
            1021 => Self::Float(4),
            1022 => Self::Float(8),
            1231 => Self::Numeric,
            1182 => Self::Date,
            1115 | 1185 => Self::Timestamp,
            2951 => Self::Uuid,
            1001 => Self::Bytes,
            1041 | 651 => Self::Network,
            1040 => Self::Hardware(6),
            775 => Self::Hardware(8),
            2287 => Self::Row(Vec::new()),
            // bool, "char", oid, time, timetz, interval
            1000 | 1002 | 1028 | 1183 | 1270 | 1187 => Self::Plain,
            _ => return None,
        };
        Some(Self::Array(Box::new(element)))
    }

    fn defined(kind: u32, catalog: &Catalog, depth: usize) -> Option<Self> {
        let found = catalog.type_of(kind)?;
        let depth = depth.checked_sub(1)?;
        Some(match found.kind {
            TypeKind::Enum => Self::Label,
            TypeKind::Range => Self::Range,
            TypeKind::MultiRange => Self::MultiRange,
            TypeKind::Composite => Self::Row(Self::fields(found.relation, catalog, depth)),
            TypeKind::Domain => Self::within(found.base, catalog, depth),
            TypeKind::Base if found.element != 0 => Self::Array(Box::new(Self::within(found.element, catalog, depth))),
            TypeKind::Base => match found.name.as_str() {
                "citext" => Self::Text,
                "hstore" => Self::Hstore,
                _ => return None,
            },
        })
    }

    fn fields(relation: u32, catalog: &Catalog, depth: usize) -> Vec<Field> {
        let columns = catalog.relation(relation).into_iter().flat_map(|relation| &relation.columns);
        let field = |column: &CatalogColumn| {
            let words = detector::words(&column.name);
            let is = detector::claimed(&words).map(|entity| Told::Is(entity.name()));
            let told = is.or_else(|| detector::hinted(&words).map(|entity| Told::MayBe(entity.name())));
            Field { shape: Self::within(column.kind, catalog, depth), told }
        };
        columns.map(field).collect()
    }
}
