//! Bodies both ways: lengths, chunks, until-close, early answers, limits.

use crate::harness::*;

/// A body whose every byte tells its place.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at / 251 + at) as u8).collect()
}

/// Sends back the body that it got, framed as the path says.
fn mirror() -> Upstream {
    Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            if request.target == "/length" {
                connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()));
                connection.send(&request.body);
                continue;
            }
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in request.body.chunks(10_007) {
                connection.send(format!("{:x}\r\n", piece.len()));
                connection.send(piece);
                connection.send("\r\n");
            }
            connection.send("0\r\n\r\n");
        }
    })
}

on_both! {
    bodies_pass_unchanged_in_every_framing,
    a_length_stays_a_length_and_chunks_stay_chunks,
    a_body_until_close_arrives_whole_and_keeps_the_client,
    the_first_bytes_of_an_answer_do_not_wait_for_the_rest,
    the_first_bytes_of_a_request_do_not_wait_for_the_rest,
    an_early_answer_reaches_a_client_that_still_sends,
    a_body_over_10_mb_is_refused_by_its_length,
    a_chunked_body_over_10_mb_is_cut,
    a_body_of_exactly_10_mb_passes,
    bad_chunks_never_become_a_whole_request,
}

fn bodies_pass_unchanged_in_every_framing(io: Io) {
    let upstream = mirror();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for size in [0, 1, 4095, 4096, 65_535, 65_537, 3_000_000] {
        let body = pattern(size);
        for path in ["/prod/length", "/prod/chunks"] {
            let response = client.post(path, &body);
            assert_eq!(response.status, 200);
            assert!(response.body == body, "{size} bytes by length, {path}");
            client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
            for piece in body.chunks(7_919) {
                client.send(format!("{:X}\r\n", piece.len())).send(piece).send("\r\n");
            }
            client.send("0\r\n\r\n");
            assert!(client.response().body == body, "{size} bytes in chunks, {path}");
        }
    }
}

fn a_length_stays_a_length_and_chunks_stay_chunks(io: Io) {
    let upstream = mirror();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    let response = client.post("/prod/length", b"four");
    assert_eq!((response.field("content-length"), response.field("transfer-encoding")), (Some("4"), None));
    assert_eq!(upstream.requests()[0].field("content-length"), Some("4"));
    client
        .send("POST /prod/c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.field("content-length"), response.field("transfer-encoding")),
        (None, Some("chunked"))
    );
    let request = &upstream.requests()[1];
    assert_eq!(
        (request.field("content-length"), request.field("transfer-encoding")),
        (None, Some("chunked"))
    );
}

fn a_body_until_close_arrives_whole_and_keeps_the_client(io: Io) {
    let upstream = Upstream::start(|connection| {
        if connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
            connection.send(vec![b'x'; 300_000]);
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let response = client.get("/prod/x");
        assert_eq!((response.status, response.body.len()), (200, 300_000));
        assert_eq!(response.field("transfer-encoding"), Some("chunked"));
    }
}

fn the_first_bytes_of_an_answer_do_not_wait_for_the_rest(io: Io) {
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            // The rest is sent only when the client has said, by a second request, that it got the first.
            if connection.request().is_none() {
                break;
            }
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().unwrap().0, 200);
    assert_eq!(client.take(10).unwrap(), b"5\r\nfirst\r\n");
}

fn the_first_bytes_of_a_request_do_not_wait_for_the_rest(io: Io) {
    let (heard, hears) = std::sync::mpsc::channel();
    let heard = std::sync::Mutex::new(heard);
    let upstream = Upstream::start(move |connection| {
        connection.head();
        let mut body = connection.some().unwrap();
        heard.lock().unwrap().send(body.clone()).unwrap();
        while body.len() < 11 {
            let Some(more) = connection.some() else { return };
            body.extend(more);
        }
        connection.answer(200, std::str::from_utf8(&body).unwrap());
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst");
    assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), b"first");
    client.send("second");
    assert_eq!(client.response().text(), "firstsecond");
}

fn an_early_answer_reaches_a_client_that_still_sends(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.head();
        connection.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        connection.half_close();
        while connection.some().is_some() {}
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\npart");
    let response = client.response();
    assert_eq!((response.status, response.text()), (401, "no"));
}

fn a_body_over_10_mb_is_refused_by_its_length(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10485761\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.message().as_str()), (413, "Request Too Long"));
    client.assert_closed();
    assert_eq!(upstream.requests().len(), 0);
}

fn a_chunked_body_over_10_mb_is_cut(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    for _ in 0..161 {
        if client.try_send(&chunk).is_err() {
            break; // closed already
        }
    }
    let _ = client.try_send("0\r\n\r\n");
    match client.try_response() {
        Ok(response) => assert_eq!(response.status, 413),
        Err(client::Broken::TimedOut) => panic!("neither refused nor closed"),
        Err(_) => {} // our late chunks may have reset the connection before the answer was read
    }
    assert_eq!(upstream.requests().len(), 0, "no whole request may reach the upstream");
}

fn a_body_of_exactly_10_mb_passes(io: Io) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            connection.answer(200, &request.body.len().to_string());
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    assert_eq!(gateway.client().post("/prod/x", &vec![0; 10_485_760]).text(), "10485760");
    // In chunks too, and one byte more is one too many.
    let chunked = |more: &str| {
        let mut client = gateway.client();
        client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na00000\r\n");
        client.send(vec![0; 10_485_760]).send(format!("\r\n{more}0\r\n\r\n"));
        client.response()
    };
    assert_eq!(chunked("").text(), "10485760");
    assert_eq!(chunked("1\r\nx\r\n").status, 413);
}

fn bad_chunks_never_become_a_whole_request(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    for bad in [
        "zz\r\nab\r\n0\r\n\r\n",
        "-2\r\nab\r\n0\r\n\r\n",
        "0x2\r\nab\r\n0\r\n\r\n",
        "2 \r\nab\r\n0\r\n\r\n",
        "2;a=b\r\nab\r\n0\r\n\r\n",
        "2\nab\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "2\r\nab0\r\n\r\n",
        "\r\n\r\n",
        "fffffffffffffffff\r\nab\r\n0\r\n\r\n",
        "2\r\nab\r\n0\r\nBad Name: x\r\n\r\n",
        "2\r\nab\r\n0\r\n folded\r\n\r\n",
        "+2\r\nab\r\n0\r\n\r\n",
        "2\r\nab\n0\r\n\r\n",
    ] {
        let mut client = gateway.client();
        client.send("POST /prod/bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let _ = client.try_send(bad);
        let _ = client.try_send("GET /prod/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        if let Ok(response) = client.try_response() {
            assert_eq!(response.status, 400, "{bad:?}");
        }
        client.assert_closed();
    }
    assert_eq!(gateway.client().get("/prod/good").status, 200);
    let targets: Vec<String> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/good"]);
}
