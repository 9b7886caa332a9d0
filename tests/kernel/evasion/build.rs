//! Frames as a kernel takes them: with right lengths and checksums, unless a case spoils them on purpose.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const AUTHENTICATION: u8 = 51;
pub(crate) const DESTINATION: u8 = 60;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PUSH: u8 = 8;
pub(crate) const ACK: u8 = 16;
pub(crate) const URGENT: u8 = 32;

/// Who sends what to whom. All addresses are of one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// Another address of the gateway's host, without any listener.
    pub(crate) other: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) port: u16,
    /// Of the receiver, then of the sender.
    pub(crate) macs: [[u8; 6]; 2],
}

impl Lane {
    pub(crate) fn v6(&self) -> bool {
        self.source.is_ipv6()
    }
}

/// The Internet checksum over several pieces, each but the last of even length.
fn checksum(pieces: &[&[u8]]) -> [u8; 2] {
    let words = pieces.iter().flat_map(|piece| piece.chunks(2));
    let mut sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Sets the checksum at `at`, which holds zeros, as TCP and UDP do over both families.
fn sealed(mut payload: Vec<u8>, at: usize, protocol: u8, from: IpAddr, to: IpAddr) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let addresses = [octets(from), octets(to)].concat();
    let sum = checksum(&[&addresses, &[0, protocol], &length, &payload]);
    payload[at..at + 2].copy_from_slice(&sum);
    payload
}

/// A TCP segment. `words` is the data offset as it is written, `options` follow the header.
pub(crate) fn segment(lane: &Lane, flags: u8, words: u8, options: &[u8]) -> Vec<u8> {
    let mut bytes = [lane.source_port.to_be_bytes(), lane.port.to_be_bytes()].concat();
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(options);
    sealed(bytes, 16, TCP, lane.source, lane.destination)
}

pub(crate) fn syn(lane: &Lane) -> Vec<u8> {
    segment(lane, SYN, 5, &[])
}

/// What begins with two ports and is not TCP.
pub(crate) fn datagram(lane: &Lane, protocol: u8) -> Vec<u8> {
    let mut bytes = [lane.source_port.to_be_bytes(), lane.port.to_be_bytes()].concat();
    bytes.extend([0, 12, 0, 0, b'p', b'i', b'n', b'g']);
    sealed(bytes, 6, protocol, lane.source, lane.destination)
}

/// An IPv4 header, whose fields can be wrong where one says so.
#[derive(Clone, Debug)]
pub(crate) struct V4 {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) protocol: u8,
    /// What holds the fragments of a packet together: no two cases share it.
    pub(crate) identification: u16,
    /// Flags and offset, as on the wire.
    pub(crate) fragment: u16,
    /// A multiple of 4 bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) version: u8,
    pub(crate) ihl: Option<u8>,
    pub(crate) total: Option<u16>,
}

impl V4 {
    pub(crate) fn of(lane: &Lane) -> Self {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (lane.source, lane.destination) else {
            panic!("an IPv4 case over {lane:?}");
        };
        Self {
            source,
            destination,
            protocol: TCP,
            identification: lane.source_port,
            fragment: 0,
            options: Vec::new(),
            version: 4,
            ihl: None,
            total: None,
        }
    }

    pub(crate) fn with(&self, payload: &[u8]) -> Vec<u8> {
        let length = 20 + self.options.len();
        let ihl = self.ihl.unwrap_or(u8::try_from(length / 4).unwrap());
        let total = self.total.unwrap_or(u16::try_from(length + payload.len()).unwrap());
        let mut header = vec![self.version << 4 | ihl, 0];
        header.extend(total.to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([64, self.protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        let sum = checksum(&[&header[..(usize::from(ihl) * 4).min(header.len())]]);
        header[10..12].copy_from_slice(&sum);
        [header, payload.to_vec()].concat()
    }
}

/// An IPv6 header.
#[derive(Clone, Debug)]
pub(crate) struct V6 {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) next: u8,
    pub(crate) version: u8,
    pub(crate) length: Option<u16>,
}

impl V6 {
    pub(crate) fn of(lane: &Lane) -> Self {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (lane.source, lane.destination) else {
            panic!("an IPv6 case over {lane:?}");
        };
        Self { source, destination, next: TCP, version: 6, length: None }
    }

    pub(crate) fn with(&self, payload: &[u8]) -> Vec<u8> {
        let length = self.length.unwrap_or(u16::try_from(payload.len()).unwrap());
        let mut bytes = vec![self.version << 4, 0, 0, 0];
        bytes.extend(length.to_be_bytes());
        bytes.extend([self.next, 64]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(payload);
        bytes
    }
}

/// A packet of the lane's family.
pub(crate) fn packet(lane: &Lane, protocol: u8, payload: &[u8]) -> Vec<u8> {
    if lane.v6() {
        V6 { next: protocol, ..V6::of(lane) }.with(payload)
    } else {
        V4 { protocol, ..V4::of(lane) }.with(payload)
    }
}

/// The frame around it, behind tags of (ethertype, priority and VID).
pub(crate) fn tagged(lane: &Lane, tags: &[(u16, u16)], packet: &[u8]) -> Vec<u8> {
    let mut frame = lane.macs.concat();
    for (ethertype, control) in tags {
        frame.extend(ethertype.to_be_bytes());
        frame.extend(control.to_be_bytes());
    }
    frame.extend(if lane.v6() { 0x86ddu16 } else { 0x0800 }.to_be_bytes());
    frame.extend(packet);
    frame
}

pub(crate) fn frame(lane: &Lane, packet: &[u8]) -> Vec<u8> {
    tagged(lane, &[], packet)
}

/// A header of options (hop by hop, destination) of `units + 1` times 8 bytes, which Linux skips: options of an
/// unknown type whose first two bits are 0 (RFC 8200, 4.2), at most 8 of them.
pub(crate) fn options(next: u8, units: u8) -> Vec<u8> {
    const EXPERIMENT: u8 = 0x1e;
    let length = 8 + usize::from(units) * 8;
    let mut bytes = vec![next, units];
    while bytes.len() < length {
        let mut size = (length - bytes.len()).min(257);
        // One byte is no option.
        if length - bytes.len() - size == 1 {
            size -= 1;
        }
        bytes.extend([EXPERIMENT, u8::try_from(size - 2).unwrap()]);
        bytes.resize(bytes.len() + size - 2, 0);
    }
    bytes
}

/// A routing header without addresses.
pub(crate) fn routing(next: u8, kind: u8, segments_left: u8) -> Vec<u8> {
    vec![next, 0, kind, segments_left, 0, 0, 0, 0]
}

/// A segment routing header (RFC 8754) over one or two segments, the last one first.
pub(crate) fn segments(next: u8, segments_left: u8, list: &[IpAddr]) -> Vec<u8> {
    let last = u8::try_from(list.len() - 1).unwrap();
    let mut bytes = vec![next, 2 * (last + 1), 4, segments_left, last, 0, 0, 0];
    list.iter().for_each(|address| bytes.extend(octets(*address)));
    bytes
}

/// `offset` in units of 8 bytes.
pub(crate) fn fragment(lane: &Lane, next: u8, offset: u16, more: bool) -> Vec<u8> {
    let mut bytes = vec![next, 0];
    bytes.extend((offset << 3 | u16::from(more)).to_be_bytes());
    bytes.extend(u32::from(lane.source_port).to_be_bytes());
    bytes
}

/// An authentication header with a value of 12 bytes.
pub(crate) fn authentication(next: u8) -> Vec<u8> {
    let mut bytes = vec![next, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    bytes.resize(24, 0x55);
    bytes
}
