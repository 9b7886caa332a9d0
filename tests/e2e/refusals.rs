//! The gateway's own answers: AWS's statuses, bodies and fields, and customised gateway responses.

use crate::harness::api::mock;
use crate::harness::*;
use serde_json::json;

/// 8-4-4-4-12 hexadecimal digits
fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| part.chars().all(|c| c.is_ascii_hexdigit()))
}

on_both! {
    no_such_resource,
    every_answer_has_its_own_request_id,
    methods_that_want_what_is_not_supported_let_nobody_pass,
    a_resource_policy_denies,
    required_parameters_are_asked_for,
    gateway_responses_are_customised,
    mock_answers_cors,
}

fn no_such_resource(io: Io) {
    let gateway = Setup::new(io).api(Api::new("m", "m0ckm0ckm0").method("/x", "get", mock(200))).start();
    let mut client = gateway.client();
    for (method, path) in [("GET", "/prod/none"), ("POST", "/prod/x"), ("GET", "/prod/x/y"), ("GET", "/prod")]
    {
        let response = client.request(method, path, "localhost", &[]);
        assert_eq!(response.status, 403);
        assert_eq!(response.text(), r#"{"message":"Missing Authentication Token"}"#);
        assert_eq!(response.field("x-amzn-errortype"), Some("MissingAuthenticationTokenException"));
        assert_eq!(response.field("content-type"), Some("application/json"));
        assert_eq!(response.field("content-length"), Some("42"));
    }
}

fn every_answer_has_its_own_request_id(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    let mut ids = std::collections::BTreeSet::new();
    for path in ["/prod/x", "/prod/x", "/none", "/none/x"] {
        let response = client.get(path);
        let id = response.field("x-amzn-requestid").unwrap_or_else(|| panic!("{path}: no id")).to_owned();
        assert!(is_uuid(&id), "{id}");
        assert!(response.field("x-amz-apigw-id").is_some_and(|id| id.ends_with('=')), "{path}");
        assert!(response.field("date").is_some_and(|date| date.ends_with(" GMT")), "{path}");
        assert!(ids.insert(id), "used twice");
    }
    assert!(client.get("/prod/x").fields.iter().any(|(name, _)| name == "x-amzn-RequestId"), "in AWS's case");
}

fn methods_that_want_what_is_not_supported_let_nobody_pass(io: Io) {
    let upstream = Upstream::echo();
    let mut api = echo_api(upstream.address);
    let integration = api.document["paths"]["/{proxy+}"]["x-amazon-apigateway-any-method"].clone();
    for (path, security) in [("/key", "api_key"), ("/iam", "sigv4"), ("/auth", "lambda")] {
        let mut method = integration.clone();
        method["security"] = json!([{ security: [] }]);
        api.document["paths"][path] = json!({ "get": method });
    }
    api.document["components"]["securitySchemes"] = json!({
        "api_key": { "type": "apiKey", "name": "x-api-key", "in": "header" },
        "sigv4": { "type": "apiKey", "name": "Authorization", "in": "header",
                   "x-amazon-apigateway-authtype": "awsSigv4" },
        "lambda": { "type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "custom",
                    "x-amazon-apigateway-authorizer": { "type": "token", "authorizerUri": api::LAMBDA } },
    });
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    for path in ["/prod/key", "/prod/iam", "/prod/auth"] {
        let response =
            client.request("GET", path, "localhost", &[("x-api-key", "k"), ("Authorization", "t")]);
        assert!([401, 403, 500].contains(&response.status), "{path}: {}", response.status);
    }
    // Who brings nothing is told so before the authorizer would be asked.
    let nobody = client.get("/prod/auth");
    assert_eq!((nobody.status, nobody.text()), (401, r#"{"message":"Unauthorized"}"#));
    assert_eq!(nobody.field("x-amzn-errortype"), Some("UnauthorizedException"));
    assert_eq!(upstream.connections(), 0);
    assert_eq!(client.get("/prod/free").status, 200);
}

fn a_resource_policy_denies(io: Io) {
    let upstream = Upstream::echo();
    let statement = |effect: &str, condition: serde_json::Value| {
        json!({
            "Effect": effect, "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*",
            "Condition": condition,
        })
    };
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        statement("Allow", json!({})),
        statement("Deny", json!({ "IpAddress": { "aws:SourceIp": ["127.0.9.0/24"] } })),
    ] });
    let gateway =
        Setup::new(io).api(echo_api(upstream.address).set("x-amazon-apigateway-policy", policy)).start();
    assert_eq!(gateway.client().get("/prod/x").status, 200);
    let response = Client::connect_from("127.0.9.1", gateway.public()).get("/prod/x");
    assert_eq!(response.status, 403);
    assert_eq!(response.field("x-amzn-errortype"), Some("AccessDeniedException"));
    let message = response.json()["Message"].as_str().unwrap_or_default().to_owned();
    assert!(
        message.starts_with("User: anonymous is not authorized to perform: execute-api:Invoke on resource: "),
        "{message}"
    );
    assert!(message.ends_with("with an explicit deny"), "{message}");
    assert_eq!(upstream.requests().len(), 1);
}

fn required_parameters_are_asked_for(io: Io) {
    let upstream = Upstream::echo();
    let mut api = echo_api(upstream.address);
    let mut method = api.document["paths"]["/{proxy+}"]["x-amazon-apigateway-any-method"].clone();
    method["parameters"] = json!([
        { "name": "issuer", "in": "query", "required": true, "schema": { "type": "string" } },
        { "name": "X-Tenant", "in": "header", "required": true, "schema": { "type": "string" } },
    ]);
    method["x-amazon-apigateway-request-validator"] = json!("params");
    api.document["paths"]["/strict"] = json!({ "get": method });
    api.document["x-amazon-apigateway-request-validators"] =
        json!({ "params": { "validateRequestParameters": true, "validateRequestBody": false } });
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    let response = client.get("/prod/strict");
    assert_eq!(response.status, 400);
    assert_eq!(response.message(), "Missing required request parameters: [X-Tenant, issuer]");
    assert_eq!(response.field("x-amzn-errortype"), Some("BadRequestException"));
    assert_eq!(client.request("GET", "/prod/strict?issuer=1", "localhost", &[("X-Tenant", "t")]).status, 200);
    assert_eq!(upstream.requests().len(), 1);
    // Named in Connection it goes no further than here, so the backend would miss it.
    let hidden = [("X-Tenant", "t"), ("Connection", "keep-alive, x-tenant")];
    let response = client.request("GET", "/prod/strict?issuer=1", "localhost", &hidden);
    assert_eq!(response.status, 400, "{:?}", upstream.requests().last());
    assert_eq!(response.message(), "Missing required request parameters: [X-Tenant]");
}

fn gateway_responses_are_customised(io: Io) {
    let responses = json!({
        "MISSING_AUTHENTICATION_TOKEN": {
            "statusCode": 404,
            "responseParameters": {
                "gatewayresponse.header.X-Why": "'no such page'",
                "gatewayresponse.header.X-Asked": "method.request.querystring.q",
                "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
            },
            "responseTemplates": { "application/json":
                "{\"error\":$context.error.messageString,\"type\":\"$context.error.responseType\"}" },
        },
        "DEFAULT_5XX": { "responseParameters": { "gatewayresponse.header.X-Any": "'5xx'" } },
    });
    let api = echo_api(Upstream::nobody()).set("x-amazon-apigateway-gateway-responses", responses);
    let mut api = api;
    api.document["paths"].as_object_mut().unwrap().remove("/{proxy+}");
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    let response = client.get("/prod/none?q=answer");
    assert_eq!(response.status, 404);
    assert_eq!(
        response.text(),
        r#"{"error":"Missing Authentication Token","type":"MISSING_AUTHENTICATION_TOKEN"}"#
    );
    assert_eq!(response.field("x-why"), Some("no such page"));
    assert_eq!(response.field("x-asked"), Some("answer"));
    assert_eq!(response.field("access-control-allow-origin"), Some("*"));
    let response = client.get("/prod/");
    assert_eq!((response.status, response.field("x-any")), (504, Some("5xx")));
}

fn mock_answers_cors(io: Io) {
    let mut integration = mock(200);
    integration["responses"]["default"]["responseParameters"] = json!({
        "method.response.header.Access-Control-Allow-Origin": "'*'",
        "method.response.header.Access-Control-Allow-Methods": "'GET,OPTIONS'",
        "method.response.header.Access-Control-Allow-Headers": "'Content-Type,X-Api-Key'",
    });
    let mut api =
        Api::new("c", "c0rsc0rsc0").method("/x", "options", integration).method("/teapot", "get", mock(418));
    let header = json!({ "schema": { "type": "string" } });
    api.document["paths"]["/x"]["options"]["responses"] = json!({ "200": { "description": "ok", "headers": {
        "Access-Control-Allow-Origin": header, "Access-Control-Allow-Methods": header,
        "Access-Control-Allow-Headers": header,
    } } });
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    let preflight = [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "GET")];
    let response = client.request("OPTIONS", "/prod/x", "localhost", &preflight);
    assert_eq!((response.status, response.text()), (200, ""));
    assert_eq!(response.field("access-control-allow-origin"), Some("*"));
    assert_eq!(response.field("access-control-allow-methods"), Some("GET,OPTIONS"));
    assert_eq!(response.field("access-control-allow-headers"), Some("Content-Type,X-Api-Key"));
    assert_eq!(response.field("content-type"), Some("application/json"));
}
