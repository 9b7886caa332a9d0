//! What the kernel must enforce, as plain data, and its form in the maps.

use super::XdpError;
use crate::model::{RateLimit, SourceLimits};
use crate::snapshot::Snapshot;
use aya::maps::lpm_trie::Key;
use gateway_ebpf::abi::{self, Address, ListenerKey, SetAddress};
use gateway_ebpf::budget::UNITS_PER_SECOND;
use gateway_ebpf::gcra::Rate;
use gateway_ebpf::packet::TCP;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// What the kernel must enforce: plain data, made from a Snapshot by `Rules::of`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub listeners: Vec<ListenerRule>,
    pub vpcs: Vec<Vec<IpNet>>,
    /// No limit and no ban applies to them; a private listener's VPC does.
    pub trusted: Vec<IpNet>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListenerRule {
    pub name: String,
    /// An unspecified IP means any address of its family: sockets on `[::]` are IPv6 only.
    pub address: SocketAddr,
    /// Some(index into vpcs): only its CIDRs pass.
    pub private: Option<usize>,
    /// Of each source.
    pub limits: SourceLimits,
    /// What would be dropped is counted and passes.
    pub dry_run: bool,
}

impl Rules {
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut vpcs: Vec<Vec<IpNet>> = snapshot.vpcs.iter().map(|vpc| vpc.cidrs.cidrs().to_vec()).collect();
        // A private listener without a VPC lets nobody in.
        let nobody = vpcs.len();
        vpcs.push(Vec::new());
        let listeners = snapshot.listeners.iter().map(|listener| ListenerRule {
            name: listener.name.clone(),
            address: listener.address,
            private: listener.kernel_private.then(|| listener.vpc.unwrap_or(nobody)),
            limits: listener.limits,
            dry_run: listener.dry_run,
        });
        Self { listeners: listeners.collect(), vpcs, trusted: snapshot.trusted.clone() }
    }

    /// Rules that are to stay must fit half of the maps: the rules between them and the next ones hold both.
    pub fn may_stay(&self) -> Result<(), XdpError> {
        within("listeners", self.listeners.len(), abi::LISTENERS_MAX)?;
        within("trusted ranges", self.trusted.len(), abi::TRUSTED_MAX)?;
        within("CIDRs of private listeners", self.private_cidrs(), abi::CIDRS_MAX)
    }

    fn private_cidrs(&self) -> usize {
        let used: BTreeSet<usize> = self.listeners.iter().filter_map(|rule| rule.private).collect();
        used.iter().filter_map(|vpc| self.vpcs.get(*vpc)).map(Vec::len).sum()
    }
}

/// A prefix in CIDRS, without its VPC: bits of the address, and the address.
pub(super) type Prefix = (u32, Address);

/// Rules as keys and sets: what the maps must say, but for slots and VPC ids.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Wanted {
    pub(super) listeners: BTreeMap<ListenerKey, WantedListener>,
    pub(super) trusted: BTreeSet<Prefix>,
}

#[derive(Debug, PartialEq)]
pub(super) struct WantedListener {
    /// None: open to any source.
    pub(super) private: Option<BTreeSet<Prefix>>,
    pub(super) packets: Rate,
    pub(super) connections: Rate,
    pub(super) dry_run: bool,
}

impl Wanted {
    /// What goes into the maps at all, for as long as a change takes; see `Rules::may_stay`.
    pub(super) fn of(rules: &Rules) -> Result<Self, XdpError> {
        within("listeners", rules.listeners.len(), 2 * abi::LISTENERS_MAX)?;
        within("CIDRs of private listeners", rules.private_cidrs(), 2 * abi::CIDRS_MAX)?;
        within("trusted ranges", rules.trusted.len(), 2 * abi::TRUSTED_MAX)?;
        let mut listeners = BTreeMap::new();
        for rule in &rules.listeners {
            if rule.address.port() == 0 {
                return Err(XdpError::new(
                    format!("listener {}: the kernel guard needs a port, not 0", rule.name),
                    "give the port that the listener is bound to",
                ));
            }
            let wanted = WantedListener {
                private: rule.private.map(|vpc| vpc_prefixes(rules, rule, vpc)).transpose()?,
                packets: rate(rule.limits.packets),
                connections: rate(rule.limits.connections),
                dry_run: rule.dry_run,
            };
            if listeners.insert(key(rule.address), wanted).is_some() {
                return Err(XdpError::new(
                    format!("listener {}: {} is listed twice", rule.name, rule.address),
                    "give each listener its own address and port",
                ));
            }
        }
        Ok(Self { listeners, trusted: rules.trusted.iter().map(prefix).collect() })
    }

    #[cfg(test)]
    fn privates(&self) -> impl Iterator<Item = &WantedListener> {
        self.listeners.values().filter(|listener| listener.private.is_some())
    }
}

/// As the program counts: in its own units of time.
pub(super) fn rate(limit: Option<RateLimit>) -> Rate {
    limit.map_or(Rate::UNLIMITED, |limit| {
        let period = limit.period.seconds() * UNITS_PER_SECOND;
        Rate::new(u64::from(limit.count), period, u64::from(limit.burst))
    })
}

fn vpc_prefixes(rules: &Rules, rule: &ListenerRule, vpc: usize) -> Result<BTreeSet<Prefix>, XdpError> {
    let cidrs = rules.vpcs.get(vpc).ok_or_else(|| {
        XdpError::new(format!("listener {}: there is no VPC {vpc}", rule.name), "name a VPC of the rules")
    })?;
    Ok(cidrs.iter().map(prefix).collect())
}

fn within(what: &str, count: usize, max: usize) -> Result<(), XdpError> {
    if count <= max {
        return Ok(());
    }
    Err(XdpError::new(
        format!("{count} {what}: the kernel guard holds {max}"),
        "merge some of them, or set `mode = \"off\"` under [xdp]: the workers enforce the same rules",
    ))
}

pub(super) fn key(address: SocketAddr) -> ListenerKey {
    ListenerKey::new(octets(address.ip()), address.port(), TCP)
}

pub(super) fn octets(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(v4) => Address::mapped(v4.octets()),
        IpAddr::V6(v6) => Address::from_octets(v6.octets()),
    }
}

/// IPv4 when it is mapped.
pub(super) fn ip(address: &Address) -> IpAddr {
    IpAddr::from(address.octets()).to_canonical()
}

pub(super) fn socket_address(key: &ListenerKey) -> SocketAddr {
    SocketAddr::new(ip(&key.address), key.port)
}

/// A CIDR within the mapped IPv4 addresses is an IPv4 one; one that is wider holds IPv6 addresses only.
pub(super) fn prefix(cidr: &IpNet) -> Prefix {
    const MAPPED_BITS: u32 = 96;
    let bits = u32::from(cidr.prefix_len());
    let address = octets(cidr.network());
    match cidr {
        IpNet::V4(_) => (bits + MAPPED_BITS, address),
        // A network address that looks mapped though its prefix is shorter cannot be: 0xffff is cut off.
        IpNet::V6(_) => (bits, address),
    }
}

/// The key of CIDRS; its prefix length counts the set's bits too.
pub(super) fn set_key(set: u32, (bits, address): Prefix) -> Key<SetAddress> {
    Key::new(abi::SET_BITS + bits, SetAddress::new(set, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(listeners: &[(&str, Option<usize>)], vpcs: &[&[&str]]) -> Rules {
        Rules {
            listeners: listeners
                .iter()
                .map(|(address, private)| ListenerRule {
                    name: (*address).to_owned(),
                    address: address.parse().unwrap(),
                    private: *private,
                    limits: SourceLimits::NONE,
                    dry_run: false,
                })
                .collect(),
            vpcs: vpcs.iter().map(|cidrs| cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect()).collect(),
            trusted: Vec::new(),
        }
    }

    #[test]
    fn any_ipv6_leaves_ipv4_alone() {
        let wanted = Wanted::of(&rules(&[("[::]:80", Some(0))], &[&[]])).unwrap();
        assert_eq!(wanted.listeners.keys().map(|key| key.address).collect::<Vec<_>>(), [Address::ANY_V6]);
        assert_eq!(wanted.privates().count(), 1);
    }

    #[test]
    fn what_cannot_be_enforced_is_refused_with_a_way_out() {
        for (bad, says) in [
            (rules(&[("10.0.0.1:0", None)], &[]), "not 0"),
            (rules(&[("10.0.0.1:1", Some(3))], &[]), "no VPC 3"),
            (rules(&[("10.0.0.1:1", None), ("[::ffff:10.0.0.1]:1", None)], &[]), "twice"),
        ] {
            let error = Wanted::of(&bad).unwrap_err();
            assert!(error.what.contains(says), "{error}");
            assert!(!error.mend.is_empty());
        }
        let many: Vec<String> = (1..=abi::LISTENERS_MAX + 1).map(|port| format!("10.0.0.1:{port}")).collect();
        let many: Vec<_> = many.iter().map(|address| (address.as_str(), None)).collect();
        let one_more = rules(&many, &[]);
        assert!(one_more.may_stay().unwrap_err().what.contains("holds 512"));
        assert!(Wanted::of(&one_more).is_ok(), "old and new ones together, while a change is under way");
        let both = rules(&[many.as_slice(), &many].concat(), &[]);
        assert!(Wanted::of(&both).unwrap_err().what.contains("holds 1024"));
    }

    #[test]
    fn prefixes_are_cut_to_their_network_and_mapped() {
        let prefixes = |cidr: &str| prefix(&cidr.parse().unwrap());
        assert_eq!(prefixes("10.1.2.3/8"), (104, Address::mapped([10, 0, 0, 0])));
        assert_eq!(prefixes("::ffff:10.0.0.0/104"), prefixes("10.0.0.0/8"));
        assert_eq!(prefixes("::/0"), (0, Address::ANY_V6));
        assert!(!prefixes("::ffff:0:0/95").1.is_mapped());
    }

    #[test]
    fn keys_and_addresses_are_inverse() {
        for text in ["10.0.0.1:80", "0.0.0.0:1", "[::]:2", "[fd00::1]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(socket_address(&key(address)), address);
        }
    }
}
