//! The gateway.

pub(crate) mod credential;
pub(crate) mod live;
pub(crate) mod resource;
pub(crate) mod tunnel;
pub(crate) mod upstream;
