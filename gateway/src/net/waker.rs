//! Wakers without memory of their own: runtime, task and generation are packed into the waker's pointer, so
//! that cloning and dropping cost nothing, a stale waker wakes nobody it should not, and any thread may hold
//! one.
#![allow(unsafe_code)]

use super::executor::Core;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{RawWaker, RawWakerVTable, Waker};

const RUNTIME_BITS: u32 = 12;
const INDEX_BITS: u32 = 28;
const GENERATION_BITS: u32 = 24;
const _: () = assert!(RUNTIME_BITS + INDEX_BITS + GENERATION_BITS == usize::BITS);

/// The runtimes of this process, by their number.
static RUNTIMES: RwLock<Vec<Option<Arc<Remote>>>> = RwLock::new(Vec::new());

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// The future that `block_on` was given.
pub(super) const MAIN: TaskId = TaskId { index: 0, generation: 0 };

pub(super) fn next_generation(generation: u32) -> u32 {
    (generation + 1) & ((1 << GENERATION_BITS) - 1)
}

/// What other threads know of a runtime: the tasks that they woke, and the eventfd that ends its wait.
pub(super) struct Remote {
    runtime: usize,
    eventfd: File,
    signalled: AtomicBool,
    /// A set: a task that is woken a million times is one entry.
    woken: Mutex<BTreeSet<usize>>,
}

impl Remote {
    pub(super) fn eventfd(&self) -> &File {
        &self.eventfd
    }

    fn wake(&self, packed: usize) {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).insert(packed);
        if !self.signalled.swap(true, Ordering::AcqRel) {
            // Only a full counter (2^64 - 2) could refuse, and then the loop is awake already.
            let _ = (&self.eventfd).write(&1u64.to_ne_bytes());
        }
    }

    /// Empties the eventfd and wakes what others asked for, on the runtime's own thread.
    pub(super) fn deliver(&self, core: &Core) {
        let mut counter = [0; 8];
        // EAGAIN when the ring has read it: the counter is empty either way.
        let _ = (&self.eventfd).read(&mut counter);
        // Before the set is taken: a wake after this line signals again.
        self.signalled.store(false, Ordering::Release);
        let woken = std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner));
        woken.into_iter().for_each(|packed| core.wake(unpack(packed).1));
    }
}

/// Gives a new runtime its number and eventfd.
pub(super) fn register() -> io::Result<Arc<Remote>> {
    // SAFETY: no memory is passed; the descriptor is checked and then owned by the File alone.
    let eventfd = unsafe {
        match libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) {
            -1 => return Err(io::Error::last_os_error()),
            descriptor => OwnedFd::from_raw_fd(descriptor),
        }
    };
    let mut runtimes = RUNTIMES.write().unwrap_or_else(PoisonError::into_inner);
    let runtime = runtimes.iter().position(Option::is_none).unwrap_or(runtimes.len());
    if runtime >= 1 << RUNTIME_BITS {
        return Err(io::Error::other("too many runtimes in one process"));
    }
    let remote = Arc::new(Remote {
        runtime,
        eventfd: eventfd.into(),
        signalled: AtomicBool::new(false),
        woken: Mutex::default(),
    });
    if runtime == runtimes.len() {
        runtimes.push(None);
    }
    runtimes[runtime] = Some(remote.clone());
    Ok(remote)
}

pub(super) fn unregister(remote: &Remote) {
    RUNTIMES.write().unwrap_or_else(PoisonError::into_inner)[remote.runtime] = None;
}

pub(super) fn waker(remote: &Remote, task: TaskId) -> Waker {
    let packed = remote.runtime << (INDEX_BITS + GENERATION_BITS)
        | (task.index as usize) << GENERATION_BITS
        | task.generation as usize;
    // SAFETY: the table's functions take the pointer as a number, never follow it, and may run on any thread.
    unsafe { Waker::new(std::ptr::without_provenance(packed), &TABLE) }
}

static TABLE: RawWakerVTable =
    RawWakerVTable::new(|packed| RawWaker::new(packed, &TABLE), wake, wake, |_| {});

fn wake(packed: *const ()) {
    let packed = packed.addr();
    let (runtime, task) = unpack(packed);
    let local = Core::try_with(|core| {
        let local = core.remote.runtime == runtime;
        if local {
            core.wake(task);
        }
        local
    });
    if local != Some(true) {
        let runtimes = RUNTIMES.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(remote)) = runtimes.get(runtime) {
            remote.wake(packed);
        }
    }
}

fn unpack(packed: usize) -> (usize, TaskId) {
    let index = (packed >> GENERATION_BITS) & ((1 << INDEX_BITS) - 1);
    let generation = packed & ((1 << GENERATION_BITS) - 1);
    let task = TaskId { index: index as u32, generation: generation as u32 };
    (packed >> (INDEX_BITS + GENERATION_BITS), task)
}
