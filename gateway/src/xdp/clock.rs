//! The clock that the program reads, and the secrets that it hashes with.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};

/// Nanoseconds of CLOCK_MONOTONIC as of the kernel's last tick: the program knows no other time.
pub(super) fn coarse() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid; the clock exists on every kernel, so it cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

pub(super) fn random() -> io::Result<[u64; 6]> {
    let mut bytes = [0; 48];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let (words, _) = bytes.as_chunks();
    Ok(std::array::from_fn(|i| u64::from_ne_bytes(words[i])))
}
