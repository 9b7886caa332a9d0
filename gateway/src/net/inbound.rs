//! Received bytes that nobody has used yet: heads are read out of them, bodies taken away without copying.

use super::held::Held;
use super::{Chunk, Outgoing, Size, Stream};
use std::io;
use std::rc::Rc;

/// The reading half of a connection. Its unread bytes lie in one piece: in the last chunk, or, when a head spans
/// several chunks, gathered in `carry`.
pub struct Inbound {
    stream: Rc<Stream>,
    carry: Vec<u8>,
    /// Read position in `carry`.
    at: usize,
    /// Counts `carry`.
    held: Held,
    chunk: Option<Chunk>,
}

impl Inbound {
    pub fn new(stream: Rc<Stream>) -> Self {
        Self { stream, carry: Vec::new(), at: 0, held: Held::default(), chunk: None }
    }

    pub fn stream(&self) -> &Rc<Stream> {
        &self.stream
    }

    /// All unread bytes, in one piece.
    pub fn bytes(&self) -> &[u8] {
        if self.at < self.carry.len() {
            return &self.carry[self.at..];
        }
        self.chunk.as_ref().map_or(&[], |chunk| chunk.as_slice())
    }

    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Drops the first `n` unread bytes, and the buffer with the last of them.
    pub fn consume(&mut self, n: usize) {
        if self.at < self.carry.len() {
            self.at = (self.at + n).min(self.carry.len());
        } else if let Some(chunk) = &mut self.chunk {
            let n = n.min(chunk.as_slice().len());
            chunk.advance(n);
        }
        if self.bytes().is_empty() {
            self.release();
        }
    }

    /// Waits for more bytes and puts them behind the unread ones. False: the stream has ended.
    pub async fn more(&mut self, size: Size) -> io::Result<bool> {
        // What is unread waits outside the pool: a crowd of half heads must not keep its buffers from others.
        self.carry.drain(..self.at);
        self.at = 0;
        if let Some(chunk) = self.chunk.take() {
            self.carry.extend_from_slice(chunk.as_slice());
        }
        self.held.set(self.carry.capacity());
        let Some(new) = self.stream.recv(size).await? else {
            return Ok(false);
        };
        if self.bytes().is_empty() {
            self.release();
            self.chunk = Some(new);
        } else {
            self.carry.extend_from_slice(new.as_slice());
            self.held.set(self.carry.capacity());
        }
        Ok(true)
    }

    /// Takes the first `n` unread bytes: the chunk itself when they are all of it, else a copy.
    pub fn take(&mut self, n: usize) -> Outgoing {
        let whole = self.at >= self.carry.len() && n == self.bytes().len();
        if whole && let Some(chunk) = self.chunk.take() {
            return Outgoing::Chunk(chunk);
        }
        let copy = self.bytes()[..n].to_vec();
        self.consume(n);
        Outgoing::Vec(copy)
    }

    /// An idle connection keeps no buffer.
    fn release(&mut self) {
        self.chunk = None;
        self.at = 0;
        if self.carry.capacity() > CARRY_KEPT_BYTES {
            self.carry = Vec::new();
        } else {
            self.carry.clear();
        }
        self.held.set(self.carry.capacity());
    }
}

/// A gathered head leaves at most this much storage behind.
const CARRY_KEPT_BYTES: usize = 512;
