//! The kernel rules between two snapshots: whatever either of them refuses is refused while the workers change over.

use crate::xdp::{ListenerRule, Rules};
use ipnet::{IpNet, Ipv4Net};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Lets pass only what both `old` and `new` let pass.
///
/// Per address: a rule of an exact address hides the rule of the unspecified address on its port, so each address of
/// either side is compared with the rule that applies to it on the other side, not only with its namesake.
pub(super) fn strictest(old: &Rules, new: &Rules) -> Rules {
    let mut strict = Rules::default();
    let mut seen = BTreeSet::new();
    for rule in new.listeners.iter().chain(&old.listeners) {
        if !seen.insert(rule.address) {
            continue;
        }
        let private = match (cidrs_at(old, rule.address), cidrs_at(new, rule.address)) {
            (None, None) => None,
            (Some(cidrs), None) | (None, Some(cidrs)) => Some(normal(cidrs)),
            (Some(old), Some(new)) => Some(intersection(old, new)),
        };
        let private = private.map(|cidrs| index_of(&mut strict.vpcs, cidrs));
        strict.listeners.push(ListenerRule { name: rule.name.clone(), address: rule.address, private });
    }
    strict
}

/// Do both let the same packets pass, whatever their order and names?
pub(super) fn equal(a: &Rules, b: &Rules) -> bool {
    let plain = |rules: &Rules| -> BTreeMap<SocketAddr, Option<Vec<IpNet>>> {
        let listeners = rules.listeners.iter();
        listeners.map(|rule| (rule.address, cidrs_at(rules, rule.address).map(normal))).collect()
    };
    plain(a) == plain(b)
}

/// The sources that may reach the address; None: everybody.
fn cidrs_at(rules: &Rules, address: SocketAddr) -> Option<&[IpNet]> {
    let private = rule_at(rules, address)?.private?;
    // A rule whose VPC is missing lets nobody in.
    Some(rules.vpcs.get(private).map_or(&[], Vec::as_slice))
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
    use proptest::prelude::*;

    fn rules(vpcs: &[&[&str]], listeners: &[(&str, Option<usize>)]) -> Rules {
        let vpcs = vpcs.iter().map(|vpc| vpc.iter().map(|cidr| cidr.parse().unwrap()).collect()).collect();
        let rule = |(address, private): &(&str, Option<usize>)| ListenerRule {
            name: format!("at {address}"),
            address: address.parse().unwrap(),
            private: *private,
        };
        Rules { vpcs, listeners: listeners.iter().map(rule).collect() }
    }

    /// What the kernel does with a packet from `source` to `address`.
    fn passes(rules: &Rules, address: SocketAddr, source: IpAddr) -> bool {
        cidrs_at(rules, address).is_none_or(|cidrs| normal(cidrs).iter().any(|cidr| cidr.contains(&source)))
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
        let listeners = prop::collection::btree_map(address, prop::option::of(0usize..2), 0..4);
        (vpcs, listeners).prop_map(|(vpcs, listeners)| Rules {
            vpcs,
            listeners: listeners
                .into_iter()
                .map(|(address, private)| ListenerRule {
                    name: address.into(),
                    address: address.parse().unwrap(),
                    private,
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
