//! Slots, sets and what stands in a listener.

use super::*;
use crate::model::{Period, RateLimit, SourceLimits};
use crate::xdp::rules::{key, rate};
use crate::xdp::{ListenerRule, Rules};

type Maps = (BTreeMap<ListenerKey, Listener>, Sets);

fn rule(address: &str, private: Option<usize>) -> ListenerRule {
    ListenerRule {
        name: address.to_owned(),
        address: address.parse().unwrap(),
        private,
        limits: SourceLimits::default(),
        dry_run: false,
    }
}

fn wanted(listeners: &[(&str, Option<usize>)], vpcs: &[&[&str]]) -> Wanted {
    wanted_of(listeners.iter().map(|(address, private)| rule(address, *private)).collect(), vpcs)
}

fn wanted_of(listeners: Vec<ListenerRule>, vpcs: &[&[&str]]) -> Wanted {
    let vpcs = vpcs.iter().map(|cidrs| cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect());
    Wanted::of(&Rules { listeners, vpcs: vpcs.collect(), trusted: Vec::new() }).unwrap()
}

/// A plan, and what the maps hold once it is carried out.
fn plan(wanted: &Wanted, (listeners, sets): &Maps) -> (Plan, Maps) {
    let plan = Plan::of(wanted, listeners, sets).unwrap();
    let all = sets.clone().into_iter().chain(plan.new_sets.clone());
    let used = all.filter(|(id, _)| plan.listeners.values().any(|listener| listener.vpc == *id)).collect();
    let maps = (plan.listeners.clone(), used);
    (plan, maps)
}

fn listener(plan: &Plan, address: &str) -> Listener {
    plan.listeners[&key(address.parse().unwrap())]
}

/// More than fit a listener: the last two are in the trie.
const MANY: [&str; 10] = [
    "10.0.0.0/8",
    "20.0.0.0/9",
    "30.0.0.0/10",
    "40.0.0.0/11",
    "50.0.0.0/12",
    "60.0.0.0/13",
    "70.0.0.0/14",
    "80.0.0.0/15",
    "90.0.0.0/16",
    "99.9.9.0/24",
];

#[test]
fn few_cidrs_stand_in_the_listener_itself() {
    let vpc: &[&str] = &["10.1.0.0/16", "fd00:10::/48", "2001:db8::7/128", "0.0.0.0/0"];
    let (plan, (_, sets)) = plan(&wanted(&[("10.0.0.1:1", Some(0))], &[vpc]), &Maps::default());
    let listener = listener(&plan, "10.0.0.1:1");
    let word = |octets: [u8; 4]| Address::mapped(octets).0[3];
    assert_eq!(listener.v4[0], NetworkV4 { network: 0, mask: 0 }, "the widest first");
    assert_eq!(listener.v4[1], NetworkV4 { network: word([10, 1, 0, 0]), mask: word([255, 255, 0, 0]) });
    assert_eq!(listener.v4[2], NetworkV4::EMPTY);
    assert!(
        listener.v6[0].holds(&Address::from_octets([0xfd, 0, 0, 0x10, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]).0)
    );
    assert_eq!(listener.v6[1], NetworkV6::EMPTY);
    // Longer than 64 bits: in the trie.
    assert_eq!(listener.flags, abi::MORE_CIDRS);
    assert_eq!(sets[&listener.vpc].len(), 1);
}

#[test]
fn a_private_listener_without_cidrs_needs_no_trie_and_lets_nobody_in() {
    let (plan, (_, sets)) = plan(&wanted(&[("10.0.0.1:1", Some(0))], &[&[]]), &Maps::default());
    let listener = listener(&plan, "10.0.0.1:1");
    assert!(enforces(&listener) && sets.is_empty() && listener.flags == 0);
    assert!(listener.v4.iter().all(|network| *network == NetworkV4::EMPTY));
}

#[test]
fn a_changed_set_gets_a_new_id_and_its_listener_keeps_its_slot() {
    let rules = [("10.0.0.1:1", Some(0)), ("10.0.0.2:1", Some(1)), ("10.0.0.3:1", Some(2))];
    let other: Vec<&str> = MANY.iter().copied().chain(["1.2.3.4/32"]).collect();
    let before = wanted(&rules, &[&MANY, &MANY, &other]);
    let (first, maps) = plan(&before, &Maps::default());
    assert_eq!(listener(&first, "10.0.0.1:1").vpc, listener(&first, "10.0.0.2:1").vpc, "equal sets are one");
    assert_eq!(maps.1.len(), 2);
    assert_eq!((first.privates, first.dry_privates), (3, 0));

    let after = wanted(&rules, &[&MANY[..9], &MANY, &[]]);
    let (second, _) = plan(&after, &maps);
    let id = listener(&second, "10.0.0.1:1").vpc;
    assert!(!maps.1.contains_key(&id) && second.new_sets.contains_key(&id), "never an id that is in use");
    assert_eq!(listener(&second, "10.0.0.2:1"), listener(&first, "10.0.0.2:1"));
    assert_eq!(listener(&second, "10.0.0.3:1").vpc, abi::VPC_EMPTY);
    assert_eq!(listener(&second, "10.0.0.3:1").slot, listener(&first, "10.0.0.3:1").slot);
    assert!(second.new_slots.is_empty());
}

#[test]
fn limits_and_dry_run_stand_in_the_listener() {
    let limit = RateLimit { count: 100, period: Period::Second, burst: 20 };
    let mut dry = rule("10.0.0.1:1", Some(0));
    dry.dry_run = true;
    dry.limits = SourceLimits { packets: None, connections: Some(limit) };
    let rules = vec![dry, rule("10.0.0.2:1", None), rule("10.0.0.1:2", Some(0)), rule("10.0.0.3:1", None)];
    let (plan, _) = plan(&wanted_of(rules, &[&["10.0.0.0/8"]]), &Maps::default());
    let dry = listener(&plan, "10.0.0.1:1");
    assert!(is_private(&dry) && !enforces(&dry) && dry.packets.is_unlimited());
    assert_eq!(dry.connections, rate(Some(limit)));
    assert_eq!((plan.privates, plan.dry_privates), (1, 1));
    // Another private listener of the address enforces.
    assert_eq!(plan.private_addresses, BTreeMap::from([(dry.key.address, abi::ADDRESS_ENFORCED)]));
}

#[test]
fn a_slot_is_never_taken_over_in_the_plan_that_frees_it() {
    let (first, maps) = plan(&wanted(&[("10.0.0.1:1", None)], &[]), &Maps::default());
    let (second, _) = plan(&wanted(&[("10.0.0.2:1", None)], &[]), &maps);
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
        wanted(&addresses.iter().map(|address| (address.as_str(), Some(0))).collect::<Vec<_>>(), &[&["::/0"]])
    };
    let (first, maps) = plan(&full(1), &Maps::default());
    let (second, _) = plan(&full(2), &maps);
    assert_eq!(second.new_slots.len(), abi::LISTENERS_MAX);
    // As it really goes: through rules that hold both.
    let mut both = full(1);
    both.listeners.extend(full(2).listeners);
    let (between, maps) = plan(&both, &maps);
    let (after, _) = plan(&full(2), &maps);
    assert!(after.new_slots.is_empty() && after.listeners.len() == abi::LISTENERS_MAX);
    assert!(first.new_slots.is_disjoint(&second.new_slots) && between.new_slots == second.new_slots);
}
