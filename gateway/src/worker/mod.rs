//! One thread, one core: accepts connections and carries each request down the line.

mod both_ways;
mod cached;
mod client;
mod clock;
mod compress;
mod convert;
mod departure;
mod exchange;
mod flag;
mod local;
mod proxy;
mod respond;
mod response_head;
mod room;
mod scratch;
mod serve;
mod whole;

use crate::guard::ban::BanTable;
use crate::guard::offence::Offence;
use crate::net::{IoKind, MailSender};
use crate::observe::Counters;
use crate::snapshot::Snapshot;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

/// Listening sockets, each with the index of its listener.
pub type Sockets = std::io::Result<Vec<(usize, OwnedFd)>>;

/// What control tells a worker.
pub enum Order {
    /// Serve by this snapshot from now on. `sockets` are new listening sockets (index into snapshot.listeners);
    /// listeners that stay (same name and address) keep theirs, those that are gone are closed.
    /// Connections that the new snapshot no longer allows are closed before `done` runs.
    Adopt { snapshot: Arc<Snapshot>, sockets: Vec<(usize, OwnedFd)>, done: Box<dyn FnOnce(Adopted) + Send> },
    /// Serve none of these sources from now on: their connections are closed before `done` is told how many there were,
    /// and new ones as soon as they are accepted.
    Ban { bans: Arc<BanTable>, done: Box<dyn FnOnce(usize) + Send> },
    /// Tell the connections that are open now (bounded by `Limits::connections`).
    Connections { reply: Box<dyn FnOnce(Vec<OpenConnection>) + Send> },
    /// Give the listening sockets once more, each with the index of its listener, for a process that takes over.
    Sockets { done: Box<dyn FnOnce(Sockets) + Send> },
    /// Another process accepts now: serve what was accepted here, tell each client with its next answer that the
    /// connection ends, close those that stay idle, end by the deadline.
    Leave { within: Duration },
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
    /// Index into the listeners of the snapshot that the worker serves by.
    pub listener: usize,
    pub peer: SocketAddr,
    /// Whose connection and whose request it is, by the word of trusted proxies; else the peer.
    pub from: IpAddr,
    pub source: IpAddr,
}

/// A source that earned one refusal too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offender {
    pub source: IpAddr,
    pub offence: Offence,
}

/// Tells control of an offender, and never waits. False: there is no room, nobody heard it.
pub type Report = Arc<dyn Fn(Offender) -> bool + Send + Sync>;

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub io: IoKind,
    pub limits: Limits,
}

/// Times and sizes past which a client or a backend is given up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open client connections per worker.
    pub connections: usize,
    /// From a head's first byte to its last.
    pub head_timeout: Duration,
    /// A connection without a request.
    pub idle_timeout: Duration,
    /// A body of which nothing moves.
    pub body_idle_timeout: Duration,
    /// Bytes a second of a request's body that a client must keep up, beside `body_idle_timeout` once.
    pub body_rate: u32,
    /// A peer that takes none of what we send.
    pub send_timeout: Duration,
    pub connect_timeout: Duration,
    /// An upgraded connection on which nothing moves (AWS: 10 minutes).
    pub tunnel_idle_timeout: Duration,
    /// A request's body (AWS: 10 MB).
    pub body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_idle_timeout: Duration::from_secs(30),
            body_rate: 500,
            send_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            tunnel_idle_timeout: Duration::from_secs(600),
            body_bytes: 10 * 1024 * 1024,
        }
    }
}

/// Orders that may wait for a worker.
const MAIL_CAPACITY: usize = 64;

/// A running worker, as control holds it.
pub struct Handle {
    pub mail: MailSender<Order>,
    pub counters: Arc<Counters>,
    pub thread: std::thread::JoinHandle<()>,
}

/// Starts worker `number` on its own thread, pinned to a core. It serves nothing until its first `Adopt`.
pub fn start(number: usize, settings: Settings, report: Report) -> std::io::Result<Handle> {
    let (mail, orders) = crate::net::mailbox(MAIL_CAPACITY)?;
    let counters = Arc::new(Counters::default());
    let (started, outcome) = mpsc::sync_channel(1);
    let theirs = counters.clone();
    let thread = std::thread::Builder::new()
        .name(format!("worker-{number}"))
        .spawn(move || serve::run(number, (settings, report), orders, theirs, &started))?;
    match outcome.recv() {
        Ok(Ok(())) => Ok(Handle { mail, counters, thread }),
        Ok(Err(error)) => Err(error),
        Err(mpsc::RecvError) => Err(std::io::Error::other("the worker ended while it started")),
    }
}
