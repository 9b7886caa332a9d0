//! From where operators came by SSH when they changed something: trusted until the gateway ends, so that nobody locks
//! himself out by a ban or a limit.

use crate::observe::log;
use crate::snapshot::Snapshot;
use ipnet::IpNet;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;

/// The oldest goes for a new one.
const PEERS_MAX: usize = 16;

#[derive(Default)]
pub(super) struct Peers(RefCell<VecDeque<IpAddr>>);

impl Peers {
    pub(super) fn note(&self, peer: IpAddr) {
        let peer = peer.to_canonical();
        if peer.is_loopback() || peer.is_unspecified() || peer.is_multicast() {
            return;
        }
        let mut peers = self.0.borrow_mut();
        if let Some(known) = peers.iter().position(|known| *known == peer) {
            peers.remove(known);
        } else {
            log(
                "info",
                "xdp",
                format_args!("{peer} is trusted from now on: an operator came from there by SSH"),
            );
        }
        peers.push_back(peer);
        if peers.len() > PEERS_MAX
            && let Some(oldest) = peers.pop_front()
        {
            log("info", "xdp", format_args!("{oldest} is not trusted as an operator's address any more"));
        }
    }

    /// Are all of them trusted by the snapshot?
    pub(super) fn are_trusted(&self, snapshot: &Snapshot) -> bool {
        self.0.borrow().iter().all(|peer| snapshot.is_trusted(*peer))
    }

    /// Adds them to the trusted sources of a snapshot that is not in force yet.
    pub(super) fn trust(&self, snapshot: &mut Snapshot) {
        for peer in self.0.borrow().iter() {
            if !snapshot.is_trusted(*peer) {
                snapshot.trusted.push(IpNet::from(*peer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_each_once() {
        let peers = Peers::default();
        for last in 1..=PEERS_MAX as u8 + 3 {
            peers.note(IpAddr::from([203, 0, 113, last]));
            peers.note(IpAddr::from([203, 0, 113, 1]));
        }
        for nobody in ["127.0.0.1", "::1", "0.0.0.0", "::ffff:203.0.113.1"] {
            peers.note(nobody.parse().unwrap());
        }
        let kept: Vec<IpAddr> = peers.0.borrow().iter().copied().collect();
        assert_eq!(kept.len(), PEERS_MAX);
        assert!(
            kept.contains(&[203, 0, 113, 1].into()) && kept.contains(&[203, 0, 113, 19].into()),
            "{kept:?}"
        );
        assert!(!kept.contains(&[203, 0, 113, 2].into()), "the oldest goes");
    }
}
