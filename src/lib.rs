//! The whole of gov; the binary only hands it the command line.
//!
#![doc = include_str!("README.md")]
#![cfg_attr(fuzzing, allow(unused, reason = "the tests beside the bodies that fuzzers call are not there"))]

mod audit;
mod cli;
mod client;
mod domain;
#[doc(hidden)]
pub mod doors;
mod engine;
mod identity;
mod runtime;
mod server;
mod session;
mod wire;

pub use cli::run;
