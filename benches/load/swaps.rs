//! New snapshots under load: what the requests, and WebSockets that are open all the while, notice of them.

use crate::client::{Client, Moment, Outcome, Pace, Plan};
use crate::configs;
use crate::peers::{Contender, Missing, Peer, Work};
use crate::report::{Compared, Figures, Swapped};
use crate::rounds::{Effort, Place};
use crate::{client, scenarios};
use anyhow::{Context as _, Result, bail};
use benches::stats::Spread;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SWAPS_A_ROUND: u32 = 25;
const EVERY: Duration = Duration::from_millis(200);
const WEBSOCKETS: usize = 1000;
const PER_SECOND: u32 = 5000;
const QUICK_ROUNDS: usize = 2;
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

pub(crate) fn measure(effort: &Effort, place: &Place<'_>) -> Result<Figures> {
    let Some(scenario) = scenarios::latency().into_iter().next() else { bail!("no scenario") };
    let peer = match Peer::start(Contender::GatewayManyRoutes, &place.setting(&scenario))? {
        Ok(peer) => peer,
        Err(Missing { what, why }) => bail!("{what}: {why}"),
    };
    let mut websockets: Vec<TcpStream> = (0..WEBSOCKETS).map(|_| upgraded(&peer)).collect::<Result<_>>()?;
    let quick = effort.rounds <= QUICK_ROUNDS;
    let swaps = if quick { SWAPS_A_ROUND / 5 } else { SWAPS_A_ROUND };
    let plan = Plan {
        target: peer.address,
        connections: 64,
        requests: Vec::leak(configs::requests(Work::Relay, 128, true)),
        body: 128,
        pace: Pace::Open { per_second: PER_SECOND },
        warming: Duration::from_secs(1),
        window: EVERY * swaps,
    };
    let mut client = Client::new()?;
    let (mut still, mut swapping) = (Vec::new(), Vec::new());
    let (mut failed, mut done) = (0, 0);
    let rounds = effort.rounds;
    for round in 0..rounds {
        eprintln!("swaps: round {} of {rounds}", round + 1);
        // Who comes first changes from round to round.
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                still.push(client.run(&plan, &mut |_| Ok(()))?);
            } else {
                let (outcome, made) = with_swaps(&mut client, &plan, &peer, swaps)?;
                swapping.push(outcome);
                done += made;
            }
        }
        failed += [still.last(), swapping.last()]
            .into_iter()
            .flatten()
            .flat_map(|outcome| outcome.errors.values())
            .sum::<u64>();
    }
    let alive = websockets.iter_mut().filter_map(|socket| echo(socket).ok()).count();
    let quantiles = QUANTILES.iter().filter_map(|(name, share)| compared(name, *share, &still, &swapping));
    let quantiles = quantiles.collect();
    let swapped = Swapped { swaps: done, quantiles, failed, websockets: WEBSOCKETS, alive, rounds };
    Ok(Figures { swapped: Some(swapped), ..Figures::default() })
}

/// Latencies in microseconds without and with swaps, and their ratio in the same round.
fn compared(name: &'static str, share: f64, still: &[Outcome], swapping: &[Outcome]) -> Option<Compared> {
    let of = |outcomes: &[Outcome]| -> Vec<f64> {
        outcomes.iter().map(|outcome| outcome.latency.quantile(share).as_secs_f64() * 1e6).collect()
    };
    let (still, swapping) = (of(still), of(swapping));
    let ratio = still.iter().zip(&swapping).map(|(still, swapping)| swapping / still).collect();
    Some(Compared {
        name,
        ratio: Spread::of(ratio)?,
        still: Spread::of(still)?,
        swapping: Spread::of(swapping)?,
    })
}

/// The load, while one API after the other changes; gives how many changes were taken.
fn with_swaps(client: &mut Client, plan: &Plan, peer: &Peer, swaps: u32) -> Result<(Outcome, u32)> {
    let (begun, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| -> Result<u32> {
            while !begun.load(Ordering::Acquire) && !ended.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let start = Instant::now();
            for number in 0..swaps {
                std::thread::sleep((EVERY * number).saturating_sub(start.elapsed()));
                let api = number as usize % configs::APIS;
                let letter = change(&peer.folder.join(format!("a{api}.yaml")))?;
                apply(&peer.folder)?;
                serves(peer, api, letter)?;
            }
            Ok(swaps)
        });
        let outcome = client.run(plan, &mut |moment| {
            begun.fetch_or(moment == Moment::Begin, Ordering::AcqRel);
            Ok(())
        });
        ended.store(true, Ordering::Release);
        let made = match changes.join() {
            Ok(made) => made?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok((outcome?, made))
    })
}

/// Another constant answer: 'x' becomes 'y' or the other way round. Gives the new one.
fn change(file: &Path) -> Result<u8> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let (x, y) = ("x".repeat(128), "y".repeat(128));
    let (text, letter) =
        if text.contains(&x) { (text.replace(&x, &y), b'y') } else { (text.replace(&y, &x), b'x') };
    fs::write(file, text).with_context(|| format!("{}", file.display()))?;
    Ok(letter)
}

/// Is the change in force?
fn serves(peer: &Peer, api: usize, letter: u8) -> Result<()> {
    let mut socket = client::connect(peer.address)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request = format!("GET /128 HTTP/1.1\r\nHost: a{api}.test\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    if answer.last() == Some(&letter) { Ok(()) } else { bail!("API a{api} answers as before its change") }
}

/// As `gateway apply --yes` asks, but from this process: on a kernel that does not preempt itself, the start and the
/// end of a program hold up the load that shares its core, whatever the program's priority.
fn apply(folder: &Path) -> Result<()> {
    let mut socket =
        UnixStream::connect(folder.join("store/gateway.sock")).context("the operator's socket")?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let body = r#"{"plan":false,"generation":null,"files":null,"confirm_s":null}"#;
    let length = body.len();
    write!(
        socket,
        "POST /apply HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200 ") {
        bail!("POST /apply: {answer}");
    }
    Ok(())
}

fn upgraded(peer: &Peer) -> Result<TcpStream> {
    let mut socket = client::connect(peer.address)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.write_all(
        b"GET /r0/ws HTTP/1.1\r\nHost: a0.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    )?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read(&mut byte)? == 0 {
            bail!("a WebSocket was refused: {}", String::from_utf8_lossy(&head));
        }
        head.push(byte[0]);
    }
    if !head.starts_with(b"HTTP/1.1 101 ") {
        bail!("no WebSocket: {}", String::from_utf8_lossy(&head));
    }
    Ok(socket)
}

/// Is it open from end to end?
fn echo(socket: &mut TcpStream) -> Result<()> {
    socket.write_all(b"ping")?;
    let mut back = [0; 4];
    socket.read_exact(&mut back)?;
    if &back != b"ping" {
        bail!("other bytes came back");
    }
    Ok(())
}
