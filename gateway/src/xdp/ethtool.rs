//! What a driver says of itself: name, queues, offloads (SIOCETHTOOL, `linux/ethtool.h`), and what XDP it gives
//! (generic netlink's family `netdev`, `linux/netdev.h`). Only asks; no privilege is needed.
#![allow(unsafe_code)]

use super::netlink::{Socket, attribute, attribute_of, u32_at};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const SIOCETHTOOL: u32 = 0x8946;
const DRIVER_INFO: u32 = 0x03;
const STRINGS: u32 = 0x1b;
const STRING_SETS: u32 = 0x37;
const FEATURES: u32 = 0x3a;
const CHANNELS: u32 = 0x3c;
const SET_OF_FEATURES: u32 = 4;
const STRING_LENGTH: usize = 32;
/// The kernel has some 70.
const FEATURES_MAX: usize = 1024;

/// In use now, and at most. Zero at most: the driver does not tell or cannot change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Queues {
    pub rx: u32,
    pub tx: u32,
    pub rx_max: u32,
    pub tx_max: u32,
    /// Queues that serve both directions; counted in rx and tx too.
    pub combined: u32,
    pub combined_max: u32,
}

/// An offload that gets in the way of XDP.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Offload {
    pub on: bool,
    pub changeable: bool,
}

/// What of XDP the driver gives.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Native {
    /// Programs run in the driver.
    pub possible: bool,
    /// Also for packets of several fragments: any MTU.
    pub multi_buffer: bool,
}

pub(super) struct Device<'n> {
    name: &'n str,
    socket: OwnedFd,
}

impl<'n> Device<'n> {
    pub(super) fn open(name: &'n str) -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self { name, socket: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    pub(super) fn driver(&self) -> Option<String> {
        const LENGTH: usize = 196;
        let info = self.ask(DRIVER_INFO, &[0; LENGTH - 4]).ok()?;
        Some(text(info.get(4..4 + STRING_LENGTH)?)).filter(|name| !name.is_empty())
    }

    pub(super) fn queues(&self) -> Option<Queues> {
        self.ask(CHANNELS, &[0; 32]).ok().map(|answer| queues(&answer))
    }

    /// By the kernel's name ("rx-lro"). None: the driver does not know it.
    pub(super) fn offload(&self, wanted: &str) -> Option<Offload> {
        let count = self.count_of_features()?;
        let mut request = SET_OF_FEATURES.to_ne_bytes().to_vec();
        request.extend((count as u32).to_ne_bytes());
        request.resize(8 + count * STRING_LENGTH, 0);
        let names = self.ask(STRINGS, &request).ok()?;
        let place = names.get(12..)?.chunks(STRING_LENGTH).position(|name| text(name) == wanted)?;
        let blocks = count.div_ceil(32);
        let mut request = (blocks as u32).to_ne_bytes().to_vec();
        request.resize(4 + blocks * 16, 0);
        Some(offload(&self.ask(FEATURES, &request).ok()?, place))
    }

    fn count_of_features(&self) -> Option<usize> {
        let mut request = vec![0; 16];
        request[4..12].copy_from_slice(&(1u64 << SET_OF_FEATURES).to_ne_bytes());
        let answer = self.ask(STRING_SETS, &request).ok()?;
        let known = u32_at(&answer, 8) & 1 << SET_OF_FEATURES != 0;
        known.then(|| (u32_at(&answer, 16) as usize).min(FEATURES_MAX))
    }

    /// The answer overwrites the request, command included.
    fn ask(&self, command: u32, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut buffer = command.to_ne_bytes().to_vec();
        buffer.extend(request);
        let name = CString::new(self.name)?;
        // SAFETY: an all-zero ifreq is a value.
        let mut asked: libc::ifreq = unsafe { std::mem::zeroed() };
        // One byte stays zero: the end of the name.
        for (to, from) in asked.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.as_bytes()) {
            *to = from.cast_signed();
        }
        asked.ifr_ifru.ifru_data = buffer.as_mut_ptr().cast();
        // SAFETY: `asked` and the buffer that it points to live during the call; the buffer is as long as the command's
        // structure, whose own count of elements was written into it by the caller.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut asked) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(buffer) }
    }
}

/// `struct ethtool_channels`: max rx, tx, other, combined; then how many of each.
fn queues(answer: &[u8]) -> Queues {
    let word = |place: usize| u32_at(answer, place * 4);
    let (combined, combined_max) = (word(8), word(4));
    Queues {
        rx: word(5) + combined,
        tx: word(6) + combined,
        rx_max: word(1).max(combined_max),
        tx_max: word(2).max(combined_max),
        combined,
        combined_max,
    }
}

/// `struct ethtool_gfeatures`: per 32 features the bits available, requested, active, never changed.
fn offload(answer: &[u8], place: usize) -> Offload {
    let block = 8 + place / 32 * 16;
    let bit = |word: usize| u32_at(answer, block + word * 4) & 1 << (place % 32) != 0;
    Offload { on: bit(2), changeable: bit(0) && !bit(3) }
}

/// None: this kernel does not tell (before 6.3).
pub(super) fn native(index: u32) -> Option<Native> {
    const CONTROL: u16 = 0x10;
    const FAMILY_OF: [u8; 4] = [3, 1, 0, 0];
    const FAMILY_ID: u16 = 1;
    const FAMILY_NAME: u16 = 2;
    const DEVICE: [u8; 4] = [1, 1, 0, 0];
    const INTERFACE: u16 = 1;
    let socket = Socket::open(libc::NETLINK_GENERIC).ok()?;
    let request = [FAMILY_OF.to_vec(), attribute_of(FAMILY_NAME, b"netdev\0")].concat();
    let family = socket.ask(CONTROL, 0, &request).ok()?;
    let id = u16::from_ne_bytes(*attribute(family.get(20..)?, FAMILY_ID)?.first_chunk()?);
    let request = [DEVICE.to_vec(), attribute_of(INTERFACE, &index.to_ne_bytes())].concat();
    parse_native(&socket.ask(id, 0, &request).ok()?)
}

/// nlmsghdr, genlmsghdr (4 bytes), attributes.
fn parse_native(reply: &[u8]) -> Option<Native> {
    const XDP_FEATURES: u16 = 3;
    const BASIC: u64 = 1;
    const FRAGMENTS: u64 = 32;
    let bits = u64::from_ne_bytes(*attribute(reply.get(20..)?, XDP_FEATURES)?.first_chunk()?);
    Some(Native { possible: bits & BASIC != 0, multi_buffer: bits & FRAGMENTS != 0 })
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn queues_of_both_kinds_are_counted() {
        // 4 combined of 16, and nothing else; then 2 rx of 8 and 3 tx of 8.
        let combined = queues(&words(&[CHANNELS, 0, 0, 1, 16, 0, 0, 1, 4]));
        let expected = Queues { rx: 4, tx: 4, rx_max: 16, tx_max: 16, combined: 4, combined_max: 16 };
        assert_eq!(combined, expected);
        let apart = queues(&words(&[CHANNELS, 8, 8, 0, 0, 2, 3, 0, 0]));
        assert_eq!(apart, Queues { rx: 2, tx: 3, rx_max: 8, tx_max: 8, combined: 0, combined_max: 0 });
        assert_eq!(queues(&[]), Queues::default());
    }

    #[test]
    fn an_offload_is_found_in_its_block() {
        // Feature 33 is the second bit of the second block.
        let answer = words(&[FEATURES, 2, 0, 0, 0, 0, 2, 0, 2, 0]);
        assert_eq!(offload(&answer, 33), Offload { on: true, changeable: true });
        assert_eq!(offload(&answer, 1), Offload { on: false, changeable: false });
        let fixed = words(&[FEATURES, 2, 0, 0, 0, 0, 2, 0, 2, 2]);
        assert_eq!(offload(&fixed, 33), Offload { on: true, changeable: false });
        assert_eq!(offload(&answer, 4000), Offload { on: false, changeable: false });
    }

    #[test]
    fn what_a_driver_gives_is_read() {
        let reply = |bits: u64| {
            let mut reply = vec![0; 20];
            reply.extend(attribute_of(1, &7u32.to_ne_bytes()));
            reply.extend(attribute_of(3, &bits.to_ne_bytes()));
            reply
        };
        assert_eq!(parse_native(&reply(0)), Some(Native { possible: false, multi_buffer: false }));
        assert_eq!(parse_native(&reply(3)), Some(Native { possible: true, multi_buffer: false }));
        assert_eq!(parse_native(&reply(1 | 32)), Some(Native { possible: true, multi_buffer: true }));
        assert_eq!(parse_native(&[0; 20]), None);
        assert_eq!(parse_native(&[]), None);
    }

    #[test]
    fn loopback_has_no_queues_to_change_and_no_large_receive() {
        let lo = Device::open("lo").unwrap();
        assert_eq!(lo.queues(), None);
        assert!(lo.offload("rx-lro").is_some_and(|lro| !lro.on));
        assert_eq!(lo.offload("no-such-offload"), None);
        assert_eq!(Device::open("no-such-if").unwrap().driver(), None);
    }
}
