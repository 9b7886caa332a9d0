//! Tags, other protocols of the link layer, destinations of the link layer.

use super::build::{Lane, TCP, V6, frame, options, packet, segment, syn, tagged};
use super::cases::{BOTH, Case, FREE, HIDDEN, JUDGED, Linux, V6 as ONLY_V6, case};

const CUSTOMER: u16 = 0x8100;
const SERVICE: u16 = 0x88a8;
/// Highest priority, eligible to be dropped, VID 0.
const PRIORITY: u16 = 0xf000;

fn plain(lane: &Lane) -> Vec<u8> {
    packet(lane, TCP, &syn(lane))
}

fn behind(lane: &Lane, tags: &[(u16, u16)]) -> Vec<Vec<u8>> {
    vec![tagged(lane, tags, &plain(lane))]
}

/// The packet behind another ethertype, and what stands between them.
fn of_type(lane: &Lane, ethertype: u16, between: &[u8]) -> Vec<Vec<u8>> {
    vec![[&lane.macs.concat()[..], &ethertype.to_be_bytes(), between, &plain(lane)].concat()]
}

fn to_mac(lane: &Lane, mac: [u8; 6]) -> Vec<Vec<u8>> {
    behind(&Lane { macs: [mac, lane.macs[1]], ..*lane }, &[])
}

pub(crate) fn cases() -> Vec<Case> {
    use Linux::{Answers, Never};
    vec![
        case("eth-plain", BOTH, Answers, JUDGED, |lane| behind(lane, &[])),
        case("eth-priority-1-to-8", BOTH, Answers, JUDGED, |lane| {
            (1..=8).flat_map(|count| behind(lane, &vec![(CUSTOMER, 0); count])).collect()
        }),
        case("eth-priority-mixed", BOTH, Answers, JUDGED, |lane| {
            let tags = [(SERVICE, PRIORITY), (CUSTOMER, PRIORITY)].repeat(4);
            [behind(lane, &tags[..1]), behind(lane, &tags[..2]), behind(lane, &tags)].concat()
        }),
        case("eth-priority-9-to-12", BOTH, Answers, HIDDEN, |lane| {
            (9..=12).flat_map(|count| behind(lane, &vec![(CUSTOMER, 0); count])).collect()
        }),
        case("eth-8021q", BOTH, Never, JUDGED, |lane| behind(lane, &[(CUSTOMER, 5)])),
        case("eth-8021ad", BOTH, Never, JUDGED, |lane| behind(lane, &[(SERVICE, 5)])),
        case("eth-qinq", BOTH, Never, JUDGED, |lane| {
            [behind(lane, &[(SERVICE, 5), (CUSTOMER, 6)]), behind(lane, &[(CUSTOMER, 5), (CUSTOMER, 6)])]
                .concat()
        }),
        case("eth-priority-then-vid", BOTH, Never, JUDGED, |lane| {
            behind(lane, &[(CUSTOMER, 0), (CUSTOMER, 5)])
        }),
        case("eth-vid-run", BOTH, Never, HIDDEN, |lane| behind(lane, &[(CUSTOMER, 5); 9])),
        case("eth-9100-9200", BOTH, Never, FREE, |lane| {
            [0x9100, 0x9200, 0x9300].into_iter().flat_map(|tag| behind(lane, &[(tag, 0)])).collect()
        }),
        case("eth-priority-then-9100", BOTH, Never, FREE, |lane| behind(lane, &[(CUSTOMER, 0), (0x9100, 0)])),
        case("eth-cut-tag", BOTH, Never, HIDDEN, |lane| {
            let whole = &behind(lane, &[(CUSTOMER, 0)])[0];
            // 14 bytes are a tag's ethertype and nothing of its own.
            (14..18).map(|length| whole[..length].to_vec()).collect()
        }),
        case("eth-mpls", BOTH, Never, FREE, |lane| {
            // Label 16, and explicit null, at the bottom of the stack.
            let null: [u8; 4] = if lane.v6() { [0, 0, 0x21, 64] } else { [0, 0, 1, 64] };
            [
                of_type(lane, 0x8847, &[0, 1, 1, 64]),
                of_type(lane, 0x8848, &[0, 1, 1, 64]),
                of_type(lane, 0x8847, &null),
            ]
            .concat()
        }),
        case("eth-pppoe", BOTH, Never, FREE, |lane| {
            let protocol: [u8; 2] = if lane.v6() { [0, 0x57] } else { [0, 0x21] };
            let head = [&[0x11, 0, 0, 1, 0, 62][..], &protocol].concat();
            [of_type(lane, 0x8864, &head), of_type(lane, 0x8863, &[0x11, 9, 0, 0, 0, 0])].concat()
        }),
        case("eth-llc-snap", BOTH, Never, FREE, |lane| {
            let kind: [u8; 2] = if lane.v6() { [0x86, 0xdd] } else { [8, 0] };
            let snap = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &kind].concat();
            let length = u16::try_from(snap.len() + plain(lane).len()).unwrap();
            [of_type(lane, length, &snap), of_type(lane, length, &[6, 6, 3]), of_type(lane, 0, &snap)]
                .concat()
        }),
        case("eth-arp", BOTH, Never, FREE, |lane| of_type(lane, 0x0806, &[0, 1, 8, 0, 6, 4, 0, 1])),
        case("eth-unknown-type", BOTH, Never, FREE, |lane| {
            // MACsec, provider backbone bridging, EtherCAT, a local experiment, what wraps to nothing.
            [0x88e5, 0x88e7, 0x88a4, 0x88b5, 0xffff]
                .into_iter()
                .flat_map(|kind| of_type(lane, kind, &[]))
                .collect()
        }),
        case("eth-other-family", BOTH, Never, HIDDEN, |lane| {
            of_type(lane, if lane.v6() { 0x0800 } else { 0x86dd }, &[])
        }),
        case("eth-other-mac", BOTH, Never, JUDGED, |lane| to_mac(lane, [2, 0, 0, 0, 0xee, 0xee])),
        case("eth-broadcast-mac", BOTH, Never, JUDGED, |lane| to_mac(lane, [0xff; 6])),
        case("eth-multicast-mac", BOTH, Never, JUDGED, |lane| to_mac(lane, [1, 0, 0x5e, 0, 0, 1])),
        case("eth-padding", BOTH, Answers, JUDGED, |lane| {
            vec![[frame(lane, &plain(lane)), vec![0xff; 40]].concat()]
        }),
        case("eth-many-buffers", BOTH, Answers, JUDGED, |lane| {
            vec![frame(lane, &packet(lane, TCP, &segment(lane, super::build::SYN, 5, &[0; 6000])))]
        }),
        case("eth-ports-in-a-later-buffer", ONLY_V6, Answers, JUDGED, |lane| {
            const DESTINATION: u8 = super::build::DESTINATION;
            let chain = [options(DESTINATION, 255), options(DESTINATION, 255), options(TCP, 255)].concat();
            vec![frame(lane, &V6 { next: DESTINATION, ..V6::of(lane) }.with(&[chain, syn(lane)].concat()))]
        }),
    ]
}
