//! The gateway.

pub(crate) mod config;
mod nearest;
