//! What is read from a frame, byte by byte.

use crate::frames::{CUSTOMER_TAG, ESP, Extension, Frame, SERVICE_TAG, TCP, UDP};
use crate::table::address;
use gateway_ebpf::packet::{self, EXTENSION_HEADERS_MAX, Kind, Packet, VLAN_TAGS_MAX};

const V4: (&str, &str) = ("192.0.2.9", "10.0.0.5");
const V6: (&str, &str) = ("2001:db8::9", "fd00::5");

pub(crate) fn parse(frame: &Frame) -> Packet {
    packet::parse(frame.bytes().as_slice())
}

#[test]
fn ports_are_found_behind_everything_that_is_walked() {
    for (source, destination) in [V4, V6] {
        let v6 = source.contains(':');
        let mut frame = Frame::syn(source, destination, 8080);
        let expected = Packet {
            kind: Kind::Flow,
            source: address(source),
            destination: address(destination),
            v6,
            protocol: TCP,
            port: 8080,
            opens: true,
        };
        assert_eq!(parse(&frame), expected);
        frame.tags = vec![SERVICE_TAG; VLAN_TAGS_MAX];
        frame.options = vec![1; 40];
        frame.extensions = vec![Extension::Authentication(1); EXTENSION_HEADERS_MAX];
        assert_eq!(parse(&frame), expected);
        assert_eq!(
            parse(&Frame { protocol: UDP, ..frame }),
            Packet { protocol: UDP, opens: false, ..expected }
        );
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
        // One of IPv6's might be a routing header, and lead elsewhere.
        let expected = if hidden.v6 { Kind::DestinationHidden } else { Kind::PortHidden };
        assert_eq!((hidden.kind, hidden.destination), (expected, address(destination)));
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
    assert_eq!(option(&[1, 137, 7, 4, 1, 2, 3, 4]), Kind::DestinationHidden);
    assert_eq!(
        option(&[7, 7, 4, 137, 137, 137, 137, 0]),
        Kind::Flow,
        "within another option it is only data"
    );
    assert_eq!(option(&[0, 131, 7, 4, 1, 2, 3, 4]), Kind::Flow, "behind the end of options nobody reads");
}

#[test]
fn a_packet_within_a_route_hides_where_it_goes() {
    let kind =
        |extensions, protocol| parse(&Frame { extensions, protocol, ..Frame::syn(V6.0, V6.1, 1) }).kind;
    for protocol in [4, 41] {
        let route = Extension::Routing { segments_left: 0 };
        assert_eq!(kind(vec![route], protocol), Kind::DestinationHidden);
        assert_eq!(kind(vec![Extension::Destination(0)], protocol), Kind::Other, "a tunnel's, if anybody's");
        assert_eq!(kind(vec![route], 58), Kind::Other);
    }
}

#[test]
fn a_first_fragment_whose_chain_goes_on_hides_where_it_leads() {
    let kind = |more, behind: &[Extension], protocol| {
        let extensions = [&[Extension::Fragment { offset: 0, more }], behind].concat();
        parse(&Frame { extensions, protocol, ..Frame::syn(V6.0, V6.1, 1) }).kind
    };
    for behind in [
        Extension::HopByHop(0),
        Extension::Destination(0),
        Extension::Routing { segments_left: 0 },
        Extension::Authentication(0),
        Extension::Fragment { offset: 0, more: false },
    ] {
        assert_eq!(kind(true, &[behind], TCP), Kind::DestinationHidden, "{behind:?}");
        assert_eq!(kind(false, &[behind], TCP), Kind::Flow, "{behind:?}, and nothing more comes");
    }
    assert_eq!((kind(true, &[], TCP), kind(true, &[], ESP)), (Kind::Flow, Kind::PortHidden));
}

#[test]
fn a_chain_that_is_cut_hides_the_destination_and_cut_ports_only_themselves() {
    for extension in [Extension::Destination(0), Extension::Authentication(0)] {
        let frame = Frame { extensions: vec![extension; 2], ..Frame::syn(V6.0, V6.1, 1) }.bytes();
        let (ports, chain) = (frame.len() - 20, 14 + 40);
        for length in chain..ports + 4 {
            let kind = packet::parse(&frame[..length]).kind;
            let head = if matches!(extension, Extension::Destination(_)) { 4 } else { 2 };
            let expected = if length < chain + 8 + head { Kind::DestinationHidden } else { Kind::PortHidden };
            assert_eq!(kind, expected, "{length} of {extension:?}");
        }
    }
}

#[test]
fn later_fragments_are_told_by_what_they_can_become() {
    let v4 = |fragment, protocol| parse(&Frame { fragment, protocol, ..Frame::syn(V4.0, V4.1, 1) }).kind;
    assert_eq!((v4(0x2000, TCP), v4(0x2001, TCP), v4(0x1fff, ESP), v4(1, UDP)), {
        (Kind::Flow, Kind::Fragment, Kind::Fragment, Kind::Other)
    });
    for bit in 0..13 {
        assert_eq!(v4(1 << bit, TCP), Kind::Fragment, "offset {}", 1 << bit);
    }
    assert_eq!((v4(0x4000, TCP), v4(0x8000, TCP)), (Kind::Flow, Kind::Flow), "flags that say nothing of it");
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

/// A frame's bytes with these TCP flags.
pub(crate) fn with_flags(frame: &Frame, flags: u8) -> Vec<u8> {
    let mut bytes = frame.bytes();
    let at = bytes.len() - 7;
    assert_eq!(bytes[at], 0x02, "the flags of a SYN");
    bytes[at] = flags;
    bytes
}

#[test]
fn only_syn_without_ack_opens_a_connection() {
    for (source, destination) in [V4, V6] {
        let frame = Frame::syn(source, destination, 8080);
        for flags in 0..=u8::MAX {
            let packet = packet::parse(with_flags(&frame, flags).as_slice());
            assert_eq!((packet.kind, packet.opens), (Kind::Flow, flags & 0x12 == 0x02), "{flags:#x}");
        }
        assert!(!parse(&Frame { protocol: UDP, ..frame.clone() }).opens);
        // Eight bytes of a TCP header, as a first fragment may have: who hides the flags is taken for a SYN.
        let bytes = with_flags(&frame, 0x10);
        for cut in 7..=16 {
            let packet = packet::parse(&bytes[..bytes.len() - cut]);
            assert_eq!((packet.kind, packet.port, packet.opens), (Kind::Flow, 8080, true), "{cut}");
        }
        assert!(!packet::parse(&bytes[..bytes.len() - 6]).opens);
    }
}

/// The frame as a first fragment that ends behind so many bytes of TCP, by its own account; the others are padding.
fn cut(frame: &Frame, kept: u8) -> Vec<u8> {
    let mut bytes = with_flags(frame, 0x10);
    let (at, extensions) = if frame.source.is_ipv6() { (18, 8) } else { (16, 20) };
    bytes[at..at + 2].copy_from_slice(&[0, extensions + kept]);
    bytes
}

#[test]
fn flags_in_the_padding_of_a_first_fragment_do_not_hide_a_syn() {
    const MORE: u16 = 0x2000;
    let v4 = Frame { fragment: MORE, ..Frame::syn(V4.0, V4.1, 8080) };
    let first = vec![Extension::Fragment { offset: 0, more: true }];
    let v6 = Frame { extensions: first, ..Frame::syn(V6.0, V6.1, 8080) };
    for frame in [&v4, &v6] {
        for kept in [8, 13, 14, 16, 20] {
            let packet = packet::parse(cut(frame, kept).as_slice());
            assert_eq!((packet.kind, packet.opens), (Kind::Flow, kept < 14), "{kept} bytes of {frame:?}");
        }
    }
    // A whole packet's account is not asked: it is 0 where the card has joined many packets.
    let whole = Frame { options: vec![1; 4], ..Frame::syn(V4.0, V4.1, 8080) };
    assert!(!packet::parse(cut(&whole, 0).as_slice()).opens);
}
