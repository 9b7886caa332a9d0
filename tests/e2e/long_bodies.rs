//! Bodies that pass without being looked at: whole or cut, never changed, never longer, whoever stops or dies.

use crate::harness::client::Broken;
use crate::harness::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, mpsc};

/// More than a worker has pipes.
const STOPPED: usize = 80;
const LONGEST: usize = 48_000_000;

/// A body that tells its places: every 4 KiB begin with their number, and repeat one byte that the next ones do not.
fn pattern(bytes: usize) -> &'static [u8] {
    static ALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut all = Vec::with_capacity(LONGEST + 4096);
        for number in 0..=LONGEST / 4096 {
            all.extend_from_slice(&number.to_le_bytes());
            all.resize((number + 1) * 4096, (number + number / 256) as u8);
        }
        all
    });
    &ALL[..bytes]
}

/// Lengths that look drawn, the same in every run.
fn dice(state: &mut u64, most: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % most + 1
}

/// Cuts it into pieces of all sizes, from one byte on.
fn pieces(mut body: &[u8], seed: u64) -> impl Iterator<Item = &[u8]> {
    let mut state = seed;
    std::iter::from_fn(move || {
        let most = [1, 100, 5_000, 70_000, 400_000][dice(&mut state, 5) - 1];
        let (piece, rest) = body.split_at(dice(&mut state, most).min(body.len()));
        body = rest;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

/// Sends so many bytes of the pattern as the path says, under their length, and counts what it could send.
fn sized(sent: Arc<AtomicUsize>) -> Upstream {
    Upstream::start(move |connection| {
        while let Some(request) = connection.request() {
            let length: usize = request.target[1..].parse().unwrap();
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            for piece in pattern(length).chunks(64 << 10) {
                if !connection.send(piece) {
                    return;
                }
                sent.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    })
}

on_both! {
    any_size_in_any_pieces_arrives_unchanged_both_ways,
    what_follows_a_long_body_is_not_passed_on,
    a_backend_that_dies_within_a_long_body_cuts_the_client,
    a_client_that_dies_within_a_long_body_never_looks_whole,
    a_reader_that_stops_stops_its_backend_and_gets_the_rest,
    readers_that_stop_keep_long_bodies_from_nobody,
}

fn any_size_in_any_pieces_arrives_unchanged_both_ways(io: Io) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            let length = request.body.len();
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            for piece in pieces(&request.body, length as u64) {
                connection.send(piece);
            }
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    let mut state = 3;
    for round in 0..40 {
        let length = match round % 4 {
            0 => dice(&mut state, 2_000_000),
            1 => 16 * 1024 - 5 + dice(&mut state, 10),
            2 => dice(&mut state, 100_000),
            _ => dice(&mut state, 200),
        };
        let body = pattern(length);
        client.send(format!("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        for piece in pieces(body, round) {
            client.send(piece);
        }
        let response = client.response();
        assert_eq!(response.status, 200);
        assert!(response.body == body, "{length} bytes, round {round}");
    }
    assert_eq!(upstream.connections(), 1, "a connection is kept after long bodies");
}

fn what_follows_a_long_body_is_not_passed_on(io: Io) {
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n";
            let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
            connection.send([head.as_bytes(), pattern(200_000), evil.as_bytes()].concat());
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for _ in 0..3 {
        assert!(
            client.get("/prod/x").body == pattern(200_000),
            "left-over bytes never answer the next request"
        );
    }
    // The next request of a client that does not wait for its answer is no part of its body.
    let body = pattern(100_000);
    let echo = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            connection.answer(200, &format!("{} {}", request.target, request.body.len()));
        }
    });
    let gateway = Setup::new(io).api(echo_api(echo.address)).start();
    let mut client = gateway.client();
    let first = b"POST /prod/first HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    client.send([first.as_slice(), body, b"GET /prod/second HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
    assert_eq!(client.response().text(), "/first 100000");
    assert_eq!(client.response().text(), "/second 0");
    assert!(echo.requests()[0].body == body);
}

fn a_backend_that_dies_within_a_long_body_cuts_the_client(io: Io) {
    for (sent, reset) in [(0, false), (20_000, false), (700_000, false), (700_000, true), (999_999, false)] {
        let upstream = Upstream::start(move |connection| {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
            connection.send(&pattern(1_000_000)[..sent]);
            // What is sent must be out before the RST, which would take it along.
            connection.wait_until_sent();
            if reset {
                connection.reset_at_end();
            }
        });
        let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
        let mut client = gateway.client();
        client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.try_response() {
            // What arrived of it is what the backend sent.
            Err(Broken::Ended { bytes }) => assert!(bytes <= sent, "{bytes} of {sent}"),
            Err(Broken::Reset) => {}
            // RST may overtake the head: then it is a plain failure.
            Ok(response) if reset => assert_eq!(response.status, 502),
            other => panic!("{sent} bytes, reset {reset}: {other:?}"),
        }
    }
}

fn a_client_that_dies_within_a_long_body_never_looks_whole(io: Io) {
    let (heard, hears) = mpsc::channel();
    let heard = Mutex::new(heard);
    let upstream = Upstream::start(move |connection| {
        while let Some(head) = connection.head() {
            let whole = connection.body(&head).is_some();
            heard.lock().unwrap().send(whole).unwrap();
            connection.answer(200, "whole");
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    for (sent, reset) in [(20_000, false), (700_000, false), (700_000, true), (999_999, true)] {
        let mut client = gateway.client();
        client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        client.send(&pattern(1_000_000)[..sent]);
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        // A reset may end it before the backend heard of it.
        if !reset {
            assert!(!hears.recv_timeout(PATIENCE).unwrap(), "{sent} bytes");
        }
    }
    assert_eq!(gateway.client().post("/prod/x", pattern(300_000)).text(), "whole");
    assert!(
        hears.recv_timeout(PATIENCE).into_iter().chain(hears.try_iter()).filter(|whole| *whole).count() == 1
    );
}

/// Waits until the backend can send no more, and tells how much it could.
fn until_stopped(sent: &AtomicUsize) -> usize {
    let (mut last, mut same) = (0, 0);
    eventually("the backend is stopped", || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let now = sent.load(Ordering::SeqCst);
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        same == 6
    });
    last
}

fn a_reader_that_stops_stops_its_backend_and_gets_the_rest(io: Io) {
    let sent = Arc::new(AtomicUsize::new(0));
    let upstream = sized(Arc::clone(&sent));
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = Client::connect_narrow(gateway.public());
    client.send(format!("GET /prod/{LONGEST} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.head().unwrap();
    let mut body = client.take(1_000_000).unwrap();
    let stopped_at = until_stopped(&sent);
    assert!(stopped_at < LONGEST / 2, "{stopped_at} bytes were sent to a reader that stopped");
    body.extend(client.take(LONGEST - body.len()).unwrap());
    assert!(body == pattern(LONGEST));
    assert_eq!(client.get("/prod/3").body, pattern(3));
}

fn readers_that_stop_keep_long_bodies_from_nobody(io: Io) {
    const BYTES: usize = 8_000_000;
    let sent = Arc::new(AtomicUsize::new(0));
    let upstream = sized(Arc::clone(&sent));
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut stopped: Vec<Client> = (0..STOPPED)
        .map(|_| {
            let mut client = Client::connect_narrow(gateway.public());
            client.send(format!("GET /prod/{BYTES} HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.head().unwrap();
            client
        })
        .collect();
    until_stopped(&sent);
    for _ in 0..3 {
        assert!(gateway.client().get(&format!("/prod/{BYTES}")).body == pattern(BYTES));
    }
    for client in stopped.iter_mut().step_by(20) {
        assert!(client.take(BYTES).unwrap() == pattern(BYTES));
    }
}
