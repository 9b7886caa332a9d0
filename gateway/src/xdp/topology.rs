//! Which interfaces belong together: bonds, bridges, VLANs and veths; and where the packets of each really enter.

use super::netlink::{self, InterfaceFacts};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// A VLAN on a VLAN on a bond in a bridge is 4.
const DEEP_MAX: usize = 8;
/// Kinds whose packets come in by the interface beneath as they are, but for tags. (Those of tunnels are wrapped.)
const ON_ANOTHER: [&str; 5] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"];
const BUNDLES: [&str; 3] = ["bond", "team", "bridge"];

/// Names of the interfaces around one.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Relatives {
    /// The bond, team or bridge that it is a port of.
    pub master: Option<String>,
    /// Of a bond, team or bridge.
    pub ports: Vec<String>,
    /// The interface that a VLAN or the like stands on.
    pub parent: Option<String>,
    /// VLANs and the like that stand on it.
    pub children: Vec<String>,
    /// A veth's other end; "in another network namespace" when it is there.
    pub peer: Option<String>,
}

/// All interfaces of a network namespace, and their addresses.
#[derive(Debug, Default)]
pub(super) struct Topology {
    pub(super) interfaces: Vec<InterfaceFacts>,
    pub(super) addresses: Vec<(u32, IpAddr)>,
}

impl Topology {
    pub(super) fn here() -> io::Result<Self> {
        Ok(Self { interfaces: netlink::interfaces()?, addresses: netlink::addresses()? })
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&InterfaceFacts> {
        self.interfaces.iter().find(|facts| facts.name == name)
    }

    pub(super) fn by_index(&self, index: u32) -> Option<&InterfaceFacts> {
        self.interfaces.iter().find(|facts| facts.index == index)
    }

    pub(super) fn relatives(&self, of: &InterfaceFacts) -> Relatives {
        let name = |facts: &InterfaceFacts| facts.name.clone();
        let elsewhere = || "in another network namespace".to_owned();
        let is_veth = of.kind.as_deref() == Some("veth");
        let peer = of.link.filter(|_| is_veth).map(|link| match self.by_index(link) {
            Some(peer) if !of.link_elsewhere => name(peer),
            _ => elsewhere(),
        });
        let children = self.interfaces.iter().filter(|facts| self.beneath(facts) == Some(of));
        Relatives {
            master: of.master.and_then(|index| self.by_index(index)).map(name),
            ports: self.ports(of).map(name).collect(),
            parent: self.beneath(of).map(name),
            children: children.map(name).collect(),
            peer,
        }
    }

    fn ports(&self, of: &InterfaceFacts) -> impl Iterator<Item = &InterfaceFacts> {
        let index = of.index;
        self.interfaces.iter().filter(move |facts| facts.master == Some(index))
    }

    fn beneath(&self, facts: &InterfaceFacts) -> Option<&InterfaceFacts> {
        let on_another = facts.kind.as_deref().is_some_and(|kind| ON_ANOTHER.contains(&kind));
        let link = facts.link.filter(|_| on_another && !facts.link_elsewhere)?;
        self.by_index(link)
    }

    /// The interface at the bottom of a VLAN on a VLAN.
    pub(super) fn root<'t>(&'t self, of: &'t InterfaceFacts) -> &'t InterfaceFacts {
        std::iter::successors(Some(of), |facts| self.beneath(facts)).take(DEEP_MAX).last().unwrap_or(of)
    }

    /// Does a program on the interfaces `named` see every packet that comes in by this one?
    pub(super) fn is_seen(&self, facts: &InterfaceFacts, named: &BTreeSet<u32>) -> bool {
        self.seen_within(facts, named, DEEP_MAX)
    }

    fn seen_within(&self, facts: &InterfaceFacts, named: &BTreeSet<u32>, deep: usize) -> bool {
        if named.contains(&facts.index) {
            return true;
        }
        if deep == 0 {
            return false;
        }
        let seen = |facts| self.seen_within(facts, named, deep - 1);
        let is_bundle = facts.kind.as_deref().is_some_and(|kind| BUNDLES.contains(&kind));
        let by_ports = is_bundle && self.ports(facts).next().is_some() && self.ports(facts).all(seen);
        // What comes in by a port of a named bond is seen too.
        let by_bond = facts
            .master
            .and_then(|index| self.by_index(index))
            .is_some_and(|master| master.kind.as_deref() == Some("bond") && named.contains(&master.index));
        by_ports || by_bond || self.beneath(facts).is_some_and(seen)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::xdp) fn interface(index: u32, name: &str, kind: &str) -> InterfaceFacts {
        let kind = Some(kind.to_owned()).filter(|kind| !kind.is_empty());
        InterfaceFacts { index, name: name.into(), kind, up: true, ..InterfaceFacts::default() }
    }

    /// eth0 and eth1 in bond0, VLAN 12 on it, a macvlan on that; eth2 and a veth in br0; a tunnel on eth3.
    pub(in crate::xdp) fn host() -> Topology {
        let port = |index, name: &str, kind: &str, master| InterfaceFacts {
            master: Some(master),
            ..interface(index, name, kind)
        };
        let on = |index, name: &str, kind: &str, link| InterfaceFacts {
            link: Some(link),
            ..interface(index, name, kind)
        };
        let veth = InterfaceFacts { link: Some(2), link_elsewhere: true, ..port(9, "veth0", "veth", 7) };
        let interfaces = vec![
            interface(1, "lo", ""),
            port(2, "eth0", "", 4),
            port(3, "eth1", "", 4),
            interface(4, "bond0", "bond"),
            on(5, "bond0.12", "vlan", 4),
            on(6, "mac0", "macvlan", 5),
            interface(7, "br0", "bridge"),
            port(8, "eth2", "", 7),
            veth,
            interface(10, "eth3", ""),
            on(11, "vx0", "vxlan", 10),
            on(12, "v1", "veth", 13),
            on(13, "v2", "veth", 12),
        ];
        Topology { interfaces, addresses: Vec::new() }
    }

    #[test]
    fn relatives_are_found() {
        let host = host();
        let of = |name| host.relatives(host.by_name(name).unwrap());
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(of("bond0").ports, texts(&["eth0", "eth1"]));
        assert_eq!(of("bond0").children, texts(&["bond0.12"]));
        assert_eq!(of("eth0").master.as_deref(), Some("bond0"));
        assert_eq!(of("mac0").parent.as_deref(), Some("bond0.12"));
        assert_eq!(of("veth0").peer.as_deref(), Some("in another network namespace"));
        assert_eq!(of("v1"), Relatives { peer: Some("v2".into()), ..Relatives::default() });
        assert_eq!(of("eth3"), Relatives::default(), "what a tunnel carries is not seen beneath it");
    }

    #[test]
    fn packets_are_seen_where_they_enter() {
        let host = host();
        let seen = |name: &str, named: &[&str]| {
            let named = named.iter().map(|name| host.by_name(name).unwrap().index).collect();
            host.is_seen(host.by_name(name).unwrap(), &named)
        };
        for (name, named, expected) in [
            ("eth0", &["eth0"][..], true),
            ("bond0", &["bond0"], true),
            ("bond0", &["eth0", "eth1"], true),
            ("bond0", &["eth0"], false),
            ("bond0.12", &["bond0"], true),
            ("mac0", &["eth0", "eth1"], true),
            ("bond0", &["bond0.12"], false),
            ("eth0", &["bond0"], true),
            ("br0", &["eth2", "veth0"], true),
            ("br0", &["eth2"], false),
            ("br0", &["br0"], true),
            ("eth2", &["br0"], false),
            ("vx0", &["eth3"], false),
            ("v1", &["v2"], false),
            ("lo", &["eth0"], false),
        ] {
            assert_eq!(seen(name, named), expected, "{name} by {named:?}");
        }
    }

    #[test]
    fn interfaces_that_stand_on_each_other_end() {
        let on = |index, link| InterfaceFacts { link: Some(link), ..interface(index, "v", "vlan") };
        let host = Topology { interfaces: vec![on(1, 2), on(2, 1)], addresses: Vec::new() };
        assert!(!host.is_seen(&host.interfaces[0], &BTreeSet::from([9])));
    }
}
