//! The same question answered another way: from `Rules` as people write them, by eating the frame from its front.
//! It shares no code with the program.

use gateway::xdp::Rules;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What could be made of a frame.
enum Seen {
    /// Nothing that a listener could get.
    Nothing,
    Ports {
        source: IpAddr,
        destination: IpAddr,
        tcp: bool,
        port: u16,
    },
    NoPorts {
        destination: IpAddr,
    },
    NoDestination,
}

pub(crate) fn passes(rules: &Rules, frame: &[u8]) -> bool {
    let private = |wanted: &dyn Fn(IpAddr) -> bool| {
        rules.listeners.iter().any(|rule| rule.private.is_some() && wanted(rule.address.ip()))
    };
    match frame.get(12..).map_or(Seen::NoDestination, |rest| tagged(rest, 8)) {
        Seen::Nothing | Seen::Ports { tcp: false, .. } => true,
        Seen::NoDestination => !private(&|_| true),
        Seen::NoPorts { destination } => !private(&|listener| takes(listener, destination)),
        Seen::Ports { source, destination, port, .. } => {
            let best = rules
                .listeners
                .iter()
                .filter(|rule| rule.address.port() == port && takes(rule.address.ip(), destination))
                .max_by_key(|rule| (!rule.address.ip().is_unspecified(), rule.address.is_ipv4()));
            // A mapped address as the source of an IPv6 packet is forged, and entitled to nothing.
            let forged = source.is_ipv6() && source.to_canonical().is_ipv4();
            best.and_then(|rule| rule.private).is_none_or(|vpc| !forged && entitled(&rules.vpcs[vpc], source))
        }
    }
}

/// `guard::endpoint`'s question.
pub(crate) fn entitled(cidrs: &[ipnet::IpNet], source: IpAddr) -> bool {
    cidrs.iter().any(|cidr| cidr.contains(&source))
}

fn takes(listener: IpAddr, destination: IpAddr) -> bool {
    match listener {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => destination.is_ipv4(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => destination.is_ipv6(),
        _ => listener == destination,
    }
}

fn tagged(rest: &[u8], tags_left: usize) -> Seen {
    match *rest {
        [0x81, 0x00, ..] | [0x88, 0xa8, ..] if tags_left == 0 => Seen::NoDestination,
        [0x81, 0x00, _, _, ref rest @ ..] | [0x88, 0xa8, _, _, ref rest @ ..] => tagged(rest, tags_left - 1),
        [0x81, 0x00, ..] | [0x88, 0xa8, ..] => Seen::NoDestination,
        [0x08, 0x00, ref rest @ ..] => version_4(rest),
        [0x86, 0xdd, ref rest @ ..] => version_6(rest),
        [_, _, ..] => Seen::Nothing,
        _ => Seen::NoDestination,
    }
}

fn version_4(packet: &[u8]) -> Seen {
    let Some((&header, rest)) = packet.split_first_chunk::<20>() else { return Seen::NoDestination };
    let words = header[0].checked_sub(0x45).filter(|words| *words <= 10);
    let Some(options) = words.map(|words| usize::from(words) * 4) else { return Seen::NoDestination };
    let mut left = &rest[..options.min(rest.len())];
    // One byte at the end of the frame is no option: the ports behind it are missing anyway.
    while let [kind, second, ..] = *left_with_next(left, rest) {
        match (kind, second) {
            (131 | 137, _) => return Seen::NoDestination,
            (1, _) => left = &left[1..],
            (0, _) | (_, 0 | 1) => break,
            (_, length) => left = left.get(usize::from(length)..).unwrap_or_default(),
        }
    }
    let source = IpAddr::from([header[12], header[13], header[14], header[15]]);
    let destination = IpAddr::from([header[16], header[17], header[18], header[19]]);
    let later = header[6] & 0x1f != 0 || header[7] != 0;
    match header[9] {
        6 | 50 | 51 | 108 if later => Seen::NoPorts { destination },
        _ if later => Seen::Nothing,
        protocol => match rest.get(options..) {
            Some(rest) => behind(rest, protocol, source, destination, 9),
            None => behind(&[], protocol, source, destination, 9),
        },
    }
}

/// The options from `left` on, with the byte behind them when there is one: a kind is read with its neighbour.
fn left_with_next<'a>(left: &'a [u8], all: &'a [u8]) -> &'a [u8] {
    if left.is_empty() {
        return left;
    }
    let start = left.as_ptr() as usize - all.as_ptr() as usize;
    &all[start..(start + left.len() + 1).min(all.len())]
}

fn version_6(packet: &[u8]) -> Seen {
    let Some((header, rest)) = packet.split_first_chunk::<40>() else { return Seen::NoDestination };
    if header[0] & 0xf0 != 0x60 {
        return Seen::NoDestination;
    }
    let address = |at: usize| Ipv6Addr::from(*header[at..].first_chunk::<16>().unwrap());
    behind(rest, header[6], IpAddr::V6(address(8)), IpAddr::V6(address(24)), 9)
}

/// `headers_left` counts the header with the ports too.
fn behind(rest: &[u8], protocol: u8, source: IpAddr, destination: IpAddr, headers_left: usize) -> Seen {
    // A mapped destination on the wire is looked up as IPv4; a mapped source stays IPv6.
    let canonical = destination.to_canonical();
    let hidden = Seen::NoPorts { destination: canonical };
    if headers_left == 0 {
        return hidden;
    }
    let skip = |next: u8, length: usize| {
        let rest = rest.get(length..).unwrap_or_default();
        behind(rest, next, source, destination, headers_left - 1)
    };
    match (protocol, rest) {
        (6 | 17, [_, _, high, low, ..]) => {
            let port = u16::from_be_bytes([*high, *low]);
            Seen::Ports { source, destination: canonical, tcp: protocol == 6, port }
        }
        (50 | 108, _) => hidden,
        (51, [next, words, ..]) => skip(*next, 8 + usize::from(*words) * 4),
        (0 | 60, [next, units, _, _, ..]) if source.is_ipv6() => skip(*next, 8 + usize::from(*units) * 8),
        (43, [next, units, _, 0, ..]) if source.is_ipv6() => skip(*next, 8 + usize::from(*units) * 8),
        (43, [_, _, _, _, ..]) if source.is_ipv6() => Seen::NoDestination,
        (44, [next, _, high, low, ..]) if source.is_ipv6() => {
            match (u16::from_be_bytes([*high, *low]) >> 3, next) {
                (0, next) => skip(*next, 8),
                (_, 6 | 50 | 51 | 108 | 0 | 43 | 44 | 60) => hidden,
                _ => Seen::Nothing,
            }
        }
        (6 | 17 | 51, _) => hidden,
        (0 | 43 | 44 | 60, _) if source.is_ipv6() => hidden,
        _ => Seen::Nothing,
    }
}
