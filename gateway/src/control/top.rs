//! Who is dropped most, from a sample of the drops: a table of fixed size (space-saving: Metwally, Agrawal, El Abbadi
//! 2005). A source with more than 1/`SOURCES_MAX` of all packets is always in it; what it is said to have sent may be
//! too much, never too little, and by how much is known.

use super::kernel::Kernel;
use super::node::Node;
use super::types::{Kind, Problem};
use crate::observe::log;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

const SOURCES_MAX: usize = 1024;
const SHOWN_MAX: usize = 100;
/// The table begins anew after this; the one before it still counts.
const WINDOW: Duration = Duration::from_secs(60);

/// GET /xdp/top: who is dropped most, estimated from a sample of the drops.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct XdpTop {
    /// The length of time that the packets are from.
    pub seconds: u64,
    /// The heaviest first.
    pub sources: Vec<XdpTopSource>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct XdpTopSource {
    pub source: IpAddr,
    /// Null: none of its own.
    pub listener: Option<SocketAddr>,
    pub reason: String,
    /// Would have been dropped, and passed.
    pub dry: bool,
    /// About: a sampled drop stands for four or more, of which one is surely this source's.
    pub packets: u64,
    /// So many of `packets` may be another source's because the table is small; what the sample errs by comes on top.
    pub error: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Dropped {
    pub(super) source: IpAddr,
    /// None: for no listener of its own.
    pub(super) listener: Option<SocketAddr>,
    pub(super) reason: &'static str,
    /// It would have been dropped, and passed.
    pub(super) dry: bool,
}

/// Packets, and how many of them may be others'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) packets: u64,
    pub(super) error: u64,
}

#[derive(Debug, Default)]
pub(super) struct Top {
    current: HashMap<Dropped, Weight>,
    previous: HashMap<Dropped, Weight>,
    /// When `current` and `previous` began, on the caller's clock.
    began: Duration,
    before: Duration,
    first_look: Option<Instant>,
}

/// What was dropped since the last call.
pub(super) fn drain(node: &Node, kernel: &mut Kernel) {
    let mut top = node.top.borrow_mut();
    let now = top.now();
    let drained = kernel.drops(&mut |drop| {
        let dropped =
            Dropped { source: drop.source, listener: drop.listener, reason: drop.reason, dry: drop.dry };
        top.note(dropped, drop.weight, now);
    });
    if let Err(problem) = drained {
        log("warning", "xdp", format_args!("drops cannot be sampled: {}", problem.what));
    }
}

/// GET /xdp/top
pub(super) fn top(node: &Node) -> Result<XdpTop, Problem> {
    let mut kernel = node.kernel.borrow_mut();
    if let Some(why) = kernel.off().filter(|_| !kernel.is_on()) {
        let mend = "`gateway doctor` helps to turn it on";
        return Err(Problem::new(
            Kind::Conflict,
            format!("nothing is dropped in the kernel: XDP is off: {why}"),
            mend,
        ));
    }
    drain(node, &mut kernel);
    let mut top = node.top.borrow_mut();
    let now = top.now();
    Ok(top.shown(now))
}

impl Top {
    /// Since the first look, by a clock that does not go back: another one could hold a window open for hours.
    fn now(&mut self) -> Duration {
        self.first_look.get_or_insert_with(Instant::now).elapsed()
    }

    pub(super) fn note(&mut self, dropped: Dropped, packets: u64, now: Duration) {
        self.turn(now);
        if let Some(weight) = self.current.get_mut(&dropped) {
            weight.packets = weight.packets.saturating_add(packets);
            return;
        }
        let mut weight = Weight { packets, error: 0 };
        if self.current.len() >= SOURCES_MAX {
            // The lightest makes room, and leaves its weight behind: whoever it was may be this one.
            let lightest = self.current.iter().min_by_key(|(_, weight)| weight.packets);
            if let Some((lightest, left)) = lightest.map(|(lightest, weight)| (*lightest, weight.packets)) {
                self.current.remove(&lightest);
                weight = Weight { packets: left.saturating_add(packets), error: left };
            }
        }
        self.current.insert(dropped, weight);
    }

    /// The heaviest first, and the length of time that they are from.
    pub(super) fn heaviest(&mut self, most: usize, now: Duration) -> (Vec<(Dropped, Weight)>, Duration) {
        self.turn(now);
        let mut all = self.previous.clone();
        for (dropped, weight) in &self.current {
            let sum = all.entry(*dropped).or_default();
            sum.packets = sum.packets.saturating_add(weight.packets);
            sum.error = sum.error.saturating_add(weight.error);
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_unstable_by_key(|(dropped, weight)| (std::cmp::Reverse(weight.packets), *dropped));
        all.truncate(most);
        (all, now.saturating_sub(self.before))
    }

    pub(super) fn shown(&mut self, now: Duration) -> XdpTop {
        let (heaviest, over) = self.heaviest(SHOWN_MAX, now);
        let source = |(dropped, weight): (Dropped, Weight)| XdpTopSource {
            source: dropped.source,
            listener: dropped.listener,
            reason: dropped.reason.into(),
            dry: dropped.dry,
            packets: weight.packets,
            error: weight.error,
        };
        XdpTop { seconds: over.as_secs(), sources: heaviest.into_iter().map(source).collect() }
    }

    fn turn(&mut self, now: Duration) {
        let age = now.saturating_sub(self.began);
        if age < WINDOW {
            return;
        }
        self.previous = std::mem::take(&mut self.current);
        self.before = self.began;
        if age >= 2 * WINDOW {
            self.previous.clear();
            self.before = now;
        }
        self.began = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn dropped(number: u32) -> Dropped {
        let source = IpAddr::from(number.to_be_bytes());
        Dropped { source, listener: None, reason: "banned", dry: false }
    }

    #[test]
    fn the_heaviest_come_first_and_weights_add_up() {
        let mut top = Top::default();
        for (number, packets) in [(1, 64), (2, 640), (3, 1), (1, 64)] {
            top.note(dropped(number), packets, START);
        }
        top.note(Dropped { reason: "packet_rate", ..dropped(2) }, 5, START);
        let (heaviest, over) = top.heaviest(3, START + Duration::from_secs(7));
        let shown: Vec<_> =
            heaviest.iter().map(|(dropped, weight)| (dropped.reason, weight.packets)).collect();
        assert_eq!(shown, [("banned", 640), ("banned", 128), ("packet_rate", 5)]);
        assert_eq!(over.as_secs(), 7);
    }

    #[test]
    fn the_table_stays_small_and_a_heavy_source_in_it() {
        let mut top = Top::default();
        // Every tenth packet is the heavy one's; all others are from sources that come once.
        for number in 1..20_000_u32 {
            top.note(dropped(if number % 10 == 0 { 7_777_777 } else { number }), 1, START);
            assert!(top.current.len() <= SOURCES_MAX);
        }
        let (heaviest, _) = top.heaviest(1, START);
        let (source, weight) = heaviest[0];
        assert_eq!(source, dropped(7_777_777));
        assert!(weight.packets >= 1_999 && weight.packets - weight.error <= 1_999, "{weight:?}");
    }

    #[test]
    fn old_drops_are_forgotten() {
        let mut top = Top::default();
        let at = |seconds| START + Duration::from_secs(seconds);
        top.note(dropped(1), 10, at(0));
        top.note(dropped(2), 1, at(61));
        assert_eq!(top.heaviest(9, at(61)).0.len(), 2, "the window before still counts");
        let (heaviest, over) = top.heaviest(9, at(125));
        assert_eq!(heaviest.iter().map(|(dropped, _)| *dropped).collect::<Vec<_>>(), [dropped(2)]);
        assert_eq!(over.as_secs(), 64);
        assert!(top.heaviest(9, at(500)).0.is_empty());
    }
}
