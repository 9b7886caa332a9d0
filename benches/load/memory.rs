//! What an idle client connection takes in the proxy's own memory.

use crate::client;
use crate::configs;
use crate::cpu;
use crate::peers::{Contender, Missing, Peer, Work};
use crate::report::{Figures, Held};
use crate::rounds::Place;
use crate::scenarios;
use anyhow::{Context as _, Result, bail};
use benches::stats::Spread;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const FEW: usize = 1000;
/// A proxy has two descriptors for some: within a limit of 20,000, as it is where this is run.
const MANY: usize = 9000;
/// For what a proxy puts off: freeing, growing.
const REST: Duration = Duration::from_millis(500);
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

pub(crate) fn measure(repeats: usize, place: &Place<'_>) -> Result<Figures> {
    let mut figures = Figures::default();
    let Some(scenario) = scenarios::latency().into_iter().next() else { bail!("no scenario") };
    for &contender in &scenario.contenders {
        let (mut few, mut each) = (Vec::new(), Vec::new());
        let mut missing = None;
        for _ in 0..repeats {
            eprintln!("memory: {}", contender.name(Work::Relay));
            match Peer::start(contender, &place.setting(&scenario))? {
                Ok(peer) => match held(&peer) {
                    Ok((at_few, at_many)) => {
                        few.push(at_few / 1024.0);
                        each.push((at_many - at_few) / (MANY - FEW) as f64);
                    }
                    Err(error) => missing = Some(format!("{error:#}")),
                },
                Err(Missing { why, .. }) => missing = Some(why),
            }
            if missing.is_some() {
                break;
            }
        }
        let name = contender.name(Work::Relay);
        match (missing, Spread::of(few), Spread::of(each)) {
            (None, Some(few_kib), Some(bytes_each)) => {
                let goal = (contender == Contender::Gateway).then_some(1024.0);
                figures.held.push(Held { name, few_kib, bytes_each, goal, repeats });
            }
            (why, ..) => {
                let why = why.unwrap_or_else(|| "nothing was measured".to_owned());
                figures.missing.push(Missing { what: name.to_owned(), why });
            }
        }
    }
    Ok(figures)
}

/// Bytes with few and with many connections, each of which has had an answer and is idle since.
fn held(peer: &Peer) -> Result<(f64, f64)> {
    let [request] = &configs::requests(Work::Relay, 128, false)[..] else { bail!("one request") };
    let mut sockets = Vec::new();
    let mut at = [0.0; 2];
    for (held, count) in at.iter_mut().zip([FEW, MANY]) {
        while sockets.len() < count {
            let number = sockets.len() + 1;
            sockets.push(asked(peer, request).with_context(|| format!("connection {number}"))?);
        }
        std::thread::sleep(REST);
        *held = cpu::memory(peer.pid())? as f64;
    }
    let [few, many] = at;
    Ok((few, many))
}

fn asked(peer: &Peer, request: &[u8]) -> Result<TcpStream> {
    let mut socket = client::connect(peer.address)?;
    socket.set_read_timeout(Some(ANSWERS_WITHIN))?;
    socket.write_all(request)?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while !answer.ends_with(&[b'x'; 128]) {
        let read = socket.read(&mut part)?;
        if read == 0 || answer.len() > part.len() {
            bail!("no answer of 128 bytes: {}", String::from_utf8_lossy(&answer));
        }
        answer.extend_from_slice(&part[..read]);
    }
    Ok(socket)
}
