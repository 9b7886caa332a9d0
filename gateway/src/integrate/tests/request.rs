//! Requests to backends, compared byte by byte.

use super::*;

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
         X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1\r\n\
         Via: 1.1 x\r\nContent-Encoding: gzip\r\n\
         Authorization: Bearer t\r\nExpect: 100-continue\r\n\r\n",
    )
    .unwrap();
    assert_eq!(
        text,
        "POST /internal/a%2Fb%20c?q=1&q=%2f&trace=a%20b HTTP/1.1\r\nHost: 127.0.0.1:8090\r\nx-LOWER: 1\r\n\
         X-Trace: a b\r\nContent-Encoding: gzip\r\nAuthorization: Bearer t\r\nX-Source: 203.0.113.9\r\n\
         X-Kind: cat\r\nX-Amzn-Apigateway-Api-Id: a1\r\n\
         X-Amzn-Trace-Id: Root=1-69260ed0-0123456789abcdef01234567\r\n\
         X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Port: 8080\r\nX-Forwarded-Proto: http\r\n\
         Content-Length: 5\r\n\r\n"
    );
    assert_eq!(
        sent,
        BackendRequest { method: Method::Post, framing: Framing::Length(5), upgrade: false, last: false }
    );
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
    let two = model(IntegrationType::HttpProxy, "http://b/{b}/-/{a}.json?id={a}");
    assert_eq!(target("/{a}/{b}", &two, "/prod/1&2/3"), "/3/-/1&2.json?id=1%262");
    let odd = model(IntegrationType::HttpProxy, "http://b/a b/\u{e9}/%7e");
    assert_eq!(target("/{x+}", &odd, "/prod/1"), "/a%20b/%C3%A9/~");
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
    // Nor can they with what the URI has beside them, however it is written.
    for uri in ["http://b/x%2f{name}", "http://b/%2e{name}", "http://b/x%5c{name}%3bx"] {
        let mut integration = model(IntegrationType::HttpProxy, uri);
        integration.request_parameters =
            triples(&[("integration.request.path.name", "method.request.querystring.name")]);
        for evil in [".", ".."] {
            let request = format!("GET /prod/f?name={evil} HTTP/1.1\r\nHost: x\r\n\r\n");
            let sent = forwarded("/f", &integration, &request);
            // `%2e` and `..` are three dots: a name like any other.
            assert!(sent.is_err() || uri.contains("%2e") && evil == "..", "{uri} {evil}: {sent:?}");
        }
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
fn fields_that_a_backend_may_take_for_ours_do_not_pass() {
    let mut integration = model(IntegrationType::HttpProxy, "http://b/");
    integration.request_parameters = triples(&[
        ("integration.request.header.X-User", "'nobody'"),
        ("integration.request.header.X-Forwarded-For", "context.identity.sourceIp"),
    ]);
    let (_, text) = forwarded(
        "/f",
        &integration,
        "GET /prod/f HTTP/1.1\r\nHost: x\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\nX_User: root\r\n\
         X.User: root\r\nx_forwarded_for: 6.6.6.6\r\nX-Forwarded_Host: evil\r\nX-Forwarded-Host: evil\r\n\
         X_Amzn_Apigateway_Api_Id: evil\r\nConnection: X-Hop\r\nX_Hop: 1\r\nX_Own: 1\r\n\r\n",
    )
    .unwrap();
    assert_eq!(
        text,
        "GET / HTTP/1.1\r\nHost: b\r\nX_Own: 1\r\nX-User: nobody\r\nX-Forwarded-For: 203.0.113.9\r\n\
         X-Amzn-Apigateway-Api-Id: a1\r\nX-Amzn-Trace-Id: Root=1-69260ed0-0123456789abcdef01234567\r\n\
         X-Forwarded-Port: 8080\r\nX-Forwarded-Proto: http\r\n\r\n"
    );
}

#[test]
fn there_is_one_host_and_it_is_one() {
    let mut integration = model(IntegrationType::HttpProxy, "http://b:8090/");
    integration.request_parameters =
        triples(&[("integration.request.header.Host", "method.request.multivaluequerystring.h")]);
    let host = |query: &str| {
        let request = format!("GET /prod/f{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        let (_, text) = forwarded("/f", &integration, &request)?;
        let hosts: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("Host: ")).collect();
        assert_eq!(hosts.len(), 1, "{text}");
        Ok(hosts[0].to_owned())
    };
    for (query, expected) in
        [("", "b:8090"), ("?h=a.example:81", "a.example:81"), ("?h=a&h=c", "c"), ("?h=[::1]", "[::1]")]
    {
        assert_eq!(host(query), Ok(expected.to_owned()), "{query}");
    }
    for evil in ["", "a%20b", "a/b", "a,b", "u@a", "a:x", "a%0d%0aX:1", "%01", "a%3f"] {
        assert!(matches!(host(&format!("?h={evil}")), Err(Refusal::Malformed(_))), "{evil}");
    }
}

/// Some servers do not read it, and would read the next request in it.
#[test]
fn nothing_follows_a_body_that_a_backend_may_not_expect() {
    for (method, body, last) in [
        ("GET", "Content-Length: 5\r\n", true),
        ("HEAD", "Content-Length: 5\r\n", true),
        ("DELETE", "Transfer-Encoding: chunked\r\n", true),
        ("OPTIONS", "Content-Length: 1\r\n", true),
        ("GET", "", false),
        ("GET", "Content-Length: 0\r\n", false),
        ("POST", "Content-Length: 5\r\n", false),
        ("PUT", "Transfer-Encoding: chunked\r\n", false),
        ("PATCH", "Content-Length: 5\r\n", false),
    ] {
        let request = format!("{method} /prod/f HTTP/1.1\r\nHost: x\r\n{body}\r\n");
        let (sent, text) =
            forwarded("/f", &model(IntegrationType::HttpProxy, "http://b/"), &request).unwrap();
        assert_eq!((sent.last, text.contains("\r\nConnection: close\r\n")), (last, last), "{method} {body}");
    }
    // The method is the one that the backend sees.
    let mut integration = model(IntegrationType::Http, "http://b/");
    integration.http_method = Some("GET".to_owned());
    let request = "POST /prod/f HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    assert!(forwarded("/f", &integration, request).unwrap().0.last);
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

#[test]
fn what_was_believed_of_proxies_goes_on() {
    let proxies = vec!["10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap()];
    let via = Via { trusted: true, proxies, port: Some(443), scheme: Some("https") };
    let mut out = Vec::new();
    let facts = Facts { via: &via, ..facts() };
    fields::write_forwarded(&facts, |_| false, &mut out);
    let expected = "X-Forwarded-For: 203.0.113.9, 10.0.0.2, 10.0.0.1\r\n\
        X-Forwarded-Port: 443\r\nX-Forwarded-Proto: https\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let request = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: shop.example\r\nX_Forwarded_For: 1\r\n\r\n";
    let passed = |trusted| {
        let head = head_of(request);
        let passed = head.lines().filter(|line| fields::passes(&head, line, trusted));
        passed.map(|line| String::from_utf8_lossy(line.name).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!((passed(true), passed(false)), (vec!["X-Forwarded-Host".to_owned()], Vec::new()));
}
