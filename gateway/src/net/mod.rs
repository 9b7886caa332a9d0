//! Bytes in and out: a `!Send` executor, sockets and timers, one per worker thread, on io_uring or on epoll.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Which kernel interface drives the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoKind {
    IoUring,
    Epoll,
}

/// Can this host run io_uring as we use it? The error says what refused it and what would mend it.
pub fn probe() -> Result<(), String> {
    todo!()
}

/// One worker's runtime. Everything in this room works only inside `block_on` on the thread that made it.
pub struct Runtime;

impl Runtime {
    pub fn new(_kind: IoKind, _limits: Limits) -> io::Result<Self> {
        todo!()
    }
    /// Drives `main` and every spawned task until `main` ends.
    pub fn block_on<T>(&mut self, _main: impl Future<Output = T>) -> T {
        todo!()
    }
}

/// Sizes of the buffer pools, per worker.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Buffers for heads and small bodies: count (a power of two) and bytes each.
    pub small: (u16, u32),
    /// Buffers for large bodies: count (a power of two) and bytes each.
    pub large: (u16, u32),
}

impl Default for Limits {
    fn default() -> Self {
        Self { small: (1024, 4096), large: (64, 65536) }
    }
}

/// Starts a task on this thread's runtime.
pub fn spawn(_task: impl Future<Output = ()> + 'static) {
    todo!()
}

/// The loop's time: read once per turn of the loop.
pub fn now() -> Instant {
    todo!()
}

pub async fn sleep_until(_deadline: Instant) {
    todo!()
}

/// The deadline passed first. The losing future is dropped; no data is lost by that.
#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed;

pub async fn timeout_at<F: Future>(_deadline: Instant, _future: F) -> Result<F::Output, Elapsed> {
    todo!()
}

pub async fn timeout<F: Future>(after: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(now() + after, future).await
}

/// Runs both to their end.
pub async fn join<A: Future, B: Future>(_a: A, _b: B) -> (A::Output, B::Output) {
    todo!()
}

pub enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Runs both until one ends (the left one is polled first) and drops the other.
pub async fn race<A: Future, B: Future>(_a: A, _b: B) -> Either<A::Output, B::Output> {
    todo!()
}

/// A listening socket, made by the control plane (bound, listening, SO_REUSEPORT), served by this worker.
pub struct Listener;

impl Listener {
    pub fn new(_socket: OwnedFd) -> io::Result<Self> {
        todo!()
    }
    /// The next connection (TCP_NODELAY set). When descriptors run out (EMFILE, ENFILE, ENOBUFS) it pauses
    /// and goes on by itself; errors of a single connection are skipped. Dropping the Listener closes it.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        todo!()
    }
}

/// Which pool the next bytes are read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Small,
    Large,
}

/// A TCP connection. Reading and writing may go on at the same time from two futures (`&self`).
/// Dropping it closes the descriptor once the kernel has let go of every buffer.
pub struct Stream;

impl Stream {
    pub async fn connect(_address: SocketAddr) -> io::Result<Self> {
        todo!()
    }
    /// The next bytes (never an empty Chunk), or None at the end of the stream. At most one reader at a time.
    /// Holds no buffer while it waits. Dropping the future loses nothing.
    pub async fn recv(&self, _size: Size) -> io::Result<Option<Chunk>> {
        todo!()
    }
    /// Sends all of it and hands the (still full) buffer back for reuse. At most one writer at a time.
    pub async fn send(&self, _data: Outgoing) -> io::Result<Outgoing> {
        todo!()
    }
    /// Sends all three in order with as few system calls as possible, and hands them back.
    pub async fn send_parts(&self, _parts: [Outgoing; 3]) -> io::Result<[Outgoing; 3]> {
        todo!()
    }
    /// No byte and no end of stream has arrived that nobody has read: an idle connection is fit for reuse.
    pub fn is_quiet(&self) -> bool {
        todo!()
    }
    /// Half-closes our side (FIN).
    pub fn shutdown_write(&self) {
        todo!()
    }
    /// Ends both directions at once: pending and later reads give None, writes fail. For closing from outside.
    pub fn shutdown(&self) {
        todo!()
    }
    /// Makes the close that follows a reset (RST): the peer must not take a cut body for a whole one.
    pub fn reset_on_close(&self) {
        todo!()
    }
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        todo!()
    }
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        todo!()
    }
}

/// Received bytes in a pooled buffer, which goes back to its pool on drop.
pub struct Chunk;

impl Chunk {
    pub fn as_slice(&self) -> &[u8] {
        todo!()
    }
    /// Drops the first `n` bytes.
    pub fn advance(&mut self, _n: usize) {
        todo!()
    }
    /// Drops everything past the first `n` bytes.
    pub fn truncate(&mut self, _n: usize) {
        todo!()
    }
}

/// Bytes that are on their way out, owned by the operation until the kernel is done with them.
#[derive(Default)]
pub enum Outgoing {
    #[default]
    Empty,
    Static(&'static [u8]),
    Vec(Vec<u8>),
    Shared(bytes::Bytes),
    Chunk(Chunk),
}

/// A bounded queue from any thread into a worker's loop; wakes it by an eventfd.
pub fn mailbox<T: Send + 'static>(_capacity: usize) -> io::Result<(MailSender<T>, MailReceiver<T>)> {
    todo!()
}

/// Cheap to clone, Send + Sync. The receiver is Send (made on the control thread), used inside `block_on`.
pub struct MailSender<T>(std::marker::PhantomData<fn(T)>);
pub struct MailReceiver<T>(std::marker::PhantomData<fn() -> T>);

impl<T> Clone for MailSender<T> {
    fn clone(&self) -> Self {
        todo!()
    }
}

impl<T: Send + 'static> MailSender<T> {
    /// Gives the message back when the queue is full or the receiver is gone.
    pub fn send(&self, _message: T) -> Result<(), T> {
        todo!()
    }
}

impl<T: Send + 'static> MailReceiver<T> {
    /// None once every sender is gone.
    pub async fn recv(&mut self) -> Option<T> {
        todo!()
    }
}
