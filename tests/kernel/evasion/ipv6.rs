//! IPv6: extension headers, fragments, lengths, addresses.

use super::build::{
    AUTHENTICATION, DESTINATION, FRAGMENT, Lane, ROUTING, SYN, TCP, V4, V6, authentication, fragment, frame,
    options, packet, routing, segment, segments, syn,
};
use super::cases::{
    Case, FREE, HIDDEN, JUDGED, Linux, PORT_HIDDEN, V4 as ONLY_V4, V6 as ONLY_V6, case, parts,
};
use std::net::{IpAddr, Ipv6Addr};

const HOP_BY_HOP: u8 = 0;
const IPV4_IN_IPV6: u8 = 4;
const IPV6_IN_IPV6: u8 = 41;

/// `parts` behind an IPv6 header that says `next`.
fn chain(lane: &Lane, next: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    frame(lane, &V6 { next, ..V6::of(lane) }.with(&parts.concat()))
}

/// So many destination headers, and what follows them.
fn destinations(count: usize, next: u8) -> Vec<u8> {
    let mut parts = vec![options(DESTINATION, 0); count - 1];
    parts.push(options(next, 0));
    parts.concat()
}

fn six(address: IpAddr) -> Ipv6Addr {
    let IpAddr::V6(address) = address else { panic!("{address} is no IPv6 address") };
    address
}

/// To the address without listeners, which is to send it on.
fn by_way(lane: &Lane, next: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let header = V6 { next, destination: six(lane.other), ..V6::of(lane) };
    frame(lane, &header.with(&parts.concat()))
}

/// An IPv6 packet that carries the lane's packet of either family behind `header`.
fn carrying(lane: &Lane, header: impl Fn(u8) -> Vec<u8>) -> Vec<Vec<u8>> {
    let inner = packet(lane, TCP, &syn(lane));
    let outer = V6 {
        source: "fd00:78::77".parse().unwrap(),
        destination: "fd00:77::8".parse().unwrap(),
        next: ROUTING,
        version: 6,
        length: None,
    };
    let next = if lane.v6() { IPV6_IN_IPV6 } else { IPV4_IN_IPV6 };
    let packet = outer.with(&[header(next), inner].concat());
    vec![[&lane.macs.concat()[..], &0x86ddu16.to_be_bytes(), &packet].concat()]
}

fn changed(lane: &Lane, change: impl Fn(&mut V6)) -> Vec<u8> {
    let mut header = V6::of(lane);
    change(&mut header);
    frame(
        lane,
        &header.with(&syn(&Lane {
            source: header.source.into(),
            destination: header.destination.into(),
            ..*lane
        })),
    )
}

fn cut(lane: &Lane, lengths: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let whole = changed(lane, |_| {});
    lengths.map(|length| whole[..14 + length].to_vec()).collect()
}

pub(crate) fn cases() -> Vec<Case> {
    use Linux::{Answers, Never, Reaches};
    vec![
        case("ip6-hop-by-hop", ONLY_V6, Answers, JUDGED, |lane| {
            vec![
                chain(lane, HOP_BY_HOP, &[options(TCP, 0), syn(lane)]),
                chain(lane, HOP_BY_HOP, &[options(TCP, 255), syn(lane)]),
            ]
        }),
        case("ip6-hop-by-hop-later", ONLY_V6, Never, JUDGED, |lane| {
            vec![chain(lane, DESTINATION, &[options(HOP_BY_HOP, 0), options(TCP, 0), syn(lane)])]
        }),
        case("ip6-destination", ONLY_V6, Answers, JUDGED, |lane| {
            vec![
                chain(lane, DESTINATION, &[options(TCP, 0), syn(lane)]),
                chain(lane, DESTINATION, &[options(TCP, 100), syn(lane)]),
            ]
        }),
        case("ip6-chain-of-8", ONLY_V6, Answers, JUDGED, |lane| {
            let mixed = [
                options(DESTINATION, 0),
                options(ROUTING, 2),
                routing(FRAGMENT, 0, 0),
                fragment(lane, DESTINATION, 0, false),
                options(TCP, 1),
                syn(lane),
            ];
            vec![
                chain(lane, DESTINATION, &[destinations(8, TCP), syn(lane)]),
                chain(lane, HOP_BY_HOP, &mixed),
            ]
        }),
        case("ip6-chain-past-8", ONLY_V6, Answers, HIDDEN, |lane| {
            [9, 10, 40].map(|count| chain(lane, DESTINATION, &[destinations(count, TCP), syn(lane)])).to_vec()
        }),
        case("ip6-chain-broken", ONLY_V6, Never, PORT_HIDDEN, |lane| {
            // The header is longer than the packet.
            vec![chain(lane, DESTINATION, &[vec![TCP, 9, 1, 4, 0, 0, 0, 0], syn(lane)])]
        }),
        case("ip6-routing-done", ONLY_V6, Answers, JUDGED, |lane| {
            [0, 253].map(|kind| chain(lane, ROUTING, &[routing(TCP, kind, 0), syn(lane)])).to_vec()
        }),
        case("ip6-routing-left", ONLY_V6, Never, HIDDEN, |lane| {
            [0, 1, 2, 3, 253].map(|kind| chain(lane, ROUTING, &[routing(TCP, kind, 1), syn(lane)])).to_vec()
        }),
        case("ip6-segments-done", ONLY_V6, Answers, JUDGED, |lane| {
            vec![chain(lane, ROUTING, &[segments(TCP, 0, &[lane.destination]), syn(lane)])]
        }),
        case("ip6-segments-left", ONLY_V6, Answers, HIDDEN, |lane| {
            vec![by_way(lane, ROUTING, &[segments(TCP, 1, &[lane.destination, lane.other]), syn(lane)])]
        }),
        case("ip6-segments-left-past-8", ONLY_V6, Answers, HIDDEN, |lane| {
            let route = segments(TCP, 1, &[lane.destination, lane.other]);
            vec![by_way(lane, DESTINATION, &[destinations(9, ROUTING), route, syn(lane)])]
        }),
        case("ip6-segments-carry-ipv6", ONLY_V6, Answers, HIDDEN, |lane| {
            carrying(lane, |next| segments(next, 0, &["fd00:77::8".parse().unwrap()]))
        }),
        case("ip6-segments-carry-ipv4", ONLY_V4, Answers, HIDDEN, |lane| {
            carrying(lane, |next| segments(next, 0, &["fd00:77::8".parse().unwrap()]))
        }),
        case("ip6-rpl-carries-ipv6", ONLY_V6, Answers, HIDDEN, |lane| {
            carrying(lane, |next| routing(next, 3, 0))
        }),
        case("ip6-no-next-header", ONLY_V6, Never, FREE, |lane| vec![chain(lane, 59, &[syn(lane)])]),
        case("ip6-never-tcp", ONLY_V6, Never, FREE, |lane| {
            // Mobility, host identity, shim6, and two for experiments: no header of Linux leads through them.
            [135, 139, 140, 253, 254].map(|next| chain(lane, next, &[options(TCP, 0), syn(lane)])).to_vec()
        }),
        case("ip6-jumbogram", ONLY_V6, Never, JUDGED, |lane| {
            let jumbo = vec![TCP, 0, 0xc2, 4, 0, 0, 0, 28];
            let header = V6 { next: HOP_BY_HOP, length: Some(0), ..V6::of(lane) };
            vec![frame(lane, &header.with(&[jumbo, syn(lane)].concat()))]
        }),
        case("ip6-length-0-hop-by-hop", ONLY_V6, Answers, JUDGED, |lane| {
            let header = V6 { next: HOP_BY_HOP, length: Some(0), ..V6::of(lane) };
            vec![frame(lane, &header.with(&[options(TCP, 0), syn(lane)].concat()))]
        }),
        case("ip6-length-below-tcp", ONLY_V6, Reaches, JUDGED, |lane| {
            (0..20).map(|length| changed(lane, |header| header.length = Some(length))).collect()
        }),
        case("ip6-length-past-the-end", ONLY_V6, Never, JUDGED, |lane| {
            [21, 1500, 65_535].map(|length| changed(lane, |header| header.length = Some(length))).to_vec()
        }),
        case("ip6-version", ONLY_V6, Never, HIDDEN, |lane| {
            [0, 4, 5, 15].map(|version| changed(lane, |header| header.version = version)).to_vec()
        }),
        case("ip6-cut-in-header", ONLY_V6, Never, HIDDEN, |lane| cut(lane, 0..40)),
        case("ip6-cut-in-ports", ONLY_V6, Never, PORT_HIDDEN, |lane| cut(lane, 40..44)),
        case("ip6-cut-in-tcp", ONLY_V6, Never, JUDGED, |lane| cut(lane, 44..60)),
        case("ip6-source-no-host", ONLY_V6, Never, PORT_HIDDEN, |lane| {
            ["::1", "ff02::1"]
                .map(|source| changed(lane, |header| header.source = source.parse().unwrap()))
                .to_vec()
        }),
        case("ip6-source-mapped", ONLY_V6, Reaches, PORT_HIDDEN, |lane| {
            ["::ffff:10.77.0.2", "::ffff:127.0.0.1"]
                .map(|source| changed(lane, |header| header.source = source.parse().unwrap()))
                .to_vec()
        }),
        case("ip6-source-unspecified", ONLY_V6, Reaches, PORT_HIDDEN, |lane| {
            vec![changed(lane, |header| header.source = Ipv6Addr::UNSPECIFIED)]
        }),
        case("ip6-source-inside", ONLY_V6, Reaches, FREE, |lane| {
            vec![changed(lane, |header| header.source = "fd00:77::66".parse().unwrap())]
        }),
        case("ip6-land", ONLY_V6, Reaches, FREE, |lane| {
            let lane = Lane { source: lane.destination, source_port: lane.port, ..*lane };
            vec![changed(&lane, |_| {})]
        }),
        case("ip6-destination-mapped", ONLY_V6, Never, JUDGED, |lane| {
            // The same host of the IPv4 network, whose listener is of the same kind.
            let host = six(lane.destination).octets()[15];
            let mapped = std::net::Ipv4Addr::new(10, 77, 0, host).to_ipv6_mapped();
            vec![changed(lane, |header| header.destination = mapped)]
        }),
        case("ip6-destination-group", ONLY_V6, Reaches, FREE, |lane| {
            vec![changed(lane, |header| header.destination = "ff02::1".parse().unwrap())]
        }),
        case("ip6-destination-no-host", ONLY_V6, Never, FREE, |lane| {
            ["::1", "::", "::10.77.0.1", "64:ff9b::10.77.0.1", "2002:a4d:1::1"]
                .map(|to| changed(lane, |header| header.destination = to.parse().unwrap()))
                .to_vec()
        }),
        case("ah", super::cases::BOTH, Never, JUDGED, |lane| {
            let one = [authentication(TCP), syn(lane)].concat();
            let eight = [authentication(AUTHENTICATION).repeat(7), one.clone()].concat();
            [one, eight].map(|payload| frame(lane, &packet(lane, AUTHENTICATION, &payload))).to_vec()
        }),
        case("ah-past-8-ip4", ONLY_V4, Never, PORT_HIDDEN, |lane| {
            let payload = [authentication(AUTHENTICATION).repeat(8), authentication(TCP), syn(lane)].concat();
            vec![frame(lane, &V4 { protocol: AUTHENTICATION, ..V4::of(lane) }.with(&payload))]
        }),
        case("ah-past-8-ip6", ONLY_V6, Never, HIDDEN, |lane| {
            vec![chain(
                lane,
                AUTHENTICATION,
                &[authentication(AUTHENTICATION).repeat(8), authentication(TCP), syn(lane)],
            )]
        }),
    ]
}

/// A fragment of the packet whose extension headers and segment are `payload`, which begins with a `next`.
fn piece(lane: &Lane, next: u8, payload: &[u8], from: usize, to: usize) -> Vec<u8> {
    let header = fragment(lane, next, u16::try_from(from / 8).unwrap(), to < payload.len());
    chain(lane, FRAGMENT, &[header, payload[from..to].to_vec()])
}

/// The frame, and bytes behind the end of its packet that only a careless reader takes for more of it.
fn followed_by(frame: Vec<u8>, trailer: &[u8]) -> Vec<u8> {
    [&frame, trailer].concat()
}

pub(crate) fn fragments() -> Vec<Case> {
    use Linux::{Answers, Never};
    vec![
        case("ip6-fragment-atomic", ONLY_V6, Answers, JUDGED, |lane| {
            vec![chain(lane, FRAGMENT, &[fragment(lane, TCP, 0, false), syn(lane)])]
        }),
        case("ip6-first-fragment", ONLY_V6, Never, JUDGED, |lane| {
            vec![chain(lane, FRAGMENT, &[fragment(lane, TCP, 0, true), syn(lane), vec![0; 4]])]
        }),
        parts(case("ip6-fragments", ONLY_V6, Answers, ["drop", "pass drop", "pass"], |lane| {
            let payload = segment(lane, SYN, 5, &[0; 12]);
            vec![piece(lane, TCP, &payload, 0, 24), piece(lane, TCP, &payload, 24, 32)]
        })),
        parts(case("ip6-fragments-other-next", ONLY_V6, Answers, ["drop pass", "pass", "pass"], |lane| {
            let payload = segment(lane, SYN, 5, &[0; 12]);
            vec![piece(lane, TCP, &payload, 0, 24), piece(lane, 17, &payload, 24, 32)]
        })),
        parts(case("ip6-fragments-tiny", ONLY_V6, Never, ["drop", "pass drop", "pass"], |lane| {
            let payload = syn(lane);
            vec![piece(lane, TCP, &payload, 0, 8), piece(lane, TCP, &payload, 8, 20)]
        })),
        parts(case("ip6-fragments-overlapping", ONLY_V6, Never, ["drop", "pass drop", "pass"], |lane| {
            let payload = segment(lane, SYN, 5, &[0; 12]);
            vec![piece(lane, TCP, &payload, 0, 24), piece(lane, TCP, &payload, 16, 32)]
        })),
        parts(case(
            "ip6-first-fragment-again",
            ONLY_V6,
            Answers,
            ["pass drop drop", "pass pass drop", "pass"],
            |lane| {
                let payload = segment(lane, SYN, 5, &[0; 12]);
                let elsewhere = segment(&Lane { port: 9, ..*lane }, SYN, 5, &[0; 12]);
                vec![
                    piece(lane, TCP, &elsewhere, 0, 24),
                    piece(lane, TCP, &payload, 0, 24),
                    piece(lane, TCP, &payload, 24, 32),
                ]
            },
        )),
        case("ip6-fragment-of-nothing", ONLY_V6, Never, JUDGED, |lane| {
            vec![followed_by(chain(lane, FRAGMENT, &[fragment(lane, TCP, 0, true)]), &syn(lane))]
        }),
        parts(case("ip6-fragments-part-a-header", ONLY_V6, Answers, ["drop", "drop", "drop pass"], |lane| {
            let payload = [options(DESTINATION, 1), options(TCP, 0), syn(lane)].concat();
            vec![piece(lane, DESTINATION, &payload, 0, 8), piece(lane, TCP, &payload, 8, payload.len())]
        })),
        parts(case(
            "ip6-fragments-part-a-chain",
            ONLY_V6,
            Answers,
            ["drop pass", "drop pass", "drop pass"],
            |lane| {
                let payload = [options(DESTINATION, 0), options(TCP, 0), syn(lane)].concat();
                vec![piece(lane, DESTINATION, &payload, 0, 8), piece(lane, 17, &payload, 8, payload.len())]
            },
        )),
        parts(case(
            "ip6-fragments-with-a-trailer",
            ONLY_V6,
            Answers,
            ["drop pass", "drop pass", "drop pass"],
            |lane| {
                // Behind the first fragment's end stand the ports of a listener that is not private.
                let payload = [options(DESTINATION, 0), options(TCP, 0), syn(lane)].concat();
                let lie = [options(TCP, 0), syn(&Lane { port: 9, ..*lane })].concat();
                vec![
                    followed_by(piece(lane, DESTINATION, &payload, 0, 8), &lie),
                    piece(lane, 17, &payload, 8, payload.len()),
                ]
            },
        )),
        parts(case(
            "ip6-fragments-hide-segments",
            ONLY_V6,
            Answers,
            ["drop pass", "drop pass", "drop pass"],
            |lane| {
                let route = segments(TCP, 1, &[lane.destination, lane.other]);
                let payload = [options(ROUTING, 0), route, syn(lane)].concat();
                let piece = |next: u8, from: usize, to: usize| {
                    let header = fragment(lane, next, u16::try_from(from / 8).unwrap(), to < payload.len());
                    by_way(lane, FRAGMENT, &[header, payload[from..to].to_vec()])
                };
                vec![piece(DESTINATION, 0, 8), piece(17, 8, payload.len())]
            },
        )),
    ]
}
