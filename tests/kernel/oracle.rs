//! The same question answered another way: from `Rules` as people write them, by eating the frame from its front.
//! It shares no code with the program, and no number.

use gateway::xdp::Rules;
use ipnet::IpNet;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Judgement {
    /// For no listener.
    NotOurs,
    /// For a listener, which may have it.
    Admitted,
    /// For a private listener, from outside.
    Outside,
    /// Perhaps for a private listener.
    Unreadable,
}

impl Judgement {
    pub(crate) const ALL: [Self; 4] = [Self::NotOurs, Self::Admitted, Self::Outside, Self::Unreadable];

    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::NotOurs | Self::Admitted)
    }
}

pub(crate) fn passes(rules: &Rules, frame: &[u8]) -> bool {
    judge(rules, frame).passes()
}

pub(crate) fn judge(rules: &Rules, frame: &[u8]) -> Judgement {
    let unless = |private: bool| if private { Judgement::Unreadable } else { Judgement::NotOurs };
    let mut private = rules.listeners.iter().filter(|rule| rule.private.is_some());
    match frame.get(12..).map_or(Seen::NoDestination, |rest| tagged(rest, 8)) {
        Seen::Nothing | Seen::Ports { tcp: false, .. } => Judgement::NotOurs,
        Seen::NoDestination => unless(private.next().is_some()),
        Seen::NoPorts { destination } => unless(private.any(|rule| takes(rule.address.ip(), destination))),
        Seen::Ports { source, destination, port, .. } => {
            let listeners = rules.listeners.iter();
            let fitting =
                listeners.filter(|rule| rule.address.port() == port && takes(rule.address.ip(), destination));
            // One address goes before any address.
            let Some(best) = fitting.max_by_key(|rule| !rule.address.ip().is_unspecified()) else {
                return Judgement::NotOurs;
            };
            // A mapped address as the source of an IPv6 packet is forged, and entitled to nothing.
            let forged = source.is_ipv6() && source.to_canonical().is_ipv4();
            match best.private {
                Some(vpc) if forged || !entitled(&rules.vpcs[vpc], source) => Judgement::Outside,
                _ => Judgement::Admitted,
            }
        }
    }
}

/// `guard::endpoint`'s question. A network of mapped addresses is a network of IPv4.
pub(crate) fn entitled(cidrs: &[IpNet], source: IpAddr) -> bool {
    cidrs.iter().any(|cidr| match (cidr, source) {
        (IpNet::V6(cidr), IpAddr::V4(source)) => {
            cidr.prefix_len() >= 96 && cidr.contains(&source.to_ipv6_mapped())
        }
        (cidr, source) => cidr.contains(&source),
    })
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
    let mut at = 0;
    while at < options {
        match rest.get(at..) {
            Some([131 | 137, _, ..]) => return Seen::NoDestination,
            Some([1, ..]) => at += 1,
            Some([2..=255, length @ 2..=255, ..]) => at += usize::from(*length),
            // The end of the options, of the frame, or of sense: Linux reads no further either.
            _ => break,
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
    let six = source.is_ipv6();
    // What cannot be read in IPv6 might be a routing header, which leads anywhere.
    let lost = if six { Seen::NoDestination } else { Seen::NoPorts { destination: canonical } };
    let hidden = Seen::NoPorts { destination: canonical };
    if headers_left == 0 {
        return lost;
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
        (6 | 17 | 50 | 108, _) => hidden,
        (51, [next, words, ..]) => skip(*next, 8 + usize::from(*words) * 4),
        (51, _) => lost,
        (0 | 43 | 44 | 60, _) if !six => Seen::Nothing,
        (0 | 60, [next, units, _, _, ..]) => skip(*next, 8 + usize::from(*units) * 8),
        // At a route's end Linux takes a packet out of the packet, and at the same interface.
        (43, [4 | 41, ..]) => lost,
        (43, [next, units, _, 0, ..]) => skip(*next, 8 + usize::from(*units) * 8),
        (44, [next, _, high, low, ..]) => match (u16::from_be_bytes([*high, *low]) & 0xfff9, next) {
            // A first fragment that does not come to its ports at once: the others may hold any header.
            (1, 0 | 43 | 44 | 51 | 60) => lost,
            (0 | 1, next) => skip(*next, 8),
            (_, 6 | 50 | 51 | 108 | 0 | 43 | 44 | 60) => hidden,
            _ => Seen::Nothing,
        },
        (0 | 43 | 44 | 60, _) => lost,
        _ => Seen::Nothing,
    }
}
