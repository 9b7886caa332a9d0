//! Answers from and to base64: what Accept and the integration response say, whole or not at all, coded and cached.

use super::{INTERNAL, PNG, PNG_IN_BASE64, api, base64, blob, get, gzip, http, post};
use crate::harness::api::{http_proxy, mock};
use crate::harness::client::Broken;
use crate::harness::*;
use serde_json::json;
use std::time::Duration;

on_both! {
    an_answer_becomes_what_accept_and_the_response_say,
    a_long_answer_is_whole_and_one_over_the_bound_is_none,
    a_broken_answer_is_none,
    an_answer_that_does_not_come_to_its_end_is_none,
    an_answer_does_not_wait_for_the_request_s_end,
    a_request_goes_up_while_its_early_answer_waits_for_its_client,
    coded_answers_are_converted_without_their_coding,
    a_mapped_content_encoding_is_true,
    a_converted_answer_is_coded_for_whoever_takes_it,
    head_and_204_have_no_body_and_say_nothing_untrue,
    the_cache_gives_each_client_its_form,
    mock_answers_are_decoded,
    a_proxy_s_answer_passes_as_it_is,
}

/// Answers each request with that head and body.
fn answering(head: &'static str, body: Vec<u8>) -> Upstream {
    Upstream::start(move |connection| {
        while let Some(request) = connection.request() {
            connection.send(format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n", body.len()));
            if request.method != "HEAD" {
                connection.send(&body);
            }
        }
    })
}

fn an_answer_becomes_what_accept_and_the_response_say(io: Io) {
    let (png, html) = (Some("image/png, text/html"), Some("text/html, image/png"));
    let (binary, text) = (Some("CONVERT_TO_BINARY"), Some("CONVERT_TO_TEXT"));
    let body = |upstream: &Upstream, handling, types: &[&str], accept| {
        let gateway = Setup::new(io).api(api(http(upstream, None, handling), types)).start();
        let mut client = gateway.client();
        // Twice on the same connections.
        let (first, second) = (get(&mut client, accept), get(&mut client, accept));
        assert_eq!((first.status, &first.body), (second.status, &second.body));
        let strong = first.field("etag") == Some("\"t\"");
        let length = first.field("content-length").unwrap().parse::<usize>().unwrap();
        assert_eq!((length, first.field("transfer-encoding")), (first.body.len(), None));
        (
            first.status,
            String::from_utf8(first.body.clone()).unwrap(),
            strong,
            first.field("vary") == Some("Accept"),
        )
    };
    let (raw, coded) = (PNG.to_owned(), PNG_IN_BASE64.to_owned());
    let binary_upstream = answering("Content-Type: image/png\r\nETag: \"t\"\r\n", PNG.into());
    for (handling, types, accept, expected) in [
        (None, &[][..], png, (200, raw.clone(), true, false)),
        (None, &["image/*"], html, (200, coded.clone(), false, true)),
        (None, &["image/*"], None, (200, coded.clone(), false, true)),
        (None, &["image/*"], png, (200, raw.clone(), true, true)),
        (None, &["*/*"], None, (200, raw.clone(), true, false)),
        (binary, &["image/png"], html, (200, raw.clone(), true, false)),
        (text, &["image/png"], png, (200, coded.clone(), false, false)),
        (text, &["image/gif"], png, (200, raw.clone(), true, false)),
    ] {
        let found = body(&binary_upstream, handling, types, accept);
        assert_eq!(found, expected, "binary {handling:?} {types:?} {accept:?}");
    }
    let text_upstream = answering("Content-Type: text/plain\r\nETag: \"t\"\r\n", PNG_IN_BASE64.into());
    for (handling, types, accept, expected) in [
        (None, &["image/png"][..], html, (200, coded.clone(), true, true)),
        (None, &["image/png"], png, (200, raw.clone(), false, true)),
        (binary, &[], None, (200, raw.clone(), false, false)),
        (binary, &["image/png"], html, (200, raw, false, false)),
        (text, &["image/png"], png, (200, coded, true, false)),
    ] {
        let found = body(&text_upstream, handling, types, accept);
        assert_eq!(found, expected, "text {handling:?} {types:?} {accept:?}");
    }
    // A backend's connection goes on after such an answer.
    assert_eq!(text_upstream.connections(), 5);
}

fn a_long_answer_is_whole_and_one_over_the_bound_is_none(io: Io) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            let size: usize = request.field("x-size").unwrap().parse().unwrap();
            let framing = match request.field("x-framing").unwrap() {
                "chunked" => {
                    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                    for piece in blob(size).chunks(100_003) {
                        connection
                            .send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
                    }
                    connection.send("0\r\n\r\n");
                    continue;
                }
                "length" => format!("Content-Length: {size}\r\n"),
                _ => "Connection: close\r\n".to_owned(),
            };
            connection.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n"));
            connection.send(blob(size));
            if framing.starts_with("Connection") {
                return;
            }
        }
    });
    let mut integration = http(&upstream, None, Some("CONVERT_TO_TEXT"));
    integration["requestParameters"] = json!({
        "integration.request.header.X-Size": "method.request.header.X-Size",
        "integration.request.header.X-Framing": "method.request.header.X-Framing",
    });
    let gateway = Setup::new(io).api(api(integration, &["*/*"])).start();
    let mut client = gateway.client();
    let mut asked = |size: usize, framing: &str| {
        let fields = [("X-Size", &*size.to_string()), ("X-Framing", framing)];
        client.request("GET", "/prod/x", "localhost", &fields)
    };
    for framing in ["chunked", "length", "close"] {
        for size in [0, 3, 3_000, 99_999, 2_999_997] {
            let answer = asked(size, framing);
            assert!(answer.status == 200 && answer.body == base64(&blob(size)), "{size} {framing}");
            assert_eq!(answer.field("content-length"), Some((size / 3 * 4).to_string().as_str()));
        }
        // 10 MiB and 2 bytes; the client's connection goes on.
        let answer = asked(10_485_762, framing);
        assert_eq!((answer.status, answer.text()), (500, INTERNAL), "{framing}");
    }
    assert!(gateway.stderr().contains("longer than one that is converted may be"), "{}", gateway.stderr());
}

fn a_broken_answer_is_none(io: Io) {
    let upstream = answering("Content-Type: text/html\r\nETag: \"t\"\r\n", b"<p>no base64</p>".to_vec());
    // By the table: an answer that is a text, for one who wants it as binary.
    for (handling, types) in [(None, &["image/png"][..]), (Some("CONVERT_TO_BINARY"), &[])] {
        let gateway = Setup::new(io).api(api(http(&upstream, None, handling), types)).start();
        let mut client = gateway.client();
        let answer = get(&mut client, Some("image/png"));
        assert_eq!((answer.status, answer.text(), answer.field("etag")), (500, INTERNAL, None));
        let plain = get(&mut client, Some("text/html"));
        assert_eq!(plain.status, if handling.is_some() { 500 } else { 200 });
    }
    // A part cannot be converted as if it were the whole.
    let part = Upstream::start(|connection| {
        while connection.request().is_some() {
            let head = "HTTP/1.1 206 P\r\nContent-Range: bytes 0-3/9\r\nContent-Length: 4\r\n\r\n";
            connection.send(format!("{head}AAAA"));
        }
    });
    let gateway = Setup::new(io).api(api(http(&part, None, Some("CONVERT_TO_BINARY")), &[])).start();
    assert_eq!(get(&mut gateway.client(), None).status, 500);
}

fn an_answer_that_does_not_come_to_its_end_is_none(io: Io) {
    let upstream = Upstream::start(|connection| {
        let request = connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 800000\r\n\r\nAVBO");
        match request.map(|request| request.method).as_deref() {
            // Silence, until the gateway gives it up.
            Some("POST") => drop(connection.request()),
            // Never silent for long: its time is over all the same.
            Some("PUT") => {
                while connection.send("AVBO") {
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            _ => {}
        }
    });
    let patient = http(&upstream, None, Some("CONVERT_TO_BINARY"));
    let mut hasty = patient.clone();
    hasty["timeoutInMillis"] = json!(300);
    let gateway = Setup::new(io).api(api(hasty, &[])).start();
    let mut client = gateway.client();
    assert_eq!(post(&mut client, &[], b"hello").status, 504);
    assert_eq!(client.request("PUT", "/prod/x", "localhost", &[]).status, 504);
    let gateway = Setup::new(io).api(api(patient, &[])).start();
    let mut client = gateway.client();
    assert_eq!(get(&mut client, None).status, 502);
    // A client that goes away meanwhile is nobody's loss.
    let mut gone = gateway.client();
    gone.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    gone.reset();
    assert_eq!(get(&mut client, None).status, 502);
}

fn an_answer_does_not_wait_for_the_request_s_end(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        connection.send(PNG);
        // All that there is of the request, until the gateway gives it up.
        while connection.some().is_some() {}
    });
    let gateway = Setup::new(io).api(api(http(&upstream, None, Some("CONVERT_TO_TEXT")), &["*/*"])).start();
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nonly this");
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (200, PNG_IN_BASE64));
    assert_eq!(answer.field("connection"), Some("close"));
    // An older client's connection ends with its answer, whose length it is told all the same.
    let mut old = gateway.client();
    old.send("POST /prod/x HTTP/1.0\r\nHost: a\r\nContent-Length: 9\r\n\r\nonly this");
    let answer = old.response();
    assert_eq!((answer.text(), answer.field("content-length")), (PNG_IN_BASE64, Some("8")));
}

fn a_request_goes_up_while_its_early_answer_waits_for_its_client(io: Io) {
    const SENT: usize = 9_000_000;
    let upstream = Upstream::start(|connection| {
        let request = connection.head().unwrap();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6000000\r\n\r\n");
        connection.send(blob(6_000_000));
        if connection.body(&request).is_some_and(|body| body.len() == SENT) {
            connection.remember(&request);
        }
    });
    let gateway = Setup::new(io).api(api(http(&upstream, None, Some("CONVERT_TO_TEXT")), &["*/*"])).start();
    let mut client = Client::connect_narrow(gateway.public());
    // It reads nothing before all is written: neither way has place for so much.
    let answer = post(&mut client, &[], &vec![b'x'; SENT]);
    assert!(answer.status == 200 && answer.body == base64(&blob(6_000_000)));
    eventually("the backend has all of it", || upstream.requests().len() == 1);
}

fn a_mapped_content_encoding_is_true(io: Io) {
    let coded = gzip(PNG.as_bytes());
    let upstream = answering("Content-Type: image/png\r\nContent-Encoding: gzip\r\n", coded.clone());
    let own = "integration.response.header.Content-Encoding";
    for (source, handling, body, encodings) in [
        (own, "CONVERT_TO_TEXT", PNG_IN_BASE64.as_bytes(), &[][..]),
        ("'x-own'", "CONVERT_TO_TEXT", PNG_IN_BASE64.as_bytes(), &["x-own"]),
        // As it came, and said once.
        (own, "CONVERT_TO_BINARY", &coded, &["gzip"]),
        ("integration.response.header.X-None", "CONVERT_TO_BINARY", &coded, &["gzip"]),
        ("'x-own'", "CONVERT_TO_BINARY", &coded, &["x-own"]),
    ] {
        let mut integration = http(&upstream, None, Some(handling));
        integration["responses"]["default"]["responseParameters"]["method.response.header.Content-Encoding"] =
            json!(source);
        let gateway = Setup::new(io).api(api(integration, &["image/png"])).start();
        let answer = get(&mut gateway.client(), None);
        let named = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
        let found: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
        assert_eq!((answer.body.as_slice(), found.as_slice()), (body, encodings), "{source} {handling}");
    }
}

fn coded_answers_are_converted_without_their_coding(io: Io) {
    let coded = gzip(PNG.as_bytes());
    let head = "Content-Type: image/png\r\nContent-Encoding: gzip\r\n";
    let upstream = answering(head, coded.clone());
    let convert = |upstream: &Upstream| {
        let api = api(http(upstream, None, Some("CONVERT_TO_TEXT")), &["image/png"]);
        Setup::new(io).api(api).start()
    };
    let gateway = convert(&upstream);
    let answer = get(&mut gateway.client(), None);
    assert_eq!((answer.text(), answer.field("content-encoding")), (PNG_IN_BASE64, None));
    // In chunks and empty: as empty as it came.
    let empty = Upstream::start(move |connection| {
        while connection.request().is_some() {
            connection.send(format!("HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
        }
    });
    let answer = get(&mut convert(&empty).client(), None);
    assert_eq!((answer.status, answer.text(), answer.field("content-length")), (200, "", Some("0")));
    for (head, body, status) in [
        (head, coded[..15].to_vec(), 502),
        ("Content-Type: image/png\r\nContent-Encoding: br\r\n", coded, 500),
        // 11 MB in 11 KB.
        (head, gzip(&vec![b' '; 11 << 20]), 500),
    ] {
        let gateway = convert(&answering(head, body));
        assert_eq!(get(&mut gateway.client(), None).status, status);
    }
}

fn a_converted_answer_is_coded_for_whoever_takes_it(io: Io) {
    let upstream = answering("Content-Type: image/png\r\nETag: \"t\"\r\n", vec![b'x'; 90_000]);
    let api = api(http(&upstream, None, None), &["image/png"])
        .set("x-amazon-apigateway-minimum-compression-size", json!(100));
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    for accept in ["text/html", "image/png"] {
        let fields = [("Accept", accept), ("Accept-Encoding", "gzip")];
        let answer = client.request("GET", "/prod/x", "localhost", &fields);
        assert_eq!((answer.field("content-encoding"), answer.field("etag")), (Some("gzip"), Some("W/\"t\"")));
        let vary: Vec<&str> = answer
            .fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("vary"))
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(vary, ["Accept", "Accept-Encoding"]);
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*answer.body), &mut body).unwrap();
        let raw = vec![b'x'; 90_000];
        assert!(body == if accept == "text/html" { base64(&raw) } else { raw }, "{accept}");
    }
    let plain = client.request("GET", "/prod/x", "localhost", &[("Accept", "text/html")]);
    assert_eq!((plain.body.len(), plain.field("content-encoding")), (120_000, None));
}

fn head_and_204_have_no_body_and_say_nothing_untrue(io: Io) {
    let upstream = answering("Content-Type: image/png\r\nETag: \"t\"\r\n", PNG.into());
    let gateway = Setup::new(io).api(api(http(&upstream, None, None), &["image/png"])).start();
    let mut client = gateway.client();
    for (accept, length, tag) in [("text/html", None, "W/\"t\""), ("image/png", Some("5"), "\"t\"")] {
        let answer = client.request("HEAD", "/prod/x", "localhost", &[("Accept", accept)]);
        assert_eq!((answer.field("content-length"), answer.field("etag")), (length, Some(tag)), "{accept}");
        assert_eq!(answer.field("vary"), Some("Accept"));
    }
    for status in ["204", "304"] {
        let bare = Upstream::start(move |connection| {
            while connection.request().is_some() {
                connection.send(format!("HTTP/1.1 {status} X\r\nETag: \"t\"\r\n\r\n"));
            }
        });
        let mut integration = http(&bare, None, Some("CONVERT_TO_BINARY"));
        integration["responses"]["default"]["statusCode"] = json!(status);
        let gateway = Setup::new(io).api(api(integration, &[])).start();
        let mut client = gateway.client();
        for _ in 0..2 {
            let answer = get(&mut client, None);
            assert_eq!((answer.status.to_string().as_str(), answer.body.len()), (status, 0));
            assert_eq!(answer.field("etag"), Some("W/\"t\""));
        }
    }
}

fn the_cache_gives_each_client_its_form(io: Io) {
    for large in [false, true] {
        let body = if large { blob(600_000) } else { PNG.into() };
        let encoded = if large { base64(&body) } else { PNG_IN_BASE64.into() };
        let upstream = answering("Content-Type: image/png\r\n", body.clone());
        let cached = |handling, types: &[&str]| {
            let api = api(http(&upstream, None, handling), types).cache_cluster_size("0.5");
            Setup::new(io).api(api.method_setting("x/GET", "caching_enabled = true")).workers(2).start()
        };
        let gateway = cached(None, &["image/png"]);
        for accept in ["text/html", "image/png", "image/png;q=0.5", "text/plain", "*/*", "image/png"] {
            let answer = get(&mut gateway.client(), Some(accept));
            let expected = if accept.starts_with("image/png") { &body } else { &encoded };
            assert!(answer.status == 200 && &answer.body == expected, "{accept}");
            assert_eq!(answer.field("vary"), Some("Accept"));
            assert_eq!(answer.field("content-length"), Some(expected.len().to_string().as_str()));
        }
        assert_eq!(upstream.requests().len(), 2, "one for each form");
        // Where the response says it, all have one.
        let gateway = cached(Some("CONVERT_TO_TEXT"), &["image/png"]);
        for accept in ["text/html", "image/png"] {
            assert!(get(&mut gateway.client(), Some(accept)).body == encoded);
        }
        assert_eq!(upstream.requests().len(), 3);
    }
}

fn mock_answers_are_decoded(io: Io) {
    let mut integration = mock(200);
    integration["responses"]["default"] = json!({
        "statusCode": "200",
        "contentHandling": "CONVERT_TO_BINARY",
        "responseTemplates": { "image/x-icon": PNG_IN_BASE64 },
    });
    let api = api(integration.clone(), &["*/*"]).cache_cluster_size("0.5");
    let gateway = Setup::new(io).api(api.method_setting("*/*", "caching_enabled = true")).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = get(&mut client, Some("text/html"));
        assert_eq!((answer.status, answer.text(), answer.field("content-length")), (200, PNG, Some("5")));
    }
    let answer = client.request("HEAD", "/prod/x", "localhost", &[]);
    assert_eq!(answer.field("content-length"), Some("5"));
    integration["responses"]["default"]["responseTemplates"] = json!({ "application/json": "{}" });
    let gateway = Setup::new(io).api(self::api(integration, &[])).start();
    let answer = get(&mut gateway.client(), None);
    assert_eq!((answer.status, answer.text()), (500, INTERNAL));
}

/// It comes piece by piece, and nothing of it is held.
fn a_proxy_s_answer_passes_as_it_is(io: Io) {
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 10\r\n\r\nfirst");
            // The rest only when a second request tells that the first bytes were there.
            if connection.request().is_none() {
                break;
            }
        }
    });
    let proxy = http_proxy("ANY", &format!("http://{}/x", upstream.address));
    let gateway = Setup::new(io).api(api(proxy, &["image/png"])).start();
    let mut client = gateway.client();
    client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n");
    let (status, fields) = client.head().unwrap();
    assert!(status == 200 && !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("vary")));
    assert_eq!(client.take(5).unwrap(), b"first");
    // It is whole only with all its bytes.
    client.be_patient(Duration::from_millis(10));
    assert!(matches!(client.take(1), Err(Broken::TimedOut)));
}
