//! Upstreams that are killed, restarted, or close at the worst moment, under load: who was not on them notices nothing.

use crate::harness::role::{given, heard, say};
use crate::harness::*;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

on_both! {
    a_restart_fails_only_what_was_in_flight,
    a_connection_closed_at_the_moment_of_reuse_fails_no_get,
    a_backend_that_is_away_for_a_moment_is_waited_for,
}

/// A backend in a process of its own: `Role::start("restarts::backend", "127.0.0.1:80")`.
#[test]
#[ignore = "a part of other tests"]
fn backend() {
    let Some(address) = given() else { return };
    let listener = TcpListener::bind(address).unwrap();
    let _upstream = Upstream::on(listener, |connection| {
        while let Some(request) = connection.request() {
            connection.answer(200, &request.target);
        }
    });
    say("ready");
    while heard().is_some() {}
}

fn backend_at(address: std::net::SocketAddr) -> Role {
    let backend = Role::start("restarts::backend", &address.to_string());
    assert_eq!(backend.said(), "ready");
    backend
}

/// A request that failed, and when it ran.
#[derive(Debug)]
struct Failed {
    method: &'static str,
    what: String,
    from: SystemTime,
    to: SystemTime,
}

#[derive(Default)]
struct Load {
    answered: AtomicUsize,
    failed: Mutex<Vec<Failed>>,
    over: AtomicBool,
}

impl Load {
    /// One request after the other, on connections that are kept.
    fn client(
        self: &Arc<Self>,
        address: std::net::SocketAddr,
        method: &'static str,
    ) -> std::thread::JoinHandle<()> {
        let load = self.clone();
        std::thread::spawn(move || {
            let mut client = Client::connect(address);
            while !load.over.load(Ordering::Relaxed) {
                let from = SystemTime::now();
                client.send(format!("{method} /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
                let response = client.try_response();
                let kept =
                    response.as_ref().is_ok_and(|response| response.field("connection") != Some("close"));
                match response {
                    Ok(response) if response.status == 200 => {
                        assert_eq!(response.text(), "/x");
                        load.answered.fetch_add(1, Ordering::Relaxed);
                    }
                    other => {
                        let what =
                            other.map_or_else(|broken| format!("{broken:?}"), |r| r.status.to_string());
                        let failed = Failed { method, what, from, to: SystemTime::now() };
                        load.failed.lock().unwrap().push(failed);
                    }
                }
                if !kept {
                    client = Client::connect(address);
                }
            }
        })
    }

    fn more(&self, requests: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + requests;
        eventually("requests are answered", || self.answered.load(Ordering::Relaxed) >= wanted);
    }
}

/// Kills the backend as often and starts it again, under the load of eight clients. Returns what was answered, and what
/// failed; all of that was in flight when the backend was killed.
fn restart(io: Io, times: usize) -> (usize, Vec<Failed>) {
    let address = Upstream::nobody();
    let mut backend = backend_at(address);
    let gateway = Setup::new(io).api(echo_api(address)).workers(2).start();
    let load = Arc::new(Load::default());
    let clients: Vec<_> = (0..8).map(|n| load.client(gateway.public(), ["GET", "POST"][n % 2])).collect();
    let mut kills = Vec::new();
    for _ in 0..times {
        load.more(40);
        let from = SystemTime::now();
        backend.kill();
        // For the gateway to hear of it.
        kills.push((from, SystemTime::now() + Duration::from_millis(100)));
        backend = backend_at(address);
    }
    load.more(40);
    load.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let failed = std::mem::take(&mut *load.failed.lock().unwrap());
    for one in &failed {
        let at_a_kill = kills.iter().any(|(from, to)| one.from <= *to && one.to >= *from);
        assert!(at_a_kill, "not in flight when the backend was killed: {one:?}");
        assert_ne!(one.what, "504", "it came back in time: {one:?}");
    }
    (load.answered.load(Ordering::Relaxed), failed)
}

fn a_restart_fails_only_what_was_in_flight(io: Io) {
    let (answered, failed) = restart(io, 10);
    assert!(answered >= 10 * 40 && failed.len() <= 10 * 8, "{answered} answered, {failed:?}");
}

/// By hand: `cargo nextest run -p gateway --run-ignored only two_hundred --no-capture`.
#[test]
#[ignore = "takes a minute and prints its figures"]
fn two_hundred_restarts() {
    for io in [Io::IoUring, Io::Epoll] {
        let (answered, failed) = restart(io, 200);
        let of = |method| failed.iter().filter(|one| one.method == method).count();
        println!(
            "{}: 200 restarts under 8 clients: {answered} answered, failed {} GET and {} POST, all in flight at a kill",
            io.as_str(),
            of("GET"),
            of("POST"),
        );
        assert!(failed.len() <= 200 * 8);
    }
}

/// Each connection answers, and closes within a moment of which nobody knows: while it is idle, while the next request
/// is on its way to it, or behind that.
fn a_connection_closed_at_the_moment_of_reuse_fails_no_get(io: Io) {
    let upstream = Upstream::start(|connection| {
        // Without a pattern, and the same in each run.
        let mut seed = connection.number as u64 + 1;
        for _ in 0..=connection.number % 3 {
            if connection.request().is_none() {
                return;
            }
            connection.answer(200, "once more");
        }
        for _ in 0..3 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
        }
        std::thread::sleep(Duration::from_micros(seed % 600));
        if seed.is_multiple_of(2) {
            connection.reset_at_end();
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let clients: Vec<_> = (0..4)
        .map(|number: u64| {
            let mut client = gateway.client();
            std::thread::spawn(move || {
                for n in 0..750 {
                    let response = client.get("/prod/x");
                    assert_eq!((response.status, response.text()), (200, "once more"), "request {n}");
                    std::thread::sleep(Duration::from_micros((n * 37 + number * 101) % 500));
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let worker = &gateway.json(&["status"])["workers"][0];
    let retries = worker["upstream_retries"].as_u64().unwrap();
    assert!(retries > 0, "no request met the moment: {worker}");
    println!("3000 requests, {retries} of them repeated");
}

fn a_backend_that_is_away_for_a_moment_is_waited_for(io: Io) {
    let address = Upstream::nobody();
    let gateway = Setup::new(io).api(echo_api(address)).start();
    for method in ["GET", "POST"] {
        // Long enough known to be away for a restart to be waited for anew, or never seen.
        let gateway = Setup::new(io).api(echo_api(address)).start();
        let mut client = gateway.client();
        client.send(format!("{method} /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        eventually("it is refused", || gateway.json(&["status"])["workers"][0]["upstream_connects"] != 0);
        let backend = backend_at(address);
        assert_eq!(client.response().status, 200, "{method}");
        drop(backend);
    }
    let mut client = gateway.client();
    assert_eq!(client.get("/prod/x").status, 504);
    let begun = SystemTime::now();
    assert_eq!(client.get("/prod/x").status, 504);
    assert!(begun.elapsed().unwrap() < Duration::from_secs(1), "who stays away is not waited for twice");
}
