//! Clients that go away before they have their answer: the backend is let go, and nobody else is harmed.

use crate::harness::*;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

on_both! {
    a_reset_while_the_backend_thinks_frees_it_at_once,
    a_close_while_the_backend_thinks_frees_it_soon,
    whoever_ends_only_his_side_is_answered,
    http_1_0_is_sent_no_interim_answer,
    requests_that_wait_meanwhile_are_not_lost,
    a_reset_behind_waiting_requests_is_noticed,
    a_reset_while_the_answer_rests_frees_the_backend,
    a_client_gone_within_its_body_is_no_failure_of_the_backend,
}

/// Less than the first look of whoever has not heard of it (1 s). A machine that is busy may be late for all that: once
/// in so many tries is enough.
const AT_ONCE: Duration = Duration::from_millis(500);
const TRIES: usize = 5;

/// What a thinking backend tells: that it has a request; that its connection has ended.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Asked,
    Left,
}

/// Answers `/quick` and thinks about everything else until its connection ends.
fn thinking(begin: &'static str) -> (Upstream, Receiver<Told>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let upstream = Upstream::start(move |connection| {
        while let Some(request) = connection.request() {
            if request.target == "/quick" {
                connection.answer(200, "quick");
                continue;
            }
            connection.send(begin);
            tell.lock().unwrap().send(Told::Asked).unwrap();
            while connection.some().is_some() {}
            tell.lock().unwrap().send(Told::Left).unwrap();
            return;
        }
    });
    (upstream, told)
}

fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(PATIENCE).expect("the backend's connection is closed")
}

fn of_worker(gateway: &Gateway, counter: &str) -> u64 {
    gateway.json(&["status"])["workers"][0][counter].as_u64().unwrap()
}

/// Answers with what `text` says, after a word for each request of `target`.
fn held_at(target: &'static str, text: fn(&Received) -> &str) -> (Upstream, Sender<()>) {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::start(move |connection| {
        while let Some(request) = connection.request() {
            if request.target == target {
                gone.lock().unwrap().recv().unwrap();
            }
            connection.answer(200, text(&request));
        }
    });
    (upstream, go)
}

/// How long after the client's leaving the backend's connection ends.
fn freed(told: &Receiver<Told>, leave: impl FnOnce()) -> Duration {
    let begun = SystemTime::now();
    leave();
    assert_eq!(next(told), Told::Left);
    begun.elapsed().unwrap()
}

fn assert_at_once(mut tried: impl FnMut() -> Duration) {
    let mut all = Vec::new();
    let at_once = (0..TRIES).any(|_| {
        let took = tried();
        all.push(took);
        took < AT_ONCE
    });
    assert!(at_once, "noticed after {all:?}");
}

/// It is served still, on a connection that nobody has left anything on.
fn assert_unharmed(gateway: &Gateway, upstream: &Upstream) {
    let before = upstream.connections();
    assert_eq!(gateway.client().get("/prod/quick").text(), "quick");
    assert_eq!(upstream.connections(), before + 1, "the abandoned connection is not used again");
    assert_eq!(of_worker(gateway, "upstream_failures"), 0);
    eventually("nobody is left", || of_worker(gateway, "connections_open") == 0);
}

fn a_reset_while_the_backend_thinks_frees_it_at_once(io: Io) {
    for request in [
        "GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nall",
    ] {
        let (upstream, told) = thinking("");
        let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
        assert_at_once(|| {
            let mut client = gateway.client();
            client.send(request);
            assert_eq!(next(&told), Told::Asked);
            freed(&told, || client.reset())
        });
        assert_unharmed(&gateway, &upstream);
    }
}

fn a_close_while_the_backend_thinks_frees_it_soon(io: Io) {
    let (upstream, told) = thinking("");
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(next(&told), Told::Asked);
    let took = freed(&told, || drop(client));
    assert!(took < Duration::from_secs(3), "noticed after {took:?}");
    assert_unharmed(&gateway, &upstream);
}

fn whoever_ends_only_his_side_is_answered(io: Io) {
    let (upstream, go) = held_at("/slow", |request| &request.method);
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    for method in ["GET", "POST"] {
        let mut quick = gateway.client();
        quick.send(format!("{method} /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")).half_close();
        assert_eq!(quick.response().text(), method, "and nothing goes before an answer that comes soon");
        quick.assert_closed();
        let mut slow = gateway.client();
        slow.send(format!("{method} /prod/slow HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"))
            .half_close();
        assert_eq!(slow.head().unwrap().0, 100, "it is asked whether it is still there");
        go.send(()).unwrap();
        assert_eq!(slow.response().text(), method);
        slow.assert_closed();
    }
}

fn http_1_0_is_sent_no_interim_answer(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.request();
        // Past the moment at which a client of HTTP/1.1 is asked.
        std::thread::sleep(Duration::from_millis(1500));
        connection.answer(200, "late");
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.0\r\nHost: a\r\n\r\n").half_close();
    let response = client.response();
    assert_eq!((response.status, response.text()), (200, "late"));
}

fn requests_that_wait_meanwhile_are_not_lost(io: Io) {
    const WAITING: usize = 40;
    let (upstream, go) = held_at("/first", |request| &request.target);
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("GET /prod/first HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the backend thinks", || upstream.requests().len() == 1);
    for n in 0..WAITING {
        // Far apart enough to come as pieces of their own, more than are taken ahead.
        client.send(format!("GET /prod/{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
        std::thread::sleep(Duration::from_millis(2));
    }
    client.half_close();
    go.send(()).unwrap();
    assert_eq!(client.response().text(), "/first");
    for n in 0..WAITING {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
    client.assert_closed();
}

fn a_reset_behind_waiting_requests_is_noticed(io: Io) {
    let (upstream, told) = thinking("");
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(next(&told), Told::Asked);
    client.send("GET /prod/y HTTP/1.1\r\nHost: a\r\n\r\n");
    client.reset();
    assert_eq!(next(&told), Told::Left);
    assert!(upstream.requests().iter().all(|request| request.target == "/x"), "nobody waits for the other");
    assert_unharmed(&gateway, &upstream);
}

fn a_reset_while_the_answer_rests_frees_the_backend(io: Io) {
    for begin in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhalf",
    ] {
        let (upstream, told) = thinking(begin);
        let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
        assert_at_once(|| {
            let mut client = gateway.client();
            client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(next(&told), Told::Asked);
            assert_eq!(client.head().unwrap().0, 200);
            freed(&told, || client.reset())
        });
        assert_unharmed(&gateway, &upstream);
    }
}

fn a_client_gone_within_its_body_is_no_failure_of_the_backend(io: Io) {
    for (reset, framing, part) in [
        (true, "Content-Length: 90000", "part"),
        (false, "Content-Length: 90000", "part"),
        (true, "Transfer-Encoding: chunked", "4\r\npart\r\n"),
        (false, "Transfer-Encoding: chunked", "4\r\npart\r\n"),
    ] {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let upstream = Upstream::start(move |connection| {
            while let Some(request) = connection.head() {
                if request.target == "/quick" {
                    connection.answer(200, "quick");
                    continue;
                }
                connection.begun();
                tell.lock().unwrap().send(Told::Asked).unwrap();
                assert!(connection.body(&request).is_none(), "it never looks whole");
                tell.lock().unwrap().send(Told::Left).unwrap();
                return;
            }
        });
        let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
        // A connection that waits for the next request: it is the one that would be used again.
        assert_eq!(gateway.client().get("/prod/quick").text(), "quick");
        let mut client = gateway.client();
        client.send(format!("POST /prod/x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{part}"));
        assert_eq!(next(&told), Told::Asked);
        match reset {
            true => client.reset(),
            false => drop(client),
        }
        assert_eq!(next(&told), Told::Left);
        assert_unharmed(&gateway, &upstream);
    }
}
