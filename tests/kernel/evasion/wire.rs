//! A link of a namespace, below its IP: sends any frame, and hears what comes back.
#![allow(unsafe_code)]

use super::build::{Lane, V4, frame};
use std::io::{Error, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Until a frame that nothing holds up must have been answered.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
const ICMP: u8 = 1;

pub(crate) struct Wire {
    socket: OwnedFd,
    /// For echo requests to an address without listeners.
    lane: Lane,
    echoes: u16,
}

/// A TCP segment that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) from: u16,
    pub(crate) to: u16,
}

impl Wire {
    /// In the calling thread's namespace. `lane` is an IPv4 one.
    pub(crate) fn new(interface: &str, lane: Lane) -> Self {
        let every = u16::try_from(libc::ETH_P_ALL).unwrap().to_be();
        // SAFETY: no pointers; the descriptor is checked before it is owned.
        let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(socket >= 0, "packet socket: {}", Error::last_os_error());
        // SAFETY: the kernel has just made this descriptor for us.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let wire = Self { socket, lane, echoes: 0 };
        // Not what we send ourselves.
        wire.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1i32);
        let poll = libc::timeval { tv_sec: 0, tv_usec: POLL.subsec_micros().into() };
        wire.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &poll);
        wire.set(libc::SOL_SOCKET, libc::SO_RCVBUF, &(8 << 20));
        let name = std::ffi::CString::new(interface).unwrap();
        // SAFETY: a NUL-terminated string that lives during the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        let address = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).unwrap(),
            sll_protocol: every,
            sll_ifindex: i32::try_from(index).unwrap(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let length = u32::try_from(size_of_val(&address)).unwrap();
        // SAFETY: `address` is valid for `length` bytes during the call.
        let bound = unsafe { libc::bind(wire.socket.as_raw_fd(), (&raw const address).cast(), length) };
        assert_eq!(bound, 0, "bind to {interface}: {}", Error::last_os_error());
        wire
    }

    fn set<T>(&self, level: i32, option: i32, value: &T) {
        let length = u32::try_from(size_of::<T>()).unwrap();
        // SAFETY: `value` is valid for `length` bytes, and only read.
        let set = unsafe {
            libc::setsockopt(self.socket.as_raw_fd(), level, option, (&raw const *value).cast(), length)
        };
        assert_eq!(set, 0, "socket option {option}: {}", Error::last_os_error());
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        // SAFETY: the frame is valid for its length, and only read.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        assert_eq!(usize::try_from(sent), Ok(frame.len()), "{}: {frame:02x?}", Error::last_os_error());
    }

    fn receive(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 10_000];
        // SAFETY: the buffer is valid for its length.
        let length =
            unsafe { libc::recv(self.socket.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0) };
        let Ok(length) = usize::try_from(length) else {
            let error = Error::last_os_error();
            assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted), "{error}");
            return None;
        };
        frame.truncate(length);
        Some(frame)
    }

    /// What TCP has answered, once everything that was sent before has been dealt with: frames keep their order, so
    /// the reply to an echo request says so. Twice, because what a frame carries may be queued behind the first.
    pub(crate) fn settle(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        for _ in 0..2 {
            self.echoes += 1;
            let mut request = vec![8, 0, 0, 0, 0x77, 0x77];
            request.extend(self.echoes.to_be_bytes());
            let sum = u32::from(0x0800u16) + 0x7777 + u32::from(self.echoes);
            let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            request[2..4].copy_from_slice(&sum.to_be_bytes());
            let header = V4 { protocol: ICMP, ..V4::of(&Lane { destination: self.lane.other, ..self.lane }) };
            self.send(&frame(&self.lane, &header.with(&request)));
            let deadline = Instant::now() + ANSWERED_WITHIN;
            loop {
                assert!(Instant::now() < deadline, "echo request {} is not answered", self.echoes);
                let Some(frame) = self.receive() else { continue };
                if is_echo_reply(&frame, self.echoes) {
                    break;
                }
                answers.extend(tcp(&frame));
            }
        }
        answers
    }
}

fn is_echo_reply(frame: &[u8], number: u16) -> bool {
    let sent = [&[0x77, 0x77][..], &number.to_be_bytes()].concat();
    frame.len() >= 42
        && frame[12..15] == [8, 0, 0x45]
        && frame[23] == ICMP
        && frame[34] == 0
        && frame[38..42] == sent
}

/// The ports of a TCP segment as Linux sends them: without tags, extension headers or fragments.
fn tcp(frame: &[u8]) -> Option<Answer> {
    let at = match (frame.get(12..14)?, *frame.get(14)?) {
        ([0x08, 0x00], first) if frame.get(23) == Some(&6) => 14 + usize::from(first & 0xf) * 4,
        ([0x86, 0xdd], _) if frame.get(20) == Some(&6) => 54,
        // A segment routing header in the answer to one.
        ([0x86, 0xdd], _) if frame.get(20) == Some(&43) => 54 + 8 + usize::from(*frame.get(55)?) * 8,
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?));
    Some(Answer { from: port(at)?, to: port(at + 2)? })
}
