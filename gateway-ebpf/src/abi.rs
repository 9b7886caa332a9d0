//! The layout of the maps: keys, values, limits, reasons. A change here is a new `VERSION`, and so is one of the places
//! that `hash`, `filter` and `budget` give things: what is adopted must be found again.

pub use crate::address::Address;
pub use crate::filter::{BAN_FILTER_WORDS, BanFilter, FILTER_BANNED, FILTER_TRUSTED, RangeFilter};
use crate::gcra::Rate;

/// Maps of another version are never adopted: they are built anew beside the old ones.
pub const VERSION: u32 = 3;

/// The program's name, in the object and in the kernel.
pub const PROGRAM: &str = "gateway_xdp";

/// Names of the maps, in the object and as pins.
pub const STATE: &str = "STATE";
pub const PORTS: &str = "PORTS";
pub const DIRECTORY: &str = "DIRECTORY";
pub const LISTENERS: &str = "LISTENERS";
pub const PRIVATE_ADDRESSES: &str = "PRIVATE_ADDRESSES";
pub const CIDRS: &str = "CIDRS";
pub const RANGE_FILTERS: &str = "RANGE_FILTERS";
pub const BANS: &str = "BANS";
pub const BAN_FILTER: &str = "BAN_FILTER";
pub const BUDGETS: &str = "BUDGETS";
pub const COUNTERS: &str = "COUNTERS";
pub const SAMPLING: &str = "SAMPLING";
pub const EVENTS: &str = "EVENTS";
pub const MAPS: [&str; 13] = [
    STATE,
    PORTS,
    DIRECTORY,
    LISTENERS,
    PRIVATE_ADDRESSES,
    CIDRS,
    RANGE_FILTERS,
    BANS,
    BAN_FILTER,
    BUDGETS,
    COUNTERS,
    SAMPLING,
    EVENTS,
];

/// Listeners of one set of rules.
pub const LISTENERS_MAX: usize = 512;
/// CIDRs of one set of rules, over all VPCs that listeners refer to.
pub const CIDRS_MAX: usize = 16_384;
/// Banned ranges: everything that is not exactly one source.
pub const BANNED_RANGES_MAX: usize = 16_384;
pub const TRUSTED_MAX: usize = 1024;
/// Banned sources.
pub const BANS_MAX: usize = 262_144;

/// The maps hold two sets of rules, because the new set is written before the old one goes, and each may be the
/// union of two while the workers change over.
pub const LISTENER_ENTRIES: u32 = 4 * LISTENERS_MAX as u32;
pub const ADDRESS_ENTRIES: u32 = LISTENER_ENTRIES;
pub const CIDR_ENTRIES: u32 = 2 * (CIDRS_MAX + BANNED_RANGES_MAX + TRUSTED_MAX) as u32;

/// Slot 0 counts what belongs to no listener.
pub const SLOT_NONE: u32 = 0;
pub const SLOTS: u32 = 1 + 2 * LISTENERS_MAX as u32;
/// Counters of one slot for verdicts in force, and as many again for those of a dry run: room for more reasons than
/// there are.
pub const REASONS: u32 = 16;
pub const SLOT_COUNTERS: u32 = 2 * REASONS;
pub const COUNTER_ENTRIES: u32 = SLOTS * SLOT_COUNTERS;

/// Why a packet got its verdict; also its counter's place within the slot.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Neither IPv4 nor IPv6.
    NotIp = 0,
    /// IP, but not for a listener.
    NotOurs = 1,
    /// For a listener, and it may pass.
    Pass = 2,
    /// For a private listener, from a source in none of its VPC's CIDRs.
    OutsideVpc = 3,
    /// A later fragment, without ports, towards an address that has a private listener.
    Fragment = 4,
    /// It might be for a private listener and cannot be read to its end.
    Unreadable = 5,
    /// The source is banned.
    Banned = 6,
    /// The source has spent its packets.
    PacketRate = 7,
    /// The source has spent its new connections.
    ConnectionRate = 8,
    /// As `Pass`, and its budget could not be charged: its places in BUDGETS are other sources'.
    Untracked = 9,
}

impl Reason {
    pub const ALL: [Self; 10] = [
        Self::NotIp,
        Self::NotOurs,
        Self::Pass,
        Self::OutsideVpc,
        Self::Fragment,
        Self::Unreadable,
        Self::Banned,
        Self::PacketRate,
        Self::ConnectionRate,
        Self::Untracked,
    ];

    /// As `status` and the metrics say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::NotOurs => "not_ours",
            Self::Pass => "pass",
            Self::OutsideVpc => "outside_vpc",
            Self::Fragment => "fragment",
            Self::Unreadable => "unreadable",
            Self::Banned => "banned",
            Self::PacketRate => "packet_rate",
            Self::ConnectionRate => "connection_rate",
            Self::Untracked => "untracked",
        }
    }

    /// Is a packet dropped for it, where no dry run lets it pass?
    pub const fn drops(self) -> bool {
        !matches!(self, Self::NotIp | Self::NotOurs | Self::Pass | Self::Untracked)
    }

    /// Index into COUNTERS. `dry`: it would have been dropped, and passed.
    #[inline(always)]
    pub const fn counter(self, slot: u32, dry: bool) -> u32 {
        slot * SLOT_COUNTERS + dry as u32 * REASONS + self as u32
    }
}

/// Which listener a packet is for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerKey {
    pub address: Address,
    pub port: u16,
    /// IP protocol number; 6 (TCP) is the only one that listeners have today.
    pub protocol: u8,
    /// Always 0.
    pub reserved: u8,
}

impl ListenerKey {
    #[inline(always)]
    pub const fn new(address: Address, port: u16, protocol: u8) -> Self {
        Self { address, port, protocol, reserved: 0 }
    }

    /// Port and protocol as one word to hash.
    #[inline(always)]
    pub const fn word(&self) -> u32 {
        self.port as u32 | (self.protocol as u32) << 16
    }
}

/// The one entry of PORTS: what listens on each port, so that most packets that are not ours need no look further.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct Ports(pub [u8; 65_536]);

pub const PORT_EXACT_V4: u8 = 1;
pub const PORT_ANY_V4: u8 = 2;
pub const PORT_EXACT_V6: u8 = 4;
pub const PORT_ANY_V6: u8 = 8;

/// DIRECTORY tells where in LISTENERS a key's listener lies: a hash table of buckets with eight cells.
pub const DIRECTORY_BUCKETS: u32 = 4096;
pub const BUCKET_CELLS: usize = 8;

/// A cell is 0 or the key's tag (high half) and the listener's index plus 1 (low half).
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket(pub [u64; BUCKET_CELLS]);

impl Bucket {
    pub const EMPTY: Self = Self([0; BUCKET_CELLS]);

    /// Which bucket, and the tag.
    #[inline(always)]
    pub const fn place(hash: u32) -> (u32, u32) {
        (hash & (DIRECTORY_BUCKETS - 1), hash)
    }

    #[inline(always)]
    pub const fn cell(tag: u32, index: u32) -> u64 {
        (tag as u64) << 32 | (index as u64 + 1)
    }

    /// The index of the listener whose cell has the tag; no two cells of a bucket have the same.
    #[inline(always)]
    pub fn find(&self, tag: u32) -> Option<u32> {
        for cell in &self.0 {
            // An empty cell has the tag 0, too.
            if (cell >> 32) as u32 == tag && *cell != 0 {
                return (*cell as u32).checked_sub(1);
            }
        }
        None
    }
}

/// `Listener::endpoint`: open to any source.
pub const ENDPOINT_OPEN: u32 = 0;
/// `Listener::endpoint`: every API that it serves is PRIVATE.
pub const ENDPOINT_PRIVATE: u32 = 1;

/// `Listener::flags`: what would be dropped is counted and passes.
pub const DRY_RUN: u32 = 1;
/// `Listener::flags`: its VPC has CIDRs beyond `v4` and `v6`, in CIDRS.
pub const MORE_CIDRS: u32 = 2;

pub const INLINE_V4: usize = 8;
pub const INLINE_V6: usize = 4;

/// An entry of LISTENERS. Written whole while no cell of DIRECTORY names it, and never changed while one does.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What a packet's key must equal: a cell's tag is only a hint.
    pub key: ListenerKey,
    /// `ENDPOINT_OPEN`; anything else is private.
    pub endpoint: u32,
    /// The set in CIDRS whose sources may pass when private.
    pub vpc: u32,
    /// Its counters: `1..SLOTS`.
    pub slot: u32,
    pub flags: u32,
    /// Always 0.
    pub reserved: u32,
    /// Of each source.
    pub packets: Rate,
    /// Of each source: segments with SYN and without ACK.
    pub connections: Rate,
    /// The first CIDRs of the VPC, so that most need no trie.
    pub v4: [NetworkV4; INLINE_V4],
    pub v6: [NetworkV6; INLINE_V6],
}

/// Words as loaded. The empty one holds nobody.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkV4 {
    pub network: u32,
    pub mask: u32,
}

/// At most 64 bits of prefix.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkV6 {
    pub network: [u32; 2],
    pub mask: [u32; 2],
}

impl NetworkV4 {
    pub const EMPTY: Self = Self { network: 1, mask: 0 };

    #[inline(always)]
    pub const fn holds(&self, word: u32) -> bool {
        word & self.mask == self.network
    }
}

impl NetworkV6 {
    pub const EMPTY: Self = Self { network: [1, 0], mask: [0; 2] };

    #[inline(always)]
    pub const fn holds(&self, words: &[u32; 4]) -> bool {
        words[0] & self.mask[0] == self.network[0] && words[1] & self.mask[1] == self.network[1]
    }
}

/// Value of PRIVATE_ADDRESSES: a private listener enforces there.
pub const ADDRESS_ENFORCED: u32 = 1;
/// Value of PRIVATE_ADDRESSES: all private listeners there are in a dry run.
pub const ADDRESS_DRY: u32 = 2;

/// Key of CIDRS behind the prefix length, which counts the 32 bits of `set` too.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetAddress {
    /// Set and family, so that `::/0` does not hold every mapped IPv4 address too.
    pub set: [u8; 4],
    pub address: [u8; 16],
}

/// Bits of `SetAddress::set`: every prefix covers them.
pub const SET_BITS: u32 = 32;
/// The VPC that never has a CIDR.
pub const VPC_EMPTY: u32 = 0;
pub const VPC_MAX: u32 = (u32::MAX >> 1) - 2;
/// Banned ranges; their value in CIDRS is the time of their end.
pub const SET_BANNED: u32 = VPC_MAX + 1;
/// Sources that are exempt from bans and rates.
pub const SET_TRUSTED: u32 = VPC_MAX + 2;

impl SetAddress {
    /// `set` is `SET_TRUSTED` at most.
    #[inline(always)]
    pub const fn new(set: u32, address: Address) -> Self {
        let family = address.is_mapped() as u32;
        Self { set: (set << 1 | family).to_be_bytes(), address: address.octets() }
    }

    pub const fn set(&self) -> u32 {
        u32::from_be_bytes(self.set) >> 1
    }
}

/// A ban that nothing ends: value of BANS and of banned ranges; other values are the end in nanoseconds of
/// CLOCK_MONOTONIC.
pub const FOREVER: u64 = u64::MAX;

/// BUDGETS: sets of four places for packets and four for new connections, one cache line each.
pub const BUDGET_SETS: u32 = 16_384;

/// The one entry of STATE.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub version: u32,
    /// Private listeners that enforce. Asked when a packet hides even its destination.
    pub privates: u32,
    /// Private listeners in a dry run.
    pub dry_privates: u32,
    /// `HAS_*`
    pub flags: u32,
    /// What makes a source of an IPv4 address: it is budgeted and banned as one. IPv4's mask covers the mapping.
    pub source_v4: Address,
    pub source_v6: Address,
    /// Secrets of `hash`, drawn when the maps are made.
    pub keys: [u64; 6],
}

pub const HAS_BANS: u32 = 1;
pub const HAS_BANNED_RANGES: u32 = 2;
pub const HAS_TRUSTED: u32 = 4;
/// A listener has limits, and is in no dry run.
pub const HAS_LIMITS: u32 = 8;

/// The one entry of SAMPLING, on each CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampling {
    /// The clock's tick of the last event: each tick has one at most.
    pub at: u64,
    /// Drops since then, about.
    pub pending: u64,
}

/// A sampled drop, as EVENTS carries it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds of CLOCK_MONOTONIC, to a tick of the kernel.
    pub at: u64,
    /// Drops that it stands for: about as many as its CPU had since the event before.
    pub weight: u64,
    pub source: Address,
    pub destination: Address,
    pub slot: u32,
    /// `Reason`
    pub reason: u32,
    pub port: u16,
    pub protocol: u8,
    /// 1: it passed, in a dry run.
    pub dry: u8,
    pub reserved: u32,
}

impl Event {
    /// From the ring. None: too short.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let address = |at: usize| Some(Address::from_octets(*bytes.get(at..)?.first_chunk()?));
        let [low, high, protocol, dry] = *bytes.get(56..)?.first_chunk()?;
        Some(Self {
            at: long(0)?,
            weight: long(8)?,
            source: address(16)?,
            destination: address(32)?,
            slot: word(48)?,
            reason: word(52)?,
            port: u16::from_ne_bytes([low, high]),
            protocol,
            dry,
            reserved: word(60)?,
        })
    }
}

/// Bytes of EVENTS: what is not fetched for so long is lost, and counted nowhere but in `weight`.
pub const EVENTS_BYTES: u32 = 256 * 1024;

#[cfg(feature = "user")]
#[allow(unsafe_code)]
mod pod {
    macro_rules! pod {
        ($($type:ty),*) => {
            $(
                // SAFETY: repr(C) or transparent, integers only, no padding (tested below), every bit pattern is a
                // value.
                unsafe impl aya::Pod for $type {}
            )*
        };
    }
    pod!(
        super::Address,
        super::ListenerKey,
        super::Ports,
        super::Bucket,
        super::Listener,
        super::SetAddress,
        super::RangeFilter,
        super::BanFilter,
        super::State,
        super::Sampling
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_has_no_padding() {
        assert_eq!(size_of::<ListenerKey>(), 16 + 2 + 1 + 1);
        assert_eq!(size_of::<Listener>(), 20 + 5 * 4 + 2 * 16 + 8 * 8 + 4 * 16);
        assert_eq!(size_of::<SetAddress>(), 20);
        assert_eq!(size_of::<State>(), 4 * 4 + 2 * 16 + 6 * 8);
        assert_eq!(size_of::<Ports>(), 65_536);
        assert_eq!(size_of::<Bucket>(), 64);
        assert_eq!(size_of::<RangeFilter>(), 2 * 65_536 / 8);
        assert_eq!(size_of::<BanFilter>(), 128 * 1024);
        assert_eq!(size_of::<Event>(), 2 * 8 + 2 * 16 + 2 * 4 + 8);
    }

    #[test]
    fn every_reason_has_its_own_counter_within_the_slot() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            assert!((reason as u32) < REASONS);
            assert!(reason.counter(SLOTS - 1, true) < COUNTER_ENTRIES);
            assert_ne!(reason.counter(3, true), reason.counter(3, false));
        }
    }

    #[test]
    fn empty_networks_hold_nobody() {
        for word in [0, 1, u32::MAX] {
            assert!(!NetworkV4::EMPTY.holds(word));
            assert!(!NetworkV6::EMPTY.holds(&[word; 4]));
        }
    }
}
