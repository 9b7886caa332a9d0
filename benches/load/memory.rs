//! What an idle client connection takes in the proxy's own memory.

use crate::client;
use crate::configs;
use crate::cpu;
use crate::peers::{Missing, Peer, Work};
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
        let (mut few, mut fresh, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        let mut missing = None;
        for _ in 0..repeats {
            eprintln!("memory: {}", contender.name(Work::Relay));
            for (ask, each) in [(false, &mut fresh), (true, &mut asked)] {
                match Peer::start(contender, &place.setting(&scenario))? {
                    Ok(peer) => match held(&peer, ask) {
                        Ok((at_few, at_many)) => {
                            each.push((at_many - at_few) / (MANY - FEW) as f64);
                            few.extend(ask.then_some(at_few / 1024.0));
                        }
                        Err(error) => missing = Some(format!("{error:#}")),
                    },
                    Err(Missing { why, .. }) => missing = Some(why),
                }
            }
            if missing.is_some() {
                break;
            }
        }
        let name = contender.name(Work::Relay);
        match (missing, Spread::of(few), Spread::of(fresh), Spread::of(asked)) {
            (None, Some(few_kib), Some(fresh), Some(asked)) => {
                let goal = contender.is_ours().then_some(1024.0);
                figures.held.push(Held { name, few_kib, fresh, asked, goal, repeats });
            }
            (why, ..) => {
                let why = why.unwrap_or_else(|| "nothing was measured".to_owned());
                figures.missing.push(Missing { what: name.to_owned(), why });
            }
        }
    }
    Ok(figures)
}

/// Bytes with few and with many idle connections. `ask`: each has had an answer; else none has said anything yet.
fn held(peer: &Peer, ask: bool) -> Result<(f64, f64)> {
    let [request] = &configs::requests(Work::Relay, 128, false)[..] else { bail!("one request") };
    let mut sockets = Vec::new();
    let mut at = [0.0; 2];
    // One answer at least, so that what a first one takes is not counted as the connections'.
    exchange(&mut connected(peer)?, request)?;
    for (held, count) in at.iter_mut().zip([FEW, MANY]) {
        while sockets.len() < count {
            let number = sockets.len() + 1;
            let mut socket = connected(peer)?;
            if ask {
                exchange(&mut socket, request).with_context(|| format!("connection {number}"))?;
            }
            sockets.push(socket);
        }
        std::thread::sleep(REST);
        *held = cpu::memory(peer.pid())? as f64;
    }
    // The last ones were accepted, and are open still: what was measured did hold them.
    for at in [0, FEW, MANY - 1] {
        exchange(&mut sockets[at], request).with_context(|| format!("connection {at}, in the end"))?;
    }
    let [few, many] = at;
    Ok((few, many))
}

fn connected(peer: &Peer) -> Result<TcpStream> {
    let socket = client::connect(peer.address)?;
    socket.set_read_timeout(Some(ANSWERS_WITHIN))?;
    Ok(socket)
}

fn exchange(socket: &mut TcpStream, request: &[u8]) -> Result<()> {
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
    Ok(())
}
