//! The same surface without io_uring: edge-triggered readiness and calls that do not block.
#![allow(unsafe_code)]

use super::executor::Core;
use super::waker::Remote;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

const EVENTS_PER_TURN: usize = 1024;
const WAKEUP: u64 = u64::MAX;

pub(super) struct Poller {
    epoll: OwnedFd,
    sources: RefCell<Slab<Rc<Readiness>>>,
    events: RefCell<Vec<libc::epoll_event>>,
    generation: Cell<u32>,
}

/// What a socket is ready for, as far as the edges told, and who waits for the next edge.
pub(super) struct Readiness {
    generation: u32,
    pub(super) readable: Cell<bool>,
    pub(super) writable: Cell<bool>,
    /// The peer has ended its side, or both: no further edge announces it.
    pub(super) ended: Cell<bool>,
    /// Both sides have, by a reset or an error.
    pub(super) broken: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

impl Poller {
    pub(super) fn new(remote: &Arc<Remote>) -> io::Result<Self> {
        // SAFETY: no memory is passed; the descriptor is checked and then owned here alone.
        let epoll = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        let event = libc::epoll_event { events: 0, u64: 0 };
        let poller = Self {
            epoll,
            sources: RefCell::default(),
            events: RefCell::new(vec![event; EVENTS_PER_TURN]),
            generation: Cell::new(0),
        };
        poller.add(remote.eventfd().as_raw_fd(), libc::EPOLLIN, WAKEUP)?;
        Ok(poller)
    }

    /// Watches a socket until `forget`; `ready` is what it is taken to be ready for until a call says
    /// otherwise.
    pub(super) fn watch(&self, fd: RawFd, ready: bool) -> io::Result<(usize, Rc<Readiness>)> {
        self.generation.set(self.generation.get().wrapping_add(1));
        let source = Rc::new(Readiness {
            generation: self.generation.get(),
            readable: Cell::new(ready),
            writable: Cell::new(ready),
            ended: Cell::new(false),
            broken: Cell::new(false),
            reader: RefCell::default(),
            writer: RefCell::default(),
        });
        let key = self.sources.borrow_mut().insert(source.clone());
        let interest = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let added = self.add(fd, interest, u64::from(source.generation) << 32 | key as u64);
        if let Err(error) = added {
            self.forget(key);
            return Err(error);
        }
        Ok((key, source))
    }

    /// The descriptor's close takes it out of the kernel's set.
    pub(super) fn forget(&self, key: usize) {
        self.sources.borrow_mut().remove(key);
    }

    fn add(&self, fd: RawFd, interest: i32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest as u32, u64: token };
        // SAFETY: the event lives for the call.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) })?;
        Ok(())
    }

    /// One turn: waits at most `wait` (None: without end) and hands out what has come.
    pub(super) fn turn(&self, core: &Core, wait: Option<Duration>) {
        let milliseconds = match wait {
            None => -1,
            // Rounded up: a wait that ends before its timer would only be repeated.
            Some(wait) => i32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX),
        };
        let mut events = self.events.borrow_mut();
        let (start, room) = (events.as_mut_ptr(), events.len() as i32);
        // SAFETY: the kernel writes at most `room` events into the vector's memory.
        let count = check(unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), start, room, milliseconds) });
        let count = match count {
            Ok(count) => count as usize,
            Err(error) => {
                assert!(error.kind() == io::ErrorKind::Interrupted, "epoll_wait: {error}");
                0
            }
        };
        for event in &events[..count] {
            let (token, flags) = (event.u64, event.events as i32);
            if token == WAKEUP {
                core.remote.deliver(core);
                continue;
            }
            let source = self.sources.borrow().get(token as u32 as usize).cloned();
            // Of an earlier socket at this place: nobody's event any more.
            if let Some(source) = source.filter(|source| u64::from(source.generation) == token >> 32) {
                source.ready(flags);
            }
        }
    }
}

impl Readiness {
    fn ready(&self, flags: i32) {
        let broken = flags & (libc::EPOLLERR | libc::EPOLLHUP) != 0;
        if broken || flags & libc::EPOLLRDHUP != 0 {
            self.broken.set(broken);
            self.ended.set(true);
        }
        if broken || flags & (libc::EPOLLIN | libc::EPOLLRDHUP) != 0 {
            self.readable.set(true);
            self.wake_reader();
        }
        if broken || flags & libc::EPOLLOUT != 0 {
            self.writable.set(true);
            if let Some(waker) = self.writer.take() {
                waker.wake();
            }
        }
    }

    pub(super) fn wake_reader(&self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub(super) fn wait_readable(&self, cx: &Context<'_>) {
        self.readable.set(false);
        self.keep_reader(cx);
    }

    pub(super) fn keep_reader(&self, cx: &Context<'_>) {
        *self.reader.borrow_mut() = Some(cx.waker().clone());
    }

    pub(super) fn wait_writable(&self, cx: &Context<'_>) {
        self.writable.set(false);
        *self.writer.borrow_mut() = Some(cx.waker().clone());
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
