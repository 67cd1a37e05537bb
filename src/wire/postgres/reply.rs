//! What a server says besides rows: errors, notices, parameter changes, readiness, command tags.

use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::response::{ErrorResponse, NoticeResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::ParameterStatus;

use super::Transaction;
use crate::domain::{Failure, Kind};
use crate::wire::buffer::{Reader, WireError};

/// How bad it is. `Fatal` means that the connection ends after the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Fatal,
    Warning,
    Notice,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
        }
    }
}

/// An error or notice as its fields (manual, section "Error and Notice Message Fields").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) fields: Vec<(u8, String)>,
}

impl Complaint {
    /// The field of this type, for example `b'C'` for the SQLSTATE.
    pub(crate) fn field(&self, code: u8) -> Option<&str> {
        self.fields.iter().find(|(have, _)| *have == code).map(|(_, text)| text.as_str())
    }

    /// The five characters of the SQLSTATE; `XX000` (internal error) when the server sent none.
    pub(crate) fn sqlstate(&self) -> [u8; 5] {
        self.field(b'C').and_then(|text| text.as_bytes().try_into().ok()).unwrap_or(*b"XX000")
    }

    /// Whether the gateway wants somebody's approval first.
    pub(crate) fn needs_approval(&self) -> bool {
        self.field(b'R') == Some(HOLDS)
    }

    pub(crate) fn message(&self) -> &str {
        self.field(b'M').unwrap_or_default()
    }
}

/// Fields of one message: the standard names about twenty.
const FIELDS_MAX: usize = 64;

/// Reads the body of an ErrorResponse or NoticeResponse.
pub(crate) fn diagnosis(body: &[u8]) -> Result<Complaint, WireError> {
    let mut reader = Reader::new(body);
    let mut fields = Vec::new();
    loop {
        match reader.u8("field type")? {
            0 => break,
            code if fields.len() < FIELDS_MAX => {
                fields.push((code, String::from_utf8_lossy(reader.until_zero()?).into_owned()));
            }
            _ => return Err(WireError::Violation("an error has more fields than there are")),
        }
    }
    reader.finish()?;
    Ok(Complaint { fields })
}

/// Builds an error or notice of ours.
pub(crate) fn complaint(severity: Severity, sqlstate: &str, failure: &Failure, position: Option<usize>) -> Complaint {
    let mut fields = vec![
        (b'S', severity.word().to_owned()),
        (b'V', severity.word().to_owned()),
        (b'C', sqlstate.to_owned()),
        (b'M', failure.message.clone()),
    ];
    fields.extend(failure.detail.as_ref().map(|text| (b'D', text.clone())));
    fields.extend(failure.hint.as_ref().map(|text| (b'H', text.clone())));
    fields.extend(position.map(|at| (b'P', at.to_string())));
    fields.extend(routine(failure.kind).map(|name| (b'R', name.to_owned())));
    Complaint { fields }
}

/// Which part of the gateway says no. A hold and a denial have the same SQLSTATE, one that drivers know; this field tells
/// them apart, in every driver that gives its fields. No SQL can set it, as it can messages.
fn routine(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Pending => Some(HOLDS),
        Kind::Denied => Some(DENIES),
        Kind::Usage
        | Kind::NotLoggedIn
        | Kind::Limit
        | Kind::NotFound
        | Kind::Gateway
        | Kind::Database
        | Kind::Internal => None,
    }
}

/// The SQLSTATE for a kind of failure (manual, appendix "PostgreSQL Error Codes").
pub(crate) fn failure_sqlstate(kind: Kind) -> &'static str {
    match kind {
        Kind::Usage => "22023",                  // invalid_parameter_value
        Kind::NotLoggedIn => "28000",            // invalid_authorization_specification
        Kind::Denied | Kind::Pending => "42501", // insufficient_privilege
        Kind::Limit => "53400",                  // configuration_limit_exceeded
        Kind::NotFound => "3D000",               // invalid_catalog_name
        Kind::Gateway => "08006",                // connection_failure
        Kind::Database => "08001",               // sqlclient_unable_to_establish_sqlconnection
        Kind::Internal => "XX000",               // internal_error
    }
}

/// Writes an ErrorResponse.
pub(crate) fn error(complaint: Complaint, out: &mut Vec<u8>) {
    put(&ErrorResponse::new(complaint.fields), out);
}

/// Writes a NoticeResponse.
pub(crate) fn notice(complaint: Complaint, out: &mut Vec<u8>) {
    put(&NoticeResponse::new(complaint.fields), out);
}

/// What stands in the field for the server's routine (`R`) when somebody must approve first, and when the policy says no.
const HOLDS: &str = "gov_hold";
const DENIES: &str = "gov_deny";

/// A field of ours with the id of the approval that a hold asked for. Drivers pass over fields they do not know.
pub(crate) const APPROVAL: u8 = b'A';

/// The parameter in which the gateway tells which columns of the last result were masked: their numbers, from 1. Only
/// whoever begins with it `on` is told.
pub(crate) const MASKED_COLUMNS: &str = "gov.masked_columns";

/// Writes a ParameterStatus.
pub(crate) fn parameter_status(name: &str, value: &str, out: &mut Vec<u8>) {
    put(&ParameterStatus::new(name.to_owned(), value.to_owned()), out);
}

/// Writes a ReadyForQuery.
pub(crate) fn ready_for_query(status: Transaction, out: &mut Vec<u8>) {
    let status = match status {
        Transaction::Idle => TransactionStatus::Idle,
        Transaction::Open => TransactionStatus::Transaction,
        Transaction::Failed => TransactionStatus::Error,
    };
    put(&ReadyForQuery::new(status), out);
}

/// Encodes with pgwire. It can fail only when reading, so an error here writes nothing and closes nothing.
pub(super) fn put(message: &impl Message, out: &mut Vec<u8>) {
    let mut buffer = BytesMut::new();
    if message.encode(&mut buffer).is_ok() {
        out.extend_from_slice(&buffer);
    }
}

/// Rows counted by a command tag: `SELECT 5`, `INSERT 0 3`, `COPY 7`; none for `BEGIN`.
pub(crate) fn rows_of_tag(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body.strip_suffix(b"\0")?).ok()?;
    text.rsplit_once(' ')?.1.parse().ok()
}

/// Reads CopyInResponse or CopyOutResponse: the format of each column.
pub(crate) fn copy_columns(body: &[u8]) -> Result<Vec<i16>, WireError> {
    let mut reader = Reader::new(body);
    reader.u8("copy format")?;
    let count = reader.count(2, "copy columns")?;
    let formats = (0..count).map(|_| reader.i16("copy column format")).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(formats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_round_trip() {
        let failure = Failure::new(Kind::Denied, "no").detail("Because.").hint("run x");
        let mut bytes = Vec::new();
        error(complaint(Severity::Error, failure_sqlstate(failure.kind), &failure, Some(7)), &mut bytes);
        let read = diagnosis(&bytes[5..]).unwrap();
        assert_eq!(read.sqlstate(), *b"42501");
        assert_eq!((read.message(), read.field(b'D'), read.field(b'P')), ("no", Some("Because."), Some("7")));
        assert_eq!(read.field(b'R'), Some("gov_deny"));
        assert!(diagnosis(&bytes[5..bytes.len() - 1]).is_err(), "no end");
        bytes.push(0);
        assert!(diagnosis(&bytes[5..]).is_err(), "bytes after the end");
    }

    /// What a database says may read like a hold; it is none.
    #[test]
    fn a_hold_is_told_by_its_field() {
        let of = |kind, message| complaint(Severity::Error, failure_sqlstate(kind), &Failure::new(kind, message), None);
        assert!(of(Kind::Pending, "anything").needs_approval());
        assert!(!of(Kind::Denied, "this needs approval").needs_approval());
        assert!(!of(Kind::Usage, "this needs approval").needs_approval());
    }

    #[test]
    fn tags_give_rows() {
        for (tag, rows) in
            [("SELECT 5\0", Some(5)), ("INSERT 0 3\0", Some(3)), ("COPY 7\0", Some(7)), ("BEGIN\0", None), ("", None)]
        {
            assert_eq!(rows_of_tag(tag.as_bytes()), rows, "{tag}");
        }
    }
}
