//! Bytes that the ring sends, with what the kernel reads of them: up to three parts in one message.
#![allow(unsafe_code)]

use super::buffer::Outgoing;
use io_uring::types::Fd;
use io_uring::{opcode, squeue};

/// The bytes of one send; the rest follows in another.
const SEND_MAX: usize = 1 << 30;

/// What is being sent. It lives in a box of the Connection's Rc, which the operation keeps: nothing moves, nothing is
/// freed.
pub(super) struct Message {
    pub(super) parts: [Outgoing; 3],
    total: usize,
    pub(super) done: usize,
    vectors: [libc::iovec; 3],
    header: libc::msghdr,
}

impl Message {
    pub(super) fn new(parts: [Outgoing; 3]) -> Self {
        let total = parts.iter().map(|part| part.as_slice().len()).sum();
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: msghdr is plain data; all zeros is an empty message.
        let header = unsafe { std::mem::zeroed() };
        Self { parts, total, done: 0, vectors: [vector; 3], header }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done == self.total
    }

    /// What is left: one part by send, more by sendmsg. MSG_WAITALL: the kernel goes on after a short write.
    pub(super) fn entry(&mut self, fd: Fd) -> squeue::Entry {
        let (mut skip, mut count) = (self.done, 0);
        for part in &self.parts {
            let part = part.as_slice();
            let left = &part[skip.min(part.len())..];
            skip -= part.len() - left.len();
            if !left.is_empty() {
                let (iov_base, iov_len) = (left.as_ptr().cast_mut().cast(), left.len().min(SEND_MAX));
                self.vectors[count] = libc::iovec { iov_base, iov_len };
                count += 1;
            }
            // A cut-off part must be the last one of its message.
            if left.len() > SEND_MAX {
                break;
            }
        }
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        if count == 1 {
            let libc::iovec { iov_base, iov_len } = self.vectors[0];
            return opcode::Send::new(fd, iov_base.cast(), iov_len as u32).flags(flags).build();
        }
        (self.header.msg_iov, self.header.msg_iovlen) = (self.vectors.as_mut_ptr(), count);
        opcode::SendMsg::new(fd, &raw const self.header).flags(flags as u32).build()
    }
}
