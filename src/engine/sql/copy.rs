//! The options of COPY that say how rows are written.

use super::fact::{Constant, CopyForm};
use super::query::constant;
use super::statement::option;
use super::tree::Node;

/// How the rows of a `CopyStmt` are written; nothing when they do not go to the client.
pub(super) fn form(copy: Node<'_>) -> Option<CopyForm> {
    let stays = copy.flag("is_from") || copy.flag("is_program") || !copy.text("filename").is_empty();
    (copy.kind() == "CopyStmt" && !stays).then(|| written(copy))
}

/// How the rows of a `CopyStmt` are written, wherever they come from and go.
pub(in crate::engine) fn written(copy: Node<'_>) -> CopyForm {
    read(copy).unwrap_or(CopyForm::Unknown)
}

fn read(copy: Node<'_>) -> Option<CopyForm> {
    let mut format = "text".into();
    let (mut delimiter, mut null, mut quote, mut escape) = (None, None, None, None);
    for option in copy.children("options") {
        let text = || match option.child("arg").map(constant) {
            Some(Constant::Text(text)) => Some(text),
            _ => None,
        };
        match option.text("defname") {
            "format" => format = text()?,
            "delimiter" => delimiter = Some(byte(&text()?)?),
            "null" => null = Some(text()?),
            "quote" => quote = Some(byte(&text()?)?),
            "escape" => escape = Some(byte(&text()?)?),
            // What the server does with a row, not how it is written.
            "header" | "force_quote" | "freeze" | "force_null" | "force_not_null" | "default" | "on_error"
            | "reject_limit" | "log_verbosity" => {}
            // In another encoding a row means something else.
            "encoding" if is_utf8(&text()?) => {}
            _ => return None,
        }
    }
    let header = option(copy.children("options"), "header");
    match &*format {
        "text" => Some(CopyForm::Text {
            delimiter: delimiter.unwrap_or(b'\t'),
            null: null.unwrap_or_else(|| "\\N".into()),
            header,
        }),
        "csv" => {
            let quote = quote.unwrap_or(b'"');
            let null = null.unwrap_or_default();
            let escape = escape.unwrap_or(quote);
            Some(CopyForm::Csv { delimiter: delimiter.unwrap_or(b','), quote, escape, null, header })
        }
        "binary" => Some(CopyForm::Binary),
        _ => None,
    }
}

fn byte(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [one] => Some(*one),
        _ => None,
    }
}

fn is_utf8(encoding: &str) -> bool {
    ["utf8", "utf-8", "unicode"].iter().any(|name| encoding.eq_ignore_ascii_case(name))
}
