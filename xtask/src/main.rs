//! `cargo xtask`: every task on this repository, one subcommand each.
fn main() {}
