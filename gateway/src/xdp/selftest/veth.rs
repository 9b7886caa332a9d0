//! Two fresh network namespaces and a veth pair between them, by rtnetlink; and the namespaces as places to work in.
//! Nothing has a name on the host, so all of it vanishes with this process, however that ends.
#![allow(unsafe_code)]

use crate::xdp::netlink::{Socket, attribute_of};
use crate::xdp::{XdpError, sys};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;

/// The end that the guard is attached to, and the other one.
pub(super) const NEAR: &str = "selftest0";
pub(super) const FAR: &str = "selftest1";
pub(super) const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(super) const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

const ACKNOWLEDGE: u16 = libc::NLM_F_ACK as u16;
const CREATE: u16 = ACKNOWLEDGE | (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;

/// Moves the calling thread into a network namespace and a mount namespace of its own, with a bpffs that only it sees.
pub(super) fn leave_the_host() -> Result<(), XdpError> {
    // SAFETY: no pointers; changes the calling thread only.
    if unsafe { libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET) } != 0 {
        return Err(failed("making namespaces", &io::Error::last_os_error()));
    }
    let (none, root) = (c"none", c"/");
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: both strings are NUL-terminated and live during the call; the kernel reads no type and no data here.
    let result =
        unsafe { libc::mount(none.as_ptr(), root.as_ptr(), std::ptr::null(), private, std::ptr::null()) };
    if result != 0 {
        return Err(failed("keeping mounts from the host", &io::Error::last_os_error()));
    }
    sys::mount_bpffs(Path::new("/sys/fs/bpf")).map_err(|error| failed("mounting a bpffs", &error))
}

/// A network namespace that lives as long as this.
pub(super) struct Namespace(File);

impl Namespace {
    pub(super) fn new() -> Result<Self, XdpError> {
        let made = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                // SAFETY: no pointers; changes this thread only.
                if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                    return Err(io::Error::last_os_error());
                }
                File::open("/proc/thread-self/ns/net")
            });
            thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread ended")))
        });
        made.map(Self).map_err(|error| failed("making a network namespace", &error))
    }

    /// Does `work` within, on a thread of its own.
    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let namespace = self.0.as_raw_fd();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                // SAFETY: an open descriptor of a namespace; changes this thread only.
                if unsafe { libc::setns(namespace, libc::CLONE_NEWNET) } != 0 {
                    return Err(io::Error::last_os_error());
                }
                work()
            });
            thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread ended")))
        })
    }
}

/// A veth pair from the calling thread's namespace into the other.
pub(super) fn join(other: &Namespace) -> io::Result<()> {
    const KIND: u16 = 1;
    const DATA: u16 = 2;
    const PEER: u16 = 1;
    let far = [
        vec![0; 16],
        name(FAR),
        attribute_of(libc::IFLA_ADDRESS, &FAR_MAC),
        attribute_of(libc::IFLA_NET_NS_FD, &other.0.as_raw_fd().to_ne_bytes()),
    ];
    let info = [attribute_of(KIND, b"veth"), attribute_of(DATA, &attribute_of(PEER, &far.concat()))];
    let near = [
        vec![0; 16],
        name(NEAR),
        attribute_of(libc::IFLA_ADDRESS, &NEAR_MAC),
        attribute_of(libc::IFLA_LINKINFO, &info.concat()),
    ];
    Socket::open(libc::NETLINK_ROUTE)?.ask(libc::RTM_NEWLINK, CREATE, &near.concat()).map(drop)
}

/// Gives an interface of the calling thread's namespace its addresses and turns it on.
pub(super) fn bring_up(interface: &str, addresses: &[(IpAddr, u8)]) -> io::Result<()> {
    let index = sys::interface_index(interface)?;
    let socket = Socket::open(libc::NETLINK_ROUTE)?;
    for (address, prefix) in addresses {
        let (family, octets) = match address {
            IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
            IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
        };
        // Without the second in which an IPv6 address is looked for elsewhere.
        let mut message = vec![family as u8, *prefix, libc::IFA_F_NODAD as u8, 0];
        message.extend(index.to_ne_bytes());
        message.extend(attribute_of(libc::IFA_LOCAL, &octets));
        message.extend(attribute_of(libc::IFA_ADDRESS, &octets));
        socket.ask(libc::RTM_NEWADDR, CREATE, &message)?;
    }
    let mut message = [0u8; 16];
    message[4..8].copy_from_slice(&index.to_ne_bytes());
    let up = (libc::IFF_UP as u32).to_ne_bytes();
    message[8..12].copy_from_slice(&up);
    message[12..16].copy_from_slice(&up);
    socket.ask(libc::RTM_NEWLINK, ACKNOWLEDGE, &message).map(drop)
}

fn name(of: &str) -> Vec<u8> {
    attribute_of(libc::IFLA_IFNAME, &[of.as_bytes(), &[0]].concat())
}

pub(super) fn failed(doing: &str, error: &io::Error) -> XdpError {
    let mend = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "run it as root on the host: `sudo gateway doctor --selftest`",
        Some(libc::EOPNOTSUPP) => "this kernel has no veth: `modprobe veth`",
        _ => "`gateway doctor` shows what this host can do",
    };
    XdpError::new(format!("{doing}: {error}"), mend)
}
