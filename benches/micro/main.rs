//! Micro-benchmarks: the pure functions that a request passes through, each alone. `cargo xtask bench micro`.

mod cache;
mod codec;
mod compiled;
mod rate;
mod rooms;
mod routes;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    micro,
    codec::heads,
    codec::bodies,
    codec::encode,
    routes::few_and_many,
    routes::shapes,
    rooms::policy,
    rooms::permit,
    rooms::mapping,
    rate::gcra,
    cache::lookup
);
criterion_main!(micro);
