//! What a backend could read differently from us in what we forward, and what it sends when nobody asked it.

use crate::harness::*;
use std::sync::Mutex;
use std::sync::mpsc::channel;

on_both! {
    a_backend_that_reads_no_body_reads_no_request_in_it,
    fields_that_a_backend_may_take_for_others_stay_here,
    what_comes_unasked_on_an_idle_connection_answers_nobody,
    an_answer_to_head_with_a_body_answers_nobody_else,
}

/// As some servers: a body of GET, HEAD or DELETE is not read, so what stands in it is the next request, unless the
/// connection ends.
fn careless() -> Upstream {
    Upstream::start(|connection| {
        while let Some(mut request) = connection.head() {
            if request.method == "POST" {
                request.body = connection.body(&request).unwrap_or_default();
            }
            connection.remember(&request);
            connection.answer(200, if request.method == "HEAD" { "" } else { &request.target });
            if request.field("connection") == Some("close") {
                // Unread bytes would reset the connection, and the answer with it.
                connection.half_close();
                while connection.some().is_some() {}
                return;
            }
        }
    })
}

fn a_backend_that_reads_no_body_reads_no_request_in_it(io: Io) {
    let upstream = careless();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = gateway.client();
    let mut asked = Vec::new();
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        for framed in [
            format!("Content-Length: {}\r\n\r\n{hidden}", hidden.len()),
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
        ] {
            client.send(format!("{method} /prod/odd HTTP/1.1\r\nHost: a\r\n{framed}"));
            let answer = if method == "HEAD" { client.response_to_head() } else { client.response() };
            assert_eq!(answer.status, 200, "{method} {framed:?}");
            assert_eq!(client.get("/prod/next").text(), "/next", "{method} {framed:?}");
            asked.extend(["/odd", "/next"]);
        }
    }
    let targets: Vec<String> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, asked, "nothing of a body was heard as a request");
    // Where a body is expected, and where there is none, connections are kept.
    let before = upstream.connections();
    for _ in 0..3 {
        assert_eq!(client.post("/prod/kept", b"body").text(), "/kept");
    }
    assert!(upstream.connections() <= before + 1, "{before} and then {}", upstream.connections());
}

fn fields_that_a_backend_may_take_for_others_stay_here(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let disguised = [
        ("Content_Length", "5"),
        ("Transfer_Encoding", "chunked"),
        ("X_Forwarded_For", "192.0.2.1"),
        ("X.Forwarded.Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X_Amzn_Trace_Id", "Root=1-5759e988-bd862e3fe1be46a994272793"),
        ("X_Own", "passes"),
    ];
    assert_eq!(gateway.client().request("GET", "/prod/x", "a", &disguised).status, 200);
    let request = &upstream.requests()[0];
    let odd = request.fields.iter().filter(|(name, _)| name.contains(['_', '.']) || name.ends_with("Host"));
    let odd: Vec<&str> = odd.map(|(name, _)| name.as_str()).collect();
    assert_eq!(odd, ["Host", "X_Own"]);
}

/// Response-queue poisoning: an answer that lies ready before its request was sent is nobody's.
fn what_comes_unasked_on_an_idle_connection_answers_nobody(io: Io) {
    for unasked in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nevil",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "H",
        "\r\n",
    ] {
        let (now, go) = channel::<()>();
        let (done, sent) = channel::<()>();
        let (go, done) = (Mutex::new(go), Mutex::new(done));
        let upstream = Upstream::start(move |connection| {
            let number = connection.number;
            while connection.request().is_some() {
                connection.answer(200, &number.to_string());
                if number == 0 {
                    go.lock().unwrap().recv().unwrap();
                    connection.send(unasked);
                    connection.wait_until_sent();
                    done.lock().unwrap().send(()).unwrap();
                }
            }
        });
        let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
        let mut client = gateway.client();
        assert_eq!(client.get("/prod/x").text(), "0");
        now.send(()).unwrap();
        sent.recv_timeout(PATIENCE).unwrap();
        for method in ["GET", "POST"] {
            let response = client.request(method, "/prod/x", "a", &[]);
            assert_eq!((response.status, response.text()), (200, "1"), "{method} after {unasked:?}");
        }
        assert_eq!(upstream.requests().len(), 3, "{unasked:?}");
    }
}

/// RFC 9112 §6.3: the answer to HEAD ends with its head, whatever its backend thinks.
fn an_answer_to_head_with_a_body_answers_nobody_else(io: Io) {
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            connection.answer(200, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.request("HEAD", "/prod/x", "a", &[]).field("content-length"), Some("42"));
    }
    assert_eq!(upstream.connections(), 5, "a connection with bytes that nobody asked for carries no more");
}
