//! Brings the maps in step with the rules, so that at no moment a private listener is open.

use super::XdpError;
use super::maps::Maps;
use super::plan::{Plan, enforces, privates};
use super::rules::{Prefix, Wanted};
use gateway_ebpf::abi::{self, Listener, ListenerKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Closes first, opens last. After an error the maps are at least as closed as the old or the new rules.
pub(super) fn apply(maps: &mut Maps, wanted: &Wanted) -> Result<(), XdpError> {
    maps.directory.begin();
    let listeners = maps.directory.listeners()?;
    let addresses = maps.private_addresses()?;
    let mut sets = maps.sets()?;
    sets.remove(&abi::SET_BANNED);
    let trusted = sets.remove(&abi::SET_TRUSTED).unwrap_or_default();
    let sets = sets.into_iter().map(|(id, prefixes)| (id, prefixes.into_keys().collect())).collect();
    let plan = Plan::of(wanted, &listeners, &sets)?;

    // Nothing refers to these yet.
    for (id, prefixes) in &plan.new_sets {
        prefixes.iter().try_for_each(|prefix| maps.write_prefix(*id, *prefix, 1))?;
    }
    maps.zero_counters(&plan.new_slots)?;
    set_ports(maps, listeners.keys().chain(plan.listeners.keys()));
    trust(maps, &wanted.trusted, trusted.keys().copied().collect())?;

    // Closing.
    for (address, how) in &plan.private_addresses {
        if addresses.get(address).is_none_or(|now| *how == abi::ADDRESS_ENFORCED && now != how) {
            maps.write_private_address(address, *how)?;
        }
    }
    let before = privates(listeners.values());
    set_privates(maps, (plan.privates.max(before.0), plan.dry_privates.max(before.1)));
    if plan.listeners.values().any(limits) {
        maps.state.flags().fetch_or(abi::HAS_LIMITS, Ordering::Release);
    }
    let changed = |(key, value): &(&ListenerKey, &Listener)| listeners.get(key) != Some(value);
    let gone = |(key, _): &(&ListenerKey, &Listener)| !plan.listeners.contains_key(key);
    for (_, value) in plan.listeners.iter().filter(|(_, value)| enforces(value)).filter(changed) {
        maps.directory.write(value)?;
    }
    for (key, _) in listeners.iter().filter(|(_, value)| !enforces(value)).filter(gone) {
        maps.directory.remove(key);
    }

    // Opening.
    for (_, value) in plan.listeners.iter().filter(|(_, value)| !enforces(value)).filter(changed) {
        maps.directory.write(value)?;
    }
    for (key, _) in listeners.iter().filter(|(_, value)| enforces(value)).filter(gone) {
        maps.directory.remove(key);
    }
    for address in addresses.keys() {
        match plan.private_addresses.get(address) {
            None => maps.remove_private_address(address)?,
            Some(how) => maps.write_private_address(address, *how)?,
        }
    }
    set_privates(maps, (plan.privates, plan.dry_privates));
    if !plan.listeners.values().any(limits) {
        maps.state.flags().fetch_and(!abi::HAS_LIMITS, Ordering::Release);
    }
    set_ports(maps, plan.listeners.keys());
    maps.state.version().store(abi::VERSION, Ordering::Release);

    // Nothing refers to these any more.
    let used: BTreeSet<u32> = plan.listeners.values().map(|listener| listener.vpc).collect();
    for (id, prefixes) in sets.iter().filter(|(id, _)| !used.contains(id)) {
        prefixes.iter().try_for_each(|prefix| maps.remove_prefix(*id, *prefix))?;
    }
    Ok(())
}

fn limits(listener: &Listener) -> bool {
    let unlimited = listener.packets.is_unlimited() && listener.connections.is_unlimited();
    !unlimited && listener.flags & abi::DRY_RUN == 0
}

fn set_privates(maps: &Maps, (privates, dry): (u32, u32)) {
    maps.state.privates().store(privates, Ordering::Release);
    maps.state.dry_privates().store(dry, Ordering::Release);
}

/// A bit too many costs a look that finds nothing; one too few would hide a listener.
fn set_ports<'k>(maps: &Maps, keys: impl Iterator<Item = &'k ListenerKey>) {
    let mut ports: BTreeMap<u16, u8> = BTreeMap::new();
    for key in keys {
        let v4 = key.address.is_mapped();
        let any = key.address == abi::Address::ANY_V4 || key.address == abi::Address::ANY_V6;
        *ports.entry(key.port).or_default() |= match (v4, any) {
            (true, false) => abi::PORT_EXACT_V4,
            (true, true) => abi::PORT_ANY_V4,
            (false, false) => abi::PORT_EXACT_V6,
            (false, true) => abi::PORT_ANY_V6,
        };
    }
    for (port, place) in (0..=u16::MAX).zip(maps.ports.octets()) {
        place.store(ports.get(&port).copied().unwrap_or(0), Ordering::Release);
    }
}

/// What comes is trusted before what goes ceases to be.
fn trust(maps: &mut Maps, wanted: &BTreeSet<Prefix>, now: BTreeSet<Prefix>) -> Result<(), XdpError> {
    maps.filter_ranges(abi::FILTER_TRUSTED, abi::HAS_TRUSTED, wanted.union(&now));
    for prefix in wanted.difference(&now) {
        maps.write_prefix(abi::SET_TRUSTED, *prefix, 1)?;
    }
    for prefix in now.difference(wanted) {
        maps.remove_prefix(abi::SET_TRUSTED, *prefix)?;
    }
    maps.filter_ranges(abi::FILTER_TRUSTED, abi::HAS_TRUSTED, wanted.iter());
    Ok(())
}
