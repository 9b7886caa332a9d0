//! A client of the lab, started inside a namespace: asks once, or asks until its input is closed, and reports as JSON.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    address: SocketAddr,
    /// Ask on and on, until standard input ends
    #[arg(long)]
    load: bool,
    /// How long to wait for a connection, and for an answer
    #[arg(long, default_value_t = 1000)]
    patience_ms: u64,
}

/// Every so many requests the client connects anew: kept and fresh connections are both under load.
const REQUESTS_PER_CONNECTION: u32 = 8;
const PAUSE: Duration = Duration::from_millis(1);
/// The load is bounded, whatever becomes of who started it.
const REQUESTS_MAX: usize = 500_000;
const LENGTH_MAX: Duration = Duration::from_secs(600);
const FAILURES_KEPT: usize = 20;

pub(crate) fn run(options: &Options) -> Result<()> {
    let patience = Duration::from_millis(options.patience_ms);
    let report = if options.load {
        load(options.address, patience)
    } else {
        let answer = Connection::open(options.address, patience).and_then(|mut connection| connection.ask());
        json!({ "answer": answer.map_or_else(|failure| failure.to_owned(), |status| status.to_string()) })
    };
    println!("{report}");
    Ok(())
}

/// Asks until standard input ends.
fn load(address: SocketAddr, patience: Duration) -> Value {
    let ended = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        seen.store(true, Ordering::SeqCst);
    });
    let begun = microseconds();
    let mut tally = Tally::default();
    let mut connection = None;
    while !ended.load(Ordering::SeqCst) && tally.requests < REQUESTS_MAX {
        let start = microseconds();
        if start - begun > LENGTH_MAX.as_micros() as u64 {
            break;
        }
        let answer = ask(&mut connection, address, patience);
        tally.add(start, microseconds(), answer);
        std::thread::sleep(PAUSE);
    }
    tally.report()
}

#[derive(Default)]
struct Tally {
    requests: usize,
    /// When each served request began and ended, in microseconds since the epoch.
    served: Vec<(u64, u64)>,
    /// The same for the others.
    unserved: Vec<(u64, u64)>,
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, start: u64, end: u64, answer: Result<u16, &'static str>) {
        self.requests += 1;
        if answer == Ok(200) {
            self.served.push((start, end));
            return;
        }
        self.unserved.push((start, end));
        if self.failures.len() < FAILURES_KEPT {
            self.failures.push(answer.map_or_else(str::to_owned, |status| status.to_string()));
        }
    }

    fn report(&self) -> Value {
        json!({
            "requests": self.requests, "served": self.served, "unserved": self.unserved,
            "failures": self.failures,
        })
    }
}

fn ask(kept: &mut Option<Connection>, address: SocketAddr, patience: Duration) -> Result<u16, &'static str> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(address, patience)?,
    };
    let answer = connection.ask()?;
    connection.asked += 1;
    if connection.asked < REQUESTS_PER_CONNECTION && !connection.closes {
        *kept = Some(connection);
    }
    Ok(answer)
}

/// One connection that asks for the lab's only resource.
struct Connection {
    stream: TcpStream,
    asked: u32,
    closes: bool,
}

impl Connection {
    fn open(address: SocketAddr, patience: Duration) -> Result<Self, &'static str> {
        let stream = TcpStream::connect_timeout(&address, patience).map_err(|error| match error.kind() {
            ErrorKind::TimedOut => "no SYN-ACK",
            ErrorKind::ConnectionRefused => "refused (RST)",
            _ => "no connection",
        })?;
        let bounded = stream.set_read_timeout(Some(patience)).and(stream.set_nodelay(true));
        bounded.map_err(|_| "no connection")?;
        Ok(Self { stream, asked: 0, closes: false })
    }

    fn ask(&mut self) -> Result<u16, &'static str> {
        let request = b"GET /prod/orders HTTP/1.1\r\nHost: lab\r\n\r\n";
        self.stream.write_all(request).map_err(|_| "reset")?;
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            if let Ok(Some(status)) = self.whole(&answer) {
                return Ok(status);
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return Err("closed"),
                Ok(read) => answer.extend_from_slice(&piece[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err("no answer");
                }
                Err(_) => return Err("reset"),
            }
        }
    }

    /// The status, once head and body are there.
    fn whole(&mut self, answer: &[u8]) -> Result<Option<u16>> {
        let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
        let Some(status) = head.get(9..12) else { bail!("no status") };
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        self.closes = field("connection") == Some("close");
        let whole = match field("content-length") {
            Some(length) => answer.len() >= end + 4 + length.parse::<usize>()?,
            None => answer.ends_with(b"0\r\n\r\n"),
        };
        Ok(if whole { Some(status.parse()?) } else { None })
    }
}

pub(super) fn microseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}
