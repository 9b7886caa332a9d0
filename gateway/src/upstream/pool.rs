//! One worker's connections to backends: opened when needed, kept while idle, never handed out when the peer has
//! spoken or hung up meanwhile.

use super::Target;
use crate::http::ResponseHead;
use crate::net::{self, Inbound, Stream};
use crate::observe::{self, Counters};
use crate::refusal::Refusal;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Idle connections kept per backend address and worker.
const IDLE_PER_ADDRESS: usize = 256;
/// Past this age an idle connection is closed.
const IDLE_MAX: Duration = Duration::from_secs(50);
/// A request that may not be repeated takes no connection that idled longer: many servers close after 5 seconds.
const IDLE_MAX_UNREPEATABLE: Duration = Duration::from_secs(4);
/// Addresses of one name that are tried before giving up.
const CONNECT_TRIES: usize = 3;

/// A connection to a backend with the storage for its response heads.
pub struct Link {
    pub inbound: Inbound,
    pub head: ResponseHead,
    address: SocketAddr,
    /// It has carried an exchange before: if it dies without a byte, the peer had closed it while idle.
    pub reused: bool,
}

struct Idle {
    link: Link,
    since: Instant,
}

pub struct Pool {
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
    turn: Cell<usize>,
    counters: Arc<Counters>,
    connect_timeout: Duration,
}

impl Pool {
    pub fn new(counters: Arc<Counters>, connect_timeout: Duration) -> Self {
        Self { idle: RefCell::default(), turn: Cell::new(0), counters, connect_timeout }
    }

    /// An idle connection to the target, or a new one.
    pub async fn link(&self, target: &Target, repeatable: bool, deadline: Instant) -> Result<Link, Refusal> {
        let addresses = target.addresses();
        if let Some(link) = self.idle_link(&addresses, repeatable) {
            observe::add(&self.counters.upstream_reuses, 1);
            return Ok(link);
        }
        self.connect(&addresses, deadline).await
    }

    /// A new connection: addresses in turn, so that load spreads and a dead one is passed over.
    pub async fn fresh(&self, target: &Target, deadline: Instant) -> Result<Link, Refusal> {
        self.connect(&target.addresses(), deadline).await
    }

    fn idle_link(&self, addresses: &[SocketAddr], repeatable: bool) -> Option<Link> {
        let now = net::now();
        let oldest = if repeatable { IDLE_MAX } else { IDLE_MAX_UNREPEATABLE };
        let mut idle = self.idle.borrow_mut();
        for n in 0..addresses.len() {
            let address = addresses[(self.turn.get() + n) % addresses.len()];
            let Some(stack) = idle.get_mut(&address) else { continue };
            while let Some(entry) = stack.pop() {
                if now.duration_since(entry.since) > oldest {
                    // The rest of the stack is older still; the sweep closes it.
                    stack.push(entry);
                    break;
                }
                if entry.link.inbound.is_empty() && entry.link.inbound.stream().is_quiet() {
                    return Some(Link { reused: true, ..entry.link });
                }
            }
        }
        None
    }

    async fn connect(&self, addresses: &[SocketAddr], deadline: Instant) -> Result<Link, Refusal> {
        let first = self.turn.get();
        self.turn.set(first.wrapping_add(1));
        for n in 0..addresses.len().min(CONNECT_TRIES) {
            let address = addresses[first.wrapping_add(n) % addresses.len()];
            let until = deadline.min(net::now() + self.connect_timeout);
            observe::add(&self.counters.upstream_connects, 1);
            if let Ok(Ok(stream)) = net::timeout_at(until, Stream::connect(address)).await {
                let inbound = Inbound::new(Rc::new(stream));
                return Ok(Link { inbound, head: ResponseHead::new(), address, reused: false });
            }
            observe::add(&self.counters.upstream_failures, 1);
            if net::now() >= deadline {
                return Err(Refusal::IntegrationTimeout);
            }
        }
        Err(Refusal::IntegrationUnreachable)
    }

    /// Keeps the connection for the next exchange. Only for one whose last message was read to its end.
    pub fn keep(&self, link: Link) {
        let mut idle = self.idle.borrow_mut();
        let stack = idle.entry(link.address).or_default();
        if stack.len() < IDLE_PER_ADDRESS {
            stack.push(Idle { link, since: net::now() });
        }
    }

    /// Closes what idled too long or was closed by its peer.
    pub fn sweep(&self) {
        let now = net::now();
        self.idle.borrow_mut().retain(|_, stack| {
            stack.retain(|entry| {
                now.duration_since(entry.since) <= IDLE_MAX && entry.link.inbound.stream().is_quiet()
            });
            !stack.is_empty()
        });
    }
}
