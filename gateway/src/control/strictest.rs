//! The kernel rules between two snapshots: whatever either of them refuses is refused while the workers change over.

use crate::model::{RateLimit, SourceLimits};
use crate::xdp::{ListenerRule, Rules};
use ipnet::{IpNet, Ipv4Net};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Lets pass only what both `old` and `new` let pass: a dry run lets all pass. Of two limits the new one.
///
/// Per address: a rule of an exact address hides the rule of the unspecified address on its port, so each address of
/// either side is compared with the rule that applies to it on the other side, not only with its namesake.
pub(super) fn strictest(old: &Rules, new: &Rules) -> Rules {
    let mut strict = Rules { trusted: new.trusted.clone(), ..Rules::default() };
    let mut seen = BTreeSet::new();
    for rule in new.listeners.iter().chain(&old.listeners) {
        if !seen.insert(rule.address) {
            continue;
        }
        let merged = merged(side(old, rule.address), side(new, rule.address));
        strict.listeners.push(ListenerRule {
            name: rule.name.clone(),
            address: rule.address,
            private: merged.private.map(|cidrs| index_of(&mut strict.vpcs, cidrs)),
            limits: merged.limits,
            dry_run: merged.dry_run,
        });
    }
    strict
}

/// Do both let the same packets pass, whatever their order and names?
pub(super) fn equal(a: &Rules, b: &Rules) -> bool {
    let plain = |rules: &Rules| -> BTreeMap<SocketAddr, Option<Side>> {
        rules.listeners.iter().map(|rule| (rule.address, side(rules, rule.address))).collect()
    };
    plain(a) == plain(b) && normal(&a.trusted) == normal(&b.trusted)
}

/// What one set of rules says of an address.
#[derive(Clone, Debug, Default, PartialEq)]
struct Side {
    /// The sources that may reach it; None: everybody.
    private: Option<Vec<IpNet>>,
    limits: SourceLimits,
    dry_run: bool,
}

/// None: no rule is for the address.
fn side(rules: &Rules, address: SocketAddr) -> Option<Side> {
    let rule = rule_at(rules, address)?;
    // A rule whose VPC is missing lets nobody in.
    let private = rule.private.map(|vpc| normal(rules.vpcs.get(vpc).map_or(&[], Vec::as_slice)));
    Some(Side { private, limits: rule.limits, dry_run: rule.dry_run })
}

fn merged(old: Option<Side>, new: Option<Side>) -> Side {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (Some(one), None) | (None, Some(one)) => return one,
        (None, None) => return Side::default(),
    };
    match (old.dry_run, new.dry_run) {
        (false, true) => old,
        (true, false) => new,
        (dry_run, _) => {
            let private = match (old.private, new.private) {
                (Some(old), Some(new)) => Some(intersection(&old, &new)),
                (one, other) => one.or(other),
            };
            let or = |new: Option<RateLimit>, old| new.or(old);
            let limits = SourceLimits {
                packets: or(new.limits.packets, old.limits.packets),
                connections: or(new.limits.connections, old.limits.connections),
            };
            Side { private, limits, dry_run }
        }
    }
}

/// As the kernel looks it up: the exact address, else any address of its family on that port.
fn rule_at(rules: &Rules, address: SocketAddr) -> Option<&ListenerRule> {
    let at = |ip: IpAddr| {
        // Not the whole address: that of a link-local listener holds its interface, which the kernel's keys do not.
        rules
            .listeners
            .iter()
            .find(move |rule| rule.address.ip() == ip && rule.address.port() == address.port())
    };
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    at(address.ip()).or_else(|| at(any))
}

fn index_of(vpcs: &mut Vec<Vec<IpNet>>, cidrs: Vec<IpNet>) -> usize {
    vpcs.iter().position(|vpc| *vpc == cidrs).unwrap_or_else(|| {
        vpcs.push(cidrs);
        vpcs.len() - 1
    })
}

/// Two CIDRs are nested or disjoint: their intersection is the smaller one or nothing.
fn intersection(old: &[IpNet], new: &[IpNet]) -> Vec<IpNet> {
    let (old, new) = (normal(old), normal(new));
    let mut both = BTreeSet::new();
    for a in &old {
        for b in &new {
            if a.contains(b) {
                both.insert(*b);
            } else if b.contains(a) {
                both.insert(*a);
            }
        }
    }
    both.into_iter().collect()
}

/// Sorted, with IPv4-mapped IPv6 networks as the IPv4 networks that they are.
fn normal(cidrs: &[IpNet]) -> Vec<IpNet> {
    let normal: BTreeSet<IpNet> = cidrs.iter().map(|cidr| unmapped(cidr.trunc())).collect();
    normal.into_iter().collect()
}

fn unmapped(cidr: IpNet) -> IpNet {
    let IpNet::V6(six) = cidr else { return cidr };
    let four = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(96));
    match four.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()) {
        Some(four) => IpNet::V4(four),
        None => cidr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Period;
    use proptest::prelude::*;

    fn rules(vpcs: &[&[&str]], listeners: &[(&str, Option<usize>)]) -> Rules {
        let vpcs = vpcs.iter().map(|vpc| vpc.iter().map(|cidr| cidr.parse().unwrap()).collect()).collect();
        let rule = |(address, private): &(&str, Option<usize>)| ListenerRule {
            name: format!("at {address}"),
            address: address.parse().unwrap(),
            private: *private,
            limits: SourceLimits::NONE,
            dry_run: false,
        };
        Rules { vpcs, listeners: listeners.iter().map(rule).collect(), trusted: Vec::new() }
    }

    /// What the kernel does with a packet from `source` to `address` within its limits.
    fn passes(rules: &Rules, address: SocketAddr, source: IpAddr) -> bool {
        side(rules, address).is_none_or(|side| {
            let inside = |cidrs: &Vec<IpNet>| cidrs.iter().any(|cidr| cidr.contains(&source));
            side.dry_run || side.private.as_ref().is_none_or(inside)
        })
    }

    fn packets(count: u32) -> SourceLimits {
        let packets = Some(RateLimit { count, period: Period::Second, burst: count });
        SourceLimits { packets, ..SourceLimits::NONE }
    }

    fn with(rules: &Rules, limits: SourceLimits, dry_run: bool) -> Rules {
        let listeners = rules.listeners.iter().cloned();
        let listeners = listeners.map(|rule| ListenerRule { limits, dry_run, ..rule }).collect();
        Rules { listeners, ..rules.clone() }
    }

    #[test]
    fn what_either_side_enforces_is_enforced_in_between() {
        let open = rules(&[], &[("10.0.0.6:80", None)]);
        let closed = rules(&[&["10.0.0.0/16"]], &[("10.0.0.6:80", Some(0))]);
        let dry = with(&closed, SourceLimits::NONE, true);
        for (old, new, between) in [
            (&closed, &dry, &closed),
            (&dry, &closed, &closed),
            (&dry, &open, &open),
            (&open, &dry, &open),
            (&dry, &dry, &dry),
        ] {
            assert_eq!(strictest(old, new).listeners, between.listeners, "{old:?} {new:?}");
        }
        assert!(!equal(&closed, &dry));
    }

    #[test]
    fn a_limit_that_both_have_is_never_none_in_between() {
        let open = rules(&[], &[("10.0.0.6:80", None)]);
        let (slow, fast, dry) = (
            with(&open, packets(5), false),
            with(&open, packets(500), false),
            with(&open, packets(500), true),
        );
        for (old, new, between) in [
            (&slow, &fast, packets(500)),
            (&fast, &slow, packets(5)),
            (&slow, &open, packets(5)),
            (&open, &slow, packets(5)),
            (&slow, &dry, packets(5)),
            (&dry, &slow, packets(5)),
            (&dry, &dry, packets(500)),
        ] {
            let strict = strictest(old, new);
            assert_eq!(strict.listeners[0].limits, between, "{old:?} {new:?}");
            assert_eq!(strict.listeners[0].dry_run, old.listeners[0].dry_run && new.listeners[0].dry_run);
        }
        assert!(!equal(&slow, &fast) && !equal(&fast, &dry));
    }

    #[test]
    fn trusted_sources_are_the_new_ones_and_count() {
        let trust = |cidrs: &[&str]| Rules {
            trusted: cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
            ..Rules::default()
        };
        let (old, new) = (trust(&["10.0.0.0/8"]), trust(&["192.0.2.0/24", "10.0.0.0/8"]));
        assert_eq!(strictest(&old, &new).trusted, new.trusted);
        assert!(!equal(&old, &new));
        assert!(equal(&new, &trust(&["10.0.0.0/8", "192.0.2.0/24"])), "their order does not matter");
    }

    #[test]
    fn private_on_either_side_is_private() {
        let open = rules(&[], &[("10.0.0.6:80", None)]);
        let closed = rules(&[&["10.0.0.0/16"]], &[("10.0.0.6:80", Some(0))]);
        assert_eq!(strictest(&open, &closed), closed);
        assert_eq!(strictest(&closed, &open), closed);
        assert_eq!(strictest(&open, &open), open);
        assert!(equal(&strictest(&open, &closed), &closed));
        assert!(!equal(&strictest(&closed, &open), &open));
        let longer = rules(&[&["10.9.0.0/16"], &["::ffff:10.0.0.0/112"]], &[("10.0.0.6:80", Some(1))]);
        assert!(equal(&closed, &longer), "order and form of the VPCs do not matter");
    }

    #[test]
    fn a_listener_that_comes_or_goes_has_its_own_rule() {
        let one = rules(&[&["10.0.0.0/16"]], &[("10.0.0.6:80", Some(0))]);
        let none = Rules::default();
        assert_eq!(strictest(&one, &none), one);
        assert_eq!(strictest(&none, &one), one);
    }

    #[test]
    fn two_vpcs_leave_what_they_share() {
        let old = rules(&[&["10.0.0.0/16", "192.0.2.0/24", "fd00::/8"]], &[("10.0.0.6:80", Some(0))]);
        let new = rules(&[&["10.0.5.0/24", "::ffff:192.0.2.128/121"]], &[("10.0.0.6:80", Some(0))]);
        let strict = strictest(&old, &new);
        let shared: Vec<IpNet> = vec!["10.0.5.0/24".parse().unwrap(), "192.0.2.128/25".parse().unwrap()];
        assert_eq!(strict.vpcs[strict.listeners[0].private.unwrap()], shared);
    }

    /// What each side may hold, both may hold together while the workers change over.
    #[test]
    fn many_listeners_are_replaced_by_as_many_others() {
        let addresses =
            |host: u8| -> Vec<String> { (1..=512).map(|port| format!("10.0.0.{host}:{port}")).collect() };
        let side = |addresses: &[String]| {
            let all: Vec<_> = addresses.iter().map(|address| (address.as_str(), Some(0))).collect();
            rules(&[&["10.0.0.0/8"]], &all)
        };
        let (old, new) = (side(&addresses(1)), side(&addresses(2)));
        assert!(old.may_stay().is_ok() && new.may_stay().is_ok());
        let strict = strictest(&old, &new);
        assert_eq!(strict.listeners.len(), 1024);
        assert!(strict.may_stay().is_err());
        assert!(strict.listeners.iter().all(|rule| rule.private.is_some()));
    }

    #[test]
    fn disjoint_vpcs_let_nobody_in() {
        let old = rules(&[&["10.0.0.0/16"]], &[("10.0.0.6:80", Some(0))]);
        let new = rules(&[&["10.1.0.0/16"]], &[("10.0.0.6:80", Some(0))]);
        let strict = strictest(&old, &new);
        assert_eq!(strict.vpcs[strict.listeners[0].private.unwrap()], Vec::<IpNet>::new());
    }

    /// A link-local address carries its interface, which the kernel's keys do not know.
    #[test]
    fn a_private_link_local_listener_stays_private() {
        let old = rules(&[&["fe80::/64"]], &[("[fe80::1%2]:80", Some(0)), ("10.0.0.6:80", None)]);
        let new = rules(&[&["fe80::/64"]], &[("[fe80::1%2]:80", Some(0)), ("10.0.0.6:80", Some(0))]);
        let strict = strictest(&old, &new);
        assert!(strict.listeners.iter().all(|rule| rule.private.is_some()), "{strict:?}");
        let shut = rules(&[&["fe80::/64"]], &[("[fe80::1%2]:80", Some(0))]);
        let open = rules(&[], &[("[fe80::1%2]:80", None)]);
        assert!(!equal(&open, &shut));
    }

    /// The new exact rule would hide the old private rule of the unspecified address while old workers still serve it.
    #[test]
    fn an_exact_address_does_not_open_a_private_wildcard() {
        let old = rules(&[&["10.0.0.0/16"]], &[("0.0.0.0:80", Some(0))]);
        let new = rules(&[&["10.0.0.0/16"]], &[("0.0.0.0:80", Some(0)), ("10.0.0.6:80", None)]);
        let strict = strictest(&old, &new);
        let (exact, outsider) = ("10.0.0.6:80".parse().unwrap(), "203.0.113.9".parse().unwrap());
        assert!(!passes(&strict, exact, outsider));
        assert!(passes(&new, exact, outsider));
    }

    fn some_rules() -> impl Strategy<Value = Rules> {
        let address =
            prop_oneof![Just("[::]:80"), Just("0.0.0.0:80"), Just("10.0.0.6:80"), Just("10.0.0.7:80")];
        let cidr = (0u8..4, 22u8..=32).prop_map(|(low, prefix)| {
            IpNet::V4(Ipv4Net::new(Ipv4Addr::new(10, 0, low, low), prefix).unwrap())
        });
        let vpcs = prop::collection::vec(prop::collection::vec(cidr, 0..4), 2..=2);
        let rule = (prop::option::of(0usize..2), prop::bool::weighted(0.3));
        let listeners = prop::collection::btree_map(address, rule, 0..4);
        (vpcs, listeners).prop_map(|(vpcs, listeners)| Rules {
            vpcs,
            trusted: Vec::new(),
            listeners: listeners
                .into_iter()
                .map(|(address, (private, dry_run))| ListenerRule {
                    name: address.into(),
                    address: address.parse().unwrap(),
                    private,
                    limits: SourceLimits::NONE,
                    dry_run,
                })
                .collect(),
        })
    }

    proptest! {
        #[test]
        fn passes_exactly_what_both_pass(old in some_rules(), new in some_rules(), low in 0u8..4, last in 0u8..6) {
            let strict = strictest(&old, &new);
            let source = IpAddr::from([10, 0, low, last]);
            for address in ["10.0.0.6:80", "10.0.0.7:80", "10.0.0.8:80"] {
                let address: SocketAddr = address.parse().unwrap();
                let both = passes(&old, address, source) && passes(&new, address, source);
                prop_assert_eq!(passes(&strict, address, source), both, "{:?}", strict);
            }
        }
    }
}
