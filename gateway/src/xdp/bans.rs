//! Bans in the maps: sources in a hash table, everything wider or narrower in the trie. Each has its end, which the
//! program compares by itself: an expired ban passes, whoever still lives.

use super::maps::{Maps, failed};
use super::rules::{Prefix, octets, prefix};
use super::{Ban, End, XdpError, clock};
use aya::maps::MapError;
use gateway_ebpf::abi::{self, Address};
use gateway_ebpf::hash::hash;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Bits of the filter may be of bans that are gone: after so many it is made anew.
const STALE_MAX: usize = 4096;
const MAPPED_BITS: u32 = 96;

/// What the maps hold, so that nothing has to be read back.
#[derive(Default)]
pub(super) struct Bans {
    sources: BTreeMap<Address, u64>,
    ranges: Ranges,
    stale: usize,
}

/// Ranges with their own ends. The trie tells the longest prefix alone, so each is written with the latest end of
/// all that hold it.
#[derive(Default)]
struct Ranges(BTreeMap<(Address, u32), u64>);

impl Ranges {
    /// The latest end of the range itself and of those that hold it.
    fn end(&self, (bits, address): Prefix) -> u64 {
        // An IPv6 range holds no IPv4 address.
        let widest = if address.is_mapped() { MAPPED_BITS } else { 0 };
        let holding =
            (widest..=bits).filter_map(|bits| self.0.get(&(address.masked(&Address::mask(bits)), bits)));
        holding.copied().max().unwrap_or(0)
    }

    /// Ranges within this one, itself too.
    fn within(&self, (bits, address): Prefix) -> Vec<Prefix> {
        // Words are in the machine's order, so neighbours in the map need not be neighbours in the network.
        let inside = |(other, longer): &&(Address, u32)| {
            *longer >= bits && other.masked(&Address::mask(bits)) == address
        };
        self.0.keys().filter(inside).map(|(address, bits)| (*bits, *address)).collect()
    }

    fn prefixes(&self) -> Vec<Prefix> {
        self.0.keys().map(|(address, bits)| (*bits, *address)).collect()
    }
}

/// What a ban is in the maps.
enum Place {
    Source(Address),
    Range(Prefix),
}

impl Bans {
    /// As an earlier process left them; none where that one made other sources of addresses.
    pub(super) fn adopt(maps: &mut Maps, masks: [Address; 2]) -> Result<Self, XdpError> {
        let mut bans = Self::read(maps)?;
        if maps.state.masks() != masks {
            let sources: Vec<Address> = bans.sources.keys().copied().collect();
            sources.iter().try_for_each(|source| bans.remove_source(maps, *source))?;
            bans.remove_ranges(maps, &bans.ranges.prefixes())?;
            bans.refilter(maps)?;
            maps.state.set_masks(masks);
        }
        Ok(bans)
    }

    fn read(maps: &Maps) -> Result<Self, XdpError> {
        let sources = maps.bans.iter().collect::<Result<_, _>>();
        let sources = sources.map_err(|error| failed("reading bans", &error))?;
        let ranges = maps.sets()?.remove(&abi::SET_BANNED).unwrap_or_default();
        let ranges = ranges.into_iter().map(|((bits, address), end)| ((address, bits), end)).collect();
        Ok(Self { sources, ranges: Ranges(ranges), stale: 0 })
    }

    /// Sources and ranges in the maps, expired ones too.
    pub(super) fn count(maps: &Maps) -> Result<(usize, usize), XdpError> {
        Self::read(maps).map(|bans| bans.len())
    }

    /// The same, of what is known here.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.sources.len(), self.ranges.0.len())
    }

    /// As the maps would hold them.
    fn of(maps: &Maps, bans: &[Ban], now: SystemTime) -> Self {
        let mut told = Self::default();
        for ban in bans {
            let end = monotonic(ban.end, now);
            match place(maps, ban.range) {
                Place::Source(source) => drop(told.sources.insert(source, end)),
                Place::Range((bits, address)) => drop(told.ranges.0.insert((address, bits), end)),
            }
        }
        told
    }

    /// All bans as they shall be. More than the maps hold is refused before anything is touched.
    pub(super) fn replace(&mut self, maps: &mut Maps, bans: &[Ban], now: SystemTime) -> Result<(), XdpError> {
        let wanted = Self::of(maps, bans, now);
        within("sources", wanted.sources.len(), abi::BANS_MAX)?;
        within("ranges", wanted.ranges.0.len(), abi::BANNED_RANGES_MAX)?;
        let gone: Vec<Address> =
            self.sources.keys().filter(|source| !wanted.sources.contains_key(source)).copied().collect();
        gone.iter().try_for_each(|source| self.remove_source(maps, *source))?;
        let mut ranges = self.ranges.prefixes();
        ranges.retain(|(bits, address)| !wanted.ranges.0.contains_key(&(*address, *bits)));
        self.remove_ranges(maps, &ranges)?;
        self.write(maps, wanted)?;
        self.refilter(maps)
    }

    /// As in `replace`, those that are there stay.
    pub(super) fn add(&mut self, maps: &mut Maps, bans: &[Ban], now: SystemTime) -> Result<(), XdpError> {
        let new = Self::of(maps, bans, now);
        let more = new.sources.keys().filter(|source| !self.sources.contains_key(source)).count();
        within("sources", self.sources.len() + more, abi::BANS_MAX)?;
        let more = new.ranges.0.keys().filter(|range| !self.ranges.0.contains_key(range)).count();
        within("ranges", self.ranges.0.len() + more, abi::BANNED_RANGES_MAX)?;
        self.write(maps, new)
    }

    fn write(&mut self, maps: &mut Maps, bans: Self) -> Result<(), XdpError> {
        let keys = maps.state.keys()?;
        // Before the first ban that it stands for.
        if !bans.sources.is_empty() {
            maps.state.flags().fetch_or(abi::HAS_BANS, Ordering::Release);
        }
        for (source, end) in bans.sources {
            maps.filter_ban(hash(&keys, &source, 0));
            maps.bans.insert(source, end, 0).map_err(|error| failed("writing a ban", &error))?;
            self.sources.insert(source, end);
        }
        self.add_ranges(maps, bans.ranges)
    }

    pub(super) fn remove(&mut self, maps: &mut Maps, ranges: &[ipnet::IpNet]) -> Result<(), XdpError> {
        let mut prefixes = Vec::new();
        for range in ranges {
            match place(maps, *range) {
                Place::Source(source) => self.remove_source(maps, source)?,
                Place::Range(range) => prefixes.push(range),
            }
        }
        self.remove_ranges(maps, &prefixes)?;
        if self.stale > STALE_MAX || self.sources.is_empty() { self.refilter(maps) } else { Ok(()) }
    }

    /// The latest end of all bans that hold the address.
    pub(super) fn end(&self, maps: &Maps, address: IpAddr) -> Option<u64> {
        let address = octets(address);
        let source = self.sources.get(&source(maps, &address)).copied().unwrap_or(0);
        let end = source.max(self.ranges.end((128, address)));
        (end != 0).then_some(end)
    }

    fn remove_source(&mut self, maps: &mut Maps, source: Address) -> Result<(), XdpError> {
        match maps.bans.remove(&source) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(failed("removing a ban", &error)),
        }
        self.stale += usize::from(self.sources.remove(&source).is_some());
        Ok(())
    }

    fn add_ranges(&mut self, maps: &mut Maps, ranges: Ranges) -> Result<(), XdpError> {
        if ranges.0.is_empty() {
            return Ok(());
        }
        let changed = ranges.prefixes();
        self.ranges.0.extend(ranges.0);
        maps.filter_ranges(abi::FILTER_BANNED, abi::HAS_BANNED_RANGES, self.ranges.prefixes().iter());
        self.write_ranges(maps, changed.into_iter())
    }

    fn remove_ranges(&mut self, maps: &mut Maps, ranges: &[Prefix]) -> Result<(), XdpError> {
        if ranges.is_empty() {
            return Ok(());
        }
        for (bits, address) in ranges {
            maps.remove_prefix(abi::SET_BANNED, (*bits, *address))?;
            self.ranges.0.remove(&(*address, *bits));
        }
        self.write_ranges(maps, ranges.iter().copied())?;
        maps.filter_ranges(abi::FILTER_BANNED, abi::HAS_BANNED_RANGES, self.ranges.prefixes().iter());
        Ok(())
    }

    /// Ends of the ranges that changed, and of those within them.
    fn write_ranges(
        &self,
        maps: &mut Maps,
        changed: impl ExactSizeIterator<Item = Prefix>,
    ) -> Result<(), XdpError> {
        const EACH_BY_ITSELF: usize = 64;
        let touched = if changed.len() > EACH_BY_ITSELF {
            self.ranges.prefixes()
        } else {
            changed.flat_map(|range| self.ranges.within(range)).collect()
        };
        touched
            .into_iter()
            .try_for_each(|range| maps.write_prefix(abi::SET_BANNED, range, self.ranges.end(range)))
    }

    fn refilter(&mut self, maps: &Maps) -> Result<(), XdpError> {
        let keys = maps.state.keys()?;
        if self.sources.is_empty() {
            maps.state.flags().fetch_and(!abi::HAS_BANS, Ordering::Release);
        }
        maps.filter_bans(self.sources.keys().map(|source| hash(&keys, source, 0)));
        self.stale = 0;
        Ok(())
    }
}

/// As the program masks an address.
pub(super) fn source(maps: &Maps, address: &Address) -> Address {
    let [v4, v6] = maps.state.masks();
    address.masked(if address.is_mapped() { &v4 } else { &v6 })
}

fn place(maps: &Maps, range: ipnet::IpNet) -> Place {
    let (bits, address) = prefix(&range);
    let [v4, v6] = maps.state.masks();
    let of_source = if address.is_mapped() { v4 } else { v6 };
    if Address::mask(bits) == of_source { Place::Source(address) } else { Place::Range((bits, address)) }
}

/// Nanoseconds of the clock that the program reads.
fn monotonic(end: End, now: SystemTime) -> u64 {
    let End::At(end) = end else { return abi::FOREVER };
    let left = end.duration_since(now).unwrap_or_default();
    clock::coarse().saturating_add(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX)).min(abi::FOREVER - 1)
}

pub(super) fn end_at(end: u64, now: SystemTime) -> End {
    if end == abi::FOREVER {
        return End::Never;
    }
    End::At(now + std::time::Duration::from_nanos(end.saturating_sub(clock::coarse())))
}

fn within(what: &str, count: usize, max: usize) -> Result<(), XdpError> {
    if count <= max {
        return Ok(());
    }
    Err(XdpError::new(
        format!("{count} banned {what}: the kernel guard holds {max}"),
        "remove some bans, or ban the ranges that hold them",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_no_earlier_than_those_that_hold_it() {
        let mut ranges = Ranges::default();
        let range = |text: &str| prefix(&text.parse().unwrap());
        for (text, end) in
            [("203.0.113.0/24", 5), ("203.0.0.0/16", 9), ("203.0.113.7/32", 1), ("2001:db8::/32", 3)]
        {
            let (bits, address) = range(text);
            ranges.0.insert((address, bits), end);
        }
        assert_eq!(ranges.end(range("203.0.113.7/32")), 9);
        assert_eq!(ranges.end(range("203.0.114.7/32")), 9);
        assert_eq!(ranges.end(range("203.1.0.0/32")), 0);
        ranges.0.insert((Address::ANY_V6, 0), 99);
        assert_eq!(ranges.end(range("203.1.0.0/32")), 0, "::/0 is no IPv4 range");
        ranges.0.remove(&(Address::ANY_V6, 0));
        assert_eq!(ranges.end(range("2001:db8::7/128")), 3);
        let mut within = ranges.within(range("203.0.113.0/24"));
        within.sort();
        assert_eq!(within, [range("203.0.113.0/24"), range("203.0.113.7/32")]);
    }

    #[test]
    fn ends_are_told_by_the_programs_clock() {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        assert_eq!(monotonic(End::Never, now), abi::FOREVER);
        let before = clock::coarse();
        let end = monotonic(End::At(now + std::time::Duration::from_secs(60)), now);
        assert!((60_000_000_000..61_000_000_000).contains(&(end - before)), "{end} {before}");
        assert!(monotonic(End::At(now - std::time::Duration::from_secs(60)), now) <= clock::coarse());
    }
}
