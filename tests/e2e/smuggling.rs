//! Requests with two readings: refused with 400 (or its kin), the connection closed, nothing forwarded.

use crate::harness::*;

/// (what is wrong, the bytes). A second request is sent behind each: it must not be heard.
const SHAPES: &[(&str, &str)] = &[
    (
        "both framings",
        "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    ),
    (
        "both, the other way round",
        "POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX",
    ),
    ("two lengths", "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ("a list of lengths", "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nab"),
    ("a signed length", "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na"),
    ("a negative length", "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na"),
    ("a hexadecimal length", "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na"),
    ("a length with a space inside", "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1 0\r\n\r\na"),
    ("an empty length", "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n"),
    (
        "a length past 64 bits",
        "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na",
    ),
    ("a length with a decimal point", "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1.0\r\n\r\na"),
    ("an unknown coding", "POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (
        "chunked is not last",
        "POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    ("identity", "POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    (
        "chunked twice",
        "POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in quotes",
        "POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    ),
    (
        "an empty coding",
        "POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\nContent-Length: 1\r\n\r\na",
    ),
    (
        "chunked with a vertical tab",
        "POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in HTTP/1.0",
        "POST /prod/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a space before the colon",
        "POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a tab before the colon", "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length\t: 1\r\n\r\na"),
    ("a folded field", "GET /prod/x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n"),
    ("a folded first field", "GET /prod/x HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n"),
    ("bare LF after a field", "GET /prod/x HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n"),
    ("bare LF everywhere", "GET /prod/x HTTP/1.1\nHost: a\n\n"),
    ("bare CR in a value", "GET /prod/x HTTP/1.1\r\nHost: a\r\nX-A: b\rTransfer-Encoding: chunked\r\n\r\n"),
    ("NUL in a value", "GET /prod/x HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n"),
    ("NUL in a name", "GET /prod/x HTTP/1.1\r\nHost: a\r\nX\0A: b\r\n\r\n"),
    ("a field without a colon", "GET /prod/x HTTP/1.1\r\nHost: a\r\nNonsense\r\n\r\n"),
    ("a space in a name", "GET /prod/x HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n"),
    ("an empty name", "GET /prod/x HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    ("two hosts", "GET /prod/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("no host", "GET /prod/x HTTP/1.1\r\nX-A: b\r\n\r\n"),
    ("a host with a user", "GET /prod/x HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("a host with a path", "GET /prod/x HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("a host with a space", "GET /prod/x HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("two spaces in the request line", "GET  /prod/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a space in the target", "GET /prod/x y HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a tab in the request line", "GET\t/prod/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("HTTP/2.0 in words", "GET /prod/x HTTP/2.0\r\nHost: a\r\n\r\n"),
    ("no version", "GET /prod/x\r\nHost: a\r\n\r\n"),
    ("a version in lower case", "GET /prod/x http/1.1\r\nHost: a\r\n\r\n"),
    ("a control byte in the method", "GE\x01T /prod/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a fragment", "GET /prod/x#y HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an encoded NUL", "GET /prod/x%00y HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("half a percent triplet", "GET /prod/x%4 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no hexadecimal triplet", "GET /prod/x%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("dot segments", "GET /prod/../admin HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("encoded dot segments", "GET /prod/%2e%2E/admin HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a backslash", "GET /prod\\..\\admin HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target without a slash", "GET prod/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a user in an absolute target", "GET http://u:p@a/prod/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a TLS hello", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03\r\n\r\n"),
];

on_both! {
    what_has_two_readings_is_refused_and_nothing_is_forwarded,
    heads_past_their_limits_are_refused,
    a_head_that_never_ends_is_given_up,
    a_head_that_does_not_come_in_time_is_given_up,
    what_was_routed_is_what_is_forwarded,
    what_stands_behind_a_request_is_judged_alone,
    a_body_that_breaks_off_never_looks_whole,
    interim_answers_without_end_are_a_broken_answer,
}

fn what_has_two_readings_is_refused_and_nothing_is_forwarded(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    for (what, bytes) in SHAPES {
        let mut client = gateway.client();
        client.send(bytes);
        // It may be closed already: then it was not heard either.
        let _ = client.try_send("GET /prod/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.try_response() {
            Ok(response) => {
                assert!([400, 501, 505].contains(&response.status), "{what}: {}", response.status);
                assert_eq!(response.field("connection"), Some("close"), "{what}");
                assert!(response.field("x-amzn-requestid").is_some(), "{what}: every answer has its id");
            }
            Err(client::Broken::Reset) => {} // our second request reset it
            Err(other) => panic!("{what}: {other:?}"),
        }
        client.assert_closed();
    }
    assert_eq!(gateway.client().get("/prod/good").status, 200);
    let targets: Vec<String> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/good"]);
    assert_eq!(upstream.connections(), 1, "nothing of the others was forwarded");
}

fn heads_past_their_limits_are_refused(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let many = "X: y\r\n".repeat(500);
    for (what, head, status) in [
        ("a long target", format!("GET /prod/{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(12_000)), 414),
        (
            "a long field",
            format!("GET /prod/x HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000)),
            431,
        ),
        ("many fields", format!("GET /prod/x HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
    ] {
        let mut client = gateway.client();
        let _ = client.try_send(&head);
        match client.try_response() {
            Ok(response) => assert_eq!(response.status, status, "{what}"),
            Err(client::Broken::Reset) => {} // what we still sent reset it
            Err(other) => panic!("{what}: {other:?}"),
        }
        client.assert_closed();
    }
    assert_eq!(upstream.connections(), 0);
    // At the limit itself each of them passes.
    for (what, path, fields) in [
        ("the longest target", "x".repeat(8_192 - "/prod/".len()), String::new()),
        ("the most fields", "x".into(), "X: y\r\n".repeat(99)),
        (
            "the largest head",
            "x".into(),
            format!("X: {}\r\n", "x".repeat(18_432 - "GET /prod/x HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len())),
        ),
    ] {
        let mut client = gateway.client();
        client.send(format!("GET /prod/{path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(client.response().status, 200, "{what}");
    }
}

fn a_head_that_never_ends_is_given_up(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\n");
    let mut sent = 0;
    while client.try_send("X-More: 0123456789\r\n").is_ok() {
        sent += 20;
        assert!(sent < 8 << 20, "a head without end is read for ever");
    }
    assert_eq!(upstream.connections(), 0);
}

fn a_head_that_does_not_come_in_time_is_given_up(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    // Ten seconds from its first byte to its last.
    client.be_patient(std::time::Duration::from_secs(20));
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    client.assert_closed();
    assert_eq!(upstream.connections(), 0);
}

fn what_was_routed_is_what_is_forwarded(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for (asked, forwarded) in [
        ("/prod/a%2fb", "/a%2Fb"),
        ("/prod/%61b%7Ec", "/ab~c"),
        ("/prod/a//b", "/a//b"),
        ("/prod/a?x=%2F&y=../z", "/a?x=%2F&y=../z"),
        ("/prod/sp%20ace", "/sp%20ace"),
    ] {
        assert_eq!(client.get(asked).text(), format!("GET {forwarded} "), "{asked}");
    }
    client.send("GET http://localhost/prod/absolute?q=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.response().text(), "GET /absolute?q=1 ");
}

fn what_stands_behind_a_request_is_judged_alone(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    for garbage in
        ["garbage\r\n\r\n", "0\r\n\r\n", "\0\0\0\0", "\r\n\r\nGET /prod/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"]
    {
        for whole in [
            "GET /prod/good HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /prod/good HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
            "POST /prod/good HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        ] {
            let mut client = gateway.client();
            client.send(format!("{whole}{garbage}"));
            assert_eq!(client.response().status, 200, "{garbage:?}");
            let second = client.response();
            assert_eq!((second.status, second.field("connection")), (400, Some("close")), "{garbage:?}");
            client.assert_closed();
        }
    }
    assert!(upstream.requests().iter().all(|request| request.target == "/good"));
}

fn a_body_that_breaks_off_never_looks_whole(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    for short in [
        "Content-Length: 5\r\n\r\nab",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
    ] {
        let mut client = gateway.client();
        client.send(format!("POST /prod/short HTTP/1.1\r\nHost: a\r\n{short}"));
        client.half_close();
        assert!(client.try_response().is_err(), "{short:?} was answered");
    }
    eventually("the backend has seen them end", || upstream.connections() == 4);
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
}

fn interim_answers_without_end_are_a_broken_answer(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.request();
        while connection.send("HTTP/1.1 103 Early Hints\r\n\r\n") {}
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    assert_eq!(gateway.client().get("/prod/x").status, 502);
    // Eight are passed over, the ninth is one too many.
    for (count, status) in [(8, 200), (9, 502)] {
        let upstream = Upstream::start(move |connection| {
            connection.request();
            connection.send("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(count));
            connection.answer(200, "ok");
        });
        let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
        assert_eq!(gateway.client().get("/prod/x").status, status, "{count}");
    }
}
