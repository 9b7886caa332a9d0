//! Large bodies at constant memory: back pressure in both directions.

use crate::harness::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const MEGABYTE: usize = 1 << 20;
/// What a transfer may add to the process: buffers and pools, never bodies.
const GROWTH_MAX: u64 = 24 << 20;

/// Answers with as many megabytes as the path says, and counts what it could send.
fn source(sent: Arc<AtomicUsize>) -> Upstream {
    Upstream::start(move |connection| {
        while let Some(request) = connection.request() {
            let megabytes: usize = request.target[1..].parse().unwrap();
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", megabytes * MEGABYTE));
            let piece = vec![b'x'; MEGABYTE / 4];
            for _ in 0..megabytes * 4 {
                if !connection.send(&piece) {
                    return;
                }
                sent.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    })
}

on_both! {
    a_large_answer_streams_through,
    a_client_that_does_not_read_stops_the_upstream,
    an_upstream_that_does_not_read_stops_the_client,
    many_connections_come_and_go_without_a_trace,
}

fn a_large_answer_streams_through(io: Io) {
    let upstream = source(Arc::default());
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.get("/prod/1");
    let before = gateway.memory();
    client.send("GET /prod/64 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head().unwrap();
    let mut left = 64 * MEGABYTE;
    let mut most = before;
    let mut reads = 0_u32;
    while left > 0 {
        left -= client.skip();
        reads += 1;
        if reads.is_multiple_of(64) {
            most = most.max(gateway.memory());
        }
    }
    let growth = most - before;
    assert!(growth < GROWTH_MAX, "64 MB through it cost {growth} bytes of memory");
    assert_eq!(client.get("/prod/0").status, 200, "the connection is still good");
}

fn a_client_that_does_not_read_stops_the_upstream(io: Io) {
    let sent = Arc::new(AtomicUsize::new(0));
    let upstream = source(Arc::clone(&sent));
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    gateway.client().get("/prod/1");
    let before = gateway.memory();
    let begin = sent.load(Ordering::SeqCst);
    let mut slow = Client::connect_narrow(gateway.public());
    slow.send("GET /prod/256 HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.head().unwrap();
    // Still when nothing moved for so many looks in a row.
    let (mut last, mut still) = (0, 0);
    eventually("the upstream comes to a stop", || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let now = sent.load(Ordering::SeqCst);
        still = if now == last { still + 1 } else { 0 };
        last = now;
        still == 25
    });
    let taken = last - begin;
    assert!(taken < 32 * MEGABYTE, "{taken} bytes were taken for a client that reads none");
    assert!(gateway.memory() - before.min(gateway.memory()) < GROWTH_MAX);
    let mut other = gateway.client();
    assert_eq!(other.get("/prod/2").body.len(), 2 * MEGABYTE, "others are served meanwhile");
}

fn an_upstream_that_does_not_read_stops_the_client(io: Io) {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let upstream = Upstream::start(move |connection| {
        let head = connection.head().unwrap();
        released.lock().unwrap().recv().unwrap();
        let body = connection.body(&head).unwrap();
        connection.answer(200, &body.len().to_string());
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let before = gateway.memory();
    let mut client = gateway.client();
    let sender = std::thread::spawn(move || {
        client.send(format!("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 10 * MEGABYTE));
        client.send(vec![b'x'; 10 * MEGABYTE]);
        client.response()
    });
    eventually("the upstream got the head", || upstream.connections() == 1);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let growth = gateway.memory().saturating_sub(before);
    assert!(growth < 6 << 20, "the body waits in the process: {growth} bytes");
    release.send(()).unwrap();
    assert_eq!(sender.join().unwrap().text(), (10 * MEGABYTE).to_string());
}

fn many_connections_come_and_go_without_a_trace(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let round = || {
        let mut clients: Vec<Client> = (0..100).map(|_| gateway.client()).collect();
        for client in &mut clients {
            assert_eq!(client.get("/prod/x").status, 200);
        }
    };
    round();
    let before = gateway.memory();
    for _ in 0..10 {
        round();
    }
    let growth = gateway.memory().saturating_sub(before);
    assert!(growth < 4 << 20, "a thousand connections left {growth} bytes");
}
