//! See `README.md` beside this file for the map.

mod domain;
mod engine;
mod identity;
mod runtime;
mod server;
mod wire;
