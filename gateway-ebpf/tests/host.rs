//! The program's own rules, run on the host: what is read from a frame, and what is made of it.

#![allow(clippy::unwrap_used)] // a test that cannot go on panics

#[path = "../../tests/kernel/frames.rs"]
mod frames;

use frames::{CUSTOMER_TAG, ESP, Extension, Frame, SERVICE_TAG, TCP, UDP};
use gateway_ebpf::abi::{
    ANY_V4, ANY_V6, Address, ENDPOINT_OPEN, ENDPOINT_PRIVATE, Listener, ListenerKey, Reason, VpcAddress,
    mapped,
};
use gateway_ebpf::admit::{self, admit};
use gateway_ebpf::packet::{self, EXTENSION_HEADERS_MAX, Kind, Packet, VLAN_TAGS_MAX};

const V4: (&str, &str) = ("192.0.2.9", "10.0.0.5");
const V6: (&str, &str) = ("2001:db8::9", "fd00::5");

fn parse(frame: &Frame) -> Packet {
    packet::parse(frame.bytes().as_slice())
}

fn octets(text: &str) -> Address {
    match text.parse().unwrap() {
        std::net::IpAddr::V4(v4) => mapped(v4.octets()),
        std::net::IpAddr::V6(v6) => v6.octets(),
    }
}

#[test]
fn ports_are_found_behind_everything_that_is_walked() {
    for (source, destination) in [V4, V6] {
        let v6 = source.contains(':');
        let mut frame = Frame::syn(source, destination, 8080);
        let expected = Packet {
            kind: Kind::Flow,
            source: octets(source),
            destination: octets(destination),
            v6,
            protocol: TCP,
            port: 8080,
        };
        assert_eq!(parse(&frame), expected);
        frame.tags = vec![SERVICE_TAG; VLAN_TAGS_MAX];
        frame.options = vec![1; 40];
        frame.extensions = vec![Extension::Authentication(1); EXTENSION_HEADERS_MAX];
        assert_eq!(parse(&frame), expected);
        assert_eq!(parse(&Frame { protocol: UDP, ..frame }), Packet { protocol: UDP, ..expected });
    }
}

#[test]
fn one_header_more_than_the_bound_hides_what_is_behind() {
    for (source, destination) in [V4, V6] {
        let frame = Frame::syn(source, destination, 8080);
        let tags = vec![CUSTOMER_TAG; VLAN_TAGS_MAX + 1];
        assert_eq!(parse(&Frame { tags, ..frame.clone() }).kind, Kind::DestinationHidden);
        let extensions = vec![Extension::Authentication(0); EXTENSION_HEADERS_MAX + 1];
        let hidden = parse(&Frame { extensions, ..frame.clone() });
        assert_eq!((hidden.kind, hidden.destination), (Kind::PortHidden, octets(destination)));
        assert_eq!(parse(&Frame { protocol: ESP, ..frame }).kind, Kind::PortHidden);
    }
}

#[test]
fn source_routes_hide_the_destination_until_they_are_used_up() {
    let routed = |segments_left| {
        let extensions =
            vec![Extension::HopByHop(1), Extension::Destination(0), Extension::Routing { segments_left }];
        parse(&Frame { extensions, ..Frame::syn(V6.0, V6.1, 1) }).kind
    };
    assert_eq!((routed(0), routed(1)), (Kind::Flow, Kind::DestinationHidden));
    let option =
        |options: &[u8]| parse(&Frame { options: options.to_vec(), ..Frame::syn(V4.0, V4.1, 1) }).kind;
    assert_eq!(option(&[1, 131, 7, 4, 1, 2, 3, 4]), Kind::DestinationHidden);
    assert_eq!(
        option(&[7, 7, 4, 137, 137, 137, 137, 0]),
        Kind::Flow,
        "within another option it is only data"
    );
    assert_eq!(option(&[0, 131, 7, 4, 1, 2, 3, 4]), Kind::Flow, "behind the end of options nobody reads");
}

#[test]
fn later_fragments_are_told_by_what_they_can_become() {
    let v4 = |fragment, protocol| parse(&Frame { fragment, protocol, ..Frame::syn(V4.0, V4.1, 1) }).kind;
    assert_eq!((v4(0x2000, TCP), v4(0x2001, TCP), v4(0x1fff, ESP), v4(1, UDP)), {
        (Kind::Flow, Kind::Fragment, Kind::Fragment, Kind::Other)
    });
    let v6 = |offset, more, protocol| {
        let extensions = vec![Extension::Fragment { offset, more }];
        parse(&Frame { extensions, protocol, ..Frame::syn(V6.0, V6.1, 1) }).kind
    };
    assert_eq!((v6(0, false, TCP), v6(0, true, TCP)), (Kind::Flow, Kind::Flow));
    assert_eq!((v6(1, false, TCP), v6(1, true, UDP)), (Kind::Fragment, Kind::Other));
}

#[test]
fn a_cut_frame_is_never_read_past_its_end_nor_taken_for_a_flow() {
    for (source, destination) in [V4, V6] {
        let mut frame = Frame::syn(source, destination, 8080);
        frame.tags = vec![CUSTOMER_TAG];
        frame.options = vec![7, 7, 4, 0, 0, 0, 0, 0];
        frame.extensions = vec![Extension::Authentication(2)];
        let bytes = frame.bytes();
        for length in 0..bytes.len() - 16 {
            let kind = packet::parse(&bytes[..length]).kind;
            assert!(matches!(kind, Kind::DestinationHidden | Kind::PortHidden), "{length}: {kind:?}");
        }
    }
}

/// Rules as a list: a private listener for `10.0.0.5:80` and `[fd00::5]:80` (VPC 1), an open one for `[::]:80`.
struct Listed;

impl admit::Rules for Listed {
    fn listener(&self, key: &ListenerKey) -> Option<Listener> {
        let private = Listener { endpoint: ENDPOINT_PRIVATE, vpc: 1, slot: 7, flags: 0 };
        match *key {
            ListenerKey { address, port: 80, protocol: TCP, .. } if self.has_private(&address) => {
                Some(private)
            }
            ListenerKey { address: ANY_V4 | ANY_V6, port: 80, protocol: TCP, .. } => {
                Some(Listener { endpoint: ENDPOINT_OPEN, slot: 8, ..private })
            }
            _ => None,
        }
    }

    fn holds(&self, vpc: u32, source: &Address) -> bool {
        vpc == 1 && (source[..13] == octets("10.0.0.0")[..13] || source[..2] == [0xfd, 0])
    }

    fn has_private(&self, address: &Address) -> bool {
        [octets("10.0.0.5"), octets("fd00::5")].contains(address)
    }

    fn any_private(&self) -> bool {
        true
    }
}

fn judged(frame: &Frame) -> (Reason, u32) {
    let judgement = admit(&parse(frame), &Listed);
    (judgement.reason(), judgement.slot)
}

#[test]
fn each_verdict_has_its_reason_and_its_slot() {
    let syn = Frame::syn;
    for (expected, frame) in [
        ((Reason::Pass, 7), syn("10.9.9.9", "10.0.0.5", 80)),
        ((Reason::Pass, 7), syn("fd00::9", "fd00::5", 80)),
        ((Reason::OutsideVpc, 7), syn("192.0.2.9", "10.0.0.5", 80)),
        ((Reason::OutsideVpc, 7), syn("2001:db8::9", "fd00::5", 80)),
        ((Reason::OutsideVpc, 7), syn("::ffff:10.9.9.9", "fd00::5", 80)),
        ((Reason::Pass, 8), syn("192.0.2.9", "10.0.0.6", 80)),
        ((Reason::Pass, 8), syn("2001:db8::9", "fd00::6", 80)),
        ((Reason::NotOurs, 0), syn("192.0.2.9", "10.0.0.5", 22)),
        ((Reason::NotOurs, 0), Frame { protocol: UDP, ..syn("192.0.2.9", "10.0.0.5", 80) }),
        ((Reason::NotOurs, 0), Frame { protocol: 1, ..syn("192.0.2.9", "10.0.0.5", 80) }),
        ((Reason::Fragment, 0), Frame { fragment: 2, ..syn("192.0.2.9", "10.0.0.5", 80) }),
        ((Reason::NotOurs, 0), Frame { fragment: 2, ..syn("192.0.2.9", "10.0.0.6", 80) }),
        ((Reason::Unreadable, 0), Frame { protocol: ESP, ..syn("192.0.2.9", "10.0.0.5", 80) }),
        ((Reason::NotOurs, 0), Frame { protocol: ESP, ..syn("192.0.2.9", "10.0.0.6", 80) }),
        ((Reason::Unreadable, 0), Frame { tags: vec![CUSTOMER_TAG; 9], ..syn("192.0.2.9", "10.0.0.6", 80) }),
    ] {
        assert_eq!(judged(&frame), expected, "{frame:?}");
    }
    let arp = [[0xff; 12].as_slice(), &[8, 6], &[0; 28]].concat();
    assert_eq!(admit(&packet::parse(arp.as_slice()), &Listed).reason(), Reason::NotIp);
}

#[test]
fn families_of_a_vpc_are_kept_apart_in_its_keys() {
    let (v4, v6) = (VpcAddress::new(5, octets("10.0.0.0")), VpcAddress::new(5, octets("fd00::")));
    assert_ne!(v4.set, v6.set);
    assert_eq!((v4.vpc(), v6.vpc()), (5, 5));
}
