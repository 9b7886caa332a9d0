//! Answers of backends and of MOCK, compared byte by byte.

use super::*;

/// What the client gets of a backend's answer.
fn returned(integration: &model::Integration, answer: &str) -> Result<(u16, String), Refusal> {
    let snapshot = snapshot("/f", integration);
    let head = head_of("GET /prod/f?x=a%0ab HTTP/1.1\r\nHost: x\r\nX-In: 1\r\n\r\n");
    let permit = permitted(&snapshot, &head);
    let mut response = ResponseHead::new();
    response.parse(answer.as_bytes(), Method::Get, &HeadLimits::default()).unwrap();
    let mut out = Vec::new();
    let returned = write_response(&permit, &head, &response, &facts(), &mut out)?;
    assert_eq!((returned.conversion, returned.keeps_length), (Conversion::AsIs, true));
    Ok((returned.status, String::from_utf8(out).unwrap()))
}

#[test]
fn a_proxied_answer_byte_by_byte() {
    let integration = model(IntegrationType::HttpProxy, "http://b/");
    let answer = "HTTP/1.1 404 Nowhere\r\nDate: d\r\nserver: s\r\nContent-Length: 3\r\n\
                  Connection: keep-alive, X-Hop\r\n\
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
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: k\r\n\r\n",
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
        ("method.response.header.X-None", "integration.response.header.x-c"),
        ("method.response.header.X-Any-Case", "integration.response.header.x-b"),
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
                    X-Any-Case: 2\r\nX-Path: /f\r\nX-Fix: fixed\r\nContent-Type: application/json\r\n";
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
    crate::integrate::mock(&permit, mock, &head, &facts())
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
        let permit = permitted(&snapshot, &head);
        write_response(&permit, &head, &response, &facts(), &mut Vec::new()).map(|returned| returned.status)
    };
    assert_eq!(back("*/*"), Ok(200));
    for accept in ["text/y", "text/z"] {
        assert!(matches!(back(accept), Err(Refusal::ApiConfiguration(_))), "{accept}");
    }
}
