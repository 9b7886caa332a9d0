//! The kernel guard on a real kernel: verdicts by test run, namespaces with veth, restarts, foreign programs.

#![allow(clippy::disallowed_methods)] // deadlines of tests
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::type_complexity)] // a test that cannot go on panics

mod banned;
mod bans;
mod budgets;
mod entitlement;
mod evasion;
mod flood;
mod frames;
mod fuzz;
mod interfaces;
mod lab;
mod life;
mod limits;
#[cfg(feature = "xdp-log")]
mod logging;
mod migration;
mod namespaces;
mod oracle;
mod process;
mod random;
mod selftest;
mod verdicts;
mod world;
