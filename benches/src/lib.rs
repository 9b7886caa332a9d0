//! Benchmarks of the gateway; see `cargo xtask bench`.
