//! contentHandling and binaryMediaTypes: bodies from and to base64, as AWS's tables have them. Here: requests.

mod answers;

use crate::harness::api::http_proxy;
use crate::harness::*;
use serde_json::{Value, json};
use std::io::Write;

on_both! {
    a_request_becomes_what_the_integration_says,
    a_converted_request_has_no_trace_of_how_it_came,
    what_is_mapped_of_a_changed_request_is_true,
    a_request_that_is_no_base64_reaches_nobody,
    a_request_is_checked_before_it_is_converted,
    explain_tells_the_conversion,
}

const PNG: &str = "\u{1}PNG\u{2}";
const PNG_IN_BASE64: &str = "AVBORwI=";

/// A pattern in which every piece of the text differs from its neighbours; its base64 has no padding.
fn blob(bytes: usize) -> Vec<u8> {
    assert_eq!(bytes % 3, 0);
    (0..bytes).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect()
}

/// By hand: the encoder under test is not asked about itself.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let sum = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        [18, 12, 6, 0].map(|shift| LETTERS[(sum >> shift & 63) as usize])
    };
    bytes.chunks(3).flat_map(group).collect()
}

/// `any /x` of HTTP, with `default` as its only integration response.
fn http(upstream: &Upstream, request: Option<&str>, response: Option<&str>) -> Value {
    let mut integration = http_proxy("ANY", &format!("http://{}/x", upstream.address));
    integration["type"] = json!("http");
    integration["contentHandling"] = json!(request);
    integration["responses"]["default"] = json!({
        "statusCode": "200",
        "contentHandling": response,
        "responseParameters": {
            "method.response.header.Content-Type": "integration.response.header.Content-Type",
            "method.response.header.ETag": "integration.response.header.ETag",
        },
    });
    integration
}

fn api(integration: Value, types: &[&str]) -> Api {
    Api::new("binary", "b1nary0001")
        .method("/x", "any", integration)
        .set("x-amazon-apigateway-binary-media-types", json!(types))
}

fn post(client: &mut Client, fields: &[(&str, &str)], body: &[u8]) -> Response {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    client.send(format!("POST /prod/x HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n"));
    client.send(body).response()
}

fn get(client: &mut Client, accept: Option<&str>) -> Response {
    let fields: Vec<(&str, &str)> = accept.map(|accept| ("Accept", accept)).into_iter().collect();
    client.request("GET", "/prod/x", "localhost", &fields)
}

fn a_request_becomes_what_the_integration_says(io: Io) {
    let upstream = Upstream::echo();
    let (binary, text) = (Some("CONVERT_TO_BINARY"), Some("CONVERT_TO_TEXT"));
    let blob = blob(300_000);
    for proxy in [true, false] {
        for (handling, types, media_type, sent, got) in [
            (binary, &[][..], "image/png", base64(&blob), blob.clone()),
            (binary, &["image/png"], "text/plain", base64(&blob), blob.clone()),
            (binary, &["image/png"], "image/png", base64(&blob), base64(&blob)),
            (text, &["image/png"], "image/png; q=1", blob.clone(), base64(&blob)),
            (text, &["image/png"], "text/plain", blob.clone(), blob.clone()),
            (text, &[], "image/png", blob.clone(), blob.clone()),
            (text, &["*/*"], "text/plain", PNG.into(), PNG_IN_BASE64.into()),
            (binary, &[], "text/plain", PNG_IN_BASE64.into(), PNG.into()),
            (None, &["image/png"], "image/png", blob.clone(), blob.clone()),
        ] {
            let mut integration = http(&upstream, handling, Some("CONVERT_TO_TEXT"));
            if proxy {
                integration["type"] = json!("http_proxy");
                integration["responses"] = json!({});
            }
            let gateway = Setup::new(io).api(api(integration, types)).start();
            let mut client = gateway.client();
            assert_eq!(post(&mut client, &[("Content-Type", media_type)], &sent).status, 200);
            // The same in chunks, on the same connection.
            client.send(format!("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\n"));
            client.send("Transfer-Encoding: chunked\r\n\r\n");
            for piece in sent.chunks(7_919) {
                client.send(format!("{:x}\r\n", piece.len())).send(piece).send("\r\n");
            }
            client.send("0\r\n\r\n");
            assert_eq!(client.response().status, 200);
            let requests = upstream.requests();
            let [by_length, in_chunks] = &requests[requests.len() - 2..] else { unreachable!() };
            let row = format!("{proxy} {handling:?} {types:?} {media_type}");
            assert!(by_length.body == got && in_chunks.body == got, "{row}");
            assert_eq!(by_length.field("content-length"), Some(got.len().to_string().as_str()), "{row}");
            assert_eq!(by_length.field("content-type"), Some(media_type), "{row}");
            if got != sent {
                assert_eq!(in_chunks.field("content-length"), Some(got.len().to_string().as_str()), "{row}");
                assert_eq!(in_chunks.field("transfer-encoding"), None, "{row}");
            }
        }
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn a_converted_request_has_no_trace_of_how_it_came(io: Io) {
    let upstream = Upstream::echo();
    let mut integration = http_proxy("ANY", &format!("http://{}/x", upstream.address));
    integration["contentHandling"] = json!("CONVERT_TO_TEXT");
    let gateway = Setup::new(io).api(api(integration, &["image/png"])).start();
    let mut client = gateway.client();
    let fields = [
        ("Content-Type", "image/png"),
        ("Content-Encoding", "gzip"),
        ("Digest", "sha-256=x"),
        ("Content-Digest", "sha-256=:x:"),
        ("X-Own", "1"),
    ];
    assert_eq!(post(&mut client, &fields, &gzip(PNG.as_bytes())).status, 200);
    let requests = upstream.requests();
    let request = requests.last().unwrap();
    assert_eq!(request.body, PNG_IN_BASE64.as_bytes());
    assert_eq!(request.field("x-own"), Some("1"));
    for name in ["content-encoding", "digest", "content-digest"] {
        assert_eq!(request.field(name), None, "{name}");
    }
    // What is not converted passes as it came.
    let fields = [("Content-Type", "text/plain"), ("Content-Encoding", "br"), ("Digest", "sha-256=x")];
    assert_eq!(post(&mut client, &fields, b"whatever").status, 200);
    let requests = upstream.requests();
    let request = requests.last().unwrap();
    assert_eq!((request.field("content-encoding"), request.field("digest")), (Some("br"), Some("sha-256=x")));
    let coded = [("Content-Type", "image/png"), ("Content-Encoding", "br")];
    assert_eq!(post(&mut gateway.client(), &coded, b"whatever").status, 415);
    let twice = [("Content-Type", "text/plain"), ("Content-Type", "image/png")];
    assert_eq!(post(&mut gateway.client(), &twice, b"whatever").status, 415);
    // A request without a body has none to be converted.
    assert_eq!(get(&mut gateway.client(), None).status, 200);
}

fn what_is_mapped_of_a_changed_request_is_true(io: Io) {
    let upstream = Upstream::echo();
    for proxy in [true, false] {
        let mut integration = http(&upstream, Some("CONVERT_TO_TEXT"), Some("CONVERT_TO_TEXT"));
        if proxy {
            integration["type"] = json!("http_proxy");
        }
        integration["requestParameters"] = json!({
            "integration.request.header.Content-Encoding": "method.request.header.Content-Encoding",
            "integration.request.header.Digest": "method.request.header.Digest",
            "integration.request.header.Content-Digest": "'own'",
            "integration.request.header.X-Came": "method.request.header.Content-Encoding",
        });
        let gateway = Setup::new(io).api(api(integration, &["image/png"])).start();
        let told = |media_type, body: &[u8]| {
            let fields =
                [("Content-Type", media_type), ("Content-Encoding", "gzip"), ("Digest", "sha-256=x")];
            assert_eq!(post(&mut gateway.client(), &fields, body).status, 200);
            let requests = upstream.requests();
            let request = requests.last().unwrap();
            ["content-encoding", "digest", "content-digest", "x-came"]
                .map(|name| request.field(name).map(str::to_owned))
        };
        let values = |values: [Option<&str>; 4]| values.map(|value| value.map(str::to_owned));
        let coded = gzip(PNG.as_bytes());
        let changed = values([None, None, Some("own"), Some("gzip")]);
        assert_eq!(told("image/png", &coded), changed, "{proxy}");
        let as_it_came = values([Some("gzip"), Some("sha-256=x"), Some("own"), Some("gzip")]);
        assert_eq!(told("text/plain", &coded), as_it_came, "{proxy}");
    }
}

const INTERNAL: &str = "{\"message\": \"Internal server error\"}";

fn a_request_that_is_no_base64_reaches_nobody(io: Io) {
    let upstream = Upstream::echo();
    let integration = http(&upstream, Some("CONVERT_TO_BINARY"), Some("CONVERT_TO_TEXT"));
    let own = json!({ "API_CONFIGURATION_ERROR": { "statusCode": 599, "responseTemplates": {
        "application/json": "$context.error.responseType",
    } } });
    let api =
        |own: &Value| api(integration.clone(), &[]).set("x-amazon-apigateway-gateway-responses", own.clone());
    let gateway = Setup::new(io).api(api(&json!({}))).start();
    let mut client = gateway.client();
    for body in ["this is a text", "\u{e9}\u{e9}", "AVBORwI=\n", "AVBOR-I="] {
        let answer = post(&mut client, &[], body.as_bytes());
        assert_eq!((answer.status, answer.text()), (500, INTERNAL), "{body}");
        assert_eq!(answer.field("x-amzn-errortype"), Some("InternalServerErrorException"));
    }
    assert_eq!(upstream.connections(), 0);
    assert!(gateway.stderr().contains("the body to be decoded is not base64"), "{}", gateway.stderr());
    // All of it on one connection, which goes on.
    assert_eq!(post(&mut client, &[], b"").status, 200);
    assert_eq!(post(&mut client, &[], PNG_IN_BASE64.as_bytes()).text(), format!("POST /x {PNG}"));
    let gateway = Setup::new(io).api(api(&own)).start();
    let answer = post(&mut gateway.client(), &[], b"!");
    assert_eq!((answer.status, answer.text()), (599, "API_CONFIGURATION_ERROR"));
    // Over the bound of all bodies: by its length, and in chunks.
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10485761\r\n\r\n");
    assert_eq!(client.response().status, 413);
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("100000\r\n{}\r\n", "A".repeat(1 << 20));
    for _ in 0..11 {
        // The answer may have closed it.
        let _ = client.try_send(&chunk);
    }
    assert_eq!(client.response().status, 413);
}

fn a_request_is_checked_before_it_is_converted(io: Io) {
    let upstream = Upstream::echo();
    let mut integration = http(&upstream, Some("CONVERT_TO_TEXT"), Some("CONVERT_TO_TEXT"));
    // A template may read what has become a text, and no binary body.
    integration["requestTemplates"] = json!({ "application/json": "$input.body" });
    let checked = |handling: &str| {
        let mut integration = integration.clone();
        integration["contentHandling"] = json!(handling);
        let mut api = api(integration, &["application/json"])
            .set("x-amazon-apigateway-request-validators", json!({ "all": { "validateRequestBody": true } }))
            .set("x-amazon-apigateway-request-validator", json!("all"));
        let schema = json!({ "type": "object", "required": ["name"] });
        api.document["paths"]["/x"]["x-amazon-apigateway-any-method"]["requestBody"] =
            json!({ "content": { "application/json": { "schema": schema } } });
        Setup::new(io).api(api).start()
    };
    let gateway = checked("CONVERT_TO_TEXT");
    let json = [("Content-Type", "application/json")];
    assert_eq!(post(&mut gateway.client(), &json, b"{}").status, 400);
    assert_eq!(upstream.connections(), 0);
    let answer = post(&mut gateway.client(), &json, b"{\"name\": \"a\"}");
    assert_eq!(answer.text(), "POST /x eyJuYW1lIjogImEifQ==");
    let gateway = checked("CONVERT_TO_BINARY");
    let answer = post(&mut gateway.client(), &json, b"{\"name\": \"a\"}");
    assert_eq!((answer.status, answer.text()), (500, INTERNAL));
    assert_eq!(upstream.requests().len(), 1);
}

fn explain_tells_the_conversion(io: Io) {
    let upstream = Upstream::echo();
    let integration = http(&upstream, Some("CONVERT_TO_TEXT"), None);
    let gateway = Setup::new(io).api(api(integration, &["image/png"])).start();
    let told = |fields: &[&str]| {
        let url = format!("http://{}/prod/x", gateway.public());
        let mut arguments = vec!["explain", "--from", "127.0.0.1"];
        fields.iter().for_each(|field| arguments.extend(["--header", field]));
        arguments.extend(["POST", &url]);
        gateway.json(&arguments)["decided_by"].as_str().unwrap().to_owned()
    };
    let said = told(&["Content-Type: image/png", "Accept: image/png"]);
    assert!(said.contains("gets the body in base64 (CONVERT_TO_TEXT)"), "{said}");
    assert!(said.contains("the answer goes out as binary"), "{said}");
    let said = told(&["Content-Type: text/plain"]);
    assert!(!said.contains("base64") && said.contains("the answer goes out as text"), "{said}");
}
