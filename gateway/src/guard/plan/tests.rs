//! API keys, quotas and throttles as `permit` meets them.

mod adoption;

use super::super::tests::api as fixture;
use super::super::throttle::Throttle;
use super::*;
use crate::guard::{Moment, Permit, permit};
use crate::http::{self, HeadLimits, RequestHead};
use crate::integrate::Integration;
use crate::model::EndpointType::Regional;
use crate::model::{ApiKeySource, PlanKey, PlanStage, QuotaPeriod, SourceLimits};
use crate::route::{ApiDoor, Asked, Table as Routes, Tree, parameters_of};
use crate::snapshot::{Listener, MethodLimits, Snapshot};
use std::time::{Duration, Instant};

const SECRET: &str = "abcdefghijklmnopqrstuvwxyz";
const NO_KEY: Refusal = Refusal::InvalidApiKey("the request has no x-api-key, or several");
const UNKNOWN: Refusal = Refusal::InvalidApiKey("no such API key");

fn said(rate_limit: f64, burst_limit: i64) -> model::Throttle {
    model::Throttle { rate_limit, burst_limit }
}

fn method(verb: &str) -> Method {
    Method {
        resource_path: "/pets/{id}".to_owned(),
        parameters: parameters_of("/pets/{id}").unwrap(),
        resource_id: "r".to_owned(),
        http_method: verb.to_owned(),
        authorization: crate::snapshot::Authorization::None,
        is_limited: true,
        touches_bodies: false,
        body: None,
        limits: Some(Box::new(MethodLimits { api_key_required: true, ..MethodLimits::default() })),
        required_parameters: Box::default(),
        integration: Integration::Unsupported("".into()),
        caching: None,
    }
}

fn api(methods: Vec<Method>) -> Api {
    let name = |text: &str| text.to_owned();
    Api { name: name("pets"), account: name("1"), region: name("r"), ..fixture(Regional, methods) }
}

fn snapshot(api: Api, plans: &Arc<model::UsagePlans>, before: Option<&Plans>) -> Snapshot {
    let listener = Listener {
        name: "public".to_owned(),
        address: "127.0.0.1:8080".parse().unwrap(),
        vpc: None,
        apis: None,
        kernel_private: false,
        limits: SourceLimits::NONE,
        dry_run: false,
        front: Default::default(),
    };
    let mut tree = Tree::default();
    tree.insert("/pets/{id}", &api.methods[0].http_method, 0).unwrap();
    let door = ApiDoor {
        id: api.id.clone(),
        stage: api.stage.clone(),
        hosts: Vec::new(),
        default_endpoint: true,
        hidden: false,
        tree: tree.pack().into(),
    };
    let apis = vec![Arc::new(api)];
    let meters = before.map(|before| before.meters.clone()).unwrap_or_default();
    Snapshot {
        generation: 1,
        region: "r".to_owned(),
        account: "1".to_owned(),
        routes: Routes::new(vec![door], std::slice::from_ref(&listener), &[Some(0)]),
        listeners: vec![listener],
        vpcs: Vec::new(),
        trusted: Vec::new(),
        offences: None,
        targets: Vec::new(),
        domain_policies: Vec::new(),
        canaries: Vec::new(),
        plans: adopted(Plans::new(plans, meters, before, &apis)),
        apis,
        cache: crate::cache::Store::new(0),
    }
}

/// As workers have it: with nothing written down before.
fn adopted(plans: Plans) -> Plans {
    plans.restore(|_| Ok::<_, ()>(BTreeMap::new())).unwrap();
    plans.begin(false);
    plans
}

fn key(id: &str, value: &str) -> model::ApiKey {
    model::ApiKey {
        account: "1".to_owned(),
        region: "r".to_owned(),
        id: id.to_owned(),
        name: format!("key {id}"),
        value: value.to_owned(),
        enabled: true,
    }
}

fn plan(id: &str, keys: &[&str]) -> model::UsagePlan {
    model::UsagePlan {
        account: "1".to_owned(),
        region: "r".to_owned(),
        id: id.to_owned(),
        name: format!("plan {id}"),
        stages: vec![PlanStage { api_id: "a1".to_owned(), stage: "prod".to_owned(), throttles: [].into() }],
        keys: keys.iter().map(|id| PlanKey { id: (*id).to_owned(), granted: None }).collect(),
        ..model::UsagePlan::default()
    }
}

/// One plan with one key, changed.
fn plans(change: impl FnOnce(&mut model::UsagePlans)) -> Arc<model::UsagePlans> {
    let mut plans = model::UsagePlans { keys: vec![key("k1", SECRET)], plans: vec![plan("p1", &["k1"])] };
    change(&mut plans);
    Arc::new(plans)
}

struct Asking {
    began: Instant,
    seconds: f64,
    unix_s: u64,
    counts: bool,
}

impl Asking {
    fn new() -> Self {
        #[allow(clippy::disallowed_methods)] // any moment
        Self { began: Instant::now(), seconds: 0.0, unix_s: 1_795_366_800, counts: true }
    }

    fn ask(&self, snapshot: &Snapshot, verb: &str, fields: &str) -> Result<Option<String>, Refusal> {
        let mut head = RequestHead::new();
        let text = format!("{verb} /prod/pets/7 HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        head.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
        let asked = Asked { listener: 0, host: "x", path: head.path(), method: head.method(), api_id: None };
        let matched = snapshot.routes.find(&asked, snapshot.routes.reach(&asked)?)?;
        let now = self.began + Duration::from_secs_f64(self.seconds);
        let moment = Moment { now, unix_s: self.unix_s, counts: self.counts };
        let permit: Permit<'_> = permit(snapshot, 0, "127.0.0.1".parse().unwrap(), &head, matched, moment)?;
        Ok(permit.client.map(|client| client.key_id().to_owned()))
    }

    fn get(&self, snapshot: &Snapshot) -> Result<Option<String>, Refusal> {
        self.ask(snapshot, "GET", &format!("X-Api-Key: {SECRET}\r\n"))
    }

    fn passed(&self, snapshot: &Snapshot, most: u32) -> u32 {
        (0..most).take_while(|_| self.get(snapshot).is_ok()).count() as u32
    }
}

#[test]
fn a_key_of_a_plan_of_the_stage_passes_and_no_other() {
    let asking = Asking::new();
    let of = |change: fn(&mut model::UsagePlans)| snapshot(api(vec![method("GET")]), &plans(change), None);
    let good = of(|_| {});
    assert_eq!(asking.get(&good), Ok(Some("k1".to_owned())));
    for (fields, refusal) in [
        (String::new(), NO_KEY),
        (format!("x-api-key: {SECRET}\r\nx-api-key: {SECRET}\r\n"), NO_KEY),
        ("x-api-key:\r\n".to_owned(), UNKNOWN),
        (format!("x-api-key: {SECRET}a\r\n"), UNKNOWN),
        (format!("x-api-key: {}\r\n", SECRET.to_uppercase()), UNKNOWN),
        (format!("x-api-key: {}\r\n", "a".repeat(5000)), UNKNOWN),
    ] {
        assert_eq!(asking.ask(&good, "GET", &fields), Err(refusal), "{fields}");
    }
    let no_plan = Refusal::InvalidApiKey("no usage plan of the API key covers the stage");
    let uncovered = Refusal::InvalidApiKey("no usage plan covers the stage");
    for (change, refusal) in [
        (
            (|plans| plans.keys[0].enabled = false) as fn(&mut model::UsagePlans),
            Refusal::InvalidApiKey("the API key is disabled"),
        ),
        (|plans| plans.keys[0].region = "other".to_owned(), UNKNOWN),
        (|plans| plans.plans[0].keys.clear(), no_plan.clone()),
        (|plans| plans.plans[0].region = "other".to_owned(), no_plan),
        (|plans| plans.plans[0].stages[0].stage = "beta".to_owned(), uncovered.clone()),
        (|plans| plans.plans.clear(), uncovered),
        (|plans| *plans = model::UsagePlans::default(), UNKNOWN),
    ] {
        assert_eq!(asking.get(&of(change)), Err(refusal));
    }
    // Whoever explains is told whose key it is, and never the key itself.
    for (change, said) in [
        ((|plans| plans.keys[0].enabled = false) as fn(&mut model::UsagePlans), Some("of usage plan p1 ")),
        (|plans| plans.keys[0].region = "other".to_owned(), None),
        (|plans| plans.plans[0].keys.clear(), Some("is of no usage plan; usage plan p1 ")),
        (
            |plans| plans.plans[0].stages[0].stage = "beta".to_owned(),
            Some("; no usage plan covers the stage"),
        ),
        (|plans| plans.plans.clear(), Some("is of no usage plan; no usage plan covers the stage")),
        (|plans| plans.keys.clear(), None),
    ] {
        let snapshot = of(change);
        let told = snapshot.plans.key_shown(0, &snapshot.apis[0], Some(SECRET.as_bytes()));
        assert_eq!(told.is_some(), said.is_some(), "{told:?}");
        let told = told.unwrap_or_default();
        assert!(told.contains(said.unwrap_or_default()) && !told.contains(SECRET), "{told}");
        assert_eq!(snapshot.plans.key_shown(0, &snapshot.apis[0], Some(b"x")), None);
    }
    let mut from_authorizer = api(vec![method("GET")]);
    from_authorizer.api_key_source = ApiKeySource::Authorizer;
    let refused = asking.get(&snapshot(from_authorizer, &plans(|_| {}), None));
    assert!(matches!(refused, Err(Refusal::InvalidApiKey(why)) if why.contains("authorizer")));
}

#[test]
fn a_key_in_many_plans_goes_by_the_one_of_the_stage() {
    let asking = Asking::new();
    let many = plans(|plans| {
        let mut other = plan("p0", &["k1", "k2"]);
        other.stages[0].api_id = "b2".to_owned();
        other.throttle = Some(said(0.0, 0));
        plans.plans.insert(0, other);
        plans.keys.push(key("k2", "another secret of some length"));
        // Of two keys with one value the first one stands.
        plans.keys.push(key("k3", SECRET));
    });
    let snapshot = snapshot(api(vec![method("GET")]), &many, None);
    assert_eq!(asking.get(&snapshot), Ok(Some("k1".to_owned())));
}

#[test]
fn a_quota_is_given_out_and_begins_again() {
    let mut asking = Asking::new();
    let daily = plans(|plans| {
        plans.plans[0].quota = Some(Quota { limit: 3, offset: 0, period: QuotaPeriod::Day });
        plans.plans[0].throttle = Some(said(1.0, 100));
    });
    let snapshot = snapshot(api(vec![method("GET")]), &daily, None);
    asking.counts = false;
    assert_eq!(asking.passed(&snapshot, 10), 10, "whoever explains takes nothing");
    asking.counts = true;
    assert_eq!(asking.passed(&snapshot, 10), 3);
    assert_eq!(asking.get(&snapshot), Err(Refusal::QuotaExceeded));
    asking.counts = false;
    assert_eq!(asking.get(&snapshot), Err(Refusal::QuotaExceeded));
    asking.counts = true;
    asking.unix_s += 86_400;
    assert_eq!(asking.passed(&snapshot, 10), 3, "the next day");
}

#[test]
fn what_is_throttled_takes_nothing_of_the_quota() {
    let mut asking = Asking::new();
    let slow = plans(|plans| {
        plans.plans[0].quota = Some(Quota { limit: 3, offset: 0, period: QuotaPeriod::Day });
        plans.plans[0].throttle = Some(said(1.0, 1));
    });
    let snapshot = snapshot(api(vec![method("GET")]), &slow, None);
    for second in 0..3 {
        asking.seconds = f64::from(second);
        assert!(asking.get(&snapshot).is_ok(), "{second}");
        // Of both the quota speaks first.
        let refused = if second < 2 { Refusal::Throttled(Limit::Plan) } else { Refusal::QuotaExceeded };
        assert_eq!(asking.get(&snapshot), Err(refused));
    }
    asking.seconds = 3.0;
    assert_eq!(asking.get(&snapshot), Err(Refusal::QuotaExceeded));
}

/// Plan's method, plan, stage's method, account.
#[test]
fn throttles_are_asked_in_aws_s_order() {
    let asking = Asking::new();
    let throttled = |own: i64, of_plan: i64, of_method: i64, of_account: i64| {
        let plans = plans(|plans| {
            let path = MethodPath::parse("pets/{id}/GET").unwrap();
            plans.plans[0].stages[0].throttles = [(path, said(0.001, own))].into();
            plans.plans[0].throttle = Some(said(0.001, of_plan));
        });
        let mut method = method("GET");
        let throttle = Throttle::new(said(0.001, of_method), Arc::default);
        let limits = MethodLimits { api_key_required: true, throttle, own: Vec::new() };
        method.limits = Some(Box::new(limits));
        let mut api = api(vec![method]);
        api.throttle = Throttle::new(said(0.001, of_account), Arc::default);
        let snapshot = snapshot(api, &plans, None);
        let passed = asking.passed(&snapshot, 100);
        (passed, asking.get(&snapshot).unwrap_err())
    };
    assert_eq!(throttled(2, 9, 9, 9), (2, Refusal::Throttled(Limit::PlanMethod)));
    assert_eq!(throttled(9, 2, 9, 9), (2, Refusal::Throttled(Limit::Plan)));
    assert_eq!(throttled(9, 9, 2, 9), (2, Refusal::Throttled(Limit::Method)));
    assert_eq!(throttled(9, 9, 9, 2), (2, Refusal::Throttled(Limit::Account)));
    assert_eq!(throttled(2, 2, 2, 2), (2, Refusal::Throttled(Limit::PlanMethod)), "the first one speaks");
}

#[test]
fn each_key_has_budgets_of_its_own() {
    let asking = Asking::new();
    let other = "another secret of some length";
    let two = plans(|plans| {
        plans.keys.push(key("k2", other));
        plans.plans[0] = model::UsagePlan { throttle: Some(said(0.001, 2)), ..plan("p1", &["k1", "k2"]) };
    });
    let snapshot = snapshot(api(vec![method("GET")]), &two, None);
    assert_eq!(asking.passed(&snapshot, 10), 2);
    let fields = format!("x-api-key: {other}\r\n");
    assert_eq!(asking.ask(&snapshot, "GET", &fields), Ok(Some("k2".to_owned())));
}

#[test]
fn an_any_method_is_throttled_by_the_request_s_method_or_as_any() {
    let asking = Asking::new();
    let mut any = method("ANY");
    let throttle = |burst| Throttle::new(said(0.001, burst), Arc::default);
    let own = vec![(http::Method::Post, throttle(1)), (http::Method::Put, None)];
    any.limits = Some(Box::new(MethodLimits { api_key_required: false, throttle: throttle(2), own }));
    let snapshot = snapshot(api(vec![any]), &Arc::default(), None);
    let passed = |verb| (0..5).filter(|_| asking.ask(&snapshot, verb, "").is_ok()).count();
    assert_eq!((passed("POST"), passed("PUT"), passed("GET"), passed("PATCH")), (1, 5, 2, 0));
}

#[test]
fn a_plans_rate_for_any_holds_for_methods_that_have_none_of_their_own() {
    let asking = Asking::new();
    let of = |verb: &str, burst| {
        (MethodPath::One { path: "/pets/{id}".to_owned(), method: verb.to_owned() }, said(0.001, burst))
    };
    let limited = plans(|plans| {
        plans.plans[0].stages[0].throttles = [of("ANY", 2), of("POST", 1)].into_iter().collect();
    });
    let snapshot = snapshot(api(vec![method("ANY")]), &limited, None);
    let fields = format!("X-Api-Key: {SECRET}\r\n");
    let passed = |verb| (0..5).filter(|_| asking.ask(&snapshot, verb, &fields).is_ok()).count();
    assert_eq!((passed("POST"), passed("GET"), passed("PUT")), (1, 2, 0));
}

/// Everything that counts lives on, whatever of keys, plans and stages is changed.
#[test]
fn counts_outlive_the_snapshot() {
    let mut asking = Asking::new();
    let first = plans(|plans| {
        plans.plans[0].quota = Some(Quota { limit: 5, offset: 0, period: QuotaPeriod::Month });
        plans.plans[0].throttle = Some(said(1.0, 3));
    });
    let old = snapshot(api(vec![method("GET")]), &first, None);
    assert_eq!(asking.passed(&old, 10), 3);
    let same = snapshot(api(vec![method("GET")]), &first, Some(&old.plans));
    assert!(Arc::ptr_eq(&old.plans.table, &same.plans.table), "nothing changed that it is made from");
    assert_eq!(asking.get(&same), Err(Refusal::Throttled(Limit::Plan)));
    let second = plans(|plans| {
        plans.keys.push(key("k2", "another secret of some length"));
        plans.plans[0].quota = Some(Quota { limit: 4, offset: 0, period: QuotaPeriod::Month });
        plans.plans[0].throttle = Some(said(1.0, 3));
    });
    let new = snapshot(api(vec![method("GET")]), &second, Some(&same.plans));
    assert_eq!(asking.get(&new), Err(Refusal::Throttled(Limit::Plan)), "the budget is the same");
    asking.seconds = 10.0;
    assert_eq!(asking.passed(&new, 10), 1, "one is left of the quota, which is 4 now");
    assert_eq!(asking.get(&new), Err(Refusal::QuotaExceeded));
}
