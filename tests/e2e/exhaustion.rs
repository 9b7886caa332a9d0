//! What runs out: places in a backend's backlog, descriptors, and whatever 15,000 connections take.

use crate::harness::api::{http_proxy, mock, with_timeout};
use crate::harness::client::Broken;
use crate::harness::gateway::Home;
use crate::harness::role::{given, heard, say};
use crate::harness::*;
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

on_both! {
    a_blackhole_costs_nobody_else_anything,
    descriptors_that_run_out_come_back,
}

/// A listening socket whose backlog is full: a SYN gets no answer, as from a host that drops it.
struct Blackhole {
    address: SocketAddr,
    _listener: Socket,
    _full: Vec<TcpStream>,
}

impl Blackhole {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let full =
            std::iter::from_fn(|| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok());
        let full: Vec<_> = full.take(64).collect();
        assert!(full.len() < 64, "the backlog has no end");
        Self { address, _listener: listener, _full: full }
    }
}

fn a_blackhole_costs_nobody_else_anything(io: Io) {
    let (hole, upstream) = (Blackhole::new(), Upstream::echo());
    let to_hole = |timeout| with_timeout(http_proxy("ANY", &format!("http://{}/x", hole.address)), timeout);
    let api = Api::new("hole", "h0leh0leh0").method("/x", "any", to_hole(300)).method(
        "/long",
        "any",
        to_hole(29_000),
    );
    let gateway = Setup::new(io).api(api.host("hole")).api(echo_api(upstream.address).host("echo")).start();
    let open = || gateway.json(&["status"])["workers"][0]["connections_open"].clone();
    let connects = || gateway.json(&["status"])["workers"][0]["upstream_connects"].clone();
    let mut long = gateway.client();
    long.send("GET /long HTTP/1.1\r\nHost: hole\r\n\r\n");
    eventually("it is tried", || connects() == 1);
    let mut other = gateway.client();
    for _ in 0..20 {
        assert_eq!(other.request("GET", "/x", "echo", &[]).status, 200);
    }
    // A connection is tried for 5 s.
    long.be_patient(Duration::from_millis(1));
    assert!(matches!(long.try_response(), Err(Broken::TimedOut)), "others do not wait for it");
    // Who goes away while it is being connected to is noticed as later.
    assert_eq!(open(), 2);
    let begun = SystemTime::now();
    long.reset();
    eventually("it is let go", || open() == 1);
    assert!(begun.elapsed().unwrap() < Duration::from_secs(3), "not before the time is over");
    let mut lost = gateway.client();
    let begun = SystemTime::now();
    lost.send("GET /x HTTP/1.1\r\nHost: hole\r\n\r\n");
    let response = lost.response();
    assert_eq!((response.status, response.message().as_str()), (504, "Endpoint request timed out"));
    let took = begun.elapsed().unwrap();
    assert!((Duration::from_millis(250)..Duration::from_millis(2500)).contains(&took), "{took:?}");
}

/// The gateway's limit of open files: room for more clients and backends than it has descriptors for.
const FILES: u32 = 512;

/// Nobody is answered before all may go.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

fn descriptors_that_run_out_come_back(io: Io) {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |connection| {
            while connection.request().is_some() {
                drop(gate.opened.wait_while(gate.open.lock().unwrap(), |open| !*open).unwrap());
                connection.answer(200, "late");
            }
        }
    });
    let local = Api::new("local", "l0call0cal").method("/x", "any", mock(200)).host("local");
    let home = Home::new(&Setup::new(io).api(local).api(echo_api(upstream.address).host("echo")));
    let gateway = Gateway::start_with(home, io, Some(FILES));
    let mut honest = gateway.client();
    let mut ask = |at: &str| {
        let begun = SystemTime::now();
        assert_eq!(honest.request("GET", "/x", "local", &[]).status, 200, "{at}");
        let took = begun.elapsed().unwrap();
        assert!(took < Duration::from_secs(1), "{at}: an honest client waited for {took:?}");
    };
    ask("before");
    let files = || gateway.open_files();
    let (mut busy, mut idle) = (Vec::new(), Vec::new());
    // Each takes a descriptor, and one at the backend.
    while files() + 2 <= FILES as usize {
        let mut client = gateway.client();
        client.send("GET /x HTTP/1.1\r\nHost: echo\r\n\r\n");
        busy.push(client);
        eventually("it is on its way", || upstream.requests().len() == busy.len());
        // Not idle for so long that it would make room.
        ask("meanwhile");
    }
    assert!(busy.len() > 150, "only {}", busy.len());
    // The last one, if there is one, is a connection of the control plane's: it makes room for nobody.
    while files() < FILES as usize {
        idle.push(TcpStream::connect(control_address(&gateway)).unwrap());
        eventually("it is accepted", || files() == FILES as usize);
    }
    let mut waiting: Vec<Client> = (0..20).map(|_| gateway.client()).collect();
    for client in &mut waiting {
        client.send("GET /x HTTP/1.1\r\nHost: local\r\n\r\n");
    }
    let (begun, used) = (SystemTime::now(), gateway.cpu_time());
    while begun.elapsed().unwrap() < Duration::from_secs(2) {
        ask("without descriptors");
        std::thread::sleep(Duration::from_millis(100));
    }
    let (used, passed) = (gateway.cpu_time() - used, begun.elapsed().unwrap());
    assert!(used < passed / 10, "{used:?} of {passed:?}: it spins");
    assert_eq!(files(), FILES as usize, "all the while");
    println!("without descriptors for {passed:?}: {used:?} of processor time");
    *gate.open.lock().unwrap() = true;
    gate.opened.notify_all();
    for client in &mut busy {
        assert_eq!(client.response().text(), "late", "what was under way is finished");
    }
    ask("after");
    // Those that were answered are idle now, and hold what the others wait for: they make room.
    for client in &mut waiting {
        assert_eq!(client.response().status, 200, "who waited is served");
    }
    drop(busy);
    assert_eq!(gateway.client().request("GET", "/x", "echo", &[]).text(), "late");
}

fn control_address(gateway: &Gateway) -> SocketAddr {
    gateway.ready["control_address"].as_str().unwrap().parse().unwrap()
}

/// Connections of each client process; from an address of its own.
const PER_PROCESS: usize = 5_000;

/// Clients in a process of their own: given `ADDRESS SOURCE`, it connects, and asks once on each connection whenever it
/// is told to.
#[test]
#[ignore = "a part of other tests"]
fn clients() {
    let Some(given) = given() else { return };
    let (address, source) = given.split_once(' ').unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let mut clients: Vec<Client> = (0..PER_PROCESS).map(|_| Client::connect_from(source, address)).collect();
    say("connected");
    while heard().is_some() {
        let served = clients.iter_mut().filter_map(|client| {
            client.try_send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
            client.try_response().ok().filter(|response| response.text() == "GET /x ")
        });
        say(&served.count().to_string());
    }
}

/// By hand: `cargo nextest run -p gateway --run-ignored only fifteen_thousand --no-capture`.
#[test]
#[ignore = "15,000 connections in three processes, twice; prints its figures"]
fn fifteen_thousand_connections() {
    const PROCESSES: usize = 3;
    for io in [Io::IoUring, Io::Epoll] {
        let upstream = Upstream::echo();
        let gateway = Setup::new(io).api(echo_api(upstream.address)).workers(2).start();
        assert_eq!(gateway.client().get("/prod/x").status, 200);
        let (alone, begun) = (gateway.memory(), SystemTime::now());
        let mut processes: Vec<Role> = (0..PROCESSES)
            .map(|n| Role::start("exhaustion::clients", &format!("{} 127.0.0.{}", gateway.public(), 11 + n)))
            .collect();
        let patience = Duration::from_secs(60);
        for process in &processes {
            assert_eq!(process.said_within(patience), "connected");
        }
        let all = PROCESSES * PER_PROCESS;
        let open = || -> u64 {
            let status = gateway.json(&["status"]);
            let workers = status["workers"].as_array().unwrap();
            workers.iter().map(|worker| worker["connections_open"].as_u64().unwrap()).sum()
        };
        eventually("all are open", || open() == all as u64);
        let (connected, waiting) = (begun.elapsed().unwrap(), gateway.memory());
        let mut full = 0;
        for _ in 0..2 {
            for process in &mut processes {
                process.tell("ask");
            }
            let served =
                processes.iter().map(|process| process.said_within(patience).parse::<usize>().unwrap());
            assert_eq!(served.sum::<usize>(), all, "each is served");
            assert_eq!(open(), all as u64, "and all stay open");
            full = gateway.memory();
        }
        println!(
            "{}: {all} connections within {connected:?}; memory {} KiB alone, {} B a connection before its first \
             request, {} B after its second; {} connections to the backend; {:?} in all",
            io.as_str(),
            alone >> 10,
            waiting.saturating_sub(alone) / all as u64,
            full.saturating_sub(alone) / all as u64,
            upstream.connections(),
            begun.elapsed().unwrap(),
        );
    }
}
