//! A small io_uring engine for what measures and for what is the measure: accept, receive into provided buffers, send.
//! One thread per ring. Its memory is never freed: it lives as long as the program.
#![allow(unsafe_code)]

use io_uring::types::{BufRingEntry, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

const SUBMISSIONS: u32 = 2048;
const COMPLETIONS: u32 = 16 * 1024;
const PAGE: usize = 4096;
const GROUP: u16 = 0;
/// `MSG_WAITALL`: the kernel goes on with a short send by itself.
const WHOLE: i32 = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;

const ACCEPT: u64 = 1;
const RECEIVE: u64 = 2;
const SEND: u64 = 3;
const SEND_BUFFER: u64 = 4;

/// A buffer that was received into, or its whole when it comes back from a send. Give it back.
#[derive(Debug)]
pub struct Buffer {
    id: u16,
    length: u32,
}

#[derive(Debug)]
pub enum Event {
    Accepted(OwnedFd),
    Received(Buffer),
    /// No more bytes come: the peer's end, or an error. Nothing of the receive is under way any more.
    Ended,
    /// All bytes are sent (false: not all). A buffer that was sent comes back.
    Sent(bool, Option<Buffer>),
}

pub struct Ring {
    io: IoUring,
    memory: NonNull<u8>,
    entries: NonNull<BufRingEntry>,
    count: u16,
    size: u32,
    tail: u16,
    /// Buffers that the kernel may take.
    provided: u16,
    /// By token: what is received on.
    receiving: Vec<RawFd>,
    /// Tokens whose receive ended for want of buffers.
    starved: Vec<u32>,
    /// By token: how long the send under way is.
    sending: Vec<u32>,
    done: Vec<(u64, i32, u32)>,
}

impl Ring {
    /// `count` buffers (a power of two, at most 32,768) of `size` bytes.
    pub fn new(count: u16, size: u32) -> io::Result<Self> {
        if !count.is_power_of_two() || size == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "buffers: a power of two of 1 byte or more",
            ));
        }
        let io = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        let memory = zeroed(usize::from(count) * size as usize)?;
        let entries = zeroed(usize::from(count) * size_of::<BufRingEntry>())?.cast::<BufRingEntry>();
        // SAFETY: `entries` are `count` entries, page-aligned, and never freed.
        unsafe { io.submitter().register_buf_ring_with_flags(entries.as_ptr() as u64, count, GROUP, 0)? };
        let (receiving, starved, sending, done) = Default::default();
        let (tail, provided) = (0, 0);
        let mut ring =
            Self { io, memory, entries, count, size, tail, provided, receiving, starved, sending, done };
        for id in 0..count {
            ring.give_back(Buffer { id, length: 0 });
        }
        Ok(ring)
    }

    /// Connections on a listening socket, each as an event with this token.
    pub fn accept(&mut self, token: u32, listener: &impl AsRawFd) -> io::Result<()> {
        let fd = Fd(listener.as_raw_fd());
        self.push(opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build(), ACCEPT, 0, token)
    }

    /// Whatever arrives, until `Ended`. Tokens are small numbers; each has one receive at a time.
    pub fn receive(&mut self, token: u32, socket: &impl AsRawFd) -> io::Result<()> {
        let index = token as usize;
        if self.receiving.len() <= index {
            self.receiving.resize(index + 1, -1);
        }
        self.receiving[index] = socket.as_raw_fd();
        self.receive_more(token)
    }

    fn receive_more(&mut self, token: u32) -> io::Result<()> {
        let fd = Fd(self.receiving[token as usize]);
        self.push(opcode::RecvMulti::new(fd, GROUP).build(), RECEIVE, 0, token)
    }

    /// One send at a time on a socket: the kernel keeps no order between two.
    pub fn send(&mut self, token: u32, socket: &impl AsRawFd, bytes: &'static [u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), length).flags(WHOLE).build();
        self.expect(token, length);
        self.push(entry, SEND, 0, token)
    }

    /// What was received goes out as it is.
    pub fn send_buffer(&mut self, token: u32, socket: &impl AsRawFd, buffer: Buffer) -> io::Result<()> {
        let start = self.start(buffer.id).as_ptr();
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), start, buffer.length).flags(WHOLE).build();
        self.expect(token, buffer.length);
        self.push(entry, SEND_BUFFER, buffer.id, token)
    }

    pub fn bytes(&self, buffer: &Buffer) -> &[u8] {
        let length = buffer.length.min(self.size) as usize;
        // SAFETY: zeroed memory of `size` bytes that is never freed; who holds the `Buffer` has it alone.
        unsafe { std::slice::from_raw_parts(self.start(buffer.id).as_ptr(), length) }
    }

    pub fn give_back(&mut self, buffer: Buffer) {
        let (start, size) = (self.start(buffer.id), self.size);
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: `count` zeroed entries, and the kernel reads this one only once the tail is past it.
        let entry = unsafe { self.entries.add(index).as_mut() };
        entry.set_addr(start.as_ptr() as u64);
        entry.set_len(size);
        entry.set_bid(buffer.id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail stands in the first entry, aligned; only this thread writes it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
        self.provided += 1;
    }

    /// Submits all, waits for one completion (at most `wait`; None: without end), and gives all that are there.
    pub fn turn(&mut self, wait: Option<Duration>, events: &mut Vec<(u32, Event)>) -> io::Result<()> {
        if self.provided > 0 {
            for token in std::mem::take(&mut self.starved) {
                self.receive_more(token)?;
            }
        }
        let entered = match wait {
            None => self.io.submit_and_wait(1),
            Some(wait) => {
                let wait = Timespec::from(wait);
                self.io.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&wait))
            }
        };
        match entered.map_err(|error| (error.raw_os_error(), error)) {
            Ok(_) | Err((Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN), _)) => {}
            Err((_, error)) => return Err(error),
        }
        let mut done = std::mem::take(&mut self.done);
        done.extend(self.io.completion().map(|entry| (entry.user_data(), entry.result(), entry.flags())));
        for (data, result, flags) in done.drain(..) {
            self.completed(data, result, flags, events)?;
        }
        self.done = done;
        Ok(())
    }

    fn completed(
        &mut self,
        data: u64,
        result: i32,
        flags: u32,
        events: &mut Vec<(u32, Event)>,
    ) -> io::Result<()> {
        let token = data as u32;
        let id = (data >> 32) as u16;
        let more = cqueue::more(flags);
        match data >> 48 {
            ACCEPT if result >= 0 => {
                // SAFETY: the kernel has just made this descriptor for us.
                events.push((token, Event::Accepted(unsafe { OwnedFd::from_raw_fd(result) })));
            }
            ACCEPT => return Err(io::Error::from_raw_os_error(-result)),
            RECEIVE => match cqueue::buffer_select(flags) {
                Some(id) => {
                    self.provided -= 1;
                    let buffer = Buffer { id, length: result.max(0).cast_unsigned() };
                    if result > 0 {
                        events.push((token, Event::Received(buffer)));
                        if !more {
                            self.receive_more(token)?;
                        }
                    } else {
                        self.give_back(buffer);
                        events.push((token, Event::Ended));
                    }
                }
                None if result == -libc::ENOBUFS && !more => self.starved.push(token),
                None if !more => events.push((token, Event::Ended)),
                None => {}
            },
            SEND => events.push((token, Event::Sent(self.is_whole(token, result), None))),
            SEND_BUFFER => {
                let whole = self.is_whole(token, result);
                events.push((token, Event::Sent(whole, Some(Buffer { id, length: 0 }))));
            }
            _ => {}
        }
        Ok(())
    }

    fn expect(&mut self, token: u32, length: u32) {
        let index = token as usize;
        if self.sending.len() <= index {
            self.sending.resize(index + 1, 0);
        }
        self.sending[index] = length;
    }

    fn is_whole(&self, token: u32, result: i32) -> bool {
        self.sending.get(token as usize).is_some_and(|length| result.max(0).cast_unsigned() == *length)
    }

    fn push(&mut self, entry: squeue::Entry, kind: u64, id: u16, token: u32) -> io::Result<()> {
        let entry = entry.user_data(kind << 48 | u64::from(id) << 32 | u64::from(token));
        // SAFETY: what entries point to is `'static` or this ring's memory, which is never freed.
        while unsafe { self.io.submission().push(&entry) }.is_err() {
            self.io.submit()?;
        }
        Ok(())
    }

    fn start(&self, id: u16) -> NonNull<u8> {
        // SAFETY: ids are below `count`, and the memory has `count` times `size` bytes.
        unsafe { self.memory.add(usize::from(id) * self.size as usize) }
    }
}

fn zeroed(bytes: usize) -> io::Result<NonNull<u8>> {
    let layout = Layout::from_size_align(bytes, PAGE).map_err(io::Error::other)?;
    // SAFETY: callers ask for one byte at least.
    NonNull::new(unsafe { alloc_zeroed(layout) }).map_or_else(|| handle_alloc_error(layout), Ok)
}
