//! `explain` agrees with what the workers do, and names the rule.

use super::*;
use crate::control::explain::explain;
use crate::control::types::{ExplainRequest, Explanation, Kind, XdpSummary};

fn xdp(on: bool) -> XdpSummary {
    let interfaces = on.then(|| ("eth0".to_string(), "native".to_string())).into_iter().collect();
    XdpSummary { interfaces, off: (!on).then(|| "no BPF here".into()) }
}

fn request(from: [u8; 4], address: SocketAddr, rest: &str) -> ExplainRequest {
    let url = format!("http://{address}{rest}");
    ExplainRequest { from: from.into(), method: "GET".into(), url, listener: None, headers: Vec::new() }
}

fn asked(served: &Served, on: bool, request: &ExplainRequest) -> Explanation {
    explain(&served.node.running().snapshot, &xdp(on), request).unwrap()
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
        let problem = explain(&served.node.running().snapshot, &xdp(false), &asked).unwrap_err();
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
            assert_eq!(allowed.decided_by, "integration: MOCK");
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
            explain(
                &snapshot,
                &xdp(true),
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
        assert_eq!(explain(&snapshot, &xdp(true), &split).unwrap_err().kind, Kind::Request);
        let mut method = request([127, 0, 1, 5], served.address("orders"), "/prod/ping");
        method.method = "GET / HTTP/1.1\r\n\r\nGET".into();
        assert!(explain(&snapshot, &xdp(true), &method).is_err());
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
