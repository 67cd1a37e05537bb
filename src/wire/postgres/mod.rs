//! PostgreSQL's frontend/backend protocol, versions 3.0 and 3.2 (PostgreSQL manual, chapter "Frontend/Backend Protocol").
//!
//! What a client sends is parsed into owned meaning and written anew; what a server sends is split into messages, and
//! those that need no change are passed on as they are.

mod copy;
#[cfg(test)]
pub(crate) mod fuzz;
#[cfg(all(fuzzing, not(test)))]
pub(crate) mod fuzz;
mod query;
mod reply;
mod row;
mod scram;
mod startup;

pub(crate) use copy::{CopyFormat, CopyPiece, CopyRow, next_piece, write_row};
pub(crate) use query::{Bind, Request, Target, Values};
pub(crate) use reply::{
    APPROVAL, Complaint, MASKED_COLUMNS, Severity, complaint, copy_columns, diagnosis, error, failure_sqlstate, notice,
    parameter_status, ready_for_query, rows_of_tag,
};
#[cfg(test)]
pub(crate) use row::write_columns;
pub(crate) use row::{Cells, Column, Format, columns};
pub(crate) use scram::{ChannelBinding, ClientScram, ServerScram, Verifier, certificate_binding, verifier};
pub(crate) use startup::{
    ClientLogin, FirstPacket, LoggedIn, LoginError, LoginStep, ServerLogin, ServerStep, Startup, Version,
    cancel_request, first_packet, login_done, negotiate, ssl_request,
};

/// Longest startup packet. PostgreSQL itself stops at 10,000 bytes (`MAX_STARTUP_PACKET_LENGTH`).
pub(crate) const STARTUP_MAX: usize = 10_000;

/// Longest message a client may send while it has not logged in.
pub(crate) const LOGIN_MESSAGE_MAX: usize = 4096;

/// Longest message accepted once logged in. The server's own limit is 1 GiB (`PQ_LARGE_MESSAGE_LIMIT`); a client that
/// needs more than this in one statement is told so.
pub(crate) const REQUEST_MAX: usize = 64 * 1024 * 1024;

/// Longest message accepted from a database: PostgreSQL's own limit on a value, and then some.
pub(crate) const REPLY_MAX: usize = 0x4000_0000 + 4096;

/// Transaction status as the server last reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transaction {
    Idle,
    Open,
    Failed,
}

impl Transaction {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        match body {
            b"I" => Some(Self::Idle),
            b"T" => Some(Self::Open),
            b"E" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// Types of backend messages.
pub(crate) mod tag {
    pub(crate) const AUTHENTICATION: u8 = b'R';
    pub(crate) const BACKEND_KEY: u8 = b'K';
    pub(crate) const BIND_COMPLETE: u8 = b'2';
    pub(crate) const CLOSE_COMPLETE: u8 = b'3';
    pub(crate) const COMMAND_COMPLETE: u8 = b'C';
    pub(crate) const COPY_DATA: u8 = b'd';
    pub(crate) const COPY_DONE: u8 = b'c';
    pub(crate) const COPY_IN: u8 = b'G';
    pub(crate) const COPY_OUT: u8 = b'H';
    pub(crate) const DATA_ROW: u8 = b'D';
    pub(crate) const EMPTY_QUERY: u8 = b'I';
    pub(crate) const ERROR: u8 = b'E';
    pub(crate) const NEGOTIATE_VERSION: u8 = b'v';
    pub(crate) const NO_DATA: u8 = b'n';
    pub(crate) const NOTICE: u8 = b'N';
    pub(crate) const NOTIFICATION: u8 = b'A';
    pub(crate) const PARAMETER_DESCRIPTION: u8 = b't';
    pub(crate) const PARAMETER_STATUS: u8 = b'S';
    pub(crate) const PARSE_COMPLETE: u8 = b'1';
    pub(crate) const PORTAL_SUSPENDED: u8 = b's';
    pub(crate) const READY: u8 = b'Z';
    pub(crate) const ROW_DESCRIPTION: u8 = b'T';
}
