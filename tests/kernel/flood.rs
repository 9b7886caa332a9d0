//! A flood over the wire, from invented sources and from one, while an honest client has a connection and makes others.

use crate::evasion::{Lane, Wire};
use crate::frames::Frame;
use crate::lab::attach;
use crate::random::Random;
use crate::world::World;
use gateway::config::XdpMode;
use gateway::model::{Period, RateLimit, SourceLimits};
use gateway::xdp::KernelGuard;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SERVER: &str = "10.77.0.1:9090";
const FRAMES: u32 = 150_000;
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// In the calling thread's namespace; each connection until it closes.
fn echo(listener: &TcpListener, stop: &AtomicBool) {
    listener.set_nonblocking(true).unwrap();
    std::thread::scope(|scope| {
        while !stop.load(Ordering::Relaxed) {
            let Ok((mut stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(ANSWERED_WITHIN)).unwrap();
            scope.spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
            });
        }
    });
}

struct Honest {
    echoes: u32,
    connections: u32,
}

/// Well below its rates: a byte every few milliseconds, a connection every 150.
fn honest(stop: &AtomicBool) -> Honest {
    let connect = || {
        let stream =
            TcpStream::connect_timeout(&SERVER.parse::<SocketAddr>().unwrap(), ANSWERED_WITHIN).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(ANSWERED_WITHIN)).unwrap();
        stream
    };
    let mut seen = Honest { echoes: 0, connections: 1 };
    let mut stream = connect();
    let mut last = Instant::now();
    let mut byte = [0];
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut byte).expect("the connection that stands is answered");
        seen.echoes += 1;
        if last.elapsed() > Duration::from_millis(150) {
            last = Instant::now();
            let mut other = connect();
            other.write_all(b"y").unwrap();
            other.read_exact(&mut byte).expect("a new connection is answered");
            seen.connections += 1;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    seen
}

fn refused(guard: &KernelGuard) -> u64 {
    let status = guard.status().unwrap();
    status.listeners.iter().map(|l| l.packets["packet_rate"] + l.packets["connection_rate"]).sum()
}

fn flood(wire: &Wire, source: impl Fn(&mut Random) -> Ipv4Addr) {
    let random = &mut Random::new();
    for _ in 0..FRAMES {
        wire.send(&Frame::syn(&source(random).to_string(), "10.77.0.1", 9090).bytes());
    }
}

#[test]
fn an_honest_client_loses_no_connection_to_a_flood() {
    let Some(world) = World::new() else { return };
    let mut rules = crate::lab::rules(&[(SERVER, None)], &[]);
    let limit = |count, burst| Some(RateLimit { count, period: Period::Second, burst });
    rules.listeners[0].limits = SourceLimits { packets: limit(2000, 400), connections: limit(20, 20) };
    let guard = world.gateway.run(|| attach(&world.settings(XdpMode::Native), &rules));
    let listener = world.gateway.run(|| TcpListener::bind(SERVER).unwrap());
    let stop = &AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| echo(&listener, stop));
        let client = world.inside.run(|| scope.spawn(|| honest(stop)));
        let lane = Lane {
            source: "10.78.0.2".parse().unwrap(),
            destination: "10.77.0.1".parse().unwrap(),
            other: "10.78.0.1".parse().unwrap(),
            source_port: 40_000,
            port: 9090,
            macs: [[2; 6]; 2],
        };
        let wire = world.outside.run(|| Wire::new("eth0", lane));
        // Each frame another source: none is past its rate, and none of them is the honest one.
        flood(&wire, |random| Ipv4Addr::from_bits(0x2000_0000 | (random.next() >> 35) as u32));
        let after_spoofed = world.gateway.run(|| guard.status().unwrap());
        assert_eq!(refused(&guard), 0, "{after_spoofed:?}");
        // One source: it is held to its rate, whatever it sends.
        flood(&wire, |_| Ipv4Addr::new(198, 51, 100, 66));
        let refused = refused(&guard);
        assert!(refused > u64::from(FRAMES) * 9 / 10, "{refused} of {FRAMES}");
        stop.store(true, Ordering::Relaxed);
        client.join().unwrap()
    });
    assert!(
        seen.echoes > 20 && seen.connections > 2,
        "{} echoes, {} connections",
        seen.echoes,
        seen.connections
    );
}
