//! The frames: TCP SYNs in Ethernet, built header by header, with checksums that the kernel accepts.

use std::net::{IpAddr, SocketAddr};

const TCP: u8 = 6;
const FRAGMENT_HEADER: u8 = 44;
const SOURCE_PORT: u16 = 40_000;
/// What a switch sees at least, without its checksum.
const ETHERNET_MIN: usize = 60;

/// A TCP SYN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) source: IpAddr,
    pub(crate) destination: SocketAddr,
    /// Priority tags before the IP header.
    pub(crate) tags: usize,
    /// A later fragment instead: no ports.
    pub(crate) later_fragment: bool,
    pub(crate) ethernet: [[u8; 6]; 2],
}

impl Frame {
    pub(crate) fn syn(source: IpAddr, destination: SocketAddr) -> Self {
        let ethernet = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
        Self { source, destination, tags: 0, later_fragment: false, ethernet }
    }

    /// None: the addresses are not of one family.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        let mut frame: Vec<u8> = self.ethernet.concat();
        for _ in 0..self.tags {
            frame.extend([0x81, 0, 0, 0]);
        }
        match (self.source, self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend([8, 0]);
                let at = frame.len();
                frame.extend([0x45, 0, 0, 40, 0xff, 0xff]);
                frame.extend(if self.later_fragment { [0, 10] } else { [0, 0] });
                frame.extend([64, TCP, 0, 0]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
                let sum = checksum(&frame[at..]);
                frame[at + 10..at + 12].copy_from_slice(&sum.to_be_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0]);
                let (length, next) = if self.later_fragment { (28, FRAGMENT_HEADER) } else { (20, TCP) };
                frame.extend([length, next, 64]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
                if self.later_fragment {
                    frame.extend([TCP, 0, 0, 80, 0, 0, 0, 7]);
                }
            }
            _ => return None,
        }
        frame.extend(SOURCE_PORT.to_be_bytes());
        frame.extend(self.destination.port().to_be_bytes());
        // Its checksum is not right: no frame of the benchmark reaches TCP.
        frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
        frame.resize(frame.len().max(ETHERNET_MIN), 0);
        Some(frame)
    }
}

/// RFC 1071, over an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| pair.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syn(source: &str, destination: &str) -> Frame {
        Frame::syn(source.parse().unwrap(), destination.parse().unwrap())
    }

    #[test]
    fn a_header_with_its_checksum_sums_to_zero() {
        let frame = syn("203.0.113.7", "10.0.0.1:443").bytes().unwrap();
        assert_eq!(checksum(&frame[14..34]), 0);
        assert_eq!(frame.len(), ETHERNET_MIN);
        assert_eq!(frame[36..38], 443u16.to_be_bytes());
        assert!(syn("203.0.113.7", "[fd00::1]:443").bytes().is_none());
    }

    #[test]
    fn the_gateways_own_parser_reads_them_as_meant() {
        use gateway_ebpf::packet::{Kind, parse};
        for (source, destination) in [("203.0.113.7", "10.0.0.1:443"), ("2001:db8::7", "[fd00::1]:443")] {
            for (tags, later_fragment, kind) in
                [(0, false, Kind::Flow), (8, false, Kind::Flow), (9, false, Kind::DestinationHidden)]
                    .into_iter()
                    .chain([(0, true, Kind::Fragment)])
            {
                let frame = Frame { tags, later_fragment, ..syn(source, destination) };
                let packet = parse(frame.bytes().unwrap().as_slice());
                assert_eq!(packet.kind, kind, "{frame:?}");
                assert!(kind != Kind::Flow || packet.port == 443);
            }
        }
    }
}
