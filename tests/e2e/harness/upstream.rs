//! Upstreams that do what a test's script says, one thread a connection, and remember what they were asked.

use super::client::find;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as the upstream got it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    /// In their order and their case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn field(&self, wanted: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<Received>>,
}

impl Upstream {
    /// Every connection is given to `script` on its own thread and closed when that returns.
    pub(crate) fn start(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// The same, on a socket that listens.
    pub(crate) fn on(
        listener: TcpListener,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        let upstream = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let seen = Arc::clone(&upstream.seen);
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let number = seen.connections.fetch_add(1, Ordering::SeqCst);
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                    stream.set_nodelay(true).unwrap();
                    script(&mut Connection { number, stream, buffer: Vec::new(), seen });
                });
            }
        });
        upstream
    }

    /// Answers every request with 200 and `method target body`, for as long as the client likes.
    pub(crate) fn echo() -> Self {
        Self::start(|connection| {
            while let Some(request) = connection.request() {
                let body = format!(
                    "{} {} {}",
                    request.method,
                    request.target,
                    String::from_utf8_lossy(&request.body)
                );
                connection.answer(200, if request.method == "HEAD" { "" } else { &body });
            }
        })
    }

    /// An address on which nobody listens. It is held, so that the kernel gives its port to no other test; whoever is
    /// told of it may still listen there (SO_REUSEADDR).
    pub(crate) fn nobody() -> SocketAddr {
        let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        held.set_reuse_address(true).unwrap();
        held.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let address = held.local_addr().unwrap().as_socket().unwrap();
        // To the end of the test's process.
        std::mem::forget(held);
        address
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// All requests whose bodies came whole, in their order.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.seen.requests.lock().unwrap().clone()
    }
}

/// One connection from the gateway.
pub(crate) struct Connection {
    /// From 0, in the order of arrival.
    pub(crate) number: usize,
    stream: TcpStream,
    buffer: Vec<u8>,
    seen: Arc<Seen>,
}

impl Connection {
    /// The next whole request; None when the peer closed.
    pub(crate) fn request(&mut self) -> Option<Received> {
        let mut request = self.head()?;
        request.body = self.body(&request)?;
        self.remember(&request);
        Some(request)
    }

    /// For a script that reads heads and bodies itself.
    pub(crate) fn remember(&self, request: &Received) {
        self.seen.requests.lock().unwrap().push(request.clone());
    }

    /// The next head alone; its body is still to come.
    pub(crate) fn head(&mut self) -> Option<Received> {
        while find(&self.buffer, b"\r\n\r\n").is_none() {
            self.more()?;
        }
        let end = find(&self.buffer, b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(self.take(end)?).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let mut start = lines.next().unwrap().split(' ');
        let (method, target) = (start.next().unwrap().to_owned(), start.next().unwrap().to_owned());
        assert_eq!(start.next(), Some("HTTP/1.1"));
        let fields = lines.map(|line| line.split_once(": ").unwrap());
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Received { method, target, fields, body: Vec::new() })
    }

    /// The body of the request whose head was just read; None when it is cut off.
    pub(crate) fn body(&mut self, request: &Received) -> Option<Vec<u8>> {
        if request.field("transfer-encoding").is_none() {
            let length = request.field("content-length").map_or(0, |length| length.parse().unwrap());
            return self.take(length);
        }
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).unwrap();
            body.extend(self.take(size)?);
            self.line()?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    /// 200 and the like, with a Content-Length.
    pub(crate) fn answer(&mut self, status: u16, body: &str) {
        self.send(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// Errors are the peer's business: it may have gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Whatever comes next; None at the end.
    pub(crate) fn some(&mut self) -> Option<Vec<u8>> {
        if self.buffer.is_empty() {
            self.more()?;
        }
        Some(std::mem::take(&mut self.buffer))
    }

    /// Waits for a first byte of what comes next, and takes none; false at the end.
    pub(crate) fn begun(&mut self) -> bool {
        !self.buffer.is_empty() || self.more().is_some()
    }

    /// No more will be sent; we still read.
    pub(crate) fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with RST when the script ends.
    pub(crate) fn reset_at_end(&mut self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits until the peer's kernel has all that we sent.
    pub(crate) fn wait_until_sent(&self) {
        // SIOCOUTQ without an ioctl: the queue of the socket, as /proc/net/tcp shows it.
        let port = format!(":{:04X} ", self.stream.peer_addr().unwrap().port());
        let own = format!(":{:04X} ", self.stream.local_addr().unwrap().port());
        super::eventually("sent", || {
            let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
            let row = sockets.lines().find(|row| {
                let mut words = row.split_whitespace().skip(1);
                words.next().is_some_and(|local| own.trim_end().ends_with(&local[8..]))
                    && words.next().is_some_and(|remote| port.trim_end().ends_with(&remote[8..]))
            });
            row.is_none_or(|row| {
                row.split_whitespace().nth(4).is_some_and(|queues| queues.starts_with("00000000:"))
            })
        });
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = self.take(end + 2)?;
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            self.more()?;
        }
    }

    fn take(&mut self, bytes: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < bytes {
            self.more()?;
        }
        let rest = self.buffer.split_off(bytes);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    fn more(&mut self) -> Option<()> {
        let mut piece = [0; 64 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) | Err(_) => None,
            Ok(read) => {
                self.buffer.extend_from_slice(&piece[..read]);
                Some(())
            }
        }
    }
}
