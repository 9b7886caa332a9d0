//! Brings the maps in step with the rules, so that at no moment a private listener is open.
//!
//! A VPC whose CIDRs change is written anew under another id; the listener's value then switches in one write.

use super::XdpError;
use super::maps::Maps;
use super::rules::{Prefix, Wanted};
use gateway_ebpf::abi::{self, Address, Listener, ListenerKey};
use std::collections::{BTreeMap, BTreeSet};

/// What the maps shall say, with slots and VPC ids.
struct Plan {
    listeners: BTreeMap<ListenerKey, Listener>,
    /// Sets to write, by new id.
    new_vpcs: BTreeMap<u32, BTreeSet<Prefix>>,
    new_slots: BTreeSet<u32>,
    private_addresses: BTreeSet<Address>,
    privates: u32,
}

/// Closes first, opens last. After an error the maps are at least as closed as the old or the new rules.
pub(super) fn apply(maps: &mut Maps, wanted: &Wanted) -> Result<(), XdpError> {
    let (listeners, vpcs) = (maps.listeners()?, maps.vpcs()?);
    let addresses = maps.private_addresses()?;
    let plan = Plan::of(wanted, &listeners, &vpcs)?;

    // Nothing refers to these yet.
    for (vpc, prefixes) in &plan.new_vpcs {
        maps.write_vpc(*vpc, prefixes)?;
    }
    for slot in &plan.new_slots {
        maps.zero_counters(*slot)?;
    }

    // Closing.
    for address in plan.private_addresses.difference(&addresses) {
        maps.add_private_address(address)?;
    }
    let privates_before = listeners.values().filter(|listener| is_private(listener)).count();
    maps.write_state(plan.privates.max(u32::try_from(privates_before).unwrap_or(u32::MAX)))?;
    let changed = |(key, value): &(&ListenerKey, &Listener)| listeners.get(key) != Some(value);
    for (key, value) in plan.listeners.iter().filter(|(_, value)| is_private(value)).filter(changed) {
        maps.write_listener(key, *value)?;
    }
    let gone = |(key, _): &(&ListenerKey, &Listener)| !plan.listeners.contains_key(key);
    for (key, _) in listeners.iter().filter(|(_, value)| !is_private(value)).filter(gone) {
        maps.remove_listener(key)?;
    }

    // Opening.
    for (key, value) in plan.listeners.iter().filter(|(_, value)| !is_private(value)).filter(changed) {
        maps.write_listener(key, *value)?;
    }
    for (key, _) in listeners.iter().filter(|(_, value)| is_private(value)).filter(gone) {
        maps.remove_listener(key)?;
    }
    for address in addresses.difference(&plan.private_addresses) {
        maps.remove_private_address(address)?;
    }
    maps.write_state(plan.privates)?;

    // Nothing refers to these any more.
    let used: BTreeSet<u32> = plan.listeners.values().map(|listener| listener.vpc).collect();
    for (vpc, prefixes) in vpcs.iter().filter(|(vpc, _)| !used.contains(vpc)) {
        maps.remove_vpc(*vpc, prefixes)?;
    }
    Ok(())
}

fn is_private(listener: &Listener) -> bool {
    listener.endpoint != abi::ENDPOINT_OPEN
}

impl Plan {
    fn of(
        wanted: &Wanted,
        listeners: &BTreeMap<ListenerKey, Listener>,
        vpcs: &BTreeMap<u32, BTreeSet<Prefix>>,
    ) -> Result<Self, XdpError> {
        let mut slots = Slots::new(listeners);
        let mut ids = VpcIds::new(listeners, vpcs);
        let mut planned = BTreeMap::new();
        for (key, listener) in &wanted.listeners {
            let (endpoint, vpc) = match &listener.private {
                None => (abi::ENDPOINT_OPEN, abi::VPC_EMPTY),
                Some(prefixes) => (abi::ENDPOINT_PRIVATE, ids.of(prefixes)?),
            };
            let value = Listener { endpoint, vpc, slot: slots.of(key, listeners)?, flags: 0 };
            planned.insert(*key, value);
        }
        let private = || planned.iter().filter(|(_, value)| is_private(value));
        Ok(Self {
            private_addresses: private().map(|(key, _)| key.address).collect(),
            privates: u32::try_from(private().count()).unwrap_or(u32::MAX),
            listeners: planned,
            new_vpcs: ids.new,
            new_slots: slots.new,
        })
    }
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
struct VpcIds<'a> {
    by_set: BTreeMap<&'a BTreeSet<Prefix>, u32>,
    added: BTreeMap<BTreeSet<Prefix>, u32>,
    next: u32,
    taken: BTreeSet<u32>,
    new: BTreeMap<u32, BTreeSet<Prefix>>,
}

impl<'a> VpcIds<'a> {
    fn new(listeners: &BTreeMap<ListenerKey, Listener>, vpcs: &'a BTreeMap<u32, BTreeSet<Prefix>>) -> Self {
        let taken: BTreeSet<u32> =
            listeners.values().map(|listener| listener.vpc).chain(vpcs.keys().copied()).collect();
        Self {
            by_set: vpcs.iter().map(|(vpc, prefixes)| (prefixes, *vpc)).collect(),
            added: BTreeMap::new(),
            next: taken.last().map_or(abi::VPC_EMPTY + 1, |last| last + 1),
            taken,
            new: BTreeMap::new(),
        }
    }

    fn of(&mut self, prefixes: &BTreeSet<Prefix>) -> Result<u32, XdpError> {
        if prefixes.is_empty() {
            return Ok(abi::VPC_EMPTY);
        }
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
mod tests {
    use super::*;
    use crate::xdp::Rules;
    use crate::xdp::rules::key;

    fn wanted(listeners: &[(&str, Option<usize>)], vpcs: &[&[&str]]) -> Wanted {
        let listeners = listeners.iter().map(|(address, private)| crate::xdp::ListenerRule {
            name: (*address).to_owned(),
            address: address.parse().unwrap(),
            private: *private,
            limits: crate::model::SourceLimits::NONE,
            dry_run: false,
        });
        let vpcs = vpcs.iter().map(|cidrs| cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect());
        Wanted::of(&Rules { listeners: listeners.collect(), vpcs: vpcs.collect(), trusted: Vec::new() })
            .unwrap()
    }

    /// A plan, and what the maps hold once it is carried out.
    fn plan(
        wanted: &Wanted,
        listeners: &BTreeMap<ListenerKey, Listener>,
        vpcs: &BTreeMap<u32, BTreeSet<Prefix>>,
    ) -> (Plan, BTreeMap<u32, BTreeSet<Prefix>>) {
        let plan = Plan::of(wanted, listeners, vpcs).unwrap();
        let all = vpcs.clone().into_iter().chain(plan.new_vpcs.clone());
        let used =
            all.filter(|(id, _)| plan.listeners.values().any(|listener| listener.vpc == *id)).collect();
        (plan, used)
    }

    fn listener(plan: &Plan, address: &str) -> Listener {
        plan.listeners[&key(address.parse().unwrap())]
    }

    #[test]
    fn a_changed_vpc_gets_a_new_id_and_its_listener_keeps_its_slot() {
        let rules = [("10.0.0.1:1", Some(0)), ("10.0.0.2:1", Some(1)), ("10.0.0.3:1", Some(2))];
        let before = wanted(&rules, &[&["10.0.0.0/8"], &["10.0.0.0/8"], &["fd00::/8"]]);
        let (first, vpcs) = plan(&before, &BTreeMap::new(), &BTreeMap::new());
        assert_eq!(
            listener(&first, "10.0.0.1:1").vpc,
            listener(&first, "10.0.0.2:1").vpc,
            "equal sets are one"
        );
        assert_eq!(vpcs.len(), 2);
        assert_eq!(first.privates, 3);

        let after = wanted(&rules, &[&["10.0.0.0/9"], &["10.0.0.0/8"], &[]]);
        let (second, _) = plan(&after, &first.listeners, &vpcs);
        let id = listener(&second, "10.0.0.1:1").vpc;
        assert!(!vpcs.contains_key(&id) && second.new_vpcs.contains_key(&id), "never an id that is in use");
        assert_eq!(listener(&second, "10.0.0.2:1"), listener(&first, "10.0.0.2:1"));
        assert_eq!(listener(&second, "10.0.0.3:1").vpc, abi::VPC_EMPTY);
        assert_eq!(listener(&second, "10.0.0.3:1").slot, listener(&first, "10.0.0.3:1").slot);
        assert!(second.new_slots.is_empty());
    }

    #[test]
    fn a_slot_is_never_taken_over_in_the_plan_that_frees_it() {
        let (first, vpcs) = plan(&wanted(&[("10.0.0.1:1", None)], &[]), &BTreeMap::new(), &BTreeMap::new());
        let (second, _) = plan(&wanted(&[("10.0.0.2:1", None)], &[]), &first.listeners, &vpcs);
        let slots = [listener(&first, "10.0.0.1:1").slot, listener(&second, "10.0.0.2:1").slot];
        assert_ne!(slots[0], slots[1]);
        assert_eq!(second.new_slots, BTreeSet::from([slots[1]]));
        assert!(!slots.contains(&abi::SLOT_NONE));
    }

    #[test]
    fn as_many_rules_as_are_allowed_replace_as_many_others() {
        let full = |host: u8| {
            let addresses: Vec<String> =
                (1..=abi::LISTENERS_MAX).map(|port| format!("10.0.0.{host}:{port}")).collect();
            wanted(
                &addresses.iter().map(|address| (address.as_str(), Some(0))).collect::<Vec<_>>(),
                &[&["::/0"]],
            )
        };
        let (first, vpcs) = plan(&full(1), &BTreeMap::new(), &BTreeMap::new());
        let (second, _) = plan(&full(2), &first.listeners, &vpcs);
        assert_eq!(second.new_slots.len(), abi::LISTENERS_MAX);
        // As it really goes: through rules that hold both.
        let mut both = full(1);
        both.listeners.extend(full(2).listeners);
        let (between, vpcs) = plan(&both, &first.listeners, &vpcs);
        let (after, _) = plan(&full(2), &between.listeners, &vpcs);
        assert!(after.new_slots.is_empty() && after.listeners.len() == abi::LISTENERS_MAX);
        assert!(first.new_slots.is_disjoint(&second.new_slots));
    }
}
