//! Frames, built header by header.

use std::net::IpAddr;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ESP: u8 = 50;
pub(crate) const CUSTOMER_TAG: u16 = 0x8100;
pub(crate) const SERVICE_TAG: u16 = 0x88a8;

/// A header between IPv6 and the ports.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extension {
    /// With so many more units of 8 bytes.
    HopByHop(u8),
    Destination(u8),
    Routing {
        segments_left: u8,
    },
    /// `offset` in units of 8 bytes.
    Fragment {
        offset: u16,
        more: bool,
    },
    /// With so many more units of 4 bytes than the 8 it has at least. Between IPv4 and the ports too.
    Authentication(u8),
}

impl Extension {
    fn number(self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Routing { .. } => 43,
            Self::Fragment { .. } => 44,
            Self::Authentication(_) => 51,
            Self::Destination(_) => 60,
        }
    }

    fn bytes(self, next: u8) -> Vec<u8> {
        match self {
            Self::HopByHop(more) | Self::Destination(more) => {
                let mut bytes = vec![next, more, 1, 4, 0, 0, 0, 0];
                bytes.resize(8 + usize::from(more) * 8, 0);
                bytes
            }
            Self::Routing { segments_left } => {
                let mut bytes = vec![next, 2, 4, segments_left, 0, 0, 0, 0];
                bytes.resize(24, 0xfd);
                bytes
            }
            Self::Fragment { offset, more } => {
                let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
                vec![next, 0, high, low, 0, 0, 0, 7]
            }
            Self::Authentication(more) => {
                let mut bytes = vec![next, more, 0, 0, 0, 0, 0, 1];
                bytes.resize(8 + usize::from(more) * 4, 0);
                bytes
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Ethertypes of the tags, outermost first.
    pub(crate) tags: Vec<u16>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// IPv4 only; padded to a multiple of 4.
    pub(crate) options: Vec<u8>,
    /// IPv4 only: flags and offset, as on the wire.
    pub(crate) fragment: u16,
    pub(crate) extensions: Vec<Extension>,
    pub(crate) protocol: u8,
    pub(crate) port: u16,
}

impl Frame {
    /// A TCP SYN.
    pub(crate) fn syn(source: &str, destination: &str, port: u16) -> Self {
        Self {
            tags: Vec::new(),
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            options: Vec::new(),
            fragment: 0,
            extensions: Vec::new(),
            protocol: TCP,
            port,
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for tag in &self.tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 0]);
        }
        let mut payload = Vec::new();
        for (place, extension) in self.extensions.iter().enumerate() {
            let next = self.extensions.get(place + 1).map_or(self.protocol, |next| next.number());
            payload.extend(extension.bytes(next));
        }
        payload.extend(self.transport());
        let first = self.extensions.first().map_or(self.protocol, |extension| extension.number());
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut options = self.options.clone();
                options.resize(options.len().next_multiple_of(4), 0);
                let length = u16::try_from(20 + options.len() + payload.len()).unwrap();
                frame.extend(0x0800u16.to_be_bytes());
                frame.extend([0x45 + u8::try_from(options.len() / 4).unwrap(), 0]);
                frame.extend(length.to_be_bytes());
                frame.extend([0, 1]);
                frame.extend(self.fragment.to_be_bytes());
                frame.extend([64, first, 0, 0]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
                frame.extend(options);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend(0x86ddu16.to_be_bytes());
                frame.extend([0x60, 0, 0, 0]);
                frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
                frame.extend([first, 64]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
            }
            _ => panic!("one family: {self:?}"),
        }
        frame.extend(payload);
        frame
    }

    /// Without its checksum: nobody here asks for it.
    fn transport(&self) -> Vec<u8> {
        let mut bytes = 40_000u16.to_be_bytes().to_vec();
        bytes.extend(self.port.to_be_bytes());
        match self.protocol {
            TCP => bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]),
            _ => bytes.extend([0, 8, 0, 0]),
        }
        bytes
    }
}
