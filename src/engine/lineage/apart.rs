//! Whether values that are put together can still be told apart by whoever looks at the result.
//!
//! What holds values of many kinds is looked at when it goes out. Detectors find a value by where it begins and ends, and
//! a document by its names: `'9' || note || '9'` has no social security number in it that anybody would recognise.

use super::{Form, Key, Origin, Source, Tracer, is_mixed, verdict};
use crate::engine::classify::Verdict;
use crate::engine::sql::constant;
use crate::engine::sql::fact::Constant;
use crate::engine::sql::tree::Node;

/// A part of a text that is put together.
pub(super) enum Part {
    /// It is written out.
    Written(Box<str>),
    Value(Origin),
}

impl Part {
    /// What is written out, or else a value that comes from this.
    pub(super) fn of(node: Node<'_>, origin: impl FnOnce() -> Origin) -> Self {
        match constant(node) {
            Constant::Text(text) => Self::Written(text),
            Constant::Integer(number) => Self::Written(number.to_string().into()),
            Constant::Null => Self::Written("".into()),
            Constant::Boolean(_) | Constant::Unknown => Self::Value(origin()),
        }
    }
}

impl Tracer<'_, '_> {
    /// One part of a text.
    pub(super) fn piece(&mut self, node: Node<'_>) -> Part {
        Part::of(node, || self.value(node))
    }

    /// `a || b || c`
    pub(super) fn joined(&mut self, node: Node<'_>) -> Origin {
        let mut operands = Vec::new();
        let mut rest = Some(node);
        while let Some(node) = rest {
            let is_join = node.kind() == "AExpr" && node.words("name").last() == Some("||");
            rest = node.child("lexpr").filter(|_| is_join);
            operands.push(if is_join { node.child("rexpr").unwrap_or(node) } else { node });
        }
        let parts: Vec<Part> = operands.into_iter().rev().map(|operand| self.piece(operand)).collect();
        // To documents one may add documents.
        let is_document = |text: &str| text.trim_start().starts_with(['{', '[']);
        let documents = parts.iter().all(|part| match part {
            Part::Written(text) => is_document(text),
            Part::Value(origin) => origin.sources().all(|(source, form)| form <= Form::Picked && !self.is_text(source)),
        });
        if documents { all(&parts).at_least(Form::Readable) } else { self.put_together(&parts) }
    }

    /// What a text comes from that is made of these, in this order.
    pub(super) fn put_together(&self, parts: &[Part]) -> Origin {
        let is_empty = |part: &&Part| matches!(part, Part::Written(text) if text.is_empty());
        let shown: Vec<&Part> = parts.iter().filter(|part| !is_empty(part)).collect();
        let blurred = shown.iter().enumerate().any(|(index, part)| {
            let before = index.checked_sub(1).and_then(|before| shown.get(before)).copied();
            self.is_blurred(part, before, shown.get(index + 1).copied())
        });
        let all = all(parts).at_least(Form::Readable);
        if blurred { all.blurred() } else { all }
    }

    fn is_blurred(&self, part: &Part, before: Option<&Part>, after: Option<&Part>) -> bool {
        let Part::Value(origin) = part else { return false };
        if !origin.sources().any(|(source, _)| self.is_looked_into(source)) || before.is_none() && after.is_none() {
            return false;
        }
        // What was put together before, or is a document, cannot be read as that any more.
        let ends = |part: Option<&Part>, sign: fn(&str) -> Option<char>| match part {
            Some(Part::Written(text)) => sign(text).is_none_or(is_between),
            Some(Part::Value(_)) => false,
            None => true,
        };
        !self.is_plain_text(origin)
            || !ends(before, |text| text.chars().next_back())
            || !ends(after, |text| text.chars().next())
    }

    /// Whether values of the source are looked at for what stands in them.
    pub(super) fn is_looked_into(&self, source: &Source) -> bool {
        let Source::Column { relation, attribute, .. } = source else { return false };
        let catalog = self.facts.catalog;
        matches!(verdict(catalog, *relation, *attribute), Verdict::Clear) && is_mixed(catalog, *relation, *attribute)
    }

    /// Whether what is looked into is text as it was, and no document.
    pub(super) fn is_plain_text(&self, origin: &Origin) -> bool {
        let is_plain = |(source, form): (&Source, Form)| {
            !self.is_looked_into(source) || form <= Form::Picked && self.is_text(source)
        };
        origin.sources().all(is_plain)
    }

    /// What a value comes from that a text was changed into.
    pub(super) fn changed(&self, origin: Origin) -> Origin {
        let is_text = |(source, form): (&Source, Form)| form < Form::Computed && self.is_looked_into(source);
        if origin.sources().any(is_text) { origin.blurred() } else { origin.computed() }
    }

    /// Whether its values are texts, and no documents.
    pub(super) fn is_text(&self, source: &Source) -> bool {
        let Source::Column { relation, attribute, key } = source else { return true };
        match key {
            Some(Key { leaf, .. }) => *leaf,
            None => self.is_text_column(*relation, *attribute),
        }
    }
}

fn all(parts: &[Part]) -> Origin {
    parts.iter().fold(Origin::default(), |all, part| match part {
        Part::Written(_) => all,
        Part::Value(origin) => all.and(origin),
    })
}

/// The parts of a text after this pattern of `format`, with this between them.
pub(super) fn formatted(pattern: &str, value: &Origin) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut written = String::new();
    let mut rest = pattern.chars();
    while let Some(sign) = rest.next() {
        if sign != '%' {
            written.push(sign);
            continue;
        }
        // `%1$-10s` ends with its letter.
        match rest.find(|sign| sign.is_alphabetic() || *sign == '%') {
            Some('%') => written.push('%'),
            _ => {
                parts.push(Part::Written(std::mem::take(&mut written).into()));
                parts.push(Part::Value(value.clone()));
            }
        }
    }
    parts.push(Part::Written(written.into()));
    parts
}

/// Signs that are part of no value, so that one ends before them and begins behind them.
fn is_between(sign: char) -> bool {
    sign.is_whitespace() || ",;:|()<>[]{}\"'".contains(sign)
}
