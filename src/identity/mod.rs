//! Proving who someone is. Pure: tokens, keys and the time come in, identities and refusals come out.
//!
//! The story in one paragraph: an identity provider says who somebody is in a signed token ([`jwt`]); configured rules
//! turn its claims into an [`Identity`](crate::domain::Identity) ([`claims`]); the server answers with a short token
//! of its own, bound to a key that never leaves the person's device ([`token`]); every call then proves that key
//! ([`dpop`]). Where there is no identity provider, the built-in one runs the device flow ([`device_flow`]).

pub(crate) mod claims;
pub(crate) mod device_flow;
pub(crate) mod discovery;
pub(crate) mod dpop;
#[cfg(test)]
pub(crate) mod fuzz;
#[cfg(all(fuzzing, not(test)))]
pub(crate) mod fuzz;
pub(crate) mod jwt;
pub(crate) mod token;
pub(crate) mod workload;
