//! Guard, mapping and integration: may it pass, and what is written for the backend or the client.

use crate::compiled::{SOURCE, matched, request, request_with, snapshot};
use criterion::Criterion;
use gateway::guard::meters::Meters;
use gateway::guard::origin::Via;
use gateway::guard::plan::Plans;
use gateway::guard::{self, Moment, permit as guard_permit, policy};
use gateway::integrate::{self, Carried, Facts, Integration};
use gateway::mapping::{Known, Side, Source, Template};
use gateway::model::{ApiKey, PlanKey, PlanStage, Quota, QuotaPeriod, Throttle, UsagePlan, UsagePlans};
use gateway::snapshot::{Method, MethodLimits, Snapshot};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

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
    for statements in [1, 10, 40] {
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

#[allow(clippy::disallowed_methods)] // any moment
fn moment() -> Moment {
    Moment { now: std::time::Instant::now(), unix_s: 1_764_500_000, counts: true }
}

const KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyz0123";

/// A rate that is never spent.
fn limited(mut snapshot: Snapshot) -> Snapshot {
    let said = Throttle { rate_limit: 1e9, burst_limit: i64::from(i32::MAX) };
    let throttle = guard::throttle::Throttle::new(said, Arc::default);
    for method in methods(&mut snapshot) {
        method.is_limited = true;
        method.limits =
            Some(Box::new(MethodLimits { throttle: throttle.clone(), ..MethodLimits::default() }));
    }
    snapshot
}

/// A key is wanted; its plan has a rate and a quota, and 1000 keys.
fn keyed(mut snapshot: Snapshot) -> Snapshot {
    let wants = || Some(Box::new(MethodLimits { api_key_required: true, ..MethodLimits::default() }));
    methods(&mut snapshot).for_each(|method| (method.is_limited, method.limits) = (true, wants()));
    let api = &snapshot.apis[0];
    let key = |number: usize| ApiKey {
        account: api.account.clone(),
        region: api.region.clone(),
        id: format!("key{number}"),
        name: String::new(),
        value: if number == 0 { KEY.to_owned() } else { format!("{KEY}{number}") },
        enabled: true,
    };
    let plan = UsagePlan {
        account: api.account.clone(),
        region: api.region.clone(),
        id: "plan".to_owned(),
        throttle: Some(Throttle { rate_limit: 1e9, burst_limit: i64::from(i32::MAX) }),
        quota: Some(Quota { limit: 1 << 39, offset: 0, period: QuotaPeriod::Month }),
        stages: vec![PlanStage { api_id: api.id.clone(), stage: api.stage.clone(), ..PlanStage::default() }],
        keys: (0..1000).map(|n| PlanKey { id: format!("key{n}"), granted: None }).collect(),
        ..UsagePlan::default()
    };
    let plans = Arc::new(UsagePlans { keys: (0..1000).map(key).collect(), plans: vec![plan] });
    snapshot.plans = Plans::new(&plans, Meters::default(), None, &snapshot.apis);
    snapshot
}

fn methods(snapshot: &mut Snapshot) -> impl Iterator<Item = &mut Method> {
    snapshot.apis.iter_mut().filter_map(Arc::get_mut).flat_map(|api| &mut api.methods)
}

/// All guards of a method; the match that it consumes is cloned each time.
pub(crate) fn permit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("permit");
    let bare = |rest: &str| snapshot(&items(), PROXY, rest);
    for (name, snapshot) in [
        ("without a policy", bare("")),
        ("a policy of 10 statements", bare(&policy_of(10))),
        ("a throttle of the method", limited(bare(""))),
        ("an API key with rate and quota", keyed(bare(""))),
    ] {
        let with_key = format!("x-api-key: {KEY}\r\n");
        let fields = if name.starts_with("an API key") { with_key.as_str() } else { "" };
        let head = request_with(0, PATH, fields);
        let matched = matched(&snapshot, &head);
        let moment = moment();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let permit =
                    guard_permit(black_box(&snapshot), 0, SOURCE, black_box(&head), matched.clone(), moment);
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
        let Ok(permit) = guard_permit(&snapshot, 0, SOURCE, &head, matched, moment()) else {
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
