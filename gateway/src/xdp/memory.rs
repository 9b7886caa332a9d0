//! Maps that lie in memory that the program shares with us: written by plain atomic stores.
#![allow(unsafe_code)]

use super::XdpError;
use aya::maps::MapData;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// The values of an array that was made with `BPF_F_MMAPABLE`, one after the other.
pub(super) struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory belongs to the map, not to a thread, and is read and written by atomics only.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// `bytes` is the size of all values together.
    pub(super) fn of(map: &MapData, bytes: usize) -> Result<Self, XdpError> {
        let failed = |error: std::io::Error| XdpError::caused("mapping a map into memory", &error);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = map.fd().as_fd().as_raw_fd();
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(failed(std::io::Error::last_os_error()));
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| failed(std::io::ErrorKind::Other.into()))?;
        Ok(Self { start, bytes })
    }

    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping starts at a page, holds so many words, and lives as long as `self`; atomics may be
        // shared.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.bytes / size_of::<u64>()) }
    }

    pub(super) fn halves(&self) -> &[AtomicU32] {
        // SAFETY: as in `words`.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.bytes / size_of::<u32>()) }
    }

    pub(super) fn octets(&self) -> &[AtomicU8] {
        // SAFETY: as in `words`.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.bytes) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `of` with this length, and no reference outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Returns when every packet that was being judged has its verdict: what no rule names any more is free then.
pub(super) fn grace() {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: no pointers. Kernels with `nohz_full` refuse it; there the two system calls or more between a rule that
    // goes and one that takes its place have to do: a verdict takes a tenth of one.
    unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
}
