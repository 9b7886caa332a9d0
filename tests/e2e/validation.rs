//! Request bodies against their models (validateRequestBody).

use crate::harness::api::{http_proxy, mock};
use crate::harness::client::Broken;
use crate::harness::*;
use ::gateway::worker::Limits;
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, SystemTime};

on_both! {
    a_body_that_does_not_fit_its_model_reaches_nobody,
    what_was_checked_is_what_goes_on,
    the_media_type_chooses_the_model,
    the_refusal_is_the_api_s_own,
    a_coded_body_is_decoded_before_it_is_checked,
    bodies_past_the_limit_and_cut_ones_are_refused,
    who_waits_for_100_continue_gets_it,
    a_body_that_drips_has_an_end,
}

fn pet() -> Value {
    json!({
        "type": "object", "required": ["name"],
        "properties": {
            "name": {"type": "string", "maxLength": 1000},
            "price": {"type": "number", "minimum": 0},
            "next": {"$ref": "#/components/schemas/Pet"},
        },
    })
}

/// `POST /x` whose JSON is a Pet, and `GET /x`.
fn api(integration: Value, types: &[&str]) -> Api {
    let mut api = Api::new("pets", "p3tsp3tsp3")
        .method("/x", "post", integration)
        .set("components", json!({"schemas": {"Pet": pet()}}))
        .set("x-amazon-apigateway-request-validators", json!({"body": {"validateRequestBody": true}}))
        .set("x-amazon-apigateway-request-validator", json!("body"));
    for media_type in types {
        api.document["paths"]["/x"]["post"]["requestBody"]["content"][*media_type] =
            json!({"schema": {"$ref": "#/components/schemas/Pet"}});
    }
    api
}

fn pets(upstream: &Upstream, types: &[&str]) -> Api {
    api(http_proxy("POST", &format!("http://{}/x", upstream.address)), types)
}

fn post(client: &mut Client, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Response {
    let body = body.as_ref();
    let mut head = format!("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    client.send(head + "\r\n").send(body).response()
}

const MISSING: &str = "{\"message\": \"Invalid request body\"}";

fn a_body_that_does_not_fit_its_model_reaches_nobody(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(pets(&upstream, &["application/json"])).start();
    let mut client = gateway.client();
    for body in ["{}", "", "{\"name\": 1}", "{\"name\": \"a\", \"next\": {}}", "{\"name\": \"a\"", "[]"] {
        let answer = post(&mut client, &[], body);
        assert_eq!((answer.status, answer.text()), (400, MISSING), "{body}");
        assert_eq!(answer.field("x-amzn-errortype"), Some("BadRequestException"));
    }
    // No body at all is an empty one, and an empty one is `{}`.
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 400);
    assert_eq!(upstream.connections(), 0);
    // All of it on one connection, which goes on.
    let answer = post(&mut client, &[], "{\"name\": \"a\", \"next\": {\"name\": \"b\"}}");
    assert_eq!(answer.text(), "POST /x {\"name\": \"a\", \"next\": {\"name\": \"b\"}}");
}

fn what_was_checked_is_what_goes_on(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(pets(&upstream, &["application/json"])).start();
    let mut client = gateway.client();
    // With its spaces, escapes and numbers as they are; short, and through many buffers.
    let padding = " ".repeat(700_000);
    for body in [
        "{ \"name\" :\t\"\\u0061\", \"price\": 1.50e0 }\n".to_owned(),
        format!("{{\"name\": {padding}\"b\"}}"),
    ] {
        assert_eq!(post(&mut client, &[], &body).status, 200);
        client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in body.as_bytes().chunks(7_919) {
            client.send(format!("{:x}\r\n", piece.len())).send(piece).send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.response().status, 200);
        let requests = upstream.requests();
        for request in &requests[requests.len() - 2..] {
            assert!(request.body == body.as_bytes());
            assert_eq!(request.field("content-length"), Some(body.len().to_string().as_str()));
            assert_eq!(request.field("transfer-encoding"), None);
        }
    }
    // One property has one value, whoever reads it.
    assert_eq!(post(&mut client, &[], "{\"name\": \"a\", \"name\": 1}").status, 400);
    assert_eq!(post(&mut client, &[], "{\"name\": 1, \"name\": \"a\"}").status, 400);
}

fn the_media_type_chooses_the_model(io: Io) {
    let upstream = Upstream::echo();
    let json_only = Setup::new(io).api(pets(&upstream, &["application/json"])).start();
    let mut client = json_only.client();
    let typed = |value: &'static str| [("Content-Type", value)];
    assert_eq!(post(&mut client, &typed("Application/JSON; charset=utf-8"), "{}").status, 400);
    // As in AWS, a type without a model is not checked.
    assert_eq!(post(&mut client, &typed("text/plain"), "{}").status, 200);
    let all = Setup::new(io).api(pets(&upstream, &["$default"])).start();
    assert_eq!(post(&mut all.client(), &typed("text/plain"), "{}").status, 400);
    // Of two types one would choose the model, and a backend might read by the other.
    let both = [("Content-Type", "text/plain"), ("Content-Type", "application/json")];
    let answer = post(&mut json_only.client(), &both, "{}");
    assert_eq!(answer.status, 415);
}

fn the_refusal_is_the_api_s_own(io: Io) {
    let body =
        "{\"errors\": \"$context.error.validationErrorString\", \"type\": \"$context.error.responseType\"}";
    let api = api(mock(200), &["application/json"]).set(
        "x-amazon-apigateway-gateway-responses",
        json!({"BAD_REQUEST_BODY": {"statusCode": 422, "responseTemplates": {"application/json": body}}}),
    );
    let gateway = Setup::new(io).api(api).start();
    let answer = post(&mut gateway.client(), &[], "{\"price\": -1}");
    assert_eq!(answer.status, 422);
    let said = answer.json();
    assert_eq!(said["errors"], "[object has missing required properties ([\"name\"])]");
    assert_eq!(said["type"], "BAD_REQUEST_BODY");
    let answer = post(&mut gateway.client(), &[], "{\"name\": \"a\", \"price\": -1}");
    let minimum = "[numeric instance is lower than the required minimum (minimum: 0, found: -1)]";
    assert_eq!(answer.json()["errors"], minimum);
    assert_eq!(post(&mut gateway.client(), &[], "{\"name\": \"a\"}").status, 200);
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn a_coded_body_is_decoded_before_it_is_checked(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(pets(&upstream, &["application/json"])).start();
    let mut client = gateway.client();
    let coded = [("Content-Encoding", "gzip")];
    assert_eq!(post(&mut client, &coded, gzip(b"{}")).status, 400);
    let answer = post(&mut client, &coded, gzip(b"{\"name\": \"a\"}"));
    assert_eq!(answer.text(), "POST /x {\"name\": \"a\"}");
    assert_eq!(upstream.requests()[0].field("content-encoding"), None);
    for wrong in [&b"{\"name\": \"a\"}"[..], &gzip(b"{\"name\": \"a\"}")[..20]] {
        assert_eq!(post(&mut client, &coded, wrong).status, 415);
    }
    assert_eq!(post(&mut gateway.client(), &[("Content-Encoding", "br")], "x").status, 415);
    // 11 MB in 11 KB.
    let bomb = gzip(&vec![b' '; 11 << 20]);
    assert_eq!(post(&mut gateway.client(), &coded, bomb).status, 413);
    // Each member of a byte costs as much as a long one.
    let members = |count: usize| gzip(b" ").repeat(count);
    assert_eq!(post(&mut gateway.client(), &coded, members(500)).status, 400);
    assert_eq!(post(&mut gateway.client(), &coded, members(5000)).status, 415);
    assert_eq!(upstream.requests().len(), 1);
}

fn bodies_past_the_limit_and_cut_ones_are_refused(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(pets(&upstream, &["application/json"])).start();
    let mut client = gateway.client();
    let length = (10 << 20) + 1;
    client.send(format!("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    assert_eq!(client.response().status, 413);
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(1 << 20));
    for _ in 0..11 {
        // The answer may have closed it.
        let _ = client.try_send(&chunk);
    }
    assert_eq!(client.response().status, 413);
    // A body that ends in the middle is no body.
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n{\"name\": \"a\"}");
    client.half_close();
    client.assert_closed();
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(client.response().status, 400);
    assert_eq!(upstream.requests().len(), 0);
}

fn who_waits_for_100_continue_gets_it(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(pets(&upstream, &["application/json"])).start();
    let mut client = gateway.client();
    client.send("POST /prod/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 13\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("{\"name\": \"a\"}");
    assert_eq!(client.response().status, 200);
}

/// Never silent, and above the rate of bodies that go through: held as a whole it would take room for as long.
fn a_body_that_drips_has_an_end(io: Io) {
    const BYTES: usize = 900;
    let silence = Duration::from_millis(500);
    let limits = Limits { body_idle_timeout: silence, body_rate: 1, ..Limits::default() };
    let worker = Worker::start(&Setup::new(io).api(api(mock(200), &["application/json"])), limits);
    assert_eq!(post(&mut worker.client(), &[], "{\"name\": \"a\"}").status, 200);
    let mut client = worker.client();
    let begun = SystemTime::now();
    client.send(format!("POST /prod/x HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n"));
    client.be_patient(Duration::from_millis(10));
    for sent in 0.. {
        assert!(sent < BYTES, "all of it was taken");
        // The answer's end closes it.
        let _ = client.try_send(" ");
        match client.try_response() {
            Err(Broken::TimedOut) => {}
            Ok(answer) => {
                assert_eq!((answer.status, answer.message()), (408, "Request Timeout".into()));
                break;
            }
            Err(other) => panic!("no answer: {other:?}"),
        }
    }
    assert!(begun.elapsed().unwrap() >= silence, "a body may be silent for as long");
}
