//! Upstreams that fail: each failure has its answer, and none becomes a truncated success.

use crate::harness::api::{http_proxy, with_timeout};
use crate::harness::client::Broken;
use crate::harness::*;
use std::time::{Duration, SystemTime};

/// A gateway before an upstream that does `script` on every connection.
fn before(io: Io, script: impl Fn(&mut Connection) + Send + Sync + 'static) -> (Upstream, Gateway) {
    let upstream = Upstream::start(script);
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    (upstream, gateway)
}

fn assert_bad_gateway(response: &Response) {
    assert_eq!((response.status, response.message().as_str()), (502, "Internal server error"));
    assert_eq!(response.field("x-amzn-errortype"), Some("InternalServerErrorException"));
}

on_both! {
    nobody_listens,
    an_upstream_that_comes_back_is_used_again,
    no_answer_in_time,
    an_answer_that_stops_half_way_is_cut_not_ended,
    garbage_for_an_answer,
    an_endless_head,
    closed_before_an_answer,
    reset_before_an_answer,
    died_in_the_middle_of_a_head,
    died_in_the_middle_of_a_body,
    bad_chunks_in_an_answer_cut_the_client,
    more_than_the_length_is_not_passed_on,
    a_kept_connection_that_died_is_replaced_once_for_get,
    an_empty_body_may_be_repeated,
    a_post_whose_body_was_sent_is_never_repeated,
    idle_connections_that_the_upstream_closes_do_no_harm,
    a_client_that_goes_away_frees_the_upstream,
}

fn nobody_listens(io: Io) {
    let gateway = Setup::new(io).api(echo_api(Upstream::nobody())).start();
    let mut client = gateway.client();
    for _ in 0..20 {
        let response = client.get("/prod/x");
        assert_eq!(
            (response.status, response.message().as_str()),
            (504, "Network error communicating with endpoint")
        );
        assert_eq!(response.field("x-amzn-errortype"), Some("InternalServerErrorException"));
    }
    let said = gateway.stderr();
    let lines = said.lines().filter(|line| line.contains("echo ANY /{proxy+}: no connection to the backend"));
    assert!((1..10).contains(&lines.count()), "the operator is told, and not once per request: {said}");
}

fn an_upstream_that_comes_back_is_used_again(io: Io) {
    let address = Upstream::nobody();
    let gateway = Setup::new(io).api(echo_api(address)).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/prod/x").status, 504);
    let listener = std::net::TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut piece = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut piece);
            let _ = std::io::Write::write_all(
                &mut stream,
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    eventually("it is served", || client.get("/prod/x").status == 200);
}

fn no_answer_in_time(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.request();
        connection.request();
    });
    let slow = with_timeout(http_proxy("ANY", &format!("http://{}/x", upstream.address)), 300);
    let gateway = Setup::new(io).api(Api::new("slow", "s10ws10ws1").method("/x", "any", slow)).start();
    let begun = SystemTime::now();
    let response = gateway.client().get("/prod/x");
    let took = begun.elapsed().unwrap();
    assert_eq!((response.status, response.message().as_str()), (504, "Endpoint request timed out"));
    assert_eq!(response.field("x-amzn-errortype"), Some("InternalServerErrorException"));
    assert!((Duration::from_millis(250)..Duration::from_millis(2500)).contains(&took), "{took:?}");
    assert_eq!(upstream.requests().len(), 1, "a timeout is not retried");
}

fn an_answer_that_stops_half_way_is_cut_not_ended(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        connection.request();
    });
    let slow = with_timeout(http_proxy("ANY", &format!("http://{}/x", upstream.address)), 300);
    let gateway = Setup::new(io).api(Api::new("slow", "s10ws10ws1").method("/x", "any", slow)).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(matches!(client.try_response(), Err(Broken::Ended { .. } | Broken::Reset)));
}

fn garbage_for_an_answer(io: Io) {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/3.7 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
    ] {
        let (_upstream, gateway) = before(io, move |connection| {
            connection.request();
            connection.send(garbage);
        });
        let response = gateway.client().get("/prod/x");
        assert_eq!(response.status, 502, "{garbage:?}");
        assert_bad_gateway(&response);
    }
}

fn an_endless_head(io: Io) {
    let (_upstream, gateway) = before(io, |connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\n");
        while connection.send("X-Filler: 0123456789012345678901234567890123456789\r\n") {}
    });
    assert_bad_gateway(&gateway.client().get("/prod/x"));
}

fn closed_before_an_answer(io: Io) {
    let (upstream, gateway) = before(io, |connection| {
        connection.request();
    });
    assert_bad_gateway(&gateway.client().get("/prod/x"));
    assert_eq!(upstream.requests().len(), 1, "a fresh connection that dies is not retried");
}

fn reset_before_an_answer(io: Io) {
    let (_upstream, gateway) = before(io, |connection| {
        connection.request();
        connection.reset_at_end();
    });
    assert_bad_gateway(&gateway.client().get("/prod/x"));
}

fn died_in_the_middle_of_a_head(io: Io) {
    let (_upstream, gateway) = before(io, |connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Le");
    });
    assert_bad_gateway(&gateway.client().get("/prod/x"));
}

fn died_in_the_middle_of_a_body(io: Io) {
    for (reset, chunked) in [(false, false), (true, false), (false, true), (true, true)] {
        let (_upstream, gateway) = before(io, move |connection| {
            connection.request();
            connection.send(match chunked {
                true => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
                false => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            });
            // What is sent must be out before the RST, which would take it along.
            connection.wait_until_sent();
            if reset {
                connection.reset_at_end();
            }
        });
        let mut client = gateway.client();
        client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.try_response() {
            Err(Broken::Ended { .. } | Broken::Reset) => {}
            // RST may overtake the head: then it is a plain failure.
            Ok(response) if reset => assert_eq!(response.status, 502),
            other => panic!("reset {reset}, chunked {chunked}: {other:?}"),
        }
    }
}

fn bad_chunks_in_an_answer_cut_the_client(io: Io) {
    let (_upstream, gateway) = before(io, |connection| {
        connection.request();
        connection
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\nzz\r\nbad\r\n0\r\n\r\n");
        connection.some();
    });
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    match client.try_response() {
        Err(Broken::Ended { .. } | Broken::Reset) => {}
        other => panic!("{other:?}"),
    }
}

fn more_than_the_length_is_not_passed_on(io: Io) {
    let (_upstream, gateway) = before(io, |connection| {
        while connection.request().is_some() {
            let more = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{more}"));
        }
    });
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/prod/x").text(), "ok", "left-over bytes never answer the next request");
    }
}

fn a_kept_connection_that_died_is_replaced_once_for_get(io: Io) {
    let (upstream, gateway) = before(io, |connection| {
        connection.request();
        connection.answer(200, "ok");
        if connection.number == 0 {
            connection.request(); // and then it dies without a word
        } else {
            while connection.request().is_some() {
                connection.answer(200, "again");
            }
        }
    });
    let mut client = gateway.client();
    assert_eq!(client.get("/prod/first").text(), "ok");
    assert_eq!(client.get("/prod/second").text(), "ok");
    let targets: Vec<String> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/first", "/second", "/second"]);
}

fn an_empty_body_may_be_repeated(io: Io) {
    let (upstream, gateway) = before(io, |connection| {
        while connection.request().is_some_and(|request| connection.number > 0 || request.method == "GET") {
            connection.answer(200, "ok");
        }
    });
    let mut client = gateway.client();
    assert_eq!(client.get("/prod/first").status, 200);
    let response = client.request("DELETE", "/prod/x", "localhost", &[("Content-Length", "0")]);
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(upstream.connections(), 2);
    assert_eq!(client.get("/prod/last").status, 200);
}

fn a_post_whose_body_was_sent_is_never_repeated(io: Io) {
    let (upstream, gateway) = before(io, |connection| {
        while connection.request().is_some_and(|request| request.method == "GET") {
            connection.answer(200, "ok");
        }
    });
    let mut client = gateway.client();
    assert_eq!(client.get("/prod/first").status, 200);
    assert_bad_gateway(&client.post("/prod/pay", b"100"));
    let posts = upstream.requests().iter().filter(|request| request.method == "POST").count();
    assert_eq!(posts, 1);
}

fn idle_connections_that_the_upstream_closes_do_no_harm(io: Io) {
    let (upstream, gateway) = before(io, |connection| {
        connection.request();
        connection.answer(200, "once");
    });
    let mut client = gateway.client();
    for _ in 0..20 {
        assert_eq!(client.get("/prod/x").text(), "once");
    }
    assert_eq!(upstream.requests().len(), 20);
}

fn a_client_that_goes_away_frees_the_upstream(io: Io) {
    let (gone, seen) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let (upstream, gateway) = before(io, move |connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while connection.send(format!("1000\r\n{}\r\n", "x".repeat(0x1000))) {}
        gone.lock().unwrap().send(()).unwrap();
    });
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head().unwrap();
    client.reset();
    seen.recv_timeout(PATIENCE).expect("the upstream's connection is closed, too");
    assert_eq!(upstream.connections(), 1);
}
