//! AWS's routing and AWS's URLs, as a client meets them.

use crate::harness::api::{http_proxy, mapped};
use crate::harness::*;
use serde_json::json;
use std::net::SocketAddr;

/// An API whose every (path, method) goes to a backend path that names it.
fn named(name: &str, id: &str, upstream: SocketAddr, methods: &[(&str, &str)]) -> Api {
    methods.iter().fold(Api::new(name, id), |api, (path, method)| {
        let target = path.replace(['{', '}', '+'], "_");
        api.method(path, method, http_proxy("ANY", &format!("http://{upstream}/{name}/{method}{target}")))
    })
}

on_both! {
    literal_before_parameter_before_proxy_with_backtracking,
    path_parameters_reach_the_backend,
    every_form_of_url_reaches_the_api,
    a_listener_with_one_api_needs_only_the_stage,
    an_api_that_disables_its_endpoint_is_meant_by_its_hosts_alone,
    stage_variables_choose_the_backend,
    a_backend_may_be_a_name,
    a_name_that_does_not_resolve_refuses_its_own_requests_only,
    swagger_2_in_yaml_is_read_too,
}

fn literal_before_parameter_before_proxy_with_backtracking(io: Io) {
    let upstream = Upstream::echo();
    let api = named(
        "r",
        "r0ut1ngr0u",
        upstream.address,
        &[
            ("/", "get"),
            ("/pets", "get"),
            ("/pets", "post"),
            ("/pets/{id}", "get"),
            ("/pets/mine", "get"),
            ("/part1", "get"),
            ("/part1/hardcoded", "get"),
            ("/test", "post"),
            ("/any", "any"),
            ("/any", "get"),
            ("/{proxy+}", "options"),
            ("/{proxy+}", "get"),
        ],
    );
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    for (method, path, answered_by) in [
        ("GET", "/prod", "/r/get/"),
        ("GET", "/prod/", "/r/get/"),
        ("GET", "/prod/pets", "/r/get/pets"),
        ("GET", "/prod/pets/", "/r/get/pets"),
        ("POST", "/prod/pets", "/r/post/pets"),
        ("GET", "/prod/pets/7", "/r/get/pets/_id_"),
        ("GET", "/prod/pets/mine", "/r/get/pets/mine"),
        ("GET", "/prod/part1/hardcoded", "/r/get/part1/hardcoded"),
        ("GET", "/prod/part1/x", "/r/get/_proxy__"),
        ("OPTIONS", "/prod/test", "/r/options/_proxy__"),
        ("OPTIONS", "/prod/any", "/r/any/any"),
        ("GET", "/prod/any", "/r/get/any"),
        ("GET", "/prod/pets/7/deep", "/r/get/_proxy__"),
    ] {
        let response = client.request(method, path, "localhost", &[]);
        assert_eq!(response.text().trim_end(), format!("{method} {answered_by}"), "{method} {path}");
    }
    for (method, path) in
        [("DELETE", "/prod/pets"), ("HEAD", "/prod/pets"), ("POST", "/prod/none"), ("TRACE", "/prod/any")]
    {
        assert_eq!(client.request(method, path, "localhost", &[]).status, 403, "{method} {path}");
    }
}

fn path_parameters_reach_the_backend(io: Io) {
    let upstream = Upstream::echo();
    let uri = format!("http://{}/v2/{{a}}/x/{{b}}", upstream.address);
    let one = mapped(http_proxy("GET", &uri), "integration.request.path.a", "method.request.path.first");
    let both = mapped(one, "integration.request.path.b", "method.request.path.rest");
    let api = Api::new("p", "p4thp4thp4").method("/{first}/{rest+}", "get", both);
    let gateway = Setup::new(io).api(api).start();
    assert_eq!(gateway.client().get("/prod/one/two/three?q=1").text(), "GET /v2/one/x/two/three?q=1 ");
}

fn every_form_of_url_reaches_the_api(io: Io) {
    let upstream = Upstream::echo();
    let first = named("first", "f1rstf1rst", upstream.address, &[("/x", "get")]).host("first.example.com");
    let second = named("second", "s3c0nds3c0", upstream.address, &[("/x", "get")]);
    let gateway = Setup::new(io).api(first).api(second).start();
    let mut client = gateway.client();
    for (host, path, expected) in [
        ("f1rstf1rst.execute-api.us-east-1.amazonaws.com", "/prod/x", "first"),
        ("f1rstf1rst.execute-api.localhost:4566", "/prod/x", "first"),
        ("F1RSTF1RST.Execute-Api.Localhost", "/prod/x", "first"),
        ("s3c0nds3c0.execute-api.localhost", "/prod/x", "second"),
        ("first.example.com", "/x", "first"),
        ("first.example.com:8080", "/x", "first"),
        ("localhost", "/restapis/f1rstf1rst/prod/_user_request_/x", "first"),
        ("localhost", "/restapis/s3c0nds3c0/prod/_user_request_/x", "second"),
        ("localhost", "/_aws/execute-api/s3c0nds3c0/prod/x", "second"),
    ] {
        let response = client.request("GET", path, host, &[]);
        assert_eq!(response.status, 200, "{host}{path}: {}", response.text());
        assert_eq!(response.text(), format!("GET /{expected}/get/x "), "{host}{path}");
    }
    for (host, path) in [
        ("f1rstf1rst.execute-api.localhost", "/beta/x"),
        ("unkn0wn123.execute-api.localhost", "/prod/x"),
        ("localhost", "/prod/x"),
        ("localhost", "/restapis/unkn0wn123/prod/_user_request_/x"),
        ("other.example.com", "/x"),
    ] {
        let response = client.request("GET", path, host, &[]);
        assert_eq!((response.status, response.message().as_str()), (403, "Forbidden"), "{host}{path}");
        assert_eq!(response.field("x-amzn-errortype"), Some("ForbiddenException"));
    }
}

fn a_listener_with_one_api_needs_only_the_stage(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(named("only", "0nly0nly01", upstream.address, &[("/x", "get")])).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/prod/x").status, 200);
    let response = client.get("/beta/x");
    assert_eq!((response.status, response.message().as_str()), (403, "Forbidden"));
}

fn an_api_that_disables_its_endpoint_is_meant_by_its_hosts_alone(io: Io) {
    let upstream = Upstream::echo();
    let api = named("only", "0nly0nly01", upstream.address, &[("/x", "get")]).host("api.example.com");
    let disabled = |yes: bool| {
        let types = json!({ "types": ["REGIONAL"], "disableExecuteApiEndpoint": yes });
        Setup::new(io).api(api.clone().set("x-amazon-apigateway-endpoint-configuration", types))
    };
    let statuses = |gateway: &Gateway| {
        [
            ("/x", "api.example.com"),
            ("/prod/x", "localhost"),
            ("/prod/x", "0nly0nly01.execute-api.us-east-1.amazonaws.com"),
            ("/restapis/0nly0nly01/prod/_user_request_/x", "localhost"),
        ]
        .map(|(path, host)| gateway.client().request("GET", path, host, &[]).status)
    };
    let gateway = disabled(true).start();
    assert_eq!(statuses(&gateway), [200, 403, 403, 403]);
    let urls = gateway.json(&["api", "show", "only"])["urls"].to_string();
    assert!(urls.contains("api.example.com") && !urls.contains("0nly0nly01"), "{urls}");
    gateway.home.write(&disabled(false));
    let told = gateway.json(&["apply", "--yes"]);
    assert!(told.to_string().contains("disableExecuteApiEndpoint: its id means it again"), "{told}");
    assert_eq!(statuses(&gateway), [200; 4]);
}

fn stage_variables_choose_the_backend(io: Io) {
    let (blue, green) = (Upstream::echo(), Upstream::echo());
    let uri = "http://${stageVariables.backend}/${stageVariables.version}/x";
    let api = Api::new("v", "v4r14bl3s0").method("/x", "get", http_proxy("GET", uri));
    let with = |upstream: &Upstream| {
        api.clone().variable("backend", &upstream.address.to_string()).variable("version", "v7")
    };
    let gateway = Setup::new(io).api(with(&green)).start();
    assert_eq!(gateway.client().get("/prod/x").text(), "GET /v7/x ");
    assert_eq!((blue.connections(), green.connections()), (0, 1));
    gateway.home.write(&Setup::new(io).api(with(&blue)));
    gateway.json(&["apply", "--yes"]);
    assert_eq!(gateway.client().get("/prod/x").text(), "GET /v7/x ");
    assert_eq!(blue.connections(), 1);
}

fn a_backend_may_be_a_name(io: Io) {
    let upstream = Upstream::echo();
    let uri = format!("http://localhost:{}/named", upstream.address.port());
    let gateway =
        Setup::new(io).api(Api::new("n", "n4m3n4m3n4").method("/x", "get", http_proxy("GET", &uri))).start();
    assert_eq!(gateway.client().get("/prod/x").text(), "GET /named ");
}

fn a_name_that_does_not_resolve_refuses_its_own_requests_only(io: Io) {
    let upstream = Upstream::echo();
    let named = http_proxy("GET", "http://no-such-backend.invalid/x");
    let there = http_proxy("GET", &format!("http://{}/x", upstream.address));
    let api = Api::new("n", "n4m3n4m3n4").method("/lost", "get", named).method("/there", "get", there);
    let gateway = Setup::new(io).api(api).start();
    assert_eq!(gateway.client().get("/prod/lost").status, 504);
    assert_eq!(gateway.client().get("/prod/there").text(), "GET /x ");
}

fn swagger_2_in_yaml_is_read_too(io: Io) {
    let upstream = Upstream::echo();
    let setup = Setup::new(io).api(Api::new("y", "y4mly4mly4"));
    let home = gateway::Home::new(&setup);
    let yaml = r#"swagger: "2.0"
info:
  title: y
  version: "1"
basePath: /ignored
paths:
  /x:
    get:
      responses: {}
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: GET
        uri: http://UPSTREAM/from/yaml
x-amazon-apigateway-endpoint-configuration:
  types:
  - REGIONAL
"#;
    home.write_file("y.json", &yaml.replace("UPSTREAM", &upstream.address.to_string()));
    let gateway = Gateway::start(home, io);
    assert_eq!(gateway.client().get("/prod/x").text(), "GET /from/yaml ");
}
