//! Listener and Stream: the one surface that everybody uses, over whichever driver runs this thread.

use super::buffer::{Chunk, Outgoing};
use super::executor::{Core, Driver};
use super::pipe::Pipe;
use super::ring_send::cut_off;
use super::timer::{now, sleep_until};
use super::{Size, epoll_socket, ring_socket};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long accepting rests when descriptors or memory have run out.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// What the kernel keeps unsent of one connection, besides what is under way to its peer. Without it a peer that does
/// not read makes the kernel keep megabytes, and a thousand of them use up the memory of TCP for all.
const UNSENT_BYTES: u32 = 128 << 10;

/// A listening socket, made by the control plane (bound, listening, SO_REUSEPORT), served by this worker.
pub struct Listener(Acceptor);

enum Acceptor {
    Ring(Rc<ring_socket::Acceptor>),
    Epoll(epoll_socket::Acceptor),
}

impl Listener {
    /// Only on the thread of a Runtime.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let options = SockRef::from(&socket);
        // Accepted connections inherit both: one call for all of them.
        options.set_tcp_nodelay(true)?;
        options.set_tcp_notsent_lowat(UNSENT_BYTES)?;
        let ring = on_ring();
        // The ring waits by itself for a socket that may block, and gives EAGAIN for one that may not.
        options.set_nonblocking(!ring)?;
        Ok(Self(if ring {
            Acceptor::Ring(ring_socket::Acceptor::new(socket))
        } else {
            Acceptor::Epoll(epoll_socket::Acceptor::new(socket)?)
        }))
    }

    /// The next connection (TCP_NODELAY set). When descriptors run out (EMFILE, ENFILE, ENOBUFS) it tells `exhausted`,
    /// pauses and goes on by itself; errors of a single connection are skipped. Dropping the Listener closes it.
    pub async fn accept_or(&self, exhausted: impl Fn()) -> io::Result<(Stream, SocketAddr)> {
        loop {
            let accepted = match &self.0 {
                Acceptor::Ring(acceptor) => poll_fn(|cx| acceptor.poll_accept(cx)).await,
                Acceptor::Epoll(acceptor) => poll_fn(|cx| acceptor.poll_accept(cx)).await,
            };
            match accepted {
                Ok(socket) => {
                    // A connection that was reset while it waited has no peer any more.
                    let Ok(peer) = SockRef::from(&socket).peer_addr().and_then(inet) else { continue };
                    match Stream::new(socket, true) {
                        Ok(stream) => return Ok((stream, peer)),
                        // The kernel's watches have run out: this connection is lost, the next one may fit.
                        Err(_) => sleep_until(now() + EXHAUSTED_PAUSE).await,
                    }
                }
                Err(error) => match error.raw_os_error() {
                    // EAGAIN: another process that has this socket, too, is about to leave it.
                    Some(
                        code @ (libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EAGAIN),
                    ) => {
                        if code != libc::EAGAIN {
                            exhausted();
                        }
                        sleep_until(now() + EXHAUSTED_PAUSE).await;
                    }
                    // accept(2): what the network did to one connection is no error of the listener.
                    Some(
                        libc::ECONNABORTED
                        | libc::EINTR
                        | libc::EPROTO
                        | libc::EPERM
                        | libc::ETIMEDOUT
                        | libc::ENETDOWN
                        | libc::ENETUNREACH
                        | libc::EHOSTDOWN
                        | libc::EHOSTUNREACH
                        | libc::ENONET
                        | libc::ENOPROTOOPT
                        | libc::EOPNOTSUPP,
                    ) => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

impl Listener {
    /// As `accept_or`, with nobody to tell.
    #[cfg(test)]
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        self.accept_or(|| {}).await
    }

    /// Accepts no more, and hands out what the kernel had accepted until then; None: that was all. Connections that
    /// wait in the backlog stay there, for whoever else holds the socket.
    pub async fn rest(&self) -> Option<(Stream, SocketAddr)> {
        let Acceptor::Ring(acceptor) = &self.0 else { return None };
        loop {
            let Some(socket) = poll_fn(|cx| acceptor.poll_rest(cx)).await else {
                if acceptor.takes_missed() {
                    continue;
                }
                return None;
            };
            let Ok(peer) = SockRef::from(&socket).peer_addr().and_then(inet) else { continue };
            if let Ok(stream) = Stream::new(socket, true) {
                return Some((stream, peer));
            }
        }
    }

    /// The same socket once more, for another process.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        match &self.0 {
            Acceptor::Ring(acceptor) => acceptor.fd().try_clone_to_owned(),
            Acceptor::Epoll(acceptor) => acceptor.fd().try_clone_to_owned(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Acceptor::Ring(acceptor) = &self.0 {
            acceptor.close();
        }
    }
}

/// How a peer has ended its side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN: it sends no more. Whether it still reads is not known.
    Finished,
    /// RST, or another error: it is gone.
    Reset,
}

/// A TCP connection. Reading and writing may go on at the same time from two futures (`&self`).
/// Dropping it closes the descriptor once the kernel has let go of every buffer.
pub struct Stream(Connection);

enum Connection {
    Ring(Rc<ring_socket::Connection>),
    Epoll(Rc<epoll_socket::Connection>),
}

impl Stream {
    fn new(socket: OwnedFd, connected: bool) -> io::Result<Self> {
        Ok(Self(if on_ring() {
            Connection::Ring(ring_socket::Connection::new(socket))
        } else {
            Connection::Epoll(epoll_socket::Connection::new(socket, connected)?)
        }))
    }

    /// With TCP_NODELAY. Dropping the future gives the attempt up.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let kind = Type::STREAM.nonblocking();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
        let (stream, address) = (Self::new(socket.into(), false)?, SockAddr::from(address));
        match &stream.0 {
            Connection::Ring(connection) => poll_fn(|cx| connection.poll_connect(cx, &address)).await?,
            Connection::Epoll(connection) => poll_fn(|cx| connection.poll_connect(cx, &address)).await?,
        }
        Ok(stream)
    }

    /// The next bytes (never an empty Chunk), or None at the end of the stream. At most one reader at a time.
    /// Holds no buffer while it waits. Dropping the future loses nothing.
    /// `size` is a wish: bytes that have arrived already come as they are.
    pub async fn recv(&self, size: Size) -> io::Result<Option<Chunk>> {
        poll_fn(|cx| self.poll_recv(cx, size)).await
    }

    pub(super) fn poll_recv(&self, cx: &mut Context<'_>, size: Size) -> Poll<io::Result<Option<Chunk>>> {
        match &self.0 {
            Connection::Ring(connection) => connection.poll_recv(cx, size),
            Connection::Epoll(connection) => connection.poll_recv(cx, size),
        }
    }

    /// Waits for the end of what the peer sends, and takes nothing: bytes stay for the next `recv`, and once a few
    /// chunks of them wait, the end behind them is not seen. Not while another future of this task reads.
    pub async fn ended(&self) -> End {
        match &self.0 {
            Connection::Ring(connection) => poll_fn(|cx| connection.poll_end(cx)).await,
            Connection::Epoll(connection) => poll_fn(|cx| connection.poll_end(cx)).await,
        }
    }

    /// Has the connection failed since its last error was told? Asks the socket.
    pub fn has_failed(&self) -> bool {
        !matches!(SockRef::from(&self.fd()).take_error(), Ok(None))
    }

    /// Sends all of it and hands the (still full) buffer back for reuse. At most one writer at a time.
    /// When the future is dropped in the middle of its bytes, every later send fails with BrokenPipe.
    pub async fn send(&self, data: Outgoing) -> io::Result<Outgoing> {
        let [data, ..] = self.send_parts([data, Outgoing::Empty, Outgoing::Empty]).await?;
        Ok(data)
    }

    /// Sends all three in order with as few system calls as possible, and hands them back.
    pub async fn send_parts(&self, parts: [Outgoing; 3]) -> io::Result<[Outgoing; 3]> {
        match &self.0 {
            Connection::Ring(connection) => connection.send(parts).await,
            Connection::Epoll(connection) => connection.send(parts).await,
        }
    }

    /// Puts bytes on their way without waiting for them: an error shows where one reads. What comes back has to be
    /// sent with `send`: another send is under way, or the socket takes no more. Its storage is for `renew`.
    pub fn post(&self, bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        match &self.0 {
            Connection::Ring(connection) => connection.post(bytes),
            Connection::Epoll(connection) => connection.post(bytes),
        }
    }

    /// Has all that was posted gone out, and no send failed?
    pub fn is_sent(&self) -> bool {
        match &self.0 {
            Connection::Ring(connection) => connection.is_sent(),
            Connection::Epoll(_) => true,
        }
    }

    /// Waits until the kernel has taken what was posted, or has given it up.
    pub async fn posted(&self) {
        if let Connection::Ring(connection) = &self.0 {
            poll_fn(|cx| connection.poll_idle(cx)).await;
        }
    }

    /// Is something posted that the kernel has not taken yet?
    pub fn is_sending(&self) -> bool {
        match &self.0 {
            Connection::Ring(connection) => connection.is_sending(),
            Connection::Epoll(_) => false,
        }
    }

    /// The next bytes, at most `most`, without a copy: in a pipe, for `send_pipe`. None: this way does not go now, and
    /// `recv` tells what is next (the end of the stream, an error, bytes that have been received already, bytes for
    /// which no pipe is left). Dropping the future loses nothing.
    pub async fn recv_pipe(&self, most: usize) -> Option<Pipe> {
        poll_fn(|cx| {
            if !Core::with(|core| core.may_go_on(cx)) {
                return Poll::Pending;
            }
            let direct = match &self.0 {
                Connection::Ring(connection) => ready!(connection.poll_direct(cx)),
                Connection::Epoll(connection) => ready!(connection.poll_direct(cx)),
            };
            if !direct {
                return Poll::Ready(None);
            }
            let waits = match (Core::with(|core| Pipe::fill(core, self.fd(), most)), &self.0) {
                (Ok(pipe), _) => return Poll::Ready(pipe),
                (Err(error), Connection::Ring(connection)) => connection.found_nothing(cx, &error),
                (Err(error), Connection::Epoll(connection)) => connection.found_nothing(cx, &error),
            };
            if waits { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }

    /// Sends `head` and what the pipe holds, and hands `head` back. When the future is dropped before its end, every
    /// later send fails with BrokenPipe.
    pub async fn send_pipe(&self, head: Outgoing, mut pipe: Pipe) -> io::Result<Outgoing> {
        if self.replace_cut(true) {
            return Err(cut_off());
        }
        let mut done = 0;
        poll_fn(|cx| self.poll_send_pipe(cx, head.as_slice(), &mut done, &mut pipe)).await?;
        self.replace_cut(false);
        Ok(head)
    }

    fn poll_send_pipe(
        &self,
        cx: &mut Context<'_>,
        head: &[u8],
        done: &mut usize,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<()>> {
        // What is in the pipe follows at once.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_MORE;
        while *done < head.len() || !pipe.is_empty() {
            if !Core::with(|core| core.may_go_on(cx)) {
                return Poll::Pending;
            }
            match &self.0 {
                Connection::Ring(connection) => ready!(connection.poll_room(cx)),
                Connection::Epoll(connection) => ready!(connection.poll_room(cx)),
            }
            let sent = if *done < head.len() {
                let sent = SockRef::from(&self.fd()).send_with_flags(&head[*done..], flags);
                sent.map(|sent| *done += sent)
            } else {
                pipe.drain(self.fd())
            };
            match (sent, &self.0) {
                (Err(error), Connection::Ring(connection)) if error.kind() == ErrorKind::WouldBlock => {
                    connection.wait_room(cx);
                }
                (Err(error), Connection::Epoll(connection)) if error.kind() == ErrorKind::WouldBlock => {
                    connection.wait_room(cx);
                }
                (Err(error), _) if error.kind() == ErrorKind::Interrupted => {}
                (Err(error), Connection::Ring(connection)) => {
                    connection.heard(&error);
                    return Poll::Ready(Err(error));
                }
                (Err(error), Connection::Epoll(connection)) => {
                    connection.heard(&error);
                    return Poll::Ready(Err(error));
                }
                (Ok(()), _) => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    fn replace_cut(&self, cut: bool) -> bool {
        match &self.0 {
            Connection::Ring(connection) => connection.replace_cut(cut),
            Connection::Epoll(connection) => connection.replace_cut(cut),
        }
    }

    /// No byte and no end of stream has arrived that nobody has read: an idle connection is fit for reuse.
    pub fn is_quiet(&self) -> bool {
        match &self.0 {
            Connection::Ring(connection) => connection.is_quiet(),
            Connection::Epoll(connection) => connection.is_quiet(),
        }
    }

    /// Half-closes our side (FIN).
    pub fn shutdown_write(&self) {
        self.submit_posted();
        // ENOTCONN: the peer has reset it, there is no side left to close.
        let _ = SockRef::from(&self.fd()).shutdown(Shutdown::Write);
    }

    /// Ends reading: whoever reads finds the end of the stream. What is on its way out goes on.
    pub fn shutdown_read(&self) {
        // ENOTCONN: it has ended already.
        let _ = SockRef::from(&self.fd()).shutdown(Shutdown::Read);
    }

    /// Ends both directions at once: pending and later reads give None, writes fail. For closing from
    /// outside.
    pub fn shutdown(&self) {
        self.submit_posted();
        // ENOTCONN: it has ended already.
        let _ = SockRef::from(&self.fd()).shutdown(Shutdown::Both);
        match &self.0 {
            Connection::Ring(connection) => connection.end(),
            Connection::Epoll(connection) => connection.end(),
        }
    }

    /// Makes the close that follows a reset (RST): the peer must not take a cut body for a whole one.
    pub fn reset_on_close(&self) {
        // Fails only on a descriptor that is no socket.
        let _ = SockRef::from(&self.fd()).set_linger(Some(Duration::ZERO));
    }

    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        SockRef::from(&self.fd()).peer_addr().and_then(inet)
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        SockRef::from(&self.fd()).local_addr().and_then(inet)
    }

    /// Chunks that have arrived and nobody has read.
    #[cfg(test)]
    pub(super) fn unread(&self) -> usize {
        match &self.0 {
            Connection::Ring(connection) => connection.unread(),
            Connection::Epoll(_) => 0,
        }
    }

    /// What was posted before a side is shut goes out before its end does.
    fn submit_posted(&self) {
        if let Connection::Ring(connection) = &self.0
            && connection.is_sending()
        {
            ring_socket::with_ring(|_, ring| ring.submit());
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Connection::Ring(connection) => connection.fd(),
            Connection::Epoll(connection) => connection.fd(),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Connection::Ring(connection) = &self.0 {
            connection.close();
        }
    }
}

fn on_ring() -> bool {
    Core::with(|core| matches!(core.driver, Driver::Ring(_)))
}

fn inet(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::other("not an IP socket"))
}
