//! Sockets on the ring: multishot accept and receive with bounded queues, sends that own what they send.
#![allow(unsafe_code)]

use super::Size;
use super::buffer::{Chunk, Outgoing, Waiting};
use super::executor::{Core, Driver};
use super::held::{HELD_MAX, held_bytes};
use super::op::{OpId, Outcome, Target};
use super::ring::Ring;
pub(super) use super::ring_accept::Acceptor;
use super::socket::End;
use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use socket2::{SockAddr, SockRef};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// Chunks that wait unread before the kernel is told to stop.
const UNREAD_MAX: usize = 4;
/// What still arrives past this is moved out of the pool: a reader that does not read starves no other.
const UNREAD_POOLED_MAX: usize = 8;
/// The bytes of one send; the rest follows in another.
const SEND_MAX: usize = 1 << 30;

pub(super) fn with_ring<R>(f: impl FnOnce(&Core, &Ring) -> R) -> Option<R> {
    Core::try_with(|core| match &core.driver {
        Driver::Ring(ring) => Some(f(core, ring)),
        Driver::Epoll(_) => None,
    })?
}

/// A connection, or one that is being made.
pub(super) struct Connection {
    fd: OwnedFd,
    connecting: RefCell<Connecting>,
    receiving: RefCell<Receiving>,
    sending: RefCell<Sending>,
    /// A send heard of the peer's reset, so that reads will not.
    reset: Cell<bool>,
}

#[derive(Default)]
struct Connecting {
    op: Option<OpId>,
    /// The kernel reads it; boxed, so that it stays where it is.
    address: Option<Box<SockAddr>>,
    outcome: Option<i32>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Receiving {
    op: Option<(OpId, Size)>,
    /// The operation was asked to end.
    stopping: bool,
    closed: bool,
    waiting: bool,
    /// Whoever waits wants the end alone, and no bytes.
    watching: bool,
    queue: VecDeque<Chunk>,
    /// The end of the stream (0) or an errno: nothing comes after it.
    end: Option<i32>,
    waker: Option<Waker>,
}

impl Connection {
    pub(super) fn new(fd: OwnedFd) -> Rc<Self> {
        let (connecting, receiving, sending, reset) = Default::default();
        Rc::new(Self { fd, connecting, receiving, sending, reset })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn poll_connect(self: &Rc<Self>, cx: &mut Context<'_>, to: &SockAddr) -> Poll<io::Result<()>> {
        let mut state = self.connecting.borrow_mut();
        match state.outcome.take() {
            Some(0) => return Poll::Ready(Ok(())),
            Some(code) => return Poll::Ready(Err(io::Error::from_raw_os_error(-code))),
            None => {}
        }
        if state.op.is_none() {
            let address = state.address.insert(Box::new(to.clone()));
            let entry = opcode::Connect::new(Fd(self.fd.as_raw_fd()), address.as_ptr().cast(), address.len());
            let target = Target::Connect(self.clone());
            // SAFETY: the address is boxed in the target and not touched before the completion.
            state.op = with_ring(|_, ring| unsafe { ring.start(entry.build(), target) });
        }
        keep(&mut state.waker, cx);
        Poll::Pending
    }

    pub(super) fn connected(&self, outcome: Outcome) {
        let mut state = self.connecting.borrow_mut();
        (state.op, state.address, state.outcome) = (None, None, Some(outcome.result));
        wake(&mut state.waker);
    }

    pub(super) fn poll_recv(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        size: Size,
    ) -> Poll<io::Result<Option<Chunk>>> {
        let mut state = self.receiving.borrow_mut();
        state.watching = false;
        if let Some(chunk) = state.queue.pop_front() {
            return Poll::Ready(Ok(Some(chunk)));
        }
        match state.end {
            Some(0) => return Poll::Ready(Ok(None)),
            Some(code) => return Poll::Ready(Err(io::Error::from_raw_os_error(code))),
            None => {}
        }
        keep(&mut state.waker, cx);
        with_ring(|core, ring| match (state.op, core.size_at_hand(size)) {
            (None, size) => self.arm(&mut state, core, ring, size),
            (Some((op, Size::Small)), Size::Large) => state.stop(ring, op),
            (Some(_), _) => {}
        });
        Poll::Pending
    }

    /// What has come stays in the queue. Past its maximum, the end is seen once that was read.
    pub(super) fn poll_end(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<End> {
        let mut state = self.receiving.borrow_mut();
        match state.end {
            Some(0) => return Poll::Ready(End::Finished),
            Some(_) => return Poll::Ready(End::Reset),
            None => {}
        }
        state.watching = true;
        keep(&mut state.waker, cx);
        if state.op.is_none() && state.queue.len() < UNREAD_MAX {
            with_ring(|core, ring| self.arm(&mut state, core, ring, Size::Small));
        }
        Poll::Pending
    }

    fn arm(self: &Rc<Self>, state: &mut Receiving, core: &Core, ring: &Ring, size: Size) {
        let pool = core.pool(size);
        if !pool.has_buffers() {
            if !std::mem::replace(&mut state.waiting, true) {
                let reader: Weak<Self> = Rc::downgrade(self);
                pool.wait(reader);
            }
            return;
        }
        let fd = Fd(self.fd.as_raw_fd());
        let entry = match size {
            Size::Small => opcode::RecvMulti::new(fd, 0).build(),
            Size::Large => {
                let entry = opcode::Recv::new(fd, std::ptr::null_mut(), pool.size()).buf_group(1);
                entry.build().flags(squeue::Flags::BUFFER_SELECT)
            }
        };
        // SAFETY: the entry points to no memory; the kernel picks a buffer that its pool keeps.
        let op = unsafe { ring.start(entry, Target::Recv(self.clone())) };
        (state.op, state.stopping) = (Some((op, size)), false);
    }

    pub(super) fn received(&self, core: &Core, outcome: Outcome) {
        let mut state = self.receiving.borrow_mut();
        let Some((op, size)) = state.op else { return };
        if !outcome.more {
            state.op = None;
        }
        let bytes = u32::try_from(outcome.result).unwrap_or(0);
        let chunk = outcome.buffer.map(|id| core.pool(size).taken(id, bytes));
        match outcome.result {
            1.. => {
                let unread = state.queue.len();
                // Buffer select is set on every receive: bytes without a buffer do not exist.
                if let Some(chunk) = chunk.filter(|_| !state.closed) {
                    // While buffers are scarce, only a reader who waits for one gets one.
                    let awaited = (state.waker.is_some() && !state.watching) || !core.pool(size).is_scarce();
                    let pooled = unread < UNREAD_POOLED_MAX && awaited;
                    if pooled || held_bytes() < HELD_MAX {
                        state.queue.push_back(if pooled { chunk } else { chunk.into_heap() });
                    } else {
                        state.end = state.end.or(Some(libc::ENOBUFS));
                    }
                }
                if unread + 1 >= UNREAD_MAX && state.op.is_some() {
                    with_ring(|_, ring| state.stop(ring, op));
                }
            }
            0 => state.end = state.end.or(Some(if self.reset.get() { libc::ECONNRESET } else { 0 })),
            // The pool was empty, or we stopped it: the next reader starts anew.
            code if [-libc::ENOBUFS, -libc::ECANCELED, -libc::EINTR, -libc::EAGAIN].contains(&code) => {}
            code => state.end = state.end.or(Some(-code)),
        }
        wake(&mut state.waker);
    }

    #[cfg(test)]
    pub(super) fn unread(&self) -> usize {
        self.receiving.borrow().queue.len()
    }

    /// Nothing has arrived: no byte, no end, no error.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.receiving.borrow();
        if !state.queue.is_empty() || state.end.is_some() {
            return false;
        }
        state.op.is_some() || nothing_to_read(self.fd())
    }

    /// Later reads give None; the caller has shut the socket down, which ends what is in flight.
    pub(super) fn end(&self) {
        let mut state = self.receiving.borrow_mut();
        state.queue.clear();
        (state.closed, state.end) = (true, Some(0));
        wake(&mut state.waker);
    }

    pub(super) fn send(self: &Rc<Self>, parts: [Outgoing; 3]) -> SendParts<'_> {
        SendParts { connection: self, parts: Some(parts), started: false }
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

    /// The Stream is gone: ends everything; the last completion drops the last Rc, and that closes the
    /// descriptor.
    pub(super) fn close(&self) {
        with_ring(|_, ring| {
            if let Some(op) = self.connecting.borrow().op {
                ring.cancel(op);
            }
            let mut receiving = self.receiving.borrow_mut();
            receiving.closed = true;
            receiving.queue.clear();
            if let Some((op, _)) = receiving.op {
                receiving.stop(ring, op);
            }
        });
    }
}

impl Waiting for Connection {
    fn buffer_returned(&self) {
        let mut state = self.receiving.borrow_mut();
        state.waiting = false;
        wake(&mut state.waker);
    }
}

impl Receiving {
    fn stop(&mut self, ring: &Ring, op: OpId) {
        if !std::mem::replace(&mut self.stopping, true) {
            ring.cancel(op);
        }
    }
}

/// What is being sent. It lives in the Connection's Rc, which the operation keeps: nothing moves, nothing is
/// freed.
struct Sending {
    op: Option<OpId>,
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
        let (fd, flags) = (Fd(connection.fd.as_raw_fd()), libc::MSG_NOSIGNAL | libc::MSG_WAITALL);
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

/// Asks the socket itself, without taking anything.
pub(super) fn nothing_to_read(fd: BorrowedFd<'_>) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    let peeked = SockRef::from(&fd).recv_with_flags(&mut byte, libc::MSG_PEEK | libc::MSG_DONTWAIT);
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

pub(super) fn keep(kept: &mut Option<Waker>, cx: &Context<'_>) {
    match kept {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *kept = Some(cx.waker().clone()),
    }
}

pub(super) fn wake(kept: &mut Option<Waker>) {
    if let Some(waker) = kept.take() {
        waker.wake();
    }
}
