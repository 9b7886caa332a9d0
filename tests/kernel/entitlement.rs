//! XDP on and XDP off entitle the same sources: for any node, the program passes a connection's first packet exactly
//! when the worker alone would hold that connection.

use crate::frames::Frame;
use crate::random::Random;
use crate::verdicts::Bench;
use gateway::guard::endpoint::{CidrSet, admit_connection};
use gateway::model::SourceLimits;
use gateway::route;
use gateway::snapshot::{Listener, Snapshot, Vpc};
use gateway::xdp::Rules;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const NODES: usize = 100;
const CONNECTIONS: usize = 300;

const CIDRS: [&str; 12] = [
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "10.64.0.0/10",
    "10.64.3.0/24",
    "192.0.2.128/25",
    "203.0.113.7/32",
    "::ffff:198.51.100.0/120",
    "fd00:10::/48",
    "fd00:10::7/128",
    "2001:db8::/33",
    "::/95",
];
const ADDRESSES: [&str; 8] = [
    "0.0.0.0:8080",
    "[::]:8080",
    "10.0.0.5:8080",
    "10.0.0.6:8080",
    "[fd00:10::5]:8080",
    "0.0.0.0:8081",
    "[::]:8081",
    "[fd00:10::5]:8081",
];
const DESTINATIONS: [&str; 4] = ["10.0.0.5", "10.0.0.6", "fd00:10::5", "fd00:10::6"];

#[test]
fn the_kernel_passes_exactly_the_connections_that_the_worker_holds() {
    let mut random = Random::new();
    let (mut held, mut refused) = (0, 0);
    let Some(mut bench) = Bench::new(Rules::default()) else { return };
    for _ in 0..NODES {
        let node = node(&mut random);
        bench.change(Rules::of(&node));
        for _ in 0..CONNECTIONS {
            let destination: IpAddr = random.pick(&DESTINATIONS).parse().unwrap();
            let port = random.pick(&[8080, 8081]);
            let Some(listener) = bound(&node, destination, port) else { continue };
            let source = source(&mut random, destination.is_ipv4());
            let worker = admit_connection(&node, listener, source);
            let frame = Frame::syn(&source.to_string(), &destination.to_string(), port);
            assert_eq!(
                bench.program.passes(&frame.bytes()),
                worker,
                "{source} → {destination}:{port} of {node:?}"
            );
            *if worker { &mut held } else { &mut refused } += 1;
        }
    }
    assert!(held > 1_000 && refused > 1_000, "{held} held, {refused} refused: the sample proves little");
}

/// A few listeners with and without VPC, private or not.
fn node(random: &mut Random) -> Snapshot {
    let cidrs = |random: &mut Random| -> Vec<IpNet> {
        let count = random.below(4);
        (0..count).map(|_| random.pick(&CIDRS).parse().unwrap()).collect()
    };
    let vpcs: Vec<Vpc> =
        (0..2).map(|n| Vpc { id: format!("vpc-{n}"), cidrs: CidrSet::new(&cidrs(random)) }).collect();
    let mut listeners = Vec::new();
    for address in ADDRESSES {
        if random.below(3) == 0 {
            continue;
        }
        let vpc = [None, Some(0), Some(1)][random.below(3)];
        listeners.push(Listener {
            name: address.to_owned(),
            address: address.parse().unwrap(),
            vpc,
            apis: None,
            kernel_private: vpc.is_some() && random.below(4) > 0,
            limits: SourceLimits::NONE,
            dry_run: false,
            front: Default::default(),
        });
    }
    Snapshot {
        generation: 1,
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        listeners,
        vpcs,
        trusted: Vec::new(),
        offences: None,
        apis: Vec::new(),
        routes: route::Table::default(),
        targets: Vec::new(),
        domain_policies: Vec::new(),
        cache: gateway::cache::Store::new(0),
        canaries: Vec::new(),
        plans: Default::default(),
    }
}

/// Whose socket takes a connection to that address: the exact one's, else its family's unspecified one's (sockets on
/// `[::]` are IPv6 only).
fn bound(node: &Snapshot, destination: IpAddr, port: u16) -> Option<usize> {
    let at = |text: &str| {
        let address: IpAddr = text.parse().unwrap();
        node.listeners.iter().position(|listener| listener.address == SocketAddr::new(address, port))
    };
    let exact = at(&destination.to_string());
    exact.or_else(|| at(if destination.is_ipv4() { "0.0.0.0" } else { "::" }))
}

/// Random, or an edge of a CIDR, or one beyond it.
fn source(random: &mut Random, v4: bool) -> IpAddr {
    let cidr: IpNet = random.pick(&CIDRS).parse().unwrap();
    let (low, high) = match (cidr.network(), cidr.broadcast()) {
        (IpAddr::V4(low), IpAddr::V4(high)) => {
            (u128::from(low.to_ipv6_mapped()), u128::from(high.to_ipv6_mapped()))
        }
        (low, high) => match (low, high) {
            (IpAddr::V6(low), IpAddr::V6(high)) => (u128::from(low), u128::from(high)),
            _ => unreachable!("a network's ends are of one family"),
        },
    };
    let any = u128::from(random.next()) << 64 | u128::from(random.next());
    let picked = [low, high, low.wrapping_sub(1), high.wrapping_add(1), any][random.below(5)];
    if v4 {
        return IpAddr::from((picked as u32).to_be_bytes());
    }
    let address = std::net::Ipv6Addr::from(picked);
    // On the IPv6 wire a mapped source is forged; that has a test of its own.
    match address.to_ipv4_mapped() {
        Some(_) => IpAddr::from([0xfd00, 0x10, 0, 0, 0, 0, 0, picked as u16]),
        None => IpAddr::V6(address),
    }
}
