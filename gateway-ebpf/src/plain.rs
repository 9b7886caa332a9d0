//! The frames that nearly all are: no tag, no option, no fragment, no extension header; TCP or UDP. What
//! `packet::parse` reads from them byte by byte, in a few loads.

use crate::abi::Address;
use crate::packet::{Kind, Packet, TCP, UDP, opens};

/// Halfwords that a plain IPv4 frame has up to TCP's flags.
pub const HEAD_V4: usize = 24;
/// The same for IPv6.
pub const HEAD_V6: usize = 34;

const IPV4: u16 = 0x0800_u16.to_be();
const IPV6: u16 = 0x86dd_u16.to_be();
const VERSION_AND_LENGTH: u8 = 0x45;
/// "More fragments" and the offset.
const FRAGMENT: u16 = 0x3fff_u16.to_be();

/// `head` are the frame's first bytes as loaded. None: `packet::parse` has to read it.
#[inline(always)]
pub fn v4(head: &[u16; HEAD_V4]) -> Option<Packet> {
    let protocol = high(head[11]);
    if head[6] != IPV4
        || low(head[7]) != VERSION_AND_LENGTH
        || head[10] & FRAGMENT != 0
        || !has_ports(protocol)
    {
        return None;
    }
    Some(Packet {
        kind: Kind::Flow,
        source: Address::mapped_word(word(head[13], head[14])),
        destination: Address::mapped_word(word(head[15], head[16])),
        v6: false,
        protocol,
        port: u16::from_be(head[18]),
        opens: protocol == TCP && opens(Some(high(head[23]))),
    })
}

/// As `v4`.
#[inline(always)]
pub fn v6(head: &[u16; HEAD_V6]) -> Option<Packet> {
    let protocol = low(head[10]);
    if head[6] != IPV6 || low(head[7]) >> 4 != 6 || !has_ports(protocol) {
        return None;
    }
    let h = head;
    Some(Packet {
        kind: Kind::Flow,
        source: Address([word(h[11], h[12]), word(h[13], h[14]), word(h[15], h[16]), word(h[17], h[18])]),
        destination: Address([
            word(h[19], h[20]),
            word(h[21], h[22]),
            word(h[23], h[24]),
            word(h[25], h[26]),
        ]),
        v6: true,
        protocol,
        port: u16::from_be(h[28]),
        opens: protocol == TCP && opens(Some(high(h[33]))),
    })
}

#[inline(always)]
fn has_ports(protocol: u8) -> bool {
    protocol == TCP || protocol == UDP
}

/// The first byte on the wire.
#[inline(always)]
fn low(halfword: u16) -> u8 {
    halfword as u8
}

#[inline(always)]
fn high(halfword: u16) -> u8 {
    (halfword >> 8) as u8
}

#[inline(always)]
fn word(first: u16, second: u16) -> u32 {
    first as u32 | (second as u32) << 16
}
