//! See `README.md` beside this file for the map.

mod audit;
mod client;
mod domain;
mod engine;
mod runtime;
mod server;
mod session;
mod wire;
