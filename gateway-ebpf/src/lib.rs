//! What the kernel and user space agree on, and the pure rules that both sides run.
#![no_std]

/// Keys, values, limits and reasons: the layout of the maps.
pub mod abi;
/// May the packet pass?
pub mod admit;
/// What a frame says about itself.
pub mod packet;
