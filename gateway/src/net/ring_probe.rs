//! Tries what no version number tells for certain: that this kernel accepts and receives multishot.
#![allow(unsafe_code)]

use super::buffer::Pool;
use io_uring::types::Fd;
use io_uring::{IoUring, cqueue, opcode, squeue};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

const ACCEPT: u64 = 1;
const RECV: u64 = 2;
const CANCEL: u64 = 3;

/// One byte through a multishot receive with provided buffers, and a multishot accept that is cancelled.
pub(super) fn multishot(mut io: IoUring) -> io::Result<()> {
    let (near, mut far) = UnixStream::pair()?;
    far.write_all(b"?")?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let pool = Pool::new((2, 64))?;
    // SAFETY: the pool outlives the ring, which is closed below after its operations have ended.
    pool.provide(|address, entries| unsafe {
        io.submitter().register_buf_ring_with_flags(address, entries, 0, 0)
    })?;
    let recv = opcode::RecvMulti::new(Fd(near.as_raw_fd()), 0).build().user_data(RECV);
    let accept = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).build().user_data(ACCEPT);
    submit(&mut io, &[recv, accept])?;
    io.submit_and_wait(1)?;
    let cancel = |op| opcode::AsyncCancel::new(op).build().user_data(CANCEL);
    submit(&mut io, &[cancel(RECV), cancel(ACCEPT)])?;
    let (mut open, mut received, mut refused) = (2, false, None);
    while open > 0 {
        io.submit_and_wait(1)?;
        for entry in io.completion().filter(|entry| entry.user_data() != CANCEL) {
            let more = cqueue::more(entry.flags());
            received |= entry.user_data() == RECV && entry.result() == 1 && more;
            if !more {
                open -= 1;
                refused =
                    refused.or(Some(-entry.result()).filter(|code| ![0, libc::ECANCELED].contains(code)));
            }
        }
    }
    match refused {
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        None if !received => Err(io::Error::other("a receive ended after one shot")),
        None => Ok(()),
    }
}

fn submit(io: &mut IoUring, entries: &[squeue::Entry]) -> io::Result<()> {
    // SAFETY: the entries point to no memory; the sockets stay open until both operations have ended.
    unsafe { io.submission().push_multiple(entries) }.map_err(io::Error::other)
}
