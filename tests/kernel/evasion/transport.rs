//! TCP's own oddities, other protocols, tunnels, and listeners on any address.

use super::build::{
    ACK, FIN, Lane, PUSH, RST, SYN, TCP, UDP, URGENT, V4, V6, datagram, fragment, frame, packet, segment, syn,
};
use super::cases::{
    BOTH, Case, FREE, HIDDEN, JUDGED, Linux, PORT_HIDDEN, V4 as ONLY_V4, V6 as ONLY_V6, case,
};

const GRE: u8 = 47;
const FRAGMENT: u8 = super::build::FRAGMENT;

fn carried(lane: &Lane, protocol: u8, payload: &[u8]) -> Vec<u8> {
    frame(lane, &packet(lane, protocol, payload))
}

fn flags(lane: &Lane, flags: u8) -> Vec<u8> {
    carried(lane, TCP, &segment(lane, flags, 5, &[]))
}

/// The lane's packet within the packet of a tunnel, behind `head`, towards the address without listeners.
fn tunnelled(lane: &Lane, protocol: u8, head: &[u8]) -> Vec<u8> {
    let inner = packet(lane, TCP, &syn(lane));
    carried(&Lane { destination: lane.other, ..*lane }, protocol, &[head, &inner].concat())
}

fn ethertype(lane: &Lane) -> [u8; 2] {
    if lane.v6() { [0x86, 0xdd] } else { [8, 0] }
}

pub(crate) fn cases() -> Vec<Case> {
    use Linux::{Answers, Never, Reaches};
    vec![
        case("tcp-silent-flags", BOTH, Reaches, JUDGED, |lane| {
            let all = FIN | SYN | RST | PUSH | ACK | URGENT;
            [0, FIN, SYN | FIN, SYN | RST, RST, FIN | PUSH | URGENT, all, PUSH, URGENT]
                .map(|set| flags(lane, set))
                .to_vec()
        }),
        case("tcp-reset-flags", BOTH, Answers, JUDGED, |lane| {
            [ACK, SYN | ACK, FIN | ACK].map(|set| flags(lane, set)).to_vec()
        }),
        case("tcp-syn-with-more", BOTH, Answers, JUDGED, |lane| {
            // Explicit congestion notification, urgent, push, and all the reserved bits.
            let mut reserved = segment(lane, SYN, 5, &[]);
            reserved[12] |= 0xe;
            // What the checksum must make up for.
            let sum = u16::from_be_bytes([reserved[16], reserved[17]]);
            let sum = if sum < 0x0e00 { sum.wrapping_sub(0x0e01) } else { sum - 0x0e00 };
            reserved[16..18].copy_from_slice(&sum.to_be_bytes());
            vec![flags(lane, SYN | 0xc0), flags(lane, SYN | URGENT | PUSH), carried(lane, TCP, &reserved)]
        }),
        case("tcp-mptcp", BOTH, Answers, JUDGED, |lane| {
            // MP_CAPABLE of version 1 (RFC 8684), which asks for SHA-256.
            vec![carried(lane, TCP, &segment(lane, SYN, 6, &[30, 4, 1, 1]))]
        }),
        case("tcp-offset-wrong", BOTH, Reaches, JUDGED, |lane| {
            (0..=15)
                .filter(|words| *words != 5)
                .map(|words| carried(lane, TCP, &segment(lane, SYN, words, &[])))
                .collect()
        }),
        case("tcp-wrong-checksum", BOTH, Reaches, JUDGED, |lane| {
            let mut spoilt = syn(lane);
            spoilt[16] ^= 1;
            vec![carried(lane, TCP, &spoilt)]
        }),
        case("tcp-port-0", BOTH, Answers, FREE, |lane| {
            vec![carried(lane, TCP, &syn(&Lane { port: 0, ..*lane }))]
        }),
        case("tcp-source-port-0", BOTH, Answers, JUDGED, |lane| {
            vec![carried(lane, TCP, &syn(&Lane { source_port: 0, ..*lane }))]
        }),
        case("not-tcp", BOTH, Never, FREE, |lane| {
            // UDP, UDP-Lite, DCCP, SCTP, ICMP, ICMPv6, L2TP, what is reserved.
            [UDP, 136, 33, 132, 1, 58, 115, 255]
                .map(|protocol| carried(lane, protocol, &datagram(lane, protocol)))
                .to_vec()
        }),
        case("esp-ipcomp", BOTH, Never, PORT_HIDDEN, |lane| {
            let head = [0, 0, 1, 0, 0, 0, 0, 1];
            [50, 108].map(|protocol| carried(lane, protocol, &[&head[..], &syn(lane)].concat())).to_vec()
        }),
        case("tunnel-ip", BOTH, Never, FREE, |lane| {
            let protocol = if lane.v6() { 41 } else { 4 };
            vec![tunnelled(lane, protocol, &[]), carried(lane, protocol, &packet(lane, TCP, &syn(lane)))]
        }),
        case("tunnel-gre", BOTH, Never, FREE, |lane| {
            vec![tunnelled(lane, GRE, &[&[0, 0][..], &ethertype(lane)].concat())]
        }),
        case("tunnel-mpls-etherip", BOTH, Never, FREE, |lane| {
            let ethernet = [&[0x30, 0][..], &lane.macs.concat(), &ethertype(lane)].concat();
            vec![tunnelled(lane, 137, &[0, 1, 1, 64]), tunnelled(lane, 97, &ethernet)]
        }),
        case("tunnel-vxlan", BOTH, Never, FREE, |lane| {
            let udp = [0x77, 1, 0x12, 0xb5, 0, 94, 0, 0];
            let vxlan = [8, 0, 0, 0, 0, 0, 1, 0];
            let ethernet = [&lane.macs.concat()[..], &ethertype(lane)].concat();
            vec![tunnelled(lane, UDP, &[&udp[..], &vxlan, &ethernet].concat())]
        }),
    ]
}

/// Where the private listener is bound to any address, and a public one to one address of the same port.
pub(crate) fn any() -> Vec<Case> {
    use Linux::{Answers, Never, Reaches};
    const JUDGED_AS_PRIVATE: [&str; 3] = ["drop", "pass", "drop"];
    let cases = vec![
        case("any-plain", BOTH, Answers, JUDGED, |lane| vec![carried(lane, TCP, &syn(lane))]),
        case("any-later-fragment", BOTH, Never, HIDDEN, |lane| {
            vec![if lane.v6() {
                carried(lane, FRAGMENT, &[fragment(lane, TCP, 1, false), syn(lane)].concat())
            } else {
                frame(lane, &V4 { fragment: 1, ..V4::of(lane) }.with(&syn(lane)))
            }]
        }),
        case("any-esp-ipcomp", BOTH, Never, HIDDEN, |lane| {
            [50, 108].map(|protocol| carried(lane, protocol, &[0; 16])).to_vec()
        }),
        case("any-ip4-group", ONLY_V4, Reaches, JUDGED_AS_PRIVATE, |lane| {
            [[224, 0, 0, 1], [255, 255, 255, 255], [10, 77, 0, 255]]
                .map(|to| carried(&Lane { destination: to.into(), ..*lane }, TCP, &syn(lane)))
                .to_vec()
        }),
        case("any-ip6-group", ONLY_V6, Reaches, JUDGED_AS_PRIVATE, |lane| {
            ["ff02::1"]
                .map(|to| {
                    frame(lane, &V6 { destination: to.parse().unwrap(), ..V6::of(lane) }.with(&syn(lane)))
                })
                .to_vec()
        }),
        case("any-ip6-mapped", ONLY_V6, Never, JUDGED_AS_PRIVATE, |lane| {
            let mapped = "::ffff:10.77.0.8".parse().unwrap();
            vec![frame(lane, &V6 { destination: mapped, ..V6::of(lane) }.with(&syn(lane)))]
        }),
        case("any-udp", BOTH, Never, FREE, |lane| vec![carried(lane, UDP, &datagram(lane, UDP))]),
    ];
    cases.into_iter().map(|case| Case { any: true, ..case }).collect()
}
