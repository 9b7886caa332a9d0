//! Every row of the table, and customised gateway responses.

use super::*;
use crate::http::{HeadLimits, RequestHead};
use crate::mapping::{Side, Source, Template};
use crate::model::EndpointType;
use crate::route::{Match, Tree};
use crate::snapshot::{Api, Method};
use std::collections::BTreeMap;

fn head(text: &str) -> RequestHead {
    let mut head = RequestHead::new();
    head.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
    head
}

fn api(gateway_responses: GatewayResponses) -> Api {
    Api {
        name: "pets".to_owned(),
        id: "a1b2c3d4e5".to_owned(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        stage: "prod".to_owned(),
        deployment_id: None,
        release: crate::model::Release::Whole,
        hosts: Vec::new(),
        default_endpoint: true,
        endpoint_type: EndpointType::Regional,
        stage_variables: Vec::new(),
        policy: None,
        api_key_source: Default::default(),
        throttle: None,
        gateway_responses,
        binary_media_types: Default::default(),
        minimum_compression_size: None,
        methods: vec![Method {
            resource_path: "/pets/{id}".to_owned(),
            parameters: vec!["id".to_owned()],
            resource_id: "abc123".to_owned(),
            http_method: "ANY".to_owned(),
            authorization: crate::snapshot::Authorization::None,
            is_limited: false,
            limits: None,
            touches_bodies: false,
            body: None,
            required_parameters: Box::default(),
            integration: crate::integrate::Integration::Unsupported("".into()),
            caching: None,
        }],
        cache: None,
        targets: Vec::new(),
    }
}

fn request<'a>(
    api: Option<&'a Api>,
    head: Option<&'a RequestHead>,
    matched: Option<&'a Match>,
) -> RefusedRequest<'a> {
    RefusedRequest { request_id: "r-1", api, head, matched, source: "::ffff:203.0.113.9".parse().unwrap() }
}

fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let mut named = answer.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
    let (_, value) = named.next()?;
    assert!(named.next().is_none(), "{name} once");
    Some(std::str::from_utf8(value).unwrap())
}

/// status, x-amzn-ErrorType, body, closes
type Row = (u16, &'static str, &'static str, bool);

fn check(rows: Vec<(Refusal, Row)>) {
    for (refusal, (status, error, body, closes)) in rows {
        let answer = refusal.answer(&request(None, None, None));
        let expected = [("Content-Type", "application/json"), ("x-amzn-ErrorType", error)];
        let text = |value| std::str::from_utf8(value).unwrap();
        let fields: Vec<_> = answer.fields.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        assert_eq!((answer.status, fields), (status, expected.to_vec()), "{refusal:?}");
        assert_eq!(text(&answer.body), body, "{refusal:?}");
        assert_eq!(refusal.closes(), closes, "{refusal:?}");
    }
}

#[test]
fn before_the_execution() {
    let token: Row =
        (403, "MissingAuthenticationTokenException", r#"{"message":"Missing Authentication Token"}"#, false);
    let forbidden: Row = (403, "ForbiddenException", r#"{"message":"Forbidden"}"#, false);
    let implicit = r#"{"Message":"User is not authorized to access this resource"}"#;
    let explicit = r#"{"Message":"User is not authorized to access this resource with an explicit deny"}"#;
    let denied = |explicit| Refusal::PolicyDenied { statement: String::new(), explicit };
    check(vec![
        (Refusal::NoRoute, token),
        (Refusal::IamRequired, token),
        (Refusal::Forbidden("x"), forbidden),
        (Refusal::OutsideVpc, forbidden),
        (Refusal::InvalidApiKey("x"), forbidden),
        (denied(false), (403, "AccessDeniedException", implicit, false)),
        (denied(true), (403, "AccessDeniedException", explicit, false)),
        (Refusal::Unauthorized("x"), (401, "UnauthorizedException", r#"{"message":"Unauthorized"}"#, false)),
        (
            Refusal::AuthorizerRequired,
            (500, "AuthorizerConfigurationException", r#"{"message":null}"#, false),
        ),
        (Refusal::BodyTooLarge, (413, "RequestTooLargeException", r#"{"message":"Request Too Long"}"#, true)),
        (
            Refusal::Throttled(Limit::Plan),
            (429, "TooManyRequestsException", r#"{"message":"Too Many Requests"}"#, false),
        ),
        (Refusal::QuotaExceeded, (429, "LimitExceededException", r#"{"message":"Limit Exceeded"}"#, false)),
        (Refusal::ClientTooSlow, (408, "RequestTimeoutException", r#"{"message":"Request Timeout"}"#, true)),
        (
            Refusal::Overloaded,
            (503, "ServiceUnavailableException", r#"{"message":"Service Unavailable"}"#, true),
        ),
    ]);
}

#[test]
fn of_the_execution() {
    let internal = |status, body| (status, "InternalServerErrorException", body, false);
    let bad = |status, body| (status, "BadRequestException", body, false);
    let missing = Refusal::MissingParameters(vec!["x-header".to_owned(), "q".to_owned()]);
    let listed = r#"{"message": "Missing required request parameters: [x-header, q]"}"#;
    let error = r#"{"message": "Internal server error"}"#;
    let unreachable = r#"{"message": "Network error communicating with endpoint"}"#;
    let late = r#"{"message": "Endpoint request timed out"}"#;
    check(vec![
        (missing, bad(400, listed)),
        (Refusal::UnsupportedMediaType, bad(415, r#"{"message": "Unsupported Media Type"}"#)),
        (Refusal::ApiConfiguration("x".into()), internal(500, error)),
        (Refusal::IntegrationBroken("x"), internal(502, error)),
        (Refusal::IntegrationUnreachable, internal(504, unreachable)),
        (Refusal::IntegrationTimeout, internal(504, late)),
    ]);
    // The two whose length is recorded.
    let body = |refusal: Refusal| refusal.answer(&request(None, None, None)).body;
    assert_eq!((body(Refusal::NoRoute).len(), body(Refusal::ApiConfiguration("".into())).len()), (42, 36));
}

#[test]
fn malformed_heads_have_the_codec_s_status() {
    let all = [
        Malformed::Syntax("x"),
        Malformed::TargetTooLong,
        Malformed::HeadTooLarge,
        Malformed::Version,
        Malformed::TransferCoding,
        Malformed::Expectation,
    ];
    for malformed in all {
        let refusal = Refusal::Malformed(malformed);
        let answer = refusal.answer(&request(None, None, None));
        assert_eq!(answer.status, malformed.status());
        assert!(refusal.closes() && serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok());
    }
}

/// A request of `/prod/pets/a%20b`, as far as routing took it.
fn matched(head: &RequestHead) -> Match {
    let mut tree = Tree::default();
    tree.insert("/pets/{id}", "ANY", 0).unwrap();
    let (method, captures) = tree.pack().find(head.path(), 5..head.path().len(), head.method()).unwrap();
    Match { api: 0, method, path: 5..head.path().len(), policy: None, captures }
}

#[test]
fn a_policy_denial_names_the_masked_resource() {
    let (api, head) =
        (api(GatewayResponses::default()), head("GET /prod/pets/7 HTTP/1.1\r\nHost: x\r\n\r\n"));
    let matched = matched(&head);
    let refusal = Refusal::PolicyDenied { statement: "s".to_owned(), explicit: true };
    let answer = refusal.answer(&request(Some(&api), Some(&head), Some(&matched)));
    assert_eq!(
        String::from_utf8(answer.body).unwrap(),
        "{\"Message\":\"User: anonymous is not authorized to perform: execute-api:Invoke on resource: \
         arn:aws:execute-api:us-east-1:********9012:a1b2c3d4e5/prod/GET/pets/7 with an explicit deny\"}"
    );
}

/// type, status, fields, templates
type Entry<'a> = (&'a str, Option<u16>, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)]);

fn customised(entries: &[Entry<'_>]) -> GatewayResponses {
    let variables = BTreeMap::from([("color".to_owned(), "green".to_owned())]);
    let mut all = GatewayResponses::default();
    for (kind, status, fields, templates) in entries {
        let source = |text: &str| Source::parse(text, Side::GatewayResponse, &variables).unwrap();
        let response = GatewayResponse {
            status: *status,
            fields: fields.iter().map(|(name, text)| ((*name).to_owned(), source(text))).collect(),
            templates: templates
                .iter()
                .map(|(media_type, text)| ((*media_type).to_owned(), Template::plain(text, &variables)))
                .collect(),
        };
        all.insert(ResponseType::parse(kind).unwrap(), response);
    }
    all
}

#[test]
fn customised_responses() {
    let api = api(customised(&[
        ("DEFAULT_4XX", Some(418), &[("X-All", "'4xx'")], &[]),
        (
            "MISSING_AUTHENTICATION_TOKEN",
            Some(404),
            &[
                ("X-Path", "method.request.path.id"),
                ("X-Q", "method.request.querystring.q"),
                ("X-H", "method.request.header.X-In"),
                ("X-Any-Case", "method.request.header.x-in"),
                ("X-Split", "method.request.querystring.evil"),
                ("X-Color", "stageVariables.color"),
                ("X-Ip", "context.identity.sourceIp"),
            ],
            &[
                (
                    "application/json",
                    "{\"e\":$context.error.messageString,\"t\":\"$context.error.responseType\",\
                     \"r\":\"$context.requestId\",\"s\":\"$context.stage\",\"c\":\"$stageVariables.color\"}",
                ),
                ("text/html", "<b>$context.error.message from $context.identity.sourceIp</b>"),
            ],
        ),
        ("DEFAULT_5XX", None, &[("Content-Type", "'text/plain'")], &[("application/json", "down")]),
    ]));
    let head = head(
        "GET /prod/pets/a%20b?q=1&q=2%203&evil=a%0d%0ab HTTP/1.1\r\nHost: x\r\nX-In: one\r\nX-In: two\r\n\r\n",
    );
    let matched = matched(&head);
    let known = request(Some(&api), Some(&head), Some(&matched));
    let answer = Refusal::NoRoute.answer(&known);
    assert_eq!(answer.status, 404);
    assert_eq!(
        String::from_utf8_lossy(&answer.body),
        r#"{"e":"Missing Authentication Token","t":"MISSING_AUTHENTICATION_TOKEN","r":"r-1","s":"prod","c":"green"}"#
    );
    for (name, value) in [
        ("Content-Type", Some("application/json")),
        ("X-Path", Some("a b")),
        ("X-Q", Some("2 3")),
        ("X-H", Some("two")),
        ("X-Any-Case", Some("two")),
        ("X-Split", None),
        ("X-Color", Some("green")),
        ("X-Ip", Some("203.0.113.9")),
        ("X-All", None),
        ("x-amzn-ErrorType", Some("MissingAuthenticationTokenException")),
    ] {
        assert_eq!(field(&answer, name), value, "{name}");
    }
    // The default of its class, with the built-in body.
    let answer = Refusal::Throttled(Limit::Method).answer(&known);
    assert_eq!((answer.status, field(&answer, "x-all")), (418, Some("4xx")));
    assert_eq!(answer.body, br#"{"message":"Too Many Requests"}"#);
    // A mapped Content-Type wins over the template's.
    let answer = Refusal::IntegrationTimeout.answer(&known);
    assert_eq!((answer.status, field(&answer, "content-type")), (504, Some("text/plain")));
    assert_eq!(answer.body, b"down");
    // Not gateway responses: nothing customises them.
    for refusal in [Refusal::OutsideVpc, Refusal::Forbidden(""), Refusal::BodyTooLarge, Refusal::Overloaded] {
        assert_eq!(refusal.answer(&known), refusal.answer(&request(None, None, None)), "{refusal:?}");
    }
}

#[test]
fn the_accepted_media_type_chooses_the_template() {
    let html = ("text/html".to_owned(), "html");
    let json = ("application/json".to_owned(), "json");
    let xml = ("application/xml".to_owned(), "xml");
    let both = vec![html.clone(), json];
    for (accept, templates, chosen) in [
        ("text/html", &both, Some("html")),
        ("Text/HTML;q=0.9, application/json", &both, Some("html")),
        ("image/png, text/html", &both, Some("json")),
        ("*/*", &both, Some("json")),
        ("image/png", &vec![xml, html], Some("xml")),
        ("image/png", &Vec::new(), None),
    ] {
        let head = head(&format!("GET / HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n"));
        assert_eq!(choose_by_accept(templates, Some(&head)).map(|(_, text)| *text), chosen, "{accept}");
    }
    assert_eq!(choose_by_accept(&both, None).map(|(_, text)| *text), Some("json"));
}
