//! What a frame says about itself: Ethernet, VLAN, IPv4, IPv6, TCP and UDP through one checked accessor.
//! The same code reads a slice on the host and the packet in the kernel.

use crate::abi::Address;

/// A run of tags this long is walked; the kernel would strip any number of priority tags and deliver.
pub const VLAN_TAGS_MAX: usize = 8;
/// IPv6 extension headers (and authentication headers) that are walked.
pub const EXTENSION_HEADERS_MAX: usize = 8;
/// IPv4 has at most 40 bytes of options, so at most that many.
const OPTIONS_MAX: usize = 40;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
const TCP_FLAGS_AT: usize = 13;
const HOP_BY_HOP: u8 = 0;
const IPV4_WITHIN: u8 = 4;
const IPV6_WITHIN: u8 = 41;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ENCRYPTED: u8 = 50;
const AUTHENTICATED: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const COMPRESSED: u8 = 108;

const ETHERTYPE_AT: usize = 12;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN_CUSTOMER: u16 = 0x8100;
const VLAN_SERVICE: u16 = 0x88a8;

/// Where the bytes come from.
pub trait Bytes {
    /// `N` bytes from offset `at` of the frame; None past its end.
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;
}

impl Bytes for [u8] {
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at..)?.first_chunk::<N>().copied()
    }
}

/// Every field has a value whatever the kind: the verifier refuses a program that copies what was never written,
/// which is what a variant without the fields would compile to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Packet {
    pub kind: Kind,
    pub source: Address,
    pub destination: Address,
    /// IPv6 on the wire; otherwise both addresses are mapped IPv4.
    pub v6: bool,
    pub protocol: u8,
    /// Of the destination.
    pub port: u16,
    /// Of a flow: a new connection, by SYN without ACK. Flags that cannot be read are taken for it.
    pub opens: bool,
}

/// How far the packet could be read, and which fields of it hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Neither IPv4 nor IPv6: no field.
    NotIp,
    /// IP, of a protocol that no listener speaks: all but `port`.
    Other,
    /// Read to its ports: all.
    Flow,
    /// A fragment without ports, that can become part of a flow: all but `port`.
    Fragment,
    /// The kernel might deliver it, and its ports cannot be read: all but `port`.
    PortHidden,
    /// As `PortHidden`, and not even the final destination is known: no field.
    DestinationHidden,
}

impl Packet {
    #[inline(always)]
    fn without_fields(kind: Kind) -> Self {
        Self {
            kind,
            source: Address::ANY_V6,
            destination: Address::ANY_V6,
            v6: false,
            protocol: 0,
            port: 0,
            opens: false,
        }
    }

    #[inline(always)]
    fn of(kind: Kind, packet: Self) -> Self {
        Self { kind, ..packet }
    }
}

#[inline(always)]
pub fn parse<B: Bytes + ?Sized>(frame: &B) -> Packet {
    let packet = match ethertype(frame) {
        Some((IPV4, at)) => ipv4(frame, at),
        Some((IPV6, at)) => ipv6(frame, at),
        Some(_) => Some(Packet::without_fields(Kind::NotIp)),
        None => None,
    };
    packet.unwrap_or(Packet::without_fields(Kind::DestinationHidden))
}

/// The type behind all tags, and where its payload starts.
#[inline(always)]
fn ethertype<B: Bytes + ?Sized>(frame: &B) -> Option<(u16, usize)> {
    let mut at = ETHERTYPE_AT;
    for _ in 0..=VLAN_TAGS_MAX {
        let ethertype = u16::from_be_bytes(frame.read(at)?);
        if ethertype != VLAN_CUSTOMER && ethertype != VLAN_SERVICE {
            return Some((ethertype, at + 2));
        }
        at += 4;
    }
    None
}

#[inline(always)]
fn ipv4<B: Bytes + ?Sized>(frame: &B, at: usize) -> Option<Packet> {
    let header: [u8; 20] = frame.read(at)?;
    let length = usize::from(header[0] & 0xf) * 4;
    if header[0] >> 4 != 4 || length < header.len() {
        return None;
    }
    if length > header.len() && source_routed(frame, at + header.len(), at + length) {
        return None;
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
    let protocol = header[9];
    let source = Address::mapped([header[12], header[13], header[14], header[15]]);
    let destination = Address::mapped([header[16], header[17], header[18], header[19]]);
    let packet = Packet { kind: Kind::Flow, source, destination, v6: false, protocol, port: 0, opens: false };
    if fragment & 0x1fff != 0 {
        return Some(Packet::of(later_fragment(false, protocol), packet));
    }
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let end = End { at: at + total, more_follows: fragment != 0 };
    Some(transport(frame, at + length, end, packet))
}

/// Where the packet ends by its own account; a frame may be longer. Only fragments are held to it: of a whole packet
/// that is too short the kernel takes nothing, and of a very long one the account is 0.
struct End {
    at: usize,
    more_follows: bool,
}

/// A source route names further destinations, and the kernel may deliver to one of them.
#[inline(always)]
fn source_routed<B: Bytes + ?Sized>(frame: &B, mut at: usize, end: usize) -> bool {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    for _ in 0..OPTIONS_MAX {
        if at >= end {
            return false;
        }
        match frame.read(at) {
            Some([NO_OPERATION, _]) => at += 1,
            Some([LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE, _]) => return true,
            // The kernel drops an option that is shorter than its own head.
            Some([END, _] | [_, 0 | 1]) | None => return false,
            Some([_, length]) => at += usize::from(length),
        }
    }
    false
}

#[inline(always)]
fn ipv6<B: Bytes + ?Sized>(frame: &B, at: usize) -> Option<Packet> {
    let header: [u8; 40] = frame.read(at)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let protocol = header[6];
    let source = Address::from_octets(*header[8..].first_chunk()?);
    let destination = Address::from_octets(*header[24..].first_chunk()?);
    let packet = Packet { kind: Kind::Flow, source, destination, v6: true, protocol, port: 0, opens: false };
    let payload = usize::from(u16::from_be_bytes([header[4], header[5]]));
    Some(transport(frame, at + 40, End { at: at + 40 + payload, more_follows: false }, packet))
}

/// Walks the headers between IP and the ports. `packet.protocol` says what stands at `at`.
#[inline(always)]
fn transport<B: Bytes + ?Sized>(frame: &B, mut at: usize, mut end: End, mut packet: Packet) -> Packet {
    // A header that is not read might be a routing header of IPv6, which leads to any address.
    packet.kind = if packet.v6 { Kind::DestinationHidden } else { Kind::PortHidden };
    for _ in 0..=EXTENSION_HEADERS_MAX {
        match packet.protocol {
            TCP | UDP => {
                let Some(port) = frame.read(at + 2) else {
                    return Packet::of(Kind::PortHidden, packet);
                };
                packet.port = u16::from_be_bytes(port);
                // Behind the end of a first fragment stands anything: the flags are in the next one.
                let flags = frame.read(at + TCP_FLAGS_AT).map(|[flags]| flags);
                let cut = end.more_follows && at + TCP_FLAGS_AT >= end.at;
                packet.opens = packet.protocol == TCP && (cut || opens(flags));
                return Packet::of(Kind::Flow, packet);
            }
            ENCRYPTED | COMPRESSED => return Packet::of(Kind::PortHidden, packet),
            AUTHENTICATED => {
                let Some([next, length]) = frame.read(at) else { return packet };
                packet.protocol = next;
                at += (usize::from(length) + 2) * 4;
            }
            HOP_BY_HOP | DESTINATION_OPTIONS | ROUTING if packet.v6 => {
                let Some([next, length, _, segments_left]) = frame.read(at) else { return packet };
                // At a route's end the kernel unwraps a packet, and takes it in behind this program.
                let within = next == IPV4_WITHIN || next == IPV6_WITHIN;
                if packet.protocol == ROUTING && (segments_left != 0 || within) {
                    return packet;
                }
                packet.protocol = next;
                at += (usize::from(length) + 1) * 8;
            }
            FRAGMENT if packet.v6 => {
                let Some([next, _, high, low]) = frame.read(at) else { return packet };
                packet.protocol = next;
                let fragment = u16::from_be_bytes([high, low]);
                if fragment & 0xfff8 != 0 {
                    return Packet::of(later_fragment(true, next), packet);
                }
                // The kernel takes the rest of a chain from the other fragments, whatever stands behind this one.
                let more = fragment & 1 != 0;
                if more && extends(next) {
                    return packet;
                }
                end.more_follows |= more;
                at += 8;
            }
            _ => return Packet::of(Kind::Other, packet),
        }
    }
    packet
}

#[inline(always)]
fn extends(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATED | DESTINATION_OPTIONS)
}

#[inline(always)]
pub(crate) fn opens(flags: Option<u8>) -> bool {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    flags.is_none_or(|flags| flags & (SYN | ACK) == SYN)
}

/// Can a fragment that is not the first become part of a flow? IPv4 keeps the protocol in each fragment. IPv6's next
/// header is only a hint there, but the first fragment, which counts, is judged by itself.
#[inline(always)]
fn later_fragment(v6: bool, protocol: u8) -> Kind {
    match protocol {
        TCP | ENCRYPTED | AUTHENTICATED | COMPRESSED => Kind::Fragment,
        HOP_BY_HOP | DESTINATION_OPTIONS | ROUTING | FRAGMENT if v6 => Kind::Fragment,
        _ => Kind::Other,
    }
}
