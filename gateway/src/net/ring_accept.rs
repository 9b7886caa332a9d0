//! Accepting on the ring: one multishot operation, and a bounded queue of what it accepted.
#![allow(unsafe_code)]

use super::executor::Core;
use super::op::{OpId, Outcome, Target};
use super::ring_socket::{keep, wake, with_ring};
use io_uring::opcode;
use io_uring::types::Fd;
use socket2::SockRef;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Connections that were accepted and not yet asked for; past it the kernel's backlog keeps them.
const ACCEPTED_MAX: usize = 256;
/// A listening socket.
pub(super) struct Acceptor {
    fd: OwnedFd,
    state: RefCell<Accepting>,
}

#[derive(Default)]
struct Accepting {
    op: Option<OpId>,
    stopping: bool,
    closed: bool,
    queue: VecDeque<OwnedFd>,
    error: Option<i32>,
    waker: Option<Waker>,
}

impl Acceptor {
    pub(super) fn new(fd: OwnedFd) -> Rc<Self> {
        Rc::new(Self { fd, state: RefCell::default() })
    }

    pub(super) fn poll_accept(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let mut state = self.state.borrow_mut();
        if let Some(fd) = state.queue.pop_front() {
            return Poll::Ready(Ok(fd));
        }
        if let Some(code) = state.error.take() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(code)));
        }
        if state.op.is_none() {
            let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            let entry = opcode::AcceptMulti::new(Fd(self.fd.as_raw_fd())).flags(flags).build();
            // SAFETY: the entry points to no memory; the target keeps the descriptor open.
            state.op = with_ring(|_, ring| unsafe { ring.start(entry, Target::Accept(self.clone())) });
            state.stopping = false;
        }
        keep(&mut state.waker, cx);
        Poll::Pending
    }

    pub(super) fn accepted(&self, _core: &Core, outcome: Outcome) {
        let mut state = self.state.borrow_mut();
        match outcome.result {
            // SAFETY: the kernel made this descriptor for us; nobody else knows it.
            fd if fd >= 0 => state.queue.push_back(unsafe { OwnedFd::from_raw_fd(fd) }),
            code if code == -libc::ECANCELED => {}
            code => state.error = Some(-code),
        }
        if !outcome.more {
            state.op = None;
        }
        if state.closed {
            state.queue.clear();
        } else if state.queue.len() >= ACCEPTED_MAX {
            state.stop();
        }
        wake(&mut state.waker);
    }

    /// Accepting ends: what had been accepted until then, one by one.
    pub(super) fn poll_rest(&self, cx: &mut Context<'_>) -> Poll<Option<OwnedFd>> {
        let mut state = self.state.borrow_mut();
        state.stop();
        if let Some(fd) = state.queue.pop_front() {
            return Poll::Ready(Some(fd));
        }
        if state.op.is_none() {
            return Poll::Ready(None);
        }
        keep(&mut state.waker, cx);
        Poll::Pending
    }

    /// Once that has given None: takes connections whose wake-up went to the operation that was ended, and tells
    /// whether there were any. The kernel wakes one waiter for each connection: another process with this socket would
    /// not hear of them before the next one comes.
    pub(super) fn takes_missed(&self) -> bool {
        let socket = SockRef::from(&self.fd);
        // The other process, for this moment, takes EAGAIN for nothing worse.
        if socket.set_nonblocking(true).is_err() {
            return false;
        }
        let mut state = self.state.borrow_mut();
        state.queue.extend(std::iter::from_fn(|| Some(socket.accept().ok()?.0.into())).take(ACCEPTED_MAX));
        // Fails only on a descriptor that is none, as above.
        let _ = socket.set_nonblocking(false);
        !state.queue.is_empty()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The descriptor closes when the kernel has let go of it.
    pub(super) fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        state.queue.clear();
        state.waker = None;
        state.stop();
    }
}

impl Accepting {
    fn stop(&mut self) {
        if let Some(op) = self.op
            && !std::mem::replace(&mut self.stopping, true)
        {
            with_ring(|_, ring| ring.cancel(op));
        }
    }
}
