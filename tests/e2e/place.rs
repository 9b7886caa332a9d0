//! A connection keeps its place: whatever fails half-way, no byte of one request is taken for another's.

use crate::harness::api::{http_proxy, with_timeout};
use crate::harness::*;
use serde_json::json;
use std::time::{Duration, SystemTime};

on_both! {
    a_body_that_went_up_is_not_read_again,
    a_body_that_went_up_half_way_ends_the_connection,
    an_answer_without_a_body_has_an_end,
    a_close_does_not_cut_the_answer_before_it,
    a_refused_body_that_drips_is_not_waited_for,
    a_customised_refusal_does_not_frame_itself,
}

fn a_body_that_went_up_is_not_read_again(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.request(); // and it closes without an answer
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    let body = "x".repeat(30);
    let post = format!("POST /prod/a HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n{body}");
    client.send(format!("{post}{post}GET /prod/b HTTP/1.1\r\nHost: a\r\n\r\n"));
    for _ in 0..3 {
        assert_eq!(client.response().status, 502);
    }
    let targets: Vec<_> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/a", "/a", "/b"]);
}

fn a_body_that_went_up_half_way_ends_the_connection(io: Io) {
    let upstream = Upstream::start(|connection| while connection.request().is_some() {});
    let slow = with_timeout(http_proxy("ANY", &format!("http://{}/x", upstream.address)), 300);
    let gateway = Setup::new(io).api(Api::new("slow", "s10ws10ws1").method("/x", "any", slow)).start();
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\nhalf");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (504, Some("close")));
    // The rest of the body, and behind it what would be read as a request after 40 bytes more.
    let _ = client.try_send("y".repeat(40) + "GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    client.assert_closed();
    assert!(upstream.requests().is_empty());
}

fn an_answer_without_a_body_has_an_end(io: Io) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            connection.send(match request.method.as_str() {
                "HEAD" => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                _ => "HTTP/1.1 204 No Content\r\n\r\n",
            });
        }
    });
    let uri = format!("http://{}/", upstream.address);
    let mut renamed = http_proxy("GET", &uri);
    renamed["type"] = json!("http");
    let api = Api::new("ends", "ends0ends0").method("/head", "get", http_proxy("HEAD", &uri));
    let gateway = Setup::new(io).api(api.method("/renamed", "get", renamed)).start();
    for path in ["/prod/head", "/prod/renamed"] {
        let mut client = gateway.client();
        for _ in 0..2 {
            let response = client.get(path);
            assert_eq!((response.status, response.text()), (200, ""), "{path}");
            assert_eq!(response.field("content-length"), Some("0"), "{path}");
        }
    }
}

/// What stands unread when a socket closes makes the kernel reset it, and forget what it had still to send.
fn a_close_does_not_cut_the_answer_before_it(io: Io) {
    const LENGTH: usize = 8 << 20;
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            connection.answer(200, &"x".repeat(LENGTH));
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = Client::connect_narrow(gateway.public());
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.head().unwrap();
    // Some clients end a message with one line more; here it comes while the answer is still on its way.
    client.send("\r\n");
    assert_eq!(client.take(LENGTH).unwrap().len(), LENGTH);
    client.assert_closed();
}

fn a_refused_body_that_drips_is_not_waited_for(io: Io) {
    let gateway = Setup::new(io).api(echo_api(Upstream::nobody())).start();
    let mut client = gateway.client();
    client.send("POST /none/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    assert_eq!(client.response().status, 403);
    let begun = SystemTime::now();
    while client.try_send("x").is_ok() {
        assert!(begun.elapsed().unwrap() < PATIENCE, "it still reads");
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn a_customised_refusal_does_not_frame_itself(io: Io) {
    let fields = json!({
        "gatewayresponse.header.Content-Length": "'1'",
        "gatewayresponse.header.Transfer-Encoding": "'chunked'",
        "gatewayresponse.header.Connection": "'close'",
        "gatewayresponse.header.X-Own": "'yes'",
    });
    let responses = json!({ "DEFAULT_4XX": { "responseParameters": fields } });
    let api = echo_api(Upstream::nobody()).set("x-amazon-apigateway-gateway-responses", responses);
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let response = client.request("TRACE", "/prod/x", "localhost", &[]);
        assert_eq!((response.status, response.field("x-own")), (403, Some("yes")));
        let named = |wanted: &str| {
            response.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).count()
        };
        assert_eq!(["content-length", "transfer-encoding", "connection"].map(named), [1, 0, 1]);
        assert_eq!(response.field("connection"), Some("keep-alive"));
    }
}
