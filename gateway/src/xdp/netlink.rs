//! The kernel's list of interfaces and addresses by rtnetlink, in the network namespace of the calling thread.
//! Layouts: `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h`.
#![allow(unsafe_code)]

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const REPLY_MAX: usize = 64 * 1024;
/// Of one list; a host with more interfaces or addresses is told in part.
const LIST_MAX: usize = 32 * 1024 * 1024;
const NLMSG_HEADER: usize = 16;

const ERROR: u16 = libc::NLMSG_ERROR as u16;
const DONE: u16 = libc::NLMSG_DONE as u16;
const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const DUMP: u16 = libc::NLM_F_DUMP as u16;

/// What the kernel says of one interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InterfaceFacts {
    pub(super) index: u32,
    pub(super) name: String,
    /// `ARPHRD_*`
    pub(super) hardware: u16,
    pub(super) mtu: u32,
    pub(super) up: bool,
    /// Of virtual interfaces: "veth", "bridge"...
    pub(super) kind: Option<String>,
    /// Index of the bond or bridge that it is a port of.
    pub(super) master: Option<u32>,
    /// Index of the interface beneath a VLAN and the like, or of a veth's other end.
    pub(super) link: Option<u32>,
    /// `link` is an index of another network namespace.
    pub(super) link_elsewhere: bool,
    /// VLAN's number.
    pub(super) vlan: Option<u16>,
    pub(super) bond_mode: Option<u8>,
    /// Receive and transmit queues that were made; not all need be in use.
    pub(super) queues: (u32, u32),
    /// Attached program and how.
    pub(super) xdp: Option<(u32, Attached)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Attached {
    Native,
    Generic,
    Hardware,
    /// One in the driver and one in the hardware.
    Several,
}

/// By RTM_GETLINK.
pub(super) fn interface_facts(index: u32) -> io::Result<InterfaceFacts> {
    let mut family = [0u8; 16];
    family[4..8].copy_from_slice(&index.to_ne_bytes());
    let reply = Socket::open(libc::NETLINK_ROUTE)?.ask(libc::RTM_GETLINK, 0, &family)?;
    parse_link(&reply)
}

/// Every interface of this network namespace.
pub(super) fn interfaces() -> io::Result<Vec<InterfaceFacts>> {
    let list = Socket::open(libc::NETLINK_ROUTE)?.list(libc::RTM_GETLINK, &[0; 16])?;
    let links = messages(&list).filter(|message| u16_at(message, 4) == libc::RTM_NEWLINK);
    links.map(parse_link).collect()
}

/// Every address of this network namespace, with the index of its interface.
pub(super) fn addresses() -> io::Result<Vec<(u32, IpAddr)>> {
    let list = Socket::open(libc::NETLINK_ROUTE)?.list(libc::RTM_GETADDR, &[0; 8])?;
    Ok(messages(&list).filter_map(parse_address).collect())
}

pub(super) struct Socket(OwnedFd);

impl Socket {
    pub(super) fn open(protocol: libc::c_int) -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// One request, one message for an answer; an error of the kernel is an error.
    pub(super) fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send(kind, flags, body)?;
        let reply = self.receive()?;
        refused(&reply)?;
        Ok(reply)
    }

    /// All messages of a list, one behind the other.
    fn list(&self, kind: u16, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send(kind, DUMP, body)?;
        let mut list = Vec::new();
        while list.len() < LIST_MAX {
            let reply = self.receive()?;
            refused(&reply)?;
            let done = messages(&reply).any(|message| u16_at(message, 4) == DONE);
            list.extend(reply);
            if done {
                break;
            }
        }
        Ok(list)
    }

    fn send(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let mut request = vec![0u8; NLMSG_HEADER];
        request.extend(body);
        let length = request.len() as u32;
        request[..4].copy_from_slice(&length.to_ne_bytes());
        request[4..6].copy_from_slice(&kind.to_ne_bytes());
        request[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        // SAFETY: the buffer is valid for its length.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut reply = vec![0u8; REPLY_MAX];
        // SAFETY: the buffer is valid for its length.
        let length = unsafe { libc::recv(self.0.as_raw_fd(), reply.as_mut_ptr().cast(), reply.len(), 0) };
        let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
        reply.truncate(length);
        Ok(reply)
    }
}

/// An NLMSG_ERROR with a code is an error; one without is an acknowledgement.
fn refused(reply: &[u8]) -> io::Result<()> {
    if reply.len() < NLMSG_HEADER + 4 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    match (u16_at(reply, 4), u32_at(reply, NLMSG_HEADER).cast_signed()) {
        (ERROR, code) if code < 0 => Err(io::Error::from_raw_os_error(-code)),
        _ => Ok(()),
    }
}

/// The messages of a reply, each with its header; one that is cut ends them.
fn messages(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = u32_at(rest, 0) as usize;
        let message = rest.get(..length).filter(|_| length >= NLMSG_HEADER)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
    .filter(|message| message.len() > NLMSG_HEADER)
}

/// One RTM_NEWLINK message: nlmsghdr (16 bytes), ifinfomsg (16), attributes.
fn parse_link(message: &[u8]) -> io::Result<InterfaceFacts> {
    const HEADERS: usize = 32;
    if message.len() < HEADERS || u16_at(message, 4) != libc::RTM_NEWLINK {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let end = (u32_at(message, 0) as usize).clamp(HEADERS, message.len());
    let mut facts = InterfaceFacts {
        hardware: u16_at(message, 18),
        index: u32_at(message, 20),
        up: u32_at(message, 24) & libc::IFF_UP as u32 != 0,
        ..Default::default()
    };
    for (kind, value) in attributes(&message[HEADERS..end]) {
        let number = || Some(u32_at(value, 0)).filter(|n| *n != 0);
        match kind {
            libc::IFLA_IFNAME => facts.name = text(value),
            libc::IFLA_MTU => facts.mtu = u32_at(value, 0),
            libc::IFLA_MASTER => facts.master = number(),
            libc::IFLA_LINK => facts.link = number(),
            libc::IFLA_LINK_NETNSID => facts.link_elsewhere = true,
            libc::IFLA_NUM_RX_QUEUES => facts.queues.0 = u32_at(value, 0),
            libc::IFLA_NUM_TX_QUEUES => facts.queues.1 = u32_at(value, 0),
            libc::IFLA_LINKINFO => link_info(value, &mut facts),
            libc::IFLA_XDP => facts.xdp = program(value),
            _ => {}
        }
    }
    Ok(facts)
}

fn link_info(value: &[u8], facts: &mut InterfaceFacts) {
    const KIND: u16 = 1;
    const DATA: u16 = 2;
    const VLAN_ID: u16 = 1;
    const BOND_MODE: u16 = 1;
    facts.kind = attribute(value, KIND).map(text);
    let first = |kind| attribute(attribute(value, DATA).unwrap_or_default(), kind);
    match facts.kind.as_deref() {
        Some("vlan") => facts.vlan = first(VLAN_ID).map(|id| u16_at(id, 0)),
        Some("bond") => facts.bond_mode = first(BOND_MODE).and_then(<[u8]>::first).copied(),
        _ => {}
    }
}

fn program(value: &[u8]) -> Option<(u32, Attached)> {
    const ATTACHED: u16 = 2;
    const PROGRAM: u16 = 4;
    let attached = match attribute(value, ATTACHED)?.first()? {
        1 => Attached::Native,
        2 => Attached::Generic,
        3 => Attached::Hardware,
        4 => Attached::Several,
        _ => return None,
    };
    Some((attribute(value, PROGRAM).map_or(0, |id| u32_at(id, 0)), attached))
}

/// One RTM_NEWADDR message: nlmsghdr, ifaddrmsg (8 bytes), attributes.
fn parse_address(message: &[u8]) -> Option<(u32, IpAddr)> {
    const HEADERS: usize = 24;
    if u16_at(message, 4) != libc::RTM_NEWADDR {
        return None;
    }
    let found = message.get(HEADERS..)?;
    // With a peer, IFA_ADDRESS is the peer's.
    let bytes = attribute(found, libc::IFA_LOCAL).or_else(|| attribute(found, libc::IFA_ADDRESS))?;
    let address = match i32::from(*message.get(NLMSG_HEADER)?) {
        libc::AF_INET => IpAddr::from(*bytes.first_chunk::<4>()?),
        libc::AF_INET6 => IpAddr::from(*bytes.first_chunk::<16>()?),
        _ => return None,
    };
    Some((u32_at(message, 20), address))
}

pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const NESTED_AND_ORDER: u16 = 0xc000;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & !NESTED_AND_ORDER;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(super) fn attribute(of: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(of).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// An attribute to send, padded.
pub(super) fn attribute_of(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_ne_bytes(*chunk))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u16::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel would send it: header, family header, attributes.
    fn message(kind: u16, family: &[u8], attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut message = vec![0u8; NLMSG_HEADER];
        message.extend(family);
        message.extend(attributes.concat());
        let length = message.len() as u32;
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message
    }

    fn link(index: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut family = [0u8; 16];
        family[2..4].copy_from_slice(&libc::ARPHRD_ETHER.to_ne_bytes());
        family[4..8].copy_from_slice(&index.to_ne_bytes());
        family[8..12].copy_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
        message(libc::RTM_NEWLINK, &family, attributes)
    }

    fn info(kind: &str, data: &[u8]) -> Vec<u8> {
        let kind = attribute_of(1, &[kind.as_bytes(), &[0]].concat());
        attribute_of(libc::IFLA_LINKINFO | 0x8000, &[kind, attribute_of(2 | 0x8000, data)].concat())
    }

    fn number(kind: u16, value: u32) -> Vec<u8> {
        attribute_of(kind, &value.to_ne_bytes())
    }

    #[test]
    fn loopback_is_known() {
        let all = interfaces().unwrap();
        let lo = all.iter().find(|facts| facts.name == "lo").unwrap();
        assert_eq!(*lo, interface_facts(lo.index).unwrap());
        assert_eq!(lo.hardware, libc::ARPHRD_LOOPBACK);
        assert!(lo.mtu >= 1280);
        assert!(addresses().unwrap().contains(&(lo.index, IpAddr::from([127, 0, 0, 1]))));
    }

    #[test]
    fn an_unknown_interface_is_an_error() {
        assert_eq!(interface_facts(0x7fff_fff0).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn relatives_are_read() {
        let vlan = link(
            7,
            &[
                attribute_of(libc::IFLA_IFNAME, b"eth0.12\0"),
                number(libc::IFLA_LINK, 2),
                info("vlan", &attribute_of(1, &12u16.to_ne_bytes())),
            ],
        );
        let facts = parse_link(&vlan).unwrap();
        assert_eq!((facts.index, facts.name.as_str(), facts.up), (7, "eth0.12", true));
        assert_eq!((facts.link, facts.vlan, facts.link_elsewhere), (Some(2), Some(12), false));

        let bond = parse_link(&link(8, &[info("bond", &attribute_of(1, &[4]))])).unwrap();
        assert_eq!((bond.kind.as_deref(), bond.bond_mode, bond.vlan), (Some("bond"), Some(4), None));

        let slave = parse_link(&link(9, &[number(libc::IFLA_MASTER, 8)])).unwrap();
        assert_eq!(slave.master, Some(8));

        let veth =
            link(10, &[number(libc::IFLA_LINK, 3), number(libc::IFLA_LINK_NETNSID, 0), info("veth", &[])]);
        let veth = parse_link(&veth).unwrap();
        assert_eq!((veth.link, veth.link_elsewhere), (Some(3), true));
    }

    #[test]
    fn programs_are_read_and_garbage_ends_the_walk() {
        let xdp = [attribute_of(2, &[1]), number(4, 77)].concat();
        let mut message = link(3, &[attribute_of(libc::IFLA_XDP | 0x8000, &xdp), vec![3, 0, 9]]);
        assert_eq!(parse_link(&message).unwrap().xdp, Some((77, Attached::Native)));
        for cut in 0..message.len() {
            let _ = parse_link(&message[..cut]);
        }
        for place in NLMSG_HEADER..message.len() {
            message[place] ^= 0xff;
            let _ = parse_link(&message);
        }
    }

    #[test]
    fn of_a_tunnel_the_own_address_counts() {
        let family = [libc::AF_INET as u8, 32, 0, 0, 5, 0, 0, 0];
        let (peer, own) =
            (attribute_of(libc::IFA_ADDRESS, &[10, 0, 0, 2]), attribute_of(libc::IFA_LOCAL, &[10, 0, 0, 1]));
        let tunnel = message(libc::RTM_NEWADDR, &family, &[peer.clone(), own]);
        assert_eq!(parse_address(&tunnel), Some((5, IpAddr::from([10, 0, 0, 1]))));
        let plain = message(libc::RTM_NEWADDR, &family, &[peer]);
        assert_eq!(parse_address(&plain), Some((5, IpAddr::from([10, 0, 0, 2]))));
        for cut in 0..tunnel.len() {
            let _ = parse_address(&tunnel[..cut]);
        }
    }

    #[test]
    fn a_list_ends_at_what_is_cut() {
        let list = [link(1, &[]), link(2, &[]), link(3, &[])].concat();
        assert_eq!(messages(&list).count(), 3);
        assert_eq!(messages(&list[..list.len() - 1]).count(), 2);
        assert_eq!(messages(&[0; 64]).count(), 0);
    }

    #[test]
    fn an_acknowledgement_is_no_error() {
        let answer = |code: i32| message(ERROR, &code.to_ne_bytes(), &[]);
        assert!(refused(&answer(0)).is_ok());
        assert_eq!(refused(&answer(-libc::EPERM)).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert!(refused(&[]).is_err());
    }
}
