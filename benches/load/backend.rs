//! What the proxies stand in front of: constant answers, whose length is the last segment of the path.

use anyhow::{Context as _, Result};
use benches::ring::{Event, Ring};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bodies that there are: small, an object, a page, a download.
pub(crate) const BODIES: [usize; 4] = [128, 1024, 64 * 1024, 1024 * 1024];
const LISTENER: u32 = 0;
const BUFFERS: u16 = 1024;
const BUFFER: u32 = 4096;
const HEAD_MAX: usize = 16 * 1024;
const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// The backend that runs until the program ends.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl Backend {
    /// Answers since it started: what tells a relayed request from one that a cache answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

pub(crate) fn start() -> Result<Backend> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the backend's socket")?;
    let address = listener.local_addr()?;
    let answered = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&answered);
    std::thread::Builder::new().name("backend".to_owned()).spawn(move || {
        if let Err(error) = serve(&listener, &count) {
            eprintln!("backend: {error:#}");
            std::process::exit(1);
        }
    })?;
    Ok(Backend { address, answered })
}

struct Connection {
    socket: OwnedFd,
    head: Vec<u8>,
    /// Only echoes since it switched protocols.
    switched: bool,
}

fn serve(listener: &TcpListener, answered: &AtomicU64) -> Result<()> {
    let answers: Vec<(usize, &'static [u8])> =
        BODIES.iter().map(|&length| (length, &*Vec::leak(benches::answer(length)))).collect();
    let mut ring = Ring::new(BUFFERS, BUFFER)?;
    ring.accept(LISTENER, listener)?;
    let mut connections: Vec<Option<Connection>> = vec![None];
    let mut events = Vec::new();
    let mut free = Vec::new();
    loop {
        ring.turn(None, &mut events)?;
        for (token, event) in events.drain(..) {
            let own = token as usize;
            match event {
                Event::Accepted(socket) => {
                    let socket = TcpStream::from(socket);
                    socket.set_nodelay(true)?;
                    let place = free.pop().unwrap_or(connections.len());
                    connections.resize_with(connections.len().max(place + 1), || None);
                    let connection = Connection { socket: socket.into(), head: Vec::new(), switched: false };
                    let connection = connections[place].insert(connection);
                    ring.receive(u32::try_from(place)?, &connection.socket)?;
                }
                Event::Received(buffer) => {
                    let Some(connection) = &mut connections[own] else {
                        ring.give_back(buffer);
                        continue;
                    };
                    if connection.switched {
                        ring.send_buffer(token, &connection.socket, buffer)?;
                        continue;
                    }
                    connection.head.extend_from_slice(ring.bytes(&buffer));
                    ring.give_back(buffer);
                    if connection.head.ends_with(b"\r\n\r\n") {
                        connection.switched = connection.head.starts_with(b"GET /ws ");
                        let answer =
                            if connection.switched { SWITCHING } else { find(&answers, &connection.head) };
                        ring.send(token, &connection.socket, answer)?;
                        answered.fetch_add(1, Ordering::Relaxed);
                        connection.head.clear();
                    } else if connection.head.len() > HEAD_MAX {
                        connections[own] = None;
                    }
                }
                Event::Ended => {
                    connections[own] = None;
                    free.push(own);
                }
                Event::Sent(_, buffer) => {
                    if let Some(buffer) = buffer {
                        ring.give_back(buffer);
                    }
                }
            }
        }
    }
}

fn find(answers: &[(usize, &'static [u8])], head: &[u8]) -> &'static [u8] {
    let path = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let length = std::str::from_utf8(last).ok().and_then(|last| last.parse::<usize>().ok());
    let answer = answers.iter().find(|(known, _)| Some(*known) == length);
    answer.map_or(NOT_FOUND, |(_, answer)| answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_says_how_long_the_answer_is() {
        let answers: [(usize, &'static [u8]); 2] = [(128, b"short"), (1024, b"long")];
        assert_eq!(find(&answers, b"GET /a/b/1024 HTTP/1.1\r\n\r\n"), b"long");
        assert_eq!(find(&answers, b"GET /128 HTTP/1.1\r\n\r\n"), b"short");
        assert_eq!(find(&answers, b"GET /129 HTTP/1.1\r\n\r\n"), NOT_FOUND);
        assert_eq!(find(&answers, b"nonsense"), NOT_FOUND);
    }
}
