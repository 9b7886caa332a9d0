//! The list of bans: who is banned, since when, until when, by whom and why. Bounded as the kernel's maps are.

use crate::guard::ban::{BanTable, End};
use crate::guard::offence::Offence;
use gateway_ebpf::abi;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// As many as the kernel's maps hold.
pub(super) const SOURCES_MAX: usize = abi::BANS_MAX;
pub(super) const RANGES_MAX: usize = abi::BANNED_RANGES_MAX;
/// Automatic bans leave the rest of the room to operators.
pub(super) const AUTOMATIC_MAX: usize = 65_536;

/// Times are since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ban {
    pub(super) since: Duration,
    pub(super) end: End,
    /// May be empty.
    pub(super) reason: String,
    pub(super) by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Operator,
    /// The gateway itself, because the source kept doing this.
    Rule(Offence),
}

/// The bits of a prefix that make one source: such bans are counted and held apart from ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourcePrefix {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

impl SourcePrefix {
    fn is_source(self, range: &IpNet) -> bool {
        match range {
            IpNet::V4(net) => net.prefix_len() == self.v4,
            IpNet::V6(net) => net.prefix_len() == self.v6,
        }
    }
}

/// Why nothing was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    /// "sources" or "ranges"
    pub(super) kind: &'static str,
    pub(super) max: usize,
    /// So many more than fit.
    pub(super) over: usize,
}

/// What stood there before, range by range: puts a change back.
#[derive(Debug, Default)]
pub(in crate::control) struct Undo(Vec<(IpNet, Option<Ban>)>);

impl Undo {
    pub(super) fn ranges(&self) -> impl Iterator<Item = IpNet> {
        self.0.iter().map(|(range, _)| *range)
    }
}

#[derive(Debug)]
pub(super) struct List {
    bans: BTreeMap<IpNet, Ban>,
    sources: usize,
    /// Of all, those that no operator made.
    automatic: usize,
    prefix: SourcePrefix,
    /// No ban ends before.
    next_end: End,
}

impl List {
    pub(super) fn new(prefix: SourcePrefix) -> Self {
        Self { bans: BTreeMap::new(), sources: 0, automatic: 0, prefix, next_end: End::Never }
    }

    pub(super) fn len(&self) -> usize {
        self.bans.len()
    }

    pub(super) fn sources(&self) -> usize {
        self.sources
    }

    /// Sources that rules may still ban.
    pub(super) fn room_for_rules(&self) -> usize {
        AUTOMATIC_MAX.saturating_sub(self.automatic).min(SOURCES_MAX.saturating_sub(self.sources))
    }

    pub(super) fn ranges(&self) -> usize {
        self.bans.len() - self.sources
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, &Ban)> {
        self.bans.iter().map(|(range, ban)| (*range, ban))
    }

    pub(super) fn ban(&self, range: &IpNet) -> Option<&Ban> {
        self.bans.get(range)
    }

    /// The bans in force that hold the address, the widest first.
    pub(super) fn holding(&self, address: IpAddr, now: Duration) -> Vec<(IpNet, &Ban)> {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let ranges = (0..=bits).filter_map(|prefix| IpNet::new(address, prefix).ok());
        let held = ranges.filter_map(|range| self.bans.get_key_value(&range.trunc()));
        held.filter(|(_, ban)| !ban.end.is_over(now)).map(|(range, ban)| (*range, ban)).collect()
    }

    /// What the workers are given.
    pub(super) fn table(&self) -> BanTable {
        BanTable::new(self.bans.iter().map(|(range, ban)| (*range, ban.end)))
    }

    /// All of them or none. One that is there already is replaced.
    pub(super) fn add(&mut self, bans: Vec<(IpNet, Ban)>) -> Result<Undo, Full> {
        self.room_for(bans.iter().map(|(range, _)| range))?;
        Ok(Undo(bans.into_iter().map(|(range, ban)| (range, self.put(range, Some(ban)))).collect()))
    }

    pub(super) fn remove(&mut self, ranges: impl IntoIterator<Item = IpNet>) -> Undo {
        Undo(ranges.into_iter().map(|range| (range, self.put(range, None))).collect())
    }

    pub(super) fn put_back(&mut self, undo: &Undo) {
        for (range, before) in undo.0.iter().rev() {
            self.put(*range, before.clone());
        }
    }

    /// Takes those away that are over, and says which they were.
    pub(super) fn sweep(&mut self, now: Duration) -> Vec<IpNet> {
        if !self.next_end.is_over(now) {
            return Vec::new();
        }
        let over: Vec<IpNet> =
            self.bans.iter().filter(|(_, ban)| ban.end.is_over(now)).map(|(range, _)| *range).collect();
        self.remove(over.iter().copied());
        self.next_end = self.bans.values().map(|ban| ban.end).min().unwrap_or(End::Never);
        over
    }

    fn put(&mut self, range: IpNet, ban: Option<Ban>) -> Option<Ban> {
        let is_source = usize::from(self.prefix.is_source(&range));
        let is_rule = |ban: &Ban| usize::from(matches!(ban.by, By::Rule(_)));
        self.automatic += ban.as_ref().map_or(0, is_rule);
        let (after, before) = match ban {
            Some(ban) => {
                self.next_end = self.next_end.min(ban.end);
                (1, self.bans.insert(range, ban))
            }
            None => (0, self.bans.remove(&range)),
        };
        self.automatic -= before.as_ref().map_or(0, is_rule);
        self.sources += after * is_source;
        self.sources -= usize::from(before.is_some()) * is_source;
        before
    }

    fn room_for<'r>(&self, ranges: impl Iterator<Item = &'r IpNet>) -> Result<(), Full> {
        let new: std::collections::BTreeSet<&IpNet> =
            ranges.filter(|range| !self.bans.contains_key(range)).collect();
        let sources = new.iter().filter(|range| self.prefix.is_source(range)).count();
        let full = |kind, there, more, max| {
            let over = usize::saturating_sub(there + more, max);
            if over == 0 || more == 0 { Ok(()) } else { Err(Full { kind, max, over }) }
        };
        full("sources", self.sources, sources, SOURCES_MAX)?;
        full("ranges", self.ranges(), new.len() - sources, RANGES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn ban(end: u64) -> Ban {
        let end = if end == 0 { End::Never } else { End::At(Duration::from_secs(end)) };
        Ban { since: Duration::ZERO, end, reason: String::new(), by: By::Operator }
    }

    fn list(bans: &[(&str, u64)]) -> List {
        let mut list = List::new(SourcePrefix { v4: 32, v6: 64 });
        list.add(bans.iter().map(|(text, end)| (range(text), ban(*end))).collect()).unwrap();
        list
    }

    fn shown(list: &List) -> Vec<String> {
        list.iter().map(|(range, _)| range.to_string()).collect()
    }

    #[test]
    fn sources_and_ranges_are_counted_apart() {
        let mut list = list(&[
            ("203.0.113.7/32", 0),
            ("203.0.113.0/24", 0),
            ("2001:db8::/64", 0),
            ("2001:db8::1/128", 0),
        ]);
        assert_eq!((list.len(), list.sources(), list.ranges()), (4, 2, 2));
        list.add(vec![(range("203.0.113.7/32"), ban(5))]).unwrap();
        assert_eq!((list.len(), list.sources()), (4, 2), "the same one, replaced");
        list.remove([range("203.0.113.7/32"), range("198.51.100.1/32")]);
        assert_eq!((list.len(), list.sources(), list.ranges()), (3, 1, 2));
    }

    #[test]
    fn what_is_full_takes_nothing_and_says_by_how_much() {
        let sources = |from: u32, to: u32| -> Vec<(IpNet, Ban)> {
            (from..to).map(|n| (IpNet::from(IpAddr::from(n.to_be_bytes())), ban(0))).collect()
        };
        let most = u32::try_from(SOURCES_MAX).unwrap();
        let mut list = list(&[("10.0.0.0/8", 0)]);
        list.add(sources(0, most - 1)).unwrap();
        let full = list.add(sources(most - 1, most + 2)).unwrap_err();
        assert_eq!(full, Full { kind: "sources", max: SOURCES_MAX, over: 2 });
        assert_eq!(list.sources(), SOURCES_MAX - 1, "all or nothing");
        assert_eq!(list.room_for_rules(), 1, "what operators left");
        list.add(sources(0, most)).unwrap();
        assert_eq!(list.sources(), SOURCES_MAX, "those that are there take no room");
        list.add(vec![(range("11.0.0.0/8"), ban(0))]).unwrap();
    }

    #[test]
    fn a_change_is_put_back_exactly() {
        let mut list = list(&[("203.0.113.7/32", 5), ("10.0.0.0/8", 0)]);
        let before: Vec<_> = list.iter().map(|(range, ban)| (range, ban.clone())).collect();
        let undo = list.add(vec![(range("203.0.113.7/32"), ban(9)), (range("::/0"), ban(1))]).unwrap();
        list.put_back(&undo);
        assert_eq!(list.iter().map(|(range, ban)| (range, ban.clone())).collect::<Vec<_>>(), before);
        let undo = list.remove([range("10.0.0.0/8"), range("203.0.113.7/32")]);
        assert_eq!(list.len(), 0);
        list.put_back(&undo);
        assert_eq!(list.iter().map(|(range, ban)| (range, ban.clone())).collect::<Vec<_>>(), before);
        assert_eq!((list.sources(), list.ranges()), (1, 1));
    }

    #[test]
    fn those_that_are_over_are_swept() {
        let mut list = list(&[("203.0.113.7/32", 5), ("203.0.113.8/32", 9), ("10.0.0.0/8", 0)]);
        let at = Duration::from_secs;
        assert!(list.sweep(at(4)).is_empty());
        assert_eq!(list.sweep(at(5)), [range("203.0.113.7/32")]);
        assert!(list.sweep(at(8)).is_empty());
        list.add(vec![(range("::/0"), ban(7))]).unwrap();
        assert_eq!(list.sweep(at(9)).len(), 2);
        assert_eq!(shown(&list), ["10.0.0.0/8"]);
        assert!(list.sweep(at(u64::MAX)).is_empty());
    }

    #[test]
    fn every_ban_that_holds_an_address_is_found() {
        let list = list(&[
            ("203.0.113.7/32", 5),
            ("203.0.0.0/16", 9),
            ("0.0.0.0/0", 0),
            ("::/0", 0),
            ("10.0.0.0/8", 0),
        ]);
        let holding = |address: &str, now| {
            let held = list.holding(address.parse().unwrap(), Duration::from_secs(now));
            held.into_iter().map(|(range, _)| range.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(holding("203.0.113.7", 4), ["0.0.0.0/0", "203.0.0.0/16", "203.0.113.7/32"]);
        assert_eq!(holding("::ffff:203.0.113.7", 5), ["0.0.0.0/0", "203.0.0.0/16"]);
        assert_eq!(holding("2001:db8::1", 4), ["::/0"]);
    }
}
