//! The developer's machine.

pub(crate) mod endpoint;
pub(crate) mod gateway;
pub(crate) mod inside;
pub(crate) mod log;
pub(crate) mod login;
mod oauth;
pub(crate) mod profile;
pub(crate) mod proxy;
pub(crate) mod records;
pub(crate) mod remembered;
pub(crate) mod session;
pub(crate) mod spool;
pub(crate) mod token_store;
mod tunnel;
pub(crate) mod workload;
