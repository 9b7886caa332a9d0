//! minimumCompressionSize: answers coded for those who take it, requests decoded; and no wrong coding for anybody.

use crate::harness::api::{http_proxy, mock};
use crate::harness::client::Broken;
use crate::harness::*;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

on_both! {
    an_answer_is_coded_for_whoever_takes_it,
    what_is_short_or_coded_or_not_to_be_changed_passes_as_it_is,
    head_and_conditions_agree_with_get,
    the_first_bytes_of_a_coded_answer_do_not_wait_for_the_rest,
    a_cut_answer_does_not_look_whole,
    the_cache_keeps_what_came_and_gives_each_client_its_own,
    what_a_backend_coded_is_kept_for_those_who_take_it,
    a_coded_request_is_decoded_for_the_backend,
    a_body_that_the_backend_has_takes_no_room,
    mock_answers_are_coded_and_refusals_are_not,
    without_a_minimum_nothing_is_changed,
}

const GZIP: (&str, &str) = ("Accept-Encoding", "gzip");

/// Compresses well, and differs everywhere.
fn text(bytes: usize) -> String {
    let mut text = String::new();
    for line in 0.. {
        text.push_str(&format!("line {line} of the answer\n"));
        if text.len() >= bytes {
            text.truncate(bytes);
            return text;
        }
    }
    unreachable!()
}

fn ungzip(body: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

fn inflate(body: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::ZlibDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

/// Answers `/N` with N bytes and a length, `/cN` with N bytes in chunks, and anything else with its fields.
fn sized() -> Upstream {
    Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            let path = request.target.trim_start_matches('/');
            let (size, query) = path.split_once('?').unwrap_or((path, ""));
            let body = text(size.trim_start_matches('c').parse().unwrap_or(0));
            let fields: String = query
                .split('&')
                .filter(|f| !f.is_empty())
                .map(|f| {
                    let (name, value) = f.split_once('=').unwrap();
                    format!("{name}: {}\r\n", value.replace("%22", "\""))
                })
                .collect();
            if size.starts_with('c') {
                let mut answer = format!("HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
                for piece in body.as_bytes().chunks(5_000) {
                    let piece = std::str::from_utf8(piece).unwrap();
                    answer.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
                }
                connection.send(answer + "0\r\n\r\n");
                continue;
            }
            connection.send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()));
            if request.method != "HEAD" {
                connection.send(&body);
            }
        }
    })
}

fn coded(upstream: &Upstream, minimum: u64) -> Api {
    echo_api(upstream.address).set("x-amazon-apigateway-minimum-compression-size", json!(minimum))
}

fn get(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Response {
    client.request("GET", path, "localhost", fields)
}

fn an_answer_is_coded_for_whoever_takes_it(io: Io) {
    let upstream = sized();
    let gateway = Setup::new(io).api(coded(&upstream, 100)).start();
    let mut client = gateway.client();
    // In one send, over several buffers, over what a pipe would carry; by length and in chunks.
    for size in [100, 5_000, 40_000, 1_000_000] {
        for path in [format!("/prod/{size}"), format!("/prod/c{size}")] {
            let answer = get(&mut client, &path, &[GZIP]);
            assert_eq!(answer.field("content-encoding"), Some("gzip"), "{path}");
            assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
            assert!(answer.body.len() < size, "{path}: {}", answer.body.len());
            assert!(ungzip(&answer.body) == text(size), "{path}");
            let answer = get(&mut client, &path, &[("Accept-Encoding", "gzip;q=0, deflate;q=0.5")]);
            assert_eq!(answer.field("content-encoding"), Some("deflate"));
            assert!(inflate(&answer.body) == text(size), "{path}");
            for plain in [&[][..], &[("Accept-Encoding", "identity, gzip;q=0")], &[("Accept-Encoding", "br")]]
            {
                let answer = get(&mut client, &path, plain);
                assert_eq!(answer.field("content-encoding"), None);
                // A cache between here and there must not give one client's answer to another.
                assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
                assert!(answer.body == text(size).as_bytes(), "{path}");
            }
        }
    }
    // HTTP/1.0 knows no chunks: its end is the connection's.
    let mut old = gateway.client();
    old.send("GET /prod/5000 HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n");
    let answer = old.response();
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(ungzip(&answer.body) == text(5000));
}

fn what_is_short_or_coded_or_not_to_be_changed_passes_as_it_is(io: Io) {
    let upstream = sized();
    let gateway = Setup::new(io).api(coded(&upstream, 100)).start();
    let mut client = gateway.client();
    for path in [
        "/prod/99",
        "/prod/c99",
        "/prod/5000?Content-Encoding=br",
        "/prod/5000?Cache-Control=no-transform",
        "/prod/5000?Content-MD5=x",
        "/prod/0",
    ] {
        let answer = get(&mut client, path, &[GZIP]);
        let encoding = answer.field("content-encoding").filter(|coding| *coding != "br");
        assert_eq!((answer.status, encoding), (200, None), "{path}");
    }
    let asked = [GZIP, ("Cache-Control", "no-transform")];
    assert_eq!(get(&mut client, "/prod/5000", &asked).field("content-encoding"), None);
    // A part is a part of what it was.
    let partial = Upstream::start(|connection| {
        while connection.request().is_some() {
            connection
                .send("HTTP/1.1 206 P\r\nContent-Range: bytes 0-199/900\r\nContent-Length: 200\r\n\r\n");
            connection.send([b'x'; 200]);
        }
    });
    let gateway = Setup::new(io).api(coded(&partial, 100)).start();
    let answer = get(&mut gateway.client(), "/prod/x", &[GZIP, ("Range", "bytes=0-199")]);
    assert_eq!((answer.status, answer.field("content-encoding"), answer.body.len()), (206, None, 200));
}

fn head_and_conditions_agree_with_get(io: Io) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            let body = text(3_000);
            if request.field("if-none-match").is_some_and(|tag| tag.contains("\"t\"")) {
                connection.send("HTTP/1.1 304 N\r\nETag: \"t\"\r\n\r\n");
                continue;
            }
            let head = "HTTP/1.1 200 OK\r\nETag: \"t\"\r\nAccept-Ranges: bytes\r\n";
            connection.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()));
            if request.method != "HEAD" {
                connection.send(&body);
            }
        }
    });
    let gateway = Setup::new(io).api(coded(&upstream, 100)).start();
    let mut client = gateway.client();
    let answer = get(&mut client, "/prod/x", &[GZIP]);
    assert_eq!((answer.field("etag"), answer.field("accept-ranges")), (Some("W/\"t\""), None));
    let head = client.request("HEAD", "/prod/x", "localhost", &[GZIP]);
    for name in ["etag", "content-encoding", "vary", "accept-ranges"] {
        assert_eq!(head.field(name), answer.field(name), "{name}");
    }
    assert_eq!(head.field("content-length"), None, "the length of the coded body is not known");
    let unchanged = get(&mut client, "/prod/x", &[GZIP, ("If-None-Match", "W/\"t\"")]);
    assert_eq!((unchanged.status, unchanged.field("etag")), (304, Some("W/\"t\"")));
    assert_eq!(unchanged.field("content-encoding"), None);
    // Whoever takes no coding has the strong tag, and a length.
    let plain = client.request("HEAD", "/prod/x", "localhost", &[]);
    assert_eq!((plain.field("etag"), plain.field("content-length")), (Some("\"t\""), Some("3000")));
}

fn the_first_bytes_of_a_coded_answer_do_not_wait_for_the_rest(io: Io) {
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            // The rest only when a second request tells that the first bytes were there.
            if connection.request().is_none() {
                break;
            }
        }
    });
    let gateway = Setup::new(io).api(coded(&upstream, 0)).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    let (status, _) = client.head().unwrap();
    assert_eq!(status, 200);
    let mut decoder = flate2::write::GzDecoder::new(Vec::new());
    while decoder.get_ref() != b"first" {
        let line =
            std::iter::from_fn(|| client.take(1).ok()).map(|byte| byte[0]).take_while(|byte| *byte != b'\n');
        let line = String::from_utf8(line.collect()).unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        assert!(size > 0, "it ended before its first bytes");
        decoder.write_all(&client.take(size).unwrap()).unwrap();
        decoder.flush().unwrap();
        client.take(2).unwrap();
    }
}

fn a_cut_answer_does_not_look_whole(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        connection.send(text(50_000));
    });
    let gateway = Setup::new(io).api(coded(&upstream, 0)).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    match client.try_response() {
        Err(Broken::Ended { .. } | Broken::Reset) => {}
        other => panic!("{other:?}"),
    }
}

fn the_cache_keeps_what_came_and_gives_each_client_its_own(io: Io) {
    let upstream = sized();
    for size in [50, 3_000, 200_000] {
        // Another path would be answered with the first one's: {proxy} is in no key here.
        let api = coded(&upstream, 100).cache_cluster_size("0.5");
        let gateway = Setup::new(io).api(api.method_setting("*/*", "caching_enabled = true")).start();
        let path = format!("/prod/{size}?ETag=%22t%22");
        let mut client = gateway.client();
        // The first may ask for any coding: what is kept is the same.
        let fields: [&[(&str, &str)]; 5] = [&[GZIP], &[], &[("Accept-Encoding", "deflate")], &[GZIP], &[]];
        for fields in fields {
            let answer = get(&mut client, &path, fields);
            let lengths =
                answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let (lengths, coding) = (lengths.count(), answer.field("content-encoding"));
            let expected = fields.first().map(|(_, coding)| *coding).filter(|_| size >= 100);
            assert_eq!(coding, expected, "{path}");
            let body = match coding {
                Some("gzip") => ungzip(&answer.body),
                Some(_) => inflate(&answer.body),
                None => answer.text().to_owned(),
            };
            assert!(body == text(size), "{path} {coding:?}");
            assert_eq!(lengths, usize::from(coding.is_none()), "{:?}", answer.fields);
            let tag = if coding.is_some() { "W/\"t\"" } else { "\"t\"" };
            assert_eq!(answer.field("etag"), Some(tag));
        }
    }
    assert_eq!(upstream.requests().len(), 3, "one miss each");
}

/// A backend that codes by itself, for those who ask: without a word in the cache's key, each gets what it takes.
fn what_a_backend_coded_is_kept_for_those_who_take_it(io: Io) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let upstream = Upstream::start(move |connection| {
        while let Some(request) = connection.request() {
            let n = count.fetch_add(1, SeqCst) + 1;
            let takes = |name: &str| {
                request.field("accept-encoding").is_some_and(|value| value.split(", ").any(|v| v == name))
            };
            let (coding, body) = match (takes("br"), takes("gzip"), request.target.contains("always")) {
                (true, ..) => ("Content-Encoding: br\r\n", format!("br {n}").into_bytes()),
                (_, true, _) | (.., true) => {
                    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                    coder.write_all(format!("plain {n}").as_bytes()).unwrap();
                    ("Content-Encoding: gzip\r\n", coder.finish().unwrap())
                }
                _ => ("", format!("plain {n}").into_bytes()),
            };
            let head = format!("HTTP/1.1 200 OK\r\n{coding}Content-Length: {}\r\n\r\n", body.len());
            connection.send([head.as_bytes(), &body].concat());
        }
    });
    let keyed = |parameter: &str| {
        let mut integration = http_proxy("GET", &format!("http://{}/{{proxy}}", upstream.address));
        integration["requestParameters"] =
            json!({ "integration.request.path.proxy": "method.request.path.proxy" });
        integration["cacheKeyParameters"] = json!([parameter]);
        integration
    };
    let mut api =
        Api::new("echo", "ech0ech0e1").method("/{proxy+}", "get", keyed("method.request.path.proxy"));
    api.document["paths"]["/{proxy+}"]["get"]["parameters"] =
        json!([{ "name": "proxy", "in": "path", "required": true, "schema": { "type": "string" } }]);
    let api = api
        .cache_cluster_size("0.5")
        .method_setting("*/*", "caching_enabled = true\nrequire_authorization_for_cache_control = false");
    let gateway = Setup::new(io).api(api).workers(2).start();
    let told = |path: &str, accept: Option<&str>, more: &[(&str, &str)]| {
        let fields: Vec<(&str, &str)> = accept
            .map(|accept| ("Accept-Encoding", accept))
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        let answer = get(&mut gateway.client(), path, &fields);
        assert_eq!(answer.status, 200);
        match answer.field("content-encoding") {
            Some("gzip") => format!("gzip {}", ungzip(&answer.body)),
            coding => format!("{} {}", coding.unwrap_or("-"), answer.text()),
        }
    };
    for (accept, expected) in [
        (Some("gzip"), "gzip plain 1"),
        (None, "- plain 2"),
        (Some("x-gzip;q=0.5"), "gzip plain 1"),
        (Some("identity"), "- plain 2"),
        (Some("br"), "br br 3"),
        (Some("gzip;q=0"), "- plain 2"),
        (Some("br"), "br br 3"),
        (Some("deflate, br"), "br br 4"),
        (Some("*"), "gzip plain 1"),
        (None, "- plain 2"),
    ] {
        assert_eq!(told("/prod/x", accept, &[]), expected, "{accept:?}");
    }
    assert_eq!(asked.load(SeqCst), 4);
    // A renewed answer has others beside it.
    assert_eq!(told("/prod/x", Some("gzip"), &[("Cache-Control", "max-age=0")]), "gzip plain 5");
    assert_eq!(told("/prod/x", None, &[]), "- plain 6");
    assert_eq!(told("/prod/x", None, &[]), "- plain 6");
    // What came plain is everybody's; what always comes coded is what there is.
    for accept in [None, Some("gzip"), Some("br")] {
        assert_eq!(told("/prod/y", accept, &[]), "- plain 7");
    }
    assert_eq!(told("/prod/always", None, &[]), "gzip plain 8");
    for _ in 0..3 {
        assert_eq!(told("/prod/always", None, &[]), "gzip plain 9");
    }
}

fn a_coded_request_is_decoded_for_the_backend(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(coded(&upstream, 1_000_000)).start();
    let mut client = gateway.client();
    let mut post = |coding: &str, body: &[u8]| {
        let head = "POST /prod/x HTTP/1.1\r\nHost: a\r\n";
        let length = body.len();
        client.send(format!("{head}Content-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"));
        client.send(body).response()
    };
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text(100_000).as_bytes()).unwrap();
    let deflated = encoder.finish().unwrap();
    assert_eq!(post("deflate", &deflated).status, 200);
    assert_eq!(post("identity", b"as it is").status, 200);
    let requests = upstream.requests();
    assert!(requests[0].body == text(100_000).as_bytes());
    assert_eq!(requests[0].field("content-encoding"), None);
    assert_eq!(requests[0].field("content-length"), Some("100000"));
    assert_eq!(requests[1].body, b"as it is");
    assert_eq!(post("deflate", b"not deflated").status, 415);
    assert_eq!(upstream.requests().len(), 2);
}

/// Bodies that are held as a whole have 128 MiB together: each of these takes 10 of it while it is read. A backend that
/// is slow to answer keeps nobody's body here.
fn a_body_that_the_backend_has_takes_no_room(io: Io) {
    const BODIES: usize = 24;
    let came = Arc::new((Mutex::new(0), Condvar::new()));
    let counted = came.clone();
    let upstream = Upstream::start(move |connection| {
        while connection.request().is_some() {
            let (count, all) = &*counted;
            let mut count = count.lock().unwrap();
            *count += 1;
            all.notify_all();
            // Nobody is answered before everybody's body is here.
            let waited = all.wait_timeout_while(count, Duration::from_secs(20), |count| *count < BODIES);
            connection.answer(if waited.unwrap().1.timed_out() { 500 } else { 200 }, "");
        }
    });
    let gateway = Setup::new(io).api(coded(&upstream, 100)).workers(1).start();
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    coder.write_all(&vec![b'a'; 9 << 20]).unwrap();
    let body = coder.finish().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..BODIES {
            scope.spawn(|| {
                let mut client = gateway.client();
                let head = format!(
                    "POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                client.send([head.as_bytes(), &body].concat());
                assert_eq!(client.response().status, 200);
            });
        }
    });
}

fn mock_answers_are_coded_and_refusals_are_not(io: Io) {
    let mut integration: Value = mock(200);
    integration["responses"]["default"]["responseTemplates"] = json!({"application/json": text(2_000)});
    let api = Api::new("m", "m0ckm0ckm0")
        .method("/x", "get", integration)
        .set("x-amazon-apigateway-minimum-compression-size", json!(0));
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    let answer = get(&mut client, "/prod/x", &[GZIP]);
    assert_eq!(answer.field("content-encoding"), Some("gzip"));
    assert!(ungzip(&answer.body) == text(2_000));
    let refused = get(&mut client, "/prod/none", &[GZIP]);
    assert_eq!((refused.status, refused.message().as_str()), (403, "Missing Authentication Token"));
}

fn without_a_minimum_nothing_is_changed(io: Io) {
    let upstream = sized();
    let api = Api::new("plain", "pla1npla1n").method(
        "/x",
        "any",
        http_proxy("ANY", &format!("http://{}/100000", upstream.address)),
    );
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    let answer = get(&mut client, "/prod/x", &[GZIP]);
    assert_eq!((answer.field("content-encoding"), answer.field("vary")), (None, None));
    assert_eq!(answer.field("content-length"), Some("100000"));
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.response().status, 200);
    let requests = upstream.requests();
    assert_eq!(
        (requests[1].field("content-encoding"), requests[1].body.as_slice()),
        (Some("gzip"), &b"abc"[..])
    );
}
