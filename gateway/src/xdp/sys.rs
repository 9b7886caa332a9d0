//! The few kernel interfaces that aya does not give: links by pin, XDP state by netlink, bpffs.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_LINK_DETACH: libc::c_long = 34;
/// `BPF_FS_MAGIC`
const BPFFS: libc::c_long = 0xcafe_4a11;

/// Length of `union bpf_attr` as far as the commands above read it, and of `struct bpf_link_info` up to `xdp.ifindex`.
const ATTR_LENGTH: usize = 32;
const LINK_INFO_LENGTH: usize = 32;

fn bpf(command: libc::c_long, attr: &mut [u8; ATTR_LENGTH]) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is valid for its length, and the pointers within live until the call returns (see callers).
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), ATTR_LENGTH) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// A pinned XDP link.
pub(super) struct PinnedLink {
    fd: OwnedFd,
}

pub(super) struct LinkFacts {
    pub(super) program_id: u32,
    /// 0: the interface is gone, and the link does nothing any more.
    pub(super) interface: u32,
}

impl PinnedLink {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = c_path(path)?;
        let mut attr = [0; ATTR_LENGTH];
        attr[..8].copy_from_slice(&(path.as_ptr() as u64).to_ne_bytes());
        let fd = bpf(BPF_OBJ_GET, &mut attr)?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd as i32) } })
    }

    pub(super) fn facts(&self) -> io::Result<LinkFacts> {
        let mut info = [0u8; LINK_INFO_LENGTH];
        let mut attr = [0; ATTR_LENGTH];
        attr[..4].copy_from_slice(&self.fd.as_raw_fd().to_ne_bytes());
        attr[4..8].copy_from_slice(&(LINK_INFO_LENGTH as u32).to_ne_bytes());
        attr[8..16].copy_from_slice(&(info.as_mut_ptr() as u64).to_ne_bytes());
        bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
        Ok(LinkFacts { program_id: u32_at(&info, 8), interface: u32_at(&info, 16) })
    }

    /// Takes the program off the interface, whoever else still holds the link.
    pub(super) fn detach(&self) -> io::Result<()> {
        let mut attr = [0; ATTR_LENGTH];
        attr[..4].copy_from_slice(&self.fd.as_raw_fd().to_ne_bytes());
        bpf(BPF_LINK_DETACH, &mut attr).map(|_| ())
    }
}

pub(super) fn is_bpffs(path: &Path) -> io::Result<bool> {
    let path = c_path(path)?;
    // SAFETY: an all-zero statfs is a value, and the kernel fills it.
    let mut facts: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid during the call.
    if unsafe { libc::statfs(path.as_ptr(), &raw mut facts) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(facts.f_type as libc::c_long == BPFFS)
}

pub(super) fn mount_bpffs(target: &Path) -> io::Result<()> {
    let target = c_path(target)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: all strings are NUL-terminated and live during the call.
    let result = unsafe {
        libc::mount(c"bpf".as_ptr(), target.as_ptr(), c"bpf".as_ptr(), flags, c"mode=0700".as_ptr().cast())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(super) fn is_root() -> bool {
    user() == 0
}

pub(super) fn user() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() }
}

pub(super) fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: NUL-terminated string that lives during the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// What the kernel says of one interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InterfaceFacts {
    pub(super) name: String,
    /// `ARPHRD_*`
    pub(super) hardware: u16,
    pub(super) mtu: u32,
    /// Of virtual interfaces: "veth", "bridge"...
    pub(super) kind: Option<String>,
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

const NETLINK_REPLY_MAX: usize = 64 * 1024;

/// By RTM_GETLINK; in the network namespace of the calling thread.
pub(super) fn interface_facts(index: u32) -> io::Result<InterfaceFacts> {
    // SAFETY: no pointers.
    let fd =
        unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut request = [0u8; 32];
    request[..4].copy_from_slice(&32u32.to_ne_bytes());
    request[4..6].copy_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    request[20..24].copy_from_slice(&index.to_ne_bytes());
    // SAFETY: the buffer is valid for its length.
    if unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut reply = vec![0u8; NETLINK_REPLY_MAX];
    // SAFETY: the buffer is valid for its length.
    let length = unsafe { libc::recv(socket.as_raw_fd(), reply.as_mut_ptr().cast(), reply.len(), 0) };
    let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
    parse_link(&reply[..length])
}

/// One RTM_NEWLINK message: nlmsghdr (16 bytes), ifinfomsg (16), attributes.
fn parse_link(message: &[u8]) -> io::Result<InterfaceFacts> {
    const HEADERS: usize = 32;
    const ERROR: u16 = libc::NLMSG_ERROR as u16;
    const INFO_KIND: u16 = 1;
    const XDP_ATTACHED: u16 = 2;
    const XDP_PROGRAM: u16 = 4;
    if message.len() < HEADERS {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    match u16::from_ne_bytes([message[4], message[5]]) {
        libc::RTM_NEWLINK => {}
        ERROR => {
            let code = i32::from_ne_bytes([message[16], message[17], message[18], message[19]]);
            return Err(io::Error::from_raw_os_error(-code));
        }
        _ => return Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
    let end = (u32_at(message, 0) as usize).clamp(HEADERS, message.len());
    let mut facts =
        InterfaceFacts { hardware: u16::from_ne_bytes([message[18], message[19]]), ..Default::default() };
    for (kind, value) in attributes(&message[HEADERS..end]) {
        match kind {
            libc::IFLA_IFNAME => facts.name = text(value),
            libc::IFLA_MTU if value.len() >= 4 => facts.mtu = u32_at(value, 0),
            libc::IFLA_LINKINFO => {
                facts.kind = attributes(value).find(|(kind, _)| *kind == INFO_KIND).map(|(_, v)| text(v));
            }
            libc::IFLA_XDP => {
                let nested = |wanted| attributes(value).find(|(kind, _)| *kind == wanted).map(|(_, v)| v);
                let attached = nested(XDP_ATTACHED).and_then(<[u8]>::first).copied();
                let program = nested(XDP_PROGRAM).filter(|v| v.len() >= 4).map_or(0, |v| u32_at(v, 0));
                facts.xdp = match attached {
                    Some(1) => Some((program, Attached::Native)),
                    Some(2) => Some((program, Attached::Generic)),
                    Some(3) => Some((program, Attached::Hardware)),
                    Some(4) => Some((program, Attached::Several)),
                    _ => None,
                };
            }
            _ => {}
        }
    }
    Ok(facts)
}

fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const NESTED_AND_ORDER: u16 = 0xc000;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & !NESTED_AND_ORDER;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_netlink() {
        let facts = interface_facts(interface_index("lo").unwrap()).unwrap();
        assert_eq!(facts.name, "lo");
        assert_eq!(facts.hardware, libc::ARPHRD_LOOPBACK);
        assert!(facts.mtu >= 1280);
    }

    #[test]
    fn an_unknown_interface_is_an_error() {
        assert!(interface_facts(0x7fff_fff0).is_err());
        assert!(interface_index("no-such-if").is_err());
    }

    #[test]
    fn nested_attributes_are_read_and_garbage_ends_the_walk() {
        let mut message = vec![0u8; 32];
        message[4..6].copy_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
        let xdp = [5u16.to_ne_bytes(), 2u16.to_ne_bytes()].concat();
        let mut nested = xdp;
        nested.extend([1, 0, 0, 0]);
        nested.extend([8, 0, 4, 0]);
        nested.extend(77u32.to_ne_bytes());
        message.extend((4 + nested.len() as u16).to_ne_bytes());
        message.extend((libc::IFLA_XDP | 0x8000).to_ne_bytes());
        message.extend(&nested);
        message.extend([3, 0, 9]);
        let length = message.len() as u32;
        message[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(parse_link(&message).unwrap().xdp, Some((77, Attached::Native)));
        for cut in 0..message.len() {
            let _ = parse_link(&message[..cut]);
        }
    }
}
