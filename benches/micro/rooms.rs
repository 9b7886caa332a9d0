//! Guard, mapping and integration: may it pass, and what is written for the backend or the client.

use crate::compiled::{SOURCE, matched, request, snapshot};
use criterion::Criterion;
use gateway::guard::origin::Via;
use gateway::guard::{permit as guard_permit, policy};
use gateway::integrate::{self, Carried, Facts, Integration};
use gateway::mapping::{Known, Side, Source, Template};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

const PROXY: &str = "{type: http_proxy, httpMethod: GET, uri: \"http://127.0.0.1:8090/{item}\", requestParameters: \
                     {integration.request.path.item: method.request.path.item}}";
/// What AWS's own examples map: from the path, the query string, a field and the context.
const MAPPED: &str = "{type: http, httpMethod: GET, uri: \"http://127.0.0.1:8090/{item}\", requestParameters: \
                      {integration.request.path.item: method.request.path.item, \
                      integration.request.querystring.kind: method.request.querystring.type, \
                      integration.request.header.x-api: context.apiId, \
                      integration.request.header.x-from: context.identity.sourceIp, \
                      integration.request.header.x-agent: method.request.header.User-Agent}}";
const MOCK: &str = "{type: mock, requestTemplates: {application/json: '{\"statusCode\": 200}'}, responses: {default: \
                    {statusCode: \"200\", responseTemplates: {application/json: '{\"id\": \"$context.requestId\"}'}}}}";
const PATH: &str = "/items/7?type=dog&page=2";

/// Statements that deny other networks, and one that allows at the end: none can be left out.
fn policy_of(statements: usize) -> String {
    let mut text = "x-amazon-apigateway-policy:\n  Version: \"2012-10-17\"\n  Statement:\n".to_owned();
    for number in 1..statements {
        let _ = writeln!(
            text,
            "  - {{Effect: Deny, Principal: \"*\", Action: \"execute-api:Invoke\", Resource: \
             \"execute-api:/prod/GET/*\", Condition: {{IpAddress: {{\"aws:SourceIp\": \
             [\"198.51.{number}.0/24\", \"203.0.{number}.0/24\"]}}}}}}"
        );
    }
    text + "  - {Effect: Allow, Principal: \"*\", Action: \"execute-api:Invoke\", Resource: \"execute-api:/*\"}\n"
}

fn items() -> [Vec<String>; 1] {
    [vec!["/items/{item}".to_owned()]]
}

pub(crate) fn policy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy");
    for statements in [1, 10, 100] {
        let snapshot = snapshot(&items(), PROXY, &policy_of(statements));
        let head = request(0, PATH);
        let matched = matched(&snapshot, &head);
        let api = &snapshot.apis[matched.api];
        let Some(policy) = &api.policy else { panic!("the API has a policy") };
        let facts = policy::Request::new(&snapshot, 0, SOURCE, &head, api, &matched);
        group.bench_function(format!("evaluate, {statements} statements"), |bencher| {
            bencher.iter(|| assert!(black_box(policy).evaluate(black_box(&facts)).is_ok()));
        });
        if statements == 1 {
            group.bench_function("what it may look at", |bencher| {
                bencher.iter(|| policy::Request::new(black_box(&snapshot), 0, SOURCE, &head, api, &matched));
            });
        }
    }
    group.finish();
}

/// All guards of a method; the match that it consumes is cloned each time.
pub(crate) fn permit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("permit");
    for (name, rest) in [("without a policy", String::new()), ("a policy of 10 statements", policy_of(10))] {
        let snapshot = snapshot(&items(), PROXY, &rest);
        let head = request(0, PATH);
        let matched = matched(&snapshot, &head);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let permit = guard_permit(black_box(&snapshot), 0, SOURCE, black_box(&head), matched.clone());
                assert!(permit.is_ok());
            });
        });
    }
    group.finish();
}

pub(crate) fn mapping(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("integrate");
    let via = Via::default();
    let facts = Facts {
        drawn: 0,
        request_id: "4f1f6a3e-6a1b-4a58-b9c6-0a7c8d8b7a10",
        extended_request_id: "AbCdEfGhIjKlMnO=",
        source: SOURCE,
        via: &via,
        listener: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        time_ms: 1_764_500_000_000,
        trace_id: "Root=1-69260ed0-0123456789abcdef01234567",
    };
    let head = request(0, PATH);
    let carried = Carried::of(&head);
    let cases =
        [("HTTP_PROXY request", PROXY), ("HTTP request, 5 mappings", MAPPED), ("MOCK, a template", MOCK)];
    for (name, integration) in cases {
        let snapshot = snapshot(&items(), integration, "");
        let matched = matched(&snapshot, &head);
        let Ok(permit) = guard_permit(&snapshot, 0, SOURCE, &head, matched) else {
            panic!("{name}: refused")
        };
        let mut out = Vec::with_capacity(4096);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let done = match &permit.method.integration {
                    Integration::HttpProxy(backend) | Integration::Http(backend) => integrate::write_request(
                        &permit,
                        backend,
                        (black_box(&head), carried),
                        &facts,
                        &mut out,
                    )
                    .is_ok(),
                    Integration::Mock(mock) => {
                        black_box(integrate::mock(&permit, mock, black_box(&head), &facts)).is_ok()
                    }
                    Integration::Unsupported(_) => false,
                };
                assert!(done);
            });
        });
    }
    group.finish();
    expressions(criterion);
}

fn expressions(criterion: &mut Criterion) {
    let snapshot = snapshot(&items(), PROXY, "");
    let head = request(0, PATH);
    let matched = matched(&snapshot, &head);
    let known = Known {
        api: snapshot.apis.get(matched.api).map(|api| &**api),
        method: snapshot.apis[matched.api].methods.get(matched.method),
        matched: Some(&matched),
        head: Some(&head),
        request_id: "4f1f6a3e-6a1b-4a58-b9c6-0a7c8d8b7a10",
        source: Some(SOURCE),
        ..Known::default()
    };
    let mut group = criterion.benchmark_group("mapping");
    let none = BTreeMap::new();
    for text in [
        "method.request.path.item",
        "method.request.querystring.page",
        "method.request.header.User-Agent",
        "context.identity.sourceIp",
    ] {
        let Ok(source) = Source::parse(text, Side::Request, &none) else { panic!("{text}: no expression") };
        group.bench_function(text, |bencher| {
            bencher.iter(|| assert!(black_box(&source).value(black_box(&known)).is_some()));
        });
    }
    let template = Template::plain(
        "{\"message\": \"refused\", \"id\": \"$context.requestId\", \"from\": \"$context.identity.sourceIp\"}",
        &none,
    );
    group.bench_function("template, 2 variables", |bencher| {
        bencher.iter(|| black_box(&template).render(black_box(&known)));
    });
    group.finish();
}
