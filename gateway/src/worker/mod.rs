//! One thread, one core: accepts connections and carries each request down the line.

use crate::net::{IoKind, MailSender};
use crate::observe::Counters;
use crate::snapshot::Snapshot;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// What control tells a worker.
pub enum Order {
    /// Serve by this snapshot from now on. `sockets` are new listening sockets (index into snapshot.listeners);
    /// listeners that stay (same name and address) keep theirs, those that are gone are closed.
    /// Connections that the new snapshot no longer allows are closed before `done` runs.
    Adopt { snapshot: Arc<Snapshot>, sockets: Vec<(usize, OwnedFd)>, done: Box<dyn FnOnce(Adopted) + Send> },
    /// Accept no more, finish what runs, close idle connections, end by the deadline.
    Drain { within: Duration },
}

/// What adopting a snapshot did on one worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Adopted {
    pub connections_closed: usize,
}

/// One open client connection, as `set-endpoint`'s plan counts them.
#[derive(Clone, Copy, Debug)]
pub struct OpenConnection {
    pub listener: usize,
    pub peer: SocketAddr,
}

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub io: IoKind,
    pub limits: Limits,
}

/// Times and sizes past which a client or a backend is given up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: usize,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    pub body_idle_timeout: Duration,
    pub send_timeout: Duration,
    pub connect_timeout: Duration,
    pub tunnel_idle_timeout: Duration,
    pub body_bytes: u64,
}

/// A running worker, as control holds it.
pub struct Handle {
    pub mail: MailSender<Order>,
    pub counters: Arc<Counters>,
    pub thread: std::thread::JoinHandle<()>,
}

impl Handle {
    /// The client connections open now (bounded by Limits::connections).
    pub fn open_connections(&self) -> Vec<OpenConnection> {
        todo!()
    }
}

/// Starts worker `number` on its own thread, pinned to a core. It serves nothing until its first `Adopt`.
pub fn start(_number: usize, _settings: Settings) -> std::io::Result<Handle> {
    todo!()
}
