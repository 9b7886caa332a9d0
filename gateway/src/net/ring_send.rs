//! Sending on the ring: operations that own what they send, and room for writes to the socket itself.
#![allow(unsafe_code)]

use super::buffer::Outgoing;
use super::executor::Core;
use super::op::{OpId, Outcome, Target};
use super::ring::Ring;
use super::ring_socket::{Connection, keep, wake, with_ring};
use io_uring::opcode;
use io_uring::types::Fd;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The bytes of one send; the rest follows in another.
const SEND_MAX: usize = 1 << 30;

impl Connection {
    pub(super) fn send(self: &Rc<Self>, parts: [Outgoing; 3]) -> SendParts<'_> {
        SendParts { connection: self, parts: Some(parts), started: false }
    }

    /// May bytes be written to the socket itself? Not while an operation sends.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.sending.borrow_mut();
        if state.op.is_some() || state.room.is_some() {
            keep(&mut state.waker, cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// After a try that found no room.
    pub(super) fn wait_room(self: &Rc<Self>, cx: &Context<'_>) {
        let mut state = self.sending.borrow_mut();
        keep(&mut state.waker, cx);
        let poll = opcode::PollAdd::new(Fd(self.fd().as_raw_fd()), libc::POLLOUT as u32).build();
        // SAFETY: the entry points to no memory.
        state.room = with_ring(|_, ring| unsafe { ring.start(poll, Target::Room(self.clone())) });
    }

    pub(super) fn has_room(&self) {
        let mut state = self.sending.borrow_mut();
        state.room = None;
        wake(&mut state.waker);
    }

    /// A write to the socket itself failed so.
    pub(super) fn heard(&self, error: &io::Error) {
        self.reset.set(self.reset.get() || error.kind() == io::ErrorKind::ConnectionReset);
    }

    /// Has a message been given up in the middle? Sets what later sends are to find.
    pub(super) fn replace_cut(&self, cut: bool) -> bool {
        std::mem::replace(&mut self.sending.borrow_mut().cut, cut)
    }

    /// Puts bytes on their way that nobody waits for; they come back where another send is under way still.
    pub(super) fn post(self: &Rc<Self>, bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        let mut state = self.sending.borrow_mut();
        if state.op.is_some() || state.cut {
            return Err(bytes);
        }
        state.start(self, [Outgoing::Vec(bytes), Outgoing::Empty, Outgoing::Empty]);
        state.posted = true;
        Ok(())
    }

    /// Bytes are on their way that the kernel has not taken yet.
    pub(super) fn is_sending(&self) -> bool {
        self.sending.borrow().op.is_some()
    }

    /// Has all that was posted gone out?
    pub(super) fn is_sent(&self) -> bool {
        let state = self.sending.borrow();
        state.op.is_none() && state.error.is_none() && state.done == state.total
    }

    pub(super) fn sent(self: Rc<Self>, core: &Core, outcome: Outcome) {
        let mut state = self.sending.borrow_mut();
        state.op = None;
        match outcome.result {
            1.. => state.done += outcome.result as usize,
            0 => state.error = Some(libc::EPIPE),
            code if code == -libc::EINTR || code == -libc::EAGAIN => {}
            code => {
                self.reset.set(self.reset.get() || code == -libc::ECONNRESET);
                state.error = Some(-code);
            }
        }
        if state.error.is_none() && state.done < state.total && !state.abandoned {
            state.submit(&self);
            return;
        }
        if state.abandoned {
            state.forget();
        }
        if std::mem::take(&mut state.posted)
            && let Outgoing::Vec(storage) = std::mem::take(&mut state.parts[0])
        {
            core.spare.give(storage);
        }
        wake(&mut state.waker);
    }
}

/// What is being sent. It lives in the Connection's Rc, which the operation keeps: nothing moves, nothing is
/// freed.
pub(super) struct Sending {
    op: Option<OpId>,
    /// Tells when the socket takes more.
    room: Option<OpId>,
    parts: [Outgoing; 3],
    total: usize,
    done: usize,
    error: Option<i32>,
    /// Nobody waits for it.
    posted: bool,
    /// The future is gone; what is in flight was cancelled.
    abandoned: bool,
    /// A dropped send had sent a part of its bytes: more would not be the stream that the peer expects.
    cut: bool,
    vectors: [libc::iovec; 3],
    message: libc::msghdr,
    waker: Option<Waker>,
}

impl Default for Sending {
    fn default() -> Self {
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            op: None,
            room: None,
            parts: Default::default(),
            total: 0,
            done: 0,
            error: None,
            posted: false,
            abandoned: false,
            cut: false,
            vectors: [vector; 3],
            // SAFETY: msghdr is plain data; all zeros is an empty message.
            message: unsafe { std::mem::zeroed() },
            waker: None,
        }
    }
}

impl Sending {
    fn start(&mut self, connection: &Rc<Connection>, parts: [Outgoing; 3]) {
        self.total = parts.iter().map(|part| part.as_slice().len()).sum();
        (self.parts, self.done, self.error, self.abandoned) = (parts, 0, None, false);
        if self.total > 0 {
            self.submit(connection);
        }
    }

    /// What is left goes out: one part by send, more by sendmsg. MSG_WAITALL: the kernel goes on after a
    /// short write.
    fn submit(&mut self, connection: &Rc<Connection>) {
        let (mut skip, mut count) = (self.done, 0);
        for part in &self.parts {
            let part = part.as_slice();
            let left = &part[skip.min(part.len())..];
            skip -= part.len() - left.len();
            if !left.is_empty() {
                let (iov_base, iov_len) = (left.as_ptr().cast_mut().cast(), left.len().min(SEND_MAX));
                self.vectors[count] = libc::iovec { iov_base, iov_len };
                count += 1;
            }
            // A cut-off part must be the last one of its message.
            if left.len() > SEND_MAX {
                break;
            }
        }
        let (fd, flags) = (Fd(connection.fd().as_raw_fd()), libc::MSG_NOSIGNAL | libc::MSG_WAITALL);
        let entry = if count == 1 {
            let libc::iovec { iov_base, iov_len } = self.vectors[0];
            opcode::Send::new(fd, iov_base.cast(), iov_len as u32).flags(flags).build()
        } else {
            (self.message.msg_iov, self.message.msg_iovlen) = (self.vectors.as_mut_ptr(), count);
            opcode::SendMsg::new(fd, &raw const self.message).flags(flags as u32).build()
        };
        let target = Target::Send(connection.clone());
        // SAFETY: parts, vectors and message lie in the Connection that the target keeps, and stay untouched
        // while `op` is set.
        self.op = with_ring(|_, ring| unsafe { ring.start(entry, target) });
    }

    /// The Stream is gone: a send goes on to its end, but nobody waits for room any more.
    pub(super) fn stop(&self, ring: &Ring) {
        if let Some(op) = self.room {
            ring.cancel(op);
        }
    }

    /// Lets go of an abandoned send.
    fn forget(&mut self) {
        self.cut |= self.done > 0 && self.done < self.total;
        self.parts = Default::default();
        self.abandoned = false;
    }
}

/// Sends the parts; dropped before its end, it takes back what the kernel has not sent.
pub(super) struct SendParts<'a> {
    connection: &'a Rc<Connection>,
    parts: Option<[Outgoing; 3]>,
    started: bool,
}

impl Future for SendParts<'_> {
    type Output = io::Result<[Outgoing; 3]>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let connection = self.connection;
        let mut state = connection.sending.borrow_mut();
        if state.op.is_none()
            && let Some(parts) = self.parts.take()
        {
            if state.cut {
                return Poll::Ready(Err(cut_off()));
            }
            state.start(connection, parts);
            self.started = true;
        }
        if state.op.is_some() {
            keep(&mut state.waker, cx);
            return Poll::Pending;
        }
        self.started = false;
        let parts = std::mem::take(&mut state.parts);
        Poll::Ready(match state.error {
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => Ok(parts),
        })
    }
}

impl Drop for SendParts<'_> {
    fn drop(&mut self) {
        if !self.started {
            return;
        }
        let mut state = self.connection.sending.borrow_mut();
        state.waker = None;
        match state.op {
            Some(op) => {
                state.abandoned = true;
                with_ring(|_, ring| ring.cancel(op));
            }
            None => state.forget(),
        }
    }
}

/// Every later send of a connection whose send was dropped half-way.
pub(super) fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "an earlier send was given up in the middle of its bytes")
}
