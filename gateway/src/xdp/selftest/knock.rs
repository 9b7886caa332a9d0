//! Knocking at a listener from the other namespace: by a connection, or by a frame that no socket would send.
#![allow(unsafe_code)]

use super::veth::{FAR, FAR_MAC, NEAR_MAC};
use crate::xdp::sys;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A veth pair answers at once; a loaded host takes longer.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// Silence for so long, and a counted drop, are a refusal.
pub(super) const SILENT_FOR: Duration = Duration::from_millis(300);

const IPV4: u16 = 0x0800;
const PRIORITY_TAG: [u8; 4] = [0x81, 0, 0, 0];
const TCP: u8 = 6;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const FRAMES_MAX: usize = 64;

/// A connection from that address. None: silence. Anything else, even a reset, is an error: it came past the guard.
pub(super) fn connect(source: IpAddr, to: SocketAddr, within: Duration) -> io::Result<Option<Socket>> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    // Closed by a reset, so that nothing is left waiting.
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect_timeout(&to.into(), within) {
        Ok(()) => Ok(Some(socket)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends a SYN in a frame with a priority tag (VLAN 0), which the kernel strips and delivers. Is it answered?
pub(super) fn tagged_syn(source: SocketAddrV4, to: SocketAddrV4, within: Duration) -> io::Result<bool> {
    let socket = Packets::open(sys::interface_index(FAR)?)?;
    socket.set_timeout(within)?;
    socket.send(&frame(source, to))?;
    for _ in 0..FRAMES_MAX {
        match socket.receive() {
            Ok(received) if is_answer(&received, source, to) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// A packet socket on one interface, for IPv4.
struct Packets(OwnedFd);

impl Packets {
    fn open(interface: u32) -> io::Result<Self> {
        let protocol = IPV4.to_be();
        // SAFETY: no pointers.
        let fd =
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol.into()) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        // SAFETY: an all-zero sockaddr_ll is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = interface.cast_signed();
        // SAFETY: the address is valid for its length.
        let result = unsafe {
            libc::bind(fd, (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t)
        };
        if result == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
    }

    fn set_timeout(&self, within: Duration) -> io::Result<()> {
        socket2::SockRef::from(&self.0).set_read_timeout(Some(within))
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the buffer is valid for its length.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut frame = vec![0u8; 2048];
        // SAFETY: the buffer is valid for its length.
        let length = unsafe { libc::recv(self.0.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0) };
        let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
        frame.truncate(length);
        Ok(frame)
    }
}

/// Ethernet, priority tag, IPv4, TCP SYN, with checksums.
fn frame(source: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
    let addresses = [source.ip().octets(), to.ip().octets()].concat();
    let mut tcp = [source.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    tcp.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, SYN, 0xff, 0xff, 0, 0, 0, 0]);
    let pseudo = [addresses.as_slice(), &[0, TCP, 0, tcp.len() as u8]].concat();
    let sum = checksum(&[pseudo, tcp.clone()].concat());
    tcp[16..18].copy_from_slice(&sum);
    let mut ip = vec![0x45, 0, 0, 20 + tcp.len() as u8, 0, 1, 0x40, 0, 64, TCP, 0, 0];
    ip.extend(addresses);
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let ethernet = [NEAR_MAC.as_slice(), &FAR_MAC, &PRIORITY_TAG, &IPV4.to_be_bytes()].concat();
    [ethernet, ip, tcp].concat()
}

/// RFC 1071
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let word = |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

fn is_answer(frame: &[u8], source: SocketAddrV4, to: SocketAddrV4) -> bool {
    const ETHERNET: usize = 14;
    let Some(ip) = frame.get(ETHERNET..).filter(|ip| ip.len() >= 20 && ip[9] == TCP) else { return false };
    let Some(tcp) = ip.get(usize::from(ip[0] & 0x0f) * 4..).filter(|tcp| tcp.len() >= 20) else {
        return false;
    };
    let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
    let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    let from_to = (SocketAddrV4::new(address(12), port(0)), SocketAddrV4::new(address(16), port(2)));
    from_to == (to, source) && tcp[13] & SYN_ACK == SYN_ACK
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 1071, section 3.
    #[test]
    fn the_checksum_is_the_internets() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), [0x22, 0x0d]);
        assert_eq!(checksum(&[0x01]), [0xfe, 0xff]);
    }

    #[test]
    fn only_the_answer_to_this_knock_counts() {
        let (source, to) = ("192.0.2.2:40000".parse().unwrap(), "192.0.2.1:8080".parse().unwrap());
        // The frame back, without the tag.
        let answer = |from: SocketAddrV4, at: SocketAddrV4, flags: u8| {
            let mut frame = frame(from, at);
            frame.drain(12..16);
            frame[14 + 20 + 13] = flags;
            frame
        };
        assert!(is_answer(&answer(to, source, SYN_ACK), source, to));
        assert!(!is_answer(&answer(to, source, 0x14), source, to), "a reset");
        assert!(!is_answer(&answer(source, to, SYN_ACK), source, to), "our own");
        let other = "192.0.2.2:40001".parse().unwrap();
        assert!(!is_answer(&answer(to, other, SYN_ACK), source, to));
        let whole = answer(to, source, SYN_ACK);
        for cut in 0..whole.len() {
            assert!(!is_answer(&whole[..cut], source, to));
        }
    }
}
