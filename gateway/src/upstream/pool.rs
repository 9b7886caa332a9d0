//! One worker's connections to backends: opened when needed, kept while idle, never handed out when the peer has
//! spoken or hung up meanwhile.

use super::Target;
use crate::net::{self, Inbound, Stream};
use crate::observe::{self, Counters};
use crate::refusal::Refusal;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::ErrorKind::{ConnectionRefused, ConnectionReset};
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
/// A backend that refuses connections for no longer than this is being restarted, and is waited for.
const RESTARTS_WITHIN: Duration = Duration::from_secs(1);
/// Between the first tries of such a one; each pause is twice the one before,
const TRIED_FIRST: Duration = Duration::from_millis(25);
/// but no longer than this: so much later than its backend a waiting request goes on.
const TRIED_EVERY: Duration = Duration::from_millis(200);
/// For so long it is known that a backend refuses; then a restart of its is waited for once more.
const REFUSES_FOR: Duration = Duration::from_secs(60);

/// A connection to a backend.
pub struct Link {
    pub inbound: Inbound,
    address: SocketAddr,
    /// It has carried an exchange before: if it dies without a byte, the peer had closed it while idle.
    pub reused: bool,
}

struct Idle {
    link: Link,
    since: Instant,
}

pub struct Pool {
    /// Sorted, not hashed: each request looks here, mostly among few.
    idle: RefCell<BTreeMap<SocketAddr, Vec<Idle>>>,
    /// Since when an address refuses connections. Of those that the running snapshot calls, and for a minute.
    refusing: RefCell<BTreeMap<SocketAddr, Instant>>,
    turn: Cell<usize>,
    counters: Arc<Counters>,
    connect_timeout: Duration,
}

impl Pool {
    pub fn new(counters: Arc<Counters>, connect_timeout: Duration) -> Self {
        let (idle, refusing, turn) = Default::default();
        Self { idle, refusing, turn, counters, connect_timeout }
    }

    /// An idle connection to the target, if there is one.
    pub fn idle(&self, target: &Target, repeatable: bool) -> Option<Link> {
        let link = self.idle_link(&target.addresses(), repeatable);
        observe::add(&self.counters.upstream_reuses, link.is_some().into());
        link
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
        let mut pause = TRIED_FIRST;
        loop {
            if let Some(link) = self.try_each(addresses, deadline).await {
                return Ok(link);
            }
            if net::now() >= deadline {
                return Err(Refusal::IntegrationTimeout);
            }
            let Some(until) = self.may_restart_until(addresses) else {
                return Err(Refusal::IntegrationUnreachable);
            };
            // Nothing was sent: any request may wait for the next try.
            net::sleep_until(deadline.min(until).min(net::now() + pause)).await;
            pause = (pause * 2).min(TRIED_EVERY);
        }
    }

    async fn try_each(&self, addresses: &[SocketAddr], deadline: Instant) -> Option<Link> {
        let first = self.turn.get();
        self.turn.set(first.wrapping_add(1));
        for n in 0..addresses.len().min(CONNECT_TRIES) {
            let address = addresses[first.wrapping_add(n) % addresses.len()];
            let until = deadline.min(net::now() + self.connect_timeout);
            observe::add(&self.counters.upstream_connects, 1);
            match net::timeout_at(until, Stream::connect(address)).await {
                Ok(Ok(stream)) => {
                    self.refusing.borrow_mut().remove(&address);
                    let inbound = Inbound::new(Rc::new(stream));
                    return Some(Link { inbound, address, reused: false });
                }
                // Reset: whoever was about to accept it has just ended.
                Ok(Err(error)) if matches!(error.kind(), ConnectionRefused | ConnectionReset) => {
                    self.refusing.borrow_mut().entry(address).or_insert_with(net::now);
                }
                // Idle connections may hold the descriptors that this one lacks: the next try has them.
                Ok(Err(error)) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    self.clear();
                }
                Ok(Err(_)) | Err(net::Elapsed) => {}
            }
            observe::add(&self.counters.upstream_failures, 1);
            if net::now() >= deadline {
                return None;
            }
        }
        None
    }

    /// One of them has begun to refuse connections just now, and is waited for until then.
    fn may_restart_until(&self, addresses: &[SocketAddr]) -> Option<Instant> {
        let (now, refusing) = (net::now(), self.refusing.borrow());
        let since = addresses.iter().filter_map(|address| refusing.get(address));
        since.map(|since| *since + RESTARTS_WITHIN).filter(|until| *until > now).max()
    }

    /// Keeps the connection for the next exchange. Only for one whose last message was read to its end.
    pub fn keep(&self, link: Link) {
        let mut idle = self.idle.borrow_mut();
        let stack = idle.entry(link.address).or_default();
        if stack.len() < IDLE_PER_ADDRESS {
            stack.push(Idle { link, since: net::now() });
        }
    }

    /// Closes all that idle.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }

    /// Closes what idled too long or was closed by its peer.
    pub fn sweep(&self) {
        let now = net::now();
        self.refusing.borrow_mut().retain(|_, since| now.saturating_duration_since(*since) < REFUSES_FOR);
        self.idle.borrow_mut().retain(|_, stack| {
            stack.retain(|entry| {
                now.duration_since(entry.since) <= IDLE_MAX && entry.link.inbound.stream().is_quiet()
            });
            !stack.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{IoKind, Limits, Runtime};
    use std::net::TcpListener;
    use std::sync::atomic::Ordering::Relaxed;

    /// No outgoing connection takes that address meanwhile: those are from 127.0.0.1.
    fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.77.1:0").unwrap().local_addr().unwrap()
    }

    fn on_both(run: impl AsyncFn(Pool)) {
        for io in [IoKind::IoUring, IoKind::Epoll] {
            let pool = Pool::new(Arc::default(), Duration::from_secs(5));
            Runtime::new(io, Limits::default()).unwrap().block_on(run(pool));
        }
    }

    #[test]
    fn of_two_addresses_the_one_that_listens_is_taken_at_once() {
        on_both(async |pool| {
            let (dead, listener) = (nobody(), TcpListener::bind("127.0.0.1:0").unwrap());
            let live = listener.local_addr().unwrap();
            let target = Target::new("two".into(), 1);
            target.resolved(vec![dead, live]);
            // Known to be away for so long that nobody waits for it.
            let long_ago = net::now() - RESTARTS_WITHIN * 2;
            pool.refusing.borrow_mut().insert(dead, long_ago);
            let begun = net::now();
            for _ in 0..20 {
                let link = pool.fresh(&target, net::now() + Duration::from_secs(5)).await.unwrap();
                assert_eq!(link.address, live);
            }
            assert!(net::now() - begun < RESTARTS_WITHIN, "nobody waits for the other");
            assert!(pool.counters.upstream_failures.load(Relaxed) >= 10, "it was tried in its turn");
        });
    }

    #[test]
    fn a_restart_is_waited_for_and_an_absence_only_once() {
        on_both(async |pool| {
            let address = nobody();
            let target = Target::new(address.ip().to_string(), address.port());
            let deadline = || net::now() + Duration::from_secs(5);
            let back = async {
                net::sleep_until(net::now() + Duration::from_millis(200)).await;
                TcpListener::bind(address).unwrap()
            };
            let (link, listener) = net::join(pool.fresh(&target, deadline()), back).await;
            assert!(link.is_ok(), "{:?}", link.err());
            drop(listener);
            let before = pool.counters.upstream_failures.load(Relaxed);
            let begun = net::now();
            assert!(matches!(
                pool.fresh(&target, deadline()).await.err(),
                Some(Refusal::IntegrationUnreachable)
            ));
            let waited = net::now() - begun;
            assert!((RESTARTS_WITHIN..RESTARTS_WITHIN * 2).contains(&waited), "{waited:?}");
            // 0, 25, 75, 175, 375, 575, 775, 975, 1000 ms: a host that is busy makes them fewer, never more.
            let tries = pool.counters.upstream_failures.load(Relaxed) - before;
            assert!((3..=9).contains(&tries), "{tries} tries in {waited:?}");
            let begun = net::now();
            assert!(pool.fresh(&target, deadline()).await.is_err());
            assert!(net::now() - begun < RESTARTS_WITHIN / 2, "known by now");
            let tries = pool.counters.upstream_failures.load(Relaxed) - before - tries;
            assert_eq!(tries, 1, "one try alone");
            let soon = net::now() + Duration::from_millis(1);
            pool.refusing.borrow_mut().clear();
            assert!(matches!(pool.fresh(&target, soon).await.err(), Some(Refusal::IntegrationTimeout)));
        });
    }
}
