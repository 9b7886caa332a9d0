//! The ceiling: what a proxy and an answering server cost that do nothing else. A blind io_uring relay (bytes to a
//! connection of one's own to the upstream, and back), and a server with one constant answer.

use anyhow::{Context as _, Result};
use benches::ring::{Buffer, Event, Ring};
use clap::Parser;
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

/// What a proxy could be at best: started by `cargo xtask bench proxy|cache`.
#[derive(Parser)]
enum Floor {
    /// Bytes through, unread
    Relay {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        upstream: SocketAddr,
        /// Bytes of a receive buffer
        #[arg(long, default_value_t = 4096)]
        buffer: u32,
    },
    /// One answer to each request of one packet
    Constant {
        #[arg(long)]
        listen: SocketAddr,
        /// Bytes of the answer's body
        #[arg(long, default_value_t = 128)]
        body: usize,
    },
}

const LISTENER: u32 = 0;
const BUFFERS: u16 = 1024;

fn main() -> ExitCode {
    let ended = match Floor::parse() {
        Floor::Relay { listen, upstream, buffer } => relay(listen, upstream, buffer),
        Floor::Constant { listen, body } => constant(listen, body),
    };
    if let Err(error) = ended {
        eprintln!("floor: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// One of the two sockets of a relayed connection.
struct End {
    socket: OwnedFd,
    waiting: VecDeque<Buffer>,
    sending: bool,
    /// Nothing is received on it any more.
    ended: bool,
}

impl End {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, waiting: VecDeque::new(), sending: false, ended: false }
    }
}

/// Tokens: an even one from 2 is a client, the next one its upstream.
fn relay(listen: SocketAddr, upstream: SocketAddr, size: u32) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("listening on {listen}"))?;
    let mut ring = Ring::new(if size > 16 * 1024 { BUFFERS / 4 } else { BUFFERS }, size)?;
    ring.accept(LISTENER, &listener)?;
    let mut ends: Vec<Option<End>> = vec![None, None];
    let mut events = Vec::new();
    loop {
        ring.turn(None, &mut events)?;
        for (token, event) in events.drain(..) {
            if let Event::Accepted(client) = event {
                let client = TcpStream::from(client);
                client.set_nodelay(true)?;
                let server =
                    TcpStream::connect(upstream).with_context(|| format!("connecting to {upstream}"))?;
                server.set_nodelay(true)?;
                let place = (2..ends.len()).step_by(2).find(|&at| ends[at].is_none()).unwrap_or(ends.len());
                ends.resize_with(ends.len().max(place + 2), || None);
                for (at, socket) in [(place, client), (place + 1, server)] {
                    let end = ends[at].insert(End::new(socket.into()));
                    ring.receive(u32::try_from(at)?, &end.socket)?;
                }
                continue;
            }
            let (own, other) = (token as usize, (token ^ 1) as usize);
            match event {
                Event::Accepted(_) => {}
                Event::Received(buffer) => {
                    let Some(end) = &mut ends[other] else { continue };
                    end.waiting.push_back(buffer);
                    next(&mut ring, other, end)?;
                }
                Event::Sent(_, buffer) => {
                    if let Some(buffer) = buffer {
                        ring.give_back(buffer);
                    }
                    let Some(end) = &mut ends[own] else { continue };
                    end.sending = false;
                    next(&mut ring, own, end)?;
                }
                Event::Ended => {
                    if let Some(end) = &mut ends[own] {
                        end.ended = true;
                    }
                    if let Some(end) = &ends[other] {
                        let _ = TcpStream::from(end.socket.try_clone()?).shutdown(std::net::Shutdown::Both);
                    }
                }
            }
            let pair = own & !1;
            if ends[pair..pair + 2].iter().flatten().all(|end| end.ended && !end.sending) {
                for end in ends[pair..pair + 2].iter_mut().filter_map(Option::take) {
                    end.waiting.into_iter().for_each(|buffer| ring.give_back(buffer));
                }
            }
        }
    }
}

fn next(ring: &mut Ring, at: usize, end: &mut End) -> Result<()> {
    if !end.sending
        && let Some(buffer) = end.waiting.pop_front()
    {
        end.sending = true;
        ring.send_buffer(u32::try_from(at)?, &end.socket, buffer)?;
    }
    Ok(())
}

fn constant(listen: SocketAddr, body: usize) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("listening on {listen}"))?;
    let answer: &'static [u8] = Vec::leak(benches::answer(body));
    let mut ring = Ring::new(BUFFERS, 4096)?;
    ring.accept(LISTENER, &listener)?;
    let mut sockets: Vec<Option<OwnedFd>> = vec![None];
    let mut events = Vec::new();
    loop {
        ring.turn(None, &mut events)?;
        for (token, event) in events.drain(..) {
            let own = token as usize;
            match event {
                Event::Accepted(socket) => {
                    let socket = TcpStream::from(socket);
                    socket.set_nodelay(true)?;
                    let place = (1..sockets.len()).find(|&at| sockets[at].is_none()).unwrap_or(sockets.len());
                    sockets.resize_with(sockets.len().max(place + 1), || None);
                    let socket = sockets[place].insert(socket.into());
                    ring.receive(u32::try_from(place)?, socket)?;
                }
                Event::Received(buffer) => {
                    ring.give_back(buffer);
                    if let Some(socket) = &sockets[own] {
                        ring.send(token, socket, answer)?;
                    }
                }
                Event::Ended => sockets[own] = None,
                Event::Sent(..) => {}
            }
        }
    }
}
