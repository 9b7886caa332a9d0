//! The load generator: HTTP/1.1 over kept connections, one thread. Closed loop: each connection asks again as soon as
//! it is answered. Open loop: requests arrive at a fixed rate whatever the answers do, and a latency counts from the
//! moment when the request should have been sent, also where no connection was free then.

use anyhow::{Context as _, Result, bail};
use benches::histogram::Histogram;
use benches::ring::{Event, Ring};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const BUFFERS: u16 = 256;
const BUFFER: u32 = 64 * 1024;
const HEAD_MAX: usize = 16 * 1024;
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// An open loop whose target does not keep up ends as an error before it eats the memory.
const LATE_MAX: usize = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    Closed,
    Open { per_second: u32 },
}

pub(crate) struct Plan {
    pub(crate) target: SocketAddr,
    pub(crate) connections: usize,
    /// Sent in turn.
    pub(crate) requests: &'static [Vec<u8>],
    /// Bytes of each answer's body.
    pub(crate) body: usize,
    pub(crate) pace: Pace,
    pub(crate) warming: Duration,
    pub(crate) window: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answers: u64,
    /// What went wrong, and how often.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    pub(crate) latency: Histogram,
    pub(crate) elapsed: Duration,
}

/// A window of load begins, or has just ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Begin,
    End,
    /// Between the two, after each turn: how far it is.
    Within(Duration),
}

pub(crate) struct Client {
    ring: Ring,
    /// Tokens below belong to earlier runs.
    first_token: u32,
}

struct Connection {
    socket: TcpStream,
    /// When the request under way was due.
    due: Option<Instant>,
    answer: Answer,
}

impl Client {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { ring: Ring::new(BUFFERS, BUFFER).context("io_uring")?, first_token: 0 })
    }

    pub(crate) fn run(&mut self, plan: &Plan, mark: &mut dyn FnMut(Moment) -> Result<()>) -> Result<Outcome> {
        let mut connections = Vec::new();
        for index in 0..plan.connections {
            let socket = connect(plan.target)?;
            self.ring.receive(self.first_token + u32::try_from(index)?, &socket)?;
            connections.push(Connection { socket, due: None, answer: Answer::default() });
        }
        let outcome = Running::new(plan, self.first_token).run(&mut self.ring, &mut connections, mark);
        self.end(connections)?;
        outcome
    }

    /// Ends all connections and waits until the kernel has let go of them.
    fn end(&mut self, connections: Vec<Connection>) -> Result<()> {
        let mut open = connections.len();
        for connection in &connections {
            // Whoever was closed from the other side already said so, or will.
            let _ = connection.socket.shutdown(Shutdown::Both);
        }
        let begun = Instant::now();
        let mut events = Vec::new();
        while open > 0 && begun.elapsed() < ENDS_WITHIN {
            self.ring.turn(Some(Duration::from_millis(20)), &mut events)?;
            for (_, event) in events.drain(..) {
                match event {
                    Event::Received(buffer) => self.ring.give_back(buffer),
                    Event::Ended => open -= 1,
                    Event::Sent(..) | Event::Accepted(_) => {}
                }
            }
        }
        self.first_token += u32::try_from(connections.len())?;
        Ok(())
    }
}

pub(crate) fn connect(target: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect(target).with_context(|| format!("connecting to {target}"))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

struct Running<'p> {
    plan: &'p Plan,
    first_token: u32,
    outcome: Outcome,
    measuring: bool,
    /// Those that wait longest come first: all connections are used in turn.
    free: VecDeque<usize>,
    /// Open loop: when the requests that no connection could take were due.
    late: VecDeque<Instant>,
    next_request: usize,
}

impl<'p> Running<'p> {
    fn new(plan: &'p Plan, first_token: u32) -> Self {
        let free = (0..plan.connections).collect();
        let (outcome, measuring, late, next_request) = Default::default();
        Self { plan, first_token, outcome, measuring, free, late, next_request }
    }

    fn run(
        mut self,
        ring: &mut Ring,
        connections: &mut [Connection],
        mark: &mut dyn FnMut(Moment) -> Result<()>,
    ) -> Result<Outcome> {
        let gap = match self.plan.pace {
            Pace::Closed => None,
            Pace::Open { per_second } => Some(Duration::from_secs(1) / per_second),
        };
        let mut now = Instant::now();
        let mut due = now;
        let mut end = now + self.plan.warming;
        let mut begun = now;
        let mut events = Vec::new();
        loop {
            if now >= end {
                if self.measuring {
                    self.outcome.elapsed = now - begun;
                    mark(Moment::End)?;
                    return Ok(self.outcome);
                }
                mark(Moment::Begin)?;
                self.measuring = true;
                begun = Instant::now();
                end = begun + self.plan.window;
            }
            if self.measuring {
                mark(Moment::Within(now - begun))?;
            }
            let mut wait = end.saturating_duration_since(now);
            if let Some(gap) = gap {
                while due <= now {
                    self.late.push_back(due);
                    due += gap;
                }
                wait = wait.min(due.saturating_duration_since(now));
            }
            while let Some(index) = self.free.pop_front() {
                let Some(at) = gap.map_or(Some(now), |_| self.late.pop_front()) else {
                    self.free.push_front(index);
                    break;
                };
                self.send(ring, index, &mut connections[index], at)?;
            }
            if self.late.len() > LATE_MAX {
                bail!("{} does not keep up: {LATE_MAX} requests wait", self.plan.target);
            }
            ring.turn(Some(wait), &mut events)?;
            now = Instant::now();
            for (token, event) in events.drain(..) {
                let index = token.checked_sub(self.first_token).map(|index| index as usize);
                let connection = index.and_then(|index| Some((index, connections.get_mut(index)?)));
                self.take(ring, connection, event, now)?;
            }
        }
    }

    fn take(
        &mut self,
        ring: &mut Ring,
        connection: Option<(usize, &mut Connection)>,
        event: Event,
        now: Instant,
    ) -> Result<()> {
        let buffer = match (event, connection) {
            (Event::Received(buffer), Some((index, connection))) => {
                let found = connection.answer.read(ring.bytes(&buffer), self.plan.body, !self.measuring);
                match found {
                    Ok(false) => {}
                    Ok(true) => self.answered(index, connection, now),
                    Err(wrong) => {
                        self.wrong(wrong);
                        // Its end comes as an event, and a new connection with it.
                        let _ = connection.socket.shutdown(Shutdown::Both);
                        connection.due = None;
                        connection.answer = Answer::Broken;
                    }
                }
                Some(buffer)
            }
            (Event::Ended, Some((index, connection))) => {
                let was_free = connection.due.is_none() && !matches!(connection.answer, Answer::Broken);
                if connection.due.is_some() {
                    self.wrong("closed before the answer was whole");
                } else if was_free {
                    self.wrong("closed while idle");
                }
                connection.socket = connect(self.plan.target)?;
                connection.due = None;
                connection.answer = Answer::default();
                ring.receive(self.first_token + u32::try_from(index)?, &connection.socket)?;
                if !was_free {
                    self.free.push_back(index);
                }
                None
            }
            (Event::Received(buffer), None) => Some(buffer),
            _ => None,
        };
        if let Some(buffer) = buffer {
            ring.give_back(buffer);
        }
        Ok(())
    }

    fn send(
        &mut self,
        ring: &mut Ring,
        index: usize,
        connection: &mut Connection,
        due: Instant,
    ) -> Result<()> {
        let request: &'static [u8] = &self.plan.requests[self.next_request];
        self.next_request = (self.next_request + 1) % self.plan.requests.len();
        connection.due = Some(due);
        ring.send(self.first_token + u32::try_from(index)?, &connection.socket, request)?;
        Ok(())
    }

    fn answered(&mut self, index: usize, connection: &mut Connection, now: Instant) {
        match connection.due.take() {
            Some(due) => {
                if self.measuring {
                    self.outcome.answers += 1;
                    self.outcome.latency.record(now.saturating_duration_since(due));
                }
                self.free.push_back(index);
            }
            None => self.wrong("an answer without a request"),
        }
    }

    /// Errors count also while it warms up: none is expected ever.
    fn wrong(&mut self, what: &'static str) {
        *self.outcome.errors.entry(what).or_default() += 1;
    }
}

/// Where an answer is being read.
enum Answer {
    Head(Vec<u8>),
    Body { left: usize },
    Broken,
}

impl Default for Answer {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Answer {
    /// True: the answer is whole. An error names what is wrong with it. `closely`: each byte of the body, too.
    fn read(&mut self, bytes: &[u8], wanted: usize, closely: bool) -> Result<bool, &'static str> {
        let body = match self {
            Self::Broken => return Ok(false),
            Self::Body { left } => {
                *left = left.checked_sub(bytes.len()).ok_or("more bytes than the answer has")?;
                *left
            }
            Self::Head(head) if head.is_empty() => match body_start(bytes, wanted)? {
                Some(start) => {
                    wanted.checked_sub(bytes.len() - start).ok_or("more bytes than the answer has")?
                }
                None => {
                    head.extend_from_slice(bytes);
                    return Ok(false);
                }
            },
            Self::Head(head) => {
                head.extend_from_slice(bytes);
                match body_start(head, wanted)? {
                    Some(start) => {
                        wanted.checked_sub(head.len() - start).ok_or("more bytes than the answer has")?
                    }
                    None if head.len() > HEAD_MAX => return Err("a head without end"),
                    None => return Ok(false),
                }
            }
        };
        let here = bytes.len().min(wanted - body);
        if closely && bytes[bytes.len() - here..].iter().any(|byte| *byte != b'x') {
            return Err("a body of other bytes");
        }
        *self = if body == 0 { Self::default() } else { Self::Body { left: body } };
        Ok(body == 0)
    }
}

/// Where the body begins; None while the head is not whole.
fn body_start(bytes: &[u8], wanted: usize) -> Result<Option<usize>, &'static str> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let Ok(status) = response.parse(bytes) else { return Err("not an answer") };
    let httparse::Status::Complete(start) = status else { return Ok(None) };
    if response.code != Some(200) {
        return Err("a status other than 200");
    }
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    match length {
        Some(length) if length == wanted => Ok(Some(start)),
        Some(_) => Err("a body of another length"),
        None => Err("an answer without Content-Length"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_however_it_is_cut() {
        let whole = benches::answer(5);
        for cut in 1..whole.len() {
            let mut answer = Answer::default();
            assert_eq!(answer.read(&whole[..cut], 5, true), Ok(false), "{cut}");
            assert_eq!(answer.read(&whole[cut..], 5, true), Ok(true), "{cut}");
            assert_eq!(answer.read(&whole, 5, true), Ok(true), "the next one");
        }
    }

    #[test]
    fn a_wrong_answer_is_named() {
        let read = |text: &[u8]| Answer::default().read(text, 5, true);
        assert_eq!(read(&benches::answer(6)), Err("a body of another length"));
        assert_eq!(
            read(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\n"),
            Err("a status other than 200")
        );
        assert_eq!(
            read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err("an answer without Content-Length")
        );
        assert_eq!(read(b"nonsense\r\n\r\n"), Err("not an answer"));
        let mut other = benches::answer(5);
        let last = other.len() - 1;
        other[last] = b'y';
        assert_eq!(read(&other), Err("a body of other bytes"));
        assert_eq!(Answer::default().read(&other, 5, false), Ok(true), "only its length is looked at");
        let mut long = benches::answer(5);
        long.push(b'x');
        assert_eq!(read(&long), Err("more bytes than the answer has"));
    }
}
