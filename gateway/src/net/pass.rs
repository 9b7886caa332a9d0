//! Open descriptors from one process to another, over a Unix socket that keeps messages apart (SCM_RIGHTS).
#![allow(unsafe_code)]

use socket2::{Domain, Socket, Type};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Descriptors in one message; the kernel takes 253.
pub const PASSED_MAX: usize = 200;
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Header of a control message and the descriptors, aligned as the kernel wants them.
#[repr(C, align(8))]
struct Control([u8; 16 + PASSED_MAX * size_of::<libc::c_int>()]);

/// One end of a conversation with another process. Every wait ends after `patience`.
pub struct Passage(Socket);

impl Passage {
    /// Both ends; the other one is to become a child's standard input.
    pub fn pair(patience: Duration) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        Ok((Self::patient(ours, patience)?, theirs.into()))
    }

    /// The end that this process was started with.
    pub fn of(end: OwnedFd, patience: Duration) -> io::Result<Self> {
        Self::patient(end.into(), patience)
    }

    fn patient(socket: Socket, patience: Duration) -> io::Result<Self> {
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        Ok(Self(socket))
    }

    /// At most `PASSED_MAX` descriptors; they stay open here, too.
    pub fn send(&self, bytes: &[u8], passed: &[BorrowedFd<'_>]) -> io::Result<()> {
        if passed.len() > PASSED_MAX || bytes.len() > MESSAGE_BYTES_MAX {
            return Err(io::Error::other("the message is too long"));
        }
        let mut control = Control([0; _]);
        let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let length = std::mem::size_of_val(passed);
        // SAFETY: msghdr is plain data; all zeros is an empty message.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        (message.msg_iov, message.msg_iovlen) = (&raw mut vector, 1);
        if !passed.is_empty() {
            message.msg_control = control.0.as_mut_ptr().cast();
            // SAFETY: both compute sizes, and the buffer is aligned and long enough for PASSED_MAX descriptors: the
            // header is written within it, the descriptors behind the header.
            unsafe {
                message.msg_controllen = libc::CMSG_SPACE(length as u32) as usize;
                let header = libc::CMSG_FIRSTHDR(&raw const message);
                (*header).cmsg_level = libc::SOL_SOCKET;
                (*header).cmsg_type = libc::SCM_RIGHTS;
                (*header).cmsg_len = libc::CMSG_LEN(length as u32) as usize;
                let data = libc::CMSG_DATA(header).cast::<libc::c_int>();
                for (n, fd) in passed.iter().enumerate() {
                    data.add(n).write_unaligned(fd.as_raw_fd());
                }
            }
        }
        // SAFETY: the kernel reads the message and what it points to, all of which lives until the call returns.
        let sent = unsafe { libc::sendmsg(self.0.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// None: the other end is gone.
    pub fn receive(&self) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut control = Control([0; _]);
        let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        // SAFETY: msghdr is plain data; all zeros is an empty message.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        (message.msg_iov, message.msg_iovlen) = (&raw mut vector, 1);
        (message.msg_control, message.msg_controllen) = (control.0.as_mut_ptr().cast(), size_of::<Control>());
        // SAFETY: the kernel writes within the two buffers, which live until the call returns.
        let came = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        let Ok(came) = usize::try_from(came) else { return Err(io::Error::last_os_error()) };
        let mut passed = Vec::new();
        // SAFETY: the kernel has filled the control buffer up to msg_controllen: the macros stay within it, and each
        // descriptor in it is new and ours alone.
        unsafe {
            let mut header = libc::CMSG_FIRSTHDR(&raw const message);
            while !header.is_null() {
                if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                    let data = libc::CMSG_DATA(header).cast::<libc::c_int>();
                    let bytes = (*header).cmsg_len - libc::CMSG_LEN(0) as usize;
                    for n in 0..bytes / size_of::<libc::c_int>() {
                        passed.push(OwnedFd::from_raw_fd(data.add(n).read_unaligned()));
                    }
                }
                header = libc::CMSG_NXTHDR(&raw const message, header);
            }
        }
        if message.msg_flags & (libc::MSG_CTRUNC | libc::MSG_TRUNC) != 0 {
            return Err(io::Error::other("a message was cut: have the descriptors of this process run out?"));
        }
        bytes.truncate(came);
        Ok((came > 0).then_some((bytes, passed)))
    }
}

impl AsFd for Passage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_listening_socket_passes_with_its_words() {
        let (ours, theirs) = Passage::pair(Duration::from_secs(5)).unwrap();
        let theirs = Passage::of(theirs, Duration::from_secs(5)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        ours.send(b"one", &[listener.as_fd()]).unwrap();
        ours.send(b"none", &[]).unwrap();
        drop((ours, listener));
        let (bytes, mut passed) = theirs.receive().unwrap().unwrap();
        assert_eq!((bytes.as_slice(), passed.len()), (b"one".as_slice(), 1));
        let listener = TcpListener::from(passed.remove(0));
        TcpStream::connect(address).unwrap().write_all(b"x").unwrap();
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        let (bytes, passed) = theirs.receive().unwrap().unwrap();
        assert_eq!((bytes.as_slice(), passed.len()), (b"none".as_slice(), 0));
        assert!(theirs.receive().unwrap().is_none(), "the other end is gone");
    }

    #[test]
    fn as_many_as_one_message_takes() {
        let (ours, theirs) = Passage::pair(Duration::from_secs(5)).unwrap();
        let theirs = Passage::of(theirs, Duration::from_secs(5)).unwrap();
        let many = vec![ours.as_fd(); PASSED_MAX];
        ours.send(b"many", &many).unwrap();
        assert!(ours.send(b"more", &vec![ours.as_fd(); PASSED_MAX + 1]).is_err());
        assert_eq!(theirs.receive().unwrap().unwrap().1.len(), PASSED_MAX);
    }

    #[test]
    fn nobody_waits_for_ever() {
        let (ours, _theirs) = Passage::pair(Duration::from_millis(20)).unwrap();
        assert_eq!(ours.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
