//! Sockets on epoll: a buffer is taken only when the socket has something to read into it.
#![allow(unsafe_code)]

use super::Size;
use super::buffer::{Chunk, Outgoing, Waiting};
use super::epoll::Readiness;
use super::executor::{Core, Driver};
use super::ring_send::cut_off;
use super::ring_socket::nothing_to_read;
use super::socket::End;
use socket2::{SockAddr, SockRef};
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

/// A descriptor that is watched for readiness.
struct Watched {
    fd: OwnedFd,
    key: usize,
    ready: Rc<Readiness>,
}

impl Watched {
    fn new(fd: OwnedFd, ready: bool) -> io::Result<Self> {
        let watched = Core::with(|core| match &core.driver {
            Driver::Epoll(poller) => poller.watch(fd.as_raw_fd(), ready),
            Driver::Ring(_) => Err(io::Error::other("this Runtime is not driven by epoll")),
        });
        let (key, ready) = watched?;
        Ok(Self { fd, key, ready })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        Core::try_with(|core| {
            if let Driver::Epoll(poller) = &core.driver {
                poller.forget(self.key);
            }
        });
    }
}

pub(super) struct Acceptor(Watched);

impl Acceptor {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self(Watched::new(fd, true)?))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let ready = &self.0.ready;
        if !Core::with(|core| core.may_go_on(cx)) {
            return Poll::Pending;
        }
        if !ready.readable.get() {
            ready.keep_reader(cx);
            return Poll::Pending;
        }
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let (nobody, length) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: no address is asked for; a descriptor that is not -1 is new and ours alone.
        let accepted = unsafe {
            match libc::accept4(self.0.fd.as_raw_fd(), nobody, length, flags) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(OwnedFd::from_raw_fd(fd)),
            }
        };
        if accepted.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            ready.wait_readable(cx);
            return Poll::Pending;
        }
        Poll::Ready(accepted)
    }
}

pub(super) struct Connection {
    socket: Watched,
    /// The end of the stream (0) or an errno: nothing comes after it.
    end: Cell<Option<i32>>,
    /// A send heard of the peer's reset, so that reads will not.
    reset: Cell<bool>,
    waiting: Cell<bool>,
    connecting: Cell<bool>,
    /// A dropped send had sent a part of its bytes.
    cut: Cell<bool>,
}

impl Connection {
    /// `ready`: it is connected, so that reading and writing may be tried at once.
    pub(super) fn new(fd: OwnedFd, ready: bool) -> io::Result<Rc<Self>> {
        let socket = Watched::new(fd, ready)?;
        let (end, reset, waiting, connecting, cut) = Default::default();
        Ok(Rc::new(Self { socket, end, reset, waiting, connecting, cut }))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.fd.as_fd()
    }

    pub(super) fn poll_connect(&self, cx: &mut Context<'_>, to: &SockAddr) -> Poll<io::Result<()>> {
        let (ready, socket) = (&self.socket.ready, SockRef::from(&self.socket.fd));
        if !self.connecting.replace(true) {
            match socket.connect(to) {
                Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
                done => return Poll::Ready(done),
            }
            ready.wait_writable(cx);
            return Poll::Pending;
        }
        if !ready.writable.get() {
            ready.wait_writable(cx);
            return Poll::Pending;
        }
        match socket.take_error() {
            Ok(None) => Poll::Ready(Ok(())),
            Ok(Some(error)) | Err(error) => Poll::Ready(Err(error)),
        }
    }

    pub(super) fn poll_recv(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        size: Size,
    ) -> Poll<io::Result<Option<Chunk>>> {
        let ready = &self.socket.ready;
        match self.end.get() {
            Some(0) => return Poll::Ready(Ok(None)),
            Some(code) => return Poll::Ready(Err(io::Error::from_raw_os_error(code))),
            None => {}
        }
        if !Core::with(|core| core.may_go_on(cx)) {
            return Poll::Pending;
        }
        ready.keep_reader(cx);
        if !ready.readable.get() {
            return Poll::Pending;
        }
        let pool = Core::with(|core| core.pool(core.size_at_hand(size)).clone());
        let Some(mut chunk) = pool.take() else {
            if !self.waiting.replace(true) {
                let reader: Weak<Self> = Rc::downgrade(self);
                pool.wait(reader);
            }
            return Poll::Pending;
        };
        loop {
            let room = chunk.as_mut_slice();
            let fd = self.socket.fd.as_raw_fd();
            // SAFETY: the kernel writes at most `room.len()` bytes into the buffer that we hold.
            let count = unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
            if let Ok(count) = usize::try_from(count) {
                // A short read has emptied the socket, unless the end stands behind it: later bytes make an
                // edge.
                if count < room.len() && !ready.ended.get() {
                    ready.readable.set(false);
                }
                if count == 0 {
                    return self.read_end(if self.reset.get() { libc::ECONNRESET } else { 0 });
                }
                chunk.truncate(count);
                return Poll::Ready(Ok(Some(chunk)));
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => {
                    ready.wait_readable(cx);
                    return Poll::Pending;
                }
                _ => return self.read_end(error.raw_os_error().unwrap_or(libc::EIO)),
            }
        }
    }

    pub(super) fn poll_end(&self, cx: &Context<'_>) -> Poll<End> {
        let ready = &self.socket.ready;
        match self.end.get() {
            Some(0) => Poll::Ready(End::Finished),
            Some(_) => Poll::Ready(End::Reset),
            None if ready.broken.get() => Poll::Ready(End::Reset),
            None if ready.ended.get() => Poll::Ready(End::Finished),
            None => {
                ready.keep_reader(cx);
                Poll::Pending
            }
        }
    }

    /// True: whoever reads from the socket itself may try. False: `poll_recv` has something to tell.
    pub(super) fn poll_direct(&self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.end.get().is_some() {
            return Poll::Ready(false);
        }
        if self.socket.ready.readable.get() {
            return Poll::Ready(true);
        }
        self.socket.ready.keep_reader(cx);
        Poll::Pending
    }

    /// After a try: waits for more, or remembers what the socket will not tell again (false).
    pub(super) fn found_nothing(&self, cx: &Context<'_>, error: &io::Error) -> bool {
        let waits = error.kind() == io::ErrorKind::WouldBlock;
        if waits {
            self.socket.ready.wait_readable(cx);
        } else {
            self.end.set(Some(error.raw_os_error().unwrap_or(libc::EIO)));
        }
        waits
    }

    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.socket.ready.writable.get() {
            return Poll::Ready(());
        }
        self.wait_room(cx);
        Poll::Pending
    }

    /// After a try that found no room.
    pub(super) fn wait_room(&self, cx: &Context<'_>) {
        self.socket.ready.wait_writable(cx);
    }

    /// A write to the socket itself failed so.
    pub(super) fn heard(&self, error: &io::Error) {
        self.reset.set(self.reset.get() || error.kind() == io::ErrorKind::ConnectionReset);
    }

    /// Has a message been given up in the middle? Sets what later sends are to find.
    pub(super) fn replace_cut(&self, cut: bool) -> bool {
        self.cut.replace(cut)
    }

    fn read_end(&self, code: i32) -> Poll<io::Result<Option<Chunk>>> {
        self.end.set(Some(code));
        Poll::Ready(if code == 0 { Ok(None) } else { Err(io::Error::from_raw_os_error(code)) })
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.end.get().is_none() && nothing_to_read(self.fd())
    }

    /// Later reads give None; the caller has shut the socket down.
    pub(super) fn end(&self) {
        self.end.set(Some(0));
        self.socket.ready.wake_reader();
    }

    pub(super) async fn send(&self, parts: [Outgoing; 3]) -> io::Result<[Outgoing; 3]> {
        if self.cut.get() {
            return Err(cut_off());
        }
        let total: usize = parts.iter().map(|part| part.as_slice().len()).sum();
        let mut progress = Progress { cut: &self.cut, done: 0, total };
        while progress.done < total {
            progress.done += poll_fn(|cx| self.poll_send(cx, &parts, progress.done)).await?;
        }
        Ok(parts)
    }

    /// Sends bytes at once, as far as the socket takes them; what it does not take comes back.
    pub(super) fn post(&self, mut bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        if self.cut.get() || !self.socket.ready.writable.get() {
            return Err(bytes);
        }
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        match SockRef::from(&self.socket.fd).send_with_flags(&bytes, flags) {
            Ok(sent) if sent < bytes.len() => {
                bytes.drain(..sent);
                Err(bytes)
            }
            // What is wrong with the connection is told to whoever reads from it.
            Ok(_) => {
                Core::with(|core| core.spare.give(bytes));
                Ok(())
            }
            Err(_) => Err(bytes),
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>, parts: &[Outgoing; 3], done: usize) -> Poll<io::Result<usize>> {
        let ready = &self.socket.ready;
        if !Core::with(|core| core.may_go_on(cx)) {
            return Poll::Pending;
        }
        if !ready.writable.get() {
            ready.wait_writable(cx);
            return Poll::Pending;
        }
        let mut skip = done;
        let vectors = parts.each_ref().map(|part| {
            let part = part.as_slice();
            let left = &part[skip.min(part.len())..];
            skip -= part.len() - left.len();
            IoSlice::new(left)
        });
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        match SockRef::from(&self.socket.fd).send_vectored_with_flags(&vectors, flags) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready.wait_writable(cx);
                Poll::Pending
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Poll::Ready(Ok(0)),
            sent => {
                let reset = sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
                self.reset.set(self.reset.get() || reset);
                Poll::Ready(sent)
            }
        }
    }
}

impl Waiting for Connection {
    fn buffer_returned(&self) {
        self.waiting.set(false);
        self.socket.ready.wake_reader();
    }
}

/// How far a send has come; dropped in the middle of its bytes, it marks the connection.
struct Progress<'a> {
    cut: &'a Cell<bool>,
    done: usize,
    total: usize,
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.done > 0 && self.done < self.total {
            self.cut.set(true);
        }
    }
}
