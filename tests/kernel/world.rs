//! A gateway host between a VPC and everybody else: three namespaces, joined by veth, and a server that notes
//! its guests.

use crate::lab::{Namespace, Pins};
use gateway::config::XdpMode;
use gateway::xdp::Settings;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const VPC: [&str; 2] = ["10.77.0.0/24", "fd00:77::/64"];
pub(crate) const INSIDE: [&str; 2] = ["10.77.0.2", "fd00:77::2"];
pub(crate) const OUTSIDE: [&str; 2] = ["10.78.0.2", "fd00:78::2"];
/// The server's addresses, which both sides reach.
pub(crate) const SERVER: [&str; 2] = ["10.77.0.1:8080", "[fd00:77::1]:8080"];
/// The gateway's interfaces: towards the VPC, towards the others.
pub(crate) const INTERFACES: [&str; 2] = ["vpc0", "out0"];

/// Long enough for a retransmitted SYN to be refused too.
const REFUSED_AFTER: Duration = Duration::from_millis(1300);
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

pub(crate) struct World {
    pub(crate) pins: Pins,
    pub(crate) gateway: Namespace,
    pub(crate) inside: Namespace,
    pub(crate) outside: Namespace,
}

impl World {
    pub(crate) fn new() -> Option<Self> {
        let pins = Pins::new()?;
        let world =
            Self { pins, gateway: Namespace::new(), inside: Namespace::new(), outside: Namespace::new() };
        world.join(&world.inside, INTERFACES[0], 77);
        world.join(&world.outside, INTERFACES[1], 78);
        Some(world)
    }

    /// Also again, after the interface was deleted.
    pub(crate) fn join(&self, namespace: &Namespace, interface: &str, net: u32) {
        let peer = ["link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", &namespace.0];
        self.gateway.ip(&peer);
        for (on, device, host) in [(&self.gateway, interface, 1), (namespace, "eth0", 2)] {
            on.ip(&["address", "add", &format!("10.{net}.0.{host}/24"), "dev", device]);
            on.ip(&["address", "add", &format!("fd00:{net}::{host}/64"), "dev", device, "nodad"]);
            on.ip(&["link", "set", device, "up"]);
        }
        namespace.ip(&["route", "add", "default", "via", &format!("10.{net}.0.1")]);
        namespace.ip(&["-6", "route", "add", "default", "via", &format!("fd00:{net}::1")]);
    }

    pub(crate) fn settings(&self, mode: XdpMode) -> Settings {
        Settings::new(INTERFACES.map(str::to_owned).to_vec(), mode, self.pins.0.clone())
    }

    /// Tcp InSegs of the gateway: segments that reached its TCP.
    pub(crate) fn segments(&self) -> u64 {
        let table = self.gateway.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
        let mut lines = table.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let place = lines.next().unwrap().split(' ').position(|name| name == "InSegs").unwrap();
        lines.next().unwrap().split(' ').nth(place).unwrap().parse().unwrap()
    }

    pub(crate) fn insider_connects(&self) -> bool {
        self.inside.run(|| SERVER.iter().all(|server| connects(server, ANSWERED_WITHIN)))
    }

    /// Over IPv4 or IPv6. A refusal is silence: anything else but a connection fails the test.
    pub(crate) fn outsider_connects(&self) -> [bool; 2] {
        self.outside.run(|| SERVER.map(|server| connects(server, REFUSED_AFTER)))
    }

    pub(crate) fn serve(&self) -> Server {
        self.gateway.run(|| Server::start(&SERVER))
    }

    /// Keeps sending SYNs from outside and connecting from inside until dropped.
    pub(crate) fn load(&self) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let knocks = Arc::new(AtomicU32::new(0));
        let failures = Arc::new(AtomicU32::new(0));
        let mut threads = Vec::new();
        for (namespace, entitled) in [(&self.inside, true), (&self.outside, false)] {
            let (stop, knocks, failures) = (stop.clone(), knocks.clone(), failures.clone());
            threads.push(namespace.run(move || {
                // A thread starts in the namespace of the one that starts it.
                std::thread::spawn(move || {
                    for turn in 0usize.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let server = SERVER[turn % 2];
                        if entitled {
                            failures
                                .fetch_add(u32::from(!connects(server, ANSWERED_WITHIN)), Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(1));
                        } else {
                            // Whoever is served is noted by the server.
                            connects(server, Duration::from_millis(2));
                        }
                        knocks.fetch_add(1, Ordering::Relaxed);
                    }
                })
            }));
        }
        Load { stop, threads, knocks, failures }
    }
}

pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    pub(crate) knocks: Arc<AtomicU32>,
    failures: Arc<AtomicU32>,
}

impl Load {
    /// Connections that an insider did not get.
    pub(crate) fn stop(mut self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        self.failures.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Accepts until dropped, and notes who came.
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    guests: Arc<Mutex<BTreeSet<IpAddr>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// In the calling thread's namespace.
    pub(crate) fn start(addresses: &[&str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let guests: Arc<Mutex<BTreeSet<IpAddr>>> = Arc::default();
        let accepting = |address: &&str| {
            let address: SocketAddr = address.parse().unwrap();
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            // As the gateway's: any address beside one of them, and `[::]` beside `0.0.0.0`.
            socket.set_reuse_port(true).unwrap();
            if address.is_ipv6() {
                socket.set_only_v6(true).unwrap();
            }
            socket.bind(&address.into()).unwrap();
            socket.listen(128).unwrap();
            socket.set_read_timeout(Some(POLL)).unwrap();
            let (stop, guests) = (stop.clone(), guests.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((_, guest)) = socket.accept() {
                        guests.lock().unwrap().insert(guest.as_socket().unwrap().ip());
                    }
                }
            })
        };
        let threads = addresses.iter().map(accepting).collect();
        Self { stop, guests, threads }
    }

    /// Who has been served. A handshake ends before the server accepts: waits until all of `expected` are noted.
    pub(crate) fn guests(&self, expected: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        for _ in 0..NOTED_WITHIN_MS {
            if self.guests.lock().unwrap().is_superset(expected) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.guests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// How long a server may take to note whom it has accepted.
const NOTED_WITHIN_MS: u32 = 2000;

pub(crate) fn connects(server: &str, within: Duration) -> bool {
    connects_from(None, server, within)
}

pub(crate) fn refused(source: &str, server: &str) -> bool {
    !connects_from(Some(source), server, REFUSED_AFTER)
}

fn connects_from(source: Option<&str>, server: &str, within: Duration) -> bool {
    let server: SocketAddr = server.parse().unwrap();
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    }
    // Closed by a reset, so that no port is left waiting.
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    match socket.connect_timeout(&server.into(), within) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::TimedOut => false,
        Err(error) => panic!("{server} answers with a refusal: {error}"),
    }
}
