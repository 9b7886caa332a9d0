//! Fuzz targets: for each kind of input what must hold for all bytes. A target panics where it does not.
//!
//! `engine.rs` hands them to libFuzzer (`cargo xtask fuzz`), `replay.rs` gives them everything that is kept in
//! `tests/corpus`. Most are differentials: against a second reading, written here in the plainest way or taken from
//! httparse and serde_json, and against the same bytes cut in pieces.

#![allow(clippy::expect_used)] // a target panics where something does not hold: that is how it says so

mod chunked;
mod cuts;
pub mod kept;
mod openapi;
mod pieces;
mod proxy;
mod request;
mod response;
mod target;
pub mod targets;

/// The function of a target of `targets::TARGETS`.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    match name {
        "request" => Some(request::holds),
        "response" => Some(response::holds),
        "chunked" => Some(chunked::holds),
        "target" => Some(target::holds),
        "proxy" => Some(proxy::holds),
        "openapi" => Some(openapi::holds),
        _ => None,
    }
}
