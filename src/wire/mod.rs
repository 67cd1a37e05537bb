//! Byte formats: what crosses a socket. No sockets here: bytes in, messages out.

pub(crate) mod api;
pub(crate) mod buffer;
#[cfg(test)]
pub(crate) mod fuzz;
#[cfg(all(fuzzing, not(test)))]
pub(crate) mod fuzz;
pub(crate) mod postgres;
pub(crate) mod tunnel;
