//! IPv4: options, fragments, lengths, addresses.

use super::build::{FRAGMENT, Lane, V4, frame, syn};
use super::cases::{Case, FREE, HIDDEN, JUDGED, Linux, PORT_HIDDEN, V4 as ONLY_V4, case, parts};
use std::net::{IpAddr, Ipv4Addr};

const DONT_FRAGMENT: u16 = 0x4000;
const RESERVED: u16 = 0x8000;
const MORE: u16 = 0x2000;

fn with_options(lane: &Lane, options: &[u8]) -> Vec<u8> {
    let mut options = options.to_vec();
    options.resize(options.len().next_multiple_of(4), 0);
    frame(lane, &V4 { options, ..V4::of(lane) }.with(&syn(lane)))
}

/// By way of `other`, or (`done`) with a route whose end has been reached.
fn source_routed(lane: &Lane, kind: u8, done: bool) -> Vec<u8> {
    let header = V4::of(lane);
    let IpAddr::V4(other) = lane.other else { panic!("{lane:?}") };
    let (now, later) = if done { (header.destination, other) } else { (other, header.destination) };
    let mut options = vec![1, kind, 7, if done { 8 } else { 4 }];
    options.extend(later.octets());
    frame(lane, &V4 { options, destination: now, ..header }.with(&syn(lane)))
}

/// The bytes of the packet's payload from `from` to `to` as a fragment.
fn piece(lane: &Lane, payload: &[u8], from: usize, to: usize) -> Vec<u8> {
    let more = if to < payload.len() { MORE } else { 0 };
    let fragment = u16::try_from(from / 8).unwrap() | more;
    frame(lane, &V4 { fragment, ..V4::of(lane) }.with(&payload[from..to]))
}

fn changed(lane: &Lane, change: impl Fn(&mut V4)) -> Vec<u8> {
    let mut header = V4::of(lane);
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
        case("ip4-options", ONLY_V4, Answers, JUDGED, |lane| {
            let timestamp = [68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let mut record = vec![7, 39, 4];
            record.resize(39, 0);
            vec![
                with_options(lane, &[1, 1, 1, 0]),
                with_options(lane, &[1; 40]),
                with_options(lane, &timestamp),
                with_options(lane, &record),
                with_options(lane, &[148, 4, 0, 0]),
                with_options(lane, &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ]
        }),
        case("ip4-options-after-end", ONLY_V4, Answers, JUDGED, |lane| {
            let IpAddr::V4(other) = lane.other else { panic!("{lane:?}") };
            vec![with_options(lane, &[&[0, 131, 7, 4][..], &other.octets()].concat())]
        }),
        case("ip4-options-broken", ONLY_V4, Never, JUDGED, |lane| {
            vec![
                with_options(lane, &[7, 0, 0, 0]),
                with_options(lane, &[7, 1, 0, 0]),
                with_options(lane, &[7, 40, 4, 0]),
                with_options(lane, &[1, 1, 1, 7]),
            ]
        }),
        case("ip4-source-route", ONLY_V4, Answers, HIDDEN, |lane| {
            vec![source_routed(lane, 131, false), source_routed(lane, 137, false)]
        }),
        case("ip4-source-route-done", ONLY_V4, Reaches, HIDDEN, |lane| {
            vec![source_routed(lane, 131, true), source_routed(lane, 137, true)]
        }),
        case("ip4-flags", ONLY_V4, Answers, JUDGED, |lane| {
            vec![
                changed(lane, |header| header.fragment = DONT_FRAGMENT),
                changed(lane, |header| header.fragment = RESERVED),
            ]
        }),
        case("ip4-first-fragment", ONLY_V4, Never, JUDGED, |lane| {
            vec![changed(lane, |header| header.fragment = MORE)]
        }),
        parts(case("ip4-fragments", ONLY_V4, Answers, ["drop", "pass drop", "pass"], |lane| {
            let payload = syn(lane);
            vec![piece(lane, &payload, 0, 16), piece(lane, &payload, 16, 20)]
        })),
        parts(case("ip4-fragments-tiny", ONLY_V4, Answers, ["drop", "pass drop drop", "pass"], |lane| {
            let payload = syn(lane);
            vec![piece(lane, &payload, 0, 8), piece(lane, &payload, 8, 16), piece(lane, &payload, 16, 20)]
        })),
        parts(case("ip4-fragments-backwards", ONLY_V4, Answers, ["drop", "drop pass", "pass"], |lane| {
            let payload = syn(lane);
            vec![piece(lane, &payload, 8, 20), piece(lane, &payload, 0, 8)]
        })),
        parts(case("ip4-fragments-overlapping", ONLY_V4, Never, ["drop", "pass drop", "pass"], |lane| {
            let payload = syn(lane);
            vec![piece(lane, &payload, 0, 16), piece(lane, &payload, 8, 20)]
        })),
        parts(case(
            "ip4-first-fragment-again",
            ONLY_V4,
            Never,
            ["pass drop drop", "pass pass drop", "pass"],
            |lane| {
                let (payload, elsewhere) = (syn(lane), syn(&Lane { port: 9, ..*lane }));
                vec![
                    piece(lane, &elsewhere, 0, 8),
                    piece(lane, &payload, 0, 16),
                    piece(lane, &payload, 16, 20),
                ]
            },
        )),
        case("ip4-later-fragment-of-udp", ONLY_V4, Never, FREE, |lane| {
            vec![changed(lane, |header| (header.fragment, header.protocol) = (1, 17))]
        }),
        case("ip4-fragment-of-nothing", ONLY_V4, Never, JUDGED, |lane| {
            vec![changed(lane, |header| (header.fragment, header.total) = (MORE, Some(20)))]
        }),
        case("ip4-later-fragment-of-nothing", ONLY_V4, Never, PORT_HIDDEN, |lane| {
            vec![changed(lane, |header| (header.fragment, header.total) = (1, Some(20)))]
        }),
        case("ip4-ihl-0-to-4", ONLY_V4, Never, HIDDEN, |lane| {
            (0..5).map(|ihl| changed(lane, |header| header.ihl = Some(ihl))).collect()
        }),
        case("ip4-ihl-past-the-end", ONLY_V4, Never, PORT_HIDDEN, |lane| {
            vec![changed(lane, |header| header.ihl = Some(15))]
        }),
        case("ip4-ihl-over-ports", ONLY_V4, Never, FREE, |lane| {
            // The last port that is no NOP and no end of options, and the first bytes of the sequence number.
            vec![frame(
                lane,
                &V4 { ihl: Some(6), ..V4::of(lane) }.with(&[&[7, 4, 4, 0][..], &[0; 20]].concat()),
            )]
        }),
        case("ip4-version", ONLY_V4, Never, HIDDEN, |lane| {
            [0, 5, 6, 15].map(|version| changed(lane, |header| header.version = version)).to_vec()
        }),
        case("ip4-total-below-header", ONLY_V4, Never, JUDGED, |lane| {
            [0, 1, 19].map(|total| changed(lane, |header| header.total = Some(total))).to_vec()
        }),
        case("ip4-total-below-tcp", ONLY_V4, Reaches, JUDGED, |lane| {
            (20..40).map(|total| changed(lane, |header| header.total = Some(total))).collect()
        }),
        case("ip4-total-past-the-end", ONLY_V4, Never, JUDGED, |lane| {
            [41, 1500, 65_535].map(|total| changed(lane, |header| header.total = Some(total))).to_vec()
        }),
        case("ip4-wrong-checksum", ONLY_V4, Never, JUDGED, |lane| {
            let mut frame = changed(lane, |_| {});
            frame[14 + 10] ^= 1;
            vec![frame]
        }),
        case("ip4-cut-in-header", ONLY_V4, Never, HIDDEN, |lane| cut(lane, 0..20)),
        case("ip4-cut-in-ports", ONLY_V4, Never, PORT_HIDDEN, |lane| cut(lane, 20..24)),
        case("ip4-cut-in-tcp", ONLY_V4, Never, JUDGED, |lane| cut(lane, 24..40)),
        case("ip4-ipv6-header", ONLY_V4, Never, FREE, |lane| {
            // Extension headers mean nothing behind IPv4.
            [0, FRAGMENT, 43, 60].map(|protocol| changed(lane, |header| header.protocol = protocol)).to_vec()
        }),
        case("ip4-source-no-host", ONLY_V4, Never, PORT_HIDDEN, |lane| {
            [[127, 0, 0, 1], [0, 0, 0, 0], [255, 255, 255, 255], [224, 0, 0, 1]]
                .map(|source| changed(lane, |header| header.source = source.into()))
                .to_vec()
        }),
        case("ip4-source-inside", ONLY_V4, Reaches, FREE, |lane| {
            vec![changed(lane, |header| header.source = Ipv4Addr::new(10, 77, 0, 66))]
        }),
        case("ip4-land", ONLY_V4, Never, FREE, |lane| {
            let lane = Lane { source: lane.destination, source_port: lane.port, ..*lane };
            vec![changed(&lane, |_| {})]
        }),
        case("ip4-destination-group", ONLY_V4, Reaches, FREE, |lane| {
            [[224, 0, 0, 1], [255, 255, 255, 255], [10, 77, 0, 255]]
                .map(|to| changed(lane, |header| header.destination = to.into()))
                .to_vec()
        }),
        case("ip4-destination-no-host", ONLY_V4, Never, FREE, |lane| {
            [[0, 0, 0, 0], [127, 0, 0, 1], [240, 0, 0, 1]]
                .map(|to| changed(lane, |header| header.destination = to.into()))
                .to_vec()
        }),
    ]
}
