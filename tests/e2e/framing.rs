//! One connection, many messages: keep-alive, pipelining, HEAD, 204, 304, 100-continue, versions.

use crate::harness::*;

on_both! {
    a_connection_carries_many_requests,
    pipelined_requests_are_answered_in_their_order,
    pipelined_bodies_are_told_apart,
    a_request_may_come_in_single_bytes,
    close_is_honoured_both_ways,
    http_1_0_gets_no_chunks,
    a_half_closed_client_still_gets_its_answer,
    the_answer_to_head_has_a_length_and_no_body,
    answers_that_have_no_body_have_no_framing,
    interim_answers_do_not_end_the_exchange,
    a_client_that_waits_for_100_gets_it,
    a_refused_client_that_waits_for_100_gets_the_refusal,
}

fn a_connection_carries_many_requests(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for number in 0..50 {
        let response = client.get(&format!("/prod/item/{number}"));
        assert_eq!((response.status, response.text()), (200, format!("GET /item/{number} ").as_str()));
    }
    assert_eq!(upstream.connections(), 1, "the upstream's connection is kept, too");
}

fn pipelined_requests_are_answered_in_their_order(io: Io) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            if request.target == "/0" {
                std::thread::sleep(std::time::Duration::from_millis(200));
            }
            connection.answer(200, &request.target);
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    let all: String =
        (0..30).map(|number| format!("GET /prod/{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(all);
    for number in 0..30 {
        assert_eq!(client.response().text(), format!("/{number}"));
    }
}

fn pipelined_bodies_are_told_apart(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send(
        "POST /prod/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst\
         POST /prod/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n\
         GET /prod/c HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.response().text(), "POST /a first");
    assert_eq!(client.response().text(), "POST /b second");
    assert_eq!(client.response().text(), "GET /c ");
}

fn a_request_may_come_in_single_bytes(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for byte in
        b"POST /prod/slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "POST /slow body");
}

fn close_is_honoured_both_ways(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    let response = client.request("GET", "/prod/x", "a", &[("Connection", "close")]);
    assert_eq!(response.field("connection"), Some("close"));
    client.assert_closed();

    let mut old = gateway.client();
    old.send("GET /prod/x HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(old.response().text(), "GET /x ");
    old.assert_closed();
}

fn http_1_0_gets_no_chunks(io: Io) {
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.0\r\nHost: a\r\n\r\n");
    let response = client.response();
    assert_eq!(response.field("transfer-encoding"), None);
    assert_eq!(response.text(), "hello");
}

fn a_half_closed_client_still_gets_its_answer(io: Io) {
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            std::thread::sleep(std::time::Duration::from_millis(150));
            connection.answer(200, "late");
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    client.half_close();
    assert_eq!(client.response().text(), "late");
    client.assert_closed();
}

fn the_answer_to_head_has_a_length_and_no_body(io: Io) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            let body = if request.method == "HEAD" { "" } else { "12345" };
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}"));
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("HEAD /prod/x HTTP/1.1\r\nHost: a\r\n\r\nGET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response_to_head();
    assert_eq!((head.status, head.field("content-length")), (200, Some("5")));
    assert_eq!(client.response().text(), "12345");
    assert_eq!(client.request("HEAD", "/nothing/here", "a", &[]).status, 403);
    assert_eq!(client.get("/prod/x").text(), "12345", "a refused HEAD has no body either");
}

fn answers_that_have_no_body_have_no_framing(io: Io) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            let status = &request.target[1..];
            connection.send(match status {
                "204" => "HTTP/1.1 204 No Content\r\nX-Kept: yes\r\n\r\n",
                _ => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 77\r\n\r\n",
            });
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for _ in 0..3 {
        let response = client.get("/prod/204");
        assert_eq!((response.status, response.field("x-kept")), (204, Some("yes")));
        assert_eq!(response.field("content-length"), None, "RFC 9110 §8.6");
        assert_eq!(response.field("transfer-encoding"), None);
        let response = client.get("/prod/304");
        assert_eq!((response.status, response.field("etag")), (304, Some("\"a\"")));
        assert_eq!(response.field("transfer-encoding"), None);
    }
}

fn interim_answers_do_not_end_the_exchange(io: Io) {
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
            connection.send("HTTP/1.1 102 Processing\r\n\r\n");
            connection.answer(200, "final");
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let mut response = client.get("/prod/x");
        while response.status < 200 {
            response = client.response();
        }
        assert_eq!(response.text(), "final");
    }
}

fn a_client_that_waits_for_100_gets_it(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.response().status, 100);
        client.send("body");
        assert_eq!(client.response().text(), "POST /x body");
    }
    assert_eq!(upstream.requests()[0].field("expect"), None, "Expect is the gateway's, not the backend's");
}

fn a_refused_client_that_waits_for_100_gets_the_refusal(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("POST /none/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.message().as_str()), (403, "Forbidden"));
    // The body was announced and may still come: it is never read as a request.
    let _ = client.try_send("GET /prod/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    while client.try_response().is_ok() {}
    assert!(upstream.requests().iter().all(|request| request.target != "/smuggled"));
}
