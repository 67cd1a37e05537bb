//! See `README.md` beside this file for the map.

mod audit;
mod domain;
mod engine;
mod runtime;
mod wire;
