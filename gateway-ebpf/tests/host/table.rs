//! The rules in memory: what the maps hold, as lists and hash tables of the standard library.

use gateway_ebpf::abi::{
    ADDRESS_DRY, ADDRESS_ENFORCED, Address, BAN_FILTER_WORDS, BUDGET_SETS, BanFilter, DRY_RUN, ENDPOINT_OPEN,
    ENDPOINT_PRIVATE, FILTER_BANNED, FILTER_TRUSTED, HAS_BANNED_RANGES, HAS_BANS, HAS_TRUSTED, INLINE_V4,
    INLINE_V6, Listener, ListenerKey, NetworkV4, NetworkV6, PORT_ANY_V4, PORT_ANY_V6, PORT_EXACT_V4,
    PORT_EXACT_V6, RangeFilter, SET_BANNED, SET_TRUSTED, State, VERSION, VPC_EMPTY,
};
use gateway_ebpf::admit::{Budget, Rules};
use gateway_ebpf::budget::{self, Charge, WAYS, Word};
use gateway_ebpf::gcra::Rate;
use gateway_ebpf::hash::hash;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

/// A word of BUDGETS.
#[derive(Debug, Default)]
pub(crate) struct Place(pub(crate) AtomicU64);

impl Word for Place {
    fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn replace(&self, old: u64, new: u64) -> bool {
        self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

pub(crate) type Ways = [Place; WAYS];

pub(crate) fn words(ways: &Ways) -> [u64; WAYS] {
    std::array::from_fn(|way| ways[way].load())
}

/// What was looked up, to see what a verdict costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) listeners: u32,
    pub(crate) bans: u32,
    pub(crate) ranges: u32,
    pub(crate) budgets: u32,
}

struct Range {
    set: u32,
    v4: bool,
    mask: Address,
    network: Address,
    bits: u32,
    value: u64,
}

pub(crate) struct Table {
    pub(crate) state: State,
    /// Nanoseconds.
    pub(crate) now: Cell<u64>,
    pub(crate) asked: Cell<Asked>,
    pub(crate) ports: Vec<u8>,
    pub(crate) listeners: HashMap<ListenerKey, Listener>,
    pub(crate) private_addresses: HashMap<Address, u32>,
    ranges: Vec<Range>,
    range_filters: [RangeFilter; 2],
    bans: HashMap<Address, u64>,
    ban_filter: Vec<u64>,
    packets: RefCell<HashMap<u32, Ways>>,
    connections: RefCell<HashMap<u32, Ways>>,
}

impl Table {
    /// No rules; sources are single IPv4 addresses and /64s.
    pub(crate) fn new() -> Self {
        let keys = crate::random::Random::new(7).keys();
        Self {
            state: State {
                version: VERSION,
                privates: 0,
                dry_privates: 0,
                flags: 0,
                source_v4: Address::mask(128),
                source_v6: Address::mask(64),
                keys,
            },
            now: Cell::new(1_000_000_000_000),
            asked: Cell::default(),
            ports: vec![0; 65_536],
            listeners: HashMap::new(),
            private_addresses: HashMap::new(),
            ranges: Vec::new(),
            range_filters: [RangeFilter::EMPTY; 2],
            bans: HashMap::new(),
            ban_filter: vec![0; BAN_FILTER_WORDS],
            packets: RefCell::default(),
            connections: RefCell::default(),
        }
    }

    /// A listener, changed by `change` from an open one without limits; its slot.
    pub(crate) fn listen(&mut self, address: &str, change: impl FnOnce(&mut Listener)) -> u32 {
        let address: SocketAddr = address.parse().unwrap();
        let key = ListenerKey::new(octets(address.ip()), address.port(), crate::frames::TCP);
        let slot = 1 + self.listeners.len() as u32;
        let mut listener = Listener {
            key,
            endpoint: ENDPOINT_OPEN,
            vpc: VPC_EMPTY,
            slot,
            flags: 0,
            reserved: 0,
            packets: Rate::UNLIMITED,
            connections: Rate::UNLIMITED,
            v4: [NetworkV4::EMPTY; INLINE_V4],
            v6: [NetworkV6::EMPTY; INLINE_V6],
        };
        change(&mut listener);
        self.ports[usize::from(address.port())] |= match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => PORT_ANY_V4,
            IpAddr::V4(_) => PORT_EXACT_V4,
            IpAddr::V6(ip) if ip.is_unspecified() => PORT_ANY_V6,
            IpAddr::V6(_) => PORT_EXACT_V6,
        };
        if listener.endpoint == ENDPOINT_PRIVATE {
            let dry = listener.flags & DRY_RUN != 0;
            *(if dry { &mut self.state.dry_privates } else { &mut self.state.privates }) += 1;
            let value = self.private_addresses.entry(key.address).or_insert(ADDRESS_DRY);
            if !dry {
                *value = ADDRESS_ENFORCED;
            }
        }
        self.listeners.insert(key, listener);
        slot
    }

    /// A CIDR of a set of CIDRS.
    pub(crate) fn range(&mut self, set: u32, cidr: &str, value: u64) {
        let (network, bits, v4) = cidr_of(cidr);
        self.ranges.push(Range { set, v4, mask: Address::mask(bits), network, bits, value });
    }

    /// Bans one source until `end`.
    pub(crate) fn ban(&mut self, source: &str, end: u64) {
        let source: IpAddr = source.parse().unwrap();
        let mask = if source.is_ipv4() { self.state.source_v4 } else { self.state.source_v6 };
        let source = octets(source).masked(&mask);
        self.bans.insert(source, end);
        let (word, bit) = BanFilter::place(hash(&self.state.keys, &source, 0));
        self.ban_filter[word] |= 1 << bit;
        self.state.flags |= HAS_BANS;
    }

    pub(crate) fn ban_range(&mut self, cidr: &str, end: u64) {
        self.range(SET_BANNED, cidr, end);
        self.filter(FILTER_BANNED, cidr);
        self.state.flags |= HAS_BANNED_RANGES;
    }

    pub(crate) fn trust(&mut self, cidr: &str) {
        self.range(SET_TRUSTED, cidr, 1);
        self.filter(FILTER_TRUSTED, cidr);
        self.state.flags |= HAS_TRUSTED;
    }

    fn filter(&mut self, filter: u32, cidr: &str) {
        let (network, bits, _) = cidr_of(cidr);
        self.range_filters[filter as usize].mark(&network, bits);
    }

    /// What was asked since the last time.
    pub(crate) fn take_asked(&self) -> Asked {
        self.asked.take()
    }

    fn ask(&self, of: impl FnOnce(&mut Asked) -> &mut u32) {
        let mut asked = self.asked.get();
        *of(&mut asked) += 1;
        self.asked.set(asked);
    }
}

impl Rules for Table {
    fn state(&self) -> &State {
        &self.state
    }

    fn port(&self, port: u16) -> u8 {
        self.ports[usize::from(port)]
    }

    fn listener(&self, key: &ListenerKey, hash: u32) -> Option<&Listener> {
        assert_eq!(hash, gateway_ebpf::hash::hash(&self.state.keys, &key.address, key.word()), "{key:?}");
        self.ask(|asked| &mut asked.listeners);
        self.listeners.get(key)
    }

    fn longest(&self, set: u32, address: &Address) -> Option<u64> {
        self.ask(|asked| &mut asked.ranges);
        let holds = |range: &&Range| {
            range.set == set
                && range.v4 == address.is_mapped()
                && address.masked(&range.mask) == range.network
        };
        self.ranges.iter().filter(holds).max_by_key(|range| range.bits).map(|range| range.value)
    }

    fn may_be_in_range(&self, filter: u32, v6: bool, leading: u16) -> bool {
        let (word, bit) = RangeFilter::place(v6, leading);
        self.range_filters[filter as usize].0[word] >> bit & 1 != 0
    }

    fn may_be_banned(&self, word: usize, bit: u32) -> bool {
        self.ban_filter[word] >> bit & 1 != 0
    }

    fn ban(&self, source: &Address) -> Option<u64> {
        self.ask(|asked| &mut asked.bans);
        self.bans.get(source).copied()
    }

    fn spend(&self, what: Budget, set: u32, tag: u64, now: u64, rate: &Rate) -> Charge {
        assert!(set < BUDGET_SETS && tag < 1 << 16 && !rate.is_unlimited());
        self.ask(|asked| &mut asked.budgets);
        let budgets = match what {
            Budget::Packets => &self.packets,
            Budget::Connections => &self.connections,
        };
        budget::spend(budgets.borrow_mut().entry(set).or_default(), tag, now, *rate)
    }

    fn private_address(&self, address: &Address) -> Option<u32> {
        self.private_addresses.get(address).copied()
    }

    fn now(&self) -> u64 {
        self.now.get()
    }
}

pub(crate) fn octets(ip: IpAddr) -> Address {
    match ip {
        IpAddr::V4(v4) => Address::mapped(v4.octets()),
        IpAddr::V6(v6) => Address::from_octets(v6.octets()),
    }
}

pub(crate) fn address(text: &str) -> Address {
    octets(text.parse().unwrap())
}

/// Network, prefix length of the 128 bits, and whether it is IPv4's.
fn cidr_of(text: &str) -> (Address, u32, bool) {
    let (ip, bits) = text.split_once('/').unwrap();
    let (ip, bits): (IpAddr, u32) = (ip.parse().unwrap(), bits.parse().unwrap());
    let bits = if ip.is_ipv4() { 96 + bits } else { bits };
    assert!(octets(ip).masked(&Address::mask(bits)) == octets(ip), "{text} has bits behind its prefix");
    (octets(ip), bits, ip.is_ipv4())
}

pub(crate) fn network_v4(cidr: &str) -> NetworkV4 {
    let (network, bits, v4) = cidr_of(cidr);
    assert!(v4);
    NetworkV4 { network: network.0[3], mask: Address::mask(bits).0[3] }
}

pub(crate) fn network_v6(cidr: &str) -> NetworkV6 {
    let (network, bits, v4) = cidr_of(cidr);
    assert!(!v4 && bits <= 64, "{cidr}: only 64 bits are held inline");
    let ([a, b, ..], [c, d, ..]) = (network.0, Address::mask(bits).0);
    NetworkV6 { network: [a, b], mask: [c, d] }
}
