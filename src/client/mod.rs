//! The developer's machine.

pub(crate) mod proxy;
