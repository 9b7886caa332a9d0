//! Sockets on the ring: receives with bounded queues, in small pieces as they come or in large ones on demand.
#![allow(unsafe_code)]

use super::Size;
use super::buffer::{Chunk, Waiting};
use super::executor::{Core, Driver};
use super::held::{HELD_MAX, held_bytes};
use super::op::{OpId, Outcome, Target};
use super::ring::Ring;
pub(super) use super::ring_accept::Acceptor;
use super::ring_send::Sending;
use super::socket::End;
use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use socket2::{SockAddr, SockRef};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// Chunks that wait unread before the kernel is told to stop.
const UNREAD_MAX: usize = 4;
/// What still arrives past this is moved out of the pool: a reader that does not read starves no other.
const UNREAD_POOLED_MAX: usize = 8;
/// Receives of one shot after a long body: the next one is probably as long, and it is read in other ways.
const SINGLE_SHOTS: u8 = 16;

pub(super) fn with_ring<R>(f: impl FnOnce(&Core, &Ring) -> R) -> Option<R> {
    Core::try_with(|core| match &core.driver {
        Driver::Ring(ring) => Some(f(core, ring)),
        Driver::Epoll(_) => None,
    })?
}

/// A connection, or one that is being made.
pub(super) struct Connection {
    fd: OwnedFd,
    /// None unless this side connects, and then no longer than that.
    connecting: RefCell<Option<Box<Connecting>>>,
    receiving: RefCell<Receiving>,
    pub(super) sending: RefCell<Sending>,
    /// A send heard of the peer's reset, so that reads will not.
    pub(super) reset: Cell<bool>,
}

#[derive(Default)]
struct Connecting {
    op: Option<OpId>,
    /// The kernel reads it.
    address: Option<SockAddr>,
    outcome: Option<i32>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Receiving {
    op: Option<(OpId, Arrival)>,
    /// The operation was asked to end.
    stopping: bool,
    /// So many receives of small pieces are to end with their first bytes: an operation that goes on by itself cuts a
    /// long body into small pieces, until it has been stopped.
    single_shots: u8,
    closed: bool,
    waiting: bool,
    /// Whoever waits wants the end alone, and no bytes.
    watching: bool,
    queue: Queue,
    /// The end of the stream (0) or an errno: nothing comes after it.
    end: Option<i32>,
    waker: Option<Waker>,
}

/// What an operation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// Bytes, in buffers of that pool.
    Bytes(Size),
    /// That something can be read, by whoever waits for it.
    Readable,
}

/// Chunks in their order. Mostly there is one, and that takes no storage of its own.
#[derive(Default)]
struct Queue {
    first: Option<Chunk>,
    /// None while there is no first, and for whoever is idle.
    rest: Option<Box<Rest>>,
}

#[derive(Default)]
struct Rest {
    chunks: VecDeque<Chunk>,
}

impl Queue {
    fn push(&mut self, chunk: Chunk) {
        match &self.first {
            None => self.first = Some(chunk),
            Some(_) => self.rest.get_or_insert_default().chunks.push_back(chunk),
        }
    }

    fn pop(&mut self) -> Option<Chunk> {
        let next = self.rest.as_mut().and_then(|rest| rest.chunks.pop_front());
        if self.rest.as_ref().is_some_and(|rest| rest.chunks.is_empty()) {
            self.rest = None;
        }
        std::mem::replace(&mut self.first, next)
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.chunks.len())
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
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
        let mut connecting = self.connecting.borrow_mut();
        let state = connecting.get_or_insert_default();
        if let Some(code) = state.outcome {
            *connecting = None;
            return Poll::Ready(match code {
                0 => Ok(()),
                code => Err(io::Error::from_raw_os_error(-code)),
            });
        }
        if state.op.is_none() {
            let address = state.address.insert(to.clone());
            let entry = opcode::Connect::new(Fd(self.fd.as_raw_fd()), address.as_ptr().cast(), address.len());
            let target = Target::Connect(self.clone());
            // SAFETY: the address lies in a box of the Connection that the target keeps, and is not touched before the
            // completion.
            state.op = with_ring(|_, ring| unsafe { ring.start(entry.build(), target) });
        }
        keep(&mut state.waker, cx);
        Poll::Pending
    }

    pub(super) fn connected(&self, outcome: Outcome) {
        if let Some(state) = &mut *self.connecting.borrow_mut() {
            (state.op, state.outcome) = (None, Some(outcome.result));
            wake(&mut state.waker);
        }
    }

    pub(super) fn poll_recv(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        size: Size,
    ) -> Poll<io::Result<Option<Chunk>>> {
        let mut state = self.receiving.borrow_mut();
        state.watching = false;
        if let Some(chunk) = state.queue.pop() {
            return Poll::Ready(Ok(Some(chunk)));
        }
        match state.end {
            Some(0) => return Poll::Ready(Ok(None)),
            Some(code) => return Poll::Ready(Err(io::Error::from_raw_os_error(code))),
            None => {}
        }
        keep(&mut state.waker, cx);
        if size == Size::Large {
            state.single_shots = SINGLE_SHOTS;
        }
        with_ring(|core, ring| match (state.op, core.size_at_hand(size)) {
            (None, size) => self.arm(&mut state, core, ring, size),
            (Some((op, Arrival::Bytes(Size::Small))), Size::Large) | (Some((op, Arrival::Readable)), _) => {
                state.stop(ring, op);
            }
            (Some((_, Arrival::Bytes(_))), _) => {}
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

    /// True: whoever reads from the socket itself may try. False: `poll_recv` has something to tell.
    pub(super) fn poll_direct(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.receiving.borrow_mut();
        (state.single_shots, state.watching) = (SINGLE_SHOTS, false);
        if !state.queue.is_empty() || state.end.is_some() {
            return Poll::Ready(false);
        }
        let Some((op, arrival)) = state.op else { return Poll::Ready(true) };
        keep(&mut state.waker, cx);
        if arrival != Arrival::Readable {
            with_ring(|_, ring| state.stop(ring, op));
        }
        Poll::Pending
    }

    /// After a try: waits for more, or remembers what the socket will not tell again (false).
    pub(super) fn found_nothing(self: &Rc<Self>, cx: &Context<'_>, error: &io::Error) -> bool {
        let mut state = self.receiving.borrow_mut();
        if error.kind() != io::ErrorKind::WouldBlock {
            state.end = state.end.or(Some(error.raw_os_error().unwrap_or(libc::EIO)));
            return false;
        }
        keep(&mut state.waker, cx);
        let poll = opcode::PollAdd::new(Fd(self.fd.as_raw_fd()), libc::POLLIN as u32).build();
        // SAFETY: the entry points to no memory.
        let op = with_ring(|_, ring| unsafe { ring.start(poll, Target::Recv(self.clone())) });
        (state.op, state.stopping) = (op.map(|op| (op, Arrival::Readable)), false);
        true
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
        let group = u16::from(size == Size::Large);
        let entry = if size == Size::Small && state.single_shots == 0 {
            opcode::RecvMulti::new(fd, group).build()
        } else {
            let entry = opcode::Recv::new(fd, std::ptr::null_mut(), pool.size()).buf_group(group);
            entry.build().flags(squeue::Flags::BUFFER_SELECT)
        };
        state.single_shots = state.single_shots.saturating_sub(1);
        // SAFETY: the entry points to no memory; the kernel picks a buffer that its pool keeps.
        let op = unsafe { ring.start(entry, Target::Recv(self.clone())) };
        (state.op, state.stopping) = (Some((op, Arrival::Bytes(size))), false);
    }

    pub(super) fn received(&self, core: &Core, outcome: Outcome) {
        let mut state = self.receiving.borrow_mut();
        let Some((op, arrival)) = state.op else { return };
        if !outcome.more {
            state.op = None;
        }
        let Arrival::Bytes(size) = arrival else {
            wake(&mut state.waker);
            return;
        };
        let bytes = u32::try_from(outcome.result).unwrap_or(0);
        let chunk = outcome.buffer.map(|id| core.pool(size).taken(id, bytes));
        match outcome.result {
            1.. => {
                let unread = state.queue.len();
                // Buffer select is set on every receive: bytes without a buffer do not exist.
                // Behind what was lost for lack of memory nothing may come: the stream has ended there.
                if let Some(chunk) = chunk.filter(|_| !state.closed && state.end.is_none()) {
                    // While buffers are scarce, only a reader who waits for one gets one.
                    let awaited = (state.waker.is_some() && !state.watching) || !core.pool(size).is_scarce();
                    let pooled = unread < UNREAD_POOLED_MAX && awaited;
                    if pooled || held_bytes() < HELD_MAX {
                        state.queue.push(if pooled { chunk } else { chunk.into_heap() });
                    } else {
                        state.end = Some(libc::ENOBUFS);
                        if state.op.is_some() {
                            with_ring(|_, ring| state.stop(ring, op));
                        }
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

    /// The Stream is gone: ends everything; the last completion drops the last Rc, and that closes the
    /// descriptor.
    pub(super) fn close(&self) {
        with_ring(|_, ring| {
            if let Some(op) = self.connecting.borrow().as_ref().and_then(|state| state.op) {
                ring.cancel(op);
            }
            let mut receiving = self.receiving.borrow_mut();
            receiving.closed = true;
            receiving.queue.clear();
            if let Some((op, _)) = receiving.op {
                receiving.stop(ring, op);
            }
            self.sending.borrow().stop(ring);
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
