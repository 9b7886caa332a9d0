//! A connection keeps its place: whatever fails half-way, no byte of one request is taken for another's.

use crate::harness::api::{http_proxy, with_timeout};
use crate::harness::*;

on_both! {
    a_body_that_went_up_is_not_read_again,
    a_body_that_went_up_half_way_ends_the_connection,
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
