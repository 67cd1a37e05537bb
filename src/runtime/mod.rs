//! The outside world, thinly. The only module that may touch it.

pub(crate) mod clock;
pub(crate) mod crew;
pub(crate) mod database;
pub(crate) mod drain;
pub(crate) mod env;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod log;
pub(crate) mod net;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod pump;
pub(crate) mod random;
pub(crate) mod read_ahead;
pub(crate) mod recorder;
pub(crate) mod shutdown;
pub(crate) mod tasks;
pub(crate) mod tls;
