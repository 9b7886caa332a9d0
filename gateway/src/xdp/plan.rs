//! Rules as the maps will hold them: slots for counters, CIDRs within the listener or in a set of their own.

use super::XdpError;
use super::rules::{Prefix, Wanted, WantedListener};
use gateway_ebpf::abi::{self, Address, INLINE_V4, INLINE_V6, Listener, ListenerKey, NetworkV4, NetworkV6};
use std::collections::{BTreeMap, BTreeSet};

/// CIDRs by set.
pub(super) type Sets = BTreeMap<u32, BTreeSet<Prefix>>;

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) listeners: BTreeMap<ListenerKey, Listener>,
    /// Sets to write, by new id.
    pub(super) new_sets: Sets,
    pub(super) new_slots: BTreeSet<u32>,
    /// `ADDRESS_*`
    pub(super) private_addresses: BTreeMap<Address, u32>,
    pub(super) privates: u32,
    pub(super) dry_privates: u32,
}

pub(super) fn is_private(listener: &Listener) -> bool {
    listener.endpoint != abi::ENDPOINT_OPEN
}

/// Private, and not in a dry run.
pub(super) fn enforces(listener: &Listener) -> bool {
    is_private(listener) && listener.flags & abi::DRY_RUN == 0
}

impl Plan {
    /// `listeners` and `sets` are what the maps hold now.
    pub(super) fn of(
        wanted: &Wanted,
        listeners: &BTreeMap<ListenerKey, Listener>,
        sets: &Sets,
    ) -> Result<Self, XdpError> {
        let mut slots = Slots::new(listeners);
        let mut ids = SetIds::new(listeners, sets);
        let mut planned = BTreeMap::new();
        for (key, listener) in &wanted.listeners {
            planned.insert(*key, value(*key, listener, slots.of(key, listeners)?, &mut ids)?);
        }
        let mut private_addresses = BTreeMap::new();
        for (key, listener) in planned.iter().filter(|(_, listener)| is_private(listener)) {
            let how = private_addresses.entry(key.address).or_insert(abi::ADDRESS_DRY);
            if enforces(listener) {
                *how = abi::ADDRESS_ENFORCED;
            }
        }
        let (privates, dry_privates) = privates(planned.values());
        let (new_sets, new_slots) = (ids.new, slots.new);
        Ok(Self { listeners: planned, new_sets, new_slots, private_addresses, privates, dry_privates })
    }
}

/// How many private listeners enforce, and how many are in a dry run.
pub(super) fn privates<'l>(listeners: impl Iterator<Item = &'l Listener>) -> (u32, u32) {
    let mut count = (0, 0);
    for listener in listeners.filter(|listener| is_private(listener)) {
        if enforces(listener) { count.0 += 1 } else { count.1 += 1 }
    }
    count
}

fn value(
    key: ListenerKey,
    wanted: &WantedListener,
    slot: u32,
    ids: &mut SetIds<'_>,
) -> Result<Listener, XdpError> {
    let mut listener = Listener {
        key,
        endpoint: abi::ENDPOINT_OPEN,
        vpc: abi::VPC_EMPTY,
        slot,
        flags: if wanted.dry_run { abi::DRY_RUN } else { 0 },
        reserved: 0,
        packets: wanted.packets,
        connections: wanted.connections,
        v4: [NetworkV4::EMPTY; INLINE_V4],
        v6: [NetworkV6::EMPTY; INLINE_V6],
    };
    if let Some(prefixes) = &wanted.private {
        listener.endpoint = abi::ENDPOINT_PRIVATE;
        let rest = inline(prefixes, &mut listener);
        if !rest.is_empty() {
            listener.vpc = ids.of(&rest)?;
            listener.flags |= abi::MORE_CIDRS;
        }
    }
    Ok(listener)
}

/// Puts as many as fit into the listener, the widest first. Returns the others.
fn inline(prefixes: &BTreeSet<Prefix>, listener: &mut Listener) -> BTreeSet<Prefix> {
    const V6_BITS_MAX: u32 = 64;
    let (mut v4, mut v6) = (listener.v4.iter_mut(), listener.v6.iter_mut());
    let mut rest = BTreeSet::new();
    for (bits, address) in prefixes {
        let mask = Address::mask(*bits).0;
        let network = address.0;
        let fits = if address.is_mapped() {
            v4.next().map(|place| *place = NetworkV4 { network: network[3], mask: mask[3] })
        } else if *bits <= V6_BITS_MAX {
            let place = v6.next();
            place.map(|place| {
                *place = NetworkV6 { network: [network[0], network[1]], mask: [mask[0], mask[1]] };
            })
        } else {
            None
        };
        if fits.is_none() {
            rest.insert((*bits, *address));
        }
    }
    rest
}

/// A listener that stays keeps its slot; others get one that no listener had until now.
struct Slots {
    taken: BTreeSet<u32>,
    new: BTreeSet<u32>,
}

impl Slots {
    fn new(listeners: &BTreeMap<ListenerKey, Listener>) -> Self {
        Self { taken: listeners.values().map(|listener| listener.slot).collect(), new: BTreeSet::new() }
    }

    fn of(
        &mut self,
        key: &ListenerKey,
        listeners: &BTreeMap<ListenerKey, Listener>,
    ) -> Result<u32, XdpError> {
        if let Some(kept) = listeners.get(key) {
            return Ok(kept.slot);
        }
        let free = (abi::SLOT_NONE + 1..abi::SLOTS).find(|slot| !self.taken.contains(slot));
        let slot = free.ok_or_else(|| XdpError::new("no free counter slot", "run `gateway xdp detach`"))?;
        self.taken.insert(slot);
        self.new.insert(slot);
        Ok(slot)
    }
}

/// Equal sets share an id; a new set never gets the id of one that is still in the maps.
struct SetIds<'a> {
    by_set: BTreeMap<&'a BTreeSet<Prefix>, u32>,
    added: BTreeMap<BTreeSet<Prefix>, u32>,
    next: u32,
    taken: BTreeSet<u32>,
    new: Sets,
}

impl<'a> SetIds<'a> {
    fn new(listeners: &BTreeMap<ListenerKey, Listener>, sets: &'a Sets) -> Self {
        let taken: BTreeSet<u32> =
            listeners.values().map(|listener| listener.vpc).chain(sets.keys().copied()).collect();
        Self {
            by_set: sets.iter().map(|(id, prefixes)| (prefixes, *id)).collect(),
            added: BTreeMap::new(),
            next: taken.last().map_or(abi::VPC_EMPTY + 1, |last| last + 1),
            taken,
            new: BTreeMap::new(),
        }
    }

    /// `prefixes` are not none.
    fn of(&mut self, prefixes: &BTreeSet<Prefix>) -> Result<u32, XdpError> {
        if let Some(known) = self.by_set.get(prefixes).or_else(|| self.added.get(prefixes)) {
            return Ok(*known);
        }
        if self.next > abi::VPC_MAX {
            self.next = abi::VPC_EMPTY + 1;
        }
        // At most as many ids are taken as there are listeners and CIDRs.
        let free = (self.next..=abi::VPC_MAX).find(|id| !self.taken.contains(id));
        let id = free.ok_or_else(|| XdpError::new("no free VPC id", "run `gateway xdp detach`"))?;
        self.next = id + 1;
        self.taken.insert(id);
        self.added.insert(prefixes.clone(), id);
        self.new.insert(id, prefixes.clone());
        Ok(id)
    }
}

#[cfg(test)]
mod tests;
