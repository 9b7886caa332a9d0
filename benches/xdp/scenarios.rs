//! What is measured: the rules of the guard, and the frames that meet them. Add a scenario here, and nowhere else.

use crate::code::{DROP, PASS, Sources};
use crate::frames::Frame;
use anyhow::{Context as _, Result};
use gateway::model::{Frequency, Period, RateLimit, SourceLimits};
use gateway::xdp::{Ban, End, ListenerRule, Rules};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The host's addresses, IPv4 and IPv6.
pub(crate) const HOST: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 1))];
/// A client in the VPC, and one that is not.
pub(crate) const INSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 80, 3, 9)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0x80, 0, 3, 0, 0, 0, 9))];
const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7))];

/// One of the banned.
const BANNED: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 64, 1, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 1, 0, 0, 0, 7)),
];

pub(crate) const PRIVATE_PORT: u16 = 443;
const LARGE_VPC_PORT: u16 = 444;
const DRY_RUN_PORT: u16 = 445;
const PUBLIC_PORT: u16 = 80;
/// A limit that none of our sources reaches, and one that all that send twice reach.
const WIDE_PORT: u16 = 81;
pub(crate) const TIGHT_PORT: u16 = 82;
/// No listener has it.
const FOREIGN_PORT: u16 = 22;

/// Of the VPC that most private listeners belong to.
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
/// CIDRs of the other VPC, in each family.
const LARGE_VPC: u8 = 250;
const TRUSTED: [&str; 2] = ["192.0.2.0/24", "2001:db8:7::/48"];
/// Bans of single sources in each family, and of ranges.
pub(crate) const BANS: u16 = 10_000;
const BANNED_RANGES: u8 = 100;

/// So many packets a second, and at once, from each source at `TIGHT_PORT`.
pub(crate) const TIGHT: [u32; 2] = [10, 20];

/// Two VPCs, and on both addresses a listener on each of the ports above.
pub(crate) fn rules() -> Result<Rules> {
    let limit = |[count, burst]: [u32; 2]| {
        let frequency = Frequency { count, period: Period::Second };
        RateLimit::new(frequency, Some(burst)).map_err(anyhow::Error::new)
    };
    let wide =
        SourceLimits { packets: Some(limit([1_000_000; 2])?), connections: Some(limit([1_000_000; 2])?) };
    let tight = SourceLimits { packets: Some(limit(TIGHT)?), connections: Some(limit(TIGHT)?) };
    let ports = [
        (PRIVATE_PORT, Some(0), SourceLimits::NONE),
        (LARGE_VPC_PORT, Some(1), SourceLimits::NONE),
        (DRY_RUN_PORT, Some(0), SourceLimits::NONE),
        (PUBLIC_PORT, None, SourceLimits::NONE),
        (WIDE_PORT, None, wide),
        (TIGHT_PORT, None, tight),
    ];
    let mut listeners = Vec::new();
    for ip in HOST {
        for (port, private, limits) in ports {
            let address = SocketAddr::new(ip, port);
            let (name, dry_run) = (address.to_string(), port == DRY_RUN_PORT);
            listeners.push(ListenerRule { name, address, private, limits, dry_run });
        }
    }
    let large = (0..LARGE_VPC).flat_map(|n| [format!("10.90.{n}.0/24"), format!("fd00:90:{n:x}::/48")]);
    let large = large.map(|cidr| cidr.parse()).collect::<Result<Vec<_>, _>>()?;
    let cidrs = |cidrs: &[&str]| cidrs.iter().map(|cidr| cidr.parse()).collect::<Result<Vec<_>, _>>();
    Ok(Rules { listeners, vpcs: vec![cidrs(&VPC)?, large], trusted: cidrs(&TRUSTED)? })
}

/// Single sources, `BANNED` among them, and ranges; IPv4 ones first.
pub(crate) fn bans() -> Result<Vec<Ban>> {
    let v4 = (0..BANS).map(|n| Ipv4Addr::from_bits(0x6440_0101 + u32::from(n)).into());
    let v6 = (1..=BANS).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0xbad, n, 0, 0, 0, 0).into());
    let ranges = (0..BANNED_RANGES).map(|n| (IpAddr::V4(Ipv4Addr::new(198, 18, n, 0)), 24));
    let ranges = v4.map(|ip| (ip, 32)).chain(v6.map(|ip| (ip, 64))).chain(ranges);
    ranges.map(|(ip, bits)| Ok(Ban { range: IpNet::new(ip, bits)?, end: End::Never })).collect()
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
    /// With `bans()` in force.
    pub(crate) bans: bool,
    /// Waits before each window, so that one source stays within its limits.
    pub(crate) rests: bool,
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
    bans: false,
    rests: false,
    verdict: DROP,
    goal: Some(25.0),
};
const SPOOFED: Scenario = Scenario { sources: Sources::ALL, goal: Some(60.0), ..REFUSED };
const PASSED: Scenario = Scenario { port: PUBLIC_PORT, verdict: PASS, goal: None, ..REFUSED };
const LIMITED: Scenario = Scenario { port: WIDE_PORT, rests: true, goal: Some(60.0), ..PASSED };

/// For the test runner: each in IPv4 and IPv6.
pub(crate) const SCENARIOS: [Scenario; 20] = [
    Scenario { name: "not ours", port: FOREIGN_PORT, ..PASSED },
    REFUSED,
    Scenario { name: "private, refused, spoofed flood", ..SPOOFED },
    Scenario { name: "private, refused, 250 CIDRs", port: LARGE_VPC_PORT, goal: None, ..REFUSED },
    Scenario { name: "private, passed", source: INSIDE, port: PRIVATE_PORT, ..PASSED },
    Scenario { name: "private in a dry run, would be refused", port: DRY_RUN_PORT, ..PASSED },
    Scenario { name: "public, passed", ..PASSED },
    Scenario { name: "public with limits, passed", ..LIMITED },
    Scenario {
        name: "public with limits, passed, 65,536 clients",
        sources: Sources::MANY,
        rests: false,
        ..LIMITED
    },
    Scenario { name: "public with limits, refused", port: TIGHT_PORT, goal: None, ..REFUSED },
    Scenario {
        name: "public with limits, refused, 256 clients",
        sources: Sources::FEW,
        port: TIGHT_PORT,
        goal: None,
        ..REFUSED
    },
    Scenario { name: "public with limits, spoofed flood", port: TIGHT_PORT, verdict: PASS, ..SPOOFED },
    Scenario { name: "later fragment, dropped", later_fragment: true, goal: None, ..REFUSED },
    Scenario { name: "eight VLAN tags, refused", tags: 8, goal: None, ..REFUSED },
    Scenario { name: "10,000 bans: not ours", bans: true, port: FOREIGN_PORT, ..PASSED },
    Scenario { name: "10,000 bans: banned, refused", bans: true, source: BANNED, goal: None, ..REFUSED },
    Scenario { name: "10,000 bans: private, refused", bans: true, ..REFUSED },
    Scenario { name: "10,000 bans: public, passed", bans: true, ..PASSED },
    Scenario { name: "10,000 bans: public with limits, passed", bans: true, ..LIMITED },
    Scenario {
        name: "10,000 bans: public with limits, spoofed flood",
        bans: true,
        port: TIGHT_PORT,
        verdict: PASS,
        ..SPOOFED
    },
];

/// Floods over the veth pair, IPv4: their packets are dropped, by the guard and by its peers.
pub(crate) const FLOODS: [Scenario; 4] = [
    REFUSED,
    Scenario { name: "private, refused, spoofed flood", ..SPOOFED },
    Scenario { name: "one source over its limit", port: TIGHT_PORT, ..REFUSED },
    Scenario {
        name: "one of 10,000 banned sources",
        bans: true,
        source: BANNED,
        port: PUBLIC_PORT,
        ..REFUSED
    },
];

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
