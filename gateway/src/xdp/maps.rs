//! Typed handles on the maps, and their content as plain values.

use super::rules::{Prefix, cidr_key};
use super::{XdpError, pins};
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use gateway_ebpf::abi::{self, Address, Listener, ListenerKey, Reason, State, VpcAddress};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(super) struct Maps {
    pub(super) listeners: HashMap<MapData, ListenerKey, Listener>,
    pub(super) cidrs: LpmTrie<MapData, VpcAddress, u32>,
    pub(super) private_addresses: HashMap<MapData, Address, u32>,
    pub(super) state: Array<MapData, State>,
    pub(super) counters: PerCpuArray<MapData, u64>,
}

impl Maps {
    /// From the pins. None: they are not all there, or of another layout, or nobody has written them yet.
    pub(super) fn pinned(pins: &Path) -> Result<Option<Self>, XdpError> {
        let folder = pins::maps(pins);
        if !abi::MAPS.iter().all(|name| folder.join(name).exists()) {
            return Ok(None);
        }
        let maps = Self::open(pins)?;
        let version = maps.state.get(&0, 0).map(|state| state.version).unwrap_or_default();
        Ok((version == abi::VERSION && maps.sizes_match()).then_some(maps))
    }

    /// All maps are pinned.
    pub(super) fn open(pins: &Path) -> Result<Self, XdpError> {
        let folder = pins::maps(pins);
        let take = |name| MapData::from_pin(folder.join(name)).and_then(Map::from_map_data);
        let open = || {
            Ok(Self {
                listeners: HashMap::try_from(take(abi::LISTENERS)?)?,
                cidrs: LpmTrie::try_from(take(abi::CIDRS)?)?,
                private_addresses: HashMap::try_from(take(abi::PRIVATE_ADDRESSES)?)?,
                state: Array::try_from(take(abi::STATE)?)?,
                counters: PerCpuArray::try_from(take(abi::COUNTERS)?)?,
            })
        };
        open().map_err(|error: MapError| failed("opening a pinned map", &error))
    }

    /// The kernel would run a program over maps of other sizes, but the rules might not fit.
    fn sizes_match(&self) -> bool {
        self.counters.len() == abi::COUNTER_ENTRIES && self.state.len() == 1
    }

    pub(super) fn listeners(&self) -> Result<BTreeMap<ListenerKey, Listener>, XdpError> {
        self.listeners.iter().collect::<Result<_, _>>().map_err(|error| failed("reading listeners", &error))
    }

    /// CIDRs by VPC id.
    pub(super) fn vpcs(&self) -> Result<BTreeMap<u32, BTreeSet<Prefix>>, XdpError> {
        let mut vpcs: BTreeMap<u32, BTreeSet<Prefix>> = BTreeMap::new();
        for key in self.cidrs.keys() {
            let key = key.map_err(|error| failed("reading CIDRs", &error))?;
            let data = key.data();
            let prefix = (key.prefix_len().saturating_sub(abi::SET_BITS), data.address);
            vpcs.entry(data.vpc()).or_default().insert(prefix);
        }
        Ok(vpcs)
    }

    pub(super) fn write_vpc(&mut self, vpc: u32, prefixes: &BTreeSet<Prefix>) -> Result<(), XdpError> {
        for prefix in prefixes {
            self.cidrs
                .insert(&cidr_key(vpc, *prefix), 1, 0)
                .map_err(|error| failed("writing a CIDR", &error))?;
        }
        Ok(())
    }

    pub(super) fn remove_vpc(&mut self, vpc: u32, prefixes: &BTreeSet<Prefix>) -> Result<(), XdpError> {
        for prefix in prefixes {
            self.cidrs.remove(&cidr_key(vpc, *prefix)).map_err(|error| failed("removing a CIDR", &error))?;
        }
        Ok(())
    }

    pub(super) fn write_listener(&mut self, key: &ListenerKey, value: Listener) -> Result<(), XdpError> {
        self.listeners.insert(key, value, 0).map_err(|error| failed("writing a listener", &error))
    }

    pub(super) fn remove_listener(&mut self, key: &ListenerKey) -> Result<(), XdpError> {
        self.listeners.remove(key).map_err(|error| failed("removing a listener", &error))
    }

    pub(super) fn private_addresses(&self) -> Result<BTreeSet<Address>, XdpError> {
        self.private_addresses
            .keys()
            .collect::<Result<_, _>>()
            .map_err(|error| failed("reading private addresses", &error))
    }

    pub(super) fn add_private_address(&mut self, address: &Address) -> Result<(), XdpError> {
        self.private_addresses
            .insert(address, 1, 0)
            .map_err(|error| failed("writing a private address", &error))
    }

    pub(super) fn remove_private_address(&mut self, address: &Address) -> Result<(), XdpError> {
        self.private_addresses.remove(address).map_err(|error| failed("removing a private address", &error))
    }

    pub(super) fn write_state(&mut self, privates: u32) -> Result<(), XdpError> {
        self.state
            .set(0, State { version: abi::VERSION, privates }, 0)
            .map_err(|error| failed("writing the state", &error))
    }

    /// Packets by reason, over all CPUs.
    pub(super) fn counters(&self, slot: u32) -> Result<BTreeMap<String, u64>, XdpError> {
        let mut packets = BTreeMap::new();
        for reason in Reason::ALL {
            let values = self
                .counters
                .get(&reason.counter(slot), 0)
                .map_err(|error| failed("reading a counter", &error))?;
            packets.insert(reason.name().to_owned(), values.iter().sum());
        }
        Ok(packets)
    }

    /// For a slot that gets a new listener.
    pub(super) fn zero_counters(&mut self, slot: u32) -> Result<(), XdpError> {
        let cpus = nr_cpus().map_err(|(what, error)| failed(what, &error))?;
        for reason in 0..abi::REASONS {
            PerCpuValues::try_from(vec![0u64; cpus])
                .map_err(MapError::from)
                .and_then(|zeros| self.counters.set(slot * abi::REASONS + reason, zeros, 0))
                .map_err(|error| failed("zeroing a counter", &error))?;
        }
        Ok(())
    }
}

fn failed(doing: &str, error: &(dyn std::error::Error + 'static)) -> XdpError {
    XdpError::caused(doing, error)
}
