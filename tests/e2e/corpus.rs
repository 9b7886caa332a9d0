//! The messages of `tests/corpus` that are refused, against the real binary: a request is answered and the connection
//! closes, a response is a 502, and neither connection carries anything more.

#[path = "../corpus/cases.rs"]
#[allow(dead_code)] // the codec's tests cut them in pieces
mod cases;

use crate::harness::client::{Broken, find};
use crate::harness::*;
use cases::{Case, cases};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

on_both! {
    refused_requests_close_and_nothing_goes_on,
    refused_chunks_of_a_request_close_and_it_never_looks_whole,
    refused_responses_are_502_and_their_connections_end,
    refused_chunks_of_a_response_cut_the_client_and_end_the_connection,
}

fn refused(folder: &str) -> Vec<Case> {
    cases(folder).into_iter().filter(Case::is_refused).collect()
}

fn refused_requests_close_and_nothing_goes_on(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    for case in refused("requests") {
        let mut client = gateway.client();
        let _ = client.try_send(&case.bytes);
        let _ = client.try_send("GET /prod/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.try_response() {
            Ok(response) => {
                // Cut short, a message meets our next one in its middle.
                let short = find(&case.bytes, b"\r\n\r\n").is_none();
                assert!(case.want == response.status.to_string() || short, "{case}: {}", response.status);
                assert_eq!(response.field("connection"), Some("close"), "{case}");
            }
            Err(Broken::Reset) => {} // what we still sent reset it
            Err(other) => panic!("{case}: {other:?}"),
        }
        client.assert_closed();
    }
    assert_eq!(upstream.connections(), 0, "nothing was forwarded");
}

fn refused_chunks_of_a_request_close_and_it_never_looks_whole(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    for case in refused("chunked") {
        let mut client = gateway.client();
        client.send("POST /prod/bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let _ = client.try_send(&case.bytes);
        let _ = client.try_send("\r\nGET /prod/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.try_response() {
            Ok(response) => assert!([400, 431].contains(&response.status), "{case}: {}", response.status),
            Err(Broken::Reset) => {}
            Err(other) => panic!("{case}: {other:?}"),
        }
        client.assert_closed();
    }
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
}

/// An upstream that sends the answer of its nth connection to that one's first request, an ordinary one to others, and
/// counts the connections that the gateway has ended.
fn answering(answers: Vec<Vec<u8>>) -> (Upstream, Arc<AtomicUsize>) {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let upstream = Upstream::start(move |connection| {
        connection.request();
        connection.send(&answers[connection.number]);
        // The next thing must be the end, not another request.
        if connection.request().is_none() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (upstream, ended)
}

fn refused_responses_are_502_and_their_connections_end(io: Io) {
    let cases = refused("responses");
    let (upstream, ended) = answering(cases.iter().map(|case| case.bytes.clone()).collect());
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for case in &cases {
        let method = case.request.as_deref().unwrap_or("GET");
        assert_eq!(client.request(method, "/prod/x", "a", &[]).status, 502, "{case}");
    }
    assert_eq!(upstream.connections(), cases.len(), "none was used again");
    eventually("all of them are closed", || ended.load(Ordering::SeqCst) == cases.len());
}

fn refused_chunks_of_a_response_cut_the_client_and_end_the_connection(io: Io) {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = refused("chunked");
    let (upstream, ended) =
        answering(cases.iter().map(|case| [HEAD, case.bytes.as_slice()].concat()).collect());
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    for case in &cases {
        let mut client = gateway.client();
        client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.try_response() {
            Err(Broken::Ended { .. } | Broken::Reset) => {}
            other => panic!("{case}: {other:?}"),
        }
    }
    assert_eq!(upstream.connections(), cases.len(), "none was used again");
    eventually("all of them are closed", || ended.load(Ordering::SeqCst) == cases.len());
}
