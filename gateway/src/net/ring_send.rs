//! Sending on the ring: operations that own what they send, and room for writes to the socket itself.
#![allow(unsafe_code)]

use super::buffer::Outgoing;
use super::executor::Core;
use super::op::{OpId, Outcome, Target};
use super::ring::Ring;
use super::ring_message::Message;
use super::ring_socket::{Connection, keep, wake, with_ring};
use io_uring::opcode;
use io_uring::types::Fd;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

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

    /// Waits until nothing is on its way any more.
    pub(super) fn poll_idle(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.sending.borrow_mut();
        if state.op.is_none() {
            return Poll::Ready(());
        }
        keep(&mut state.waker, cx);
        Poll::Pending
    }

    /// Has all that was posted gone out?
    pub(super) fn is_sent(&self) -> bool {
        let state = self.sending.borrow();
        state.op.is_none() && state.error.is_none()
    }

    pub(super) fn sent(self: Rc<Self>, core: &Core, outcome: Outcome) {
        let mut state = self.sending.borrow_mut();
        state.op = None;
        match outcome.result {
            1.. => {
                if let Some(message) = &mut state.message {
                    message.done += outcome.result as usize;
                }
            }
            0 => state.error = Some(libc::EPIPE),
            code if code == -libc::EINTR || code == -libc::EAGAIN => {}
            code => {
                self.reset.set(self.reset.get() || code == -libc::ECONNRESET);
                state.error = Some(-code);
            }
        }
        let whole = state.message.as_ref().is_none_or(|message| message.is_done());
        if state.error.is_none() && !whole && !state.abandoned {
            state.submit(&self);
            return;
        }
        if state.abandoned {
            state.forget();
        }
        // Nobody hears of the error: what were sent next would stand where these bytes are due.
        state.cut |= state.posted && state.error.is_some();
        if std::mem::take(&mut state.posted)
            && let [Outgoing::Vec(storage), ..] = state.finish()
        {
            core.spare.give(storage);
        }
        wake(&mut state.waker);
    }
}

#[derive(Default)]
pub(super) struct Sending {
    op: Option<OpId>,
    /// Tells when the socket takes more.
    room: Option<OpId>,
    /// None while nothing is sent: an idle connection does not carry its room.
    message: Option<Box<Message>>,
    error: Option<i32>,
    /// Nobody waits for it.
    posted: bool,
    /// The future is gone; what is in flight was cancelled.
    abandoned: bool,
    /// A dropped send had sent a part of its bytes: more would not be the stream that the peer expects.
    cut: bool,
    waker: Option<Waker>,
}

impl Sending {
    fn start(&mut self, connection: &Rc<Connection>, parts: [Outgoing; 3]) {
        let message = self.message.insert(Box::new(Message::new(parts)));
        let empty = message.is_done();
        (self.error, self.abandoned) = (None, false);
        if !empty {
            self.submit(connection);
        }
    }

    fn submit(&mut self, connection: &Rc<Connection>) {
        let Some(message) = &mut self.message else { return };
        let entry = message.entry(Fd(connection.fd().as_raw_fd()));
        let target = Target::Send(connection.clone());
        // SAFETY: parts, vectors and header lie in a box of the Connection that the target keeps, and stay untouched
        // while `op` is set.
        self.op = with_ring(|_, ring| unsafe { ring.start(entry, target) });
    }

    /// Takes the message whose last completion has come.
    fn finish(&mut self) -> [Outgoing; 3] {
        self.message.take().map(|message| message.parts).unwrap_or_default()
    }

    /// The Stream is gone: nobody waits for room any more, and a peer that takes nothing does not keep the descriptor.
    pub(super) fn stop(&self, ring: &Ring) {
        self.room.into_iter().chain(self.op.filter(|_| self.posted)).for_each(|op| ring.cancel(op));
    }

    /// Lets go of an abandoned send.
    fn forget(&mut self) {
        let message = self.message.take();
        self.cut |= message.is_some_and(|message| message.done > 0 && !message.is_done());
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
        let parts = state.finish();
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
