//! What reaches the backend and what comes back: fields, mappings, integration responses.

use crate::harness::api::{http_proxy, mapped};
use crate::harness::*;
use serde_json::json;

on_both! {
    fields_keep_their_case_and_order_and_hop_by_hop_ones_stay_here,
    the_backend_s_own_fields_are_remapped,
    request_parameters_are_mapped,
    http_integrations_choose_their_response_by_status,
    nothing_in_a_mapped_value_can_split_a_message,
}

fn fields_keep_their_case_and_order_and_hop_by_hop_ones_stay_here(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let response = gateway.client().request(
        "GET",
        "/prod/x",
        "client.example",
        &[
            ("X-ZuLu", "1"),
            ("x-alpha", "2"),
            ("X-ZuLu", "3"),
            ("Connection", "keep-alive, X-Secret-Hop"),
            ("X-Secret-Hop", "no"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers"),
            ("Proxy-Authenticate", "no"),
            ("Max-Forwards", "3"),
            ("User-Agent", "test/1"),
            ("Cookie", "a=b"),
        ],
    );
    assert_eq!(response.status, 200);
    let request = &upstream.requests()[0];
    let own: Vec<(&str, &str)> = request
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| ["X-ZuLu", "x-alpha", "User-Agent", "Cookie"].contains(name))
        .collect();
    assert_eq!(
        own,
        [("X-ZuLu", "1"), ("x-alpha", "2"), ("X-ZuLu", "3"), ("User-Agent", "test/1"), ("Cookie", "a=b")]
    );
    for gone in ["x-secret-hop", "keep-alive", "te", "proxy-authenticate", "max-forwards"] {
        assert_eq!(request.field(gone), None, "{gone}");
    }
    assert_eq!(request.field("host"), Some(upstream.address.to_string().as_str()));
    assert_eq!(request.field("x-amzn-apigateway-api-id"), Some("ech0ech0e1"));
    assert!(request.field("x-amzn-trace-id").is_some_and(|id| id.starts_with("Root=1-")));
}

fn the_backend_s_own_fields_are_remapped(io: Io) {
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            connection.send(
                "HTTP/1.1 201 Made\r\nServer: backend\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
                 X-Own: a\r\nx-own: b\r\n\
                 Connection: X-Hop\r\nX-Hop: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nx-amzn-RequestId: theirs\r\n\
                 Content-Length: 2\r\n\r\nok",
            );
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let response = gateway.client().get("/prod/x");
    assert_eq!((response.status, response.text()), (201, "ok"));
    assert_eq!(response.field("x-amzn-remapped-server"), Some("backend"));
    assert_eq!(response.field("x-amzn-remapped-date"), Some("Mon, 01 Jan 2024 00:00:00 GMT"));
    assert_eq!(response.field("x-amzn-remapped-x-amzn-requestid"), Some("theirs"));
    assert_ne!(response.field("x-amzn-requestid"), Some("theirs"));
    assert_eq!((response.field("server"), response.field("x-hop")), (None, None));
    let all =
        |wanted: &str| response.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).count();
    assert_eq!((all("set-cookie"), all("x-own"), all("date"), all("content-length")), (2, 2, 1, 1));
}

fn request_parameters_are_mapped(io: Io) {
    let upstream = Upstream::echo();
    let uri = format!("http://{}/b/{{who}}", upstream.address);
    let mut integration = http_proxy("POST", &uri);
    for (to, from) in [
        ("integration.request.path.who", "method.request.path.id"),
        ("integration.request.header.X-Static", "'fixed'"),
        ("integration.request.header.X-Source", "context.identity.sourceIp"),
        ("integration.request.header.X-Stage", "context.stage"),
        ("integration.request.header.X-Var", "stageVariables.tier"),
        ("integration.request.header.X-From-Query", "method.request.querystring.q"),
        ("integration.request.querystring.added", "method.request.header.X-Given"),
    ] {
        integration = mapped(integration, to, from);
    }
    let api = Api::new("m", "m4ppedm4pp").variable("tier", "gold").method("/in/{id}", "get", integration);
    let gateway = Setup::new(io).api(api).start();
    let response = gateway.client().request("GET", "/prod/in/42?q=hello", "a", &[("X-Given", "yes")]);
    assert_eq!(response.status, 200, "{}", response.text());
    let request = &upstream.requests()[0];
    assert_eq!(request.method, "POST", "the integration's own method");
    let (path, query) = request.target.split_once('?').unwrap();
    assert_eq!(path, "/b/42");
    let mut pairs: Vec<&str> = query.split('&').collect();
    pairs.sort_unstable();
    assert_eq!(pairs, ["added=yes", "q=hello"]);
    for (name, value) in [
        ("X-Static", "fixed"),
        ("X-Source", "127.0.0.1"),
        ("X-Stage", "prod"),
        ("X-Var", "gold"),
        ("X-From-Query", "hello"),
    ] {
        assert_eq!(request.field(name), Some(value), "{name}");
    }
}

fn http_integrations_choose_their_response_by_status(io: Io) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            let status = request.target.rsplit('/').next().unwrap().to_owned();
            connection.send(format!(
                "HTTP/1.1 {status} X\r\nX-Backend: seen\r\nX-Hidden: no\r\nContent-Length: 4\r\n\r\nbody"
            ));
        }
    });
    let integration = json!({
        "type": "http", "httpMethod": "GET", "uri": format!("http://{}/{{code}}", upstream.address),
        "requestParameters": { "integration.request.path.code": "method.request.path.code" },
        "responses": {
            "default": { "statusCode": "200" },
            "4\\d{2}": { "statusCode": "400", "responseParameters": {
                "method.response.header.X-Mapped": "integration.response.header.X-Backend",
            } },
            "5\\d{2}": { "statusCode": "502" },
        },
    });
    let mut api = Api::new("h", "httph77ph0").method("/{code}", "get", integration);
    api.document["paths"]["/{code}"]["get"]["responses"] = json!({
        "200": { "description": "" }, "502": { "description": "" },
        "400": { "description": "", "headers": { "X-Mapped": { "schema": { "type": "string" } } } },
    });
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    for (backend, status, mapped) in
        [("200", 200, None), ("201", 200, None), ("404", 400, Some("seen")), ("503", 502, None)]
    {
        let response = client.get(&format!("/prod/{backend}"));
        assert_eq!((response.status, response.text()), (status, "body"), "{backend}");
        assert_eq!(response.field("x-mapped"), mapped, "{backend}");
        assert_eq!(
            (response.field("x-backend"), response.field("x-hidden")),
            (None, None),
            "only what is mapped"
        );
    }
}

fn nothing_in_a_mapped_value_can_split_a_message(io: Io) {
    let upstream = Upstream::echo();
    let uri = format!("http://{}/x", upstream.address);
    let integration =
        mapped(http_proxy("GET", &uri), "integration.request.header.X-In", "method.request.querystring.q");
    let gateway = Setup::new(io).api(Api::new("s", "spl1tspl1t").method("/x", "get", integration)).start();
    let response =
        gateway.client().get("/prod/x?q=a%0d%0aX-Evil:%20yes%0d%0a%0d%0aGET%20/smuggled%20HTTP/1.1");
    for request in upstream.requests() {
        assert_eq!(request.field("x-evil"), None);
        assert_eq!(request.target.split('?').next(), Some("/x"));
    }
    assert!(upstream.requests().len() <= 1, "answered {}", response.status);
}
