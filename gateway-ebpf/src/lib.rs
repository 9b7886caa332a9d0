//! What the kernel and user space agree on, and the pure rules that both sides run.
#![no_std]
