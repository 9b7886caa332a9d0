//! `explain` agrees with what the workers do, and names the rule.

use super::*;
use crate::control::explain::{Facts, explain};
use crate::control::named::StageNames;
use crate::control::types::{ExplainRequest, Explanation, Kind, Problem, XdpSummary};
use crate::snapshot::Snapshot;
use crate::xdp::Examination;

fn xdp(on: bool) -> XdpSummary {
    let interfaces = on.then(|| ("eth0".to_string(), "native".to_string())).into_iter().collect();
    XdpSummary { interfaces, off: (!on).then(|| "no BPF here".into()), ..XdpSummary::default() }
}

fn request(from: [u8; 4], address: SocketAddr, rest: &str) -> ExplainRequest {
    let url = format!("http://{address}{rest}");
    ExplainRequest { from: from.into(), method: "GET".into(), url, listener: None, headers: Vec::new() }
}

fn asked(served: &Served, on: bool, request: &ExplainRequest) -> Explanation {
    examined(served, on, request, None)
}

fn examined(served: &Served, on: bool, request: &ExplainRequest, kernel: Option<Examination>) -> Explanation {
    let bans = served.node.bans.shown(Some(request.from)).bans;
    let names = StageNames::default();
    let facts = Facts { xdp: &xdp(on), bans, examine: &|_, _| kernel, names: &names };
    explain(&served.node.running().snapshot, &facts, request).unwrap()
}

fn told(snapshot: &Snapshot, on: bool, request: &ExplainRequest) -> Result<Explanation, Problem> {
    let names = StageNames::default();
    let facts = Facts { xdp: &xdp(on), bans: Vec::new(), examine: &|_, _| None, names: &names };
    explain(snapshot, &facts, request)
}

fn last(explanation: &Explanation) -> (&str, &str) {
    let step = explanation.steps.last().unwrap();
    (&step.stage, &step.verdict)
}

#[test]
fn a_url_without_a_listeners_port_is_told_the_ports() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let mut asked = request([127, 0, 0, 1], served.address("orders"), "/");
        asked.url = "http://example.com/prod/ping".into();
        let problem = told(&served.node.running().snapshot, false, &asked).unwrap_err();
        assert!(problem.mend.contains("--listener NAME"), "{problem}");
        assert!(problem.mend.contains(&served.address("orders").to_string()), "{problem}");
    });
}

#[test]
fn every_form_of_an_address_is_shown_where_it_holds() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let address = served.address("orders");
        let urls = || crate::control::status::api(&served.node, "orders").unwrap().urls;
        let any = format!("http://{address}/prod/");
        assert!(
            urls().contains(&format!("http://a1b2c3d4e5.execute-api.<anything>:{}/prod/", address.port()))
        );
        assert!(urls().contains(&any), "{:?}", urls());
        folder
            .write("gateway.toml", &NODE.replace("apis = [\"orders\"]", "apis = [\"orders\", \"catalog\"]"));
        crate::control::change::apply(&served.node, &Default::default()).await.unwrap();
        assert!(!urls().contains(&any), "two APIs: a host must say which: {:?}", urls());
    });
}

#[test]
fn xdp_decides_where_it_is_on_and_the_endpoint_type_where_not() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let outside = request([203, 0, 113, 9], served.address("orders"), "/prod/ping");
        let on = asked(&served, true, &outside);
        assert_eq!((on.allowed, last(&on)), (false, ("xdp", "refuse")));
        assert!(on.answer.is_none(), "a dropped packet has no answer");
        assert!(on.decided_by.contains("private vpc-main"), "{}", on.decided_by);
        let off = asked(&served, false, &outside);
        assert_eq!((off.allowed, last(&off)), (false, ("endpoint type", "refuse")));
        assert_eq!(off.answer.unwrap().status, served.ask("orders", [127, 0, 0, 1]));
        let inside = request([127, 0, 1, 5], served.address("orders"), "/prod/ping");
        for on in [true, false] {
            let allowed = asked(&served, on, &inside);
            assert_eq!((allowed.allowed, last(&allowed)), (true, ("integration", "pass")));
            assert_eq!(allowed.decided_by, "integration: MOCK, which answers 200");
        }
    });
}

#[test]
fn every_stage_that_refuses_is_named_with_its_answer() {
    let folder = files("PRIVATE");
    folder.write(
        "catalog.yaml",
        &document("catalog", "REGIONAL")
            .replace(
                "      responses: {\"200\"",
                "      security: [{api_key: []}]\n      responses: {\"200\"",
            )
            .replace(
                "paths:\n",
                "securityDefinitions: {api_key: {type: apiKey, name: x-api-key, in: header}}\npaths:\n",
            ),
    );
    block_on(async {
        let served = serve(&folder).await;
        let public = served.address("public");
        for (rest, stage) in [
            ("/nowhere/ping", "host and stage"),
            ("/prod/nothing", "resource"),
            ("/prod/ping", "guard"),
            ("/prod/%zz", "http"),
        ] {
            let explanation = asked(&served, true, &request([203, 0, 113, 9], public, rest));
            assert_eq!((explanation.allowed, last(&explanation)), (false, (stage, "refuse")), "{rest}");
            assert!(explanation.answer.is_some(), "{rest}");
        }
        assert_eq!(served.ask("public", [127, 0, 0, 1]), 403);
    });
}

/// What cannot be evaluated is no pass: the call is answered 500.
#[test]
fn a_mock_is_asked_what_it_would_answer() {
    let folder = files("PRIVATE");
    let with = |template: &str| document("catalog", "REGIONAL").replace(r#"{"statusCode": 200}"#, template);
    for (template, told) in [
        (r#"{"statusCode": 200}"#, Ok("MOCK, which answers 200")),
        (
            r#"#set($x = 200){"statusCode": $x}"#,
            Err("MOCK: the call is answered 500: the request template needs VTL, which is not supported yet"),
        ),
        (
            r#"{"status": 200}"#,
            Err("MOCK: the call is answered 500: the request template gives no integer statusCode"),
        ),
        (r#"{"statusCode": 400}"#, Ok("MOCK, which answers 200")),
    ] {
        folder.write("catalog.yaml", &with(template));
        block_on(async {
            let served = serve(&folder).await;
            let public = served.address("public");
            let explanation = asked(&served, true, &request([203, 0, 113, 9], public, "/prod/ping"));
            let rule = explanation.steps.last().unwrap().rule.as_str();
            assert_eq!(if explanation.allowed { Ok(rule) } else { Err(rule) }, told, "{template}");
            let status = explanation.answer.map_or(200, |answer| answer.status);
            assert_eq!(served.ask("public", [127, 0, 0, 1]), status, "{template}");
        });
    }
}

/// Whether a body fits nobody can say without it; what is told agrees with what a worker answers.
#[test]
fn the_model_of_the_body_is_named_or_refuses() {
    let folder = files("PRIVATE");
    let with = |schema: &str| {
        let checked = "x-amazon-apigateway-request-validator: body
      consumes: [application/json]
      parameters: [{in: body, name: b, required: true, schema: {$ref: '#/definitions/Pet'}}]
      responses: {\"200\"";
        let head = format!(
            "definitions: {{Pet: {schema}}}
x-amazon-apigateway-request-validators: {{body: {{validateRequestBody: true}}}}
paths:
"
        );
        let both = "requestTemplates: {text/plain: '{\"statusCode\": 200}', ";
        let document = document("catalog", "REGIONAL").replace("requestTemplates: {", both);
        let document = document.replace("paths:\n", &head);
        document.replacen("responses: {\"200\"", checked, 1)
    };
    let by = "the body would be checked by the model Pet, which is for application/json; explain has no body";
    let broken = "the call is answered 500: bodies cannot be checked by the model `Pet`: ";
    let unchecked = "no model is for the Content-Type, and none is $default: the body passes unchecked";
    let several = "the request has several Content-Types";
    let (json, text, named) = ("application/json", "text/plain", "{type: object, required: [name]}");
    for (schema, types, verdict, told, status) in [
        (named, vec![json], "note", by, 400),
        (named, vec![], "note", by, 400),
        ("{type: object}", vec![json], "note", by, 200),
        ("{type: object}", vec![text], "pass", unchecked, 200),
        ("{type: object}", vec![json, text], "refuse", several, 415),
        ("{$ref: '#/definitions/Gone'}", vec![json], "refuse", broken, 500),
    ] {
        folder.write("catalog.yaml", &with(schema));
        block_on(async {
            let served = serve(&folder).await;
            let mut asking = request([127, 0, 0, 1], served.address("public"), "/prod/ping");
            asking.headers = types.iter().map(|name| ("Content-Type".into(), name.to_string())).collect();
            let explained = asked(&served, true, &asking);
            let step = explained.steps.iter().find(|step| step.stage == "validation").unwrap();
            assert!(step.verdict == verdict && step.rule.starts_with(told), "{schema} {types:?}: {step:?}");
            let without = if status == 200 { "without one passes" } else { "without one is refused" };
            assert!(verdict != "note" || step.rule.ends_with(without), "{step:?}");
            assert_eq!(explained.allowed, verdict != "refuse");
            assert_eq!(explained.decided_by.ends_with("; the body must fit its model"), verdict == "note");
            if verdict == "refuse" {
                assert_eq!(explained.answer.unwrap().status, status);
            }
            let fields: String = types.iter().map(|name| format!("Content-Type: {name}\r\n")).collect();
            assert_eq!(served.ask_with("public", [127, 0, 0, 1], &fields), status, "{schema} {types:?}");
        });
    }
}

#[test]
fn the_listener_is_found_or_asked_for() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let port = served.address("orders").port();
        let snapshot = served.node.running().snapshot.clone();
        let ask = |url: String, listener: Option<&str>| {
            let listener = listener.map(str::to_string);
            let from = [127, 0, 1, 5].into();
            told(
                &snapshot,
                true,
                &ExplainRequest { from, method: "GET".into(), url, listener, headers: Vec::new() },
            )
        };
        assert_eq!(ask(format!("http://orders.example:{port}/prod/ping"), None).unwrap().listener, "orders");
        let named = ask("http://orders.example/prod/ping".into(), Some("orders")).unwrap();
        assert!(named.allowed);
        let problem = ask("http://orders.example:1/prod/ping".into(), None).unwrap_err();
        assert_eq!(problem.kind, Kind::Unknown);
        assert!(problem.mend.contains("orders (127.0.0.1:"), "{problem}");
        assert!(ask(format!("http://127.0.0.9:{port}/"), None).is_err(), "nobody listens on that address");
        assert!(ask("http://x/".into(), Some("nobody")).is_err());
    });
}

#[test]
fn headers_cannot_smuggle_a_second_request() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let snapshot = served.node.running().snapshot.clone();
        let mut split = request([127, 0, 1, 5], served.address("orders"), "/prod/ping");
        split.headers.push(("x".into(), "y\r\n\r\nGET / HTTP/1.1".into()));
        assert_eq!(told(&snapshot, true, &split).unwrap_err().kind, Kind::Request);
        let mut method = request([127, 0, 1, 5], served.address("orders"), "/prod/ping");
        method.method = "GET / HTTP/1.1\r\n\r\nGET".into();
        assert!(told(&snapshot, true, &method).is_err());
    });
}

#[test]
fn a_host_among_the_headers_goes_before_the_one_of_the_url() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let snapshot = served.node.running().snapshot.clone();
        for name in ["Host", "host"] {
            let mut asked = request([127, 0, 1, 5], served.address("orders"), "/prod/ping");
            asked.headers.push((name.into(), "pets.example".into()));
            let explanation = told(&snapshot, true, &asked).unwrap();
            let reached = explanation.steps.iter().find(|step| step.stage == "host and stage").unwrap();
            assert!(reached.rule.starts_with("host \"pets.example\""), "{}", reached.rule);
            asked.headers.push((name.into(), "cats.example".into()));
            assert_eq!(
                last(&told(&snapshot, true, &asked).unwrap()),
                ("http", "refuse"),
                "two are no request"
            );
        }
    });
}

/// The kernel only counts then: nobody may read that it keeps somebody away.
#[test]
fn in_a_dry_run_the_worker_refuses_and_is_named() {
    let folder = files("PRIVATE");
    folder.write("gateway.toml", &NODE.replace("apis = [\"orders\"]", "apis = [\"orders\"]\ndry_run = true"));
    block_on(async {
        let served = serve(&folder).await;
        assert_eq!(served.ask("orders", [127, 0, 0, 1]), 403);
        let explanation =
            asked(&served, true, &request([127, 0, 0, 1], served.address("orders"), "/prod/ping"));
        assert!(!explanation.allowed);
        assert_eq!(last(&explanation), ("endpoint type", "refuse"));
        let xdp = &explanation.steps[0];
        assert_eq!((xdp.stage.as_str(), xdp.verdict.as_str()), ("xdp", "pass"));
        assert!(xdp.rule.contains("dry run") && xdp.rule.contains("counted"), "{}", xdp.rule);
        let detail = crate::control::status::api(&served.node, "orders").unwrap();
        assert_eq!(detail.api.enforced_by.as_deref(), Some("worker"));
    });
}

/// Loopback is not trusted, and every source may send 100 packets a second.
fn limited() -> Folder {
    let folder = files("REGIONAL");
    let trusted = "[xdp]\ntrust_loopback = false\ntrusted = [\"127.0.1.0/24\"]";
    let xdp = format!("{trusted}\nlimit = {{ packets = \"100/s\", connections = \"10/s\" }}\n");
    folder.write("gateway.toml", &format!("{NODE}{xdp}"));
    folder
}

async fn ban(served: &Served, range: &str) {
    let ranges = vec![range.to_string()];
    let request =
        crate::control::types::BanRequest { ranges, reason: "scraper".into(), ..Default::default() };
    crate::control::bans::add(&served.node, &request).await.unwrap();
}

#[test]
fn a_ban_decides_before_all_else() {
    let folder = limited();
    block_on(async {
        let served = serve(&folder).await;
        let from_outside = request([127, 0, 0, 1], served.address("orders"), "/prod/ping");
        assert!(asked(&served, true, &from_outside).allowed);
        ban(&served, "127.0.0.0/16").await;
        for (on, how) in [(true, "every packet is dropped"), (false, "its connection is closed")] {
            let explanation = asked(&served, on, &from_outside);
            assert!(!explanation.allowed && explanation.answer.is_none());
            assert_eq!((explanation.steps.len(), last(&explanation)), (1, ("ban", "refuse")));
            let rule = &explanation.steps[0].rule;
            assert!(
                rule.contains("banned by 127.0.0.0/16 until it is removed (operator: scraper)"),
                "{rule}"
            );
            assert!(rule.contains(how), "{rule}");
        }
        let trusted = asked(&served, true, &request([127, 0, 1, 7], served.address("orders"), "/prod/ping"));
        assert!(trusted.allowed);
        assert_eq!((trusted.steps[0].stage.as_str(), trusted.steps[0].verdict.as_str()), ("ban", "pass"));
        assert!(trusted.steps[0].rule.contains("passes because it is trusted"), "{:?}", trusted.steps[0]);
    });
}

#[test]
fn what_the_kernel_has_left_for_a_source_is_told_and_decides() {
    let folder = limited();
    block_on(async {
        let served = serve(&folder).await;
        let request = request([127, 0, 0, 1], served.address("orders"), "/prod/ping");
        let kernel = |packets_left, connections_left| Examination {
            banned: None,
            trusted: false,
            listener: true,
            dry_run: false,
            packets_left: Some(packets_left),
            connections_left: Some(connections_left),
        };
        let whole = examined(&served, true, &request, Some(kernel(99, 10)));
        assert!(whole.allowed);
        let budget = whole.steps.iter().find(|step| step.stage == "budget").unwrap();
        assert_eq!(
            budget.rule,
            "127.0.0.1 has 99 packets left of 100/s, burst 100 and 10 new connections left of 10/s, burst 10"
        );
        let spent = examined(&served, true, &request, Some(kernel(99, 0)));
        assert!(!spent.allowed && spent.answer.is_none());
        assert_eq!(last(&spent), ("budget", "refuse"));
        let dry = examined(&served, true, &request, Some(Examination { dry_run: true, ..kernel(0, 0) }));
        assert!(dry.allowed && dry.steps.iter().any(|step| step.stage == "budget" && step.verdict == "note"));
        let banned = Examination { banned: Some(crate::xdp::End::Never), ..kernel(1, 1) };
        let astray = examined(&served, true, &request, Some(banned));
        assert!(last(&astray) == ("ban", "refuse") && astray.steps[0].rule.contains("no ban in the list"));
    });
}
