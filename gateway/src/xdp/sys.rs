//! The few kernel interfaces that aya does not give: links by pin, bpffs.
#![allow(unsafe_code)]

pub(super) use super::netlink::{Attached, InterfaceFacts, interface_facts};

use super::netlink::u32_at;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_LINK_GET_FD_BY_ID: libc::c_long = 30;
const BPF_LINK_GET_NEXT_ID: libc::c_long = 31;
const BPF_LINK_DETACH: libc::c_long = 34;
const BPF_LINK_TYPE_XDP: u32 = 6;
const LINKS_LOOKED_AT_MAX: usize = 16_384;
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

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn facts(&self) -> io::Result<LinkFacts> {
        let info = self.info()?;
        Ok(LinkFacts { program_id: u32_at(&info, 8), interface: u32_at(&info, 16) })
    }

    /// `struct bpf_link_info`
    fn info(&self) -> io::Result<[u8; LINK_INFO_LENGTH]> {
        let mut info = [0u8; LINK_INFO_LENGTH];
        let mut attr = [0; ATTR_LENGTH];
        attr[..4].copy_from_slice(&self.fd.as_raw_fd().to_ne_bytes());
        attr[4..8].copy_from_slice(&(LINK_INFO_LENGTH as u32).to_ne_bytes());
        attr[8..16].copy_from_slice(&(info.as_mut_ptr() as u64).to_ne_bytes());
        bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
        Ok(info)
    }

    /// Takes the program off the interface, whoever else still holds the link.
    pub(super) fn detach(&self) -> io::Result<()> {
        let mut attr = [0; ATTR_LENGTH];
        attr[..4].copy_from_slice(&self.fd.as_raw_fd().to_ne_bytes());
        bpf(BPF_LINK_DETACH, &mut attr).map(|_| ())
    }
}

/// The id of the link by which the program is attached to the interface. None: there is none, or it may not be asked.
pub(super) fn link_of(program: u32, interface: u32) -> Option<u32> {
    let mut id = 0u32;
    for _ in 0..LINKS_LOOKED_AT_MAX {
        let mut attr = [0; ATTR_LENGTH];
        attr[..4].copy_from_slice(&id.to_ne_bytes());
        bpf(BPF_LINK_GET_NEXT_ID, &mut attr).ok()?;
        id = u32_at(&attr, 4);
        let mut attr = [0; ATTR_LENGTH];
        attr[..4].copy_from_slice(&id.to_ne_bytes());
        // It may be gone since.
        let Ok(fd) = bpf(BPF_LINK_GET_FD_BY_ID, &mut attr) else { continue };
        // SAFETY: the kernel has just made this descriptor for us.
        let link = PinnedLink { fd: unsafe { OwnedFd::from_raw_fd(fd as i32) } };
        if link.info().is_ok_and(|info| {
            [0, 8, 16].map(|at| u32_at(&info, at)) == [BPF_LINK_TYPE_XDP, program, interface]
        }) {
            return Some(id);
        }
    }
    None
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

#[cfg(feature = "xdp-log")]
pub(super) fn wait_readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor, which is open and in a struct that lives during the call.
    while unsafe { libc::poll(&raw mut poll, 1, -1) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_an_error() {
        assert!(interface_index("no-such-if").is_err());
        assert!(interface_index("lo").is_ok());
    }
}
