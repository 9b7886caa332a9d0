//! What is measured: the rules of the guard, and the frames that meet them. Add a scenario here, and nowhere else.

use crate::code::{DROP, PASS, Sources};
use crate::frames::Frame;
use anyhow::{Context as _, Result};
use gateway::model::SourceLimits;
use gateway::xdp::{ListenerRule, Rules};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The host's addresses, IPv4 and IPv6.
pub(crate) const HOST: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 1))];
/// A client in the VPC, and one that is not.
pub(crate) const INSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 80, 3, 9)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0x80, 0, 3, 0, 0, 0, 9))];
const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7))];

pub(crate) const PRIVATE_PORT: u16 = 443;
pub(crate) const PUBLIC_PORT: u16 = 80;
/// No listener has it.
const FOREIGN_PORT: u16 = 22;

/// Of the VPC that the private listeners belong to.
pub(crate) const VPC: [&str; 8] = [
    "10.77.0.0/24",
    "10.80.0.0/16",
    "10.81.0.0/16",
    "172.20.0.0/14",
    "192.168.7.0/24",
    "fd00:77::/64",
    "fd00:80::/48",
    "fd00:81::/48",
];
const OTHER_VPC: [&str; 3] = ["10.90.0.0/16", "10.91.0.0/16", "fd00:90::/48"];

/// Two VPCs, a private and a public listener on both addresses, and two private ones of the other VPC.
pub(crate) fn rules() -> Result<Rules> {
    let mut listeners = Vec::new();
    for ip in HOST {
        for (port, private) in [(PRIVATE_PORT, Some(0)), (PUBLIC_PORT, None), (8443, Some(1))] {
            let address = SocketAddr::new(ip, port);
            let name = address.to_string();
            let limits = SourceLimits::NONE;
            listeners.push(ListenerRule { name, address, private, limits, dry_run: false });
        }
    }
    let vpc = |cidrs: &[&str]| cidrs.iter().map(|cidr| cidr.parse()).collect::<Result<Vec<_>, _>>();
    Ok(Rules { listeners, vpcs: vec![vpc(&VPC)?, vpc(&OTHER_VPC)?], trusted: Vec::new() })
}

/// One kind of packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) source: [IpAddr; 2],
    pub(crate) port: u16,
    pub(crate) sources: Sources,
    pub(crate) tags: usize,
    pub(crate) later_fragment: bool,
    /// What the guard must answer.
    pub(crate) verdict: u32,
    /// Nanoseconds over an empty program that are the most we accept.
    pub(crate) goal: Option<f64>,
}

const REFUSED: Scenario = Scenario {
    name: "private, refused",
    source: OUTSIDE,
    port: PRIVATE_PORT,
    sources: Sources::One,
    tags: 0,
    later_fragment: false,
    verdict: DROP,
    goal: Some(25.0),
};

/// For the test runner: each in IPv4 and IPv6.
pub(crate) const SCENARIOS: [Scenario; 8] = [
    Scenario { name: "not ours", port: FOREIGN_PORT, verdict: PASS, goal: None, ..REFUSED },
    REFUSED,
    Scenario { name: "private, refused, spoofed flood", sources: Sources::ALL, goal: Some(60.0), ..REFUSED },
    Scenario { name: "private, passed", source: INSIDE, verdict: PASS, goal: None, ..REFUSED },
    Scenario { name: "public, passed", port: PUBLIC_PORT, verdict: PASS, goal: None, ..REFUSED },
    Scenario {
        name: "public, passed, spoofed flood",
        port: PUBLIC_PORT,
        sources: Sources::ALL,
        verdict: PASS,
        goal: Some(60.0),
        ..REFUSED
    },
    Scenario { name: "later fragment, dropped", later_fragment: true, goal: None, ..REFUSED },
    Scenario { name: "eight VLAN tags, refused", tags: 8, goal: None, ..REFUSED },
];

/// Floods over the veth pair, IPv4: all of their packets are dropped, by the guard and by its peers.
pub(crate) const FLOODS: [Scenario; 2] =
    [REFUSED, Scenario { name: "private, refused, spoofed flood", sources: Sources::ALL, ..REFUSED }];

impl Scenario {
    pub(crate) fn frame(&self, family: usize) -> Result<Vec<u8>> {
        let [v4, v6] = self.source;
        let source = match (self.sources, family) {
            // What the sender draws; see `code::Sources`.
            (Sources::Drawn { .. }, 0) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            (_, 0) => v4,
            _ => v6,
        };
        let destination = SocketAddr::new(HOST[family], self.port);
        let (tags, later_fragment) = (self.tags, self.later_fragment);
        Frame { tags, later_fragment, ..Frame::syn(source, destination) }
            .bytes()
            .with_context(|| format!("{}: addresses of two families", self.name))
    }
}
