//! Received bytes that nobody has used yet: heads are read out of them, bodies taken away without copying.

use super::held::Held;
use super::{Chunk, Outgoing, Size, Stream};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The reading half of a connection. Its unread bytes lie in one piece: in the last chunk, or, when a head spans
/// several chunks, gathered in `carry`.
pub struct Inbound {
    stream: Rc<Stream>,
    chunk: Option<Chunk>,
    /// None for most, and for whoever is idle.
    carry: Option<Box<Carry>>,
}

#[derive(Default)]
struct Carry {
    bytes: Vec<u8>,
    /// Read position.
    at: usize,
    /// Counts `bytes`.
    held: Held,
}

impl Carry {
    fn unread(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
        self.held.set(self.bytes.capacity());
    }
}

impl Inbound {
    pub fn new(stream: Rc<Stream>) -> Self {
        Self { stream, chunk: None, carry: None }
    }

    pub fn stream(&self) -> &Rc<Stream> {
        &self.stream
    }

    /// All unread bytes, in one piece.
    pub fn bytes(&self) -> &[u8] {
        match (&self.carry, &self.chunk) {
            (Some(carry), _) => carry.unread(),
            (None, Some(chunk)) => chunk.as_slice(),
            (None, None) => &[],
        }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Drops the first `n` unread bytes, and the buffer with the last of them.
    pub fn consume(&mut self, n: usize) {
        let n = n.min(self.bytes().len());
        match (&mut self.carry, &mut self.chunk) {
            (Some(carry), _) => carry.at += n,
            (None, Some(chunk)) => chunk.advance(n),
            (None, None) => {}
        }
        if self.is_empty() {
            self.release();
        }
    }

    /// Waits for more bytes and puts them behind the unread ones. False: the stream has ended.
    pub fn more(&mut self, size: Size) -> impl Future<Output = io::Result<bool>> {
        poll_fn(move |cx| self.poll_more(cx, size))
    }

    fn poll_more(&mut self, cx: &mut Context<'_>, size: Size) -> Poll<io::Result<bool>> {
        // What is unread waits outside the pool: a crowd of half heads must not keep its buffers from others.
        if let Some(chunk) = self.chunk.take() {
            self.carry.get_or_insert_default().add(chunk.as_slice());
        }
        let Some(new) = ready!(self.stream.poll_recv(cx, size))? else {
            return Poll::Ready(Ok(false));
        };
        match &mut self.carry {
            Some(carry) => carry.add(new.as_slice()),
            None => self.chunk = Some(new),
        }
        Poll::Ready(Ok(true))
    }

    /// Takes the first `n` unread bytes: the chunk itself when they are all of it, else a copy.
    pub fn take(&mut self, n: usize) -> Outgoing {
        if self.carry.is_none()
            && n == self.bytes().len()
            && let Some(chunk) = self.chunk.take()
        {
            return Outgoing::Chunk(chunk);
        }
        let copy = self.bytes()[..n].to_vec();
        self.consume(n);
        Outgoing::Vec(copy)
    }

    /// An idle connection keeps no buffer.
    fn release(&mut self) {
        self.chunk = None;
        self.carry = None;
    }
}
