//! What the kernel and user space agree on, and the pure rules that both sides run.
#![no_std]

/// Keys, values, limits and reasons: the layout of the maps.
pub mod abi;
/// Addresses of both families.
pub mod address;
/// May the packet pass?
pub mod admit;
/// Budgets of many sources in a table of fixed size.
pub mod budget;
/// Who is worth a look.
pub mod filter;
/// The generic cell rate algorithm.
pub mod gcra;
/// A hash that nobody can craft collisions for.
pub mod hash;
/// What a frame says about itself.
pub mod packet;
/// The same of the frames that nearly all are, in a few loads.
pub mod plain;
