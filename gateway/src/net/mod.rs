//! Bytes in and out: a `!Send` executor, sockets and timers, one per worker thread, on io_uring or on epoll.

mod affinity;
mod buffer;
mod epoll;
mod epoll_socket;
mod executor;
mod future;
mod held;
mod inbound;
mod mailbox;
mod op;
mod open_files;
mod pass;
mod pipe;
mod ring;
mod ring_accept;
mod ring_message;
mod ring_probe;
mod ring_send;
mod ring_socket;
mod socket;
#[cfg(test)]
mod tests;
mod timer;
mod waker;

pub use affinity::{give_way, pin_thread, small_pages};
pub use buffer::{Chunk, Outgoing};
pub use executor::{Runtime, renew, spawn};
pub use future::{Either, Elapsed, at_once, join, race, timeout, timeout_at};
pub use held::{HELD_MAX, held_bytes};
pub use inbound::Inbound;
pub use mailbox::{MailReceiver, MailSender, mailbox};
pub use open_files::raise_open_files;
pub use pass::{PASSED_MAX, Passage};
pub use pipe::Pipe;
pub use ring::probe;
pub use socket::{End, Listener, Stream};
pub use timer::{Alarm, monotonic_us, now, sleep_until};

/// Which kernel interface drives the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoKind {
    IoUring,
    Epoll,
}

/// Sizes of the buffer pools, per worker. A pool grows to eight times its count before readers have to wait.
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

/// Which pool the next bytes are read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Small,
    Large,
}
