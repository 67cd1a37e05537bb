//! Which column of a result gets which treatment.

use std::borrow::Cow;

use super::shape::Shape;
use super::treatment::Column;
pub(in crate::engine) use super::treatment::Treatment;
use super::{MaskKey, Masker, ResultColumn};
use crate::domain::Shown;
use crate::engine::catalog::{Catalog, CatalogColumn, FIRST_USER_OID, RelationKind};
use crate::engine::classify::Verdict;
use crate::engine::lineage::{Form, Kept, Lineage, Origin, Outputs, Source, is_mixed, verdict};

/// Plans how a result is masked: by what the text says its columns come from, and by what the database says. The first
/// knows what was computed; the second is right about what was not, also where the text says too little.
pub(in crate::engine) fn masker(
    catalog: &Catalog,
    key: Option<&MaskKey>,
    lineage: Option<&Lineage>,
    columns: &[ResultColumn],
) -> Masker {
    typed_or_not(catalog, key, lineage, columns, true)
}

/// The same, where nobody may have said of what type the columns are.
fn typed_or_not(
    catalog: &Catalog,
    key: Option<&MaskKey>,
    lineage: Option<&Lineage>,
    columns: &[ResultColumn],
    typed: bool,
) -> Masker {
    let outputs = lineage.map(|lineage| &lineage.outputs);
    let mut shown = Shown::default();
    let treated = columns.iter().enumerate().map(|(index, column)| {
        let told = told(catalog, column);
        let treatment = match (outputs, &told) {
            // Nothing in the database is known to need a mask.
            (None, None) => Treatment::Look,
            (None, Some(told)) => of_source(catalog, told, Form::Same),
            (Some(outputs), told) => treatment(catalog, outputs, (index, columns.len()), told.as_ref(), typed),
        };
        // Wherever it comes from: an expression as the catalogs keep it.
        let treatment = if column.kind == NODE_TREE { Treatment::Hide } else { treatment };
        let treated = Column::new(treatment, column, catalog);
        let origin = outputs.map(|outputs| match outputs.column(index, columns.len()) {
            Some(origin) => Cow::Borrowed(origin),
            None => Cow::Owned(outputs.all()),
        });
        let sources = origin.iter().flat_map(|origin| origin.sources()).map(|(source, _)| source).chain(&told);
        for source in sources {
            let Some(held) = source.holds(catalog) else { continue };
            let is_masked = treated.is_masked() || source.is_masked(catalog);
            if is_masked { &mut shown.masked } else { &mut shown.clear }.insert(held.name());
        }
        treated
    });
    let treated = treated.collect();
    Masker::new(key, treated, shown).watched(catalog.classification.tripwire.as_ref(), catalog.revealed())
}

/// Plans how the rows of COPY … TO STDOUT are masked. The database says how many columns there are, and nothing else.
pub(in crate::engine) fn copier(
    catalog: &Catalog,
    key: Option<&MaskKey>,
    lineage: Option<&Lineage>,
    count: usize,
    binary: bool,
) -> Masker {
    let outputs = lineage.map(|lineage| &lineage.outputs);
    let columns: Vec<ResultColumn> = (0..count)
        .map(|index| {
            let origin = outputs.and_then(|outputs| outputs.column(index, count));
            let found = origin.and_then(|origin| column_behind(catalog, origin));
            // What is written as text can be looked at as text.
            let unknown = (if binary { 0 } else { TEXT }, -1);
            let (kind, modifier) = found.map_or(unknown, |column| (catalog.base(column.kind), column.modifier));
            ResultColumn { name: String::new(), table: 0, attribute: 0, kind, modifier, binary }
        })
        .collect();
    typed_or_not(catalog, key, lineage, &columns, false)
}

/// The column whose values these are, where they are those of one.
fn column_behind<'c>(catalog: &'c Catalog, origin: &Origin) -> Option<&'c CatalogColumn> {
    let mut sources = origin.sources();
    match (sources.next(), sources.next()) {
        (Some((Source::Column { relation, attribute, key: None }, Form::Same | Form::Picked)), None) => {
            catalog.column(*relation, *attribute)
        }
        _ => None,
    }
}

const TEXT: u32 = 25;
const NODE_TREE: u32 = 194;

/// What becomes of column number `index` of `count`; `told` is what the database says it is. Of a `typed` one it says too
/// whether it is an expression.
fn treatment(
    catalog: &Catalog,
    outputs: &Outputs,
    (index, count): (usize, usize),
    told: Option<&Source>,
    typed: bool,
) -> Treatment {
    let is_known = |origin: &&Origin| origin.sources().all(|(source, _)| *source != Source::Unknown);
    match (outputs.column(index, count).filter(is_known), told) {
        (Some(origin), Some(told)) => stricter(of_origin(catalog, origin), of_source(catalog, told, Form::Same)),
        (Some(origin), None) => of_origin(catalog, origin),
        (None, Some(told)) => of_source(catalog, told, Form::Same),
        (None, None) => {
            let all = outputs.all();
            of_origin(catalog, &if typed { all.without_trees() } else { all }.at_least(Form::Readable))
        }
    }
}

/// The column that the database says the values come from unchanged. A view's own columns say nothing: what they show
/// is in the view's query.
fn told(catalog: &Catalog, column: &ResultColumn) -> Option<Source> {
    let relation = catalog.relation(column.table).filter(|_| column.attribute > 0 && column.table >= FIRST_USER_OID)?;
    (relation.kind != RelationKind::View).then_some(Source::Column {
        relation: column.table,
        attribute: column.attribute,
        key: None,
    })
}

/// What becomes of values that come from all of these.
pub(in crate::engine) fn of_origin(catalog: &Catalog, origin: &Origin) -> Treatment {
    let each = origin.sources().map(|(source, form)| of_source(catalog, source, form));
    each.reduce(stricter).unwrap_or(Treatment::Clear)
}

/// What becomes of the values of a column.
pub(in crate::engine) fn of_column(catalog: &Catalog, relation: u32, attribute: i16) -> Treatment {
    of_source(catalog, &Source::Column { relation, attribute, key: None }, Form::Same)
}

/// What becomes of values that come from this in that form.
fn of_source(catalog: &Catalog, source: &Source, form: Form) -> Treatment {
    match source {
        Source::Column { relation, attribute, .. } if catalog.reveals(*relation, *attribute) => Treatment::Clear,
        Source::Column { relation, attribute, key } => match verdict(catalog, *relation, *attribute) {
            Verdict::Sensitive(entity) if form <= Form::Picked => Treatment::Entity(entity),
            Verdict::Unknown if form <= Form::Picked => Treatment::Redact,
            Verdict::Sensitive(_) | Verdict::Unknown => Treatment::Hide,
            // The mask was put on in the database. Looking again costs little and would show if it was not.
            Verdict::Clear if catalog.classification.is_masked(*relation, *attribute) => match form {
                Form::Computed => Treatment::Clear,
                Form::Same | Form::Picked | Form::Readable => Treatment::Look,
            },
            // The form of a value is not all that there is to find.
            Verdict::Clear if catalog.classification.is_scrubbed(*relation, *attribute) => Treatment::Look,
            Verdict::Clear if !is_mixed(catalog, *relation, *attribute) => match form {
                Form::Computed => Treatment::Clear,
                Form::Same | Form::Picked | Form::Readable => Treatment::Glance,
            },
            Verdict::Clear => {
                let (claimed, hinted) = key.as_ref().map_or((None, None), |key| (key.claimed(), key.hinted()));
                match (claimed, hinted) {
                    (Some(entity), _) if form <= Form::Picked => Treatment::Entity(entity),
                    (None, Some(entity)) if form <= Form::Picked => Treatment::Suspect(entity),
                    (Some(_), _) | (_, Some(_)) => Treatment::Hide,
                    (None, None) if form == Form::Readable && is_lost_in_text(catalog, *relation, *attribute) => {
                        Treatment::Hide
                    }
                    (None, None) if form <= Form::Readable => Treatment::Look,
                    (None, None) if source.kept(catalog) == Kept::Open => Treatment::Look,
                    (None, None) => Treatment::Hide,
                }
            }
        },
        Source::Temporary if form <= Form::Readable => Treatment::Look,
        Source::CatalogText if form <= Form::Readable => Treatment::Definition,
        Source::Temporary => Treatment::Clear,
        Source::CatalogText | Source::CatalogTree | Source::Secret | Source::Unknown => Treatment::Hide,
    }
}

/// Whether text hides from detectors what a column holds: bytes, or lists of them, are written in hexadecimal, in which none
/// reads, and of rows it leaves out the names of fields that say what those hold.
fn is_lost_in_text(catalog: &Catalog, relation: u32, attribute: i16) -> bool {
    catalog.column(relation, attribute).is_some_and(|column| match Shape::of(column.kind, catalog) {
        Shape::Bytes => true,
        Shape::Array(element) if *element == Shape::Bytes => true,
        shape => shape.is_told(),
    })
}

/// The stricter of two. Two entities in one value are masked as neither.
fn stricter(one: Treatment, other: Treatment) -> Treatment {
    match (one, other) {
        (Treatment::Entity(one), Treatment::Entity(other)) if one.name() == other.name() => Treatment::Entity(one),
        (Treatment::Hide, _) | (_, Treatment::Hide) => Treatment::Hide,
        (Treatment::Redact, _) | (_, Treatment::Redact) | (Treatment::Entity(_), Treatment::Entity(_)) => {
            Treatment::Redact
        }
        (Treatment::Entity(entity), _) | (_, Treatment::Entity(entity)) => Treatment::Entity(entity),
        (Treatment::Definition, Treatment::Suspect(_)) | (Treatment::Suspect(_), Treatment::Definition) => {
            Treatment::Redact
        }
        (Treatment::Suspect(one), Treatment::Suspect(other)) if one.name() != other.name() => Treatment::Redact,
        (Treatment::Suspect(entity), _) | (_, Treatment::Suspect(entity)) => Treatment::Suspect(entity),
        (Treatment::Definition, _) | (_, Treatment::Definition) => Treatment::Definition,
        (Treatment::Look, _) | (_, Treatment::Look) => Treatment::Look,
        (Treatment::Glance, _) | (_, Treatment::Glance) => Treatment::Glance,
        (Treatment::Clear, Treatment::Clear) => Treatment::Clear,
    }
}
