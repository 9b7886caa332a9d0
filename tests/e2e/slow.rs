//! Slow clients of every kind, more than there may be connections: honest ones notice nothing.

use crate::harness::api::{http_proxy, with_timeout};
use crate::harness::client::Broken;
use crate::harness::gateway::Home;
use crate::harness::*;
use std::time::{Duration, SystemTime};

/// Leaves room for about 300 client connections.
const FILES: u32 = 512;

on_both! {
    slow_clients_leave_honest_ones_unharmed,
    slow_bodies_and_readers_are_given_up,
    a_reader_that_does_not_read_keeps_little_in_the_kernel,
    half_heads_keep_no_more_than_they_may,
}

/// Answers at once, with as much as is asked for: `/8000000`.
fn sized() -> Upstream {
    Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            let length = request.target[1..].parse().unwrap_or(2);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            if !connection.send(head) || !connection.send(vec![b'x'; length]) {
                return;
            }
        }
    })
}

/// Heads that do not end, idle connections, bodies that do not come, answers that nobody reads.
fn crowd(gateway: &Gateway, [heads, idle, bodies, readers]: [usize; 4]) -> Vec<Client> {
    let client = |narrow: bool| match narrow {
        true => Client::connect_narrow(gateway.public()),
        false => gateway.client(),
    };
    let started = |narrow: bool, bytes: &'static str, count: usize| {
        (0..count).map(move |_| {
            let mut client = client(narrow);
            let _ = client.try_send(bytes);
            client
        })
    };
    let mut all: Vec<Client> = Vec::new();
    all.extend(started(false, "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\nx", bodies));
    all.extend(started(true, "GET /prod/8000000 HTTP/1.1\r\nHost: a\r\n\r\n", readers));
    all.extend(started(false, "", idle));
    all.extend(started(false, "GET /prod/x HTTP/1.1\r\nHost: ", heads));
    all
}

/// An honest client that connects anew, as often as it is turned away: how long it took.
fn honest(gateway: &Gateway) -> Duration {
    let begun = SystemTime::now();
    eventually("an honest client is served", || {
        let mut client = gateway.client();
        let sent = client.try_send("GET /prod/2 HTTP/1.1\r\nHost: a\r\n\r\n").is_ok();
        sent && client.try_response().is_ok_and(|response| response.status == 200)
    });
    begun.elapsed().unwrap()
}

fn slow_clients_leave_honest_ones_unharmed(io: Io) {
    let upstream = sized();
    let home = Home::new(&Setup::new(io).api(echo_api(upstream.address)));
    let gateway = Gateway::start_with(home, io, Some(FILES));
    honest(&gateway);
    // Bodies and readers take a part of the places, slow heads and idle connections more than all the others.
    let mut slow = crowd(&gateway, [150, 150, 40, 40]);
    eventually("those that wait make room", || {
        slow.extend(crowd(&gateway, [5, 5, 0, 0]));
        honest(&gateway);
        gateway.stderr().contains("those that wait make room")
    });
    for _ in 0..20 {
        let took = honest(&gateway);
        assert!(took < Duration::from_secs(2), "an honest client waited for {took:?}");
    }
    drop(slow);
}

fn slow_bodies_and_readers_are_given_up(io: Io) {
    let upstream = sized();
    // The backend's own time would end it otherwise: 29 s, unless more is written.
    let patient = with_timeout(http_proxy("ANY", &format!("http://{}/x", upstream.address)), 120_000);
    let slow = Api::new("slow", "s10ws10ws1").method("/x", "any", patient).host("slow");
    let gateway = Setup::new(io).api(slow).api(echo_api(upstream.address).host("echo")).start();
    let mut reader = Client::connect_narrow(gateway.public());
    reader.send("GET /8000000 HTTP/1.1\r\nHost: echo\r\n\r\n");
    let mut client = gateway.client();
    client.send("POST /x HTTP/1.1\r\nHost: slow\r\nContent-Length: 90000\r\n\r\n");
    let begun = SystemTime::now();
    while client.try_send("x").is_ok() {
        // 10 bytes a second: never silent, and never done.
        let passed = begun.elapsed().unwrap();
        assert!(passed < Duration::from_secs(45), "it still reads");
        if passed > Duration::from_secs(25) && !gateway_still_waits(&mut client) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let took = begun.elapsed().unwrap();
    assert!((28..45).contains(&took.as_secs()), "given up after {took:?}");
    assert!(upstream.requests().iter().all(|request| request.method == "GET"), "the body never looked whole");
    // Who has taken nothing of its answer for as long is gone, too, before it reads again.
    drop(client);
    eventually("the reader is gone", || gateway.json(&["status"])["workers"][0]["connections_open"] == 0);
    match reader.until_close() {
        Ok(answer) => assert!(answer.len() < 8_000_000, "it got all of it"),
        Err(Broken::Reset) => {}
        Err(other) => panic!("{other:?}"),
    }
}

/// Megabytes of each would use up the memory that the kernel has for all of TCP.
fn a_reader_that_does_not_read_keeps_little_in_the_kernel(io: Io) {
    let upstream = sized();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut reader = Client::connect_narrow(gateway.public());
    reader.send("GET /prod/8000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("bytes wait for it", || reader.queued_by(gateway.public()) > 64 << 10);
    let mut most = 0;
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(100));
        most = reader.queued_by(gateway.public()).max(most);
    }
    assert!(most < 512 << 10, "{most} bytes wait in the kernel");
    assert_eq!(reader.until_length().unwrap(), 8_000_000, "and none is lost");
}

/// As large as may be and never whole: some are given up, and whoever asks is served.
fn half_heads_keep_no_more_than_they_may(io: Io) {
    const CROWD: usize = 3_000;
    let upstream = sized();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    honest(&gateway);
    let line = format!("X: {}\r\n", "x".repeat(980));
    let half = format!("GET /prod/x HTTP/1.1\r\nHost: a\r\n{}", line.repeat(17));
    let mut crowd: Vec<Client> = Vec::new();
    for _ in 0..CROWD {
        let mut client = gateway.client();
        let _ = client.try_send(&half);
        crowd.push(client);
    }
    eventually("the slowest are closed", || gateway.stderr().contains("half heads keep as much memory"));
    honest(&gateway);
    let open = gateway.json(&["status"])["workers"][0]["connections_open"].as_u64().unwrap();
    // 64 MiB in steps of 32 KiB each, and what is left of the last look.
    assert!((1_000..2_500).contains(&open), "{open} half heads are open");
}

/// False once there is an answer (408), or the end.
fn gateway_still_waits(client: &mut Client) -> bool {
    client.be_patient(Duration::from_millis(20));
    match client.try_response() {
        Err(Broken::TimedOut) => true,
        Ok(response) => {
            assert_eq!(response.status, 408);
            false
        }
        Err(_) => false,
    }
}

/// 10,000 at once, as docs/reference/limits.md tells. By hand: `cargo nextest run -p gateway --run-ignored only slow`.
#[test]
#[ignore = "10,000 connections; takes some 15 s and prints its figures"]
fn ten_thousand_slow_clients() {
    let upstream = sized();
    let gateway = Setup::new(Io::IoUring).api(echo_api(upstream.address)).start();
    honest(&gateway);
    let alone = gateway.memory();
    let begun = SystemTime::now();
    let crowd = crowd(&gateway, [9_000, 600, 300, 100]);
    let connected = begun.elapsed().unwrap();
    let first = honest(&gateway);
    let mut times: Vec<Duration> = (0..200).map(|_| honest(&gateway)).collect();
    times.sort();
    let full = gateway.memory();
    println!(
        "{} slow clients within {connected:?}: first honest one {first:?}, then median {:?}, worst {:?}; \
         memory {} KiB alone, {} KiB with them, {} bytes of each",
        crowd.len(),
        times[times.len() / 2],
        times[times.len() - 1],
        alone >> 10,
        full >> 10,
        (full - alone) / crowd.len() as u64,
    );
    assert!(times[times.len() - 1] < Duration::from_secs(2));
    assert!(full - alone < 512 << 20, "{} MiB", (full - alone) >> 20);
}
