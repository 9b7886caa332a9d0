//! Typed handles on the maps, and their content as plain values.

use super::directory::Directory;
use super::memory::Memory;
use super::rules::{Prefix, set_key};
use super::{XdpError, clock, pins};
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, PerCpuValues, RingBuf};
use aya::util::nr_cpus;
use gateway_ebpf::abi::{self, Address, Listener, Reason, SetAddress, State};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

pub(super) struct Maps {
    pub(super) state: StateMemory,
    pub(super) directory: Directory,
    pub(super) ports: Memory,
    pub(super) cidrs: LpmTrie<MapData, SetAddress, u64>,
    pub(super) range_filters: Memory,
    pub(super) bans: HashMap<MapData, Address, u64>,
    pub(super) ban_filter: Memory,
    pub(super) budgets: Array<MapData, [u64; 8]>,
    pub(super) private_addresses: HashMap<MapData, Address, u32>,
    pub(super) counters: PerCpuArray<MapData, u64>,
    pub(super) events: RingBuf<MapData>,
}

/// (name, entries, bytes of a value): what the program and this code must find.
const LAYOUT: [(&str, u32, usize); 13] = [
    (abi::STATE, 1, size_of::<State>()),
    (abi::PORTS, 1, size_of::<abi::Ports>()),
    (abi::DIRECTORY, abi::DIRECTORY_BUCKETS, size_of::<abi::Bucket>()),
    (abi::LISTENERS, abi::LISTENER_ENTRIES, size_of::<Listener>()),
    (abi::PRIVATE_ADDRESSES, abi::ADDRESS_ENTRIES, size_of::<u32>()),
    (abi::CIDRS, abi::CIDR_ENTRIES, size_of::<u64>()),
    (abi::RANGE_FILTERS, 2, size_of::<abi::RangeFilter>()),
    (abi::BANS, abi::BANS_MAX as u32, size_of::<u64>()),
    (abi::BAN_FILTER, 1, size_of::<abi::BanFilter>()),
    (abi::BUDGETS, abi::BUDGET_SETS, 64),
    (abi::COUNTERS, abi::COUNTER_ENTRIES, size_of::<u64>()),
    (abi::SAMPLING, 1, size_of::<abi::Sampling>()),
    (abi::EVENTS, abi::EVENTS_BYTES, 0),
];

impl Maps {
    /// From the pins. None: they are not all there, or of another layout, or nobody has written them yet.
    pub(super) fn pinned(pins: &Path) -> Result<Option<Self>, XdpError> {
        let folder = pins::maps(pins);
        if !abi::MAPS.iter().all(|name| folder.join(name).exists()) {
            return Ok(None);
        }
        for (name, entries, bytes) in LAYOUT {
            let map = pinned_map(pins, name)?;
            let info = map.info().map_err(|error| failed("asking a pinned map", &error))?;
            if info.max_entries() != entries || info.value_size() as usize != bytes {
                return Ok(None);
            }
        }
        // Asked before they are opened: that draws secrets where there are none, and is for the process that makes the
        // maps, not for another one that only looks.
        let written = StateMemory::of(pins)?.version().load(Ordering::Acquire) == abi::VERSION;
        written.then(|| Self::open(pins)).transpose()
    }

    /// All maps are pinned.
    pub(super) fn open(pins: &Path) -> Result<Self, XdpError> {
        let memory = |name: &str, bytes: usize| Memory::of(&pinned_map(pins, name)?, bytes);
        let take = |name: &str| Map::from_map_data(pinned_map(pins, name)?).map_err(|error| opening(&error));
        let state = StateMemory::of(pins)?;
        let keys = state.keys()?;
        let cells = memory(abi::DIRECTORY, Directory::BYTES)?;
        let typed = |error: MapError| opening(&error);
        let entries = Array::try_from(take(abi::LISTENERS)?).map_err(typed)?;
        Ok(Self {
            directory: Directory::new(cells, entries, keys),
            state,
            ports: memory(abi::PORTS, size_of::<abi::Ports>())?,
            cidrs: LpmTrie::try_from(take(abi::CIDRS)?).map_err(typed)?,
            range_filters: memory(abi::RANGE_FILTERS, 2 * size_of::<abi::RangeFilter>())?,
            bans: HashMap::try_from(take(abi::BANS)?).map_err(typed)?,
            ban_filter: memory(abi::BAN_FILTER, size_of::<abi::BanFilter>())?,
            budgets: Array::try_from(take(abi::BUDGETS)?).map_err(typed)?,
            private_addresses: HashMap::try_from(take(abi::PRIVATE_ADDRESSES)?).map_err(typed)?,
            counters: PerCpuArray::try_from(take(abi::COUNTERS)?).map_err(typed)?,
            events: RingBuf::try_from(take(abi::EVENTS)?).map_err(typed)?,
        })
    }

    /// Prefixes by set: the VPCs' that do not fit their listeners, banned and trusted ranges, with their values.
    pub(super) fn sets(&self) -> Result<BTreeMap<u32, BTreeMap<Prefix, u64>>, XdpError> {
        let mut sets: BTreeMap<u32, BTreeMap<Prefix, u64>> = BTreeMap::new();
        for entry in self.cidrs.iter() {
            let (key, value) = entry.map_err(|error| failed("reading CIDRs", &error))?;
            let data = key.data();
            let bits = key.prefix_len().saturating_sub(abi::SET_BITS);
            sets.entry(data.set()).or_default().insert((bits, Address::from_octets(data.address)), value);
        }
        Ok(sets)
    }

    pub(super) fn write_prefix(&mut self, set: u32, prefix: Prefix, value: u64) -> Result<(), XdpError> {
        self.cidrs.insert(&set_key(set, prefix), value, 0).map_err(|error| failed("writing a CIDR", &error))
    }

    pub(super) fn remove_prefix(&mut self, set: u32, prefix: Prefix) -> Result<(), XdpError> {
        match self.cidrs.remove(&set_key(set, prefix)) {
            Err(MapError::KeyNotFound) => Ok(()),
            removed => removed.map_err(|error| failed("removing a CIDR", &error)),
        }
    }

    /// The addresses with private listeners, and `ADDRESS_*`.
    pub(super) fn private_addresses(&self) -> Result<BTreeMap<Address, u32>, XdpError> {
        let addresses = self.private_addresses.iter().collect::<Result<_, _>>();
        addresses.map_err(|error| failed("reading private addresses", &error))
    }

    pub(super) fn write_private_address(&mut self, address: &Address, how: u32) -> Result<(), XdpError> {
        let written = self.private_addresses.insert(address, how, 0);
        written.map_err(|error| failed("writing a private address", &error))
    }

    pub(super) fn remove_private_address(&mut self, address: &Address) -> Result<(), XdpError> {
        self.private_addresses.remove(address).map_err(|error| failed("removing a private address", &error))
    }

    /// Packets by reason, over all CPUs. `dry`: those that would have been dropped.
    pub(super) fn counters(&self, slot: u32, dry: bool) -> Result<BTreeMap<String, u64>, XdpError> {
        let mut packets = BTreeMap::new();
        for reason in Reason::ALL.into_iter().filter(|reason| !dry || reason.drops()) {
            let values = self
                .counters
                .get(&reason.counter(slot, dry), 0)
                .map_err(|error| failed("reading a counter", &error))?;
            packets.insert(reason.name().to_owned(), values.iter().sum());
        }
        Ok(packets)
    }

    /// For slots that get new listeners.
    pub(super) fn zero_counters(&mut self, slots: &BTreeSet<u32>) -> Result<(), XdpError> {
        let cpus = nr_cpus().map_err(|(what, error)| failed(what, &error))?;
        for slot in slots {
            for counter in slot * abi::SLOT_COUNTERS..(slot + 1) * abi::SLOT_COUNTERS {
                PerCpuValues::try_from(vec![0u64; cpus])
                    .map_err(MapError::from)
                    .and_then(|zeros| self.counters.set(counter, zeros, 0))
                    .map_err(|error| failed("zeroing a counter", &error))?;
            }
        }
        Ok(())
    }
}

/// The one entry of STATE, field by field.
pub(super) struct StateMemory(Memory);

const WORD: usize = size_of::<u32>();

impl StateMemory {
    fn of(pins: &Path) -> Result<Self, XdpError> {
        Memory::of(&pinned_map(pins, abi::STATE)?, size_of::<State>()).map(Self)
    }

    fn field(&self, offset: usize) -> &AtomicU32 {
        &self.0.halves()[offset / WORD]
    }

    /// Not `abi::VERSION`: nobody has finished writing the rules.
    pub(super) fn version(&self) -> &AtomicU32 {
        self.field(offset_of!(State, version))
    }

    pub(super) fn privates(&self) -> &AtomicU32 {
        self.field(offset_of!(State, privates))
    }

    pub(super) fn dry_privates(&self) -> &AtomicU32 {
        self.field(offset_of!(State, dry_privates))
    }

    pub(super) fn flags(&self) -> &AtomicU32 {
        self.field(offset_of!(State, flags))
    }

    /// What makes a source of an IPv4 address, and of an IPv6 address.
    pub(super) fn masks(&self) -> [Address; 2] {
        [offset_of!(State, source_v4), offset_of!(State, source_v6)].map(|offset| {
            Address(std::array::from_fn(|i| self.field(offset + i * WORD).load(Ordering::Relaxed)))
        })
    }

    pub(super) fn set_masks(&self, masks: [Address; 2]) {
        for (offset, mask) in
            [offset_of!(State, source_v4), offset_of!(State, source_v6)].into_iter().zip(masks)
        {
            for (i, word) in mask.0.into_iter().enumerate() {
                self.field(offset + i * WORD).store(word, Ordering::Relaxed);
            }
        }
    }

    /// The secrets of the hash; drawn when there are none yet.
    pub(super) fn keys(&self) -> Result<[u64; 6], XdpError> {
        let first = offset_of!(State, keys) / size_of::<u64>();
        let words = &self.0.words()[first..first + 6];
        if words.iter().all(|word| word.load(Ordering::Relaxed) == 0) {
            let drawn: [u64; 6] = clock::random().map_err(|error| failed("drawing secrets", &error))?;
            words.iter().zip(drawn).for_each(|(word, drawn)| word.store(drawn, Ordering::Relaxed));
        }
        Ok(std::array::from_fn(|i| words[i].load(Ordering::Relaxed)))
    }
}

fn pinned_map(pins: &Path, name: &str) -> Result<MapData, XdpError> {
    MapData::from_pin(pins::maps(pins).join(name)).map_err(|error| opening(&error))
}

fn opening(error: &(dyn std::error::Error + 'static)) -> XdpError {
    failed("opening a pinned map", error)
}

pub(super) fn failed(doing: &str, error: &(dyn std::error::Error + 'static)) -> XdpError {
    XdpError::caused(doing, error)
}
