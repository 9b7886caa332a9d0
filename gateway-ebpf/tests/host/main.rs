//! The program's own rules, run on the host: what is read from a frame, what is made of it, and what a source may
//! spend.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on panics

mod admission;
mod budgets;
mod event;
mod flood;
mod frame;
#[path = "../../../tests/kernel/frames.rs"]
mod frames;
mod gcra;
mod hashing;
mod plain;
mod random;
mod sources;
mod table;
mod threads;
