//! Private listeners that packets can reach past the guard: their address stands on an interface without it.

use super::netlink::InterfaceFacts;
use super::topology::Topology;
use super::{Rules, XdpError};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// A private listener, and an interface by which its packets come in unseen: there the workers alone enforce.
#[derive(Clone, Debug, PartialEq)]
pub struct Unguarded {
    pub listener: String,
    pub address: SocketAddr,
    pub interface: String,
    /// The interface to name for it: the parent of a VLAN, else itself.
    pub name_instead: String,
}

/// By the addresses that this network namespace has now. Names of interfaces that are not here are passed over.
pub fn unguarded(rules: &Rules, interfaces: &[String]) -> Result<Vec<Unguarded>, XdpError> {
    let host =
        Topology::here().map_err(|error| XdpError::caused("listing the addresses of this host", &error))?;
    Ok(on(&host, rules, interfaces))
}

fn on(host: &Topology, rules: &Rules, interfaces: &[String]) -> Vec<Unguarded> {
    let named: BTreeSet<u32> =
        interfaces.iter().filter_map(|name| host.by_name(name)).map(|facts| facts.index).collect();
    let mut found = Vec::new();
    for rule in rules.listeners.iter().filter(|rule| rule.private.is_some()) {
        for facts in entrances(host, rule.address.ip()).filter(|facts| !host.is_seen(facts, &named)) {
            found.push(Unguarded {
                listener: rule.name.clone(),
                address: rule.address,
                interface: facts.name.clone(),
                name_instead: host.root(facts).name.clone(),
            });
        }
    }
    found
}

/// Where packets for an address come in. An address of loopback itself only this host reaches; another one that was
/// given to loopback is reached by every interface, like an unspecified one.
fn entrances(host: &Topology, address: IpAddr) -> impl Iterator<Item = &InterfaceFacts> {
    let holders: BTreeSet<u32> =
        host.addresses
            .iter()
            .filter(|(_, held)| {
                if address.is_unspecified() { held.is_ipv4() == address.is_ipv4() } else { *held == address }
            })
            .map(|(index, _)| *index)
            .collect();
    let is_loopback = |facts: &InterfaceFacts| facts.hardware == libc::ARPHRD_LOOPBACK;
    let on_loopback =
        host.interfaces.iter().any(|facts| is_loopback(facts) && holders.contains(&facts.index));
    let anywhere = on_loopback && !address.is_unspecified();
    let has_family = move |index: u32| {
        host.addresses.iter().any(|(on, held)| *on == index && held.is_ipv4() == address.is_ipv4())
    };
    host.interfaces.iter().filter(move |facts| {
        let enters = if anywhere { has_family(facts.index) } else { holders.contains(&facts.index) };
        enters && facts.up && !is_loopback(facts) && !address.is_loopback()
    })
}

#[cfg(test)]
mod tests {
    use super::super::topology::tests::host;
    use super::*;
    use crate::model::SourceLimits;
    use crate::xdp::ListenerRule;

    fn found(listeners: &[(&str, bool)], interfaces: &[&str]) -> Vec<(String, String)> {
        let mut host = host();
        host.interfaces[0].hardware = libc::ARPHRD_LOOPBACK;
        for (name, address) in [
            ("lo", "127.0.0.1"),
            ("lo", "10.9.9.9"),
            ("bond0", "10.0.0.1"),
            ("bond0.12", "10.12.0.1"),
            ("br0", "10.7.0.1"),
            ("eth3", "10.3.0.1"),
            ("eth3", "fd00::3"),
        ] {
            let index = host.by_name(name).unwrap().index;
            host.addresses.push((index, address.parse().unwrap()));
        }
        let listeners = listeners.iter().map(|(address, private)| ListenerRule {
            name: "orders".into(),
            address: address.parse().unwrap(),
            private: private.then_some(0),
            limits: SourceLimits::NONE,
            dry_run: false,
        });
        let rules = Rules { listeners: listeners.collect(), vpcs: vec![Vec::new()], ..Rules::default() };
        let interfaces: Vec<String> = interfaces.iter().map(|name| (*name).to_owned()).collect();
        on(&host, &rules, &interfaces).into_iter().map(|one| (one.interface, one.name_instead)).collect()
    }

    fn names(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn an_address_on_another_interface_is_found() {
        assert_eq!(found(&[("10.3.0.1:80", true)], &["eth3"]), []);
        assert_eq!(found(&[("10.3.0.1:80", true)], &["bond0"]), names(&[("eth3", "eth3")]));
        assert_eq!(found(&[("10.3.0.1:80", false)], &["bond0"]), [], "not private");
        assert_eq!(found(&[("10.12.0.1:80", true)], &["bond0"]), [], "seen on the parent");
        assert_eq!(found(&[("10.12.0.1:80", true)], &["eth3"]), names(&[("bond0.12", "bond0")]));
        assert_eq!(found(&[("10.7.0.1:80", true)], &["eth2", "veth0"]), []);
        assert_eq!(found(&[("10.7.0.1:80", true)], &["eth2"]), names(&[("br0", "br0")]));
        assert_eq!(found(&[("10.99.0.1:80", true)], &["eth2"]), [], "an address of nobody here");
    }

    #[test]
    fn any_address_means_every_interface_of_its_family() {
        let others = names(&[("bond0", "bond0"), ("bond0.12", "bond0"), ("br0", "br0")]);
        assert_eq!(found(&[("0.0.0.0:80", true)], &["eth3"]), others);
        assert_eq!(found(&[("[::]:80", true)], &["eth3"]), []);
        assert_eq!(found(&[("[::]:80", true)], &["bond0"]), names(&[("eth3", "eth3")]));
        assert_eq!(found(&[("0.0.0.0:80", true)], &["bond0", "br0", "eth3"]), []);
    }

    #[test]
    fn loopback_is_reached_by_this_host_alone_but_not_every_address_on_it() {
        assert_eq!(found(&[("127.0.0.1:80", true)], &["eth3"]), []);
        assert_eq!(found(&[("10.9.9.9:80", true)], &["bond0", "br0"]), names(&[("eth3", "eth3")]));
    }
}
