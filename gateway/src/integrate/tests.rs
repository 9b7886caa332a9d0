//! Whole requests and answers, compared byte by byte.

use super::*;
use crate::guard;
use crate::http::{HeadLimits, Parsed};
use crate::model::{self, EndpointType, IntegrationType, Place};
use crate::route::{ApiDoor, Asked, Match, Table, Tree, parameters_of};
use crate::snapshot::{self, Snapshot};
use crate::upstream::Target;
use std::collections::BTreeMap;
use std::sync::Arc;

fn model(kind: IntegrationType, uri: &str) -> model::Integration {
    model::Integration {
        kind,
        place: Place::default(),
        uri: Some((uri.to_owned(), Place::default())),
        http_method: None,
        timeout_ms: 29_000,
        passthrough_behavior: Passthrough::WhenNoMatch,
        request_parameters: Vec::new(),
        request_templates: Vec::new(),
        responses: Vec::new(),
        vpc_link: None,
    }
}

fn variables() -> BTreeMap<String, String> {
    BTreeMap::from([("backend".to_owned(), "127.0.0.1:8090".to_owned())])
}

fn triples(pairs: &[(&str, &str)]) -> Vec<(String, String, Place)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned(), Place::default())).collect()
}

fn response(pattern: Option<&str>, status: u16, fields: &[(&str, &str)]) -> model::IntegrationResponse {
    model::IntegrationResponse {
        selection_pattern: pattern.map(str::to_owned),
        status_code: status,
        place: Place::default(),
        response_parameters: triples(fields),
        response_templates: Vec::new(),
    }
}

fn compiled(path: &str, integration: &model::Integration) -> Compiled {
    let parameters = parameters_of(path).unwrap();
    let (variables, mut target) = (variables(), |_: &str, _| 0);
    let mut around =
        Surroundings { parameters: &parameters, stage_variables: &variables, target: &mut target };
    compile(integration, &mut around)
}

/// One API `a1` with stage `prod` and one resource, on one public listener.
fn snapshot(path: &str, integration: &model::Integration) -> Snapshot {
    let compiled = compiled(path, integration);
    assert!(
        !compiled.findings.iter().any(|f| f.severity == model::Severity::Error),
        "{:?}",
        compiled.findings
    );
    let mut tree = Tree::default();
    tree.insert(path, "ANY", 0).unwrap();
    let method = snapshot::Method {
        resource_path: path.to_owned(),
        parameters: parameters_of(path).unwrap(),
        resource_id: "abc123".to_owned(),
        http_method: "ANY".to_owned(),
        authorization: model::Authorization::None,
        api_key_required: false,
        required_parameters: Vec::new(),
        integration: compiled.integration,
    };
    let api = snapshot::Api {
        name: "pets".to_owned(),
        id: "a1".to_owned(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        stage: "prod".to_owned(),
        hosts: Vec::new(),
        endpoint_type: EndpointType::Regional,
        stage_variables: Vec::new(),
        policy: None,
        gateway_responses: crate::refusal::GatewayResponses::default(),
        binary_media_types: Vec::new(),
        methods: vec![method],
    };
    let listener = snapshot::Listener {
        name: "public".to_owned(),
        address: "127.0.0.1:8080".parse().unwrap(),
        vpc: None,
        apis: None,
        kernel_private: false,
    };
    let door = ApiDoor { id: "a1".to_owned(), stage: "prod".to_owned(), hosts: Vec::new(), tree };
    Snapshot {
        generation: 1,
        region: api.region.clone(),
        account: api.account.clone(),
        routes: Table::new(vec![door], std::slice::from_ref(&listener), Some(0)),
        listeners: vec![listener],
        vpcs: Vec::new(),
        apis: vec![api],
        targets: vec![Arc::new(Target::new("127.0.0.1".to_owned(), 8090))],
    }
}

fn head_of(text: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let parsed = head.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
    assert!(matches!(parsed, Parsed::Complete { .. }));
    head
}

fn facts() -> Facts<'static> {
    Facts {
        request_id: "c6af9ac6",
        extended_request_id: "KpZl0EzXoAMFfLw=",
        source: "[::ffff:203.0.113.9]:40000".parse().unwrap(),
        listener: "127.0.0.1:8080".parse().unwrap(),
        time_ms: 1_795_366_800_000,
        trace_id: "Root=1-69260ed0-0123456789abcdef01234567",
    }
}

fn matched(snapshot: &Snapshot, head: &RequestHead) -> Match {
    let asked =
        Asked { listener: 0, host: head.host(), path: head.path(), method: head.method(), api_id: None };
    let reached = snapshot.routes.reach(&asked).unwrap();
    snapshot.routes.find(&asked, reached).unwrap()
}

fn permitted<'s>(snapshot: &'s Snapshot, head: &RequestHead) -> Permit<'s> {
    guard::permit(snapshot, 0, facts().source.ip(), head, matched(snapshot, head)).unwrap()
}

/// What goes to the backend.
fn forwarded(
    path: &str,
    integration: &model::Integration,
    request: &str,
) -> Result<(BackendRequest, String), Refusal> {
    let snapshot = snapshot(path, integration);
    let head = head_of(request);
    let permit = permitted(&snapshot, &head);
    let (Integration::HttpProxy(backend) | Integration::Http(backend)) = &permit.method.integration else {
        panic!("no backend: {:?}", permit.method.integration)
    };
    let mut out = Vec::new();
    let sent = write_request(&permit, backend, &head, &facts(), &mut out)?;
    Ok((sent, String::from_utf8(out).unwrap()))
}

/// The request line's target for a client's target.
fn target(path: &str, integration: &model::Integration, asked: &str) -> String {
    let request = format!("GET {asked} HTTP/1.1\r\nHost: x\r\n\r\n");
    let (_, text) = forwarded(path, integration, &request).unwrap();
    text.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_proxied_request_byte_by_byte() {
    let mut integration =
        model(IntegrationType::HttpProxy, "http://${stageVariables.backend}/internal/{petId}");
    integration.request_parameters = triples(&[
        ("integration.request.path.petId", "method.request.path.petId"),
        ("integration.request.header.X-Source", "context.identity.sourceIp"),
        ("integration.request.header.X-Kind", "'cat'"),
        ("integration.request.querystring.trace", "method.request.header.X-Trace"),
    ]);
    let (sent, text) = forwarded(
        "/pets/{petId}",
        &integration,
        "POST /prod/pets/a%2Fb%20c/?q=1&q=%2f HTTP/1.1\r\nHost: gw\r\nx-LOWER: 1\r\nX-Kind: dog\r\n\
         Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Trace: a b\r\nContent-Length: 5\r\n\
         X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nVia: 1.1 x\r\nContent-Encoding: gzip\r\n\
         Authorization: Bearer t\r\nExpect: 100-continue\r\n\r\n",
    )
    .unwrap();
    assert_eq!(
        text,
        "POST /internal/a%2Fb%20c?q=1&q=%2f&trace=a%20b HTTP/1.1\r\nHost: 127.0.0.1:8090\r\nx-LOWER: 1\r\n\
         X-Trace: a b\r\nContent-Encoding: gzip\r\nAuthorization: Bearer t\r\nX-Source: 203.0.113.9\r\n\
         X-Kind: cat\r\nX-Amzn-Apigateway-Api-Id: a1\r\n\
         X-Amzn-Trace-Id: Root=1-69260ed0-0123456789abcdef01234567\r\n\
         X-Forwarded-For: 198.51.100.7, 203.0.113.9\r\nX-Forwarded-Port: 8080\r\nX-Forwarded-Proto: http\r\n\
         Content-Length: 5\r\n\r\n"
    );
    assert_eq!(sent, BackendRequest { method: Method::Post, framing: Framing::Length(5), upgrade: false });
}

#[test]
fn targets() {
    let plain = model(IntegrationType::HttpProxy, "http://b");
    let greedy = model(IntegrationType::HttpProxy, "HTTP://B:80/base/{proxy}?fixed=1");
    for (asked, sent) in [
        ("/prod/x/y", "/base/x/y?fixed=1"),
        ("/prod/a//b/?z", "/base/a//b?fixed=1&z"),
        ("/prod/%41%2f%20?", "/base/A%2F%20?fixed=1"),
        ("/prod/x?a=1;b", "/base/x?fixed=1&a=1;b"),
    ] {
        assert_eq!(target("/{proxy+}", &greedy, asked), sent, "{asked}");
    }
    assert_eq!(target("/{proxy+}", &plain, "/prod/x/y?q"), "/?q");
    let unfilled = model(IntegrationType::HttpProxy, "http://b/x/{none}");
    assert_eq!(target("/{proxy+}", &unfilled, "/prod/1"), "/x/%7Bnone%7D");
    let two = model(IntegrationType::HttpProxy, "http://b/{b}/-/{a}.json?id={a}");
    assert_eq!(target("/{a}/{b}", &two, "/prod/1&2/3"), "/3/-/1&2.json?id=1%262");
    let odd = model(IntegrationType::HttpProxy, "http://b/a b/\u{e9}/%7e");
    assert_eq!(target("/{x+}", &odd, "/prod/1"), "/a%20b/%C3%A9/%7e");
}

#[test]
fn mapped_path_parameters_cannot_leave_their_segment() {
    let mut integration = model(IntegrationType::HttpProxy, "http://b/files/{name}/{kind}");
    integration.request_parameters = triples(&[
        ("integration.request.path.name", "method.request.querystring.name"),
        ("integration.request.path.kind", "'a/b'"),
    ]);
    let sent = target("/f", &integration, "/prod/f?name=a+%2F%3F%0d%0a");
    assert_eq!(sent, "/files/a%20%2F%3F%0D%0A/a%2Fb?name=a+%2F%3F%0d%0a");
    for evil in ["..", ".", "%2e%2e", "..%2Fx", "x%2F..", "..%3Bx", "..%5Cx"] {
        let request = format!("GET /prod/f?name={evil} HTTP/1.1\r\nHost: x\r\n\r\n");
        let refusal = forwarded("/f", &integration, &request).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed(_)), "{evil}");
    }
    // Nor can a capture, with what stands before it.
    let hidden = model(IntegrationType::HttpProxy, "http://b/.{name}/x");
    assert_eq!(target("/{name}", &hidden, "/prod/.git"), "/..git/x");
}

#[test]
fn nothing_mapped_splits_a_message() {
    let mut integration = model(IntegrationType::HttpProxy, "http://b/");
    integration.request_parameters =
        triples(&[("integration.request.header.X-Q", "method.request.querystring.q")]);
    for evil in ["a%0d%0aX-Admin:%201", "%0a", "%0d", "%01"] {
        let request = format!("GET /prod/f?q={evil} HTTP/1.1\r\nHost: x\r\n\r\n");
        let refusal = forwarded("/f", &integration, &request).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed(_)), "{evil}");
    }
}

#[test]
fn mapped_names_are_never_the_client_s_to_fill() {
    let mut integration = model(IntegrationType::HttpProxy, "http://b/");
    integration.request_parameters = triples(&[
        ("integration.request.header.X-User", "method.request.header.X-Token"),
        ("integration.request.header.Host", "'api.internal'"),
        ("integration.request.header.X-All", "method.request.multivalueheader.X-Many"),
    ]);
    let (_, text) = forwarded(
        "/f",
        &integration,
        "GET /prod/f HTTP/1.1\r\nHost: x\r\nX-USER: root\r\nX-Many: 1\r\nX-Many: 2\r\nx-all: 9\r\nTE: trailers\r\n\r\n",
    )
    .unwrap();
    assert!(!text.contains("root") && !text.contains("X-User") && !text.contains("TE:"), "{text}");
    assert!(text.contains("\r\nHost: api.internal\r\n") && !text.contains("Host: b"), "{text}");
    assert!(text.contains("X-All: 1\r\nX-All: 2\r\n") && !text.contains("x-all: 9"), "{text}");
}

#[test]
fn framing_trace_and_upgrade() {
    let integration = model(IntegrationType::HttpProxy, "http://b/");
    let send = |request: &str| forwarded("/f", &integration, request).unwrap();
    let (sent, text) = send("PUT /prod/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(sent.framing, Framing::Chunked);
    assert!(text.ends_with("Transfer-Encoding: chunked\r\n\r\n") && !text.contains("Content-Length"));
    let (sent, text) = send("POST /prod/f HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(sent.framing == Framing::None && text.ends_with("Content-Length: 0\r\n\r\n"));
    let (sent, text) = send("GET /prod/f HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(sent.framing == Framing::None && !text.contains("Content-Length"), "{text}");
    let own = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";
    let (_, text) = send(&format!("GET /prod/f HTTP/1.1\r\nHost: x\r\nx-amzn-trace-id: {own}\r\n\r\n"));
    assert!(text.contains(&format!("X-Amzn-Trace-Id: {own}\r\n")) && !text.contains("69260ed0"), "{text}");
    let (_, text) = send("GET /prod/f HTTP/1.1\r\nHost: x\r\nx-amzn-trace-id: bad\r\n\r\n");
    assert!(text.contains("X-Amzn-Trace-Id: Root=1-69260ed0-0123456789abcdef01234567\r\n"), "{text}");
    let handshake = "GET /prod/f HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Key: k\r\n\r\n";
    let (sent, text) = send(handshake);
    assert!(sent.upgrade && text.contains("Sec-WebSocket-Key: k\r\n"), "{text}");
    assert!(text.ends_with("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "{text}");
    let (sent, text) = forwarded("/f", &model(IntegrationType::Http, "http://b/"), handshake).unwrap();
    assert!(!sent.upgrade && !text.contains("Upgrade"), "{text}");
}

#[test]
fn http_sends_only_what_is_mapped() {
    let mut integration = model(IntegrationType::Http, "http://b:8080/x");
    integration.http_method = Some("PUT".to_owned());
    integration.request_parameters = triples(&[
        ("integration.request.querystring.page", "method.request.querystring.p"),
        ("integration.request.header.X-Stage", "stageVariables.backend"),
    ]);
    let request = "POST /prod/f?p=1&p=a%26b&secret=1 HTTP/1.1\r\nHost: x\r\nCookie: c\r\nContent-Type: text/csv\r\n\
                   Accept: text/html\r\nContent-Length: 3\r\n\r\n";
    let (sent, text) = forwarded("/f", &integration, request).unwrap();
    assert_eq!(
        text,
        "PUT /x?page=a%26b HTTP/1.1\r\nHost: b:8080\r\nAccept: application/json\r\n\
         User-Agent: AmazonAPIGateway_a1\r\nContent-Type: text/csv\r\nX-Stage: 127.0.0.1:8090\r\n\
         X-Amzn-Apigateway-Api-Id: a1\r\nX-Amzn-Trace-Id: Root=1-69260ed0-0123456789abcdef01234567\r\n\
         Content-Length: 3\r\n\r\n"
    );
    assert_eq!((sent.method, sent.framing), (Method::Put, Framing::Length(3)));
}

#[test]
fn passthrough_behaviours() {
    let request =
        |media_type: &str| format!("POST /prod/f HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\n\r\n");
    let json = [("application/json", "$input.body")];
    let catch_all = [("$default", "$input.json('$')")];
    for (behaviour, templates, media_type, passes) in [
        (Passthrough::WhenNoMatch, &[][..], "text/csv", true),
        (Passthrough::WhenNoMatch, &json, "text/csv", true),
        (Passthrough::WhenNoTemplates, &[], "text/csv", true),
        (Passthrough::WhenNoTemplates, &json, "text/csv", false),
        (Passthrough::WhenNoTemplates, &json, "Application/JSON; charset=utf-8", true),
        (Passthrough::Never, &[], "application/json", false),
        (Passthrough::Never, &json, "application/json", true),
        (Passthrough::Never, &json, "text/csv", false),
        (Passthrough::Never, &catch_all, "text/csv", true),
    ] {
        let mut integration = model(IntegrationType::Http, "http://b/");
        integration.passthrough_behavior = behaviour;
        integration.request_templates = triples(templates);
        let sent = forwarded("/f", &integration, &request(media_type)).map(|_| ());
        let expected = if passes { Ok(()) } else { Err(Refusal::UnsupportedMediaType) };
        assert_eq!(sent, expected, "{behaviour:?} {templates:?} {media_type}");
    }
}

/// What the client gets of a backend's answer.
fn returned(integration: &model::Integration, answer: &str) -> Result<(u16, String), Refusal> {
    let snapshot = snapshot("/f", integration);
    let head = head_of("GET /prod/f?x=a%0ab HTTP/1.1\r\nHost: x\r\nX-In: 1\r\n\r\n");
    let permit = permitted(&snapshot, &head);
    let mut response = ResponseHead::new();
    response.parse(answer.as_bytes(), Method::Get, &HeadLimits::default()).unwrap();
    let mut out = Vec::new();
    let status = write_response(&permit, &head, &response, &facts(), &mut out)?;
    Ok((status, String::from_utf8(out).unwrap()))
}

#[test]
fn a_proxied_answer_byte_by_byte() {
    let integration = model(IntegrationType::HttpProxy, "http://b/");
    let answer = "HTTP/1.1 404 Nowhere\r\nDate: d\r\nserver: s\r\nContent-Length: 3\r\nConnection: keep-alive, X-Hop\r\n\
                  X-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nVia: v\r\n\
                  x-amzn-RequestId: theirs\r\nContent-Encoding: gzip\r\nX-Own: 1\r\n\r\n";
    let (status, text) = returned(&integration, answer).unwrap();
    assert_eq!(status, 404);
    assert_eq!(
        text,
        "HTTP/1.1 404 Not Found\r\nx-amzn-Remapped-Date: d\r\nx-amzn-Remapped-Server: s\r\n\
         x-amzn-Remapped-Content-Length: 3\r\nx-amzn-Remapped-Connection: keep-alive, X-Hop\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nx-amzn-Remapped-x-amzn-RequestId: theirs\r\n\
         Content-Encoding: gzip\r\nX-Own: 1\r\nContent-Type: application/json\r\n"
    );
    let (status, text) = returned(
        &integration,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: k\r\n\r\n",
    )
    .unwrap();
    assert_eq!(status, 101);
    assert_eq!(text, "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: k\r\n");
}

#[test]
fn http_answers_are_chosen_by_the_whole_status() {
    let mut integration = model(IntegrationType::Http, "http://b/");
    let ok = [
        ("method.response.header.X-Last", "integration.response.header.X-B"),
        ("method.response.header.Set-Cookie", "integration.response.multivalueheader.X-B"),
        ("method.response.header.Date", "integration.response.header.Date"),
        ("method.response.header.X-None", "integration.response.header.x-b"),
        ("method.response.header.X-Path", "context.resourcePath"),
        ("method.response.header.X-Fix", "'fixed'"),
    ];
    integration.responses =
        vec![response(Some("2"), 299, &[]), response(Some(r"2\d{2}"), 200, &ok), response(None, 418, &[])];
    let answer =
        |status| format!("HTTP/1.1 {status} X\r\nX-B: 1\r\nX-B: 2\r\nDate: d\r\nContent-Length: 0\r\n\r\n");
    let trace = "X-Amzn-Trace-Id: Root=1-69260ed0-0123456789abcdef01234567\r\n";
    let (status, text) = returned(&integration, &answer(201)).unwrap();
    assert_eq!(status, 200);
    let expected = "HTTP/1.1 200 OK\r\nX-Last: 2\r\nSet-Cookie: 1\r\nSet-Cookie: 2\r\nx-amzn-Remapped-Date: d\r\n\
                    X-Path: /f\r\nX-Fix: fixed\r\nContent-Type: application/json\r\n";
    assert_eq!(text, format!("{expected}{trace}"));
    let (status, text) = returned(&integration, &answer(400)).unwrap();
    assert_eq!(status, 418);
    assert!(text.ends_with(&format!("\r\nContent-Type: application/json\r\n{trace}")), "{text}");
    integration.responses.pop();
    assert!(matches!(returned(&integration, &answer(400)), Err(Refusal::ApiConfiguration(_))));
}

/// MOCK's answer to a request.
fn mocked(integration: &model::Integration, request: &str) -> Result<Answer, Refusal> {
    let snapshot = snapshot("/f", integration);
    let head = head_of(request);
    let permit = permitted(&snapshot, &head);
    let Integration::Mock(mock) = &permit.method.integration else {
        panic!("{:?}", permit.method.integration)
    };
    super::mock(&permit, mock, &head, &facts())
}

#[test]
fn mocks() {
    let mut integration = model(IntegrationType::Mock, "");
    integration.uri = None;
    let origin = [("method.response.header.Access-Control-Allow-Origin", "'*'")];
    let mut gone = response(Some("410"), 410, &[]);
    gone.response_templates =
        triples(&[("application/json", "{\"id\":\"$context.requestId\"}"), ("text/plain", "gone")]);
    integration.responses = vec![gone, response(None, 204, &origin)];
    integration.request_templates = triples(&[
        ("application/json", "{\"statusCode\": 200}"),
        ("text/plain", "{statusCode: 410,}"),
        ("text/bad", "{\"statusCode\": \"x\"}"),
    ]);
    let request = |media_type: &str, accept: &str| {
        format!("GET /prod/f HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\nAccept: {accept}\r\n\r\n")
    };
    let json = ("Content-Type".to_owned(), b"application/json".to_vec());
    let answer = mocked(&integration, "OPTIONS /prod/f HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let cors = ("Access-Control-Allow-Origin".to_owned(), b"*".to_vec());
    assert_eq!(answer, Answer { status: 204, fields: vec![json.clone(), cors], body: Vec::new() });
    let answer = mocked(&integration, &request("text/plain", "*/*")).unwrap();
    assert_eq!(answer, Answer { status: 410, fields: vec![json], body: b"{\"id\":\"c6af9ac6\"}".to_vec() });
    let answer = mocked(&integration, &request("text/plain", "text/plain")).unwrap();
    assert_eq!((answer.body.as_slice(), answer.fields[0].1.as_slice()), (&b"gone"[..], &b"text/plain"[..]));
    for media_type in ["text/bad", "text/unknown"] {
        let refusal = mocked(&integration, &request(media_type, "*/*")).unwrap_err();
        assert!(matches!(refusal, Refusal::ApiConfiguration(_)), "{media_type}");
    }
    integration.passthrough_behavior = Passthrough::Never;
    assert_eq!(mocked(&integration, &request("text/unknown", "*/*")), Err(Refusal::UnsupportedMediaType));
    integration.passthrough_behavior = Passthrough::WhenNoMatch;
    integration.request_templates.clear();
    assert_eq!(mocked(&integration, &request("text/unknown", "*/*")).unwrap().status, 204);
    integration.responses.clear();
    assert!(matches!(mocked(&integration, &request("a/b", "*/*")), Err(Refusal::ApiConfiguration(_))));
}

#[test]
fn templates_that_need_an_engine_answer_500_when_they_are_chosen() {
    let mut integration = model(IntegrationType::Http, "http://b/");
    integration.request_templates = triples(&[("application/json", "$input.body"), ("text/x", "#set($a=1)")]);
    let mut ok = response(None, 200, &[]);
    ok.response_templates =
        triples(&[("application/json", ""), ("text/y", "$input.path('$.x')"), ("text/z", "fixed")]);
    integration.responses = vec![ok];
    let send = |media_type: &str| {
        forwarded(
            "/f",
            &integration,
            &format!("POST /prod/f HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\n\r\n"),
        )
    };
    assert!(send("application/json").is_ok() && send("text/other").is_ok());
    assert!(matches!(send("text/x"), Err(Refusal::ApiConfiguration(_))));
    let snapshot = snapshot("/f", &integration);
    let back = |accept: &str| {
        let head = head_of(&format!("GET /prod/f HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n"));
        let mut response = ResponseHead::new();
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        response.parse(answer.as_bytes(), Method::Get, &HeadLimits::default()).unwrap();
        write_response(&permitted(&snapshot, &head), &head, &response, &facts(), &mut Vec::new())
    };
    assert_eq!(back("*/*"), Ok(200));
    for accept in ["text/y", "text/z"] {
        assert!(matches!(back(accept), Err(Refusal::ApiConfiguration(_))), "{accept}");
    }
}

/// What compile says of an integration: errors, warnings, and whether it is Unsupported.
fn said(change: impl FnOnce(&mut model::Integration)) -> (usize, usize, bool) {
    let mut integration = model(IntegrationType::HttpProxy, "http://b/{id}");
    change(&mut integration);
    let compiled = compiled("/pets/{id}", &integration);
    let count = |severity| compiled.findings.iter().filter(|finding| finding.severity == severity).count();
    let unsupported = matches!(compiled.integration, Integration::Unsupported(_));
    (count(model::Severity::Error), count(model::Severity::Warning), unsupported)
}

#[test]
fn what_cannot_be_compiled_says_so() {
    for uri in [
        "",
        "b/x",
        "ftp://b/",
        "http:///x",
        "http://{id}/",
        "http://b:0/",
        "http://b:99999/",
        "http://u:p@b/",
        "http://b/#x",
        "http://b/{id",
        "http://b/../x",
        "http://b/%zz",
        "http://b/a\\b",
        "http://${stageVariables.none}/",
        "http://${context.x}/",
        "http://${stageVariables.backend",
        "http://[::g]/",
    ] {
        let (errors, ..) = said(|integration| integration.uri = Some((uri.to_owned(), Place::default())));
        assert_eq!(errors, 1, "{uri}");
    }
    for uri in ["http://[::1]:8080/", "http://b", "http://b?x={id}", "http://${stageVariables.backend}/{id}"]
    {
        assert_eq!(said(|i| i.uri = Some((uri.to_owned(), Place::default()))), (0, 0, false), "{uri}");
    }
    assert_eq!(said(|i| i.uri = Some(("https://b/".to_owned(), Place::default()))), (0, 1, true));
    // The document's reader has said it of these.
    assert_eq!(said(|i| i.kind = IntegrationType::Aws), (0, 0, true));
    assert_eq!(said(|i| i.kind = IntegrationType::AwsProxy), (0, 0, true));
    assert_eq!(said(|i| i.vpc_link = Some("abc".to_owned())), (0, 0, true));
    assert_eq!(said(|i| i.http_method = Some("TRACE".to_owned())), (1, 0, false));
    for (key, value, expected) in [
        ("integration.request.header.X", "method.request.header.Y", (0, 0, false)),
        ("integration.request.header.X", "method.request.body.id", (0, 1, false)),
        ("integration.request.header.X", "method.request.cookie.id", (1, 0, false)),
        ("integration.request.header.X", "integration.response.header.Y", (1, 0, false)),
        ("integration.request.header.X", "context.nothing", (0, 1, false)),
        ("integration.request.header.X", "context.authorizer.sub", (0, 1, false)),
        ("integration.request.header.X", "stageVariables.none", (0, 1, false)),
        ("integration.request.header.X", "plain", (1, 0, false)),
        ("integration.request.header.X", "'a\nb'", (1, 0, false)),
        ("integration.request.header.X Y", "'a'", (1, 0, false)),
        ("integration.request.body.X", "'a'", (1, 0, false)),
        ("integration.request.header.Content-Length", "'1'", (0, 1, true)),
        ("integration.request.header.Transfer-Encoding", "'chunked'", (0, 1, true)),
        ("integration.request.header.Connection", "'X-Secret'", (0, 1, false)),
    ] {
        assert_eq!(said(|i| i.request_parameters = triples(&[(key, value)])), expected, "{key} {value}");
    }
    let vtl = || triples(&[("application/json", "#set($x = 1) $x")]);
    assert_eq!(said(|i| i.request_templates = vtl()), (0, 0, false), "http_proxy has no templates");
    let http = |i: &mut model::Integration| {
        i.kind = IntegrationType::Http;
        i.request_templates = vtl();
    };
    assert_eq!(said(http), (0, 1, false));
    let with_response = |response: model::IntegrationResponse| {
        said(|i| {
            i.kind = IntegrationType::Http;
            i.responses = vec![response];
        })
    };
    assert_eq!(with_response(response(Some("(?=x)"), 200, &[])), (1, 0, false));
    assert_eq!(with_response(response(Some("2)|(3"), 200, &[])), (1, 0, false));
    assert_eq!(with_response(response(None, 200, &[("method.response.body", "'x'")])), (1, 0, false));
    let mut templated = response(None, 200, &[]);
    templated.response_templates = triples(&[("application/json", "$input.json('$')")]);
    assert_eq!(with_response(templated.clone()), (0, 0, false));
    templated.response_templates = triples(&[("application/json", "$input.path('$.x')")]);
    assert_eq!(with_response(templated), (0, 1, false));
}
