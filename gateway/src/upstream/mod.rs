//! Connections to the servers that integrations call: addresses, pool, one safe retry.

mod collect;
mod pool;
mod relay;
mod tunnel;

pub use collect::collect;
pub use pool::{Link, Pool};
pub use relay::{RelayError, RelayLimits, Sink, discard, relay};
pub use tunnel::tunnel;

use std::net::SocketAddr;
use std::sync::Arc;

/// One backend: host and port, with the addresses that its name last resolved to (control refreshes, workers read).
#[derive(Debug)]
pub struct Target {
    pub host: String,
    pub port: u16,
    addresses: arc_swap::ArcSwap<Vec<SocketAddr>>,
}

impl Target {
    /// With the addresses at hand: a literal IP needs no resolver.
    pub fn new(host: String, port: u16) -> Self {
        let literal = host.trim_matches(['[', ']']).parse().map(|ip| vec![SocketAddr::new(ip, port)]);
        Self { host, port, addresses: arc_swap::ArcSwap::from_pointee(literal.unwrap_or_default()) }
    }
    /// Empty: the name has never resolved.
    pub fn addresses(&self) -> Arc<Vec<SocketAddr>> {
        self.addresses.load_full()
    }
    /// Control's resolver found these. An empty answer is not stored: the last good addresses stay.
    pub fn resolved(&self, addresses: Vec<SocketAddr>) {
        if !addresses.is_empty() {
            self.addresses.store(Arc::new(addresses));
        }
    }
    pub fn needs_resolver(&self) -> bool {
        self.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_err()
    }
}
